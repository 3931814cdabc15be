//! Tiles of a volume.

use super::Band;
use super::kernel::MAX_LANES;
use super::transform::{OUTPUTS, POINTS, PRODUCTS};
use std::ops::Range;

/// A volume `[X, Y, Z]`, padded by the dilation; tiles lie along x and y, lanes along z.
///
/// Taps that are `dilation` apart connect every `dilation`-th position only, so a tile takes every
/// `dilation`-th row. `dilation` tiles side by side cover `4 dilation` rows: one row of tiles.
pub(super) struct Volume {
    extents: [usize; 3],
    dilation: usize,
    /// First y of each tile along y.
    columns: Vec<usize>,
}

impl Volume {
    pub(super) fn new(extents: [usize; 3], dilation: usize) -> Self {
        let starts = (0..extents[1]).step_by(OUTPUTS * dilation);
        let columns = starts.flat_map(|start| start..(start + dilation).min(extents[1])).collect();
        Self { extents, dilation, columns }
    }

    pub(super) fn dilation(&self) -> usize {
        self.dilation
    }

    pub(super) fn positions(&self) -> usize {
        self.extents.iter().product()
    }

    pub(super) fn tile_rows(&self) -> usize {
        self.extents[0].div_ceil(OUTPUTS * self.dilation)
    }

    pub(super) fn tile_row_len(&self) -> usize {
        OUTPUTS * self.dilation * self.extents[1] * self.extents[2]
    }

    pub(super) fn tiles_per_row(&self) -> usize {
        self.dilation * self.columns.len()
    }

    /// z, and the padding that it shares with the next tile.
    pub(super) fn tile_lanes(&self) -> usize {
        self.extents[2] + self.dilation
    }

    /// Lays out the inputs of the band's tiles `tiles` and hands them to `analyse(inputs, offsets, first
    /// lane, lanes)`.
    pub(super) fn gather(
        &self,
        plane: &[f32],
        band: &Band<'_>,
        tiles: &Range<usize>,
        inputs: &mut Vec<f32>,
        mut analyse: impl FnMut(&[f32], [usize; PRODUCTS], usize, usize),
    ) {
        let [extent_x, extent_y, extent_z] = self.extents;
        let lanes = tiles.len() * self.tile_lanes() + self.dilation;
        let stride = lanes.next_multiple_of(MAX_LANES);
        super::grow(inputs, PRODUCTS * stride);
        for row in 0..POINTS {
            for column in 0..POINTS {
                let line = &mut inputs[(row * POINTS + column) * stride..][..stride];
                line[..self.dilation].fill(0.0);
                let mut end = self.dilation;
                for tile in tiles.clone() {
                    let [x, y] = self.corner(band.tiles.start, tile);
                    // Counted from the padding.
                    let (x, y) = (x + row * self.dilation, y + column * self.dilation);
                    let values = &mut line[end..end + extent_z];
                    let inside = (self.dilation..extent_x + self.dilation).contains(&x)
                        && (self.dilation..extent_y + self.dilation).contains(&y);
                    if inside {
                        let (x, y) = (x - self.dilation, y - self.dilation);
                        let from = (x * extent_y + y) * extent_z;
                        values.copy_from_slice(&plane[from..from + extent_z]);
                    } else {
                        values.fill(0.0);
                    }
                    end += extent_z;
                    line[end..end + self.dilation].fill(0.0);
                    end += self.dilation;
                }
                line[end..].fill(0.0);
            }
        }
        analyse(inputs, std::array::from_fn(|at| at * stride), 0, lanes);
    }

    /// Writes the outputs `[16, stride]` of the band's tiles `tiles` into the band's part of a plane.
    pub(super) fn scatter(
        &self,
        outputs: &[f32],
        stride: usize,
        first_row: usize,
        tiles: &Range<usize>,
        plane: &mut [f32],
    ) {
        let [extent_x, extent_y, extent_z] = self.extents;
        let first_x = first_row * OUTPUTS * self.dilation;
        for (nth, tile) in tiles.clone().enumerate() {
            let lane = nth * self.tile_lanes();
            let [x, y] = self.corner(first_row, tile);
            for row in 0..OUTPUTS {
                let x = x + row * self.dilation;
                for column in 0..OUTPUTS {
                    let y = y + column * self.dilation;
                    if x < extent_x && y < extent_y {
                        let from = (row * OUTPUTS + column) * stride + lane;
                        let to = ((x - first_x) * extent_y + y) * extent_z;
                        plane[to..to + extent_z].copy_from_slice(&outputs[from..from + extent_z]);
                    }
                }
            }
        }
    }

    /// First x and y of a tile of a band; x may lie outside.
    fn corner(&self, first_row: usize, tile: usize) -> [usize; 2] {
        let per_row = self.tiles_per_row();
        let (row, tile) = (tile / per_row, tile % per_row);
        let (phase, column) = (tile / self.columns.len(), tile % self.columns.len());
        [(first_row + row) * OUTPUTS * self.dilation + phase, self.columns[column]]
    }
}
