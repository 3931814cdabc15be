//! How much memory may be made of a graph's constants.
//!
//! Each of our own convolutions transforms its weights, each lowered one rearranges them, and each part
//! of a graph has its own copy of what it reads. Many nodes may share one constant, so a small file
//! could ask for any amount of memory.

use occdepth_contract::onnx::{GraphProto, TensorProto};

/// Bytes that may be made of a graph's constants: F(4x4, 3x3) makes four of one, and a little more
/// where channels are padded.
pub(crate) fn allowed_bytes(graph: &GraphProto) -> usize {
    let nodes = graph.node.iter().flat_map(|node| &node.attribute).filter_map(|a| a.t.as_ref());
    let bytes = graph.initializer.iter().chain(nodes).map(constant_bytes).sum::<usize>();
    bytes.saturating_mul(4).saturating_add(MIN_ALLOWED_BYTES)
}

/// Memory of a constant's values.
pub(crate) fn constant_bytes(constant: &TensorProto) -> usize {
    let singles = constant.float_data.len() + constant.int32_data.len();
    let doubles = constant.int64_data.len() + constant.double_data.len();
    constant.raw_data.len() + 4 * singles + 8 * doubles
}

/// For any graph: 64 MiB.
const MIN_ALLOWED_BYTES: usize = 64 << 20;
