//! `[source] kind = "v4l2"`: the kernel's cameras as a configuration names them.

use crate::capture::{CaptureError, FrameSource};
use occdepth_capture::stereo::{
    CameraSettings, Layout, MonotonicClock, Pairing, Ports, Retry, StereoCameras, StereoOptions,
    V4l2Port,
};
use occdepth_capture::v4l2::{FourCc, Setting, control_key, is_same_device};
use occdepth_geometry::ImageSize;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Two cameras (`left` and `right`), or one that delivers both views (`device` and `layout`).
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CamerasConfig {
    /// The physical left camera's device.
    pub left: Option<PathBuf>,
    /// The physical right camera's device.
    pub right: Option<PathBuf>,
    /// The device that delivers both views.
    pub device: Option<PathBuf>,
    /// How they lie in its images.
    pub layout: Option<LayoutConfig>,
    /// The pixel format, in the kernel's four characters; when absent, the first that is understood, if there is one at
    /// `rate_hz`.
    pub format: Option<String>,
    /// Width of a view, pixels; the rig's when absent.
    pub width: Option<u32>,
    /// Height of a view, pixels; the rig's when absent.
    pub height: Option<u32>,
    /// Images a second; the driver's choice when absent.
    pub rate_hz: Option<f64>,
    /// How the images of two cameras are paired.
    #[serde(default)]
    pub pairing: PairingConfig,
    /// How far apart the images of a pair may be, milliseconds; half a period when absent, which is also the most.
    pub max_skew_ms: Option<f64>,
    /// How long a pair may have waited in the drivers' queues, milliseconds; two periods when absent.
    pub max_age_ms: Option<f64>,
    /// Buffers that each driver is asked for.
    #[serde(default = "buffers")]
    pub buffers: u32,
    /// A camera without a good image for so long is opened anew, milliseconds.
    #[serde(default = "timeout_ms")]
    pub timeout_ms: f64,
    /// How long to wait for the cameras at the start, milliseconds.
    #[serde(default = "start_timeout_ms")]
    pub start_timeout_ms: f64,
    /// Starts without cameras that are not there by then. Needs `format`.
    #[serde(default)]
    pub start_without_cameras: bool,
    /// When a camera that failed is tried again.
    #[serde(default)]
    pub retry: RetryConfig,
    /// What the cameras are set to.
    #[serde(default)]
    pub controls: ControlsConfig,
}

/// How two views lie in one image.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum LayoutConfig {
    /// The left view on the left.
    SideBySide,
    /// The left view on top.
    TopBottom,
}

/// How images are paired.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum PairingConfig {
    /// By the drivers' time stamps.
    #[default]
    Timestamp,
    /// By the drivers' counters: cameras with a common trigger.
    Sequence,
    /// By the time of arrival: the last resort.
    Arrival,
}

/// When a camera that failed is tried again.
#[derive(Clone, Copy, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RetryConfig {
    /// The pause before the first attempt, milliseconds; each later one is twice as long.
    pub first_ms: f64,
    /// The longest pause, milliseconds. A camera that has delivered for so long is healthy again.
    pub longest_ms: f64,
    /// Attempts in a row, without being healthy in between, after which the run ends; 0 for no end.
    pub attempts: u32,
    /// A camera that is away for so long is lost, milliseconds; until then the source is degraded.
    pub lost_after_ms: f64,
}

impl Default for RetryConfig {
    fn default() -> Self {
        Self { first_ms: 50.0, longest_ms: 5000.0, attempts: 0, lost_after_ms: 2000.0 }
    }
}

/// Controls by name, in any case and punctuation: of both cameras, and what one of them has instead.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
pub struct ControlsConfig {
    /// Of the left camera only.
    #[serde(default)]
    pub left: BTreeMap<String, ControlConfig>,
    /// Of the right camera only.
    #[serde(default)]
    pub right: BTreeMap<String, ControlConfig>,
    /// Of both.
    #[serde(flatten)]
    pub both: BTreeMap<String, ControlConfig>,
}

/// A control's value.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(untagged)]
pub enum ControlConfig {
    /// Of a boolean.
    Switch(bool),
    /// A number.
    Number(i64),
    /// Of a menu: its label.
    Label(String),
}

/// A key whose value cannot be meant.
pub(super) struct Refusal {
    pub(super) field: &'static str,
    pub(super) found: String,
    pub(super) expected: &'static str,
}

impl CamerasConfig {
    /// Makes the devices' paths those of a configuration in `base`.
    pub(super) fn resolve(&mut self, base: &Path) {
        for path in [&mut self.left, &mut self.right, &mut self.device].into_iter().flatten() {
            *path = base.join(&*path);
        }
    }

    pub(super) fn check(&self) -> Result<(), Refusal> {
        let refuse = |field, found: String, expected| Err(Refusal { field, found, expected });
        let given = |path: &Option<PathBuf>| path.is_some();
        match [given(&self.left), given(&self.right), given(&self.device), self.layout.is_some()] {
            [true, true, false, false] => {
                if self.left == self.right {
                    return refuse("source.right", "the left camera".into(), "another camera");
                }
            }
            [false, false, true, true] => {
                if !(self.controls.left.is_empty() && self.controls.right.is_empty()) {
                    return refuse(
                        "source.controls",
                        "controls of one camera of two".into(),
                        "controls of the one device",
                    );
                }
            }
            [false, false, true, false] => {
                return refuse(
                    "source.layout",
                    "missing".into(),
                    "\"side-by-side\" or \"top-bottom\"",
                );
            }
            [.., true] if !given(&self.device) => {
                return refuse("source.layout", "given".into(), "none, or one `device`");
            }
            _ => {
                return refuse(
                    "source.left",
                    self.devices(),
                    "`left` and `right`, or `device` and `layout`",
                );
            }
        }
        let ControlsConfig { left, right, both } = &self.controls;
        for (field, controls) in [
            ("source.controls", both),
            ("source.controls.left", left),
            ("source.controls.right", right),
        ] {
            if let Some((one, other)) = twice(controls) {
                let found = format!("{one:?} and {other:?}");
                return refuse(field, found, "each control once, in any case and punctuation");
            }
        }
        if let Some(format) = &self.format
            && format.parse::<FourCc>().is_err()
        {
            return refuse(
                "source.format",
                format!("{format:?}"),
                "one to four characters such as \"YUYV\"",
            );
        }
        if self.width.is_some() != self.height.is_some() {
            let found = "one of `width` and `height`".to_owned();
            return refuse("source.width", found, "both, or neither");
        }
        for (field, value) in [("source.width", self.width), ("source.height", self.height)] {
            if let Some(value) = value.filter(|value| !(1..=MAX_SIDE).contains(value)) {
                return refuse(field, value.to_string(), "pixels, 1 to 32768");
            }
        }
        if !(2..=32).contains(&self.buffers) {
            return refuse("source.buffers", self.buffers.to_string(), "2 to 32");
        }
        if let Some(rate) = self.rate_hz.filter(|rate| !(0.001..=1e6).contains(rate)) {
            return refuse("source.rate_hz", rate.to_string(), "images a second, 0.001 to 1000000");
        }
        for (field, value) in [
            ("source.max_skew_ms", self.max_skew_ms),
            ("source.max_age_ms", self.max_age_ms),
            ("source.timeout_ms", Some(self.timeout_ms)),
            ("source.start_timeout_ms", Some(self.start_timeout_ms)),
            ("source.retry.first_ms", Some(self.retry.first_ms)),
            ("source.retry.longest_ms", Some(self.retry.longest_ms)),
            ("source.retry.lost_after_ms", Some(self.retry.lost_after_ms)),
        ] {
            if let Some(value) = value.filter(|value| !(0.001..=MAX_MS).contains(value)) {
                return refuse(field, value.to_string(), "milliseconds, more than 0, up to a day");
            }
        }
        if self.retry.longest_ms < self.retry.first_ms {
            let found = self.retry.longest_ms.to_string();
            return refuse("source.retry.longest_ms", found, "at least `first_ms`");
        }
        if self.start_without_cameras && self.format.is_none() {
            return refuse(
                "source.format",
                "missing".into(),
                "a format, as `start_without_cameras` needs",
            );
        }
        Ok(())
    }

    /// Size of a view, where the configuration says.
    pub fn size(&self) -> Option<ImageSize> {
        Some(ImageSize { width: self.width?, height: self.height? })
    }

    /// Opens the cameras. `size` is that of one view.
    pub(super) fn open(&self, size: ImageSize) -> Result<Box<dyn FrameSource>, CaptureError> {
        let format = self.format.as_ref().map(|code| code.parse::<FourCc>()).transpose();
        let format = format.map_err(|error| CaptureError::Configuration {
            origin: "cameras".into(),
            field: "source.format",
            found: error.found,
            expected: "one to four characters".into(),
        })?;
        let layout = self.layout.map(|layout| match layout {
            LayoutConfig::SideBySide => Layout::SideBySide,
            LayoutConfig::TopBottom => Layout::TopBottom,
        });
        let image_size = layout.map_or(Some(size), |layout| layout.image_size(size));
        let image_size = image_size.ok_or_else(|| CaptureError::Configuration {
            origin: "cameras".into(),
            field: "source.layout",
            found: format!("views of {}x{}", size.width, size.height),
            expected: "two views that fit into one image".into(),
        })?;
        let port = |path: &Path, own: &BTreeMap<String, ControlConfig>| {
            Box::new(V4l2Port::new(CameraSettings {
                path: path.to_owned(),
                format,
                size: image_size,
                rate_hz: self.rate_hz,
                buffers: self.buffers,
                controls: self.controls.of(own),
            }))
        };
        // By its number, because udev gives one camera several names.
        if let (Some(left), Some(right)) = (&self.left, &self.right)
            && is_same_device(left, right)
        {
            return Err(CaptureError::Configuration {
                origin: right.display().to_string(),
                field: "source.right",
                found: format!("another name of the left camera, {}", left.display()),
                expected: "another camera".into(),
            });
        }
        let ports = match (&self.left, &self.right, &self.device, layout) {
            (Some(left), Some(right), None, None) => Ports::Two {
                left: port(left, &self.controls.left),
                right: port(right, &self.controls.right),
            },
            (None, None, Some(device), Some(layout)) => {
                Ports::One { device: port(device, &BTreeMap::new()), layout }
            }
            _ => {
                return Err(CaptureError::Configuration {
                    origin: "cameras".into(),
                    field: "source.left",
                    found: self.devices(),
                    expected: "`left` and `right`, or `device` and `layout`".into(),
                });
            }
        };
        let options = StereoOptions {
            format,
            rate_hz: self.rate_hz,
            pairing: match self.pairing {
                PairingConfig::Timestamp => Pairing::Timestamp,
                PairingConfig::Sequence => Pairing::Sequence,
                PairingConfig::Arrival => Pairing::Arrival,
            },
            max_skew: self.max_skew_ms.map(milliseconds),
            max_age: self.max_age_ms.map(milliseconds),
            retry: Retry {
                first_pause: milliseconds(self.retry.first_ms),
                longest_pause: milliseconds(self.retry.longest_ms),
                attempts: Some(self.retry.attempts).filter(|&attempts| attempts > 0),
                silence: milliseconds(self.timeout_ms),
                lost_after: milliseconds(self.retry.lost_after_ms),
            },
            start_within: milliseconds(self.start_timeout_ms),
            start_without: self.start_without_cameras,
            ..StereoOptions::new(size)
        };
        Ok(Box::new(StereoCameras::open(ports, &options, Box::new(MonotonicClock))?))
    }

    fn devices(&self) -> String {
        let named = [("left", &self.left), ("right", &self.right), ("device", &self.device)];
        let given = named.iter().filter(|(_, path)| path.is_some()).map(|(name, _)| *name);
        let given = given.collect::<Vec<_>>().join(" and ");
        if given.is_empty() { "no device".into() } else { format!("{given} alone or too many") }
    }
}

impl ControlsConfig {
    /// What one camera is set to: its own values before those of both, whatever way their names are written.
    fn of(&self, own: &BTreeMap<String, ControlConfig>) -> Vec<(String, Setting)> {
        let has_its_own = |name: &str| own.keys().any(|key| control_key(key) == control_key(name));
        let both = self.both.iter().filter(|(name, _)| !has_its_own(name));
        both.chain(own).map(|(name, value)| (name.clone(), value.clone().into())).collect()
    }
}

/// Two names of one control.
fn twice(controls: &BTreeMap<String, ControlConfig>) -> Option<(&str, &str)> {
    let names: Vec<&String> = controls.keys().collect();
    names.iter().enumerate().find_map(|(index, one)| {
        let mut later = names[index + 1..].iter();
        let other = later.find(|other| control_key(one) == control_key(other))?;
        Some((one.as_str(), other.as_str()))
    })
}

impl From<ControlConfig> for Setting {
    fn from(value: ControlConfig) -> Self {
        match value {
            ControlConfig::Switch(on) => Self::Switch(on),
            ControlConfig::Number(number) => Self::Number(number),
            ControlConfig::Label(label) => Self::Label(label),
        }
    }
}

fn milliseconds(ms: f64) -> Duration {
    Duration::try_from_secs_f64(ms / 1e3).unwrap_or(Duration::MAX)
}

fn buffers() -> u32 {
    4
}

fn timeout_ms() -> f64 {
    1000.0
}

fn start_timeout_ms() -> f64 {
    5000.0
}

/// No camera's images are longer.
const MAX_SIDE: u32 = 32_768;
/// A day.
const MAX_MS: f64 = 86_400_000.0;

#[cfg(test)]
mod tests {
    use super::*;

    fn controls(text: &str) -> ControlsConfig {
        toml::from_str(text).expect("a table of controls")
    }

    /// Which of two spellings is set last must not be chance.
    #[test]
    fn a_cameras_own_control_replaces_that_of_both() {
        let config = controls("gain = 1\nhue = 2\n[left]\nGain = 9\n");
        let left = config.of(&config.left);
        let expected = [("hue", 2), ("Gain", 9)];
        let expected = expected.map(|(name, value)| (name.to_owned(), Setting::Number(value)));
        assert_eq!(left, expected);
        assert_eq!(config.of(&config.right).len(), 2);
    }

    #[test]
    fn one_control_by_two_names_is_found() {
        let config = controls("gain = 1\nhue = 2\n\"White Balance, Automatic\" = true\n");
        assert_eq!(twice(&config.both), None);
        let config =
            controls("white_balance_automatic = true\n\"White Balance, Automatic\" = true\n");
        assert!(twice(&config.both).is_some());
    }

    #[test]
    fn the_readme_shows_cameras_that_can_be() {
        let readme = include_str!("../../README.md");
        let section = readme.split("## Use your cameras").nth(1).expect("the section");
        let example = section.split("```toml\n").nth(1).and_then(|rest| rest.split("```").next());
        let config = crate::daemon::Config::parse(
            example.expect("an example"),
            Path::new("/etc/occdepth/config.toml"),
        );
        let source = config.expect("a valid configuration").source;
        // What it says the values are when they are absent.
        let retry = match source {
            crate::daemon::SourceConfig::V4l2(cameras) => Some(cameras.retry),
            _ => None,
        };
        assert_eq!(retry, Some(RetryConfig::default()));
    }
}
