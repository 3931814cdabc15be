//! Bad input: one clear line that names what is wrong, the right exit code, no panic, nothing half-written.

use crate::support::{occdepth, run, shared, stderr, text};
use std::fs;
use std::path::{Path, PathBuf};

const DEMO_RIG: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/calibration/demo.toml");
const NANO: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/engines/nano.onnx");

/// Runs `arguments`, which must end with `code` and say every one of `names`.
fn refused(arguments: &[&str], code: i32, names: &[&str]) {
    let output = run(arguments);
    let said = stderr(&output);
    assert_eq!(output.status.code(), Some(code), "{arguments:?}: {said}");
    assert!(!said.contains("panicked"), "{arguments:?}: {said}");
    assert!(said.lines().any(|line| line.starts_with("error: ")), "{arguments:?}: {said}");
    for name in names {
        assert!(said.contains(name), "{arguments:?}: no {name:?} in {said}");
    }
}

#[test]
fn usage() {
    for arguments in
        [&["fly"][..], &["run"], &["infer", "--left", "a.png"], &["demo", "--seconds", "-1"]]
    {
        let output = run(arguments);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
    }
    let pair = ["--left", "a.png", "--right", "b.png", "--rig", "c.toml"];
    let origin = run(&[&["infer"], &pair[..], &["-o", "grid.npy", "--origin", "-1,2"]].concat());
    assert_eq!(origin.status.code(), Some(2));
    assert!(stderr(&origin).contains("0,-25.6,-2"), "{}", stderr(&origin));
    refused(
        &[&["infer"], &pair[..], &["-o", "grid.xyz"]].concat(),
        2,
        &["grid.xyz", ".npy", ".label"],
    );
}

#[test]
fn cameras() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("config.toml");
    fs::write(directory.path().join("a-file"), "no camera").unwrap();
    let config = |source: &str| {
        let start = format!("rig = '{DEMO_RIG}'\n[stream]\nsocket = 's.sock'\n");
        fs::write(&path, format!("{start}[source]\nkind = 'v4l2'\n{source}")).unwrap();
    };
    let arguments = ["run", "--config", text(&path)];
    config("left = 'a-camera'\nright = 'another'\nstart_timeout_ms = 100\n");
    refused(&arguments, 1, &["left camera", "a-camera", "no such device"]);
    config("left = 'a-file'\nright = 'another'\n");
    refused(&arguments, 2, &["a-file", "a regular file"]);
    config("device = '/dev/null'\nlayout = 'side-by-side'\n");
    refused(&arguments, 2, &["/dev/null", "does not speak V4L2"]);
    config("left = 'a-camera'\nright = 'another'\nwidth = 64\nheight = 32\n");
    refused(&arguments, 2, &["source.width", "64x32", "image_size"]);
    config("left = 'a-camera'\n");
    refused(&arguments, 2, &["source.left", "`left` and `right`"]);
}

#[test]
fn configurations() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("config.toml");
    let stream = "[stream]\nsocket = 's.sock'\n";
    let synthetic = "[source]\nkind = 'synthetic'\n";
    refused(&["run", "--config", text(&path)], 2, &["config.toml", "cannot read"]);
    let cases: &[(String, &[&str])] = &[
        ("source = [".into(), &["config.toml"]),
        (format!("{stream}{synthetic}speed = 3\n"), &["speed", "unknown field"]),
        (format!("colour = 1\n{stream}{synthetic}"), &["colour", "unknown field"]),
        (synthetic.into(), &["stream", "missing"]),
        (format!("{stream}[source]\nkind = 'radar'\n"), &["radar", "kitti"]),
        (format!("{stream}{synthetic}rate_hz = 0\n"), &["source.rate_hz", "0", "positive"]),
        (format!("{stream}[source]\nkind = 'kitti'\ndirectory = '.'\n"), &["`rig`", "missing"]),
        (format!("{stream}slots = 1\n{synthetic}"), &["stream.slots", "1", "at least 2"]),
        (format!("{stream}mode = 'rwx'\n{synthetic}"), &["rwx", "octal"]),
        (format!("{stream}{synthetic}[grid]\nunknown_below = 2\n"), &["grid.unknown_below", "2"]),
        (
            format!("{stream}{synthetic}[network]\nthreads = 0\n"),
            &["network.threads", "at least 1"],
        ),
        (
            format!("{stream}{synthetic}[calibration_watch]\nevery = 0\n"),
            &["calibration_watch.every", "at least 1"],
        ),
        (
            format!("{stream}{synthetic}[calibration_watch]\nsuspect_px = 2.0\nlost_px = 1.5\n"),
            &["calibration_watch.lost_px", "1.5", "suspect_px"],
        ),
        (
            format!("{stream}{synthetic}[calibration_watch]\nspeed = 1\n"),
            &["speed", "unknown field"],
        ),
        (format!("{stream}{synthetic}[network]\nfile = 'no.onnx'\n"), &["no.onnx"]),
        (
            format!(
                "rig = '{DEMO_RIG}'\n{stream}[source]\nkind = 'kitti'\ndirectory = 'nowhere'\n"
            ),
            &["nowhere"],
        ),
    ];
    for (toml, names) in cases {
        fs::write(&path, toml).unwrap();
        let output = run(&["run", "--config", text(&path)]);
        let said = stderr(&output);
        let code = output.status.code();
        // What cannot be opened is failure, everything else configuration.
        assert_eq!(code, Some(if names.contains(&"nowhere") { 1 } else { 2 }), "{toml}: {said}");
        for name in *names {
            assert!(said.contains(name), "{toml}: no {name:?} in {said}");
        }
        assert!(!directory.path().join("s.sock").exists(), "{toml}: a socket was left");
    }
}

#[test]
fn rigs() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("rig.toml");
    refused(&["rig", "check", text(&path)], 2, &["rig.toml", "cannot read"]);
    let good = fs::read_to_string(DEMO_RIG).unwrap();
    let cases: &[(&str, &str, &[&str])] = &[
        ("fx = 350.0", "fx = 0.0", &["fx", "0"]),
        ("fy = 350.0", "fy = nan", &["fy", "NaN"]),
        ("cx = 319.5", "cx = \"middle\"", &["rig.toml"]),
        ("width = 640", "width = 0", &["image_size", "0"]),
        ("[-0.54, 0.0, 0.0]", "[0.54, 0.0, 0.0]", &["right_from_left", "0.54"]),
        ("[-0.54, 0.0, 0.0]", "[0.0, 0.0, 0.0]", &["right_from_left"]),
        ("[1.0, 0.0, 0.0]", "[2.0, 0.0, 0.0]", &["rotation"]),
        ("model = \"radial-tangential\"", "model = \"magic\"", &["magic"]),
        ("rectified = true", "rectified = true\nzoom = 2", &["zoom"]),
        ("name = \"demo\"", "", &["name"]),
    ];
    for (from, to, names) in cases {
        assert!(good.contains(from), "{from}");
        fs::write(&path, good.replacen(from, to, 1)).unwrap();
        refused(&["rig", "check", text(&path)], 2, &[&["rig.toml"], *names].concat());
    }
    refused(&["rig", "check", text(directory.path())], 2, &["cannot read", "directory"]);
    refused(&["rig", "check", "/dev/zero"], 2, &["/dev/zero", "more than 4194304 bytes"]);
    fs::write(&path, b"name = \"\xff\"").unwrap();
    refused(&["rig", "check", text(&path)], 2, &["rig.toml", "no text", "UTF-8"]);
    fs::write(&path, format!("\u{feff}{good}")).unwrap();
    assert!(run(&["rig", "check", text(&path)]).status.success());
    fs::write(&path, "P0: 1 2 3\nP2: 4\n").unwrap();
    refused(&["rig", "check", text(&path)], 2, &["rig.toml", "--image-size"]);
    refused(&["rig", "check", text(&path), "--image-size", "640x192"], 2, &["rig.toml", "P0"]);
}

/// A calibration of another program in the place of a rig: what it is, and what to do.
#[test]
fn foreign_rigs() {
    let directory = tempfile::tempdir().unwrap();
    let out = text(directory.path());
    let image = directory.path().join("image.png");
    image::RgbImage::new(640, 192).save(&image).unwrap();
    for (format, name) in
        [("kalibr", "camchain.yaml"), ("opencv", "stereo.yml"), ("basalt", "calibration.json")]
    {
        assert!(run(&["rig", "export", DEMO_RIG, "--format", format, "-o", out]).status.success());
        let file = directory.path().join(name);
        let is = format!("format {format}");
        let names = [name, &is, "occdepth rig import"];
        refused(&["rig", "check", text(&file)], 2, &names);
        let image = text(&image);
        let pair = ["infer", "--left", image, "--right", image, "-o", "never.npy", "--rig"];
        refused(&[&pair[..], &[text(&file)]].concat(), 2, &names);
        let config = directory.path().join("stream.toml");
        let rig = text(&file);
        fs::write(
            &config,
            format!("rig = '{rig}'\n[source]\nkind = 'kitti'\ndirectory = '.'\n[stream]\nsocket = 's.sock'\n"),
        )
        .unwrap();
        refused(&["run", "--config", text(&config)], 2, &names);
    }
}

/// Calibrations that are damaged, or none at all: each is named, nothing is written, and no command waits or grows.
#[test]
fn calibrations() {
    let directory = tempfile::tempdir().unwrap();
    let path = |name: &str| directory.path().join(name);
    let out = path("never.toml");
    let refused = |arguments: &[&str], names: &[&str]| {
        refused(&[&["rig", "import", "-o", text(&out)], arguments].concat(), 2, names);
        assert!(!out.exists(), "{arguments:?}");
    };
    let exported = directory.path();
    for format in ["kalibr", "opencv", "ros", "euroc", "basalt", "kitti-raw"] {
        let done = run(&["rig", "export", DEMO_RIG, "--format", format, "-o", text(exported)]);
        assert!(done.status.success());
    }
    for (good, from, to, names) in [
        ("camchain.yaml", "", "", &[][..]),
        ("camchain.yaml", "resolution: [640", "resolution: [.nan", &["cam0.resolution[0]", ".nan"]),
        ("stereo.yml", "-0.54", ".nan", &["T", ".nan"]),
        ("stereo.yml", "rows: 3", "rows: 2", &["M1.rows"]),
        ("calibration.json", "\"qw\": 1.0", "\"qw\": 0.0", &["T_imu_cam[0]", "length 0"]),
        ("calib_cam_to_cam.txt", "S_02: 640 192", "S_02: 640 -192", &["S_02", "-192"]),
        ("calib_cam_to_cam.txt", "R_03: 1.0", "R_03: 0.0", &["R_03", "singular"]),
    ] {
        let text_of = fs::read_to_string(path(good)).unwrap();
        let name = format!("bad-{good}");
        let bad = path(&name);
        if from == to {
            // Half of it.
            fs::write(&bad, &text_of[..text_of.len() / 2]).unwrap();
        } else {
            assert!(text_of.contains(from), "{from}: {text_of}");
            fs::write(&bad, text_of.replacen(from, to, 1)).unwrap();
        }
        refused(&[text(&bad)], &[&[&*name], names].concat());
    }
    for [left, right] in
        [["left.yaml", "right.yaml"], ["cam0_sensor.yaml", "cam1_sensor.yaml"]].map(|n| n.map(path))
    {
        let whole = fs::read_to_string(&right).unwrap();
        let name = right.file_name().unwrap().to_str().unwrap();
        fs::write(&right, &whole[..whole.len() / 2]).unwrap();
        refused(&[text(&left), text(&right)], &[name]);
        // Each in the other's place.
        fs::write(&right, fs::read_to_string(&left).unwrap()).unwrap();
        fs::write(&left, whole).unwrap();
        refused(&[text(&left), text(&right)], &[name, "right_from_left", "lies to the right"]);
    }
    fs::write(path("bytes.yaml"), b"cam0: \xff\xfe").unwrap();
    refused(&[text(&path("bytes.yaml"))], &["bytes.yaml", "no text at 6", "UTF-8"]);
    fs::write(path("large.yaml"), "cam0: 1\n".repeat(1 << 20)).unwrap();
    refused(&[text(&path("large.yaml"))], &["large.yaml", "more than 4194304 bytes"]);
    refused(&["/dev/zero"], &["/dev/zero", "more than 4194304 bytes"]);
    refused(&[text(directory.path())], &["cannot read", "directory"]);
    refused(&[text(&path("missing.yaml"))], &["missing.yaml", "No such file"]);
    fs::write(path("empty.yaml"), "").unwrap();
    refused(&[text(&path("empty.yaml"))], &["empty.yaml", "no known calibration", "--format"]);
    let whole = path("stereo.yml");
    refused(&[text(&whole), "--image-size", "640x480"], &["stereo.yml", "640x192", "640x480"]);
    refused(&[text(&whole), "--lens", "fov"], &["--lens", "kannala-brandt"]);
    let metres = fs::read_to_string(&whole).unwrap().replacen("-0.54", "-540.0", 1);
    fs::write(path("millimetres.yml"), metres).unwrap();
    refused(&[text(&path("millimetres.yml"))], &["millimetres.yml", "--unit mm"]);
}

/// A file's name may have lines; the rig that is written has them not.
#[test]
fn names_of_files_do_not_break_the_rig() {
    let directory = tempfile::tempdir().unwrap();
    let exported = text(directory.path());
    assert!(run(&["rig", "export", DEMO_RIG, "--format", "ros", "-o", exported]).status.success());
    let odd = directory.path().join("left\nname = 1.yaml");
    fs::rename(directory.path().join("left.yaml"), &odd).unwrap();
    let out = directory.path().join("rig.toml");
    let right = directory.path().join("right.yaml");
    let done = run(&["rig", "import", text(&odd), text(&right), "-o", text(&out)]);
    assert!(done.status.success(), "{}", stderr(&done));
    assert!(run(&["rig", "check", text(&out)]).status.success());
}

/// Tables that would fill the memory are refused before they are made.
#[test]
fn sizes_of_rectified_images() {
    let show = ["rig", "show", DEMO_RIG, "--json", "--map-stride", "1", "--size"];
    for (size, names) in [
        ("4000000000x4000000000", ["4000000000x4000000000", "32768x32768"]),
        ("20000x20000", ["20000x20000", "--map-stride"]),
        ("2500x2500", ["2500x2500", "--map-stride"]),
    ] {
        refused(&[&show[..], &[size]].concat(), 2, &names);
    }
}

#[test]
fn images() {
    let directory = tempfile::tempdir().unwrap();
    let image = |name: &str, width: u32, height: u32| -> PathBuf {
        let path = directory.path().join(name);
        image::RgbImage::new(width, height).save(&path).unwrap();
        path
    };
    let left = image("left.png", 640, 192);
    let right = image("right.png", 640, 192);
    let small = image("small.png", 320, 96);
    let grey = directory.path().join("grey.png");
    image::GrayImage::new(640, 192).save(&grey).unwrap();
    let truncated = directory.path().join("truncated.png");
    let bytes = fs::read(&right).unwrap();
    fs::write(&truncated, &bytes[..bytes.len() / 2]).unwrap();
    let text_file = directory.path().join("notes.png");
    fs::write(&text_file, "not a picture").unwrap();
    let missing = directory.path().join("missing.png");
    let out = directory.path().join("grid.npy");

    let infer = |left: &Path, right: &Path, code, names: &[&str]| {
        refused(
            &[
                "infer",
                "--left",
                text(left),
                "--right",
                text(right),
                "--rig",
                DEMO_RIG,
                "-o",
                text(&out),
            ],
            code,
            names,
        );
        assert!(!out.exists());
    };
    infer(&left, &missing, 1, &["missing.png", "No such file"]);
    infer(&left, &truncated, 1, &["truncated.png"]);
    infer(&text_file, &right, 1, &["notes.png"]);
    infer(&left, &small, 2, &["small.png", "320x96", "640x192"]);
    infer(&small, &small, 2, &["320x96", "640x192"]);
    infer(&grey, &grey, 2, &["grey.png", "colour"]);
}

/// A network that computes something else than its self-test says is a failure; a self-test that is
/// missing, damaged or another network's is a mistake of whoever asked.
#[test]
fn self_tests() {
    let directory = tempfile::tempdir().unwrap();
    let [path, beside] = ["n.onnx", "n.selftest.json"].map(|name| directory.path().join(name));
    let good = fs::read(NANO).unwrap();
    fs::write(&path, &good).unwrap();
    refused(&["network", "check", text(&path)], 2, &["n.selftest.json", "hint: "]);
    fs::write(&beside, "{}").unwrap();
    refused(&["network", "check", text(&path)], 2, &["n.selftest.json", "self-test document"]);
    let document = fs::read_to_string(NANO.replace(".onnx", ".selftest.json")).unwrap();
    fs::write(&beside, &document).unwrap();
    assert!(run(&["network", "check", text(&path)]).status.success());

    // One weight with another sign.
    let mut model = occdepth_contract::onnx::ModelProto::from_bytes(&good, "nano").unwrap();
    let name = "net_3d_decoder.ssc_head.conv_classes.weight";
    let constants = &mut model.graph.as_mut().unwrap().initializer;
    let constant = constants.iter_mut().find(|constant| constant.name == name).unwrap();
    constant.raw_data[3] ^= 0x80;
    fs::write(&path, model.to_bytes()).unwrap();
    refused(&["network", "check", text(&path)], 2, &["network_sha256", "another network"]);
    // Whoever changed it has changed the checksum as well.
    let hash = |path: &Path| -> String {
        let bytes = occdepth_contract::onnx::sha256(&[path]).unwrap();
        bytes.iter().fold(String::new(), |text, byte| text + &format!("{byte:02x}"))
    };
    let forged = document.replace(&hash(Path::new(NANO)), &hash(&path));
    fs::write(&beside, forged).unwrap();
    refused(&["network", "check", text(&path)], 1, &["does not compute"]);
}

#[test]
fn networks() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("network.onnx");
    let show = |names: &[&str]| {
        refused(&["network", "show", text(&path)], 2, &[&["network.onnx"], names].concat());
        // The engine says the same.
        let config = directory.path().join("stream.toml");
        fs::write(
            &config,
            "[source]\nkind = 'synthetic'\n[network]\nfile = 'network.onnx'\n[stream]\nsocket = 's.sock'\n",
        )
        .unwrap();
        refused(&["run", "--config", text(&config)], 2, &["network.onnx"]);
    };
    show(&["cannot read"]);
    fs::write(&path, "").unwrap();
    show(&[]);
    fs::write(&path, "this is no network").unwrap();
    show(&[]);
    let good = fs::read(NANO).unwrap();
    fs::write(&path, &good[..good.len() / 2]).unwrap();
    show(&[]);

    let mut model = occdepth_contract::onnx::ModelProto::from_bytes(&good, "nano").unwrap();
    let json = model.metadata(occdepth_contract::METADATA_KEY).unwrap().to_owned();
    let mut with_metadata = |document: Option<String>| {
        model.metadata_props.retain(|entry| entry.key != occdepth_contract::METADATA_KEY);
        if let Some(value) = document {
            model.metadata_props.push(occdepth_contract::onnx::StringStringEntryProto {
                key: occdepth_contract::METADATA_KEY.into(),
                value,
            });
        }
        fs::write(&path, model.to_bytes()).unwrap();
    };
    with_metadata(None);
    show(&["metadata", "occdepth"]);
    with_metadata(Some("{".into()));
    show(&[]);
    let replaced = |from: &str, to: &str| {
        assert!(json.contains(from), "{from} in {json}");
        Some(json.replacen(from, to, 1))
    };
    let version = occdepth_contract::CONTRACT_VERSION;
    let ours = format!("\"contract_version\":\"{version}\"");
    with_metadata(replaced(&ours, "\"contract_version\":\"9.0\""));
    show(&["contract_version", "9.0", version]);
    with_metadata(replaced("\"project_scale\":2", "\"project_scale\":1"));
    show(&["pixels"]);
    with_metadata(replaced("\"pattern\":", "\"pattern\":9,\"was\":"));
    show(&[]);
}

#[test]
fn clients() {
    let directory = tempfile::tempdir().unwrap();
    let socket = directory.path().join("none.sock");
    refused(&["watch", text(&socket), "--timeout", "0"], 1, &["none.sock", "no such stream"]);
    fs::write(&socket, "a file").unwrap();
    refused(&["watch", text(&socket), "--timeout", "0"], 1, &["none.sock"]);
}

/// A file size limit stands in for a full disk: no partial file is left, and what was there stays.
#[test]
fn a_full_disk_leaves_nothing_half_written() {
    let directory = tempfile::tempdir().unwrap();
    let out = directory.path().join("rig.toml");
    fs::write(&out, "precious").unwrap();
    let program = occdepth().get_program().to_owned();
    let output = std::process::Command::new("sh")
        .args(["-c", "trap '' XFSZ; ulimit -f 0; exec \"$0\" \"$@\""])
        .arg(program)
        .args(["rig", "import", DEMO_RIG, "-o", text(&out)])
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(1), "{}", stderr(&output));
    assert!(stderr(&output).contains("rig.toml"), "{}", stderr(&output));
    assert_eq!(fs::read_to_string(&out).unwrap(), "precious");
    assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1, "a partial file is left");
    refused(&["rig", "import", DEMO_RIG, "-o", "/dev/full"], 1, &["/dev/full"]);
    let nowhere = directory.path().join("no/such/rig.toml");
    refused(&["rig", "import", DEMO_RIG, "-o", text(&nowhere)], 1, &["no/such/rig.toml"]);
}

/// KITTI's calib.txt does not fit images of another size.
#[test]
fn a_rig_of_another_image_size() {
    let Some(sequence) = shared("a_rig_of_another_image_size", "data/kitti/sequences/08") else {
        return;
    };
    refused(
        &[
            "infer",
            "--left",
            text(&sequence.join("image_2/000000.png")),
            "--right",
            text(&sequence.join("image_3/000000.png")),
            "--rig",
            DEMO_RIG,
            "-o",
            "never.npy",
        ],
        2,
        &["1226x370", "640x192"],
    );
}
