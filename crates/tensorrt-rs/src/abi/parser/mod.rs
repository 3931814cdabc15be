//! Tokens to declarations: the part of C++ that NVIDIA's headers use.
//!
//! Namespaces, classes, enumerations, aliases, constants and functions with C linkage are
//! understood; templates, operators outside classes and bodies of functions are gone over. What is
//! not understood inside a class makes that class unreadable and no other.

mod class;
mod enumeration;
mod function;
mod kind;

use super::declaration::{Alias, Constant, Declarations, FunctionDeclaration, Unreadable};
use super::lexer::{Kind, Place, Token};
use std::collections::HashSet;

/// Reads all declarations. An error means that braces do not close or nest too deeply.
pub(super) fn parse(tokens: &[Token]) -> Result<Declarations, Unreadable> {
    let mut parser =
        Parser { tokens, at: 0, depth: 0, found: Declarations::default(), defined: HashSet::new() };
    parser.declarations("", Linkage::Cpp)?;
    match parser.peek(0) {
        Some(_) => Err(parser.unexpected("a declaration")),
        None => Ok(parser.found),
    }
}

/// NVIDIA's headers nest five deep.
const MAX_DEPTH: usize = 32;

#[derive(Clone, Copy, PartialEq, Eq)]
enum Linkage {
    C,
    Cpp,
}

struct Parser<'a> {
    tokens: &'a [Token],
    at: usize,
    depth: usize,
    found: Declarations,
    /// Classes and enumerations that have a definition: the first one counts.
    defined: HashSet<String>,
}

type Parsed<T> = Result<T, Unreadable>;

impl<'a> Parser<'a> {
    /// Declarations of a namespace, up to the `}` that ends it.
    fn declarations(&mut self, scope: &str, linkage: Linkage) -> Parsed<()> {
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            return Err(self.unexpected("declarations nested less deeply"));
        }
        while self.peek(0).is_some_and(|t| !t.is("}")) {
            self.declaration(scope, linkage)?;
        }
        self.depth -= 1;
        Ok(())
    }

    fn declaration(&mut self, scope: &str, linkage: Linkage) -> Parsed<()> {
        self.skip_attributes()?;
        let Some(first) = self.peek(0) else { return Ok(()) };
        match &*first.text {
            ";" => {
                self.at += 1;
                Ok(())
            }
            "namespace" => self.namespace(scope, linkage),
            "inline" if self.peek(1).is_some_and(|t| t.is("namespace")) => {
                self.at += 1;
                self.namespace(scope, linkage)
            }
            "extern" if self.peek(1).is_some_and(|t| t.kind == Kind::Text) => {
                self.at += 2;
                if self.take("{") {
                    self.declarations(scope, Linkage::C)?;
                    self.expect("}")
                } else {
                    self.declaration(scope, Linkage::C)
                }
            }
            "using" => self.using(scope),
            "typedef" => self.typedef(scope),
            "template" => self.template(),
            "enum" => self.enumeration(scope),
            "class" | "struct" | "union" => self.class(scope),
            _ => self.function_or_constant(scope, linkage),
        }
    }

    fn namespace(&mut self, scope: &str, linkage: Linkage) -> Parsed<()> {
        self.expect("namespace")?;
        self.skip_attributes()?;
        let mut inner = scope.to_owned();
        while let Some(name) = self.identifier() {
            inner = qualified(&inner, name);
            if !self.take("::") {
                break;
            }
            self.take("inline");
        }
        self.skip_attributes()?;
        if !self.take("{") {
            // `namespace short = long;`
            return self.skip_declaration();
        }
        self.declarations(&inner, linkage)?;
        self.expect("}")
    }

    /// `using A = type;`; other forms are gone over.
    fn using(&mut self, scope: &str) -> Parsed<()> {
        let start = self.at;
        self.expect("using")?;
        if let Some(name) = self.identifier() {
            self.skip_attributes()?;
            if self.take("=") {
                if let Ok(target) = self.kind()
                    && self.take(";")
                {
                    let alias = Alias { scope: scope.to_owned(), target };
                    self.found.aliases.insert(qualified(scope, name), alias);
                    return Ok(());
                }
            } else if self.is(";") || self.is("::") {
                self.using_declaration(scope, start + 1);
            }
        }
        self.at = start;
        self.skip_declaration()
    }

    /// `using other::A;` makes `A` known here too.
    fn using_declaration(&mut self, scope: &str, start: usize) {
        self.at = start;
        let Ok(target) = self.kind() else { return };
        if let Some((_, name)) = target.name.rsplit_once("::") {
            let name = qualified(scope, name);
            self.found.aliases.insert(name, Alias { scope: scope.to_owned(), target });
        }
    }

    fn typedef(&mut self, scope: &str) -> Parsed<()> {
        let start = self.at;
        self.expect("typedef")?;
        if let Ok(target) = self.kind()
            && let Some(name) = self.identifier()
            && self.take(";")
        {
            let alias = Alias { scope: scope.to_owned(), target };
            self.found.aliases.insert(qualified(scope, name), alias);
            return Ok(());
        }
        self.at = start;
        self.skip_declaration()
    }

    fn template(&mut self) -> Parsed<()> {
        self.expect("template")?;
        if self.is("<") {
            self.skip_angles()?;
        }
        self.skip_declaration()
    }

    fn function_or_constant(&mut self, scope: &str, linkage: Linkage) -> Parsed<()> {
        let start = self.at;
        let place = self.place();
        if let Ok(specifiers) = self.specifiers()
            && let Ok(kind) = self.kind()
            && let Some(name) = self.identifier()
        {
            if self.is("(") {
                if linkage == Linkage::C
                    && let Ok(parameters) = self.parameters()
                {
                    let name = name.to_owned();
                    let scope = scope.to_owned();
                    let function =
                        FunctionDeclaration { name, returns: kind, parameters, scope, place };
                    self.found.functions.push(function);
                }
            } else if (specifiers.is_constexpr || kind.is_const)
                && let Ok(Some(value)) = self.initializer()
            {
                let constant = Constant { scope: scope.to_owned(), value };
                self.found.constants.insert(qualified(scope, name), constant);
            }
        }
        self.at = start;
        self.skip_declaration()
    }

    /// `= value` or `{value}`, if that is what comes.
    fn initializer(&mut self) -> Parsed<Option<Vec<Token>>> {
        if self.take("=") {
            let start = self.at;
            while self.peek(0).is_some_and(|t| !t.is(";") && !t.is(",")) {
                self.step()?;
            }
            return Ok(Some(self.tokens[start..self.at].to_vec()));
        }
        if self.is("{") {
            let start = self.at + 1;
            self.skip_balanced()?;
            return Ok(Some(self.tokens[start..self.at - 1].to_vec()));
        }
        Ok(None)
    }

    /// Goes over a declaration: up to `;`, or to the end of its body.
    fn skip_declaration(&mut self) -> Parsed<()> {
        loop {
            let Some(token) = self.peek(0) else { return Err(self.unexpected(";")) };
            if token.is(";") {
                self.at += 1;
                return Ok(());
            }
            if token.is("}") {
                return Err(self.unexpected(";"));
            }
            let body = token.is("{");
            self.step()?;
            // The braces of an initializer are followed by more of the declaration.
            if body && !["=", ",", "{", ";"].iter().any(|t| self.is(t)) {
                return Ok(());
            }
        }
    }

    /// One token, or everything between it and the bracket that closes it.
    fn step(&mut self) -> Parsed<()> {
        if ["(", "[", "{"].iter().any(|open| self.is(open)) {
            return self.skip_balanced();
        }
        self.at += 1;
        Ok(())
    }

    /// From an opening bracket to behind the one that closes it.
    fn skip_balanced(&mut self) -> Parsed<()> {
        let mut open = Vec::new();
        loop {
            let Some(token) = self.peek(0) else {
                return Err(self.unexpected("a closing bracket"));
            };
            match (&*token.text, token.kind) {
                ("(", Kind::Punctuation) => open.push(")"),
                ("[", Kind::Punctuation) => open.push("]"),
                ("{", Kind::Punctuation) => open.push("}"),
                (close @ (")" | "]" | "}"), Kind::Punctuation) if open.pop() != Some(close) => {
                    return Err(self.unexpected("brackets in pairs"));
                }
                _ => {}
            }
            self.at += 1;
            if open.is_empty() {
                return Ok(());
            }
        }
    }

    /// From `<` to behind the `>` that closes it.
    fn skip_angles(&mut self) -> Parsed<()> {
        let mut depth = 0_usize;
        loop {
            let Some(token) = self.peek(0) else { return Err(self.unexpected(">")) };
            if token.is(";") || token.is("{") {
                return Err(self.unexpected(">"));
            }
            if token.is("<") {
                depth += 1;
            } else if token.is(">") {
                depth -= 1;
            }
            self.step()?;
            if depth == 0 {
                return Ok(());
            }
        }
    }

    /// `[[...]]`, `__attribute__((...))`, `__declspec(...)`, `alignas(...)`.
    fn skip_attributes(&mut self) -> Parsed<()> {
        loop {
            let standard = self.is("[") && self.peek(1).is_some_and(|t| t.is("[") && t.glued);
            let other = ["__attribute__", "__declspec", "alignas"].iter().any(|t| self.is(t));
            if standard {
                self.skip_balanced()?;
            } else if other && self.peek(1).is_some_and(|t| t.is("(")) {
                self.at += 1;
                self.skip_balanced()?;
            } else {
                return Ok(());
            }
        }
    }

    fn identifier(&mut self) -> Option<&'a str> {
        let token = self.tokens.get(self.at).filter(|t| t.is_identifier())?;
        self.at += 1;
        Some(&token.text)
    }

    fn expect(&mut self, text: &'static str) -> Parsed<()> {
        if self.take(text) { Ok(()) } else { Err(self.unexpected(text)) }
    }

    fn take(&mut self, text: &str) -> bool {
        let here = self.is(text);
        self.at += usize::from(here);
        here
    }

    fn is(&self, text: &str) -> bool {
        self.peek(0).is_some_and(|t| t.is(text))
    }

    fn peek(&self, ahead: usize) -> Option<&'a Token> {
        self.tokens.get(self.at + ahead)
    }

    fn place(&self) -> Place {
        let token = self.tokens.get(self.at).or_else(|| self.tokens.last());
        token.map_or(Place { file: 0, line: 0 }, |t| t.place)
    }

    fn unexpected(&self, expected: &'static str) -> Unreadable {
        let found = self.peek(0).map_or_else(|| "the end".to_owned(), |t| format!("`{}`", t.text));
        Unreadable { place: self.place(), found, expected }
    }
}

fn qualified(scope: &str, name: &str) -> String {
    if scope.is_empty() { name.to_owned() } else { format!("{scope}::{name}") }
}
