//! A source whose cameras run allocates nothing, whatever the caller misses and the cameras lose.
#![allow(unsafe_code, reason = "a counting allocator is an unsafe trait")]
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

#[path = "../../../tests/support/counting.rs"]
mod counting;
#[path = "cameras/simulation.rs"]
#[expect(dead_code, reason = "faults of other tests")]
mod simulation;

use counting::allocations;
use occdepth_capture::stereo::{Layout as Halves, Pairing, Ports, StereoCameras, StereoOptions};
use occdepth_capture::{Capture, FrameSource};
use occdepth_geometry::ImageSize;
use simulation::{PERIOD, SIZE, World};
use std::time::Duration;

/// So many calls, watched after the first ones; how many pairs there were.
fn watch(source: &mut StereoCameras, world: &World, what: &str) -> u32 {
    let mut pairs = 0_u32;
    let mut calls = |count: u64| {
        for call in 0..count {
            match source.next(Duration::from_millis(100)).unwrap() {
                Capture::Frame(_) => pairs += 1,
                Capture::TimedOut => {}
                Capture::Ended => panic!("cameras do not end"),
            }
            world.pass(call % 5 * PERIOD);
        }
    };
    calls(20);
    assert_eq!(allocations(|| calls(300)), 0, "{what}");
    pairs
}

#[test]
fn running_cameras_allocate_nothing() {
    for pairing in [Pairing::Timestamp, Pairing::Sequence, Pairing::Arrival] {
        let world = World::new();
        world.camera(0, |camera| camera.damaged = |n| n % 11 == 0);
        world.camera(1, |camera| camera.lost = |n| n % 7 == 0);
        let options = StereoOptions { pairing, ..StereoOptions::new(SIZE) };
        let ports = Ports::Two { left: world.port(0), right: world.port(1) };
        let mut source = StereoCameras::open(ports, &options, world.clock()).unwrap();
        let pairs = watch(&mut source, &world, &pairing.to_string());
        assert!(pairs > 200, "{pairing}: {pairs} pairs");
    }
}

/// Nor when there are no pairs: what is said of that is said once, before.
#[test]
fn cameras_without_pairs_allocate_nothing() {
    let world = World::new();
    world.camera(1, |camera| camera.phase_ns = 10_000_000);
    let max_skew = Some(Duration::from_millis(4));
    let options = StereoOptions { max_skew, ..StereoOptions::new(SIZE) };
    let ports = Ports::Two { left: world.port(0), right: world.port(1) };
    let mut source = StereoCameras::open(ports, &options, world.clock()).unwrap();
    for _ in 0..100 {
        assert!(matches!(source.next(Duration::from_millis(100)).unwrap(), Capture::TimedOut));
    }
    assert_eq!(watch(&mut source, &world, "no pairs"), 0);
}

#[test]
fn one_camera_allocates_nothing() {
    let world = World::new();
    world.camera(0, |camera| camera.damaged = |n| n % 11 == 0);
    let size = ImageSize { width: SIZE.width / 2, height: SIZE.height };
    let ports = Ports::One { device: world.port(0), layout: Halves::SideBySide };
    let mut source = StereoCameras::open(ports, &StereoOptions::new(size), world.clock()).unwrap();
    assert!(watch(&mut source, &world, "one device") > 200);
    // A driver without times, half way.
    world.camera(0, |camera| camera.time_offset = None);
    assert!(watch(&mut source, &world, "one device without times") > 200);
}
