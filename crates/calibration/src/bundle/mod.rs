//! Both cameras, their relation and every pose of the board at once, from the corners of a board.
//!
//! [`adjust`] minimises the sum of squared distances between the corners found and the corners projected, over
//! both cameras' intrinsics and distortion, the right camera's pose seen from the left one, and one pose of the
//! board per pair. The board defines the unit of length and, with the left camera as origin, leaves no
//! freedom of gauge.
//!
//! Levenberg-Marquardt with Marquardt's scaling of the damping; poses are eliminated from the normal equations
//! (Schur complement), so a step costs one dense system of at most 30 unknowns and one of 6 per pair. It
//! has converged when a step lowers the cost by less than 1e-12 of it.

mod lens;
mod solve;
mod start;

pub use lens::Lens;

use nalgebra::{DMatrix, DVector, Matrix4, Rotation3, Vector3};
use occdepth_geometry::{ImageSize, camera::CoefficientError};

/// A rigid transform.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Pose {
    /// Turns first.
    pub rotation: Rotation3<f64>,
    /// Then shifts.
    pub translation: Vector3<f64>,
}

impl Pose {
    /// The point in the other frame.
    pub fn apply(&self, point: &Vector3<f64>) -> Vector3<f64> {
        self.rotation * point + self.translation
    }

    /// As a 4x4 matrix.
    pub fn matrix(&self) -> Matrix4<f64> {
        let mut matrix = self.rotation.to_homogeneous();
        matrix.fixed_view_mut::<3, 1>(0, 3).copy_from(&self.translation);
        matrix
    }
}

/// One pair: where each corner of the board was found, pixels, in the board's order.
#[derive(Clone, Debug, PartialEq)]
pub struct Pair {
    /// In the left image.
    pub left: Vec<[f64; 2]>,
    /// In the right image.
    pub right: Vec<[f64; 2]>,
}

/// What is fitted.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// Of both cameras.
    pub lens: Lens,
    /// Of both cameras.
    pub image_size: ImageSize,
    /// Leaves out corners that lie further off than [`OUTLIER_SIGMA`] robust standard deviations, and pairs of which less
    /// than half of a view's corners remain, and fits again until that changes nothing.
    pub reject_outliers: bool,
}

/// What the adjustment found. Lengths are in the unit of the board's points.
#[derive(Clone, Debug)]
pub struct Adjustment {
    /// fx fy cx cy and the coefficients, left and right.
    pub cameras: [Vec<f64>; 2],
    /// The right camera's pose.
    pub right_from_left: Pose,
    /// Of each pair.
    pub left_from_board: Vec<Pose>,
    /// From where each corner projects to, to where it was found (x, y), pixels: by pair, view and corner.
    pub residuals_px: Vec<[Vec<[f64; 2]>; 2]>,
    /// Whether a corner counted: by pair, view and corner.
    pub kept: Vec<[Vec<bool>; 2]>,
    /// Standard deviations: both cameras' parameters, then rotation (rad) and translation of
    /// `right_from_left`.
    pub deviations: Vec<f64>,
    /// Steps taken.
    pub steps: usize,
}

impl Adjustment {
    /// `OpenCV`'s RMS of `stereoCalibrate`: the root of the sum of squared distances in both images over the
    /// number of corners in both images. Outliers are left out.
    pub fn rms_px(&self) -> f64 {
        rms((0..self.kept.len()).flat_map(|pair| [0, 1].map(|view| (pair, view))), self)
    }

    /// The same of one view of one pair; `None` where all of its corners were left out.
    pub fn view_rms_px(&self, pair: usize, view: usize) -> Option<f64> {
        let counts = self.kept[pair][view].contains(&true);
        counts.then(|| rms(std::iter::once((pair, view)), self))
    }

    /// Pair, view (0 left, 1 right) and corner of what was left out.
    pub fn outliers(&self) -> impl Iterator<Item = [usize; 3]> + '_ {
        self.kept.iter().enumerate().flat_map(|(pair, views)| {
            views.iter().enumerate().flat_map(move |(view, kept)| {
                let left_out = kept.iter().enumerate().filter(|(_, kept)| !**kept);
                left_out.map(move |(corner, _)| [pair, view, corner])
            })
        })
    }

    /// Pairs that were left out as a whole: most of a view did not fit the others.
    pub fn dropped(&self) -> impl Iterator<Item = usize> + '_ {
        let used = |views: &[Vec<bool>; 2]| views.iter().any(|kept| kept.contains(&true));
        self.kept.iter().enumerate().filter(move |(_, views)| !used(views)).map(|(pair, _)| pair)
    }
}

/// Of the corners of some views (pair, view) that counted.
fn rms(views: impl Iterator<Item = (usize, usize)>, adjustment: &Adjustment) -> f64 {
    let (mut sum, mut count) = (0.0, 0_usize);
    for (pair, view) in views {
        let residuals = &adjustment.residuals_px[pair][view];
        for ([x, y], kept) in residuals.iter().zip(&adjustment.kept[pair][view]) {
            if *kept {
                sum += x * x + y * y;
                count += 1;
            }
        }
    }
    (sum / count.max(1) as f64).sqrt()
}

/// Why there is no calibration.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum BundleError {
    /// Too few views.
    #[error(
        "{found} usable pairs, expected at least {MIN_PAIRS}: take more, tilted and near the image's rim"
    )]
    TooFewPairs {
        /// Pairs given.
        found: usize,
    },
    /// Too few views fit together.
    #[error(
        "{dropped} of {found} pairs do not fit the others (did the board or a camera move between the two images of a pair?), \
         expected at least {MIN_PAIRS} that do"
    )]
    Inconsistent {
        /// Left out.
        dropped: usize,
        /// Pairs given.
        found: usize,
    },
    /// A pair without all corners.
    #[error("pair {pair} has {found} corners, the board {expected}")]
    Corners {
        /// From 0.
        pair: usize,
        /// In one of its views.
        found: usize,
        /// Of the board.
        expected: usize,
    },
    /// A coordinate is NaN or infinite.
    #[error("pair {pair} or the board has a coordinate that is not finite")]
    NotFinite {
        /// From 0.
        pair: usize,
    },
    /// The right camera lies to the left.
    #[error(
        "the right camera lies to the left of the left one (x of right from left is {x:+.4}): exchange left and right"
    )]
    Swapped {
        /// Of the translation; negative for a proper rig.
        x: f64,
    },
    /// The pairs do not determine the cameras.
    #[error("the views do not determine {what}: turn and tilt the board differently in each")]
    Degenerate {
        /// What remains free.
        what: String,
    },
    /// The lens that came out does not cover the corners it was made from.
    #[error(
        "the {view} lens fitted is not one-to-one over the corners: use fewer coefficients or better views"
    )]
    Lens {
        /// left or right.
        view: &'static str,
    },
    /// A coefficient came out as no number.
    #[error(transparent)]
    Coefficient(#[from] CoefficientError),
}

/// Fits a stereo camera to the corners of `board` (points of the plane z = 0, any unit) in `pairs`.
///
/// # Errors
/// [`BundleError`].
pub fn adjust(
    board: &[Vector3<f64>],
    pairs: &[Pair],
    options: &Options,
) -> Result<Adjustment, BundleError> {
    check(board, pairs)?;
    let lens = options.lens;
    let start = |view: fn(&Pair) -> &Vec<[f64; 2]>| {
        let views: Vec<&[[f64; 2]]> = pairs.iter().map(|pair| view(pair).as_slice()).collect();
        start::camera(lens, options.image_size, board, &views)
            .ok_or_else(|| BundleError::Degenerate { what: "the focal length".to_owned() })
    };
    let (left, left_poses) = start(|pair| &pair.left)?;
    let (right, right_poses) = start(|pair| &pair.right)?;
    let mut problem = solve::Problem {
        lens,
        board,
        pairs,
        huber_px: if options.reject_outliers { HUBER_PX } else { f64::INFINITY },
        kept: vec![[vec![true; board.len()], vec![true; board.len()]]; pairs.len()],
    };
    let mut state = solve::State {
        cameras: [left, right],
        right_from_left: medoid(&left_poses, &right_poses),
        left_from_board: left_poses,
    };
    let mut steps = problem.converge(&mut state);
    if options.reject_outliers {
        problem.huber_px = f64::INFINITY;
        // What looks wrong at first may be right once what is wrong is out, so each round judges all corners anew.
        for _ in 0..REJECTIONS_MAX {
            if !problem.reject(&state) {
                break;
            }
            let dropped = problem.kept.iter().filter(|views| !views[0].contains(&true)).count();
            if pairs.len() - dropped < MIN_PAIRS {
                return Err(BundleError::Inconsistent { dropped, found: pairs.len() });
            }
            steps += problem.converge(&mut state);
        }
        steps += problem.converge(&mut state);
    }
    let x = state.right_from_left.translation.x;
    if x >= 0.0 {
        return Err(BundleError::Swapped { x });
    }
    let deviations = deviations(&problem, &state)?;
    check_lens(&problem, &state)?;
    Ok(Adjustment {
        residuals_px: problem.residuals(&state),
        cameras: state.cameras,
        right_from_left: state.right_from_left,
        left_from_board: state.left_from_board,
        kept: problem.kept,
        deviations,
        steps,
    })
}

/// Fewer pairs leave the principal point and the distortion to chance.
pub const MIN_PAIRS: usize = 5;
/// Robust standard deviations (1.4826 times the median distance of a coordinate).
pub const OUTLIER_SIGMA: f64 = 8.0;
/// While outliers are still in. Corners found right are off by some tenths of a pixel.
const HUBER_PX: f64 = 1.0;
/// Each round halves the worst error or is the last.
const REJECTIONS_MAX: usize = 24;
/// A focal length less certain than this part of it is not determined.
const FOCAL_DEVIATION: f64 = 0.02;

fn check(board: &[Vector3<f64>], pairs: &[Pair]) -> Result<(), BundleError> {
    if pairs.len() < MIN_PAIRS {
        return Err(BundleError::TooFewPairs { found: pairs.len() });
    }
    for (index, pair) in pairs.iter().enumerate() {
        for view in [&pair.left, &pair.right] {
            if view.len() != board.len() {
                let (found, expected) = (view.len(), board.len());
                return Err(BundleError::Corners { pair: index, found, expected });
            }
            let finite = view.iter().flatten().chain(board.iter().flatten()).all(|c| c.is_finite());
            if !finite {
                return Err(BundleError::NotFinite { pair: index });
            }
        }
    }
    Ok(())
}

/// The relation of the cameras in the pair that agrees best with all others.
fn medoid(left: &[Pose], right: &[Pose]) -> Pose {
    let relations: Vec<Pose> = left
        .iter()
        .zip(right)
        .map(|(left, right)| {
            let rotation = right.rotation * left.rotation.inverse();
            Pose { rotation, translation: right.translation - rotation * left.translation }
        })
        .collect();
    let distance = |a: &Pose, b: &Pose| {
        a.rotation.angle_to(&b.rotation)
            + (a.translation - b.translation).norm() / (a.translation.norm() + b.translation.norm())
    };
    let total = |a: &Pose| relations.iter().map(|b| distance(a, b)).sum::<f64>();
    relations.iter().copied().min_by(|a, b| total(a).total_cmp(&total(b))).expect("there are pairs")
}

/// From the inverse of the normal matrix with the poses eliminated, times the variance of a coordinate.
fn deviations(problem: &solve::Problem<'_>, state: &solve::State) -> Result<Vec<f64>, BundleError> {
    let normal = problem.normal(state);
    let poses = problem.kept.iter().filter(|views| views[0].contains(&true)).count();
    let unknowns = normal.shared.nrows() + 6 * poses;
    let residuals = 2 * problem.kept.iter().flatten().flatten().filter(|&&kept| kept).count();
    let variance = normal.cost / residuals.saturating_sub(unknowns).max(1) as f64;
    let degenerate = |what: &str| BundleError::Degenerate { what: what.to_owned() };
    let reduced = normal.reduced(0.0).ok_or_else(|| degenerate("the poses of the board"))?.0;
    // Scaled to a unit diagonal, so that the decomposition sees the geometry and not the units.
    let scale: DVector<f64> = reduced.diagonal().map(|d| 1.0 / d.max(f64::MIN_POSITIVE).sqrt());
    let scaled = DMatrix::from_fn(reduced.nrows(), reduced.ncols(), |i, j| {
        reduced[(i, j)] * scale[i] * scale[j]
    });
    let inverse = scaled.cholesky().ok_or_else(|| degenerate("the cameras"))?.inverse();
    let deviations: Vec<f64> = (0..reduced.nrows())
        .map(|i| (inverse[(i, i)].max(0.0) * variance).sqrt() * scale[i])
        .collect();
    let n = problem.lens.parameters();
    for (view, name) in ["left", "right"].into_iter().enumerate() {
        let (focal, deviation) = (state.cameras[view][0], deviations[view * n]);
        if deviation.is_nan() || deviation > FOCAL_DEVIATION * focal {
            return Err(degenerate(&format!(
                "the {name} focal length ({focal:.1} px, standard deviation {deviation:.1} px)"
            )));
        }
    }
    Ok(deviations)
}

/// The cameras must be usable by the geometry crate at every corner that they were made from.
fn check_lens(problem: &solve::Problem<'_>, state: &solve::State) -> Result<(), BundleError> {
    for (view, name) in ["left", "right"].into_iter().enumerate() {
        let camera = problem.lens.camera(&state.cameras[view])?;
        for (pair, pose) in state.left_from_board.iter().enumerate() {
            for (corner, point) in problem.board.iter().enumerate() {
                let mut point = pose.apply(point);
                if view == 1 {
                    point = state.right_from_left.apply(&point);
                }
                if problem.kept[pair][view][corner] && camera.project(&point).is_err() {
                    return Err(BundleError::Lens { view: name });
                }
            }
        }
    }
    Ok(())
}
