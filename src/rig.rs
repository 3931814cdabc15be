//! Reading rig files: the one place where a rig enters the runtime from disk.

use occdepth_geometry::ImageSize;
use occdepth_geometry::rig::{RigError, StereoRig};
use std::path::{Path, PathBuf};

/// The rig of the synthetic street, as it lies in `calibration/demo.toml`.
pub const DEMO_RIG: &str = include_str!("../calibration/demo.toml");

/// Why a rig file was refused.
#[derive(Debug, thiserror::Error)]
pub enum RigFileError {
    /// The file cannot be read.
    #[error("cannot read the rig {}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// A KITTI `calib.txt` does not say how large its images are.
    #[error("{} is a KITTI calib.txt, which does not give the image size", path.display())]
    ImageSizeMissing {
        /// The file.
        path: PathBuf,
    },
    /// The text is not a valid rig.
    #[error(transparent)]
    Rig(#[from] RigError),
}

/// Reads a stereo rig: native TOML, or a KITTI odometry `calib.txt` (recognised by its `P0:` to `P3:` lines),
/// whose images are `image_size`. A native rig has its own image size; `image_size` is not looked at.
///
/// # Errors
/// When the file cannot be read, is not a valid rig, or is a `calib.txt` and no image size is given.
pub fn read_rig(path: &Path, image_size: Option<ImageSize>) -> Result<StereoRig, RigFileError> {
    let text = std::fs::read_to_string(path)
        .map_err(|source| RigFileError::Read { path: path.to_owned(), source })?;
    let origin = path.display().to_string();
    if is_kitti_calib(&text) {
        let image_size =
            image_size.ok_or_else(|| RigFileError::ImageSizeMissing { path: path.to_owned() })?;
        Ok(StereoRig::from_kitti_calib(&text, &origin, image_size)?)
    } else {
        Ok(StereoRig::from_toml(&text, &origin)?)
    }
}

/// The built-in rig of the synthetic street.
///
/// # Errors
/// None that a build which passed its tests can have.
pub fn demo_rig() -> Result<StereoRig, RigError> {
    StereoRig::from_toml(DEMO_RIG, "calibration/demo.toml")
}

fn is_kitti_calib(text: &str) -> bool {
    text.lines().any(|line| {
        line.split_once(':')
            .is_some_and(|(key, _)| matches!(key.trim(), "P0" | "P1" | "P2" | "P3" | "Tr"))
    })
}
