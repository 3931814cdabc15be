//! Subcommands that look at files: `rig`, `network`, `completions`, `infer`.

use crate::support::{run, shared, stderr, succeed, text};
use serde_json::Value;
use std::fs;

const DEMO_RIG: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/calibration/demo.toml");
const NANO: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/engines/nano.onnx");

#[test]
fn every_subcommand_explains_itself() {
    for command in [
        "demo",
        "run",
        "infer",
        "watch",
        "streams",
        "camera",
        "calibrate",
        "rig",
        "network",
        "build",
        "engines",
        "doctor",
        "estimate",
        "completions",
    ] {
        let help = succeed(&[command, "--help"]);
        assert!(help.contains("Usage: occdepth"), "{command}: {help}");
        assert!(succeed(&["--help"]).contains(command));
    }
}

#[test]
fn completions_name_the_subcommands() {
    for shell in ["bash", "zsh", "fish"] {
        let script = succeed(&["completions", shell]);
        assert!(script.contains("infer") && script.contains("watch"), "{shell}");
    }
}

#[test]
fn the_bundled_network_is_shown_as_untrained() {
    let shown: Value = serde_json::from_str(&succeed(&["network", "show", "--json"])).unwrap();
    assert_eq!(shown["contract"]["training"]["trained"], false);
    assert_eq!(shown["contract"]["preset"], "nano");
    let file: Value = serde_json::from_str(&succeed(&["network", "show", NANO, "--json"])).unwrap();
    assert_eq!(shown["sha256"], file["sha256"]);
    assert!(succeed(&["network", "show"]).contains("UNTRAINED"));
}

/// The bundled network, and a file with its self-test beside it.
#[test]
fn the_engine_computes_the_bundled_network() {
    let said = succeed(&["network", "check"]);
    assert!(said.ends_with("passed\n") && said.contains("nano"), "{said}");
    let shown: Value =
        serde_json::from_str(&succeed(&["network", "check", NANO, "--json", "--threads", "1"]))
            .unwrap();
    assert_eq!(shown["passed"], true);
    assert_eq!(shown["output"], "ssc_logits");
    let largest = shown["largest_error"].as_f64().unwrap();
    assert!(largest < shown["tolerance"]["largest"].as_f64().unwrap());
}

#[test]
fn the_demo_rig_is_valid_and_imports_to_itself() {
    let checked = succeed(&["rig", "check", DEMO_RIG]);
    assert!(checked.ends_with("\nvalid\n") && !checked.contains("suspicious"), "{checked}");
    let directory = tempfile::tempdir().unwrap();
    let copy = directory.path().join("copy.toml");
    succeed(&["rig", "import", DEMO_RIG, "-o", text(&copy)]);
    let shown = |rig| succeed(&["rig", "show", rig, "--json"]);
    assert_eq!(shown(DEMO_RIG), shown(text(&copy)));
}

/// A rig goes out in every format that has it, is recognised, and comes back.
#[test]
fn rigs_are_exported_and_imported() {
    let directory = tempfile::tempdir().unwrap();
    let shown = |rig: &str| {
        let shown: Value = serde_json::from_str(&succeed(&["rig", "show", rig, "--json"])).unwrap();
        (shown["left"].clone(), shown["right"].clone(), shown["baseline_m"].as_f64().unwrap())
    };
    let (left, right, baseline_m) = shown(DEMO_RIG);
    for (format, files) in [
        ("opencv", &["stereo.yml"][..]),
        ("ros", &["right.yaml", "left.yaml"]),
        ("kalibr", &["camchain.yaml"]),
        ("euroc", &["cam0_sensor.yaml", "cam1_sensor.yaml"]),
        ("basalt", &["calibration.json"]),
        ("kitti-raw", &["calib_cam_to_cam.txt"]),
    ] {
        let says =
            succeed(&["rig", "export", DEMO_RIG, "--format", format, "-o", text(directory.path())]);
        assert!(says.contains("note: the mount"), "what is lost is not said: {says}");
        assert!(says.contains("note: that the images are rectified"), "{says}");
        let back = directory.path().join(format!("{format}.toml"));
        let files: Vec<_> = files.iter().map(|name| directory.path().join(name)).collect();
        let mut arguments = vec!["rig", "import", "-o", text(&back)];
        arguments.extend(files.iter().map(|path| text(path)));
        let says = succeed(&arguments);
        assert!(says.contains(&format!("format {format}\n")), "{says}");
        assert!(says.contains("left_from_ego"), "the missing mount is not said: {says}");
        let (left_back, right_back, baseline_back_m) = shown(text(&back));
        assert_eq!((left_back, right_back), (left.clone(), right.clone()), "{format}");
        assert!((baseline_back_m - baseline_m).abs() < 1e-9, "{format}: {baseline_back_m}");
    }
    // In other units.
    let kalibr = directory.path().join("camchain.yaml");
    let toml = succeed(&["rig", "import", text(&kalibr), "--unit", "mm", "--name", "small"]);
    assert!(
        toml.contains("name = \"small\"") && toml.contains("translation_m = [-0.00054"),
        "{toml}"
    );
    let physical = directory.path().join("opencv.toml");
    for (arguments, says) in [
        (
            &["rig", "export", text(&physical), "--format", "kitti-odometry"][..],
            "expected a rectified pair",
        ),
        (
            &["rig", "import", "README.md"],
            "README.md: found no known calibration, expected one of native",
        ),
    ] {
        let refused = run(arguments);
        assert_eq!(refused.status.code(), Some(2));
        let said = stderr(&refused);
        assert!(
            said.contains(says) && said.starts_with("error: ") && refused.stdout.is_empty(),
            "{said}"
        );
    }
}

/// A valid rig that is hardly meant: said on standard output, by `check` and by `import`, and no failure.
#[test]
fn suspicious_rigs_are_valid_but_said() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("rig.toml");
    let good = fs::read_to_string(DEMO_RIG).unwrap();
    // Squares of a board; and a principal point of images twice as wide.
    let squares = good.replacen("[-0.54, 0.0, 0.0]", "[-5.4, 0.0, 0.0]", 1);
    assert_ne!(squares, good);
    fs::write(&path, &squares).unwrap();
    let said = succeed(&["rig", "check", text(&path)]);
    assert!(
        said.contains("\nsuspicious: the baseline is 5.4000 m, expected 0.02 to 1.5 m: "),
        "{said}"
    );
    assert!(said.contains("--unit 0.025"), "{said}");
    assert!(said.ends_with("\nvalid, but suspicious (1 warning)\n"), "{said}");
    let document: Value =
        serde_json::from_str(&succeed(&["rig", "check", text(&path), "--json"])).unwrap();
    assert_eq!((&document["valid"], &document["name"]), (&true.into(), &"demo".into()));
    let suspicions = document["suspicions"].as_array().unwrap();
    assert_eq!(suspicions.len(), 1);
    assert_eq!(suspicions[0]["about"], "baseline");
    for key in ["found", "expected", "advice"] {
        assert!(!suspicions[0][key].as_str().unwrap().is_empty(), "{key}");
    }
    let document: Value =
        serde_json::from_str(&succeed(&["rig", "check", DEMO_RIG, "--json"])).unwrap();
    assert_eq!(document["suspicions"], serde_json::json!([]));

    fs::write(&path, squares.replacen("cx = 319.5", "cx = 639.5", 2)).unwrap();
    let said = succeed(&["rig", "check", text(&path)]);
    assert!(said.ends_with("\nvalid, but suspicious (3 warnings)\n"), "{said}");

    // The importer says it, and leaves it with the rig.
    let chain = directory.path().join("camchain.yaml");
    succeed(&["rig", "export", DEMO_RIG, "--format", "kalibr", "-o", text(directory.path())]);
    let millimetres = fs::read_to_string(&chain).unwrap().replace("-0.54", "-60.0");
    fs::write(&chain, millimetres).unwrap();
    let imported = directory.path().join("imported.toml");
    let said = succeed(&["rig", "import", text(&chain), "-o", text(&imported)]);
    assert!(
        said.contains("\nsuspicious: the baseline is 60.0000 m") && said.contains("--unit mm"),
        "{said}"
    );
    let toml = succeed(&["rig", "import", text(&chain)]);
    assert!(toml.contains("\n# suspicious: the baseline is 60.0000 m"), "{toml}");
    assert_eq!(fs::read_to_string(&imported).unwrap(), toml);
    let said = succeed(&["rig", "import", text(&chain), "--unit", "mm", "-o", text(&imported)]);
    assert!(!said.contains("suspicious"), "{said}");
    assert!(succeed(&["rig", "check", text(&imported)]).ends_with("\nvalid\n"));
}

/// The shared chessboard's files say no unit: three metres of baseline are three squares.
#[test]
fn a_calibration_in_board_squares_is_suspicious() {
    let test = "a_calibration_in_board_squares_is_suspicious";
    let Some(board) = shared(test, "data/chessboard") else { return };
    let files = ["extrinsics.yml", "intrinsics.yml"].map(|name| board.join(name));
    let directory = tempfile::tempdir().unwrap();
    let out = directory.path().join("rig.toml");
    let import = |unit: &str| {
        let [extrinsics, intrinsics] = &files;
        let files = [text(extrinsics), text(intrinsics)];
        let said = succeed(
            &[
                &["rig", "import"][..],
                &files[..],
                &["--image-size", "640x480", "--unit", unit, "-o", text(&out)],
            ]
            .concat(),
        );
        let checked = succeed(&["rig", "check", text(&out)]);
        assert_eq!(said.contains("suspicious:"), checked.contains("suspicious:"));
        checked
    };
    let said = import("m");
    assert!(said.contains("the baseline is 3.3429 m") && said.contains("0.084 m"), "{said}");
    assert!(import("0.025").ends_with("\nvalid\n"));
}

/// The numbers of `rig show` are OpenCV's; the golden file was computed with it.
#[test]
fn a_shown_rectification_equals_opencv() {
    let Some(golden) = shared(
        "a_shown_rectification_equals_opencv",
        "golden/rectification/chessboard_alpha_0.json",
    ) else {
        return;
    };
    let golden: Value = serde_json::from_str(&fs::read_to_string(golden).unwrap()).unwrap();
    let directory = tempfile::tempdir().unwrap();
    let rig = directory.path().join("chessboard.toml");
    fs::write(&rig, rig_toml(&golden)).unwrap();
    let shown: Value = serde_json::from_str(&succeed(&[
        "rig",
        "show",
        text(&rig),
        "--json",
        "--alpha",
        "0",
        "--map-stride",
        "16",
    ]))
    .unwrap();
    for key in ["R1", "R2", "P1", "P2", "Q"] {
        assert_close(&shown[key], &golden[key], 1e-6, key);
    }
    for key in ["map1_x", "map1_y", "map2_x", "map2_y"] {
        assert_close(&shown[key], &golden[key], 0.01, key);
    }
}

/// A real pair, the whole way: images, calib.txt and the bundled network to all three formats.
#[test]
fn infer_labels_a_real_pair() {
    let Some(sequence) = shared("infer_labels_a_real_pair", "data/kitti/sequences/08") else {
        return;
    };
    let directory = tempfile::tempdir().unwrap();
    let out = |name: &str| directory.path().join(name);
    let (npy, label, png, logits) =
        (out("grid.npy"), out("grid.label"), out("grid.png"), out("logits.npy"));
    let report: Value = serde_json::from_str(&succeed(&[
        "infer",
        "--left",
        text(&sequence.join("image_2/000000.png")),
        "--right",
        text(&sequence.join("image_3/000000.png")),
        "--rig",
        text(&sequence.join("calib.txt")),
        "-o",
        text(&npy),
        "-o",
        text(&label),
        "-o",
        text(&png),
        "--logits",
        text(&logits),
        "--json",
    ]))
    .unwrap();
    let dims: Vec<usize> =
        report["dims"].as_array().unwrap().iter().map(|n| n.as_u64().unwrap() as usize).collect();
    let voxels: usize = dims.iter().product();

    let labels = npyz::NpyFile::new(fs::File::open(&npy).unwrap()).unwrap();
    assert_eq!(labels.shape().iter().map(|&n| n as usize).collect::<Vec<_>>(), dims);
    let labels: Vec<u8> = labels.into_vec().unwrap();
    let logits = npyz::NpyFile::new(fs::File::open(&logits).unwrap()).unwrap();
    assert_eq!(logits.shape()[0], 20);
    let logits: Vec<f32> = logits.into_vec().unwrap();

    // Each label is the class of the greatest logit, the lowest of equals.
    for (voxel, &label) in labels.iter().enumerate() {
        let column: Vec<f32> = (0..20).map(|class| logits[class * voxels + voxel]).collect();
        let greatest = column.iter().copied().fold(f32::NEG_INFINITY, f32::max);
        let winner = column.iter().position(|&logit| logit == greatest).unwrap();
        assert_eq!(usize::from(label), winner, "voxel {voxel}");
    }

    // SemanticKITTI's own ids, two bytes a voxel in the same order.
    let bytes = fs::read(&label).unwrap();
    assert_eq!(bytes.len(), 2 * voxels);
    let raw = u16::from_le_bytes([bytes[0], bytes[1]]);
    let learning_map_inv =
        [0, 10, 11, 15, 18, 20, 30, 31, 32, 40, 44, 48, 49, 50, 51, 70, 71, 72, 80, 81];
    assert_eq!(raw, learning_map_inv[usize::from(labels[0])]);

    let picture = image::open(&png).unwrap();
    assert_eq!(picture.width() as usize % dims[1], 0);
    assert_eq!(picture.height() as usize % dims[0], 0);
}

/// The golden file's cameras as a native rig.
fn rig_toml(golden: &Value) -> String {
    let numbers = |value: &Value| -> Vec<f64> {
        value.as_array().unwrap().iter().map(|n| n.as_f64().unwrap()).collect()
    };
    let rows = |key: &str| -> Vec<Vec<f64>> {
        golden[key].as_array().unwrap().iter().map(numbers).collect()
    };
    let camera = |k: &str, d: &str| {
        let k = rows(k);
        format!(
            "fx = {:?}\nfy = {:?}\ncx = {:?}\ncy = {:?}\ncoefficients = {:?}\n",
            k[0][0],
            k[1][1],
            k[0][2],
            k[1][2],
            numbers(&golden[d])
        )
    };
    RIG_TEMPLATE
        .replace("LEFT", &camera("K1", "D1"))
        .replace("RIGHT", &camera("K2", "D2"))
        .replace("ROTATION", &format!("{:?}", rows("R")))
        .replace("TRANSLATION", &format!("{:?}", numbers(&golden["T"])))
}

const RIG_TEMPLATE: &str = r#"
name = "chessboard"
image_size = { width = 640, height = 480 }
rectified = false

[left]
model = "radial-tangential"
LEFT
[right]
model = "radial-tangential"
RIGHT
[right_from_left]
rotation = ROTATION
translation_m = TRANSLATION

[left_from_ego]
rotation = [[0.0, -1.0, 0.0], [0.0, 0.0, -1.0], [1.0, 0.0, 0.0]]
translation_m = [0.0, 0.0, 0.0]
"#;

/// Every number of `found` lies within `tolerance` of the one in `expected`.
fn assert_close(found: &Value, expected: &Value, tolerance: f64, what: &str) {
    if let (Value::Array(found), Value::Array(expected)) = (found, expected) {
        assert_eq!(found.len(), expected.len(), "{what}");
        for (found, expected) in found.iter().zip(expected) {
            assert_close(found, expected, tolerance, what);
        }
        return;
    }
    let (found, expected) = (found.as_f64().unwrap(), expected.as_f64().unwrap());
    assert!((found - expected).abs() <= tolerance, "{what}: {found}, OpenCV has {expected}");
}
