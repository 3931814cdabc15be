//! Voxel grids: indices, positions, coarser grids, and what is refused.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use occdepth_geometry::voxel::{VoxelGrid, VoxelGridError};
use proptest::prelude::*;

fn grids() -> impl Strategy<Value = VoxelGrid> {
    (prop::array::uniform3(-50.0..50.0), 0.01..5.0, prop::array::uniform3(1_u32..40)).prop_map(
        |(origin_m, voxel_size_m, dims)| VoxelGrid::new(origin_m, voxel_size_m, dims).unwrap(),
    )
}

#[test]
fn the_kitti_grid_covers_the_benchmark_volume() {
    let grid = VoxelGrid::KITTI;
    grid.validate().unwrap();
    assert_eq!(grid.voxel_count(), 2_097_152);
    let far = grid.centre_m([255, 255, 31]);
    for (found, expected) in far.into_iter().zip([51.1, 25.5, 4.3]) {
        assert!((found - expected).abs() < 1e-9, "{found} {expected}");
    }
    assert_eq!(grid.voxel_at([51.3, 0.0, 0.0]), None);
    assert_eq!(grid.voxel_at([-0.1, 0.0, 0.0]), None);
    assert_eq!(grid.voxel_at([f64::NAN, 0.0, 0.0]), None);
}

#[test]
fn coarser_grids_keep_origin_and_volume() {
    let coarse = VoxelGrid::KITTI.coarsened(8).unwrap();
    assert_eq!(coarse, VoxelGrid::new([0.0, -25.6, -2.0], 1.6, [32, 32, 4]).unwrap());
    let nyu = VoxelGrid::nyu([0.1, 0.2, 0.3]).unwrap();
    assert_eq!(nyu.coarsened(1), Ok(nyu));
    assert_eq!(nyu.coarsened(6).unwrap().dims, [10, 10, 6]);
}

#[test]
fn what_cannot_be_is_refused_by_field() {
    let new = VoxelGrid::new;
    let refused = |grid: Result<VoxelGrid, VoxelGridError>| grid.unwrap_err().to_string();
    assert!(refused(new([0.0, f64::NAN, 0.0], 0.2, [1; 3])).starts_with("origin_m: "));
    assert!(refused(VoxelGrid::nyu([f64::INFINITY, 0.0, 0.0])).starts_with("origin_m: "));
    for size in [0.0, -0.2, f64::NAN, f64::INFINITY] {
        assert!(refused(new([0.0; 3], size, [1; 3])).starts_with("voxel_size_m: "));
    }
    for dims in [[0, 1, 1], [1, 1, 0], [u32::MAX; 3], [1 << 11, 1 << 10, 1 << 10]] {
        assert_eq!(new([0.0; 3], 0.2, dims), Err(VoxelGridError::Dims { found: dims }));
    }
    for scale in [0, 3, 64] {
        let error = VoxelGridError::Scale { found: scale, dims: [256, 256, 32] };
        assert_eq!(VoxelGrid::KITTI.coarsened(scale), Err(error));
    }
}

#[test]
fn unknown_fields_are_refused() {
    let text = "origin_m = [0.0, 0.0, 0.0]\nvoxel_size_m = 0.2\ndims = [1, 2, 3]\n";
    assert!(toml::from_str::<VoxelGrid>(text).is_ok());
    assert!(toml::from_str::<VoxelGrid>(&format!("{text}voxels = 6\n")).is_err());
}

proptest! {
    #[test]
    fn index_and_voxel_are_inverse(grid in grids(), share in 0.0..1.0) {
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "below the count")]
        let index = (share * grid.voxel_count() as f64) as usize;
        let voxel = grid.voxel(index).unwrap();
        prop_assert_eq!(grid.index(voxel), index);
        prop_assert!(voxel.iter().zip(grid.dims).all(|(&position, dim)| position < dim));
        prop_assert_eq!(grid.voxel(grid.voxel_count()), None);
    }

    #[test]
    fn the_centre_of_a_voxel_is_in_it(grid in grids(), share in prop::array::uniform3(0.0..1.0)) {
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "below the dimension")]
        let voxel = std::array::from_fn(|axis| (share[axis] * f64::from(grid.dims[axis])) as u32);
        prop_assert_eq!(grid.voxel_at(grid.centre_m(voxel)), Some(voxel));
    }

    #[test]
    fn a_coarser_voxel_holds_the_voxels_it_replaces(
        coarse in prop::array::uniform3(1_u32..10),
        scale in 1_u32..5,
        share in prop::array::uniform3(0.0..1.0),
    ) {
        let grid = VoxelGrid::new([-3.0, 1.0, 0.5], 0.3, coarse.map(|dim| dim * scale)).unwrap();
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "below the dimension")]
        let voxel = std::array::from_fn(|axis| (share[axis] * f64::from(grid.dims[axis])) as u32);
        let coarser = grid.coarsened(scale).unwrap();
        let found = coarser.voxel_at(grid.centre_m(voxel));
        prop_assert_eq!(found, Some(voxel.map(|position| position / scale)));
    }
}
