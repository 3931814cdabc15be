//! Stereo soft feature assignment: image features to voxels. It has no weights.

use burn::tensor::{Int, Tensor};

use super::decoder::Features;
use crate::preset::COSINE_EPSILON;

/// Voxel features [C, N]: the sum over the scales of [`assign_scale`]. `pixels` is [V, S, N, P],
/// its scales in the order of the features'.
pub fn assign(features: &Features, pixels: &Tensor<4, Int>) -> Tensor<2> {
    let scales = features.scales.iter().enumerate();
    let lifted = scales.map(|(index, (_, map))| {
        assign_scale(map.clone(), pixels.clone().narrow(1, index, 1).squeeze_dim(1))
    });
    lifted.reduce(|sum, scale| sum + scale).expect("a valid preset has a scale")
}

/// Voxel features [C, N] of one scale from maps [V, C, h, w] and pixels [V, N, P].
///
/// Each view: the mean over the visible points of the pattern. Two views: cos(f0, f1) (f0 + f1) / 2
/// where both see the voxel, f / 2 where one does.
pub fn assign_scale(map: Tensor<4>, pixels: Tensor<3, Int>) -> Tensor<2> {
    let [views, _, _, _] = map.dims();
    let mut lifted = (0..views).map(|view| {
        let map = map.clone().narrow(0, view, 1).squeeze_dim::<3>(0);
        lift(map, pixels.clone().narrow(0, view, 1).squeeze_dim(0))
    });
    let (left, left_seen) = lifted.next().expect("a valid preset has a view");
    let Some((right, right_seen)) = lifted.next() else { return left };
    let agreement = cosine(left.clone(), right.clone());
    let both = left_seen * right_seen;
    // A view that does not see the voxel adds zeros: only where both see it does their agreement
    // count.
    let gain = (agreement - 1.0) * both + 1.0;
    (left + right) * gain / 2.0
}

/// Mean features [C, N] of one view, and 1 where it sees the voxel [1, N]. Points are added one by
/// one: [P, C, N] at once would be gigabytes.
fn lift(map: Tensor<3>, pixels: Tensor<2, Int>) -> (Tensor<2>, Tensor<2>) {
    let [channels, height, width] = map.dims();
    let [_, points] = pixels.dims();
    let invisible = i64::try_from(height * width).expect("a valid preset's maps are small");
    let nothing = Tensor::zeros([channels, 1], &map.device());
    let columns = Tensor::cat(vec![map.reshape([channels, height * width]), nothing], 1);
    let points = (0..points).map(|point| {
        let pixel = pixels.clone().narrow(1, point, 1).squeeze_dim::<1>(1);
        let visible = pixel.clone().lower_elem(invisible).float().unsqueeze::<2>();
        (columns.clone().select(1, pixel), visible)
    });
    let (sum, count) = points
        .reduce(|(sum, count), (features, visible)| (sum + features, count + visible))
        .expect("every sampling pattern has a point");
    (sum / count.clone().clamp_min(1.0), count.clamp_max(1.0))
}

/// Cosine similarity of the columns of [C, N], each norm at least [`COSINE_EPSILON`]: [1, N].
fn cosine(a: Tensor<2>, b: Tensor<2>) -> Tensor<2> {
    let norm = |x: Tensor<2>| x.powi_scalar(2).sum_dim(0).sqrt().clamp_min(COSINE_EPSILON);
    (a.clone() * b.clone()).sum_dim(0) / (norm(a) * norm(b))
}
