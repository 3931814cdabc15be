//! A parsed file as a tree that knows where each value stands, so that every message names file and field.

use super::FormatError;
use nalgebra::SMatrix;
use serde_json::Value;

/// A value and the way to it.
#[derive(Clone, Debug)]
pub(super) struct Node<'a> {
    origin: &'a str,
    /// Dotted path; empty for the document itself.
    path: String,
    value: &'a Value,
}

impl<'a> Node<'a> {
    pub(super) fn new(origin: &'a str, value: &'a Value) -> Self {
        Self { origin, path: String::new(), value }
    }

    pub(super) fn origin(&self) -> &'a str {
        self.origin
    }

    /// The value under `key`, if there is one.
    pub(super) fn optional(&self, key: &str) -> Option<Node<'a>> {
        let value = self.value.get(key).filter(|value| !value.is_null())?;
        Some(Node { origin: self.origin, path: self.below(key), value })
    }

    pub(super) fn get(&self, key: &str, expected: &str) -> Result<Node<'a>, FormatError> {
        self.optional(key).ok_or_else(|| FormatError::Missing {
            origin: self.origin.to_owned(),
            field: self.below(key),
            expected: expected.to_owned(),
        })
    }

    /// The first of `keys` that is there.
    pub(super) fn any(&self, keys: &[&str], expected: &str) -> Result<Node<'a>, FormatError> {
        keys.iter().find_map(|key| self.optional(key)).ok_or_else(|| FormatError::Missing {
            origin: self.origin.to_owned(),
            field: keys.iter().map(|key| self.below(key)).collect::<Vec<_>>().join(" or "),
            expected: expected.to_owned(),
        })
    }

    pub(super) fn text(&self) -> Result<&'a str, FormatError> {
        self.value.as_str().ok_or_else(|| self.wrong("a text"))
    }

    pub(super) fn number(&self) -> Result<f64, FormatError> {
        number(self.value).ok_or_else(|| self.wrong("a finite number"))
    }

    pub(super) fn pixels(&self) -> Result<u32, FormatError> {
        let pixels = self.number()?;
        let whole = pixels.fract() == 0.0 && (1.0..=f64::from(u16::MAX)).contains(&pixels);
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "tested")]
        whole.then_some(pixels as u32).ok_or_else(|| self.wrong("a whole number of pixels"))
    }

    /// The elements of a list.
    pub(super) fn list(&self) -> Result<Vec<Node<'a>>, FormatError> {
        let list = self.value.as_array().ok_or_else(|| self.wrong("a list"))?;
        let element = |(index, value)| Node {
            origin: self.origin,
            path: format!("{}[{index}]", self.path),
            value,
        };
        Ok(list.iter().enumerate().map(element).collect())
    }

    /// A list of numbers, or a list of lists of them.
    pub(super) fn numbers(&self) -> Result<Vec<f64>, FormatError> {
        let mut numbers = Vec::new();
        for element in self.list()? {
            if element.value.is_array() {
                numbers.extend(element.numbers()?);
            } else {
                numbers.push(element.number()?);
            }
        }
        Ok(numbers)
    }

    /// A matrix by rows: a list, a list of rows, or a table with `data` (and `rows` and `cols`, which must agree).
    pub(super) fn matrix<const R: usize, const C: usize>(
        &self,
    ) -> Result<SMatrix<f64, R, C>, FormatError> {
        if let Some(data) = self.optional("data") {
            // A vector may be written either way.
            if R > 1 && C > 1 {
                for (keys, size) in [(ROWS, R), (COLUMNS, C)] {
                    let Some(said) = keys.iter().find_map(|key| self.optional(key)) else {
                        continue;
                    };
                    #[expect(clippy::float_cmp, reason = "whole numbers")]
                    if said.number()? != size as f64 {
                        return Err(said.wrong(&format!("{size}, of a {R}x{C} matrix")));
                    }
                }
            }
            let matrix = data.matrix()?;
            self.declared(R * C)?;
            return Ok(matrix);
        }
        let numbers = self.numbers()?;
        if numbers.len() != R * C {
            let found = format!("{} numbers", numbers.len());
            return Err(
                self.wrong_as(&found, &format!("{} numbers, a {R}x{C} matrix by rows", R * C))
            );
        }
        Ok(SMatrix::from_row_slice(&numbers))
    }

    /// A list of numbers, also as a table with `data` (and `rows` and `cols`, of which one is 1).
    pub(super) fn vector(&self) -> Result<Vec<f64>, FormatError> {
        let Some(data) = self.optional("data") else { return self.numbers() };
        let numbers = data.numbers()?;
        self.declared(numbers.len())?;
        Ok(numbers)
    }

    /// Checks that a table says `rows` and `cols` of as many numbers as it holds: else somebody cut or joined lists.
    fn declared(&self, length: usize) -> Result<(), FormatError> {
        let said = |keys: &[&str]| keys.iter().find_map(|key| self.optional(key));
        let (Some(rows), Some(columns)) = (said(ROWS), said(COLUMNS)) else { return Ok(()) };
        let (rows, columns) = (rows.number()?, columns.number()?);
        #[expect(clippy::float_cmp, reason = "whole numbers")]
        if rows * columns != length as f64 {
            let found = format!("{rows} rows and {columns} columns of {length} numbers");
            return Err(self.wrong_as(&found, "as many numbers as rows times columns"));
        }
        Ok(())
    }

    pub(super) fn wrong(&self, expected: &str) -> FormatError {
        self.wrong_as(&self.value.to_string(), expected)
    }

    pub(super) fn wrong_as(&self, found: &str, expected: &str) -> FormatError {
        FormatError::Value {
            origin: self.origin.to_owned(),
            field: self.path.clone(),
            found: short(found),
            expected: expected.to_owned(),
        }
    }

    fn below(&self, key: &str) -> String {
        if self.path.is_empty() { key.to_owned() } else { format!("{}.{key}", self.path) }
    }
}

/// A number, also one that a YAML reader left as text (`1.`, `+3`).
fn number(value: &Value) -> Option<f64> {
    let number = match value {
        Value::Number(number) => number.as_f64()?,
        Value::String(text) => text.parse().ok()?,
        _ => return None,
    };
    number.is_finite().then_some(number)
}

/// On one line of bearable length: files come from anywhere, and messages end up in logs.
pub(super) fn short(text: &str) -> String {
    let mut line: String =
        text.chars().take(FOUND_MAX_CHARS).map(|c| if c.is_control() { ' ' } else { c }).collect();
    if text.chars().nth(FOUND_MAX_CHARS).is_some() {
        line.push_str("...");
    }
    line
}

const FOUND_MAX_CHARS: usize = 120;
/// What `rows` and `cols` are called.
const ROWS: &[&str] = &["rows"];
const COLUMNS: &[&str] = &["cols", "columns"];
