//! A stereo rig: two cameras, their relation, their mount; and the files that describe it.
//!
//! Frames, as in the whole project: `left` and `right` are the physical cameras (x right, y down, z
//! forward), `ego` is where the voxel grid lives (x forward, y left, z up; KITTI: the velodyne). A
//! transform `b_from_a` takes coordinates in a to coordinates in b.
//!
//! # The native file
//!
//! One rig is one TOML file. Every key below is required and no other is allowed.
//!
//! ```toml
//! name = "front"
//! image_size = { width = 752, height = 480 }  # pixels, of both cameras
//! rectified = false                           # true: pinholes without distortion, rows already aligned
//!
//! [left]
//! model = "radial-tangential"                 # or, for fisheyes, "kannala-brandt", "double-sphere", "extended-unified"
//! fx = 458.7                                  # pixels; pixel centres are at integer coordinates
//! fy = 457.3
//! cx = 367.2
//! cy = 248.4
//! coefficients = [-0.283, 0.074, 0.0, 0.0]    # OpenCV's order: 0, 4, 5 or 8 (k1 k2 p1 p2 k3 k4 k5 k6); k1..k4; xi alpha; alpha beta
//!
//! [right]
//! model = "radial-tangential"
//! fx = 457.6
//! fy = 456.1
//! cx = 380.0
//! cy = 255.2
//! coefficients = [-0.284, 0.075, 0.0, 0.0]
//!
//! [right_from_left]                           # OpenCV's R and T
//! rotation = [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]]  # rows
//! translation_m = [-0.11, 0.0, 0.0]           # x is negative: the right camera lies to the right
//!
//! [left_from_ego]                             # the mount of the physical left camera
//! rotation = [[0.0, -1.0, 0.0], [0.0, 0.0, -1.0], [1.0, 0.0, 0.0]]
//! translation_m = [0.055, -0.08, -0.3]
//! ```

mod kitti;
mod native;

pub use kitti::{ProjectionMatrixError, from_projection};

use crate::{
    ImageSize,
    camera::{Camera, Distortion},
    rectification,
};
use nalgebra::{Matrix3, Matrix4, Vector3};

/// A stereo rig.
#[derive(Clone, Debug, PartialEq)]
pub struct StereoRig {
    /// What people call it.
    pub name: String,
    /// Of both cameras.
    pub image_size: ImageSize,
    /// The left camera.
    pub left: Camera,
    /// The right camera.
    pub right: Camera,
    /// Rigid; metres.
    pub right_from_left: Matrix4<f64>,
    /// Rigid; metres; physical left camera from ego.
    pub left_from_ego: Matrix4<f64>,
    /// The images arrive already rectified (KITTI): no distortion, no rotation between the views.
    pub rectified: bool,
}

impl StereoRig {
    /// Parses the native TOML (see the [module](self)) and validates the rig; `origin` (a path or a name) is
    /// only for error messages.
    ///
    /// # Errors
    /// Text that is no TOML, missing and unknown keys, values of the wrong type, and everything that
    /// [`StereoRig::validate`] refuses.
    pub fn from_toml(text: &str, origin: &str) -> Result<Self, RigError> {
        native::parse(text, origin)
    }

    /// The native TOML of this rig; [`StereoRig::from_toml`] reads a valid one back exactly, bit by bit.
    pub fn to_toml(&self) -> String {
        native::format(self)
    }

    /// Reads a KITTI odometry `calib.txt` (P0-P3, Tr): the colour pair P2, P3, already rectified; ego is
    /// the velodyne.
    ///
    /// With `P = K [I | t]`, each camera stands at `cam_from_ego = inv(K) * P * Tr = [I | t] * Tr`; the
    /// translation between the views keeps the small y and z offsets of the published matrices. The
    /// file does not carry the image size: it is the size of the sequence's images.
    ///
    /// # Errors
    /// Missing or repeated keys, lines that do not hold 12 numbers, matrices that are not of that form;
    /// by line and key. And everything that [`StereoRig::validate`] refuses.
    pub fn from_kitti_calib(
        text: &str,
        origin: &str,
        image_size: ImageSize,
    ) -> Result<Self, RigError> {
        kitti::parse(text, origin, image_size)
    }

    /// Checks everything that [`StereoRig::from_toml`] checks: finite and plausible numbers, invertible
    /// intrinsics, proper rotations (orthonormal to 2e-5), a right camera that lies to the right, and,
    /// for a rectified rig, the absence of distortion and rotation.
    ///
    /// # Errors
    /// The first field that is wrong, with what was found and what is expected.
    pub fn validate(&self, origin: &str) -> Result<(), RigError> {
        let check = Check { origin };
        check.that("name", !self.name.trim().is_empty(), || {
            (format!("{:?}", self.name), "a name that is not blank")
        })?;
        check.image_size(self.image_size)?;
        check.camera("left", &self.left, self.image_size)?;
        check.camera("right", &self.right, self.image_size)?;
        check.rigid("right_from_left", &self.right_from_left)?;
        check.rigid("left_from_ego", &self.left_from_ego)?;
        check.baseline(&self.right_from_left)?;
        if self.rectified {
            check.rectified(self)?;
        }
        Ok(())
    }

    /// Right camera from ego, metres.
    pub fn right_from_ego(&self) -> Matrix4<f64> {
        self.right_from_left * self.left_from_ego
    }

    /// Distance between the two cameras' centres along the line that rectification makes the x axis,
    /// metres, positive for a valid rig.
    pub fn baseline_m(&self) -> f64 {
        if self.rectified {
            -self.right_from_left[(0, 3)]
        } else {
            translation(&self.right_from_left).norm()
        }
    }
}

/// Why a rig cannot be used. Every message starts with the origin, which is the path of the file as a rule.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum RigError {
    /// The text is no TOML.
    #[error("{origin}:{line}:{column}: {message}")]
    Syntax {
        /// The file.
        origin: String,
        /// From 1.
        line: usize,
        /// From 1, in characters.
        column: usize,
        /// What the TOML parser says.
        message: String,
    },
    /// A required key is missing.
    #[error("{origin}: {field} is missing, expected {expected}")]
    Missing {
        /// The file.
        origin: String,
        /// Dotted path of the key, or the key of a `calib.txt`.
        field: String,
        /// What should be there.
        expected: &'static str,
    },
    /// A key that a rig file does not have.
    #[error("{origin}: unknown key {field}, expected one of: {expected}")]
    UnknownKey {
        /// The file.
        origin: String,
        /// Dotted path of the key.
        field: String,
        /// The keys of that table.
        expected: String,
    },
    /// A value of the wrong type, or one that no usable rig has.
    #[error("{origin}: {field} is {found}, expected {expected}")]
    Value {
        /// The file.
        origin: String,
        /// Dotted path of the key.
        field: String,
        /// The value.
        found: String,
        /// What it should be.
        expected: String,
    },
    /// A line of a `calib.txt` that cannot be used.
    #[error("{origin}:{line}: {key}: found {found}, expected {expected}")]
    Line {
        /// The file.
        origin: String,
        /// From 1.
        line: usize,
        /// The key at the start of the line.
        key: String,
        /// What the line holds.
        found: String,
        /// What it should hold.
        expected: &'static str,
    },
}

impl RigError {
    /// Dotted path of the field that is wrong; empty for text that is no TOML.
    pub fn field(&self) -> &str {
        match self {
            Self::Syntax { .. } => "",
            Self::Missing { field, .. }
            | Self::UnknownKey { field, .. }
            | Self::Value { field, .. } => field,
            Self::Line { key, .. } => key,
        }
    }
}

/// The upper left 3x3 of a transform.
pub(crate) fn rotation(transform: &Matrix4<f64>) -> Matrix3<f64> {
    transform.fixed_view::<3, 3>(0, 0).into_owned()
}

/// The last column of a transform, metres.
pub(crate) fn translation(transform: &Matrix4<f64>) -> Vector3<f64> {
    transform.fixed_view::<3, 1>(0, 3).into_owned()
}

/// `[rotation | translation]` as a transform.
pub(crate) fn transform(rotation: &Matrix3<f64>, translation: &Vector3<f64>) -> Matrix4<f64> {
    let mut matrix = rotation.to_homogeneous();
    matrix.fixed_view_mut::<3, 1>(0, 3).copy_from(translation);
    matrix
}

/// The checks of [`StereoRig::validate`], one group each.
struct Check<'a> {
    origin: &'a str,
}

impl Check<'_> {
    fn that(
        &self,
        field: &str,
        holds: bool,
        complaint: impl FnOnce() -> (String, &'static str),
    ) -> Result<(), RigError> {
        if holds {
            return Ok(());
        }
        let (found, expected) = complaint();
        Err(RigError::Value {
            origin: self.origin.to_owned(),
            field: field.to_owned(),
            found,
            expected: expected.to_owned(),
        })
    }

    fn image_size(&self, size: ImageSize) -> Result<(), RigError> {
        for (field, found) in [("image_size.width", size.width), ("image_size.height", size.height)]
        {
            self.that(field, (1..=SIZE_MAX_PX).contains(&found), || {
                (found.to_string(), "1 to 32768 pixels")
            })?;
        }
        Ok(())
    }

    fn camera(&self, camera: &str, of: &Camera, size: ImageSize) -> Result<(), RigError> {
        let k = of.intrinsics;
        for (name, found) in [("fx", k.fx), ("fy", k.fy)] {
            self.that(&format!("{camera}.{name}"), FOCAL_PX.contains(&found), || {
                (found.to_string(), "a focal length of 1 to 1e6 pixels")
            })?;
        }
        for (name, found, extent) in [("cx", k.cx, size.width), ("cy", k.cy, size.height)] {
            let extent = f64::from(extent);
            self.that(
                &format!("{camera}.{name}"),
                (-extent..=2.0 * extent).contains(&found),
                || {
                    (
                        found.to_string(),
                        "a principal point less than one image size outside the image",
                    )
                },
            )?;
        }
        let coefficients = of.distortion.coefficients();
        let field = format!("{camera}.coefficients");
        self.that(&field, coefficients.iter().all(|c| c.abs() <= COEFFICIENT_MAX), || {
            (format!("{coefficients:?}"), "finite numbers of magnitude 1e4 at most")
        })?;
        of.distortion.check().map_err(|error| RigError::Value {
            origin: self.origin.to_owned(),
            field,
            found: format!("{coefficients:?}"),
            expected: format!("the coefficients of a lens: {error}"),
        })
    }

    fn rigid(&self, field: &str, matrix: &Matrix4<f64>) -> Result<(), RigError> {
        let (rotation, translation) = (rotation(matrix), translation(matrix));
        let error = (rotation.transpose() * rotation - Matrix3::identity()).amax();
        self.that(
            &format!("{field}.rotation"),
            // A NaN fails the comparison, which is what it should do.
            rotation.iter().all(|r| r.is_finite())
                && error <= ORTHONORMAL
                && rotation.determinant() > 0.0,
            || {
                let found = format!(
                    "{:?} (R^T R differs from I by {error:.1e}, determinant {:.3})",
                    rows(&rotation),
                    rotation.determinant()
                );
                (found, "a rotation matrix (orthonormal to 2e-5, determinant 1)")
            },
        )?;
        self.that(
            &format!("{field}.translation_m"),
            translation.iter().all(|t| t.abs() <= TRANSLATION_MAX_M),
            || (format!("{:?}", translation.as_slice()), "three finite numbers below 100 m"),
        )?;
        self.that(field, *matrix == transform(&rotation, &translation), || {
            let last_row: Vec<f64> = matrix.row(3).iter().copied().collect();
            (format!("a matrix with the last row {last_row:?}"), "the last row 0 0 0 1")
        })
    }

    /// The right camera must lie mostly to the right of the left one, seen along the mean of both axes.
    fn baseline(&self, right_from_left: &Matrix4<f64>) -> Result<(), RigError> {
        let baseline = rectification::baseline_in_mean_frame(right_from_left);
        let sideways = baseline.y.hypot(baseline.z);
        self.that(
            "right_from_left.translation_m",
            baseline.x <= -BASELINE_MIN_M && sideways <= -baseline.x,
            || {
                let found = translation(right_from_left);
                (
                    format!("{:?}", found.as_slice()),
                    "a negative x (the right camera lies to the right of the left one: the baseline is \
                     positive) of at least 1e-4 m that is larger than y and z together",
                )
            },
        )
    }

    fn rectified(&self, rig: &StereoRig) -> Result<(), RigError> {
        for (name, camera) in [("left", &rig.left), ("right", &rig.right)] {
            match camera.distortion {
                Distortion::RadialTangential(k) => {
                    self.that(
                        &format!("{name}.coefficients"),
                        camera.distortion.is_none(),
                        || (format!("{k:?}"), "no distortion, because rectified = true"),
                    )?;
                }
                fisheye => {
                    self.that(&format!("{name}.model"), false, || {
                        let found = fisheye.model().to_owned();
                        (found, "radial-tangential without coefficients, because rectified = true")
                    })?;
                }
            }
        }
        let rotation = rotation(&rig.right_from_left);
        self.that(
            "right_from_left.rotation",
            (rotation - Matrix3::identity()).amax() <= RECTIFIED_ROTATION,
            || {
                (
                    format!("{:?}", rows(&rotation)),
                    "the identity (to 1e-6), because rectified = true",
                )
            },
        )
    }
}

fn rows(matrix: &Matrix3<f64>) -> [[f64; 3]; 3] {
    matrix.transpose().into()
}

/// Twice as wide as the largest sensors that are used for this.
const SIZE_MAX_PX: u32 = 32768;
/// Below one pixel the camera would have no resolution; beyond 1e6 no field of view.
const FOCAL_PX: std::ops::RangeInclusive<f64> = 1.0..=1e6;
/// Rational models reach some hundreds.
const COEFFICIENT_MAX: f64 = 1e4;
/// Five decimals of a rotation suffice: each row is then wrong by 2 sqrt(3) 5e-6 at most. A millimetre at 50 m.
const ORTHONORMAL: f64 = 2e-5;
const TRANSLATION_MAX_M: f64 = 100.0;
const BASELINE_MIN_M: f64 = 1e-4;
/// 1e-6 rad: a hundredth of a pixel of a wide image would need 1e-5.
const RECTIFIED_ROTATION: f64 = 1e-6;
