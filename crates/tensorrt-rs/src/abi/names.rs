//! Which declaration a name means, from where it is written.

use super::constant;
use super::declaration::{Declarations, Derivation, Type};
use super::lexer::Token;
use std::collections::HashMap;

/// Aliases of aliases, bases of bases, constants of constants: NVIDIA's headers go four deep.
const MAX_DEPTH: usize = 16;

/// The scopes in which an unqualified name of the public face is looked for.
const PUBLIC_SCOPES: [&str; 4] = ["nvinfer1", "nvinfer1::apiv", "nvonnxparser", ""];

/// What a name means.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Meaning {
    /// A class that has a definition: its index.
    Class(usize),
    /// A class that is declared only: its qualified name.
    Declared(String),
    /// An enumeration: its index.
    Enumeration(usize),
    /// Another type: a built-in one, or one that the headers do not declare.
    Other,
}

pub(super) struct Names<'a> {
    declarations: &'a Declarations,
    classes: HashMap<&'a str, usize>,
    enumerations: HashMap<&'a str, usize>,
}

impl<'a> Names<'a> {
    pub(super) fn new(declarations: &'a Declarations) -> Self {
        let classes = declarations.classes.iter().enumerate().map(|(i, c)| (c.name.as_str(), i));
        let enumerations =
            declarations.enumerations.iter().enumerate().map(|(i, e)| (e.name.as_str(), i));
        Self { declarations, classes: classes.collect(), enumerations: enumerations.collect() }
    }

    /// What a name of the public face means: `IRuntime`, `VRuntime`, `nvonnxparser::ErrorCode`.
    pub(super) fn public(&self, name: &str) -> Meaning {
        let kind = Type { name: name.to_owned(), ..Type::default() };
        PUBLIC_SCOPES
            .iter()
            .map(|scope| self.meaning(scope, &kind).0)
            .find(|meaning| *meaning != Meaning::Other)
            .unwrap_or(Meaning::Other)
    }

    /// What a type without `*` and `&` means, and the type itself with aliases replaced.
    pub(super) fn meaning(&self, scope: &str, kind: &Type) -> (Meaning, Type) {
        let kind = self.canonical(scope, kind);
        let name = kind.name.as_str();
        let meaning = if let Some(&class) = self.classes.get(name) {
            Meaning::Class(class)
        } else if let Some(&enumeration) = self.enumerations.get(name) {
            Meaning::Enumeration(enumeration)
        } else if self.declarations.declared.contains(name) {
            Meaning::Declared(name.to_owned())
        } else {
            Meaning::Other
        };
        (meaning, kind)
    }

    /// A type with qualified names and without aliases.
    pub(super) fn canonical(&self, scope: &str, kind: &Type) -> Type {
        self.canonical_within(scope, kind, 0)
    }

    fn canonical_within(&self, scope: &str, kind: &Type, depth: usize) -> Type {
        let mut kind = kind.clone();
        if depth > MAX_DEPTH {
            return kind;
        }
        let Some(name) = self.qualified(scope, &kind.name, 0) else {
            // `std::size_t` is `size_t`; `std::vector<T>` stays what it is.
            if let Some(standard) = kind.name.strip_prefix("std::").filter(|s| s.ends_with("_t")) {
                kind.name = standard.to_owned();
            }
            return kind;
        };
        let Some(alias) = self.declarations.aliases.get(&name) else {
            kind.name = name;
            return kind;
        };
        let mut target = self.canonical_within(&alias.scope, &alias.target, depth + 1);
        if kind.is_const {
            match target.derivations.last_mut() {
                Some(Derivation::Pointer { is_const }) => *is_const = true,
                None => target.is_const = true,
                Some(_) => {}
            }
        }
        target.derivations.extend(kind.derivations);
        target
    }

    /// The value of a constant expression written in `scope`; `local` knows names of its own.
    pub(super) fn evaluate(
        &self,
        scope: &str,
        tokens: &[Token],
        local: &dyn Fn(&str) -> Option<i64>,
    ) -> Option<i64> {
        self.evaluate_within(scope, tokens, local, 0)
    }

    fn evaluate_within(
        &self,
        scope: &str,
        tokens: &[Token],
        local: &dyn Fn(&str) -> Option<i64>,
        depth: usize,
    ) -> Option<i64> {
        if depth > MAX_DEPTH {
            return None;
        }
        constant::evaluate(tokens, &|name| {
            if let Some(value) = local(name) {
                return Some(value);
            }
            let constant = self.constant(scope, name)?;
            self.evaluate_within(&constant.scope, &constant.value, &|_| None, depth + 1)
        })
    }

    /// The constant that a name means; `Dims::MAX_DIMS` through the alias `Dims`.
    fn constant(&self, scope: &str, name: &str) -> Option<&super::declaration::Constant> {
        let (class, last) = match name.rsplit_once("::") {
            Some((class, last)) => {
                let kind = Type { name: class.to_owned(), ..Type::default() };
                (Some(self.canonical(scope, &kind).name), last)
            }
            None => (None, name),
        };
        if let Some(class) = class {
            return self.declarations.constants.get(&format!("{class}::{last}"));
        }
        scopes(scope).find_map(|scope| self.declarations.constants.get(&joined(scope, name)))
    }

    /// The qualified name that a written one means: the innermost scope that has it, bases of
    /// classes included.
    fn qualified(&self, scope: &str, name: &str, depth: usize) -> Option<String> {
        if depth > MAX_DEPTH {
            return None;
        }
        if let Some(name) = name.strip_prefix("::") {
            return self.knows(name).then(|| name.to_owned());
        }
        scopes(scope).find_map(|scope| {
            let candidate = joined(scope, name);
            if self.knows(&candidate) {
                return Some(candidate);
            }
            // `Alias::inner` where the alias is of this scope.
            if let Some((outer, inner)) = name.rsplit_once("::")
                && let Some(alias) = self.declarations.aliases.get(&joined(scope, outer))
            {
                let target = self.canonical_within(&alias.scope, &alias.target, depth + 1);
                let candidate = format!("{}::{inner}", target.name);
                if self.knows(&candidate) {
                    return Some(candidate);
                }
            }
            let class = &self.declarations.classes[*self.classes.get(scope)?];
            class.bases.iter().find_map(|base| {
                let outer = class.name.rsplit_once("::").map_or("", |(outer, _)| outer);
                let base = self.qualified(outer, &base.name, depth + 1)?;
                let candidate = format!("{base}::{name}");
                self.knows(&candidate).then_some(candidate)
            })
        })
    }

    fn knows(&self, name: &str) -> bool {
        self.declarations.aliases.contains_key(name)
            || self.classes.contains_key(name)
            || self.enumerations.contains_key(name)
            || self.declarations.declared.contains(name)
    }
}

/// A scope and those around it: `a::b`, `a`, and the global one.
fn scopes(scope: &str) -> impl Iterator<Item = &str> {
    std::iter::successors(Some(scope), |scope| {
        (!scope.is_empty()).then(|| scope.rsplit_once("::").map_or("", |(outer, _)| outer))
    })
}

fn joined(scope: &str, name: &str) -> String {
    if scope.is_empty() { name.to_owned() } else { format!("{scope}::{name}") }
}
