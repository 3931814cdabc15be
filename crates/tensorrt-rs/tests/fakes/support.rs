//! Fakes to test with, compiled once a version.

use std::io::Write;
use std::path::PathBuf;
use std::sync::{Mutex, OnceLock, PoisonError};
use tempfile::TempDir;
use tensorrt_fake::{FakeTensorRt, FakeVersion, Onnx, OnnxType};
use tensorrt_rs::{
    Builder, BuilderConfig, Engine, Network, NetworkTyping, Runtime, Search, TensorRt,
};

/// A fake with a state of its own, and its directory, which goes with it.
pub(crate) struct Fake {
    pub(crate) fake: FakeTensorRt,
    pub(crate) directory: TempDir,
}

/// Where compiled fakes are kept.
static CACHE: OnceLock<PathBuf> = OnceLock::new();

/// Two tests that want the same version at once would compile it twice.
static COMPILING: Mutex<()> = Mutex::new(());

/// The directory of the driver of this process.
static CUDA: OnceLock<TempDir> = OnceLock::new();

impl Fake {
    /// A copy of the fake of a version: the loader takes another file for another library.
    pub(crate) fn new(version: FakeVersion) -> Self {
        let directory = tempfile::tempdir().expect("a temporary directory");
        // Beside other products of the build, where they are kept; elsewhere for this process only.
        let cache = CACHE.get_or_init(|| {
            let kept = PathBuf::from(env!("CARGO_TARGET_TMPDIR"));
            if kept.is_dir() { kept } else { std::env::temp_dir() }
        });
        let compiling = COMPILING.lock().unwrap_or_else(PoisonError::into_inner);
        let fake = FakeTensorRt::cached(version, cache, directory.path()).expect("it compiles");
        drop(compiling);
        CUDA.get_or_init(|| {
            // In a directory that outlives the tests of this process.
            let directory = tempfile::tempdir().expect("a temporary directory");
            let library = directory.path().join("libcuda.so.1");
            std::fs::copy(&fake.cuda, &library).expect("a copy");
            FakeTensorRt { cuda: library, ..fake.clone() }.load_cuda();
            directory
        });
        Self { fake, directory }
    }

    pub(crate) fn load(&self) -> TensorRt {
        TensorRt::load(&Search::at(&self.fake.directory)).expect("the fake can be used")
    }

    /// What was called, but for what no test here asks for: how often a reader asks.
    pub(crate) fn calls(&self) -> Vec<String> {
        self.fake.calls()
    }

    /// Fails if the fake saw a mistake.
    pub(crate) fn assert_no_violation(&self) {
        let calls = self.calls();
        let violation = calls.iter().find(|call| call.contains("VIOLATION"));
        assert!(violation.is_none(), "{}: {violation:?} among {calls:#?}", self.fake.version);
    }
}

/// Runs a test for each version. Without a compiler it is skipped by name.
pub(crate) fn for_each_version(test: &str, run: impl Fn(&Fake)) {
    if skipped(test) {
        return;
    }
    // Valgrind takes its time: fewer versions by `FAKE_VERSIONS=8.5,11.4`.
    let only = std::env::var("FAKE_VERSIONS").ok();
    let chosen = |version: &FakeVersion| {
        let name = format!("{}.{}", version.major, version.minor);
        only.as_ref().is_none_or(|only| only.split(',').any(|chosen| chosen == name))
    };
    let mut runs = 0;
    for version in FakeVersion::ALL.into_iter().filter(chosen) {
        run(&Fake::new(version));
        runs += 1;
    }
    assert!(runs > 0, "FAKE_VERSIONS={} has no version of a fake", only.unwrap_or_default());
}

/// Whether there is no C++ compiler, so that `test` cannot run.
pub(crate) fn skipped(test: &str) -> bool {
    let compiler = std::env::var("CXX").unwrap_or_else(|_| "c++".to_owned());
    let name = compiler.split_whitespace().next().unwrap_or("c++");
    let there = std::process::Command::new(name).arg("--version").output().is_ok();
    if !there {
        skip(test, &format!("there is no C++ compiler {name}"));
    }
    !there
}

/// Says that a test is skipped, past the harness, which keeps what passing tests print.
pub(crate) fn skip(test: &str, reason: &str) {
    let line = format!("SKIPPED {test}: {reason}\n");
    std::io::stderr().write_all(line.as_bytes()).expect("stderr is open");
}

/// Two inputs, three layers, two outputs; `n` is open in `x`.
pub(crate) fn onnx(n: i64) -> Vec<u8> {
    Onnx::new()
        .input("x", OnnxType::Float, &[n, 3, 4])
        .input("index", OnnxType::Int64, &[5])
        .node("conv", "Conv", &["x"], &["a"])
        .node("gather", "Gather", &["a", "index"], &["b"])
        .node("soft", "Softmax", &["b"], &["y"])
        .output("y", OnnxType::Float, &[n, 7])
        .output("h", OnnxType::Float16, &[2, 9])
        .bytes()
}

/// The typing that a version takes for plain fp32.
pub(crate) fn typing(tensorrt: TensorRt) -> NetworkTyping {
    if tensorrt.version().major == 11 { NetworkTyping::Strong } else { NetworkTyping::Weak }
}

/// A builder with the network of [`onnx`] in it.
pub(crate) fn parsed(tensorrt: TensorRt, n: i64) -> (Builder, Network, BuilderConfig) {
    let builder = Builder::new(tensorrt).expect("a builder");
    let mut network = builder.create_network(typing(tensorrt)).expect("a network");
    let mut parser = network.onnx_parser().expect("a parser");
    parser.parse(&onnx(n), None).expect("the network is parsed");
    drop(parser);
    let config = builder.create_config().expect("a configuration");
    (builder, network, config)
}

/// A plan of [`onnx`] with a closed shape.
pub(crate) fn plan(tensorrt: TensorRt) -> Vec<u8> {
    let (builder, network, mut config) = parsed(tensorrt, 2);
    builder.build_serialized(&network, &mut config).expect("a plan").to_vec()
}

/// An engine of that plan.
pub(crate) fn engine(tensorrt: TensorRt) -> Engine {
    let runtime = Runtime::new(tensorrt).expect("a runtime");
    runtime.deserialize(&plan(tensorrt)).expect("an engine")
}
