//! Whole networks against figures of another program.

use occdepth::board::Precision;
use occdepth::engine::{BUNDLED_NAME, BUNDLED_NETWORK};
use occdepth::estimate::Estimate;
use occdepth_contract::onnx::ModelProto;
use std::collections::BTreeMap;

/// The bundled network, counted with the Python package `onnx` 1.23: shapes from its own inference
/// (`onnx.shape_inference.infer_shapes`, strict), multiply-adds of `Conv`, `ConvTranspose`, `MatMul` and `Gemm`
/// by their definitions, elements of the floating-point initializers. `golden.py` beside this file is the
/// program.
#[test]
fn the_bundled_network_counts_as_onnx_counts_it() {
    let counted = bundled();
    assert_eq!(counted.unknown, []);
    assert_eq!(counted.multiply_adds(), 716_210_240);
    let mut parts: BTreeMap<&str, u64> = BTreeMap::new();
    for layer in &counted.layers {
        *parts.entry(layer.part.as_str()).or_default() += layer.multiply_adds;
    }
    for (part, multiply_adds) in [
        ("net_rgb.encoder", 170_526_720),
        ("net_rgb.decoder", 366_796_800),
        ("flosp_depth.depth_net", 23_599_168),
        ("flosp_depth", 524_288),
        ("net_3d_decoder.process_l1", 24_182_784),
        ("net_3d_decoder.process_l2", 12_091_392),
        ("net_3d_decoder.up_13_l2", 8_388_608),
        ("net_3d_decoder.up_12_l1", 16_777_216),
        ("net_3d_decoder.refine", 17_825_792),
        ("net_3d_decoder.up_l1_lfull", 33_554_432),
        ("net_3d_decoder.ssc_head", 41_943_040),
    ] {
        assert_eq!(parts[part], multiply_adds, "{part}");
    }
    // All floating-point constants are used, and a few that say how (scales of a resize) are not data.
    let weights = counted.weights.floats;
    assert!((1_028_300..=1_028_418).contains(&weights), "{weights}");
}

/// The inputs and outputs of the contract, to the byte: images, pixels, depth indices, depth weights and
/// pixel sizes in; 20 classes of 128 x 128 x 16 voxels out.
#[test]
fn inputs_and_outputs_are_those_of_the_contract() {
    let counted = bundled();
    let voxels: u64 = 64 * 64 * 8;
    assert_eq!(counted.inputs.floats, 2 * 3 * 96 * 320 + 2 * 8 * voxels + 2);
    assert_eq!(counted.inputs.fixed_bytes, 4 * (2 * 3 * voxels + 2 * 8 * voxels));
    assert_eq!(counted.outputs.floats, 20 * 128 * 128 * 16);
    let memory = counted.memory(Precision::Fp32);
    assert_eq!(
        memory.inputs_outputs_bytes,
        (counted.inputs + counted.outputs).bytes(Precision::Fp32)
    );
}

/// The sum of the parts is the whole.
#[test]
fn parts_add_up() {
    let counted = bundled();
    let parts = counted.parts();
    assert_eq!(parts.iter().map(|part| part.operations).sum::<u64>(), counted.operations());
    assert_eq!(parts.iter().map(|part| part.layers).sum::<usize>(), counted.layers.len());
    assert!(parts.windows(2).all(|pair| pair[0].operations >= pair[1].operations));
}

fn bundled() -> Estimate {
    let model = ModelProto::from_bytes(BUNDLED_NETWORK, BUNDLED_NAME).unwrap();
    Estimate::of(&model, BUNDLED_NAME).unwrap()
}
