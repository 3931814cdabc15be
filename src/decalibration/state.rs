//! From findings to a state that does not flicker.

use super::Finding;
use super::fit::Measured;

/// Whether the calibration still fits the images, from nothing known to worst.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum State {
    /// Nothing was measured yet.
    #[default]
    Unknown,
    /// The epipolar error is within its bounds.
    Ok,
    /// The epipolar error has grown: the rig may have moved.
    Suspect,
    /// The images no longer fit the calibration; grids are wrong.
    Lost,
}

impl std::fmt::Display for State {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Unknown => "unknown",
            Self::Ok => "ok",
            Self::Suspect => "suspect",
            Self::Lost => "lost",
        })
    }
}

/// Where the states begin, and how long a change must last. Counts are of surveys: looks over the whole
/// image that brought enough matches.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Thresholds {
    /// Epipolar error from which the calibration is suspect, pixels of the network's image.
    pub suspect_px: f64,
    /// Epipolar error from which it is lost, pixels of the network's image.
    pub lost_px: f64,
    /// Surveys in a row that must agree before the state gets worse.
    pub alarm_after: u32,
    /// Surveys in a row that must agree before the state gets better.
    pub recover_after: u32,
}

impl Default for Thresholds {
    fn default() -> Self {
        Self { suspect_px: 0.45, lost_px: 1.5, alarm_after: 3, recover_after: 10 }
    }
}

/// The state and what speaks for another one.
#[derive(Clone, Debug)]
pub(super) struct Hysteresis {
    thresholds: Thresholds,
    state: State,
    /// Surveys in a row that were at least as bad as each state.
    worse: [u32; 2],
    /// Surveys in a row that were clearly better than each state.
    better: [u32; 2],
}

impl Hysteresis {
    pub(super) fn new(thresholds: Thresholds) -> Self {
        Self { thresholds, state: State::Unknown, worse: [0; 2], better: [0; 2] }
    }

    pub(super) fn state(&self) -> State {
        self.state
    }

    /// Takes the result of one survey. An error counts as beyond a threshold, or below it, when it is so by
    /// [`SIGMAS`] standard deviations; to recover it must be below [`RELEASE`] of the threshold.
    pub(super) fn survey(&mut self, error_px: Measured, finding: Finding) {
        let Thresholds { suspect_px, lost_px, alarm_after, recover_after } = self.thresholds;
        let [low, high] = [-SIGMAS, SIGMAS].map(|sigmas| error_px.value + sigmas * error_px.sigma);
        let swapped = finding == Finding::Swapped;
        let unfit = finding == Finding::NegativeDisparity;
        let count = |counter: &mut u32, holds: bool| {
            *counter = if holds { counter.saturating_add(1) } else { 0 };
        };
        count(&mut self.worse[SUSPECT], low > suspect_px || swapped || unfit);
        count(&mut self.worse[LOST], low > lost_px || swapped);
        count(&mut self.better[SUSPECT], high < RELEASE * suspect_px && !swapped && !unfit);
        count(&mut self.better[LOST], high < RELEASE * lost_px && !swapped);

        let [suspect, lost] = self.worse.map(|surveys| surveys >= alarm_after);
        let [well, not_lost] = self.better.map(|surveys| surveys >= recover_after);
        self.state = match self.state {
            _ if lost => State::Lost,
            State::Unknown | State::Ok if suspect => State::Suspect,
            // The first judgement needs as many surveys as an alarm, and no error that is clearly there.
            State::Unknown if self.better[SUSPECT] >= alarm_after => State::Ok,
            State::Lost | State::Suspect if well => State::Ok,
            State::Lost if not_lost => State::Suspect,
            state => state,
        };
    }
}

const SUSPECT: usize = 0;
const LOST: usize = 1;
/// One survey in forty is beyond by chance; several in a row are not.
const SIGMAS: f64 = 2.0;
/// Part of a threshold below which an error must fall before it counts as gone.
const RELEASE: f64 = 0.8;
