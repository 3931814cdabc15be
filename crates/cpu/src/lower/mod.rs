//! Three-dimensional convolutions and poolings as two-dimensional ones.
//!
//! An exported network is stored in one form only, the one that `TensorRT` documents: 5-D `Conv`,
//! `ConvTranspose` and `AveragePool`. The ONNX crate of the CPU engine runs the 2-D operators only,
//! so [`lower`] rewrites the graph before it is handed over. It changes no value: every rewritten
//! operator computes the same sums of the same products, in another order.
//!
//! # How
//!
//! A tensor `[B, C, X, Y, Z]` stays where it is in memory; a 2-D operator sees it as one of two
//! images, both of them free reshapes:
//!
//! | view | rows x columns | a 2-D kernel reaches |
//! |---|---|---|
//! | planes | X x (Y Z) | x by rows; y by columns, dilated by Z (a step in y is Z columns, and Z columns of padding are one of y) |
//! | rows | (X Y) x Z | z by columns; x by rows, dilated by Y |
//!
//! The axis that the view cannot reach moves to the output channels: a 3x3x3 convolution becomes one
//! 3x3 convolution with three times the channels, one set for each tap along y, and the three are
//! added, shifted against each other. (That is about twice as fast as giving the 2-D convolution
//! three shifted copies of its input: the costly part of a narrow convolution is gathering its input
//! patches, and these are three times smaller.)
//!
//! A transposed convolution is a 2-D one along z with the taps of x and y as output channels, which
//! are then added and interleaved. Pooling is separable.
//!
//! | module | job |
//! |---|---|
//! | `shapes` | the shape of every value, from the graph's static inputs |
//! | `rewrite` | the graph being written |
//! | `window` | kernel, stride, dilation and padding along one axis |
//! | `fold` | views, and adding taps that were computed as channels |
//! | `conv`, `conv_transpose`, `average_pool` | one operator each |

mod average_pool;
mod conv;
mod conv_transpose;
mod fold;
pub(crate) mod rewrite;
pub(crate) mod shapes;
pub(crate) mod window;

use occdepth_contract::onnx::{GraphProto, NodeProto, TensorError};
use rewrite::Rewrite;

/// Why a graph cannot be lowered. Every message names the node.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LowerError {
    /// A shape is needed that neither follows from the graph's inputs nor is declared.
    #[error("node `{node}`: the shape of `{value}` is not known (declare it in `value_info`)")]
    Shape {
        /// The node.
        node: String,
        /// Its input.
        value: String,
    },
    /// The tensors of a node do not fit each other.
    #[error("node `{node}`: input shapes {found}, expected {expected}")]
    Inputs {
        /// The node.
        node: String,
        /// The shapes.
        found: String,
        /// What would fit.
        expected: String,
    },
    /// The weights are computed, not stored.
    #[error("node `{node}`: `{value}` is not a constant, expected stored weights")]
    Weights {
        /// The node.
        node: String,
        /// Its input.
        value: String,
    },
    /// An attribute has a value that is not supported.
    #[error("node `{node}`: attribute `{attribute}`: found {found}, expected {expected}")]
    Attribute {
        /// The node.
        node: String,
        /// The attribute.
        attribute: &'static str,
        /// Its value.
        found: String,
        /// What would be accepted.
        expected: &'static str,
    },
    /// So many nodes share their weights that rearranging them for each takes too much memory.
    #[error(
        "node `{node}`: `{value}`: found weights shared by so many nodes that theirs take more than \
         {allowed} bytes"
    )]
    Shared {
        /// The node.
        node: String,
        /// Its weights or bias.
        value: String,
        /// Four times the bytes of the graph's constants, and 64 MiB.
        allowed: usize,
    },
    /// A constant cannot be read.
    #[error(transparent)]
    Constant(#[from] TensorError),
}

/// Replaces every 5-D `Conv`, `ConvTranspose` and `AveragePool` by 2-D operators.
///
/// The result has the same inputs and outputs and, up to the rounding of sums in another order, the
/// same values. Other nodes stay as they are, except that a 2-D `Conv` gets the attribute
/// `kernel_shape` when it lacks one. Constants that nothing uses any more are dropped.
///
/// # Errors
/// [`LowerError`] for a 5-D operator whose input shape is unknown, whose weights are not constants,
/// that shares its weights with very many others, or whose attributes are beyond the rules here (`auto_pad`, grouped transposed convolution, average
/// pooling that excludes its padding).
pub fn lower(graph: GraphProto) -> Result<GraphProto, LowerError> {
    let mut rewrite = Rewrite::new(&graph);
    for node in &graph.node {
        match (node.op_type.as_str(), operand_rank(&rewrite, node)) {
            ("Conv", Some(5)) => conv::lower(&mut rewrite, node)?,
            ("Conv", Some(4)) => conv::complete(&mut rewrite, node),
            ("ConvTranspose", Some(5)) => conv_transpose::lower(&mut rewrite, node)?,
            ("AveragePool", Some(5)) => average_pool::lower(&mut rewrite, node)?,
            _ => rewrite.keep(node),
        }
    }
    let lowered = rewrite.finish();
    Ok(lowered.replace_in(graph))
}

/// The rank of what a node works on: of its weights where it has any (they are always known), else of
/// its input.
fn operand_rank(rewrite: &Rewrite<'_>, node: &NodeProto) -> Option<usize> {
    let weights = node.input.get(1).and_then(|name| rewrite.shapes.of(name));
    let input = || node.input.first().and_then(|name| rewrite.shapes.of(name));
    weights.or_else(input).map(<[usize]>::len)
}
