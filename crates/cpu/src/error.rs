//! Why a network does not run.

use crate::lower::LowerError;
use crate::network::MAX_THREADS;
use occdepth_contract::onnx::TensorError;

/// Why a network does not run. Messages name the file or the tensor, what was found and what was
/// expected.
#[derive(Debug, thiserror::Error)]
pub enum CpuError {
    /// A number of threads that cannot run anything.
    #[error("threads: found {found}, expected 1 to {MAX_THREADS}")]
    Threads {
        /// As configured.
        found: usize,
    },
    /// A half-precision constant cannot be read.
    #[error("{origin}: the network cannot be widened to single precision")]
    Widen {
        /// The file.
        origin: String,
        /// The constant and why.
        source: TensorError,
    },
    /// A node whose output has no static shape: the operator or its inputs are not those of an exported
    /// network, or its output would be larger than 2^28 values.
    #[error(
        "{origin}: node `{node}`: found operator `{operator}` on {inputs}, expected an operator of an \
         exported network whose output has a static shape of at most 2^28 values"
    )]
    Node {
        /// The file.
        origin: String,
        /// The node.
        node: String,
        /// Its operator.
        operator: String,
        /// Shapes of its inputs.
        inputs: String,
    },
    /// A value is provided more than once, so that nobody can say which is meant.
    #[error(
        "{origin}: value `{value}`: found several of this name, expected one input, constant or node"
    )]
    Name {
        /// The file.
        origin: String,
        /// The value.
        value: String,
    },
    /// Parts of the network between its convolutions would each need copies of the same constants.
    #[error(
        "{origin}: found constants shared so widely that copies take {found} bytes, expected at most {allowed}"
    )]
    Shared {
        /// The file.
        origin: String,
        /// Bytes, up to the first copy that is too much.
        found: usize,
        /// Bytes: four times those of all constants, and 64 MiB.
        allowed: usize,
    },
    /// A 5-D operator cannot be written in two dimensions.
    #[error("{origin}: the network cannot be prepared for the CPU")]
    Lower {
        /// The file.
        origin: String,
        /// The node and why.
        source: LowerError,
    },
    /// The ONNX crate refuses the graph.
    #[error("{origin}: the network cannot be loaded")]
    Load {
        /// The file.
        origin: String,
        /// The node and why.
        source: rten::LoadError,
    },
    /// The graph has no such input, or it is not what the graph declares.
    #[error("input `{name}`: found {found}, expected {expected}")]
    Input {
        /// The input.
        name: String,
        /// What was given.
        found: String,
        /// What the graph declares.
        expected: String,
    },
    /// The graph has no such output, or it is of a type that no exported network has.
    #[error("output `{name}`: found {found}, expected {expected}")]
    Output {
        /// The output.
        name: String,
        /// What there is.
        found: String,
        /// What would be accepted.
        expected: String,
    },
    /// A convolution's input is not what the graph's shapes say.
    #[error("value `{value}`: found {found}, expected what the graph's shapes say")]
    Convolution {
        /// The value.
        value: String,
        /// What was computed.
        found: String,
    },
    /// A value that is read is computed by no node before.
    #[error("value `{value}`: found nothing, expected a node or an input that provides it")]
    Incomplete {
        /// The value.
        value: String,
    },
    /// An operator failed.
    #[error("the network failed")]
    Run(#[from] rten::RunError),
}
