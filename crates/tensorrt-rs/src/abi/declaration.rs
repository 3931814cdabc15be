//! What the parser finds, as it is written: names are not resolved yet.

use super::lexer::{Place, Token};
use std::collections::{HashMap, HashSet};

/// Everything that the headers declare and the reader knows.
#[derive(Debug, Default)]
pub(super) struct Declarations {
    /// In the order of their definitions: bases come first.
    pub(super) classes: Vec<ClassDeclaration>,
    pub(super) enumerations: Vec<EnumDeclaration>,
    /// Qualified names of classes that are declared, defined or not.
    pub(super) declared: HashSet<String>,
    /// Qualified names of aliases.
    pub(super) aliases: HashMap<String, Alias>,
    /// Qualified names of constants of namespaces and classes.
    pub(super) constants: HashMap<String, Constant>,
    /// Functions with C linkage.
    pub(super) functions: Vec<FunctionDeclaration>,
}

#[derive(Debug)]
pub(super) struct ClassDeclaration {
    /// Qualified.
    pub(super) name: String,
    pub(super) bases: Vec<Base>,
    pub(super) methods: Vec<Method>,
    pub(super) fields: Vec<FieldDeclaration>,
    pub(super) is_union: bool,
    pub(super) place: Place,
    /// What in the body the reader does not understand.
    pub(super) unreadable: Option<Unreadable>,
}

#[derive(Clone, Debug)]
pub(super) struct Unreadable {
    pub(super) place: Place,
    pub(super) found: String,
    pub(super) expected: &'static str,
}

#[derive(Debug)]
pub(super) struct Base {
    pub(super) name: String,
    pub(super) is_virtual: bool,
}

#[derive(Clone, Debug)]
#[expect(clippy::struct_excessive_bools, reason = "each is a word that is there or not")]
pub(super) struct Method {
    pub(super) is_destructor: bool,
    pub(super) name: String,
    pub(super) returns: Type,
    pub(super) parameters: Vec<Type>,
    pub(super) is_const: bool,
    /// `""`, `"&"` or `"&&"`.
    pub(super) reference: &'static str,
    pub(super) is_virtual: bool,
    /// Says `override` or `final`.
    pub(super) overrides: bool,
    pub(super) place: Place,
}

#[derive(Debug)]
pub(super) struct FieldDeclaration {
    pub(super) name: String,
    /// `None` for what the reader cannot measure: bit fields, pointers to functions.
    pub(super) kind: Option<Type>,
}

#[derive(Debug)]
pub(super) struct EnumDeclaration {
    /// Qualified.
    pub(super) name: String,
    pub(super) is_scoped: bool,
    pub(super) underlying: Option<Type>,
    pub(super) enumerators: Vec<(String, Option<Vec<Token>>)>,
    pub(super) place: Place,
}

#[derive(Debug)]
pub(super) struct Alias {
    /// Where the alias is declared and its type is looked up from.
    pub(super) scope: String,
    pub(super) target: Type,
}

#[derive(Debug)]
pub(super) struct Constant {
    pub(super) scope: String,
    pub(super) value: Vec<Token>,
}

#[derive(Debug)]
pub(super) struct FunctionDeclaration {
    pub(super) name: String,
    pub(super) returns: Type,
    pub(super) parameters: Vec<Type>,
    pub(super) scope: String,
    pub(super) place: Place,
}

/// A type: a name and what is derived from it, inner first.
#[derive(Clone, Debug, Default)]
pub(super) struct Type {
    pub(super) name: String,
    pub(super) is_const: bool,
    pub(super) derivations: Vec<Derivation>,
}

#[derive(Clone, Debug)]
pub(super) enum Derivation {
    Pointer { is_const: bool },
    Reference,
    RvalueReference,
    Array { length: Vec<Token> },
}

impl Type {
    /// In C++, `const` after what it belongs to.
    pub(super) fn spelled(&self) -> String {
        let mut text = self.name.clone();
        if self.is_const {
            text.push_str(" const");
        }
        for derivation in &self.derivations {
            match derivation {
                Derivation::Pointer { is_const: false } => text.push('*'),
                Derivation::Pointer { is_const: true } => text.push_str("* const"),
                Derivation::Reference => text.push('&'),
                Derivation::RvalueReference => text.push_str("&&"),
                Derivation::Array { .. } => text.push_str("[]"),
            }
        }
        text
    }

    /// As a parameter: arrays are pointers, and a `const` of the parameter itself says nothing.
    pub(super) fn into_parameter(mut self) -> Self {
        if let Some(outer @ Derivation::Array { .. }) = self.derivations.last_mut() {
            *outer = Derivation::Pointer { is_const: false };
        }
        match self.derivations.last_mut() {
            Some(Derivation::Pointer { is_const }) => *is_const = false,
            None => self.is_const = false,
            Some(_) => {}
        }
        self
    }
}
