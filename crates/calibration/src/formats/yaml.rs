//! YAML into the tree that JSON has.
//!
//! Built from the parser's events rather than by its loader: files come from anywhere, so depth and size are bounded, and
//! aliases, with which a small file can stand for a huge one, are refused. No calibration format uses them.

use super::FormatError;
use super::document::short;
use saphyr_parser::{Event, Parser, ScalarStyle, Span};
use serde_json::{Map, Value};

/// Parses one document. OpenCV's first line, `%YAML:1.0`, is not YAML and is skipped.
pub(super) fn parse(origin: &str, text: &str) -> Result<Value, FormatError> {
    let (skipped, text) = match text.strip_prefix("%YAML:") {
        Some(rest) => (1, rest.split_once('\n').map_or("", |(_, rest)| rest)),
        None => (0, text),
    };
    let syntax = |line: usize, message: String| FormatError::Syntax {
        origin: origin.to_owned(),
        line: line + skipped,
        message: short(&message),
    };
    let mut builder = Builder { open: Vec::new(), done: None };
    for event in Parser::new_from_str(text) {
        let (event, span) =
            event.map_err(|error| syntax(error.marker().line(), error.info().to_owned()))?;
        builder.take(event, span).map_err(|message| syntax(span.start.line(), message))?;
    }
    builder.done.ok_or_else(|| syntax(1, "the document is empty".to_owned()))
}

struct Builder {
    open: Vec<Open>,
    done: Option<Value>,
}

enum Open {
    List(Vec<Value>),
    /// With the key whose value comes next.
    Table(Map<String, Value>, Option<String>),
}

impl Builder {
    fn take(&mut self, event: Event<'_>, _: Span) -> Result<(), String> {
        match event {
            Event::Scalar(text, style, _, _) => self.put(scalar(&text, style)),
            Event::SequenceStart(..) => self.open(Open::List(Vec::new())),
            Event::MappingStart(..) => self.open(Open::Table(Map::new(), None)),
            Event::SequenceEnd | Event::MappingEnd => match self.open.pop() {
                Some(Open::List(list)) => self.put(Value::Array(list)),
                Some(Open::Table(table, _)) => self.put(Value::Object(table)),
                None => Err("an end without a beginning".to_owned()),
            },
            Event::Alias(_) => {
                Err("found an alias, which calibration files do not have".to_owned())
            }
            Event::DocumentStart(_) if self.done.is_some() => {
                Err("found a second document, expected one".to_owned())
            }
            _ => Ok(()),
        }
    }

    fn open(&mut self, open: Open) -> Result<(), String> {
        if self.open.len() == DEPTH_MAX {
            return Err(format!("found more than {DEPTH_MAX} levels"));
        }
        self.open.push(open);
        Ok(())
    }

    fn put(&mut self, value: Value) -> Result<(), String> {
        match self.open.last_mut() {
            None => self.done = Some(value),
            Some(Open::List(list)) => list.push(value),
            Some(Open::Table(table, key)) => match key.take() {
                Some(key) => {
                    if table.insert(key.clone(), value).is_some() {
                        return Err(format!("found the key {:?} again", short(&key)));
                    }
                }
                None => {
                    *key = Some(match value {
                        Value::String(key) => key,
                        Value::Number(key) => key.to_string(),
                        other => {
                            let found = short(&other.to_string());
                            return Err(format!("found the key {found}, expected a text"));
                        }
                    });
                }
            },
        }
        Ok(())
    }
}

/// Plain scalars are numbers, truths and nulls where they look like it. NaN and infinity, which the tree cannot hold,
/// stay text and are refused where a number is expected.
fn scalar(text: &str, style: ScalarStyle) -> Value {
    if style != ScalarStyle::Plain {
        return Value::String(text.to_owned());
    }
    match text {
        "" | "~" | "null" => return Value::Null,
        "true" | "True" => return Value::Bool(true),
        "false" | "False" => return Value::Bool(false),
        _ => {}
    }
    let number =
        text.parse::<f64>().ok().filter(|_| text.starts_with(|c: char| !c.is_alphabetic()));
    match number.and_then(serde_json::Number::from_f64) {
        Some(number) => Value::Number(number),
        None => Value::String(text.to_owned()),
    }
}

/// The deepest format needs five.
const DEPTH_MAX: usize = 32;
