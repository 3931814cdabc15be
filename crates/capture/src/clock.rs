//! The clock of every time stamp: `CLOCK_MONOTONIC`.

use rustix::time::{ClockId, clock_gettime};
use std::time::Duration;

/// Now, in nanoseconds of `CLOCK_MONOTONIC`: the time base of V4L2 buffers, of every stage time and of
/// the ring.
pub fn monotonic_ns() -> u64 {
    let now = clock_gettime(ClockId::Monotonic);
    // CLOCK_MONOTONIC counts from boot and is never negative; 2^64 ns are 584 years.
    now.tv_sec.unsigned_abs() * 1_000_000_000 + now.tv_nsec.unsigned_abs()
}

/// Seconds as nanoseconds, rounded; `None` below 0, from 2^64 ns on and for NaN.
pub fn nanoseconds(seconds: f64) -> Option<u64> {
    u64::try_from(Duration::try_from_secs_f64(seconds).ok()?.as_nanos()).ok()
}
