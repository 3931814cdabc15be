//! `inspect`: costs against the published network's, memory against a closed form, bad presets.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]
#![allow(clippy::cast_precision_loss, reason = "counts, shown with a few digits")]

mod common;

use common::tiny;
use occdepth_contract::onnx::{
    GraphProto, NodeProto, TensorProto, ValueInfoProto,
    data_type::{BOOL, FLOAT},
};
use occdepth_host::{
    inspect::{
        Report,
        memory::{ActivationMemory, MemoryError},
    },
    preset::{Head, Module, Preset},
};
use serde_json::Value;
use std::{fs, process::Command};

fn giga(count: u64, digits: usize) -> String {
    format!("{:.digits$}", count as f64 / 1e9)
}

fn millions(count: usize, digits: usize) -> String {
    format!("{:.digits$}", count as f64 / 1e6)
}

/// The table of the published network, to the digits that it gives: parameters as its state dict
/// holds them, multiply-accumulates as its framework counts them.
#[test]
fn kitti_b3_costs_what_is_published() {
    let report = Report::new(&Preset::builtin("kitti-b3").unwrap()).unwrap();
    let module = |module| *report.module(module).unwrap();
    let parameters = |name, digits| millions(module(name).parameters, digits);
    assert_eq!(millions(report.parameters, 2), "40.86");
    assert_eq!(parameters(Module::Encoder, 1), "10.7");
    assert_eq!(parameters(Module::Decoder, 1), "24.8");
    assert_eq!(parameters(Module::DepthNet, 2), "0.99");
    assert_eq!(parameters(Module::RelationPrior, 2), "3.97");
    let volume = [Module::Unet, Module::RelationPrior, Module::Head];
    assert_eq!(millions(volume.map(|name| module(name).parameters).iter().sum(), 2), "4.36");

    assert_eq!(giga(report.multiply_accumulates, 0), "483");
    assert_eq!(giga(report.image_multiply_accumulates_per_view(), 1), "161.6");
    assert_eq!(giga(module(Module::Encoder).multiply_accumulates / 2, 1), "9.0");
    assert_eq!(giga(module(Module::DepthNet).multiply_accumulates, 1), "13.4");
    assert_eq!(giga(report.volume_multiply_accumulates(), 1), "146.8");
    assert_eq!(giga(module(Module::Head).multiply_accumulates, 1), "123.7");
}

/// The same for the largest one.
#[test]
fn kitti_b7_costs_what_is_published() {
    let report = Report::new(&Preset::builtin("kitti-b7").unwrap()).unwrap();
    let cost = |name| report.module(name).unwrap().multiply_accumulates;
    assert_eq!(millions(report.parameters, 1), "150.6");
    let total = report.multiply_accumulates + report.unread_multiply_accumulates;
    assert_eq!(giga(total, 0), "1489");
    assert_eq!(giga(report.image_multiply_accumulates_per_view(), 1), "470.6");
    assert_eq!(giga(cost(Module::Encoder) / 2, 1), "48.4");
    assert_eq!(giga(cost(Module::DepthNet), 1), "14.0");
    assert_eq!(giga(report.volume_multiply_accumulates(), 1), "534.2");
    assert_eq!(giga(cost(Module::Head), 0), "448");
}

/// A second head on the same features: convolutions of 27 taps with a bias, three branches of two
/// normed ones (scale and shift), and a last one to two channels, over the whole grid.
#[test]
fn the_occluded_head_is_a_head() {
    let one = tiny();
    let head = |occluded| Head::Aspp { dilations: vec![1, 2, 3], cascade: true, occluded };
    let two = Preset { head: head(true), ..one.clone() };
    let [one, two] = [one, two].map(|preset| Report::new(&preset).unwrap());
    let of = |report: &Report, module| {
        let module = report.module(module).unwrap();
        (module.parameters as u64, module.multiply_accumulates)
    };
    assert_eq!(of(&one, Module::Unet), of(&two, Module::Unet));
    let width = 4;
    let convolution = 27 * width * width;
    let parameters = (convolution + width) + 6 * (convolution + 2 * width) + (27 * width * 2 + 2);
    let (before, after) = (of(&one, Module::Head), of(&two, Module::Head));
    assert_eq!(after.0 - before.0, parameters);
    // Each weight once per voxel, and biases with them as everywhere.
    let voxels = 64 * 40 * 16;
    let weights = 7 * convolution + 27 * width * 2;
    let costs = after.1 - before.1;
    assert!((voxels * weights..=voxels * parameters).contains(&costs), "{costs}");
}

/// Modules add up, and appear only where the network has them.
#[test]
fn modules_add_up() {
    for preset in [tiny(), Preset::builtin("nano").unwrap()] {
        let report = Report::new(&preset).unwrap();
        let modules = &report.modules;
        let sum = |part: fn(&occdepth_host::inspect::ModuleReport) -> u64| {
            modules.iter().map(part).sum::<u64>()
        };
        assert_eq!(sum(|m| m.parameters as u64), report.parameters as u64);
        assert_eq!(sum(|m| m.unread_parameters as u64), report.unread_parameters as u64);
        assert_eq!(sum(|m| m.multiply_accumulates), report.multiply_accumulates);
        let prior = preset.relation_prior.is_some();
        assert_eq!(report.module(Module::RelationPrior).is_some(), prior);
        for memory in [&report.memory_f32, &report.memory_f16] {
            let peaks = memory.modules.iter().map(|m| m.peak_bytes);
            assert_eq!(peaks.max(), Some(memory.peak_bytes));
            assert!(memory.modules.iter().all(|m| m.largest.bytes <= m.peak_bytes));
        }
        // The logits leave the network in single precision whatever is inside.
        let logits = 4 * 20 * preset.grid_dims().iter().product::<usize>() as u64;
        assert!(report.memory_f16.peak_bytes >= logits);
        assert!(report.memory_f32.peak_bytes >= logits);
    }
}

/// A graph whose live values can be counted by hand, in elements of four bytes:
///
/// ```text
/// x 6 (input) - Conv - a 8 -+- Sigmoid - b 8 -+
///                           +--------------- Mul - c - Reshape - d - Concat(d, a) - e 16
/// e - Equal - t 16 (bool) - Conv(t) - y 2 (output)
/// ```
fn by_hand() -> GraphProto {
    let info = |name, shape: &[i64]| ValueInfoProto::tensor(name, FLOAT, shape);
    let node = |op: &str, inputs: &[&str], output: &str| NodeProto {
        op_type: op.into(),
        name: format!("net_3d_decoder/{output}"),
        input: inputs.iter().map(|&name| name.to_owned()).collect(),
        output: vec![output.into()],
        ..NodeProto::default()
    };
    GraphProto {
        node: vec![
            node("Conv", &["x", "w"], "a"),
            node("Sigmoid", &["a"], "b"),
            node("Mul", &["a", "b"], "c"),
            node("Reshape", &["c", "shape"], "d"),
            node("Concat", &["d", "a"], "e"),
            node("Equal", &["e", "w"], "t"),
            node("Conv", &["t", "w"], "y"),
        ],
        initializer: vec![
            TensorProto::from_f32("w", &[1], &[1.0]),
            TensorProto::from_i64("shape", &[2], &[2, 4]),
        ],
        input: vec![info("x", &[6])],
        output: vec![info("y", &[2])],
        value_info: vec![
            info("a", &[8]),
            info("b", &[8]),
            info("c", &[8]),
            info("d", &[2, 4]),
            info("e", &[4, 4]),
            ValueInfoProto::tensor("t", BOOL, &[4, 4]),
        ],
        ..GraphProto::default()
    }
}

#[test]
fn memory_is_what_a_count_by_hand_gives() {
    let memory = ActivationMemory::of(&by_hand()).unwrap();
    // The concatenation reads c (over b) and a, 8 values each, and makes e, 16 values.
    assert_eq!(memory.peak_bytes, 4 * (8 + 8 + 16));
    assert_eq!(memory.peak_node, "net_3d_decoder/e");
    assert_eq!((memory.input_bytes, memory.weight_bytes), (4 * 6, 4 + 2 * 8));
    assert_eq!(memory.modules.len(), 1);
    assert_eq!(memory.modules[0].module, Module::Unet);
    assert_eq!(memory.largest().name, "e");
    assert_eq!((memory.largest().shape.as_slice(), memory.largest().bytes), (&[4, 4][..], 64));

    // Without the concatenation, a dies in the product, which is written over it or b; t and e, a
    // byte and four bytes an element, are then the most: 16 + 64.
    let mut shorter = by_hand();
    shorter.node[4].input[1] = "d".into();
    let memory = ActivationMemory::of(&shorter).unwrap();
    assert_eq!(memory.peak_bytes, 4 * (8 + 16));
    // Kept as an output, a lives to the end: with e and t.
    shorter.output.push(ValueInfoProto::tensor("a", FLOAT, &[8]));
    let memory = ActivationMemory::of(&shorter).unwrap();
    assert_eq!(memory.peak_bytes, 4 * (8 + 8 + 16));
}

#[test]
fn a_value_without_a_shape_is_named() {
    let mut graph = by_hand();
    graph.value_info.retain(|info| info.name != "e");
    let error = ActivationMemory::of(&graph).unwrap_err();
    assert_eq!(error, MemoryError::Value { value: "e".into() });
    let error = ActivationMemory::of(&GraphProto::default()).unwrap_err();
    assert_eq!(error, MemoryError::Empty);
}

fn inspect(arguments: &[&str]) -> std::process::Output {
    let program = env!("CARGO_BIN_EXE_occdepth-host");
    Command::new(program).arg("inspect").args(arguments).output().unwrap()
}

#[test]
fn the_program_prints_a_table_and_json() {
    let output = inspect(&["--preset", "nano"]);
    assert!(output.status.success(), "{output:?}");
    let text = String::from_utf8(output.stdout).unwrap();
    let report = Report::new(&Preset::builtin("nano").unwrap()).unwrap();
    for part in ["image encoder", "depth net", "head", "total"] {
        assert!(text.contains(part), "{part} is not in\n{text}");
    }
    let total = text.lines().find(|line| line.starts_with("total")).unwrap();
    let parts =
        [giga(report.multiply_accumulates, 2) + " G", millions(report.parameters, 2) + " M"];
    assert!(parts.iter().all(|part| total.contains(part)), "{parts:?} are not in {total}");
    assert!(!text.contains("relation prior"), "{text}");

    let output = inspect(&["--preset", "nano", "--json"]);
    let json: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(json["multiply_accumulates"], report.multiply_accumulates);
    assert_eq!(json["modules"].as_array().unwrap().len(), report.modules.len());
    assert_eq!(json["memory_f32"]["peak_bytes"], report.memory_f32.peak_bytes);
}

#[test]
fn a_bad_preset_is_refused_by_its_field() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("edited.toml");
    let nano = Preset::BUILTIN.iter().find(|(name, _)| *name == "nano").unwrap().1;
    fs::write(&path, nano.replacen("views = 2", "views = 3", 1)).unwrap();
    let output = inspect(&["--preset", path.to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(2));
    let text = String::from_utf8(output.stderr).unwrap();
    assert_eq!(text.lines().count(), 1, "{text}");
    assert!(text.contains("edited.toml") && text.contains("views is 3"), "{text}");
    assert!(output.stdout.is_empty());
}
