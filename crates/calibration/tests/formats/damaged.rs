//! Files that are wrong: the message names the field, and nothing panics.

use super::read;
use occdepth_calibration::formats::{File, Format, Options, detect, import};
use occdepth_geometry::ImageSize;
use proptest::prelude::*;

pub(crate) const KALIBR: &str = "\
cam0:
  camera_model: pinhole
  intrinsics: [458.6, 457.3, 367.2, 248.4]
  distortion_model: radtan
  distortion_coeffs: [-0.28, 0.07, 0.0002, 0.00002]
  resolution: [752, 480]
cam1:
  T_cn_cnm1:
  - [1.0, 0.0, 0.0, -0.11]
  - [0.0, 1.0, 0.0, 0.0]
  - [0.0, 0.0, 1.0, 0.0]
  - [0.0, 0.0, 0.0, 1.0]
  camera_model: pinhole
  intrinsics: [457.6, 456.1, 380.0, 255.2]
  distortion_model: radtan
  distortion_coeffs: [-0.28, 0.07, -0.0001, -0.00004]
  resolution: [752, 480]
";

pub(crate) const OPENCV: &str = "\
%YAML:1.0
---
image_width: 640
image_height: 480
M1: !!opencv-matrix
   rows: 3
   cols: 3
   dt: d
   data: [ 533.9, 0., 328.8, 0., 528.5, 237.2, 0., 0., 1. ]
D1: !!opencv-matrix
   rows: 1
   cols: 14
   dt: d
   data: [ -0.26, -0.13, 0., 0., 0., 0., 0., -0.4, 0., 0., 0., 0., 0., 0. ]
M2: !!opencv-matrix
   rows: 3
   cols: 3
   dt: d
   data: [ 533.9, 0., 314.1, 0., 528.5, 242.2, 0., 0., 1. ]
D2: !!opencv-matrix
   rows: 1
   cols: 5
   dt: d
   data: [ -0.26, -0.01, 0., 0., 0. ]
R: !!opencv-matrix
   rows: 3
   cols: 3
   dt: d
   data: [ 1., 0., 0., 0., 1., 0., 0., 0., 1. ]
T: !!opencv-matrix
   rows: 3
   cols: 1
   dt: d
   data: [ -0.12, 0., 0. ]
";

pub(crate) const ROS: &str = "\
image_width: 640
image_height: 480
camera_name: narrow
camera_matrix:
  rows: 3
  cols: 3
  data: [430.2, 0.0, 306.7, 0.0, 430.5, 227.2, 0.0, 0.0, 1.0]
distortion_model: plumb_bob
distortion_coefficients:
  rows: 1
  cols: 5
  data: [-0.34, 0.14, 0.0006, 0.0002, 0.0]
rectification_matrix:
  rows: 3
  cols: 3
  data: [1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0]
projection_matrix:
  rows: 3
  cols: 4
  data: [395.6, 0.0, 331.3, 0.0, 0.0, 395.6, 241.9, 0.0, 0.0, 0.0, 1.0, 0.0]
";

pub(crate) const BASALT: &str = r#"{"value0": {
  "T_imu_cam": [
    {"px": 0.0, "py": 0.0, "pz": 0.0, "qx": 0.0, "qy": 0.0, "qz": 0.0, "qw": 1.0},
    {"px": 0.1, "py": 0.0, "pz": 0.0, "qx": 0.0, "qy": 0.0, "qz": 0.0, "qw": 1.0}],
  "intrinsics": [
    {"camera_type": "ds", "intrinsics": {"fx": 158.0, "fy": 158.0, "cx": 254.0, "cy": 256.0, "xi": -0.17, "alpha": 0.59}},
    {"camera_type": "ds", "intrinsics": {"fx": 157.0, "fy": 157.0, "cx": 252.0, "cy": 255.0, "xi": -0.17, "alpha": 0.59}}],
  "resolution": [[512, 512], [512, 512]]}}"#;

pub(crate) const RAW: &str = "\
calib_time: 09-Jan-2012 13:57:47
S_02: 1392 512
K_02: 959.8 0 696.0 0 956.9 224.2 0 0 1
D_02: -0.37 0.2 0.001 0.0005 -0.07
R_02: 1 0 0 0 1 0 0 0 1
T_02: 0.06 0 0
S_03: 1392 512
K_03: 903.8 0 695.8 0 902.0 224.3 0 0 1
D_03: -0.36 0.18 0.0006 -0.0004 -0.05
R_03: 1 0 0 0 1 0 0 0 1
T_03: -0.47 0 0
";

pub(crate) const EUROC: &str = "\
sensor_type: camera
T_BS:
  cols: 4
  rows: 4
  data: [1.0, 0.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 0.0, 1.0]
resolution: [752, 480]
camera_model: pinhole
intrinsics: [458.6, 457.3, 367.2, 248.4]
distortion_model: radial-tangential
distortion_coefficients: [-0.28, 0.07, 0.0002, 0.00002]
";

pub(crate) fn right_ros() -> String {
    ROS.replace("331.3, 0.0, 0.0, 395.6", "331.3, -47.4, 0.0, 395.6")
}

pub(crate) fn right_euroc() -> String {
    EUROC.replace("[1.0, 0.0, 0.0, 0.0, 0.0, 1.0", "[1.0, 0.0, 0.0, 0.11, 0.0, 1.0")
}

/// Every format's files, good.
pub(crate) fn all() -> Vec<Vec<(&'static str, String)>> {
    vec![
        vec![("camchain.yaml", KALIBR.to_owned())],
        vec![("stereo.yml", OPENCV.to_owned())],
        vec![("left.yaml", ROS.to_owned()), ("right.yaml", right_ros())],
        vec![("calibration.json", BASALT.to_owned())],
        vec![("calib_cam_to_cam.txt", RAW.to_owned())],
        vec![("cam0.yaml", EUROC.to_owned()), ("cam1.yaml", right_euroc())],
    ]
}

pub(crate) fn refused(files: &[(&'static str, String)]) -> String {
    let files: Vec<(&str, &str)> =
        files.iter().map(|(name, text)| (*name, text.as_str())).collect();
    read(&files, &Options::default()).unwrap_err().to_string()
}

#[test]
fn the_good_ones_are_read() {
    let formats: Vec<Format> = all()
        .iter()
        .map(|files| {
            let files: Vec<(&str, &str)> = files.iter().map(|(n, t)| (*n, t.as_str())).collect();
            let imported = read(&files, &Options::default()).unwrap();
            assert!(imported.rig.baseline_m() > 0.09 && imported.rig.baseline_m() < 0.6);
            assert!(imported.notes.iter().any(|note| note.contains("left_from_ego")));
            imported.format
        })
        .collect();
    let expected = [
        Format::Kalibr,
        Format::OpenCv,
        Format::Ros,
        Format::Basalt,
        Format::KittiRaw,
        Format::Euroc,
    ];
    assert_eq!(formats, expected);
}

#[test]
fn messages_name_file_field_found_and_expected() {
    for (format, change, to, says) in [
        (
            0,
            "[458.6, 457.3, 367.2, 248.4]",
            "[458.6, 457.3, 367.2]",
            &["camchain.yaml", "cam0.intrinsics", "[fx, fy, cx, cy]"][..],
        ),
        (0, "458.6", ".nan", &["cam0.intrinsics[0]", ".nan", "a finite number"]),
        (0, "458.6", "nan", &["cam0.intrinsics[0]", "nan"]),
        (0, "pinhole", "omni", &["cam0.camera_model", "omni", "pinhole, ds or eucm"]),
        (0, "radtan", "fov", &["cam0.distortion_model", "fov", "radtan"]),
        (0, "  resolution: [752, 480]\ncam1", "cam1", &["cam0.resolution is missing"]),
        (
            0,
            "resolution: [752, 480]\ncam1",
            "resolution: [640, 480]\ncam1",
            &["image size of the right camera", "752x480", "640x480"],
        ),
        (0, "-0.11]", "0.11]", &["right_from_left.translation_m", "lies to the right"]),
        (
            0,
            "  - [0.0, 0.0, 1.0, 0.0]\n",
            "  - [0.0, 0.0, 0.0, 0.0]\n",
            &["camchain.yaml: cam1.T_cn_cnm1", "singular", "a rotation"],
        ),
        (0, "  - [0.0, 0.0, 1.0, 0.0]\n", "", &["cam1.T_cn_cnm1", "12 numbers", "16 numbers"]),
        (0, "cam1:", "cam2:", &["cam1 is missing"]),
        (0, "cam1:", "  cam_overlaps: *x\ncam1:", &["camchain.yaml:"]),
        (0, "-0.28, 0.07, 0.0002, 0.00002", "-0.28, 0.07", &["cam0.distortion_coeffs", "found 2"]),
        (
            1,
            "-0.4, 0., 0., 0., 0., 0., 0. ]",
            "-0.4, 0.1, 0., 0., 0., 0., 0. ]",
            &["D1", "s1", "thin prism"],
        ),
        (1, "533.9, 0., 328.8", "533.9, 2., 328.8", &["M1", "focal lengths"]),
        (1, "533.9, 0., 328.8, 0., 528.5", "0., 0., 328.8, 0., 528.5", &["M1", "not 0"]),
        (1, "   rows: 3\n   cols: 3", "   rows: 2\n   cols: 3", &["M1.rows", "3, of a 3x3"]),
        (1, "T: !!opencv-matrix", "U: !!opencv-matrix", &["T or translation", "missing"]),
        (1, "-0.12", "0.12", &["right_from_left.translation_m", "positive"]),
        (2, "plumb_bob", "brown", &["left.yaml", "distortion_model", "plumb_bob"]),
        (2, "image_width: 640", "image_width: 0", &["image_width", "pixels"]),
        (
            2,
            "1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0",
            "1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 9.0",
            &["rectification_matrix", "a rotation"],
        ),
        (3, "\"qw\": 1.0},", "\"qw\": 0.5},", &["value0.T_imu_cam[0]", "length 0.5"]),
        (3, "\"ds\"", "\"mei\"", &["value0.intrinsics[0].camera_type", "mei"]),
        (3, "\"alpha\": 0.59", "\"alpha\": 1.59", &["alpha is 1.59"]),
        (3, "\"resolution\"", "\"size\"", &["value0.resolution is missing"]),
        (4, "D_02: -0.37", "D_02: nan", &["calib_cam_to_cam.txt:4", "D_02", "5 finite numbers"]),
        (4, "S_03", "S_04", &["S_03 is missing"]),
        (
            4,
            "R_02: 1 0 0 0 1 0 0 0 1",
            "R_02: 0 0 0 0 0 0 0 0 0",
            &["calib_cam_to_cam.txt:5", "R_02", "singular", "a rotation"],
        ),
        (
            5,
            "data: [1.0, 0.0, 0.0, 0.0, 0.0, 1.0",
            "data: [1.0, 0.0, 0.0, 0.0, 0.0, 0.0",
            &["cam0.yaml: T_BS", "singular", "a rotation"],
        ),
        (5, "0.0, 0.0, 0.0, 1.0]", "0.0, 0.0, 0.1, 1.0]", &["cam0.yaml: T_BS", "last row"]),
        (5, "cols: 4", "cols: 3", &["T_BS.cols", "4, of a 4x4"]),
        (1, "cols: 14", "cols: 13", &["D1", "1 rows and 13 columns of 14 numbers"]),
        (
            1,
            "   rows: 3\n   cols: 1\n",
            "   rows: 7\n   cols: 9\n",
            &["T", "7 rows and 9 columns of 3"],
        ),
        (
            2,
            "cols: 5",
            "cols: 4",
            &["distortion_coefficients", "1 rows and 4 columns of 5 numbers"],
        ),
        (4, "S_03", "T_02: 1 2 3\nS_03", &["calib_cam_to_cam.txt:7", "T_02", "line 6", "once"]),
        (5, "radial-tangential", "tangential", &["cam0.yaml", "distortion_model"]),
        (5, "T_BS:", "T_BC:", &["T_BS is missing"]),
    ] {
        let mut files = all().swap_remove(format);
        assert!(files[0].1.contains(change), "{change}");
        files[0].1 = files[0].1.replacen(change, to, 1);
        let message = refused(&files);
        assert!(says.iter().all(|part| message.contains(part)), "{says:?}: {message}");
    }
}

#[test]
fn files_of_other_kinds_are_refused() {
    let options = Options::default();
    for (files, says) in [
        (vec![], "at least one"),
        (vec![("notes.txt", "nothing to see")], "no known calibration"),
        (vec![("left.yaml", ROS)], "2 files of format ros"),
        (vec![("camchain.yaml", KALIBR), ("other.yaml", KALIBR)], "one file of format kalibr"),
        (vec![("a.json", "{")], "a.json:1"),
        (vec![("left.yaml", ROS), ("right.yaml", ROS)], "of a single camera"),
    ] {
        let message = read(&files, &options).unwrap_err().to_string();
        assert!(message.contains(says), "{message}");
    }
    let wide = Options {
        image_size: Some(ImageSize { width: 1, height: 1 }),
        unit_m: f64::NAN,
        ..options
    };
    let message = read(&[("camchain.yaml", KALIBR)], &wide).unwrap_err().to_string();
    assert!(message.contains("unit is NaN"), "{message}");
}

#[test]
fn yaml_that_grows_is_refused() {
    // A billion laughs: nine levels of nine aliases each.
    let mut bomb = "cam0:\n  a: &a0 [x, x, x]\n".to_owned();
    for level in 1..9 {
        bomb += &format!(
            "  b{level}: &a{level} [{}]\n",
            vec![format!("*a{}", level - 1); 9].join(", ")
        );
    }
    let message = read(&[("bomb.yaml", &bomb)], &Options::default()).unwrap_err().to_string();
    assert!(message.contains("alias"), "{message}");
    let deep = format!("cam0: {}", "[".repeat(5000));
    let message = read(&[("deep.yaml", &deep)], &Options::default()).unwrap_err().to_string();
    assert!(message.contains("deep.yaml:"), "{message}");
    let large = format!("cam0: {}\n", " ".repeat(5 << 20));
    let message = read(&[("large.yaml", &large)], &Options::default()).unwrap_err().to_string();
    assert!(message.contains("at most"), "{message}");
}

/// Left and right in each other's place: the baseline is then negative, in whatever file says how the cameras lie.
#[test]
fn swapped_cameras_are_refused() {
    let swap = |text: &str, a: &str, b: &str| text.replace(a, "\0").replace(b, a).replace('\0', b);
    let basalt = {
        let mut document: serde_json::Value = serde_json::from_str(BASALT).unwrap();
        for key in ["T_imu_cam", "intrinsics"] {
            document["value0"][key].as_array_mut().unwrap().reverse();
        }
        document.to_string()
    };
    for (files, says) in [
        (vec![("camchain.yaml", KALIBR.replace("-0.11]", "0.11]"))], "camchain.yaml"),
        (vec![("stereo.yml", OPENCV.replace("-0.12", "0.12"))], "stereo.yml"),
        (vec![("left.yaml", right_ros()), ("right.yaml", ROS.to_owned())], "left.yaml, right.yaml"),
        (vec![("calibration.json", basalt)], "calibration.json"),
        (vec![("calib_cam_to_cam.txt", swap(RAW, "_02:", "_03:"))], "calib_cam_to_cam.txt"),
        (
            vec![("cam0.yaml", right_euroc()), ("cam1.yaml", EUROC.to_owned())],
            "cam0.yaml, cam1.yaml",
        ),
    ] {
        let message = refused(&files);
        assert!(
            message.starts_with(&format!("{says}: right_from_left.translation_m")),
            "{message}"
        );
        assert!(message.contains("the right camera lies to the right"), "{message}");
    }
}

/// A scaled pose cancels in the product of two, all but the baseline.
#[test]
fn poses_that_are_not_rigid_are_refused_each() {
    let doubled = |text: &str| {
        text.replace("[1.0, 0.0, 0.0, ", "[2.0, 0.0, 0.0, ").replace(
            " 0.0, 1.0, 0.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0",
            " 0.0, 2.0, 0.0, 0.0, 0.0, 0.0, 2.0, 0.0, 0",
        )
    };
    let message = refused(&[("cam0.yaml", doubled(EUROC)), ("cam1.yaml", doubled(&right_euroc()))]);
    // The right one is read first.
    assert!(message.contains("cam1.yaml: T_BS") && message.contains("determinant 8"), "{message}");
    let raw = RAW.replace(": 1 0 0 0 1 0 0 0 1\nT_", ": 2 0 0 0 2 0 0 0 2\nT_");
    assert_eq!(raw.matches("2 0 0 0 2 0 0 0 2").count(), 2);
    let message = refused(&[("raw.txt", raw)]);
    assert!(message.contains("raw.txt:5: R_02") && message.contains("determinant 8"), "{message}");
    let kalibr = KALIBR.replace("T_cn_cnm1", "T_cam_imu").replace(
        "cam0:\n",
        "cam0:\n  T_cam_imu:\n  - [1.0, 0.0, 0.0, 0.0]\n  - [0.0, 1.0, 0.0, 0.0]\n  - [0.0, 0.0, -1.0, 0.0]\n  - \
         [0.0, 0.0, 0.0, 1.0]\n",
    );
    let message = refused(&[("camchain.yaml", kalibr)]);
    // A mirror.
    assert!(message.contains("cam0.T_cam_imu") && message.contains("determinant -1"), "{message}");
}

#[test]
fn messages_blame_the_file_that_is_wrong() {
    let ros = |left: String, right: String| refused(&[("left.yaml", left), ("right.yaml", right)]);
    let message = ros(ROS.to_owned(), right_ros().replace("430.2", "-430.2"));
    assert!(message.starts_with("right.yaml: right.fx is -430.2"), "{message}");
    let message = ros(ROS.replace("227.2", "9000.0"), right_ros());
    assert!(message.starts_with("left.yaml: left.cy"), "{message}");
    let (intrinsics, extrinsics) = OPENCV.split_at(OPENCV.find("R: ").unwrap());
    let extrinsics = format!("%YAML:1.0\n---\n{extrinsics}");
    let message = refused(&[
        ("intrinsics.yml", intrinsics.to_owned()),
        ("extrinsics.yml", extrinsics.replace("-0.12", "0.12")),
    ]);
    assert!(message.starts_with("extrinsics.yml: right_from_left.translation_m"), "{message}");
    let message = refused(&[
        ("intrinsics.yml", intrinsics.to_owned()),
        ("extrinsics.yml", extrinsics.replace("[ 1., 0., 0., 0., 1.", "[ 1., 0., 0., 0., 3.")),
    ]);
    assert!(message.starts_with("extrinsics.yml: R is"), "{message}");
    // And a translation that no metres can be.
    let message = refused(&[
        ("intrinsics.yml", intrinsics.to_owned()),
        ("extrinsics.yml", extrinsics.replace("-0.12", "-120.")),
    ]);
    assert!(message.contains("extrinsics.yml") && message.contains("--unit mm"), "{message}");
}

#[test]
fn an_image_size_that_contradicts_the_file_is_refused() {
    let options = |width, height| Options {
        image_size: Some(ImageSize { width, height }),
        ..Options::default()
    };
    for files in all() {
        let files: Vec<(&str, &str)> = files.iter().map(|(n, t)| (*n, t.as_str())).collect();
        let message = read(&files, &options(320, 241)).unwrap_err().to_string();
        for part in [files[0].0, "the image size is ", "320x241", "--image-size"] {
            assert!(message.contains(part), "{message}");
        }
        let size = read(&files, &Options::default()).unwrap().rig.image_size;
        assert!(read(&files, &options(size.width, size.height)).is_ok());
    }
}

#[test]
fn messages_stay_short() {
    let long = "9".repeat(200_000);
    for files in all() {
        for (from, to) in [
            ("1.0, 0.0", format!("1.0{long}x, 0.0")),
            ("0.0002", format!("0.0002, {}", "0.1, ".repeat(50_000))),
            ("camera_model: ", format!("camera_model: {long}")),
            ("resolution", format!("k{long}: 1\n  k{long}: 1\nresolution")),
            ("1 0 0 0 1", format!("{long} x 0")),
            ("S_03", format!("k{long}: 1\nk{long}: 1\nS_03")),
        ] {
            let mut files = files.clone();
            files[0].1 = files[0].1.replacen(from, &to, 1);
            let files: Vec<(&str, &str)> = files.iter().map(|(n, t)| (*n, t.as_str())).collect();
            if let Err(error) = read(&files, &Options::default()) {
                let message = error.to_string();
                assert!(message.len() < 700, "{from}: {} bytes", message.len());
                assert!(!message.contains('\n'), "{message}");
            }
        }
    }
}

/// However much of any file is missing, either that file is named, or the rig is all there (and it is said that the end is
/// missing when a number may have been cut).
#[test]
fn every_file_cut_anywhere_is_refused_or_whole() {
    for files in all() {
        let whole = {
            let files: Vec<(&str, &str)> = files.iter().map(|(n, t)| (*n, t.as_str())).collect();
            read(&files, &Options::default()).unwrap()
        };
        for which in 0..files.len() {
            for cut in 0..files[which].1.len() {
                let texts: Vec<(&str, &str)> = files
                    .iter()
                    .enumerate()
                    .map(|(i, (name, text))| (*name, if i == which { &text[..cut] } else { text }))
                    .collect();
                let given: Vec<File<'_>> =
                    texts.iter().map(|&(name, text)| File { name, text }).collect();
                // Of what is left, the format cannot always be told.
                match import(whole.format, &given, &Options::default()) {
                    Err(error) => {
                        let message = error.to_string();
                        assert!(message.contains(texts[which].0), "{cut}: {message}");
                    }
                    Ok(imported) if imported.rig == whole.rig => {}
                    Ok(imported) => {
                        let said = |note: &String| {
                            note.contains(texts[which].0) && note.contains("may be cut off")
                        };
                        assert!(imported.notes.iter().any(said), "{cut}: {imported:?}");
                    }
                }
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    /// Cut short, or with bytes changed, a file is refused or read; it never panics.
    #[test]
    fn damaged_files_do_not_panic(
        (which, file) in (0_usize..6, 0_usize..2),
        cut in 0.0_f64..1.0,
        changes in prop::collection::vec((0.0_f64..1.0, prop::sample::select(b"0 9.-e[]{}:,\n\"&*!%~\tx".to_vec())), 0..6),
    ) {
        let mut files = all().swap_remove(which);
        let file = file.min(files.len() - 1);
        let text = &mut files[file].1;
        let mut bytes = text.clone().into_bytes();
        for (at, byte) in changes {
            #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a share of a length")]
            let at = (at * bytes.len() as f64) as usize;
            bytes[at] = byte;
        }
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a share of a length")]
        bytes.truncate((cut * bytes.len() as f64) as usize);
        *text = String::from_utf8(bytes).unwrap();
        let files: Vec<File<'_>> = files.iter().map(|(name, text)| File { name, text }).collect();
        let _ = detect(&files);
        for (_, format) in Format::ALL {
            let odometry = format == Format::KittiOdometry;
            let options = Options {
                image_size: odometry.then_some(ImageSize { width: 640, height: 480 }),
                ..Options::default()
            };
            if let Ok(imported) = import(format, &files, &options) {
                prop_assert!(imported.rig.validate("imported").is_ok());
            }
        }
    }
}
