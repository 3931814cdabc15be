//! The two lens models, forward and back.

use super::{ProjectionError, roots};
use nalgebra::{Matrix2, Vector2, Vector3};
use std::f64::consts::PI;

/// Lens distortion.
///
/// The coefficients have `OpenCV`'s order and meaning (`calib3d` and `fisheye` modules).
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Distortion {
    /// A pinhole with radial-tangential (Brown-Conrady) distortion, `OpenCV`'s rational model:
    /// k1 k2 p1 p2 k3 k4 k5 k6, zero padded. With r^2 = x^2 + y^2 on the plane z = 1 and
    /// g = (1 + k1 r^2 + k2 r^4 + k3 r^6) / (1 + k4 r^2 + k5 r^4 + k6 r^6):
    /// x' = x g + 2 p1 x y + p2 (r^2 + 2 x^2), y' = y g + p1 (r^2 + 2 y^2) + 2 p2 x y.
    RadialTangential([f64; 8]),
    /// Kannala-Brandt, `OpenCV`'s fisheye model: k1..k4. A ray at the angle t from the axis appears at the
    /// radius t (1 + k1 t^2 + k2 t^4 + k3 t^6 + k4 t^8), times the focal length.
    KannalaBrandt([f64; 4]),
}

impl Distortion {
    /// A pinhole without distortion.
    pub const NONE: Self = Self::RadialTangential([0.0; 8]);

    /// The radial-tangential model from 0, 4, 5 or 8 coefficients in `OpenCV`'s order. Lists of 12 and 14
    /// (thin prism, tilted sensor) are accepted when everything after the eighth is zero.
    ///
    /// # Errors
    /// Another number of coefficients, a coefficient that is not finite, or one of the model's extensions
    /// that is not zero; by name.
    pub fn radial_tangential(coefficients: &[f64]) -> Result<Self, CoefficientError> {
        if ![0, 4, 5, 8, 12, 14].contains(&coefficients.len()) {
            return Err(CoefficientError::Count {
                model: "radial-tangential",
                found: coefficients.len(),
                expected: "0, 4, 5 or 8 (or 12 or 14 with zeros after the eighth)",
            });
        }
        check_finite(&RADIAL_TANGENTIAL_NAMES, coefficients)?;
        let (kept, tail) = coefficients.split_at(coefficients.len().min(8));
        if let Some(index) = tail.iter().position(|&c| c != 0.0) {
            return Err(CoefficientError::Unsupported {
                name: RADIAL_TANGENTIAL_NAMES[8 + index],
                found: tail[index],
            });
        }
        let mut padded = [0.0; 8];
        padded[..kept.len()].copy_from_slice(kept);
        Ok(Self::RadialTangential(padded))
    }

    /// The Kannala-Brandt model from its 4 coefficients.
    ///
    /// # Errors
    /// Another number of coefficients, or one that is not finite.
    pub fn kannala_brandt(coefficients: &[f64]) -> Result<Self, CoefficientError> {
        let four = coefficients.try_into().map_err(|_| CoefficientError::Count {
            model: "kannala-brandt",
            found: coefficients.len(),
            expected: "4",
        })?;
        check_finite(&KANNALA_BRANDT_NAMES, coefficients)?;
        Ok(Self::KannalaBrandt(four))
    }

    /// The coefficients, in `OpenCV`'s order: 8 or 4.
    pub fn coefficients(&self) -> &[f64] {
        match self {
            Self::RadialTangential(k) => k,
            Self::KannalaBrandt(k) => k,
        }
    }

    /// Whether this is a plain pinhole. A Kannala-Brandt lens is none, whatever its coefficients.
    pub fn is_none(&self) -> bool {
        *self == Self::NONE
    }

    /// The end of the range in which the model is one-to-one: the radius on the plane z = 1 for a
    /// pinhole (infinite where the model never turns back), the angle in radians for a fisheye.
    pub(super) fn limit(&self) -> f64 {
        match self {
            Self::RadialTangential(k) => {
                // r g(r^2) stops rising where the numerator of its derivative,
                // (N + 2 s N') D - 2 s N D' with s = r^2, or D itself, reaches zero.
                if self.is_none() {
                    return f64::INFINITY;
                }
                let n = [1.0, k[0], k[1], k[4]];
                let d = [1.0, k[5], k[6], k[7]];
                let mut slope = [0.0; 7];
                for (i, n) in n.iter().enumerate() {
                    for (j, d) in d.iter().enumerate() {
                        slope[i + j] += (1.0 + 2.0 * i as f64 - 2.0 * j as f64) * n * d;
                    }
                }
                let turn = roots::smallest_positive_root(&slope).unwrap_or(f64::INFINITY);
                let pole = roots::smallest_positive_root(&d).unwrap_or(f64::INFINITY);
                turn.min(pole).sqrt()
            }
            Self::KannalaBrandt(k) => {
                let slope = [1.0, 3.0 * k[0], 5.0 * k[1], 7.0 * k[2], 9.0 * k[3]];
                roots::smallest_positive_root(&slope).map_or(PI, |s| s.sqrt().min(PI))
            }
        }
    }

    /// Where `point` appears on the plane z = 1, distorted.
    pub(super) fn distort(
        &self,
        point: &Vector3<f64>,
        limit: f64,
    ) -> Result<[f64; 2], ProjectionError> {
        if !point.iter().all(|c| c.is_finite()) {
            return Err(ProjectionError::NotFinite);
        }
        let off_axis = point.xy().norm();
        let angle_rad = off_axis.atan2(point.z);
        let distorted = match self {
            Self::RadialTangential(k) => {
                if point.z <= 0.0 {
                    return Err(ProjectionError::Behind { z: point.z });
                }
                let plane = point.xy() / point.z;
                if plane.norm() >= limit {
                    return Err(ProjectionError::BeyondLens { angle_rad });
                }
                let (distorted, jacobian) = radial_tangential(k, plane);
                if jacobian.determinant() <= 0.0 {
                    return Err(ProjectionError::BeyondLens { angle_rad });
                }
                distorted
            }
            Self::KannalaBrandt(k) => {
                if off_axis == 0.0 && point.z == 0.0 {
                    return Err(ProjectionError::NotFinite);
                }
                if angle_rad >= limit {
                    return Err(ProjectionError::BeyondLens { angle_rad });
                }
                if off_axis == 0.0 {
                    Vector2::zeros()
                } else {
                    point.xy() * (kannala_brandt(k, angle_rad).0 / off_axis)
                }
            }
        };
        // A denormal z overflows.
        if distorted.iter().all(|c| c.is_finite()) {
            Ok([distorted.x, distorted.y])
        } else {
            Err(ProjectionError::BeyondLens { angle_rad })
        }
    }

    /// The unit ray that appears at `distorted` (finite) on the plane z = 1.
    pub(super) fn undistort(&self, distorted: [f64; 2], limit: f64) -> Option<Vector3<f64>> {
        let target = Vector2::from(distorted);
        match self {
            Self::RadialTangential(k) => {
                if self.is_none() {
                    return Some(target.push(1.0).normalize());
                }
                let plane = invert_radial_tangential(k, target, limit)?;
                Some(plane.push(1.0).normalize())
            }
            Self::KannalaBrandt(k) => {
                let radius = target.norm();
                if radius == 0.0 {
                    return Some(Vector3::z());
                }
                let angle = roots::invert_rising(|t| kannala_brandt(k, t), radius, limit);
                if (kannala_brandt(k, angle).0 - radius).abs() > RESIDUAL * (1.0 + radius) {
                    return None;
                }
                Some((target * (angle.sin() / radius)).push(angle.cos()))
            }
        }
    }
}

/// Why a list of coefficients is no lens.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum CoefficientError {
    /// The model has another number of coefficients.
    #[error("the {model} model has {expected} coefficients, found {found}")]
    Count {
        /// The lens model.
        model: &'static str,
        /// Length of the list.
        found: usize,
        /// The lengths it may have.
        expected: &'static str,
    },
    /// A coefficient is NaN or infinite.
    #[error("coefficient {name} is {found}, expected a finite number")]
    NotFinite {
        /// `OpenCV`'s name of the coefficient.
        name: &'static str,
        /// Its value.
        found: f64,
    },
    /// Thin-prism and tilted-sensor terms are not implemented.
    #[error("coefficient {name} is {found}, only 0 is supported (thin prism or tilted sensor)")]
    Unsupported {
        /// `OpenCV`'s name of the coefficient.
        name: &'static str,
        /// Its value.
        found: f64,
    },
}

fn check_finite(names: &[&'static str], coefficients: &[f64]) -> Result<(), CoefficientError> {
    for (&name, &found) in names.iter().zip(coefficients) {
        if !found.is_finite() {
            return Err(CoefficientError::NotFinite { name, found });
        }
    }
    Ok(())
}

/// The radial-tangential model at a point of the plane z = 1, and its (symmetric) Jacobian.
fn radial_tangential(k: &[f64; 8], plane: Vector2<f64>) -> (Vector2<f64>, Matrix2<f64>) {
    let [k1, k2, p1, p2, k3, k4, k5, k6] = *k;
    let (x, y) = (plane.x, plane.y);
    let s = plane.norm_squared();
    let numerator = 1.0 + s * (k1 + s * (k2 + s * k3));
    let denominator = 1.0 + s * (k4 + s * (k5 + s * k6));
    let gain = numerator / denominator;
    let gain_slope = (k1 + s * (2.0 * k2 + s * 3.0 * k3)
        - gain * (k4 + s * (2.0 * k5 + s * 3.0 * k6)))
        / denominator;
    let distorted = Vector2::new(
        x * gain + 2.0 * p1 * x * y + p2 * (s + 2.0 * x * x),
        y * gain + p1 * (s + 2.0 * y * y) + 2.0 * p2 * x * y,
    );
    let mixed = 2.0 * x * y * gain_slope + 2.0 * p1 * x + 2.0 * p2 * y;
    let jacobian = Matrix2::new(
        gain + 2.0 * x * x * gain_slope + 2.0 * p1 * y + 6.0 * p2 * x,
        mixed,
        mixed,
        gain + 2.0 * y * y * gain_slope + 6.0 * p1 * y + 2.0 * p2 * x,
    );
    (distorted, jacobian)
}

/// The point of the plane z = 1 that the radial-tangential model sends to `target`.
///
/// The radial part alone rises up to `limit`, so its inverse always exists and is a good start; Newton's
/// method in two dimensions then adds the small tangential part.
fn invert_radial_tangential(
    k: &[f64; 8],
    target: Vector2<f64>,
    limit: f64,
) -> Option<Vector2<f64>> {
    let target_radius = target.norm();
    if target_radius == 0.0 {
        return Some(Vector2::zeros());
    }
    let mut radial_only = *k;
    (radial_only[2], radial_only[3]) = (0.0, 0.0);
    let radius = roots::invert_rising(
        |r| {
            let (distorted, jacobian) = radial_tangential(&radial_only, Vector2::new(r, 0.0));
            (distorted.x, jacobian.m11)
        },
        target_radius,
        limit,
    );
    let mut plane = target * (radius / target_radius);
    let (mut distorted, mut jacobian) = radial_tangential(k, plane);
    let mut error = (distorted - target).norm();
    for _ in 0..50 {
        let Some(inverse) = jacobian.try_inverse() else { break };
        let mut step = inverse * (target - distorted);
        // Halve the step until it helps; when even a tiny one does not, this is as good as it gets.
        let improved = (0..20).find_map(|_| {
            let candidate = plane + step;
            let (there, slope) = radial_tangential(k, candidate);
            step *= 0.5;
            let there_error = (there - target).norm();
            (there_error < error).then_some((candidate, there, slope, there_error))
        });
        let Some(better) = improved else { break };
        (plane, distorted, jacobian, error) = better;
    }
    let valid = error <= RESIDUAL * (1.0 + target_radius)
        && plane.norm() < limit
        && jacobian.determinant() > 0.0;
    valid.then_some(plane)
}

/// The Kannala-Brandt radius of a ray `angle` radians off the axis, and its slope.
fn kannala_brandt(k: &[f64; 4], angle: f64) -> (f64, f64) {
    let [k1, k2, k3, k4] = *k;
    let s = angle * angle;
    (
        angle * (1.0 + s * (k1 + s * (k2 + s * (k3 + s * k4)))),
        1.0 + s * (3.0 * k1 + s * (5.0 * k2 + s * (7.0 * k3 + s * 9.0 * k4))),
    )
}

/// `OpenCV`'s names; from index 8 on, the extensions that are not supported.
const RADIAL_TANGENTIAL_NAMES: [&str; 14] =
    ["k1", "k2", "p1", "p2", "k3", "k4", "k5", "k6", "s1", "s2", "s3", "s4", "tau_x", "tau_y"];
const KANNALA_BRANDT_NAMES: [&str; 4] = ["k1", "k2", "k3", "k4"];

/// A ray counts as found when it hits its pixel this closely, relative, on the plane z = 1: 1e-7 px at a focal
/// length of 1000 px.
const RESIDUAL: f64 = 1e-10;
