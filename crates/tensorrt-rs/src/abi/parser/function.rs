//! What functions have: specifiers before, parameters, and what comes after.

use super::{Parsed, Parser};
use crate::abi::declaration::Type;
use crate::abi::lexer::Token;
use crate::abi::preprocessor::spelled;

/// The words before a declaration that matter.
#[derive(Clone, Copy, Debug, Default)]
#[expect(clippy::struct_excessive_bools, reason = "each is a word that is there or not")]
pub(super) struct Specifiers {
    pub(super) is_virtual: bool,
    pub(super) is_static: bool,
    pub(super) is_constexpr: bool,
    pub(super) is_friend: bool,
}

/// The words after the parameters that matter.
#[derive(Clone, Debug, Default)]
pub(super) struct Qualifiers {
    pub(super) is_const: bool,
    pub(super) reference: &'static str,
    pub(super) overrides: bool,
    /// The type after `->`.
    pub(super) returns: Option<Type>,
}

impl Parser<'_> {
    pub(super) fn specifiers(&mut self) -> Parsed<Specifiers> {
        let mut specifiers = Specifiers::default();
        loop {
            self.skip_attributes()?;
            let Some(token) = self.peek(0) else { return Ok(specifiers) };
            match &*token.text {
                "virtual" => specifiers.is_virtual = true,
                "static" => specifiers.is_static = true,
                "constexpr" => specifiers.is_constexpr = true,
                "friend" => specifiers.is_friend = true,
                "inline" | "explicit" | "mutable" | "extern" | "__extension__" | "thread_local" => {
                }
                _ => return Ok(specifiers),
            }
            self.at += 1;
        }
    }

    /// From `(` to behind `)`.
    pub(super) fn parameters(&mut self) -> Parsed<Vec<Type>> {
        self.expect("(")?;
        let mut parameters = Vec::new();
        if self.is("void") && self.peek(1).is_some_and(|t| t.is(")")) {
            self.at += 1;
        }
        while !self.take(")") {
            parameters.push(self.parameter()?);
            if !self.take(",") && !self.is(")") {
                return Err(self.unexpected(", or ) after a parameter"));
            }
        }
        Ok(parameters)
    }

    fn parameter(&mut self) -> Parsed<Type> {
        let start = self.at;
        if self.take("...") {
            return Ok(Type { name: "...".to_owned(), ..Type::default() });
        }
        let mut kind = self.kind()?;
        self.identifier();
        self.arrays(&mut kind)?;
        self.skip_attributes()?;
        if self.is("(") {
            // A pointer to a function: compared as it is written, without its name.
            while self.peek(0).is_some_and(|t| !t.is(",") && !t.is(")") && !t.is("=")) {
                self.step()?;
            }
            let written = &self.tokens[start..self.at];
            let star = written.windows(2).position(|pair| pair[0].is("(") && pair[1].is("*"));
            let name = star
                .map(|at| at + 2)
                .filter(|at| written.get(*at).is_some_and(Token::is_identifier));
            let unnamed: Vec<Token> = written
                .iter()
                .enumerate()
                .filter(|(index, _)| Some(*index) != name)
                .map(|(_, token)| token.clone())
                .collect();
            kind = Type { name: spelled(&unnamed), ..Type::default() };
        }
        if self.take("=") {
            while self.peek(0).is_some_and(|t| !t.is(",") && !t.is(")")) {
                self.step()?;
            }
        }
        Ok(kind.into_parameter())
    }

    /// From behind the parameters to behind the `;` or the body.
    pub(super) fn function_end(&mut self) -> Parsed<Qualifiers> {
        let mut qualifiers = Qualifiers::default();
        loop {
            self.skip_attributes()?;
            let Some(token) = self.peek(0) else { return Err(self.unexpected("; or a body")) };
            match &*token.text {
                "const" => qualifiers.is_const = true,
                "&" => qualifiers.reference = "&",
                "&&" => qualifiers.reference = "&&",
                "override" | "final" => qualifiers.overrides = true,
                "volatile" | "try" => {}
                "noexcept" | "throw" => {
                    if self.peek(1).is_some_and(|t| t.is("(")) {
                        self.at += 1;
                        self.skip_balanced()?;
                        continue;
                    }
                }
                "->" => {
                    self.at += 1;
                    qualifiers.returns = Some(self.kind()?);
                    continue;
                }
                "=" => {
                    let known = ["0", "default", "delete"];
                    if !self.peek(1).is_some_and(|t| known.contains(&&*t.text)) {
                        return Err(self.unexpected("0, default or delete"));
                    }
                    self.at += 1;
                }
                ";" => {
                    self.at += 1;
                    return Ok(qualifiers);
                }
                ":" => {
                    self.at += 1;
                    self.member_initializers()?;
                    continue;
                }
                "{" => {
                    self.skip_balanced()?;
                    return Ok(qualifiers);
                }
                _ => return Err(self.unexpected("; or a body")),
            }
            self.at += 1;
        }
    }

    /// `a(1), b{2}` of a constructor.
    fn member_initializers(&mut self) -> Parsed<()> {
        loop {
            self.qualified_name()?;
            if !self.is("(") && !self.is("{") {
                return Err(self.unexpected("the value of a member"));
            }
            self.skip_balanced()?;
            self.take("...");
            if !self.take(",") {
                return Ok(());
            }
        }
    }
}
