//! The corners of a chessboard in an image, to a few hundredths of a pixel.
//!
//! The points come from `chess-corners` (the `ChESS` response, then the saddle point of a quadratic surface) and their
//! places in the grid from `calib-targets-chessboard`. What is left to do here is to recognise the board among what they
//! label (it must be seen whole), and to number both views alike.

use crate::board::Board;
use crate::bundle::Pair;
use calib_targets_chessboard::{
    ChessboardDetection, ChessboardDetector, ChessboardParams, DetectorConfig, GrayImageView,
    default_chess_config, detect_corners,
};
use chess_corners::{ImageRefiner, MultiscaleConfig, SaddlePointConfig, UpscaleConfig};
use occdepth_geometry::ImageSize;
use std::collections::HashMap;
use std::fmt;

/// A grey image, row by row without padding, one byte a pixel.
#[derive(Clone, Copy, Debug)]
pub struct GreyImage<'a> {
    size: ImageSize,
    pixels: &'a [u8],
}

impl<'a> GreyImage<'a> {
    /// An image of `size`; `None` where `pixels` has another length.
    pub fn new(size: ImageSize, pixels: &'a [u8]) -> Option<Self> {
        let expected = (size.width as usize).checked_mul(size.height as usize)?;
        (pixels.len() == expected && expected > 0).then_some(Self { size, pixels })
    }

    /// Width and height, pixels.
    pub fn size(&self) -> ImageSize {
        self.size
    }
}

/// Finds one board in images.
pub struct CornerFinder {
    board: Board,
    grids: ChessboardDetector,
    passes: [DetectorConfig; 3],
}

impl fmt::Debug for CornerFinder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CornerFinder").field("board", &self.board).finish_non_exhaustive()
    }
}

impl CornerFinder {
    /// A finder of `board`.
    ///
    /// # Panics
    /// Never: no parameters of the grid detector are out of its range.
    pub fn new(board: Board) -> Self {
        let mut saddle = SaddlePointConfig::default();
        saddle.radius = SADDLE_RADIUS_PX;
        saddle.max_offset = SADDLE_OFFSET_MAX_PX;
        let sharp = default_chess_config().with_refiner(ImageRefiner::SaddlePoint(saddle));
        let passes = [
            sharp,
            // Large or blurred: corners that only a smaller image shows.
            sharp.with_multiscale(MultiscaleConfig::pyramid_default()),
            // Squares of a few pixels.
            sharp.with_upscale(UpscaleConfig::Fixed(2)),
        ];
        let grids = ChessboardDetector::new(ChessboardParams::default())
            .expect("the default parameters are valid");
        Self { board, grids, passes }
    }

    /// The board that is looked for.
    pub fn board(&self) -> &Board {
        &self.board
    }

    /// Pixels of all corners, in the order of [`Board::points`], pixel centres at integers. Of the numberings that a board
    /// allows, the one that starts nearest to the image's top left; never a mirrored one.
    ///
    /// # Errors
    /// [`BoardNotFound`] when the board is not seen whole, or is another one.
    ///
    /// # Panics
    /// Never: a board has two numberings at least.
    pub fn find(&self, image: &GreyImage<'_>) -> Result<Vec<[f64; 2]>, BoardNotFound> {
        let view = GrayImageView {
            width: image.size.width as usize,
            height: image.size.height as usize,
            data: image.pixels,
        };
        let mut best = BoardNotFound::Nothing;
        if image.size.width.min(image.size.height) < IMAGE_MIN_PX {
            return Err(best);
        }
        for pass in &self.passes {
            let corners = detect_corners(&view, pass);
            for detection in self.grids.detect_all(&corners) {
                match self.recognise(&detection) {
                    Ok(numberings) => {
                        let first = |corners: &[[f64; 2]]| corners[0][0] + corners[0][1];
                        let best = numberings
                            .into_iter()
                            .min_by(|a, b| first(a).total_cmp(&first(b)))
                            .expect("a board has two numberings at least");
                        return Ok(best);
                    }
                    Err(seen) if seen.corners() > best.corners() => best = seen,
                    Err(_) => {}
                }
            }
        }
        Err(best)
    }

    /// The board in both views, numbered alike: of the right view's numberings, the one that lies as the left one does. (The
    /// cameras of a rig are not turned against each other by 45 degrees.)
    ///
    /// # Errors
    /// What was wrong with the left and the right view.
    pub fn find_pair(
        &self,
        left: &GreyImage<'_>,
        right: &GreyImage<'_>,
    ) -> Result<Pair, [Option<BoardNotFound>; 2]> {
        match (self.find(left), self.find(right)) {
            (Ok(left), Ok(right)) => {
                let right = self.numbered_as(&left, &right);
                Ok(Pair { left, right })
            }
            (left, right) => Err([left.err(), right.err()]),
        }
    }

    /// All numberings of the board among labelled corners.
    fn recognise(
        &self,
        detection: &ChessboardDetection,
    ) -> Result<Vec<Vec<[f64; 2]>>, BoardNotFound> {
        let labelled: HashMap<[i32; 2], [f64; 2]> = detection
            .corners
            .iter()
            .map(|corner| {
                let place = [corner.grid.u, corner.grid.v];
                (place, [f64::from(corner.position.x), f64::from(corner.position.y)])
            })
            .collect();
        let extent =
            [0, 1].map(|axis| 1 + labelled.keys().map(|place| place[axis]).max().unwrap_or(-1));
        let not_found = || BoardNotFound::Other {
            found: extent.map(|side| usize::try_from(side).unwrap_or(0)),
            labelled: labelled.len(),
            expected: [self.board.columns(), self.board.rows()],
        };
        // Both ways round; a square board is the same both ways.
        let sides = [self.board.columns(), self.board.rows()]
            .map(|side| i32::try_from(side).expect("a side has at most 64 corners"));
        let mut windows = Vec::new();
        for (size, turned) in [(sides, false), ([sides[1], sides[0]], true)] {
            if turned && sides[0] == sides[1] {
                continue;
            }
            for top in 0..=extent[1] - size[1] {
                for left in 0..=extent[0] - size[0] {
                    let cell = |u: i32, v: i32| labelled.get(&[left + u, top + v]).copied();
                    let window: Option<Vec<[f64; 2]>> = (0..size[1])
                        .flat_map(|v| (0..size[0]).map(move |u| [u, v]))
                        .map(|[u, v]| cell(u, v))
                        .collect();
                    windows.extend(window.map(|window| (window, turned)));
                }
            }
        }
        // More than one place for the board: it is larger than was said, and which part of it is which cannot be known.
        let [(window, turned)] = &windows[..] else { return Err(not_found()) };
        let upright = if *turned { transposed(window, self.board.rows()) } else { window.clone() };
        Ok(self.numberings(&upright))
    }

    /// The numberings of a board that are not mirrored, from any one of its numberings.
    fn numberings(&self, corners: &[[f64; 2]]) -> Vec<Vec<[f64; 2]>> {
        let columns = self.board.columns();
        let upright = if handedness(corners, columns) > 0.0 {
            corners.to_vec()
        } else {
            corners.chunks(columns).flat_map(|row| row.iter().rev().copied()).collect()
        };
        let mut numberings = vec![upright];
        if self.board.columns() == self.board.rows() {
            // A quarter turn: transposed and mirrored.
            let turned = transposed(&numberings[0], columns);
            numberings
                .push(turned.chunks(columns).flat_map(|row| row.iter().rev().copied()).collect());
        }
        for index in 0..numberings.len() {
            numberings.push(numberings[index].iter().rev().copied().collect());
        }
        numberings
    }

    /// The numbering of `corners` whose rows point most as those of `model`.
    fn numbered_as(&self, model: &[[f64; 2]], corners: &[[f64; 2]]) -> Vec<[f64; 2]> {
        let wanted = along_rows(model, self.board.columns());
        let agreement = |corners: &[[f64; 2]]| {
            let [x, y] = along_rows(corners, self.board.columns());
            (x * wanted[0] + y * wanted[1]) / x.hypot(y)
        };
        self.numberings(corners)
            .into_iter()
            .max_by(|a, b| agreement(a).total_cmp(&agreement(b)))
            .expect("a board has two numberings at least")
    }
}

/// Why there is no board in an image.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BoardNotFound {
    /// No part of a chessboard.
    #[error("found no chessboard")]
    Nothing,
    /// A part of a board, or another one.
    #[error(
        "found {labelled} corners in a grid of {}x{}, expected all of {}x{} inner corners (corners, not squares)",
        found[0], found[1], expected[0], expected[1]
    )]
    Other {
        /// Extent of the grid.
        found: [usize; 2],
        /// Corners in it.
        labelled: usize,
        /// Columns and rows of the board.
        expected: [usize; 2],
    },
}

impl BoardNotFound {
    fn corners(&self) -> usize {
        match self {
            Self::Nothing => 0,
            Self::Other { labelled, .. } => *labelled,
        }
    }
}

/// Mean direction from column to column.
fn along_rows(corners: &[[f64; 2]], columns: usize) -> [f64; 2] {
    corners.chunks(columns).fold([0.0; 2], |[x, y], row| {
        let (first, last) = (row[0], row[row.len() - 1]);
        [x + last[0] - first[0], y + last[1] - first[1]]
    })
}

/// Positive where rows follow columns clockwise in the image (x right, y down), as on a board that is seen from its front.
fn handedness(corners: &[[f64; 2]], columns: usize) -> f64 {
    let [across_x, across_y] = along_rows(corners, columns);
    let [down_x, down_y] = along_rows(&transposed(corners, columns), corners.len() / columns);
    across_x * down_y - across_y * down_x
}

/// Columns become rows.
fn transposed(corners: &[[f64; 2]], columns: usize) -> Vec<[f64; 2]> {
    let rows = corners.len() / columns;
    (0..columns)
        .flat_map(|column| (0..rows).map(move |row| row * columns + column))
        .map(|index| corners[index])
        .collect()
}

/// Half the side of the patch that the surface is fitted to. On the shared chessboards 3 px brings the stereo RMS from 0.204
/// px (2 px) to 0.196; larger patches bring little more, and reach into the next square where squares are small.
const SADDLE_RADIUS_PX: i32 = 3;
/// Further off, it is another corner.
const SADDLE_OFFSET_MAX_PX: f32 = 2.0;
/// Nine corners in 5 px squares, with the rings of the detector around them.
const IMAGE_MIN_PX: u32 = 32;
