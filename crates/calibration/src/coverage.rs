//! What the views of a board leave undetermined, in words for whoever holds the board.
//!
//! Distortion is only known where corners were seen, and focal lengths only from boards that were tilted (a board that is
//! parallel to the image is as well explained by another focal length and another distance: Zhang, TPAMI 2000, section 4.5).

use crate::board::Board;
use crate::bundle::Pair;
use occdepth_geometry::ImageSize;
use std::fmt;

/// What was seen so far.
#[derive(Clone, Debug)]
pub struct Coverage {
    board: Board,
    size: ImageSize,
    pairs: usize,
    /// By view: the cells in which a corner was found.
    cells: [[bool; CELLS]; 2],
    /// Pairs in which the board's left, right, upper, lower side was clearly the nearer one.
    tilts: [usize; 4],
    /// Smallest and largest extent of the board in the left image, pixels.
    extents_px: [f64; 2],
}

/// Cells of a view, across.
pub const COLUMNS: usize = 8;
/// Cells of a view, down.
pub const ROWS: usize = 6;
const CELLS: usize = COLUMNS * ROWS;

impl Coverage {
    /// Nothing seen yet.
    pub fn new(board: Board, size: ImageSize) -> Self {
        Self {
            board,
            size,
            pairs: 0,
            cells: [[false; CELLS]; 2],
            tilts: [0; 4],
            extents_px: [f64::INFINITY, 0.0],
        }
    }

    /// Adds a pair that has all corners.
    pub fn add(&mut self, pair: &Pair) {
        self.pairs += 1;
        for (cells, corners) in self.cells.iter_mut().zip([&pair.left, &pair.right]) {
            for corner in corners {
                cells[cell(self.size, corner)] = true;
            }
        }
        let [first, second, third, fourth] = outline(&self.board, &pair.left);
        let side = |a: [f64; 2], b: [f64; 2]| (a[0] - b[0]).hypot(a[1] - b[1]);
        let (top, bottom) = (side(first, second), side(third, fourth));
        let (left, right) = (side(first, third), side(second, fourth));
        for (tilts, ratio) in
            self.tilts.iter_mut().zip([left / right, right / left, top / bottom, bottom / top])
        {
            *tilts += usize::from(ratio > TILTED);
        }
        let extent = side(first, fourth).max(side(second, third));
        self.extents_px = [self.extents_px[0].min(extent), self.extents_px[1].max(extent)];
    }

    /// Pairs added.
    pub fn pairs(&self) -> usize {
        self.pairs
    }

    /// Share of the cells of a view (0 left, 1 right) in which corners were found, 0..=1.
    pub fn covered(&self, view: usize) -> f64 {
        self.cells[view].iter().filter(|&&seen| seen).count() as f64 / CELLS as f64
    }

    /// Whether a corner was found in a cell of a view (0 left, 1 right).
    pub fn seen(&self, view: usize, column: usize, row: usize) -> bool {
        self.cells[view][row * COLUMNS + column]
    }

    /// What is still wanting, most important first; empty when there is enough.
    pub fn wanting(&self) -> Vec<Wanting> {
        let mut wanting = Vec::new();
        if self.pairs < PAIRS {
            wanting.push(Wanting::Pairs { more: PAIRS - self.pairs });
        }
        for (tilts, towards) in self.tilts.into_iter().zip(["left", "right", "upper", "lower"]) {
            if tilts < TILTS {
                wanting.push(Wanting::Tilt { nearer: towards, more: TILTS - tilts });
            }
        }
        let [smallest, largest] = self.extents_px;
        if self.pairs > 0 && largest < smallest * EXTENTS {
            wanting.push(Wanting::Distances);
        }
        for (view, name) in ["left", "right"].into_iter().enumerate() {
            if self.covered(view) < COVERED {
                wanting.push(Wanting::Region { view: name, region: self.emptiest(view) });
            }
        }
        wanting
    }

    /// The ninth of a view in which the fewest cells were seen.
    fn emptiest(&self, view: usize) -> &'static str {
        const NAMES: [[&str; 3]; 3] = [
            ["upper left", "upper middle", "upper right"],
            ["middle left", "middle", "middle right"],
            ["lower left", "lower middle", "lower right"],
        ];
        let mut counts = [[[0_usize; 2]; 3]; 3];
        for row in 0..ROWS {
            for column in 0..COLUMNS {
                let [seen, all] = &mut counts[row * 3 / ROWS][column * 3 / COLUMNS];
                *seen += usize::from(self.seen(view, column, row));
                *all += 1;
            }
        }
        let share = |[seen, all]: [usize; 2]| seen as f64 / all as f64;
        (0..9)
            .map(|index| (counts[index / 3][index % 3], NAMES[index / 3][index % 3]))
            .min_by(|(a, _), (b, _)| share(*a).total_cmp(&share(*b)))
            .map(|(_, name)| name)
            .expect("there are nine")
    }
}

/// What one more pair should show.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wanting {
    /// Any.
    Pairs {
        /// How many.
        more: usize,
    },
    /// The board tilted.
    Tilt {
        /// The side of the board (as the left camera sees it) that should be clearly nearer to the cameras.
        nearer: &'static str,
        /// How many.
        more: usize,
    },
    /// The board nearer or further away than so far.
    Distances,
    /// The board where it has not been.
    Region {
        /// left or right image.
        view: &'static str,
        /// Where in it.
        region: &'static str,
    },
}

impl fmt::Display for Wanting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Pairs { more } => write!(f, "{more} more pairs"),
            Self::Tilt { nearer, more } => {
                write!(f, "{more} with the board's {nearer} side nearer to the cameras")
            }
            Self::Distances => write!(f, "the board much nearer or much further away"),
            Self::Region { view, region } => {
                write!(f, "the board in the {region} of the {view} image")
            }
        }
    }
}

/// The corners of the board as the image shows them: upper left, upper right, lower left, lower right.
fn outline(board: &Board, corners: &[[f64; 2]]) -> [[f64; 2]; 4] {
    let last_row = corners.len() - board.columns();
    let mut four =
        [corners[0], corners[board.columns() - 1], corners[last_row], corners[corners.len() - 1]];
    // The numbering may start at any of the four; in the image the upper two have the smaller rows.
    four.sort_by(|a, b| a[1].total_cmp(&b[1]));
    four[..2].sort_by(|a, b| a[0].total_cmp(&b[0]));
    four[2..].sort_by(|a, b| a[0].total_cmp(&b[0]));
    four
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "clamped")]
fn cell(size: ImageSize, [x, y]: &[f64; 2]) -> usize {
    let index = |at: f64, extent: u32, cells: usize| {
        let share = (at + 0.5) / f64::from(extent);
        (share * cells as f64).clamp(0.0, cells as f64 - 1.0) as usize
    };
    index(*y, size.height, ROWS) * COLUMNS + index(*x, size.width, COLUMNS)
}

/// Fewer leave the principal point uncertain by pixels.
const PAIRS: usize = 15;
/// Of each direction.
const TILTS: usize = 2;
/// Ratio of opposite sides in the image: a board half as high as it is far away, tilted by 12 degrees
/// ((1 + sin(12 deg) / 4) / (1 - sin(12 deg) / 4)).
const TILTED: f64 = 1.1;
/// Ratio of the largest to the smallest.
const EXTENTS: f64 = 1.3;
/// Both cameras have to see the board, so the outer columns of one view are hard to reach.
const COVERED: f64 = 0.6;
