//! From matches to the error of the rig: a robust fit of the vertical disparity over the image.
//!
//! The model and its derivation are in the [module's page](super). The fit starts from the plane of
//! least median of squares (Rousseeuw 1984; half of the matches may be wrong) and ends with Tukey's biweight
//! (95 % efficiency, Huber and Ronchetti, Robust Statistics, 2009), whose scale is the median absolute
//! deviation.

use nalgebra::{Matrix3, Matrix5, Vector3, Vector5};
use occdepth_geometry::ImageSize;

/// One point seen by both views.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Match {
    /// (x - cx) / fx of the point in the right view.
    pub u: f64,
    /// (y - cy) / fy of the point in the right view, where the calibration says that it should be.
    pub v: f64,
    /// How far below that place it is seen, pixels.
    pub dy_px: f64,
    /// Left column minus right column, pixels.
    pub disparity_px: f64,
}

/// The camera that the right view belongs to, and what an error does all over its image.
#[derive(Clone, Debug)]
pub struct FieldModel {
    fx: f64,
    fy: f64,
    /// Mean over the image of the products of the terms: theta' gram theta is a mean square.
    gram: Matrix5<f64>,
    /// What is believed before anything is seen: one over squared pixels.
    prior: Matrix5<f64>,
}

/// What a fit found. All errors are of the right camera relative to the left one; see the
/// [module's page](super) for signs.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Estimate {
    /// Rotation about the right camera's x axis, radians. (A principal point that moved up or down by `d`
    /// pixels looks like a pitch of `-d / fy`; `curvature` tells them apart where the view is high enough.)
    pub pitch_rad: Measured,
    /// Rotation about its z axis, radians.
    pub roll_rad: Measured,
    /// Rotation about its y axis, radians; as far as the rows tell, which is little.
    pub yaw_rad: Measured,
    /// Right focal length over left one, minus what the calibration says; 0.005 is half a per cent.
    pub focal: Measured,
    /// Curvature in y as an angle, radians: equal to `pitch_rad` when the offset is a pitch, 0 when it is a
    /// principal point, something else when it is the lens.
    pub curvature_rad: Measured,
    /// Root mean square of the fitted vertical disparity over the image, pixels.
    pub error_px: Measured,
    /// Robust standard deviation of the matches about the fit, pixels.
    pub scatter_px: f64,
    /// How many matches there were.
    pub matches: usize,
    /// How many of them the fit explains.
    pub inliers: usize,
}

/// A value and its standard deviation, in the same unit.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Measured {
    /// The value.
    pub value: f64,
    /// Its standard deviation, from the scatter of the matches.
    pub sigma: f64,
}

/// The memory that a fit works in.
#[derive(Clone, Debug, Default)]
pub struct Workspace {
    residuals: Vec<f64>,
}

impl Workspace {
    /// For fits of at most `matches` matches; more would allocate.
    pub fn with_capacity(matches: usize) -> Self {
        Self { residuals: Vec::with_capacity(matches) }
    }
}

impl FieldModel {
    /// For a right view of `size` pixels with focal lengths and principal point in pixels.
    pub fn new(size: ImageSize, [fx, fy]: [f64; 2], [cx, cy]: [f64; 2]) -> Self {
        let mut gram = Matrix5::zeros();
        for i in 0..GRAM_STEPS {
            for j in 0..GRAM_STEPS {
                let at = |step: usize, extent: u32| {
                    (step as f64 + 0.5) / GRAM_STEPS as f64 * f64::from(extent) - 0.5
                };
                let terms = terms((at(j, size.width) - cx) / fx, (at(i, size.height) - cy) / fy);
                gram += terms * terms.transpose();
            }
        }
        gram /= (GRAM_STEPS * GRAM_STEPS) as f64;
        let precision = |sigma: f64| (fy * sigma).powi(-2);
        let mut prior = Matrix5::from_diagonal(&Vector5::new(
            precision(ANGLE_PRIOR_RAD),
            precision(ANGLE_PRIOR_RAD),
            precision(FOCAL_PRIOR),
            precision(ANGLE_PRIOR_RAD),
            0.0,
        ));
        // Curvature differs from offset by what a lens may have drifted.
        let lens = precision(LENS_PRIOR);
        let difference = Vector5::new(1.0, 0.0, 0.0, 0.0, -1.0);
        prior += lens * difference * difference.transpose();
        Self { fx, fy, gram, prior }
    }

    /// Focal lengths of the right view, pixels.
    pub fn focal_px(&self) -> [f64; 2] {
        [self.fx, self.fy]
    }

    /// What a wrong focal length does: RMS over the image of the vertical disparity, pixels, for an error of one
    /// (100 %).
    pub fn focal_effect_px(&self) -> f64 {
        self.fy * self.gram[(2, 2)].max(0.0).sqrt()
    }

    /// Fits the field to `matches`; None for fewer than eight.
    pub fn fit(&self, matches: &[Match], workspace: &mut Workspace) -> Option<Estimate> {
        if matches.len() < FEWEST {
            return None;
        }
        let start = least_median_plane(matches, workspace);
        let mut theta = Vector5::new(start.x, start.y, start.z, 0.0, 0.0);
        let mut scale = scatter(matches, &theta, workspace);
        let mut information = Matrix5::zeros();
        let mut explained = 0.0;
        let mut inliers = 0;
        for step in 0..REWEIGHTINGS {
            // Bends are not in the start: the first steps look at everything near it.
            let reach = TUKEY * if step < 3 { scale.max(START_SCATTER_PX) } else { scale };
            let mut sums = Vector5::zeros();
            information = Matrix5::zeros();
            (explained, inliers) = (0.0, 0);
            for one in matches {
                let terms = terms(one.u, one.v);
                let ratio = (one.dy_px - terms.dot(&theta)) / reach;
                if ratio.abs() < 1.0 {
                    let weight = (1.0 - ratio * ratio).powi(2);
                    information += weight * terms * terms.transpose();
                    sums += weight * one.dy_px * terms;
                    explained += weight;
                    inliers += 1;
                }
            }
            theta = (information + scale * scale * self.prior).cholesky()?.solve(&sums);
            scale = scatter(matches, &theta, workspace);
        }
        if inliers < FEWEST || explained <= 0.0 {
            return None;
        }
        let covariance = (information / (scale * scale) + self.prior).cholesky()?.inverse();
        Some(self.estimate(&theta, &covariance, scale, [matches.len(), inliers]))
    }

    fn estimate(
        &self,
        theta: &Vector5<f64>,
        covariance: &Matrix5<f64>,
        scatter_px: f64,
        [matches, inliers]: [usize; 2],
    ) -> Estimate {
        let angle = |term: usize, sign: f64| Measured {
            value: sign * theta[term] / self.fy,
            sigma: covariance[(term, term)].max(0.0).sqrt() / self.fy,
        };
        Estimate {
            pitch_rad: angle(0, -1.0),
            roll_rad: angle(1, 1.0),
            focal: angle(2, 1.0),
            yaw_rad: angle(3, 1.0),
            curvature_rad: angle(4, -1.0),
            error_px: Measured {
                value: (theta.transpose() * self.gram * theta).x.max(0.0).sqrt(),
                sigma: (self.gram * covariance).trace().max(0.0).sqrt(),
            },
            scatter_px,
            matches,
            inliers,
        }
    }
}

/// 1, u, v, u v, v^2: offset, slopes in x and y, twist, curvature in y.
fn terms(u: f64, v: f64) -> Vector5<f64> {
    Vector5::new(1.0, u, v, u * v, v * v)
}

/// The plane through three matches that has the smallest median residual, of a fixed set of threes.
fn least_median_plane(matches: &[Match], workspace: &mut Workspace) -> Vector3<f64> {
    let mut best = (f64::INFINITY, Vector3::zeros());
    let mut draw = Draw(1);
    for _ in 0..DRAWS {
        let [a, b, c] = [0; 3].map(|_| matches[draw.below(matches.len())]);
        let system =
            Matrix3::from_rows(&[a, b, c].map(|m| Vector3::new(1.0, m.u, m.v).transpose()));
        // Three matches in a line, or one twice, carry no plane.
        if system.determinant().abs() < SMALLEST_TRIANGLE {
            continue;
        }
        let Some(plane) = system.lu().solve(&Vector3::new(a.dy_px, b.dy_px, c.dy_px)) else {
            continue;
        };
        let median = median(
            matches.iter().map(|m| (m.dy_px - plane.x - plane.y * m.u - plane.z * m.v).abs()),
            &mut workspace.residuals,
        );
        if median < best.0 {
            best = (median, plane);
        }
    }
    if best.0.is_infinite() {
        best.1.x = median(matches.iter().map(|m| m.dy_px), &mut workspace.residuals);
    }
    best.1
}

/// Standard deviation of normally distributed residuals with this median.
fn scatter(matches: &[Match], theta: &Vector5<f64>, workspace: &mut Workspace) -> f64 {
    let residuals = matches.iter().map(|m| (m.dy_px - terms(m.u, m.v).dot(theta)).abs());
    (1.4826 * median(residuals, &mut workspace.residuals)).max(SMALLEST_SCATTER_PX)
}

fn median(values: impl Iterator<Item = f64>, memory: &mut Vec<f64>) -> f64 {
    memory.clear();
    memory.extend(values);
    let middle = memory.len() / 2;
    *memory.select_nth_unstable_by(middle, f64::total_cmp).1
}

/// Numbers for draws (Knuth's MMIX generator): the same matches give the same estimate.
struct Draw(u64);

impl Draw {
    #[allow(clippy::cast_possible_truncation, reason = "below a length")]
    fn below(&mut self, length: usize) -> usize {
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (((self.0 >> 32) * length as u64) >> 32) as usize
    }
}

/// Five terms need five; a scatter needs some more.
const FEWEST: usize = 8;
/// With half of the matches wrong, the chance that no draw is all right is (1 - 1/8)^100, one in a million.
const DRAWS: usize = 100;
/// Twice the area of the triangle, in squares of the focal length: 10 x 20 pixels at 700.
const SMALLEST_TRIANGLE: f64 = 4e-4;
const REWEIGHTINGS: usize = 12;
/// 95 % efficiency on normally distributed residuals.
const TUKEY: f64 = 4.685;
const START_SCATTER_PX: f64 = 0.5;
/// Below this the interpolation is what is measured.
const SMALLEST_SCATTER_PX: f64 = 0.02;
/// Samples of the image per axis.
const GRAM_STEPS: usize = 32;
/// A camera that is off by more is lying in the boot; weak enough to move no estimate by a hundredth of it.
const ANGLE_PRIOR_RAD: f64 = 0.05;
const FOCAL_PRIOR: f64 = 0.05;
/// Keeps a curvature that nothing in the image shows from growing outside the matches.
const LENS_PRIOR: f64 = 0.02;
