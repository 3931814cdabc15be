//! Depth bins and the sampling of the depth volume are those of the published network.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod golden;

use golden::{Golden, values};
use nalgebra::{Matrix3, Matrix4};
use occdepth_geometry::{
    ImageSize,
    depth::{BinMode, Corners, DepthBins, DepthVolume},
    projection::{Arithmetic, Projector, sampling_centre_m},
    voxel::VoxelGrid,
};
use proptest::prelude::*;

#[test]
fn bins_are_the_published_ones() {
    let Some(golden) = Golden::open("bins_are_the_published_ones", "data_bin_depths.safetensors")
    else {
        return;
    };
    let depth_m = golden.f32("depth");
    for (mode, key) in [(BinMode::Ud, "UD"), (BinMode::Lid, "LID"), (BinMode::Sid, "SID")] {
        let bins = DepthBins { mode, ..DepthBins::KITTI };
        let numbers = golden.f32(&format!("{key}.target0"));
        let labels = golden.i64(&format!("{key}.target1"));
        for ((&depth_m, number), label) in depth_m.iter().zip(numbers).zip(labels) {
            let found = bins.bin(depth_m);
            assert_eq!(found.is_nan(), number.is_nan(), "{key} of {depth_m} m");
            if found.is_finite() {
                let error = (found - number).abs();
                assert!(
                    error <= 4.0 * f32::EPSILON * number.abs().max(1.0),
                    "{key} of {depth_m} m: {found} {number}"
                );
            }
            assert_eq!(i64::from(bins.label(depth_m)), label, "{key} of {depth_m} m");
        }
    }
}

/// Position in cells from a coordinate that `grid_sample` takes, -1 to 1 from border to border
/// (`align_corners = false`).
fn cells_from_normalised(normalised: f32, cells: u32) -> f64 {
    ((f64::from(normalised) + 1.0) * f64::from(cells) - 1.0) / 2.0
}

#[test]
fn sampling_positions_are_the_published_grid() {
    let name = "sampling_positions_are_the_published_grid";
    let Some(golden) = Golden::open(name, "data_frustum_grid.safetensors") else { return };
    let cameras = Golden::open(name, "data_vox2pix.safetensors").unwrap();
    let values = values(name).unwrap();
    let image = ImageSize { width: 1220, height: 370 };
    let volume = DepthVolume { bins: DepthBins::KITTI, sampling_size: image };
    let shape = volume.shape(image);
    assert_eq!(shape, [104, 47, 153]);
    let grid = VoxelGrid::KITTI.coarsened(2).unwrap();

    for (camera, flip) in [(0, 0), (0, 1), (1, 0), (1, 1)] {
        let mut k = Matrix3::from_row_slice(&cameras.f64("cam_k")[camera * 9..][..9]);
        if flip == 1 {
            // The published augmentation matrix takes u to W - u.
            k[(0, 0)] = -k[(0, 0)];
            k[(0, 2)] = f64::from(image.width) - k[(0, 2)];
        }
        let pose = Matrix4::from_row_slice(&cameras.f64("T_velo_2_cam")[camera * 16..][..16]);
        let projector = Projector::new(&k, &pose, Arithmetic::Double);
        let position =
            |voxel| volume.position(&projector.project(sampling_centre_m(&grid, voxel)), shape);

        let expected = golden.f32(&format!("grid.cam{camera}.flip{flip}.sub"));
        let mut expected = expected.as_chunks::<3>().0.iter();
        for ix in (0..128).step_by(5) {
            for iy in (0..128).step_by(7) {
                for iz in (0..16).step_by(3) {
                    let found = position([ix, iy, iz]);
                    let expected = expected.next().unwrap();
                    if expected.iter().all(|&coordinate| coordinate.total_cmp(&-2.0).is_eq()) {
                        assert!(found.iter().any(|coordinate| !coordinate.is_finite()));
                        continue;
                    }
                    for (axis, cells) in [shape[2], shape[1], shape[0]].into_iter().enumerate() {
                        let expected = cells_from_normalised(expected[axis], cells);
                        let error = (found[axis] - expected).abs();
                        assert!(error <= 2e-5 * expected.abs().max(10.0), "{found:?} {expected}");
                    }
                }
            }
        }
        assert!(expected.next().is_none());

        let positions: Vec<_> =
            (0..grid.voxel_count()).map(|index| position(grid.voxel(index).unwrap())).collect();
        let nowhere = |position: &&[f64; 3]| !position.iter().all(|value| value.is_finite());
        let key = format!("grid.cam{camera}.flip{flip}");
        assert_eq!(values[&key]["n_any"], positions.iter().filter(nowhere).count());
        let inside = |position: &&[f64; 3]| {
            [shape[2], shape[1], shape[0]]
                .into_iter()
                .zip(**position)
                .all(|(cells, value)| value >= -0.5 && value <= f64::from(cells) - 0.5)
        };
        assert_eq!(values[&key]["n_inside_unit_cube"], positions.iter().filter(inside).count());
    }
}

/// Every voxel of the small network's projection grid, in both views.
#[test]
fn sampling_positions_of_the_small_network_are_the_published_grids() {
    let name = "sampling_positions_of_the_small_network_are_the_published_grids";
    let Some(cameras) = Golden::open(name, "kitti_tiny_inputs.safetensors") else { return };
    let network = Golden::open(name, "kitti_tiny_eval.safetensors").unwrap();
    let image = ImageSize { width: 320, height: 96 };
    let volume = DepthVolume { bins: DepthBins::KITTI, sampling_size: image };
    let shape = volume.shape(image);
    let grid = VoxelGrid::new([0.0, -8.0, -2.0], 0.8, [32, 20, 8]).unwrap();
    for camera in 0..2 {
        let k = Matrix3::from_row_slice(&cameras.f64("cam_k")[camera * 9..][..9]);
        let pose = Matrix4::from_row_slice(&cameras.f64("T_velo_2_cam")[camera * 16..][..16]);
        let projector = Projector::new(&k, &pose, Arithmetic::Double);
        let expected = network.f32(&format!("depth.grid.cam{camera}"));
        let (expected, rest) = expected.as_chunks::<3>();
        assert!(rest.is_empty() && expected.len() == grid.voxel_count());
        let mut compared = 0;
        for (index, expected) in expected.iter().enumerate() {
            let centre = sampling_centre_m(&grid, grid.voxel(index).unwrap());
            let found = volume.position(&projector.project(centre), shape);
            if expected.iter().all(|&coordinate| coordinate.total_cmp(&-2.0).is_eq()) {
                assert!(found.iter().any(|coordinate| !coordinate.is_finite()));
                continue;
            }
            for (axis, cells) in [shape[2], shape[1], shape[0]].into_iter().enumerate() {
                let expected = cells_from_normalised(expected[axis], cells);
                let error = (found[axis] - expected).abs();
                assert!(error <= 2e-5 * expected.abs().max(10.0), "{found:?} {expected}");
            }
            compared += 1;
        }
        assert!(compared * 2 > grid.voxel_count(), "{compared}");
    }
}

#[test]
fn bins_and_volumes_that_cannot_be_are_refused_by_field() {
    let refused = |bins: DepthBins| bins.validate().unwrap_err().to_string();
    for min_m in [-1.0, f64::NAN, f64::INFINITY] {
        assert!(refused(DepthBins { min_m, ..DepthBins::KITTI }).starts_with("depth.bins.min_m: "));
    }
    for max_m in [2.0, 1.0, f64::NAN, f64::INFINITY] {
        assert!(refused(DepthBins { max_m, ..DepthBins::KITTI }).starts_with("depth.bins.max_m: "));
    }
    for count in [0, 1] {
        assert!(refused(DepthBins { count, ..DepthBins::KITTI }).starts_with("depth.bins.count: "));
    }
    DepthBins::KITTI.validate().unwrap();
    for (width, height) in [(1, 370), (1220, 0)] {
        let sampling_size = ImageSize { width, height };
        let error = DepthVolume { bins: DepthBins::KITTI, sampling_size }.validate().unwrap_err();
        assert!(error.to_string().starts_with("depth.sampling_size: "));
    }
}

proptest! {
    /// The edges of bin i, from the definition of each spacing.
    #[test]
    fn bins_invert_their_edges(
        min_m in 0.1..5.0_f64,
        range_m in 1.0..100.0_f64,
        count in 2_u32..200,
        share in 0.0..1.0_f64,
    ) {
        let i = share * f64::from(count);
        let d = f64::from(count);
        let max_m = min_m + range_m;
        let edges_m = [
            (BinMode::Ud, min_m + range_m * i / d),
            (BinMode::Lid, min_m + range_m * i * (i + 1.0) / (d * (d + 1.0))),
            (BinMode::Sid, (1.0 + min_m) * ((1.0 + max_m) / (1.0 + min_m)).powf(i / d) - 1.0),
        ];
        for (mode, edge_m) in edges_m {
            let bins = DepthBins { mode, min_m, max_m, count };
            #[allow(clippy::cast_possible_truncation, reason = "depths are f32")]
            let bin = f64::from(bins.bin(edge_m as f32));
            prop_assert!((bin - i).abs() < 2e-3 * i.max(1.0), "{mode:?}: {bin}, expected {i}");
        }
    }

    #[test]
    fn labels_are_bins_or_none(
        mode in prop::sample::select(vec![BinMode::Ud, BinMode::Lid, BinMode::Sid]),
        depth_m in prop::num::f32::ANY,
    ) {
        let bins = DepthBins { mode, ..DepthBins::KITTI };
        let label = bins.label(depth_m);
        prop_assert!(label <= bins.count);
        // A millimetre is wider than the rounding of the edges.
        if (2.001..53.999).contains(&depth_m) {
            prop_assert!(label < bins.count);
        }
        if !(1.999..54.001).contains(&depth_m) {
            prop_assert_eq!(label, bins.count);
        }
    }

    /// A trilinear sample of a linear function is the function at the position.
    #[test]
    fn corners_reproduce_linear_functions(
        shape in prop::array::uniform3(2_u32..30),
        share in prop::array::uniform3(0.0..1.0),
        slope in prop::array::uniform3(-3.0..3.0),
    ) {
        let [depth, height, width] = shape;
        let cells = [width, height, depth];
        let position: [f64; 3] = std::array::from_fn(|axis| share[axis] * f64::from(cells[axis] - 1));
        let corners = Corners::around(position, shape);
        let mut sum = 0.0;
        for (&index, &weight) in corners.index.iter().zip(&corners.weight) {
            let index = u32::try_from(index).unwrap();
            let cell = [index % width, index / width % height, index / width / height];
            let value: f64 = (0..3).map(|axis| slope[axis] * f64::from(cell[axis])).sum();
            sum += f64::from(weight) * value;
        }
        let expected: f64 = (0..3).map(|axis| slope[axis] * position[axis]).sum();
        prop_assert!((sum - expected).abs() < 1e-4, "{sum}, expected {expected}");
        let total: f32 = corners.weight.iter().sum();
        prop_assert!((total - 1.0).abs() < 1e-6);
    }

    /// Corner 4 dz + 2 dy + dx lies at floor + (dx, dy, dz).
    #[test]
    fn corners_are_in_the_documented_order(
        cell in prop::array::uniform3(0_u32..9),
        share in prop::array::uniform3(0.01..0.99),
    ) {
        let position = std::array::from_fn(|axis| f64::from(cell[axis]) + share[axis]);
        let corners = Corners::around(position, [10, 10, 10]);
        for corner in 0..8_u32 {
            let [x, y, z] = [cell[0] + (corner & 1), cell[1] + (corner >> 1 & 1), cell[2] + (corner >> 2)];
            prop_assert_eq!(corners.index[corner as usize], ((z * 10 + y) * 10 + x).cast_signed());
        }
    }

    #[test]
    fn indices_are_always_inside_and_weights_never_negative(
        shape in prop::array::uniform3(1_u32..30),
        anywhere in prop::array::uniform3(prop::num::f64::ANY),
        nearby in prop::array::uniform3(-3.0..33.0),
    ) {
        let cells: u32 = shape.iter().product();
        for position in [anywhere, nearby] {
            let corners = Corners::around(position, shape);
            for (&index, &weight) in corners.index.iter().zip(&corners.weight) {
                prop_assert!(u32::try_from(index).unwrap() < cells);
                prop_assert!((0.0..=1.0).contains(&weight));
            }
            if position.iter().any(|coordinate| !coordinate.is_finite()) {
                prop_assert_eq!(corners, Corners::NONE);
            }
        }
    }
}
