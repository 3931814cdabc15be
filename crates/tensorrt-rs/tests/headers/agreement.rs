//! The reader and the compiler say the same about all of NVIDIA's headers.

use crate::compiler::{Compiler, DumpedClass, slot_of};
use crate::nvidia;
use std::collections::{BTreeMap, BTreeSet};
use tensorrt_rs::abi::{Headers, Product, SlotKind};

#[test]
fn reader_and_compiler_agree_about_tensorrt() {
    let test = "reader_and_compiler_agree_about_tensorrt";
    let Some(root) = nvidia::root(test) else { return };
    let Some(compiler) = Compiler::new(test, &root, nvidia::TENSORRT) else { return };
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
        let Some(compiler) = Compiler::new(test, &root, version) else { return };
        let headers = Headers::read(&root.join(version)).expect("NVIDIA's headers");
        assert_eq!(headers.product(), Product::TensorRtForRtx, "{version}");
        let number = version.trim_start_matches("TRT-RTX-");
        assert!(headers.version().to_string().starts_with(&format!("{number}.")), "{version}");
        compare(&headers, &compiler);
    }
}

fn compare(headers: &Headers, compiler: &Compiler) {
    let dumped = compiler.classes();
    compare_tables(headers, &dumped);
    compare_values(headers, compiler);
}

/// All classes of NVIDIA's namespaces, all slots by name, all sizes.
fn compare_tables(headers: &Headers, dumped: &BTreeMap<String, DumpedClass>) {
    let read: BTreeSet<&str> = headers.classes().iter().map(|c| c.name.as_str()).collect();
    let compiled: BTreeSet<&str> = dumped
        .keys()
        .map(String::as_str)
        .filter(|name| name.starts_with("nvinfer1::") || name.starts_with("nvonnxparser::"))
        // What a template makes is no class of the headers' text.
        .filter(|name| !name.contains('<'))
        .collect();
    assert!(read.len() > 200, "{} classes", read.len());
    assert_eq!(read, compiled);
    for class in headers.classes() {
        let name = &class.name;
        let dump = &dumped[name];
        let slots = class.slots().unwrap_or_else(|error| panic!("{name}: {error}"));
        let slots: Vec<String> = slots.iter().map(|s| format!("{}::{}", s.class, s.name)).collect();
        assert_eq!(slots, dump.slots, "{name}");
        assert_eq!(class.size(), Some(dump.size), "size of {name}");
        assert_eq!(class.alignment(), Some(dump.alignment), "alignment of {name}");
    }
}

/// All slots with their signatures, all enumerators, all members, all constants, all functions.
fn compare_values(headers: &Headers, compiler: &Compiler) {
    let mut expected: Vec<(String, i64)> = Vec::new();
    for class in headers.classes() {
        for (index, slot) in class.slots().expect("compared before").iter().enumerate() {
            if slot.kind == SlotKind::Method && slot.class == class.name {
                let parameters = slot.parameters.join(", ");
                let probe = slot_of(&class.name, &slot.name, &slot.returns, &parameters, slot.is_const);
                expected.push((probe, i64::try_from(index).expect("small")));
            }
        }
        for (member, offset, size) in class.members() {
            let name = &class.name;
            expected.push((format!("offsetof({name}, {member})"), i64::try_from(offset).expect("small")));
            expected.push((format!("sizeof({name}::{member})"), i64::try_from(size).expect("small")));
        }
    }
    for enumeration in headers.enumerations() {
        for (name, value) in &enumeration.enumerators {
            let probe = format!("{}::{name}", enumeration.name);
            expected.push((probe, value.unwrap_or_else(|| panic!("{}::{name}", enumeration.name))));
        }
    }
    for function in headers.functions() {
        let (returns, parameters) = (&function.returns, function.parameters.join(", "));
        // The type is what is checked; a function has no value here.
        let probe = format!("sizeof(static_cast<{returns} (*)({parameters})>(&::{}))", function.name);
        expected.push((probe, 8));
    }
    for name in ["NV_TENSORRT_VERSION", "NV_ONNX_PARSER_VERSION"] {
        expected.push((name.to_owned(), headers.constant(name).unwrap_or_else(|| panic!("{name}"))));
    }
    assert!(expected.len() > 1400, "{} values", expected.len());
    let probes: Vec<String> = expected.iter().map(|(probe, _)| probe.clone()).collect();
    let values = compiler.values(&probes);
    assert_eq!(values.len(), expected.len());
    for ((probe, expected), value) in expected.iter().zip(values) {
        assert_eq!(*expected, value, "{probe}");
    }
}
