//! How a rig is watched, and why it cannot be.

use super::fit::FieldModel;
use super::plan::SMALLEST_PX;
use occdepth_geometry::ImageSize;
use serde::Deserialize;

/// How a rig is watched: `[calibration_watch]` of the configuration.
#[derive(Clone, Copy, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct WatchConfig {
    /// Whether it is watched.
    pub enabled: bool,
    /// Looks at every n-th frame; 1 looks at all of them.
    pub every: u32,
    /// Epipolar error from which the calibration is suspect, pixels of the network's image. When absent, three
    /// quarters of what half a per cent of focal length does to the rig's rows: 0.40 for KITTI's images.
    pub suspect_px: Option<f64>,
    /// Epipolar error from which it is lost, pixels of the network's image; 3.75 times `suspect_px` when absent.
    pub lost_px: Option<f64>,
    /// Error of the right focal length relative to the left one from which the calibration is suspect: 0.0025 is a
    /// quarter of a per cent. On small images it shows in this figure before it does in pixels.
    pub suspect_focal: f64,
    /// How long the images must speak for it before the state gets worse, or is ok for the first time; seconds.
    pub alarm_after_s: f64,
    /// How long the images must speak for it before the state gets better, seconds.
    pub recover_after_s: f64,
    /// How long a measurement counts, seconds: after that, what was ok is unknown.
    pub stale_after_s: f64,
}

impl Default for WatchConfig {
    fn default() -> Self {
        Self {
            enabled: true,
            every: 1,
            suspect_px: None,
            lost_px: None,
            suspect_focal: 0.0025,
            alarm_after_s: 1.0,
            recover_after_s: 4.0,
            stale_after_s: 10.0,
        }
    }
}

/// Where the states begin for one rig, and how long a change must last.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Thresholds {
    /// Epipolar error from which the calibration is suspect, pixels of the network's image.
    pub suspect_px: f64,
    /// Epipolar error from which it is lost, pixels of the network's image.
    pub lost_px: f64,
    /// As [`WatchConfig::suspect_focal`].
    pub suspect_focal: f64,
    /// As [`WatchConfig::alarm_after_s`].
    pub alarm_after_s: f64,
    /// As [`WatchConfig::recover_after_s`].
    pub recover_after_s: f64,
    /// As [`WatchConfig::stale_after_s`].
    pub stale_after_s: f64,
}

impl Thresholds {
    /// What `config` says, and for what it does not say, what fits the camera of `model`.
    ///
    /// An error of focal length is what moves rows least, in proportion to the height of the image. A threshold
    /// in pixels that finds it on one network's images is therefore blind on smaller ones.
    pub(super) fn new(config: &WatchConfig, model: &FieldModel) -> Self {
        let fitting = (SUSPECT_FOCAL * model.focal_effect_px()).max(FINEST_PX);
        let most = config.lost_px.unwrap_or(f64::INFINITY);
        let suspect_px = config.suspect_px.unwrap_or_else(|| fitting.min(most));
        Self {
            suspect_px,
            lost_px: config.lost_px.unwrap_or(LOST_RATIO * suspect_px),
            suspect_focal: config.suspect_focal,
            alarm_after_s: config.alarm_after_s,
            recover_after_s: config.recover_after_s,
            stale_after_s: config.stale_after_s,
        }
    }
}

/// Why a rig cannot be watched.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum WatchError {
    /// The network's images are too small to find corners in.
    #[error(
        "the network's images are {}x{}, expected at least {SMALLEST_PX}x{SMALLEST_PX} to watch the calibration",
        found.width, found.height
    )]
    ImageSize {
        /// Of the network's images.
        found: ImageSize,
    },
    /// The views are turned against each other.
    #[error("the views are not rectified to each other, expected the same orientation")]
    NotRectified,
}

/// Three quarters of half a per cent: half-way, in ratio, from what KITTI's own calibration leaves (0.28 px) to
/// what it shows when half a per cent comes on top (0.57 px).
const SUSPECT_FOCAL: f64 = 0.75 * 0.005;
/// Rows are not measured better than to some hundredths of a pixel.
const FINEST_PX: f64 = 0.1;
/// At KITTI's size 1.5 px: what 0.12 degrees of pitch, 0.25 of roll or 1.9 % of focal length do.
const LOST_RATIO: f64 = 3.75;
