//! The network against the published implementation: every stage, on the same inputs and weights.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]
#![allow(clippy::print_stdout, reason = "measured errors are shown with --nocapture")]
#![allow(
    clippy::cast_possible_truncation,
    clippy::cast_possible_wrap,
    clippy::cast_sign_loss,
    clippy::float_cmp,
    reason = "small known numbers, and values that are equal by construction"
)]

mod common;

use burn::tensor::{Device, Tensor, activation::softmax};
use common::{
    golden,
    reference::{Reference, every},
    tiny,
};
use nalgebra::{Matrix3, Matrix4};
use occdepth_geometry::network::{GeometryInputs, View};
use occdepth_host::{
    network::{Inputs, InputsError, Network, assignment, depth},
    preset::{Encoder, Head, Preset, Stage},
    weights::{Weights, WeightsError},
};

/// The reference's cameras.
fn views(inputs: &Reference, count: usize) -> Vec<View> {
    let (_, k) = inputs.tensor("cam_k");
    let (_, pose) = inputs.tensor("T_velo_2_cam");
    (0..count)
        .map(|view| View {
            k: Matrix3::from_row_slice(&k[view * 9..][..9]),
            cam_from_ego: Matrix4::from_row_slice(&pose[view * 16..][..16]),
        })
        .collect()
}

/// The reference's frame for `preset`.
fn frame(inputs: &Reference, preset: &Preset, device: &Device) -> Inputs {
    let (shape, images) = inputs.tensor("img");
    let per_view: usize = shape[1..].iter().product();
    let images = images[..preset.views * per_view].iter().map(|&x| x as f32).collect();
    let geometry =
        GeometryInputs::new(&preset.geometry(None).unwrap(), &views(inputs, preset.views)).unwrap();
    Inputs::new(preset, images, &geometry, device).unwrap()
}

fn references(test: &str, outputs: &str) -> Option<(Reference, Reference)> {
    let inputs = golden(test, "kitti_tiny_inputs.safetensors")?;
    let outputs = golden(test, outputs)?;
    Some((Reference::read(&inputs), Reference::read(&outputs)))
}

#[test]
fn every_stage_of_the_small_network_matches() {
    let test = "every_stage_of_the_small_network_matches";
    let Some((inputs, expected)) = references(test, "kitti_tiny_eval.safetensors") else { return };
    let Some(path) = golden(test, "kitti_tiny_state_dict.safetensors") else { return };
    let preset = tiny();
    let device = Device::flex();
    let weights = Weights::read_safetensors(&path).unwrap();
    weights.check(&preset).unwrap();
    let network = Network::new(&preset, &weights, &device).unwrap();
    assert_stages(&network, frame(&inputs, &preset, &device), &expected, &preset);
}

/// The published backbone at the small image size, weights by formula.
#[test]
fn the_published_backbone_matches() {
    let test = "the_published_backbone_matches";
    let file = "kitti_b3_formula_eval.safetensors";
    let Some((inputs, expected)) = references(test, file) else { return };
    let b3 = Preset::builtin("kitti-b3").unwrap();
    let preset = Preset { encoder: b3.encoder, decoder: b3.decoder, ..tiny() };
    let device = Device::flex();
    let network = Network::new(&preset, &Weights::formula(&preset), &device).unwrap();
    let Inputs { images, pixels, depth, .. } = frame(&inputs, &preset, &device);
    let tables = depth.unwrap();
    let taps = network.net_rgb.encoder.forward(images.clone());
    assert_taps(&taps, &expected);
    let features = network.net_rgb.decoder.forward(images, taps);
    let map = |scale, view| {
        let (_, map) = features.scales.iter().find(|(found, _)| *found == scale).unwrap();
        map.clone().narrow(0, view, 1)
    };
    for view in 0..2 {
        for scale in [4, 8] {
            expected.assert_close(&format!("feat.view{view}.1_{scale}"), map(scale, view));
        }
    }
    let lifted = assign_and_check(&features, &pixels, &expected);
    let logits =
        network.flosp_depth.as_ref().unwrap().forward(map_of(&features), tables.pixel_size);
    expected.assert_close("depth.logits", logits.clone());
    let voxels = depth::lift(softmax(logits, 1), &tables.index, tables.weight);
    expected.assert_close("depth.voxel", voxels.clone().reshape([32, 20, 8]));
    let volume = (lifted * voxels * 100.0).reshape([1, 8, 32, 20, 8]);
    expected.assert_close("net3d.x3d_in", volume.clone());
    let outputs = network.net_3d_decoder.forward(volume);
    expected.assert_close("out.P_logits", outputs.relation_logits.unwrap());
    expected.assert_close("out.occ_logit", outputs.occ_logits.unwrap());
    expected.assert_close("out.ssc_logit.sub2", every(&outputs.ssc_logits, 2));
}

/// One view, no depth net, no cascade (`MonoScene`'s shape), with one and with five points per
/// voxel.
#[test]
fn one_view_without_depth_matches() {
    for (pattern, file) in [
        (0, "kitti_mono_formula_pattern0.safetensors"),
        (1, "kitti_mono_formula_pattern1.safetensors"),
    ] {
        let test = "one_view_without_depth_matches";
        let Some((inputs, expected)) = references(test, file) else { return };
        let preset = Preset { views: 1, pattern, depth: None, head: plain_head(), ..tiny() };
        let outputs = assert_lifting(&preset, &inputs, &expected);
        expected.assert_close("out.P_logits", outputs.relation_logits.unwrap());
        assert!(outputs.occ_logits.is_none());
        expected.assert_close("out.ssc_logit.sub2", every(&outputs.ssc_logits, 2));
    }
}

#[test]
fn two_views_without_depth_match() {
    let test = "two_views_without_depth_match";
    let file = "kitti_stereo_flosp_formula_pattern1.safetensors";
    let Some((inputs, expected)) = references(test, file) else { return };
    let preset = Preset { pattern: 1, depth: None, head: plain_head(), ..tiny() };
    let outputs = assert_lifting(&preset, &inputs, &expected);
    expected.assert_close("out.ssc_logit.sub2", every(&outputs.ssc_logits, 2));
}

/// Projection at the output grid: the last upsampling keeps it.
#[test]
fn project_scale_one_matches() {
    let test = "project_scale_one_matches";
    let Some((inputs, expected)) = references(test, "kitti_scale1_formula.safetensors") else {
        return;
    };
    let mut preset = Preset { project_scale: 1, right_samples_left_pixels: Some(false), ..tiny() };
    preset.grid.voxel_size_m = 0.8;
    preset.grid.dims = [32, 20, 8];
    preset.validate("test").unwrap();
    let device = Device::flex();
    let network = Network::new(&preset, &Weights::formula(&preset), &device).unwrap();
    let Inputs { images, pixels, depth, .. } = frame(&inputs, &preset, &device);
    let tables = depth.unwrap();
    let features = network.net_rgb.forward(images);
    let net = network.flosp_depth.as_ref().unwrap();
    let probabilities = softmax(net.forward(map_of(&features), tables.pixel_size), 1);
    let voxels = depth::lift(probabilities, &tables.index, tables.weight);
    expected.assert_close("depth.voxel", voxels.clone().reshape([32, 20, 8]));
    let volume = assignment::assign(&features, &pixels) * voxels * 100.0;
    let volume = volume.reshape([1, 8, 32, 20, 8]);
    expected.assert_close("net3d.x3d_in", volume.clone());
    let outputs = network.net_3d_decoder.forward(volume);
    expected.assert_close("out.P_logits", outputs.relation_logits.unwrap());
    expected.assert_close("out.occ_logit", outputs.occ_logits.unwrap());
    expected.assert_close("out.ssc_logit", outputs.ssc_logits);
}

/// The bundled network runs, and its logits are of a size that a softmax can use.
#[test]
fn nano_runs() {
    let preset = Preset::builtin("nano").unwrap();
    let device = Device::flex();
    let network = Network::new(&preset, &Weights::initialise(&preset, 1), &device).unwrap();
    // A camera 1.7 m up that looks ahead, and one half a metre to its right.
    let view = |baseline_m: f64| View {
        k: Matrix3::new(190.0, 0.0, 160.0, 0.0, 190.0, 48.0, 0.0, 0.0, 1.0),
        cam_from_ego: Matrix4::from_row_slice(&[
            0.0,
            -1.0,
            0.0,
            -baseline_m, //
            0.0,
            0.0,
            -1.0,
            0.0, //
            1.0,
            0.0,
            0.0,
            0.0, //
            0.0,
            0.0,
            0.0,
            1.0,
        ]),
    };
    let geometry =
        GeometryInputs::new(&preset.geometry(None).unwrap(), &[view(0.0), view(0.5)]).unwrap();
    let images = (0..2 * 3 * 96 * 320).map(|i| ((i * 7919) % 1000) as f32 / 250.0 - 2.0).collect();
    let inputs = Inputs::new(&preset, images, &geometry, &device).unwrap();
    let logits = network.forward(inputs).ssc_logits;
    assert_eq!(logits.dims(), [20, 128, 128, 16]);
    let values: Vec<f32> = logits.into_data().try_to_vec().unwrap();
    let largest = values.iter().fold(0.0_f32, |largest, x| largest.max(x.abs()));
    println!("largest logit {largest}");
    assert!(values.iter().all(|x| x.is_finite()) && (0.1..1000.0).contains(&largest), "{largest}");
}

#[test]
fn weights_that_do_not_fit_are_refused_by_name() {
    let preset = small();
    let device = Device::flex();
    let complete = Weights::initialise(&preset, 0);
    let name = "net_3d_decoder.process_l2.1.main.conv4.weight";
    let shape = complete.find(name).unwrap().shape.clone();

    let mut missing = Weights::default();
    for (other, tensor) in complete.iter().filter(|(other, _)| *other != name) {
        missing.insert(other, tensor.shape.clone(), tensor.values.clone()).unwrap();
    }
    match Network::new(&preset, &missing, &device) {
        Err(WeightsError::Missing { name: found, expected }) => {
            assert_eq!((found.as_str(), &expected), (name, &shape));
        }
        other => panic!("{:?}", other.err()),
    }

    let mut wrong = complete;
    wrong.insert(name, vec![1], vec![0.0]).unwrap();
    match Network::new(&preset, &wrong, &device) {
        Err(WeightsError::Shape { name: found, found: shape, .. }) => {
            assert_eq!((found.as_str(), shape), (name, vec![1]));
        }
        other => panic!("{:?}", other.err()),
    }
}

#[test]
fn inputs_that_do_not_fit_are_refused_by_name() {
    let preset = small();
    let device = Device::flex();
    let geometry = GeometryInputs { pixels: vec![0; 3], depth: None };
    let images = 2 * 3 * 96 * 320;
    let error = |images, geometry: &GeometryInputs| {
        Inputs::new(&preset, vec![0.0; images], geometry, &device).unwrap_err()
    };
    assert!(matches!(error(1, &geometry), InputsError::Length { tensor: "images", .. }));
    assert!(matches!(error(images, &geometry), InputsError::Length { tensor: "pixels", .. }));
    let pixels = vec![0; 2 * 4 * preset.projection_voxels()];
    let geometry = GeometryInputs { pixels, depth: None };
    assert!(matches!(error(images, &geometry), InputsError::NoDepth { .. }));
}

/// A network that is built in no time.
fn small() -> Preset {
    let stage = Stage { blocks: 1, kernel: 3, expansion: 1, width: 4 };
    let encoder = Encoder { stem: 4, stages: [stage; 7], head: 4, ..tiny().encoder };
    Preset { encoder, relation_prior: None, head: Head::Slim { dilations: vec![] }, ..tiny() }
}

fn plain_head() -> Head {
    Head::Aspp { dilations: vec![1, 2, 3], cascade: false, occluded: false }
}

fn assert_stages(network: &Network, frame: Inputs, expected: &Reference, preset: &Preset) {
    let Inputs { images, pixels, depth, .. } = frame;
    let tables = depth.unwrap();
    let taps = network.net_rgb.encoder.forward(images.clone());
    assert_taps(&taps, expected);

    let features = network.net_rgb.decoder.forward(images, taps);
    for (scale, map) in &features.scales {
        for view in 0..2 {
            let name = format!("feat.view{view}.1_{scale}");
            expected.assert_close(&name, map.clone().narrow(0, view, 1));
        }
    }
    let lifted = assign_and_check(&features, &pixels, expected);

    expected.assert_close("depth.scaled_pixel_size", tables.pixel_size.clone());
    let net = network.flosp_depth.as_ref().unwrap();
    let logits = net.forward(map_of(&features), tables.pixel_size);
    expected.assert_close("depth.logits", logits.clone());
    let probabilities = softmax(logits, 1);
    expected.assert_close("depth.prob", probabilities.clone());
    let voxels = depth::lift(probabilities, &tables.index, tables.weight);
    let [x, y, z] = preset.projection_dims();
    expected.assert_close("depth.voxel", voxels.clone().reshape([x, y, z]));
    let volume = (lifted * voxels * 100.0).reshape([1, 8, x, y, z]);
    expected.assert_close("net3d.x3d_in", volume.clone());

    let unet = &network.net_3d_decoder;
    let half = unet.process_l1.forward(volume.clone());
    expected.assert_close("net3d.process_l1", half.clone());
    let quarter = unet.process_l2.forward(half);
    expected.assert_close("net3d.process_l2", quarter.clone());
    let (aspp, mega) = unet.relation_prior.as_ref().unwrap().context(quarter);
    expected.assert_close("crp.aspp", aspp);
    expected.assert_close("crp.mega_context", mega);
    let ascent = unet.ascend(volume.clone());
    expected.assert_close("out.x3d_l3", ascent.quarter.clone());
    expected.assert_close("net3d.up_13_l2", unet.up_13_l2.forward(ascent.quarter));
    expected.assert_close("out.x3d_l2", ascent.half.clone());
    expected.assert_close("net3d.up_12_l1", unet.up_12_l1.forward(ascent.half));
    expected.assert_close("out.x3d_l1", ascent.projection.clone());
    expected.assert_close(
        "net3d.up_l1_lfull",
        unet.up_l1_lfull.as_ref().unwrap().forward(ascent.projection),
    );

    let outputs = unet.forward(volume);
    expected.assert_close("out.P_logits", outputs.relation_logits.unwrap());
    expected.assert_close("out.occ_logit", outputs.occ_logits.unwrap());
    let error = expected.assert_close("out.ssc_logit", outputs.ssc_logits.clone());
    assert_labels(expected, outputs.ssc_logits, error);
}

/// The same class wins wherever the reference's margin is more than the errors of both logits.
fn assert_labels(expected: &Reference, logits: Tensor<4>, error: f64) {
    let (shape, expected) = expected.tensor("out.ssc_logit");
    let voxels: usize = shape[2..].iter().product();
    let found: Vec<i64> = logits.argmax(0).into_data_as::<i64>().try_to_vec().unwrap();
    let mut decided = 0;
    for (voxel, &found) in found.iter().enumerate() {
        let mut classes: Vec<(f64, i64)> =
            (0..20).map(|class| (expected[class * voxels + voxel], class as i64)).collect();
        classes.sort_by(|a, b| b.0.total_cmp(&a.0));
        if classes[0].0 - classes[1].0 > 2.0 * error {
            assert_eq!(found, classes[0].1, "voxel {voxel}");
            decided += 1;
        }
    }
    println!("arg-max equal in all of {decided} decided voxels of {voxels}");
    assert!(decided * 100 > voxels * 99);
}

fn assert_taps(taps: &occdepth_host::network::encoder::Taps, expected: &Reference) {
    for (tap, map) in [4, 5, 6, 8].into_iter().zip(&taps.stages) {
        let name = format!("enc.view0.features{tap}");
        expected.assert_close(&name, map.clone().narrow(0, 0, 1));
    }
    expected.assert_close("enc.view0.features11", taps.head.clone().narrow(0, 0, 1));
}

fn map_of(features: &occdepth_host::network::decoder::Features) -> Tensor<4> {
    features.scales.iter().find(|(scale, _)| *scale == 8).unwrap().1.clone()
}

/// Checks the assignment of every scale and of their sum; returns the sum [C, N].
fn assign_and_check(
    features: &occdepth_host::network::decoder::Features,
    pixels: &Tensor<4, burn::tensor::Int>,
    expected: &Reference,
) -> Tensor<2> {
    for (index, (scale, map)) in features.scales.iter().enumerate() {
        let pixels = pixels.clone().narrow(1, index, 1).squeeze_dim(1);
        let lifted = assignment::assign_scale(map.clone(), pixels);
        expected.assert_close(&format!("sfa.{scale}"), lifted.reshape([8, 32, 20, 8]));
    }
    assignment::assign(features, pixels)
}

/// Runs a network without depth net, checking the assignment; returns its outputs.
fn assert_lifting(
    preset: &Preset,
    inputs: &Reference,
    expected: &Reference,
) -> occdepth_host::network::Outputs {
    preset.validate("test").unwrap();
    let device = Device::flex();
    let network = Network::new(preset, &Weights::formula(preset), &device).unwrap();
    let Inputs { images, pixels, .. } = frame(inputs, preset, &device);
    let features = network.net_rgb.forward(images);
    let volume = assign_and_check(&features, &pixels, expected).reshape([1, 8, 32, 20, 8]);
    expected.assert_close("net3d.x3d_in", volume.clone());
    network.net_3d_decoder.forward(volume)
}
