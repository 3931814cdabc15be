//! Integer constant expressions: conditions of `#if`, values of enumerators, lengths of arrays.

use super::lexer::{Kind, Token};

/// The value of an expression. `lookup` gives the value of a name, written with `::` where it is
/// qualified. `None` if the tokens are no expression of integers, a name has no value, or the
/// arithmetic leaves 64 bits.
pub(super) fn evaluate(tokens: &[Token], lookup: &dyn Fn(&str) -> Option<i64>) -> Option<i64> {
    let mut expression = Expression { tokens, at: 0, depth: 0, lookup };
    let value = expression.conditional()?;
    (expression.at == tokens.len()).then_some(value)
}

const MAX_DEPTH: usize = 64;

struct Expression<'a> {
    tokens: &'a [Token],
    at: usize,
    depth: usize,
    lookup: &'a dyn Fn(&str) -> Option<i64>,
}

impl Expression<'_> {
    fn conditional(&mut self) -> Option<i64> {
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            return None;
        }
        let condition = self.binary(0)?;
        let value = if self.take("?") {
            let yes = self.conditional()?;
            if !self.take(":") {
                return None;
            }
            let no = self.conditional()?;
            if condition != 0 { yes } else { no }
        } else {
            condition
        };
        self.depth -= 1;
        Some(value)
    }

    fn binary(&mut self, weakest: u8) -> Option<i64> {
        let mut left = self.unary()?;
        while let Some((operator, binding, length)) = self.operator() {
            if binding < weakest {
                break;
            }
            self.at += length;
            let right = self.binary(binding + 1)?;
            left = apply(operator, left, right)?;
        }
        Some(left)
    }

    /// The binary operator here, how strongly it binds, and how many tokens it has.
    fn operator(&self) -> Option<(&'static str, u8, usize)> {
        const OPERATORS: [(&str, u8); 17] = [
            ("||", 0),
            ("&&", 1),
            ("|", 2),
            ("^", 3),
            ("&", 4),
            ("==", 5),
            ("!=", 5),
            ("<", 6),
            (">", 6),
            ("<=", 6),
            (">=", 6),
            ("<<", 7),
            ("+", 8),
            ("-", 8),
            ("*", 9),
            ("/", 9),
            ("%", 9),
        ];
        let token = self.tokens.get(self.at).filter(|t| t.kind == Kind::Punctuation)?;
        let next = self.tokens.get(self.at + 1);
        if token.is(">") && next.is_some_and(|n| n.is(">") && n.glued) {
            return Some((">>", 7, 2));
        }
        OPERATORS.iter().find(|(o, _)| token.is(o)).map(|&(o, binding)| (o, binding, 1))
    }

    fn unary(&mut self) -> Option<i64> {
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            return None;
        }
        let value = if self.take("!") {
            i64::from(self.unary()? == 0)
        } else if self.take("-") {
            self.unary()?.checked_neg()?
        } else if self.take("+") {
            self.unary()?
        } else if self.take("~") {
            !self.unary()?
        } else {
            self.primary()?
        };
        self.depth -= 1;
        Some(value)
    }

    fn primary(&mut self) -> Option<i64> {
        if self.take("(") {
            let value = self.conditional()?;
            return self.take(")").then_some(value);
        }
        let token = self.tokens.get(self.at)?;
        match token.kind {
            Kind::Number => {
                self.at += 1;
                integer(&token.text)
            }
            Kind::Identifier if token.is("true") => {
                self.at += 1;
                Some(1)
            }
            Kind::Identifier if token.is("false") => {
                self.at += 1;
                Some(0)
            }
            Kind::Identifier if token.is("static_cast") => {
                self.at += 1;
                self.cast()
            }
            Kind::Identifier => self.name(),
            Kind::Punctuation if token.is("::") => self.name(),
            _ => None,
        }
    }

    /// `static_cast<type>(value)`: types wide enough for the value are taken for granted.
    fn cast(&mut self) -> Option<i64> {
        if !self.take("<") {
            return None;
        }
        while !self.take(">") {
            self.tokens.get(self.at)?;
            self.at += 1;
        }
        if !self.take("(") {
            return None;
        }
        let value = self.conditional()?;
        self.take(")").then_some(value)
    }

    /// A name, or a conversion such as `int32_t(1)`.
    fn name(&mut self) -> Option<i64> {
        const INTEGERS: [&str; 12] = [
            "int8_t", "int16_t", "int32_t", "int64_t", "uint8_t", "uint16_t", "uint32_t",
            "uint64_t", "size_t", "int", "unsigned", "long",
        ];
        let mut name = String::new();
        while let Some(token) = self.tokens.get(self.at) {
            let continues = if token.is("::") {
                name.is_empty() || !name.ends_with("::")
            } else {
                token.is_identifier() && (name.is_empty() || name.ends_with("::"))
            };
            if !continues {
                break;
            }
            name.push_str(&token.text);
            self.at += 1;
        }
        for (open, close) in [("(", ")"), ("{", "}")] {
            if INTEGERS.contains(&name.as_str()) && self.take(open) {
                let value = self.conditional()?;
                return self.take(close).then_some(value);
            }
        }
        (self.lookup)(&name)
    }

    fn take(&mut self, text: &str) -> bool {
        let here = self.tokens.get(self.at).is_some_and(|t| t.is(text));
        self.at += usize::from(here);
        here
    }
}

fn apply(operator: &str, left: i64, right: i64) -> Option<i64> {
    match operator {
        "||" => Some(i64::from(left != 0 || right != 0)),
        "&&" => Some(i64::from(left != 0 && right != 0)),
        "|" => Some(left | right),
        "^" => Some(left ^ right),
        "&" => Some(left & right),
        "==" => Some(i64::from(left == right)),
        "!=" => Some(i64::from(left != right)),
        "<" => Some(i64::from(left < right)),
        ">" => Some(i64::from(left > right)),
        "<=" => Some(i64::from(left <= right)),
        ">=" => Some(i64::from(left >= right)),
        "<<" => {
            let shift = u32::try_from(right).ok().filter(|s| *s < 63)?;
            left.checked_mul(1_i64 << shift)
        }
        ">>" => left.checked_shr(u32::try_from(right).ok()?),
        "+" => left.checked_add(right),
        "-" => left.checked_sub(right),
        "*" => left.checked_mul(right),
        "/" => left.checked_div(right),
        "%" => left.checked_rem(right),
        _ => None,
    }
}

/// An integer literal with its suffix and separators.
fn integer(text: &str) -> Option<i64> {
    let digits = text.replace('\'', "").to_ascii_lowercase();
    let (radix, digits) = if let Some(rest) = digits.strip_prefix("0x") {
        (16, rest)
    } else if let Some(rest) = digits.strip_prefix("0b") {
        (2, rest)
    } else if digits.len() > 1 && digits.starts_with('0') {
        (8, &digits[1..])
    } else {
        (10, digits.as_str())
    };
    let number = digits.trim_end_matches(['u', 'l', 'z']);
    // "0u" and "0L" have lost their zero to the octal prefix.
    if number.is_empty() && radix == 8 {
        return Some(0);
    }
    i64::from_str_radix(number, radix).ok()
}
