//! Real calibrations, of which several describe the same cameras.

use super::read;
use nalgebra::{Matrix3, Vector3};
use occdepth_calibration::formats::{Format, Imported, Options};
use occdepth_geometry::ImageSize;
use occdepth_geometry::rectification::{Crop, StereoRectification};
use occdepth_geometry::rig::StereoRig;
use serde_json::Value;
use std::io::Write as _;
use std::path::{Path, PathBuf};

/// A file beside the repository, or the word that it is not there.
fn shared(test: &str, path: &str) -> Option<(String, String)> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared").join(path);
    shared_file(test, &path)
}

fn shared_file(test: &str, path: &PathBuf) -> Option<(String, String)> {
    if !path.exists() {
        let line = format!("SKIPPED {test}: no shared test data beside the repository\n");
        std::io::stderr().write_all(line.as_bytes()).unwrap();
        return None;
    }
    let name = path.file_name().unwrap().to_string_lossy().into_owned();
    Some((name, std::fs::read_to_string(path).unwrap()))
}

fn from(test: &str, paths: &[&str], options: &Options) -> Option<Imported> {
    let files: Option<Vec<_>> = paths.iter().map(|path| shared(test, path)).collect();
    let files = files?;
    let files: Vec<(&str, &str)> = files.iter().map(|(n, t)| (n.as_str(), t.as_str())).collect();
    Some(read(&files, options).unwrap())
}

fn golden(test: &str, name: &str) -> Option<Value> {
    let (_, text) = shared(test, &format!("golden/rectification/{name}.json"))?;
    Some(serde_json::from_str(&text).unwrap())
}

fn numbers(value: &Value) -> Vec<f64> {
    match value {
        Value::Array(list) => list.iter().flat_map(numbers).collect(),
        number => vec![number.as_f64().unwrap()],
    }
}

/// Compares a rig with OpenCV's input of the same calibration.
fn assert_is(rig: &StereoRig, golden: &Value, translation_m: f64) {
    for (camera, k, d) in [(&rig.left, "K1", "D1"), (&rig.right, "K2", "D2")] {
        let k = numbers(&golden[k]);
        let i = camera.intrinsics;
        for (found, expected) in [(i.fx, k[0]), (i.fy, k[4]), (i.cx, k[2]), (i.cy, k[5])] {
            assert!((found - expected).abs() < 1e-9, "{found}, expected {expected}");
        }
        let expected = numbers(&golden[d]);
        let found = camera.distortion.coefficients();
        for (i, expected) in expected.iter().enumerate() {
            let found = found.get(i).copied().unwrap_or(0.0);
            // The last digits differ between publications of the same calibration.
            assert!((found - expected).abs() < 1e-8, "{d}[{i}]: {found}, expected {expected}");
        }
    }
    let r = Matrix3::from_row_slice(&numbers(&golden["R"]));
    let t = Vector3::from_row_slice(&numbers(&golden["T"]));
    let pose = rig.right_from_left;
    assert!((pose.fixed_view::<3, 3>(0, 0) - r).amax() < 1e-6, "{pose} {r}");
    assert!((pose.fixed_view::<3, 1>(0, 3) - t).amax() < translation_m, "{pose} {t}");
}

#[test]
fn euroc_is_the_same_from_kalibr_and_sensor_files() {
    let name = "euroc_is_the_same_from_kalibr_and_sensor_files";
    let options = Options::default();
    let Some(kalibr) = from(name, &["data/calib/kalibr/euroc.yaml"], &options) else { return };
    // Given in the wrong order: the names tell.
    let paths = ["data/calib/euroc/cam1_sensor.yaml", "data/calib/euroc/cam0_sensor.yaml"];
    let euroc = from(name, &paths, &options).unwrap();
    assert_eq!((kalibr.format, euroc.format), (Format::Kalibr, Format::Euroc));
    assert!(euroc.notes.iter().any(|note| note.contains("left camera from cam0")), "{euroc:?}");
    assert_eq!(kalibr.rig.left, euroc.rig.left);
    assert_eq!(kalibr.rig.image_size, euroc.rig.image_size);
    let error = (kalibr.rig.right_from_left - euroc.rig.right_from_left).amax();
    assert!(error < 1e-9, "{error}");
    let golden = golden(name, "euroc_alpha_-1").unwrap();
    assert_is(&kalibr.rig, &golden, 1e-6);

    // And the rectification that OpenCV computed for it.
    let rectified =
        StereoRectification::new(&kalibr.rig, Crop::Alpha(-1.0), kalibr.rig.image_size).unwrap();
    let r1 = Matrix3::from_row_slice(&numbers(&golden["R1"]));
    assert!((rectified.r1 - r1).amax() < 1e-6);
}

#[test]
fn opencv_files_are_those_of_the_golden_chessboard() {
    let name = "opencv_files_are_those_of_the_golden_chessboard";
    let size = ImageSize { width: 640, height: 480 };
    let paths = ["data/chessboard/intrinsics.yml", "data/chessboard/extrinsics.yml"];
    let options = Options { image_size: Some(size), ..Options::default() };
    let Some(imported) = from(name, &paths, &options) else { return };
    assert_eq!(imported.format, Format::OpenCv);
    assert_is(&imported.rig, &golden(name, "chessboard_alpha_0").unwrap(), 1e-12);
    // Translations in squares of 25 mm.
    let options = Options { unit_m: 0.025, ..options };
    let metres = from(name, &paths, &options).unwrap().rig;
    let error = metres.baseline_m() - 0.025 * imported.rig.baseline_m();
    assert!(error.abs() < 1e-12);
    // Without a size the file cannot be used, and says what is missing.
    let files: Vec<_> = paths.iter().map(|path| shared(name, path).unwrap()).collect();
    let files: Vec<(&str, &str)> = files.iter().map(|(n, t)| (n.as_str(), t.as_str())).collect();
    let message = read(&files, &Options::default()).unwrap_err().to_string();
    assert!(message.contains("intrinsics.yml") && message.contains("--image-size"), "{message}");
}

/// The matrices that OpenCV's `stereoRectify` made of the chessboard, as a pair of `camera_info`: they state the rotation and
/// the translation that it was given.
#[test]
fn ros_files_of_opencvs_rectification_state_the_pair_that_it_was_made_of() {
    let name = "ros_files_of_opencvs_rectification_state_the_pair_that_it_was_made_of";
    let Some(golden) = golden(name, "chessboard_alpha_0") else { return };
    let file = |side: usize| {
        let matrix = |name: &str, rows: usize, cols: usize, key: &str| {
            let data = numbers(&golden[format!("{key}{side}")]);
            format!("{name}:\n  rows: {rows}\n  cols: {cols}\n  data: {data:?}\n")
        };
        "image_width: 640\nimage_height: 480\ndistortion_model: rational_polynomial\n".to_owned()
            + &matrix("camera_matrix", 3, 3, "K")
            + &matrix("distortion_coefficients", 1, 14, "D")
            + &matrix("rectification_matrix", 3, 3, "R")
            + &matrix("projection_matrix", 3, 4, "P")
    };
    let (left, right) = (file(1), file(2));
    let files = [("left.yaml", &*left), ("right.yaml", &*right)];
    let found = read(&files, &Options::default()).unwrap();
    assert_eq!(found.format, Format::Ros);
    assert_is(&found.rig, &golden, 1e-12);
    let r = Matrix3::from_row_slice(&numbers(&golden["R"]));
    assert!((found.rig.right_from_left.fixed_view::<3, 3>(0, 0) - r).amax() < 1e-12);
}

/// One file holds it all: intrinsics, relation, and the rectification whose `P1:` is no KITTI line.
#[test]
fn opencv_files_are_one_or_two_in_any_order() {
    let name = "opencv_files_are_one_or_two_in_any_order";
    let size = ImageSize { width: 640, height: 480 };
    let options = Options { image_size: Some(size), ..Options::default() };
    let paths = ["data/chessboard/extrinsics.yml", "data/chessboard/intrinsics.yml"];
    let Some(backward) = from(name, &paths, &options) else { return };
    let golden = golden(name, "chessboard_alpha_0").unwrap();
    assert_is(&backward.rig, &golden, 1e-12);
    let [extrinsics, intrinsics] = paths.map(|path| shared(name, path).unwrap().1);
    let body = |text: &str| text.strip_prefix("%YAML:1.0\n---\n").unwrap().to_owned();
    let one = format!("%YAML:1.0\n---\n{}{}", body(&extrinsics), body(&intrinsics));
    let one = read(&[("stereo.yml", &one)], &options).unwrap();
    assert_eq!(one.format, Format::OpenCv);
    assert_is(&one.rig, &golden, 1e-12);
}

/// Cut anywhere, a real pair of files is refused, with the name of the file that was cut, or is whole.
#[test]
fn real_files_that_are_cut_are_refused_by_name() {
    let name = "real_files_that_are_cut_are_refused_by_name";
    let size = ImageSize { width: 640, height: 480 };
    let options = Options { image_size: Some(size), ..Options::default() };
    let paths = ["data/chessboard/intrinsics.yml", "data/chessboard/extrinsics.yml"];
    let Some(whole) = from(name, &paths, &options) else { return };
    let texts = paths.map(|path| shared(name, path).unwrap().1);
    for which in 0..2 {
        for cut in (0..texts[which].len()).step_by(7) {
            let part = |i: usize| if i == which { &texts[i][..cut] } else { &texts[i] };
            let files = [("intrinsics.yml", part(0)), ("extrinsics.yml", part(1))];
            match read(&files, &options) {
                // What R and T need is all there: only the rectification was cut, between two of its matrices.
                Ok(imported) => assert_eq!(imported.rig, whole.rig),
                Err(error) => {
                    let message = error.to_string();
                    assert!(message.contains(files[which].0), "{cut}: {message}");
                }
            }
        }
    }
}

#[test]
fn kitti_raw_has_its_published_baseline() {
    let name = "kitti_raw_has_its_published_baseline";
    let path = "data/calib/kitti_raw/calib_cam_to_cam_2011_09_26_partial.txt";
    let Some(imported) = from(name, &[path], &Options::default()) else { return };
    assert_eq!(imported.format, Format::KittiRaw);
    let rig = &imported.rig;
    assert_eq!(rig.image_size, ImageSize { width: 1392, height: 512 });
    // P_rect_02[3] / fx - P_rect_03[3] / fx of the same file.
    let rectified_baseline_m = (44.85728 + 339.5242) / 721.5377;
    assert!((rig.baseline_m() - rectified_baseline_m).abs() < 2e-4, "{}", rig.baseline_m());
    // And its published rectification, to the digits of the file: R_rect_03 R_rl = R_rect_02.
    let (_, text) = shared(name, path).unwrap();
    let published = |key: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(key)).unwrap();
        line.split_whitespace().map(|n| n.parse().unwrap()).collect::<Vec<f64>>()
    };
    let [left, right] =
        ["R_rect_02:", "R_rect_03:"].map(|key| Matrix3::from_row_slice(&published(key)));
    let r = rig.right_from_left.fixed_view::<3, 3>(0, 0);
    assert!((right.transpose() * left - r).amax() < 3e-7, "{}", right.transpose() * left - r);
    // The pair that most people have.
    let options = Options { kitti_rectified: true, ..Options::default() };
    let rectified = from(name, &[path], &options).unwrap().rig;
    assert!((rectified.baseline_m() - rectified_baseline_m).abs() < 1e-4);
    assert_eq!(rectified.image_size, ImageSize { width: 1242, height: 375 });
    let p = published("P_rect_03:");
    let found =
        StereoRectification::new(&rectified, Crop::Alpha(0.0), rectified.image_size).unwrap();
    assert!((found.p2.m11 - p[0]).abs() < 1e-9 && (found.p2.m23 - p[6]).abs() < 1e-9);
    // Camera 1 is not in this file.
    let (file, text) = shared(name, path).unwrap();
    let options = Options { kitti_cameras: [0, 1], ..Options::default() };
    let message = read(&[(&file, &text)], &options).unwrap_err().to_string();
    assert!(message.contains("S_01 is missing"), "{message}");
}

/// Two people's models of the same cameras show a ray at nearly the same pixel.
#[test]
fn basalt_models_of_the_same_cameras_agree() {
    let name = "basalt_models_of_the_same_cameras_agree";
    let options = Options::default();
    for (spheres, unified, reach) in [
        ("tumvi_512_ds_calib", "tumvi_512_eucm_calib", 1.2),
        ("euroc_ds_calib", "euroc_eucm_calib", 0.7),
    ] {
        let path = |name: &str| format!("data/calib/basalt/{name}.json");
        let Some(spheres) = from(name, &[&path(spheres)], &options) else { return };
        let unified = from(name, &[&path(unified)], &options).unwrap();
        assert_eq!(spheres.format, Format::Basalt);
        let mut compared = 0;
        for step in 0..40 {
            let (angle, around) = (reach * f64::from(step) / 40.0, 0.7 * f64::from(step));
            let ray =
                Vector3::new(angle.sin() * around.cos(), angle.sin() * around.sin(), angle.cos());
            let [a, b] = [spheres.rig.left, unified.rig.left].map(|c| c.project(&ray).unwrap());
            let distance = (a[0] - b[0]).hypot(a[1] - b[1]);
            assert!(distance < 3.0, "{angle} rad: {a:?} and {b:?}");
            compared += 1;
        }
        assert_eq!(compared, 40);
        let difference = spheres.rig.baseline_m() - unified.rig.baseline_m();
        assert!(difference.abs() < 2e-3, "{difference}");
    }
    // EuRoC's baseline is 110 mm, whoever measures it; TUM-VI's 101 mm.
    let euroc = from(name, &["data/calib/basalt/euroc_ds_calib.json"], &options).unwrap().rig;
    assert!((euroc.baseline_m() - 0.110).abs() < 1e-3);
    let tum = from(name, &["data/calib/basalt/tumvi_512_ds_calib.json"], &options).unwrap().rig;
    assert!((tum.baseline_m() - 0.101).abs() < 1e-3);
    // Not only how far apart, also which way: EuRoC's relation as its authors and OpenCV's golden file have it, TUM-VI's.
    for (rig, file, turn, metres) in
        [(&euroc, "euroc_alpha_-1", 3e-3, 1.5e-3), (&tum, "tumvi_kb4", 2e-3, 1.5e-3)]
    {
        let golden = golden(name, file).unwrap();
        let r = Matrix3::from_row_slice(&numbers(&golden["R"]));
        let t = Vector3::from_row_slice(&numbers(&golden["T"]));
        let pose = rig.right_from_left;
        let error = (pose.fixed_view::<3, 3>(0, 0) - r).amax();
        assert!(error < turn, "{file}: {error}");
        let error = (pose.fixed_view::<3, 1>(0, 3) - t).amax();
        assert!(error < metres, "{file}: {error}");
    }
    // TUM-VI by the Kannala-Brandt model, from OpenCV's golden input.
    let golden = golden(name, "tumvi_kb4").unwrap();
    let (k, d) = (numbers(&golden["K1"]), numbers(&golden["D1"]));
    let radius_at = |t: f64| {
        let s = t * t;
        k[0] * t * (1.0 + s * (d[0] + s * (d[1] + s * (d[2] + s * d[3]))))
    };
    for t in [0.2_f64, 0.6, 1.0] {
        let [x, _] = tum.left.project(&Vector3::new(t.sin(), 0.0, t.cos())).unwrap();
        assert!((x - tum.left.intrinsics.cx - radius_at(t)).abs() < 2.0, "{t} rad");
    }
}
