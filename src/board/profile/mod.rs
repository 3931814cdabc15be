//! What is known of a board before anything is measured on it.
//!
//! A profile is a TOML file: how the board is recognised, what its data sheet promises, its power modes,
//! and what we recommend for it. Those in `board/` are compiled into the program ([`catalogue`]); one of
//! your own is read with [`Profile::read`].
//!
//! **No figure without a source.** Every [`Figure`] names the entry of `[[source]]` that it comes from
//! and, where the document does not print it, how it follows from what it does print. What no document
//! says is left out, and whoever needs it says that it is unknown.
//!
//! Peaks are dense (no structured sparsity), in tera-operations a second, a multiply-add counting as
//! two. They hold at one [`OperatingPoint`]: a clock of the GPU and of the memory. In a power mode of
//! `nvpmodel` they are scaled by [`Profile::in_power_mode`].

mod catalogue;
mod check;
mod error;

pub use catalogue::{catalogue, find};
pub use error::ProfileError;

use serde::{Deserialize, Serialize};
use std::fmt;
use std::path::Path;

/// A board, as its makers describe it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Profile {
    /// What `--board` takes: lower-case letters, digits and hyphens.
    pub name: String,
    /// For people.
    pub title: String,
    /// What kind of machine it is.
    pub kind: Kind,
    /// What a reader of the figures should know.
    #[serde(default)]
    pub note: Option<String>,
    /// How the board is recognised.
    #[serde(default)]
    pub recognise: Recognise,
    /// The GPU; absent: none, or any.
    #[serde(default)]
    pub gpu: Option<Gpu>,
    /// Its memory; absent: whatever the machine has.
    #[serde(default)]
    pub memory: Option<Memory>,
    /// Deep-learning accelerators; absent: unknown.
    #[serde(default)]
    pub dla: Option<Dla>,
    /// Clocks at which the peaks are known, the fastest last.
    #[serde(default, rename = "operating_point")]
    pub operating_points: Vec<OperatingPoint>,
    /// The power modes of each configuration that the board may be delivered with.
    #[serde(default, rename = "power_modes")]
    pub power_mode_tables: Vec<PowerModeTable>,
    /// What we recommend.
    pub recommended: Recommended,
    /// Where the figures come from.
    #[serde(default, rename = "source")]
    pub sources: Vec<Source>,
}

/// What kind of machine a profile describes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// An NVIDIA Jetson: the GPU shares the memory of the CPU.
    Jetson,
    /// A machine with an NVIDIA GPU that has memory of its own.
    Discrete,
    /// A machine without an NVIDIA GPU.
    Cpu,
}

/// How a board is recognised. Module numbers decide; the other fields only where there is none.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Recognise {
    /// Module numbers as in the device tree's `compatible`, without `nvidia,`: `p3767-0003`.
    #[serde(default)]
    pub modules: Vec<String>,
    /// Parts of the device tree's `model`.
    #[serde(default)]
    pub models: Vec<String>,
    /// The range of `MemTotal` in GiB, both ends included, that tells boards of one model apart.
    #[serde(default)]
    pub memory_gib: Option<[f64; 2]>,
    /// Documents that say so.
    #[serde(default)]
    pub sources: Vec<String>,
}

/// A GPU.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Gpu {
    /// "Ampere".
    pub architecture: String,
    /// The CUDA compute capability, what `sm_87` stands for.
    pub compute_capability: ComputeCapability,
    /// Streaming multiprocessors.
    pub sm_count: u32,
    /// CUDA cores in all of them.
    pub cuda_cores: u32,
    /// Documents that say so.
    pub sources: Vec<String>,
}

/// A CUDA compute capability: "8.7" in files.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ComputeCapability {
    /// 8 of 8.7.
    pub major: u32,
    /// 7 of 8.7.
    pub minor: u32,
}

impl ComputeCapability {
    /// As compilers take it: 87 of 8.7.
    pub fn sm(self) -> u32 {
        self.major * 10 + self.minor
    }
}

impl TryFrom<String> for ComputeCapability {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let number = |text: &str| text.parse().ok().filter(|&number: &u32| number < 100);
        text.split_once('.')
            .and_then(|(major, minor)| Some(Self { major: number(major)?, minor: number(minor)? }))
            .ok_or_else(|| format!("found {text:?}, expected `major.minor`, as in \"8.7\""))
    }
}

impl From<ComputeCapability> for String {
    fn from(capability: ComputeCapability) -> Self {
        capability.to_string()
    }
}

impl fmt::Display for ComputeCapability {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.major, self.minor)
    }
}

/// Memory that the GPU computes in.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Memory {
    /// Its size in GiB.
    pub gib: f64,
    /// Whether the CPU and every other program use it as well.
    pub shared_with_cpu: bool,
    /// Documents that say so.
    pub sources: Vec<String>,
}

/// Deep-learning accelerators beside the GPU.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Dla {
    /// How many; 0: the board has none.
    pub cores: u32,
    /// Documents that say so.
    pub sources: Vec<String>,
}

/// The board at one clock of its GPU and its memory.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OperatingPoint {
    /// What the documents call it: `MAXN`, `MAXN_SUPER`.
    pub name: String,
    /// Clock of the GPU, MHz.
    pub gpu_mhz: Figure,
    /// Clock of the memory, MHz; power modes that lower it lower the bandwidth in proportion.
    #[serde(default)]
    pub memory_mhz: Option<Figure>,
    /// Bandwidth of the memory, GB/s (10^9 bytes a second).
    #[serde(default)]
    pub bandwidth_gb_s: Option<Figure>,
    /// Peak throughput by precision.
    #[serde(default)]
    pub peak: Peaks,
}

/// Dense peak throughput, tera-operations a second, a multiply-add counting as two.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Peaks {
    /// 32-bit floats, on the CUDA cores.
    #[serde(default)]
    pub fp32: Option<Figure>,
    /// `TensorFloat32`, on the tensor cores.
    #[serde(default)]
    pub tf32: Option<Figure>,
    /// 16-bit floats, on the tensor cores.
    #[serde(default)]
    pub fp16: Option<Figure>,
    /// 8-bit integers, on the tensor cores.
    #[serde(default)]
    pub int8: Option<Figure>,
}

impl Peaks {
    /// The peak of a precision.
    pub fn of(&self, precision: Precision) -> Option<&Figure> {
        match precision {
            Precision::Fp32 => self.fp32.as_ref(),
            Precision::Tf32 => self.tf32.as_ref(),
            Precision::Fp16 => self.fp16.as_ref(),
            Precision::Int8 => self.int8.as_ref(),
        }
    }
}

/// Arithmetic that a network can be run in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Precision {
    /// 32-bit floats.
    Fp32,
    /// 32-bit floats multiplied with 10 bits of mantissa.
    Tf32,
    /// 16-bit floats.
    Fp16,
    /// 8-bit integers.
    Int8,
}

impl Precision {
    /// All of them, the most precise first.
    pub const ALL: [Self; 4] = [Self::Fp32, Self::Tf32, Self::Fp16, Self::Int8];

    /// Its name in files and on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::Fp32 => "fp32",
            Self::Tf32 => "tf32",
            Self::Fp16 => "fp16",
            Self::Int8 => "int8",
        }
    }

    /// Bytes that one number takes in memory.
    pub fn bytes(self) -> u64 {
        match self {
            Self::Fp32 | Self::Tf32 => 4,
            Self::Fp16 => 2,
            Self::Int8 => 1,
        }
    }
}

/// A number and where it is from.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Figure {
    /// The number, in the unit of its field.
    pub value: f64,
    /// The `id` of the document.
    pub source: String,
    /// How it follows from what the document prints; absent: the document prints it.
    #[serde(default)]
    pub derived: Option<String>,
}

/// The power modes of one configuration of `nvpmodel`. The same number means another mode in another
/// configuration.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PowerModeTable {
    /// The file in `/etc/nvpmodel`.
    pub file: String,
    /// The operating point that its unlimited clocks are those of.
    pub operating_point: String,
    /// The mode that a board is delivered in.
    #[serde(default)]
    pub default: Option<u32>,
    /// The document that lists them.
    pub source: String,
    /// The modes.
    pub modes: Vec<PowerMode>,
}

/// A power mode of `nvpmodel`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PowerMode {
    /// What `nvpmodel -m` takes.
    pub id: u32,
    /// Its name.
    pub name: String,
    /// Highest clock of the GPU, MHz; absent: that of the operating point, unless `unknown_clocks`.
    #[serde(default)]
    pub gpu_mhz: Option<f64>,
    /// SMs that are powered; absent: all of them.
    #[serde(default)]
    pub sm_count: Option<u32>,
    /// Highest clock of the memory, MHz; absent: that of the operating point.
    #[serde(default)]
    pub memory_mhz: Option<f64>,
    /// CPU cores that are on; absent: unknown.
    #[serde(default)]
    pub cpu_cores: Option<u32>,
    /// Highest clock of the CPU, MHz; absent: not limited.
    #[serde(default)]
    pub cpu_mhz: Option<f64>,
    /// No document at hand says its clocks.
    #[serde(default)]
    pub unknown_clocks: bool,
}

/// What we recommend for a board. Ours, from `occdepth estimate`; not yet run on a device.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Recommended {
    /// A preset of the companion (`host/presets`).
    pub preset: String,
    /// The precision of the recipe to build with.
    pub precision: Precision,
    /// What `TensorRT`'s builder may use as workspace, MiB; absent: there is nothing to build.
    #[serde(default)]
    pub workspace_mib: Option<u64>,
    /// Why.
    pub reason: String,
}

/// A document.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Source {
    /// What figures name it by.
    pub id: String,
    /// Its title.
    pub title: String,
    /// Its number and version, where it has them.
    #[serde(default)]
    pub number: Option<String>,
    /// How its figures came to be here when the document itself was not at hand.
    #[serde(default)]
    pub read: Option<String>,
}

/// The figures of a board as it runs now, in the units of [`OperatingPoint`].
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Rates {
    /// The operating point or the power mode.
    pub name: String,
    /// Bandwidth of the memory, bytes a second.
    pub bandwidth: Option<f64>,
    /// Dense peaks of [`Precision::ALL`], operations a second.
    pub peaks: [Option<f64>; 4],
}

impl Rates {
    /// The peak of a precision, operations a second.
    pub fn peak(&self, precision: Precision) -> Option<f64> {
        self.peaks[precision as usize]
    }
}

impl Recommended {
    /// The recipe of that preset and precision, as those in `engines/` are named: `nano-fp16`.
    pub fn recipe(&self) -> String {
        format!("{}-{}", self.preset, self.precision.name())
    }
}

impl Profile {
    /// Reads the profile at `path`.
    ///
    /// # Errors
    /// [`ProfileError`] for a file that cannot be read, is no profile, or has a field that does not hold.
    pub fn read(path: &Path) -> Result<Self, ProfileError> {
        let text = std::fs::read_to_string(path)
            .map_err(|source| ProfileError::Read { path: path.into(), source })?;
        Self::parse(&text, &path.display().to_string())
    }

    /// Reads a profile from text; `origin` names it in errors.
    ///
    /// # Errors
    /// As [`Profile::read`].
    pub fn parse(text: &str, origin: &str) -> Result<Self, ProfileError> {
        let profile: Self = toml::from_str(text)
            .map_err(|source| ProfileError::Toml { origin: origin.into(), source })?;
        profile.check(origin)?;
        Ok(profile)
    }

    /// The operating point of that name.
    pub fn operating_point(&self, name: &str) -> Option<&OperatingPoint> {
        self.operating_points.iter().find(|point| point.name == name)
    }

    /// What the board reaches at each of its operating points.
    pub fn rates(&self) -> Vec<Rates> {
        self.operating_points.iter().map(OperatingPoint::rates).collect()
    }

    /// What the board reaches in a power mode of a configuration of `nvpmodel`: the peaks of the
    /// operating point scaled by the clock of the GPU and the number of powered SMs, the bandwidth by
    /// the clock of the memory. `None` where the clocks of the mode are unknown.
    pub fn in_power_mode(&self, table: &PowerModeTable, mode: &PowerMode) -> Option<Rates> {
        let point = self.operating_point(&table.operating_point)?;
        if mode.unknown_clocks {
            return None;
        }
        let full = point.rates();
        let clock = mode.gpu_mhz.map_or(1.0, |mhz| mhz / point.gpu_mhz.value).min(1.0);
        let powered = match (mode.sm_count, &self.gpu) {
            (Some(powered), Some(gpu)) => f64::from(powered) / f64::from(gpu.sm_count),
            _ => 1.0,
        };
        let memory = match (mode.memory_mhz, &point.memory_mhz) {
            (Some(mhz), Some(figure)) => (mhz / figure.value).min(1.0),
            (Some(_), None) => return None,
            (None, _) => 1.0,
        };
        Some(Rates {
            name: format!("{} ({})", mode.name, table.file),
            bandwidth: full.bandwidth.map(|bandwidth| bandwidth * memory),
            peaks: full.peaks.map(|peak| peak.map(|peak| peak * clock * powered)),
        })
    }

    /// The power mode of that number or name, in a configuration file of that name where one is given.
    pub fn power_mode(
        &self,
        file: Option<&str>,
        id: u32,
        name: Option<&str>,
    ) -> Option<(&PowerModeTable, &PowerMode)> {
        self.power_mode_tables
            .iter()
            .filter(|table| file.is_none_or(|file| table.file == file))
            .flat_map(|table| table.modes.iter().map(move |mode| (table, mode)))
            .find(|(_, mode)| mode.id == id && name.is_none_or(|name| mode.name == name))
    }
}

impl OperatingPoint {
    /// The figures, in operations and bytes a second.
    pub fn rates(&self) -> Rates {
        Rates {
            name: self.name.clone(),
            bandwidth: self.bandwidth_gb_s.as_ref().map(|figure| figure.value * 1e9),
            peaks: Precision::ALL
                .map(|precision| self.peak.of(precision).map(|figure| figure.value * 1e12)),
        }
    }
}
