//! The lens models, forward and back.

use super::{ProjectionError, roots};
use nalgebra::{Matrix2, Vector2, Vector3};
use std::f64::consts::{FRAC_PI_2, PI};

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
    /// Double sphere (Usenko, Demmel, Cremers: The Double Sphere Camera Model, 2018, equations 40 to 52): with
    /// d1 = |(x, y, z)| and d2 = |(x, y, xi d1 + z)|, a point appears at
    /// (x, y) / (alpha d2 + (1 - alpha) (xi d1 + z)), times the focal length.
    DoubleSphere {
        /// Distance of the spheres' centres.
        xi: f64,
        /// Share of the second sphere's projection, 0 to 1.
        alpha: f64,
    },
    /// Extended unified (Khomutenko, Garcia, Martinet: An Enhanced Unified Camera Model, 2016): with
    /// d = sqrt(beta (x^2 + y^2) + z^2), a point appears at (x, y) / (alpha d + (1 - alpha) z), times the focal length.
    ExtendedUnified {
        /// Share of the ellipsoid's projection, 0 to 1.
        alpha: f64,
        /// Shape of the ellipsoid, positive.
        beta: f64,
    },
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

    /// The double-sphere model from its 2 coefficients, xi and alpha.
    ///
    /// # Errors
    /// Another number of coefficients, one that is not finite, or one outside of -1 < xi < 2, 0 <= alpha <= 1.
    pub fn double_sphere(coefficients: &[f64]) -> Result<Self, CoefficientError> {
        let [xi, alpha] = two("double-sphere", &DOUBLE_SPHERE_NAMES, coefficients)?;
        check_range("xi", xi, xi > -1.0 && xi < 2.0, "more than -1 and less than 2")?;
        check_range("alpha", alpha, (0.0..=1.0).contains(&alpha), "0 to 1")?;
        Ok(Self::DoubleSphere { xi, alpha })
    }

    /// The extended unified model from its 2 coefficients, alpha and beta.
    ///
    /// # Errors
    /// Another number of coefficients, one that is not finite, or one outside of 0 <= alpha <= 1, 0 < beta <= 100.
    pub fn extended_unified(coefficients: &[f64]) -> Result<Self, CoefficientError> {
        let [alpha, beta] = two("extended-unified", &EXTENDED_UNIFIED_NAMES, coefficients)?;
        check_range("alpha", alpha, (0.0..=1.0).contains(&alpha), "0 to 1")?;
        check_range("beta", beta, beta > 0.0 && beta <= 100.0, "more than 0, at most 100")?;
        Ok(Self::ExtendedUnified { alpha, beta })
    }

    /// The name of the model in a native rig file.
    pub fn model(&self) -> &'static str {
        match self {
            Self::RadialTangential(_) => "radial-tangential",
            Self::KannalaBrandt(_) => "kannala-brandt",
            Self::DoubleSphere { .. } => "double-sphere",
            Self::ExtendedUnified { .. } => "extended-unified",
        }
    }

    /// The coefficients, in the order of a native rig file: 8 or 4 as `OpenCV` has them, xi and alpha, or alpha and beta.
    pub fn coefficients(&self) -> Vec<f64> {
        match *self {
            Self::RadialTangential(k) => k.to_vec(),
            Self::KannalaBrandt(k) => k.to_vec(),
            Self::DoubleSphere { xi, alpha } => vec![xi, alpha],
            Self::ExtendedUnified { alpha, beta } => vec![alpha, beta],
        }
    }

    /// Whether the model is one for lenses that see 180 degrees and more: all but the radial-tangential.
    pub fn is_fisheye(&self) -> bool {
        !matches!(self, Self::RadialTangential(_))
    }

    /// Whether the coefficients are those of a lens, as the constructors check them.
    ///
    /// # Errors
    /// As [`Distortion::radial_tangential`], [`Distortion::kannala_brandt`], [`Distortion::double_sphere`] and
    /// [`Distortion::extended_unified`].
    pub fn check(&self) -> Result<(), CoefficientError> {
        let coefficients = self.coefficients();
        let same = match self {
            Self::RadialTangential(_) => Self::radial_tangential(&coefficients),
            Self::KannalaBrandt(_) => Self::kannala_brandt(&coefficients),
            Self::DoubleSphere { .. } => Self::double_sphere(&coefficients),
            Self::ExtendedUnified { .. } => Self::extended_unified(&coefficients),
        };
        same.map(|_| ())
    }

    /// Whether this is a plain pinhole. A Kannala-Brandt lens is none, whatever its coefficients.
    pub fn is_none(&self) -> bool {
        *self == Self::NONE
    }

    /// The end of the range in which the model is one-to-one: the radius on the plane z = 1 for a
    /// pinhole (infinite where the model never turns back), the angle in radians for the fisheye models.
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
            // Between the spheres the angle grows up to acos(-1 / xi) where the first centre lies outside of the
            // second sphere, and then comes back; else up to equation 43, which the paper states with a bound
            // on the safe side. Solved exactly: z = -w1 d2 - xi on the unit sphere, with d2^2 = (xi + z)^2 + 1 - z^2.
            Self::DoubleSphere { xi, alpha } => {
                if *xi > 1.0 {
                    return (-1.0 / xi).acos();
                }
                let w1 = back_share(*alpha);
                let d2 = (1.0 - xi * xi * (1.0 - w1 * w1)).max(0.0).sqrt() - xi * w1;
                (-w1 * d2 - xi).clamp(-1.0, 1.0).acos()
            }
            // z > -w d, solved for the angle.
            Self::ExtendedUnified { alpha, beta } => {
                let w = back_share(*alpha);
                FRAC_PI_2 + (w * (beta / (1.0 - w * w).max(0.0)).sqrt()).atan()
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
            Self::DoubleSphere { .. } | Self::ExtendedUnified { .. } => {
                if off_axis == 0.0 && point.z == 0.0 {
                    return Err(ProjectionError::NotFinite);
                }
                if angle_rad >= limit {
                    return Err(ProjectionError::BeyondLens { angle_rad });
                }
                // Of the unit ray, so that neither tiny nor huge coordinates are squared.
                let ray = point.normalize();
                ray.xy() / self.depth(&ray)
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
            // Equations 47 to 51.
            Self::DoubleSphere { xi, alpha } => {
                let s = target.norm_squared();
                let root = non_negative_root(1.0 - (2.0 * alpha - 1.0) * s)?;
                let z = (1.0 - alpha * alpha * s) / (alpha * root + 1.0 - alpha);
                let second = non_negative_root(z * z + (1.0 - xi * xi) * s)?;
                let scale = (z * xi + second) / (z * z + s);
                let ray = (target * scale).push(z * scale - xi);
                in_range(ray, limit)
            }
            Self::ExtendedUnified { alpha, beta } => {
                let s = target.norm_squared();
                let root = non_negative_root(1.0 - (2.0 * alpha - 1.0) * beta * s)?;
                let z = (1.0 - beta * alpha * alpha * s) / (alpha * root + 1.0 - alpha);
                in_range(target.push(z), limit)
            }
        }
    }

    /// What x and y of a unit ray are divided by, for the models of spheres.
    fn depth(&self, ray: &Vector3<f64>) -> f64 {
        match self {
            Self::DoubleSphere { xi, alpha } => {
                let shifted = xi + ray.z;
                let second = ray.xy().norm().hypot(shifted);
                alpha * second + (1.0 - alpha) * shifted
            }
            Self::ExtendedUnified { alpha, beta } => {
                let distance = (beta * ray.xy().norm_squared() + ray.z * ray.z).sqrt();
                alpha * distance + (1.0 - alpha) * ray.z
            }
            Self::RadialTangential(_) | Self::KannalaBrandt(_) => ray.z,
        }
    }
}

/// w1 of the double-sphere and w of the extended unified model: how far behind the camera they see.
fn back_share(alpha: f64) -> f64 {
    if alpha <= 0.5 { alpha / (1.0 - alpha) } else { (1.0 - alpha) / alpha }
}

fn non_negative_root(square: f64) -> Option<f64> {
    (square >= 0.0).then(|| square.sqrt())
}

/// The unit vector along `ray`, if it is finite and closer to the axis than `limit`.
fn in_range(ray: Vector3<f64>, limit: f64) -> Option<Vector3<f64>> {
    let ray = ray.try_normalize(0.0)?;
    let finite = ray.iter().all(|c| c.is_finite());
    (finite && ray.xy().norm().atan2(ray.z) < limit).then_some(ray)
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
    /// The model has no such coefficient.
    #[error("coefficient {name} is {found}, expected {expected}")]
    OutOfRange {
        /// The coefficient.
        name: &'static str,
        /// Its value.
        found: f64,
        /// What the model allows.
        expected: &'static str,
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

fn check_range(
    name: &'static str,
    found: f64,
    allowed: bool,
    expected: &'static str,
) -> Result<(), CoefficientError> {
    if allowed { Ok(()) } else { Err(CoefficientError::OutOfRange { name, found, expected }) }
}

fn two(
    model: &'static str,
    names: &[&'static str; 2],
    coefficients: &[f64],
) -> Result<[f64; 2], CoefficientError> {
    let two = coefficients.try_into().map_err(|_| CoefficientError::Count {
        model,
        found: coefficients.len(),
        expected: "2",
    })?;
    check_finite(names, coefficients)?;
    Ok(two)
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
const DOUBLE_SPHERE_NAMES: [&str; 2] = ["xi", "alpha"];
const EXTENDED_UNIFIED_NAMES: [&str; 2] = ["alpha", "beta"];

/// A ray counts as found when it hits its pixel this closely, relative, on the plane z = 1: 1e-7 px at a focal
/// length of 1000 px.
const RESIDUAL: f64 = 1e-10;
