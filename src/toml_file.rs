//! TOML files that people write: configurations and recipes. Every refusal names the file and the key.

use serde::de::DeserializeOwned;
use std::path::{Path, PathBuf};

/// Why a file was refused.
#[derive(Debug, thiserror::Error)]
pub enum TomlFileError {
    /// The file cannot be read.
    #[error("cannot read {}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// Not TOML, a key that is unknown or missing, or a value of the wrong type.
    #[error("{}: {message}", path.display())]
    Parse {
        /// The file.
        path: PathBuf,
        /// Line, key, found and expected, in the parser's words.
        message: String,
    },
    /// A value that cannot be meant.
    #[error("{}: `{field}` is {found}, expected {expected}", path.display())]
    Value {
        /// The file.
        path: PathBuf,
        /// The key, with its table.
        field: &'static str,
        /// What the file says.
        found: String,
        /// What would be accepted.
        expected: &'static str,
    },
}

/// The text of the file at `path`.
pub(crate) fn read(path: &Path) -> Result<String, TomlFileError> {
    std::fs::read_to_string(path)
        .map_err(|source| TomlFileError::Read { path: path.to_owned(), source })
}

/// What `text` says; `path` names it in errors.
pub(crate) fn parse<T: DeserializeOwned>(text: &str, path: &Path) -> Result<T, TomlFileError> {
    toml::from_str(text).map_err(|error| TomlFileError::Parse {
        path: path.to_owned(),
        message: error.to_string().trim_end().to_owned(),
    })
}
