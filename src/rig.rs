//! Reading rig files: the one place where a rig enters the runtime from disk.

use occdepth_calibration::formats::{FILE_MAX_BYTES, File, Format, detect};
use occdepth_geometry::ImageSize;
use occdepth_geometry::rig::{RigError, StereoRig};
use std::io::{self, Read as _};
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
        source: io::Error,
    },
    /// A KITTI `calib.txt` does not say how large its images are.
    #[error("{} is a KITTI calib.txt, which does not give the image size", path.display())]
    ImageSizeMissing {
        /// The file.
        path: PathBuf,
    },
    /// A calibration of another program.
    #[error(
        "{} is a calibration of format {}, expected a native rig: convert it with `occdepth rig import`",
        path.display(),
        format.name()
    )]
    Foreign {
        /// The file.
        path: PathBuf,
        /// What it is.
        format: Format,
    },
    /// The text is not a valid rig.
    #[error(transparent)]
    Rig(#[from] RigError),
}

/// Reads a stereo rig: native TOML, or a KITTI odometry `calib.txt` (recognised by its `P0:` to `P3:` lines),
/// whose images are `image_size`. A native rig has its own image size; `image_size` is not looked at.
///
/// # Errors
/// When the file cannot be read, is not a valid rig, is another program's calibration, or is a `calib.txt` and no image
/// size is given.
pub fn read_rig(path: &Path, image_size: Option<ImageSize>) -> Result<StereoRig, RigFileError> {
    let text =
        read_text(path).map_err(|source| RigFileError::Read { path: path.to_owned(), source })?;
    let origin = path.display().to_string();
    // Text of no known format is taken for a rig with a mistake in it, which the parser finds.
    match detect(&[File { name: &origin, text: &text }]).unwrap_or(Format::Native) {
        Format::Native => {
            Ok(StereoRig::from_toml(text.strip_prefix('\u{feff}').unwrap_or(&text), &origin)?)
        }
        Format::KittiOdometry => {
            let image_size = image_size
                .ok_or_else(|| RigFileError::ImageSizeMissing { path: path.to_owned() })?;
            Ok(StereoRig::from_kitti_calib(&text, &origin, image_size)?)
        }
        format => Err(RigFileError::Foreign { path: path.to_owned(), format }),
    }
}

/// The text of a calibration or a rig file, of which there are no large ones: a device, or a file that grows, is not read
/// without end.
///
/// # Errors
/// What the system says; bytes that are no text; more than [`FILE_MAX_BYTES`].
pub fn read_text(path: &Path) -> io::Result<String> {
    let invalid = |found: String| io::Error::new(io::ErrorKind::InvalidData, found);
    let mut bytes = Vec::new();
    std::fs::File::open(path)?.take(FILE_MAX_BYTES as u64 + 1).read_to_end(&mut bytes)?;
    if bytes.len() > FILE_MAX_BYTES {
        return Err(invalid(format!(
            "found more than {FILE_MAX_BYTES} bytes, expected a small text"
        )));
    }
    String::from_utf8(bytes).map_err(|error| {
        let at = error.utf8_error().valid_up_to();
        invalid(format!("found bytes that are no text at {at}, expected UTF-8"))
    })
}

/// The built-in rig of the synthetic street.
///
/// # Errors
/// None that a build which passed its tests can have.
pub fn demo_rig() -> Result<StereoRig, RigError> {
    StereoRig::from_toml(DEMO_RIG, "calibration/demo.toml")
}
