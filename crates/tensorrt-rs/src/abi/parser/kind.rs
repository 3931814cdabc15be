//! Types as they are written.

use super::{Parsed, Parser};
use crate::abi::declaration::{Derivation, Type};

/// Words of the built-in types, several of which make one type.
const BUILT_IN: [&str; 11] = [
    "void", "bool", "char", "short", "int", "long", "signed", "unsigned", "float", "double", "auto",
];

/// Words before a name that say which kind of type it is.
const ELABORATIONS: [&str; 5] = ["class", "struct", "union", "enum", "typename"];

impl Parser<'_> {
    /// A type up to the name that is declared with it, if any.
    pub(super) fn kind(&mut self) -> Parsed<Type> {
        let mut kind = Type::default();
        let mut words: Vec<&str> = Vec::new();
        loop {
            self.skip_attributes()?;
            let Some(token) = self.peek(0) else { return Err(self.unexpected("a type")) };
            let text = &*token.text;
            if token.is("const") {
                kind.is_const = true;
                self.at += 1;
            } else if token.is("volatile") {
                self.at += 1;
            } else if BUILT_IN.contains(&text) && kind.name.is_empty() {
                words.push(text);
                self.at += 1;
            } else if words.is_empty() && kind.name.is_empty() && ELABORATIONS.contains(&text) {
                self.at += 1;
            } else if words.is_empty()
                && kind.name.is_empty()
                && (token.is_identifier() || token.is("::"))
            {
                kind.name = self.qualified_name()?;
            } else {
                break;
            }
        }
        if !words.is_empty() {
            kind.name = built_in(&words);
        }
        if kind.name.is_empty() {
            return Err(self.unexpected("a type"));
        }
        self.pointers(&mut kind)?;
        Ok(kind)
    }

    /// `*`, `&` and `&&` with their `const`.
    fn pointers(&mut self, kind: &mut Type) -> Parsed<()> {
        loop {
            self.skip_attributes()?;
            if self.take("*") {
                kind.derivations.push(Derivation::Pointer { is_const: false });
            } else if self.take("&") {
                kind.derivations.push(Derivation::Reference);
            } else if self.take("&&") {
                kind.derivations.push(Derivation::RvalueReference);
            } else if self.is("const") && !kind.derivations.is_empty() {
                self.at += 1;
                if let Some(Derivation::Pointer { is_const }) = kind.derivations.last_mut() {
                    *is_const = true;
                }
            } else if !self.take("volatile") && !self.take("__restrict__") {
                return Ok(());
            }
        }
    }

    /// `a::b<c>::d`, template arguments included.
    pub(super) fn qualified_name(&mut self) -> Parsed<String> {
        let mut name = String::new();
        if self.take("::") {
            name.push_str("::");
        }
        loop {
            let Some(part) = self.identifier() else { return Err(self.unexpected("a name")) };
            name.push_str(part);
            if self.is("<") {
                let start = self.at;
                self.skip_angles()?;
                self.tokens[start..self.at].iter().for_each(|t| name.push_str(&t.text));
            }
            // A name before `::~` or `::operator` belongs to a definition outside its class.
            if !self.is("::") || !self.peek(1).is_some_and(crate::abi::lexer::Token::is_identifier)
            {
                return Ok(name);
            }
            self.at += 1;
            name.push_str("::");
        }
    }

    /// `[length]`, none to several.
    pub(super) fn arrays(&mut self, kind: &mut Type) -> Parsed<()> {
        while self.is("[") {
            let start = self.at + 1;
            self.skip_balanced()?;
            let length = self.tokens[start..self.at - 1].to_vec();
            kind.derivations.push(Derivation::Array { length });
        }
        Ok(())
    }
}

/// One spelling for each built-in type.
fn built_in(words: &[&str]) -> String {
    let has = |word: &str| words.contains(&word);
    let longs = words.iter().filter(|w| **w == "long").count();
    let unsigned = if has("unsigned") { "unsigned " } else { "" };
    if has("char") {
        let sign = if has("signed") { "signed " } else { unsigned };
        format!("{sign}char")
    } else if has("double") {
        if longs > 0 { "long double".to_owned() } else { "double".to_owned() }
    } else if has("short") {
        format!("{unsigned}short")
    } else if longs > 1 {
        format!("{unsigned}long long")
    } else if longs == 1 {
        format!("{unsigned}long")
    } else if has("int") || has("signed") || has("unsigned") {
        format!("{unsigned}int")
    } else {
        words.join(" ")
    }
}
