//! The board that the program runs on: what it is, how it is set, and how it fares.
//!
//! Everything is read from files below a [`Root`], never by loading a driver, so that it works (and is
//! tested) where there is none. A [`Reading`] is a value or the reason why there is none; a sensor that
//! vanishes or says nonsense is a reason, too.
//!
//! | module | reads | where that is documented |
//! |---|---|---|
//! | [`profile`] | what is known of a board before anything is measured | the `[[source]]` entries of `board/*.toml` |
//! | [`identity`] | model, module number | Devicetree Specification; `arch/arm64/boot/dts/nvidia` of Linux |
//! | [`software`] | Jetson Linux, `JetPack`, driver, CUDA, `TensorRT` | Jetson Linux Developer Guide; Debian Policy, control files |
//! | [`power_mode`] | the mode of `nvpmodel` | the comment at the top of `nvpmodel`'s configurations |
//! | [`clocks`] | governors and limits of CPU, GPU and memory, whether `jetson_clocks` holds them | Linux `admin-guide/pm/cpufreq.rst`, `ABI/testing/sysfs-class-devfreq` |
//! | [`thermal`] | thermal zones and their trip points | Linux `driver-api/thermal/sysfs-api.rst` |
//! | [`rails`] | power by rail | Linux `hwmon/ina3221.rst`, `hwmon/ina238.rst`, `hwmon/sysfs-interface.rst` |
//! | [`memory`] | memory and swap | proc(5), `/proc/meminfo` |
//! | [`discrete`] | GPUs of NVIDIA's own driver | `/proc/driver/nvidia`, the driver's README |
//! | [`sensors`] | the few of these that health needs while frames run | |
//!
//! The layouts are those of `JetPack` 5 (kernel 5.10), 6 (5.15) and 7 (6.8); tests have trees of them. Not yet
//! run on a device.
//!
//! ```
//! use occdepth::board::{Board, Root};
//!
//! let board = Board::read(&Root::system());
//! // What cannot be read says why.
//! match board.profile.known() {
//!     Some(recognised) => assert!(!recognised.profile.title.is_empty()),
//!     None => assert!(!board.profile.reason().unwrap().is_empty()),
//! }
//! ```

pub mod clocks;
pub mod discrete;
pub mod identity;
pub mod memory;
pub mod power_mode;
pub mod profile;
pub mod rails;
mod reading;
mod recognise;
mod root;
pub mod sensors;
pub mod software;
pub mod thermal;

pub use profile::{Precision, Profile, ProfileError};
pub use reading::Reading;
pub use recognise::{How, Recognised, recognise};
pub use root::Root;
pub use sensors::Sensors;

use serde::Serialize;

/// Everything that is read of a board, once.
#[derive(Clone, Debug, Serialize)]
pub struct Board {
    /// What it says it is.
    pub identity: identity::Identity,
    /// The profile that fits it.
    pub profile: Reading<Recognised>,
    /// What is installed.
    pub software: software::Software,
    /// The mode of `nvpmodel`.
    pub power_mode: Reading<power_mode::PowerMode>,
    /// Clocks of the CPU.
    pub cpu: clocks::Cpu,
    /// The GPU that shares the CPU's memory.
    pub integrated_gpu: Reading<clocks::Gpu>,
    /// GPUs with memory of their own, as NVIDIA's driver lists them.
    pub discrete_gpus: Vec<discrete::Gpu>,
    /// The memory's controller.
    pub emc: clocks::Emc,
    /// Whether clocks are held at their limits, as `jetson_clocks` does.
    pub clocks_held: Reading<bool>,
    /// Thermal zones.
    pub thermal: Vec<thermal::Zone>,
    /// Power rails.
    pub rails: Vec<rails::Rail>,
    /// Memory and swap.
    pub memory: Reading<memory::Memory>,
}

impl Board {
    /// Reads everything below `root`; what cannot be read is unknown, with a reason.
    pub fn read(root: &Root) -> Self {
        let identity = identity::read(root);
        let memory = memory::read(root);
        let discrete_gpus = discrete::list(root);
        let cpu = clocks::cpu(root);
        let integrated_gpu = clocks::integrated_gpu(root);
        let emc = clocks::emc(root);
        Self {
            profile: recognise(&identity, memory.known(), &discrete_gpus, profile::catalogue()),
            software: software::read(root),
            power_mode: power_mode::read(root),
            clocks_held: clocks::held(&cpu, &integrated_gpu, &emc),
            thermal: thermal::zones(root),
            rails: rails::rails(root),
            identity,
            cpu,
            integrated_gpu,
            discrete_gpus,
            emc,
            memory,
        }
    }
}
