//! PCs: with an NVIDIA GPU, and bare.

use crate::tree::Tree;
use occdepth::board::{Board, How, Reading, Root};

/// The layout of `/proc/driver/nvidia` is that of NVIDIA's driver 550 on x86-64.
#[test]
fn a_pc_with_an_nvidia_gpu() {
    let tree = Tree::new(&[
        (
            "/proc/cpuinfo",
            "processor\t: 0\nmodel name\t: AMD Ryzen 9 7950X 16-Core Processor\nflags\t\t: fpu\n",
        ),
        (
            "/proc/driver/nvidia/version",
            "NVRM version: NVIDIA UNIX x86_64 Kernel Module  550.54.14  Thu Feb 22 01:44:30 UTC 2024\n\
             GCC version:  gcc version 12.2.0 (Debian 12.2.0-14)\n",
        ),
        (
            "/proc/driver/nvidia/gpus/0000:01:00.0/information",
            "Model: \t\t NVIDIA GeForce RTX 4070\nIRQ:   \t\t 150\nGPU UUID: \t GPU-0a1b2c3d\n\
             Video BIOS: \t 95.04.3e.00.0b\nBus Type: \t PCIe\nDevice Minor: \t 0\nGPU Firmware: \t 550.54.14\n",
        ),
        (
            "/proc/driver/nvidia/gpus/0000:02:00.0/information",
            "Model: Unknown\nDevice Minor: many\n",
        ),
        ("/usr/lib/x86_64-linux-gnu/libcuda.so.1", ""),
        ("/usr/lib/x86_64-linux-gnu/libnvinfer.so.8.6.1", ""),
        ("/usr/lib/x86_64-linux-gnu/libnvinfer.so.10.13.3", ""),
        ("/usr/lib/x86_64-linux-gnu/libnvinfer_lean.so.10.13.3", ""),
        ("/usr/local/cuda/version.txt", "CUDA Version 10.2.89"),
        (
            "/proc/meminfo",
            "MemTotal: 65000000 kB\nMemAvailable: 6000000 kB\nSwapTotal: 0 kB\nSwapFree: 0 kB\n",
        ),
    ]);
    let board = Board::read(&tree.root());
    let recognised = board.profile.known().unwrap();
    assert_eq!(recognised.profile.name, "discrete-gpu");
    assert_eq!(recognised.by, How::Gpu("NVIDIA GeForce RTX 4070".into()));
    assert_eq!(board.software.driver, Reading::Known("550.54.14".into()));
    assert_eq!(board.software.cuda, Reading::Known("10.2.89".into()));
    let versions: Vec<&str> =
        board.software.tensorrt.iter().map(|library| library.version.as_str()).collect();
    // By number, not by letter: 10 is newer than 8.
    assert_eq!(versions, ["10.13.3", "8.6.1"]);
    assert_eq!(board.discrete_gpus[0].uuid, Reading::Known("GPU-0a1b2c3d".into()));
    assert_eq!(board.discrete_gpus[0].minor, Reading::Known(0));
    let second = &board.discrete_gpus[1];
    assert!(second.minor.reason().unwrap().contains("found \"many\", expected a number"));
    assert!(second.uuid.reason().unwrap().contains("no field `GPU UUID`"));
    assert!(board.identity.cpu.known().unwrap().contains("7950X"));
    assert!(board.power_mode.reason().unwrap().starts_with("/var/lib/nvpmodel/status: "));
    assert!(board.integrated_gpu.reason().unwrap().starts_with("/sys/class/devfreq: no GPU"));
    assert!(board.clocks_held.reason().is_some());
}

/// Nothing at all: every reading has a reason, and none is a panic.
#[test]
fn an_empty_tree() {
    let tree = Tree::new(&[]);
    let board = Board::read(&tree.root());
    let recognised = board.profile.known().unwrap();
    assert_eq!((recognised.profile.name.as_str(), &recognised.by), ("cpu", &How::NothingFound));
    assert!(board.rails.is_empty() && board.thermal.is_empty() && board.discrete_gpus.is_empty());
    let software = &board.software;
    for reason in [
        board.identity.model.reason(),
        board.power_mode.reason(),
        board.memory.reason(),
        software.jetson_linux.reason(),
        software.jetpack.reason(),
        software.cuda.reason(),
        software.libcuda.reason(),
        software.tensorrt_package.reason(),
        board.emc.hz.reason(),
        board.cpu.online.reason(),
    ] {
        assert!(
            reason.is_some_and(|reason| reason.contains('/') || reason.contains("lib")),
            "{reason:?}"
        );
    }
    let missing = Board::read(&Root::at("/no/such/root"));
    assert_eq!(missing.profile, board.profile);
}

/// As JSON, a reading is its value or the reason.
#[test]
fn readings_are_written_as_json() {
    let tree = Tree::new(&[("/proc/meminfo", "MemTotal: 1024 kB\nMemAvailable: 512 kB\n")]);
    let json = serde_json::to_value(Board::read(&tree.root())).unwrap();
    assert_eq!(json["memory"]["available_bytes"], 512 * 1024);
    assert_eq!(json["profile"]["name"], "cpu");
    assert!(
        json["power_mode"]["unknown"].as_str().unwrap().starts_with("/var/lib/nvpmodel/status")
    );
}

/// The machine that the tests run on, whatever it is.
#[test]
fn this_machine_is_read() {
    let board = Board::read(&Root::system());
    let memory = board.memory.known().expect("Linux has /proc/meminfo");
    assert!(memory.available_bytes <= memory.total_bytes && memory.total_bytes > 1 << 28);
    assert!(board.identity.kernel.known().is_some());
}
