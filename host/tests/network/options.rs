//! Options that no reference values cover, by what must hold of them: other encoders, two relations,
//! the occluded head, `return_up_feats`, every sampling pattern, the published right view at project
//! scale 1, and the presets at their full size by name.
//!
//! Encoders b4, b5 and b7 and the full `SemanticTartanAir` grid are run at small widths, for shapes
//! alone; their tables and names are compared in the tests of presets.

use burn::tensor::{Device, Tensor, TensorData};
use nalgebra::{Matrix3, Matrix4};
use occdepth_geometry::{
    ImageSize,
    network::{GeometryInputs, View},
};
use occdepth_host::{
    network::{
        DepthImage, Inputs, Network, Outputs, assignment, decoder::Features, virtual_stereo,
    },
    preset::{Decoder, Encoder, Grid, Head, Preset, RelationPrior, Stage},
    weights::Weights,
};

use crate::{
    common::{nyu_tiny, reference::Array, tiny},
    small,
};

/// The bundled network runs, and its logits are of a size that a softmax can use.
#[test]
fn nano_runs() {
    let preset = Preset::builtin("nano").unwrap();
    let weights = Weights::initialise(&preset, 1);
    let values = Array::new(run(&preset, &weights).ssc_logits).values;
    let largest = values.iter().fold(0.0_f32, |largest, x| largest.max(x.abs()));
    assert!(values.iter().all(|x| x.is_finite()) && (0.1..1000.0).contains(&largest), "{largest}");
}

/// No reference values exist for the whole of these networks: each runs with its own options, stage
/// counts, kernels and image scales at an eighth of the widths, on a small image and grid.
#[test]
fn every_published_preset_runs_at_small_widths() {
    for (name, _) in Preset::BUILTIN {
        let preset = narrow(&Preset::builtin(name).unwrap());
        preset.validate(name).unwrap();
        let outputs = run(&preset, &Weights::formula(&preset));
        let [x, y, z] = preset.grid_dims();
        let logits = outputs.ssc_logits;
        assert_eq!(logits.dims(), [preset.dataset.class_count(), x, y, z], "{name}");
        let values = Array::new(logits).values;
        assert!(values.iter().all(|x| x.is_finite()), "{name}");
        assert!(values.iter().any(|x| *x != values[0]), "{name}");
        assert_eq!(outputs.occ_logits.is_some(), preset.head.is_cascade(), "{name}");
        assert_eq!(outputs.relation_logits.is_some(), preset.relation_prior.is_some(), "{name}");
    }
}

/// No preset has b5; its encoder runs all the same.
#[test]
fn the_b5_encoder_runs_at_small_widths() {
    let b4 = Preset::builtin("nyu-b4").unwrap();
    let encoder = Encoder::published("tf_efficientnet_b5_ns").unwrap();
    let preset = narrow(&Preset { encoder, ..b4 });
    let logits = run(&preset, &Weights::formula(&preset)).ssc_logits;
    assert!(Array::new(logits).values.iter().all(|x| x.is_finite()));
}

/// No reference values have an occluded head. Its layers are those that give a cascade head its
/// occupancy: with the same weights it gives the same logits, and it never changes the classes.
#[test]
fn the_occluded_head_is_the_occupancy_of_a_cascade() {
    let without = Preset { encoder: small().encoder, ..tiny() };
    let head = Head::Aspp { dilations: vec![1, 2, 3], cascade: true, occluded: true };
    let with = Preset { head, ..without.clone() };
    let plain = Weights::formula(&without);
    let mut weights = plain.clone();
    for parameter in with.parameters() {
        let Some(part) = parameter.name.strip_prefix("net_3d_decoder.occluded_head.") else {
            continue;
        };
        let twin = plain.find(&format!("net_3d_decoder.ssc_head.{part}")).unwrap();
        assert_eq!(twin.shape, parameter.shape);
        weights.insert(&parameter.name, twin.shape.clone(), twin.values.clone()).unwrap();
    }
    weights.check(&with).unwrap();
    let (plain, outputs) = (run(&without, &plain), run(&with, &weights));
    assert!(plain.occluded_logits.is_none());
    let [occupancy, occluded, classes, plain] = [
        outputs.occ_logits.unwrap(),
        outputs.occluded_logits.unwrap(),
        outputs.ssc_logits,
        plain.ssc_logits,
    ]
    .map(Array::new);
    assert_eq!(occluded.shape, [2, 64, 40, 16]);
    assert_eq!(occluded.values, occupancy.values);
    assert_eq!(classes.values, plain.values);
}

/// No reference values have two relations. Four of which the last two count nothing are two.
#[test]
fn two_relations_are_four_without_the_last_two() {
    let four = Preset { encoder: small().encoder, ..tiny() };
    let prior = RelationPrior { relations: 2, dilations: vec![1, 2, 3] };
    let two = Preset { relation_prior: Some(prior), ..four.clone() };
    let mut weights = Weights::formula(&four);
    let mut shortened = weights.clone();
    // Input channels of `resize`: 32 features, then 64 per relation.
    let name = "net_3d_decoder.CP_mega_voxels.resize.0.weight";
    let tensor = weights.find(name).unwrap().clone();
    assert_eq!(tensor.shape, [32, 32 + 4 * 64, 1, 1, 1]);
    let silenced = tensor.values.chunks(288).flat_map(|row| {
        row.iter().enumerate().map(|(channel, &w)| if channel < 160 { w } else { 0.0 })
    });
    let kept = tensor.values.chunks(288).flat_map(|row| row[..160].iter().copied()).collect();
    weights.insert(name, tensor.shape.clone(), silenced.collect()).unwrap();
    shortened.insert(name, vec![32, 160, 1, 1, 1], kept).unwrap();

    let (four, two) = (run(&four, &weights), run(&two, &shortened));
    let relations = Array::new(two.relation_logits.unwrap());
    assert_eq!(relations.shape, [2, 8, 80]);
    let all = Array::new(four.relation_logits.unwrap());
    assert_eq!(relations.values, all.values[..2 * 8 * 80]);
    assert_close(&Array::new(two.ssc_logits).values, &Array::new(four.ssc_logits).values, 1e-4);
}

/// What a checkpoint holds beyond the scales that voxels gather from changes nothing.
#[test]
fn blocks_that_return_up_feats_keeps_are_not_read() {
    let scales = vec![2, 4, 8];
    let narrow = Preset { encoder: small().encoder, scales, ..tiny() };
    let decoder = Decoder { return_up_feats: Some(1), ..narrow.decoder.clone() };
    let kept = Preset { decoder, ..narrow.clone() };
    kept.validate("test").unwrap();
    assert_eq!(kept.parameters(), narrow.parameters());
    let weights = Weights::formula(&narrow);
    let logits = |preset| Array::new(run(preset, &weights).ssc_logits).values;
    assert_eq!(logits(&kept), logits(&narrow));
}

/// Every sampling pattern, against the contract's formula in plain loops; and a network with it runs.
#[test]
fn features_are_assigned_as_the_contract_says() {
    let device = Device::flex();
    for pattern in 0..=8 {
        let preset = Preset { pattern, image: ImageSize { width: 64, height: 32 }, ..small() };
        let spec = preset.geometry(None).unwrap();
        let pixels = GeometryInputs::new(&spec, &views(&preset)).unwrap().pixels;
        let voxels = preset.projection_voxels();
        let points = pixels.len() / (2 * 4 * voxels);
        let shape = [2, 4, voxels, points];
        let table = Tensor::from_data(TensorData::new(pixels.clone(), shape), &device);
        let channels = 3;
        let maps: Vec<(u32, Vec<f32>)> = [1, 2, 4, 8]
            .map(|scale| (scale, noise(2 * channels * (64 / scale * 32 / scale) as usize, scale)))
            .into();
        let tensor = |(scale, map): &(u32, Vec<f32>)| {
            let shape = [2, channels, (32 / scale) as usize, (64 / scale) as usize];
            (*scale, Tensor::from_data(TensorData::new(map.clone(), shape), &device))
        };
        let features = Features { scales: maps.iter().map(tensor).collect() };
        let found = Array::new(assignment::assign(&features, &table)).values;

        let mut expected = vec![0.0; channels * voxels];
        let mut seen_by_both = 0;
        for (index, (scale, map)) in maps.iter().enumerate() {
            let cells = (64 / scale * 32 / scale) as usize;
            for voxel in 0..voxels {
                // Per view, the mean over the visible points; none if there are none.
                let mean = |view: usize| -> Option<Vec<f64>> {
                    let first = ((view * 4 + index) * voxels + voxel) * points;
                    let entries = pixels[first..first + points].iter().map(|&pixel| pixel as usize);
                    let visible: Vec<usize> = entries.filter(|&pixel| pixel < cells).collect();
                    let channel = |c: usize| {
                        let map = &map[(view * channels + c) * cells..][..cells];
                        let sum: f64 = visible.iter().map(|&pixel| f64::from(map[pixel])).sum();
                        sum / visible.len() as f64
                    };
                    (!visible.is_empty()).then(|| (0..channels).map(channel).collect())
                };
                let (left, right) = (mean(0), mean(1));
                for c in 0..channels {
                    expected[c * voxels + voxel] += match (&left, &right) {
                        (Some(left), Some(right)) => {
                            seen_by_both += 1;
                            let dot = |a: &[f64], b: &[f64]| -> f64 {
                                a.iter().zip(b).map(|(a, b)| a * b).sum()
                            };
                            let cosine = dot(left, right)
                                / (dot(left, left).sqrt() * dot(right, right).sqrt());
                            cosine * (left[c] + right[c]) / 2.0
                        }
                        (Some(one), None) | (None, Some(one)) => one[c] / 2.0,
                        (None, None) => 0.0,
                    };
                }
            }
        }
        assert!(seen_by_both > voxels, "pattern {pattern}");
        let expected: Vec<f32> = expected.into_iter().map(|x| x as f32).collect();
        assert_close(&found, &expected, 1e-5);

        let logits = run(&preset, &Weights::formula(&preset)).ssc_logits;
        assert_eq!(logits.dims(), [20, 64, 40, 16], "pattern {pattern}");
        assert!(Array::new(logits).values.iter().all(|x| x.is_finite()), "pattern {pattern}");
    }
}

/// At project scale 1 the published pipeline shows the right image at the left view's pixels. That is
/// the default there, and nowhere else.
#[test]
fn the_right_view_is_sampled_as_published_unless_said_otherwise() {
    let published = Preset { project_scale: 1, grid: grid([32, 20, 8], 0.8), ..tiny() };
    let own = Preset { right_samples_left_pixels: Some(false), ..published.clone() };
    let tables = [&published, &own].map(|preset| {
        let spec = preset.geometry(None).unwrap();
        let pixels = GeometryInputs::new(&spec, &views(preset)).unwrap().pixels;
        let (left, right) = pixels.split_at(pixels.len() / 2);
        (left.to_vec(), right.to_vec())
    });
    assert_eq!(tables[0].0, tables[0].1);
    assert_ne!(tables[1].0, tables[1].1);
    assert_eq!(tables[0].0, tables[1].0);
    for (name, _) in Preset::BUILTIN {
        assert!(!Preset::builtin(name).unwrap().samples_right_with_left_pixels(), "{name}");
    }
}

/// A flat wall: every disparity is 3 columns at full size, so that each cell of the virtual view is
/// the mean of two columns (2 and 3 to its right) and of two rows. Nothing measured: no disparity.
#[test]
fn the_virtual_view_is_the_left_one_moved_by_the_disparity() {
    let device = Device::flex();
    let (width, height) = (12, 5);
    let mut preset = nyu_tiny();
    preset.image = ImageSize { width, height };
    let (width, height) = (width as usize, height as usize);
    let map = noise(width * height, 7);
    let tensor = Tensor::from_data(TensorData::new(map.clone(), [1, 1, height, width]), &device);
    for (depth_m, disparity) in [(2.0, 3.0), (0.0, 0.0)] {
        let rgbd = occdepth_host::network::Rgbd {
            depth_m: Tensor::full([1, 1, height, width], depth_m, &device),
            baseline_focal: Tensor::from_data([6.0_f32], &device),
        };
        let found = Array::new(virtual_stereo::right_view(tensor.clone(), 1, &rgbd)).values;
        let at = |row: isize, column: f32| {
            let row = row.max(0) as usize;
            map[row * width + column.clamp(0.0, (width - 1) as f32) as usize]
        };
        let mut expected = Vec::new();
        for row in 0..height as isize {
            for column in 0..width {
                let right = column as f32 + disparity;
                let corners =
                    [(row - 1, right - 1.0), (row - 1, right), (row, right - 1.0), (row, right)];
                expected
                    .push(corners.iter().map(|&(row, column)| at(row, column)).sum::<f32>() / 4.0);
            }
        }
        assert_close(&found, &expected, 1e-6);
    }
}

/// The shape of `preset` at an eighth of its widths, on a 64x32 image and the smallest grid with an odd
/// number of cells at its quarter.
fn narrow(preset: &Preset) -> Preset {
    let eighth = |width: usize| (width / 8).max(4).next_multiple_of(4);
    let stages = preset.encoder.stages.map(|stage| Stage { width: eighth(stage.width), ..stage });
    let encoder = Encoder {
        stem: eighth(preset.encoder.stem),
        stages,
        head: eighth(preset.encoder.head),
        ..preset.encoder.clone()
    };
    let decoder = Decoder {
        bottleneck: eighth(preset.decoder.bottleneck),
        widths: preset.decoder.widths.map(eighth),
        ..preset.decoder.clone()
    };
    let image = ImageSize { width: 64, height: 32 };
    let mut small = Preset { encoder, decoder, image, ..preset.clone() };
    small.grid.dims = [3, 2, 2].map(|n| n * 4 * preset.project_scale);
    small.unet.widths = preset.unet.widths.map(eighth);
    small.unet.full_width = preset.unet.full_width.map(eighth);
    if let Some(depth) = &mut small.depth {
        depth.width = 16;
        depth.volume.sampling_size = image;
    }
    small
}

fn grid(dims: [u32; 3], voxel_size_m: f64) -> Grid {
    Grid { dims, voxel_size_m, ..tiny().grid }
}

/// Runs a preset on images of noise, a depth image of a slope, and two cameras that look along x.
fn run(preset: &Preset, weights: &Weights) -> Outputs {
    let device = Device::flex();
    let network = Network::new(preset, weights, &device).unwrap();
    let pixels = (preset.image.width * preset.image.height) as usize;
    let images = noise(preset.views * 3 * pixels, 1).iter().map(|x| 2.0 * x).collect();
    let spec = preset.geometry(Some([0.0, -1.0, -1.0])).unwrap();
    let views = views(preset);
    let inputs = if preset.virtual_stereo {
        let arithmetic = preset.dataset.arithmetic();
        let geometry = GeometryInputs::with_virtual_right(&spec, &views[0], 0.1, arithmetic);
        let image = DepthImage {
            depth_m: (0..pixels).map(|at| 1.0 + at as f32 / pixels as f32).collect(),
            baseline_focal: 4.0,
        };
        Inputs::with_depth_image(preset, images, image, &geometry.unwrap(), &device)
    } else {
        let geometry = GeometryInputs::new(&spec, &views).unwrap();
        Inputs::new(preset, images, &geometry, &device)
    };
    network.forward(inputs.unwrap())
}

/// Cameras that look ahead, half a metre beside each other; the image is 80 degrees wide.
fn views(preset: &Preset) -> Vec<View> {
    let [width, height] = [preset.image.width, preset.image.height].map(f64::from);
    let focal = 0.6 * width;
    let view = |baseline_m: f64| View {
        k: Matrix3::new(focal, 0.0, width / 2.0, 0.0, focal, height / 2.0, 0.0, 0.0, 1.0),
        cam_from_ego: Matrix4::new(
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
        ),
    };
    [view(0.0), view(0.5)][..preset.views].to_vec()
}

/// Numbers between -1 and 1 that look random.
fn noise(len: usize, seed: u32) -> Vec<f32> {
    let value = |at: usize| {
        let mixed = (at as u32).wrapping_mul(2_654_435_761).wrapping_add(seed.wrapping_mul(97_531));
        let mixed = (mixed ^ mixed >> 15).wrapping_mul(2_246_822_519);
        (mixed >> 8) as f32 / f64::from(1 << 23) as f32 - 1.0
    };
    (0..len).map(value).collect()
}

/// Equal but for rounding, relative to the largest value.
fn assert_close(found: &[f32], expected: &[f32], tolerance: f32) {
    assert_eq!(found.len(), expected.len());
    let largest = expected.iter().fold(0.0_f32, |largest, x| largest.max(x.abs()));
    assert!(largest > 0.0);
    for (at, (found, expected)) in found.iter().zip(expected).enumerate() {
        let error = (found - expected).abs();
        assert!(error <= tolerance * largest, "[{at}]: {found} instead of {expected}");
    }
}
