//! Presets: parameters against published state dicts, costs against the published network's, and
//! bad documents.
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

use std::{collections::BTreeMap, fs};

use common::{golden, nyu_tiny, tiny};
use occdepth_host::preset::{Encoder, Parameter, Preset, PresetError};
use proptest::prelude::*;
use serde_json::Value;

/// What a state dict holds beyond parameters: batch counters and geometry buffers.
fn is_buffer(name: &str) -> bool {
    name.ends_with(".num_batches_tracked") || name.starts_with("flosp_depth.voxel_")
}

/// Names and shapes of a preset, used and unused.
fn shapes(preset: &Preset) -> BTreeMap<String, Vec<usize>> {
    let all: Vec<Parameter> =
        preset.parameters().into_iter().chain(preset.unused_parameters()).collect();
    let count = all.len();
    let shapes: BTreeMap<_, _> = all.into_iter().map(|p| (p.name, p.shape)).collect();
    assert_eq!(shapes.len(), count, "a parameter is listed twice");
    shapes
}

#[test]
fn kitti_b3_has_the_official_parameters() {
    let test = "kitti_b3_has_the_official_parameters";
    let Some(path) = golden(test, "official_keys_kitti_b3_2080ti.json") else { return };
    let official: BTreeMap<String, Vec<usize>> =
        serde_json::from_slice(&fs::read(path).unwrap()).unwrap();
    let official: BTreeMap<_, _> =
        official.into_iter().filter(|(name, _)| !is_buffer(name)).collect();
    let preset = Preset::builtin("kitti-b3").unwrap();
    assert_eq!(shapes(&preset), official);

    // 40.86 M parameters, as published, with those that nothing reads.
    let all = preset.parameters().into_iter().chain(preset.unused_parameters());
    let count: usize = all.filter(Parameter::is_trainable).map(|p| p.len()).sum();
    assert_eq!((count as f64 / 1e4).round() as u32, 4086);
}

#[test]
fn tiny_has_the_reference_parameters() {
    let test = "tiny_has_the_reference_parameters";
    let Some(path) = golden(test, "kitti_tiny_state_dict.safetensors") else { return };
    let bytes = fs::read(path).unwrap();
    let file = safetensors::SafeTensors::deserialize(&bytes).unwrap();
    let reference: BTreeMap<String, Vec<usize>> = file
        .iter()
        .filter(|(name, _)| !is_buffer(name))
        .map(|(name, view)| (name.to_owned(), view.shape().to_vec()))
        .collect();
    assert_eq!(shapes(&tiny()), reference);
}

/// The 3-D network for `NYUv2`, with its own names and without a last upsampling.
#[test]
fn nyu_has_the_reference_parameters() {
    let test = "nyu_has_the_reference_parameters";
    let Some(path) = golden(test, "nyu_tiny_keys.json") else { return };
    let reference: BTreeMap<String, Vec<usize>> =
        serde_json::from_slice(&fs::read(path).unwrap()).unwrap();
    let reference: BTreeMap<_, _> =
        reference.into_iter().filter(|(name, _)| !is_buffer(name)).collect();
    assert_eq!(shapes(&nyu_tiny()), reference);
}

/// The published backbone on the small network: names and shapes of its formula weights.
#[test]
fn the_published_backbone_has_the_reference_parameters() {
    let test = "the_published_backbone_has_the_reference_parameters";
    let Some(path) = golden(test, "kitti_b3_formula_keys.json") else { return };
    let reference: BTreeMap<String, Value> =
        serde_json::from_slice(&fs::read(path).unwrap()).unwrap();
    let shape =
        |value: &Value| -> Vec<usize> { serde_json::from_value(value["shape"].clone()).unwrap() };
    let reference: BTreeMap<_, _> = reference
        .iter()
        .filter(|(name, _)| !is_buffer(name))
        .map(|(name, value)| (name.clone(), shape(value)))
        .collect();
    let b3 = Preset::builtin("kitti-b3").unwrap();
    assert_eq!(shapes(&Preset { encoder: b3.encoder, decoder: b3.decoder, ..tiny() }), reference);
}

/// The block tables of the reference's encoders, one row per block. No reference values cover a
/// forward pass of b4, b5 or b7: these tables are all that is known of them.
#[test]
fn encoders_have_the_reference_blocks() {
    let test = "encoders_have_the_reference_blocks";
    let Some(path) = golden(test, "encoder_arch.json") else { return };
    let reference: Value = serde_json::from_slice(&fs::read(path).unwrap()).unwrap();
    assert_encoder(&tiny().encoder, &reference["tiny"]);
    for name in Encoder::PUBLISHED {
        assert_encoder(&Encoder::published(name).unwrap(), &reference[name]);
    }
}

fn assert_encoder(encoder: &Encoder, reference: &Value) {
    assert_eq!(reference["conv_stem"]["out"], encoder.stem);
    assert_eq!(reference["conv_head"]["out"], encoder.head);
    let blocks = encoder.blocks();
    let expected = reference["blocks"].as_array().unwrap();
    assert_eq!(blocks.len(), expected.len());
    for (block, expected) in blocks.iter().zip(expected) {
        assert_eq!(expected["key"], block.name);
        assert_eq!(expected["type"] == "InvertedResidual", block.expands, "{}", block.name);
        assert_eq!(expected["has_residual"], block.residual, "{}", block.name);
        assert_eq!(expected["se_reduce"], block.reduced.unwrap(), "{}", block.name);
        assert_eq!(expected["conv_dw"]["out"], block.hidden, "{}", block.name);
        assert_eq!(expected["conv_dw"]["k"], block.kernel, "{}", block.name);
        assert_eq!(expected["conv_dw"]["stride"], block.stride, "{}", block.name);
        assert_eq!(expected["conv_pw"]["in"], block.input, "{}", block.name);
        let project = if block.expands { "conv_pwl" } else { "conv_pw" };
        assert_eq!(expected[project]["out"], block.output, "{}", block.name);
    }
}

/// Multiply-accumulates of the published network, counted by its authors' framework (in 10^9, one
/// decimal).
#[test]
fn kitti_b3_costs_what_the_published_network_costs() {
    let cost = Preset::builtin("kitti-b3").unwrap().multiply_accumulates();
    let giga = |count: u64| (count as f64 / 1e8).round() / 10.0;
    assert_eq!(giga(cost.encoder), 2.0 * 9.0);
    assert!((giga(cost.encoder + cost.decoder) - 2.0 * 161.6).abs() <= 0.2, "{cost:?}");
    // Counted here with the corners of the voxels, 0.004 of them.
    assert!((giga(cost.depth) - 13.4).abs() < 0.11, "{cost:?}");
    assert_eq!(giga(cost.head), 123.7);
    assert_eq!(giga(cost.unet + cost.relation_prior + cost.head), 146.8);
}

/// What the nano preset is for: two CPU cores and a file that fits in the repository.
#[test]
fn nano_stays_small() {
    let preset = Preset::builtin("nano").unwrap();
    let cost = preset.multiply_accumulates();
    assert!(cost.total() < 1_200_000_000, "{cost:?}");
    assert!(preset.parameter_count() < 1_500_000, "{}", preset.parameter_count());
}

#[test]
fn presets_survive_toml() {
    for (name, _) in Preset::BUILTIN {
        let preset = Preset::builtin(name).unwrap();
        let text = toml::to_string(&preset).unwrap();
        assert_eq!(Preset::parse(&text, "again").unwrap(), preset);
    }
}

#[test]
fn errors_name_the_field() {
    let nano = Preset::BUILTIN.iter().find(|(name, _)| *name == "nano").unwrap().1;
    let cases = [
        ("views = 2", "views = 3", "views"),
        ("pattern = 0", "pattern = 9", "pattern"),
        ("scales = [2, 4, 8]", "scales = [4, 2]", "scales"),
        ("scales = [2, 4, 8]", "scales = [2, 4]", "scales"),
        ("project_scale = 2", "project_scale = 4", "project_scale"),
        ("project_scale = 2", "project_scale = 1", "unet.upsample_kernel"),
        ("dims = [128, 128, 16]", "dims = [128, 128, 15]", "grid.dims"),
        ("voxel_size_m = 0.4", "voxel_size_m = nan", "grid.voxel_size_m"),
        ("stem = 16", "stem = 0", "encoder.stem"),
        ("max_m = 54.0", "max_m = 1.0", "depth.volume.bins.max_m"),
        ("count = 48", "count = 100000", "depth.volume.bins.count"),
        ("widths = [16, 32, 64]", "widths = [16, 30, 64]", "unet.widths"),
        ("width = 320", "width = 4294967295", "image.width"),
    ];
    for (before, after, expected) in cases {
        assert!(nano.contains(before), "{before}");
        match Preset::parse(&nano.replacen(before, after, 1), "edited") {
            Err(PresetError::Field { field, .. }) => assert_eq!(field, expected, "{after}"),
            other => panic!("{after}: {other:?}"),
        }
    }
    for (before, after) in [
        ("views = 2", "views = 2\nviewz = 2"),
        ("kind = \"slim\"", "kind = \"slim\"\ncascade = true"),
        ("kind = \"slim\"", "kind = \"wide\""),
        ("activation = \"relu\"", ""),
    ] {
        let edited = nano.replacen(before, after, 1);
        assert!(
            matches!(Preset::parse(&edited, "edited"), Err(PresetError::Parse { .. })),
            "{after}"
        );
    }
    let error = Preset::builtin("giga").unwrap_err().to_string();
    assert!(error.starts_with("no preset is called \"giga\"; built in are nano, kitti-b3, "));
}

proptest! {
    /// No edit of a valid document makes the parser or the counts panic.
    #[test]
    fn edited_documents_never_panic(position in 0_usize..2000, byte in any::<u8>()) {
        let nano = Preset::BUILTIN[0].1;
        let mut bytes = nano.as_bytes().to_vec();
        let position = position % bytes.len();
        bytes[position] = byte;
        if let Ok(preset) = Preset::parse(&String::from_utf8_lossy(&bytes), "edited") {
            prop_assert!(preset.multiply_accumulates().total() > 0);
        }
    }

    #[test]
    fn any_text_never_panics(text in ".{0,200}") {
        prop_assert!(Preset::parse(&text, "text").is_err());
    }
}
