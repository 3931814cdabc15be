//! The tables as data, against lists that were not made from them.

use crate::support::skip;
use std::collections::BTreeMap;
use tensorrt_rs::table::{Target, enum_values, layouts, slots};
use tensorrt_rs::{Major, Version};

/// Slots by class and method.
type List = BTreeMap<(String, String), Vec<(Version, Option<u16>)>>;

/// Slots by class and method, for each version, from a list in the form of `slots.txt` of the fakes (`class`
/// lines) or of the facts (`##` lines).
fn listed(text: &str) -> List {
    let mut versions = Vec::new();
    let mut class = String::new();
    let mut list = BTreeMap::new();
    let version = |word: &str| {
        let (major, minor) = word.split_once('.').expect("major.minor");
        Version::new(major.parse().expect("a number"), minor.parse().expect("a number"), 9)
    };
    for line in text.lines().filter(|line| !line.is_empty()) {
        if let Some((_, columns)) = line.split_once("columns: ") {
            versions = columns.split_whitespace().map(version).collect();
        } else if let Some(columns) = line.strip_prefix("version ") {
            versions = columns.split_whitespace().map(version).collect();
        } else if let Some(name) = line.strip_prefix("## ").or_else(|| line.strip_prefix("class "))
        {
            name.trim().clone_into(&mut class);
        } else if !line.starts_with('#') && !class.is_empty() {
            let mut words = line.split_whitespace();
            let method = words.next().expect("a method").to_owned();
            let slots = versions.iter().copied().zip(words.map(|word| {
                // Of two overloads the first is meant.
                word.split('/').next().and_then(|slot| slot.parse().ok())
            }));
            list.insert((class.clone(), method), slots.collect());
        }
    }
    list
}

/// Compares the tables with a list; returns how many slots were found in both.
fn compare(text: &str) -> usize {
    let list = listed(text);
    let mut compared = 0;
    for major in Major::ALL {
        for slot in slots(major) {
            let key = (slot.class.to_owned(), slot.method.to_owned());
            let Some(versions) = list.get(&key) else { continue };
            for &(version, index) in versions.iter().filter(|(it, _)| it.major == major.number()) {
                // A destructor's slot is listed as that of the complete one.
                let ours = slot.index - u16::from(slot.method.starts_with('~'));
                match index {
                    Some(index) => {
                        assert_eq!(ours, index, "{} {}::{}", version, slot.class, slot.method);
                        assert!(version >= slot.since, "{version} {slot:?}");
                        compared += 1;
                    }
                    // Columns that were not looked at are empty as those that lack the method.
                    None => assert!(
                        version < slot.since || slot.class.starts_with("IParser"),
                        "{version} has no {}::{}",
                        slot.class,
                        slot.method
                    ),
                }
            }
        }
    }
    // What a version has and we do not claim for it is only allowed where we call something else.
    for ((class, method), versions) in &list {
        for &(version, index) in versions {
            let major = Major::of(version).expect("supported");
            let ours = slots(major)
                .iter()
                .any(|slot| slot.class == class && slot.method == method && slot.since <= version);
            let called = Major::ALL.iter().any(|&major| {
                slots(major).iter().any(|it| it.class == class && it.method == method)
            });
            assert!(
                ours || index.is_none() || !called,
                "{version} has {class}::{method}, and the tables say that it has not"
            );
        }
    }
    compared
}

#[test]
fn slots_are_those_of_the_fakes() {
    let compared = compare(include_str!("../../fake/slots.txt"));
    assert!(compared > 700, "only {compared} were compared");
}

#[test]
fn slots_are_those_of_the_facts() {
    // Beside a checkout, where the project has it.
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared/facts/tensorrt-slots.md");
    let Ok(text) = std::fs::read_to_string(path) else {
        skip("slots_are_those_of_the_facts", "the list is not beside this checkout");
        return;
    };
    let compared = compare(&text);
    assert!(compared > 600, "only {compared} were compared");
}

#[test]
fn no_two_methods_of_a_class_share_a_slot() {
    for major in Major::ALL {
        let mut taken = BTreeMap::new();
        for slot in slots(major) {
            if let Some(other) = taken.insert((slot.class, slot.index), slot.method) {
                panic!(
                    "{major}: {}::{other} and {} are both {}",
                    slot.class, slot.method, slot.index
                );
            }
            assert_eq!(slot.since.major, major.number());
            assert_eq!(
                slot.target == Target::Implementation,
                slot.class.starts_with('V'),
                "{slot:?}"
            );
        }
    }
}

#[test]
fn flags_and_layouts_are_those_of_the_headers() {
    let value = |major, enumeration: &str, name: &str| {
        enum_values(major)
            .into_iter()
            .find(|it| (it.enumeration, it.name) == (enumeration, name))
            .map(|it| it.value)
    };
    // By NVIDIA's headers of 8.6, 10.13 and 11.4.
    for (enumeration, name, numbers) in [
        ("BuilderFlag", "kTF32", [Some(7), Some(6), Some(6)]),
        ("BuilderFlag", "kREFIT", [Some(5), Some(4), Some(4)]),
        ("BuilderFlag", "kVERSION_COMPATIBLE", [Some(15), Some(13), Some(12)]),
        ("BuilderFlag", "kFP16", [Some(0), Some(0), None]),
        ("LayerType", "kCAST", [Some(47), Some(1), Some(1)]),
        ("LayerType", "kFULLY_CONNECTED", [Some(1), None, None]),
        ("LayerType", "kSLICE", [Some(23), Some(22), Some(22)]),
        ("LayerType", "kNORMALIZATION", [Some(46), Some(45), Some(45)]),
        ("LayerType", "kDIST_COLLECTIVE", [None, Some(56), Some(56)]),
        ("TacticSource", "kJIT_CONVOLUTIONS", [Some(4), Some(4), Some(1)]),
        ("DataType", "kINT64", [None, Some(8), Some(8)]),
        ("ILogger::Severity", "kVERBOSE", [Some(4), Some(4), Some(4)]),
    ] {
        let [v8, v10, v11] = numbers;
        // `TensorRT` for RTX has the numbers of 11.
        let numbers = [v8, v10, v11, v11];
        assert_eq!(Major::ALL.map(|major| value(major, enumeration, name)), numbers, "{name}");
    }
    let layout = |major, name: &str| {
        layouts(major)
            .iter()
            .copied()
            .find(|it| it.name == name)
            .map(|it| (it.size, it.fields[1].1))
    };
    // int32_t nbDims, int32_t d[8]; int32_t nbDims, int64_t d[8].
    assert_eq!(layout(Major::V8, "Dims32"), Some((36, 4)));
    assert_eq!(layout(Major::V10, "Dims64"), Some((72, 8)));
    assert_eq!(layout(Major::V11, "InterfaceInfo"), Some((16, 8)));
}
