//! The decalibration watch: notices, while driving, that a rig no longer is what its calibration says.
//!
//! In a correctly rectified pair a point lies in the same row of both views. A [`Watch`] matches a few hundred
//! corners between the views, looks at how far the rows differ, and fits what an error of the rig would do.
//!
//! # The model
//!
//! Let the right camera be turned, relative to what the calibration says, by a small rotation
//! `w = (pitch, yaw, roll)` radians about its x (right), y (down) and z (forward) axes, so that coordinates
//! become `p' = p + w x p`, and let its focal length be `1 + focal` times the stated one. A point that the
//! calibration expects at `u = (x - cx) / fx`, `v = (y - cy) / fy` has the direction `p = (u, v, 1)`, and
//!
//! ```text
//! w x p = (yaw - roll v,  roll u - pitch,  pitch v - yaw u)
//! v'    = (1 + focal) (v + roll u - pitch) / (1 + pitch v - yaw u)
//! dy    = fy (v' - v)
//!       = fy [ -pitch (1 + v^2) + roll u + yaw u v + focal v ]     to first order; pixels
//! ```
//!
//! so a pitch is an offset with a curvature in y, a roll a slope in x, a focal error a slope in y, and a yaw a
//! twist. A median of dy sees the offset alone. The fit has a free coefficient for each of the five terms 1,
//! u, v, u v, v^2: that a curvature comes with the offset is a finding (pitch rather than a shifted principal
//! point), not an assumption. To second order, 0.3 degrees of one leaks 0.005 times itself into the others.
//!
//! The expected row is not always the left view's: views of rigs that arrive rectified (KITTI) stand some
//! millimetres apart in y and z. `dy` is measured from where the two poses say the point is, at the depth
//! that its disparity gives.
//!
//! # What cannot be seen
//!
//! Only the error of one camera *relative to the other* is observable. A rig that is turned as a whole on
//! its mount, two lenses that changed alike, and the length of the baseline leave no trace in the rows. A yaw
//! acts like a disparity and shows in the rows only through the twist, and where points at infinity get
//! a negative disparity ([`Finding::NegativeDisparity`]). A move of one camera along y or z is not fitted:
//! it shifts rows in proportion to disparity (1 mm of 540 at 20 px: 0.04 px). Cameras that expose at
//! different moments look, on a moving vehicle, like a rig in motion: a constant skew must be paired away first.
//!
//! # Cost
//!
//! The image is divided into bands of cells; each observed frame matches the corners of one band, and the frame
//! after the last band fits (a *survey*). No call does more than one of these, allocates, locks or logs. The same
//! frames give the same result to the bit on the same machine.
//!
//! Too few matches (darkness, fog, a blank wall) are no evidence: the state stays and its age grows.

mod align;
mod corners;
mod epipolar;
pub mod fit;
mod pyramid;
mod search;
mod state;

pub use fit::{Estimate, Measured};
pub use state::{State, Thresholds};

use corners::{Corner, CornerFinder};
use epipolar::Epipolar;
use fit::{FieldModel, Match, Workspace};
use occdepth_contract::Normalisation;
use occdepth_geometry::ImageSize;
use occdepth_geometry::fit::NetworkCameras;
use pyramid::{Pyramid, Raster};
use search::{CoarseSearch, Shift};
use serde::Deserialize;
use state::Hysteresis;
use std::ops::Range;

/// How a rig is watched: `[calibration_watch]` of the configuration.
#[derive(Clone, Copy, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct WatchConfig {
    /// Whether it is watched.
    pub enabled: bool,
    /// Looks at every n-th frame; 1 looks at all of them.
    pub every: u32,
    /// Epipolar error from which the calibration is suspect, pixels of the network's image.
    pub suspect_px: f64,
    /// Epipolar error from which it is lost, pixels of the network's image.
    pub lost_px: f64,
    /// Surveys in a row that must agree before the state gets worse.
    pub alarm_after: u32,
    /// Surveys in a row that must agree before the state gets better.
    pub recover_after: u32,
}

impl Default for WatchConfig {
    fn default() -> Self {
        let Thresholds { suspect_px, lost_px, alarm_after, recover_after } = Thresholds::default();
        Self { enabled: true, every: 1, suspect_px, lost_px, alarm_after, recover_after }
    }
}

/// Why a rig cannot be watched.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum WatchError {
    /// The network's images are too small to find corners in.
    #[error(
        "the network's images are {}x{}, expected at least {SMALLEST_PX}x{SMALLEST_PX} to watch the calibration",
        found.width, found.height
    )]
    ImageSize {
        /// Of the network's images.
        found: ImageSize,
    },
    /// The views are turned against each other.
    #[error("the views are not rectified to each other, expected the same orientation")]
    NotRectified,
}

/// What else the matches say.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Finding {
    /// Nothing.
    #[default]
    None,
    /// Near points have negative disparities: the left and the right camera are swapped.
    Swapped,
    /// Many points lie beyond infinity: the yaw is wrong.
    NegativeDisparity,
}

/// What the watch says.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Report {
    /// With hysteresis in time.
    pub state: State,
    /// Of the last survey with evidence.
    pub finding: Finding,
    /// Of the last survey with evidence.
    pub estimate: Option<Estimate>,
    /// Looks over the whole image so far.
    pub surveys: u64,
    /// Observed frames since the last survey with evidence, or since the start.
    pub age_frames: u32,
}

impl Report {
    /// RMS of the fitted vertical disparity over the image, pixels; None when it was not measured in
    /// the last [`STALE_FRAMES`] observed frames.
    pub fn epipolar_error_px(&self) -> Option<f64> {
        let fresh = self.age_frames < STALE_FRAMES;
        self.estimate.filter(|_| fresh).map(|estimate| estimate.error_px.value)
    }
}

/// One line for the log: the state, and what speaks for it.
impl std::fmt::Display for Report {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "calibration: {}", self.state)?;
        match self.finding {
            Finding::None => {}
            Finding::Swapped => write!(f, ", the left and the right camera are swapped")?,
            Finding::NegativeDisparity => write!(f, ", points lie beyond infinity (yaw)")?,
        }
        let Some(estimate) = self.estimate else {
            return Ok(());
        };
        let degrees = |angle: Measured| angle.value.to_degrees();
        write!(
            f,
            ", epipolar error {:.2} px: right against left pitch {:.3}, roll {:.3} degrees, focal length {:+.2} %",
            estimate.error_px.value,
            degrees(estimate.pitch_rad),
            degrees(estimate.roll_rad),
            100.0 * estimate.focal.value,
        )
    }
}

/// Observed frames after which a measurement is no longer published: 10 s at 30 frames a second.
pub const STALE_FRAMES: u32 = 300;

/// Watches one rig through the images that its network sees.
#[derive(Clone, Debug)]
pub struct Watch {
    every: u32,
    /// Frames until the next one is looked at.
    wait: u32,
    width: usize,
    height: usize,
    /// Side of a cell, half-size pixels.
    cell: usize,
    /// Height of a band, half-size pixels.
    band: usize,
    /// Bands of the image; the turn after the last one concludes.
    bands: usize,
    turn: usize,
    /// Rows up and down that are searched, quarter-size pixels.
    wide: bool,
    /// Smallest contrast that is not noise, in the image's normalised values.
    flat: f32,
    epipolar: Epipolar,
    model: FieldModel,
    finder: CornerFinder,
    left: Pyramid,
    right: Pyramid,
    search: CoarseSearch,
    corners: Vec<Corner>,
    /// Corners looked for since the last evidence.
    looked_for: usize,
    /// Surveys that `matches` come from.
    gathered: u32,
    matches: Vec<Match>,
    workspace: Workspace,
    hysteresis: Hysteresis,
    report: Report,
}

impl Watch {
    /// Watches the rig behind `cameras`, whose images are normalised by `normalisation`.
    ///
    /// # Errors
    /// Images too small to match in.
    pub fn new(
        cameras: &NetworkCameras,
        normalisation: &Normalisation,
        config: &WatchConfig,
    ) -> Result<Self, WatchError> {
        let ImageSize { width, height } = cameras.size;
        if width.min(height) < SMALLEST_PX {
            return Err(WatchError::ImageSize { found: cameras.size });
        }
        let epipolar = Epipolar::new(cameras).ok_or(WatchError::NotRectified)?;
        let k = cameras.right.view.k;
        let model = FieldModel::new(cameras.size, [k[(0, 0)], k[(1, 1)]], [k[(0, 2)], k[(1, 2)]]);
        let (width, height) = (width as usize, height as usize);
        let (half_width, half_height) = (width / 2, height / 2);
        let (quarter_width, quarter_height) = (width / 4, height / 4);
        let cell = ((half_width * half_height / CELLS).isqrt())
            .clamp(SMALLEST_CELL, LARGEST_CELL)
            .max(half_width.div_ceil(CORNERS_PER_TURN));
        let cells_across = half_width.div_ceil(cell);
        let band = cell * (CORNERS_PER_TURN / cells_across).max(1);
        let bands = half_height.div_ceil(band);
        let cells = cells_across * half_height.div_ceil(cell);
        // One grey level in the network's normalised values.
        let grey = 1.0 / (255.0 * normalisation.std[GREEN]);
        let columns = (quarter_width / DISPARITY_SHARE).max(MIN_COLUMNS).min(quarter_width);
        let capacity = cells * GATHERED_SURVEYS as usize;
        Ok(Self {
            every: config.every.max(1),
            wait: 0,
            width,
            height,
            cell,
            band,
            bands,
            turn: 0,
            wide: false,
            flat: grey * FLAT_GREY,
            epipolar,
            model,
            finder: CornerFinder::new(half_width, half_height, grey * CORNER_GREY),
            left: Pyramid::new(width, height),
            right: Pyramid::new(width, height),
            search: CoarseSearch::new(quarter_width, quarter_height, columns, WIDE_ROWS),
            corners: Vec::with_capacity(cells),
            looked_for: 0,
            gathered: 0,
            matches: Vec::with_capacity(capacity),
            workspace: Workspace::with_capacity(capacity),
            hysteresis: Hysteresis::new(Thresholds {
                suspect_px: config.suspect_px,
                lost_px: config.lost_px,
                alarm_after: config.alarm_after,
                recover_after: config.recover_after,
            }),
            report: Report::default(),
        })
    }

    /// Looks at `images`, f32 `[2, 3, H, W]` as the rectifier makes them, and says what is known.
    ///
    /// # Panics
    /// When `images` has another length than the network's input for two views.
    pub fn observe(&mut self, images: &[f32]) -> Report {
        let pixels = self.width * self.height;
        assert_eq!(images.len(), 2 * 3 * pixels, "images are [2, 3, H, W]");
        if self.wait > 0 {
            self.wait -= 1;
            return self.report;
        }
        self.wait = self.every - 1;
        self.report.age_frames = self.report.age_frames.saturating_add(1);
        if self.turn < self.bands {
            let view = |view: usize| Raster {
                width: self.width,
                height: self.height,
                values: &images[(3 * view + GREEN) * pixels..][..pixels],
            };
            self.match_band(view(0), view(1));
            self.turn += 1;
        } else {
            self.conclude();
            self.turn = 0;
        }
        self.report
    }

    /// What is known.
    pub fn report(&self) -> &Report {
        &self.report
    }

    /// Observed frames from the start of one survey to the start of the next.
    pub fn frames_per_survey(&self) -> u32 {
        u32::try_from(self.bands).unwrap_or(u32::MAX).saturating_add(1).saturating_mul(self.every)
    }

    /// Matches the corners of the band whose turn it is.
    fn match_band(&mut self, left: Raster<'_>, right: Raster<'_>) {
        let rows = self.turn * self.band..((self.turn + 1) * self.band).min(self.height / 2);
        let reach = if self.wide { WIDE_ROWS } else { NARROW_ROWS };
        let quarter = around(&rows, 2, LEFT_MARGIN, self.height / 4);
        self.left.fill(left, quarter);
        let quarter = around(&rows, 2, reach + LEFT_MARGIN, self.height / 4);
        self.right.fill(right, quarter.clone());
        self.search.prepare(self.right.quarter.raster(), quarter.clone(), self.flat);
        let half = self.left.half.raster();
        self.finder.find(half, rows, self.cell, CORNER_MARGIN, &mut self.corners);
        // A wide search looks at four times as many places, for a quarter of the corners.
        let stride = if self.wide { WIDE_STRIDE } else { 1 };
        // Another quarter each time.
        let mut next = self.gathered as usize % stride;
        while next < self.corners.len() {
            let corner = self.corners[next];
            next += stride;
            self.looked_for += 1;
            if let Some(found) = self.locate(left, right, corner, reach, &quarter)
                && self.matches.len() < self.matches.capacity()
            {
                self.matches.push(found);
            }
        }
    }

    fn locate(
        &mut self,
        left: Raster<'_>,
        right: Raster<'_>,
        Corner { x, y }: Corner,
        reach: usize,
        rows: &Range<usize>,
    ) -> Option<Match> {
        let quarter = [self.left.quarter.raster(), self.right.quarter.raster()];
        let coarse = self.search.find(quarter, [x / 4, y / 4], reach, rows)?;
        let half = [self.left.half.raster(), self.right.half.raster()];
        let near = Shift { x: 2 * coarse.x, y: 2 * coarse.y };
        let fine = search::refine(half, [x / 2, y / 2], near)?;
        let start = Shift { x: 2 * fine.x, y: 2 * fine.y };
        let found = align::align([left, right], [x, y], start)?;
        let at = [x as f64, y as f64];
        Some(self.epipolar.compare(at, [at[0] + found.dx, at[1] + found.dy]))
    }

    /// Ends a survey: judges what was matched, or keeps it for the next one while it is too little.
    fn conclude(&mut self) {
        self.report.surveys += 1;
        self.gathered += 1;
        let estimate = (self.matches.len() >= FEWEST_MATCHES)
            .then(|| self.model.fit(&self.matches, &mut self.workspace))
            .flatten()
            .filter(|found| self.is_evidence(found));
        let Some(estimate) = estimate else {
            let patience = if self.wide { WIDE_SURVEYS } else { GATHERED_SURVEYS };
            if self.gathered >= patience {
                // Plenty of corners, but not where they should be: perhaps they are further away.
                self.wide = !self.wide && self.looked_for >= FEWEST_MATCHES;
                self.forget();
            }
            return;
        };
        let finding = self.signs();
        self.hysteresis.survey(estimate.error_px, finding);
        self.report = Report {
            state: self.hysteresis.state(),
            finding,
            estimate: Some(estimate),
            age_frames: 0,
            ..self.report
        };
        // What a narrow search can see, it sees better.
        self.wide &= estimate.error_px.value > NARROW_ERROR_PX;
        self.forget();
    }

    fn forget(&mut self) {
        self.matches.clear();
        (self.looked_for, self.gathered) = (0, 0);
    }

    /// Whether a fit is a measurement: matches that agree with each other, and enough of them, in enough
    /// places, to know the error over the whole image.
    fn is_evidence(&self, found: &Estimate) -> bool {
        let agreed = found.inliers as f64 >= AGREEMENT * found.matches as f64;
        agreed
            && found.matches as f64 >= FEWEST_SHARE * self.looked_for as f64
            && found.inliers >= FEWEST_MATCHES
            && found.scatter_px <= LARGEST_SCATTER_PX
            && found.error_px.sigma <= LARGEST_SIGMA_PX
    }

    /// What the signs of the disparities say. Swapped cameras turn the distribution around: its long tail, the
    /// near points, is then on the negative side; a yaw only shifts it.
    fn signs(&mut self) -> Finding {
        let negative = self.matches.iter().filter(|m| m.disparity_px < -NEGATIVE_PX).count();
        if (negative as f64) < NEGATIVE_SHARE * self.matches.len() as f64 {
            return Finding::None;
        }
        self.matches.sort_unstable_by(|a, b| a.disparity_px.total_cmp(&b.disparity_px));
        let at =
            |percent: usize| self.matches[(self.matches.len() - 1) * percent / 100].disparity_px;
        let [low, middle, high] = [5, 50, 95].map(at);
        if middle < -NEGATIVE_PX && middle - low > high - middle {
            Finding::Swapped
        } else {
            Finding::NegativeDisparity
        }
    }
}

/// The rows of a picture `divisor` times smaller than the one of `rows`, and `margin` more on each side.
fn around(rows: &Range<usize>, divisor: usize, margin: usize, height: usize) -> Range<usize> {
    (rows.start / divisor).saturating_sub(margin)..(rows.end.div_ceil(divisor) + margin).min(height)
}

/// The plane that is looked at: green has the most of a grey value, and the least noise of a Bayer sensor.
const GREEN: usize = 1;
/// Smallest side of the network's image, pixels: a few cells each way.
const SMALLEST_PX: u32 = 64;
/// Cells that a small image is divided into; a large one has more.
const CELLS: usize = 300;
/// Side of a cell, half-size pixels.
const SMALLEST_CELL: usize = 5;
const LARGEST_CELL: usize = 16;
/// Most corners that one frame looks for.
const CORNERS_PER_TURN: usize = 128;
/// Distance of corners from the edge of the image, half-size pixels: three at quarter size and one more.
const CORNER_MARGIN: usize = 7;
/// Rows around a band that matching looks at on the left, quarter-size pixels.
const LEFT_MARGIN: usize = 6;
/// A corner's gradient, grey levels per half-size pixel, in its weaker direction.
const CORNER_GREY: f32 = 1.5;
/// Contrast of a patch that is worth comparing, grey levels.
const FLAT_GREY: f32 = 1.0;
/// The largest disparity is this part of the image's width: with a view of 80 degrees and KITTI's baseline,
/// points from 3.6 m on.
const DISPARITY_SHARE: usize = 8;
/// Fewest columns each way that are searched, quarter-size pixels.
const MIN_COLUMNS: usize = 24;
/// Rows up and down that are searched, quarter-size pixels: 16 px, 1.3 degrees at KITTI's focal length.
const NARROW_ROWS: usize = 4;
/// After a survey without evidence: 64 px, 5 degrees.
const WIDE_ROWS: usize = 16;
const WIDE_STRIDE: usize = 4;
/// Surveys that a wide search may gather: as many corners as in a few narrow ones.
const WIDE_SURVEYS: u32 = 4 * GATHERED_SURVEYS;
/// An error that a narrow search still finds all over the image.
const NARROW_ERROR_PX: f64 = 7.0;
/// Surveys after which matches that are too few are dropped.
const GATHERED_SURVEYS: u32 = 4;
/// Below this, chance has a say.
const FEWEST_MATCHES: usize = 40;
/// Least part of the corners that are found again.
const FEWEST_SHARE: f64 = 0.1;
/// Least part of the matches that the fit explains.
const AGREEMENT: f64 = 0.6;
const LARGEST_SCATTER_PX: f64 = 0.6;
/// Of the error over the image: half of the difference that matters.
const LARGEST_SIGMA_PX: f64 = 0.25;
/// Disparities above this may be noise around infinity.
const NEGATIVE_PX: f64 = 1.0;
/// Least part of the matches that must be negative.
const NEGATIVE_SHARE: f64 = 0.25;
