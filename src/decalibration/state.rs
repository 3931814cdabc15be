//! From what surveys say to a state that does not flicker, and that is not older than what speaks for it.

use super::config::Thresholds;
use super::fit::Measured;
use super::report::Finding;

/// Whether the calibration still fits the images, from nothing known to worst.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum State {
    /// Nothing was measured yet, or not lately.
    #[default]
    Unknown,
    /// The epipolar error is within its bounds.
    Ok,
    /// The epipolar error has grown, or the views no longer match: the rig may have moved.
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

/// The result of a survey.
#[derive(Clone, Copy, Debug)]
pub(super) enum Outcome {
    /// The epipolar error, the error of focal length, and what the disparities say.
    Measured {
        /// Pixels.
        error_px: Measured,
        /// Ratio minus one.
        focal: Measured,
        finding: Finding,
    },
    /// Plenty to match in both views, and no match.
    Unmatched,
}

/// The state and what speaks for another one.
///
/// Evidence is counted in seconds of observation, so that it means the same at every frame rate. A survey that
/// speaks for a change adds the time that it looked at, one that speaks against it starts it over, and one that
/// cannot tell takes a quarter of its time away: an error just beyond a threshold, of which every second
/// survey is sure, gets there; one just below it, of which one in thirty is, does not.
#[derive(Clone, Debug)]
pub(super) struct Hysteresis {
    suspect_px: f64,
    lost_px: f64,
    suspect_focal: f64,
    alarm_after_ns: u64,
    recover_after_ns: u64,
    stale_after_ns: u64,
    state: State,
    /// At least as bad as each state.
    worse: [Tally; 2],
    /// Clearly better than each state.
    better: [Tally; 2],
    /// Nothing wrong that could be seen.
    within: Tally,
    /// When the last survey ended, nanoseconds of the watch's clock.
    surveyed_ns: u64,
    /// When something last spoke for the state being ok, or the start.
    vouched_ns: u64,
}

impl Hysteresis {
    pub(super) fn new(thresholds: &Thresholds) -> Self {
        Self {
            suspect_px: thresholds.suspect_px,
            lost_px: thresholds.lost_px,
            suspect_focal: thresholds.suspect_focal,
            alarm_after_ns: nanoseconds(thresholds.alarm_after_s),
            recover_after_ns: nanoseconds(thresholds.recover_after_s),
            stale_after_ns: nanoseconds(thresholds.stale_after_s),
            state: State::Unknown,
            worse: [Tally::default(); 2],
            better: [Tally::default(); 2],
            within: Tally::default(),
            surveyed_ns: 0,
            vouched_ns: 0,
        }
    }

    pub(super) fn state(&self) -> State {
        self.state
    }

    pub(super) fn stale_after_ns(&self) -> u64 {
        self.stale_after_ns
    }

    /// Lets time pass: ok lasts no longer than what speaks for it. An alarm stays until it is disproved.
    pub(super) fn pass(&mut self, now_ns: u64) {
        if self.state == State::Ok && self.is_stale(now_ns) {
            self.state = State::Unknown;
            self.within.clear();
        }
    }

    /// Whether the state is unknown, and has been for too long to call that a start.
    pub(super) fn is_overdue(&self, now_ns: u64) -> bool {
        self.state == State::Unknown && self.is_stale(now_ns)
    }

    fn is_stale(&self, now_ns: u64) -> bool {
        now_ns.saturating_sub(self.vouched_ns) >= self.stale_after_ns
    }

    /// Takes the result of a survey that ends `now_ns` and looked at the `span_ns` before.
    pub(super) fn survey(&mut self, now_ns: u64, span_ns: u64, outcome: Outcome) {
        let unseen_ns = now_ns.saturating_sub(self.surveyed_ns).saturating_sub(span_ns);
        if unseen_ns >= self.stale_after_ns {
            // What was seen before says nothing about a rig that was out of sight for so long.
            self.worse = [Tally::default(); 2];
            self.better = [Tally::default(); 2];
            self.within.clear();
        }
        self.surveyed_ns = now_ns;

        let [suspect, lost] = match outcome {
            Outcome::Measured { error_px, focal, finding } => {
                let named = |suspects| if suspects { Verdict::Beyond } else { Verdict::Clear };
                let swapped = finding == Finding::Swapped;
                [
                    Verdict::new(error_px, self.suspect_px)
                        .max(Verdict::new(focal, self.suspect_focal))
                        .max(named(swapped || finding == Finding::NegativeDisparity)),
                    Verdict::new(error_px, self.lost_px).max(named(swapped)),
                ]
            }
            // How far off it is, nobody knows.
            Outcome::Unmatched => [Verdict::Beyond, Verdict::Unsure],
        };
        for (level, verdict) in [(SUSPECT, suspect), (LOST, lost)] {
            let [beyond, clear] = [Verdict::Beyond, Verdict::Clear].map(|one| verdict == one);
            self.worse[level].weigh(span_ns, beyond, clear);
            self.better[level].weigh(span_ns, clear, beyond);
        }
        let within = matches!(suspect, Verdict::Within | Verdict::Clear);
        self.within.weigh(span_ns, within, suspect == Verdict::Beyond);

        let alarm = |tally: Tally| tally.reaches(self.alarm_after_ns);
        let recovered = |tally: Tally| tally.reaches(self.recover_after_ns);
        let [is_suspect, is_lost] = self.worse.map(alarm);
        let [is_well, is_found] = self.better.map(recovered);
        self.state = match self.state {
            _ if is_lost => State::Lost,
            State::Unknown | State::Ok if is_suspect => State::Suspect,
            State::Unknown if alarm(self.within) => State::Ok,
            State::Lost | State::Suspect if is_well => State::Ok,
            State::Lost if is_found => State::Suspect,
            state => state,
        };
        if self.state == State::Ok && within {
            self.vouched_ns = now_ns;
        }
    }
}

/// An error against a threshold, from best to worst.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Verdict {
    /// So far below it that an alarm may end.
    Clear,
    /// Below it, as far as can be seen.
    Within,
    Unsure,
    /// Beyond it by [`SIGMAS`] standard deviations.
    Beyond,
}

impl Verdict {
    fn new(Measured { value, sigma }: Measured, threshold: f64) -> Self {
        let value = value.abs();
        // Noise adds its square to a mean square; without that, an imprecise survey could never say ok.
        let error = (value * value - sigma * sigma).max(0.0).sqrt();
        if value - SIGMAS * sigma > threshold {
            Self::Beyond
        } else if error < RELEASE * threshold {
            Self::Clear
        } else if error < threshold {
            Self::Within
        } else {
            Self::Unsure
        }
    }
}

/// Seconds of evidence for a change.
#[derive(Clone, Copy, Debug, Default)]
struct Tally {
    evidence_ns: u64,
    surveys: u32,
}

impl Tally {
    fn weigh(&mut self, span_ns: u64, supports: bool, contradicts: bool) {
        if supports {
            self.evidence_ns = self.evidence_ns.saturating_add(span_ns);
            self.surveys = self.surveys.saturating_add(1);
        } else {
            self.evidence_ns = self.evidence_ns.saturating_sub(span_ns / DOUBT);
            if contradicts || self.evidence_ns == 0 {
                self.clear();
            }
        }
    }

    fn clear(&mut self) {
        *self = Self::default();
    }

    fn reaches(self, after_ns: u64) -> bool {
        self.surveys >= FEWEST_SURVEYS && self.evidence_ns >= after_ns
    }
}

/// Whole nanoseconds of a configured time; a century at most.
#[allow(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "clamped to what fits; not a number becomes 0"
)]
fn nanoseconds(seconds: f64) -> u64 {
    (seconds.clamp(0.0, 3e9) * 1e9) as u64
}

const SUSPECT: usize = 0;
const LOST: usize = 1;
/// One survey in forty is beyond by chance; several are not.
const SIGMAS: f64 = 2.0;
/// Part of a threshold below which an error must fall before it counts as gone.
const RELEASE: f64 = 0.8;
/// At low rates one survey lasts longer than an alarm takes, but one is no series.
const FEWEST_SURVEYS: u32 = 2;
/// What an unsure survey takes away: its time divided by this.
const DOUBT: u64 = 4;

#[cfg(test)]
mod tests;
