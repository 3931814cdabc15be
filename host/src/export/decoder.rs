//! The image decoder: from the encoder's maps to features at every scale that voxels gather from.

use super::{
    ExportError,
    builder::{Alignment, GraphBuilder, Value},
    encoder::Taps,
    layer::{Conv, activate},
};
use crate::preset::{NORM_EPSILON, Preset, parameters::DECODER};

/// The features `[V, c, ceil(H / scale), ceil(W / scale)]` of each of the preset's scales, in their
/// order.
pub(super) fn emit(
    graph: &mut GraphBuilder<'_>,
    preset: &Preset,
    taps: &Taps,
    images: &Value,
) -> Result<Vec<Value>, ExportError> {
    let decoder = &preset.decoder;
    // A 1x1 convolution with padding: the published map grows by a border of its bias.
    let mut x = Conv::new(format!("{DECODER}.conv2"), decoder.bottleneck, &[1, 1])
        .biased()
        .padded(&[1, 1])
        .emit(graph, &taps.head)?;
    let skips = [&taps.sixteenth, &taps.eighth, &taps.quarter, &taps.half, images];
    let mut features = Vec::new();
    for (block, skip) in preset.up_blocks().iter().zip(skips) {
        let path = format!("{DECODER}.{}", block.name);
        let enlarged = graph.resize(&path, &x, skip.trailing::<2>(), Alignment::Corners);
        x = graph.concat(&path, &[&enlarged, skip], 1);
        for (conv, norm) in [("0", "1"), ("3", "4")] {
            let conv = format!("{path}._net.{conv}");
            x = Conv::new(&conv, block.output, &[3, 3])
                .biased()
                .normed(format!("{path}._net.{norm}"), NORM_EPSILON)
                .emit(graph, &x)?;
            x = activate(graph, &conv, &x, decoder.activation);
        }
        if block.resized {
            let output = format!("{DECODER}.resize_output_1_{}", block.scale);
            let width = preset.unet.widths[0];
            features.push(Conv::new(output, width, &[1, 1]).biased().emit(graph, &x)?);
        }
    }
    features.reverse();
    Ok(features)
}
