//! Finding a library, refusing what cannot be used, saying what was found.

use crate::support::{Fake, for_each_version, skipped};
use tensorrt_fake::{FakeTensorRt, FakeVersion};
use tensorrt_rs::{
    Builder, Feature, LoadError, ParserLoadError, Rejection, Runtime, Search, TensorRt,
    TensorRtError,
};

#[test]
fn every_version_is_loaded_and_says_which_it_is() {
    for_each_version("every_version_is_loaded_and_says_which_it_is", |fake| {
        let tensorrt = fake.load();
        assert_eq!(tensorrt.version().to_string(), fake.fake.version.to_string());
        assert_eq!(tensorrt.path(), fake.fake.library);
        assert_eq!(tensorrt.major().number(), fake.fake.version.major);
        assert!(tensorrt.has(Feature::Builder));
        assert_eq!(tensorrt.has(Feature::ProgressMonitor), fake.fake.version.major >= 10);
        assert_eq!(tensorrt.has(Feature::WeaklyTyped), fake.fake.version.major < 11);
        assert_eq!(
            tensorrt.has(Feature::OptimizationLevel),
            (fake.fake.version.major, fake.fake.version.minor) != (8, 5)
        );
        assert_eq!(tensorrt.load_parser().expect("a parser"), fake.fake.parser);
        // The same by its file.
        let again = TensorRt::load(&Search::at(&fake.fake.library)).expect("by its file");
        assert!(std::ptr::eq(again.path(), tensorrt.path()));
    });
}

#[test]
fn the_factories_get_the_version_of_the_library() {
    for_each_version("the_factories_get_the_version_of_the_library", |fake| {
        let FakeVersion { major, minor, patch } = fake.fake.version;
        // NV_TENSORRT_VERSION of each header.
        let number = major * if major < 10 { 1_000 } else { 10_000 } + minor * 100 + patch;
        let tensorrt = fake.load();
        drop(Runtime::new(tensorrt).expect("a runtime"));
        drop(Builder::new(tensorrt).expect("a builder"));
        assert_eq!(
            fake.calls(),
            [
                format!("createInferRuntime {number}"),
                "IRuntime::~IRuntime".to_owned(),
                format!("createInferBuilder {number}"),
                "IBuilder::~IBuilder".to_owned(),
            ]
        );
    });
}

#[test]
fn the_newest_of_several_is_taken() {
    if skipped("the_newest_of_several_is_taken") {
        return;
    }
    let old = Fake::new(FakeVersion::ALL[1]);
    let new = Fake::new(FakeVersion::ALL[3]);
    let both = old.directory.path().join("libnvinfer.so.10");
    std::fs::copy(&new.fake.library, &both).expect("a copy");
    let tensorrt = TensorRt::load(&Search::at(old.directory.path())).expect("one of the two");
    assert_eq!((tensorrt.version().major, tensorrt.path()), (10, both.as_path()));
}

#[test]
fn a_library_without_a_version_in_its_name_is_found() {
    if skipped("a_library_without_a_version_in_its_name_is_found") {
        return;
    }
    let fake = Fake::new(FakeVersion::ALL[7]);
    let directory = tempfile::tempdir().expect("a directory");
    let plain = directory.path().join("libnvinfer.so");
    std::fs::copy(&fake.fake.library, &plain).expect("a copy");
    let tensorrt = TensorRt::load(&Search::at(directory.path())).expect("it is found");
    assert_eq!((tensorrt.version().major, tensorrt.path()), (11, plain.as_path()));
    // And then there is no parser.
    let error = tensorrt.load_parser().expect_err("there is none");
    assert!(matches!(error, ParserLoadError::NotInstalled { .. }), "{error}");
    assert!(error.to_string().contains("libnvonnxparser.so.11"), "{error}");
}

#[test]
fn nothing_found_is_told_from_nothing_usable() {
    let directory = tempfile::tempdir().expect("a directory");
    let error = TensorRt::load(&Search::at(directory.path())).expect_err("it is empty");
    assert!(error.is_not_installed(), "{error}");
    let text = error.to_string();
    for name in ["libnvinfer.so.11", "libnvinfer.so.10", "libnvinfer.so.8"] {
        assert!(text.contains(name), "{text}");
    }
    assert!(text.contains(&directory.path().display().to_string()), "{text}");

    let missing = directory.path().join("no/such");
    let error = TensorRt::load(&Search::at(&missing)).expect_err("it is missing");
    assert!(matches!(error, LoadError::Missing { .. }), "{error}");
    assert!(!error.is_not_installed());
    assert!(error.to_string().contains("no/such"), "{error}");

    let rubbish = directory.path().join("libnvinfer.so.10");
    std::fs::write(&rubbish, "no library at all").expect("a file");
    let error = TensorRt::load(&Search::at(directory.path())).expect_err("it is no library");
    assert!(!error.is_not_installed(), "{error}");
    let LoadError::Unusable { rejected } = &error else { panic!("{error}") };
    assert_eq!(rejected[0].path, rubbish);
    assert!(matches!(rejected[0].reason, Rejection::Unloadable { .. }), "{error}");
}

#[test]
fn a_library_that_needs_a_missing_one_is_installed_and_unusable() {
    if skipped("a_library_that_needs_a_missing_one_is_installed_and_unusable") {
        return;
    }
    let directory = tempfile::tempdir().expect("a directory");
    let run = |arguments: &[&str]| {
        let compiler = std::env::var_os("CC").unwrap_or_else(|| "cc".into());
        let status = std::process::Command::new(compiler).args(arguments).status();
        let status = status.expect("the C compiler runs");
        assert!(status.success());
    };
    let source = directory.path().join("empty.c");
    std::fs::write(&source, "int nothing(void) { return 0; }\n").expect("a file");
    let path = |name: &str| directory.path().join(name).display().to_string();
    run(&["-shared", "-Wl,-soname,libgone.so.7", "-o", &path("libgone.so"), &path("empty.c")]);
    run(&[
        "-shared",
        "-Wl,--no-as-needed",
        "-o",
        &path("libnvinfer.so.10"),
        &path("empty.c"),
        &path("libgone.so"),
    ]);
    let error = TensorRt::load(&Search::at(directory.path())).expect_err("libgone.so.7 is gone");
    assert!(!error.is_not_installed(), "{error}");
    assert!(error.to_string().contains("libgone.so.7"), "{error}");
}

#[test]
fn another_library_of_that_name_is_refused() {
    if skipped("another_library_of_that_name_is_refused") {
        return;
    }
    let fake = Fake::new(FakeVersion::ALL[3]);
    let directory = tempfile::tempdir().expect("a directory");
    std::fs::copy(&fake.fake.cuda, directory.path().join("libnvinfer.so.10")).expect("a copy");
    let error = TensorRt::load(&Search::at(directory.path())).expect_err("it is libcuda");
    let LoadError::Unusable { rejected } = &error else { panic!("{error}") };
    assert_eq!(rejected[0].reason, Rejection::NotTensorRt { symbol: "getInferLibVersion" });
}

#[test]
fn versions_without_tables_are_refused_by_name() {
    if skipped("versions_without_tables_are_refused_by_name") {
        return;
    }
    // Number of the library, name of the file, and what a person calls it.
    for (number, name, version) in [
        ("8403", "libnvinfer.so.8", "8.4.3"),
        ("8001", "libnvinfer.so.8", "8.0.1"),
        ("7203", "libnvinfer.so.7", "7.2.3"),
        ("9300", "libnvinfer.so.9", "9.3.0"),
        ("120001", "libnvinfer.so.12", "12.0.1"),
    ] {
        let fake = Fake::new(FakeVersion::ALL[3]);
        let library = fake.directory.path().join(name);
        std::fs::rename(&fake.fake.library, &library).expect("another name");
        let renamed = FakeTensorRt { library: library.clone(), ..fake.fake.clone() };
        renamed.control(&format!("version={number}"));
        let error = TensorRt::load(&Search::at(fake.directory.path())).expect_err(version);
        assert!(!error.is_not_installed(), "{error}");
        let text = error.to_string();
        for part in [version, name, "8.5, 8.6, 10.x and 11.x"] {
            assert!(text.contains(part), "{text}");
        }
        // No virtual call was made, nor a factory.
        assert_eq!(renamed.calls(), [""; 0]);
    }
}

#[test]
fn a_lean_runtime_runs_and_does_not_build() {
    if skipped("a_lean_runtime_runs_and_does_not_build") {
        return;
    }
    for version in [FakeVersion::ALL[5], FakeVersion::ALL[7]] {
        let directory = tempfile::tempdir().expect("a directory");
        let library = FakeTensorRt::build_lean(version, directory.path()).expect("it compiles");
        drop(Fake::new(version)); // for its libcuda
        // Only where it is asked for.
        let error = TensorRt::load(&Search::at(directory.path())).expect_err("no full library");
        assert!(error.is_not_installed(), "{error}");
        let search = Search::at(directory.path()).allow_lean();
        let tensorrt = TensorRt::load(&search).expect("the lean one");
        assert_eq!(tensorrt.path(), library);
        assert!(!tensorrt.has(Feature::Builder));
        drop(Runtime::new(tensorrt).expect("a runtime"));
        let error = Builder::new(tensorrt).expect_err("it has none");
        assert!(matches!(error, TensorRtError::NoBuilder { .. }), "{error}");
        let text = error.to_string();
        for part in ["lean", &library.display().to_string(), "libnvinfer.so."] {
            assert!(text.contains(part), "{text}");
        }
    }
}

#[test]
fn a_parser_that_cannot_be_used_is_named() {
    if skipped("a_parser_that_cannot_be_used_is_named") {
        return;
    }
    let fake = Fake::new(FakeVersion::ALL[3]);
    std::fs::write(&fake.fake.parser, "no library").expect("a file");
    let error = fake.load().load_parser().expect_err("it is no library");
    assert!(matches!(error, ParserLoadError::Unloadable { .. }), "{error}");
    assert!(error.to_string().contains("libnvonnxparser.so.10"), "{error}");

    let fake = Fake::new(FakeVersion::ALL[3]);
    std::fs::copy(&fake.fake.cuda, &fake.fake.parser).expect("a copy");
    let error = fake.load().load_parser().expect_err("it is libcuda");
    assert!(matches!(error, ParserLoadError::NotAParser { .. }), "{error}");

    // The parser of another major is not taken.
    let fake = Fake::new(FakeVersion::ALL[3]);
    let other = fake.directory.path().join("libnvonnxparser.so.11");
    std::fs::rename(&fake.fake.parser, other).expect("another name");
    let error = fake.load().load_parser().expect_err("it is of 11");
    assert!(matches!(error, ParserLoadError::NotInstalled { .. }), "{error}");
}
