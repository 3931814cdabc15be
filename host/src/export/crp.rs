//! The context relation prior at a quarter of the projection grid: every voxel gathers context from
//! mega-voxels, as strongly as each relation says.

use super::{
    ExportError,
    builder::{GraphBuilder, Value},
    head::emit_aspp,
    layer::Conv,
    unet3d::Bottleneck,
};
use crate::preset::{RelationPrior, parameters::RELATION_PRIOR};

/// Features with context, in the shape of `input` `[1, c, x, y, z]`.
///
/// What a voxel gathers is a sum over all mega-voxels, not a mean: it, and the convolution that
/// brings it back to the scale of the features, are f32.
pub(super) fn emit(
    graph: &mut GraphBuilder<'_>,
    prior: &RelationPrior,
    input: &Value,
) -> Result<Value, ExportError> {
    let path = RELATION_PRIOR;
    let [width, x, y, z] = input.trailing::<4>();
    let (voxels, context_width) = (x * y * z, width * 2);
    let features = emit_aspp(graph, &format!("{path}.aspp"), input, &prior.dilations)?;

    // Halved; an even extent is padded by one, an odd one not at all.
    let padding = [x, y, z].map(|extent| (extent + 1) % 2);
    let context = Conv::new(format!("{path}.mega_context.0"), context_width, &[3; 3])
        .biased()
        .strided(&[2; 3])
        .padded(&padding)
        .emit(graph, &features)?;
    let mega_voxels = context.shape[2..].iter().product();
    let context = graph.reshape(path, &context, &[1, context_width, mega_voxels]);
    let context = graph.widen(path, &context);

    let mut joined = vec![graph.widen(path, input)];
    for relation in 0..prior.relations {
        let name = format!("{path}.context_prior_logits.{relation}");
        let logits =
            Conv::new(format!("{name}.0"), mega_voxels, &[1; 3]).biased().emit(graph, &features)?;
        let logits = graph.reshape(&name, &logits, &[1, mega_voxels, voxels]);
        let relation = graph.unary("Sigmoid", &name, &logits);
        let relation = graph.widen(&name, &relation);
        // [context, mega] x [mega, voxel]: the published product, transposed, needs no Transpose.
        let gathered = graph.matmul(&name, &context, &relation);
        joined.push(graph.reshape(&name, &gathered, &[1, context_width, x, y, z]));
    }
    let joined: Vec<&Value> = joined.iter().collect();
    let joined = graph.concat(path, &joined, 1);
    let resized = Conv::new(format!("{path}.resize.0"), width, &[1; 3]).emit(graph, &joined)?;
    let resized = graph.narrow(path, &resized);
    Bottleneck::new(format!("{path}.resize.1.main.0"), &resized).emit(graph, &resized)
}
