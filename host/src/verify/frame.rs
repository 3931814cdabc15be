//! A frame from image files and a rig.

use std::{
    fs,
    path::{Path, PathBuf},
};

use image::{ImageError, RgbImage};
use occdepth_contract::{Contract, ContractError, Normalisation, self_test::Frame};
use occdepth_geometry::{
    ImageSize,
    fit::{FitError, NetworkCamera, NetworkCameras},
    network::{GeometryError, GeometryInputs},
    rig::{RigError, StereoRig},
};

/// The images of one frame and the rig that they are from.
#[derive(Clone, Debug, PartialEq)]
pub struct FrameFiles {
    /// Image of the left camera, PNG or JPEG.
    pub left: PathBuf,
    /// Image of the right camera; none for networks of one view.
    pub right: Option<PathBuf>,
    /// Native TOML, or a KITTI odometry `calib.txt`.
    pub rig: PathBuf,
    /// Minimum corner of the grid in metres, for networks whose grid is placed per scene.
    pub origin_m: Option<[f64; 3]>,
}

/// Why files make no frame.
#[derive(Debug, thiserror::Error)]
pub enum FrameError {
    /// A file could not be read.
    #[error("cannot read {}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// A file is not an image.
    #[error("{}: not an image", path.display())]
    Image {
        /// The file.
        path: PathBuf,
        /// Why.
        source: ImageError,
    },
    /// An image has another size than the rig's.
    #[error("{}: the image is {found}, expected {expected} as the rig has it", path.display())]
    Size {
        /// The file.
        path: PathBuf,
        /// Its size.
        found: ImageSize,
        /// The rig's.
        expected: ImageSize,
    },
    /// More or fewer images than the network has views, or a network that needs a depth image.
    #[error("the network takes {expected}, found {found}")]
    Views {
        /// What the network takes.
        expected: &'static str,
        /// What was given.
        found: &'static str,
    },
    /// The rig is not usable.
    #[error(transparent)]
    Rig(#[from] RigError),
    /// The rig does not fit the network.
    #[error(transparent)]
    Fit(#[from] FitError),
    /// The network's grid has no origin, and none was given.
    #[error(transparent)]
    Contract(#[from] ContractError),
    /// The cameras cannot be projected.
    #[error(transparent)]
    Geometry(#[from] GeometryError),
}

impl FrameFiles {
    /// The frame of these files for the network of `contract`: images cropped or rectified as the
    /// contract's `fit` says, and normalised; the geometry inputs of the rig.
    ///
    /// # Errors
    /// [`FrameError`] with the file, for files that are missing or do not fit the network.
    pub fn frame(&self, contract: &Contract) -> Result<Frame, FrameError> {
        let expected = match (contract.virtual_stereo, contract.views) {
            (true, _) => "a colour and a depth image (use a random frame)",
            (false, 1) => "one image",
            (false, _) => "a left and a right image",
        };
        let found = if self.right.is_some() { "two images" } else { "one image" };
        let views = if self.right.is_some() { 2 } else { 1 };
        if contract.virtual_stereo || contract.views != views {
            return Err(FrameError::Views { expected, found });
        }
        let left = read_image(&self.left)?;
        let size = size_of(&left);
        let rig = self.rig(size)?;
        let cameras = NetworkCameras::new(&rig, contract.fit, contract.image)?;
        let mut photographs = vec![(&self.left, left, &cameras.left)];
        if let Some(right) = &self.right {
            photographs.push((right, read_image(right)?, &cameras.right));
        }
        let mut images = Vec::new();
        let mut views = Vec::new();
        for (path, photograph, camera) in photographs {
            let found = size_of(&photograph);
            if found != rig.image_size {
                let path = path.clone();
                return Err(FrameError::Size { path, found, expected: rig.image_size });
            }
            seen_by(&photograph, camera, contract.image, &contract.normalisation, &mut images);
            views.push(camera.view);
        }
        let spec = contract.geometry_spec(self.origin_m)?;
        let geometry = GeometryInputs::new(&spec, &views)?;
        Ok(Frame { images, geometry, depth: None })
    }

    /// `image_size` is what a `calib.txt` does not say.
    fn rig(&self, image_size: ImageSize) -> Result<StereoRig, FrameError> {
        let path = &self.rig;
        let text = fs::read_to_string(path)
            .map_err(|source| FrameError::Read { path: path.clone(), source })?;
        let origin = path.display().to_string();
        let is_kitti = text.lines().any(|line| line.trim_start().starts_with("P2:"));
        Ok(if is_kitti {
            StereoRig::from_kitti_calib(&text, &origin, image_size)?
        } else {
            StereoRig::from_toml(&text, &origin)?
        })
    }
}

fn read_image(path: &Path) -> Result<RgbImage, FrameError> {
    let bytes = fs::read(path).map_err(|source| FrameError::Read { path: path.into(), source })?;
    let image = image::load_from_memory(&bytes)
        .map_err(|source| FrameError::Image { path: path.into(), source })?;
    Ok(image.into_rgb8())
}

fn size_of(image: &RgbImage) -> ImageSize {
    ImageSize { width: image.width(), height: image.height() }
}

/// Appends what a view of the network sees [3, H, W], normalised: the top-left pixels, or bilinear
/// samples where the view has a map.
fn seen_by(
    photograph: &RgbImage,
    camera: &NetworkCamera,
    size: ImageSize,
    normalisation: &Normalisation,
    images: &mut Vec<f32>,
) {
    let positions = (0..size.height).flat_map(|y| (0..size.width).map(move |x| (x, y)));
    let colours: Vec<[f32; 3]> = match &camera.map {
        None => positions.map(|(x, y)| photograph.get_pixel(x, y).0.map(f32::from)).collect(),
        Some(map) => map.source.iter().map(|&position| sample(photograph, position)).collect(),
    };
    for channel in 0..3 {
        let (mean, std) = (normalisation.mean[channel], normalisation.std[channel]);
        images.extend(colours.iter().map(|colour| (colour[channel] / 255.0 - mean) / std));
    }
}

/// Bilinear between the four pixels around (x, y); beyond the border, the border's.
fn sample(photograph: &RgbImage, [x, y]: [f32; 2]) -> [f32; 3] {
    let clamped = |position: f32, extent: u32| position.clamp(0.0, (extent - 1) as f32);
    let (x, y) = (clamped(x, photograph.width()), clamped(y, photograph.height()));
    #[allow(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "clamped to the image; not a number becomes 0"
    )]
    let (column, row) = (x as u32, y as u32);
    let (right, below) =
        ((column + 1).min(photograph.width() - 1), (row + 1).min(photograph.height() - 1));
    let (across, down) = (x - column as f32, y - row as f32);
    std::array::from_fn(|channel| {
        let value = |x, y| f32::from(photograph.get_pixel(x, y).0[channel]);
        let upper = value(column, row) * (1.0 - across) + value(right, row) * across;
        let lower = value(column, below) * (1.0 - across) + value(right, below) * across;
        upper * (1.0 - down) + lower * down
    })
}
