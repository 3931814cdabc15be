//! Models on disk: in one piece, and with their constants in a file beside them.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use occdepth_contract::onnx::{
    GraphProto, MAX_EXTERNAL_BYTES, ModelFile, ModelProto, NodeProto, OnnxError,
    StringStringEntryProto, TensorProto, ValueInfoProto, data_type, sha256,
};
use proptest::prelude::*;
use std::{fs, path::Path};

/// Two large constants and a small one.
fn model() -> ModelProto {
    let ramp = |count: usize, step: f32| -> Vec<f32> {
        (0..count).map(|i| i as f32 * step - 3.0).collect()
    };
    ModelProto {
        ir_version: 8,
        producer_name: "a test".into(),
        doc_string: "before the graph".into(),
        metadata_props: vec![StringStringEntryProto { key: "after".into(), value: "it".into() }],
        graph: Some(GraphProto {
            node: vec![NodeProto { op_type: "Relu".into(), ..Default::default() }],
            name: "g".into(),
            initializer: vec![
                TensorProto::from_f32("a", &[40, 50], &ramp(2000, 0.5)),
                TensorProto::from_i64("shape", &[2], &[1, -1]),
                TensorProto::from_f16("b", &[3000], &ramp(3000, 0.25)),
            ],
            output: vec![ValueInfoProto::tensor("y", data_type::FLOAT, &[1])],
            value_info: vec![ValueInfoProto::tensor("v", data_type::FLOAT, &[1])],
            ..Default::default()
        }),
        ..Default::default()
    }
}

/// `net.onnx` and `net.onnx.data` in `folder`.
fn write_external(folder: &Path, model: &ModelProto) {
    let (mut file, mut data) = (Vec::new(), Vec::new());
    model.write_external("net.onnx.data", &mut file, &mut data).unwrap();
    fs::write(folder.join("net.onnx"), file).unwrap();
    fs::write(folder.join("net.onnx.data"), data).unwrap();
}

#[test]
fn writing_in_parts_gives_the_same_bytes() {
    let mut model = model();
    for _ in 0..2 {
        let mut parts = Vec::new();
        model.write_to(&mut parts).unwrap();
        assert_eq!(parts, model.to_bytes());
        assert_eq!(ModelProto::from_bytes(&parts, "m").unwrap(), model);
        // Once more with values in the fields of their types.
        let constants = &mut model.graph.as_mut().unwrap().initializer;
        constants[0] = TensorProto {
            raw_data: vec![],
            float_data: constants[0].to_f32().unwrap(),
            doc_string: "text after the values".into(),
            ..constants[0].clone()
        };
    }
    let empty = ModelProto { ir_version: 8, ..ModelProto::default() };
    let mut parts = Vec::new();
    empty.write_to(&mut parts).unwrap();
    assert_eq!(parts, empty.to_bytes());
}

#[test]
fn external_data_comes_back() {
    let folder = tempfile::tempdir().unwrap();
    let model = model();
    write_external(folder.path(), &model);
    let [path, data] = ["net.onnx", "net.onnx.data"].map(|name| folder.path().join(name));
    // The model alone says where its constants are, and holds the small one.
    let bytes = fs::read(&path).unwrap();
    assert!(bytes.len() < 1000, "{}", bytes.len());
    let error = ModelProto::from_bytes(&bytes, "net.onnx").unwrap_err().to_string();
    assert!(error.contains("net.onnx"), "{error}");
    // Page by page: 8000 bytes, then 6000 at the next multiple of 4096.
    assert_eq!(fs::metadata(&data).unwrap().len(), 8192 + 6000);

    let read = ModelFile::read(&path).unwrap();
    assert_eq!(read.model, model);
    assert_eq!(read.sha256, sha256(&[&path, &data]).unwrap());
    assert_eq!(read.bytes, bytes.len() as u64 + 8192 + 6000);

    // In one piece it is the same model.
    fs::write(&path, model.to_bytes()).unwrap();
    let read = ModelFile::read(&path).unwrap();
    assert_eq!(read.model, model);
    assert_eq!(read.sha256, sha256(&[&path]).unwrap());
}

/// SHA-256 of files is that of their bytes, one after the other (FIPS 180-4, "abc").
#[test]
fn hashes_are_those_of_the_stream() {
    let folder = tempfile::tempdir().unwrap();
    let [first, second] = ["1", "2"].map(|name| folder.path().join(name));
    fs::write(&first, "ab").unwrap();
    fs::write(&second, "c").unwrap();
    let hash = sha256(&[&first, &second]).unwrap();
    assert_eq!(hash[..4], [0xba, 0x78, 0x16, 0xbf]);
}

#[test]
fn external_data_is_refused_where_it_is_not_what_it_should_be() {
    let outside = tempfile::tempdir().unwrap();
    fs::write(outside.path().join("outside.data"), [0; 8000]).unwrap();
    let folder = tempfile::tempdir_in(outside.path()).unwrap();
    let path = folder.path().join("net.onnx");
    write_external(folder.path(), &model());
    let good = fs::read(&path).unwrap();

    // Each case changes one entry of the first constant.
    let cases: [(&str, &str, &str); 15] = [
        ("location", "../outside.data", "a file beside the model"),
        ("location", "sub/net.onnx.data", "a file beside the model"),
        ("location", "/etc/passwd", "a file beside the model"),
        ("location", "", "a file beside the model"),
        ("location", ".", "a file beside the model"),
        ("location", "..", "a file beside the model"),
        ("location", "..\\outside.data", "a file beside the model"),
        ("location", "net\u{7}.data", "a file beside the model"),
        ("location", "missing.data", "missing.data"),
        ("location", "folder", "regular file"),
        ("offset", "-1", "a number"),
        ("offset", "7000", "net.onnx.data"),
        ("offset", "18446744073709551615", "net.onnx.data"),
        ("length", "7999", "8000 bytes"),
        ("length", "1e3", "a number"),
    ];
    fs::create_dir(folder.path().join("folder")).unwrap();
    for (key, value, expected) in cases {
        // The constants are not here, so the bytes are decoded without the checks of a whole model.
        let mut changed = <ModelProto as prost::Message>::decode(good.as_slice()).unwrap();
        let constant = &mut changed.graph.as_mut().unwrap().initializer[0];
        let entry = constant.external_data.iter_mut().find(|entry| entry.key == key).unwrap();
        entry.value = value.into();
        fs::write(&path, changed.to_bytes()).unwrap();
        let error = ModelFile::read(&path).unwrap_err();
        let mut text = error.to_string();
        let mut source = std::error::Error::source(&error);
        while let Some(cause) = source {
            text += &format!(": {cause}");
            source = cause.source();
        }
        assert!(text.contains(expected), "{key} = {value}: {text}");
    }

    // Two constants in one place would let a small file become a large model.
    let mut twice = <ModelProto as prost::Message>::decode(good.as_slice()).unwrap();
    let constants = &mut twice.graph.as_mut().unwrap().initializer;
    let again = TensorProto { name: "again".into(), ..constants[0].clone() };
    constants.push(again);
    fs::write(&path, twice.to_bytes()).unwrap();
    let error = ModelFile::read(&path).unwrap_err();
    assert!(matches!(error, OnnxError::ExternalData { field: "offset", .. }), "{error}");

    // Cut short.
    fs::write(&path, &good).unwrap();
    let data = folder.path().join("net.onnx.data");
    let whole = fs::read(&data).unwrap();
    fs::write(&data, &whole[..whole.len() - 1]).unwrap();
    let error = ModelFile::read(&path).unwrap_err();
    assert!(matches!(&error, OnnxError::ExternalData { tensor, .. } if tensor == "b"), "{error}");
    fs::remove_file(&data).unwrap();
    let error = ModelFile::read(&path).unwrap_err();
    assert!(matches!(&error, OnnxError::Read { path, .. } if *path == data), "{error}");
}

/// A file with holes costs nothing on disk; as constants it would fill the memory.
#[test]
fn huge_external_data_is_refused_before_it_is_read() {
    let folder = tempfile::tempdir().unwrap();
    write_external(folder.path(), &model());
    let path = folder.path().join("net.onnx");
    let mut huge = <ModelProto as prost::Message>::decode(&*fs::read(&path).unwrap()).unwrap();
    // One more constant, in a file of its own: the data files count together.
    let bytes = MAX_EXTERNAL_BYTES;
    let entries = [
        ("location", "huge.data".to_owned()),
        ("offset", "0".into()),
        ("length", bytes.to_string()),
    ];
    let entry = |(key, value): (&str, String)| StringStringEntryProto { key: key.into(), value };
    huge.graph.as_mut().unwrap().initializer.push(TensorProto {
        name: "huge".into(),
        dims: vec![1 << 16, 1 << 16],
        data_type: data_type::FLOAT,
        external_data: entries.into_iter().map(entry).collect(),
        data_location: 1,
        ..TensorProto::default()
    });
    fs::write(&path, huge.to_bytes()).unwrap();
    fs::File::create(folder.path().join("huge.data")).unwrap().set_len(bytes).unwrap();
    match ModelFile::read(&path).unwrap_err() {
        OnnxError::ExternalData { tensor, field: "location", found, expected, .. } => {
            assert_eq!(tensor, "huge");
            assert_eq!(found, "\"huge.data\" of 17179869184 bytes");
            assert!(expected.contains("at most 17179869184 bytes"), "{expected}");
        }
        other => panic!("{other}"),
    }
}

/// A link could lead anywhere.
#[cfg(unix)]
#[test]
fn a_link_is_no_data_file() {
    let folder = tempfile::tempdir().unwrap();
    write_external(folder.path(), &model());
    let data = folder.path().join("net.onnx.data");
    fs::rename(&data, folder.path().join("elsewhere")).unwrap();
    std::os::unix::fs::symlink("elsewhere", &data).unwrap();
    let error = ModelFile::read(&folder.path().join("net.onnx")).unwrap_err().to_string();
    assert!(error.contains("regular file"), "{error}");
}

/// A device has no end and reports no size; reading a pipe would wait for a writer.
#[cfg(target_os = "linux")]
#[test]
fn only_regular_files_are_models() {
    let folder = tempfile::tempdir().unwrap();
    let pipe = folder.path().join("net.onnx");
    assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    for path in [&pipe, Path::new("/dev/zero"), folder.path()] {
        let error = ModelFile::read(path).unwrap_err();
        let OnnxError::Read { source, .. } = &error else { panic!("{error}") };
        assert_eq!(source.to_string(), "not a regular file", "{}", path.display());
    }
    let huge = folder.path().join("huge.onnx");
    fs::File::create(&huge).unwrap().set_len(1 << 40).unwrap();
    let error = ModelFile::read(&huge).unwrap_err();
    assert!(matches!(error, OnnxError::TooLarge { found, .. } if found == 1 << 40), "{error}");
}

/// Halves by the table of IEEE 754-2008: the largest, the smallest normal and subnormal, ties to even.
#[test]
fn halves_are_rounded_to_nearest() {
    let cases: [(f32, u16); 9] = [
        (1.0, 0x3c00),
        (-2.0, 0xc000),
        (65504.0, 0x7bff),
        (65519.0, 0x7bff),
        (65520.0, 0x7c00),
        (6.103_515_6e-5, 0x0400),
        (5.960_464_5e-8, 0x0001),
        (2.980_232_2e-8, 0x0000),
        (1.000_488_3, 0x3c00),
    ];
    for (value, bits) in cases {
        let tensor = TensorProto::from_f16("h", &[], &[value]);
        assert_eq!(tensor.raw_data, bits.to_le_bytes(), "{value}");
        tensor.check().unwrap();
    }
    let stored = TensorProto {
        data_type: data_type::FLOAT16,
        dims: vec![2],
        int32_data: vec![0x3c00, 0xc000],
        ..TensorProto::default()
    };
    assert_eq!(stored.to_f32().unwrap(), [1.0, -2.0]);
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    /// Damage anywhere in the model, in the data, or a cut: a model or an error that names a file.
    #[test]
    fn a_damaged_pair_never_panics(
        damage in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
        cut in prop::option::of(any::<prop::sample::Index>()),
        in_data in any::<bool>(),
    ) {
        let folder = tempfile::tempdir().unwrap();
        write_external(folder.path(), &model());
        let path = folder.path().join("net.onnx");
        let damaged = if in_data { folder.path().join("net.onnx.data") } else { path.clone() };
        let mut bytes = fs::read(&damaged).unwrap();
        for (position, byte) in damage {
            let position = position.index(bytes.len());
            bytes[position] = byte;
        }
        if let Some(cut) = cut {
            bytes.truncate(cut.index(bytes.len()));
        }
        fs::write(&damaged, bytes).unwrap();
        match ModelFile::read(&path) {
            Ok(file) => prop_assert!(file.model.graph.is_some()),
            // The location may be damaged, and then it is another file of this folder.
            Err(error) => {
                let named = error.to_string().contains(&folder.path().display().to_string());
                prop_assert!(named, "{error}");
            }
        }
    }
}
