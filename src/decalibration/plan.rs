//! How an image is divided into turns, so that no frame costs more than its share.
//!
//! A turn's work is: shrinking and differentiating its rows, searching its corners (at so many places each), and
//! aligning those that are found. Each of the three is bounded, whatever the size of the image; a larger image
//! takes more turns.

/// The division of one image, half-size pixels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Plan {
    /// Width and height of a cell, each of which gives one corner at most.
    pub(super) cell: [usize; 2],
    /// Rows of a band: the corners of one turn.
    pub(super) band: usize,
    /// Bands of the image.
    pub(super) bands: usize,
    /// Cells of the image.
    pub(super) cells: usize,
}

impl Plan {
    /// For pictures of `width` x `height` half-size pixels, whose corners may be at `places` places each.
    pub(super) fn new(width: usize, height: usize, places: usize) -> Self {
        let corners = (PLACES_PER_TURN / places).clamp(FEWEST_CORNERS, CORNERS_PER_TURN);
        let rows = (PIXELS_PER_TURN / width).max(LEAST_ROWS);
        let area = width * height;
        let side = (area / CELLS)
            .isqrt()
            .clamp(SMALLEST_CELL, LARGEST_CELL)
            .max((area / MOST_CELLS).isqrt())
            .max(width.div_ceil(corners));
        let (cell, band) = if side <= rows {
            let cell_rows = (corners / width.div_ceil(side)).min(rows / side).max(1);
            ([side, side], side * cell_rows)
        } else {
            // So wide that one row of square cells is too much for a turn: low and wide ones.
            let across = (MOST_CELLS / height.div_ceil(rows)).clamp(1, corners);
            ([width.div_ceil(across), rows], rows)
        };
        Self {
            cell,
            band,
            bands: height.div_ceil(band),
            cells: width.div_ceil(cell[0]) * height.div_ceil(cell[1]),
        }
    }
}

/// Smallest side of the network's image, pixels: below, four surveys do not have the corners for one fit.
pub(super) const SMALLEST_PX: u32 = 96;
/// Cells that a small image is divided into; a larger one has more, up to [`MOST_CELLS`].
const CELLS: usize = 300;
/// Rows and columns of cells that the image's edges cut come on top.
const MOST_CELLS: usize = 420;
/// Side of a cell, half-size pixels.
const SMALLEST_CELL: usize = 5;
const LARGEST_CELL: usize = 16;
/// Corners that one turn may look for: a little more than half of the budget of 2 ms on one core of a server.
const CORNERS_PER_TURN: usize = 80;
const FEWEST_CORNERS: usize = 8;
/// Places at quarter size that one turn may compare: 80 corners at KITTI's size.
const PLACES_PER_TURN: usize = 56_000;
/// Half-size pixels that one turn may look for corners in: 49 rows at KITTI's size.
const PIXELS_PER_TURN: usize = 30_000;
const LEAST_ROWS: usize = 8;

#[cfg(test)]
mod tests {
    use super::*;

    /// At every size that a network may have, from the smallest to four times KITTI's width.
    #[test]
    fn no_turn_exceeds_its_share() {
        for width in (48..2500).step_by(7) {
            for height in (48..1300).step_by(11) {
                let places = 9 * (2 * (width / 16).max(24) + 1);
                let plan = Plan::new(width, height, places);
                let Plan { cell: [cell_width, cell_height], band, bands, cells } = plan;
                let across = width.div_ceil(cell_width);
                let corners = across * band.div_ceil(cell_height);
                let case = format!("{width}x{height}: {plan:?}, {corners} corners");
                assert!(corners <= CORNERS_PER_TURN, "{case}");
                assert!(corners * places <= PLACES_PER_TURN, "{case}");
                assert!(band * width <= PIXELS_PER_TURN.max(LEAST_ROWS * width), "{case}");
                assert!(bands * band >= height && (bands - 1) * band < height, "{case}");
                assert!((60..=MOST_CELLS * 4 / 3).contains(&cells), "{case}");
            }
        }
    }

    #[test]
    fn the_sizes_of_networks_are_divided_as_measured() {
        let kitti = Plan::new(610, 185, 693);
        assert_eq!((kitti.cell, kitti.band, kitti.bands), ([16; 2], 32, 6));
        let street = Plan::new(320, 96, 441);
        assert_eq!((street.cell, street.band, street.bands), ([10; 2], 20, 5));
    }
}
