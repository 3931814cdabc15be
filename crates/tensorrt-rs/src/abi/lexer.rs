//! Characters to tokens: comments, literals, line splices.

use std::rc::Rc;

/// Where a token stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Place {
    /// Index into the list of files.
    pub(super) file: usize,
    /// Line, from 1.
    pub(super) line: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Identifier,
    Number,
    /// A string literal, with its quotes.
    Text,
    Character,
    Punctuation,
    /// A literal that its line does not end. Legal where the preprocessor skips it.
    Broken,
}

#[derive(Clone, Debug)]
pub(super) struct Token {
    pub(super) kind: Kind,
    pub(super) text: Rc<str>,
    pub(super) place: Place,
    /// Whether it follows the token before it without white space.
    pub(super) glued: bool,
}

impl Token {
    pub(super) fn is(&self, text: &str) -> bool {
        self.kind != Kind::Text && self.kind != Kind::Character && &*self.text == text
    }

    pub(super) fn is_identifier(&self) -> bool {
        self.kind == Kind::Identifier
    }
}

/// The logical lines of a file: splices joined, comments gone, empty lines left out. An error is the
/// line on which a block comment starts that nothing ends.
pub(super) fn logical_lines(source: &str, file: usize) -> Result<Vec<Vec<Token>>, Place> {
    let mut lexer = Lexer { characters: unspliced(source), at: 0, file };
    let mut lines = Vec::new();
    let mut line = Vec::new();
    loop {
        let before = lexer.at;
        let ended = lexer.skip_blanks()?;
        if ended || lexer.at == lexer.characters.len() {
            if !line.is_empty() {
                lines.push(std::mem::take(&mut line));
            }
            if !ended {
                return Ok(lines);
            }
            continue;
        }
        let glued = before == lexer.at && !line.is_empty();
        line.push(lexer.token(glued));
    }
}

/// Characters with their lines, backslash-newline pairs removed.
fn unspliced(source: &str) -> Vec<(char, u32)> {
    let mut characters = Vec::with_capacity(source.len());
    let mut line = 1;
    let mut rest = source.chars().peekable();
    while let Some(character) = rest.next() {
        match character {
            '\r' if rest.peek() == Some(&'\n') => {}
            '\\' => {
                let mut ahead = rest.clone();
                let next = match ahead.next() {
                    Some('\r') => ahead.next(),
                    other => other,
                };
                if next == Some('\n') {
                    rest = ahead;
                    line += 1;
                } else {
                    characters.push((character, line));
                }
            }
            _ => {
                characters.push((character, line));
                line += u32::from(character == '\n');
            }
        }
    }
    characters
}

struct Lexer {
    characters: Vec<(char, u32)>,
    at: usize,
    file: usize,
}

impl Lexer {
    /// Goes over white space and comments; true if a line ended.
    fn skip_blanks(&mut self) -> Result<bool, Place> {
        while let Some(character) = self.peek(0) {
            match (character, self.peek(1)) {
                ('\n', _) => {
                    self.at += 1;
                    return Ok(true);
                }
                ('/', Some('/')) => {
                    while self.peek(0).is_some_and(|c| c != '\n') {
                        self.at += 1;
                    }
                }
                ('/', Some('*')) => {
                    let start = self.place();
                    self.at += 2;
                    while !(self.peek(0) == Some('*') && self.peek(1) == Some('/')) {
                        if self.peek(0).is_none() {
                            return Err(start);
                        }
                        self.at += 1;
                    }
                    self.at += 2;
                }
                _ if character.is_whitespace() || character == '\u{feff}' => self.at += 1,
                _ => return Ok(false),
            }
        }
        Ok(false)
    }

    /// The token at a character that is neither blank nor the end.
    fn token(&mut self, glued: bool) -> Token {
        let start = self.at;
        let place = self.place();
        let kind = match self.peek(0) {
            Some('"') => self.quoted('"', Kind::Text),
            Some('\'') => self.quoted('\'', Kind::Character),
            Some(c) if starts_identifier(c) => self.identifier_or_prefixed_literal(start),
            Some(c)
                if c.is_ascii_digit()
                    || c == '.' && self.peek(1).is_some_and(|d| d.is_ascii_digit()) =>
            {
                self.number();
                Kind::Number
            }
            _ => {
                self.at += self.punctuation_length();
                Kind::Punctuation
            }
        };
        let text: String = self.characters[start..self.at].iter().map(|&(c, _)| c).collect();
        Token { kind, text: text.into(), place, glued }
    }

    fn identifier_or_prefixed_literal(&mut self, start: usize) -> Kind {
        while self.peek(0).is_some_and(continues_identifier) {
            self.at += 1;
        }
        let prefix: String = self.characters[start..self.at].iter().map(|&(c, _)| c).collect();
        match (prefix.as_str(), self.peek(0)) {
            ("R" | "LR" | "uR" | "UR" | "u8R", Some('"')) => self.raw_text(),
            ("L" | "u" | "U" | "u8", Some('"')) => self.quoted('"', Kind::Text),
            ("L" | "u" | "U" | "u8", Some('\'')) => self.quoted('\'', Kind::Character),
            _ => Kind::Identifier,
        }
    }

    /// `R"mark( ... )mark"`, which may go over lines.
    fn raw_text(&mut self) -> Kind {
        self.at += 1;
        let mut end = vec![')'];
        while let Some(character) = self.peek(0) {
            self.at += 1;
            match character {
                '(' => break,
                '\n' => return Kind::Broken,
                _ => end.push(character),
            }
        }
        end.push('"');
        while self.at < self.characters.len() {
            let rest = &self.characters[self.at..];
            if rest.len() >= end.len() && rest.iter().zip(&end).all(|((a, _), b)| a == b) {
                self.at += end.len();
                return Kind::Text;
            }
            self.at += 1;
        }
        Kind::Broken
    }

    fn quoted(&mut self, quote: char, kind: Kind) -> Kind {
        self.at += 1;
        while let Some(character) = self.peek(0) {
            if character == '\n' {
                return Kind::Broken;
            }
            self.at += 1;
            if character == quote {
                return kind;
            }
            if character == '\\' && self.peek(0).is_some_and(|c| c != '\n') {
                self.at += 1;
            }
        }
        Kind::Broken
    }

    /// A preprocessing number: digits, letters, separators, signs after an exponent.
    fn number(&mut self) {
        let mut before = ' ';
        while let Some(character) = self.peek(0) {
            let goes_on = continues_identifier(character)
                || character == '.'
                || character == '\'' && self.peek(1).is_some_and(continues_identifier)
                || matches!(character, '+' | '-') && matches!(before, 'e' | 'E' | 'p' | 'P');
            if !goes_on {
                return;
            }
            before = character;
            self.at += 1;
        }
    }

    /// `>>` stays two tokens, as it may end two template argument lists.
    fn punctuation_length(&self) -> usize {
        const LONG: [&str; 16] = [
            "...", "<<=", "->*", "::", "&&", "||", "==", "!=", "<=", ">=", "<<", "->", "##", "+=",
            "|=", "&=",
        ];
        LONG.iter()
            .find(|long| long.chars().enumerate().all(|(i, c)| self.peek(i) == Some(c)))
            .map_or(1, |long| long.len())
    }

    fn peek(&self, ahead: usize) -> Option<char> {
        self.characters.get(self.at + ahead).map(|&(character, _)| character)
    }

    fn place(&self) -> Place {
        let line =
            self.characters.get(self.at).or_else(|| self.characters.last()).map_or(1, |&(_, l)| l);
        Place { file: self.file, line }
    }
}

fn starts_identifier(character: char) -> bool {
    character == '_' || character.is_alphabetic()
}

fn continues_identifier(character: char) -> bool {
    character == '_' || character.is_alphanumeric()
}
