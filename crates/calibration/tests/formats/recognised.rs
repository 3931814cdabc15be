//! Which format files have, which is the left one, and what is said of what they leave open.

use super::damaged::{EUROC, KALIBR, OPENCV, RAW, ROS, right_euroc, right_ros};
use super::{detected, read};
use occdepth_calibration::formats::{File, Format, LensModel, Options, detect};
use occdepth_geometry::camera::Distortion;

/// What OpenCV's sample writes beside R and T.
const RECTIFIED: &str = "\
R1: !!opencv-matrix
   rows: 3
   cols: 3
   dt: d
   data: [ 1., 0., 0., 0., 1., 0., 0., 0., 1. ]
P1: !!opencv-matrix
   rows: 3
   cols: 4
   dt: d
   data: [ 500., 0., 320., 0., 0., 500., 240., 0., 0., 0., 1., 0. ]
P2: !!opencv-matrix
   rows: 3
   cols: 4
   dt: d
   data: [ 500., 0., 320., -60., 0., 500., 240., 0., 0., 0., 1., 0. ]
";

fn intrinsics_and_extrinsics() -> (String, String) {
    let (intrinsics, extrinsics) = OPENCV.split_at(OPENCV.find("R: ").unwrap());
    (intrinsics.to_owned(), format!("%YAML:1.0\n---\n{extrinsics}{RECTIFIED}"))
}

#[test]
fn opencv_files_are_told_in_any_order_and_with_their_rectification() {
    let (intrinsics, extrinsics) = intrinsics_and_extrinsics();
    let pair = [("intrinsics.yml", &*intrinsics), ("extrinsics.yml", &*extrinsics)];
    let options = Options::default();
    let forward = read(&pair, &options).unwrap();
    let backward = read(&[pair[1], pair[0]], &options).unwrap();
    let one = format!("{OPENCV}{RECTIFIED}");
    let one = read(&[("stereo.yml", &one)], &options).unwrap();
    for imported in [&forward, &backward, &one] {
        assert_eq!((imported.format, &imported.rig), (Format::OpenCv, &forward.rig));
    }
    assert_eq!(forward.rig.left.intrinsics.cx, 328.8);
    assert_eq!(forward.rig.right.intrinsics.cx, 314.1);
    assert_eq!(forward.rig.baseline_m(), 0.12);
    // A file that is no calibration beside one that is.
    let files =
        [("a.txt", "nothing"), ("stereo.yml", OPENCV)].map(|(name, text)| File { name, text });
    assert_eq!(detect(&files), Ok(Format::OpenCv));
}

/// A file for each camera and one with R and T: the names decide, whatever their order.
#[test]
fn opencv_files_of_each_camera_are_told_by_their_names() {
    let camera = |cx: f64| {
        format!(
            "%YAML:1.0\n---\nimage_width: 640\nimage_height: 480\ncamera_matrix: !!opencv-matrix\n   rows: 3\n   cols: \
             3\n   dt: d\n   data: [ 530., 0., {cx}, 0., 530., 240., 0., 0., 1. ]\ndistortion_coefficients: \
             !!opencv-matrix\n   rows: 1\n   cols: 5\n   dt: d\n   data: [ -0.2, 0.1, 0., 0., 0. ]\n"
        )
    };
    let (_, extrinsics) = intrinsics_and_extrinsics();
    let (left, right) = (camera(311.0), camera(322.0));
    let files = [("left.yml", &*left), ("right.yml", &*right), ("extrinsics.yml", &*extrinsics)];
    for order in [[0, 1, 2], [1, 0, 2], [2, 1, 0], [1, 2, 0]] {
        let imported = read(&order.map(|i| files[i]), &Options::default()).unwrap();
        assert_eq!(imported.rig.left.intrinsics.cx, 311.0, "{order:?}");
        assert_eq!(imported.rig.right.intrinsics.cx, 322.0, "{order:?}");
        assert!(imported.notes.iter().any(|n| n.starts_with("left camera from left.yml")));
    }
    // Names that say nothing: as given, and said.
    let named = [("a.yml", files[1].1), ("b.yml", files[0].1), files[2]];
    let imported = read(&named, &Options::default()).unwrap();
    assert_eq!(imported.rig.left.intrinsics.cx, 322.0);
    assert!(
        imported.notes.iter().any(|note| note == "left camera from a.yml, right camera from b.yml")
    );
    let message = read(&[files[0], files[2]], &Options::default()).unwrap_err().to_string();
    assert!(message.contains("left.yml: found the intrinsics of one camera"), "{message}");
    // Two files that both say it.
    let twice = [("a.yml", OPENCV), ("b.yml", OPENCV)];
    let message = read(&twice, &Options::default()).unwrap_err().to_string();
    assert!(message.contains("in a.yml and in b.yml") && message.contains("M1"), "{message}");
}

#[test]
fn directories_of_both_cameras_do_not_confuse_their_names() {
    let left_of = |first: &str, second: &str| {
        let right = right_ros();
        // The texts belong to the names' own sides.
        let text = |name: &str| {
            if name.contains("ight.") || name.contains("cam1") { &*right } else { ROS }
        };
        let files = [(first, text(first)), (second, text(second))];
        read(&files, &Options::default()).map(|imported| imported.notes[0].clone())
    };
    for (left, right) in [
        ("left-right/left.yaml", "left-right/right.yaml"),
        ("right/left.yaml", "right/right.yaml"),
        ("/data/bright-cam0/a/left.yaml", "/data/bright-cam0/a/right.yaml"),
        ("rig/cam0/sensor.yaml", "rig/cam1/sensor.yaml"),
        ("right-rig/cam0/sensor.yaml", "right-rig/cam1/sensor.yaml"),
        ("Left.yaml", "Right.yaml"),
    ] {
        let expected = format!("left camera from {left}, right camera from {right}");
        assert_eq!(left_of(left, right).unwrap(), expected);
        assert_eq!(left_of(right, left).unwrap(), expected);
    }
    // One name is enough.
    assert!(left_of("right.yaml", "main.yaml").unwrap().starts_with("left camera from main.yaml"));
    assert!(left_of("main.yaml", "right.yaml").unwrap().starts_with("left camera from main.yaml"));
}

#[test]
fn opencvs_first_line_does_not_hide_other_formats() {
    let marked = |text: &str| format!("%YAML:1.0\n{text}");
    assert_eq!(detected("camchain.yaml", &marked(KALIBR)), Format::Kalibr);
    assert_eq!(detected("sensor.yaml", &marked(EUROC)), Format::Euroc);
    assert_eq!(detected("left.yaml", &marked(ROS)), Format::Ros);
    assert_eq!(detected("stereo.yml", &marked("x: 1")), Format::OpenCv);
    let chain = marked(KALIBR);
    let imported = read(&[("camchain.yaml", &chain)], &Options::default()).unwrap();
    assert!((imported.rig.baseline_m() - 0.11).abs() < 1e-12);
    // A calib.txt has numbers behind its keys.
    assert_eq!(detected("calib.txt", "P0: 7.1e+02 0 0 0\n"), Format::KittiOdometry);
    assert!(detect(&[File { name: "a", text: "P0: somewhere\n" }]).is_err());
}

#[test]
fn a_byte_order_mark_is_no_part_of_a_file() {
    let right = right_euroc();
    for files in [
        vec![("camchain.yaml", KALIBR)],
        vec![("stereo.yml", OPENCV)],
        vec![("calib_cam_to_cam.txt", RAW)],
        vec![("cam0.yaml", EUROC), ("cam1.yaml", &right)],
    ] {
        let plain = read(&files, &Options::default()).unwrap();
        let marked: Vec<String> = files.iter().map(|(_, text)| format!("\u{feff}{text}")).collect();
        let marked: Vec<(&str, &str)> =
            files.iter().zip(&marked).map(|((name, _), text)| (*name, text.as_str())).collect();
        let marked = read(&marked, &Options::default()).unwrap();
        assert_eq!((marked.format, marked.rig), (plain.format, plain.rig));
    }
}

/// Four coefficients without a word may be those of either model: what was assumed is said, and can be told.
#[test]
fn four_coefficients_of_opencv_need_a_word() {
    let four = |lens: &str| {
        let [mut text, d2] = [OPENCV.to_owned(), "[ -0.26, -0.01, 0., 0., 0. ]".to_owned()];
        let d1 = "[ -0.26, -0.13, 0., 0., 0., 0., 0., -0.4, 0., 0., 0., 0., 0., 0. ]";
        text = text.replace(d1, "[ 0.01, -0.02, 0.003, -0.0004 ]").replace("cols: 14", "cols: 4");
        text = text.replace(&d2, "[ 0.02, -0.01, 0.001, -0.0001 ]").replace("cols: 5", "cols: 4");
        text.replace("image_width", &format!("{lens}image_width"))
    };
    let with =
        |text: &str, lens| read(&[("stereo.yml", text)], &Options { lens, ..Options::default() });
    let noted = |notes: &[String]| notes.iter().any(|note| note.contains("--lens kannala-brandt"));
    let fisheye = Distortion::KannalaBrandt([0.01, -0.02, 0.003, -0.0004]);
    let pinhole = Distortion::radial_tangential(&[0.01, -0.02, 0.003, -0.0004]).unwrap();

    let plain = with(&four(""), None).unwrap();
    assert!(plain.rig.left.distortion == pinhole && noted(&plain.notes), "{plain:?}");
    for (flag, lens, expected) in [
        ("", Some(LensModel::KannalaBrandt), fisheye),
        ("", Some(LensModel::RadialTangential), pinhole),
        ("fisheye_model: 1\n", None, fisheye),
        ("fisheye_model: 0\n", None, pinhole),
        ("distortion_model: equidistant\n", None, fisheye),
        ("distortion_model: plumb_bob\n", Some(LensModel::RadialTangential), pinhole),
    ] {
        let imported = with(&four(flag), lens).unwrap();
        assert!(
            imported.rig.left.distortion == expected && !noted(&imported.notes),
            "{flag} {lens:?}"
        );
        assert_eq!(imported.rig.right.distortion.model(), expected.model());
    }
    // Five and more are of one model only.
    assert!(!noted(&with(OPENCV, None).unwrap().notes));
    let message = with(OPENCV, Some(LensModel::KannalaBrandt)).unwrap_err().to_string();
    assert!(message.contains("stereo.yml: D1") && message.contains("found 14"), "{message}");
    let message = with(&four("fisheye_model: 1\n"), Some(LensModel::RadialTangential));
    let message = message.unwrap_err().to_string();
    assert!(message.contains("fisheye_model is 1") && message.contains("--lens"), "{message}");
    let message = with(&four("distortion_model: magic\n"), None).unwrap_err().to_string();
    assert!(message.contains("distortion_model") && message.contains("magic"), "{message}");
    // Where it is of no use, that is said.
    let options = Options { lens: Some(LensModel::KannalaBrandt), ..Options::default() };
    let imported = read(&[("camchain.yaml", KALIBR)], &options).unwrap();
    assert!(imported.notes.iter().any(|note| note.contains("lens model was not used")));
}
