//! The two clocks of a grid.
#![allow(unsafe_code, reason = "clock_gettime of libc; see `nanoseconds`")]

/// Now, `CLOCK_MONOTONIC` ns: the clock of every time in the ring.
pub fn monotonic_now_ns() -> u64 {
    // CLOCK_MONOTONIC counts from boot and is never negative; 2^64 ns are 584 years.
    nanoseconds(libc::CLOCK_MONOTONIC).cast_unsigned()
}

/// `CLOCK_REALTIME` minus `CLOCK_MONOTONIC`, ns. Changes when the wall clock is set.
pub(crate) fn wall_offset_ns() -> i64 {
    let wall_ns = nanoseconds(libc::CLOCK_REALTIME);
    wall_ns.saturating_sub(nanoseconds(libc::CLOCK_MONOTONIC))
}

/// By way of libc and not of rustix, which looks for the vDSO where the kernel says that it is: a program of a client that
/// runs under valgrind, which hides it, would crash there.
fn nanoseconds(clock: libc::clockid_t) -> i64 {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: `time` is a timespec that the call fills in and does not keep. It cannot fail for these two clocks, which every
    // kernel has; if it did, `time` would be the zeros that it was made with.
    unsafe { libc::clock_gettime(clock, &raw mut time) };
    time.tv_sec.saturating_mul(1_000_000_000).saturating_add(time.tv_nsec)
}
