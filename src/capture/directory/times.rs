//! Capture times: the format of KITTI's `times.txt`, and the timeline of a replay.

use super::listing::{Listing, Pair};
use super::{AtEnd, CaptureError, DirectoryOptions, PairFiles, Times, open_error};
use crate::capture::replay::check_rate;
use occdepth_capture::nanoseconds;
use std::fs;
use std::path::Path;

/// Parses `times.txt` of a KITTI odometry sequence: one time a line, in seconds, strictly increasing.
///
/// Returns nanoseconds, rounded. Any notation of `f64` is accepted (`1.039920e-01`), with blanks around
/// it and blank lines at the end of the file. `origin` is for error messages.
///
/// # Errors
///
/// [`TimesError`], with the line.
pub fn parse_times(text: &str, origin: &str) -> Result<Vec<u64>, TimesError> {
    let mut times_ns = Vec::new();
    for (index, line) in text.trim_end().lines().enumerate() {
        let number = index + 1;
        let found = line.trim();
        let Some(time_ns) = found.parse().ok().and_then(nanoseconds) else {
            return Err(TimesError::NotATime {
                origin: origin.into(),
                line: number,
                found: found.into(),
            });
        };
        if times_ns.last().is_some_and(|&previous_ns| time_ns <= previous_ns) {
            return Err(TimesError::NotIncreasing {
                origin: origin.into(),
                line: number,
                found: found.into(),
            });
        }
        times_ns.push(time_ns);
    }
    Ok(times_ns)
}

/// Why a file is no list of times.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TimesError {
    /// A line that is no number of seconds.
    #[error("{origin}: line {line}: found {found:?}, expected seconds, 0 to 1.8e10")]
    NotATime {
        /// The file.
        origin: String,
        /// The line, from 1.
        line: usize,
        /// What it holds.
        found: String,
    },
    /// A time that is not after the one before it.
    #[error("{origin}: line {line}: found {found}, expected a time after that of the line before")]
    NotIncreasing {
        /// The file.
        origin: String,
        /// The line, from 1.
        line: usize,
        /// What it holds.
        found: String,
    },
}

/// When the pairs of a replay are due, and which pair is when.
#[derive(Debug)]
#[allow(clippy::struct_field_names, reason = "the unit belongs to every time")]
pub(super) struct Timeline {
    /// Of each pair to deliver, after the first of them.
    offsets_ns: Vec<u64>,
    /// Mean distance of two pairs; `None` for a single pair with a recorded time.
    interval_ns: Option<u64>,
    /// From the first pair to its next delivery; `None` when the replay stops.
    loop_ns: Option<u64>,
}

impl Timeline {
    /// The timeline of the chosen pairs.
    pub(super) fn new(options: &DirectoryOptions, listing: &Listing) -> Result<Self, CaptureError> {
        let pairs = listing.pairs.len();
        let (offsets_ns, interval_ns) = match &options.times {
            Times::Rate(rate_hz) => {
                check_rate(&options.pairs.to_string(), *rate_hz)?;
                let offset_ns = |i: usize| nanoseconds(i as f64 / rate_hz).unwrap_or(u64::MAX);
                ((0..pairs).map(offset_ns).collect(), Some(offset_ns(1)))
            }
            Times::File(path) => with_mean_interval(recorded(options, path, listing)?),
            Times::Recorded => match &options.pairs {
                PairFiles::Kitti(root) => {
                    with_mean_interval(recorded(options, &root.join("times.txt"), listing)?)
                }
                PairFiles::Folder(_) | PairFiles::Globs { .. } => {
                    return Err(CaptureError::Configuration {
                        origin: options.pairs.to_string(),
                        field: "times",
                        found: "\"recorded\"".into(),
                        expected: "a times file or a rate: only a KITTI sequence has times.txt"
                            .into(),
                    });
                }
            },
        };
        if options.at_end == AtEnd::Loop && interval_ns.is_none() {
            return Err(CaptureError::Configuration {
                origin: options.pairs.to_string(),
                field: "at_end",
                found: "a loop over one pair with recorded times".into(),
                expected: "at least two pairs, or a rate".into(),
            });
        }
        let last_ns = offsets_ns.last().copied().unwrap_or(0);
        let loop_ns = interval_ns
            .filter(|_| options.at_end == AtEnd::Loop)
            .map(|interval_ns| last_ns.saturating_add(interval_ns));
        Ok(Self { offsets_ns, interval_ns, loop_ns })
    }

    /// When delivery `index` is due, ns after the first; `None` past the end.
    pub(super) fn due_ns(&self, index: u64) -> Option<u64> {
        let pairs = self.offsets_ns.len() as u64;
        let offset_ns = self.offsets_ns[self.position(index)];
        match self.loop_ns {
            None => (index < pairs).then_some(offset_ns),
            Some(loop_ns) => {
                Some((index / pairs).saturating_mul(loop_ns).saturating_add(offset_ns))
            }
        }
    }

    /// Which of the chosen pairs delivery `index` is.
    pub(super) fn position(&self, index: u64) -> usize {
        let position = index % self.offsets_ns.len() as u64;
        usize::try_from(position).expect("below a length, which is a usize")
    }

    /// Mean pairs a second; `None` for a single pair with a recorded time.
    pub(super) fn rate_hz(&self) -> Option<f64> {
        self.interval_ns.map(|interval_ns| 1e9 / interval_ns as f64)
    }
}

/// Times of the chosen pairs from a file, after the first of them.
fn recorded(
    options: &DirectoryOptions,
    path: &Path,
    listing: &Listing,
) -> Result<Vec<u64>, CaptureError> {
    let origin = path.display().to_string();
    let text = fs::read_to_string(path).map_err(|e| open_error(path, e))?;
    let times_ns = parse_times(&text, &origin).map_err(|e| open_error(path, e))?;
    let wrong_count = |expected| CaptureError::Configuration {
        origin: origin.clone(),
        field: "times",
        found: format!("{} times", times_ns.len()),
        expected,
    };
    if matches!(options.pairs, PairFiles::Globs { .. }) && times_ns.len() != listing.found {
        return Err(wrong_count(format!("{}, one for each pair", listing.found)));
    }
    let time_ns = |pair: &Pair| {
        times_ns.get(pair.time_line).copied().ok_or_else(|| {
            let (lines, file) = (pair.time_line.saturating_add(1), pair.left.display());
            wrong_count(format!("at least {lines}, for {file}"))
        })
    };
    let first_ns = time_ns(&listing.pairs[0])?;
    listing.pairs.iter().map(|pair| Ok(time_ns(pair)?.saturating_sub(first_ns))).collect()
}

fn with_mean_interval(offsets_ns: Vec<u64>) -> (Vec<u64>, Option<u64>) {
    let last_ns = offsets_ns.last().copied().unwrap_or(0);
    let interval_ns = last_ns.checked_div(offsets_ns.len().saturating_sub(1) as u64);
    (offsets_ns, interval_ns)
}
