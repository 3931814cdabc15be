//! Where to look: at most one corner for each cell of a grid, so that matches cover the image.

use super::pyramid::{Plane, Raster};
use std::ops::Range;

/// A pixel of the full-size left view.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Corner {
    pub(super) x: usize,
    pub(super) y: usize,
}

/// Finds the strongest corner of each cell: the point whose weaker gradient direction is strongest (Shi and
/// Tomasi, Good Features to Track, 1994), over 5 x 5 pixels of the half-size picture.
#[derive(Clone, Debug)]
pub(super) struct CornerFinder {
    /// Gradient products xx, xy, yy, then summed over the columns of the window.
    products: [Plane; 3],
    /// Smallest mean square gradient in the weaker direction, in squared values per half-size pixel.
    weakest: f32,
}

impl CornerFinder {
    /// For pictures of `width` x `height` at half size; gradients below `grey_step` values a pixel are noise.
    pub(super) fn new(width: usize, height: usize, grey_step: f32) -> Self {
        let plane = || Plane::new(width, height);
        Self { products: [plane(), plane(), plane()], weakest: grey_step * grey_step }
    }

    /// Writes the corners of the cells of `width` x `height` half-size pixels whose rows are `rows`.
    /// Corners keep `margin` half-size pixels from the picture's edges.
    pub(super) fn find(
        &mut self,
        half: Raster<'_>,
        rows: Range<usize>,
        [width, height]: [usize; 2],
        margin: usize,
        corners: &mut Vec<Corner>,
    ) {
        corners.clear();
        let rows = rows.start.max(margin)..rows.end.min(half.height.saturating_sub(margin));
        if rows.is_empty() || half.width <= 2 * margin {
            return;
        }
        for y in rows.start - RADIUS..rows.end + RADIUS {
            self.differentiate(half, y);
        }
        for y in (rows.start..rows.end).step_by(height) {
            for x in (margin..half.width - margin).step_by(width) {
                let columns = x..(x + width).min(half.width - margin);
                let cell = self.strongest(columns, y..(y + height).min(rows.end));
                corners.extend(cell.map(|(x, y)| Corner { x: 2 * x, y: 2 * y }));
            }
        }
    }

    fn differentiate(&mut self, half: Raster<'_>, y: usize) {
        let (above, here, below) = (half.row(y - 1), half.row(y), half.row(y + 1));
        let [xx, xy, yy] = &mut self.products;
        let (xx, xy, yy) = (xx.row_mut(y), xy.row_mut(y), yy.row_mut(y));
        let width = half.width;
        // Slices of one length, so that the loop needs no bounds checks.
        let (west, east) = (&here[..width - 2], &here[2..]);
        let (north, south) = (&above[1..width - 1], &below[1..width - 1]);
        let (xx, xy, yy) = (&mut xx[1..width - 1], &mut xy[1..width - 1], &mut yy[1..width - 1]);
        for i in 0..width - 2 {
            let gx = 0.5 * (east[i] - west[i]);
            let gy = 0.5 * (south[i] - north[i]);
            xx[i] = gx * gx;
            xy[i] = gx * gy;
            yy[i] = gy * gy;
        }
    }

    /// The strongest corner of a cell, looked for at every second pixel of every second row.
    fn strongest(&self, columns: Range<usize>, rows: Range<usize>) -> Option<(usize, usize)> {
        let mut best = (self.weakest, None);
        for y in rows.step_by(2) {
            for x in columns.clone().step_by(2) {
                let [xx, xy, yy] = [0, 1, 2].map(|product| self.window(product, x, y));
                let weaker = 0.5 * ((xx + yy) - ((xx - yy) * (xx - yy) + 4.0 * xy * xy).sqrt());
                if weaker > best.0 {
                    best = (weaker, Some((x, y)));
                }
            }
        }
        best.1
    }

    /// Mean of a gradient product over the window.
    fn window(&self, product: usize, x: usize, y: usize) -> f32 {
        let plane = self.products[product].raster();
        let sum: f32 = (y - RADIUS..=y + RADIUS)
            .map(|row| plane.row(row)[x - RADIUS..=x + RADIUS].iter().sum::<f32>())
            .sum();
        sum * (1.0 / AREA)
    }
}

const RADIUS: usize = 2;
const AREA: f32 = 25.0;
