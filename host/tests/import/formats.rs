//! Every format and every kind of tensor, against the values that `PyTorch` itself reports.

use std::{collections::BTreeMap, fs};

use half::f16;
use occdepth_host::import::{
    self, Checkpoint, CheckpointError, Dtype, Entry, Format, Options, Unused,
};
use serde_json::Value;
use sha2::{Digest, Sha256};

use super::{fixture, small, small_value};

/// Types, shapes and values of all kinds of tensors: contiguous, transposed, sliced, repeated,
/// shared, empty, scalar; of every type; from the zip and the legacy format, and from a later
/// release.
#[test]
fn every_kind_of_tensor_is_read_to_the_bit() {
    let expected: BTreeMap<String, Value> =
        serde_json::from_slice(&fs::read(fixture("kinds.json")).unwrap()).unwrap();
    for (file, format) in
        [("zip.pth", Format::Zip), ("legacy.pth", Format::Legacy), ("modern.pth", Format::Zip)]
    {
        let mut checkpoint = Checkpoint::open(&fixture(file)).unwrap();
        assert_eq!(checkpoint.format(), format);
        let names: Vec<&String> = checkpoint.entries().keys().collect();
        assert_eq!(names, expected.keys().collect::<Vec<_>>(), "{file}");
        for (name, expected) in &expected {
            let Entry::Tensor { dtype, shape, .. } = checkpoint.entries()[name].clone() else {
                panic!("{file}: {name} is {}", checkpoint.entries()[name]);
            };
            assert_eq!(dtype.to_string(), expected["dtype"].as_str().unwrap(), "{file}: {name}");
            let expected_shape: Vec<usize> =
                serde_json::from_value(expected["shape"].clone()).unwrap();
            assert_eq!(shape, expected_shape, "{file}: {name}");
            let read = checkpoint.read(name);
            if !dtype.is_float() {
                assert!(matches!(read, Err(CheckpointError::Field { .. })), "{file}: {name}");
                continue;
            }
            let values = expected["values"].as_array().unwrap().iter();
            let values: Vec<f32> = values.map(|x| x.as_str().unwrap().parse().unwrap()).collect();
            let (read, values) = (bits(&read.unwrap()), bits(&values));
            assert_eq!(read, values, "{file}: {name}");
        }
    }
}

/// A Lightning checkpoint among its callbacks, optimizer and `OmegaConf` hyper-parameters.
#[test]
fn a_lightning_checkpoint_becomes_weights() {
    let path = fixture("lightning.ckpt");
    let mut checkpoint = Checkpoint::open(&path).unwrap();
    for key in ["callbacks", "hyper_parameters", "optimizer_states"] {
        assert!(checkpoint.beside().iter().any(|found| found == key), "{key}");
    }
    let calls = checkpoint.calls_not_made();
    assert!(calls.iter().any(|call| call == "omegaconf.dictconfig.DictConfig"), "{calls:?}");
    assert!(!calls.iter().any(|call| call.starts_with("torch.")), "{calls:?}");

    let preset = small();
    let (weights, report) = import::import(&mut checkpoint, &preset, Options::default()).unwrap();
    weights.check(&preset).unwrap();
    assert_eq!(weights.len(), preset.parameters().len());
    for (name, tensor) in weights.iter() {
        let expected: Vec<f32> = (0..tensor.values.len()).map(|i| small_value(name, i)).collect();
        assert_eq!(tensor.values, expected, "{name}");
    }

    assert_eq!(report.used, weights.len());
    assert!(report.fits() && report.converted.is_empty(), "{report}");
    assert!(report.to_string().contains(" and so on), counters of training"), "{report}");
    let mut reasons = BTreeMap::new();
    for (_, reason) in &report.unused {
        *reasons.entry(*reason).or_insert(0) += 1;
    }
    // 57 batch norms; 3 shortcuts of 5 tensors in 2 bottlenecks; bn2; resize_output_1_16.
    let expected = [
        (Unused::BatchCounter, 57),
        (Unused::PlainShortcut, 30),
        (Unused::EncoderHeadNorm, 4),
        (Unused::UnusedScale, 2),
    ];
    assert_eq!(reasons, BTreeMap::from(expected));

    let provenance = weights.provenance().unwrap();
    let digest = Sha256::digest(fs::read(&path).unwrap());
    let digits: Vec<String> = digest.iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!(provenance.source_sha256, digits.concat());
    assert_eq!(provenance.source_name, "lightning.ckpt");
    assert_eq!(provenance.preset, "small");
    assert!(provenance.trained);
}

/// float16 weights below `module.`, as `DataParallel` saves them.
#[test]
fn half_weights_of_a_wrapped_module_are_converted() {
    let preset = small();
    let mut checkpoint = Checkpoint::open(&fixture("half.pth")).unwrap();
    assert!(checkpoint.entries().keys().all(|name| name.starts_with("module.")));
    let (weights, report) = import::import(&mut checkpoint, &preset, Options::default()).unwrap();
    assert_eq!(report.converted, BTreeMap::from([(Dtype::F16, report.used)]));
    assert!(report.to_string().contains("from float16 to float32"), "{report}");
    for (name, tensor) in weights.iter() {
        for (i, value) in tensor.values.iter().enumerate() {
            assert_eq!(*value, f16::from_f32(small_value(name, i)).to_f32(), "{name}");
        }
    }
}

fn bits(values: &[f32]) -> Vec<u32> {
    // Which of the many NaN it is does not matter.
    let plain = |x: &f32| if x.is_nan() { f32::NAN } else { *x };
    values.iter().map(|x| plain(x).to_bits()).collect()
}
