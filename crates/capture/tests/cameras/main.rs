//! The cameras as a source, with simulated cameras and a simulated clock: pairing, faults, formats.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::expect_used,
    reason = "a test fails by panicking"
)]

mod faults;
mod formats;
mod lines;
mod log_lines;
mod pairs;
mod simulation;

use occdepth_capture::stereo::{Ports, StereoCameras, StereoOptions};
use occdepth_capture::{Capture, CaptureError, FrameSource, StereoFrame};
use simulation::{SIZE, World};
use std::time::Duration;

/// Two cameras of `world`, by `options`.
fn open(world: &World, options: &StereoOptions) -> Result<StereoCameras, CaptureError> {
    let ports = Ports::Two { left: world.port(0), right: world.port(1) };
    StereoCameras::open(ports, options, world.clock())
}

fn options() -> StereoOptions {
    StereoOptions::new(SIZE)
}

/// What a test remembers of a pair: the exposures that it is of, and what is said of it.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Seen {
    exposure: u64,
    left_time_ns: u64,
    left_sequence: u64,
    dropped: u32,
    faulty: u32,
}

/// The next pair within `ms`, checked to be of one exposure; `None` when the source timed out, in time.
fn next(source: &mut StereoCameras, world: &World, ms: u64) -> Option<Seen> {
    let start_ns = world.now_ns();
    let timeout = Duration::from_millis(ms);
    let seen = match source.next(timeout).expect("cameras that fail are silent") {
        Capture::Frame(frame) => Some(seen(&frame)),
        Capture::TimedOut => None,
        Capture::Ended => panic!("cameras do not end"),
    };
    let took_ns = world.now_ns() - start_ns;
    assert!(took_ns <= ms * 1_000_000, "{took_ns} ns for a timeout of {ms} ms");
    assert!(seen.is_some() || took_ns == ms * 1_000_000, "gave up after {took_ns} ns");
    seen
}

fn seen(frame: &StereoFrame<'_>) -> Seen {
    let exposure = |data: &[u8]| u64::from_le_bytes(data[..8].try_into().unwrap());
    let left = exposure(frame.left.plane.data);
    assert_eq!(left, exposure(frame.right.plane.data), "a pair of two moments");
    Seen {
        exposure: left,
        left_time_ns: frame.left_stamp.time_ns,
        left_sequence: frame.left_stamp.sequence,
        dropped: frame.dropped,
        faulty: frame.faulty,
    }
}

/// So many pairs in a row.
fn pairs(source: &mut StereoCameras, world: &World, count: usize) -> Vec<Seen> {
    (0..count).map(|_| next(source, world, 200).expect("a pair")).collect()
}
