//! One camera: intrinsics and lens distortion; from a point to its pixel and back.
//!
//! The frame of a camera is x right, y down, z forward, with its origin in the centre of projection.
//! Pixel centres are at integer coordinates, as in `OpenCV`: the top-left pixel is (0, 0), and the
//! image covers x from -0.5 to width - 0.5.
//!
//! Lens models are fitted to what the sensor sees, and most turn back somewhere outside it. A point beyond the turn would land on a pixel that shows something else, so
//! [`Camera::project`] refuses it, and [`Camera::unproject`] never returns a ray from there.

mod distortion;
mod roots;

pub use distortion::{CoefficientError, Distortion};

use nalgebra::{Matrix3, Vector3};

/// A camera: what [`Intrinsics`] and [`Distortion`] make of a point in its frame.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Camera {
    /// Focal lengths and principal point, pixels.
    pub intrinsics: Intrinsics,
    /// Lens model and its coefficients.
    pub distortion: Distortion,
}

impl Camera {
    /// The pixel (x, y) where `point` appears: any unit of length, in the camera's frame.
    ///
    /// # Errors
    /// [`ProjectionError::Behind`] for a pinhole camera and a point that is not in front of it,
    /// [`ProjectionError::BeyondLens`] outside the range in which the lens model is one-to-one,
    /// [`ProjectionError::NotFinite`].
    pub fn project(&self, point: &Vector3<f64>) -> Result<[f64; 2], ProjectionError> {
        PreparedCamera::new(self).project(point)
    }

    /// The unit vector, in the camera's frame, along which the pixel (x, y) looks.
    ///
    /// # Errors
    /// [`ProjectionError::NoRay`] when the lens model sends no ray of its valid range to this pixel,
    /// [`ProjectionError::NotFinite`].
    pub fn unproject(&self, pixel: [f64; 2]) -> Result<Vector3<f64>, ProjectionError> {
        PreparedCamera::new(self).unproject(pixel)
    }

    /// The pixel that a camera with the same intrinsics and no distortion (a pinhole) has for what
    /// this camera shows at `pixel`.
    ///
    /// # Errors
    /// As [`Camera::unproject`]; and [`ProjectionError::Behind`] for a fisheye pixel that looks 90
    /// degrees or more away from the axis, which no pinhole image shows.
    pub fn undistort(&self, pixel: [f64; 2]) -> Result<[f64; 2], ProjectionError> {
        let ray = self.unproject(pixel)?;
        if ray.z <= 0.0 {
            return Err(ProjectionError::Behind { z: ray.z });
        }
        Ok(self.intrinsics.pixel([ray.x / ray.z, ray.y / ray.z]))
    }

    /// The angle off the axis, radians, at which the lens model stops being one-to-one: [`Camera::project`]
    /// refuses what lies at it or beyond. Half a turn at most; a quarter for a pinhole that never turns back.
    pub fn range_rad(&self) -> f64 {
        let limit = self.distortion.limit();
        if self.distortion.is_fisheye() { limit } else { limit.atan() }
    }
}

/// fx, fy, cx, cy in pixels; pixel centres are at integer coordinates (`OpenCV`).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Intrinsics {
    /// Focal length in pixel widths.
    pub fx: f64,
    /// Focal length in pixel heights.
    pub fy: f64,
    /// Column of the principal point.
    pub cx: f64,
    /// Row of the principal point.
    pub cy: f64,
}

impl Intrinsics {
    /// The matrix K: pixel coordinates, homogeneous, from a point of the plane z = 1.
    pub fn matrix(&self) -> Matrix3<f64> {
        Matrix3::new(self.fx, 0.0, self.cx, 0.0, self.fy, self.cy, 0.0, 0.0, 1.0)
    }

    /// The pixel of a (distorted) point of the plane z = 1.
    pub(crate) fn pixel(&self, [x, y]: [f64; 2]) -> [f64; 2] {
        [self.fx * x + self.cx, self.fy * y + self.cy]
    }

    /// The (distorted) point of the plane z = 1 that lies at a pixel.
    pub(crate) fn plane(&self, [u, v]: [f64; 2]) -> [f64; 2] {
        [(u - self.cx) / self.fx, (v - self.cy) / self.fy]
    }
}

/// Why a point has no pixel, or a pixel no ray.
#[derive(Clone, Copy, Debug, PartialEq, thiserror::Error)]
pub enum ProjectionError {
    /// The point is not in front of the camera.
    #[error("the point is behind the camera (z = {z})")]
    Behind {
        /// Its z in the camera's frame.
        z: f64,
    },
    /// The point is outside the range in which the lens model is one-to-one.
    #[error("the point is {angle_rad} rad off the axis, outside the lens model's valid range")]
    BeyondLens {
        /// Angle between the point and the optical axis, radians.
        angle_rad: f64,
    },
    /// No ray within the lens model's valid range leads to the pixel.
    #[error("no ray of the lens model's valid range leads to pixel ({x}, {y})")]
    NoRay {
        /// Column.
        x: f64,
        /// Row.
        y: f64,
    },
    /// A coordinate is NaN or infinite, or the point is the centre of projection itself.
    #[error("the point or pixel has no finite direction")]
    NotFinite,
}

/// A camera with the range of its lens model worked out, for loops over many points.
#[derive(Clone, Copy, Debug)]
pub(crate) struct PreparedCamera {
    intrinsics: Intrinsics,
    distortion: Distortion,
    /// See [`Distortion::limit`].
    limit: f64,
}

impl PreparedCamera {
    pub(crate) fn new(camera: &Camera) -> Self {
        Self {
            intrinsics: camera.intrinsics,
            distortion: camera.distortion,
            limit: camera.distortion.limit(),
        }
    }

    /// See [`Camera::project`].
    pub(crate) fn project(&self, point: &Vector3<f64>) -> Result<[f64; 2], ProjectionError> {
        let distorted = self.distortion.distort(point, self.limit)?;
        Ok(self.intrinsics.pixel(distorted))
    }

    /// See [`Camera::unproject`].
    pub(crate) fn unproject(&self, pixel: [f64; 2]) -> Result<Vector3<f64>, ProjectionError> {
        let distorted = self.intrinsics.plane(pixel);
        if !distorted.iter().all(|c| c.is_finite()) {
            return Err(ProjectionError::NotFinite);
        }
        self.distortion
            .undistort(distorted, self.limit)
            .ok_or(ProjectionError::NoRay { x: pixel[0], y: pixel[1] })
    }
}
