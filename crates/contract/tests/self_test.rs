//! Self-test documents: what they hold, what they compare, and what is refused.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]
#![allow(clippy::float_cmp, reason = "numbers that are copied, not computed")]

use occdepth_contract::{
    Contract, GridSpec, Normalisation, Precision, Quirks, Training, classes,
    self_test::{FORMAT, Frame, SAMPLES, SelfTest, SelfTestError, path_beside},
};
use occdepth_geometry::{
    ImageSize,
    depth::{DepthBins, DepthVolume},
    fit::Fit,
};
use proptest::prelude::*;
use serde_json::{Value, json};
use std::path::Path;

fn contract() -> Contract {
    let image = ImageSize { width: 80, height: 40 };
    let mut contract = Contract {
        contract_version: occdepth_contract::CONTRACT_VERSION.into(),
        preset: "small".into(),
        dataset: "semantic-kitti".into(),
        training: Training { trained: false, note: "for a test".into() },
        views: 2,
        virtual_stereo: false,
        image,
        scales: vec![1, 8],
        pattern: 0,
        project_scale: 2,
        grid: GridSpec {
            axes: "x forward, y left, z up".into(),
            origin_m: Some([0.0, -16.0, -2.0]),
            voxel_size_m: 1.0,
            dims: [32, 32, 8],
        },
        depth: Some(DepthVolume { bins: DepthBins::KITTI, sampling_size: image }),
        fit: Fit::Crop,
        normalisation: Normalisation::IMAGENET,
        classes: classes::semantic_kitti(),
        inputs: vec![],
        outputs: vec![],
        precision: Precision::Fp32,
        quirks: Quirks::default(),
        source_checkpoint: None,
        exporter: "test 1".into(),
    };
    contract.inputs = contract.expected_inputs();
    contract.outputs = contract.expected_outputs();
    contract
}

/// Expected values for every logit.
fn logits() -> Vec<f32> {
    (0..20 * 32 * 32 * 8).map(|i| ((i * 7919) % 2003) as f32 / 1000.0 - 1.0).collect()
}

fn sealed() -> (SelfTest, Frame) {
    let contract = contract();
    let mut test = SelfTest::new(&contract, [0xab; 32], 1);
    let frame = test.seal(&contract).unwrap();
    test.expect("ssc_logits", &logits());
    (test, frame)
}

#[test]
fn a_document_says_how_to_make_its_frame() {
    let (test, frame) = sealed();
    let read = SelfTest::from_json(&test.to_json(), "n.selftest.json").unwrap();
    assert_eq!(read, test);
    assert_eq!(read.frame(&contract(), "n.selftest.json").unwrap(), frame);
    assert_eq!(read.format, FORMAT);
    assert_eq!(read.network_sha256, "ab".repeat(32));
    let names: Vec<&str> = read.inputs.iter().map(|input| input.name.as_str()).collect();
    assert_eq!(names, ["images", "pixels", "depth_index", "depth_weight", "pixel_size"]);
    assert_eq!(path_beside(Path::new("a/net.onnx")), Path::new("a/net.selftest.json"));
}

#[test]
fn images_are_normalised_and_geometry_is_the_contracts() {
    let (_, frame) = sealed();
    let contract = contract();
    assert_eq!(frame.images.len(), 2 * 3 * 80 * 40);
    let low = (0.0 - 0.485) / 0.229_f32;
    let high = (1.0 - 0.406) / 0.225_f32;
    assert!(frame.images.iter().all(|x| (low..=high).contains(x)));
    let distinct: std::collections::BTreeSet<u32> =
        frame.images.iter().map(|x| x.to_bits()).collect();
    assert!(distinct.len() > 300, "{}", distinct.len());
    // The right view sees the same texture 8 pixels further left.
    let row = 80 * 17;
    let right = 3 * 80 * 40 + row;
    assert_eq!(frame.images[row + 8..row + 80], frame.images[right..right + 72]);
    // Both cameras see a part of the grid.
    let hidden = 80 * 40;
    let voxels = 16 * 16 * 4;
    for view in 0..2 {
        let first = &frame.geometry.pixels[view * 2 * voxels..][..voxels];
        let seen = first.iter().filter(|&&pixel| pixel != hidden).count();
        assert!((voxels / 4..voxels).contains(&seen), "view {view}: {seen}");
    }
    assert_eq!(frame.inputs().len(), contract.inputs.len());
}

/// Checksums by another implementation of the textures (Python integers and NumPy's float32): frames
/// are the same on every machine.
#[test]
fn frames_are_the_same_everywhere() {
    let (test, _) = sealed();
    let checksum = |test: &SelfTest, name: &str| {
        test.inputs.iter().find(|input| input.name == name).unwrap().crc32
    };
    assert_eq!(checksum(&test, "images"), 0x1c42_ddcd);

    let mut rgbd = Contract { views: 1, virtual_stereo: true, depth: None, ..contract() };
    rgbd.inputs = rgbd.expected_inputs();
    let mut test = SelfTest::new(&rgbd, [0; 32], 1);
    let frame = test.seal(&rgbd).unwrap();
    assert_eq!(checksum(&test, "depth_m"), 0x50a7_3c32);
    // 2.5 voxels times 0.6 of the width.
    assert_eq!(frame.depth.unwrap().baseline_focal, 2.5 * 48.0);
}

#[test]
fn samples_come_from_every_part() {
    let (test, _) = sealed();
    let samples = &test.outputs[0];
    assert_eq!(samples.indices.len(), SAMPLES);
    let part = logits().len() / SAMPLES;
    for (nth, index) in samples.indices.iter().enumerate() {
        assert_eq!(*index as usize / part, nth);
        assert_eq!(samples.values[nth], logits()[*index as usize]);
    }
    // And not from the same place of each.
    let places: std::collections::BTreeSet<usize> =
        samples.indices.iter().map(|&index| index as usize % part).collect();
    assert!(places.len() * 2 > part, "{} of {part}", places.len());
}

#[test]
fn errors_are_measured_and_judged() {
    let (test, _) = sealed();
    let exact = test.compare("ssc_logits", &logits()).unwrap();
    assert!(exact.passed());
    assert_eq!((exact.largest, exact.rms, exact.samples), (0.0, 0.0, SAMPLES));

    // One sampled value off by half of the largest magnitude.
    let index = test.outputs[0].indices[17];
    let scale = test.outputs[0].values.iter().fold(0.0_f32, |scale, x| scale.max(x.abs()));
    let mut wrong = logits();
    wrong[index as usize] += scale / 2.0;
    let one = test.compare("ssc_logits", &wrong).unwrap();
    assert!(!one.passed());
    assert_eq!(one.worst.0, index);
    assert!((one.largest - 0.5).abs() < 1e-6, "{one:?}");

    // All of them off by a tenth of a percent: no sample is far off, together they are.
    let scaled: Vec<f32> = logits().iter().map(|x| x * 1.0009).collect();
    let all = test.compare("ssc_logits", &scaled).unwrap();
    assert!((all.rms - 9e-4).abs() < 1e-6 && all.largest < 1e-3 && !all.passed(), "{all:?}");

    for bad in [f32::NAN, f32::INFINITY] {
        let mut wrong = logits();
        wrong[index as usize] = bad;
        let not_finite = test.compare("ssc_logits", &wrong).unwrap();
        assert!(!not_finite.passed() && not_finite.largest == f32::INFINITY, "{not_finite:?}");
    }
    let error = test.compare("ssc_logits", &logits()[..100]).unwrap_err();
    assert!(matches!(&error, SelfTestError::Field { found, .. } if found == "100"), "{error}");
    assert!(test.compare("occ_logits", &logits()).is_err());
    // Samples made by hand that no file may have.
    let field = |change: &dyn Fn(&mut SelfTest)| {
        let mut changed = test.clone();
        change(&mut changed);
        match changed.compare("ssc_logits", &logits()).unwrap_err() {
            SelfTestError::Field { field, .. } => field,
            other => panic!("{other}"),
        }
    };
    let none = |test: &mut SelfTest| {
        test.outputs[0].indices.clear();
        test.outputs[0].values.clear();
    };
    assert_eq!(field(&none), "outputs.ssc_logits.values");
    assert_eq!(field(&|test| test.outputs[0].values.clear()), "outputs.ssc_logits.values");
    let first = |test: &mut SelfTest| test.outputs[0].indices[0] = u32::MAX;
    assert_eq!(field(&first), "outputs.ssc_logits.indices");
    // Values that should all be zero, and are.
    let mut zeros = test.clone();
    zeros.outputs[0].values.fill(0.0);
    assert!(zeros.compare("ssc_logits", &vec![0.0; logits().len()]).unwrap().passed());
    assert!(!zeros.compare("ssc_logits", &logits()).unwrap().passed());
}

#[test]
fn every_field_out_of_range_is_named() {
    let (test, _) = sealed();
    let valid: Value = serde_json::from_str(&test.to_json()).unwrap();
    let cases = [
        ("/format", json!("occdepth-self-test 2"), "format"),
        ("/network_sha256", json!("AB"), "network_sha256"),
        ("/baseline_m", json!(-1.0), "baseline_m"),
        ("/outputs", json!([]), "outputs"),
        ("/outputs/0/indices/1", json!(0), "outputs.ssc_logits.indices"),
        ("/outputs/0/values", json!([1.0]), "outputs.ssc_logits.values"),
        ("/outputs/0/values/3", json!(1e39), "outputs.ssc_logits.values"),
        ("/tolerance/rms", json!(-0.1), "tolerance.rms"),
        ("/tolerance/largest", json!(2.0), "tolerance.largest"),
    ];
    for (pointer, value, expected) in cases {
        let mut document = valid.clone();
        *document.pointer_mut(pointer).unwrap() = value;
        match SelfTest::from_json(&document.to_string(), "n.json").unwrap_err() {
            SelfTestError::Field { origin, field, .. } => {
                assert_eq!((origin.as_str(), field.as_str()), ("n.json", expected));
            }
            other => panic!("{pointer}: {other}"),
        }
    }
    // Fields that the frame needs.
    let frame = |pointer: &str, value: Value| {
        let mut document = valid.clone();
        *document.pointer_mut(pointer).unwrap() = value;
        let test = SelfTest::from_json(&document.to_string(), "n.json").unwrap();
        test.frame(&contract(), "n.json").unwrap_err().to_string()
    };
    assert!(frame("/cameras", json!([])).contains("`cameras`"));
    assert!(frame("/cameras/1/k/0", json!(0.0)).contains("`cameras`"));
    assert!(frame("/baseline_m", json!(0.5)).contains("`baseline_m`"));
    assert!(frame("/inputs/0/crc32", json!(1)).contains("`inputs.images.crc32`"));
    assert!(frame("/inputs/0/name", json!("depth_m")).contains("`inputs.name`"));
    assert!(frame("/inputs", json!([])).contains("`inputs`"));
    assert!(frame("/seed", json!(2)).contains("`inputs.images.crc32`"));
}

#[test]
fn files_that_are_no_self_test_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("n.selftest.json");
    let error = SelfTest::read(&path).unwrap_err().to_string();
    assert!(error.contains("n.selftest.json"), "{error}");
    std::fs::write(&path, [0xff; 10]).unwrap();
    assert!(SelfTest::read(&path).is_err());
    let huge = std::fs::File::create(&path).unwrap();
    huge.set_len(1 << 40).unwrap();
    let error = SelfTest::read(&path).unwrap_err().to_string();
    assert!(error.contains("16 MiB"), "{error}");
}

/// A device has no end and reports no size; reading a pipe would wait for a writer.
#[cfg(target_os = "linux")]
#[test]
fn only_regular_files_are_read() {
    let folder = tempfile::tempdir().unwrap();
    let pipe = folder.path().join("n.selftest.json");
    assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    for path in [&pipe, Path::new("/dev/zero"), folder.path()] {
        let error = SelfTest::read(path).unwrap_err();
        let SelfTestError::Read { source, .. } = &error else { panic!("{error}") };
        assert_eq!(source.to_string(), "not a regular file", "{}", path.display());
    }
    // A file of the kernel is regular, reports no size, and is read to its end.
    let error = SelfTest::read("/proc/self/status".as_ref()).unwrap_err();
    assert!(matches!(error, SelfTestError::Json { .. }), "{error}");
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_text_is_refused(text in ".{0,200}") {
        prop_assert!(SelfTest::from_json(&text, "n.json").is_err());
    }

    /// Any cut of a document, and any changed byte: accepted or refused, never a panic, and what is
    /// accepted compares.
    #[test]
    fn a_damaged_document_never_panics(
        position in any::<prop::sample::Index>(),
        byte in 32_u8..127,
        cut in prop::option::of(any::<prop::sample::Index>()),
    ) {
        let mut test = SelfTest::new(&contract(), [1; 32], 1);
        test.expect("ssc_logits", &[0.25, -1.0, 3.5]);
        let mut bytes = test.to_json().into_bytes();
        let at = position.index(bytes.len());
        bytes[at] = byte;
        if let Some(cut) = cut {
            bytes.truncate(cut.index(bytes.len()));
        }
        let text = String::from_utf8(bytes).unwrap();
        if let Ok(test) = SelfTest::from_json(&text, "n.json") {
            let _ = test.compare("ssc_logits", &[0.25, -1.0, 3.5]);
            let _ = test.frame(&contract(), "n.json");
        }
    }

    #[test]
    fn samples_of_any_output_are_kept_in_order(count in 1_usize..20_000, seed: u64) {
        let values: Vec<f32> = (0..count).map(|i| i as f32).collect();
        let mut test = SelfTest::new(&contract(), [1; 32], seed);
        test.expect("ssc_logits", &values);
        let read = SelfTest::from_json(&test.to_json(), "n.json").unwrap();
        prop_assert_eq!(read.outputs[0].values.len(), count.min(SAMPLES));
        prop_assert!(read.compare("ssc_logits", &values).unwrap().passed());
    }
}
