//! A camera as a vector of free parameters, and its derivatives.

use nalgebra::{Matrix2x3, Vector2, Vector3};
use occdepth_geometry::camera::{Camera, CoefficientError, Distortion, Intrinsics};

/// Which lens model is fitted, and how many of its coefficients are free.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lens {
    /// `OpenCV`'s radial-tangential model with k1 k2 p1 p2.
    RadialTangential4,
    /// And k3.
    RadialTangential5,
    /// And the rational model's k4 k5 k6.
    RadialTangential8,
    /// Kannala-Brandt (fisheye), k1..k4.
    KannalaBrandt,
}

impl Lens {
    /// As people name it on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::RadialTangential4 => "radial-tangential-4",
            Self::RadialTangential5 => "radial-tangential-5",
            Self::RadialTangential8 => "radial-tangential-8",
            Self::KannalaBrandt => "kannala-brandt",
        }
    }

    /// Number of distortion coefficients.
    pub fn coefficients(self) -> usize {
        match self {
            Self::RadialTangential4 | Self::KannalaBrandt => 4,
            Self::RadialTangential5 => 5,
            Self::RadialTangential8 => 8,
        }
    }

    /// Number of free parameters of a camera: fx fy cx cy, then the coefficients.
    pub fn parameters(self) -> usize {
        4 + self.coefficients()
    }

    /// The geometry crate's camera with these parameters.
    ///
    /// # Errors
    /// A coefficient that is not finite.
    pub fn camera(self, parameters: &[f64]) -> Result<Camera, CoefficientError> {
        let (k, coefficients) = parameters.split_at(4);
        let distortion = match self {
            Self::KannalaBrandt => Distortion::kannala_brandt(coefficients)?,
            _ => Distortion::radial_tangential(coefficients)?,
        };
        Ok(Camera { intrinsics: Intrinsics { fx: k[0], fy: k[1], cx: k[2], cy: k[3] }, distortion })
    }

    /// The pixel of a point in the camera's frame. Equal to [`Camera::project`] where that has one, but without
    /// its check of the lens model's range, which costs more than the projection: the result of a fit is
    /// checked once, at the end.
    pub fn project(self, parameters: &[f64], point: &Vector3<f64>) -> Vector2<f64> {
        let d = &parameters[4..];
        let [x, y] = if self == Self::KannalaBrandt {
            let off_axis = point.xy().norm();
            let angle = off_axis.atan2(point.z);
            let s = angle * angle;
            let radius = angle * (1.0 + s * (d[0] + s * (d[1] + s * (d[2] + s * d[3]))));
            let scale = if off_axis > 0.0 { radius / off_axis } else { 1.0 / point.z };
            [point.x * scale, point.y * scale]
        } else {
            let (x, y) = (point.x / point.z, point.y / point.z);
            let s = x * x + y * y;
            let k = |index: usize| d.get(index).copied().unwrap_or(0.0);
            let gain = (1.0 + s * (k(0) + s * (k(1) + s * k(4))))
                / (1.0 + s * (k(5) + s * (k(6) + s * k(7))));
            let (p1, p2) = (k(2), k(3));
            [
                x * gain + 2.0 * p1 * x * y + p2 * (s + 2.0 * x * x),
                y * gain + p1 * (s + 2.0 * y * y) + 2.0 * p2 * x * y,
            ]
        };
        Vector2::new(parameters[0] * x + parameters[2], parameters[1] * y + parameters[3])
    }

    /// Derivatives of the pixel by the point, and by each parameter (into `by_parameters`): central
    /// differences, good to about 1e-9 of their size.
    pub(super) fn derivatives(
        self,
        parameters: &[f64],
        point: &Vector3<f64>,
        by_parameters: &mut [Vector2<f64>],
    ) -> Matrix2x3<f64> {
        let mut by_point = Matrix2x3::zeros();
        let step = 1e-6 * point.norm();
        for axis in 0..3 {
            let [mut before, mut after] = [*point; 2];
            before[axis] -= step;
            after[axis] += step;
            let slope = (self.project(parameters, &after) - self.project(parameters, &before))
                / (2.0 * step);
            by_point.set_column(axis, &slope);
        }
        let mut moved = parameters.to_vec();
        for (index, slope) in by_parameters.iter_mut().enumerate() {
            let step = 1e-6 * parameters[index].abs().max(1.0);
            moved[index] = parameters[index] + step;
            let after = self.project(&moved, point);
            moved[index] = parameters[index] - step;
            let before = self.project(&moved, point);
            moved[index] = parameters[index];
            *slope = (after - before) / (2.0 * step);
        }
        by_point
    }
}
