//! From the driver to `TensorRT`: whether engines can be built and run here.

use super::{Examination, Finding, Verdict};
use crate::board::Board;
use crate::causes::WithCauses;
use crate::engine::machine::is_without_gpu;
use occdepth_cuda::{CudaError, Device, Nvrtc};
use std::path::{Path, PathBuf};
use tensorrt_rs::abi::{self, Headers};
use tensorrt_rs::{Feature, LoadError, Search, TensorRt};

pub(super) fn examine(examination: &Examination, board: &Board) -> Vec<Finding> {
    let device = Device::open(0);
    let there = has_gpu(board) || device.is_ok();
    let tensorrt = TensorRt::load(&examination.search());
    vec![
        driver(board, there),
        cuda(&device, there),
        nvrtc(&device, there),
        library(&tensorrt, board, there),
        parser(&tensorrt),
        headers(examination, tensorrt.as_ref().ok()),
    ]
}

impl Examination {
    /// Where `TensorRT` is looked for.
    pub(super) fn search(&self) -> Search {
        self.tensorrt.as_ref().map_or_else(Search::default, Search::at)
    }
}

/// Whether the system's files speak of an NVIDIA GPU, whatever its driver says.
fn has_gpu(board: &Board) -> bool {
    board.identity.tegra().is_some() || !board.discrete_gpus.is_empty()
}

const NO_GPU: &str = "no NVIDIA GPU: networks run on the CPU";

fn driver(board: &Board, there: bool) -> Finding {
    const SUBJECT: &str = "driver";
    let software = &board.software;
    if let Some(version) = software.jetson_linux.known() {
        let jetpack = software.jetpack.known().map_or("unknown", String::as_str);
        return Finding::good(SUBJECT, format!("Jetson Linux {version} (JetPack {jetpack})"));
    }
    match software.driver.known() {
        Some(version) => Finding::good(SUBJECT, version.clone()),
        None if !there => Finding::unknown(SUBJECT, NO_GPU),
        None => Finding::problem(
            SUBJECT,
            software.driver.reason().unwrap_or("no version").to_owned(),
            "install NVIDIA's driver (a Jetson: flash JetPack), and restart",
        ),
    }
}

fn cuda(device: &Result<Device, CudaError>, there: bool) -> Finding {
    const SUBJECT: &str = "CUDA";
    match device {
        Ok(device) => {
            let ((major, minor), (sm_major, sm_minor)) = (device.driver_cuda(), device.compute());
            Finding::good(
                SUBJECT,
                format!(
                    "{major}.{minor}; {} (sm {sm_major}.{sm_minor}, {} multiprocessors, {} MiB{})",
                    device.name(),
                    device.multiprocessors(),
                    device.memory_bytes() >> 20,
                    if device.is_integrated() { ", shared with the CPU" } else { "" }
                ),
            )
        }
        Err(error) if !there && is_without_gpu(error) => Finding::unknown(SUBJECT, NO_GPU),
        Err(error) => Finding::problem(
            SUBJECT,
            WithCauses(error).to_string(),
            "look at the driver and the GPU nodes; after an update of the driver, restart",
        ),
    }
}

fn nvrtc(device: &Result<Device, CudaError>, there: bool) -> Finding {
    const SUBJECT: &str = "CUDA compiler";
    let driver = device.as_ref().ok().map(|device| device.driver_cuda().0);
    match Nvrtc::load(None, driver) {
        Ok(compiler) => {
            let (major, minor) = compiler.version();
            Finding::good(SUBJECT, format!("{} {major}.{minor}", compiler.name()))
        }
        Err(_) if !there => Finding::unknown(SUBJECT, NO_GPU),
        Err(error) => Finding::problem(
            SUBJECT,
            WithCauses(&error).to_string(),
            "install NVRTC (a Jetson: `sudo apt install cuda-nvrtc-12-6`, or the version of its CUDA)",
        ),
    }
}

fn library(tensorrt: &Result<TensorRt, LoadError>, board: &Board, there: bool) -> Finding {
    const SUBJECT: &str = "TensorRT";
    const INSTALL: &str = "install TensorRT (a Jetson: `sudo apt install tensorrt`), or name its place with --tensorrt";
    match tensorrt {
        Ok(library) => {
            let found = format!("{} ({})", library.version(), library.path().display());
            if !library.has(Feature::Builder) {
                return Finding::problem(SUBJECT, format!("{found}, which cannot build"), INSTALL);
            }
            let others: Vec<&str> = board
                .software
                .tensorrt
                .iter()
                .map(|library| library.version.as_str())
                .filter(|version| *version != library.version().to_string())
                .collect();
            if others.is_empty() {
                return Finding::good(SUBJECT, found);
            }
            Finding::warning(
                SUBJECT,
                format!("{found}; also installed: {}", others.join(", ")),
                "remove the others, or name the one that is meant with `network.tensorrt`",
            )
        }
        Err(error) if error.is_not_installed() && !there => {
            Finding::unknown(SUBJECT, format!("not installed; {NO_GPU}"))
        }
        Err(error) => Finding::problem(SUBJECT, WithCauses(error).to_string(), INSTALL),
    }
}

fn parser(tensorrt: &Result<TensorRt, LoadError>) -> Finding {
    const SUBJECT: &str = "ONNX parser";
    let Ok(tensorrt) = tensorrt else {
        return Finding::unknown(SUBJECT, "without TensorRT there is none");
    };
    match tensorrt.load_parser() {
        Ok(path) => Finding::good(SUBJECT, path.display().to_string()),
        Err(error) => Finding::problem(
            SUBJECT,
            WithCauses(&error).to_string(),
            "install the parser of the same major version (a Jetson: `sudo apt install libnvonnxparsers10`)",
        ),
    }
}

/// Where `NvInfer.h` lies, by the packages of NVIDIA and of Debian.
const HEADERS: [&str; 5] = [
    "usr/include/aarch64-linux-gnu",
    "usr/include/x86_64-linux-gnu",
    "usr/include",
    "usr/local/tensorrt/include",
    "usr/local/cuda/include",
];

/// Compares the binding's tables with the headers that are installed: the only thing on a device that can tell whether
/// they fit its `TensorRT`.
fn headers(examination: &Examination, library: Option<&TensorRt>) -> Finding {
    const SUBJECT: &str = "TensorRT ABI";
    let directory = match &examination.headers {
        Some(directory) => Some(directory.clone()),
        None => library
            .and_then(|library| abi::header_dir(library.path()))
            .or_else(|| usual_headers(&examination.root)),
    };
    let Some(directory) = directory else {
        return Finding::unknown(
            SUBJECT,
            "no headers are installed to compare with (package libnvinfer-headers-dev)",
        );
    };
    let report = match Headers::read(&directory) {
        Ok(headers) => {
            let other = library.filter(|library| library.version() != headers.version());
            if let Some(library) = other {
                return Finding::warning(
                    SUBJECT,
                    format!(
                        "headers of {} in {}, but the library is {}: nothing can be compared",
                        headers.version(),
                        directory.display(),
                        library.version()
                    ),
                    "install the headers of the library, or name their directory with --abi",
                );
            }
            abi::check(&headers)
        }
        Err(error) => {
            return Finding::problem(
                SUBJECT,
                WithCauses(&error).to_string(),
                "install the headers again",
            );
        }
    };
    match report {
        Err(reason) => Finding::problem(
            SUBJECT,
            format!("{}: {reason}", directory.display()),
            "install a TensorRT that is supported (8.5 to 11)",
        ),
        Ok(report) if report.agrees() => Finding::good(
            SUBJECT,
            format!(
                "{} entries agree with the headers of {} in {}",
                report.matches(),
                report.version,
                directory.display()
            ),
        ),
        Ok(report) => {
            let differences: Vec<String> = report.differences().map(ToString::to_string).collect();
            Finding {
                subject: SUBJECT,
                verdict: Verdict::Problem,
                found: format!(
                    "{} entries differ from the headers of {}: {}",
                    differences.len(),
                    report.version,
                    differences.join("; ")
                ),
                mend: Some(
                    "do not build or run engines with this TensorRT, and tell us: send this line"
                        .into(),
                ),
            }
        }
    }
}

fn usual_headers(root: &Path) -> Option<PathBuf> {
    let directories = HEADERS.iter().map(|directory| root.join(directory));
    directories.into_iter().find(|directory| directory.join("NvInfer.h").exists())
}
