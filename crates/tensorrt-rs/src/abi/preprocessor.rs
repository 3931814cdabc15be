//! Files to one stream of tokens: includes, conditions, macros.
//!
//! Only what stands in the directory is read: headers of the language and of CUDA are left out, and
//! the types they define stay names. The macros of a compiler that matter to NVIDIA's headers are
//! those of GCC for C++17 on Linux.

use super::constant;
use super::error::HeaderError;
use super::lexer::{self, Kind, Place, Token};
use std::collections::{HashMap, HashSet};
use std::fs::File;
use std::io::{self, Read};
use std::path::{Component, Path, PathBuf};
use std::rc::Rc;

/// NVIDIA's largest header has 0.5 MB.
const MAX_FILE_BYTES: u64 = 8 << 20;
const MAX_INCLUDE_DEPTH: usize = 32;
/// All of NVIDIA's headers together have a fifth of a million tokens.
const MAX_TOKENS: usize = 4_000_000;
const MAX_MACRO_DEPTH: usize = 100;

/// What the preprocessor makes of headers.
pub(super) struct Preprocessor {
    dir: PathBuf,
    /// Every file that was read; a [`Place`] points in here.
    pub(super) files: Vec<PathBuf>,
    /// What is left for the parser.
    pub(super) tokens: Vec<Token>,
    macros: HashMap<Rc<str>, Macro>,
    once: HashSet<PathBuf>,
    /// Whether a `#pragma pack` makes layouts other than the ABI's.
    pub(super) packs: bool,
    conditions: Vec<Condition>,
    /// Lines since the last directive: a macro's arguments may go over lines.
    pending: Vec<Token>,
    budget: usize,
}

#[derive(Clone)]
struct Macro {
    /// `None` for a macro without an argument list.
    parameters: Option<Vec<Rc<str>>>,
    variadic: bool,
    body: Vec<Token>,
}

#[expect(clippy::struct_excessive_bools, reason = "what C++ asks of a branch")]
struct Condition {
    place: Place,
    /// Whether the lines around are used.
    outer: bool,
    active: bool,
    /// Whether a branch was used already.
    taken: bool,
    otherwise: bool,
}

impl Preprocessor {
    pub(super) fn new(dir: &Path) -> Self {
        let mut this = Self {
            dir: dir.to_path_buf(),
            files: vec![PathBuf::from("<predefined>")],
            tokens: Vec::new(),
            macros: HashMap::new(),
            once: HashSet::new(),
            packs: false,
            conditions: Vec::new(),
            pending: Vec::new(),
            budget: MAX_TOKENS,
        };
        let predefined =
            [("__cplusplus", "201703L"), ("__GNUC__", "12"), ("__linux__", "1"), ("__LP64__", "1")];
        for (name, value) in predefined {
            let place = Place { file: 0, line: 1 };
            let body = vec![Token { kind: Kind::Number, text: value.into(), place, glued: false }];
            this.macros.insert(name.into(), Macro { parameters: None, variadic: false, body });
        }
        this
    }

    /// Reads a header of the directory and what it includes.
    pub(super) fn read(&mut self, name: &str) -> Result<(), HeaderError> {
        self.file(&self.dir.join(name), 0)
    }

    /// The value of a macro without arguments, if it is an integer.
    pub(super) fn macro_value(&mut self, name: &str) -> Option<i64> {
        constant::evaluate(&self.macro_body(name)?, &|_| None)
    }

    /// What a macro without arguments expands to.
    pub(super) fn macro_body(&mut self, name: &str) -> Option<Vec<Token>> {
        let body = self.macros.get(name).filter(|m| m.parameters.is_none())?.body.clone();
        self.expand(body).ok()
    }

    pub(super) fn is_defined(&self, name: &str) -> bool {
        self.macros.contains_key(name)
    }

    fn file(&mut self, path: &Path, depth: usize) -> Result<(), HeaderError> {
        let source = read_text(path)?;
        let file = self.files.len();
        self.files.push(path.to_path_buf());
        let lines = lexer::logical_lines(&source, file)
            .map_err(|place| self.syntax(place, "a comment without an end", "*/"))?;
        let conditions = self.conditions.len();
        // Files without tokens that include each other must end as well.
        self.spend(source.len() / 16 + 1, Place { file, line: 1 })?;
        for line in lines {
            if line.first().is_some_and(|t| t.is("#")) {
                self.flush()?;
                self.directive(&line, depth, conditions)?;
            } else if self.active() {
                self.pending.extend(line);
            }
        }
        self.flush()?;
        match self.conditions.get(conditions) {
            Some(open) => Err(self.syntax(open.place, "a condition without an end", "#endif")),
            None => Ok(()),
        }
    }

    /// Expands what has gathered and hands it to the parser.
    fn flush(&mut self) -> Result<(), HeaderError> {
        let pending = std::mem::take(&mut self.pending);
        let expanded = self.expand(pending)?;
        if let Some(broken) = expanded.iter().find(|t| t.kind == Kind::Broken) {
            return Err(self.syntax(broken.place, &broken.text, "an end of the literal"));
        }
        self.tokens.extend(expanded);
        Ok(())
    }

    fn active(&self) -> bool {
        self.conditions.last().is_none_or(|c| c.active)
    }

    /// `line` starts with `#`. Conditions below `own` belong to the files that include this one.
    fn directive(&mut self, line: &[Token], depth: usize, own: usize) -> Result<(), HeaderError> {
        let [hash, name, rest @ ..] = line else { return Ok(()) };
        let place = hash.place;
        match &*name.text {
            "if" | "ifdef" | "ifndef" => {
                let outer = self.active();
                let active = outer && self.condition(&name.text, rest, place)?;
                self.conditions.push(Condition {
                    place,
                    outer,
                    active,
                    taken: active,
                    otherwise: false,
                });
            }
            "elif" => {
                let open = self.open_condition(own, place, "#elif")?;
                let active = open.0 && !open.1 && self.condition("if", rest, place)?;
                if let Some(condition) = self.conditions.last_mut() {
                    condition.active = active;
                    condition.taken |= active;
                }
            }
            "else" => {
                let open = self.open_condition(own, place, "#else")?;
                if let Some(condition) = self.conditions.last_mut() {
                    condition.active = open.0 && !open.1;
                    condition.taken = true;
                    condition.otherwise = true;
                }
            }
            "endif" => {
                if self.conditions.len() <= own {
                    return Err(self.syntax(place, "#endif", "#if before it"));
                }
                self.conditions.pop();
            }
            _ if !self.active() => {}
            "define" => self.define(rest, place)?,
            "undef" => {
                if let Some(name) = rest.first() {
                    self.macros.remove(&name.text);
                }
            }
            "include" => self.include(rest, place, depth)?,
            "pragma" => {
                if rest.first().is_some_and(|t| t.is("once")) {
                    let file = self.files[place.file].clone();
                    self.once.insert(file);
                }
                self.packs |= rest.first().is_some_and(|t| t.is("pack"));
            }
            "error" => {
                return Err(HeaderError::Refused {
                    file: self.files[place.file].clone(),
                    line: place.line,
                    message: spelled(rest),
                });
            }
            "warning" | "line" | "ident" => {}
            other => return Err(self.syntax(place, &format!("#{other}"), "a directive")),
        }
        Ok(())
    }

    /// Whether the lines around the innermost condition are used, and whether one of its branches
    /// was.
    fn open_condition(
        &self,
        own: usize,
        place: Place,
        found: &str,
    ) -> Result<(bool, bool), HeaderError> {
        match self.conditions.last() {
            Some(open) if self.conditions.len() > own && !open.otherwise => {
                Ok((open.outer, open.taken))
            }
            _ => Err(self.syntax(place, found, "#if before it")),
        }
    }

    fn condition(&mut self, kind: &str, rest: &[Token], place: Place) -> Result<bool, HeaderError> {
        if kind != "if" {
            let name = rest.first().filter(|t| t.is_identifier());
            let name =
                name.ok_or_else(|| self.syntax(place, &spelled(rest), "the name of a macro"))?;
            return Ok(self.macros.contains_key(&name.text) == (kind == "ifdef"));
        }
        let expanded = self.expand(self.resolve_defined(rest))?;
        // A name that is no macro counts as 0.
        constant::evaluate(&expanded, &|_| Some(0))
            .map(|value| value != 0)
            .ok_or_else(|| self.syntax(place, &spelled(rest), "a condition of integers"))
    }

    /// `defined X` and `defined(X)` become 0 or 1 before macros are expanded.
    fn resolve_defined(&self, tokens: &[Token]) -> Vec<Token> {
        let mut resolved = Vec::with_capacity(tokens.len());
        let mut rest = tokens;
        while let [first, after @ ..] = rest {
            rest = after;
            let name = match (first.is("defined"), after) {
                (true, [open, name, close, further @ ..])
                    if open.is("(") && name.is_identifier() && close.is(")") =>
                {
                    rest = further;
                    name
                }
                (true, [name, further @ ..]) if name.is_identifier() => {
                    rest = further;
                    name
                }
                _ => {
                    resolved.push(first.clone());
                    continue;
                }
            };
            let value = if self.macros.contains_key(&name.text) { "1" } else { "0" };
            resolved.push(Token { kind: Kind::Number, text: value.into(), ..first.clone() });
        }
        resolved
    }

    fn define(&mut self, rest: &[Token], place: Place) -> Result<(), HeaderError> {
        let Some((name, mut rest)) = rest.split_first().filter(|(name, _)| name.is_identifier())
        else {
            return Err(self.syntax(place, &spelled(rest), "the name of a macro"));
        };
        let mut parameters = None;
        let mut variadic = false;
        if rest.first().is_some_and(|t| t.is("(") && t.glued) {
            let Some(close) = rest.iter().position(|t| t.is(")")) else {
                return Err(self.syntax(
                    place,
                    &spelled(rest),
                    ") after the parameters of the macro",
                ));
            };
            let names = rest[1..close].iter().filter(|t| !t.is(","));
            variadic = rest[1..close].iter().any(|t| t.is("..."));
            parameters =
                Some(names.filter(|t| t.is_identifier()).map(|t| Rc::clone(&t.text)).collect());
            rest = &rest[close + 1..];
        }
        self.macros
            .insert(Rc::clone(&name.text), Macro { parameters, variadic, body: rest.to_vec() });
        Ok(())
    }

    fn include(&mut self, rest: &[Token], place: Place, depth: usize) -> Result<(), HeaderError> {
        // `<...>` names headers of the language and of CUDA.
        let Some(quoted) = rest.first().filter(|t| t.kind == Kind::Text) else { return Ok(()) };
        let name = quoted.text.trim_matches('"');
        let relative = Path::new(name);
        let inside = relative.components().all(|c| matches!(c, Component::Normal(_)));
        let own = relative.file_name().is_some_and(|f| f.to_string_lossy().starts_with("Nv"));
        if !own {
            return Ok(());
        }
        let beside = self.files[place.file].with_file_name(name);
        let found = [beside, self.dir.join(name)].into_iter().find(|path| inside && path.is_file());
        let Some(path) = found else {
            return Err(HeaderError::Include {
                file: self.files[place.file].clone(),
                line: place.line,
                name: name.to_owned(),
            });
        };
        if self.once.contains(&path) {
            return Ok(());
        }
        if depth >= MAX_INCLUDE_DEPTH {
            return Err(self.endless(place, "files that include each other", MAX_INCLUDE_DEPTH));
        }
        self.file(&path, depth + 1)
    }

    /// Replaces macros, each at most once within its own expansion.
    fn expand(&mut self, tokens: Vec<Token>) -> Result<Vec<Token>, HeaderError> {
        let mut expanded = Vec::with_capacity(tokens.len());
        let mut stack: Vec<Painted> =
            tokens.into_iter().rev().map(|token| Painted { token, within: None }).collect();
        while let Some(Painted { token, within }) = stack.pop() {
            self.spend(1, token.place)?;
            let definition = self
                .macros
                .get(&token.text)
                .filter(|_| token.is_identifier() && !Within::has(within.as_ref(), &token.text));
            let Some(definition) = definition.cloned() else {
                expanded.push(token);
                continue;
            };
            let body = match &definition.parameters {
                None => definition.body.iter().map(|t| (t.clone(), None)).collect(),
                Some(_) if !stack.last().is_some_and(|next| next.token.is("(")) => {
                    expanded.push(token);
                    continue;
                }
                Some(parameters) => {
                    let last = definition.variadic.then_some(parameters.len());
                    let arguments = take_arguments(&mut stack, last).ok_or_else(|| {
                        self.syntax(token.place, &token.text, ") after the arguments of the macro")
                    })?;
                    definition.substitute(parameters, &arguments)
                }
            };
            self.spend(body.len(), token.place)?;
            let depth = within.as_ref().map_or(0, |w| w.depth) + 1;
            if depth > MAX_MACRO_DEPTH {
                return Err(self.endless(token.place, "macros within each other", MAX_MACRO_DEPTH));
            }
            let inside =
                Some(Rc::new(Within { name: Rc::clone(&token.text), outer: within, depth }));
            for (replacement, argument) in body.into_iter().rev() {
                let within = argument.unwrap_or_else(|| inside.clone());
                let token = Token { place: token.place, ..replacement };
                stack.push(Painted { token, within });
            }
        }
        Ok(expanded)
    }

    fn spend(&mut self, tokens: usize, place: Place) -> Result<(), HeaderError> {
        match self.budget.checked_sub(tokens) {
            Some(left) => {
                self.budget = left;
                Ok(())
            }
            None => Err(self.endless(place, "tokens", MAX_TOKENS)),
        }
    }

    fn syntax(&self, place: Place, found: &str, expected: &str) -> HeaderError {
        HeaderError::Syntax {
            file: self.files[place.file].clone(),
            line: place.line,
            found: found.to_owned(),
            expected: expected.to_owned(),
        }
    }

    fn endless(&self, place: Place, what: &'static str, limit: usize) -> HeaderError {
        HeaderError::Endless { file: self.files[place.file].clone(), line: place.line, what, limit }
    }
}

/// A token and the macros whose expansion it comes from.
struct Painted {
    token: Token,
    within: Option<Rc<Within>>,
}

struct Within {
    name: Rc<str>,
    outer: Option<Rc<Within>>,
    depth: usize,
}

impl Within {
    fn has(this: Option<&Rc<Self>>, name: &str) -> bool {
        let mut level = this;
        while let Some(within) = level {
            if &*within.name == name {
                return true;
            }
            level = within.outer.as_ref();
        }
        false
    }
}

/// A token of an expansion; if it comes from an argument, with what that was within already.
type Replacement = (Token, Option<Option<Rc<Within>>>);

/// The arguments after a macro's name, the next of the stack being `(`; commas separate those before
/// `last`, of a variadic macro. `None` without a `)`.
fn take_arguments(stack: &mut Vec<Painted>, last: Option<usize>) -> Option<Vec<Vec<Painted>>> {
    stack.pop();
    let mut arguments = vec![Vec::new()];
    let mut depth = 0_usize;
    loop {
        let next = stack.pop()?;
        if next.token.is(")") && depth == 0 {
            return Some(arguments);
        }
        if next.token.is(",") && depth == 0 && last.is_none_or(|last| arguments.len() <= last) {
            arguments.push(Vec::new());
            continue;
        }
        if next.token.is("(") {
            depth += 1;
        } else if next.token.is(")") {
            depth -= 1;
        }
        if let Some(argument) = arguments.last_mut() {
            argument.push(next);
        }
    }
}

impl Macro {
    /// The body with arguments in the places of parameters, `#` and `##` done.
    fn substitute(&self, parameters: &[Rc<str>], arguments: &[Vec<Painted>]) -> Vec<Replacement> {
        let mut replaced: Vec<Replacement> = Vec::new();
        let mut paste = false;
        let mut body = self.body.iter().peekable();
        while let Some(token) = body.next() {
            if token.is("##") {
                paste = true;
                continue;
            }
            let mut parts: Vec<Replacement> = Vec::new();
            let stringized = body
                .peek()
                .filter(|_| token.is("#"))
                .and_then(|t| self.argument(t, parameters, arguments));
            if let Some(argument) = stringized {
                body.next();
                let text: Vec<Token> = argument.iter().map(|p| p.token.clone()).collect();
                let text = format!("{:?}", spelled(&text));
                parts.push((Token { kind: Kind::Text, text: text.into(), ..token.clone() }, None));
            } else if let Some(argument) = self.argument(token, parameters, arguments) {
                parts.extend(argument.iter().map(|p| (p.token.clone(), Some(p.within.clone()))));
            } else {
                parts.push((token.clone(), None));
            }
            let mut parts = parts.into_iter();
            if std::mem::take(&mut paste)
                && let Some((left, _)) = replaced.last_mut()
                && let Some((right, _)) = parts.next()
            {
                left.text = format!("{}{}", left.text, right.text).into();
            }
            replaced.extend(parts);
        }
        replaced
    }

    fn argument<'a>(
        &self,
        token: &Token,
        parameters: &[Rc<str>],
        arguments: &'a [Vec<Painted>],
    ) -> Option<&'a [Painted]> {
        let index = match parameters.iter().position(|p| token.is(p)) {
            Some(index) => index,
            None if self.variadic && token.is("__VA_ARGS__") => parameters.len(),
            None => return None,
        };
        Some(arguments.get(index).map_or(&[], Vec::as_slice))
    }
}

/// Tokens as text for people.
pub(super) fn spelled(tokens: &[Token]) -> String {
    let mut text = String::new();
    for token in tokens {
        if !text.is_empty() && !token.glued {
            text.push(' ');
        }
        text.push_str(&token.text);
    }
    text
}

fn read_text(path: &Path) -> Result<String, HeaderError> {
    let failed = |source: io::Error| HeaderError::Read { path: path.to_path_buf(), source };
    let file = File::open(path).map_err(failed)?;
    let mut bytes = Vec::new();
    file.take(MAX_FILE_BYTES + 1).read_to_end(&mut bytes).map_err(failed)?;
    if bytes.len() as u64 > MAX_FILE_BYTES {
        let found = std::fs::metadata(path).map_or(bytes.len() as u64, |m| m.len());
        return Err(HeaderError::TooLarge {
            path: path.to_path_buf(),
            bytes: found,
            limit: MAX_FILE_BYTES,
        });
    }
    // Comments may hold anything; whatever matters is ASCII.
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}
