//! The adjustment against `OpenCV`'s, on the corners that `OpenCV` found on the shared chessboards.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use nalgebra::{Matrix4, Vector3};
use occdepth_calibration::bundle::{Adjustment, Lens, Options, Pair, adjust};
use occdepth_geometry::{
    ImageSize,
    rectification::{Crop, StereoRectification},
    rig::StereoRig,
};
use std::io::Write as _;
use std::path::{Path, PathBuf};

const SIZE: ImageSize = ImageSize { width: 640, height: 480 };

fn shared(test: &str, path: &str) -> Option<PathBuf> {
    let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).unwrap();
    let path = workspace.join("../shared").join(path);
    if path.exists() {
        return Some(path);
    }
    // Not eprintln!, which the test harness captures where a test passes.
    let line = format!("SKIPPED {test}: {} is not there\n", path.display());
    std::io::stderr().write_all(line.as_bytes()).unwrap();
    None
}

fn golden(test: &str) -> Option<serde_json::Value> {
    let path = shared(test, "golden/calibration_chessboard.json")?;
    Some(serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap())
}

fn corners(value: &serde_json::Value) -> Vec<[f64; 2]> {
    serde_json::from_value(value.clone()).unwrap()
}

fn board_points() -> Vec<Vector3<f64>> {
    (0..6)
        .flat_map(|y| (0..9).map(move |x| Vector3::new(f64::from(x), f64::from(y), 0.0)))
        .collect()
}

fn golden_pairs(golden: &serde_json::Value) -> Vec<Pair> {
    (1..=9)
        .map(|index| {
            let key = format!("{index:02}");
            let [left, right] =
                ["corners_left", "corners_right"].map(|view| corners(&golden[view][&key]));
            Pair { left, right }
        })
        .collect()
}

/// Mean and largest difference of rows after rectification, pixels.
fn vertical_disparity(found: &Adjustment, lens: Lens, pairs: &[Pair]) -> [f64; 2] {
    let rig = StereoRig {
        name: "test".to_owned(),
        image_size: SIZE,
        left: lens.camera(&found.cameras[0]).unwrap(),
        right: lens.camera(&found.cameras[1]).unwrap(),
        right_from_left: found.right_from_left.matrix(),
        left_from_ego: Matrix4::identity(),
        rectified: false,
    };
    let rectification = StereoRectification::new(&rig, Crop::Alpha(-1.0), SIZE).unwrap();
    let row = |camera: &occdepth_geometry::camera::Camera, r: &nalgebra::Matrix3<f64>, pixel| {
        let ray = r * camera.unproject(pixel).unwrap();
        rectification.p1.m22 * ray.y / ray.z + rectification.p1.m23
    };
    let (mut sum, mut max, mut count) = (0.0, 0.0_f64, 0.0);
    for pair in pairs {
        for (&l, &r) in pair.left.iter().zip(&pair.right) {
            let dy = (row(&rig.left, &rectification.r1, l) - row(&rig.right, &rectification.r2, r))
                .abs();
            sum += dy;
            max = max.max(dy);
            count += 1.0;
        }
    }
    [sum / count, max]
}

#[test]
fn a_calibration_is_as_good_as_opencv() {
    let test = "a_calibration_is_as_good_as_opencv";
    let Some(golden) = golden(test) else { return };
    let board = board_points();
    let pairs = golden_pairs(&golden);
    // The rational model's coefficients are nearly undetermined by nine pairs (deviations of 10 and more): the valley is
    // flat, and the adjustment stops 3e-5 px above `OpenCV`'s minimum.
    for (model, lens, beyond_px) in
        [("radtan5", Lens::RadialTangential5, 1e-6), ("radtan8", Lens::RadialTangential8, 1e-4)]
    {
        let options = Options { lens, image_size: SIZE, reject_outliers: false };
        let found = adjust(&board, &pairs, &options).unwrap();
        let [mean, max] = vertical_disparity(&found, lens, &pairs);
        let theirs = &golden["models"][model];
        let number = |key: &str| theirs[key].as_f64().unwrap();
        let rms = found.rms_px();
        assert!(rms <= number("rms_stereo") + beyond_px, "{model}: {rms}");
        let (theirs_mean, theirs_max) =
            (number("vertical_disparity_mean_px"), number("vertical_disparity_max_px"));
        assert!(mean <= theirs_mean + beyond_px, "{model}: {mean}, OpenCV {theirs_mean}");
        assert!((max - theirs_max).abs() < 1e-3, "{model}: {max}, OpenCV {theirs_max}");
    }
}
