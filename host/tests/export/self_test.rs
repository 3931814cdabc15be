//! The self-test beside an export.

use crate::{
    nano,
    presets::{exported, options, run, thin},
};
use occdepth_contract::{
    Contract, Precision,
    onnx::{ModelProto, sha256},
    self_test::{SelfTest, SelfTestError},
};
use occdepth_host::{
    export::{VectorsError, self_test},
    preset::Preset,
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
            let test = self_test(&preset, &weights, &contract, [7; 32]).unwrap();
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
            }
        }
    }
}

/// One weight of the first layer, and one of the last, with another sign.
#[test]
fn a_flipped_weight_fails_the_self_test() {
    let preset = thin("kitti-b3");
    let (contract, model) = exported(&preset, Precision::Fp32);
    let test = self_test(&preset, &Weights::formula(&preset), &contract, [7; 32]).unwrap();
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
    let fresh = self_test(&preset, &weights, &contract, hash).unwrap();
    // Sums may be added in another order on another processor; everything else is the same.
    assert_eq!(bundled.inputs, fresh.inputs);
    assert_eq!(bundled.outputs[0].indices, fresh.outputs[0].indices);
    for (bundled, fresh) in bundled.outputs[0].values.iter().zip(&fresh.outputs[0].values) {
        assert!((bundled - fresh).abs() <= 1e-5 * 1e1, "{bundled} instead of {fresh}");
    }
}

#[test]
fn what_cannot_be_tested_is_refused() {
    let preset = thin("kitti-b3");
    let (contract, _) = exported(&preset, Precision::Fp32);
    let test = self_test(&preset, &Weights::formula(&preset), &contract, [7; 32]).unwrap();

    // A network with other cameras, or other tables.
    let (mono, _) = exported(&thin("kitti-mono"), Precision::Fp32);
    match test.frame(&mono, "net.selftest.json").unwrap_err() {
        SelfTestError::Field { field, .. } => assert_eq!(field, "cameras"),
        other => panic!("{other}"),
    }
    let moved = Contract { fit: contract.fit, ..contract.clone() };
    let mut nudged = test.clone();
    nudged.cameras[1].cam_from_ego[3] += 0.25;
    match nudged.frame(&moved, "net.selftest.json").unwrap_err() {
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
        assert_eq!(options(&preset, Precision::Fp32).precision, contract.precision);
        let mut test = SelfTest::new(&contract, [0; 32], 5);
        let frame = test.seal(&contract).unwrap();
        assert_eq!(test.frame(&contract, name).unwrap(), frame);
        let names: Vec<&str> = frame.inputs().iter().map(|(name, _)| *name).collect();
        let expected: Vec<&str> = contract.inputs.iter().map(|input| input.name.as_str()).collect();
        assert_eq!(names, expected);
    }
}
