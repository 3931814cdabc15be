//! Rig files: read, written, and refused with a message that names what is wrong.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod golden;
mod rigs;

use nalgebra::{Matrix3, Matrix3x4, Matrix4, Vector3, Vector4};
use occdepth_geometry::{ImageSize, camera::Distortion, rig::StereoRig};
use proptest::prelude::*;

const DEMO: &str = include_str!("../../../calibration/demo.toml");
const KITTI_SIZE: ImageSize = ImageSize { width: 1226, height: 370 };

#[test]
fn the_demo_rig_stands_above_the_road_and_looks_ahead() {
    let rig = StereoRig::from_toml(DEMO, "calibration/demo.toml").unwrap();
    assert!(rig.rectified);
    assert!((rig.baseline_m() - 0.54).abs() < 1e-12);
    // A point of the road, 1.73 m below the ego origin, 1.65 m below the cameras, 20 m ahead of them.
    let road = Vector4::new(20.3, 0.0, -1.73, 1.0);
    for (camera, cam_from_ego, side) in
        [(rig.left, rig.left_from_ego, 1.0), (rig.right, rig.right_from_ego(), -1.0)]
    {
        let [x, y] = camera.project(&(cam_from_ego * road).xyz()).unwrap();
        assert!((x - (319.5 + side * 350.0 * 0.27 / 20.0)).abs() < 1e-9, "{x}");
        assert!((y - (95.5 + 350.0 * 1.65 / 20.0)).abs() < 1e-9, "{y}");
    }
}

#[test]
fn the_documented_file_is_valid() {
    let source = include_str!("../src/rig/mod.rs");
    let documented = source.split("//! ```").nth(1).unwrap().strip_prefix("toml").unwrap();
    let text = documented.replace("//!", "");
    let rig = StereoRig::from_toml(&text, "the module's documentation").unwrap();
    assert_eq!(rig.name, "front");
}

#[test]
fn a_rig_file_needs_every_key() {
    let table: toml::Table = DEMO.parse().unwrap();
    let mut checked = 0;
    for (key, value) in &table {
        let mut without = table.clone();
        without.remove(key);
        refused(&without, &[key, "missing"]);
        checked += 1;
        for inner in value.as_table().into_iter().flat_map(toml::Table::keys) {
            let mut without = table.clone();
            without[key].as_table_mut().unwrap().remove(inner);
            refused(&without, &[&format!("{key}.{inner}"), "missing"]);
            checked += 1;
        }
    }
    assert_eq!(checked, 7 + 2 + 6 + 6 + 2 + 2);
}

#[test]
fn a_rig_file_has_no_other_keys() {
    let table: toml::Table = DEMO.parse().unwrap();
    let mut with = table.clone();
    with.insert("right_from_lef".to_owned(), 1.into());
    refused(&with, &["unknown key right_from_lef", "right_from_left"]);
    for (key, value) in &table {
        if value.is_table() {
            let mut with = table.clone();
            with[key].as_table_mut().unwrap().insert("k1".to_owned(), 0.1.into());
            refused(&with, &[&format!("unknown key {key}.k1")]);
        }
    }
}

#[test]
fn values_that_no_rig_has_are_refused_by_name() {
    let expect = |from: &str, to: &str, words: &[&str]| {
        assert!(DEMO.contains(from), "{from}");
        refuses(&DEMO.replacen(from, to, 1), words);
    };
    expect("fx = 350.0", "fx = 0.0", &["left.fx", "is 0", "focal length"]);
    expect("fx = 350.0", "fx = -350.0", &["left.fx", "-350"]);
    expect("fx = 350.0", "fx = nan", &["left.fx", "NaN"]);
    expect("fy = 350.0", "fy = inf", &["left.fy", "inf"]);
    expect("fy = 350.0", "fy = 1e-9", &["left.fy"]);
    expect("cx = 319.5", "cx = 1e9", &["left.cx", "1000000000", "principal point"]);
    expect("cy = 95.5", "cy = nan", &["left.cy", "NaN"]);
    expect("fx = 350.0", "fx = \"350\"", &["left.fx", "string", "\"350\"", "a number"]);
    expect("width = 640", "width = 0", &["image_size.width", "is 0"]);
    expect("width = 640", "width = 640.5", &["image_size.width", "640.5", "whole number"]);
    expect("height = 192", "height = -192", &["image_size.height", "-192"]);
    expect("height = 192", "height = 4000000000", &["image_size.height", "4000000000"]);
    expect("rectified = true", "rectified = 1", &["rectified", "integer 1", "true or false"]);
    expect("name = \"demo\"", "name = \" \"", &["name"]);
    expect(
        "model = \"radial-tangential\"",
        "model = \"mei\"",
        &["left.model", "mei", "kannala-brandt"],
    );
    expect("coefficients = []", "coefficients = [1, 2]", &["left.coefficients", "found 2"]);
    expect("coefficients = []", "coefficients = [0, 0, inf, 0]", &["left.coefficients", "p1"]);
    expect(
        "coefficients = []",
        "coefficients = [0,0,0,0, 0,0,0,0, 0,0,0,0, 0,1]",
        &["left.coefficients", "tau_y"],
    );
    expect(
        "coefficients = []",
        "coefficients = [0.1, 0, 0, 0]",
        &["left.coefficients", "rectified = true"],
    );
    // A mirror, a stretched axis, a rotation that is not there.
    expect("[0.0, 1.0, 0.0]", "[0.0, -1.0, 0.0]", &["right_from_left.rotation", "determinant"]);
    expect("[0.0, 1.0, 0.0]", "[0.0, 1.1, 0.0]", &["right_from_left.rotation", "orthonormal"]);
    expect("[0.0, -1.0, 0.0]", "[0.0, -1.0]", &["left_from_ego.rotation", "three rows of three"]);
    expect("[0.0, -1.0, 0.0]", "[0.0, nan, 0.0]", &["left_from_ego.rotation"]);
    // Zero, negative, upright and endless baselines.
    for baseline in ["[0.0, 0.0, 0.0]", "[0.54, 0.0, 0.0]", "[-0.1, 0.54, 0.0]", "[-0.1, 0.0, 0.5]"]
    {
        expect(
            "[-0.54, 0.0, 0.0]",
            baseline,
            &["right_from_left.translation_m", baseline, "to the right"],
        );
    }
    expect("[-0.54, 0.0, 0.0]", "[-1e5, 0.0, 0.0]", &["right_from_left.translation_m", "100 m"]);
    expect("[-0.54, 0.0, 0.0]", "[-0.54, nan, 0.0]", &["right_from_left.translation_m", "NaN"]);
    expect(
        "[0.27, -0.08, -0.3]",
        "[0.27, -0.08]",
        &["left_from_ego.translation_m", "three numbers"],
    );
}

#[test]
fn a_rectified_rig_has_no_rotation_and_no_fisheye() {
    let turned = StereoRig { rectified: true, ..rigs::rectified() };
    let turned =
        StereoRig { right_from_left: rigs::rigid([0.0, 0.01, 0.0], [-0.5, 0.0, 0.0]), ..turned };
    let message = turned.validate("r").unwrap_err().to_string();
    assert!(
        message.contains("right_from_left.rotation") && message.contains("rectified"),
        "{message}"
    );
    let mut fisheye = rigs::rectified();
    fisheye.right.distortion = Distortion::KannalaBrandt([0.0; 4]);
    let message = fisheye.validate("r").unwrap_err().to_string();
    assert!(message.contains("right.model") && message.contains("rectified"), "{message}");
}

/// Rotations that are typed with five decimals are rotations.
#[test]
fn five_decimals_of_a_rotation_suffice() {
    let mut rig = rigs::pinholes();
    for step in 0..2000 {
        let step = f64::from(step);
        let turn = [0.05 * (step * 0.71).sin(), 0.05 * (step * 1.37).cos(), 0.05 * step.sin()];
        rig.right_from_left = rigs::rigid(turn, [-0.25, 0.0, 0.0]);
        let mut mount = rigs::rigid([step, 0.3 * step, -0.7 * step], [0.0; 3]);
        for matrix in [&mut rig.right_from_left, &mut mount] {
            matrix.iter_mut().for_each(|entry| *entry = (*entry * 1e5).round() / 1e5);
        }
        rig.left_from_ego = mount;
        rig.validate("typed").unwrap();
    }
    // With four they are not.
    rig.right_from_left = rigs::rigid([0.05, 0.02, 0.03], [-0.25, 0.0, 0.0]);
    rig.right_from_left.iter_mut().for_each(|entry| *entry = (*entry * 1e4).round() / 1e4);
    assert!(rig.validate("typed").unwrap_err().to_string().contains("right_from_left.rotation"));
}

#[test]
fn lenses_made_by_hand_are_checked_as_those_of_files() {
    for (lens, says) in [
        (Distortion::DoubleSphere { xi: 2.5, alpha: 0.5 }, "xi is 2.5"),
        (Distortion::DoubleSphere { xi: 0.0, alpha: -0.1 }, "alpha is -0.1"),
        (Distortion::ExtendedUnified { alpha: 1.1, beta: 1.0 }, "alpha is 1.1"),
        (Distortion::ExtendedUnified { alpha: 0.5, beta: 0.0 }, "beta is 0"),
        (Distortion::KannalaBrandt([0.0, f64::NAN, 0.0, 0.0]), "finite"),
    ] {
        let mut rig = rigs::fisheyes();
        rig.right.distortion = lens;
        let message = rig.validate("r").unwrap_err().to_string();
        mentions(&message, &["r: right.coefficients", says]);
    }
}

#[test]
fn messages_stay_short() {
    let long = "9".repeat(100_000);
    for text in [
        DEMO.replacen("radial-tangential", &long, 1),
        DEMO.replacen("[left]", &format!("[left]\nk{long} = 1"), 1),
        DEMO.replacen(
            "coefficients = []",
            &format!("coefficients = [{}0.1]", "0.1, ".repeat(9999)),
            1,
        ),
    ] {
        let message = StereoRig::from_toml(&text, "r").unwrap_err().to_string();
        assert!(message.len() < 500, "{}", message.len());
    }
    for text in [CALIB.replacen("7.1e+02", &format!("x{long}"), 1), format!("k{long}\n{CALIB}")] {
        let message = StereoRig::from_kitti_calib(&text, "r", KITTI_SIZE).unwrap_err().to_string();
        assert!(message.len() < 500, "{}", message.len());
    }
}

#[test]
fn broken_toml_is_located() {
    let text = DEMO.replacen("cy = 95.5", "cy = ", 1);
    let line = 1 + text.lines().position(|line| line == "cy = ").unwrap();
    let message = StereoRig::from_toml(&text, "dir/broken.toml").unwrap_err().to_string();
    assert!(message.starts_with(&format!("dir/broken.toml:{line}:")), "{message}");
    assert!(!message.contains('\n'), "{message}");
}

#[test]
fn a_projective_last_row_is_refused() {
    let mut rig = rigs::pinholes();
    rig.left_from_ego[(3, 3)] = 2.0;
    let message = rig.validate("r").unwrap_err().to_string();
    assert!(message.contains("left_from_ego") && message.contains("last row"), "{message}");
}

/// A calibration in KITTI's form, with made-up numbers.
const CALIB: &str = "\
P0: 7.1e+02 0.0 6.0e+02 0.0 0.0 7.1e+02 1.8e+02 0.0 0.0 0.0 1.0 0.0
P1: 7.1e+02 0.0 6.0e+02 -3.8e+02 0.0 7.1e+02 1.8e+02 0.0 0.0 0.0 1.0 0.0
P2: 7.1e+02 0.0 6.0e+02 4.7e+01 0.0 7.2e+02 1.8e+02 1.2e-01 0.0 0.0 1.0 6.0e-03
P3: 7.1e+02 0.0 6.0e+02 -3.3e+02 0.0 7.2e+02 1.8e+02 1.9e+00 0.0 0.0 1.0 3.0e-03
Tr: 0.0 -1.0 0.0 -0.005 0.0 0.0 -1.0 -0.07 1.0 0.0 0.0 -0.33
";

#[test]
fn kitti_cameras_stand_at_inv_k_p_tr() {
    let rig = StereoRig::from_kitti_calib(CALIB, "calib.txt", KITTI_SIZE).unwrap();
    assert!(rig.rectified && rig.image_size == KITTI_SIZE);
    let tr = Matrix4::new(
        0.0, -1.0, 0.0, -0.005, 0.0, 0.0, -1.0, -0.07, 1.0, 0.0, 0.0, -0.33, 0.0, 0.0, 0.0, 1.0,
    );
    let k = Matrix3::new(710.0, 0.0, 600.0, 0.0, 720.0, 180.0, 0.0, 0.0, 1.0);
    for (camera, cam_from_ego, last) in [
        (rig.left, rig.left_from_ego, Vector3::new(47.0, 0.12, 0.006)),
        (rig.right, rig.right_from_ego(), Vector3::new(-330.0, 1.9, 0.003)),
    ] {
        assert_eq!(camera.intrinsics.matrix(), k);
        assert!(camera.distortion.is_none());
        let p = Matrix3x4::from_columns(&[
            k.column(0).into(),
            k.column(1).into(),
            k.column(2).into(),
            last,
        ]);
        let expected = k.try_inverse().unwrap() * p * tr;
        let error = (cam_from_ego.fixed_view::<3, 4>(0, 0) - expected).amax();
        assert!(error < 1e-12, "{error}");
    }
    // The small offsets between the views are kept, without rounding.
    let t = rig.right_from_left.column(3).xyz();
    assert!((t.y - ((1.9 - 180.0 * 0.003) - (0.12 - 180.0 * 0.006)) / 720.0).abs() < 1e-15);
    assert!((t.z - (0.003 - 0.006)).abs() < 1e-15);
}

#[test]
fn kitti_cameras_stand_where_the_reference_has_them() {
    let test = "kitti_cameras_stand_where_the_reference_has_them";
    let Some(golden) = golden::Golden::open(test, "data_vox2pix.safetensors") else { return };
    let line = |key: &str, values: &[f64]| {
        let values: Vec<_> = values.iter().map(|v| format!("{v:e}")).collect();
        format!("{key}: {}\n", values.join(" "))
    };
    let p = golden.f64("P");
    let text = line("P2", &p[..12]) + &line("P3", &p[12..]) + &line("Tr", &golden.f64("Tr")[..12]);
    let rig = StereoRig::from_kitti_calib(&text, "golden", KITTI_SIZE).unwrap();
    let expected = golden.f64("T_velo_2_cam");
    for (cam_from_ego, expected) in
        [rig.left_from_ego, rig.right_from_ego()].iter().zip(expected.chunks_exact(16))
    {
        let error = (cam_from_ego - Matrix4::from_row_slice(expected)).amax();
        assert!(error < 1e-12, "{error}");
    }
}

#[test]
fn a_published_kitti_file_is_read() {
    let test = "a_published_kitti_file_is_read";
    let Some(path) = golden::shared(test, "data/kitti/sequences/08/calib.txt") else { return };
    let text = std::fs::read_to_string(path).unwrap();
    let rig = StereoRig::from_kitti_calib(&text, "calib.txt", KITTI_SIZE).unwrap();
    // The colour cameras are 0.06 m to the left and 0.48 m to the right of the left grey one (Geiger et al.,
    // "Are we ready for autonomous driving?", figure of the sensor setup).
    assert!((rig.baseline_m() - 0.54).abs() < 0.01, "{}", rig.baseline_m());
    let again = StereoRig::from_toml(&rig.to_toml(), "again").unwrap();
    assert_eq!(again, rig);
}

#[test]
fn kitti_files_are_refused_by_line_and_key() {
    let expect = |from: &str, to: &str, words: &[&str]| {
        assert!(CALIB.contains(from), "{from}");
        let text = CALIB.replacen(from, to, 1);
        let error = StereoRig::from_kitti_calib(&text, "dir/calib.txt", KITTI_SIZE).unwrap_err();
        mentions(&error.to_string(), &["dir/calib.txt"]);
        mentions(&error.to_string(), words);
    };
    expect("P2: 7.1e+02 ", "P2: 7.1x+02 ", &["calib.txt:3", "P2", "7.1x+02", "12 finite numbers"]);
    expect("P3: 7.1e+02 ", "P3: ", &["calib.txt:4", "P3", "11 numbers"]);
    expect("Tr: 0.0 ", "Tr: 0.0 0.0 ", &["calib.txt:5", "Tr", "13 numbers"]);
    expect("P3: 7.1e+02 ", "P3: nan ", &["calib.txt:4", "P3", "nan"]);
    expect("P3:", "P2:", &["calib.txt:4", "P2", "once"]);
    expect("Tr:", "Tr_velo_to_cam:", &["Tr", "missing"]);
    expect("P0:", "P0", &["calib.txt:1", "P0", "colon"]);
    expect("P2: 7.1e+02 0.0", "P2: 7.1e+02 0.1", &["calib.txt:3", "P2", "projection matrix"]);
    expect("P2: 7.1e+02", "P2: 0.0", &["calib.txt:3", "P2", "positive focal"]);
    expect("-3.3e+02", "3.3e+02", &["right_from_left.translation_m", "to the right"]);
    expect("Tr: 0.0 -1.0", "Tr: 0.0 -1.2", &["left_from_ego.rotation", "orthonormal"]);
    let empty =
        StereoRig::from_kitti_calib(CALIB, "calib.txt", ImageSize { width: 0, height: 370 });
    mentions(&empty.unwrap_err().to_string(), &["image_size.width", "is 0"]);
}

proptest! {
    #[test]
    fn a_rig_reads_back_exactly(rig in rigs::any_rig(), name in "\\PC{1,20}[a-z]") {
        let rig = StereoRig { name, ..rig };
        let text = rig.to_toml();
        prop_assert_eq!(StereoRig::from_toml(&text, "own").map_err(|e| e.to_string()), Ok(rig));
    }

    #[test]
    fn arbitrary_text_is_no_rig(text in "(\\PC|\\n)*") {
        prop_assert!(StereoRig::from_toml(&text, "noise").is_err());
        prop_assert!(StereoRig::from_kitti_calib(&text, "noise", KITTI_SIZE).is_err());
    }

    /// A valid file with a few characters replaced: a rig or an error, and the error says where.
    #[test]
    fn damaged_files_do_not_panic(
        edits in prop::collection::vec((any::<prop::sample::Index>(), "[ -~\\n]{0,3}"), 1..4),
    ) {
        let damage = |text: &str| {
            let mut characters: Vec<String> = text.chars().map(String::from).collect();
            for (place, replacement) in &edits {
                let at = place.index(characters.len());
                characters[at].clone_from(replacement);
            }
            characters.concat()
        };
        for result in [
            StereoRig::from_toml(&damage(DEMO), "damaged"),
            StereoRig::from_kitti_calib(&damage(CALIB), "damaged", KITTI_SIZE),
        ] {
            match result {
                Ok(rig) => rig.validate("damaged").unwrap(),
                Err(error) => mentions(&error.to_string(), &["damaged:"]),
            }
        }
    }

    /// Any number of the file, replaced by one that is not a number, is named.
    #[test]
    fn a_damaged_number_is_named(which in 0..4usize, junk in "[a-z]{1,8}") {
        let field = ["fx", "fy", "cx", "cy"][which];
        for (section, nth) in [("left", 0), ("right", 1)] {
            let (at, _) = DEMO.match_indices(&format!("\n{field} = ")).nth(nth).unwrap();
            let end = at + 1 + DEMO[at + 1..].find(['\n', '#']).unwrap();
            let text = format!("{}\n{field} = {junk:?}\n{}", &DEMO[..at], &DEMO[end..]);
            refuses(&text, &[&format!("{section}.{field}"), &junk, "a number"]);
        }
    }
}

#[track_caller]
fn refused(table: &toml::Table, words: &[&str]) {
    refuses(&table.to_string(), words);
}

#[track_caller]
fn refuses(text: &str, words: &[&str]) {
    let message = StereoRig::from_toml(text, "dir/rig.toml").unwrap_err().to_string();
    assert!(message.starts_with("dir/rig.toml"), "{message}");
    mentions(&message, words);
}

#[track_caller]
fn mentions(message: &str, words: &[&str]) {
    for word in words {
        assert!(message.contains(word), "{word:?} is not in: {message}");
    }
}
