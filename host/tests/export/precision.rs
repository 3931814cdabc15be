//! Half precision: where it is, where it is not, what it costs, and what it refuses.

use crate::{
    common::tiny,
    graph::{assert_static, types},
    presets::{exported, options, run, thin},
};
use occdepth_contract::{
    Contract, Precision,
    onnx::{
        ModelProto,
        data_type::{FLOAT, FLOAT16},
    },
    self_test::SelfTest,
};
use occdepth_host::{
    export::{ExportError, export},
    preset::Preset,
    weights::Weights,
};

/// Inputs and outputs stay what the contract says; convolutions and their weights are half, but for
/// the parts that are named in the exporter's table.
#[test]
fn convolutions_are_half_and_edges_are_single() {
    for name in ["kitti-b3", "nyu-b7"] {
        let (contract, model) = exported(&thin(name), Precision::Fp16);
        assert_eq!(contract.precision, Precision::Fp16);
        let graph = model.graph.as_ref().unwrap();
        assert_static(graph);
        let types = types(graph);
        for node in &graph.node {
            let single = node.name.contains("CP_mega_voxels.resize.0");
            if ["Conv", "ConvTranspose"].contains(&node.op_type.as_str()) {
                let expected = if single { FLOAT } else { FLOAT16 };
                assert!(node.input.iter().all(|x| types[x.as_str()] == expected), "{}", node.name);
            }
            // Norms and sums that leave the range of a half.
            if ["ReduceL2", "ReduceSum", "GlobalAveragePool", "MatMul"]
                .contains(&node.op_type.as_str())
            {
                assert_eq!(types[node.output[0].as_str()], FLOAT, "{}", node.name);
            }
        }
        let casts = graph.node.iter().filter(|node| node.op_type == "Cast").count();
        assert!(casts * 8 < graph.node.len(), "{casts} casts in {} nodes", graph.node.len());
    }
}

/// An fp32 network has no trace of it.
#[test]
fn single_precision_has_no_half() {
    let (_, model) = exported(&thin("nyu-b7"), Precision::Fp32);
    let graph = model.graph.as_ref().unwrap();
    assert!(types(graph).values().all(|&elem_type| elem_type != FLOAT16));
}

/// Rounding the weights moves the logits by about as much as 11 bits say.
#[test]
fn half_weights_give_nearly_the_same_logits() {
    for name in ["kitti-b3", "kitti-b7-flosp", "nyu-b4", "nano"] {
        let preset = thin(name);
        let (contract, single) = exported(&preset, Precision::Fp32);
        let frame = SelfTest::new(&contract, [0; 32], 1).seal(&contract).unwrap();
        let expected = run(&contract, single, &frame);
        let (contract, half) = exported(&preset, Precision::Fp16);
        let found = run(&contract, half, &frame);
        let power = |values: &mut dyn Iterator<Item = f32>| -> f64 {
            values.map(|x| f64::from(x).powi(2)).sum::<f64>().sqrt()
        };
        let error = power(&mut found[0].iter().zip(&expected[0]).map(|(a, b)| a - b));
        let error = error / power(&mut expected[0].iter().copied());
        println!("| {name} | {error:.1e} |");
        assert!((1e-5..5e-3).contains(&error), "{name}: {error}");
    }
}

#[test]
fn weights_that_halves_cannot_hold_are_refused_by_name() {
    let preset = tiny();
    let path = "net_3d_decoder.ssc_head.conv1.1";
    let weight = format!("{path}.weight");
    let gamma = "net_3d_decoder.ssc_head.bn1.1.weight";
    let attempt = |name: &str, change: &dyn Fn(&mut f32), precision: Precision| {
        let mut weights = Weights::formula(&preset);
        let mut tensor = weights.find(name).unwrap().clone();
        tensor.values.iter_mut().for_each(change);
        weights.insert(name, tensor.shape, tensor.values).unwrap();
        export(&preset, &weights, &options(&preset, precision))
    };
    let half = Precision::Fp16;

    // Each factor fits, their product does not.
    match attempt(gamma, &|gamma| *gamma = 3e6, half).unwrap_err() {
        ExportError::Overflow { tensor, found } => {
            assert_eq!(tensor, weight);
            assert!(found.abs() > 65504.0, "{found}");
        }
        other => panic!("{other}"),
    }
    let message = attempt(gamma, &|gamma| *gamma = 3e6, half).unwrap_err().to_string();
    assert!(message.contains("fp16 overflow") && message.contains(&weight), "{message}");
    attempt(gamma, &|gamma| *gamma = 3e6, Precision::Fp32).unwrap();

    // A layer below the normal halves, whose scale a later one would bring back.
    match attempt(gamma, &|gamma| *gamma *= 1e-6, half).unwrap_err() {
        ExportError::Underflow { tensor, lost } => {
            assert_eq!(tensor, weight);
            assert!(lost > 0.008, "{lost}");
        }
        other => panic!("{other}"),
    }
    // Dead channels are no reason.
    let first = Weights::formula(&preset).find(gamma).unwrap().values[0].to_bits();
    let kill_first = |gamma: &mut f32| {
        if gamma.to_bits() == first {
            *gamma = 1e-12;
        }
    };
    attempt(gamma, &kill_first, half).unwrap();

    for bad in [f32::NAN, f32::INFINITY] {
        for precision in [half, Precision::Fp32] {
            match attempt(&weight, &|weight| *weight = bad, precision).unwrap_err() {
                ExportError::NotFinite { tensor, .. } => assert_eq!(tensor, weight),
                other => panic!("{other}"),
            }
        }
    }
    // A variance below zero has no root.
    let variance = "net_3d_decoder.ssc_head.bn1.1.running_var";
    let error = attempt(variance, &|variance| *variance = -1.0, Precision::Fp32).unwrap_err();
    assert!(matches!(error, ExportError::NotFinite { .. }), "{error}");
}

#[test]
fn integers_are_no_precision_to_export_in() {
    let preset = Preset::builtin("nano").unwrap();
    let options = options(&preset, Precision::Int8);
    let error = export(&preset, &Weights::initialise(&preset, 1), &options).unwrap_err();
    assert!(matches!(error, ExportError::Precision { found: Precision::Int8 }), "{error}");
}

/// The file says what it is.
#[test]
fn a_half_network_survives_its_file() {
    let (contract, model) = exported(&thin("kitti-mono"), Precision::Fp16);
    let read = ModelProto::from_bytes(&model.to_bytes(), "half.onnx").unwrap();
    assert!(read == model);
    assert_eq!(Contract::from_model(&read, "half.onnx").unwrap(), contract);
}
