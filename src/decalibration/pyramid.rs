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

    /// Makes `rows` of the quarter, and the rows of the half under them; the others keep what they had. The
    /// last row of a half with an odd number of rows is under none, and is made with the last of the quarter.
    pub(super) fn fill(&mut self, full: Raster<'_>, rows: Range<usize>) {
        let end = if rows.end == self.quarter.height { self.half.height } else { rows.end * 2 };
        for y in rows.start * 2..end {
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

#[cfg(test)]
mod tests {
    use super::*;

    /// Every pixel of both levels is made, at every remainder of the size.
    #[test]
    fn every_row_is_filled() {
        for height in 96..104 {
            for width in [97, 98, 99, 100] {
                let values = vec![1.0; width * height];
                let mut pyramid = Pyramid::new(width, height);
                let quarter = height / 4;
                pyramid.fill(Raster { width, height, values: &values }, 0..quarter / 2);
                pyramid.fill(Raster { width, height, values: &values }, quarter / 2..quarter);
                for plane in [&pyramid.half, &pyramid.quarter] {
                    assert!(plane.values.iter().all(|value| *value > 0.99), "{width}x{height}");
                }
            }
        }
    }
}
