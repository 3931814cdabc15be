//! What is suspicious is said, of each kind by a rig that has it and nothing else; and good rigs raise nothing.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use nalgebra::{Matrix4, Rotation3, Vector3};
use occdepth_calibration::formats::{File, Options, detect, import, level_mount};
use occdepth_calibration::suspicions::{About, suspicions};
use occdepth_geometry::ImageSize;
use occdepth_geometry::camera::{Camera, Distortion, Intrinsics};
use occdepth_geometry::rig::StereoRig;
use std::io::Write as _;
use std::path::Path;

const SIZE: ImageSize = ImageSize { width: 1280, height: 720 };

/// A pair as it should be: 0.2 m, 85 degrees, a little distortion, turned by a degree.
fn good() -> StereoRig {
    let camera = Camera {
        intrinsics: Intrinsics { fx: 700.0, fy: 702.0, cx: 645.0, cy: 352.0 },
        distortion: Distortion::radial_tangential(&[-0.1, 0.02, 0.0, 0.0]).unwrap(),
    };
    StereoRig {
        name: "good".into(),
        image_size: SIZE,
        left: camera,
        right: camera,
        right_from_left: relation([0.01, -0.008, 0.01], [-0.2, 0.002, -0.003]),
        left_from_ego: level_mount(),
        rectified: false,
    }
}

fn relation(turn_rad: [f64; 3], t_m: [f64; 3]) -> Matrix4<f64> {
    let mut matrix = Rotation3::new(Vector3::from(turn_rad)).to_homogeneous();
    matrix.fixed_view_mut::<3, 1>(0, 3).copy_from(&Vector3::from(t_m));
    matrix
}

/// The only suspicion of a changed rig, as a line. The rig must be valid all the same.
#[track_caller]
fn only(about: About, change: impl FnOnce(&mut StereoRig)) -> String {
    let mut rig = good();
    change(&mut rig);
    rig.validate("changed").unwrap();
    let found = suspicions(&rig);
    assert_eq!(found.iter().map(|s| s.about).collect::<Vec<_>>(), [about], "{found:?}");
    let line = found[0].to_string();
    assert!(line.contains(", expected ") && !line.contains('\n'), "{line}");
    line
}

#[track_caller]
fn says(line: &str, parts: &[&str]) {
    for part in parts {
        assert!(line.contains(part), "no {part:?} in {line}");
    }
}

#[test]
fn a_good_rig_raises_nothing() {
    assert_eq!(suspicions(&good()), []);
    let mut rectified = good();
    for camera in [&mut rectified.left, &mut rectified.right] {
        camera.distortion = Distortion::NONE;
    }
    rectified.right_from_left = relation([0.0; 3], [-0.2, 0.002, -0.003]);
    rectified.rectified = true;
    assert_eq!(suspicions(&rectified), []);
}

#[test]
fn baselines_in_other_units() {
    let with = |baseline_m: f64| {
        only(About::Baseline, |rig| {
            rig.right_from_left = relation([0.0; 3], [-baseline_m, 0.0, 0.0]);
        })
    };
    // 8 squares of 25 mm are 0.2 m; 60 mm are 0.06 m.
    says(
        &with(8.0),
        &["baseline is 8.0000 m", "0.02 to 1.5 m", "square", "--unit 0.025", "0.200 m"],
    );
    says(&with(60.0), &["60.0000 m", "millimetres", "--unit mm", "(0.060 m)"]);
    says(&with(0.0002), &["0.0002 m", "--unit"]);
    for fine in [0.05, 0.54, 1.2] {
        let mut rig = good();
        rig.right_from_left = relation([0.0; 3], [-fine, 0.0, 0.0]);
        assert_eq!(suspicions(&rig), []);
    }
}

#[test]
fn cameras_that_look_elsewhere() {
    // About the optical axis: both still see the same.
    let line = only(About::Rotation, |rig| {
        rig.right_from_left = relation([0.0, 0.0, 0.2], [-0.2, 0.0, 0.0]);
        // Seen along the mean axes, the baseline stays sideways.
        let half = Rotation3::new(Vector3::new(0.0, 0.0, 0.1));
        let t = half * Vector3::new(-0.2, 0.0, 0.0);
        rig.right_from_left.fixed_view_mut::<3, 1>(0, 3).copy_from(&t);
    });
    says(&line, &["turned by 11.5 degrees", "10 at most", "same way up"]);
}

#[test]
fn cameras_that_stand_above_each_other() {
    // atan(0.06 / 0.2) = 16.7 degrees.
    let line = only(About::Direction, |rig| {
        rig.right_from_left = relation([0.0; 3], [-0.2, 0.06, 0.0]);
    });
    says(&line, &["16.7 degrees off", "[-0.2000, 0.0600, 0.0000]", "x right, y down"]);
}

#[test]
fn principal_points_of_another_image_size() {
    // The same calibration at 1920x1080, used at 1280x720 without scaling the right camera's centre.
    let line = only(About::PrincipalPoint, |rig| rig.right.intrinsics.cx = 850.0);
    says(
        &line,
        &["right principal point is (850.0, 352.0)", "1280x720", "(639.5, 359.5)", "1701x705"],
    );
    let line = only(About::PrincipalPoint, |rig| rig.left.intrinsics.cy = 490.0);
    says(&line, &["left principal point"]);
}

#[test]
fn focal_lengths_that_differ() {
    let line = only(About::FocalLengths, |rig| {
        rig.right.intrinsics.fx *= 1.15;
        rig.right.intrinsics.fy *= 1.15;
    });
    says(&line, &["700.0 in the left", "805.0 in the right", "10 %"]);
    let line = only(About::FocalLengths, |rig| rig.left.intrinsics.fy = 770.0);
    says(&line, &["left camera has fx 700.0 and fy 770.0", "square pixels"]);
}

#[test]
fn focal_lengths_that_are_no_pixels() {
    // 6 mm, for both: as pixels they make nearly half a turn of the image.
    let mut rig = good();
    for camera in [&mut rig.left, &mut rig.right] {
        *camera = Camera {
            intrinsics: Intrinsics { fx: 6.0, fy: 6.0, ..camera.intrinsics },
            distortion: Distortion::NONE,
        };
    }
    let found = suspicions(&rig);
    let angles: Vec<_> = found.iter().filter(|s| s.about == About::AngleOfView).collect();
    assert_eq!(angles.len(), 2, "{found:?}");
    // 2 atan(640 / 6) = 178.9 degrees.
    says(&angles[0].to_string(), &["left camera sees 178.9 degrees", "fx 6.0", "in pixels"]);
    // Or of images that are much larger: 2 atan(640 / 9000) = 8.1 degrees.
    let mut rig = good();
    for camera in [&mut rig.left, &mut rig.right] {
        camera.distortion = Distortion::NONE;
        (camera.intrinsics.fx, camera.intrinsics.fy) = (9000.0, 9000.0);
    }
    rig.right_from_left = relation([0.0; 3], [-0.2, 0.0, 0.0]);
    let found = suspicions(&rig);
    assert_eq!(found.iter().map(|s| s.about).collect::<Vec<_>>(), [About::AngleOfView; 2]);
    says(&found[1].to_string(), &["right camera sees 8.1 degrees"]);
}

#[test]
fn lens_models_that_end_inside_the_image() {
    // r (1 - 0.3 r^2) rises to r = 1.054, where it is 0.703: 492 pixels from the centre, of 734 to the corners.
    let line = only(About::LensRange, |rig| {
        rig.left.distortion = Distortion::radial_tangential(&[-0.3, 0.0, 0.0, 0.0]).unwrap();
    });
    says(&line, &["left lens model (radial-tangential)", "46.5 degrees", "reaches the corners"]);
    // A fisheye whose model turns back at 1 / sqrt(3 0.3) = 1.054 rad, 60 degrees.
    let fisheye = |rig: &mut StereoRig, k1: f64, focal: f64| {
        for camera in [&mut rig.left, &mut rig.right] {
            *camera = Camera {
                intrinsics: Intrinsics { fx: focal, fy: focal, ..camera.intrinsics },
                distortion: Distortion::kannala_brandt(&[0.0; 4]).unwrap(),
            };
        }
        rig.right.distortion = Distortion::kannala_brandt(&[k1, 0.0, 0.0, 0.0]).unwrap();
    };
    let line = only(About::LensRange, |rig| fisheye(rig, -0.3, 700.0));
    says(&line, &["right lens model (kannala-brandt)", "60.4 degrees"]);
    // One that ends where its image circle does, at 100 degrees, is how fisheyes are: r = t - t^3 / (3 1.745^2).
    let mut rig = good();
    fisheye(&mut rig, -1.0 / (3.0 * 1.745 * 1.745), 380.0);
    rig.left = rig.right;
    assert_eq!(suspicions(&rig), []);
}

#[test]
fn lens_models_that_differ() {
    let line = only(About::LensModels, |rig| {
        rig.right.distortion = Distortion::kannala_brandt(&[0.0; 4]).unwrap();
    });
    says(&line, &["left lens is radial-tangential", "right one kannala-brandt"]);
}

#[test]
fn views_with_little_or_nothing_in_common() {
    // Turned by 40 degrees: of 85 degrees each, about half is left.
    let mut rig = good();
    rig.right_from_left = relation([0.0, 0.7, 0.0], [-0.19, 0.0, 0.06]);
    rig.validate("turned").unwrap();
    let found = suspicions(&rig);
    let line = found.iter().find(|s| s.about == About::Coverage).unwrap().to_string();
    says(&line, &["the rectified views show", "of the left", "40 % of each"]);
    assert!(found.iter().any(|s| s.about == About::Rotation), "{found:?}");
    // By 90: nothing.
    rig.right_from_left = relation([0.0, 1.6, 0.0], [-0.16, 0.0, 0.15]);
    rig.validate("turned").unwrap();
    let found = suspicions(&rig);
    let line = found.iter().find(|s| s.about == About::Coverage).unwrap().to_string();
    says(&line, &["nothing in common", "the runtime refuses"]);
}

#[test]
fn huge_and_tiny_images_are_looked_at_quickly() {
    for (width, height) in [(32768, 32768), (2, 2), (1, 1), (32768, 1), (1, 32768)] {
        let mut rig = good();
        rig.image_size = ImageSize { width, height };
        for camera in [&mut rig.left, &mut rig.right] {
            let focal = f64::from(width.max(2));
            camera.distortion = Distortion::NONE;
            camera.intrinsics = Intrinsics {
                fx: focal,
                fy: focal,
                cx: f64::from(width - 1) / 2.0,
                cy: f64::from(height - 1) / 2.0,
            };
        }
        rig.validate("size").unwrap();
        let _ = suspicions(&rig);
    }
}

/// Every published rig that the shared data holds, as it is imported with the right options.
#[test]
fn published_rigs_raise_nothing() {
    let demo = include_str!("../../../calibration/demo.toml");
    assert_eq!(suspicions(&StereoRig::from_toml(demo, "demo.toml").unwrap()), []);
    let test = "published_rigs_raise_nothing";
    let size = |width, height| Some(ImageSize { width, height });
    let plain = Options::default();
    let rigs: [(&[&str], Options); 10] = [
        (&["data/kitti/sequences/08/calib.txt"], Options { image_size: size(1226, 370), ..plain }),
        (&["data/calib/kitti_raw/calib_cam_to_cam_2011_09_26_partial.txt"], plain),
        (
            &["data/calib/kitti_raw/calib_cam_to_cam_2011_09_26_partial.txt"],
            Options { kitti_rectified: true, ..plain },
        ),
        (
            &["data/chessboard/intrinsics.yml", "data/chessboard/extrinsics.yml"],
            Options { image_size: size(640, 480), unit_m: 0.025, ..plain },
        ),
        (&["data/calib/kalibr/euroc.yaml"], plain),
        (&["data/calib/euroc/cam0_sensor.yaml", "data/calib/euroc/cam1_sensor.yaml"], plain),
        (&["data/calib/basalt/euroc_ds_calib.json"], plain),
        (&["data/calib/basalt/euroc_eucm_calib.json"], plain),
        (&["data/calib/basalt/tumvi_512_ds_calib.json"], plain),
        (&["data/calib/basalt/tumvi_512_eucm_calib.json"], plain),
    ];
    for (paths, options) in rigs {
        let Some(texts) = paths.iter().map(|p| shared(test, p)).collect::<Option<Vec<_>>>() else {
            return;
        };
        let files: Vec<File<'_>> =
            paths.iter().zip(&texts).map(|(name, text)| File { name, text }).collect();
        let rig = import(detect(&files).unwrap(), &files, &options).unwrap().rig;
        assert_eq!(suspicions(&rig), [], "{paths:?}");
    }
    // TUM-VI with Kannala-Brandt lenses, from OpenCV's input.
    let golden = shared(test, "golden/rectification/tumvi_kb4.json").unwrap();
    let golden: serde_json::Value = serde_json::from_str(&golden).unwrap();
    let matrix =
        |key: &str| -> Vec<Vec<f64>> { serde_json::from_value(golden[key].clone()).unwrap() };
    let list = |key: &str| -> Vec<f64> { serde_json::from_value(golden[key].clone()).unwrap() };
    let camera = |k: &str, d: &str| {
        let k = matrix(k);
        Camera {
            intrinsics: Intrinsics { fx: k[0][0], fy: k[1][1], cx: k[0][2], cy: k[1][2] },
            distortion: Distortion::kannala_brandt(&list(d)).unwrap(),
        }
    };
    let mut right_from_left = Matrix4::identity();
    for (row, values) in matrix("R").iter().enumerate() {
        for (column, value) in values.iter().enumerate() {
            right_from_left[(row, column)] = *value;
        }
        right_from_left[(row, 3)] = list("T")[row];
    }
    let [width, height]: [u32; 2] = serde_json::from_value(golden["image_size"].clone()).unwrap();
    let rig = StereoRig {
        image_size: ImageSize { width, height },
        left: camera("K1", "D1"),
        right: camera("K2", "D2"),
        right_from_left,
        ..good()
    };
    rig.validate("tumvi").unwrap();
    assert_eq!(suspicions(&rig), []);
}

fn shared(test: &str, path: &str) -> Option<String> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared").join(path);
    if !path.exists() {
        let line = format!("SKIPPED {test}: {} is not there\n", path.display());
        std::io::stderr().write_all(line.as_bytes()).unwrap();
        return None;
    }
    Some(std::fs::read_to_string(path).unwrap())
}
