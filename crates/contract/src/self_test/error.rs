//! Why a self-test cannot be run.

use occdepth_geometry::network::GeometryError;
use std::path::PathBuf;

/// Why a self-test cannot be run. Messages name the file, the field, what was found and what was
/// expected.
#[derive(Debug, thiserror::Error)]
pub enum SelfTestError {
    /// The file cannot be read.
    #[error("{}: cannot read the self-test", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The file is not the JSON document it should be.
    #[error("{origin}: not a self-test document")]
    Json {
        /// The file.
        origin: String,
        /// The position and the field, or the syntax.
        source: serde_json::Error,
    },
    /// A field is out of range or does not fit the network.
    #[error("{origin}: field `{field}`: found {found}, expected {expected}")]
    Field {
        /// The file.
        origin: String,
        /// Path of the field in the document.
        field: String,
        /// Its value.
        found: String,
        /// What would be accepted.
        expected: String,
    },
    /// The cameras cannot be projected into the network's grid.
    #[error("{origin}: field `cameras`")]
    Geometry {
        /// The file.
        origin: String,
        /// Why.
        source: GeometryError,
    },
}

/// One check after the other, with the file's name for the messages.
pub(super) struct Check<'a> {
    pub(super) origin: &'a str,
}

impl Check<'_> {
    #[allow(clippy::needless_pass_by_value, reason = "callers build the value for this call")]
    pub(super) fn that(
        &self,
        holds: bool,
        field: &str,
        found: impl ToString,
        expected: &str,
    ) -> Result<(), SelfTestError> {
        if holds { Ok(()) } else { Err(self.failed(field, &found.to_string(), expected)) }
    }

    pub(super) fn failed(&self, field: &str, found: &str, expected: &str) -> SelfTestError {
        SelfTestError::Field {
            origin: self.origin.into(),
            field: field.into(),
            found: found.into(),
            expected: expected.into(),
        }
    }
}
