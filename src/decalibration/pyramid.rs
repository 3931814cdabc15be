//! One grey view at full, half and quarter size, of which only the rows in use are kept up to date.

use std::ops::Range;

/// A grey picture, row-major.
#[derive(Clone, Copy, Debug)]
pub(super) struct Raster<'a> {
    pub(super) width: usize,
    pub(super) height: usize,
    pub(super) values: &'a [f32],
}

impl<'a> Raster<'a> {
    pub(super) fn row(&self, y: usize) -> &'a [f32] {
        &self.values[y * self.width..][..self.width]
    }
}

/// A picture of our own.
#[derive(Clone, Debug)]
pub(super) struct Plane {
    pub(super) width: usize,
    pub(super) height: usize,
    pub(super) values: Vec<f32>,
}

impl Plane {
    pub(super) fn new(width: usize, height: usize) -> Self {
        Self { width, height, values: vec![0.0; width * height] }
    }

    pub(super) fn raster(&self) -> Raster<'_> {
        Raster { width: self.width, height: self.height, values: &self.values }
    }

    pub(super) fn row_mut(&mut self, y: usize) -> &mut [f32] {
        &mut self.values[y * self.width..][..self.width]
    }
}

/// The half and the quarter of a picture. A pixel is the mean of the four under it.
#[derive(Clone, Debug)]
pub(super) struct Pyramid {
    pub(super) half: Plane,
    pub(super) quarter: Plane,
}

impl Pyramid {
    pub(super) fn new(width: usize, height: usize) -> Self {
        Self { half: Plane::new(width / 2, height / 2), quarter: Plane::new(width / 4, height / 4) }
    }

    /// Makes `rows` of the quarter, and the rows of the half under them; the others keep what they had.
    pub(super) fn fill(&mut self, full: Raster<'_>, rows: Range<usize>) {
        for y in rows.start * 2..rows.end * 2 {
            halve(full.row(2 * y), full.row(2 * y + 1), self.half.row_mut(y));
        }
        let half = self.half.raster();
        for y in rows {
            halve(half.row(2 * y), half.row(2 * y + 1), self.quarter.row_mut(y));
        }
    }
}

fn halve(upper: &[f32], lower: &[f32], into: &mut [f32]) {
    for ((out, a), b) in into.iter_mut().zip(upper.chunks_exact(2)).zip(lower.chunks_exact(2)) {
        *out = 0.25 * ((a[0] + a[1]) + (b[0] + b[1]));
    }
}
