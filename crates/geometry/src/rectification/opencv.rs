//! How `OpenCV` chooses the rectified camera: `stereoRectify` and `fisheye::stereoRectify`.
//!
//! Written from the documented behaviour and checked against values computed with `OpenCV` 5.0. Where
//! it stops early or rounds (five steps of undistortion, corners in single precision), so does this, because
//! the choice is a convention: the same file must give the same camera in both.

use super::PhysicalView;
use crate::{
    ImageSize,
    camera::{Camera, Distortion, Intrinsics},
};
use nalgebra::{Matrix3, Vector3};
use std::f64::consts::FRAC_PI_2;

/// `stereoRectify`: one camera for both views (`CALIB_ZERO_DISPARITY`), `alpha` -1 or 0 to 1.
pub(super) fn pinhole(
    views: &[PhysicalView<'_>; 2],
    image: ImageSize,
    size: ImageSize,
    alpha: f64,
) -> Intrinsics {
    let [image_width, image_height] = [f64::from(image.width), f64::from(image.height)];
    let [width, height] = [f64::from(size.width), f64::from(size.height)];
    let mean_fy = views.iter().map(|(camera, _)| camera.intrinsics.fy).sum::<f64>() / 2.0;
    let focal = mean_fy * height / image_height;

    // Each principal point centres its image's corners; the rectified cameras share the mean of both.
    let [mut cx, mut cy] = [0.0, 0.0];
    for (camera, rotation) in views {
        let [mut sum_x, mut sum_y] = [0.0, 0.0];
        for corner in grid(image, 2) {
            let [x, y] = five_step_undistort(camera, corner).map(single);
            let [x, y] = rotate(rotation, [x, y]);
            sum_x += single(focal * x);
            sum_y += single(focal * y);
        }
        cx += ((image_width - 1.0) / 2.0 - sum_x / 4.0) / 2.0;
        cy += ((image_height - 1.0) / 2.0 - sum_y / 4.0) / 2.0;
    }

    let [new_cx, new_cy] = [cx * width / image_width, cy * height / image_height];
    let mut scale = 1.0;
    if alpha >= 0.0 {
        let (mut all_valid, mut all_shown) = (f64::NEG_INFINITY, f64::INFINITY);
        for (camera, rotation) in views {
            let (inner, outer) = rectangles(camera, rotation, image);
            // How much larger the image must be drawn for a rectangle to fill it on each of its sides.
            let fill = |[x0, y0, x1, y1]: [f64; 4]| {
                [
                    new_cx / (-focal * x0),
                    new_cy / (-focal * y0),
                    (width - 1.0 - new_cx) / (focal * x1),
                    (height - 1.0 - new_cy) / (focal * y1),
                ]
            };
            all_valid = fill(inner).into_iter().fold(all_valid, f64::max);
            all_shown = fill(outer).into_iter().fold(all_shown, f64::min);
        }
        scale = all_valid * (1.0 - alpha) + all_shown * alpha;
    }
    Intrinsics { fx: focal * scale, fy: focal * scale, cx: new_cx, cy: new_cy }
}

/// `fisheye::stereoRectify`: one camera for both views, `balance` 0 to 1, field-of-view scale 1.
pub(super) fn fisheye(
    views: &[PhysicalView<'_>; 2],
    image: ImageSize,
    size: ImageSize,
    balance: f64,
) -> Intrinsics {
    let cameras =
        views.map(|(camera, rotation)| fisheye_camera(camera, rotation, image, size, balance));
    let focal = cameras[0].fy.min(cameras[1].fy);
    Intrinsics {
        fx: focal,
        fy: focal,
        cx: 0.5 * (cameras[0].cx + cameras[1].cx),
        cy: 0.5 * (cameras[0].cy + cameras[1].cy),
    }
}

/// `fisheye::estimateNewCameraMatrixForUndistortRectify`.
fn fisheye_camera(
    camera: &Camera,
    rotation: &Matrix3<f64>,
    image: ImageSize,
    size: ImageSize,
    balance: f64,
) -> Intrinsics {
    let [width, height] = [f64::from(image.width), f64::from(image.height)];
    let [middle_x, middle_y] = [f64::from(image.width / 2), f64::from(image.height / 2)];
    let aspect = camera.intrinsics.fx / camera.intrinsics.fy;
    let points =
        [[middle_x, 0.0], [width, middle_y], [middle_x, height], [0.0, middle_y]].map(|pixel| {
            let [x, y] =
                fisheye_undistort(camera, pixel).map_or(NOT_UNDISTORTED, |p| rotate(rotation, p));
            [x, y * aspect]
        });
    let count = points.len() as f64;
    let centre = [0, 1].map(|axis| points.iter().map(|p| p[axis]).sum::<f64>() / count);
    let low = [0, 1].map(|axis| points.iter().map(|p| p[axis]).fold(f64::INFINITY, f64::min));
    let high = [0, 1].map(|axis| points.iter().map(|p| p[axis]).fold(f64::NEG_INFINITY, f64::max));
    let focals = [
        width * 0.5 / (centre[0] - low[0]),
        width * 0.5 / (high[0] - centre[0]),
        height * 0.5 * aspect / (centre[1] - low[1]),
        height * 0.5 * aspect / (high[1] - centre[1]),
    ];
    let widest = focals.into_iter().fold(f64::INFINITY, f64::min);
    let narrowest = focals.into_iter().fold(f64::NEG_INFINITY, f64::max);
    let focal = balance * widest + (1.0 - balance) * narrowest;
    let [scale_x, scale_y] = [f64::from(size.width) / width, f64::from(size.height) / height];
    Intrinsics {
        fx: focal * scale_x,
        fy: focal / aspect * scale_y,
        cx: (width * 0.5 - centre[0] * focal) * scale_x,
        cy: (height * aspect * 0.5 - centre[1] * focal) / aspect * scale_y,
    }
}

/// The largest rectangle inside, and the smallest around, the rectified image, on the plane z = 1: x0, y0,
/// x1, y1. (`OpenCV`'s `getRectangles`: a grid of 9 x 9 pixels stands for the image.)
fn rectangles(camera: &Camera, rotation: &Matrix3<f64>, image: ImageSize) -> ([f64; 4], [f64; 4]) {
    const N: usize = 9;
    let (low, high) = (f64::NEG_INFINITY, f64::INFINITY);
    let mut inner = [low, low, high, high];
    let mut outer = [high, high, low, low];
    for (index, pixel) in grid(image, N).enumerate() {
        let [x, y] = rotate(rotation, five_step_undistort(camera, pixel));
        let (column, row) = (index % N, index / N);
        outer = [outer[0].min(x), outer[1].min(y), outer[2].max(x), outer[3].max(y)];
        if column == 0 {
            inner[0] = inner[0].max(x);
        }
        if row == 0 {
            inner[1] = inner[1].max(y);
        }
        if column == N - 1 {
            inner[2] = inner[2].min(x);
        }
        if row == N - 1 {
            inner[3] = inner[3].min(y);
        }
    }
    (inner, outer)
}

/// n x n pixels, row by row, from corner to corner.
fn grid(image: ImageSize, n: usize) -> impl Iterator<Item = [f64; 2]> {
    let step =
        move |extent: u32, index: usize| index as f64 * f64::from(extent - 1) / (n - 1) as f64;
    (0..n * n).map(move |index| [step(image.width, index % n), step(image.height, index / n)])
}

/// `undistortPoints` as it is by default: five steps of fixed-point iteration, converged or not.
fn five_step_undistort(camera: &Camera, pixel: [f64; 2]) -> [f64; 2] {
    let start = camera.intrinsics.plane(pixel);
    let Distortion::RadialTangential([k1, k2, p1, p2, k3, k4, k5, k6]) = camera.distortion else {
        return start;
    };
    let [mut x, mut y] = start;
    for _ in 0..5 {
        let s = x * x + y * y;
        let inverse_gain =
            (1.0 + s * (k4 + s * (k5 + s * k6))) / (1.0 + s * (k1 + s * (k2 + s * k3)));
        if inverse_gain < 0.0 {
            return start;
        }
        let tangential =
            [2.0 * p1 * x * y + p2 * (s + 2.0 * x * x), p1 * (s + 2.0 * y * y) + 2.0 * p2 * x * y];
        [x, y] =
            [(start[0] - tangential[0]) * inverse_gain, (start[1] - tangential[1]) * inverse_gain];
    }
    [x, y]
}

/// `fisheye::undistortPoints` as it is by default, None where it gives up. Rays further than pi/2 off the axis
/// are drawn back to pi/2 before the lens model is inverted, in at most ten Newton steps; what comes out
/// on the far side of the tangent's pole is kept.
fn fisheye_undistort(camera: &Camera, pixel: [f64; 2]) -> Option<[f64; 2]> {
    let Distortion::KannalaBrandt([k1, k2, k3, k4]) = camera.distortion else {
        return Some(plane_undistort(camera, pixel));
    };
    let [x, y] = camera.intrinsics.plane(pixel);
    let radius = x.hypot(y).min(FRAC_PI_2);
    if radius <= 1e-8 {
        return Some([0.0, 0.0]);
    }
    let mut angle = radius;
    let converged = (0..10).any(|_| {
        let s = angle * angle;
        let value = angle * (1.0 + s * (k1 + s * (k2 + s * (k3 + s * k4))));
        let slope = 1.0 + s * (3.0 * k1 + s * (5.0 * k2 + s * (7.0 * k3 + s * 9.0 * k4)));
        let step = (value - radius) / slope;
        angle -= step;
        step.abs() < 1e-8
    });
    let scale = angle.tan() / radius;
    (converged && angle >= 0.0).then_some([x * scale, y * scale])
}

/// The same for models that `OpenCV` has not: exactly, as far as a plane can show it. What lies further off the axis,
/// or beyond the lens model, is drawn back towards it, so that such a lens is cut there and the other sides still count.
fn plane_undistort(camera: &Camera, pixel: [f64; 2]) -> [f64; 2] {
    let drawn_back = |[x, y]: [f64; 2]| {
        let radius = x.hypot(y);
        [x, y].map(|c| c * (PLANE_RADIUS_MAX / radius))
    };
    match camera.unproject(pixel) {
        Ok(ray) if ray.xy().norm() <= ray.z * PLANE_RADIUS_MAX => [ray.x / ray.z, ray.y / ray.z],
        Ok(ray) => drawn_back([ray.x, ray.y]),
        Err(_) => drawn_back(camera.intrinsics.plane(pixel)),
    }
}

fn rotate(rotation: &Matrix3<f64>, [x, y]: [f64; 2]) -> [f64; 2] {
    let rotated = rotation * Vector3::new(x, y, 1.0);
    [rotated.x / rotated.z, rotated.y / rotated.z]
}

/// Rounds to single precision.
#[allow(clippy::cast_possible_truncation, reason = "rounding is the purpose")]
fn single(x: f64) -> f64 {
    f64::from(x as f32)
}

/// What `fisheye::undistortPoints` writes for a point that it cannot undistort.
const NOT_UNDISTORTED: [f64; 2] = [-1_000_000.0, -1_000_000.0];

/// tan(80 degrees): a pinhole image of more would be nearly all edge.
const PLANE_RADIUS_MAX: f64 = 5.671_281_819_617_709;
