//! The real lean runtimes of NVIDIA, where `TENSORRT_LEAN_DIRS` names directories with a `libnvinfer_lean.so.N`
//! each (separated by colons): `tests/lean.sh` fetches two. Their licence forbids to ship them.
#![allow(clippy::print_stdout, reason = "tests/lean.sh shows what the libraries say")]

use std::io::Write;
use std::path::PathBuf;
use std::process::Command;
use std::sync::Mutex;
use tensorrt_rs::{
    Builder, Feature, LoadError, Runtime, Search, TensorRt, TensorRtError, Version, cuda,
};

fn directories(test: &str) -> Vec<PathBuf> {
    let Some(paths) = std::env::var_os("TENSORRT_LEAN_DIRS") else {
        skip(test, "TENSORRT_LEAN_DIRS names no directory (see tests/lean.sh)");
        return Vec::new();
    };
    std::env::split_paths(&paths).collect()
}

/// Says that a test is skipped, past the harness, which keeps what passing tests print.
fn skip(test: &str, reason: &str) {
    let line = format!("SKIPPED {test}: {reason}\n");
    std::io::stderr().write_all(line.as_bytes()).expect("stderr is open");
}

fn load(directory: &PathBuf) -> TensorRt {
    let search = Search::at(directory).allow_lean();
    TensorRt::load(&search).expect("the lean runtime is loaded")
}

#[test]
fn lean_runtimes_are_loaded_and_say_which_they_are() {
    for directory in directories("lean_runtimes_are_loaded_and_say_which_they_are") {
        // Without being asked for, a lean runtime is not taken.
        let error = TensorRt::load(&Search::at(&directory)).expect_err("there is no full one");
        assert!(matches!(error, LoadError::NotInstalled { .. }), "{error}");
        let tensorrt = load(&directory);
        // The file says its version in the name of the wheel's metadata; the library says it itself, and by
        // three more functions from 10 on.
        let version = tensorrt.version();
        assert_eq!(version, version_of_the_library(tensorrt));
        println!("{} is TensorRT {version}", tensorrt.path().display());
        assert!(!tensorrt.has(Feature::Builder));
        let error = Builder::new(tensorrt).expect_err("a lean runtime");
        assert!(matches!(error, TensorRtError::NoBuilder { .. }), "{error}");
        assert!(error.to_string().contains("lean"), "{error}");
        assert!(tensorrt.load_parser().is_err(), "there is none beside it");
    }
}

/// By `getInferLibMajorVersion`, `getInferLibMinorVersion` and `getInferLibPatchVersion`.
#[allow(unsafe_code, reason = "calling three functions of a C library")]
fn version_of_the_library(tensorrt: TensorRt) -> Version {
    // SAFETY: the library is loaded already; its initialisers have run.
    let library = unsafe { libloading::Library::new(tensorrt.path()) }.expect("it is loaded");
    let [major, minor, patch] = ["Major", "Minor", "Patch"].map(|part| {
        let name = format!("getInferLib{part}Version");
        // SAFETY: the type is that of these functions of NvInferRuntime.h.
        let function = unsafe { library.get::<unsafe extern "C" fn() -> i32>(name.as_bytes()) };
        let function = function.expect("10 and later have it");
        // SAFETY: they take nothing and return constants.
        u32::try_from(unsafe { function() }).expect("a number")
    });
    std::mem::forget(library);
    Version::new(major, minor, patch)
}

#[test]
fn without_a_gpu_nothing_is_called_and_the_reason_is_told() {
    for directory in directories("without_a_gpu_nothing_is_called_and_the_reason_is_told") {
        if cuda::probe().is_ok() {
            skip("without_a_gpu_nothing_is_called_and_the_reason_is_told", "there is a GPU");
            return;
        }
        // The factory of these libraries returns 0x228 here; using that would crash.
        let error = Runtime::new(load(&directory)).expect_err("no GPU");
        assert!(matches!(error, TensorRtError::Cuda(_)), "{error}");
        println!("{error}");
    }
}

/// What the library logs in a process of its own, with or without a GPU.
static LOGGED: Mutex<Vec<(log::Level, String)>> = Mutex::new(Vec::new());

struct Collector;

impl log::Log for Collector {
    fn enabled(&self, _: &log::Metadata<'_>) -> bool {
        true
    }

    fn log(&self, record: &log::Record<'_>) {
        if record.target() == "tensorrt" {
            LOGGED.lock().expect("not poisoned").push((record.level(), record.args().to_string()));
        }
    }

    fn flush(&self) {}
}

#[test]
#[ignore = "run by the_logger_is_called in a process of its own"]
fn child_that_logs() {
    log::set_logger(&Collector).expect("the first");
    log::set_max_level(log::LevelFilter::Trace);
    let directory =
        PathBuf::from(std::env::var_os("TENSORRT_LEAN_DIR").expect("set by the parent"));
    let result = Runtime::new(load(&directory));
    println!("result {:?}", result.as_ref().map(|_| "made").map_err(ToString::to_string));
    for (level, message) in LOGGED.lock().expect("not poisoned").iter() {
        println!("logged {level}: {message}");
    }
}

#[test]
fn the_logger_is_called() {
    for directory in directories("the_logger_is_called") {
        // A driver that says it has a device, and has none: the factory is called and fails, and what it logs on
        // the way goes through our logger's table.
        let Some(driver) = driver_without_a_device() else {
            skip("the_logger_is_called", "there is no C compiler");
            return;
        };
        let output = Command::new(std::env::current_exe().expect("this program"))
            .args(["--ignored", "--exact", "child_that_logs", "--nocapture"])
            .env("TENSORRT_LEAN_DIR", &directory)
            .env("LD_LIBRARY_PATH", driver.path())
            .output()
            .expect("this program runs");
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{}: {text}{said}", directory.display());
        assert!(text.contains("result Err"), "{text}");
        assert!(text.contains("logged "), "{}: no message: {text}{said}", directory.display());
        println!("{}: {}", directory.display(), text.trim());
    }
}

/// A directory with the fake `libcuda.so.1`, and nothing else that a loader would look for.
fn driver_without_a_device() -> Option<tempfile::TempDir> {
    let directory = tempfile::tempdir().expect("a directory");
    let kept = std::path::Path::new(env!("CARGO_TARGET_TMPDIR"));
    let cache = if kept.is_dir() { kept } else { directory.path() };
    let version = tensorrt_fake::FakeVersion::ALL[7];
    let fakes = directory.path().join("fakes");
    let fake = tensorrt_fake::FakeTensorRt::cached(version, cache, &fakes).ok()?;
    std::fs::copy(fake.cuda, directory.path().join("libcuda.so.1")).expect("a copy");
    Some(directory)
}

#[test]
fn a_plan_that_is_none_is_refused_on_a_gpu() {
    for directory in directories("a_plan_that_is_none_is_refused_on_a_gpu") {
        if let Err(error) = cuda::probe() {
            skip("a_plan_that_is_none_is_refused_on_a_gpu", &error.to_string());
            return;
        }
        let mut runtime = Runtime::new(load(&directory)).expect("a runtime");
        runtime.set_engine_host_code_allowed(false).expect("10 and later");
        println!("DLA cores: {}", runtime.dla_cores().expect("a number"));
        for plan in [&b""[..], b"rubbish", &[0; 4096]] {
            let error = runtime.deserialize(plan).expect_err("it is no plan");
            assert!(matches!(error, TensorRtError::Failed(_)), "{error}");
            println!("{error}");
        }
    }
}
