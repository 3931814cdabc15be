//! Finding a corner of the left view in the right one: everywhere it may be at quarter size, then nearer
//! at half size. `align` does the rest.

use super::pyramid::{Plane, Raster};
use std::ops::Range;

/// Where a corner was found, in pixels of the picture that was searched: right minus left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Shift {
    pub(super) x: isize,
    pub(super) y: isize,
}

/// How far around a corner's own place it is searched, quarter-size pixels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Reach {
    /// Up and down.
    pub(super) rows: usize,
    /// To the left: where near points are.
    pub(super) left: usize,
    /// To the right: beyond infinity.
    pub(super) right: usize,
}

impl Reach {
    /// How many places that are.
    pub(super) fn places(&self) -> usize {
        (self.left + 1 + self.right) * (2 * self.rows + 1)
    }
}

/// Why a corner was not found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Miss {
    /// It, or where it should be, is too close to the edge of what is looked at, or too faint to tell.
    Faint,
    /// It could be in several places.
    Ambiguous,
    /// Both views show something there, but not the same.
    Absent,
}

/// The search at quarter size, by zero-mean normalised cross-correlation of 7 x 7 pixels.
#[derive(Clone, Debug)]
pub(super) struct CoarseSearch {
    /// Sums along rows of the right view's values and squares.
    row_sums: [Plane; 2],
    /// One over the norm of the zero-mean patch around each pixel of the right view; 0 where it is flat.
    inverse_norm: Plane,
    /// Norm of a zero-mean patch that certainly is no noise.
    telling: f32,
    /// Correlation of each candidate, row of candidates after row.
    scores: Vec<f32>,
}

impl CoarseSearch {
    /// For pictures of `width` x `height` and at most `places` places a corner. A contrast (root mean square over
    /// a patch) from `telling` values on is no noise.
    pub(super) fn new(width: usize, height: usize, places: usize, telling: f32) -> Self {
        let plane = || Plane::new(width, height);
        Self {
            row_sums: [plane(), plane()],
            inverse_norm: plane(),
            telling: telling * AREA.sqrt(),
            scores: vec![0.0; places],
        }
    }

    /// Takes the right view; only `rows` of it are looked at.
    pub(super) fn prepare(&mut self, right: Raster<'_>, rows: Range<usize>, flat: f32) {
        let width = right.width;
        let inner = width - 2 * RADIUS;
        let [sums, squares] = &mut self.row_sums;
        for y in rows.clone() {
            let values = right.row(y);
            let sums = &mut sums.row_mut(y)[RADIUS..width - RADIUS];
            let squares = &mut squares.row_mut(y)[RADIUS..width - RADIUS];
            sums.fill(0.0);
            squares.fill(0.0);
            for shifted in values.windows(inner) {
                for ((sum, square), value) in sums.iter_mut().zip(&mut *squares).zip(shifted) {
                    *sum += value;
                    *square += value * value;
                }
            }
        }
        let (sums, squares) = (sums.raster(), squares.raster());
        for y in rows.start + RADIUS..rows.end.saturating_sub(RADIUS) {
            let inverse = self.inverse_norm.row_mut(y).iter_mut().enumerate();
            for (x, inverse) in inverse.take(width - RADIUS).skip(RADIUS) {
                let (mut sum, mut square) = (0.0, 0.0);
                for row in y - RADIUS..=y + RADIUS {
                    sum += sums.values[row * width + x];
                    square += squares.values[row * width + x];
                }
                let energy = square - sum * sum * (1.0 / AREA);
                *inverse = if energy > flat * flat * AREA { energy.sqrt().recip() } else { 0.0 };
            }
        }
    }

    /// The one place within `reach`, and rows `rows`, that looks like the left view's patch at (x, y).
    pub(super) fn find(
        &mut self,
        [left, right]: [Raster<'_>; 2],
        [x, y]: [usize; 2],
        reach: Reach,
        rows: &Range<usize>,
    ) -> Result<Shift, Miss> {
        let inside = x >= RADIUS && x + RADIUS < left.width;
        if !inside || y < rows.start + RADIUS || y + RADIUS >= rows.end {
            return Err(Miss::Faint);
        }
        let (patch, norm) = Patch::new(left, x, y).ok_or(Miss::Faint)?;
        let first = x.saturating_sub(reach.left).max(RADIUS);
        let last = (x + reach.right).min(right.width - 1 - RADIUS);
        let count = last - first + 1;
        let top = y.saturating_sub(reach.rows).max(rows.start + RADIUS);
        let bottom = (y + reach.rows).min(rows.end - 1 - RADIUS);
        let scores = &mut self.scores[..count * (bottom - top + 1)];
        let inverse = self.inverse_norm.raster();
        for (row, scores) in (top..=bottom).zip(scores.chunks_exact_mut(count)) {
            patch.correlate(right, row, first, scores);
            for (score, inverse) in scores.iter_mut().zip(&inverse.row(row)[first..=last]) {
                *score *= inverse;
            }
        }
        let (column, row, score) = strongest(scores, count, |_, _| true);
        if score < COARSE_CORRELATION {
            let here = inverse.row(y)[x];
            let telling = norm >= self.telling && here > 0.0 && here * self.telling <= 1.0;
            return Err(if telling { Miss::Absent } else { Miss::Faint });
        }
        let elsewhere =
            |c: usize, r: usize| c.abs_diff(column) > NEIGHBOUR || r.abs_diff(row) > NEIGHBOUR;
        let (_, _, second) = strongest(scores, count, elsewhere);
        // One minus the correlation is the squared distance between the normalised patches, halved.
        if (1.0 - score).max(SAME) > DISTINCT * (1.0 - second) {
            return Err(Miss::Ambiguous);
        }
        Ok(Shift {
            x: (first + column).cast_signed() - x.cast_signed(),
            y: (top + row).cast_signed() - y.cast_signed(),
        })
    }
}

/// The left view's patch, zero-mean and of norm 1.
struct Patch([[f32; SIDE]; SIDE]);

impl Patch {
    /// The patch around (x, y), and the norm that it had.
    fn new(left: Raster<'_>, x: usize, y: usize) -> Option<(Self, f32)> {
        let mut patch = [[0.0; SIDE]; SIDE];
        for (i, row) in patch.iter_mut().enumerate() {
            row.copy_from_slice(&left.row(y + i - RADIUS)[x - RADIUS..=x + RADIUS]);
        }
        let mean = patch.iter().flatten().sum::<f32>() / AREA;
        patch.iter_mut().flatten().for_each(|value| *value -= mean);
        let norm = patch.iter().flatten().map(|value| value * value).sum::<f32>().sqrt();
        if norm <= f32::EPSILON {
            return None;
        }
        patch.iter_mut().flatten().for_each(|value| *value /= norm);
        Some((Self(patch), norm))
    }

    /// Correlates with `scores.len()` neighbouring patches; the first is centred on column `first`.
    fn correlate(&self, right: Raster<'_>, row: usize, first: usize, scores: &mut [f32]) {
        scores.fill(0.0);
        let count = scores.len();
        for (i, weights) in self.0.iter().enumerate() {
            let values = &right.row(row + i - RADIUS)[first - RADIUS..][..count + 2 * RADIUS];
            let [v0, v1, v2, v3, v4, v5, v6] =
                std::array::from_fn(|column| &values[column..][..count]);
            for (k, score) in scores.iter_mut().enumerate() {
                *score += weights[0] * v0[k]
                    + weights[1] * v1[k]
                    + weights[2] * v2[k]
                    + weights[3] * v3[k]
                    + weights[4] * v4[k]
                    + weights[5] * v5[k]
                    + weights[6] * v6[k];
            }
        }
    }
}

/// Column, row and value of the highest score among those that `counts` accepts.
fn strongest(
    scores: &[f32],
    columns: usize,
    counts: impl Fn(usize, usize) -> bool,
) -> (usize, usize, f32) {
    let mut best = (0, 0, -1.0);
    for (row, scores) in scores.chunks_exact(columns).enumerate() {
        for (column, &score) in scores.iter().enumerate() {
            if score > best.2 && counts(column, row) {
                best = (column, row, score);
            }
        }
    }
    best
}

/// Improves `near` within [`NEARER`] pixels each way, by the correlation of 9 x 9 pixels.
pub(super) fn refine(
    [left, right]: [Raster<'_>; 2],
    [x, y]: [usize; 2],
    near: Shift,
) -> Option<Shift> {
    let margin = FINE_RADIUS;
    let inside = |raster: Raster<'_>, x: usize, y: usize| {
        x >= margin && y >= margin && x + margin < raster.width && y + margin < raster.height
    };
    if !inside(left, x, y) {
        return None;
    }
    let mut best: Option<(f32, Shift)> = None;
    for dy in -NEARER..=NEARER {
        for dx in -NEARER..=NEARER {
            let shift = Shift { x: near.x + dx, y: near.y + dy };
            let Some((rx, ry)) = x.checked_add_signed(shift.x).zip(y.checked_add_signed(shift.y))
            else {
                continue;
            };
            if !inside(right, rx, ry) {
                continue;
            }
            let score = correlation(left, [x, y], right, [rx, ry]);
            if best.is_none_or(|(highest, _)| score > highest) {
                best = Some((score, shift));
            }
        }
    }
    best.filter(|(score, _)| *score >= FINE_CORRELATION).map(|(_, shift)| shift)
}

/// Zero-mean normalised cross-correlation of two patches; 0 where one is flat.
fn correlation(
    left: Raster<'_>,
    [lx, ly]: [usize; 2],
    right: Raster<'_>,
    [rx, ry]: [usize; 2],
) -> f32 {
    const SIDE: usize = 2 * FINE_RADIUS + 1;
    let (mut a, mut b, mut aa, mut bb, mut ab) = (0.0, 0.0, 0.0, 0.0, 0.0);
    for row in 0..SIDE {
        let l = &left.row(ly + row - FINE_RADIUS)[lx - FINE_RADIUS..][..SIDE];
        let r = &right.row(ry + row - FINE_RADIUS)[rx - FINE_RADIUS..][..SIDE];
        for (&l, &r) in l.iter().zip(r) {
            a += l;
            b += r;
            aa += l * l;
            bb += r * r;
            ab += l * r;
        }
    }
    let n = (SIDE * SIDE) as f32;
    let energy = (aa - a * a / n) * (bb - b * b / n);
    if energy > f32::EPSILON { (ab - a * b / n) / energy.sqrt() } else { 0.0 }
}

const RADIUS: usize = 3;
const SIDE: usize = 2 * RADIUS + 1;
const AREA: f32 = (SIDE * SIDE) as f32;
/// Chance alone brings 49 values of noise to about 0.55 at best in the thousand places that are looked at.
const COARSE_CORRELATION: f32 = 0.8;
/// Peaks closer than this are one peak.
const NEIGHBOUR: usize = 2;
/// How much nearer than the second-best place the best must be, in squared distance.
const DISTINCT: f32 = 0.7;
/// One minus the correlation of two looks at the same thing, at least: two perfect places are two, not one.
const SAME: f32 = 0.01;
const FINE_RADIUS: usize = 4;
const FINE_CORRELATION: f32 = 0.7;
/// The quarter-size search is good to a pixel, which is two here.
const NEARER: isize = 2;
