//! Where NVIDIA's headers lie on this machine.

use std::collections::BTreeSet;
use std::io::Write;
use std::path::PathBuf;
use std::process::Command;
use std::sync::{Mutex, OnceLock};

/// The one TensorRT whose headers the registry has.
pub(crate) const TENSORRT: &str = "TRT-Enterprise-11.4";
/// TensorRT for RTX: other headers of the same kind.
pub(crate) const RTX: [&str; 5] =
    ["TRT-RTX-1.3", "TRT-RTX-1.4", "TRT-RTX-1.5", "TRT-RTX-1.6", "TRT-RTX-1.7"];

/// The folder that has one folder for each version and, itself, the `cuda_runtime_api.h` that they
/// include. `None` after saying that `test` is skipped.
pub(crate) fn root(test: &str) -> Option<PathBuf> {
    static ROOT: OnceLock<Result<PathBuf, String>> = OnceLock::new();
    match ROOT.get_or_init(find) {
        Ok(root) => Some(root.clone()),
        Err(reason) => {
            skip(test, reason);
            None
        }
    }
}

/// Says once that a test is skipped, or fails where that is not allowed.
pub(crate) fn skip(test: &str, reason: &str) {
    static SAID: Mutex<BTreeSet<String>> = Mutex::new(BTreeSet::new());
    assert!(
        std::env::var_os("TENSORRT_HEADERS_REQUIRED").is_none_or(|v| v != "1"),
        "TENSORRT_HEADERS_REQUIRED=1, but {test} cannot run: {reason}"
    );
    // A property asks for each of its cases.
    if SAID.lock().expect("nobody panics with it").insert(test.to_owned()) {
        // Past the harness, which keeps what a passing test prints; in one piece.
        let line = format!("SKIPPED {test}: {reason}\n");
        std::io::stderr().write_all(line.as_bytes()).expect("stderr is open");
    }
}

fn find() -> Result<PathBuf, String> {
    let manifest = concat!(env!("CARGO_MANIFEST_DIR"), "/headers/Cargo.toml");
    // Packages for other systems need not be fetched.
    let platform = format!("{}-unknown-linux-gnu", std::env::consts::ARCH);
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--format-version", "1", "--locked", "--filter-platform", &platform])
        .args(["--manifest-path", manifest])
        .output()
        .map_err(|error| format!("cargo does not start: {error}"))?;
    if !output.status.success() {
        let message = String::from_utf8_lossy(&output.stderr);
        let message = message.lines().find(|l| l.starts_with("error")).unwrap_or_default();
        return Err(format!("the crate trtx-sys cannot be fetched: {message}"));
    }
    let metadata: serde_json::Value = serde_json::from_slice(&output.stdout)
        .map_err(|error| format!("cargo metadata: {error}"))?;
    let packages = metadata["packages"].as_array().ok_or("cargo metadata names no packages")?;
    let package =
        packages.iter().find(|p| p["name"] == "trtx-sys").ok_or("trtx-sys is not named")?;
    let manifest = package["manifest_path"].as_str().ok_or("trtx-sys has no folder")?;
    let root = PathBuf::from(manifest).with_file_name("TensorRT-Headers");
    if root.join(TENSORRT).join("NvInfer.h").is_file() {
        Ok(root)
    } else {
        Err(format!("{} has no {TENSORRT}/NvInfer.h", root.display()))
    }
}
