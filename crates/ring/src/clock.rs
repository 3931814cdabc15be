//! The two clocks of a grid.

use rustix::time::{ClockId, Timespec, clock_gettime};

/// Now, `CLOCK_MONOTONIC` ns: the clock of every time in the ring.
pub fn monotonic_now_ns() -> u64 {
    // CLOCK_MONOTONIC counts from boot and is never negative; 2^64 ns are 584 years.
    nanoseconds(clock_gettime(ClockId::Monotonic)).cast_unsigned()
}

/// `CLOCK_REALTIME` minus `CLOCK_MONOTONIC`, ns. Changes when the wall clock is set.
pub(crate) fn wall_offset_ns() -> i64 {
    let wall_ns = nanoseconds(clock_gettime(ClockId::Realtime));
    wall_ns.saturating_sub(nanoseconds(clock_gettime(ClockId::Monotonic)))
}

fn nanoseconds(time: Timespec) -> i64 {
    time.tv_sec.saturating_mul(1_000_000_000).saturating_add(time.tv_nsec)
}
