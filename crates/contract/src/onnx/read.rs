//! From bytes to a model that is whole.

use super::{ModelProto, TensorError};
use prost::Message;
use std::path::PathBuf;

/// Largest model file that is read: protobuf's own limit for one message, 2 GiB.
pub const MAX_MODEL_BYTES: u64 = 1 << 31;

/// Why bytes are not a usable ONNX model.
#[derive(Debug, thiserror::Error)]
pub enum OnnxError {
    /// Nothing to read.
    #[error("{origin}: the file is empty, expected an ONNX model")]
    Empty {
        /// The file.
        origin: String,
    },
    /// The file, or one that it refers to, cannot be read.
    #[error("{}: cannot read the network", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// A constant is in another file, and not where or what it should be.
    #[error(
        "{origin}: constant `{tensor}`: external data `{field}`: found {found}, expected {expected}"
    )]
    ExternalData {
        /// The file.
        origin: String,
        /// The constant.
        tensor: String,
        /// The entry of its `external_data`.
        field: &'static str,
        /// Its value.
        found: String,
        /// What would be accepted.
        expected: String,
    },
    /// Larger than one protobuf message can be.
    #[error("{origin}: {found} bytes, expected at most {MAX_MODEL_BYTES} (one protobuf message)")]
    TooLarge {
        /// The file.
        origin: String,
        /// Its size in bytes.
        found: u64,
    },
    /// The bytes are not a protobuf message of this kind, or they end early.
    #[error("{origin}: not an ONNX model, or truncated ({found} bytes)")]
    NotOnnx {
        /// The file.
        origin: String,
        /// Its size in bytes.
        found: usize,
        /// Where decoding stopped.
        source: prost::DecodeError,
    },
    /// A message without a graph: other bytes that happen to parse, or a truncated file.
    #[error("{origin}: field `graph`: missing or empty, expected the graph of an ONNX model")]
    NoGraph {
        /// The file.
        origin: String,
    },
    /// The model needs something that is not implemented here and would change its results.
    #[error("{origin}: field `{field}`: found {found}, expected none (not supported)")]
    Unsupported {
        /// The file.
        origin: String,
        /// The field of the container.
        field: &'static str,
        /// How many entries it has.
        found: usize,
    },
    /// A constant whose values do not fit its shape.
    #[error("{origin}: field `graph.initializer`")]
    Constant {
        /// The file.
        origin: String,
        /// Which and why.
        source: TensorError,
    },
}

impl ModelProto {
    /// Decodes a model and checks that it is whole: a graph with nodes and outputs, constants whose
    /// values are here and fit their shapes, nothing that would be dropped silently. A model whose
    /// constants are in other files is read by [`ModelFile::read`](super::ModelFile::read).
    ///
    /// `origin` (a path or a name) is only for error messages.
    ///
    /// # Errors
    /// [`OnnxError`] with the origin and the field.
    pub fn from_bytes(bytes: &[u8], origin: &str) -> Result<Self, OnnxError> {
        let model = Self::parse(bytes, origin)?;
        model.check(origin)?;
        Ok(model)
    }

    /// Decodes a model; its constants are not checked yet.
    pub(super) fn parse(bytes: &[u8], origin: &str) -> Result<Self, OnnxError> {
        let origin = || origin.to_owned();
        if bytes.is_empty() {
            return Err(OnnxError::Empty { origin: origin() });
        }
        let size = bytes.len() as u64;
        if size > MAX_MODEL_BYTES {
            return Err(OnnxError::TooLarge { origin: origin(), found: size });
        }
        Self::decode(bytes).map_err(|source| OnnxError::NotOnnx {
            origin: origin(),
            found: bytes.len(),
            source,
        })
    }

    /// Checks that a decoded model is whole.
    pub(super) fn check(&self, origin: &str) -> Result<(), OnnxError> {
        let origin = || origin.to_owned();
        let Some(graph) =
            self.graph.as_ref().filter(|graph| !graph.node.is_empty() && !graph.output.is_empty())
        else {
            return Err(OnnxError::NoGraph { origin: origin() });
        };
        for (field, found) in [
            ("training_info", self.training_info.len()),
            ("functions", self.functions.len()),
            ("graph.sparse_initializer", graph.sparse_initializer.len()),
        ] {
            if found > 0 {
                return Err(OnnxError::Unsupported { origin: origin(), field, found });
            }
        }
        for constant in &graph.initializer {
            constant.check().map_err(|source| OnnxError::Constant { origin: origin(), source })?;
        }
        Ok(())
    }

    /// The metadata string stored under `key`.
    pub fn metadata(&self, key: &str) -> Option<&str> {
        self.metadata_props.iter().find(|entry| entry.key == key).map(|entry| entry.value.as_str())
    }
}
