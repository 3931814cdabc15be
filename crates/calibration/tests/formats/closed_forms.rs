//! Poses and lenses whose result can be written down: every way in which a format may state them, by hand.

use super::damaged::{BASALT, EUROC, KALIBR, RAW, ROS, right_euroc, right_ros};
use super::read;
use nalgebra::{Matrix3, Matrix4, Rotation3, Vector3};
use occdepth_calibration::formats::Options;
use occdepth_geometry::camera::Distortion;
use occdepth_geometry::rig::StereoRig;

/// A quarter turn about z and a tenth of a radian about y: no order of factors gives the same.
fn body_from_left() -> Matrix4<f64> {
    rigid(&(Rotation3::from_axis_angle(&Vector3::z_axis(), 1.2)), [0.3, -0.1, 0.05])
}

fn body_from_right() -> Matrix4<f64> {
    let turn = Rotation3::from_axis_angle(&Vector3::z_axis(), 1.2)
        * Rotation3::from_axis_angle(&Vector3::y_axis(), 0.1);
    // 0.12 m along the left camera's x axis.
    let t = Vector3::new(0.3, -0.1, 0.05) + 0.12 * Vector3::new(1.2_f64.cos(), 1.2_f64.sin(), 0.0);
    rigid(&turn, t.into())
}

/// The right camera is turned by 0.1 rad about y and stands at (0.12, 0, 0) of the left one.
fn right_from_left() -> Matrix4<f64> {
    let (sin, cos) = 0.1_f64.sin_cos();
    Matrix4::new(
        cos,
        0.0,
        -sin,
        -0.12 * cos, //
        0.0,
        1.0,
        0.0,
        0.0, //
        sin,
        0.0,
        cos,
        -0.12 * sin, //
        0.0,
        0.0,
        0.0,
        1.0,
    )
}

fn rigid(r: &Rotation3<f64>, t: [f64; 3]) -> Matrix4<f64> {
    let mut matrix = r.to_homogeneous();
    matrix.fixed_view_mut::<3, 1>(0, 3).copy_from(&Vector3::from(t));
    matrix
}

fn rows(matrix: &Matrix4<f64>) -> Vec<String> {
    matrix
        .row_iter()
        .map(|row| row.iter().map(|n| format!("{n:.12}")).collect::<Vec<_>>().join(", "))
        .collect()
}

#[track_caller]
fn is_the_relation(rig: &StereoRig) {
    let error = (rig.right_from_left - right_from_left()).amax();
    assert!(error < 1e-10, "{} {error}", rig.right_from_left);
}

#[test]
fn kalibr_states_poses_in_three_ways() {
    let field = |name: &str, pose: &Matrix4<f64>| {
        let rows: Vec<String> = rows(pose).iter().map(|row| format!("  - [{row}]\n")).collect();
        format!("  {name}:\n{}", rows.concat())
    };
    let start = KALIBR.find("  T_cn_cnm1").unwrap();
    let end = KALIBR.find("  camera_model: pinhole\n  intrinsics: [457.6").unwrap();
    let chain = |left: &str, right: &str| {
        let text = format!("{}{right}{}", &KALIBR[..start], &KALIBR[end..]);
        let text = text.replacen("cam0:\n", &format!("cam0:\n{left}"), 1);
        read(&[("camchain.yaml", &text)], &Options::default()).unwrap().rig
    };
    is_the_relation(&chain("", &field("T_cn_cnm1", &right_from_left())));
    let (left, right) = (body_from_left(), body_from_right());
    is_the_relation(&chain(&field("T_imu_cam", &left), &field("T_imu_cam", &right)));
    let [left_back, right_back] = [left, right].map(|pose| pose.try_inverse().unwrap());
    is_the_relation(&chain(&field("T_cam_imu", &left_back), &field("T_cam_imu", &right_back)));
    is_the_relation(&chain(&field("T_imu_cam", &left), &field("T_cam_imu", &right_back)));
}

#[test]
fn kalibr_states_four_lenses() {
    let lens =
        |text: String| read(&[("camchain.yaml", &text)], &Options::default()).unwrap().rig.left;
    let equidistant = lens(KALIBR.replacen("radtan", "equidistant", 1));
    assert_eq!(equidistant.distortion, Distortion::KannalaBrandt([-0.28, 0.07, 0.0002, 0.00002]));
    for (model, expected) in [
        ("ds", Distortion::DoubleSphere { xi: -0.2, alpha: 0.6 }),
        ("eucm", Distortion::ExtendedUnified { alpha: 0.6, beta: 1.1 }),
    ] {
        let first = if model == "ds" { "-0.2, 0.6" } else { "0.6, 1.1" };
        let found = lens(
            KALIBR
                .replacen("camera_model: pinhole", &format!("camera_model: {model}"), 1)
                .replacen("[458.6", &format!("[{first}, 458.6"), 1),
        );
        assert_eq!(found.distortion, expected);
        assert_eq!(found.intrinsics.matrix()[(0, 2)], 367.2);
        assert_eq!(found.intrinsics.matrix()[(1, 1)], 457.3);
    }
    let none = lens(KALIBR.replacen("radtan", "none", 1));
    assert!(none.distortion.is_none());
}

#[test]
fn euroc_states_the_body_from_each_sensor() {
    let with = |text: &str, pose: &Matrix4<f64>| {
        let start = text.find("  data: [").unwrap();
        let end = start + text[start..].find('\n').unwrap();
        format!("{}  data: [{}]{}", &text[..start], rows(pose).join(", "), &text[end..])
    };
    let files = [
        ("cam0.yaml", &*with(EUROC, &body_from_left())),
        ("cam1.yaml", &*with(&right_euroc(), &body_from_right())),
    ];
    is_the_relation(&read(&files, &Options::default()).unwrap().rig);
    let fisheye = EUROC.replace("radial-tangential", "equidistant");
    let files = [("cam0.yaml", &*fisheye), ("cam1.yaml", &*right_euroc())];
    let rig = read(&files, &Options::default()).unwrap().rig;
    assert_eq!(rig.left.distortion, Distortion::KannalaBrandt([-0.28, 0.07, 0.0002, 0.00002]));
    assert_eq!(rig.right.distortion.model(), "radial-tangential");
}

/// Quaternions of turns about one axis: (sin of half the angle, cos of it).
#[test]
fn basalt_states_positions_and_quaternions() {
    let mut document: serde_json::Value = serde_json::from_str(BASALT).unwrap();
    // Body from left: 1.2 rad about z. Body from right: that, and 0.1 rad about y: the product of both quaternions.
    let (s, c) = 0.6_f64.sin_cos();
    let (sy, cy) = 0.05_f64.sin_cos();
    let right_t = body_from_right();
    for (index, q, t) in [
        (0, [0.0, 0.0, s, c], [0.3, -0.1, 0.05]),
        (1, [-s * sy, c * sy, s * cy, c * cy], [right_t.m14, right_t.m24, right_t.m34]),
    ] {
        let pose = &mut document["value0"]["T_imu_cam"][index];
        for (key, number) in
            ["qx", "qy", "qz", "qw", "px", "py", "pz"].iter().zip(q.into_iter().chain(t))
        {
            pose[*key] = number.into();
        }
    }
    let text = document.to_string();
    is_the_relation(&read(&[("calibration.json", &text)], &Options::default()).unwrap().rig);
}

#[test]
fn basalt_states_five_lenses() {
    for (kind, keys, expected) in [
        ("pinhole", &[][..], Distortion::NONE),
        (
            "kb4",
            &[("k1", 0.1), ("k2", 0.2), ("k3", 0.3), ("k4", 0.4)],
            Distortion::KannalaBrandt([0.1, 0.2, 0.3, 0.4]),
        ),
        (
            "eucm",
            &[("alpha", 0.6), ("beta", 1.1)],
            Distortion::ExtendedUnified { alpha: 0.6, beta: 1.1 },
        ),
        ("ds", &[("xi", -0.2), ("alpha", 0.6)], Distortion::DoubleSphere { xi: -0.2, alpha: 0.6 }),
        (
            "pinhole-radtan8",
            &[
                ("k1", 0.1),
                ("k2", 0.2),
                ("p1", 0.01),
                ("p2", 0.02),
                ("k3", 0.3),
                ("k4", 0.4),
                ("k5", 0.5),
                ("k6", 0.6),
                ("rpmax", 2.0),
            ],
            Distortion::RadialTangential([0.1, 0.2, 0.01, 0.02, 0.3, 0.4, 0.5, 0.6]),
        ),
    ] {
        let mut document: serde_json::Value = serde_json::from_str(BASALT).unwrap();
        let camera = &mut document["value0"]["intrinsics"][0];
        camera["camera_type"] = kind.into();
        for (key, value) in keys {
            camera["intrinsics"][*key] = (*value).into();
        }
        let text = document.to_string();
        let rig = read(&[("calibration.json", &text)], &Options::default()).unwrap().rig;
        assert_eq!(rig.left.distortion, expected, "{kind}");
    }
}

/// R2^T (R1 p + t2 - t1), with t from P = K [I | t] in all three coordinates.
#[test]
fn ros_states_rectifications() {
    let list = |r: &Matrix3<f64>| {
        let numbers: Vec<String> = r.transpose().iter().map(|n| format!("{n:.12}")).collect();
        numbers.join(", ")
    };
    let about_y = |angle: f64| Rotation3::from_axis_angle(&Vector3::y_axis(), angle).into_inner();
    let identity = "1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0";
    // The left view turned by -0.03 about y, the right one by 0.07: together they are turned by 0.1 against each other.
    let left = ROS.replacen(identity, &list(&about_y(-0.03)), 2);
    assert_ne!(left, ROS);
    let right = right_ros().replacen(identity, &list(&about_y(0.07)), 2);
    let rig =
        read(&[("left.yaml", &left), ("right.yaml", &right)], &Options::default()).unwrap().rig;
    let baseline = 47.4 / 395.6;
    let mut expected = about_y(-0.1).to_homogeneous();
    let t = about_y(-0.07) * Vector3::new(-baseline, 0.0, 0.0);
    expected.fixed_view_mut::<3, 1>(0, 3).copy_from(&t);
    assert!((rig.right_from_left - expected).amax() < 1e-10, "{}", rig.right_from_left);
    // A right camera 4 mm nearer to what it sees: all of K counts.
    let (fx, cx, cy, z) = (395.6, 331.3, 241.9, -0.004);
    let right = right_ros().replace(
        "331.3, -47.4, 0.0, 395.6, 241.9, 0.0, 0.0, 0.0, 1.0, 0.0",
        &format!(
            "331.3, {}, 0.0, 395.6, 241.9, {}, 0.0, 0.0, 1.0, {z}",
            -47.4 + cx * z,
            0.8 + cy * z
        ),
    );
    assert_ne!(right, right_ros());
    let rig = read(&[("left.yaml", ROS), ("right.yaml", &right)], &Options::default()).unwrap().rig;
    let t: Vector3<f64> = rig.right_from_left.fixed_view::<3, 1>(0, 3).into_owned();
    assert!((t - Vector3::new(-47.4 / fx, 0.8 / fx, z)).amax() < 1e-12, "{t}");
}

#[test]
fn ros_states_three_lenses() {
    let lens = |model: &str, coefficients: &[f64]| {
        let left = ROS
            .replace("plumb_bob", model)
            .replace("cols: 5", &format!("cols: {}", coefficients.len()))
            .replace("[-0.34, 0.14, 0.0006, 0.0002, 0.0]", &format!("{coefficients:?}"));
        let right = right_ros();
        let files = [("left.yaml", &*left), ("right.yaml", &*right)];
        read(&files, &Options::default()).unwrap().rig.left.distortion
    };
    let eight = [0.1, 0.2, 0.01, 0.02, 0.3, 0.4, 0.5, 0.6];
    assert_eq!(lens("rational_polynomial", &eight), Distortion::RadialTangential(eight));
    let four = [0.1, 0.2, 0.3, 0.4];
    assert_eq!(lens("equidistant", &four), Distortion::KannalaBrandt(four));
    let mut five = [0.0; 8];
    five[..5].copy_from_slice(&eight[..5]);
    assert_eq!(lens("plumb_bob", &eight[..5]), Distortion::RadialTangential(five));
}

const RECTIFIED: &str = "\
R_rect_00: 1 0 0 0 1 0 0 0 1
S_rect_02: 1242 375
P_rect_02: 720 0 600 36 0 710 170 7.1 0 0 1 0.01
S_rect_03: 1242 375
P_rect_03: 720 0 600 -324 0 710 170 0 0 0 1 0
";

/// t = ((m14 - cx m34) / fx, (m24 - cy m34) / fy, m34).
#[test]
fn kitti_raw_states_the_rectified_pair_as_well() {
    let text = format!("{RAW}{RECTIFIED}");
    let plain = read(&[("raw.txt", &text)], &Options::default()).unwrap();
    assert!(!plain.rig.rectified && plain.rig.image_size.width == 1392);
    let hint = |note: &String| note.contains("--rectified") && note.contains("1242 375");
    assert!(plain.notes.iter().any(hint), "{:?}", plain.notes);

    let options = Options { kitti_rectified: true, ..Options::default() };
    let found = read(&[("raw.txt", &text)], &options).unwrap();
    let rig = &found.rig;
    assert!(rig.rectified && rig.left.distortion.is_none() && rig.right.distortion.is_none());
    assert_eq!((rig.image_size.width, rig.image_size.height), (1242, 375));
    assert_eq!(
        rig.left.intrinsics.matrix(),
        Matrix3::new(720.0, 0.0, 600.0, 0.0, 710.0, 170.0, 0.0, 0.0, 1.0)
    );
    let left = Vector3::new((36.0 - 6.0) / 720.0, (7.1 - 1.7) / 710.0, 0.01);
    let t: Vector3<f64> = rig.right_from_left.fixed_view::<3, 1>(0, 3).into_owned();
    assert!((t - (Vector3::new(-0.45, 0.0, 0.0) - left)).amax() < 1e-12, "{t}");
    assert!(found.notes.iter().any(|note| note.contains("left_from_ego")));
    let message = read(&[("raw.txt", RAW)], &options).unwrap_err().to_string();
    assert!(message.contains("raw.txt: P_rect_02 is missing"), "{message}");
    let skewed = text.replace("720 0 600 36", "720 1 600 36");
    let message = read(&[("raw.txt", &skewed)], &options).unwrap_err().to_string();
    assert!(
        message.contains("raw.txt:14: P_rect_02") && message.contains("a projection matrix"),
        "{message}"
    );

    // With the scanner's file: camera 0 from it, turned by R_rect_00, then the shift to camera 2.
    let velo = "calib_time: 1\nR: 0 -1 0 0 0 -1 1 0 0\nT: 0.1 0.2 0.3\ndelta_f: 0 0\n";
    let turned = text.replace("R_rect_00: 1 0 0 0 1 0 0 0 1", "R_rect_00: 0 -1 0 1 0 0 0 0 1");
    for files in
        [[("raw.txt", &*turned), ("velo.txt", velo)], [("velo.txt", velo), ("raw.txt", &*turned)]]
    {
        let found = read(&files, &options).unwrap();
        // Forward in ego (x) is z in camera 0; left (y) is -x there, -y after the quarter turn; up (z) is -y, then x.
        let expected = Matrix4::new(
            0.0,
            0.0,
            1.0,
            -0.2 + left.x, //
            0.0,
            -1.0,
            0.0,
            0.1 + left.y, //
            1.0,
            0.0,
            0.0,
            0.3 + left.z, //
            0.0,
            0.0,
            0.0,
            1.0,
        );
        assert!((found.rig.left_from_ego - expected).amax() < 1e-12, "{}", found.rig.left_from_ego);
        assert!(!found.notes.iter().any(|note| note.contains("left_from_ego")));
        // And of the cameras before rectification: T_02 = (0.06, 0, 0).
        let found = read(&files, &Options::default()).unwrap();
        let t: Vector3<f64> = found.rig.left_from_ego.fixed_view::<3, 1>(0, 3).into_owned();
        assert!((t - Vector3::new(0.16, 0.2, 0.3)).amax() < 1e-12, "{t}");
    }
    let message = read(&[("velo.txt", velo)], &options).unwrap_err().to_string();
    assert!(
        message.contains("velo.txt: found 1 files") && message.contains("calib_cam_to_cam"),
        "{message}"
    );
}
