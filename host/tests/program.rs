//! The program `occdepth-host`: exit codes, messages, files.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use occdepth_contract::{Contract, onnx::ModelProto};
use std::{
    fs,
    path::Path,
    process::{Command, Output},
};

fn export(preset: &str, output: &Path) -> Output {
    Command::new(env!("CARGO_BIN_EXE_occdepth-host"))
        .args(["export", "--preset", preset, "--seed", "1", "-o"])
        .arg(output)
        .output()
        .unwrap()
}

/// The one line on standard error, and the exit code.
fn failure(output: &Output) -> (String, Option<i32>) {
    let text = String::from_utf8(output.stderr.clone()).unwrap();
    assert_eq!(text.lines().count(), 1, "{text}");
    assert!(text.starts_with("occdepth-host: "), "{text}");
    (text, output.status.code())
}

fn entries(folder: &Path) -> Vec<String> {
    let mut names: Vec<String> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

#[test]
fn an_export_is_one_whole_file() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("nano.onnx");
    fs::write(&path, "an older file").unwrap();
    let output = export("nano", &path);
    assert!(output.status.success(), "{output:?}");
    assert!(String::from_utf8(output.stdout).unwrap().contains("untrained"));
    let model = ModelProto::from_bytes(&fs::read(&path).unwrap(), "nano.onnx").unwrap();
    assert_eq!(Contract::from_model(&model, "nano.onnx").unwrap().preset, "nano");
    assert_eq!(entries(folder.path()), ["nano.onnx"]);
}

#[test]
fn bad_presets_are_configuration_errors() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("out.onnx");
    let (text, code) = failure(&export("nona", &out));
    assert_eq!(code, Some(2));
    assert!(text.contains("nona") && text.contains("nano, kitti-b3"), "{text}");

    let (text, code) = failure(&export("missing.toml", &out));
    assert_eq!(code, Some(2));
    assert!(text.contains("missing.toml") && text.contains("No such file"), "{text}");

    let preset = folder.path().join("wrong.toml");
    fs::write(&preset, "name = \"wrong\"\nwidth = 3\n").unwrap();
    let (text, code) = failure(&export(preset.to_str().unwrap(), &out));
    assert_eq!(code, Some(2));
    assert!(text.contains("wrong.toml") && text.contains("width"), "{text}");
    assert!(!out.exists());
}

#[test]
fn a_file_that_cannot_be_written_is_a_failure_without_remains() {
    let folder = tempfile::tempdir().unwrap();
    let (text, code) = failure(&export("nano", &folder.path().join("no/such/folder.onnx")));
    assert_eq!(code, Some(1));
    assert!(text.contains("folder.onnx") && text.contains("No such file"), "{text}");

    let taken = folder.path().join("taken.onnx");
    fs::create_dir(&taken).unwrap();
    let (text, code) = failure(&export("nano", &taken));
    assert_eq!(code, Some(1));
    assert!(text.contains("not a regular file"), "{text}");
    assert_eq!(entries(folder.path()), ["taken.onnx"]);
}

/// A limit on file sizes stands for a full disk: the write fails in the middle of the file.
#[cfg(unix)]
#[test]
fn a_full_disk_leaves_the_older_file() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("nano.onnx");
    fs::write(&path, "an older file").unwrap();
    let output = Command::new("sh")
        .args(["-c", "trap '' XFSZ; ulimit -f 1000; exec \"$0\" export --preset nano -o \"$1\""])
        .arg(env!("CARGO_BIN_EXE_occdepth-host"))
        .arg(&path)
        .output()
        .unwrap();
    let (text, code) = failure(&output);
    assert_eq!(code, Some(1));
    assert!(text.contains("nano.onnx"), "{text}");
    assert_eq!(fs::read_to_string(&path).unwrap(), "an older file");
    assert_eq!(entries(folder.path()), ["nano.onnx"]);
}

#[test]
fn usage_errors_exit_with_2() {
    let output = Command::new(env!("CARGO_BIN_EXE_occdepth-host"))
        .args(["export", "--preset", "nano"])
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(2));
}
