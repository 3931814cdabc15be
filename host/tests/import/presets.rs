//! Published names against presets, and presets told by names and shapes.

use std::{collections::BTreeMap, fs, path::Path};

use occdepth_host::{
    import::{self, Checkpoint, GuessError, Options, Report, Unused},
    preset::Preset,
    weights::Weights,
};

use serde_json::json;

use super::{common, sparse};

/// Every key of the official configuration is used or explained, and its preset is told by it.
#[test]
fn every_official_key_is_used_or_explained() {
    let test = "every_official_key_is_used_or_explained";
    let Some(keys) = common::golden(test, "official_keys_kitti_b3_2080ti.json") else { return };
    let keys: BTreeMap<String, Vec<usize>> =
        serde_json::from_slice(&fs::read(keys).unwrap()).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("b3.safetensors");
    sparse(&path, keys.clone(), None);
    let checkpoint = Checkpoint::open(&path).unwrap();
    let preset = import::guess(&checkpoint).unwrap();
    assert_eq!(preset.name, "kitti-b3");
    let report = Report::new(&checkpoint, &preset);
    assert!(report.fits(), "{report}");
    assert_eq!(report.used, preset.parameters().len());
    assert_eq!(report.used + report.unused.len(), keys.len());
    let count = |reason| report.unused.iter().filter(|(_, found)| *found == reason).count();
    let counters = keys.keys().filter(|key| key.ends_with("num_batches_tracked")).count();
    assert_eq!(count(Unused::BatchCounter), counters);
    assert_eq!(count(Unused::GridBuffer), 3);
    assert_eq!(count(Unused::EncoderHeadNorm), 4);
    assert_eq!(count(Unused::UnusedScale), 2);
    assert_eq!(count(Unused::Training), 0);
}

/// The small network of the reference values, whose weights are stored: what is imported is what
/// the network's golden tests run with.
#[test]
fn the_reference_network_is_imported_to_the_bit() {
    let test = "the_reference_network_is_imported_to_the_bit";
    let Some(path) = common::golden(test, "kitti_tiny_state_dict.safetensors") else { return };
    let preset = common::tiny();
    let mut checkpoint = Checkpoint::open(&path).unwrap();
    let (weights, report) = import::import(&mut checkpoint, &preset, Options::default()).unwrap();
    assert_eq!(report.used + report.unused.len(), 918);
    assert_eq!(report.used, preset.parameters().len());
    let stored = Weights::read_safetensors(&path).unwrap();
    for (name, tensor) in weights.iter() {
        assert_eq!(Some(tensor), stored.find(name), "{name}");
    }
    // Its batch norms have seen no batch.
    assert!(!weights.provenance().unwrap().trained);
}

/// Every built-in preset is told by its own names and shapes, but for those that have the same.
#[test]
fn presets_are_told_by_names_and_shapes() {
    let folder = tempfile::tempdir().unwrap();
    for (name, _) in Preset::BUILTIN {
        let checkpoint = published(folder.path(), name);
        match import::guess(&checkpoint) {
            Ok(preset) => assert_eq!(preset.name, name),
            Err(GuessError::Ambiguous { presets, fields, .. }) => {
                assert!(presets.iter().any(|found| found == name), "{name}: {presets:?}");
                assert!(AMBIGUOUS.contains(&name), "{name}: {presets:?}");
                assert!(fields.iter().any(|field| field == "views"), "{fields:?}");
            }
            Err(error) => panic!("{name}: {error}"),
        }
    }
}

/// One camera or two: `MonoScene`'s weights do not show it.
#[test]
fn presets_with_the_same_weights_need_a_name() {
    let folder = tempfile::tempdir().unwrap();
    let error = import::guess(&published(folder.path(), "monoscene")).unwrap_err();
    let GuessError::Ambiguous { presets, .. } = &error else { panic!("{error}") };
    assert_eq!(presets, &AMBIGUOUS);
    let text = error.to_string();
    assert!(text.contains("views") && text.contains("--preset"), "{text}");
}

/// A weights file that an import wrote says which of several presets it is of.
#[test]
fn a_weights_file_names_its_preset() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("imported.safetensors");
    let guess = |made_of: &str, said: &str| {
        let parameters = Preset::builtin(made_of).unwrap().parameters().into_iter();
        let metadata = json!({
            "occdepth.preset": said,
            "occdepth.source_sha256": "0".repeat(64),
            "occdepth.source_name": "monoscene_kitti.ckpt",
            "occdepth.trained": "true",
        });
        sparse(
            &path,
            parameters.map(|parameter| (parameter.name, parameter.shape)),
            Some(metadata),
        );
        import::guess(&Checkpoint::open(&path).unwrap()).map(|preset| preset.name)
    };
    for said in AMBIGUOUS {
        assert_eq!(guess("monoscene", said).unwrap(), said);
    }
    // One that does not fit, or that nobody knows, decides nothing.
    for said in ["kitti-b3", "mine"] {
        let error = guess("monoscene", said).unwrap_err();
        assert!(matches!(error, GuessError::Ambiguous { .. }), "{said}: {error}");
    }
    assert_eq!(guess("kitti-b3", "kitti-b7").unwrap(), "kitti-b3");
}

/// The wrong preset is refused, and what is wrong is named.
#[test]
fn the_wrong_preset_is_refused_by_name() {
    let folder = tempfile::tempdir().unwrap();
    let mut checkpoint = published(folder.path(), "kitti-b7");
    let preset = Preset::builtin("kitti-b3").unwrap();
    let error = import::import(&mut checkpoint, &preset, Options { allow_unknown: true });
    let error = error.unwrap_err();
    let text = error.to_string();
    assert!(text.contains("kitti-b3") && text.contains("of another shape"), "{text}");
    let import::ImportError::Refused { report, .. } = error else { panic!("{text}") };
    let stem = "net_rgb.encoder.original_model.conv_stem.weight";
    let stem = report.misshapen.iter().find(|misshapen| misshapen.name == stem).unwrap();
    // Stems of B7 and B3 (`encoder_arch.json`).
    assert_eq!((&stem.found, &stem.expected), (&vec![64, 3, 3, 3], &vec![40, 3, 3, 3]));
}

/// A file with the names and shapes that a published checkpoint of this preset holds.
fn published(folder: &Path, name: &str) -> Checkpoint {
    let preset = Preset::builtin(name).unwrap();
    let path = folder.join(format!("{name}.safetensors"));
    let parameters = preset.parameters().into_iter().chain(preset.unused_parameters());
    sparse(&path, parameters.map(|parameter| (parameter.name, parameter.shape)), None);
    Checkpoint::open(&path).unwrap()
}

const AMBIGUOUS: [&str; 2] = ["monoscene", "monoscene-stereo"];
