//! The head: class logits from the features of the output grid, and the 3-D ASPP that it shares with
//! the relation prior.

use super::{
    ExportError,
    builder::{GraphBuilder, Value},
    layer::Conv,
};
use crate::preset::{
    Head, NORM_EPSILON, Preset,
    parameters::{OCCLUDED_HEAD, UNET},
};

/// Logits of the output grid, in the order of the 3-D network's axes.
pub(super) struct Logits {
    /// `[1, C, X, Y, Z]`.
    pub(super) classes: Value,
    /// `[1, 2, X, Y, Z]`, of cascade heads.
    pub(super) occupancy: Option<Value>,
}

/// Class logits from the features `[1, c, X, Y, Z]` of the output grid.
pub(super) fn emit(
    graph: &mut GraphBuilder<'_>,
    preset: &Preset,
    features: &Value,
) -> Result<Logits, ExportError> {
    let head = format!("{UNET}.{}", preset.unet.names().head);
    let class_count = preset.dataset.class_count();
    let classes = |kernel: usize| {
        Conv::new(format!("{head}.conv_classes"), class_count, &[kernel; 3]).biased()
    };
    match &preset.head {
        Head::Aspp { dilations, cascade, .. } => {
            let mut x = emit_features(graph, &head, features, dilations)?;
            let mut occupancy = None;
            if *cascade {
                let logits = emit_occupancy(graph, &head, &x)?;
                let shares = graph.softmax(&format!("{head}.occ_classes"), &logits, 1);
                x = graph.concat(&head, &[&x, &shares], 1);
                occupancy = Some(logits);
            }
            Ok(Logits { classes: classes(3).emit(graph, &x)?, occupancy })
        }
        Head::Slim { .. } => {
            Ok(Logits { classes: classes(1).emit(graph, features)?, occupancy: None })
        }
    }
}

/// Logits `[1, 2, X, Y, Z]` of the second head, from the same features; None where the preset has
/// none.
pub(super) fn emit_occluded(
    graph: &mut GraphBuilder<'_>,
    preset: &Preset,
    features: &Value,
) -> Result<Option<Value>, ExportError> {
    let Head::Aspp { dilations, occluded: true, .. } = &preset.head else { return Ok(None) };
    let x = emit_features(graph, OCCLUDED_HEAD, features, dilations)?;
    emit_occupancy(graph, OCCLUDED_HEAD, &x).map(Some)
}

fn emit_features(
    graph: &mut GraphBuilder<'_>,
    head: &str,
    x: &Value,
    dilations: &[usize],
) -> Result<Value, ExportError> {
    let path = format!("{head}.conv0");
    let x = Conv::new(&path, x.shape[1], &[3; 3]).biased().emit(graph, x)?;
    let x = graph.unary("Relu", &path, &x);
    emit_aspp(graph, head, &x, dilations)
}

fn emit_occupancy(
    graph: &mut GraphBuilder<'_>,
    head: &str,
    x: &Value,
) -> Result<Value, ExportError> {
    Conv::new(format!("{head}.occ_classes"), 2, &[3; 3]).biased().emit(graph, x)
}

/// Branches of two dilated 3x3x3 convolutions beside the identity (`MonoScene`, Cao and de Charette
/// 2022, after `DeepLab`'s atrous spatial pyramid pooling).
pub(super) fn emit_aspp(
    graph: &mut GraphBuilder<'_>,
    path: &str,
    input: &Value,
    dilations: &[usize],
) -> Result<Value, ExportError> {
    let width = input.shape[1];
    let mut sum = input.clone();
    for (branch, &dilation) in dilations.iter().enumerate() {
        let conv = |half: usize| {
            Conv::new(format!("{path}.conv{half}.{branch}"), width, &[3; 3])
                .dilated(dilation)
                .normed(format!("{path}.bn{half}.{branch}"), NORM_EPSILON)
        };
        let x = conv(1).emit(graph, input)?;
        let x = graph.unary("Relu", &format!("{path}.conv1.{branch}"), &x);
        let x = conv(2).emit(graph, &x)?;
        sum = graph.binary("Add", path, &sum, &x);
    }
    Ok(graph.unary("Relu", path, &sum))
}
