//! The subcommand.

use serde_json::Value;
use std::fs;
use std::process::{Command, Output};

fn run(arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_occdepth"));
    command.env_remove("RUST_LOG").arg("estimate").args(arguments).output().unwrap()
}

fn succeed(arguments: &[&str]) -> String {
    let output = run(arguments);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// All boards for the bundled network; nobody can take it for a measurement.
#[test]
fn every_board_is_predicted() {
    let said = succeed(&[]);
    for board in occdepth::board::profile::catalogue() {
        assert!(said.contains(&board.name), "{}: {said}", board.name);
    }
    assert!(said.contains("716 M multiply-adds"), "{said}");
    assert!(said.contains("PREDICTIONS from data sheets, not measurements"));
    assert!(said.contains("assumptions\n- ") && !said.contains("NOT COUNTED"));
    assert!(said.contains("net_3d_decoder.ssc_head.conv_classes/Conv"));
}

#[test]
fn one_board_as_json() {
    let said = succeed(&["--board", "agx-orin-64gb", "--power-modes", "--json"]);
    let document: Value = serde_json::from_str(&said).unwrap();
    assert!(document["what"].as_str().unwrap().contains("not a measurement"));
    assert_eq!(document["multiply_adds"], 716_210_240_u64);
    let boards = document["boards"].as_array().unwrap();
    assert_eq!(boards.len(), 1);
    let points = boards[0]["points"].as_array().unwrap();
    assert_eq!(points.len(), 1 + 4);
    let prediction = &points[0]["predictions"]["fp16"];
    // 1.49 G operations at 42.5 T take 35 us; the 16.9 MB of inputs, outputs and weights at 204.8 GB/s 82 us.
    let floor_s = prediction["floor_s"].as_f64().unwrap();
    assert!((8.0e-5..8.5e-5).contains(&floor_s), "{floor_s}");
    assert_eq!(points[0]["predictions"]["tf32"], Value::Null);
    // Mode 1, 15 W, is slower.
    let slow = points[2]["predictions"]["fp16"]["roofline_s"].as_f64().unwrap();
    assert!(slow > prediction["roofline_s"].as_f64().unwrap());
}

#[test]
fn bad_input_is_said_by_file_and_field() {
    let directory = tempfile::tempdir().unwrap();
    let file = |name: &str, content: &str| {
        let path = directory.path().join(name);
        fs::write(&path, content).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let onnx = file("broken.onnx", "not a network");
    let board = file("mine.toml", "name = 'mine'\n");
    for (arguments, says) in [
        (vec!["--network", &onnx], vec!["broken.onnx"]),
        (vec!["--network", "no/such.onnx"], vec!["no/such.onnx"]),
        (vec!["--board", "toaster"], vec!["toaster", "orin-nano-8gb"]),
        (vec!["--board", &board], vec!["mine.toml", "not a board profile"]),
        (vec!["--board", "no/such.toml"], vec!["no/such.toml"]),
    ] {
        let output = run(&arguments);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {said}");
        assert!(
            said.starts_with("error: ") && says.iter().all(|part| said.contains(part)),
            "{said}"
        );
    }
}
