//! Every fault is said once, and not with every image or attempt.

use crate::log_lines::{collect, expect};
use crate::simulation::{PERIOD, World};
use crate::{next, open, options, pairs};
use occdepth_capture::FrameSource;
use occdepth_capture::stereo::{
    Fault, Layout, Pairing, Ports, Retry, SourceState, StereoCameras, StereoOptions,
};
use occdepth_geometry::ImageSize;
use rustix::io::Errno;
use std::time::Duration;

/// Cameras that run, their first lines taken.
fn running(options: &StereoOptions) -> (World, StereoCameras) {
    collect();
    let world = World::new();
    let mut source = open(&world, options).unwrap();
    pairs(&mut source, &world, 10);
    expect(&[&["left camera /dev/sim0: running"], &["right camera /dev/sim1: running"]]);
    (world, source)
}

/// So many seconds, pairs or not.
fn seconds(source: &mut StereoCameras, world: &World, seconds: u64) -> u32 {
    let (start_ns, mut pairs) = (world.now_ns(), 0);
    while world.now_ns() < start_ns + seconds * 1_000_000_000 {
        pairs += u32::from(next(source, world, 100).is_some());
    }
    pairs
}

#[test]
fn a_fault_and_its_end_are_two_lines() {
    // What a camera does, what is said of it, and whether it takes until it is lost.
    type Blow = fn(&mut crate::simulation::Camera);
    let blows: [(&str, Blow, &[&str]); 5] = [
        ("unplugged", |camera| camera.unplugged = true, &["right", "lost", "ENODEV"]),
        ("broken", |camera| camera.broken = Some(Errno::IO), &["right", "degraded", "DQBUF"]),
        ("silent", |camera| camera.silent = true, &["right", "degraded", "no good image"]),
        ("changed", |camera| camera.source_changed = true, &["right", "degraded", "resolution"]),
        ("queue", |camera| camera.queue_failure = true, &["right", "degraded", "QBUF"]),
    ];
    for (name, blow, said) in blows {
        let (world, mut source) = running(&options());
        world.camera(1, blow);
        seconds(&mut source, &world, 30);
        world.camera(1, |camera| (camera.unplugged, camera.silent) = (false, false));
        seconds(&mut source, &world, 30);
        let back: &[&str] = &["right camera /dev/sim1: running, after", "failures"];
        let lost: &[&str] = &["right camera /dev/sim1: lost"];
        if name == "silent" {
            expect(&[said, lost, back]);
        } else {
            expect(&[said, back]);
        }
        assert_eq!(source.health().state, SourceState::Running, "{name}");
    }
}

#[test]
fn damage_is_said_once() {
    let (world, mut source) = running(&options());
    world.camera(0, |camera| camera.damaged = |n| n % 2 == 0);
    seconds(&mut source, &world, 30);
    expect(&[&["left", "degraded", "damaged"]]);
    world.camera(0, |camera| camera.damaged = |_| false);
    seconds(&mut source, &world, 30);
    expect(&[&["left", "running", "whole again"]]);
}

/// A camera that gives one image and breaks, for ever: its pauses grow, its lines end, and it can be given up.
#[test]
fn a_camera_that_only_begins_is_not_running() {
    let (world, mut source) = running(&options());
    world.camera(0, |camera| camera.breaks_after = Some(1));
    seconds(&mut source, &world, 120);
    let left = source.health().cameras[0].unwrap();
    // 50, 100, ... ms and then every 5 s: some 30 attempts, not 2000.
    assert!((20..40).contains(&left.faults.of(Fault::StreamBroken)), "{left:?}");
    assert!(left.state > SourceState::Running);
    expect(&[
        &["left", "degraded"],
        &["left", "running"],
        &["left", "degraded"],
        &["left", "lost"],
    ]);
    world.camera(0, |camera| camera.breaks_after = None);
    seconds(&mut source, &world, 20);
    expect(&[&["left", "running, after"]]);
    assert_eq!(source.health().state, SourceState::Running);
    drop(source);

    let retry = Retry { attempts: Some(10), ..Retry::default() };
    let (world, mut source) = running(&StereoOptions { retry, ..options() });
    world.camera(0, |camera| camera.breaks_after = Some(1));
    let mut calls = 0..10_000;
    assert!(calls.any(|_| source.next(Duration::from_millis(100)).is_err()), "never given up");
    assert_eq!(source.health().cameras[0].unwrap().fault_total(), 11);
}

/// Free-running cameras in an unlucky phase: both run, and nothing is a pair.
#[test]
fn cameras_without_pairs_are_not_running() {
    collect();
    let world = World::new();
    world.camera(1, |camera| camera.phase_ns = 10_000_000);
    let tight = StereoOptions { max_skew: Some(Duration::from_micros(4500)), ..options() };
    let mut source = open(&world, &tight).unwrap();
    let mut states = Vec::new();
    for _ in 0..600 {
        assert_eq!(next(&mut source, &world, 100), None);
        states.push(source.health().state);
    }
    states.dedup();
    assert!(states.ends_with(&[SourceState::Running, SourceState::Degraded, SourceState::Lost]));
    let health = source.health();
    assert_eq!(health.nearest_ns, Some(10_000_000));
    assert!(health.to_string().contains("10.00 ms apart"), "{health}");
    for camera in health.cameras {
        assert_eq!(camera.unwrap().state, SourceState::Running);
    }
    let apart: &[&str] = &["/dev/sim0", "/dev/sim1: degraded", "10.000 ms", "4.500 ms"];
    let lost: &[&str] = &["/dev/sim0", "/dev/sim1: lost", "10.000 ms"];
    expect(&[&["left", "running"], &["right", "running"], apart, lost]);
    // The phases drift together.
    world.camera(1, |camera| camera.phase_ns = 1_000_000);
    seconds(&mut source, &world, 5);
    assert_eq!((source.health().state, source.health().nearest_ns), (SourceState::Running, None));
    expect(&[&["running: there are pairs again"]]);
}

/// A caller that looks now and then has nothing to complain of.
#[test]
fn nobody_who_does_not_look_misses_pairs() {
    let (world, mut source) = running(&options());
    for _ in 0..20 {
        world.pass(5_000_000_000);
        let _ = next(&mut source, &world, 0);
        assert_eq!(source.health().state, SourceState::Running);
    }
    pairs(&mut source, &world, 5);
    expect(&[]);
}

/// The caller was away, right after a camera had come back: nobody saw it fail.
#[test]
fn a_caller_that_was_away_does_not_lose_a_camera() {
    let (world, mut source) = running(&options());
    world.camera(0, |camera| camera.broken = Some(Errno::IO));
    seconds(&mut source, &world, 1);
    expect(&[&["left", "degraded"], &["left", "running"]]);
    world.pass(4_000_000_000);
    next(&mut source, &world, 0);
    expect(&[]);
}

#[test]
fn times_that_cannot_be_used_are_said_once() {
    for pairing in [Pairing::Timestamp, Pairing::Sequence] {
        let (world, mut source) = running(&StereoOptions { pairing, ..options() });
        world.camera(0, |camera| camera.time_offset = None);
        seconds(&mut source, &world, 10);
        let by = if pairing == Pairing::Timestamp { "arrival" } else { "sequence" };
        expect(&[&["pairs are found by", by, "missing"]]);
        world.camera(0, |camera| camera.time_offset = Some(0));
        seconds(&mut source, &world, 10);
        expect(&[&["pairs are found by", "again"]]);
    }
    // The last resort is said aloud even if it was asked for.
    collect();
    let world = World::new();
    let arrival = StereoOptions { pairing: Pairing::Arrival, ..options() };
    let mut source = open(&world, &arrival).unwrap();
    seconds(&mut source, &world, 5);
    expect(&[&["by arrival: bus and scheduler"], &["running"], &["running"]]);
}

#[test]
fn one_device_without_times_says_so() {
    collect();
    let world = World::new();
    world.camera(0, |camera| camera.time_offset = None);
    let ports = Ports::One { device: world.port(0), layout: Layout::SideBySide };
    let options = StereoOptions::new(ImageSize { width: 8, height: 4 });
    let mut source = StereoCameras::open(ports, &options, world.clock()).unwrap();
    for _ in 0..100 {
        let _ = source.next(Duration::from_millis(100)).unwrap();
    }
    let health = source.health();
    assert_eq!((health.state, health.pairing), (SourceState::Degraded, Some(Pairing::OneImage)));
    assert!(health.mistrust.is_some());
    expect(&[&["camera /dev/sim0: running"], &["dated by their arrival", "missing"]]);
    world.camera(0, |camera| camera.time_offset = Some(0));
    for _ in 0..100 {
        let _ = source.next(Duration::from_millis(100)).unwrap();
    }
    assert_eq!(source.health().state, SourceState::Running);
    expect(&[&["dated by the driver again"]]);
}

#[test]
fn a_count_that_starts_anew_is_said_once_a_minute() {
    let (world, mut source) = running(&options());
    for _ in 0..20 {
        world.camera(0, |camera| camera.recount = true);
        seconds(&mut source, &world, 1);
    }
    expect(&[&["left camera /dev/sim0: its count of images started anew"]]);
    assert_eq!(source.health().cameras[0].unwrap().faults.of(Fault::SequenceRestarted), 20);
    assert_eq!(source.health().state, SourceState::Running);
}

/// Once, with the state, and not for every one of the 40 images a second.
#[test]
fn corrupt_jpegs_are_a_fault() {
    collect();
    let mut jpeg = Vec::new();
    let image = image::RgbImage::from_pixel(16, 4, image::Rgb([200, 40, 90]));
    image::codecs::jpeg::JpegEncoder::new(&mut jpeg).encode_image(&image).unwrap();
    let mut corrupt = jpeg.clone();
    let half = corrupt.len() / 2;
    corrupt[20..half].fill(0x11);
    let world = World::new();
    for camera in [0, 1] {
        world.camera(camera, |camera| {
            (camera.code, camera.content) = (*b"MJPG", Some(jpeg.clone()));
        });
    }
    let mut source = open(&world, &options()).unwrap();
    let call = |source: &mut StereoCameras, count: u32| {
        for _ in 0..count {
            let _ = source.next(Duration::from_millis(100)).unwrap();
        }
    };
    call(&mut source, 20);
    assert_eq!(source.health().state, SourceState::Running);
    expect(&[&["left", "running"], &["right", "running"]]);
    world.camera(1, |camera| camera.swap_content = Some(corrupt.clone()));
    call(&mut source, 300);
    let [left, right] = source.health().cameras.map(Option::unwrap);
    assert_eq!((left.state, right.state), (SourceState::Running, SourceState::Lost));
    assert!(right.faults.of(Fault::Silent) > 2 && right.unreadable > 40, "{right:?}");
    assert_eq!(left.fault_total(), 0, "nobody looked into the other's images");
    expect(&[&["right", "degraded", "damaged"], &["right", "lost"]]);
    world.camera(1, |camera| camera.swap_content = Some(jpeg.clone()));
    call(&mut source, 600);
    assert_eq!(source.health().state, SourceState::Running);
    expect(&[&["right", "running, after"]]);
}

/// Nobody says the rate: it is measured, and until then images have to be near.
#[test]
fn an_unknown_rate_is_measured() {
    collect();
    let world = World::new();
    for camera in [0, 1] {
        // At 120 a second, half a period of 30 a second would be two periods.
        world.camera(camera, |camera| {
            (camera.rate_said, camera.period_ns) = (false, PERIOD / 3);
            camera.lost = |n| n % 4 == 1;
        });
    }
    world.camera(1, |camera| {
        camera.phase_ns = 2_500_000;
        camera.lost = |n| n % 4 == 2;
    });
    let mut source = open(&world, &options()).unwrap();
    assert_eq!(source.description().rate_hz, None);
    // `next` checks that no pair is of two moments.
    assert!(seconds(&mut source, &world, 3) > 100);
    let skew = source.health().skew;
    assert_eq!((skew.min_ns, skew.max_ns), (2_500_000, 2_500_000));
    expect(&[
        &["do not say how many images a second", "rate_hz"],
        &["left", "running"],
        &["right", "running"],
        &["120.00 images a second, as measured"],
    ]);
}

/// A driver that says half of the rate that it has.
#[test]
fn a_rate_that_is_not_true_is_found_out() {
    collect();
    let world = World::new();
    for camera in [0, 1] {
        world.camera(camera, |camera| camera.rate_factor = 0.5);
    }
    let mut source = open(&world, &options()).unwrap();
    pairs(&mut source, &world, 200);
    expect(&[
        &["left", "running"],
        &["right", "running"],
        &["40.00 images a second, as measured, instead of 20.00"],
    ]);
    // Whatever the driver says when its camera is back, that is known.
    world.camera(0, |camera| camera.broken = Some(Errno::IO));
    while source.health().cameras[0].unwrap().recoveries == 0 {
        next(&mut source, &world, 50);
    }
    pairs(&mut source, &world, 300);
    expect(&[&["left", "degraded"], &["left", "running"]]);
}

#[test]
fn a_skew_of_more_than_half_a_period_is_refused() {
    let world = World::new();
    for (ns, refused) in [(PERIOD / 2, false), (PERIOD / 2 + 1_000, true), (PERIOD, true)] {
        let wide = StereoOptions { max_skew: Some(Duration::from_nanos(ns)), ..options() };
        let message = open(&world, &wide).err().map(|error| error.to_string());
        assert_eq!(message.is_some(), refused, "{ns}: {message:?}");
        let said = |message: &String| message.contains("max_skew") && message.contains("12.500 ms");
        assert!(message.as_ref().is_none_or(said), "{message:?}");
    }
}
