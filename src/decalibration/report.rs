//! What the watch says.

use super::fit::{Estimate, Measured};
use super::state::State;
use std::time::Duration;

/// What else the images say.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Finding {
    /// Nothing.
    #[default]
    None,
    /// Near points have negative disparities: the left and the right camera are swapped.
    Swapped,
    /// Many points lie beyond infinity: the yaw is wrong.
    NegativeDisparity,
    /// Both views have plenty to match, but hardly anything of one is in the other, as far as is searched:
    /// a camera points elsewhere, hangs, or shows another moment.
    Unmatched,
}

/// What the watch says.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Report {
    /// With hysteresis in time.
    pub state: State,
    /// Of the last survey that came to a result.
    pub finding: Finding,
    /// Of the last survey that measured; `age` says how old it is.
    pub estimate: Option<Estimate>,
    /// Looks over the whole image so far.
    pub surveys: u64,
    /// Time from the last survey that measured, or from the first frame, to the last frame.
    pub age: Duration,
    /// Whether `estimate` is younger than `stale_after_s`.
    pub fresh: bool,
    /// Whether the state has been unknown for longer than `stale_after_s`, or became so because nothing spoke
    /// for it for so long: grids should then not be relied on as if the calibration were ok.
    pub overdue: bool,
    /// Epipolar error from which the calibration is suspect, pixels of the network's image.
    pub suspect_px: f64,
}

impl Report {
    /// RMS of the fitted vertical disparity over the image, pixels; None when it was not measured in the last
    /// `stale_after_s` seconds.
    pub fn epipolar_error_px(&self) -> Option<f64> {
        self.estimate.filter(|_| self.fresh).map(|estimate| estimate.error_px.value)
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
            Finding::Unmatched => write!(f, ", the views do not show the same things")?,
        }
        let Some(estimate) = self.estimate else {
            return Ok(());
        };
        let degrees = |angle: Measured| angle.value.to_degrees();
        write!(
            f,
            ", epipolar error {:.2} px (suspect from {:.2}): right against left pitch {:.3}, roll {:.3} degrees, \
             focal length {:+.2} %",
            estimate.error_px.value,
            self.suspect_px,
            degrees(estimate.pitch_rad),
            degrees(estimate.roll_rad),
            100.0 * estimate.focal.value,
        )?;
        if self.fresh { Ok(()) } else { write!(f, ", measured {} s ago", self.age.as_secs()) }
    }
}
