//! A grid seen from above: of each column of voxels, the class of the highest that is occupied.

use super::{FREE, Palette, UNKNOWN};

/// The classes seen from above; row 0 is farthest ahead, column 0 farthest left.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct TopDown {
    /// X of the grid.
    pub(crate) rows: usize,
    /// Y of the grid.
    pub(crate) columns: usize,
    /// `rows * columns` class ids, row-major.
    pub(crate) classes: Vec<u8>,
}

impl TopDown {
    /// Looks at `labels` (u8 [X, Y, Z], z fastest; x forward, y left, z up) from above.
    ///
    /// A column without an occupied voxel is unknown where every voxel is unknown, free otherwise.
    pub(crate) fn new(labels: &[u8], dims: [u32; 3]) -> Self {
        let [x, y, z] = dims.map(|n| n as usize);
        assert_eq!(labels.len(), x * y * z, "the labels fill the grid");
        let mut classes = vec![UNKNOWN; x * y];
        for (index, column) in labels.chunks_exact(z.max(1)).enumerate() {
            let (ix, iy) = (index / y, index % y);
            let occupied = column.iter().rev().find(|&&class| class != FREE && class != UNKNOWN);
            let free = column.iter().find(|&&class| class == FREE);
            classes[(x - 1 - ix) * y + (y - 1 - iy)] = *occupied.or(free).unwrap_or(&UNKNOWN);
        }
        Self { rows: x, columns: y, classes }
    }

    /// The class that represents the cells `rows x columns` of this view when it is drawn smaller: the most
    /// frequent occupied one, or else the first cell's.
    pub(crate) fn shrunk(&self, rows: usize, columns: usize) -> Self {
        let mut classes = Vec::with_capacity(rows * columns);
        for row in 0..rows {
            let row_range = span(row, rows, self.rows);
            for column in 0..columns {
                let column_range = span(column, columns, self.columns);
                let mut counts = [0_u32; 256];
                for r in row_range.clone() {
                    for c in column_range.clone() {
                        counts[usize::from(self.classes[r * self.columns + c])] += 1;
                    }
                }
                let first = self.classes[row_range.start * self.columns + column_range.start];
                let winner = (1..UNKNOWN)
                    .filter(|&class| counts[usize::from(class)] > 0)
                    .max_by_key(|&class| (counts[usize::from(class)], std::cmp::Reverse(class)));
                classes.push(winner.unwrap_or(first));
            }
        }
        Self { rows, columns, classes }
    }

    /// RGB8, row-major, each cell a square of `scale x scale` pixels.
    pub(crate) fn rgb(&self, palette: &Palette, scale: usize) -> Vec<u8> {
        let mut pixels = Vec::with_capacity(self.classes.len() * scale * scale * 3);
        for row in self.classes.chunks_exact(self.columns) {
            let start = pixels.len();
            for &class in row {
                for _ in 0..scale {
                    pixels.extend_from_slice(&palette.colour(class));
                }
            }
            let end = pixels.len();
            for _ in 1..scale {
                pixels.extend_from_within(start..end);
            }
        }
        pixels
    }
}

/// The source cells of cell `index` of `count`, at least one.
fn span(index: usize, count: usize, source: usize) -> std::ops::Range<usize> {
    let start = index * source / count;
    start..((index + 1) * source / count).max(start + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A 3x2x2 grid with a car high at the far left, road under a tree at the near right.
    #[test]
    fn the_highest_occupied_voxel_wins_and_far_left_is_first() {
        let mut labels = vec![0_u8; 12];
        let at = |ix: usize, iy: usize, iz: usize| (ix * 2 + iy) * 2 + iz;
        labels[at(2, 1, 1)] = 1;
        labels[at(0, 0, 0)] = 9;
        labels[at(0, 0, 1)] = 15;
        labels[at(1, 0, 0)] = UNKNOWN;
        labels[at(1, 0, 1)] = UNKNOWN;
        let view = TopDown::new(&labels, [3, 2, 2]);
        assert_eq!((view.rows, view.columns), (3, 2));
        assert_eq!(view.classes, [1, 0, 0, UNKNOWN, 0, 15]);
    }

    #[test]
    fn shrinking_keeps_small_obstacles() {
        let mut classes = vec![0_u8; 16];
        classes[5] = 18;
        let view = TopDown { rows: 4, columns: 4, classes };
        assert_eq!(view.shrunk(2, 2).classes, [18, 0, 0, 0]);
    }

    #[test]
    fn pixels_follow_the_palette() {
        let palette = Palette::new([(0, "empty", [0, 0, 0]), (1, "car", [1, 2, 3])].into_iter());
        let view = TopDown { rows: 1, columns: 2, classes: vec![1, 0] };
        let free = palette.colour(0);
        let row: Vec<u8> = [[1, 2, 3], [1, 2, 3], free, free].concat();
        assert_eq!(view.rgb(&palette, 2), [row.clone(), row].concat());
    }
}
