//! A calibration, and how good it is.

use crate::board::Board;
use crate::bundle::{self, Adjustment, BundleError, Options, Pair};
use crate::coverage::Coverage;
use nalgebra::{Matrix3, Matrix4};
use occdepth_geometry::camera::{Camera, ProjectionError};
use occdepth_geometry::rectification::{Crop, RectificationError, StereoRectification};
use occdepth_geometry::rig::{RigError, StereoRig};

/// A stereo rig from pairs of images of a board, and what those pairs say about it.
#[derive(Clone, Debug)]
pub struct Calibration {
    /// The rig; its mount is the identity of the axes' convention (see [`calibrate`]).
    pub rig: StereoRig,
    /// Of the board in the images.
    pub adjustment: Adjustment,
    /// How far corners of a pair are from lying in the same row after rectification.
    pub rows: Rows,
    /// The same of each pair; `None` for pairs that were left out.
    pub rows_by_pair: Vec<Option<Rows>>,
    /// What the pairs covered.
    pub coverage: Coverage,
}

/// Vertical disparity after rectification (row in the left view minus row in the right view), pixels of an image of the
/// cameras' size under `OpenCV`'s default scaling.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Rows {
    /// Mean of the absolute values.
    pub mean_px: f64,
    /// Largest absolute value.
    pub max_px: f64,
    /// Mean with its sign.
    pub bias_px: f64,
}

/// Calibrates a rig from the corners of `board` in `pairs` of images.
///
/// The board says nothing of the vehicle: `left_from_ego` of the result has the left camera in the origin of the ego frame,
/// looking along its x axis.
///
/// # Errors
/// [`CalibrationError`].
pub fn calibrate(
    name: &str,
    board: &Board,
    pairs: &[Pair],
    options: &Options,
) -> Result<Calibration, CalibrationError> {
    let Options { lens, image_size: size, .. } = *options;
    let adjustment = bundle::adjust(&board.points(), pairs, options)?;
    let rig = StereoRig {
        name: name.to_owned(),
        image_size: size,
        left: lens.camera(&adjustment.cameras[0]).map_err(BundleError::from)?,
        right: lens.camera(&adjustment.cameras[1]).map_err(BundleError::from)?,
        right_from_left: adjustment.right_from_left.matrix(),
        left_from_ego: camera_from_ego(),
        rectified: false,
    };
    rig.validate("the calibration")?;
    let rectifier = RowRectifier::new(&rig)?;
    let mut coverage = Coverage::new(*board, size);
    let mut rows_by_pair = Vec::new();
    let mut all = Vec::new();
    for (pair, kept) in pairs.iter().zip(&adjustment.kept) {
        let mut offsets = Vec::new();
        for (corner, (&left, &right)) in pair.left.iter().zip(&pair.right).enumerate() {
            if kept[0][corner] && kept[1][corner] {
                offsets.extend(rectifier.vertical_disparity_px(left, right)?);
            }
        }
        rows_by_pair.push(Rows::of(&offsets));
        if !offsets.is_empty() {
            coverage.add(pair);
        }
        all.extend(offsets);
    }
    let rows = Rows::of(&all).ok_or(CalibrationError::NoCommonView)?;
    Ok(Calibration { rig, adjustment, rows, rows_by_pair, coverage })
}

impl Calibration {
    /// Whether corners lie so far from where they project to (an RMS beyond [`POOR_RMS_PX`]) that the pictures cannot have
    /// been what they were taken for.
    pub fn is_poor(&self) -> bool {
        self.adjustment.rms_px() > POOR_RMS_PX
    }

    /// Vertical disparity of a pair that was, or was not, used; all corners count. `None` where no corner lies in front of
    /// both rectified cameras.
    ///
    /// # Errors
    /// A corner that has no ray through a lens, a rig that was changed into one that cannot be rectified.
    pub fn vertical_disparity(&self, pair: &Pair) -> Result<Option<Rows>, CalibrationError> {
        let rectifier = RowRectifier::new(&self.rig)?;
        let mut offsets = Vec::new();
        for (&left, &right) in pair.left.iter().zip(&pair.right) {
            offsets.extend(rectifier.vertical_disparity_px(left, right)?);
        }
        Ok(Rows::of(&offsets))
    }
}

impl Rows {
    fn of(offsets_px: &[f64]) -> Option<Self> {
        let count = offsets_px.len() as f64;
        (!offsets_px.is_empty()).then(|| Self {
            mean_px: offsets_px.iter().map(|dy| dy.abs()).sum::<f64>() / count,
            max_px: offsets_px.iter().fold(0.0, |max, dy| dy.abs().max(max)),
            bias_px: offsets_px.iter().sum::<f64>() / count,
        })
    }
}

/// Why there is no calibration.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum CalibrationError {
    /// The corners determine no cameras.
    #[error(transparent)]
    Bundle(#[from] BundleError),
    /// The cameras that they determine make no rig.
    #[error(transparent)]
    Rig(#[from] RigError),
    /// The rig cannot be rectified.
    #[error(transparent)]
    Rectification(#[from] RectificationError),
    /// A corner has no ray through the lens fitted.
    #[error("a corner cannot be traced through the lens fitted")]
    Lens(#[from] ProjectionError),
    /// No corner lies in front of both rectified cameras.
    #[error("no corner lies in front of both rectified cameras")]
    NoCommonView,
}

/// Where pixels of both cameras land after rectification.
struct RowRectifier<'a> {
    rig: &'a StereoRig,
    rectification: StereoRectification,
}

impl<'a> RowRectifier<'a> {
    fn new(rig: &'a StereoRig) -> Result<Self, RectificationError> {
        let fisheye = rig.left.distortion.is_fisheye();
        let crop = if fisheye { Crop::Balance(0.0) } else { Crop::Alpha(-1.0) };
        let rectification = StereoRectification::new(rig, crop, rig.image_size)?;
        Ok(Self { rig, rectification })
    }

    /// `None` for what lies beside or behind the rectified cameras, as a fisheye sees it.
    fn vertical_disparity_px(
        &self,
        left: [f64; 2],
        right: [f64; 2],
    ) -> Result<Option<f64>, ProjectionError> {
        let row = |camera: &Camera, rotation: &Matrix3<f64>, pixel| {
            let ray = rotation * camera.unproject(pixel)?;
            let row = self.rectification.p1.m22 * ray.y / ray.z + self.rectification.p1.m23;
            Ok((ray.z > FRONT).then_some(row))
        };
        let left = row(&self.rig.left, &self.rectification.r1, left)?;
        let right = row(&self.rig.right, &self.rectification.r2, right)?;
        Ok(left.zip(right).map(|(left, right)| left - right))
    }
}

/// Camera axes (x right, y down, z forward) from ego axes (x forward, y left, z up).
fn camera_from_ego() -> Matrix4<f64> {
    Matrix3::new(0.0, -1.0, 0.0, 0.0, 0.0, -1.0, 1.0, 0.0, 0.0).to_homogeneous()
}

/// Sharp pictures of a flat board leave 0.1 to 0.3 px, blurred ones twice that.
pub const POOR_RMS_PX: f64 = 1.0;
/// Cosine of 84 degrees off the axis: a pinhole image stretches without bound beyond.
const FRONT: f64 = 0.1;
