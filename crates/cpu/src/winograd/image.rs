//! Tiles of an image.

use super::Band;
use super::kernel::{Join, MAX_LANES, Split};
use super::transform::{OUTPUTS, POINTS, PRODUCTS};
use rten_simd::SimdOp;
use std::ops::Range;

/// An image `[Y, X]`, padded by one pixel; a lane is a tile, and tiles go along x first.
pub(super) struct Image {
    height: usize,
    width: usize,
}

impl Image {
    pub(super) fn new([height, width]: [usize; 2]) -> Self {
        Self { height, width }
    }

    pub(super) fn positions(&self) -> usize {
        self.height * self.width
    }

    pub(super) fn tile_rows(&self) -> usize {
        self.height.div_ceil(OUTPUTS)
    }

    pub(super) fn tile_row_len(&self) -> usize {
        OUTPUTS * self.width
    }

    pub(super) fn tiles_per_row(&self) -> usize {
        self.width.div_ceil(OUTPUTS)
    }

    /// Lays out the inputs of the band's tiles `tiles` and hands them to `analyse(inputs, offsets, first
    /// lane, lanes)`, row by row of tiles.
    pub(super) fn gather(
        &self,
        plane: &[f32],
        band: &Band<'_>,
        tiles: &Range<usize>,
        inputs: &mut Vec<f32>,
        mut analyse: impl FnMut(&[f32], [usize; PRODUCTS], usize, usize),
    ) {
        for run in self.runs(tiles) {
            // Column 4 t + j of the six is phase j % 4 of tile t + j / 4.
            let count = run.columns.len() + 1;
            let stride = count.next_multiple_of(MAX_LANES) + 1;
            let line_len = OUTPUTS * count;
            super::grow(inputs, POINTS * OUTPUTS * stride + line_len);
            let (phases, line) = inputs.split_at_mut(POINTS * OUTPUTS * stride);
            let line = &mut line[..line_len];
            for row in 0..POINTS {
                let phases = &mut phases[row * OUTPUTS * stride..][..OUTPUTS * stride];
                let y = OUTPUTS * (band.tiles.start + run.row) + row;
                if !(1..=self.height).contains(&y) {
                    phases.fill(0.0);
                    continue;
                }
                let source = &plane[(y - 1) * self.width..][..self.width];
                // The line starts a pixel before the first tile.
                let first = OUTPUTS * run.columns.start;
                let before = usize::from(first == 0);
                let start = first + before - 1;
                let inside = (self.width - start).min(line_len - before);
                line[..before].fill(0.0);
                line[before..before + inside].copy_from_slice(&source[start..start + inside]);
                line[before + inside..].fill(0.0);
                Split { line, phases, stride }.dispatch();
            }
            let offsets = std::array::from_fn(|at| {
                let (row, column) = (at / POINTS, at % POINTS);
                (row * OUTPUTS + column % OUTPUTS) * stride + column / OUTPUTS
            });
            analyse(phases, offsets, run.lane, run.columns.len());
        }
    }

    /// Writes the outputs `[16, stride]` of the band's tiles `tiles` into the band's rows of a plane.
    pub(super) fn scatter(
        &self,
        outputs: &[f32],
        stride: usize,
        _: usize,
        tiles: &Range<usize>,
        plane: &mut [f32],
    ) {
        for run in self.runs(tiles) {
            let rows = plane.chunks_mut(self.width).skip(OUTPUTS * run.row).take(OUTPUTS);
            for (row, line) in rows.enumerate() {
                let end = (OUTPUTS * run.columns.end).min(self.width);
                let line = &mut line[OUTPUTS * run.columns.start..end];
                let phases = &outputs[row * OUTPUTS * stride + run.lane..];
                Join { phases, stride, line }.dispatch();
            }
        }
    }

    /// The rows of tiles that a range of a band's tiles consists of.
    fn runs(&self, tiles: &Range<usize>) -> impl Iterator<Item = Run> + use<> {
        let per_row = self.tiles_per_row();
        let Range { start, end } = *tiles;
        (start / per_row..end.div_ceil(per_row)).map(move |row| {
            let first = start.max(row * per_row);
            let last = end.min((row + 1) * per_row);
            Run { row, columns: first - row * per_row..last - row * per_row, lane: first - start }
        })
    }
}

/// Consecutive tiles of one row.
struct Run {
    /// Row of tiles in the band.
    row: usize,
    /// Tiles of that row.
    columns: Range<usize>,
    /// Lane of the first.
    lane: usize,
}
