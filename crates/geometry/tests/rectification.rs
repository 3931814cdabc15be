//! Stereo rectification against `OpenCV` 5.0: values in `../shared/golden/rectification`, and values below.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod golden;
mod rigs;

use nalgebra::{Matrix3, Matrix4, Vector3, Vector4};
use occdepth_geometry::{
    ImageSize,
    camera::{Camera, Distortion, Intrinsics},
    rectification::{Crop, RectificationError, RemapTable, StereoRectification},
    rig::StereoRig,
};
use proptest::prelude::*;
use serde_json::Value;

#[test]
fn a_chessboard_rig_is_rectified_as_by_opencv() {
    for file in ["chessboard_alpha_-1.json", "chessboard_alpha_0.json"] {
        agrees_with_golden("a_chessboard_rig_is_rectified_as_by_opencv", file);
    }
}

#[test]
fn a_drone_rig_is_rectified_as_by_opencv() {
    agrees_with_golden("a_drone_rig_is_rectified_as_by_opencv", "euroc_alpha_-1.json");
}

#[test]
fn a_fisheye_rig_is_rectified_as_by_opencv() {
    agrees_with_golden("a_fisheye_rig_is_rectified_as_by_opencv", "tumvi_kb4.json");
}

/// focal length, cx, cy and P2's last entry, by `OpenCV` 5.0 for `rigs::pinholes()`.
#[test]
fn every_alpha_and_size_gives_opencvs_camera() {
    let rig = rigs::pinholes();
    let (same, wide, small) = ((800, 600), (1024, 600), (640, 360));
    for (alpha, size, expected) in [
        (
            -1.0,
            same,
            [516.5, 385.868_133_544_921_9, 296.367_847_442_626_95, -129.178_704_831_717_5],
        ),
        (
            0.0,
            same,
            [
                471.994_687_548_165_2,
                385.868_133_544_921_9,
                296.367_847_442_626_95,
                -118.047_749_128_602_45,
            ],
        ),
        (
            0.5,
            same,
            [
                410.271_087_879_218_2,
                385.868_133_544_921_9,
                296.367_847_442_626_95,
                -102.610_431_291_649_89,
            ],
        ),
        (
            1.0,
            same,
            [
                348.547_488_210_271_3,
                385.868_133_544_921_9,
                296.367_847_442_626_95,
                -87.173_113_454_697_33,
            ],
        ),
        (
            1.0,
            small,
            [
                208.439_134_393_898,
                313.056_704_711_914_05,
                178.572_425_079_345_7,
                -52.131_456_761_370_856,
            ],
        ),
        (
            0.0,
            wide,
            [
                560.770_788_621_172_5,
                493.911_210_937_5,
                296.367_847_442_626_95,
                -140.251_005_191_759_73,
            ],
        ),
        (
            -1.0,
            small,
            [309.9, 313.056_704_711_914_05, 178.572_425_079_345_7, -77.507_222_899_030_51],
        ),
    ] {
        camera_is(&rig, Crop::Alpha(alpha), size, expected);
    }
    // Source pixels of the last of these rectified cameras' left image.
    let rectification = StereoRectification::new(&rig, Crop::Alpha(-1.0), pixels(small)).unwrap();
    entries_are(
        &rectification.left_map(&rig),
        [
            (0, 0, [1.708_692_669_868_469_2, 82.207_580_566_406_25]),
            (639, 0, [799.927_185_058_593_8, 61.584_083_557_128_906]),
            (320, 180, [414.591_003_417_968_75, 295.224_822_998_046_9]),
            (100, 300, [104.375_068_664_550_78, 473.867_645_263_671_9]),
            (639, 359, [815.480_041_503_906_2, 502.900_665_283_203_1]),
        ],
    );
}

/// The same for `rigs::fisheyes()`.
#[test]
fn every_balance_and_size_gives_opencvs_camera() {
    let rig = rigs::fisheyes();
    let (same, small) = ((800, 600), (640, 360));
    for (balance, size, expected) in [
        (
            0.0,
            same,
            [
                200.513_796_542_091_77,
                377.346_003_703_866_13,
                299.759_934_199_647_3,
                -50.149_298_234_652_335,
            ],
        ),
        (
            0.5,
            same,
            [
                150.617_091_002_791_85,
                383.022_961_949_048_4,
                299.788_736_989_099_3,
                -37.669_933_671_368_02,
            ],
        ),
        (
            1.0,
            same,
            [
                100.720_385_463_491_94,
                388.699_920_194_230_7,
                299.817_539_778_551_24,
                -25.190_569_108_083_71,
            ],
        ),
        (
            0.3,
            small,
            [
                102.345_463_931_107_06,
                304.601_742_920_780_4,
                179.866_329_523_991_06,
                -25.597_007_698_009_044,
            ],
        ),
    ] {
        camera_is(&rig, Crop::Balance(balance), size, expected);
    }
    let rectification = StereoRectification::new(&rig, Crop::Balance(0.3), pixels(small)).unwrap();
    entries_are(
        &rectification.right_map(&rig),
        [
            (0, 0, [48.801_582_336_425_78, 104.091_552_734_375]),
            (639, 0, [741.004_699_707_031_2, 108.286_003_112_792_97]),
            (320, 180, [435.459_075_927_734_4, 300.890_747_070_312_5]),
            (100, 300, [89.211_502_075_195_31, 488.793_395_996_093_75]),
            (639, 359, [746.115_173_339_843_8, 484.027_740_478_515_6]),
        ],
    );
}

fn camera_is(rig: &StereoRig, crop: Crop, size: (u32, u32), expected: [f64; 4]) {
    let StereoRectification { p1, p2, q, .. } =
        StereoRectification::new(rig, crop, pixels(size)).unwrap();
    for (found, expected) in [p1.m11, p1.m13, p1.m23, p2.m14].iter().zip(&expected) {
        assert!((found - expected).abs() < 1e-6, "{crop:?} {size:?}: {found} {expected}");
    }
    assert_eq!(p1.fixed_view::<3, 3>(0, 0), p2.fixed_view::<3, 3>(0, 0));
    assert!((q.m43 - 3.998_337_037_616_611).abs() < 1e-6, "{}", q.m43);
}

fn entries_are<const N: usize>(map: &RemapTable, expected: [(u32, u32, [f64; 2]); N]) {
    for (u, v, expected) in expected {
        let found = map.source[(v * map.size.width + u) as usize];
        for axis in 0..2 {
            let error = f64::from(found[axis]) - expected[axis];
            assert!(error.abs() < 0.01, "({u}, {v}): {found:?} {expected:?}");
        }
    }
}

#[test]
fn rectified_images_stay_as_they_are() {
    let rig = rigs::rectified();
    let result = StereoRectification::new(&rig, Crop::Alpha(0.0), rig.image_size).unwrap();
    assert_eq!((result.r1, result.r2), (Matrix3::identity(), Matrix3::identity()));
    let k = rig.left.intrinsics.matrix();
    assert_eq!(result.p1, k.insert_column(3, 0.0));
    // A point's pixel in the right image, by way of P2 and by way of the right camera.
    let point = Vector4::new(1.0, -0.5, 8.0, 1.0);
    let direct = rig.right.project(&(rig.right_from_left * point).xyz()).unwrap();
    let through_p2 = result.p2 * point;
    assert!((through_p2.x / through_p2.z - direct[0]).abs() < 1e-9);
    assert!((through_p2.y / through_p2.z - direct[1]).abs() < 1e-9);
    let map = result.right_map(&rig);
    for (u, v) in [(0, 0), (1225, 369), (613, 200)] {
        let found = map.source[v * 1226 + u];
        assert!((found[0] - u as f32).abs() < 1e-3 && (found[1] - v as f32).abs() < 1e-3);
    }
    // Half the size: the same view, half the pixels.
    let half = StereoRectification::new(&rig, Crop::Alpha(0.0), pixels((613, 185))).unwrap();
    assert_eq!(half.p1.row(0), result.p1.row(0) / 2.0);
    assert_eq!(half.p2.row(1), result.p2.row(1) / 2.0);
}

#[test]
fn what_a_lens_cannot_show_is_nan() {
    // This lens turns back at radius 1.054 (see the camera tests): at alpha 1 the view reaches further.
    let mut rig = rigs::pinholes();
    let lens = Distortion::radial_tangential(&[-0.3, 0.0, 0.0, 0.0]).unwrap();
    (rig.left.distortion, rig.right.distortion) = (lens, lens);
    rig.right_from_left = rigs::rigid([0.0; 3], [-0.25, 0.0, 0.0]);
    let result = StereoRectification::new(&rig, Crop::Alpha(1.0), rig.image_size).unwrap();
    let map = result.left_map(&rig);
    let mut unseen = 0;
    for (index, source) in map.source.iter().enumerate() {
        let (u, v) = ((index % 800) as f64, (index / 800) as f64);
        let x = (u - result.p1.m13) / result.p1.m11;
        let y = (v - result.p1.m23) / result.p1.m22;
        let beyond = x.hypot(y) >= 0.9_f64.sqrt().recip();
        assert_eq!(source[0].is_nan() && source[1].is_nan(), beyond, "({u}, {v}): {source:?}");
        unseen += u32::from(beyond);
    }
    assert!(unseen > 1000, "{unseen}");
}

/// The stereographic lens, r = 2 tan(t / 2), sees 106 degrees off its axis at the left and right edge of this image and 90
/// at the upper and lower one: more than a plane shows, which is drawn back to 80.
#[test]
fn a_lens_of_more_than_half_a_turn_is_cut() {
    let unified = Distortion::ExtendedUnified { alpha: 0.5, beta: 1.0 };
    let sphere = Distortion::DoubleSphere { xi: 1.0, alpha: 0.0 };
    // tan(t / 2) is half of the stereographic lens: twice the focal length.
    for (lens, focal) in [(unified, 150.0), (sphere, 300.0)] {
        let camera = rigs::camera([focal, focal, 400.0, 300.0], Ok(lens));
        let rig = StereoRig {
            left: camera,
            right: camera,
            right_from_left: rigs::rigid([0.0; 3], [-0.25, 0.0, 0.0]),
            ..rigs::pinholes()
        };
        let tan_80 = 80_f64.to_radians().tan();
        for (balance, extent) in [(0.0, 400.0), (1.0, 300.0)] {
            let found =
                StereoRectification::new(&rig, Crop::Balance(balance), rig.image_size).unwrap();
            // The focal length of the edge that asks for the most, or for the least, pixels; both at 80 degrees.
            assert!((found.p1.m11 - extent / tan_80).abs() < 1e-9, "{}", found.p1);
            assert!((found.p1.m13 - 400.0).abs() < 1e-9, "{}", found.p1);
            assert!((found.p1.m23 - 300.0).abs() < 1e-9, "{}", found.p1);
        }
    }
}

/// Two models of lenses that are nearly the same give nearly the same rectified camera: the golden one of TUM-VI, by
/// OpenCV, and the published double-sphere model of these cameras.
#[test]
fn models_of_spheres_are_rectified_as_opencv_would() {
    let test = "models_of_spheres_are_rectified_as_opencv_would";
    let Some(golden) = golden::shared(test, "golden/rectification/tumvi_kb4.json") else { return };
    let golden: Value = serde_json::from_slice(&std::fs::read(golden).unwrap()).unwrap();
    let Some(spheres) = golden::shared(test, "data/calib/basalt/tumvi_512_ds_calib.json") else {
        return;
    };
    let spheres: Value = serde_json::from_slice(&std::fs::read(spheres).unwrap()).unwrap();
    let mut rig = golden_rig(&golden);
    for (camera, index) in [(&mut rig.left, 0), (&mut rig.right, 1)] {
        let model = &spheres["value0"]["intrinsics"][index]["intrinsics"];
        let of = |key: &str| model[key].as_f64().unwrap();
        *camera = rigs::camera(
            [of("fx"), of("fy"), of("cx"), of("cy")],
            Distortion::double_sphere(&[of("xi"), of("alpha")]),
        );
    }
    let size = image_size(&golden["rectified_size"]);
    let balance = golden["balance"].as_f64().unwrap();
    let found = StereoRectification::new(&rig, Crop::Balance(balance), size).unwrap();
    let expected = numbers(&golden["P1"]);
    for (found, expected) in [found.p1.m11, found.p1.m13, found.p1.m23].iter().zip([
        expected[0],
        expected[2],
        expected[6],
    ]) {
        assert!((found - expected).abs() < 0.02 * f64::from(size.width), "{found} {expected}");
    }
}

#[test]
fn choices_that_do_not_fit_the_rig_are_refused() {
    let size = pixels((320, 240));
    let (pinholes, fisheyes) = (rigs::pinholes(), rigs::fisheyes());
    let mixed = StereoRig { right: fisheyes.right, ..pinholes.clone() };
    let refusal =
        |rig: &StereoRig, crop, size| StereoRectification::new(rig, crop, size).unwrap_err();
    for alpha in [-0.5, -2.0, 1.01, f64::NAN] {
        let message = refusal(&pinholes, Crop::Alpha(alpha), size).to_string();
        assert!(message.contains("alpha is"), "{message}");
    }
    assert_eq!(
        refusal(&fisheyes, Crop::Balance(1.5), size),
        RectificationError::Balance { found: 1.5 }
    );
    assert_eq!(refusal(&fisheyes, Crop::Alpha(0.0), size), RectificationError::AlphaOfFisheye);
    assert_eq!(refusal(&pinholes, Crop::Balance(0.0), size), RectificationError::BalanceOfPinhole);
    assert_eq!(refusal(&mixed, Crop::Alpha(0.0), size), RectificationError::MixedModels);
    let empty = pixels((320, 0));
    let message = refusal(&pinholes, Crop::Alpha(0.0), empty).to_string();
    assert!(message.contains("320x0"), "{message}");
    let backwards =
        StereoRig { right_from_left: rigs::rigid([0.0; 3], [0.25, 0.0, 0.0]), ..rigs::pinholes() };
    let message = refusal(&backwards, Crop::Alpha(0.0), size).to_string();
    assert!(message.contains("right_from_left.translation_m"), "{message}");
}

proptest! {
    /// Whatever the rig: rotations, and the baseline along x.
    #[test]
    fn rectified_views_differ_by_a_shift_along_x(rig in rigs::any_rig()) {
        let crop = match rig.left.distortion {
            Distortion::RadialTangential(_) => Crop::Alpha(-1.0),
            _ => Crop::Balance(0.0),
        };
        match StereoRectification::new(&rig, crop, rig.image_size) {
            Err(error) => {
                let mixed =
                    rig.left.distortion.is_fisheye() != rig.right.distortion.is_fisheye();
                prop_assert!(mixed && error == RectificationError::MixedModels, "{}", error);
            }
            Ok(result) if !rig.rectified => {
                for r in [result.r1, result.r2] {
                    prop_assert!((r.transpose() * r - Matrix3::identity()).amax() < 1e-12);
                    prop_assert!((r.determinant() - 1.0).abs() < 1e-12);
                }
                // Left to right in rectified axes: no rotation is left, and only x of the translation.
                let [r1, r2] = [result.r1, result.r2].map(|r| r.to_homogeneous());
                let shift = r2 * rig.right_from_left * r1.transpose();
                let mut expected = Matrix4::identity();
                expected.m14 = -rig.baseline_m();
                prop_assert!((shift - expected).amax() < 1e-9, "{shift}");
                prop_assert!((result.p2.m14 + rig.baseline_m() * result.p1.m11).abs() < 1e-6);
            }
            Ok(_) => {}
        }
    }
}

fn pixels((width, height): (u32, u32)) -> ImageSize {
    ImageSize { width, height }
}

/// R, P, Q to 1e-6, maps to 0.01 px.
fn agrees_with_golden(test: &str, file: &str) {
    let Some(path) = golden::shared(test, &format!("golden/rectification/{file}")) else { return };
    let golden: Value = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
    let rig = golden_rig(&golden);
    let crop = match golden["alpha"].as_f64() {
        Some(alpha) => Crop::Alpha(alpha),
        None => Crop::Balance(golden["balance"].as_f64().unwrap()),
    };
    let size = image_size(&golden["rectified_size"]);
    let rectification = StereoRectification::new(&rig, crop, size).unwrap();
    for (name, ours) in [
        ("R1", rectification.r1.transpose().as_slice()),
        ("R2", rectification.r2.transpose().as_slice()),
        ("P1", rectification.p1.transpose().as_slice()),
        ("P2", rectification.p2.transpose().as_slice()),
        ("Q", rectification.q.transpose().as_slice()),
    ] {
        let theirs = numbers(&golden[name]);
        assert_eq!(ours.len(), theirs.len(), "{name}");
        for (ours, theirs) in ours.iter().zip(&theirs) {
            assert!((ours - theirs).abs() <= 1e-6, "{file} {name}: {ours} {theirs}");
        }
    }
    let stride = usize::try_from(golden["map_stride"].as_u64().unwrap()).unwrap();
    for (map, name) in
        [(rectification.left_map(&rig), "map1"), (rectification.right_map(&rig), "map2")]
    {
        assert_eq!(map.size, size);
        for axis in 0..2 {
            let theirs = numbers(&golden[format!("{name}_{}", ["x", "y"][axis])]);
            let ours = sampled(&map, stride, axis);
            assert_eq!(ours.len(), theirs.len(), "{name}");
            for (ours, theirs) in ours.iter().zip(&theirs) {
                assert!((ours - theirs).abs() <= 0.01, "{file} {name}: {ours} {theirs}");
            }
        }
    }
}

fn sampled(map: &RemapTable, stride: usize, axis: usize) -> Vec<f64> {
    let width = map.size.width as usize;
    let rows = map.source.chunks_exact(width).step_by(stride);
    rows.flat_map(|row| row.iter().step_by(stride).map(|p| f64::from(p[axis]))).collect()
}

fn golden_rig(golden: &Value) -> StereoRig {
    let camera = |k: &Value, d: &Value| {
        let (k, d) = (numbers(k), numbers(d));
        let distortion = if golden["model"] == "kb4" {
            Distortion::kannala_brandt(&d)
        } else {
            Distortion::radial_tangential(&d)
        };
        Camera {
            intrinsics: Intrinsics { fx: k[0], fy: k[4], cx: k[2], cy: k[5] },
            distortion: distortion.unwrap(),
        }
    };
    let mut right_from_left = Matrix3::from_row_slice(&numbers(&golden["R"])).to_homogeneous();
    right_from_left
        .fixed_view_mut::<3, 1>(0, 3)
        .copy_from(&Vector3::from_row_slice(&numbers(&golden["T"])));
    StereoRig {
        name: golden["name"].as_str().unwrap().to_owned(),
        image_size: image_size(&golden["image_size"]),
        left: camera(&golden["K1"], &golden["D1"]),
        right: camera(&golden["K2"], &golden["D2"]),
        right_from_left,
        left_from_ego: Matrix4::identity(),
        rectified: false,
    }
}

fn image_size(value: &Value) -> ImageSize {
    let [width, height]: [u32; 2] = serde_json::from_value(value.clone()).unwrap();
    ImageSize { width, height }
}

/// All numbers of a nested list.
fn numbers(value: &Value) -> Vec<f64> {
    match value {
        Value::Array(list) => list.iter().flat_map(numbers).collect(),
        number => vec![number.as_f64().unwrap()],
    }
}
