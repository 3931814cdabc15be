//! Every preset: its full graph without values, and a thin version of it with values, whose export
//! computes what the network in burn computes.

use crate::graph::assert_static;
use burn::tensor::{Device, Tensor};
use occdepth_contract::{
    Contract, DType, Precision,
    onnx::{GraphProto, ModelProto},
    self_test::{self, Frame, SelfTest},
    tensor,
};
use occdepth_cpu::{Input, Values};
use occdepth_geometry::{ImageSize, depth::DepthVolume};
use occdepth_host::{
    export::{Options, export, outline},
    network::{self, Inputs, Network, Outputs},
    preset::{Decoder, DepthNet, Encoder, Grid, Head, Preset, RelationPrior, Stage, Unet},
    weights::Weights,
};

#[test]
fn every_preset_gives_a_static_folded_graph() {
    for (name, _) in Preset::BUILTIN {
        let preset = Preset::builtin(name).unwrap();
        let parameters = preset.parameters();
        for precision in [Precision::Fp32, Precision::Fp16] {
            let graph = outline(&preset, &options(&preset, precision)).unwrap();
            assert_static(&graph);
            // Only known parameters, and no norm: they are folded.
            for constant in constants(&graph) {
                let known = parameters.iter().any(|parameter| parameter.name == constant)
                    // A convolution gets the bias of the norm behind it.
                    || parameters.iter().any(|p| {
                        p.name.strip_suffix(".weight") == constant.strip_suffix(".bias")
                    });
                assert!(known && !constant.contains("running"), "{name}: {constant}");
            }
        }
    }
}

/// The outline is the export without values.
#[test]
fn an_outline_is_the_graph_of_the_export() {
    for name in ["kitti-b3", "nyu-b7"] {
        let preset = thin(name);
        let options = options(&preset, Precision::Fp16);
        let mut graph =
            export(&preset, &Weights::formula(&preset), &options).unwrap().graph.unwrap();
        for constant in &mut graph.initializer {
            if !constant.name.starts_with("constant/") {
                constant.raw_data.clear();
            }
        }
        let mut outline = outline(&preset, &options).unwrap();
        for constant in &mut outline.initializer {
            if constant.name == "depth_gain" {
                constant.raw_data.clear();
            }
        }
        assert!(outline == graph, "{name}");
    }
}

#[test]
fn every_export_is_its_network_in_burn() {
    for (name, _) in Preset::BUILTIN {
        assert_equal(&thin(name));
    }
}

/// Options that no preset has.
#[test]
fn every_option_is_its_network_in_burn() {
    let stereo = thin("kitti-b3");
    let rgbd = thin("nyu-b4");
    let relation_prior = stereo.relation_prior.clone();
    let two = RelationPrior { relations: 2, ..relation_prior.clone().unwrap() };
    for preset in [
        Preset { relation_prior: Some(two), ..stereo.clone() },
        Preset { head: occluded(true), ..stereo.clone() },
        Preset { head: occluded(false), relation_prior: None, ..stereo.clone() },
        Preset { pattern: 4, scales: vec![2, 8], ..stereo.clone() },
        // Pattern 3 has a point twice.
        Preset { pattern: 3, ..thin("kitti-mono") },
        Preset {
            project_scale: 1,
            grid: Grid { dims: [16, 12, 8], ..stereo.grid },
            ..stereo.clone()
        },
        // Sizes that are no multiple of the scales, and a pattern, for the virtual view.
        Preset { pattern: 1, image: ImageSize { width: 101, height: 67 }, ..rgbd },
    ] {
        assert_equal(&preset);
    }
}

/// Whatever a depth camera delivers, the network gathers inside of its maps.
#[test]
fn no_depth_image_leads_out_of_the_maps() {
    let preset = thin("nyu-b4");
    let (contract, model) = exported(&preset, Precision::Fp32);
    let mut frame = SelfTest::new(&contract, [0; 32], 1).seal(&contract).unwrap();
    let strange =
        [0.0, -0.0, -1.0, 1e-30, 1e-45, 1e30, f32::MAX, f32::INFINITY, f32::NEG_INFINITY, f32::NAN];
    let image = frame.depth.as_mut().unwrap();
    for (position, depth_m) in image.depth_m.iter_mut().enumerate() {
        *depth_m = strange[position % strange.len()];
    }
    let outputs = run(&contract, model, &frame);
    assert!(outputs[0].iter().all(|logit| logit.is_finite()));
}

/// Depths below zero, which resampling makes of measured ones, are what the published code takes them
/// for on both sides: a place left of the map, not an unmeasured one.
#[test]
fn negative_depths_are_the_same_in_the_export() {
    let preset = thin("nyu-b4");
    let (contract, model) = exported(&preset, Precision::Fp32);
    let mut frame = SelfTest::new(&contract, [0; 32], 1).seal(&contract).unwrap();
    let mut logits = [0.0, -1.0].map(|depth_m| {
        frame.depth.as_mut().unwrap().depth_m.fill(depth_m);
        let expected = native(&preset, &contract, &frame).swap_remove(0);
        let found = run(&contract, model.clone(), &frame).swap_remove(0);
        let scale = expected.iter().fold(0.0_f32, |largest, x| largest.max(x.abs()));
        for (found, expected) in found.iter().zip(&expected) {
            assert!((found - expected).abs() <= 1e-4 * scale, "{found} instead of {expected}");
        }
        (expected, scale)
    });
    let [(unmeasured, scale), (negative, _)] = &mut logits;
    let moved = unmeasured.iter().zip(negative).map(|(a, b)| (*a - *b).abs());
    assert!(moved.fold(0.0, f32::max) > 1e-2 * *scale, "the depth image changes nothing");
}

/// A preset with every structure of `name` and no width worth speaking of; its axes all differ.
pub(crate) fn thin(name: &str) -> Preset {
    let preset = Preset::builtin(name).unwrap();
    let image = ImageSize { width: 128, height: 64 };
    let blocks = |stage: Stage| Stage { blocks: stage.blocks.min(2), width: 8, ..stage };
    let volume = |volume: DepthVolume| {
        let mut volume = DepthVolume { sampling_size: image, ..volume };
        volume.bins.count = 24;
        volume
    };
    let scale = preset.project_scale;
    Preset {
        image,
        grid: Grid {
            origin_m: preset.grid.origin_m.map(|_| [0.0, -12.0, -4.0]),
            voxel_size_m: 1.0 / f64::from(scale),
            dims: [16, 20, 12].map(|n| n * scale),
        },
        encoder: Encoder {
            stem: 8,
            head: 24,
            stages: preset.encoder.stages.map(blocks),
            ..preset.encoder
        },
        decoder: Decoder { bottleneck: 24, widths: [16, 12, 8, 8, 4], ..preset.decoder },
        depth: preset.depth.map(|net| DepthNet {
            width: 16,
            blocks: 1,
            volume: volume(net.volume),
        }),
        unet: Unet {
            widths: [8, 16, 32],
            full_width: preset.unet.full_width.map(|_| 4),
            ..preset.unet
        },
        ..preset
    }
}

/// Every output that the preset has.
pub(crate) fn options(preset: &Preset, precision: Precision) -> Options {
    Options {
        precision,
        occupancy_output: preset.head.is_cascade(),
        occluded_output: preset.head.has_occluded(),
        ..Options::untrained("by the formula")
    }
}

pub(crate) fn exported(preset: &Preset, precision: Precision) -> (Contract, ModelProto) {
    let options = options(preset, precision);
    let model = export(preset, &Weights::formula(preset), &options).unwrap();
    (Contract::from_model(&model, &preset.name).unwrap(), model)
}

/// The outputs of a model on the CPU, in the order of the contract.
pub(crate) fn run(contract: &Contract, model: ModelProto, frame: &Frame) -> Vec<Vec<f32>> {
    // Thin networks would not be worth them otherwise.
    let kernels = occdepth_cpu::OwnKernels::All;
    let mut network =
        occdepth_cpu::Network::load_with(model, &contract.preset, Some(2), kernels).unwrap();
    let shapes: Vec<Vec<usize>> = contract
        .inputs
        .iter()
        .map(|spec| spec.shape.iter().map(|&n| usize::try_from(n).unwrap()).collect())
        .collect();
    let inputs: Vec<Input<'_>> = frame
        .inputs()
        .into_iter()
        .zip(contract.inputs.iter().zip(&shapes))
        .map(|((name, values), (spec, shape))| {
            assert_eq!(spec.name, name);
            let values = match values {
                self_test::Values::F32(values) => Values::F32(values),
                self_test::Values::I32(values) => Values::I32(values),
            };
            assert_eq!(spec.dtype == DType::F32, values.as_f32().is_some());
            Input { name, shape, values }
        })
        .collect();
    let names: Vec<&str> = contract.outputs.iter().map(|output| output.name.as_str()).collect();
    let outputs = network.run(&inputs, &names).unwrap();
    outputs.iter().map(|output| output.values().as_f32().unwrap().to_vec()).collect()
}

/// The outputs of the network in burn, in the order of the contract.
pub(crate) fn native(preset: &Preset, contract: &Contract, frame: &Frame) -> Vec<Vec<f32>> {
    let device = Device::flex();
    let network = Network::new(preset, &Weights::formula(preset), &device).unwrap();
    let images = frame.images.clone();
    let inputs = match &frame.depth {
        None => Inputs::new(preset, images, &frame.geometry, &device),
        Some(depth) => {
            let image = network::DepthImage {
                depth_m: depth.depth_m.clone(),
                baseline_focal: depth.baseline_focal,
            };
            Inputs::with_depth_image(preset, images, image, &frame.geometry, &device)
        }
    };
    let Outputs { ssc_logits, occ_logits, occluded_logits, .. } = network.forward(inputs.unwrap());
    let values = |logits: Tensor<4>| logits.into_data().try_to_vec().unwrap();
    let output = |name: &str| match name {
        tensor::SSC_LOGITS => values(ssc_logits.clone()),
        tensor::OCC_LOGITS => values(occ_logits.clone().unwrap()),
        _ => values(occluded_logits.clone().unwrap()),
    };
    contract.outputs.iter().map(|spec| output(&spec.name)).collect()
}

fn assert_equal(preset: &Preset) {
    let name = &preset.name;
    let (contract, model) = exported(preset, Precision::Fp32);
    assert_static(model.graph.as_ref().unwrap());
    let frame = SelfTest::new(&contract, [0; 32], 1).seal(&contract).unwrap();
    // The cameras see a good part of the grid, and not all of it.
    let scale = preset.map_size(preset.scales[0]);
    let hidden = i32::try_from(scale.width * scale.height).unwrap();
    let points = usize::try_from(contract.inputs[1].shape[3]).unwrap();
    let first = &frame.geometry.pixels[..preset.projection_voxels() * points];
    let seen = first.iter().filter(|&&pixel| pixel != hidden).count();
    assert!(seen * 10 > first.len() && seen < first.len(), "{name}: {seen} of {}", first.len());

    let expected = native(preset, &contract, &frame);
    let found = run(&contract, model, &frame);
    for ((spec, found), expected) in contract.outputs.iter().zip(&found).zip(&expected) {
        assert_eq!(found.len(), expected.len());
        let scale = expected.iter().fold(0.0_f32, |largest, x| largest.max(x.abs()));
        let errors = found.iter().zip(expected).map(|(a, b)| (a - b).abs());
        let error = errors.fold(0.0_f32, f32::max);
        println!("| {name} | {} | {error:.1e} | {:.1e} | {scale:.3} |", spec.name, error / scale);
        assert!(scale > 0.1 && error <= 1e-4 * scale, "{name}, {}: {error}", spec.name);
    }
}

fn occluded(cascade: bool) -> Head {
    Head::Aspp { dilations: vec![1, 2, 3], cascade, occluded: true }
}

/// Constants that carry a parameter's name.
fn constants(graph: &GraphProto) -> impl Iterator<Item = &str> {
    graph
        .initializer
        .iter()
        .map(|constant| constant.name.as_str())
        .filter(|name| !name.starts_with("constant/") && *name != "depth_gain")
}
