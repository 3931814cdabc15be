//! What is exported has what the programs of its format ask for, and says what it has not.

use super::read;
use super::round_trip::rig;
use nalgebra::{Matrix3, Matrix4, Vector3};
use occdepth_calibration::formats::{Format, Options, export, lost};
use occdepth_geometry::camera::Distortion;
use occdepth_geometry::rig::StereoRig;
use serde_json::Value;

fn four() -> StereoRig {
    let lens = Distortion::radial_tangential(&[-0.3, 0.1, 0.001, -0.002]).unwrap();
    rig(lens, [0.01, 0.02, -0.01], 0.2)
}

/// A pair whose right camera is a little higher and further ahead, as KITTI's is.
fn rectified() -> StereoRig {
    let mut rig = rig(Distortion::NONE, [0.0; 3], 0.54);
    rig.rectified = true;
    rig.right_from_left.fixed_view_mut::<3, 1>(0, 3).copy_from(&Vector3::new(-0.54, 0.003, -0.004));
    rig
}

/// Basalt reads through cereal, which throws where a name is missing.
#[test]
fn basalt_has_every_name_that_its_reader_asks_for() {
    let text = export(&four(), Format::Basalt).unwrap().remove(0).1;
    let document: Value = serde_json::from_str(&text).unwrap();
    let value = &document["value0"];
    for (name, length) in [
        ("T_imu_cam", 2),
        ("intrinsics", 2),
        ("resolution", 2),
        ("calib_accel_bias", 9),
        ("calib_gyro_bias", 12),
        ("accel_noise_std", 3),
        ("gyro_noise_std", 3),
        ("accel_bias_std", 3),
        ("gyro_bias_std", 3),
        ("vignette", 2),
    ] {
        assert_eq!(value[name].as_array().unwrap().len(), length, "{name}");
    }
    assert!(value["imu_update_rate"].as_f64().unwrap() > 0.0);
    assert_eq!(value["cam_time_offset_ns"], 0);
    // A spline of order four over the radius in billionths of a pixel, past the corner (400 pixels from the centre).
    let spline = &value["vignette"][0];
    let knots = spline["value2"].as_array().unwrap();
    let step_px = spline["value1"].as_f64().unwrap() * 1e-9;
    assert!((knots.len() as f64 - 3.0) * step_px > 400.0);
    assert!(knots.iter().all(|knot| knot[0] == 1.0));
    let lens = &value["intrinsics"][0];
    assert_eq!(lens["camera_type"], "pinhole-radtan8");
    assert!(lens["intrinsics"]["rpmax"].is_f64() && lens["intrinsics"]["k6"] == 0.0);
}

/// The names that Basalt's own file has, a published one, are all in ours (but those of a motion capture).
#[test]
fn basalt_has_the_names_of_a_published_file() {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../../shared/data/calib/basalt/euroc_ds_calib.json");
    let Ok(text) = std::fs::read_to_string(path) else {
        use std::io::Write as _;
        let line = "SKIPPED basalt_has_the_names_of_a_published_file: no shared test data beside the repository\n";
        std::io::stderr().write_all(line.as_bytes()).unwrap();
        return;
    };
    let published: Value = serde_json::from_str(&text).unwrap();
    let ours: Value =
        serde_json::from_str(&export(&four(), Format::Basalt).unwrap().remove(0).1).unwrap();
    for (name, value) in published["value0"].as_object().unwrap() {
        if name.contains("mocap") || name == "T_imu_marker" {
            continue;
        }
        let ours = &ours["value0"][name];
        assert_eq!(std::mem::discriminant(ours), std::mem::discriminant(value), "{name}");
        if let (Value::Array(ours), Value::Array(theirs)) = (ours, value) {
            assert_eq!(ours.len(), theirs.len(), "{name}");
        }
    }
}

#[test]
fn kalibr_has_a_topic_and_four_coefficients() {
    let text = export(&four(), Format::Kalibr).unwrap().remove(0).1;
    for line in [
        "  rostopic: /cam0/image_raw",
        "  rostopic: /cam1/image_raw",
        "  cam_overlaps: [1]",
        "  cam_overlaps: [0]",
        "  distortion_coeffs: [-0.3, 0.1, 0.001, -0.002]",
    ] {
        assert!(text.lines().any(|found| found == line), "{line}: {text}");
    }
    for more in [&[0.1, 0.0, 0.0, 0.0, 0.1][..], &[0.1, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.1]] {
        let rig = rig(Distortion::radial_tangential(more).unwrap(), [0.0; 3], 0.1);
        let message = export(&rig, Format::Kalibr).unwrap_err().to_string();
        assert!(message.contains("kalibr") && message.contains("four coefficients"), "{message}");
    }
}

#[test]
fn euroc_has_as_many_coefficients_as_the_lens() {
    for (list, written) in [
        (&[-0.3, 0.1, 0.001, -0.002][..], "[-0.3, 0.1, 0.001, -0.002]"),
        (&[0.1, 0.0, 0.0, 0.0, 0.2], "[0.1, 0.0, 0.0, 0.0, 0.2]"),
        (&[], "[0.0, 0.0, 0.0, 0.0]"),
    ] {
        let rig = rig(Distortion::radial_tangential(list).unwrap(), [0.0; 3], 0.1);
        for (_, text) in export(&rig, Format::Euroc).unwrap() {
            let line = format!("distortion_coefficients: {written}");
            assert!(text.lines().any(|found| found == line), "{text}");
        }
    }
}

/// The development kit starts at camera 0 and reads all eight lines of each; its `P_rect` and `R_rect` must be right.
#[test]
fn kitti_raw_has_all_cameras_and_their_rectification() {
    let rig = four();
    let text = export(&rig, Format::KittiRaw).unwrap().remove(0).1;
    let numbers = |key: String| -> Vec<f64> {
        let line = text.lines().find_map(|line| line.strip_prefix(&format!("{key}: "))).unwrap();
        line.split_whitespace().map(|n| n.parse().unwrap()).collect()
    };
    for camera in 0..4 {
        for (key, length) in [
            ("S", 2),
            ("K", 9),
            ("D", 5),
            ("R", 9),
            ("T", 3),
            ("S_rect", 2),
            ("R_rect", 9),
            ("P_rect", 12),
        ] {
            assert_eq!(numbers(format!("{key}_{camera:02}")).len(), length);
        }
    }
    // A point of the left camera through R_rect and P_rect, against the same point by way of the relation.
    let r = |n: u8| Matrix3::from_row_slice(&numbers(format!("R_rect_0{n}")));
    let p3 = numbers("P_rect_03".to_owned());
    let point = Vector3::new(0.4, -0.2, 5.0);
    let by_pose = r(3) * (rig.right_from_left * point.push(1.0)).xyz();
    let rectified = r(2) * point;
    let row = |i: usize| {
        p3[4 * i] * rectified.x
            + p3[4 * i + 1] * rectified.y
            + p3[4 * i + 2] * rectified.z
            + p3[4 * i + 3]
    };
    assert!((row(0) / row(2) - (p3[0] * by_pose.x / by_pose.z + p3[2])).abs() < 1e-6);
    assert!((row(1) / row(2) - (p3[5] * by_pose.y / by_pose.z + p3[6])).abs() < 1e-6);
    // Its rectified pair reads back as the rectified pair.
    let options = Options { kitti_rectified: true, ..Options::default() };
    let back = read(&[("raw.txt", &text)], &options).unwrap().rig;
    assert!(back.rectified && (back.baseline_m() - rig.baseline_m()).abs() < 1e-9);
}

/// A P2 of ROS has no third row; a pair that is rectified but for an offset in y and z is written as two cameras.
#[test]
fn ros_has_only_valid_projections() {
    let rig = rectified();
    let files = export(&rig, Format::Ros).unwrap();
    for (_, text) in &files {
        let data = text.split("projection_matrix:").nth(1).unwrap();
        let list = data.split(['[', ']']).nth(1).unwrap();
        let p: Vec<f64> = list.split(", ").map(|n| n.parse().unwrap()).collect();
        assert_eq!((p[7], &p[8..]), (0.0, &[0.0, 0.0, 1.0, 0.0][..]), "{text}");
    }
    let files: Vec<(&str, &str)> = files.iter().map(|(n, t)| (n.as_str(), t.as_str())).collect();
    let back = read(&files, &Options::default()).unwrap().rig;
    assert!(
        (back.right_from_left - rig.right_from_left).amax() < 1e-12,
        "{}",
        back.right_from_left
    );
    assert_eq!((back.left, back.right), (rig.left, rig.right));
}

#[test]
fn what_a_format_has_no_place_for_is_said() {
    let mut mounted = rectified();
    mounted.left_from_ego = Matrix4::identity();
    for (_, format) in Format::ALL {
        let lost = lost(&mounted, format).join("\n");
        match format {
            Format::Native => assert!(lost.is_empty()),
            Format::KittiOdometry => assert!(lost.contains("--image-size 640x480"), "{lost}"),
            _ => assert!(lost.contains("left_from_ego") && lost.contains("rectified"), "{lost}"),
        }
    }
    assert!(!lost(&four(), Format::Ros).join("\n").contains("rectified"));
}
