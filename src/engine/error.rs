//! Why a network does not run.

use crate::grid::GridError;
use occdepth_contract::{ContractError, onnx::OnnxError};
use occdepth_cpu::CpuError;
use occdepth_cuda::CudaError;
use std::path::PathBuf;

/// Why a network does not run. Messages name the file or the input, what was found and what was
/// expected.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    /// The file cannot be read.
    #[error("{}: cannot read the network", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The file is no ONNX model, or not a whole one.
    #[error(transparent)]
    Model(#[from] OnnxError),
    /// The model has no contract, or one that does not hold.
    #[error(transparent)]
    Contract(#[from] ContractError),
    /// The contract asks for something that this engine or this rig does not have.
    #[error("{origin}: field `{field}`: found {found}, expected {expected}")]
    Field {
        /// The file.
        origin: String,
        /// The field of the contract or the input of the graph.
        field: String,
        /// Its value.
        found: String,
        /// What would be accepted.
        expected: String,
    },
    /// The network cannot be prepared for the CPU, or it failed there.
    #[error(transparent)]
    Cpu(#[from] CpuError),
    /// The GPU cannot be used, or it failed.
    #[error(transparent)]
    Gpu(#[from] CudaError),
    /// A geometry input does not have the length that the contract says.
    #[error(
        "geometry input `{input}`: found {found}, expected {expected} by the network's contract"
    )]
    GeometryLength {
        /// The input.
        input: &'static str,
        /// What there is.
        found: String,
        /// What the contract asks for.
        expected: String,
    },
    /// A value of a geometry input is out of range.
    #[error("geometry input `{input}`: element {element} is {found}, expected {expected}")]
    GeometryValue {
        /// The input.
        input: &'static str,
        /// Position in the tensor, row-major.
        element: usize,
        /// Its value.
        found: String,
        /// The range.
        expected: String,
    },
    /// A run before any geometry was bound.
    #[error("the engine has no geometry yet: bind a rig before the first frame")]
    Unbound,
    /// The images do not have the size that the contract says.
    #[error("input `images`: found {found} values, expected {expected} (V x 3 x H x W)")]
    Images {
        /// Values in the slice.
        found: usize,
        /// Values by the contract.
        expected: usize,
    },
    /// The network computed something else than its contract promises.
    #[error("output `{output}`: found {found}, expected {expected}")]
    Output {
        /// The output.
        output: &'static str,
        /// What came out.
        found: String,
        /// What the contract says.
        expected: String,
    },
    /// The logits cannot be labelled, or not into the given memory.
    #[error(transparent)]
    Label(#[from] GridError),
}

impl EngineError {
    /// Whether one frame was lost and the next one may succeed.
    pub fn is_recoverable(&self) -> bool {
        matches!(self, Self::Gpu(error) if error.is_recoverable())
    }
}
