//! Stereo rectification against `OpenCV` 5.0: values in `../shared/golden/rectification`, and values below.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod golden;

use nalgebra::{Matrix3, Matrix4, Vector3};
use occdepth_geometry::{
    ImageSize,
    camera::{Camera, Distortion, Intrinsics},
    rectification::{Crop, RemapTable, StereoRectification},
    rig::StereoRig,
};
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
    let stride = golden["map_stride"].as_u64().unwrap() as usize;
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
    let mut right_from_left =
        Matrix3::from_row_slice(&numbers(&golden["R"])).to_homogeneous();
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
    let [width, height] = numbers(value)[..] else { panic!("{value}") };
    ImageSize { width: width as u32, height: height as u32 }
}

/// All numbers of a nested list.
fn numbers(value: &Value) -> Vec<f64> {
    match value {
        Value::Array(list) => list.iter().flat_map(numbers).collect(),
        number => vec![number.as_f64().unwrap()],
    }
}
