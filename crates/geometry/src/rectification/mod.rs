//! Stereo rectification with `OpenCV`'s semantics, and remap tables.
//!
//! Rectification turns both cameras, in thought, about their centres until they look the same way,
//! at right angles to the baseline: a point then appears in the same row of both images, and at the same
//! pixel when it is infinitely far away. [`StereoRectification`] is `OpenCV`'s result for the same rig,
//! number for number: `stereoRectify` (flag `CALIB_ZERO_DISPARITY`) for radial-tangential cameras,
//! `fisheye::stereoRectify` (same flag, field-of-view scale 1) for Kannala-Brandt cameras; for double-sphere and
//! extended unified cameras, which `OpenCV` has not, the same rule with their own lens model. [`RemapTable`]
//! is its `initUndistortRectifyMap`.

mod opencv;
mod remap;

pub use remap::RemapTable;

use crate::{
    ImageSize,
    camera::{Camera, Intrinsics},
    rig::{self, RigError, StereoRig},
};
use nalgebra::{Matrix3, Matrix3x4, Matrix4, Rotation3, UnitQuaternion, Vector3};

/// What the new camera matrix should keep of the images.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Crop {
    /// alpha = -1 (`OpenCV`'s default scaling) or 0..=1, for radial-tangential cameras: at 0 every rectified
    /// pixel shows something, at 1 every source pixel is shown.
    Alpha(f64),
    /// balance 0..=1, the same choice for fisheye cameras.
    Balance(f64),
}

/// Two rectified cameras in the place of two real ones.
#[derive(Clone, Debug, PartialEq)]
pub struct StereoRectification {
    /// Of the rectified images.
    pub size: ImageSize,
    /// Rectified left camera from physical left camera.
    pub r1: Matrix3<f64>,
    /// Rectified right camera from physical right camera.
    pub r2: Matrix3<f64>,
    /// Left pixels from the rectified left camera; pixels, and pixel metres in the last column.
    pub p1: Matrix3x4<f64>,
    /// Right pixels from the rectified left camera.
    pub p2: Matrix3x4<f64>,
    /// (X, Y, Z, W) in the rectified left camera, metres after division by W, from (x, y, disparity, 1) in
    /// pixels of the left image.
    pub q: Matrix4<f64>,
}

impl StereoRectification {
    /// Rectifies `rig` to images of `size`, which need not be the size of the camera's images
    /// (`OpenCV`'s `newImageSize`).
    ///
    /// A rig whose images arrive rectified is left as it is whatever `crop` says: R1 = R2 = I,
    /// P1 = K1 `[I | 0]` and P2 = K2 `[I | t]` with all of t, scaled from the image size to `size`.
    ///
    /// # Errors
    /// [`RectificationError`].
    #[allow(clippy::float_cmp, reason = "alpha -1 is a name, not the result of a computation")]
    pub fn new(rig: &StereoRig, crop: Crop, size: ImageSize) -> Result<Self, RectificationError> {
        rig.validate(&rig.name)?;
        if size.width == 0 || size.height == 0 {
            return Err(RectificationError::EmptySize { size });
        }
        if rig.rectified {
            return Ok(Self::unchanged(rig, size));
        }
        let rotations = Rotations::new(rig);
        let views = [(&rig.left, &rotations.r1), (&rig.right, &rotations.r2)];
        let fisheye = [&rig.left, &rig.right].map(|camera| camera.distortion.is_fisheye());
        let camera = match (fisheye, crop) {
            ([false, false], Crop::Alpha(alpha)) => {
                if alpha != -1.0 && !(0.0..=1.0).contains(&alpha) {
                    return Err(RectificationError::Alpha { found: alpha });
                }
                opencv::pinhole(&views, rig.image_size, size, alpha)
            }
            ([true, true], Crop::Balance(balance)) => {
                if !(0.0..=1.0).contains(&balance) {
                    return Err(RectificationError::Balance { found: balance });
                }
                opencv::fisheye(&views, rig.image_size, size, balance)
            }
            ([true, false] | [false, true], _) => return Err(RectificationError::MixedModels),
            ([false, false], Crop::Balance(_)) => return Err(RectificationError::BalanceOfPinhole),
            ([true, true], Crop::Alpha(_)) => return Err(RectificationError::AlphaOfFisheye),
        };
        let Intrinsics { fx, cx, cy, .. } = camera;
        if !(fx > 0.0 && [fx, cx, cy].iter().all(|c| c.is_finite())) {
            return Err(RectificationError::NoCommonView);
        }
        let t = -rotations.baseline_m;
        let p1 = camera.matrix().insert_column(3, 0.0);
        let mut p2 = p1;
        p2.m14 = t * fx;
        Ok(Self {
            size,
            r1: rotations.r1,
            r2: rotations.r2,
            p1,
            p2,
            q: disparity_to_depth(&p1, &p2, t),
        })
    }

    /// Where each pixel of the rectified left image lies in the rig's left image.
    pub fn left_map(&self, rig: &StereoRig) -> RemapTable {
        RemapTable::new(&rig.left, &self.r1, &intrinsics(&self.p1), self.size)
    }

    /// Where each pixel of the rectified right image lies in the rig's right image.
    pub fn right_map(&self, rig: &StereoRig) -> RemapTable {
        RemapTable::new(&rig.right, &self.r2, &intrinsics(&self.p2), self.size)
    }

    fn unchanged(rig: &StereoRig, size: ImageSize) -> Self {
        let scale = Matrix3::from_diagonal(&Vector3::new(
            f64::from(size.width) / f64::from(rig.image_size.width),
            f64::from(size.height) / f64::from(rig.image_size.height),
            1.0,
        ));
        let t = rig::translation(&rig.right_from_left);
        let k2 = scale * rig.right.intrinsics.matrix();
        let p1 = (scale * rig.left.intrinsics.matrix()).insert_column(3, 0.0);
        let mut p2 = k2.insert_column(3, 0.0);
        p2.set_column(3, &(k2 * t));
        let (r1, r2) = (Matrix3::identity(), Matrix3::identity());
        Self { size, r1, r2, p1, p2, q: disparity_to_depth(&p1, &p2, t.x) }
    }
}

/// Why a rig cannot be rectified in the way that was asked for.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum RectificationError {
    /// The rig itself is not usable.
    #[error(transparent)]
    Rig(#[from] RigError),
    /// One side of the rectified image has no pixels.
    #[error("the rectified size is {size}, expected at least 1x1")]
    EmptySize {
        /// The size asked for.
        size: ImageSize,
    },
    /// alpha is out of range.
    #[error("alpha is {found}, expected -1 or 0 to 1")]
    Alpha {
        /// The alpha asked for.
        found: f64,
    },
    /// balance is out of range.
    #[error("balance is {found}, expected 0 to 1")]
    Balance {
        /// The balance asked for.
        found: f64,
    },
    /// alpha was given for fisheye cameras.
    #[error("alpha is for radial-tangential cameras; fisheye cameras take a balance")]
    AlphaOfFisheye,
    /// balance was given for pinhole cameras.
    #[error("balance is for fisheye cameras; radial-tangential cameras take an alpha")]
    BalanceOfPinhole,
    /// `OpenCV` has no rectification of a pinhole with a fisheye.
    #[error("the left and the right camera have different lens models, expected the same")]
    MixedModels,
    /// The cameras see nothing in common, or are turned too far from each other.
    #[error("the two rectified views have nothing in common")]
    NoCommonView,
}

/// The rotations that rectify a rig: half of the relative rotation for each camera, then the smallest
/// turn, the same for both, that brings the baseline to the x axis. Both of `OpenCV`'s functions do this.
#[derive(Clone, Debug)]
pub(crate) struct Rotations {
    pub(crate) r1: Matrix3<f64>,
    pub(crate) r2: Matrix3<f64>,
    pub(crate) baseline_m: f64,
}

impl Rotations {
    pub(crate) fn new(rig: &StereoRig) -> Self {
        let mean_from_right = mean_from_right(&rig.right_from_left);
        let left_origin = baseline_in_mean_frame(&rig.right_from_left);
        // The left camera's centre lies on the negative x axis of the rectified right camera.
        let rectified_from_mean = UnitQuaternion::rotation_between(&left_origin, &-Vector3::x())
            .unwrap_or_else(UnitQuaternion::identity)
            .to_rotation_matrix();
        Self {
            r1: (rectified_from_mean * mean_from_right.inverse()).into_inner(),
            r2: (rectified_from_mean * mean_from_right).into_inner(),
            baseline_m: left_origin.norm(),
        }
    }
}

/// The left camera's centre seen from the right one, in axes half-way between both cameras', metres.
pub(crate) fn baseline_in_mean_frame(right_from_left: &Matrix4<f64>) -> Vector3<f64> {
    mean_from_right(right_from_left) * rig::translation(right_from_left)
}

/// Undoes half of the rotation between the cameras; its inverse is the mean frame from the left camera.
fn mean_from_right(right_from_left: &Matrix4<f64>) -> Rotation3<f64> {
    let rotation = Rotation3::from_matrix_unchecked(rig::rotation(right_from_left));
    UnitQuaternion::from_rotation_matrix(&rotation).powf(-0.5).to_rotation_matrix()
}

/// `OpenCV`'s Q, for `t`, the x of the translation to the right camera, in metres.
fn disparity_to_depth(p1: &Matrix3x4<f64>, p2: &Matrix3x4<f64>, t: f64) -> Matrix4<f64> {
    Matrix4::new(
        1.0,
        0.0,
        0.0,
        -p1.m13, //
        0.0,
        1.0,
        0.0,
        -p1.m23, //
        0.0,
        0.0,
        0.0,
        p1.m11, //
        0.0,
        0.0,
        -1.0 / t,
        (p1.m13 - p2.m13) / t,
    )
}

fn intrinsics(p: &Matrix3x4<f64>) -> Intrinsics {
    Intrinsics { fx: p.m11, fy: p.m22, cx: p.m13, cy: p.m23 }
}

/// A camera and its rotation to the rectified frame.
type PhysicalView<'a> = (&'a Camera, &'a Matrix3<f64>);
