//! Enumerations.

use super::{Parsed, Parser, qualified};
use crate::abi::declaration::EnumDeclaration;
use crate::abi::lexer::Token;

impl Parser<'_> {
    /// A definition, or a declaration that is gone over. Ends behind the `;` or, for an enumeration
    /// that a declarator follows, behind that.
    pub(super) fn enumeration(&mut self, scope: &str) -> Parsed<()> {
        let start = self.at;
        let place = self.place();
        self.expect("enum")?;
        let is_scoped = self.take("class") || self.take("struct");
        self.skip_attributes()?;
        let name = self.identifier();
        let mut underlying = None;
        if self.take(":") {
            underlying = Some(self.kind()?);
        }
        let Some(name) = name.filter(|_| self.is("{")) else {
            self.at = start;
            return self.skip_declaration();
        };
        let enumerators = self.enumerators()?;
        let name = qualified(scope, name);
        if self.defined.insert(name.clone()) {
            let found = EnumDeclaration { name, is_scoped, underlying, enumerators, place };
            self.found.enumerations.push(found);
        }
        self.skip_declaration()
    }

    fn enumerators(&mut self) -> Parsed<Vec<(String, Option<Vec<Token>>)>> {
        self.expect("{")?;
        let mut enumerators = Vec::new();
        while !self.take("}") {
            let Some(name) = self.identifier() else {
                return Err(self.unexpected("the name of an enumerator"));
            };
            self.skip_attributes()?;
            let mut value = None;
            if self.take("=") {
                let start = self.at;
                while self.peek(0).is_some_and(|t| !t.is(",") && !t.is("}")) {
                    self.step()?;
                }
                value = Some(self.tokens[start..self.at].to_vec());
            }
            enumerators.push((name.to_owned(), value));
            if !self.take(",") && !self.is("}") {
                return Err(self.unexpected(", or } after an enumerator"));
            }
        }
        Ok(enumerators)
    }
}
