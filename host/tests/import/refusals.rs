//! What makes an import refuse: one wrong thing at a time, and all at once.

use std::path::PathBuf;

use occdepth_host::{
    import::{self, Checkpoint, ImportError, Options, Report, Unused},
    weights::{Provenance, Weights},
};
use tempfile::TempDir;

use super::{fixture, small};

/// Weights of the small network in a file of their own, to be spoilt.
struct Spoilt {
    folder: TempDir,
    weights: Weights,
}

impl Spoilt {
    fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap(), weights: Weights::formula(&small()) }
    }

    fn rename(mut self, from: &str, to: &str) -> Self {
        let mut renamed = Weights::default();
        for (name, tensor) in self.weights.iter() {
            let name = if name == from { to } else { name };
            renamed.insert(name, tensor.shape.clone(), tensor.values.clone()).unwrap();
        }
        self.weights = renamed;
        self
    }

    fn replace(mut self, name: &str, shape: &[usize], values: &[f32]) -> Self {
        self.weights.insert(name, shape.to_vec(), values.to_vec()).unwrap();
        self
    }

    fn path(&self) -> PathBuf {
        let path = self.folder.path().join("spoilt.safetensors");
        self.weights.write_safetensors(&path).unwrap();
        path
    }

    fn import(&self, options: Options) -> Result<(Weights, Report), ImportError> {
        import::import(&mut Checkpoint::open(&self.path()).unwrap(), &small(), options)
    }

    fn refusal(&self) -> Report {
        match self.import(Options::default()) {
            Err(ImportError::Refused { report, .. }) => *report,
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn everything_that_is_wrong_is_named() {
    let spoilt = Spoilt::new()
        .rename(STEM, "net_rgb.encoder.original_model.conv_stam.weight")
        .rename(HEAD_BIAS, "net_rgb.decoder.conv2.bios")
        .replace("net_rgb.decoder.conv2.weight", &[2, 3], &[0.0; 6])
        .replace("dino.head.weight", &[1], &[0.0]);
    let report = spoilt.refusal();
    let missing: Vec<&str> = report.missing.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(missing, [HEAD_BIAS, STEM]);
    assert_eq!(report.missing[1].1, [2, 3, 3, 3]);
    assert_eq!(report.misshapen.len(), 1);
    assert_eq!(report.misshapen[0].expected, [2, 3, 1, 1]);
    let unknown: Vec<&str> = report.unknown.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(
        unknown,
        [
            "dino.head.weight",
            "net_rgb.decoder.conv2.bios",
            "net_rgb.encoder.original_model.conv_stam.weight",
        ]
    );
    let text = report.to_string();
    for name in missing.iter().chain(&unknown).chain(&["net_rgb.decoder.conv2.weight"]) {
        assert!(text.contains(name), "{name} in {text}");
    }
}

#[test]
fn values_that_are_not_finite_are_refused_by_name() {
    let spoilt = Spoilt::new().replace(HEAD_BIAS, &[2], &[f32::NAN, 1.0]).replace(
        STEM,
        &[2, 3, 3, 3],
        &[f32::INFINITY; 54],
    );
    let expected = [(STEM.to_owned(), 54), (HEAD_BIAS.to_owned(), 1)];
    assert_eq!(spoilt.refusal().not_finite, expected);
}

/// Unknown tensors are refused; dropped when that is asked for, and still listed.
#[test]
fn unknown_tensors_are_dropped_only_on_request() {
    let spoilt = Spoilt::new().replace("dino.head.weight", &[1], &[0.0]);
    assert_eq!(spoilt.refusal().problems(), "1 unknown");
    let (weights, report) = spoilt.import(Options { allow_unknown: true }).unwrap();
    assert_eq!(report.unknown, [("dino.head.weight".to_owned(), "float32 [1]".to_owned())]);
    assert!(weights.find("dino.head.weight").is_none());
    assert_eq!(weights.len(), small().parameters().len());
}

/// What only training or the published code's own geometry needs is left out, with the reason.
#[test]
fn buffers_of_training_and_geometry_are_explained() {
    let spoilt = Spoilt::new().replace("class_weights", &[20], &[0.5; 20]).replace(
        "flosp_depth.voxel_size",
        &[3],
        &[0.4; 3],
    );
    let (weights, report) = spoilt.import(Options::default()).unwrap();
    let expected = [
        ("class_weights".to_owned(), Unused::Training),
        ("flosp_depth.voxel_size".to_owned(), Unused::GridBuffer),
    ];
    assert_eq!(report.unused, expected);
    assert!(report.to_string().contains("not needed: 1 (class_weights), of losses and metrics"));
    assert_eq!(weights.len(), small().parameters().len());
}

/// Wrappers are taken off; where the same tensor is there twice, neither wins silently.
#[test]
fn wrapped_names_are_official_ones() {
    let spoilt = Spoilt::new().rename(STEM, &format!("model.module.{STEM}"));
    let (weights, _) = spoilt.import(Options::default()).unwrap();
    assert_eq!(weights.find(STEM), Spoilt::new().weights.find(STEM));

    let twice = Spoilt::new().replace(&format!("module.{STEM}"), &[2, 3, 3, 3], &[0.5; 54]);
    assert_eq!(twice.refusal().unknown[0].0, format!("module.{STEM}"));
}

/// A tensor that only code could make is not made, and the code is named.
#[test]
fn a_weight_that_is_code_is_unusable() {
    for file in ["code_as_weight.ckpt", "code_as_weight_legacy.ckpt"] {
        let checkpoint = Checkpoint::open(&fixture(file)).unwrap();
        assert_eq!(checkpoint.calls_not_made(), ["posix.system"]);
        let report = Report::new(&checkpoint, &small());
        let expected = [(HEAD_BIAS.to_owned(), "a call of posix.system".to_owned())];
        assert_eq!(report.unusable, expected);
    }
}

/// What says that it is untrained stays so when it is imported again.
#[test]
fn untrained_weights_stay_untrained() {
    let mut spoilt = Spoilt::new();
    let (weights, _) = spoilt.import(Options::default()).unwrap();
    assert!(weights.provenance().unwrap().trained, "no counters, nothing said");
    spoilt.weights = spoilt.weights.with_provenance(Provenance {
        preset: "small".into(),
        source_sha256: "00".repeat(32),
        source_name: "made-up".into(),
        trained: false,
    });
    let (weights, _) = spoilt.import(Options::default()).unwrap();
    assert!(!weights.provenance().unwrap().trained);
    assert_eq!(weights.provenance().unwrap().source_name, "spoilt.safetensors");
}

/// A weights file that is imported as another preset than it says it is of: not without a word.
#[test]
fn another_preset_than_the_file_says_is_reported() {
    let imported = |preset: &str| {
        let mut spoilt = Spoilt::new();
        spoilt.weights = spoilt.weights.with_provenance(Provenance {
            preset: preset.into(),
            source_sha256: "00".repeat(32),
            source_name: "made-up".into(),
            trained: true,
        });
        spoilt.import(Options::default()).unwrap().1
    };
    let same = imported("small");
    assert_eq!(same.contradicted, None);
    assert!(!same.to_string().contains("another preset"), "{same}");
    let other = imported("bigger");
    let expected = "another preset: the file says that it is of bigger\n";
    assert!(other.fits() && other.to_string().contains(expected), "{other}");
}

const STEM: &str = "net_rgb.encoder.original_model.conv_stem.weight";
const HEAD_BIAS: &str = "net_rgb.decoder.conv2.bias";
