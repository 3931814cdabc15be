//! The cameras' period, and what follows from it: how far apart two images of one moment can be.
//!
//! Images that are further apart than half a period may be of two moments, each nearer to another partner that was lost.
//! So the permitted skew is never more, and as long as nobody knows the period it is very small.

use super::health::Pairing;
use super::pairing::Rules;
use super::source::{StereoOptions, nanoseconds};
use crate::CaptureError;

/// The period of the faster camera, and by whose word.
#[derive(Debug)]
pub(super) struct Rate {
    policy: Pairing,
    max_skew_ns: Option<u64>,
    max_age_ns: Option<u64>,
    /// Of the configuration, where a driver says nothing.
    asked_hz: Option<f64>,
    /// What was told last.
    told_hz: Option<f64>,
    period_ns: u64,
    word: Word,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Word {
    /// A driver's or the configuration's, not checked yet.
    Told,
    /// Nobody's.
    Nobodys,
    /// Measured, or told and found to be true.
    Measured,
}

impl Rate {
    /// `told_hz`: the rate of the fastest camera, where the drivers say.
    ///
    /// # Errors
    /// [`CaptureError::Configuration`] when the permitted skew is more than half a period.
    pub(super) fn new(
        origin: &str,
        policy: Pairing,
        options: &StereoOptions,
        told_hz: Option<f64>,
    ) -> Result<Self, CaptureError> {
        let told_hz = told_hz.or(options.rate_hz);
        let rate = Self {
            policy,
            max_skew_ns: options.max_skew.map(nanoseconds),
            max_age_ns: options.max_age.map(nanoseconds),
            asked_hz: options.rate_hz,
            told_hz,
            period_ns: period_ns(told_hz.unwrap_or(GUESS_HZ)),
            word: if told_hz.is_some() { Word::Told } else { Word::Nobodys },
        };
        if policy == Pairing::OneImage {
            return Ok(rate);
        }
        match (told_hz, rate.max_skew_ns) {
            // A nanosecond for whoever writes half a period in milliseconds.
            (Some(hz), Some(skew_ns)) if skew_ns > rate.period_ns / 2 + 1 => {
                return Err(CaptureError::Configuration {
                    origin: origin.to_owned(),
                    field: "max_skew",
                    found: format!("{:.3} ms", skew_ns as f64 / 1e6),
                    expected: format!(
                        "at most half a period, {:.3} ms at {hz:.3} images a second: images further apart may be of \
                         two moments",
                        rate.period_ns as f64 / 2e6
                    ),
                });
            }
            (None, _) => log::warn!(
                "{origin}: the drivers do not say how many images a second they deliver, nor does rate_hz; until that \
                 is measured, pairs are at most {:.0} ms apart",
                UNKNOWN_SKEW_NS as f64 / 1e6
            ),
            _ => {}
        }
        Ok(rate)
    }

    /// What pairing goes by.
    pub(super) fn rules(&self) -> Rules {
        let limit_ns = match self.word {
            Word::Nobodys => UNKNOWN_SKEW_NS,
            Word::Told | Word::Measured => self.period_ns / 2,
        };
        Rules {
            policy: self.policy,
            max_skew_ns: self.max_skew_ns.map_or(limit_ns, |skew_ns| skew_ns.min(limit_ns)),
            max_age_ns: self.max_age_ns.unwrap_or_else(|| self.period_ns.saturating_mul(2)),
        }
    }

    pub(super) fn period_ns(&self) -> u64 {
        self.period_ns
    }

    /// All streams began: what the drivers say now. What they say again stays as true or false as it was found.
    pub(super) fn told(&mut self, told_hz: Option<f64>) {
        let told_hz = told_hz.or(self.asked_hz);
        if let Some(hz) = told_hz.filter(|_| told_hz != self.told_hz) {
            (self.period_ns, self.told_hz, self.word) = (period_ns(hz), told_hz, Word::Told);
        } else if self.word == Word::Measured {
            // A camera may be faster than before, all the same.
            self.word = Word::Told;
        }
    }

    /// How many images it takes to be measured; `None` when there is nothing left to learn.
    pub(super) fn images_wanted(&self) -> Option<u64> {
        match self.word {
            Word::Nobodys => Some(IMAGES_TO_KNOW),
            Word::Told => Some(IMAGES_TO_CHECK),
            Word::Measured => None,
        }
    }

    /// The faster camera's period was measured. Whether that changes anything.
    pub(super) fn measured(&mut self, origin: &str, measured_ns: f64) -> bool {
        let before = std::mem::replace(&mut self.word, Word::Measured);
        let hz = 1e9 / measured_ns.max(1.0);
        // A camera that is slower than it says (in the dark, say) is nothing to guard against.
        if before == Word::Told && period_ns(hz) as f64 > TRUE_ENOUGH * self.period_ns as f64 {
            return false;
        }
        match before {
            Word::Nobodys => log::warn!("{origin}: {hz:.2} images a second, as measured"),
            _ => log::warn!(
                "{origin}: {hz:.2} images a second, as measured, instead of {:.2}",
                1e9 / self.period_ns as f64
            ),
        }
        self.period_ns = period_ns(hz);
        if let Some(skew_ns) = self.max_skew_ns.filter(|&skew_ns| skew_ns > self.period_ns / 2) {
            log::warn!(
                "{origin}: max_skew of {:.3} ms is more than half a period; {:.3} ms are permitted",
                skew_ns as f64 / 1e6,
                self.period_ns as f64 / 2e6
            );
        }
        true
    }
}

fn period_ns(rate_hz: f64) -> u64 {
    crate::nanoseconds(1.0 / rate_hz).unwrap_or(u64::MAX / 4).clamp(1, u64::MAX / 4)
}

/// For ages and gaps, as long as nobody knows.
const GUESS_HZ: f64 = 30.0;
/// Half a period at 250 images a second, which stereo cameras do not reach.
const UNKNOWN_SKEW_NS: u64 = 2_000_000;
const IMAGES_TO_KNOW: u64 = 16;
/// Enough that jitter is no tenth of a period.
const IMAGES_TO_CHECK: u64 = 100;
const TRUE_ENOUGH: f64 = 0.9;
