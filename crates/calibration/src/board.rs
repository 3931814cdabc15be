//! The chessboard that is shown to the cameras.

use nalgebra::Vector3;

/// A chessboard: how many inner corners it has, and how large its squares are.
///
/// Inner corners are the points where four squares meet: a board of 10 x 7 squares has 9 x 6.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Board {
    columns: usize,
    rows: usize,
    square_m: f64,
}

impl Board {
    /// A board of `columns` x `rows` inner corners, a square's side being `square_m` metres.
    ///
    /// # Errors
    /// [`BoardError`]: fewer than 3 corners or more than 64 along a side, a square that has no size or more than 1 m.
    pub fn new(columns: usize, rows: usize, square_m: f64) -> Result<Self, BoardError> {
        for (field, found) in [("columns", columns), ("rows", rows)] {
            if !(SIDE_MIN..=SIDE_MAX).contains(&found) {
                return Err(BoardError::Corners { field, found });
            }
        }
        if !(SQUARE_MIN_M..=SQUARE_MAX_M).contains(&square_m) {
            return Err(BoardError::Square { found: square_m });
        }
        Ok(Self { columns, rows, square_m })
    }

    /// Inner corners along the first side.
    pub fn columns(&self) -> usize {
        self.columns
    }

    /// Inner corners along the second side.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// Side of a square, metres.
    pub fn square_m(&self) -> f64 {
        self.square_m
    }

    /// Inner corners in all.
    pub fn corners(&self) -> usize {
        self.columns * self.rows
    }

    /// The corners in the board's frame, metres, row by row: x along a row, y from row to row, z = 0 (away from whoever
    /// looks at the board).
    pub fn points(&self) -> Vec<Vector3<f64>> {
        (0..self.rows)
            .flat_map(|row| (0..self.columns).map(move |column| [column, row]))
            .map(|[x, y]| Vector3::new(x as f64, y as f64, 0.0) * self.square_m)
            .collect()
    }
}

/// Why there is no such board.
#[derive(Clone, Copy, Debug, PartialEq, thiserror::Error)]
pub enum BoardError {
    /// Too small to say anything, or larger than a camera resolves.
    #[error("board: {field}: found {found} inner corners, expected {SIDE_MIN} to {SIDE_MAX}")]
    Corners {
        /// columns or rows.
        field: &'static str,
        /// What was given.
        found: usize,
    },
    /// No size that a square can have.
    #[error(
        "board: square: found {found} m, expected the side of one square, {SQUARE_MIN_M} to {SQUARE_MAX_M} m"
    )]
    Square {
        /// Metres.
        found: f64,
    },
}

const SIDE_MIN: usize = 3;
const SIDE_MAX: usize = 64;
const SQUARE_MIN_M: f64 = 0.0005;
const SQUARE_MAX_M: f64 = 1.0;
