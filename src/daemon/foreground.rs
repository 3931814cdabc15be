//! Running a pipeline until its source ends or somebody says stop.

use super::SOURCE_TIMEOUT;
use crate::causes::WithCauses;
use crate::decalibration::{Report, State};
use crate::{Pipeline, PipelineError, Step};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// Why a run ended without an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The source was exhausted.
    Ended,
    /// `stop` was set.
    Stopped,
}

/// Faults in a row, without a grid between them, after which the source is given up.
const MAX_FAULTS: u32 = 100;
/// The pause after the first fault; it doubles up to [`MAX_PAUSE`].
const FIRST_PAUSE: Duration = Duration::from_millis(10);
/// The longest pause between two attempts.
const MAX_PAUSE: Duration = Duration::from_millis(500);

/// Steps `pipeline` until its source ends or `stop` is set, and calls `each` after every step.
///
/// A pair that cannot be turned into a grid is logged (the first of a series as a warning, the others at debug
/// level) and skipped; a series of 100 ends the run.
///
/// # Errors
/// The error of the first step that cannot be recovered from, or of the last one of a series.
pub fn run(
    pipeline: &mut Pipeline,
    stop: &AtomicBool,
    mut each: impl FnMut(&Pipeline, &Step),
) -> Result<Outcome, PipelineError> {
    let mut faults = 0;
    let mut pause = FIRST_PAUSE;
    let mut calibration = State::Unknown;
    while !stop.load(Ordering::Relaxed) {
        match pipeline.step(SOURCE_TIMEOUT) {
            Ok(Step::Ended) => return Ok(Outcome::Ended),
            Ok(step) => {
                if matches!(step, Step::Published { .. }) && faults > 0 {
                    log::info!("grids again after {faults} lost pairs");
                    (faults, pause) = (0, FIRST_PAUSE);
                }
                log_calibration(pipeline.perception().calibration(), &mut calibration);
                each(pipeline, &step);
            }
            Err(error) if error.is_recoverable() && faults < MAX_FAULTS => {
                let level = if faults == 0 { log::Level::Warn } else { log::Level::Debug };
                log::log!(level, "a pair was lost: {}", WithCauses(&error));
                faults += 1;
                std::thread::sleep(pause);
                pause = (pause * 2).min(MAX_PAUSE);
            }
            Err(error) => return Err(error),
        }
    }
    Ok(Outcome::Stopped)
}

/// Says once when the calibration's state changes.
fn log_calibration(report: Option<&Report>, logged: &mut State) {
    let Some(report) = report.filter(|report| report.state != *logged) else {
        return;
    };
    *logged = report.state;
    let level = if report.state <= State::Ok { log::Level::Info } else { log::Level::Warn };
    log::log!(level, "{report}");
}
