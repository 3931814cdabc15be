//! What a street promises: it follows from its seed, it goes on for ever, it shows every class.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod rigs;

use occdepth_geometry::voxel::VoxelGrid;
use occdepth_street::{Rendering, Street, StreetError, class};
use proptest::prelude::*;

fn render(seed: u64, time_s: f64) -> Rendering {
    let mut pair = Rendering::default();
    Street::new(seed, &rigs::rectified(160, 48)).unwrap().render(time_s, &mut pair);
    pair
}

#[test]
fn the_same_seed_is_the_same_street_whatever_was_shown_before() {
    let mut street = Street::new(9, &rigs::rectified(160, 48)).unwrap();
    let mut pair = Rendering::default();
    for time_s in [0.0, 77.7, 3.25] {
        street.render(time_s, &mut pair);
    }
    assert_eq!(pair, render(9, 3.25));
    assert_ne!(pair, render(10, 3.25));
    assert_ne!(pair, render(9, 3.35));
    assert_ne!(pair.left_rgb, pair.right_rgb);
}

#[test]
fn the_street_closes_on_itself() {
    // 1024 m at 8 m/s are 128 s. What moves has cycles of its own.
    let street = Street::new(6, &rigs::rectified(160, 48)).unwrap();
    let (mut first, mut second) = (Vec::new(), Vec::new());
    street.labels(20.0, &VoxelGrid::KITTI, &mut first);
    street.labels(148.0, &VoxelGrid::KITTI, &mut second);
    let moving = |label: u8| matches!(label, class::CAR | class::BICYCLIST | class::ROAD);
    let standing = first.iter().zip(&second).filter(|&(&a, &b)| !moving(a) && !moving(b));
    let (mut voxels, mut different) = (0, 0);
    for (a, b) in standing {
        voxels += usize::from(*a != class::EMPTY);
        different += usize::from(a != b);
    }
    assert!(voxels > 20_000, "{voxels}");
    assert_eq!(different, 0);
}

#[test]
fn every_class_but_the_motorcyclist_appears() {
    let street = Street::new(1, &rigs::rectified(160, 48)).unwrap();
    let mut seen = [false; 20];
    let mut labels = Vec::new();
    for second in (0..128).step_by(5) {
        street.labels(f64::from(second), &VoxelGrid::KITTI, &mut labels);
        for &label in &labels {
            seen[usize::from(label)] = true;
        }
    }
    let missing: Vec<usize> = (0..20).filter(|&class| !seen[class]).collect();
    assert_eq!(missing, [usize::from(class::MOTORCYCLIST)]);
}

#[test]
fn the_lane_ahead_of_the_ego_is_free() {
    // The ego's own lane is free for 8 m at any time.
    let street = Street::new(3, &rigs::rectified(160, 48)).unwrap();
    let grid = VoxelGrid::KITTI;
    let mut labels = Vec::new();
    for second in 0..40 {
        street.labels(f64::from(second) * 3.2, &grid, &mut labels);
        for x in 0..40 {
            for y in 124..132 {
                for z in 2..32 {
                    assert_eq!(labels[grid.index([x, y, z])], class::EMPTY, "{second} {x} {y} {z}");
                }
            }
        }
    }
}

#[test]
fn impossible_rigs_are_refused() {
    let mut low = rigs::rectified(160, 48);
    low.left_from_ego[(1, 3)] = -1.7;
    assert!(matches!(Street::new(1, &low), Err(StreetError::CameraHeight { camera: "left", .. })));
    let mut high = rigs::rectified(160, 48);
    high.right_from_left[(1, 3)] = 9.0;
    let error = Street::new(1, &high).unwrap_err();
    assert!(matches!(error, StreetError::CameraHeight { camera: "right", .. }));
    assert!(error.to_string().contains("m above the road"), "{error}");
    let mut empty = rigs::rectified(160, 48);
    empty.image_size.height = 0;
    assert_eq!(
        Street::new(1, &empty).unwrap_err(),
        StreetError::ImageSize { width: 160, height: 0 }
    );
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]

    #[test]
    fn any_seed_time_and_size_has_a_whole_picture(
        seed: u64,
        time_s in -1e6..1e6_f64,
        width in 1..90_u32,
        height in 1..50_u32,
    ) {
        let rig = rigs::rectified(width, height);
        let mut street = Street::new(seed, &rig).unwrap();
        let (mut pair, mut depth_m, mut classes) = (Rendering::default(), Vec::new(), Vec::new());
        street.render(time_s, &mut pair);
        street.left_depth_m(time_s, &mut depth_m);
        street.left_classes(time_s, &mut classes);
        let pixels = width as usize * height as usize;
        prop_assert_eq!(pair.left_rgb.len(), 3 * pixels);
        prop_assert_eq!(pair.right_rgb.len(), 3 * pixels);
        prop_assert_eq!(depth_m.len(), pixels);
        for (depth_m, class) in depth_m.into_iter().zip(classes) {
            prop_assert!((0.0..500.0).contains(&depth_m));
            prop_assert!(class < 20);
            prop_assert_eq!(depth_m == 0.0, class == class::EMPTY);
        }
    }
}
