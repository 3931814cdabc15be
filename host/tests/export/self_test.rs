//! The self-test beside an export.

use crate::{
    nano,
    presets::{exported, run, thin},
};
use occdepth_contract::{
    Contract, Precision,
    onnx::{ModelProto, sha256},
    self_test::{SelfTest, SelfTestError},
};
use occdepth_host::{
    export::{Vectors, VectorsError, self_test},
    preset::{Head, Preset},
    weights::Weights,
};
use std::{fs, path::Path};

/// The vectors of an export are met by its file on the CPU, whichever kind of network it is, and in
/// both precisions.
#[test]
fn an_export_meets_its_own_self_test() {
    for name in ["kitti-b3", "nyu-b7", "monoscene"] {
        for precision in [Precision::Fp32, Precision::Fp16] {
            let preset = thin(name);
            let (contract, model) = exported(&preset, precision);
            let weights = Weights::formula(&preset);
            let test = self_test(&preset, &weights, &contract, [7; 32]).unwrap().test;
            let read = SelfTest::from_json(&test.to_json(), "net.selftest.json").unwrap();
            assert_eq!(read, test);
            let frame = read.frame(&contract, "net.selftest.json").unwrap();
            let outputs = run(&contract, model, &frame);
            assert_eq!(read.outputs.len(), outputs.len());
            for (spec, values) in contract.outputs.iter().zip(&outputs) {
                let comparison = read.compare(&spec.name, values).unwrap();
                println!(
                    "| {name} {precision:?} | {} | {:.1e} | {:.1e} |",
                    spec.name, comparison.largest, comparison.rms
                );
                assert!(comparison.passed(), "{name}: {comparison:?}");
                // An engine that gives nothing does not.
                let nothing = read.compare(&spec.name, &vec![0.0; values.len()]).unwrap();
                assert!(!nothing.passed(), "{name}: {nothing:?}");
            }
        }
    }
}

/// A network of which rounding takes everything, its logits being differences of weights that halves
/// cannot tell apart: even then an engine that gives nothing but zeros does not pass.
#[test]
fn no_tolerance_is_so_wide_that_zeros_pass() {
    let head = Head::Aspp { dilations: vec![1, 2, 3], cascade: false, occluded: false };
    let preset = Preset { head, ..thin("kitti-b3") };
    let (contract, _) = exported(&preset, Precision::Fp16);
    let mut weights = Weights::formula(&preset);
    let mut set = |name: &str, value: &dyn Fn(usize) -> f32| {
        let name = format!("net_3d_decoder.ssc_head.{name}");
        let shape = weights.find(&name).unwrap().shape.clone();
        let values = (0..shape.iter().product()).map(value).collect();
        weights.insert(name, shape.clone(), values).unwrap();
        shape
    };
    // Every channel before the last layer is the same ...
    set("conv0.weight", &|_| 0.01);
    set("conv0.bias", &|_| 1.0);
    for branch in 0..3 {
        set(&format!("bn2.{branch}.weight"), &|_| 0.0);
        set(&format!("bn2.{branch}.bias"), &|_| 0.0);
    }
    // ... and that takes one from the other. Halves at 1 are 1/1024 apart.
    let taps = 27;
    let shape = set("conv_classes.weight", &|index| match (index % taps, index / taps % 2) {
        (13, 0) => 1.0 + 1.0 / 4096.0,
        (13, _) => -1.0,
        _ => 0.0,
    });
    assert_eq!((shape[1] % 2, shape[2..].iter().product()), (0, taps));
    set("conv_classes.bias", &|_| 0.0);

    let Vectors { test, rounding_rms } = self_test(&preset, &weights, &contract, [7; 32]).unwrap();
    let rms = rounding_rms.unwrap();
    assert!((rms - 1.0).abs() < 1e-3, "{rms}");
    let nothing = vec![0.0; contract.outputs[0].element_count().try_into().unwrap()];
    let comparison = test.compare("ssc_logits", &nothing).unwrap();
    assert!(!comparison.passed(), "{comparison:?}");
}

/// One weight of the first layer, and one of the last, with another sign.
#[test]
fn a_flipped_weight_fails_the_self_test() {
    let preset = thin("kitti-b3");
    let (contract, model) = exported(&preset, Precision::Fp32);
    let test = self_test(&preset, &Weights::formula(&preset), &contract, [7; 32]).unwrap().test;
    let frame = test.frame(&contract, "test").unwrap();
    for name in [
        "net_rgb.encoder.original_model.conv_stem.weight",
        "flosp_depth.depth_net.0.depth_pred.weight",
        "net_3d_decoder.ssc_head.conv_classes.weight",
    ] {
        let mut flipped = model.clone();
        let constants = &mut flipped.graph.as_mut().unwrap().initializer;
        let constant = constants.iter_mut().find(|constant| constant.name == name).unwrap();
        let values = constant.to_f32().unwrap();
        // The largest: a small one changes what a small one changes.
        let largest =
            (0..values.len()).max_by(|&a, &b| values[a].abs().total_cmp(&values[b].abs()));
        constant.raw_data[largest.unwrap() * 4 + 3] ^= 0x80;
        let outputs = run(&contract, flipped, &frame);
        let comparison = test.compare("ssc_logits", &outputs[0]).unwrap();
        assert!(!comparison.passed(), "{name}: {comparison:?}");
    }
}

/// The self-test that the program carries belongs to the network that it carries, and says what the
/// network in burn says here.
#[test]
fn the_bundled_self_test_is_the_bundled_networks() {
    let engines = Path::new(env!("CARGO_MANIFEST_DIR")).join("../engines");
    let path = engines.join("nano.selftest.json");
    assert!(fs::metadata(&path).unwrap().len() < 200_000);
    let bundled = SelfTest::read(&path).unwrap();
    let hash = sha256(&[&engines.join("nano.onnx")]).unwrap();
    bundled.check_network(hash, "nano.selftest.json").unwrap();
    let (preset, weights, model) = nano();
    let contract = Contract::from_model(&model, "nano.onnx").unwrap();
    let fresh = self_test(&preset, &weights, &contract, hash).unwrap().test;
    // Sums may be added in another order on another processor; everything else is the same.
    assert_eq!(bundled.inputs, fresh.inputs);
    assert_eq!(bundled.outputs[0].indices, fresh.outputs[0].indices);
    for (bundled, fresh) in bundled.outputs[0].values.iter().zip(&fresh.outputs[0].values) {
        assert!((bundled - fresh).abs() <= SUMMED_OTHERWISE, "{bundled} instead of {fresh}");
    }
}

/// What another order of adding may do to logits of this network, which reach about ten.
const SUMMED_OTHERWISE: f32 = 1e-4;

#[test]
fn what_cannot_be_tested_is_refused() {
    let preset = thin("kitti-b3");
    let (contract, _) = exported(&preset, Precision::Fp32);
    let test = self_test(&preset, &Weights::formula(&preset), &contract, [7; 32]).unwrap().test;

    // A network with other cameras, or other tables.
    let (mono, _) = exported(&thin("kitti-mono"), Precision::Fp32);
    match test.frame(&mono, "net.selftest.json").unwrap_err() {
        SelfTestError::Field { field, .. } => assert_eq!(field, "cameras"),
        other => panic!("{other}"),
    }
    let mut nudged = test.clone();
    nudged.cameras[1].cam_from_ego[3] += 0.25;
    match nudged.frame(&contract, "net.selftest.json").unwrap_err() {
        SelfTestError::Field { field, .. } => assert_eq!(field, "inputs.pixels.crc32"),
        other => panic!("{other}"),
    }
    let error = test.check_network([8; 32], "net.selftest.json").unwrap_err().to_string();
    assert!(error.contains("another network"), "{error}");

    // Weights that compute no numbers, though each is one.
    let mut weights = Weights::formula(&preset);
    let name = "net_3d_decoder.ssc_head.conv_classes.weight";
    let mut tensor = weights.find(name).unwrap().clone();
    tensor.values.fill(f32::MAX);
    weights.insert(name, tensor.shape, tensor.values).unwrap();
    let error = self_test(&preset, &weights, &contract, [7; 32]).unwrap_err();
    assert!(matches!(error, VectorsError::NotFinite { .. }), "{error}");
}

/// Every input of every kind of network is made again from the document alone.
#[test]
fn every_preset_has_a_frame() {
    for (name, _) in Preset::BUILTIN {
        let preset = thin(name);
        let (contract, _): (Contract, ModelProto) = exported(&preset, Precision::Fp32);
        let mut test = SelfTest::new(&contract, [0; 32], 5);
        let frame = test.seal(&contract).unwrap();
        assert_eq!(test.frame(&contract, name).unwrap(), frame);
        let names: Vec<&str> = frame.inputs().iter().map(|(name, _)| *name).collect();
        let expected: Vec<&str> = contract.inputs.iter().map(|input| input.name.as_str()).collect();
        assert_eq!(names, expected);
    }
}
