//! Which pairs of a live rig are worth keeping.
//!
//! A pair is kept when both views show the whole board, the board holds still (cameras that are not triggered together see a
//! moving board in two places), and it lies elsewhere than in every pair kept so far.

use crate::board::Board;
use crate::bundle::Pair;
use crate::corners::{BoardNotFound, CornerFinder, GreyImage};
use crate::coverage::Coverage;
use occdepth_geometry::ImageSize;

/// Collects pairs from live cameras.
#[derive(Debug)]
pub struct Collector {
    finder: CornerFinder,
    size: ImageSize,
    coverage: Coverage,
    pairs: Vec<Pair>,
    /// The last pair in which the board was seen, and when, nanoseconds.
    last: Option<(Pair, u64)>,
}

/// What became of a pair.
#[derive(Clone, Debug, PartialEq)]
pub enum Verdict {
    /// It was kept.
    Kept,
    /// The board is not seen whole, in one view or both.
    NotSeen {
        /// What is wrong with the left view.
        left: Option<BoardNotFound>,
        /// What is wrong with the right view.
        right: Option<BoardNotFound>,
    },
    /// The board moves, or was only seen this once.
    Moving {
        /// Mean speed of its corners in the left image, when it was seen before.
        speed_px_s: Option<f64>,
    },
    /// A kept pair shows nearly the same.
    Known,
}

impl Collector {
    /// Collects pairs of `board` in images of `size`.
    pub fn new(board: Board, size: ImageSize) -> Self {
        Self {
            finder: CornerFinder::new(board),
            size,
            coverage: Coverage::new(board, size),
            pairs: Vec::new(),
            last: None,
        }
    }

    /// Looks at a pair of images that was taken at `time_ns` (any clock that does not jump).
    ///
    /// # Panics
    /// For images that do not have the size of the collector.
    pub fn offer(&mut self, left: &GreyImage<'_>, right: &GreyImage<'_>, time_ns: u64) -> Verdict {
        assert!(left.size() == self.size && right.size() == self.size, "images of another size");
        let pair = match self.finder.find_pair(left, right) {
            Ok(pair) => pair,
            Err([left, right]) => {
                self.last = None;
                return Verdict::NotSeen { left, right };
            }
        };
        let before = self.last.replace((pair.clone(), time_ns));
        let speed_px_s = before.and_then(|(before, before_ns)| {
            let seconds = time_ns.checked_sub(before_ns).filter(|&ns| ns > 0)? as f64 * 1e-9;
            Some(distance_px(&before, &pair) / seconds)
        });
        if !speed_px_s.is_some_and(|speed| speed <= SPEED_MAX_PX_S) {
            return Verdict::Moving { speed_px_s };
        }
        let diagonal_px = f64::from(self.size.width).hypot(f64::from(self.size.height));
        let known = |kept: &Pair| distance_px(kept, &pair) < NEW_SHARE * diagonal_px;
        if self.pairs.iter().any(known) {
            return Verdict::Known;
        }
        self.coverage.add(&pair);
        self.pairs.push(pair);
        Verdict::Kept
    }

    /// The pairs kept.
    pub fn pairs(&self) -> &[Pair] {
        &self.pairs
    }

    /// What they cover.
    pub fn coverage(&self) -> &Coverage {
        &self.coverage
    }
}

/// Mean distance of the corners of two pairs in the left image, whichever end the numbering starts from.
fn distance_px(a: &Pair, b: &Pair) -> f64 {
    let mean = |a: &mut dyn Iterator<Item = &[f64; 2]>| {
        a.zip(&b.left).map(|([ax, ay], [bx, by])| (ax - bx).hypot(ay - by)).sum::<f64>()
            / b.left.len() as f64
    };
    mean(&mut a.left.iter()).min(mean(&mut a.left.iter().rev()))
}

/// Cameras that run freely may be half a period of 30 Hz apart: this speed then shifts a corner by a quarter of a pixel.
const SPEED_MAX_PX_S: f64 = 15.0;
/// Of the image's diagonal: 32 pixels of a 640x480 image.
const NEW_SHARE: f64 = 0.04;
