//! The head: class logits from the features of the output grid, and the 3-D ASPP that it shares with
//! the relation prior.

use super::{
    ExportError,
    builder::{GraphBuilder, Value},
    layer::Conv,
};
use crate::preset::{Head, NORM_EPSILON, Preset, parameters::HEAD};

/// Logits of the output grid.
pub(super) struct Logits {
    /// `[C, X, Y, Z]`.
    pub(super) classes: Value,
    /// `[1, 2, X, Y, Z]`, of cascade heads.
    pub(super) occupancy: Option<Value>,
}

pub(super) fn emit(
    graph: &mut GraphBuilder<'_>,
    preset: &Preset,
    features: &Value,
) -> Result<Logits, ExportError> {
    let name = |part: &str| format!("{HEAD}.{part}");
    let class_count = preset.dataset.class_count();
    let (classes, occupancy) = match &preset.head {
        Head::Aspp { dilations, cascade, .. } => {
            let conv0 = name("conv0");
            let x =
                Conv::new(&conv0, preset.head_width(), &[3; 3]).biased().emit(graph, features)?;
            let x = graph.unary("Relu", &conv0, &x);
            let mut x = emit_aspp(graph, HEAD, &x, dilations)?;
            let mut occupancy = None;
            if *cascade {
                let path = name("occ_classes");
                let logits = Conv::new(&path, 2, &[3; 3]).biased().emit(graph, &x)?;
                let shares = graph.softmax(&path, &logits, 1);
                x = graph.concat(HEAD, &[&x, &shares], 1);
                occupancy = Some(logits);
            }
            let classes = Conv::new(name("conv_classes"), class_count, &[3; 3]).biased();
            (classes.emit(graph, &x)?, occupancy)
        }
        Head::Slim { .. } => {
            let classes = Conv::new(name("conv_classes"), class_count, &[1; 3]).biased();
            (classes.emit(graph, features)?, None)
        }
    };
    let classes = unbatched(graph, &classes);
    Ok(Logits { classes, occupancy })
}

/// Without the leading axis of extent 1.
pub(super) fn unbatched(graph: &mut GraphBuilder<'_>, x: &Value) -> Value {
    let shape = x.shape[1..].to_vec();
    graph.reshape(HEAD, x, &shape)
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
