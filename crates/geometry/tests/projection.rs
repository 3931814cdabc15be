//! The projection of voxels into images is that of the published data pipeline, to the last pixel.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod golden;

use golden::{Golden, packbits, values};
use nalgebra::{Matrix3, Matrix4};
use occdepth_geometry::{
    ImageSize,
    projection::{
        Arithmetic, FeatureMap, Projected, Projector, SamplingPattern, sampling_centre_m,
    },
    voxel::VoxelGrid,
};
use proptest::prelude::*;

const KITTI_IMAGE: ImageSize = ImageSize { width: 1220, height: 370 };
const NYU_IMAGE: ImageSize = ImageSize { width: 640, height: 480 };

fn kitti_projector(golden: &Golden, camera: usize) -> Projector {
    let k = Matrix3::from_row_slice(&golden.f64("cam_k")[camera * 9..][..9]);
    let pose = Matrix4::from_row_slice(&golden.f64("T_velo_2_cam")[camera * 16..][..16]);
    Projector::new(&k, &pose, Arithmetic::Double)
}

fn project(grid: &VoxelGrid, projector: &Projector) -> Vec<Projected> {
    (0..grid.voxel_count())
        .map(|index| projector.project(sampling_centre_m(grid, grid.voxel(index).unwrap())))
        .collect()
}

fn crc32_of_pixels(projected: &[Projected]) -> u32 {
    let bytes: Vec<u8> =
        projected.iter().flat_map(Projected::pixel).flat_map(i64::to_le_bytes).collect();
    crc32fast::hash(&bytes)
}

fn in_view(projected: &[Projected], pattern: SamplingPattern, image: ImageSize) -> Vec<bool> {
    projected
        .iter()
        .flat_map(|point| point.visible(pattern, image))
        .map(|pixel| pixel.is_some())
        .collect()
}

#[test]
fn every_pattern_samples_the_published_pixels() {
    let Some(golden) =
        Golden::open("every_pattern_samples_the_published_pixels", "data_vox2pix.safetensors")
    else {
        return;
    };
    let values = values("every_pattern_samples_the_published_pixels").unwrap();
    let grid = VoxelGrid::KITTI.coarsened(8).unwrap();
    let projected = project(&grid, &kitti_projector(&golden, 0));
    for id in 0..=8 {
        let key = format!("coarse.pattern{id}");
        let pattern = SamplingPattern::new(id).unwrap();
        let pixels: Vec<i64> = projected
            .iter()
            .flat_map(|point| {
                let [x, y] = point.pixel();
                pattern
                    .offsets()
                    .iter()
                    .flat_map(move |&[dx, dy]| [x + i64::from(dx), y + i64::from(dy)])
            })
            .collect();
        let expected = golden.i32(&format!("{key}.projected_pix"));
        assert_eq!(pixels, expected.into_iter().map(i64::from).collect::<Vec<_>>(), "{key}");

        let in_view = in_view(&projected, pattern, KITTI_IMAGE);
        assert_eq!(packbits(&in_view), golden.u8(&format!("{key}.fov_mask")), "{key}");
        let count = in_view.iter().filter(|&&visible| visible).count();
        assert_eq!(values[&key]["fov_count"], count, "{key}");
        assert_eq!(values[&key]["n_points"], pattern.offsets().len(), "{key}");
    }
    for (point, z_m) in projected.iter().zip(golden.f64("coarse.pix_z")) {
        assert!((point.z_m - z_m).abs() < 1e-12);
    }
}

#[test]
fn all_voxels_of_both_cameras_fall_on_the_published_pixels() {
    let name = "all_voxels_of_both_cameras_fall_on_the_published_pixels";
    let Some(golden) = Golden::open(name, "data_vox2pix.safetensors") else { return };
    let values = values(name).unwrap();
    for (camera, scale) in [(0, 1), (0, 2), (1, 1), (1, 2)] {
        let key = format!("full.cam{camera}.scale{scale}");
        let grid = VoxelGrid::KITTI.coarsened(scale).unwrap();
        let projected = project(&grid, &kitti_projector(&golden, camera));
        assert_eq!(values[&key]["N"], projected.len());

        let sampled: Vec<_> = projected.iter().step_by(997).collect();
        let pixels: Vec<i64> = sampled.iter().flat_map(|point| point.pixel()).collect();
        assert_eq!(pixels, golden.i64(&format!("{key}.pix_every997")), "{key}");
        for (point, z_m) in sampled.iter().zip(golden.f64(&format!("{key}.z_every997"))) {
            assert!((point.z_m - z_m).abs() < 1e-12, "{key}");
        }
        assert_eq!(values[&key]["crc32_pix_int64_le"], crc32_of_pixels(&projected), "{key}");
        let all = projected.iter().flat_map(Projected::pixel);
        assert_eq!(values[&key]["pix_min"], all.clone().min().unwrap(), "{key}");
        assert_eq!(values[&key]["pix_max"], all.max().unwrap(), "{key}");

        let in_view = in_view(&projected, SamplingPattern::new(0).unwrap(), KITTI_IMAGE);
        let seen = |index: usize| u8::from(in_view[index]);
        let every_997: Vec<u8> = (0..in_view.len()).step_by(997).map(seen).collect();
        assert_eq!(every_997, golden.u8(&format!("{key}.fov_every997")), "{key}");
        let count = in_view.iter().filter(|&&visible| visible).count();
        assert_eq!(values[&key]["fov_count"], count, "{key}");
        let crc32 = crc32fast::hash(&packbits(&in_view));
        assert_eq!(values[&key]["crc32_fov_packbits"], crc32, "{key}");
    }
}

#[test]
fn nyu_voxels_fall_on_the_published_pixels_in_single_precision() {
    let name = "nyu_voxels_fall_on_the_published_pixels_in_single_precision";
    let Some(golden) = Golden::open(name, "data_vox2pix.safetensors") else { return };
    let values = values(name).unwrap();
    let origin_m: Vec<f64> = golden.f32("nyu.vox_origin").into_iter().map(f64::from).collect();
    let grid = VoxelGrid::nyu(origin_m.try_into().unwrap()).unwrap();
    let k = Matrix3::from_row_slice(&golden.f64("nyu.cam_k"));
    let pose = Matrix4::from_row_slice(&golden.f32("nyu.T")).map(f64::from);
    let projected = project(&grid, &Projector::new(&k, &pose, Arithmetic::Single));
    let pixels: Vec<i64> = projected.iter().step_by(97).flat_map(Projected::pixel).collect();
    assert_eq!(pixels, golden.i64("nyu.pix_every97"));
    assert_eq!(values["nyu.full"]["crc32_pix_int64_le"], crc32_of_pixels(&projected));
    for (point, z_m) in projected.iter().step_by(97).zip(golden.f32("nyu.z_every97")) {
        assert!((point.z_m - f64::from(z_m)).abs() < 1e-6);
    }
    let in_view = in_view(&projected, SamplingPattern::new(0).unwrap(), NYU_IMAGE);
    assert_eq!(values["nyu.full"]["fov_count"], in_view.iter().filter(|&&seen| seen).count());
    let every_97: Vec<u8> = in_view.iter().step_by(97).map(|&seen| u8::from(seen)).collect();
    assert_eq!(every_97, golden.u8("nyu.fov_every97"));
}

#[test]
fn patterns_beyond_8_are_refused() {
    for id in 9..=u8::MAX {
        let error = SamplingPattern::new(id).unwrap_err();
        assert_eq!(error.to_string(), format!("pattern: expected an id from 0 to 8, found {id}"));
    }
}

proptest! {
    /// Against the pinhole equations in their plain form.
    #[test]
    fn a_point_projects_by_the_pinhole_equations(
        point_m in prop::array::uniform3(-20.0_f32..20.0),
        yaw in -3.0..3.0_f64,
        translation_m in prop::array::uniform3(-5.0..5.0_f64),
    ) {
        let k = Matrix3::new(500.0, 0.0, 320.5, 0.0, 510.0, 240.25, 0.0, 0.0, 1.0);
        let rotation = nalgebra::Rotation3::from_euler_angles(0.1, 0.2, yaw);
        let mut pose = rotation.to_homogeneous();
        pose.fixed_view_mut::<3, 1>(0, 3).copy_from_slice(&translation_m);
        let camera = rotation * nalgebra::Vector3::from(point_m.map(f64::from))
            + nalgebra::Vector3::from(translation_m);
        prop_assume!(camera.z.abs() > 0.1);
        let pixel = k * camera / camera.z;
        for (arithmetic, tolerance) in [(Arithmetic::Double, 1e-9), (Arithmetic::Single, 1e-3)] {
            let found = Projector::new(&k, &pose, arithmetic).project(point_m);
            let near = |found: f64, expected: f64| {
                (found - expected).abs() <= tolerance * expected.abs().max(100.0)
            };
            prop_assert!(near(found.u_px, pixel.x) && near(found.v_px, pixel.y), "{found:?} {pixel}");
            prop_assert!(near(found.z_m, camera.z));
        }
    }

    #[test]
    fn a_visible_point_is_inside_of_every_map(
        u_px in prop::num::f64::ANY,
        v_px in prop::num::f64::ANY,
        z_m in prop::num::f64::ANY,
        near_px in prop::array::uniform2(-10.0..110.0_f64),
        width in 1_u32..100,
        height in 1_u32..100,
        scale in 1_u32..20,
        id in 0_u8..=8,
    ) {
        let image = ImageSize { width, height };
        let map = FeatureMap::new(image, scale);
        prop_assert!(map.size().width * scale >= width && (map.size().width - 1) * scale < width);
        prop_assert!(map.size().height * scale >= height && (map.size().height - 1) * scale < height);
        let near = Projected { u_px: near_px[0], v_px: near_px[1], z_m };
        for projected in [Projected { u_px, v_px, z_m }, near] {
            let pattern = SamplingPattern::new(id).unwrap();
            for [x, y] in projected.visible(pattern, image).flatten() {
                prop_assert!(z_m > 0.0 && x < width && y < height);
                let entry = map.entry([x, y]);
                prop_assert!(entry < map.invisible());
                prop_assert_eq!(entry % map.size().width, x / scale);
                prop_assert_eq!(entry / map.size().width, y / scale);
            }
        }
    }
}

/// Near depth zero, pixels do not fit into 32 bits, and some not into 64.
#[test]
fn pixels_near_depth_zero_are_not_visible() {
    let image = ImageSize { width: 100, height: 100 };
    let pattern = SamplingPattern::new(8).unwrap();
    // 2^32 + 7 and -2^32 + 7 would be pixel 7 in 32 bits.
    for u_px in [4_294_967_303.0, -4_294_967_289.0, 1e300, f64::INFINITY, f64::NEG_INFINITY] {
        for z_m in [1e-9, 1.0] {
            let projected = Projected { u_px, v_px: 50.0, z_m };
            assert!(projected.visible(pattern, image).all(|pixel| pixel.is_none()));
        }
    }
}

#[test]
fn only_points_inside_of_the_image_and_before_the_camera_are_visible() {
    let image = ImageSize { width: 100, height: 53 };
    let cross = SamplingPattern::new(1).unwrap();
    // Halves round to even: the pixel is (0, 52), in the lower left corner.
    let visible = |z_m| -> Vec<_> {
        Projected { u_px: 0.5, v_px: 51.5, z_m }.visible(cross, image).collect()
    };
    let corner = [Some([0, 52]), Some([0, 51]), None, Some([1, 52]), None];
    assert_eq!(visible(1e-3), corner);
    assert_eq!(visible(0.0), [None; 5]);
    assert_eq!(visible(-1.0), [None; 5]);
    assert_eq!(visible(f64::NAN), [None; 5]);
}
