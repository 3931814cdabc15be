//! The image encoder: `EfficientNet`, from images to the five maps that the decoder reads.

use super::{
    ExportError,
    builder::{GraphBuilder, Value},
    layer::{Conv, activate},
};
use crate::preset::{ENCODER_NORM_EPSILON, Encoder, EncoderBlock, parameters::ENCODER};

/// The maps at 1/2, 1/4, 1/8 and 1/16 of the image, and the head convolution at 1/32 before its batch
/// norm (the published decoder reads it there).
pub(super) struct Taps {
    pub(super) half: Value,
    pub(super) quarter: Value,
    pub(super) eighth: Value,
    pub(super) sixteenth: Value,
    pub(super) head: Value,
}

pub(super) fn emit(
    graph: &mut GraphBuilder<'_>,
    encoder: &Encoder,
    images: &Value,
) -> Result<Taps, ExportError> {
    let stem = format!("{ENCODER}.conv_stem");
    let x = Conv::new(&stem, encoder.stem, &[3, 3])
        .strided(&[2, 2])
        .same(&images.trailing::<2>())
        .normed(format!("{ENCODER}.bn1"), ENCODER_NORM_EPSILON)
        .emit(graph, images)?;
    let mut x = activate(graph, &stem, &x, encoder.activation);
    let mut stages: [Option<Value>; 7] = Default::default();
    for block in encoder.blocks() {
        x = emit_block(graph, encoder, &block, &x)?;
        stages[block.stage] = Some(x.clone());
    }
    let head = Conv::new(format!("{ENCODER}.conv_head"), encoder.head, &[1, 1]).emit(graph, &x)?;
    let [Some(half), Some(quarter), Some(eighth), _, Some(sixteenth), _, _] = stages else {
        unreachable!("a validated preset has at least one block in every stage");
    };
    Ok(Taps { half, quarter, eighth, sixteenth, head })
}

/// An inverted residual (expand, depthwise, squeeze and excite, project), or without the expanding
/// convolution a depthwise-separable block.
fn emit_block(
    graph: &mut GraphBuilder<'_>,
    encoder: &Encoder,
    block: &EncoderBlock,
    input: &Value,
) -> Result<Value, ExportError> {
    let path = format!("{ENCODER}.{}", block.name);
    let norm = |name: &str| format!("{path}.{name}");
    let mut x = input.clone();
    let (depthwise_norm, project, project_norm) = if block.expands {
        let expand = format!("{path}.conv_pw");
        x = Conv::new(&expand, block.hidden, &[1, 1])
            .normed(norm("bn1"), ENCODER_NORM_EPSILON)
            .emit(graph, &x)?;
        x = activate(graph, &expand, &x, encoder.activation);
        ("bn2", "conv_pwl", "bn3")
    } else {
        ("bn1", "conv_pw", "bn2")
    };
    let depthwise = format!("{path}.conv_dw");
    x = Conv::new(&depthwise, block.hidden, &[block.kernel; 2])
        .depthwise()
        .strided(&[block.stride; 2])
        .same(&x.trailing::<2>())
        .normed(norm(depthwise_norm), ENCODER_NORM_EPSILON)
        .emit(graph, &x)?;
    x = activate(graph, &depthwise, &x, encoder.activation);
    if let Some(reduced) = block.reduced {
        x = emit_squeeze_excite(graph, encoder, &format!("{path}.se"), &x, reduced)?;
    }
    x = Conv::new(format!("{path}.{project}"), block.output, &[1, 1])
        .normed(norm(project_norm), ENCODER_NORM_EPSILON)
        .emit(graph, &x)?;
    if block.residual {
        x = graph.binary("Add", &path, &x, input);
    }
    Ok(x)
}

/// Each channel times a gate made from the means of all channels. The means are f32: the sums below
/// them reach the end of f16 on large maps, and ONNX leaves open what a runtime adds up in.
fn emit_squeeze_excite(
    graph: &mut GraphBuilder<'_>,
    encoder: &Encoder,
    path: &str,
    x: &Value,
    reduced: usize,
) -> Result<Value, ExportError> {
    let reduce = format!("{path}.conv_reduce");
    let wide = graph.widen(path, x);
    let means = graph.global_average(path, &wide);
    let means = graph.narrow(path, &means);
    let gate = Conv::new(&reduce, reduced, &[1, 1]).biased().emit(graph, &means)?;
    let gate = activate(graph, &reduce, &gate, encoder.activation);
    let gate = Conv::new(format!("{path}.conv_expand"), x.shape[1], &[1, 1])
        .biased()
        .emit(graph, &gate)?;
    let gate = graph.unary("Sigmoid", path, &gate);
    Ok(graph.binary("Mul", path, x, &gate))
}
