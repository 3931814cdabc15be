//! The tables of this crate: against what the compiler makes of NVIDIA's headers of 11.4 and of `TensorRT` for RTX, and through
//! `abi::check`, which must find every difference and nothing else.

use crate::compiler::{Compiler, DumpedClass};
use crate::nvidia;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;
use tensorrt_rs::Major;
use tensorrt_rs::abi::{Finding, Headers, Item, NotComparable, Report, Verdict, check};
use tensorrt_rs::table::{self, Target};

/// No reader of ours in between: dump and probes on one side, the tables on the other.
#[test]
fn the_tables_of_11_are_what_the_compiler_says() {
    let test = "the_tables_of_11_are_what_the_compiler_says";
    compiled(test, Major::V11, nvidia::TENSORRT);
}

#[test]
fn the_tables_of_tensorrt_for_rtx_are_what_the_compiler_says() {
    let test = "the_tables_of_tensorrt_for_rtx_are_what_the_compiler_says";
    compiled(test, Major::Rtx1, nvidia::RTX[4]);
}

fn compiled(test: &str, major: Major, headers: &str) {
    let Some(root) = nvidia::root(test) else { return };
    let Some(compiler) = Compiler::new(test, &root.join(headers), &root) else { return };
    let dumped = compiler.classes();
    let slots = table::slots(major);
    assert!(slots.len() > 100, "{} slots", slots.len());
    for slot in &slots {
        let (name, class) = find(&dumped, slot.class);
        let index = usize::from(slot.index);
        let filled_by =
            class.slots.get(index).unwrap_or_else(|| panic!("{name} has no slot {index}"));
        let method = filled_by.rsplit("::").next().expect("a name");
        assert_eq!(method, slot.method, "slot {index} of {name}");
        if slot.method.starts_with('~') {
            // The second of the two is the deleting one.
            assert_eq!(class.slots[index - 1], *filled_by, "{name}");
        }
    }
    let mut expected: Vec<(String, i64)> = Vec::new();
    for value in table::enum_values(major) {
        expected.push((format!("{}::{}", value.enumeration, value.name), i64::from(value.value)));
    }
    for layout in table::layouts(major) {
        let name = layout.name;
        expected.push((format!("sizeof({name})"), i64::try_from(layout.size).expect("small")));
        expected
            .push((format!("alignof({name})"), i64::try_from(layout.alignment).expect("small")));
        for (field, offset) in layout.fields {
            expected.push((
                format!("offsetof({name}, {field})"),
                i64::try_from(*offset).expect("small"),
            ));
        }
    }
    // Calls to a `V*` class go through the second word of the object.
    let through: BTreeSet<&str> = slots
        .iter()
        .filter(|s| s.target == Target::Implementation)
        .filter_map(|s| s.class.strip_prefix('V'))
        .collect();
    for class in through {
        let member = if class == "Layer" { "mLayer" } else { "mImpl" };
        expected.push((format!("offsetof(I{class}, {member})"), 8));
    }
    let probes: Vec<String> = expected.iter().map(|(probe, _)| probe.clone()).collect();
    for ((probe, expected), value) in expected.iter().zip(compiler.values(&probes)) {
        assert_eq!(*expected, value, "{probe}");
    }
}

/// A class by the name that the tables give it.
fn find<'a>(dumped: &'a BTreeMap<String, DumpedClass>, name: &str) -> (String, &'a DumpedClass) {
    ["nvinfer1::apiv", "nvinfer1", "nvinfer1::v_1_0", "nvonnxparser"]
        .iter()
        .map(|scope| format!("{scope}::{name}"))
        .find_map(|name| dumped.get(&name).map(|class| (name, class)))
        .unwrap_or_else(|| panic!("the compiler knows no class {name}"))
}

#[test]
fn the_check_finds_nothing_against_the_tables_of_11() {
    let test = "the_check_finds_nothing_against_the_tables_of_11";
    checked(test, Major::V11, nvidia::TENSORRT);
}

#[test]
fn the_check_finds_nothing_against_the_tables_of_tensorrt_for_rtx() {
    let test = "the_check_finds_nothing_against_the_tables_of_tensorrt_for_rtx";
    checked(test, Major::Rtx1, nvidia::RTX[4]);
}

fn checked(test: &str, major: Major, headers: &str) {
    let Some(root) = nvidia::root(test) else { return };
    let headers = Headers::read(&root.join(headers)).expect("NVIDIA's headers");
    let report = check(&headers).expect("headers of a known version");
    assert!(report.agrees(), "{report}");
    assert_eq!(report.unknown().count(), 0, "{report}");
    // Nothing of the tables was left out.
    let has = |item: &Item| {
        report.findings.iter().any(|f| f.item == *item && f.verdict == Verdict::Match)
    };
    for slot in table::slots(major) {
        assert!(has(&Item::Method { class: slot.class, method: slot.method }), "{slot:?}");
    }
    for value in table::enum_values(major) {
        assert!(
            has(&Item::Value { enumeration: value.enumeration, name: value.name }),
            "{value:?}"
        );
    }
    for layout in table::layouts(major) {
        assert!(has(&Item::Struct { name: layout.name }), "{layout:?}");
    }
    for class in ["ILogger", "IProfiler", "IProgressMonitor"] {
        assert!(has(&Item::Callback { class }), "{class}");
    }
}

/// Their tables are others still.
#[test]
fn tensorrt_for_rtx_before_1_7_is_refused_by_name() {
    let Some(root) = nvidia::root("tensorrt_for_rtx_before_1_7_is_refused_by_name") else { return };
    for version in &nvidia::RTX[..4] {
        let headers = Headers::read(&root.join(version)).expect("NVIDIA's headers");
        let refused = check(&headers).expect_err("no tables");
        assert!(matches!(refused, NotComparable::Version { .. }));
        assert!(refused.to_string().contains("TensorRT for RTX 1."), "{refused}");
    }
}

/// A copy of the 11.4 headers, to alter.
struct Altered {
    dir: tempfile::TempDir,
}

impl Altered {
    fn new(root: &Path) -> Self {
        let dir = tempfile::tempdir().expect("a temporary directory");
        for entry in fs::read_dir(root.join(nvidia::TENSORRT)).expect("a directory") {
            let path = entry.expect("an entry").path();
            if path.is_file() {
                fs::copy(&path, dir.path().join(path.file_name().expect("a name")))
                    .expect("copied");
            }
        }
        Self { dir }
    }

    /// Replaces a text that the file has once after `after`, and returns its line.
    fn replace(&self, file: &str, after: &str, old: &str, new: &str) -> u32 {
        let path = self.dir.path().join(file);
        let text = fs::read_to_string(&path).expect("text");
        let start = text.find(after).unwrap_or_else(|| panic!("{file} has no {after}"));
        let at = start + text[start..].find(old).unwrap_or_else(|| panic!("{file} has no {old}"));
        let changed = format!("{}{new}{}", &text[..at], &text[at + old.len()..]);
        fs::write(&path, changed).expect("written");
        u32::try_from(text[..at].lines().count()).expect("short")
    }

    fn check(&self) -> Report {
        check(&Headers::read(self.dir.path()).expect("headers")).expect("headers of 11")
    }
}

fn differing(report: &Report) -> Vec<(String, Verdict)> {
    report.differences().map(|f: &Finding| (f.item.to_string(), f.verdict)).collect()
}

#[test]
fn methods_that_change_places_are_named_with_both_slots() {
    let Some(root) = nvidia::root("methods_that_change_places_are_named_with_both_slots") else {
        return;
    };
    let altered = Altered::new(&root);
    let class = "class VRuntime : public VRoot";
    altered.replace("NvInferImpl.h", class, "setDLACore(int32_t dlaCore)", "placeholder()");
    altered.replace(
        "NvInferImpl.h",
        class,
        "virtual int32_t getDLACore() const",
        "virtual void setDLACore(int32_t dlaCore)",
    );
    let line = altered.replace(
        "NvInferImpl.h",
        class,
        "virtual void setDLACore",
        "virtual void setDLACore",
    );
    let report = altered.check();
    assert_eq!(differing(&report), [("VRuntime::setDLACore".to_owned(), Verdict::Mismatch)]);
    let difference = report.differences().next().expect("one").to_string();
    let expected = format!(
        "VRuntime::setDLACore: slot 4(i32) -> () here, slot 5(int32_t) -> void in the headers ({}:{line})",
        altered.dir.path().join("NvInferImpl.h").display()
    );
    assert_eq!(difference, expected);
}

#[test]
fn a_method_in_front_shifts_all_that_follow() {
    let Some(root) = nvidia::root("a_method_in_front_shifts_all_that_follow") else { return };
    let altered = Altered::new(&root);
    let class = "class VTimingCache : public VRoot";
    altered.replace(
        "NvInferImpl.h",
        class,
        "public:",
        "public: virtual void first() noexcept = 0;",
    );
    let shifted = ["combine", "reset", "serialize"]
        .map(|m| (format!("VTimingCache::{m}"), Verdict::Mismatch));
    let mut found = differing(&altered.check());
    found.sort_by(|a, b| a.0.cmp(&b.0));
    assert_eq!(found, shifted);
}

#[test]
fn every_kind_of_difference_is_found() {
    let Some(root) = nvidia::root("every_kind_of_difference_is_found") else { return };
    let cases: [(&str, &str, &str, &str, &str, Verdict); 13] = [
        // A method that is gone.
        (
            "NvInferImpl.h",
            "class VHostMemory",
            "void* data()",
            "void* other()",
            "VHostMemory::data",
            Verdict::Missing,
        ),
        // A struct by value where a reference was: the same slot, another call.
        (
            "NvInferImpl.h",
            "class VOptimizationProfile",
            "OptProfileSelector select, Dims const& dims",
            "OptProfileSelector select, Dims dims",
            "VOptimizationProfile::setDimensions",
            Verdict::Mismatch,
        ),
        // Another width of a result.
        (
            "NvInferImpl.h",
            "class VHostMemory",
            "std::size_t size()",
            "int32_t size()",
            "VHostMemory::size",
            Verdict::Mismatch,
        ),
        // A flag that moved.
        (
            "NvInfer.h",
            "enum class BuilderFlag",
            "kTF32 = 6",
            "kTF32 = 7",
            "BuilderFlag::kTF32",
            Verdict::Mismatch,
        ),
        // A flag that is gone.
        (
            "NvInfer.h",
            "enum class BuilderFlag",
            "kREFIT = 4",
            "kREFITTING = 4",
            "BuilderFlag::kREFIT",
            Verdict::Missing,
        ),
        // Narrower extents.
        (
            "NvInferRuntimeBase.h",
            "class Dims64",
            "int64_t d[",
            "int32_t d[",
            "struct Dims64",
            Verdict::Mismatch,
        ),
        // More of them.
        (
            "NvInferRuntimeBase.h",
            "class Dims64",
            "MAX_DIMS{8}",
            "MAX_DIMS{9}",
            "struct Dims64",
            Verdict::Mismatch,
        ),
        // The alias that methods use.
        (
            "NvInferRuntimeBase.h",
            "//! Alias for Dims64",
            "using Dims = Dims64;",
            "class Dims32 { public: int32_t nbDims; int32_t d[8]; }; using Dims = Dims32;",
            "struct Dims",
            Verdict::Mismatch,
        ),
        // A callback that nobody here provides.
        (
            "NvInferRuntime.h",
            "class ILogger : public IVersionedInterface",
            "public:",
            "public: virtual void flush() noexcept {}",
            "table of ILogger",
            Verdict::Mismatch,
        ),
        // An implementation elsewhere in the object.
        (
            "NvInferRuntime.h",
            "class IRuntime : public INoCopy",
            "apiv::VRuntime* mImpl{};",
            "int64_t mNumber; apiv::VRuntime* mImpl{};",
            "implementation of IRuntime",
            Verdict::Mismatch,
        ),
        // A factory that wants something else.
        (
            "NvInfer.h",
            "extern \"C\" TENSORRTAPI void* createInferBuilder_INTERNAL",
            "void* logger, int32_t version",
            "void* logger, int64_t version",
            "createInferBuilder_INTERNAL",
            Verdict::Mismatch,
        ),
        // Another way to count versions.
        (
            "NvInferRuntimeBase.h",
            "#define NV_TENSORRT_VERSION_INT",
            "*10000L",
            "*1000L",
            "NV_TENSORRT_VERSION",
            Verdict::Mismatch,
        ),
        // A destructor that is not virtual any more.
        (
            "NvOnnxParser.h",
            "class IParser\n",
            "virtual ~IParser() noexcept = default;",
            "",
            "IParser::~IParser",
            Verdict::Missing,
        ),
    ];
    for (file, after, old, new, item, verdict) in cases {
        let altered = Altered::new(&root);
        altered.replace(file, after, old, new);
        let report = altered.check();
        assert!(!report.agrees(), "{item}");
        assert!(differing(&report).contains(&(item.to_owned(), verdict)), "{item}: {report}");
    }
}

/// What a later minor appended is no reason to distrust the headers of an earlier one, and is said.
#[test]
fn enumerators_beyond_the_end_are_newer_not_missing() {
    let Some(root) = nvidia::root("enumerators_beyond_the_end_are_newer_not_missing") else {
        return;
    };
    let altered = Altered::new(&root);
    altered.replace("NvInferRuntimeBase.h", "enum class DataType", "kE8M0 = 11,", "");
    let report = altered.check();
    assert!(report.agrees(), "{report}");
    let newer: Vec<String> = report
        .findings
        .iter()
        .filter(|f| f.verdict == Verdict::Newer)
        .map(|f| f.item.to_string())
        .collect();
    assert_eq!(newer, ["DataType::kE8M0"]);
    altered.replace("NvInferRuntimeBase.h", "enum class DataType", "kINT64 = 8,", "");
    let missing = [("DataType::kINT64".to_owned(), Verdict::Missing)];
    assert_eq!(differing(&altered.check()), missing);
}

#[test]
fn a_parser_that_is_not_installed_is_not_a_difference() {
    let Some(root) = nvidia::root("a_parser_that_is_not_installed_is_not_a_difference") else {
        return;
    };
    let altered = Altered::new(&root);
    fs::remove_file(altered.dir.path().join("NvOnnxParser.h")).expect("removed");
    let report = altered.check();
    assert!(report.agrees() && !report.has_parser, "{report}");
    let unknown: BTreeSet<String> = report.unknown().map(|f| f.item.to_string()).collect();
    assert!(
        unknown.contains("IParser::parse") && unknown.contains("createNvOnnxParser_INTERNAL"),
        "{report}"
    );
    assert!(unknown.iter().all(|item| item.to_ascii_lowercase().contains("parser")), "{report}");
}

#[test]
fn versions_without_tables_are_refused_and_later_minors_are_not() {
    let test = "versions_without_tables_are_refused_and_later_minors_are_not";
    let Some(root) = nvidia::root(test) else { return };
    let with = |major: &str, minor: &str| {
        let altered = Altered::new(&root);
        let file = "NvInferVersion.h";
        altered.replace(
            file,
            "",
            "TRT_MAJOR_ENTERPRISE 11",
            &format!("TRT_MAJOR_ENTERPRISE {major}"),
        );
        altered.replace(
            file,
            "",
            "TRT_MINOR_ENTERPRISE 4",
            &format!("TRT_MINOR_ENTERPRISE {minor}"),
        );
        check(&Headers::read(altered.dir.path()).expect("headers"))
    };
    assert!(with("11", "9").expect("a later minor").agrees());
    for (major, minor) in [("9", "2"), ("12", "0"), ("8", "4"), ("7", "1")] {
        let refused = with(major, minor).expect_err("no tables");
        assert!(matches!(refused, NotComparable::Version { .. }), "{refused}");
        assert!(refused.to_string().contains(&format!("{major}.{minor}.0")), "{refused}");
    }
    // Another major is compared with its own tables, and does not fit.
    let report = with("10", "13").expect("tables of 10");
    assert!(report.differences().count() > 50, "{report}");
}
