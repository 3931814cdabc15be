//! The program `occdepth-host`: exit codes, messages, files.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use occdepth_contract::{
    Contract, Precision,
    onnx::{ModelFile, ModelProto, sha256},
    self_test::SelfTest,
};
use occdepth_host::{
    preset::Preset,
    weights::{Provenance, Weights},
};
use std::{
    fs,
    path::Path,
    process::{Command, Output},
};

fn export(preset: &str, output: &Path) -> Output {
    export_with(&["--preset", preset, "--seed", "1"], output)
}

fn export_with(arguments: &[&str], output: &Path) -> Output {
    Command::new(env!("CARGO_BIN_EXE_occdepth-host"))
        .arg("export")
        .args(arguments)
        .arg("-o")
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
    // With its self-test beside it.
    assert_eq!(entries(folder.path()), ["nano.onnx", "nano.selftest.json"]);
    let test = SelfTest::read(&folder.path().join("nano.selftest.json")).unwrap();
    test.check_network(sha256(&[&path]).unwrap(), "nano.selftest.json").unwrap();

    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("alone.onnx");
    assert!(export_with(&["--preset", "nano", "--no-self-test"], &path).status.success());
    assert_eq!(entries(folder.path()), ["alone.onnx"]);
}

/// Constants beyond the limit of one file are in another, and the runtime finds them.
#[test]
fn a_large_network_keeps_its_constants_beside_it() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("nano.onnx");
    let arguments = ["--preset", "nano", "--external-data-above", "4000000"];
    let output = export_with(&arguments, &path);
    assert!(output.status.success(), "{output:?}");
    let names = ["nano.onnx", "nano.onnx.data", "nano.selftest.json"];
    assert_eq!(entries(folder.path()), names);
    assert!(fs::metadata(&path).unwrap().len() < 300_000);
    let file = ModelFile::read(&path).unwrap();
    let whole = folder.path().join("whole.onnx");
    assert!(export_with(&["--preset", "nano", "--no-self-test"], &whole).status.success());
    assert!(file.model == ModelFile::read(&whole).unwrap().model);
    let test = SelfTest::read(&folder.path().join("nano.selftest.json")).unwrap();
    test.check_network(file.sha256, "nano.selftest.json").unwrap();
    let engine = occdepth::engine::CpuEngine::open(&path, Some(1)).unwrap();
    let description = occdepth::engine::Engine::description(&engine);
    assert_eq!(description.network_sha256, file.sha256);
    fs::remove_file(folder.path().join("nano.onnx.data")).unwrap();
    let error = occdepth::engine::CpuEngine::open(&path, Some(1)).unwrap_err().to_string();
    assert!(error.contains("nano.onnx.data"), "{error}");
}

/// Weights that say where they come from need no preset, and say it in the file.
#[test]
fn weights_carry_their_origin_into_the_network() {
    let folder = tempfile::tempdir().unwrap();
    let [weights, path] = ["w.safetensors", "n.onnx"].map(|name| folder.path().join(name));
    let preset = Preset::builtin("nano").unwrap();
    let provenance = Provenance {
        preset: "nano".into(),
        source_sha256: "0f".repeat(32),
        source_name: "epoch=29.ckpt".into(),
        trained: true,
    };
    let made = Weights::initialise(&preset, 3);
    made.clone().with_provenance(provenance).write_safetensors(&weights).unwrap();
    let output = export_with(&["--weights", weights.to_str().unwrap()], &path);
    assert!(output.status.success(), "{output:?}");
    let model = ModelFile::read(&path).unwrap().model;
    let contract = Contract::from_model(&model, "n.onnx").unwrap();
    assert!(contract.training.trained && contract.training.note.contains("epoch=29.ckpt"));
    assert_eq!(contract.source_checkpoint, Some("0f".repeat(32)));
    assert_eq!(contract.precision, Precision::Fp32);

    // In half precision, from a file that says nothing.
    made.write_safetensors(&weights).unwrap();
    let arguments = ["--weights", weights.to_str().unwrap(), "--precision", "fp16"];
    let (text, code) = failure(&export_with(&arguments, &path));
    assert_eq!(code, Some(2));
    assert!(text.contains("--preset"), "{text}");
    let output = export_with(&[&arguments[..], &["--preset", "nano"]].concat(), &path);
    assert!(output.status.success(), "{output:?}");
    let model = ModelFile::read(&path).unwrap().model;
    let contract = Contract::from_model(&model, "n.onnx").unwrap();
    assert!(!contract.training.trained && contract.source_checkpoint.is_none());
    assert_eq!(contract.precision, Precision::Fp16);
}

/// A downloaded file names a preset; it does not decide which file is read.
#[test]
fn the_preset_of_a_weights_file_is_never_a_path() {
    let folder = tempfile::tempdir().unwrap();
    let [weights, path, file] =
        ["w.safetensors", "n.onnx", "p.toml"].map(|name| folder.path().join(name));
    // It would do, were it read.
    let nano = Preset::BUILTIN.iter().find(|(name, _)| *name == "nano").unwrap().1;
    fs::write(&file, nano).unwrap();
    let made = Weights::initialise(&Preset::builtin("nano").unwrap(), 1);
    for named in [file.to_str().unwrap(), "/etc/hostname", "x.toml"] {
        let provenance = Provenance {
            preset: named.into(),
            source_sha256: "0f".repeat(32),
            source_name: "a.ckpt".into(),
            trained: true,
        };
        made.clone().with_provenance(provenance).write_safetensors(&weights).unwrap();
        let (text, code) = failure(&export_with(&["--weights", weights.to_str().unwrap()], &path));
        assert_eq!(code, Some(2), "{text}");
        assert!(text.contains("w.safetensors") && text.contains("occdepth.preset"), "{text}");
        assert!(text.contains(named) && !text.contains("No such file"), "{text}");
        assert!(!path.exists());
    }
}

/// A seed that nothing would read, and an output that would replace what it is made from.
#[test]
fn arguments_that_contradict_each_other_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let [weights, path] = ["w.safetensors", "n.onnx"].map(|name| folder.path().join(name));
    Weights::initialise(&Preset::builtin("nano").unwrap(), 1).write_safetensors(&weights).unwrap();
    let file = weights.to_str().unwrap();
    for source in ["formula", file] {
        let arguments = ["--preset", "nano", "--weights", source, "--seed", "1"];
        let (text, code) = failure(&export_with(&arguments, &path));
        assert_eq!(code, Some(2), "{text}");
        assert!(text.contains("--seed") && text.contains(source), "{text}");
    }
    let before = fs::read(&weights).unwrap();
    let same = folder.path().join(".").join("w.safetensors");
    let (text, code) = failure(&export_with(&["--preset", "nano", "--weights", file], &same));
    assert_eq!(code, Some(2), "{text}");
    assert!(text.contains("--output"), "{text}");
    assert!(fs::read(&weights).unwrap() == before);
    assert_eq!(entries(folder.path()), ["w.safetensors"]);
}

#[test]
fn weights_that_make_no_network_are_configuration_errors() {
    let folder = tempfile::tempdir().unwrap();
    let [weights, path] = ["w.safetensors", "n.onnx"].map(|name| folder.path().join(name));
    let arguments = ["--preset", "nano", "--weights", weights.to_str().unwrap()];
    let refused = |arguments: &[&str], names: &[&str]| {
        let (text, code) = failure(&export_with(arguments, &path));
        assert_eq!(code, Some(2), "{text}");
        for name in names {
            assert!(text.contains(name), "{name}: {text}");
        }
        assert!(entries(folder.path()).iter().all(|name| name == "w.safetensors"));
    };
    refused(&arguments, &["w.safetensors", "No such file"]);
    fs::write(&weights, "not tensors").unwrap();
    refused(&arguments, &["w.safetensors"]);
    let nano = Preset::builtin("nano").unwrap();
    let name = "net_3d_decoder.ssc_head.conv_classes.weight";
    let mut made = Weights::initialise(&nano, 1);
    let shape = made.find(name).unwrap().shape.clone();
    let count = shape.iter().product();
    made.insert(name, shape.clone(), vec![1e5; count]).unwrap();
    made.write_safetensors(&weights).unwrap();
    refused(&[&arguments[..], &["--precision", "fp16"]].concat(), &["fp16 overflow", name]);
    made.insert(name, shape, vec![f32::NAN; count]).unwrap();
    made.write_safetensors(&weights).unwrap();
    refused(&arguments, &[name, "NaN"]);
    refused(&["--preset", "nano", "--occ-logits"], &["head.cascade"]);
    refused(&["--preset", "kitti-b3", "--occluded-logits"], &["head.occluded"]);
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
    // A network in one file, and one whose constants do not fit although the rest does.
    for options in ["", "--external-data-above 0"] {
        let script = format!(
            "trap '' XFSZ; ulimit -f 1000; exec \"$0\" export --preset nano {options} -o \"$1\""
        );
        let output = Command::new("sh")
            .args(["-c", &script])
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
}

#[test]
fn usage_errors_exit_with_2() {
    let output = Command::new(env!("CARGO_BIN_EXE_occdepth-host"))
        .args(["export", "--preset", "nano"])
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(2));
}
