//! A driver and a compiler that are not real, and processes that use them.

use occdepth_cuda::{CudaError, Device, KernelCache, KernelSource};
use sha2::{Digest, Sha256};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::OnceLock;

/// Runs `body` in a process of its own, on the fakes. `test` is the full name of the calling test.
pub(crate) fn on_fakes(test: &str, settings: &[(&str, &str)], body: impl FnOnce()) {
    if is_child() {
        return body();
    }
    if !can_fake(test) {
        return;
    }
    let output = child(test, settings, &libraries().join("all"));
    let text = said(&output);
    assert!(output.status.success(), "{test}: {}\n{text}", output.status);
    // A name that no test has would be a success of nothing.
    assert!(text.contains("1 passed"), "{test}: {text}");
    eprintln!("{text}");
}

/// Whether this machine can compile fakes; says so where it cannot.
pub(crate) fn can_fake(test: &str) -> bool {
    let found = Command::new(compiler()).arg("--version").output().is_ok();
    if !found {
        skip(test, "there is no C++ compiler (CXX, or c++)");
    }
    found
}

fn compiler() -> String {
    std::env::var("CXX").unwrap_or_else(|_| "c++".into())
}

/// The process of `test`, with `directory` in front of where the loader looks.
pub(crate) fn child(test: &str, settings: &[(&str, &str)], directory: &Path) -> Output {
    Command::new(std::env::current_exe().unwrap())
        .args(["--exact", test, "--nocapture", "--test-threads=1"])
        .env(CHILD, ON_FAKES)
        .env("LD_LIBRARY_PATH", directory)
        .env("FAKE_NVRTC_HEADER", libraries().join("host.h"))
        .envs(settings.iter().copied())
        .output()
        .unwrap()
}

pub(crate) fn said(output: &Output) -> String {
    let text = |bytes| String::from_utf8_lossy(bytes).into_owned();
    format!("{}{}", text(&output.stdout), text(&output.stderr))
}

/// Whether this process is on the fakes.
pub(crate) fn is_child() -> bool {
    std::env::var_os(CHILD).is_some_and(|on| on == ON_FAKES)
}

/// Runs `body` on a real GPU, or says that there is none.
pub(crate) fn on_a_gpu(test: &str, body: impl FnOnce(&Device)) {
    match Device::open(0) {
        Ok(device) => {
            eprintln!("{test}: on {} (not a fake)", device.name());
            body(&device);
        }
        Err(error) => skip(test, &error.to_string()),
    }
}

/// Runs `body` on a real GPU in a process of its own: what it does to the context is nobody else's trouble.
pub(crate) fn alone_on_a_gpu(test: &str, body: impl FnOnce(&Device)) {
    if std::env::var_os(CHILD).is_some_and(|on| on == ON_A_GPU) {
        return on_a_gpu(test, body);
    }
    if let Err(error) = Device::open(0) {
        return skip(test, &error.to_string());
    }
    let output = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", test, "--nocapture", "--test-threads=1"])
        .env(CHILD, ON_A_GPU)
        .output()
        .unwrap();
    let text = said(&output);
    assert!(
        output.status.success() && text.contains("1 passed"),
        "{test}: {}\n{text}",
        output.status
    );
    eprintln!("{text}");
}

/// Says by name that a test is skipped: straight to the stream, because the harness keeps what a passing test prints.
pub(crate) fn skip(test: &str, reason: &str) {
    use std::io::Write as _;
    std::io::stderr().write_all(format!("SKIPPED {test}: {reason}\n").as_bytes()).unwrap();
}

/// Kernels from a cache that all of these processes share, so that each is compiled once; on a real GPU from the
/// installed compiler.
pub(crate) fn kernels() -> KernelSource {
    let cache = is_child().then(|| KernelCache::open(&libraries().join("kernels")).unwrap());
    let nvrtc_directory = std::env::var_os("NVRTC_DIR").filter(|_| !is_child()).map(PathBuf::from);
    KernelSource { cache, nvrtc_directory }
}

/// `all/libcuda.so.1`, `all/libnvrtc.so.12`, `cuda/libcuda.so.1` (without a compiler) and `host.h`.
pub(crate) fn libraries() -> PathBuf {
    static BUILT: OnceLock<PathBuf> = OnceLock::new();
    BUILT.get_or_init(build).clone()
}

fn build() -> PathBuf {
    let mut hash = Sha256::new();
    // What was compiled for another processor, or by another compiler, is something else.
    hash.update(std::env::consts::ARCH);
    hash.update(compiler());
    for (name, text) in SOURCES {
        hash.update(name);
        hash.update(text);
    }
    let hash = u64::from_le_bytes(*hash.finalize().first_chunk().unwrap());
    let user = rustix::process::geteuid().as_raw();
    let finished = std::env::temp_dir().join(format!("occdepth-gpu-fakes-{user}-{hash:016x}"));
    if finished.join("all").exists() {
        return finished;
    }
    let new = tempfile::tempdir().unwrap();
    let make = |path: &Path| std::fs::DirBuilder::new().mode(0o700).create(path).unwrap();
    make(&new.path().join("all"));
    make(&new.path().join("cuda"));
    for (name, text) in SOURCES {
        std::fs::write(new.path().join(name), text).unwrap();
    }
    for (source, library) in [("cuda.cpp", "libcuda.so.1"), ("nvrtc.cpp", "libnvrtc.so.12")] {
        let output = Command::new(compiler())
            .args(["-std=c++17", "-O1", "-shared", "-fPIC", "-pthread"])
            .arg(format!("-Wl,-soname,{library}"))
            .arg("-o")
            .arg(new.path().join("all").join(library))
            .arg(new.path().join(source))
            .arg("-ldl")
            .output()
            .unwrap();
        assert!(output.status.success(), "{source}: {}", said(&output));
    }
    std::fs::copy(new.path().join("all/libcuda.so.1"), new.path().join("cuda/libcuda.so.1"))
        .unwrap();
    // Whoever is first wins; the others use that one.
    let new = new.keep();
    if std::fs::rename(&new, &finished).is_err() {
        std::fs::remove_dir_all(&new).ok();
    }
    finished
}

/// What a call that must fail failed with.
pub(crate) fn error<T>(result: Result<T, CudaError>) -> CudaError {
    result.map(|_| ()).unwrap_err()
}

const CHILD: &str = "OCCDEPTH_GPU_CHILD";
const ON_FAKES: &str = "fakes";
const ON_A_GPU: &str = "gpu";
const SOURCES: [(&str, &str); 3] = [
    ("cuda.cpp", include_str!("../../crates/cuda/fake/cuda.cpp")),
    ("nvrtc.cpp", include_str!("../../crates/cuda/fake/nvrtc.cpp")),
    ("host.h", include_str!("../../crates/cuda/fake/host.h")),
];
