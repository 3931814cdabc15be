//! The exported file: static, folded, reproducible, and computing what the network computes.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]
#![allow(clippy::print_stdout, reason = "measured errors are shown with --nocapture")]

#[path = "../common/mod.rs"]
mod common;
mod files;
mod graph;
mod precision;
mod presets;
mod self_test;

use common::{golden, reference::Reference, tiny};
use occdepth::{
    engine::{CpuEngine, Engine},
    grid::{GridOutput, LabelOptions},
};
use occdepth_contract::{
    Contract, Precision,
    onnx::{ModelProto, data_type},
};
use occdepth_geometry::network::GeometryInputs;
use occdepth_host::{
    export::{ExportError, Options, export},
    preset::{Head, Parameter, Preset},
    weights::{Weights, WeightsError},
};
use std::{collections::BTreeSet, fs, path::Path};

fn nano() -> (Preset, Weights, ModelProto) {
    let preset = Preset::builtin("nano").unwrap();
    let weights = Weights::initialise(&preset, 1);
    let model = export(&preset, &weights, &Options::untrained("by integer hash, seed 1")).unwrap();
    (preset, weights, model)
}

#[test]
fn the_bundled_network_is_what_its_command_writes() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../engines/nano.onnx");
    let bundled = fs::read(&path).unwrap();
    let (_, _, model) = nano();
    assert!(
        model.to_bytes() == bundled,
        "{} differs from a fresh export: run the command in engines/README.md",
        path.display()
    );
    assert!(bundled.len() <= 8_000_000, "{} bytes", bundled.len());
    let contract = Contract::from_model(&model, "nano.onnx").unwrap();
    assert!(!contract.training.trained);
    assert!(contract.training.note.contains("untrained"), "{}", contract.training.note);
}

/// What a viewer of the file shows first.
#[test]
fn the_description_says_what_the_network_looks_through() {
    for (name, views) in [
        ("kitti-b3", "2 stereo views of 128x64 pixels"),
        ("kitti-mono", "1 view of 128x64 pixels"),
        ("nyu-b4", "1 view and a depth image of 128x64 pixels"),
    ] {
        let (_, model) = presets::exported(&presets::thin(name), Precision::Fp32);
        assert!(model.doc_string.contains(views), "{}", model.doc_string);
        assert!(model.doc_string.contains("NOT TRAINED"), "{}", model.doc_string);
    }
}

/// Weights are exported by their published names, each once, and only those that the pass reads.
#[test]
fn parameters_keep_their_names() {
    let (preset, _, model) = nano();
    let graph = model.graph.unwrap();
    let exported: BTreeSet<&str> = graph
        .initializer
        .iter()
        .filter(|constant| constant.data_type == data_type::FLOAT)
        .map(|constant| constant.name.as_str())
        .filter(|name| !name.starts_with("constant/"))
        .collect();
    let parameters = preset.parameters();
    // Norms are the layers with a running mean; everything else keeps its parameters.
    let norms: BTreeSet<&str> = parameters
        .iter()
        .filter_map(|parameter| parameter.name.strip_suffix(".running_mean"))
        .collect();
    let is_norm = |name: &str| norms.contains(name.rsplit_once('.').unwrap().0);
    for name in parameters.iter().map(|p: &Parameter| p.name.as_str()) {
        assert_eq!(exported.contains(name), !is_norm(name), "{name}");
    }
}

/// Weights change the constants and nothing else; options change the metadata and nothing else.
#[test]
fn bytes_follow_from_preset_weights_and_options() {
    let (preset, weights, model) = nano();
    let again = export(&preset, &weights, &Options::untrained("by integer hash, seed 1")).unwrap();
    assert!(again.to_bytes() == model.to_bytes());
    let other = Weights::initialise(&preset, 2);
    let other = export(&preset, &other, &Options::untrained("by integer hash, seed 1")).unwrap();
    let nodes = |model: &ModelProto| model.graph.clone().unwrap().node;
    assert!(nodes(&other) == nodes(&model));
    assert!(other.to_bytes() != model.to_bytes());
}

#[test]
fn what_does_not_fit_is_refused_by_name() {
    let (preset, weights, _) = nano();
    let options = Options { occupancy_output: true, ..Options::untrained("") };
    let error = export(&preset, &weights, &options).unwrap_err();
    assert!(matches!(error, ExportError::NoOccupancy { .. }), "{error}");

    let name = "net_3d_decoder.process_l1.1.main.bn3.running_var";
    let mut incomplete = Weights::default();
    for (other, tensor) in weights.iter().filter(|(other, _)| *other != name) {
        incomplete.insert(other, tensor.shape.clone(), tensor.values.clone()).unwrap();
    }
    let options = Options::untrained("");
    match export(&preset, &incomplete, &options).unwrap_err() {
        ExportError::Weights(WeightsError::Missing { name: found, .. }) => assert_eq!(found, name),
        other => panic!("{other}"),
    }

    let mut invalid = preset;
    invalid.scales.clear();
    let error = export(&invalid, &weights, &options).unwrap_err();
    assert!(matches!(error, ExportError::Preset(_)), "{error}");
}

/// The published implementation's logits, from the exported file on the runtime's CPU engine.
#[test]
fn the_exported_small_network_matches_the_reference() {
    let test = "the_exported_small_network_matches_the_reference";
    let Some(inputs) = golden(test, "kitti_tiny_inputs.safetensors") else { return };
    let Some(expected) = golden(test, "kitti_tiny_eval.safetensors") else { return };
    let Some(weights) = golden(test, "kitti_tiny_state_dict.safetensors") else { return };
    let weights = Weights::read_safetensors(&weights).unwrap();
    let (_, expected) = Reference::read(&expected).tensor("out.ssc_logit");
    assert_matches(&tiny(), &weights, &Reference::read(&inputs), &expected, 1);
}

/// One view, five points per voxel, no depth net, no cascade.
#[test]
fn the_exported_single_view_matches_the_reference() {
    let test = "the_exported_single_view_matches_the_reference";
    let Some(inputs) = golden(test, "kitti_tiny_inputs.safetensors") else { return };
    let Some(expected) = golden(test, "kitti_mono_formula_pattern1.safetensors") else { return };
    let head = Head::Aspp { dilations: vec![1, 2, 3], cascade: false, occluded: false };
    let preset = Preset { views: 1, pattern: 1, depth: None, head, ..tiny() };
    let (_, expected) = Reference::read(&expected).tensor("out.ssc_logit.sub2");
    assert_matches(&preset, &Weights::formula(&preset), &Reference::read(&inputs), &expected, 2);
}

/// Exports, runs and compares every `step`-th voxel with the tolerances of the reference values.
fn assert_matches(
    preset: &Preset,
    weights: &Weights,
    inputs: &Reference,
    expected: &[f64],
    step: usize,
) {
    let frame = inputs.frame(preset);
    let model = export(preset, weights, &Options::untrained("for a test")).unwrap();
    let contract = Contract::from_model(&model, "export").unwrap();
    // As the program runs it, and with the kernels that it keeps for larger networks.
    let found = run(&model, &frame.images, &frame.geometry);
    assert_close("engine", preset, &found, expected, step);
    let found = presets::run(&contract, model, &frame).swap_remove(0);
    assert_close("own kernels", preset, &found, expected, step);
}

fn assert_close(title: &str, preset: &Preset, found: &[f32], expected: &[f64], step: usize) {
    let [x, y, z] = preset.grid.dims.map(|n| n as usize);
    let strided = (0..found.len()).filter(|index| {
        [index / (y * z) % x, index / z % y, index % z].iter().all(|i| i.is_multiple_of(step))
    });
    let found: Vec<f64> = strided.map(|index| f64::from(found[index])).collect();
    assert_eq!(found.len(), expected.len());
    let mut largest = 0.0_f64;
    for (found, expected) in found.iter().zip(expected) {
        let error = (found - expected).abs();
        assert!(error <= 2e-3 + 1e-3 * expected.abs(), "{title}: {found} instead of {expected}");
        largest = largest.max(error);
    }
    println!("{title}: {} logits, largest error {largest:.2e}", expected.len());
}

/// The logits `[C, X, Y, Z]` of one frame on the CPU engine.
fn run(model: &ModelProto, images: &[f32], geometry: &GeometryInputs) -> Vec<f32> {
    let mut engine = CpuEngine::from_bytes(&model.to_bytes(), "export", Some(2)).unwrap();
    let [classes, voxels] = {
        let contract = engine.contract();
        let [x, y, z] = contract.grid.dims.map(|n| n as usize);
        [contract.classes.len(), x * y * z]
    };
    engine.bind(geometry, LabelOptions::default()).unwrap();
    let mut labels = vec![0; voxels];
    let mut logits = vec![0.0; classes * voxels];
    let output = GridOutput { labels: &mut labels, confidence: None, logits: Some(&mut logits) };
    engine.run(images, output).unwrap();
    logits
}
