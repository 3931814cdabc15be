//! The configuration of `occdepth run`: one TOML file, every key named here, unknown keys refused.
//!
//! ```
//! # fn main() -> Result<(), occdepth::daemon::ConfigError> {
//! let config = occdepth::daemon::Config::parse(
//!     r#"
//!     [source]
//!     kind = "synthetic"
//!     seed = 7
//!
//!     [stream]
//!     socket = "/run/occdepth/front.sock"
//!     "#,
//!     std::path::Path::new("front.toml"),
//! )?;
//! assert_eq!(config.stream.name, "front");
//! # Ok(())
//! # }
//! ```

use super::cameras::CamerasConfig;
use crate::decalibration::WatchConfig;
use crate::toml_file::{self, TomlFileError};
use serde::Deserialize;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Everything that `occdepth run` needs to know. Relative paths are relative to the file.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// The rig: a native TOML file or a KITTI `calib.txt`. Only the synthetic street has one of its own.
    pub rig: Option<PathBuf>,
    /// Where stereo pairs come from.
    pub source: SourceConfig,
    /// The network that runs.
    #[serde(default)]
    pub network: NetworkConfig,
    /// How logits become labels.
    #[serde(default)]
    pub grid: GridConfig,
    /// How the calibration is watched.
    #[serde(default)]
    pub calibration_watch: WatchConfig,
    /// Where grids go.
    pub stream: StreamConfig,
    /// What is said while it runs.
    #[serde(default)]
    pub status: StatusConfig,
}

/// What is said while it runs.
#[derive(Clone, Copy, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct StatusConfig {
    /// Seconds from one status line to the next; 0 for none.
    pub every_s: f64,
}

impl Default for StatusConfig {
    fn default() -> Self {
        Self { every_s: 60.0 }
    }
}

/// Where stereo pairs come from.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(tag = "kind", rename_all = "lowercase", deny_unknown_fields)]
pub enum SourceConfig {
    /// A directory in the layout of KITTI odometry: `image_2`, `image_3` and times.
    Kitti {
        /// The directory of the sequence.
        directory: PathBuf,
        /// The file of times, seconds a line; `times.txt` in the directory when absent.
        times: Option<PathBuf>,
        /// Plays at this rate in pairs a second, instead of by the times.
        rate_hz: Option<f64>,
        /// Whether the source is paced (a late reader loses pairs) or delivers every pair at once.
        #[serde(default = "yes")]
        paced: bool,
        /// Starts over after the last pair.
        #[serde(default, rename = "loop")]
        repeat: bool,
        /// The first pair to play, counted from 0 in sorted order.
        #[serde(default)]
        first: usize,
        /// The pair to stop before; all are played when absent.
        end: Option<usize>,
    },
    /// Two lists of image files, matched in sorted order.
    Images {
        /// Glob of the left images.
        left: String,
        /// Glob of the right images.
        right: String,
        /// The file of times, seconds a line.
        times: Option<PathBuf>,
        /// Plays at this rate in pairs a second. Exactly one of `times` and `rate_hz` is given.
        rate_hz: Option<f64>,
        /// As for `kitti`.
        #[serde(default = "yes")]
        paced: bool,
        /// As for `kitti`.
        #[serde(default, rename = "loop")]
        repeat: bool,
        /// Accepts grey images and shows them to the network as three equal channels.
        #[serde(default)]
        grey: bool,
    },
    /// Cameras of the kernel: two, or one that delivers both views.
    V4l2(Box<CamerasConfig>),
    /// A synthetic street, from a seed.
    Synthetic {
        /// The seed of the street.
        #[serde(default = "one")]
        seed: u64,
        /// Pairs a second.
        #[serde(default = "ten")]
        rate_hz: f64,
        /// Ends after so many pairs; for ever when absent.
        frames: Option<u64>,
    },
}

/// The network that runs.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct NetworkConfig {
    /// The exported ONNX; the bundled network when absent. Not beside `recipe`, which names it.
    pub file: Option<PathBuf>,
    /// What runs it.
    pub engine: EngineChoice,
    /// How its engine is built (`engines/*.toml`); fp16 of `file` when absent.
    pub recipe: Option<PathBuf>,
    /// Where engines are kept; the user's own place when absent.
    pub cache: Option<PathBuf>,
    /// Whether a missing or stale engine is built at the start, which takes minutes.
    pub build: BuildPolicy,
    /// Where `libnvinfer` lies, when the loader does not find it.
    pub tensorrt: Option<PathBuf>,
    /// Origin of the voxel grid in metres (ego frame), for networks whose grid has one per scene.
    pub origin_m: Option<[f64; 3]>,
    /// Threads of the CPU engine; all cores when absent.
    pub threads: Option<usize>,
}

/// What runs a network.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum EngineChoice {
    /// `TensorRT` where there is an NVIDIA GPU, else the CPU. Where there is a GPU and no `TensorRT`, the CPU with a
    /// warning; which of them it was is in the engine's description.
    #[default]
    Auto,
    /// The CPU.
    Cpu,
    /// `TensorRT`; anything that keeps it from running is an error.
    TensorRt,
}

/// Whether a missing or stale engine is built at the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum BuildPolicy {
    /// It is an error that names the command to run.
    #[default]
    Never,
    /// It is built, with progress in the log. The stream opens when it is done.
    Auto,
}

/// How logits become labels.
#[derive(Clone, Copy, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct GridConfig {
    /// Publishes the probability of each label as well.
    pub confidence: bool,
    /// Labels whose probability is lower become unknown (255); 0 keeps all.
    pub unknown_below: f32,
    /// Voxels that no camera sees become unknown (255).
    pub unseen_unknown: bool,
}

impl Default for GridConfig {
    fn default() -> Self {
        Self { confidence: true, unknown_below: 0.0, unseen_unknown: false }
    }
}

/// Where grids go.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StreamConfig {
    /// The socket that clients connect to.
    pub socket: PathBuf,
    /// The name of the stream; the socket's file name without its extension when absent.
    #[serde(default)]
    pub name: String,
    /// Grids that the ring holds.
    #[serde(default = "slots")]
    pub slots: u32,
    /// Permissions of the socket, in octal text (default `"0660"`); whoever connects needs the write bit. A
    /// directory that has to be made for it gets `0750`.
    #[serde(default = "mode", deserialize_with = "octal")]
    pub mode: u32,
    /// The group that may connect, by name or number; only the own user (and root) when absent.
    #[serde(default, deserialize_with = "super::group::deserialize")]
    pub group: Option<u32>,
}

/// How long to wait for a source before looking whether the process should stop.
pub const SOURCE_TIMEOUT: Duration = Duration::from_millis(200);

/// Why a configuration was refused.
pub type ConfigError = TomlFileError;

impl Config {
    /// Reads and checks the file at `path`.
    ///
    /// # Errors
    /// When it cannot be read, is not TOML, has unknown or missing keys, or values that cannot be meant.
    pub fn read(path: &Path) -> Result<Self, ConfigError> {
        let text = toml_file::read(path)?;
        Self::parse(&text, path)
    }

    /// Parses and checks `text`; `path` names it in errors and is what relative paths are relative to.
    ///
    /// # Errors
    /// As [`Config::read`], but for reading.
    pub fn parse(text: &str, path: &Path) -> Result<Self, ConfigError> {
        let mut config: Self = toml_file::parse(text, path)?;
        config.resolve(path.parent().unwrap_or_else(|| Path::new("")));
        config.check(path)?;
        Ok(config)
    }

    fn resolve(&mut self, base: &Path) {
        let absolute = |path: &mut PathBuf| *path = base.join(&*path);
        let absolute_glob = |glob: &mut String| {
            if Path::new(glob.as_str()).is_relative() && !base.as_os_str().is_empty() {
                *glob = format!("{}/{glob}", base.display());
            }
        };
        self.rig.as_mut().map(absolute);
        let network = &mut self.network;
        for path in [&mut network.file, &mut network.recipe, &mut network.cache] {
            path.as_mut().map(absolute);
        }
        network.tensorrt.as_mut().map(absolute);
        absolute(&mut self.stream.socket);
        match &mut self.source {
            SourceConfig::Kitti { directory, times, .. } => {
                absolute(directory);
                times.as_mut().map(absolute);
            }
            SourceConfig::Images { left, right, times, .. } => {
                absolute_glob(left);
                absolute_glob(right);
                times.as_mut().map(absolute);
            }
            SourceConfig::V4l2(cameras) => cameras.resolve(base),
            SourceConfig::Synthetic { .. } => {}
        }
        if self.stream.name.is_empty() {
            let stem = self.stream.socket.file_stem().unwrap_or_default();
            self.stream.name = stem.to_string_lossy().into_owned();
        }
    }

    fn check(&self, path: &Path) -> Result<(), ConfigError> {
        let refuse = |field, found: String, expected| {
            Err(ConfigError::Value { path: path.to_owned(), field, found, expected })
        };
        let (rate_hz, times) = match &self.source {
            SourceConfig::Kitti { rate_hz, .. } => (*rate_hz, None),
            SourceConfig::Images { rate_hz, times, .. } => (*rate_hz, times.as_ref()),
            SourceConfig::Synthetic { rate_hz, .. } => (Some(*rate_hz), None),
            SourceConfig::V4l2(cameras) => (cameras.rate_hz, None),
        };
        if let Some(rate) = rate_hz.filter(|rate| !(rate.is_finite() && *rate > 0.0)) {
            return refuse(
                "source.rate_hz",
                rate.to_string(),
                "a positive number of pairs a second",
            );
        }
        if let SourceConfig::Images { .. } = self.source
            && times.is_some() == rate_hz.is_some()
        {
            let found = if times.is_some() { "given as well" } else { "missing" };
            return refuse(
                "source.times",
                found.to_owned(),
                "exactly one of `times` and `rate_hz`",
            );
        }
        if self.rig.is_none() && !matches!(self.source, SourceConfig::Synthetic { .. }) {
            return refuse("rig", "missing".to_owned(), "the file of the rig that took the images");
        }
        if let SourceConfig::V4l2(cameras) = &self.source
            && let Err(super::cameras::Refusal { field, found, expected }) = cameras.check()
        {
            return refuse(field, found, expected);
        }
        if !(0.0..=1e9).contains(&self.status.every_s) {
            return refuse(
                "status.every_s",
                self.status.every_s.to_string(),
                "seconds from line to line, 0 for none",
            );
        }
        let threshold = self.grid.unknown_below;
        if !(0.0..=1.0).contains(&threshold) {
            return refuse("grid.unknown_below", threshold.to_string(), "a probability, 0 to 1");
        }
        if let Err((field, found, expected)) = check_watch(&self.calibration_watch) {
            return refuse(field, found, expected);
        }
        if self.network.file.is_some() && self.network.recipe.is_some() {
            return refuse(
                "network.file",
                "given beside `network.recipe`".to_owned(),
                "one of them: the recipe names its network",
            );
        }
        if self.network.threads == Some(0) {
            return refuse("network.threads", "0".to_owned(), "at least 1");
        }
        if let Some(origin) = self.network.origin_m.filter(|o| o.iter().any(|v| !v.is_finite())) {
            return refuse(
                "network.origin_m",
                format!("{origin:?}"),
                "three finite numbers in metres",
            );
        }
        if self.stream.slots < 2 {
            return refuse("stream.slots", self.stream.slots.to_string(), "at least 2");
        }
        if self.stream.name.is_empty() {
            return refuse("stream.name", "empty".to_owned(), "a name");
        }
        Ok(())
    }
}

/// The key that cannot be meant, what it says, and what would be accepted.
fn check_watch(watch: &WatchConfig) -> Result<(), (&'static str, String, &'static str)> {
    if watch.every == 0 {
        return Err(("calibration_watch.every", "0".to_owned(), "at least 1"));
    }
    let positive = |px: &f64| px.is_finite() && *px > 0.0;
    if let Some(px) = watch.suspect_px.filter(|px| !positive(px)) {
        let expected = "a positive number of pixels";
        return Err(("calibration_watch.suspect_px", px.to_string(), expected));
    }
    let least_px = watch.suspect_px.unwrap_or(f64::MIN_POSITIVE);
    if let Some(px) = watch.lost_px.filter(|px| !(positive(px) && *px >= least_px)) {
        let expected = "a positive number of pixels, not below `suspect_px`";
        return Err(("calibration_watch.lost_px", px.to_string(), expected));
    }
    if !(1e-6..=1.0).contains(&watch.suspect_focal) {
        let found = watch.suspect_focal.to_string();
        return Err(("calibration_watch.suspect_focal", found, "a ratio, 0.000001 to 1"));
    }
    for (field, seconds) in [
        ("calibration_watch.alarm_after_s", watch.alarm_after_s),
        ("calibration_watch.recover_after_s", watch.recover_after_s),
    ] {
        if !(0.0..=86_400.0).contains(&seconds) {
            return Err((field, seconds.to_string(), "seconds, 0 to 86400"));
        }
    }
    if !(1e-3..=86_400.0).contains(&watch.stale_after_s) {
        let found = watch.stale_after_s.to_string();
        return Err(("calibration_watch.stale_after_s", found, "seconds, 0.001 to 86400"));
    }
    Ok(())
}

fn yes() -> bool {
    true
}

fn one() -> u64 {
    1
}

fn ten() -> f64 {
    10.0
}

fn slots() -> u32 {
    8
}

fn mode() -> u32 {
    0o660
}

/// Permissions as people write them: octal text such as `"0660"`.
fn octal<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<u32, D::Error> {
    let text = String::deserialize(deserializer)?;
    u32::from_str_radix(&text, 8).ok().filter(|mode| *mode <= 0o777).ok_or_else(|| {
        serde::de::Error::invalid_value(
            serde::de::Unexpected::Str(&text),
            &"permissions in octal, such as \"0660\"",
        )
    })
}
