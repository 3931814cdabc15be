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
//! after the last band fits (a *survey*). No call does more than one of these, allocates, locks or logs, and the
//! work of each is bounded whatever the size of the image: a larger one takes more turns. The same frames give the
//! same result to the bit on the same machine.
//!
//! # Where it looks
//!
//! Corners are searched in a few rows and as far as the disparity of near points. When that finds nothing twice in
//! a row, fewer corners are searched further up and down (a large pitch or roll), then further to the left (a wall
//! right in front), and then it starts over. Both views full of structure and none of it found anywhere is a
//! finding of its own ([`Finding::Unmatched`]), and suspect when it repeats.
//!
//! Too few corners (darkness, fog, a blank wall, a covered lens) are no evidence. What was ok becomes unknown when
//! nothing has spoken for it for `stale_after_s`; an alarm stays until measurements disprove it.

mod align;
mod clock;
mod config;
mod corners;
mod epipolar;
pub mod fit;
mod plan;
mod pyramid;
mod report;
mod search;
mod state;

pub use config::{Thresholds, WatchConfig, WatchError};
pub use fit::{Estimate, Measured};
pub use report::{Finding, Report};
pub use state::State;

use clock::Clock;
use corners::{Corner, CornerFinder};
use epipolar::Epipolar;
use fit::{FieldModel, Match, Workspace};
use occdepth_contract::Normalisation;
use occdepth_geometry::ImageSize;
use occdepth_geometry::fit::NetworkCameras;
use plan::{Plan, SMALLEST_PX};
use pyramid::{Pyramid, Raster};
use search::{CoarseSearch, Miss, Reach, Shift};
use state::{Hysteresis, Outcome};
use std::ops::Range;
use std::time::Duration;

/// Watches one rig through the images that its network sees.
#[derive(Clone, Debug)]
pub struct Watch {
    every: u32,
    /// Frames until the next one is looked at.
    wait: u32,
    width: usize,
    height: usize,
    plan: Plan,
    /// The band whose turn it is; after the last one the survey is concluded.
    turn: usize,
    /// Smallest contrast that is not noise, in the image's normalised values.
    flat: f32,
    thresholds: Thresholds,
    epipolar: Epipolar,
    model: FieldModel,
    finder: CornerFinder,
    left: Pyramid,
    right: Pyramid,
    search: CoarseSearch,
    reaches: [Reach; 3],
    corners: Vec<Corner>,
    matches: Vec<Match>,
    gather: Gather,
    round: Round,
    workspace: Workspace,
    clock: Clock,
    /// When something was last measured.
    measured_ns: u64,
    hysteresis: Hysteresis,
    report: Report,
}

/// How far corners are searched.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Mode {
    #[default]
    Narrow,
    /// Further up and down.
    Tall,
    /// Further to the left.
    Long,
}

/// What `matches` were gathered from: surveys since the last one that came to a result, in one mode.
#[derive(Clone, Copy, Debug, Default)]
struct Gather {
    /// When it began, nanoseconds of the watch's clock.
    start_ns: u64,
    surveys: u32,
    /// Corners looked for.
    corners: usize,
    /// Of these, how many are not there.
    absent: usize,
    /// And how many could be in several places.
    ambiguous: usize,
}

/// One attempt after the other, until something is measured or all of them have failed.
#[derive(Clone, Copy, Debug, Default)]
struct Round {
    /// When it began, nanoseconds of the watch's clock.
    start_ns: u64,
    mode: Mode,
    /// Failed attempts in this mode.
    failed: u32,
    /// Whether an attempt failed because of too little to match.
    blind: bool,
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
        let thresholds = Thresholds::new(config, &model);
        let (width, height) = (width as usize, height as usize);
        let (half_width, half_height) = (width / 2, height / 2);
        let (quarter_width, quarter_height) = (width / 4, height / 4);
        let columns = (quarter_width / DISPARITY_SHARE).max(MIN_COLUMNS);
        let narrow = Reach { rows: NARROW_ROWS, left: columns, right: columns };
        let reaches = [
            narrow,
            Reach { rows: TALL_ROWS, ..narrow },
            Reach { left: (quarter_width / LONG_SHARE).max(columns), right: 0, ..narrow },
        ];
        let places = reaches.iter().map(Reach::places).max().unwrap_or(0);
        let plan = Plan::new(half_width, half_height, narrow.places());
        // One grey level in the network's normalised values.
        let grey = 1.0 / (255.0 * normalisation.std[GREEN]);
        Ok(Self {
            every: config.every.max(1),
            wait: 0,
            width,
            height,
            plan,
            turn: 0,
            flat: grey * FLAT_GREY,
            thresholds,
            epipolar,
            model,
            finder: CornerFinder::new(half_width, half_height, grey * CORNER_GREY),
            left: Pyramid::new(width, height),
            right: Pyramid::new(width, height),
            search: CoarseSearch::new(quarter_width, quarter_height, places, grey * TELLING_GREY),
            reaches,
            corners: Vec::with_capacity(plan.cells),
            matches: Vec::with_capacity(MOST_MATCHES),
            gather: Gather::default(),
            round: Round::default(),
            workspace: Workspace::with_capacity(MOST_MATCHES),
            clock: Clock::default(),
            measured_ns: 0,
            hysteresis: Hysteresis::new(&thresholds),
            report: Report { suspect_px: thresholds.suspect_px, ..Report::default() },
        })
    }

    /// Looks at `images`, f32 `[2, 3, H, W]` as the rectifier makes them, of a pair that was captured at
    /// `captured_ns` (nanoseconds of any clock that goes forward evenly), and says what is known.
    ///
    /// # Panics
    /// When `images` has another length than the network's input for two views.
    pub fn observe(&mut self, images: &[f32], captured_ns: u64) -> Report {
        let pixels = self.width * self.height;
        assert_eq!(images.len(), 2 * 3 * pixels, "images are [2, 3, H, W]");
        if self.clock.advance(captured_ns) >= self.hysteresis.stale_after_ns() {
            // A survey is of one rig at one time.
            self.restart();
        }
        if self.wait > 0 {
            self.wait -= 1;
        } else {
            self.wait = self.every - 1;
            if self.turn < self.plan.bands {
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
        }
        let now_ns = self.clock.now_ns();
        self.hysteresis.pass(now_ns);
        let age_ns = now_ns - self.measured_ns;
        self.report.state = self.hysteresis.state();
        self.report.overdue = self.hysteresis.is_overdue(now_ns);
        self.report.age = Duration::from_nanos(age_ns);
        self.report.fresh =
            self.report.estimate.is_some() && age_ns < self.hysteresis.stale_after_ns();
        self.report
    }

    /// Whether the next [`Watch::observe`] looks at the images; where it does not, they need not be there.
    pub fn looks(&self) -> bool {
        self.wait == 0
    }

    /// The parts of the images that [`Watch::observe`] looks at; the others need not be there.
    pub fn parts(&self) -> [Range<usize>; 2] {
        let pixels = self.width * self.height;
        [0, 1].map(|view| {
            let first = (3 * view + GREEN) * pixels;
            first..first + pixels
        })
    }

    /// What is known.
    pub fn report(&self) -> &Report {
        &self.report
    }

    /// Where the states begin for this rig.
    pub fn thresholds(&self) -> &Thresholds {
        &self.thresholds
    }

    /// Frames from the start of one survey to the start of the next.
    pub fn frames_per_survey(&self) -> u32 {
        u32::try_from(self.plan.bands)
            .unwrap_or(u32::MAX)
            .saturating_add(1)
            .saturating_mul(self.every)
    }

    /// Matches the corners of the band whose turn it is.
    fn match_band(&mut self, left: Raster<'_>, right: Raster<'_>) {
        let band = self.plan.band;
        let rows = self.turn * band..((self.turn + 1) * band).min(self.height / 2);
        let reach = self.reaches[self.round.mode as usize];
        let quarter = around(&rows, 2, LEFT_MARGIN, self.height / 4);
        self.left.fill(left, quarter);
        let quarter = around(&rows, 2, reach.rows + LEFT_MARGIN, self.height / 4);
        self.right.fill(right, quarter.clone());
        self.search.prepare(self.right.quarter.raster(), quarter.clone(), self.flat);
        let half = self.left.half.raster();
        self.finder.find(half, rows, self.plan.cell, CORNER_MARGIN, &mut self.corners);
        // A wide search looks at more places, for fewer of the corners; for others each time.
        let stride = reach.places().div_ceil(self.reaches[Mode::Narrow as usize].places());
        let mut next = self.gather.surveys as usize % stride;
        while next < self.corners.len() && self.matches.len() < MOST_MATCHES {
            let corner = self.corners[next];
            next += stride;
            self.gather.corners += 1;
            match self.locate(left, right, corner, reach, &quarter) {
                Ok(found) => self.matches.push(found),
                Err(Miss::Absent) => self.gather.absent += 1,
                Err(Miss::Ambiguous) => self.gather.ambiguous += 1,
                Err(Miss::Faint) => {}
            }
        }
    }

    fn locate(
        &mut self,
        left: Raster<'_>,
        right: Raster<'_>,
        Corner { x, y }: Corner,
        reach: Reach,
        rows: &Range<usize>,
    ) -> Result<Match, Miss> {
        let quarter = [self.left.quarter.raster(), self.right.quarter.raster()];
        let coarse = self.search.find(quarter, [x / 4, y / 4], reach, rows)?;
        let half = [self.left.half.raster(), self.right.half.raster()];
        let near = Shift { x: 2 * coarse.x, y: 2 * coarse.y };
        // Something that looks like it from afar and is not it: structure in both views.
        let fine = search::refine(half, [x / 2, y / 2], near).ok_or(Miss::Absent)?;
        let start = Shift { x: 2 * fine.x, y: 2 * fine.y };
        let found = align::align([left, right], [x, y], start).ok_or(Miss::Absent)?;
        let at = [x as f64, y as f64];
        Ok(self.epipolar.compare(at, [at[0] + found.dx, at[1] + found.dy]))
    }

    /// Ends a survey: judges what was matched, or keeps it for the next one while it is too little.
    fn conclude(&mut self) {
        self.report.surveys += 1;
        self.gather.surveys += 1;
        let fit = (self.matches.len() >= FEWEST_MATCHES)
            .then(|| self.model.fit(&self.matches, &mut self.workspace))
            .flatten();
        match fit {
            Some(estimate) if self.is_evidence(&estimate) => self.measured(estimate),
            fit if self.is_exhausted(fit.as_ref()) => self.failed(),
            _ => {}
        }
    }

    /// Whether a fit is a measurement: matches that agree with each other, and enough of them, in enough
    /// places, to tell the error over the whole image from the one that matters.
    fn is_evidence(&self, found: &Estimate) -> bool {
        let Measured { value, sigma } = found.error_px;
        let suspect_px = self.thresholds.suspect_px;
        let decides = sigma <= SIGMA_SHARE * suspect_px || value - 2.0 * sigma > suspect_px;
        agrees(found) && decides && self.has_share() && found.inliers >= FEWEST_MATCHES
    }

    fn has_share(&self) -> bool {
        self.matches.len() as f64 >= FEWEST_SHARE * self.gather.corners as f64
    }

    /// Whether more surveys like the ones before would not make a measurement of it.
    fn is_exhausted(&self, fit: Option<&Estimate>) -> bool {
        let patience = if self.round.mode == Mode::Narrow { NARROW_SURVEYS } else { WIDE_SURVEYS };
        let hopeless = self.gather.corners >= PLENTY && !self.has_share();
        // Matches from before and after a knock do not agree either: those from before must go.
        let contradictory = fit.is_some_and(|found| !agrees(found));
        let old = self.clock.now_ns() - self.gather.start_ns >= self.hysteresis.stale_after_ns();
        self.gather.surveys >= patience
            || self.matches.len() >= MOST_MATCHES
            || hopeless
            || contradictory
            || old
    }

    fn measured(&mut self, estimate: Estimate) {
        let now_ns = self.clock.now_ns();
        let finding = self.signs();
        let Estimate { error_px, focal, .. } = estimate;
        let outcome = Outcome::Measured { error_px, focal, finding };
        self.hysteresis.survey(now_ns, now_ns - self.gather.start_ns, outcome);
        self.report.finding = finding;
        self.report.estimate = Some(estimate);
        self.measured_ns = now_ns;
        // What a narrow search can see, it sees better.
        let narrow_px = 4.0 * self.reaches[Mode::Narrow as usize].left as f64;
        let far = self.matches.iter().filter(|m| m.disparity_px > narrow_px).count();
        let mode = match self.round.mode {
            Mode::Tall if estimate.error_px.value > NARROW_ERROR_PX => Mode::Tall,
            Mode::Long if 2 * far > self.matches.len() => Mode::Long,
            _ => Mode::Narrow,
        };
        self.round = Round { start_ns: now_ns, mode, ..Round::default() };
        self.forget();
    }

    /// Nothing was found where it was looked for; looks elsewhere, if there is something to look for.
    fn failed(&mut self) {
        let now_ns = self.clock.now_ns();
        let Gather { corners, absent, ambiguous, .. } = self.gather;
        let elsewhere = absent >= FEWEST_MATCHES && absent >= ambiguous + self.matches.len();
        self.round.blind |= !elsewhere;
        self.round.failed += 1;
        let next = match self.round.mode {
            _ if corners < FEWEST_MATCHES => None,
            // One survey may have seen the moment of a knock.
            Mode::Narrow if self.round.failed < 2 => Some(Mode::Narrow),
            Mode::Narrow => Some(Mode::Tall),
            Mode::Tall => Some(Mode::Long),
            Mode::Long => None,
        };
        match next {
            Some(mode) if mode == self.round.mode => {}
            Some(mode) => (self.round.mode, self.round.failed) = (mode, 0),
            None => {
                if self.round.mode == Mode::Long && !self.round.blind {
                    let span_ns = now_ns - self.round.start_ns;
                    self.hysteresis.survey(now_ns, span_ns, Outcome::Unmatched);
                    self.report.finding = Finding::Unmatched;
                }
                self.round = Round { start_ns: now_ns, ..Round::default() };
            }
        }
        self.forget();
    }

    /// Begins the survey and the round anew.
    fn restart(&mut self) {
        self.turn = 0;
        self.round = Round { start_ns: self.clock.now_ns(), ..Round::default() };
        self.forget();
    }

    fn forget(&mut self) {
        self.matches.clear();
        self.gather = Gather { start_ns: self.clock.now_ns(), ..Gather::default() };
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

/// Whether the matches agree with each other.
fn agrees(found: &Estimate) -> bool {
    found.inliers as f64 >= AGREEMENT * found.matches as f64
        && found.scatter_px <= LARGEST_SCATTER_PX
}

/// The rows of a picture `divisor` times smaller than the one of `rows`, and `margin` more on each side.
fn around(rows: &Range<usize>, divisor: usize, margin: usize, height: usize) -> Range<usize> {
    (rows.start / divisor).saturating_sub(margin)..(rows.end.div_ceil(divisor) + margin).min(height)
}

/// The plane that is looked at: green has the most of a grey value, and the least noise of a Bayer sensor.
const GREEN: usize = 1;
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
/// Contrast of a patch that is no noise, grey levels at quarter size: what a camera's noise of 30 levels has.
const TELLING_GREY: f32 = 8.0;
/// Rows up and down that are searched, quarter-size pixels: 16 px, 1.3 degrees at KITTI's focal length.
const NARROW_ROWS: usize = 4;
/// In the second place: 64 px, 5 degrees.
const TALL_ROWS: usize = 16;
/// In the third place, the largest disparity is this part of the image's width: points from a quarter of the
/// distance on that is searched ordinarily, 0.9 m for KITTI.
const LONG_SHARE: usize = 3;
/// An error that a narrow search still finds all over the image.
const NARROW_ERROR_PX: f64 = 7.0;
/// Surveys after which matches that are too few are dropped.
const NARROW_SURVEYS: u32 = 4;
/// The same, of a wide search, which looks for fewer corners.
const WIDE_SURVEYS: u32 = 8;
/// Corners after which it is clear what share of them is found.
const PLENTY: usize = 100;
/// Matches that one fit takes: it must not cost more than a band.
const MOST_MATCHES: usize = 512;
/// Below this, chance has a say.
const FEWEST_MATCHES: usize = 40;
/// Least part of the corners that are found again.
const FEWEST_SHARE: f64 = 0.1;
/// Least part of the matches that the fit explains.
const AGREEMENT: f64 = 0.6;
const LARGEST_SCATTER_PX: f64 = 0.6;
/// Part of the threshold that an error's standard deviation may be.
const SIGMA_SHARE: f64 = 1.0 / 3.0;
/// Disparities above this may be noise around infinity.
const NEGATIVE_PX: f64 = 1.0;
/// Least part of the matches that must be negative.
const NEGATIVE_SHARE: f64 = 0.25;
