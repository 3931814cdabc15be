//! Virtual stereo: the features of a right view that is not there, from those of the left one and a
//! depth image (published for `NYUv2`).

use burn::tensor::{Int, Tensor};

use super::{
    decoder::Features,
    inputs::Rgbd,
    resample::{Alignment, resample},
};

/// The features of both views [2, C, h, w] at every scale from those of one [1, C, h, w].
pub fn with_right_view(left: &Features, rgbd: &Rgbd) -> Features {
    let scales = left.scales.iter().map(|(scale, map)| {
        let right = right_view(map.clone(), *scale, rgbd);
        (*scale, Tensor::cat(vec![map.clone(), right], 0))
    });
    Features { scales: scales.collect() }
}

/// The right view's map [1, C, h, w] at `1 / scale`.
///
/// Column i of row j is the left map at column i + d - 1/2 and row j - 1/2, bilinearly and with the
/// edge continued, where d = (baseline * focal length / scale) / depth is the disparity in cells of
/// this map: the published code states the left and upper edges of the cells as the places to sample,
/// and samples as if they were the middles. A depth of zero (nothing measured) is no disparity;
/// one below zero, which a depth camera does not deliver but the published inputs have, moves to the left
/// and ends at the edge.
///
/// The published grid has one cell too many for some sizes (49, 98, 237 ...), where that code fails;
/// here every size works.
pub fn right_view(map: Tensor<4>, scale: u32, rgbd: &Rgbd) -> Tensor<4> {
    let [_, channels, height, width] = map.dims();
    let depth_m = resample(rgbd.depth_m.clone(), height, width, Alignment::Areas);
    let depth_m = depth_m.reshape([height, width]);
    let nothing = depth_m.clone().equal_elem(0.0);
    let disparity = rgbd.baseline_focal.clone().unsqueeze::<2>() / scale / depth_m;
    let disparity = disparity.mask_fill(nothing, 0.0);

    // Rows j - 1 and j in equal parts; the row before the first is the first.
    let first = map.clone().narrow(2, 0, 1);
    let above = Tensor::cat(vec![first, map.clone().narrow(2, 0, height - 1)], 2);
    let rows = (above + map) / 2.0;

    let columns = Tensor::<1, Int>::arange(0..count(width), &rows.device()).float();
    let x = (columns.unsqueeze::<2>() - 0.5 + disparity).clamp(0.0, (count(width) - 1) as f64);
    let left = x.clone().floor();
    let share = (x - left.clone()).unsqueeze::<4>();
    let left = left.int();
    let right = (left.clone() + 1).clamp_max(count(width) - 1);
    let gather = |column: Tensor<2, Int>| {
        let index = column.unsqueeze::<4>().expand([1, channels, height, width]);
        rows.clone().gather(3, index)
    };
    gather(left) * (share.clone().neg() + 1.0) + gather(right) * share
}

fn count(n: usize) -> i64 {
    i64::try_from(n).expect("a valid preset's maps are small")
}
