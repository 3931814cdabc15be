//! `occdepth calibrate` from files and, as far as it goes without cameras, live.

use crate::support::{run, shared, stderr, succeed, text};
use serde_json::Value;
use std::fs;
use std::path::Path;

/// The shared photographs, from the command line to a rig that the other commands take.
#[test]
fn photographs_become_a_rig() {
    let test = "photographs_become_a_rig";
    let Some(folder) = shared(test, "data/chessboard") else { return };
    let Some(golden) = shared(test, "golden/calibration_chessboard.json") else { return };
    let golden: Value = serde_json::from_str(&fs::read_to_string(golden).unwrap()).unwrap();
    let theirs = |key: &str| golden["models"]["radtan5"][key].as_f64().unwrap();
    let out = tempfile::tempdir().unwrap();
    let [rig, picture] = ["rig.toml", "report.png"].map(|name| out.path().join(name));
    let board = ["--board", "9x6", "--square", "25mm"];
    let mut arguments = vec!["calibrate", text(&folder), "-o", text(&rig), "--json"];
    arguments.extend(board);
    arguments.extend(["--picture", text(&picture), "--name", "desk"]);
    let report: Value = serde_json::from_str(&succeed(&arguments)).unwrap();
    let number = |key: &str| report[key].as_f64().unwrap();
    assert!(number("rms_px") <= theirs("rms_stereo"));
    assert!(number("vertical_disparity_mean_px") <= theirs("vertical_disparity_mean_px"));
    // OpenCV's baseline, in squares, to 2 parts in a thousand.
    let t: Vec<f64> = serde_json::from_value(golden["models"]["radtan5"]["T"].clone()).unwrap();
    let baseline_m = 0.025 * t.iter().map(|t| t * t).sum::<f64>().sqrt();
    assert!((number("baseline_m") / baseline_m - 1.0).abs() < 2e-3, "{}", number("baseline_m"));
    assert_eq!(report["pairs"].as_array().unwrap().len(), 9);
    assert_eq!(report["suspicions"].as_array().unwrap().len(), 0, "{}", report["suspicions"]);
    let decoded = image::open(&picture).unwrap();
    assert_eq!((decoded.width(), decoded.height()), (1280, 960));
    let shown: Value =
        serde_json::from_str(&succeed(&["rig", "show", text(&rig), "--json"])).unwrap();
    assert_eq!(
        (&shown["name"], &shown["image_size"]),
        (&"desk".into(), &serde_json::json!([640, 480]))
    );
    assert_eq!(shown["baseline_m"], report["baseline_m"]);
    assert!(fs::read_to_string(&rig).unwrap().contains("left_from_ego is not the mount"));

    // For people, by globs, with another lens.
    let [left, right] = ["left", "right"].map(|view| format!("{}/{view}*.jpg", text(&folder)));
    let mut arguments = vec!["calibrate", "--left", &left, "--right", &right, "-o", text(&rig)];
    arguments.extend(board);
    arguments.extend(["--lens", "radial-tangential-4", "--all-corners"]);
    let said = succeed(&arguments);
    for words in [
        "9 of 9 used, 972 of 972 corners",
        "RMS ",
        "left08.jpg right08.jpg",
        "better with",
        "baseline 83.",
    ] {
        assert!(said.contains(words), "{words}: {said}");
    }

    // Squares of a metre: the baseline is not one of a vehicle's camera.
    let mut arguments = vec!["calibrate", text(&folder), "-o", text(&rig)];
    arguments.extend(["--board", "9x6", "--square", "1m"]);
    let said = succeed(&arguments);
    assert!(said.contains("suspicious: ") && said.contains("baseline"), "{said}");

    // Too few pairs, and nine times the same one.
    let [few, same] = ["few", "same"].map(|name| out.path().join(name));
    fs::create_dir(&few).unwrap();
    fs::create_dir(&same).unwrap();
    for index in 1..=9 {
        for view in ["left", "right"] {
            let name = format!("{view}{index:02}.jpg");
            fs::copy(folder.join(format!("{view}01.jpg")), same.join(&name)).unwrap();
            if index < 5 {
                fs::copy(folder.join(&name), few.join(&name)).unwrap();
            }
        }
    }
    for (pictures, words) in [
        (&few, "both views of 4 of 4 pairs, expected at least 5"),
        (&same, "the views do not determine"),
    ] {
        let kept = fs::read(&rig).unwrap();
        let mut arguments = vec!["calibrate", text(pictures), "-o", text(&rig)];
        arguments.extend(board);
        let refused = run(&arguments);
        assert_eq!(refused.status.code(), Some(1));
        assert!(stderr(&refused).contains(words), "{words}: {}", stderr(&refused));
        assert_eq!(fs::read(&rig).unwrap(), kept, "the rig that was there is gone");
    }

    // Left for right; squares for corners; another board's size.
    let mut arguments = vec!["calibrate", "--left", &right, "--right", &left, "-o", text(&rig)];
    arguments.extend(board);
    let refused = run(&arguments);
    assert_eq!(refused.status.code(), Some(1));
    assert!(stderr(&refused).contains("exchange left and right"), "{}", stderr(&refused));
    let refused =
        run(&["calibrate", text(&folder), "--board", "10x7", "--square", "25mm", "-o", text(&rig)]);
    assert_eq!(refused.status.code(), Some(1));
    let said = stderr(&refused);
    assert!(
        said.contains("0 of 9 pairs")
            && said.contains("grid of 9x6")
            && said.contains("corners, not squares"),
        "{said}"
    );
}

#[test]
fn usage_that_cannot_be_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let rig = folder.path().join("rig.toml");
    let here = text(folder.path());
    let common = ["-o", text(&rig)];
    let good = ["--board", "9x6", "--square", "25mm"];
    for (arguments, words) in [
        (vec!["calibrate", here, "--board", "9", "--square", "25mm"], "COLUMNSxROWS"),
        (vec!["calibrate", here, "--board", "9x6", "--square", "-3mm"], "expected a length"),
        (
            vec!["calibrate", here, "--board", "9x6", "--square", "25"],
            "expected the side of one square",
        ),
        (vec!["calibrate", here, "--board", "2x6", "--square", "25mm"], "3 to 64"),
        (
            vec!["calibrate", here, "--board", "9x6", "--square", "25mm", "--lens", "pinhole"],
            "radial-tangential-5",
        ),
        (vec!["calibrate", "--board", "9x6", "--square", "25mm"], "required"),
        ([&["calibrate", here][..], &good].concat(), "0 left and 0 right images"),
        ([&["calibrate", here, "--left", "a"][..], &good].concat(), "cannot be used with"),
        (
            [
                &[
                    "calibrate",
                    "--cameras",
                    "README.md",
                    "LICENSE",
                    "--keep",
                    text(&folder.path().join("pairs")),
                    "--size",
                    "640x480",
                ][..],
                &good,
            ]
            .concat(),
            "README.md",
        ),
    ] {
        let refused = run(&[&arguments[..], &common].concat());
        assert_eq!(refused.status.code(), Some(2), "{arguments:?}: {}", stderr(&refused));
        assert!(stderr(&refused).contains(words), "{arguments:?}: {}", stderr(&refused));
        assert!(!rig.exists());
    }
    let missing = run(&[&["calibrate", "/nowhere/at-all"][..], &good, &common].concat());
    assert_eq!(missing.status.code(), Some(1), "{}", stderr(&missing));
    assert!(stderr(&missing).contains("/nowhere/at-all"));
}

/// Live pairs never go among files that are there.
#[test]
fn a_folder_with_files_is_not_written_to() {
    let folder = tempfile::tempdir().unwrap();
    let keep = folder.path().join("pairs");
    fs::create_dir(&keep).unwrap();
    fs::write(keep.join("left001.png"), "mine").unwrap();
    let rig = folder.path().join("rig.toml");
    let refused = run(&[
        "calibrate",
        "--cameras",
        "/dev/video900",
        "/dev/video901",
        "--keep",
        text(&keep),
        "--board",
        "9x6",
        "--square",
        "25mm",
        "-o",
        text(&rig),
    ]);
    assert_eq!(refused.status.code(), Some(2));
    let said = stderr(&refused);
    assert!(said.contains("expected an empty folder") && said.contains("hint: "), "{said}");
    assert_eq!(fs::read_to_string(keep.join("left001.png")).unwrap(), "mine");
    assert!(!Path::new(&rig).exists());
}
