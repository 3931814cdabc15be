//! A grid of one's own.

use crate::record::PublishedGrid;

/// A copy of a grid, owned by the reader's program. Reuse it: after the first copy of a stream no
/// further one allocates.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Grid {
    /// What is said of the grid.
    pub published: PublishedGrid,
    /// u8 [X, Y, Z], z fastest: class ids, 255 unknown. Empty before the first copy.
    pub labels: Vec<u8>,
    /// u8 [X, Y, Z], 255 = 1.0; empty when the stream has none.
    pub confidence: Vec<u8>,
}

impl Grid {
    /// An empty grid; the first copy gives it its size.
    pub fn new() -> Self {
        Self::default()
    }
}
