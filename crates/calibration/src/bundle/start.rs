//! Where the adjustment starts: focal length and poses without distortion.

use super::{Lens, Pose};
use nalgebra::{DMatrix, Matrix3, Rotation3, Vector2, Vector3};
use occdepth_geometry::ImageSize;

/// Parameters of one camera and a pose of the board for each view.
///
/// The principal point starts in the middle of the image and distortion at nothing. For each focal length of a
/// geometric series, pixels become rays (a pinhole's or an equidistant fisheye's), each view's homography
/// from the board to rays gives a pose, and the focal length whose poses reproject best wins. Unlike
/// Zhang's closed form (TPAMI 2000) this is never undefined and serves both lens models.
pub(super) fn camera(
    lens: Lens,
    size: ImageSize,
    board: &[Vector3<f64>],
    views: &[&[[f64; 2]]],
) -> Option<(Vec<f64>, Vec<Pose>)> {
    let (width, height) = (f64::from(size.width), f64::from(size.height));
    let mut best: Option<(f64, Vec<f64>, Vec<Pose>)> = None;
    for step in 0..FOCALS {
        let focal =
            width * FOCAL_MIN * (FOCAL_MAX / FOCAL_MIN).powf(step as f64 / (FOCALS - 1) as f64);
        let mut parameters = vec![focal, focal, (width - 1.0) / 2.0, (height - 1.0) / 2.0];
        parameters.resize(lens.parameters(), 0.0);
        let mut poses = Vec::new();
        let mut error = 0.0;
        for corners in views {
            let Some(pose) = pose(lens, &parameters, board, corners) else { break };
            for (point, corner) in board.iter().zip(*corners) {
                let there = lens.project(&parameters, &pose.apply(point));
                // The absolute error: one wild view must not choose the focal length.
                error += (there - Vector2::from(*corner)).norm().min(width);
            }
            poses.push(pose);
        }
        if poses.len() == views.len() && best.as_ref().is_none_or(|(least, ..)| error < *least) {
            best = Some((error, parameters, poses));
        }
    }
    best.map(|(_, parameters, poses)| (parameters, poses))
}

/// The board's pose from one view, by the homography from the board's plane to rays (direct linear
/// transformation: ray x (H X) = 0, which also holds for rays beside and behind the camera).
fn pose(
    lens: Lens,
    parameters: &[f64],
    board: &[Vector3<f64>],
    corners: &[[f64; 2]],
) -> Option<Pose> {
    let rays: Vec<Vector3<f64>> = corners
        .iter()
        .map(|[u, v]| {
            let plane = Vector2::new(
                (u - parameters[2]) / parameters[0],
                (v - parameters[3]) / parameters[1],
            );
            let radius = plane.norm();
            if lens == Lens::KannalaBrandt && radius > 0.0 {
                (plane * (radius.sin() / radius)).push(radius.cos())
            } else {
                plane.push(1.0).normalize()
            }
        })
        .collect();
    let centre = board.iter().sum::<Vector3<f64>>() / board.len() as f64;
    let scale = board.iter().map(|p| (p - centre).norm()).sum::<f64>() / board.len() as f64;
    let mut normal = DMatrix::<f64>::zeros(9, 9);
    for (point, ray) in board.iter().zip(&rays) {
        let x = Vector3::new((point.x - centre.x) / scale, (point.y - centre.y) / scale, 1.0);
        let cross = ray.cross_matrix();
        for row in 0..3 {
            let mut equation = [0.0; 9];
            for i in 0..3 {
                for j in 0..3 {
                    equation[3 * i + j] = cross[(row, i)] * x[j];
                }
            }
            for (i, a) in equation.iter().enumerate() {
                for (j, b) in equation.iter().enumerate() {
                    normal[(i, j)] += a * b;
                }
            }
        }
    }
    let eigen = normal.symmetric_eigen();
    let h = Matrix3::from_row_slice(eigen.eigenvectors.column(eigen.eigenvalues.imin()).as_slice());
    let norm = (h.column(0).norm() * h.column(1).norm()).sqrt();
    if !(norm.is_finite() && norm > 0.0) {
        return None;
    }
    let first = board.first()?;
    let x = Vector3::new((first.x - centre.x) / scale, (first.y - centre.y) / scale, 1.0);
    let h = h / (norm * rays.first()?.dot(&(h * x)).signum());
    let (a, b) = (h.column(0).into_owned(), h.column(1).into_owned());
    let svd = Matrix3::from_columns(&[a, b, a.cross(&b)]).svd(true, true);
    let rotation = svd.u? * svd.v_t?;
    let rotation = Rotation3::from_matrix_unchecked(rotation);
    let translation = h.column(2) * scale - rotation * centre;
    let usable = rotation.matrix().determinant() > 0.0 && translation.iter().all(|t| t.is_finite());
    usable.then_some(Pose { rotation, translation })
}

/// Focal lengths tried, in image widths: fields of view from 10 to over 180 degrees.
const FOCAL_MIN: f64 = 0.2;
const FOCAL_MAX: f64 = 6.0;
const FOCALS: usize = 60;
