//! Libraries that look like TensorRT of eight versions and compute nothing, for tests.
//!
//! [`FakeTensorRt::build`] compiles a `libnvinfer`, a `libnvonnxparser` and a `libcuda` into a directory with
//! the C++ compiler (`$CXX`, or `c++`). Their classes have real virtual methods, which the compiler
//! places: `slots.txt` says what lies where in which version, and empty methods fill what is between, which
//! abort when they are called. That list is made from NVIDIA's headers and not from the binding's tables.
//!
//! # What they do
//!
//! - The parser reads a real ONNX file as far as names, types and shapes: inputs, outputs, nodes (a layer for
//!   each), external weights (whose file has to exist). INT64 becomes INT32 before 10.0.
//! - The builder makes a plan: lines of text with version, device, a hash of the ONNX bytes, flags, profiles,
//!   inputs and outputs, layers, and a checksum. It reports progress from a thread of its own.
//! - The runtime takes a plan of its own version, device and checksum, and says what is wrong with others.
//! - A context fills outputs from inputs by a rule ([`expected_output`]), or from files. Addresses are those of
//!   host memory. Where the loaded `libcuda.so.1` has `cuLaunchHostFunc` the work is put on the stream with it,
//!   and may be captured into a graph; else it is done at once.
//! - Every call is recorded ([`FakeTensorRt::calls`]), and mistakes that a real library would answer with a
//!   crash (a runtime deleted before its engines, a logger of another version) as lines with `VIOLATION`.
//!
//! # Settings
//!
//! By [`FakeTensorRt::control`], or before the library is loaded by the environment variable `TENSORRT_FAKE`, as
//! `key=value` separated by semicolons:
//!
//! | key | value | what happens |
//! |---|---|---|
//! | `runtime` | `null`, `0x228` | `createInferRuntime` returns that; 0x228 is what real ones do without a GPU |
//! | `builder`, `network`, `config`, `profile`, `parser`, `context`, `inspector` | `null` | it cannot be made; some log an error, the context an out-of-memory |
//! | `parse` | `fail`, `silent` | the parser refuses, with or without an error |
//! | `parse.unsupported` | operators, by commas | nodes with them are refused by name |
//! | `build` | `fail`, `oom`, `abort` | no plan, after error messages; `abort` kills the process in the middle |
//! | `build.step_ms` | milliseconds | each layer takes that long |
//! | `deserialize` | `fail`, `oom` | no engine |
//! | `device` | a word, `fake` at first | plans and timing caches of another device are refused |
//! | `version` | a number | what `getInferLibVersion` returns |
//! | `address`, `enqueue`, `tactics`, `fp16` | `false` | the call fails; the platform has no fast FP16 |
//! | `enqueue.fail_after` | a number | the call fails from that frame on |
//! | `outputs` | a directory | outputs are read from `NAME.bin` in it |
//! | `cache` | `null` | timing caches cannot be serialised |
//! | `dla` | a number | that many DLA cores |
//! | `memory` | bytes | device memory of an engine |
//! | `dtype`, `format` | a number | data type and format of every input and output |
//! | `chatty` | `yes` | making a builder logs one message of each severity, from another thread |
//! | `log` | a file | calls are appended to it, too: for other processes |
//!
//! The fake `libcuda.so.1` obeys `FAKE_CUDA_INIT` (what `cuInit` returns) and `FAKE_CUDA_VERSION`.
#![allow(unsafe_code, reason = "it loads the libraries that it has made")]

mod classes;
mod compile;
mod onnx;
mod outputs;

pub use onnx::{Onnx, OnnxType};
pub use outputs::{expected_output, network_hash};

use libloading::os::unix::{Library, RTLD_LOCAL, RTLD_NOW};
use std::ffi::{CString, c_char};
use std::mem::ManuallyDrop;
use std::path::{Path, PathBuf};

/// A version that there are fakes of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct FakeVersion {
    /// 8, 10 or 11.
    pub major: u32,
    /// As in the list of slots.
    pub minor: u32,
    /// Of a release that there was.
    pub patch: u32,
}

impl FakeVersion {
    /// Those that the binding is tested against.
    pub const ALL: [Self; 8] = [
        Self { major: 8, minor: 5, patch: 2 },
        Self { major: 8, minor: 6, patch: 2 },
        Self { major: 10, minor: 0, patch: 1 },
        Self { major: 10, minor: 3, patch: 0 },
        Self { major: 10, minor: 13, patch: 3 },
        Self { major: 10, minor: 16, patch: 1 },
        Self { major: 11, minor: 0, patch: 0 },
        Self { major: 11, minor: 4, patch: 0 },
    ];
}

impl std::fmt::Display for FakeVersion {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "{}.{}.{}", self.major, self.minor, self.patch)
    }
}

/// Libraries of one version, in a directory.
#[derive(Clone, Debug)]
pub struct FakeTensorRt {
    /// The version.
    pub version: FakeVersion,
    /// The directory: what a search for TensorRT takes.
    pub directory: PathBuf,
    /// `libnvinfer.so.N`.
    pub library: PathBuf,
    /// `libnvonnxparser.so.N`.
    pub parser: PathBuf,
    /// `libcuda.so.1`, alone in a directory below, so that the other two can be had without it.
    pub cuda: PathBuf,
}

impl FakeTensorRt {
    /// Compiles the libraries into a directory. Each directory has a state of its own, also within one process.
    ///
    /// # Errors
    /// No compiler, or one that fails: with what it said.
    pub fn build(version: FakeVersion, directory: &Path) -> Result<Self, String> {
        compile::build(version, directory)
    }

    /// As [`build`](Self::build), by copying what was compiled before, which is kept below `cache`: in tests
    /// `env!("CARGO_TARGET_TMPDIR")`. Several processes may share a cache.
    ///
    /// # Errors
    /// As [`build`](Self::build), and files that cannot be written.
    pub fn cached(version: FakeVersion, cache: &Path, directory: &Path) -> Result<Self, String> {
        compile::cached(version, cache, directory)
    }

    /// Compiles `libnvinfer_lean.so.N` beside: as the other, without a builder.
    ///
    /// # Errors
    /// As [`build`](Self::build).
    pub fn build_lean(version: FakeVersion, directory: &Path) -> Result<PathBuf, String> {
        compile::build_lean(version, directory)
    }

    /// Loads the fake `libcuda.so.1`, so that whoever asks for that name gets it: the loader knows it then.
    ///
    /// # Panics
    /// It cannot be loaded.
    pub fn load_cuda(&self) {
        // SAFETY: our own library, which has no initialisers.
        let library = unsafe { Library::open(Some(&self.cuda), RTLD_NOW | RTLD_LOCAL) };
        std::mem::forget(library.expect("the fake libcuda loads"));
    }

    /// Replaces all settings.
    ///
    /// # Panics
    /// The library cannot be loaded, or the settings contain a NUL.
    pub fn control(&self, settings: &str) {
        let settings = CString::new(settings).expect("settings are text");
        let library = self.loaded();
        // SAFETY: the type is that of the function in nvinfer.cpp.
        let control = unsafe {
            library.get::<unsafe extern "C" fn(*const c_char)>(b"tensorrt_fake_control\0")
        };
        let control = control.expect("the fake has it");
        // SAFETY: the string is alive and is copied.
        unsafe { control(settings.as_ptr()) };
    }

    /// The calls since the last [`forget`](Self::forget), in order.
    ///
    /// # Panics
    /// The library cannot be loaded.
    pub fn calls(&self) -> Vec<String> {
        let library = self.loaded();
        // SAFETY: the type is that of the function in nvinfer.cpp.
        let calls = unsafe {
            library.get::<unsafe extern "C" fn(*mut u8, usize) -> usize>(b"tensorrt_fake_calls\0")
        };
        let calls = calls.expect("the fake has it");
        // SAFETY: nothing is written to a buffer of no bytes.
        let mut size = unsafe { calls(std::ptr::null_mut(), 0) };
        loop {
            let mut buffer = vec![0_u8; size];
            // SAFETY: the buffer has that many bytes.
            let now = unsafe { calls(buffer.as_mut_ptr(), buffer.len()) };
            if now <= size {
                buffer.truncate(now);
                return String::from_utf8_lossy(&buffer).lines().map(str::to_owned).collect();
            }
            size = now;
        }
    }

    /// Forgets the calls.
    ///
    /// # Panics
    /// The library cannot be loaded.
    pub fn forget(&self) {
        let library = self.loaded();
        // SAFETY: the type is that of the function in nvinfer.cpp.
        let forget = unsafe { library.get::<unsafe extern "C" fn()>(b"tensorrt_fake_forget\0") };
        let forget = forget.expect("the fake has it");
        // SAFETY: it takes nothing.
        unsafe { forget() };
    }

    /// Where the libraries of a version are below a directory.
    fn below(version: FakeVersion, directory: &Path) -> Self {
        Self {
            version,
            directory: directory.to_path_buf(),
            library: directory.join(format!("libnvinfer.so.{}", version.major)),
            parser: directory.join(format!("libnvonnxparser.so.{}", version.major)),
            cuda: directory.join("cuda/libcuda.so.1"),
        }
    }

    /// Loaded for good: with the last handle its state would go.
    fn loaded(&self) -> ManuallyDrop<Library> {
        // SAFETY: our own library; its initialisers do nothing but make a mutex.
        let library = unsafe { Library::open(Some(&self.library), RTLD_NOW | RTLD_LOCAL) };
        ManuallyDrop::new(library.expect("the fake libnvinfer loads"))
    }
}
