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

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
};

use common::{golden, nyu_tiny, tiny};
use occdepth_host::preset::{
    Decoder, Encoder, Head, Parameter, Preset, PresetError, RelationPrior,
};
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

/// No list of names is known for these presets. Names do not depend on widths, so that they follow
/// from the two that are known: `official` for `SemanticKITTI`, `nyu` for `NYUv2`.
#[test]
fn the_other_presets_have_the_known_names() {
    let test = "the_other_presets_have_the_known_names";
    let Some(official) = golden(test, "official_keys_kitti_b3_2080ti.json") else { return };
    let Some(nyu) = golden(test, "nyu_tiny_keys.json") else { return };
    let names = |path| -> BTreeSet<String> {
        let keys: BTreeMap<String, Value> =
            serde_json::from_slice(&fs::read(path).unwrap()).unwrap();
        keys.into_keys().filter(|name| !is_buffer(name)).collect()
    };
    let (official, nyu) = (names(official), names(nyu));
    for (preset, known, without, with) in [
        ("kitti-b7", &official, &[][..], &[][..]),
        ("kitti-b7-flosp", &official, &["flosp_depth."], &[]),
        ("kitti-mono", &official, &["CP_mega_voxels.", "occ_classes."], &[]),
        ("monoscene", &official, &["flosp_depth.", "occ_classes."], &[]),
        ("monoscene-stereo", &official, &["flosp_depth.", "occ_classes."], &[]),
        ("nyu-b4", &nyu, &["CP_mega_voxels."], &[]),
        ("nyu-b4-flospdepth", &nyu, &["CP_mega_voxels."], &["flosp_depth."]),
        ("nyu-b7", &nyu, &[], &["occ_classes."]),
        ("nyu-b7-flospdepth", &nyu, &[], &["flosp_depth.", "occ_classes."]),
        ("tartanair", &nyu, &[], &["occ_classes."]),
    ] {
        let image_encoder = |name: &String| name.starts_with("net_rgb.encoder.");
        let found = shapes(&Preset::builtin(preset).unwrap()).into_keys();
        let found: BTreeSet<String> = found.filter(|name| !image_encoder(name)).collect();
        let kept = known.iter().filter(|name| !without.iter().any(|part| name.contains(part)));
        // The cascade's convolution is below the head, which has another name for `NYUv2`.
        let added = official.iter().filter(|name| with.iter().any(|part| name.contains(part)));
        let added = added.map(|name| name.replace("ssc_head.", "ssc_head_1_4."));
        let expected: BTreeSet<String> =
            kept.cloned().chain(added).filter(|name| !image_encoder(name)).collect();
        assert_eq!(found, expected, "{preset}");
    }
}

/// 150.6 M parameters, as published, with those that nothing reads.
#[test]
fn kitti_b7_has_the_published_number_of_parameters() {
    let preset = Preset::builtin("kitti-b7").unwrap();
    let all = preset.parameters().into_iter().chain(preset.unused_parameters());
    let count: usize = all.filter(Parameter::is_trainable).map(|p| p.len()).sum();
    assert_eq!((count as f64 / 1e5).round() as u32, 1506);
}

/// Options of which no checkpoint is known add and remove what they say, and no more.
#[test]
fn options_change_the_parameters_that_they_name() {
    let names = |preset: &Preset| -> BTreeSet<String> { shapes(preset).into_keys().collect() };
    let changed = |a: &Preset, b: &Preset| -> BTreeSet<String> {
        names(a).symmetric_difference(&names(b)).cloned().collect()
    };
    let tiny = tiny();
    let head = |occluded| Head::Aspp { dilations: vec![1, 2, 3], cascade: true, occluded };
    let occluded = Preset { head: head(true), ..tiny.clone() };
    // conv0 and occ_classes with biases; three branches of two convolutions and two norms.
    let added = changed(&tiny, &occluded);
    assert_eq!(added.len(), 2 * 2 + 3 * 2 * (1 + 4));
    assert!(added.iter().all(|name| name.starts_with("net_3d_decoder.occluded_head.")));
    assert!(!added.contains("net_3d_decoder.occluded_head.conv_classes.weight"));

    let prior = RelationPrior { relations: 2, dilations: vec![1, 2, 3] };
    let two = Preset { relation_prior: Some(prior), ..tiny.clone() };
    let removed = [2, 3].iter().flat_map(|relation| {
        let name = format!("net_3d_decoder.CP_mega_voxels.context_prior_logits.{relation}.0");
        [format!("{name}.bias"), format!("{name}.weight")]
    });
    assert_eq!(changed(&tiny, &two), removed.collect());
    let resize = &shapes(&two)["net_3d_decoder.CP_mega_voxels.resize.0.weight"];
    assert_eq!(resize[..], [32, 32 + 2 * 64, 1, 1, 1]);

    // Built from 1/2 on: a checkpoint without up1. Built from 1/1 on: the same checkpoint as ever.
    let fewer = Preset { scales: vec![2, 4, 8], ..tiny.clone() };
    let removed = changed(&tiny, &fewer);
    assert_eq!(removed.len(), 2 * (2 + 4) + 2);
    assert!(removed.iter().all(|name| name.contains("up1.") || name.contains("output_1_1.")));
    let decoder = Decoder { return_up_feats: Some(1), ..tiny.decoder.clone() };
    let kept = Preset { decoder, ..fewer.clone() };
    assert_eq!(shapes(&kept), shapes(&tiny));
    assert_eq!(kept.parameters(), fewer.parameters());
}

/// The shapes that the published configurations state for their 3-D networks, `full_scene_size`.
#[test]
fn indoor_volumes_are_stored_as_published() {
    for (name, stored) in [("nyu-b4", [60, 36, 60]), ("tartanair", [120, 48, 120])] {
        let preset = Preset::builtin(name).unwrap();
        assert_eq!(preset.unet.axes.arrange(preset.grid.dims), stored, "{name}");
    }
    // The published extent of NYU's scenes, and that an origin has to be given.
    let preset = Preset::builtin("nyu-b7").unwrap();
    match preset.geometry(None) {
        Err(PresetError::Field { field: "grid.origin_m", .. }) => {}
        other => panic!("{other:?}"),
    }
    let grid = preset.geometry(Some([1.0, 2.0, 3.0])).unwrap().grid;
    assert_eq!(grid.origin_m, [1.0, 2.0, 3.0]);
    let extent_m = grid.dims.map(|n| f64::from(n) * grid.voxel_size_m);
    for (found, published) in extent_m.iter().zip([4.8, 4.8, 2.88]) {
        assert!((found - published).abs() < 1e-9);
    }
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
        ("views = 2", "views = 2\nvirtual_stereo = true", "virtual_stereo"),
        ("full_width = 8\n", "", "project_scale"),
        (
            "project_scale = 2",
            "project_scale = 2\nright_samples_left_pixels = true",
            "right_samples_left_pixels",
        ),
        ("bottleneck = 128", "bottleneck = 128\nreturn_up_feats = 4", "decoder.return_up_feats"),
        ("bottleneck = 128", "bottleneck = 128\nreturn_up_feats = 3", "decoder.return_up_feats"),
        ("dims = [128, 128, 16]", "dims = [1024, 1024, 1024]", "grid.dims"),
        ("origin_m = [0.0,", "origin_m = [inf,", "grid.origin_m"),
        ("min_m = 2.0", "min_m = -1.0", "depth.volume.bins.min_m"),
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
        ("activation = \"relu\"", "activation = 1"),
        ("[encoder]", "[encoder]\nchannels = 3"),
        ("upsample_kernel = 2", "upsample_kernel = 2\naxes = \"yxz\""),
    ] {
        let edited = nano.replacen(before, after, 1);
        assert!(
            matches!(Preset::parse(&edited, "edited"), Err(PresetError::Parse { .. })),
            "{after}"
        );
    }
    let b3 = Preset::BUILTIN.iter().find(|(name, _)| *name == "kitti-b3").unwrap().1;
    let edited = b3.replacen("tf_efficientnet_b3_ns\"\n\n[", "tf_efficientnet_b6_ns\"\n\n[", 1);
    let error = chain(&Preset::parse(&edited, "edited").unwrap_err());
    assert!(error.contains("encoder") && error.contains("b6") && error.contains("b7"), "{error}");
    let edited = b3.replacen("cascade = true", "cascade = true\noccluded = true", 1);
    let edited = edited.replacen("full_width = 16", "", 1);
    let edited = edited.replacen("project_scale = 2", "project_scale = 1", 1);
    match Preset::parse(&edited, "edited") {
        Err(PresetError::Field { field: "unet.full_width", .. }) => {}
        other => panic!("{other:?}"),
    }
    let error = Preset::builtin("giga").unwrap_err().to_string();
    assert!(error.starts_with("no preset is called \"giga\"; built in are nano, kitti-b3, "));
}

/// An error with its causes.
fn chain(error: &dyn std::error::Error) -> String {
    error.source().map_or_else(|| error.to_string(), |cause| format!("{error}: {}", chain(cause)))
}

/// Every value of a document that is neither a table nor an array, in order.
fn leaves(value: &mut toml::Value) -> Vec<&mut toml::Value> {
    match value {
        toml::Value::Table(table) => {
            table.iter_mut().flat_map(|(_, value)| leaves(value)).collect()
        }
        toml::Value::Array(values) => values.iter_mut().flat_map(leaves).collect(),
        leaf => vec![leaf],
    }
}

/// Values that a careless or a hostile document may hold.
fn any_leaf() -> impl Strategy<Value = toml::Value> {
    prop_oneof![
        any::<i64>().prop_map(toml::Value::Integer),
        (-2_i64..70_000).prop_map(toml::Value::Integer),
        any::<f64>().prop_map(toml::Value::Float),
        prop::sample::select(vec![f64::NAN, f64::INFINITY, -0.0, 1e-300, 1e300])
            .prop_map(toml::Value::Float),
        any::<bool>().prop_map(toml::Value::Boolean),
        ".{0,20}".prop_map(toml::Value::String),
        Just(toml::Value::Array(vec![])),
        Just(toml::Value::Table(toml::Table::new())),
    ]
}

proptest! {
    /// A document with one or two values replaced is a network or is refused with the document's name
    /// and the field; whatever is accepted can be counted and listed.
    #[test]
    fn documents_with_other_values_are_networks_or_refused_by_field(
        builtin in prop::sample::select(Preset::BUILTIN.to_vec()),
        edits in prop::collection::vec((any::<prop::sample::Index>(), any_leaf()), 1..=2),
    ) {
        let mut document: toml::Value = toml::from_str(builtin.1).unwrap();
        for (index, value) in edits {
            let mut leaves = leaves(&mut document);
            let at = index.index(leaves.len());
            *leaves[at] = value;
        }
        let text = toml::to_string(&document).unwrap();
        match Preset::parse(&text, "the document") {
            Ok(preset) => {
                prop_assert!(preset.multiply_accumulates().total() > 0);
                prop_assert!(!preset.parameters().iter().any(Parameter::is_empty));
                prop_assert!(!preset.unused_parameters().is_empty());
                prop_assert!(preset.geometry(Some([0.0; 3])).is_ok());
                let again = toml::to_string(&preset).unwrap();
                prop_assert_eq!(Preset::parse(&again, "again").unwrap(), preset);
            }
            Err(error) => {
                let said = chain(&error);
                prop_assert!(said.starts_with("the document: "), "{said}");
                match error {
                    PresetError::Field { field, .. } => {
                        let key = field.rsplit('.').next().unwrap();
                        prop_assert!(said.contains(field) && text.contains(key), "{said}");
                    }
                    // The parser names the line and what it expected there.
                    PresetError::Parse { .. } => prop_assert!(said.contains("line"), "{said}"),
                    other => prop_assert!(false, "{other:?}"),
                }
            }
        }
    }

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
