//! `verify`: an export is what it was made from, and whatever is not is refused or found.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]
#![allow(clippy::print_stdout, reason = "measured errors are shown with --nocapture")]

mod common;

use common::{nyu_tiny, tiny};
use image::{Rgb, RgbImage};
use npyz::NpyFile;
use occdepth_contract::{
    Contract, METADATA_KEY, Precision,
    onnx::{ModelProto, NodeProto, TensorProto},
    self_test::{SelfTest, Tolerance},
};
use occdepth_host::{
    export::{self, export},
    preset::{Head, Preset, Unet},
    verify::{
        Options, Verification, VerifyError,
        compare::Comparison,
        frame::{FrameError, FrameFiles},
        report::Report,
    },
    weights::{Provenance, Weights},
};
use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Output},
};

fn exported(preset: &Preset, weights: &Weights, precision: Precision) -> ModelProto {
    let options = export::Options {
        precision,
        occupancy_output: preset.head.is_cascade(),
        ..export::Options::untrained("for a test")
    };
    export(preset, weights, &options).unwrap()
}

/// Verifies an export of `preset` on the random frame of `seed`.
fn verified(preset: &Preset, precision: Precision, seed: u64, options: &Options) -> Report {
    let weights = Weights::formula(preset);
    let model = exported(preset, &weights, precision);
    let verification = Verification::new(model, "export", preset.clone(), weights).unwrap();
    let frame = verification.random_frame(seed).unwrap();
    let report = verification.run(&frame, options).unwrap();
    println!("{report}");
    report
}

/// The small network of the reference values, with every part of the published one: outputs on two
/// frames, and all values between the parts.
#[test]
fn an_export_is_the_network_part_by_part() {
    let options = Options { stages: true, ..Options::default() };
    let report = verified(&tiny(), Precision::Fp32, 1, &options);
    assert_eq!(report.failures(), [""; 0]);
    assert!(report.graph_compared && !report.to_string().contains("not compared"));
    let names: Vec<&str> = report.outputs.iter().map(|output| output.name.as_str()).collect();
    assert_eq!(names, ["ssc_logits", "occ_logits"]);
    let stages: Vec<&str> = report.stages.iter().map(|stage| stage.name.as_str()).collect();
    assert_eq!(
        stages,
        [
            "features 1/1",
            "features 1/2",
            "features 1/4",
            "features 1/8",
            "assignment",
            "depth distribution",
            "volume",
            "up from 1/4",
            "up to 1/2",
            "up to 1/1",
        ]
    );
    for row in report.stages.iter().chain(&report.outputs) {
        assert!(row.scale > 1e-3, "{}: nothing to compare", row.name);
        assert!(row.relative() < 1e-4, "{}: {}", row.name, row.relative());
    }
    let labels = report.outputs[0].labels.unwrap();
    assert_eq!(labels.voxels, 64 * 40 * 16);
    assert!(labels.widest_margin <= 2.0 * report.outputs[0].error);
    assert!(report.ranges.is_empty());

    let other = verified(&tiny(), Precision::Fp32, 2, &Options::default());
    assert_eq!(other.failures(), [""; 0]);
    assert!(other.stages.is_empty());
    assert!((other.outputs[0].scale - report.outputs[0].scale).abs() > 0.0, "the same frame");
}

/// One view, five points per voxel, no depth net; and virtual stereo from a depth image.
#[test]
fn single_view_and_rgbd_networks_are_verified_too() {
    let head = Head::Aspp { dilations: vec![1, 2, 3], cascade: false, occluded: false };
    let single = Preset { views: 1, pattern: 1, depth: None, head, ..tiny() };
    let report = verified(&single, Precision::Fp32, 1, &Options::default());
    assert_eq!(report.failures(), [""; 0]);

    // Axes in another order, an origin per scene, no depth net: what the 3-D network reads is the
    // assignment.
    let options = Options { stages: true, ..Options::default() };
    let report = verified(&nyu_tiny(), Precision::Fp32, 1, &options);
    assert_eq!(report.failures(), [""; 0]);
    let volume = report.stages.iter().find(|stage| stage.name == "volume").unwrap();
    assert!(volume.scale > 1e-3 && volume.relative() < 1e-4, "{volume:?}");
}

/// Half precision: rounded weights within a wider tolerance, and every value's magnitude known.
#[test]
fn half_precision_is_compared_and_measured() {
    let report = verified(&tiny(), Precision::Fp16, 1, &Options::default());
    assert_eq!(report.failures(), [""; 0]);
    // The tolerance follows from what rounding does to this network, measured without the file.
    let own = Tolerance::of(Precision::Fp16);
    assert_eq!(report.rounding.len(), 2);
    let moved = report.rounding.iter().map(|moved| moved.rms).fold(0.0, f64::max);
    assert!(moved > 1e-5, "{moved}");
    let allowed = (4.0 * moved).max(f64::from(own.rms));
    assert!((f64::from(report.tolerance.rms) / allowed - 1.0).abs() < 1e-6, "{allowed}");
    assert!(report.tolerance.largest >= own.largest && report.tolerance.largest <= 0.5);
    // One bound that is given leaves the other what it is.
    let options = Options { tolerance: Some(0.25), ..Options::default() };
    let given = verified(&tiny(), Precision::Fp16, 1, &options).tolerance;
    assert_eq!(given, Tolerance { largest: 0.25, rms: report.tolerance.rms });
    // Rounding to eleven bits shows: it is not the single-precision network.
    assert!(report.outputs[0].relative() > 1e-5, "{}", report.outputs[0].relative());
    let halves = report.ranges.iter().filter(|range| range.half).count();
    assert!(halves > 100, "{halves}");
    assert!(report.ranges.is_sorted_by(|a, b| a.largest >= b.largest));
    assert!(report.ranges.iter().all(|range| range.largest.is_finite()));
}

/// A value that half precision cannot hold is found by its layer, although its weights can be held.
#[test]
fn an_overflow_of_half_precision_is_named() {
    let preset = tiny();
    let mut weights = Weights::formula(&preset);
    // Gain on gain: each factor is representable, their product is not.
    for (name, gain) in [("conv_stem.weight", 3e3), ("conv_head.weight", 3e3)] {
        let name = format!("net_rgb.encoder.original_model.{name}");
        scale(&mut weights, &name, gain);
    }
    scale(&mut weights, "net_rgb.decoder.conv2.weight", 1e3);
    let model = exported(&preset, &weights, Precision::Fp16);
    let verification = Verification::new(model, "export", preset, weights).unwrap();
    let frame = verification.random_frame(1).unwrap();
    let report = verification.run(&frame, &Options::default()).unwrap();
    let failures = report.failures();
    assert!(
        failures.iter().any(|line| line.contains("fp16 overflow: net_rgb.decoder.conv2/Conv")),
        "{failures:?}"
    );
}

fn scale(weights: &mut Weights, name: &str, gain: f32) {
    let tensor = weights.find(name).unwrap().clone();
    let values = tensor.values.iter().map(|value| value * gain).collect();
    weights.insert(name, tensor.shape, values).unwrap();
}

/// One flipped sign in one weight of the file.
#[test]
fn a_flipped_weight_is_found() {
    let preset = Preset::builtin("nano").unwrap();
    let weights = Weights::initialise(&preset, 1);
    let mut model = exported(&preset, &weights, Precision::Fp32);
    let name = "net_3d_decoder.ssc_head.conv_classes.weight";
    edit_constant(&mut model, name, |values| values[0] = -values[0]);
    let verification = Verification::new(model, "flipped.onnx", preset, weights).unwrap();
    let frame = verification.random_frame(1).unwrap();
    let report = verification.run(&frame, &Options::default()).unwrap();
    let failures = report.failures();
    assert!(failures[0].starts_with("output ssc_logits: largest error"), "{failures:?}");
    // Generous enough, it passes: the tolerance decides, not a bound of ours.
    let report = Report { tolerance: Tolerance { largest: 1.0, rms: 1.0 }, ..report };
    assert_eq!(report.failures(), [""; 0]);
}

fn edit_constant(model: &mut ModelProto, name: &str, edit: impl FnOnce(&mut Vec<f32>)) {
    let graph = model.graph.as_mut().unwrap();
    let constant = graph.initializer.iter_mut().find(|constant| constant.name == name).unwrap();
    let mut values = constant.to_f32().unwrap();
    edit(&mut values);
    *constant = TensorProto::from_f32(name, &constant.dims.clone(), &values);
}

/// What a file says is compared with the preset before anything runs.
#[test]
fn what_is_no_export_of_the_preset_is_refused_by_field() {
    let preset = Preset::builtin("nano").unwrap();
    let weights = Weights::initialise(&preset, 1);
    let model = exported(&preset, &weights, Precision::Fp32);
    let refused = |model: &ModelProto, preset: &Preset, weights: &Weights| {
        Verification::new(model.clone(), "n.onnx", preset.clone(), weights.clone()).unwrap_err()
    };
    let field = |preset: &Preset| match refused(&model, preset, &weights) {
        VerifyError::Field { field, .. } => field,
        other => panic!("{other}"),
    };
    assert_eq!(field(&tiny()), "preset");
    assert_eq!(field(&Preset { pattern: 1, ..preset.clone() }), "pattern");
    assert_eq!(field(&Preset { scales: vec![4, 8], ..preset.clone() }), "scales");
    assert_eq!(field(&Preset { depth: None, ..preset.clone() }), "depth");

    // What the runtime believes of the file: each field by itself.
    let edited = |edit: &dyn Fn(&mut Contract)| {
        let mut contract = Contract::from_model(&model, "n.onnx").unwrap();
        edit(&mut contract);
        let mut model = model.clone();
        for entry in model.metadata_props.iter_mut().filter(|entry| entry.key == METADATA_KEY) {
            entry.value = contract.to_json();
        }
        model
    };
    let field = |edit: &dyn Fn(&mut Contract)| match refused(&edited(edit), &preset, &weights) {
        VerifyError::Field { field, .. } => field,
        other => panic!("{other}"),
    };
    assert_eq!(field(&|contract| contract.normalisation.mean[1] += 0.01), "normalisation");
    assert_eq!(field(&|contract| contract.normalisation.std[2] *= 2.0), "normalisation");
    assert_eq!(field(&|contract| contract.grid.axes = "x left".into()), "grid.axes");
    assert_eq!(field(&|contract| contract.classes[3].colour[0] ^= 1), "classes");
    assert_eq!(field(&|contract| contract.classes[3].name.push('s')), "classes");
    assert_eq!(field(&|contract| contract.training.trained = true), "training.trained");

    // Another version of the exporter may emit other nodes; the report says that nobody looked.
    let older = edited(&|contract| contract.exporter = "occdepth-host 0.0.0".into());
    let verification = Verification::new(older, "n.onnx", preset.clone(), weights.clone()).unwrap();
    let frame = verification.random_frame(1).unwrap();
    let report = verification.run(&frame, &Options::default()).unwrap();
    assert!(!report.graph_compared);
    assert!(report.to_string().contains("not compared node by node: \"occdepth-host 0.0.0\""));

    // The same contract, another network inside: a stage that is wider.
    let mut wider = preset.clone();
    wider.encoder.stages[5].width += 8;
    let other = exported(&wider, &Weights::initialise(&wider, 1), Precision::Fp32);
    match refused(&other, &preset, &weights) {
        VerifyError::Graph { found, expected, .. } => assert_ne!(found, expected),
        other => panic!("{other}"),
    }
    // Our metadata on a graph of somebody else, with our inputs and outputs.
    let mut foreign = model.clone();
    foreign.graph.as_mut().unwrap().node[3].op_type = "Tanh".into();
    match refused(&foreign, &preset, &weights) {
        VerifyError::Graph { element, found, .. } => {
            assert_eq!(element, "node 3");
            assert!(found.contains("Tanh"), "{found}");
        }
        other => panic!("{other}"),
    }
    // A node, and a constant, too many.
    let mut longer = model.clone();
    let graph = longer.graph.as_mut().unwrap();
    let last = graph.node.last().unwrap().clone();
    graph.node.push(NodeProto { name: "more".into(), output: vec!["more".into()], ..last });
    match refused(&longer, &preset, &weights) {
        VerifyError::Graph { found, expected, .. } => {
            assert_eq!((found.as_str(), expected.as_str()), ("Reshape more", "nothing"));
        }
        other => panic!("{other}"),
    }
    let mut larger = model.clone();
    let graph = larger.graph.as_mut().unwrap();
    graph.initializer.push(TensorProto::from_f32("more", &[1], &[0.0]));
    match refused(&larger, &preset, &weights) {
        VerifyError::Graph { found, expected, .. } => {
            assert_eq!((found.as_str(), expected.as_str()), ("more [1] of type 1", "nothing"));
        }
        other => panic!("{other}"),
    }
    // No metadata at all.
    let mut bare = model.clone();
    bare.metadata_props.retain(|entry| entry.key != METADATA_KEY);
    assert!(matches!(refused(&bare, &preset, &weights), VerifyError::Contract(_)));

    // Weights of another checkpoint, and of another network.
    let provenance = |sha256: &str| Provenance {
        preset: "nano".into(),
        source_sha256: sha256.repeat(64),
        source_name: "a.ckpt".into(),
        trained: true,
    };
    let options = export::Options::from_provenance(&provenance("a"));
    let imported = export(&preset, &weights, &options).unwrap();
    let others = weights.clone().with_provenance(provenance("b"));
    match refused(&imported, &preset, &others) {
        VerifyError::Field { field, .. } => assert_eq!(field, "source_checkpoint"),
        other => panic!("{other}"),
    }
    let small = Weights::initialise(&tiny(), 1);
    assert!(matches!(refused(&model, &preset, &small), VerifyError::Weights(_)));
}

/// Errors by hand.
#[test]
fn comparisons_are_what_a_count_by_hand_gives() {
    // Two classes, three voxels: the second voxel changes its class at a margin of 1.
    let expected = [3.0, 1.0, 0.0, 0.0, 2.0, 4.0];
    let found = [3.0, 2.0, 0.0, 0.0, 0.0, 4.0];
    let comparison = Comparison::new("logits", &found, &expected, Some(2));
    assert_eq!((comparison.values, comparison.scale, comparison.error), (6, 4.0, 2.0));
    assert_eq!(comparison.worst, (4, 0.0, 2.0));
    assert!((comparison.relative() - 0.5).abs() < 1e-12);
    // Errors 1 and 2 of values 3, 1, 2 and 4.
    assert!((comparison.rms - (5.0_f64 / 30.0).sqrt()).abs() < 1e-12);
    let labels = comparison.labels.unwrap();
    assert_eq!((labels.voxels, labels.equal), (3, 2));
    assert!((labels.widest_margin - 1.0).abs() < 1e-12);

    let broken = Comparison::new("logits", &[1.0, f32::NAN], &[1.0, 1.0], None);
    assert!(broken.error.is_infinite() && broken.rms.is_infinite());
    let nothing = Comparison::new("logits", &[0.0; 2], &[0.0; 2], None);
    assert!(nothing.relative() <= 0.0 && nothing.rms <= 0.0);
}

fn verify(arguments: &[&str]) -> Output {
    let program = env!("CARGO_BIN_EXE_occdepth-host");
    Command::new(program).arg("verify").args(arguments).output().unwrap()
}

fn written(folder: &Path, model: &ModelProto) -> PathBuf {
    let path = folder.join("n.onnx");
    fs::write(&path, model.to_bytes()).unwrap();
    path
}

#[test]
fn the_program_says_whether_a_file_is_right() {
    let folder = tempfile::tempdir().unwrap();
    let preset = Preset::builtin("nano").unwrap();
    let weights = Weights::initialise(&preset, 1);
    let model = exported(&preset, &weights, Precision::Fp32);
    let path = written(folder.path(), &model);
    let file = path.to_str().unwrap();
    let dump = folder.path().join("frame");
    let output = verify(&[file, "--weights", "hash", "--dump", dump.to_str().unwrap()]);
    assert!(output.status.success(), "{output:?}");
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(text.contains("within tolerance") && text.contains("ssc_logits"), "{text}");
    let bytes = fs::read(dump.join("out.ssc_logits.npy")).unwrap();
    assert_eq!(NpyFile::new(&bytes[..]).unwrap().shape(), [20, 128, 128, 16]);
    let bytes = fs::read(dump.join("in.depth_index.npy")).unwrap();
    let npy = NpyFile::new(&bytes[..]).unwrap();
    assert_eq!(npy.shape(), [2, 8, 32768]);
    assert!(npy.into_vec::<i32>().unwrap().iter().any(|&index| index > 0));

    let json = fs::read(dump.join("tolerance.json")).unwrap();
    let tolerance: Tolerance = serde_json::from_slice(&json).unwrap();
    assert_eq!(tolerance, Tolerance::of(Precision::Fp32));

    // Other weights: one line, exit code 1.
    let output = verify(&[file, "--weights", "hash", "--seed", "2"]);
    assert_eq!(output.status.code(), Some(1));
    let text = String::from_utf8(output.stderr).unwrap();
    assert_eq!(text.lines().count(), 1, "{text}");
    assert!(text.contains("n.onnx does not compute") && text.contains("ssc_logits"), "{text}");

    // Refused before anything runs: exit code 2.
    for (arguments, expected) in [
        (vec![file, "--weights", "hash", "--preset", "kitti-b3"], "field `preset`"),
        (vec![file, "--weights", "missing.safetensors"], "missing.safetensors"),
        (vec!["missing.onnx", "--weights", "hash"], "missing.onnx"),
        (vec![file, "--weights", "hash", "--tolerance", "-1"], "tolerance"),
    ] {
        let output = verify(&arguments);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
        let text = String::from_utf8(output.stderr).unwrap();
        assert!(text.contains(expected), "{text}");
    }
    // Constants in a file of their own are read with it, or missed by name.
    let [apart, data] = ["apart.onnx", "apart.onnx.data"].map(|name| folder.path().join(name));
    let output = Command::new(env!("CARGO_BIN_EXE_occdepth-host"))
        .args([
            "export",
            "--preset",
            "nano",
            "--no-self-test",
            "--external-data-above",
            "1000",
            "-o",
        ])
        .arg(&apart)
        .output()
        .unwrap();
    assert!(output.status.success() && data.is_file(), "{output:?}");
    let apart = apart.to_str().unwrap();
    assert!(verify(&[apart, "--weights", "hash"]).status.success());
    fs::remove_file(data).unwrap();
    let output = verify(&[apart, "--weights", "hash"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8(output.stderr).unwrap().contains("apart.onnx.data"));

    // A self-test beside the file that belongs to another one; and one that is right.
    let stale = folder.path().join("n.selftest.json");
    let engines = Path::new(env!("CARGO_MANIFEST_DIR")).join("../engines");
    fs::copy(engines.join("nano.selftest.json"), &stale).unwrap();
    let output = verify(&[file, "--weights", "hash"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8(output.stderr).unwrap().contains("n.selftest.json"));
    let bundled = engines.join("nano.onnx");
    let output = verify(&[bundled.to_str().unwrap(), "--weights", "hash"]);
    assert!(output.status.success(), "{output:?}");
    assert!(String::from_utf8(output.stdout).unwrap().contains("self-test's frame, 4096 values"));
    // Seeds are for weights that have one.
    let output = verify(&[file, "--weights", "formula", "--seed", "1"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8(output.stderr).unwrap().contains("--seed"));

    let other = folder.path().join("not.onnx");
    fs::write(&other, "not a network").unwrap();
    let output = verify(&[other.to_str().unwrap(), "--weights", "hash"]);
    assert_eq!(output.status.code(), Some(2));
}

/// The self-test beside a file is met with all its outputs, also those of a network that the runtime
/// does not run.
#[test]
fn the_self_test_beside_a_file_is_checked() {
    let head = Head::Aspp { dilations: vec![1, 2, 3], cascade: false, occluded: true };
    let rgbd = nyu_tiny();
    let unet = Unet { full_width: Some(4), ..rgbd.unet };
    let preset = Preset { head, unet, ..rgbd };
    let weights = Weights::formula(&preset);
    let options =
        export::Options { occluded_output: true, ..export::Options::untrained("for a test") };
    let model = export(&preset, &weights, &options).unwrap();
    let contract = Contract::from_model(&model, "n.onnx").unwrap();
    let vectors = export::self_test(&preset, &weights, &contract, [0; 32]).unwrap();
    let report = |test: SelfTest| {
        let (preset, weights) = (preset.clone(), weights.clone());
        let verification = Verification::new(model.clone(), "n.onnx", preset, weights).unwrap();
        let frame = verification.random_frame(2).unwrap();
        let options = Options { self_test: Some(test), ..Options::default() };
        verification.run(&frame, &options)
    };
    let right = report(vectors.test.clone()).unwrap();
    assert_eq!(right.failures(), [""; 0]);
    let outputs = &right.self_test.as_ref().unwrap().outputs;
    let names: Vec<&str> = outputs.iter().map(|output| output.name.as_str()).collect();
    assert_eq!(names, ["ssc_logits", "occluded_logits"]);
    assert!(outputs.iter().all(|output| output.values == 4096 && output.scale > 1e-3));
    assert!(right.to_string().contains("occluded_logits: on the self-test's frame, 4096 values"));

    let mut wrong = vectors.test.clone();
    wrong.outputs[1].values[7] += 1.0;
    let failures = report(wrong).unwrap().failures();
    assert!(failures[0].starts_with("self-test: output occluded_logits: "), "{failures:?}");
    let mut less = vectors.test;
    less.outputs.pop();
    assert!(matches!(report(less).unwrap_err(), VerifyError::Frame(_)));
}

/// Cameras of 400x120 pixels, half a metre apart, 2 m up, as a KITTI calibration has them.
const CALIB: &str = "\
P0: 200 0 160 0 0 200 48 0 0 0 1 0
P1: 200 0 160 -100 0 200 48 0 0 0 1 0
P2: 200 0 160 0 0 200 48 0 0 0 1 0
P3: 200 0 160 -100 0 200 48 0 0 0 1 0
Tr: 0 -1 0 0 0 0 -1 0 1 0 0 0
";

/// Images from files: cropped, each pixel normalised by hand; or rectified, where a plain image stays
/// plain.
#[test]
fn images_and_a_rig_make_a_frame() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    let byte = |n: u32| u8::try_from(n % 256).unwrap();
    let image = RgbImage::from_fn(400, 120, |x, y| Rgb([x, y, x + y].map(byte)));
    image.save(path("left.png")).unwrap();
    RgbImage::from_pixel(400, 120, Rgb([255, 0, 51])).save(path("right.png")).unwrap();
    fs::write(path("calib.txt"), CALIB).unwrap();
    let files = FrameFiles {
        left: path("left.png"),
        right: Some(path("right.png")),
        rig: path("calib.txt"),
        origin_m: None,
    };
    let preset = tiny();
    let weights = Weights::formula(&preset);
    let model = exported(&preset, &weights, Precision::Fp32);
    let verification = Verification::new(model, "export", preset, weights).unwrap();
    let contract = verification.contract().clone();
    let frame = files.frame(&contract).unwrap();

    // Row 95, column 319 of the green channel of the left image; red and blue of the right one.
    let (plane, view) = (320 * 96, 3 * 320 * 96);
    let close = |found: f32, expected: f32| assert!((found - expected).abs() < 1e-5, "{found}");
    close(frame.images[plane + 95 * 320 + 319], (95.0 / 255.0 - 0.456) / 0.224);
    close(frame.images[95 * 320 + 319], (63.0 / 255.0 - 0.485) / 0.229);
    close(frame.images[view + 7], (1.0 - 0.485) / 0.229);
    close(frame.images[view + 2 * plane + 7], (0.2 - 0.406) / 0.225);
    // Voxel (12, 10, 2) of 0.8 m has its centre 10 m ahead, 0.4 m to the left and at the cameras'
    // height: 200 * 0.4 / 10 pixels left of the middle, and 200 * 0.5 / 10 more for the right camera.
    let (voxel, voxels) = ((12 * 20 + 10) * 8 + 2, 32 * 20 * 8);
    assert_eq!(frame.geometry.pixels[voxel], 48 * 320 + 152);
    assert_eq!(frame.geometry.pixels[4 * voxels + voxel], 48 * 320 + 142);
    let report = verification.run(&frame, &Options::default()).unwrap();
    assert_eq!(report.failures(), [""; 0]);

    let refused = |files: &FrameFiles| files.frame(&contract).unwrap_err();
    let single = FrameFiles { right: None, ..files.clone() };
    assert!(matches!(refused(&single), FrameError::Views { .. }));
    RgbImage::new(401, 120).save(path("wide.png")).unwrap();
    let wide = FrameFiles { right: Some(path("wide.png")), ..files.clone() };
    assert!(matches!(refused(&wide), FrameError::Size { .. }));
    let no_image = FrameFiles { left: path("calib.txt"), ..files.clone() };
    assert!(matches!(refused(&no_image), FrameError::Image { .. }));
    let no_file = FrameFiles { rig: path("missing.toml"), ..files };
    assert!(matches!(refused(&no_file), FrameError::Read { .. }));
}
