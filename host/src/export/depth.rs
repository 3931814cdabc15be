//! The depth net and what voxels read from its volume.

use super::{
    ExportError,
    builder::{GraphBuilder, Value},
    layer::{Conv, activate, linear},
};
use crate::preset::{Activation, DEPTH_GAIN, DepthNet, NORM_EPSILON, parameters::DEPTH_NET};

/// The geometry inputs of the depth net.
pub(super) struct DepthInputs {
    /// `[V, 8, N]`.
    pub(super) index: Value,
    /// `[V, 8, N]`.
    pub(super) weight: Value,
    /// `[V, 1]`.
    pub(super) pixel_size: Value,
}

/// Occupancy `[1, N, 1]` in f32 of each voxel by depth, times [`DEPTH_GAIN`], from the features at 1/8
/// `[V, c, h, w]`.
pub(super) fn emit(
    graph: &mut GraphBuilder<'_>,
    net: &DepthNet,
    features: &Value,
    inputs: &DepthInputs,
) -> Result<Value, ExportError> {
    let name = |part: &str| format!("{DEPTH_NET}.{part}");
    let reduce = name("reduce_conv.0");
    let x = Conv::new(&reduce, net.width, &[3, 3])
        .biased()
        .normed(name("reduce_conv.1"), NORM_EPSILON)
        .emit(graph, features)?;
    let x = graph.unary("Relu", &reduce, &x);
    let gate = emit_camera_gate(graph, net, &inputs.pixel_size)?;
    let gate = graph.narrow(&name("se"), &gate);
    let mut x = graph.binary("Mul", &name("se"), &x, &gate);
    for block in 0..net.blocks {
        x = emit_basic_block(graph, &name(&format!("depth_conv.{block}")), &x)?;
    }
    let bins = net.volume.bins.count as usize;
    let logits = Conv::new(name("depth_pred"), bins, &[1, 1]).biased().emit(graph, &x)?;
    let volume = graph.softmax(DEPTH_NET, &logits, 1);
    emit_samples(graph, &volume, inputs)
}

/// A gate per view and channel `[V, width, 1, 1]` from the pixel size alone. In f32 like that input:
/// it is a handful of vectors, and a runtime computes them once for a rig.
fn emit_camera_gate(
    graph: &mut GraphBuilder<'_>,
    net: &DepthNet,
    pixel_size: &Value,
) -> Result<Value, ExportError> {
    let mut x = pixel_size.clone();
    let layers = [
        ("mlp.fc1", Some(Activation::Relu), false),
        ("mlp.fc2", None, false),
        ("se.conv_reduce", Some(Activation::Relu), true),
        ("se.conv_expand", None, true),
    ];
    for (part, activation, as_conv) in layers {
        let path = format!("{DEPTH_NET}.{part}");
        x = linear(graph, &path, &x, net.width, as_conv)?;
        if let Some(activation) = activation {
            x = activate(graph, &path, &x, activation);
        }
    }
    let path = format!("{DEPTH_NET}.se");
    let gate = graph.unary("Sigmoid", &path, &x);
    let [views, width] = gate.trailing::<2>();
    Ok(graph.reshape(&path, &gate, &[views, width, 1, 1]))
}

/// The basic block of `ResNet`: two 3x3 convolutions beside the identity.
fn emit_basic_block(
    graph: &mut GraphBuilder<'_>,
    path: &str,
    input: &Value,
) -> Result<Value, ExportError> {
    let width = input.shape[1];
    let conv = |half: usize| {
        Conv::new(format!("{path}.conv{half}"), width, &[3, 3])
            .normed(format!("{path}.bn{half}"), NORM_EPSILON)
    };
    let x = conv(1).emit(graph, input)?;
    let x = graph.unary("Relu", &format!("{path}.conv1"), &x);
    let x = conv(2).emit(graph, &x)?;
    let x = graph.binary("Add", path, &x, input);
    Ok(graph.unary("Relu", path, &x))
}

/// Trilinear samples of the volume `[V, D, h, w]`: eight corners times their weights, summed over
/// corners and views (the weights already carry the mean over views). In f32 like the weights, from
/// the gathers on.
fn emit_samples(
    graph: &mut GraphBuilder<'_>,
    volume: &Value,
    inputs: &DepthInputs,
) -> Result<Value, ExportError> {
    let views = volume.shape[0];
    let cells: usize = volume.shape[1..].iter().product();
    let [voxels] = inputs.index.trailing::<1>();
    let flat = graph.reshape(PATH, volume, &[views * cells]);
    let index = if views == 1 {
        inputs.index.clone()
    } else {
        let firsts: Vec<i32> = (0..views)
            .map(|view| i32::try_from(view * cells).expect("a validated preset's volume fits i32"))
            .collect();
        let first = graph.integers("first_depth_cell", &[views, 1, 1], &firsts);
        graph.binary("Add", PATH, &inputs.index, &first)
    };
    let corners = graph.gather_rows(PATH, &flat, &index);
    let corners = graph.widen(PATH, &corners);
    let corners = graph.binary("Mul", PATH, &corners, &inputs.weight);
    // The sum as a matrix product, which CPU engines run several times faster than a reduction over leading axes;
    // the gain rides along.
    let [_, corner_count, _] = corners.trailing::<3>();
    let rows = views * corner_count;
    let corners = graph.reshape(PATH, &corners, &[rows, voxels]);
    #[allow(clippy::cast_possible_truncation, reason = "100, exact in f32")]
    let gain = vec![DEPTH_GAIN as f32; rows];
    let gain = graph.parameter("depth_gain", &[1, rows], Some(&gain), &corners)?;
    let depth = graph.matmul(PATH, &gain, &corners);
    Ok(graph.reshape(PATH, &depth, &[1, voxels, 1]))
}

const PATH: &str = "flosp_depth";
