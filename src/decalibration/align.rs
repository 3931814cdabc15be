//! The last step of a match: to a small fraction of a pixel, at full size.
//!
//! Gauss-Newton on the difference of two patches (Lucas and Kanade 1981; Baker and Matthews 2004, inverse
//! form: the derivatives are those of the left patch and are computed once). The right patch may be
//! shifted in x and y, and its columns may slide against each other: on a surface that is not square to
//! the camera, disparity changes across the patch (on a road by a third of a pixel per row, for a baseline
//! a third of the camera's height). Without those two slopes the change would leak into dy. Brightness and
//! contrast of the patches are taken out.

use super::pyramid::Raster;
use super::search::Shift;
use nalgebra::{Matrix4, Vector4};

/// Where the point is in the right view, pixels: right minus left.
#[derive(Clone, Copy, Debug)]
pub(super) struct Alignment {
    pub(super) dx: f64,
    pub(super) dy: f64,
}

/// Aligns the patch around the left view's (x, y), starting from `start`; None where it does not converge
/// near there, or to something that does not look alike.
pub(super) fn align(
    [left, right]: [Raster<'_>; 2],
    [x, y]: [usize; 2],
    start: Shift,
) -> Option<Alignment> {
    let template = Template::new(left, x, y)?;
    // Shift in x and y, and the change of the shift in x over a radius, down and across.
    let mut p = Vector4::new(start.x as f32, start.y as f32, 0.0, 0.0);
    let mut sampled = [0.0; AREA];
    for _ in 0..STEPS {
        sample(right, [x as f32, y as f32], &p, &mut sampled)?;
        let (error, correlation) = template.compare(&mut sampled)?;
        let step = template.inverse_hessian * error;
        p -= step;
        let drift = (p.x - start.x as f32).abs().max((p.y - start.y as f32).abs());
        let slope = p.z.abs().max(p.w.abs());
        if !(drift <= DRIFT_PX && slope <= SLOPE_PX) {
            return None;
        }
        if step.x.abs().max(step.y.abs()) < CONVERGED_PX {
            return (correlation >= CORRELATION)
                .then(|| Alignment { dx: f64::from(p.x), dy: f64::from(p.y) });
        }
    }
    None
}

/// The left patch, zero-mean, with what a small move does to it.
struct Template {
    values: [f32; AREA],
    norm: f32,
    /// Change of each value with each parameter.
    descent: [[f32; AREA]; 4],
    inverse_hessian: Matrix4<f32>,
}

impl Template {
    fn new(left: Raster<'_>, x: usize, y: usize) -> Option<Self> {
        let margin = RADIUS + 1;
        if x < margin || y < margin || x + margin >= left.width || y + margin >= left.height {
            return None;
        }
        let mut values = [0.0; AREA];
        let mut descent = [[0.0; AREA]; 4];
        for i in 0..SIDE {
            let row = y + i - RADIUS;
            let (above, here, below) = (left.row(row - 1), left.row(row), left.row(row + 1));
            for j in 0..SIDE {
                let (column, at) = (x + j - RADIUS, i * SIDE + j);
                values[at] = here[column];
                let gx = 0.5 * (here[column + 1] - here[column - 1]);
                let gy = 0.5 * (below[column] - above[column]);
                let [across, down] = [j, i].map(|index| OFFSETS[index]);
                for (image, value) in descent.iter_mut().zip([gx, gy, gx * down, gx * across]) {
                    image[at] = value;
                }
            }
        }
        let norm = centre(&mut values);
        for image in &mut descent {
            // Brightness is free: what looks like a change of it says nothing.
            centre(image);
        }
        let hessian = Matrix4::from_fn(|a, b| dot(&descent[a], &descent[b]));
        let inverse_hessian = hessian.cholesky()?.inverse();
        (norm > 0.0).then_some(Self { values, norm, descent, inverse_hessian })
    }

    /// How `sampled` differs along each parameter, and its correlation with this patch.
    fn compare(&self, sampled: &mut [f32; AREA]) -> Option<(Vector4<f32>, f32)> {
        let norm = centre(sampled);
        if norm <= f32::EPSILON {
            return None;
        }
        let correlation = dot(sampled, &self.values) / (norm * self.norm);
        let gain = self.norm / norm;
        for (value, expected) in sampled.iter_mut().zip(&self.values) {
            *value = gain * *value - expected;
        }
        Some((Vector4::from_fn(|i, _| dot(sampled, &self.descent[i])), correlation))
    }
}

/// Bilinear samples of the right view; None where they would leave it.
#[allow(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "positions are tested to lie inside the picture before they become indices"
)]
fn sample(
    right: Raster<'_>,
    [x, y]: [f32; 2],
    p: &Vector4<f32>,
    into: &mut [f32; AREA],
) -> Option<()> {
    let reach = RADIUS as f32 + p.z.abs() + p.w.abs();
    let [cx, cy] = [x + p.x, y + p.y];
    let inside = cx - reach >= 0.0
        && cx + reach < (right.width - 1) as f32
        && cy - RADIUS as f32 >= 0.0
        && cy + (RADIUS as f32) < (right.height - 1) as f32;
    if !inside {
        return None;
    }
    // The sums below round differently from those above, by a unit in the last place: a column or a row that
    // should be just inside can come out as the last one, which has no next.
    let [last_left, last_top] = [right.width - 2, right.height - 2];
    for i in 0..SIDE {
        let row = cy + i as f32 - RADIUS as f32;
        let top = (row as usize).min(last_top);
        let fy = row - top as f32;
        let (upper, lower) = (right.row(top), right.row(top + 1));
        let start = cx - RADIUS as f32 + p.z * OFFSETS[i];
        for j in 0..SIDE {
            let column = start + j as f32 + p.w * OFFSETS[j];
            let left = (column as usize).min(last_left);
            let fx = column - left as f32;
            let above = upper[left] + fx * (upper[left + 1] - upper[left]);
            let below = lower[left] + fx * (lower[left + 1] - lower[left]);
            into[i * SIDE + j] = above + fy * (below - above);
        }
    }
    Some(())
}

/// Takes the mean out and returns the norm of the rest.
fn centre(values: &mut [f32; AREA]) -> f32 {
    let mean = values.iter().sum::<f32>() / AREA as f32;
    for value in values.iter_mut() {
        *value -= mean;
    }
    dot(values, values).sqrt()
}

/// In eight partial sums, which the compiler keeps in vector registers.
fn dot(a: &[f32; AREA], b: &[f32; AREA]) -> f32 {
    let mut sums = [0.0; 8];
    let (a, a_rest) = a.as_chunks::<8>();
    let (b, b_rest) = b.as_chunks::<8>();
    for (a, b) in a.iter().zip(b) {
        for lane in 0..8 {
            sums[lane] += a[lane] * b[lane];
        }
    }
    let rest: f32 = a_rest.iter().zip(b_rest).map(|(a, b)| a * b).sum();
    sums.iter().sum::<f32>() + rest
}

const RADIUS: usize = 6;
const SIDE: usize = 2 * RADIUS + 1;
const AREA: usize = SIDE * SIDE;
/// Distance from the middle in radii.
const OFFSETS: [f32; SIDE] = {
    let mut offsets = [0.0; SIDE];
    let mut i = 0;
    while i < SIDE {
        offsets[i] = (i as f32 - RADIUS as f32) / RADIUS as f32;
        i += 1;
    }
    offsets
};
const STEPS: usize = 12;
const CONVERGED_PX: f32 = 0.01;
/// The half-size search is good to a pixel, which is two here.
const DRIFT_PX: f32 = 3.0;
/// Half a pixel of disparity per pixel: a surface seen at a grazing angle.
const SLOPE_PX: f32 = 3.5;
/// Of correct matches in real pictures nearly all are above, of chance ones nearly all below.
const CORRELATION: f32 = 0.9;

#[cfg(test)]
mod tests {
    use super::*;

    fn sampled(width: usize, height: usize, at: [f32; 2], p: [f32; 4]) -> Option<[f32; AREA]> {
        // The column number: what a sample should be is known.
        let values: Vec<_> = (0..width * height).map(|i| (i % width) as f32).collect();
        let mut into = [0.0; AREA];
        let right = Raster { width, height, values: &values };
        sample(right, at, &Vector4::from(p), &mut into).map(|()| into)
    }

    /// Places that are inside by one order of additions and at the edge by another.
    #[test]
    fn a_patch_at_the_last_column_is_sampled_inside() {
        let (cx, z, w) = (1_212.415_4, -0.400_454_58, 0.184_063_93);
        let into = sampled(1220, 40, [cx, 20.0], [0.0, 0.0, z, w]).expect("inside");
        assert!((into[SIDE - 1] - (cx + 6.0 - z + w)).abs() < 1e-3, "{}", into[SIDE - 1]);
        for (height, cy) in [(511, 503.999_97), (510, 502.999_97), (512, 504.999_97)] {
            let into = sampled(64, height, [32.0, cy], [0.0; 4]).expect("inside");
            assert!(into.iter().all(|value| value.is_finite()), "{height}");
        }
    }

    /// A sweep over the edge in steps of single precision: no place may panic, and none may be beyond the picture.
    #[test]
    fn no_place_near_the_edge_is_out_of_bounds() {
        let mut accepted = 0;
        for width in [640, 1220, 1226, 1280_usize] {
            for slope in 0..400 {
                let [z, w] = [-0.4 - slope as f32 * 1.7e-3, 0.18 + slope as f32 * 2.3e-3];
                let mut cx = (width - 1 - RADIUS) as f32 - z.abs() - w.abs();
                (0..3).for_each(|_| cx = cx.next_up());
                for _ in 0..8 {
                    if let Some(into) = sampled(width, 20, [cx, 10.0], [0.0, 0.0, z, w]) {
                        accepted += 1;
                        let edge = (width - 1) as f32 + 1e-2;
                        assert!(into.iter().all(|value| (0.0..=edge).contains(value)));
                    }
                    cx = cx.next_down();
                }
            }
        }
        assert!(accepted > 1000, "{accepted}");
    }

    #[test]
    fn places_that_are_no_numbers_are_refused() {
        for bad in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
            assert_eq!(sampled(64, 64, [bad, 32.0], [0.0; 4]), None);
            assert_eq!(sampled(64, 64, [32.0, 32.0], [0.0, bad, 0.0, 0.0]), None);
            assert_eq!(sampled(64, 64, [32.0, 32.0], [0.0, 0.0, bad, 0.0]), None);
        }
    }
}
