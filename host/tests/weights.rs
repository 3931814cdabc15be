//! Weights: the formula of the reference values, reproducible initialisation, and bad files.
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

use std::fs;

use common::{golden, tiny};
use occdepth_host::{
    preset::{ParameterKind, Preset},
    weights::{Provenance, Weights, WeightsError},
};
use proptest::prelude::*;
use serde_json::Value;

/// First values and sum of every tensor that the reference implementation made by the formula.
#[test]
fn formula_matches_the_reference() {
    let test = "formula_matches_the_reference";
    let Some(path) = golden(test, "kitti_b3_formula_keys.json") else { return };
    let keys: Value = serde_json::from_slice(&fs::read(path).unwrap()).unwrap();
    let b3 = Preset::builtin("kitti-b3").unwrap();
    let preset = Preset { encoder: b3.encoder, decoder: b3.decoder, ..tiny() };
    let weights = Weights::formula(&preset);
    for (name, tensor) in weights.iter() {
        let expected = &keys[name];
        let shape: Vec<usize> = serde_json::from_value(expected["shape"].clone()).unwrap();
        assert_eq!(tensor.shape, shape, "{name}");
        let first = expected["first3"].as_array().unwrap();
        for (found, expected) in tensor.values.iter().zip(first) {
            // JSON numbers may be read one unit of f64 off; as f32 they are exact.
            assert_eq!(*found, expected.as_f64().unwrap() as f32, "{name}");
        }
        let sum: f64 = tensor.values.iter().map(|&x| f64::from(x)).sum();
        let expected = expected["sum"].as_f64().unwrap();
        assert!(
            (sum - expected).abs() < 1e-6 * (1.0 + expected.abs()),
            "{name}: {sum}, {expected}"
        );
    }
}

/// Uniform weights of variance 1 / fan-in, and identity norms.
#[test]
fn initialisation_has_the_documented_spread() {
    let preset = Preset::builtin("nano").unwrap();
    let weights = Weights::initialise(&preset, 1);
    weights.check(&preset).unwrap();
    for parameter in preset.parameters() {
        let values = &weights.find(&parameter.name).unwrap().values;
        match parameter.kind {
            ParameterKind::Weight => {
                let fan: usize = parameter.shape[1..].iter().product();
                let bound = (3.0_f64 / fan as f64).sqrt() as f32;
                assert!(values.iter().all(|x| x.abs() <= bound), "{}", parameter.name);
                let count = values.len() as f64;
                if count > 1000.0 {
                    let mean = values.iter().map(|&x| f64::from(x)).sum::<f64>() / count;
                    let square = values.iter().map(|&x| f64::from(x).powi(2)).sum::<f64>() / count;
                    let variance = 1.0 / fan as f64;
                    assert!(mean.abs() < 5.0 * (variance / count).sqrt(), "{}", parameter.name);
                    assert!((square / variance - 1.0).abs() < 0.15, "{}", parameter.name);
                }
            }
            ParameterKind::TransposedWeight { .. } => {
                assert!(values.iter().any(|&x| x != 0.0));
            }
            ParameterKind::NormWeight | ParameterKind::NormVariance => {
                assert!(values.iter().all(|&x| x == 1.0));
            }
            ParameterKind::Bias | ParameterKind::NormBias | ParameterKind::NormMean => {
                assert!(values.iter().all(|&x| x == 0.0));
            }
        }
    }
}

#[test]
fn seeds_and_names_decide_the_weights() {
    let preset = tiny();
    let name = "net_rgb.encoder.original_model.conv_stem.weight";
    let stem = |seed| Weights::initialise(&preset, seed).find(name).unwrap().values.clone();
    assert_eq!(stem(7), stem(7));
    assert_ne!(stem(7), stem(8));
    let weights = Weights::initialise(&preset, 7);
    let head = "net_3d_decoder.ssc_head.conv1";
    assert_ne!(
        weights.find(&format!("{head}.0.weight")),
        weights.find(&format!("{head}.1.weight"))
    );
}

#[test]
fn safetensors_files_are_read_or_refused() {
    let values: Vec<u8> = [1.5_f32, -2.0].iter().flat_map(|x| x.to_le_bytes()).collect();
    let view = safetensors::tensor::TensorView::new(safetensors::Dtype::F32, vec![2], &values);
    let bytes = safetensors::serialize([("a", view.unwrap())], None).unwrap();
    let weights = Weights::from_safetensors(&bytes, "test").unwrap();
    assert_eq!(weights.tensor("a", &[2]).unwrap().values, [1.5, -2.0]);
    assert!(matches!(weights.tensor("a", &[1, 2]), Err(WeightsError::Shape { .. })));
    assert!(matches!(weights.tensor("b", &[2]), Err(WeightsError::Missing { .. })));
    let truncated = Weights::from_safetensors(&bytes[..bytes.len() - 1], "test");
    assert!(matches!(truncated, Err(WeightsError::Format { .. })));

    let missing = Weights::read_safetensors("no/such/file".as_ref()).unwrap_err();
    assert_eq!(missing.to_string(), "cannot read the weights no/such/file");
    let mut weights = Weights::default();
    let error = weights.insert("c", vec![3], vec![0.0]).unwrap_err();
    assert_eq!(error.to_string(), "weights: c holds 1 values, shape [3] needs another number");
}

/// What is written is read again, to the bit, with its provenance, by us and by the reference crate;
/// the same weights make the same bytes.
#[test]
fn a_weights_file_keeps_values_and_provenance() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("w.safetensors");
    let provenance = Provenance {
        preset: "kitti-b3".into(),
        source_sha256: "0123456789abcdef".repeat(4),
        source_name: "occ \"depth\".ckpt".into(),
        trained: true,
    };
    let mut weights = Weights::default();
    weights.insert("b.weight", vec![2, 1], vec![1.5, f32::MIN_POSITIVE / 4.0]).unwrap();
    weights.insert("a", vec![], vec![-0.0]).unwrap();
    weights.write_safetensors(&path).unwrap();
    assert_eq!(Weights::read_safetensors(&path).unwrap().provenance(), None);

    let weights = weights.with_provenance(provenance.clone());
    weights.write_safetensors(&path).unwrap();
    let read = Weights::read_safetensors(&path).unwrap();
    assert_eq!(read, weights);
    assert_eq!(read.provenance(), Some(&provenance));
    assert!(read.find("a").unwrap().values[0].is_sign_negative());

    let bytes = fs::read(&path).unwrap();
    let (_, header) = safetensors::SafeTensors::read_metadata(&bytes).unwrap();
    let entries = header.metadata().as_ref().unwrap();
    assert_eq!(entries["occdepth.preset"], "kitti-b3");
    assert_eq!(entries["occdepth.source_name"], "occ \"depth\".ckpt");
    assert_eq!(entries["occdepth.source_sha256"], provenance.source_sha256);
    assert_eq!(entries["occdepth.trained"], "true");
    let file = safetensors::SafeTensors::deserialize(&bytes).unwrap();
    assert_eq!(file.tensor("b.weight").unwrap().shape(), [2, 1]);
    assert_eq!(file.tensor("b.weight").unwrap().data()[..4], 1.5_f32.to_le_bytes());

    let again = folder.path().join("again.safetensors");
    read.write_safetensors(&again).unwrap();
    assert_eq!(fs::read(&again).unwrap(), bytes);
}

/// A header that tells only a part of where the weights come from was edited by hand.
#[test]
fn half_a_provenance_is_refused() {
    let with = |entries: &[(&str, &str)]| {
        let entries = entries.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
        let none: [(&str, safetensors::tensor::TensorView<'_>); 0] = [];
        let bytes = safetensors::serialize(none, Some(entries)).unwrap();
        Weights::from_safetensors(&bytes, "w.safetensors").map(|_| ()).map_err(|e| e.to_string())
    };
    assert_eq!(with(&[("format", "pt")]), Ok(()));
    let whole = [
        ("occdepth.preset", "nano"),
        ("occdepth.source_name", "x.ckpt"),
        ("occdepth.source_sha256", HASH),
        ("occdepth.trained", "false"),
    ];
    assert_eq!(with(&whole), Ok(()));
    let error = with(&whole[..3]).unwrap_err();
    assert_eq!(error, "w.safetensors: occdepth.trained is nothing, expected true or false");
    let error = with(&[whole[0], whole[1], whole[2], ("occdepth.trained", "yes")]).unwrap_err();
    assert_eq!(error, "w.safetensors: occdepth.trained is \"yes\", expected true or false");
    for (nth, value, expected) in [
        (0, "", "is \"\", expected 1 to 1024 printable bytes"),
        (1, "\u{1b}]0;trained\u{7}.ckpt", r#"is "\u{1b}]0;trained\u{7}.ckpt", expected"#),
        (2, "00", "is \"00\", expected 64 lower-case hexadecimal digits"),
        (2, &HASH.to_uppercase(), "expected 64 lower-case hexadecimal digits"),
    ] {
        let mut changed = whole;
        changed[nth].1 = value;
        let error = with(&changed).unwrap_err();
        assert!(error.contains(whole[nth].0) && error.contains(expected), "{error}");
    }
}

/// What would not be read is not written, and an older file stays.
#[test]
fn an_unprintable_provenance_is_not_written() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("w.safetensors");
    let good = Provenance {
        preset: "nano".into(),
        source_sha256: HASH.into(),
        source_name: "x.ckpt".into(),
        trained: true,
    };
    let weights = Weights::default().with_provenance(good.clone());
    weights.write_safetensors(&path).unwrap();
    let bad = Provenance { source_name: "a\u{9b}2J.ckpt".into(), ..good };
    let error = weights.clone().with_provenance(bad).write_safetensors(&path).unwrap_err();
    let WeightsError::Provenance { key, .. } = error else { panic!("{error}") };
    assert_eq!(key, "occdepth.source_name");
    assert_eq!(Weights::read_safetensors(&path).unwrap(), weights);
}

const HASH: &str = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

#[test]
fn an_unwritable_weights_file_is_an_error_with_its_path() {
    let folder = tempfile::tempdir().unwrap();
    let error = Weights::default().write_safetensors(folder.path()).unwrap_err();
    assert!(matches!(error, WeightsError::Write(_)), "{error:?}");
    assert!(error.to_string().contains(folder.path().to_str().unwrap()), "{error}");
}

proptest! {
    /// Any change of one byte is read or refused, never a panic.
    #[test]
    fn damaged_files_never_panic(at in 0_usize..200, bits in 1_u8..) {
        let mut weights = Weights::default();
        weights.insert("b.weight", vec![2, 1], vec![1.5, 2.5]).unwrap();
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("w.safetensors");
        weights.write_safetensors(&path).unwrap();
        let mut bytes = fs::read(&path).unwrap();
        let at = at % bytes.len();
        bytes[at] ^= bits;
        let _ = Weights::from_safetensors(&bytes, "bytes");
        prop_assert!(Weights::from_safetensors(&bytes[..bytes.len() - 1], "bytes").is_err());
    }

    #[test]
    fn any_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let _ = Weights::from_safetensors(&bytes, "bytes");
    }
}
