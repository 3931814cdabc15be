//! Why a board profile is refused.

use std::path::PathBuf;

/// Why a board profile is refused. Every message names the file and what is wrong in it.
#[derive(Debug, thiserror::Error)]
pub enum ProfileError {
    /// The file cannot be read.
    #[error("{}: cannot read the board profile", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The file is no TOML, or has a field that profiles do not have, or lacks one.
    #[error("{origin}: not a board profile")]
    Toml {
        /// The file.
        origin: String,
        /// The place and the field.
        source: toml::de::Error,
    },
    /// A field does not hold.
    #[error("{origin}: field `{field}`: found {found}, expected {expected}")]
    Field {
        /// The file.
        origin: String,
        /// Path of the field.
        field: String,
        /// Its value.
        found: String,
        /// What would be accepted.
        expected: String,
    },
    /// There is no profile of that name.
    #[error(
        "no board is named {name:?}, expected one of {known}, or the path of a profile (*.toml)"
    )]
    Unknown {
        /// What was asked for.
        name: String,
        /// The names there are.
        known: String,
    },
}
