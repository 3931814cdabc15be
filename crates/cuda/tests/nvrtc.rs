//! Every kernel through NVIDIA's own compiler, which needs no GPU.
//!
//! `NVRTC_DIR` holds directories with a `libnvrtc` each, separated by colons; `crates/cuda/tests/nvrtc.sh` fetches those of
//! CUDA 11, 12 and 13 and sets it. Without it the test is skipped by name.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]
#![allow(clippy::print_stdout, reason = "the figures are the result")]

use occdepth_cuda::{Compiled, CudaError, Nvrtc, Source, variants};
use std::io::Write as _;
use std::path::PathBuf;

/// Xavier, Orin, Ada, Hopper, Thor (10.1 before CUDA 13, 11.0 since): those that a compiler does not know are left out.
const DEVICES: [(u32, u32); 6] = [(7, 2), (8, 7), (8, 9), (9, 0), (10, 1), (11, 0)];

#[test]
fn every_kernel_compiles_for_every_device_without_spilling() {
    for directory in directories("every_kernel_compiles_for_every_device_without_spilling") {
        let nvrtc = Nvrtc::load(Some(&directory), None).unwrap();
        let (major, minor) = nvrtc.version();
        let known =
            |&(major, minor): &(u32, u32)| nvrtc.architectures().contains(&(10 * major + minor));
        let devices: Vec<_> = DEVICES.into_iter().filter(known).collect();
        assert!(devices.len() >= 3, "{:?}", nvrtc.architectures());
        for device in devices {
            // 12: NYUv2; 20: SemanticKITTI.
            let mut compiled = 0;
            let mut most = 0;
            let labels = variants(12).into_iter().filter(|source| source.kernel == "label");
            for source in variants(20).into_iter().chain(labels) {
                let (image, registers, spilled) = compile(&nvrtc, &source, device);
                // A cubin is an ELF file.
                assert_eq!(&image.image[..4], b"\x7fELF");
                assert_eq!(spilled, 0, "{} {:?}", source.kernel, source.options);
                most = most.max(registers);
                compiled += 1;
            }
            println!(
                "NVRTC {major}.{minor}, sm_{}{}: {compiled} kernels, at most {most} registers, none spilled",
                device.0, device.1
            );
            // So many registers leave room for two blocks of 256 threads on each multiprocessor.
            assert!(most <= 128, "{most} registers");
        }
    }
}

#[test]
fn a_layout_that_is_not_the_kernels_is_refused_by_the_compiler() {
    for directory in directories("a_layout_that_is_not_the_kernels_is_refused_by_the_compiler") {
        let nvrtc = Nvrtc::load(Some(&directory), None).unwrap();
        for mut source in variants(20) {
            let bytes =
                source.options.iter_mut().find(|option| option.starts_with("-DBYTES=")).unwrap();
            bytes.push('0');
            let refused = nvrtc.compile(&source, (8, 7));
            let Err(CudaError::Compile { log, architecture, .. }) = refused else {
                panic!("{refused:?}")
            };
            assert!(log.contains("layout"), "{log}");
            assert_eq!(architecture, "sm_87");
        }
    }
}

#[test]
fn a_device_that_the_compiler_does_not_know_gets_ptx() {
    for directory in directories("a_device_that_the_compiler_does_not_know_gets_ptx") {
        let nvrtc = Nvrtc::load(Some(&directory), None).unwrap();
        let newest = *nvrtc.architectures().last().unwrap();
        let compiled = nvrtc.compile(&variants(20)[0], (99, 0)).unwrap();
        assert_eq!(compiled.architecture, format!("compute_{newest}"));
        let text = String::from_utf8_lossy(&compiled.image);
        assert!(text.contains(".visible .entry rectify"));
        assert!(text.ends_with('\0'));
        let refused = nvrtc.compile(&variants(20)[0], (2, 0));
        assert!(matches!(refused, Err(CudaError::Compile { .. })), "{refused:?}");
    }
}

/// With the registers a thread and the bytes spilled that the assembler reports.
fn compile(nvrtc: &Nvrtc, source: &Source, device: (u32, u32)) -> (Compiled, u32, u32) {
    let mut source = source.clone();
    source.options.push("--ptxas-options=-v".into());
    let compiled = nvrtc.compile(&source, device).unwrap();
    let log = &compiled.log;
    // Of a line of the kernel; about old architectures it may warn.
    assert!(!log.contains("): warning"), "{log}");
    let before = |mark: &str| -> u32 {
        let before = log.split(mark).next().filter(|before| before.len() < log.len());
        let word = before.and_then(|before| before.split_whitespace().last());
        word.and_then(|word| word.parse().ok()).unwrap_or_else(|| panic!("no `{mark}` in {log}"))
    };
    let (registers, spilled) = (before(" registers"), before(" bytes spill stores"));
    (compiled, registers, spilled)
}

fn directories(test: &str) -> Vec<PathBuf> {
    if let Some(directories) = std::env::var_os("NVRTC_DIR") {
        return std::env::split_paths(&directories).collect();
    }
    let line = format!("SKIPPED {test}: NVRTC_DIR names no directory (see tests/nvrtc.sh)\n");
    std::io::stderr().write_all(line.as_bytes()).unwrap();
    vec![]
}
