//! Why a network is refused.

/// Why a network is refused. Every message names the file, the field, what was found and what was
/// expected.
#[derive(Debug, thiserror::Error)]
pub enum ContractError {
    /// The model has no contract: it is not an export of this project.
    #[error(
        "{origin}: metadata `occdepth`: missing, expected the network contract (not a network \
         exported by occdepth-host)"
    )]
    Missing {
        /// The file.
        origin: String,
    },
    /// The contract is not the JSON document it should be.
    #[error("{origin}: metadata `occdepth`: not a contract document")]
    Json {
        /// The file.
        origin: String,
        /// The position and the field, or the syntax.
        source: serde_json::Error,
    },
    /// The version is not `major.minor`, or of a major this program does not know.
    #[error(
        "{origin}: field `contract_version`: found {found}, expected {expected} or an earlier minor \
         (this program reads contract {expected}; export the network again or update the program)"
    )]
    Version {
        /// The file.
        origin: String,
        /// The file's version.
        found: String,
        /// This program's version.
        expected: &'static str,
    },
    /// A field is out of its range or does not fit the others.
    #[error("{origin}: field `{field}`: found {found}, expected {expected}")]
    Field {
        /// The file.
        origin: String,
        /// Path of the field in the document, or of the tensor in the graph.
        field: String,
        /// Its value.
        found: String,
        /// What would be accepted.
        expected: String,
    },
}
