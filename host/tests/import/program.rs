//! `occdepth-host import`: exit codes, messages, files, and that nothing is executed.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Output},
};

use occdepth_host::{preset::Preset, weights::Weights};

use super::{fixture, small};

/// Runs the program in `folder`, which it may write to.
fn import(folder: &Path, checkpoint: &Path, arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_occdepth-host"))
        .arg("import")
        .arg(checkpoint)
        .args(arguments)
        .current_dir(folder)
        .output()
        .unwrap()
}

/// As [`import`], for the network of the fixtures, to `w.safetensors`.
fn import_small(folder: &Path, checkpoint: &Path) -> Output {
    let preset = fixture("small.toml");
    import(folder, checkpoint, &["--preset", preset.to_str().unwrap(), "-o", "w.safetensors"])
}

/// The one line on standard error, and the exit code.
fn failure(output: &Output) -> (String, Option<i32>) {
    let text = String::from_utf8(output.stderr.clone()).unwrap();
    assert_eq!(text.lines().count(), 1, "{text}");
    assert!(text.starts_with("occdepth-host: "), "{text}");
    (text, output.status.code())
}

fn entries(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).unwrap();
    let mut names: Vec<String> =
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

#[test]
fn an_import_says_what_it_did_and_writes_one_file() {
    let folder = tempfile::tempdir().unwrap();
    let output = import_small(folder.path(), &fixture("lightning.ckpt"));
    assert!(output.status.success(), "{output:?}");
    let text = String::from_utf8(output.stdout).unwrap();
    for part in [
        "torch.save (zip), 357 names",
        "not read: epoch",
        "omegaconf.dictconfig.DictConfig",
        "264 tensors used",
        "not needed: 57 ",
        "trained, from lightning.ckpt (SHA-256 ",
    ] {
        assert!(text.contains(part), "{part} in {text}");
    }
    assert_eq!(entries(folder.path()), ["w.safetensors"]);
    let weights = Weights::read_safetensors(&folder.path().join("w.safetensors")).unwrap();
    weights.check(&small()).unwrap();
    assert_eq!(weights.provenance().unwrap().source_name, "lightning.ckpt");
}

/// The fixtures' pickles run `touch executed-by-the-import` when they are unpickled.
#[test]
fn code_in_a_checkpoint_is_not_executed() {
    let folder = tempfile::tempdir().unwrap();
    for file in ["code_beside.ckpt", "code_as_weight.ckpt", "code_as_weight_legacy.ckpt"] {
        let path = fixture(file);
        let bytes = fs::read(&path).unwrap();
        let holds = |text: &[u8]| bytes.windows(text.len()).any(|window| window == text);
        assert!(holds(b"posix\nsystem\n") && holds(b"touch executed-by-the-import"), "{file}");
        let output = import_small(folder.path(), &path);
        let (_, code) = failure(&output);
        assert_eq!(code, Some(2), "{file}");
        let text = String::from_utf8(output.stdout).unwrap();
        assert!(text.contains("not called: posix.system"), "{file}: {text}");
        if file != "code_beside.ckpt" {
            let line = "unusable: net_rgb.decoder.conv2.bias is a call of posix.system";
            assert!(text.contains(line), "{file}: {text}");
        }
        assert!(entries(folder.path()).is_empty(), "{file}");
    }
}

#[test]
fn files_that_are_no_checkpoints_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let work = tempfile::tempdir().unwrap();
    let write = |name: &str, bytes: &[u8]| {
        let path = folder.path().join(name);
        fs::write(&path, bytes).unwrap();
        path
    };
    let zip = fs::read(fixture("zip.pth")).unwrap();
    // The same archive whose pickle has another name.
    let mut renamed = zip.clone();
    for at in 0..renamed.len() - 8 {
        if renamed[at..].starts_with(b"data.pkl") {
            renamed[at..at + 8].copy_from_slice(b"code.pkl");
        }
    }
    let mut compressed = zip.clone();
    let directory = compressed.windows(4).position(|window| window == b"PK\x01\x02").unwrap();
    compressed[directory + 10] = 8;
    let cases: [(PathBuf, &str); 12] = [
        (folder.path().join("missing.ckpt"), "No such file"),
        (folder.path().to_owned(), "Is a directory"),
        (write("empty.ckpt", b""), "it is empty"),
        (write("text.ckpt", b"not a checkpoint, but a text\n"), "begins with \"not a ch\""),
        (write("image.png", b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR"), "begins with \"\\x89PNG"),
        (write("plain.pkl", b"\x80\x04}\x94."), "a pickle without tensors"),
        (write("cut.ckpt", &zip[..zip.len() / 2]), "cut off"),
        (write("other.zip", &renamed), "without exactly one data.pkl"),
        (write("deflated.zip", &compressed), "compressed"),
        (write("header.safetensors", b"\x05\x00\x00\x00\x00\x00\x00\x00{\"a\":1"), "safetensors"),
        (write("old.tar", &[&[0; 257][..], b"ustar", &[0; 300]].concat()), "tar file"),
        (write("list.ckpt", &legacy_list()), "the pickled object is a list"),
    ];
    for (path, expected) in cases {
        let (text, code) = failure(&import_small(work.path(), &path));
        assert_eq!(code, Some(2), "{text}");
        let name = path.file_name().unwrap().to_str().unwrap();
        assert!(text.contains(expected) && text.contains(name), "{expected} in {text}");
        assert!(entries(work.path()).is_empty(), "{name}");
    }
}

/// What does not fit is listed on standard output, and counted in the error.
#[test]
fn what_does_not_fit_is_listed() {
    let folder = tempfile::tempdir().unwrap();
    let checkpoint = fixture("zip.pth");
    let output = import(folder.path(), &checkpoint, &["--preset", "nano", "-o", "w.safetensors"]);
    let (text, code) = failure(&output);
    assert_eq!(code, Some(2));
    let missing = Preset::builtin("nano").unwrap().parameters().len();
    let expected = format!("does not fit the preset nano: {missing} missing, 18 unknown");
    assert!(text.contains(&expected), "{text}");
    let listed = String::from_utf8(output.stdout).unwrap();
    assert_eq!(listed.lines().filter(|line| line.contains("missing: ")).count(), missing);
    assert!(listed.contains("unknown: transposed, float32 [4, 2, 3]"), "{listed}");

    let output = import(folder.path(), &checkpoint, &["-o", "w.safetensors"]);
    let (text, code) = failure(&output);
    assert_eq!(code, Some(2));
    assert!(text.contains("no built-in preset fits; the closest is"), "{text}");
    let listed = String::from_utf8(output.stdout).unwrap();
    for (name, _) in Preset::BUILTIN {
        assert!(listed.contains(&format!("not {name}: ")), "{name} in {listed}");
    }
    assert!(entries(folder.path()).is_empty());
}

#[test]
fn bad_arguments_exit_with_2() {
    let folder = tempfile::tempdir().unwrap();
    let checkpoint = fixture("lightning.ckpt");
    let output = import(folder.path(), &checkpoint, &["--preset", "nona", "-o", "w.safetensors"]);
    let (text, code) = failure(&output);
    assert_eq!(code, Some(2));
    assert!(text.contains("nona"), "{text}");
    assert_eq!(import(folder.path(), &checkpoint, &[]).status.code(), Some(2));

    let copy = folder.path().join("copy.ckpt");
    fs::copy(&checkpoint, &copy).unwrap();
    let (text, code) = failure(&import(folder.path(), &copy, &["-o", "./copy.ckpt"]));
    assert_eq!(code, Some(2));
    assert!(text.contains("is the checkpoint itself"), "{text}");
    assert_eq!(fs::read(&copy).unwrap(), fs::read(&checkpoint).unwrap());
}

#[test]
fn weights_that_cannot_be_written_are_a_failure_without_remains() {
    let folder = tempfile::tempdir().unwrap();
    let preset = fixture("small.toml");
    fs::create_dir(folder.path().join("taken")).unwrap();
    for (path, expected) in [("no/w.safetensors", "No such file"), ("taken", "regular file")] {
        let arguments = ["--preset", preset.to_str().unwrap(), "-o", path];
        let output = import(folder.path(), &fixture("lightning.ckpt"), &arguments);
        let (text, code) = failure(&output);
        assert_eq!(code, Some(1));
        assert!(text.contains(path) && text.contains(expected), "{text}");
    }
    assert_eq!(entries(folder.path()), ["taken"]);
}

/// A limit on file sizes stands for a full disk: the write fails in the middle of the file.
#[cfg(unix)]
#[test]
fn a_full_disk_leaves_the_older_weights() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("w.safetensors");
    fs::write(&path, "an older file").unwrap();
    let script = "trap '' XFSZ; ulimit -f 16; exec \"$0\" import \"$1\" --preset \"$2\" -o \"$3\"";
    let output = Command::new("sh")
        .args(["-c", script])
        .arg(env!("CARGO_BIN_EXE_occdepth-host"))
        .args([fixture("lightning.ckpt"), fixture("small.toml"), path.clone()])
        .output()
        .unwrap();
    let (text, code) = failure(&output);
    assert_eq!(code, Some(1), "{text}");
    assert!(text.contains("w.safetensors"), "{text}");
    assert_eq!(fs::read_to_string(&path).unwrap(), "an older file");
    assert_eq!(entries(folder.path()), ["w.safetensors"]);
}

/// A legacy file that holds an empty list and no storages.
fn legacy_list() -> Vec<u8> {
    let bytes = fs::read(fixture("legacy.pth")).unwrap();
    let objects = b"\x80\x02ccollections\nOrderedDict\n";
    let objects = bytes.windows(objects.len()).position(|window| window == objects).unwrap();
    [&bytes[..objects], b"\x80\x02].\x80\x02]."].concat()
}
