//! The reader and the compiler say the same about all of NVIDIA's headers.

use crate::compiler::{Compiler, DumpedClass, slot_of};
use crate::nvidia;
use std::collections::{BTreeMap, BTreeSet};
use tensorrt_rs::abi::{Headers, Product, SlotKind};

#[test]
fn reader_and_compiler_agree_about_tensorrt() {
    let test = "reader_and_compiler_agree_about_tensorrt";
    let Some(root) = nvidia::root(test) else { return };
    let Some(compiler) = Compiler::new(test, &root.join(nvidia::TENSORRT), &root) else { return };
    let headers = Headers::read(&root.join(nvidia::TENSORRT)).expect("NVIDIA's headers");
    assert_eq!(headers.product(), Product::TensorRt);
    assert_eq!(headers.version().to_string(), "11.4.0");
    compare(&headers, &compiler);
}

#[test]
fn reader_and_compiler_agree_about_tensorrt_for_rtx() {
    let test = "reader_and_compiler_agree_about_tensorrt_for_rtx";
    let Some(root) = nvidia::root(test) else { return };
    for version in nvidia::RTX {
        let headers = Headers::read(&root.join(version)).expect("NVIDIA's headers");
        assert_eq!(headers.product(), Product::TensorRtForRtx, "{version}");
        let number = version.trim_start_matches("TRT-RTX-");
        assert!(headers.version().to_string().starts_with(&format!("{number}.")), "{version}");
        assert_all_read(&headers);
    }
    // A compiler takes its time: the oldest and the newest.
    for version in ["TRT-RTX-1.3", "TRT-RTX-1.7"] {
        let Some(compiler) = Compiler::new(test, &root.join(version), &root) else { return };
        let headers = Headers::read(&root.join(version)).expect("NVIDIA's headers");
        compare(&headers, &compiler);
    }
}

fn compare(headers: &Headers, compiler: &Compiler) {
    assert_all_read(headers);
    compare_tables(headers, &compiler.classes());
    assert!(compare_values(headers, compiler) > 1400);
}

/// Of NVIDIA's headers nothing may be unread or unmeasured.
fn assert_all_read(headers: &Headers) {
    assert!(headers.classes().len() > 200, "{} classes", headers.classes().len());
    for class in headers.classes() {
        assert!(class.slots().is_ok(), "{}: {:?}", class.name, class.slots());
        assert!(class.size().is_some(), "size of {}", class.name);
    }
}

/// All classes, all slots by name, all sizes that the reader has.
pub(crate) fn compare_tables(headers: &Headers, dumped: &BTreeMap<String, DumpedClass>) {
    let read: BTreeSet<&str> = headers.classes().iter().map(|c| c.name.as_str()).collect();
    let compiled: BTreeSet<&str> = dumped
        .keys()
        .map(String::as_str)
        .filter(|name| name.starts_with("nvinfer1::") || name.starts_with("nvonnxparser::"))
        // What a template makes is no class of the headers' text, and what has no name cannot be
        // asked for.
        .filter(|name| !name.contains('<'))
        .collect();
    assert_eq!(read, compiled);
    for class in headers.classes() {
        let name = &class.name;
        let dump = &dumped[name];
        if let Ok(slots) = class.slots() {
            let slots: Vec<String> =
                slots.iter().map(|s| format!("{}::{}", s.class, s.name)).collect();
            assert_eq!(slots, dump.slots, "{name}");
        }
        if class.size().is_some() {
            assert_eq!(class.size(), Some(dump.size), "size of {name}");
            assert_eq!(class.alignment(), Some(dump.alignment), "alignment of {name}");
        }
    }
}

/// All slots with their signatures, all enumerators, all members, all constants, all functions. Returns
/// how many values were compared.
pub(crate) fn compare_values(headers: &Headers, compiler: &Compiler) -> usize {
    let mut expected: Vec<(String, i64)> = Vec::new();
    for class in headers.classes() {
        let name = &class.name;
        for (index, slot) in class.slots().unwrap_or_default().iter().enumerate() {
            if slot.kind == SlotKind::Method && slot.class == *name {
                expected.push((slot_of(name, slot), i64::try_from(index).expect("small")));
            }
        }
        for (member, offset, size) in class.members() {
            expected.push((
                format!("offsetof({name}, {member})"),
                i64::try_from(offset).expect("small"),
            ));
            expected
                .push((format!("sizeof({name}::{member})"), i64::try_from(size).expect("small")));
        }
    }
    for enumeration in headers.enumerations() {
        let underlying = &enumeration.underlying;
        expected.push((format!("sizeof({}) == sizeof({underlying})", enumeration.name), 1));
        for (name, value) in &enumeration.enumerators {
            let probe = format!("{}::{name}", enumeration.name);
            expected.push((probe, value.unwrap_or_else(|| panic!("{}::{name}", enumeration.name))));
        }
    }
    for function in headers.functions() {
        let (returns, parameters) = (&function.returns, function.parameters.join(", "));
        // The type is what is checked; a function has no value here.
        let probe =
            format!("sizeof(static_cast<{returns} (*)({parameters})>(&::{}))", function.name);
        expected.push((probe, 8));
    }
    for name in ["NV_TENSORRT_VERSION", "NV_ONNX_PARSER_VERSION"] {
        expected
            .push((name.to_owned(), headers.constant(name).unwrap_or_else(|| panic!("{name}"))));
    }
    let probes: Vec<String> = expected.iter().map(|(probe, _)| probe.clone()).collect();
    let values = compiler.values(&probes);
    assert_eq!(values.len(), expected.len());
    for ((probe, expected), value) in expected.iter().zip(values) {
        assert_eq!(*expected, value, "{probe}");
    }
    expected.len()
}
