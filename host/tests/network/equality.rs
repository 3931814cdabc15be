//! The network against the published implementation: every stage of every reference file, on the same
//! inputs and weights.
//!
//! `cargo test -p occdepth-host --test network equality -- --nocapture` prints the equality table, one
//! row per stage.

use burn::tensor::{Device, Tensor, TensorData};
use nalgebra::{Matrix3, Matrix4};
use occdepth_geometry::network::{GeometryInputs, View};
use occdepth_host::{
    network::{DepthImage, Inputs, Network},
    preset::{Grid, Head, Preset},
    weights::Weights,
};

use crate::{
    common::{
        golden, nyu_tiny,
        reference::{Array, Reference},
        tiny,
    },
    stages::Stages,
};

#[test]
fn the_small_network_equals_the_reference_at_every_stage() {
    let test = "the_small_network_equals_the_reference_at_every_stage";
    let Some((inputs, expected)) = kitti(test, "kitti_tiny_eval.safetensors") else { return };
    let Some(path) = golden(test, "kitti_tiny_state_dict.safetensors") else { return };
    let weights = Weights::read_safetensors(&path).unwrap();
    weights.check(&tiny()).unwrap();
    assert_kitti(&tiny(), &weights, &inputs, &expected);
}

/// The 3-D network on the reference's own input to it: the errors of the stages before, which the
/// stored weights of the small network amplify, are not in these.
#[test]
fn the_3d_network_alone_equals_the_reference() {
    let test = "the_3d_network_alone_equals_the_reference";
    let Some((_, expected)) = kitti(test, "kitti_tiny_eval.safetensors") else { return };
    let Some(path) = golden(test, "kitti_tiny_state_dict.safetensors") else { return };
    let device = Device::flex();
    let weights = Weights::read_safetensors(&path).unwrap();
    let unet = Network::new(&tiny(), &weights, &device).unwrap().net_3d_decoder;
    let expected = expected.named("kitti_tiny_eval, 3-D network alone");
    let volume: Vec<f32> = expected.tensor("net3d.x3d_in").1.iter().map(|&x| x as f32).collect();
    let volume = Tensor::from_data(TensorData::new(volume, [1, 8, 32, 20, 8]), &device);
    let outputs = unet.forward(volume);
    let error = expected.assert_close("out.ssc_logit", &Array::new(outputs.ssc_logits));
    assert!(error < 1e-4, "{error}");
}

/// The published b3 backbone at the small image size.
#[test]
fn the_published_backbone_equals_the_reference() {
    let test = "the_published_backbone_equals_the_reference";
    let file = "kitti_b3_formula_eval.safetensors";
    let Some((inputs, expected)) = kitti(test, file) else { return };
    let Some(path) = golden(test, "kitti_b3_formula_keys.json") else { return };
    let b3 = Preset::builtin("kitti-b3").unwrap();
    let preset = Preset { encoder: b3.encoder, decoder: b3.decoder, ..tiny() };
    let weights = Weights::formula(&preset);
    assert_formula(&weights, &std::fs::read(path).unwrap());
    assert_kitti(&preset, &weights, &inputs, &expected);
}

/// One view, no depth net, no cascade (`MonoScene`'s shape), with one and with five points per voxel.
#[test]
fn one_view_without_depth_net_equals_the_reference() {
    let test = "one_view_without_depth_net_equals_the_reference";
    for pattern in [0, 1] {
        let file = format!("kitti_mono_formula_pattern{pattern}.safetensors");
        let Some((inputs, expected)) = kitti(test, &file) else { return };
        let preset = Preset { views: 1, pattern, depth: None, head: plain_head(), ..tiny() };
        assert_kitti(&preset, &Weights::formula(&preset), &inputs, &expected);
    }
}

#[test]
fn two_views_without_depth_net_equal_the_reference() {
    let test = "two_views_without_depth_net_equal_the_reference";
    let file = "kitti_stereo_flosp_formula_pattern1.safetensors";
    let Some((inputs, expected)) = kitti(test, file) else { return };
    let preset = Preset { pattern: 1, depth: None, head: plain_head(), ..tiny() };
    assert_kitti(&preset, &Weights::formula(&preset), &inputs, &expected);
}

/// Projection at the output grid: the last upsampling keeps it. The reference was given each view's
/// own pixels, past the published data pipeline.
#[test]
fn project_scale_one_equals_the_reference() {
    let test = "project_scale_one_equals_the_reference";
    let Some((inputs, expected)) = kitti(test, "kitti_scale1_formula.safetensors") else { return };
    let grid = Grid { voxel_size_m: 0.8, dims: [32, 20, 8], ..tiny().grid };
    let preset =
        Preset { project_scale: 1, right_samples_left_pixels: Some(false), grid, ..tiny() };
    assert_kitti(&preset, &Weights::formula(&preset), &inputs, &expected);
}

/// `NYUv2`: virtual stereo, no last upsampling, volumes stored as [X, Z, Y], relation prior.
#[test]
fn nyu_equals_the_reference_at_every_stage() {
    let test = "nyu_equals_the_reference_at_every_stage";
    let Some(path) = golden(test, "nyu_tiny_formula.safetensors") else { return };
    let expected = Reference::read(&path);
    assert_nyu(&nyu_tiny(), &expected, "in.", &expected);
}

/// `NYUv2` with a depth net of 125 bins, a cascade head, and the full grid.
#[test]
fn nyu_with_a_depth_net_equals_the_reference() {
    let test = "nyu_with_a_depth_net_equals_the_reference";
    let Some(path) = golden(test, "nyu_flospdepth_formula.safetensors") else { return };
    let Some(inputs) = golden(test, "nyu_flospdepth_inputs.safetensors") else { return };
    let published = Preset::builtin("nyu-b7-flospdepth").unwrap();
    let image = nyu_tiny().image;
    let mut depth = published.depth.unwrap();
    depth.volume.sampling_size = image;
    let preset =
        Preset { grid: published.grid, depth: Some(depth), head: published.head, ..nyu_tiny() };
    assert_nyu(&preset, &Reference::read(&inputs), "", &Reference::read(&path));
}

fn kitti(test: &str, outputs: &str) -> Option<(Reference, Reference)> {
    let inputs = golden(test, "kitti_tiny_inputs.safetensors")?;
    let outputs = golden(test, outputs)?;
    Some((Reference::read(&inputs), Reference::read(&outputs)))
}

fn plain_head() -> Head {
    Head::Aspp { dilations: vec![1, 2, 3], cascade: false, occluded: false }
}

fn assert_kitti(preset: &Preset, weights: &Weights, inputs: &Reference, expected: &Reference) {
    preset.validate("test").unwrap();
    let device = Device::flex();
    let frame = Inputs::from_frame(preset, &inputs.frame(preset), &device).unwrap();
    Stages::run(preset, weights, &frame, &device).assert_equal(expected);
}

/// Inputs are the tensors of `inputs` whose names begin with `prefix`.
fn assert_nyu(preset: &Preset, inputs: &Reference, prefix: &str, expected: &Reference) {
    preset.validate("test").unwrap();
    let device = Device::flex();
    let input = |name: &str| inputs.tensor(&format!("{prefix}{name}"));
    let view = View {
        k: Matrix3::from_row_slice(&input("cam_k").1),
        cam_from_ego: Matrix4::from_row_slice(&input("T_world_2_cam").1),
    };
    let baseline_focal = input("virtual_bf").1[0];
    let origin_m: [f64; 3] = input("vox_origin").1.try_into().unwrap();
    let geometry = GeometryInputs::with_virtual_right(
        &preset.geometry(Some(origin_m)).unwrap(),
        &view,
        baseline_focal / view.k[(0, 0)],
        preset.dataset.arithmetic(),
    )
    .unwrap();
    let image = DepthImage {
        depth_m: input("gt_depth").1.iter().map(|&m| m as f32).collect(),
        baseline_focal: baseline_focal as f32,
    };
    let images = normalised(&input("img_u8").1);
    let frame = Inputs::with_depth_image(preset, images, image, &geometry, &device).unwrap();
    let weights = Weights::formula(preset);
    Stages::run(preset, &weights, &frame, &device).assert_equal(expected);
}

/// Bytes [1, H, W, 3] as [1, 3, H, W], normalised with `ImageNet`'s mean and standard deviation.
fn normalised(bytes: &[f64]) -> Vec<f32> {
    let (mean, std) = ([0.485, 0.456, 0.406], [0.229, 0.224, 0.225]);
    let channel = |c: usize| {
        bytes[c..].iter().step_by(3).map(move |x| ((x / 255.0 - mean[c]) / std[c]) as f32)
    };
    (0..3).flat_map(channel).collect()
}

/// Formula weights: shape, first values and sum of every parameter that the network reads.
fn assert_formula(weights: &Weights, keys: &[u8]) {
    let keys: serde_json::Value = serde_json::from_slice(keys).unwrap();
    for (name, tensor) in weights.iter() {
        let key = &keys[name];
        assert_eq!(serde_json::json!(tensor.shape), key["shape"], "{name}");
        let first = key["first3"].as_array().unwrap();
        assert!(!first.is_empty());
        for (found, expected) in tensor.values.iter().zip(first) {
            assert_eq!(*found, expected.as_f64().unwrap() as f32, "{name}");
        }
        let sum: f64 = tensor.values.iter().map(|&x| f64::from(x)).sum();
        let expected = key["sum"].as_f64().unwrap();
        assert!((sum - expected).abs() < 1e-3 + 1e-4 * expected.abs(), "{name}: {sum} {expected}");
    }
}
