//! What happens when cameras fail, at the moment of the test's choice.

use crate::simulation::{self, PERIOD, SIZE, World};
use crate::{next, open, options, pairs};
use occdepth_capture::stereo::{Fault, Pairing, Retry, SourceState, StereoCameras, StereoOptions};
use occdepth_capture::v4l2::{DeviceError, FourCc};
use occdepth_capture::{CaptureError, FrameSource};
use occdepth_geometry::ImageSize;
use proptest::prelude::*;
use rustix::io::Errno;
use std::time::Duration;

fn running() -> (World, StereoCameras) {
    let world = World::new();
    let mut source = open(&world, &options()).unwrap();
    pairs(&mut source, &world, 5);
    assert_eq!(source.health().state, SourceState::Running);
    (world, source)
}

/// Calls until there is a pair again; how many calls brought none.
fn until_back(source: &mut StereoCameras, world: &World) -> u32 {
    let silent = (0..1000).position(|_| next(source, world, 50).is_some());
    u32::try_from(silent.expect("it comes back")).unwrap()
}

fn states(source: &StereoCameras) -> [SourceState; 3] {
    let health = source.health();
    let [left, right] = health.cameras.map(Option::unwrap);
    [health.state, left.state, right.state]
}

#[test]
fn an_unplugged_camera_is_lost_until_it_returns() {
    let (world, mut source) = running();
    world.camera(1, |camera| camera.unplugged = true);
    for _ in 0..100 {
        assert_eq!(next(&mut source, &world, 200), None);
    }
    assert_eq!(states(&source), [SourceState::Lost, SourceState::Running, SourceState::Lost]);
    let attempts = world.state().cameras[1].attempts;
    // 20 s: 50, 100, ... ms and then every 5 s.
    assert!((8..=12).contains(&attempts), "{attempts} attempts");
    assert_eq!(world.state().cameras[1].open, 0, "a descriptor is held");
    world.camera(1, |camera| camera.unplugged = false);
    until_back(&mut source, &world);
    assert_eq!(states(&source), [SourceState::Running; 3]);
    let right = source.health().cameras[1].unwrap();
    assert_eq!(right.recoveries, 1);
    assert_eq!(right.faults.of(Fault::Disconnected), u64::from(attempts));
    pairs(&mut source, &world, 50);
}

#[test]
fn a_broken_stream_is_rebuilt_once() {
    let (world, mut source) = running();
    world.camera(0, |camera| camera.broken = Some(Errno::IO));
    let silent = until_back(&mut source, &world);
    assert!(silent <= 3, "{silent} calls");
    pairs(&mut source, &world, 5);
    let [left, right] = source.health().cameras.map(Option::unwrap);
    assert_eq!((left.faults.of(Fault::StreamBroken), left.recoveries), (1, 1));
    assert_eq!((right.fault_total(), world.state().cameras[1].attempts), (0, 1));
    assert_eq!(source.health().state, SourceState::Running);
}

#[test]
fn a_silent_camera_is_opened_anew() {
    let (world, mut source) = running();
    world.camera(0, |camera| camera.silent = true);
    for _ in 0..40 {
        assert_eq!(next(&mut source, &world, 200), None);
    }
    assert_eq!(states(&source)[0], SourceState::Lost);
    let silent = source.health().cameras[0].unwrap().faults.of(Fault::Silent);
    assert!((2..=6).contains(&silent), "{silent}");
    world.camera(0, |camera| camera.silent = false);
    until_back(&mut source, &world);
    assert_eq!(source.health().state, SourceState::Running);
}

#[test]
fn damaged_images_are_counted_and_never_lent() {
    let (world, mut source) = running();
    world.camera(1, |camera| camera.damaged = |n| n % 2 == 0);
    let seen = pairs(&mut source, &world, 60);
    // The two that were on their way when it began may be whole.
    assert!(seen[2..].iter().all(|pair| pair.exposure % 2 == 1 && pair.faulty == 1));
    assert_eq!(
        states(&source),
        [SourceState::Degraded, SourceState::Running, SourceState::Degraded]
    );
    assert!(source.health().cameras[1].unwrap().damaged >= 58);
    world.camera(1, |camera| camera.damaged = |_| false);
    pairs(&mut source, &world, 60);
    assert_eq!(source.health().state, SourceState::Running);
    assert_eq!(source.health().cameras[1].unwrap().fault_total(), 0);
}

#[test]
fn short_images_are_never_lent() {
    let (world, mut source) = running();
    world.camera(0, |camera| camera.short = 1);
    for _ in 0..4 {
        assert_eq!(next(&mut source, &world, 200), None);
    }
    let left = source.health().cameras[0].unwrap();
    assert!(left.unreadable > 20 && left.damaged == 0, "{left:?}");
    world.camera(0, |camera| camera.short = 0);
    until_back(&mut source, &world);
}

#[test]
fn a_buffer_that_is_not_taken_back_ends_the_stream() {
    let (world, mut source) = running();
    world.camera(0, |camera| camera.queue_failure = true);
    until_back(&mut source, &world);
    let left = source.health().cameras[0].unwrap();
    assert_eq!((left.faults.of(Fault::Refused), left.recoveries), (1, 1));
    assert_eq!(source.health().state, SourceState::Running);
}

#[test]
fn a_stream_that_does_not_start_is_tried_again() {
    let (world, mut source) = running();
    let device = || "/dev/sim1".to_owned();
    world.camera(1, |camera| {
        camera.broken = Some(Errno::IO);
        for request in ["VIDIOC_STREAMON", "VIDIOC_REQBUFS"] {
            let errno = Errno::INVAL;
            camera.open_failures.push_back(DeviceError::Request {
                device: device(),
                request,
                errno,
            });
        }
        camera
            .open_failures
            .push_back(DeviceError::Busy { device: device(), request: "VIDIOC_S_FMT" });
    });
    until_back(&mut source, &world);
    let right = source.health().cameras[1].unwrap();
    assert_eq!((right.faults.of(Fault::Refused), right.faults.of(Fault::Busy)), (2, 1));
    assert_eq!((right.faults.of(Fault::StreamBroken), right.recoveries), (1, 1));
}

#[test]
fn another_size_is_refused_until_it_is_the_old_one_again() {
    let (world, mut source) = running();
    world.camera(1, |camera| {
        camera.source_changed = true;
        camera.size = ImageSize { width: 32, height: 8 };
    });
    for _ in 0..20 {
        assert_eq!(next(&mut source, &world, 200), None);
    }
    assert_eq!(states(&source)[0], SourceState::Lost);
    assert!(source.health().cameras[1].unwrap().faults.of(Fault::FormatChanged) > 2);
    assert_eq!(world.state().cameras[1].open, 0);
    world.camera(1, |camera| camera.size = SIZE);
    until_back(&mut source, &world);
    assert_eq!(source.health().state, SourceState::Running);
}

#[test]
fn a_counter_that_starts_anew_is_no_wrap() {
    let (world, mut source) = running();
    world.camera(0, |camera| camera.broken = Some(Errno::IO));
    let before = next(&mut source, &world, 10);
    assert_eq!(before, None);
    until_back(&mut source, &world);
    let seen = pairs(&mut source, &world, 5);
    assert!(seen.iter().all(|pair| pair.dropped == 0 && pair.left_sequence < 100), "{seen:?}");
}

#[test]
fn opening_is_not_waited_for() {
    let (world, mut source) = running();
    world.camera(0, |camera| {
        camera.opening_ns = 3_000_000_000;
        camera.broken = Some(Errno::IO);
    });
    // `next` checks that no call takes longer than it may.
    for _ in 0..100 {
        assert_eq!(next(&mut source, &world, 20), None);
    }
    until_back(&mut source, &world);
}

#[test]
fn a_source_that_may_give_up_says_that_it_is_lost() {
    let world = World::new();
    let retry = Retry { attempts: Some(3), ..Retry::default() };
    let mut source = open(&world, &StereoOptions { retry, ..options() }).unwrap();
    pairs(&mut source, &world, 5);
    world.camera(0, |camera| camera.unplugged = true);
    let error = loop {
        if let Err(error) = source.next(Duration::from_millis(200)) {
            break error;
        }
    };
    assert!(matches!(&error, CaptureError::Lost { origin, .. } if origin.contains("/dev/sim0")));
    assert!(source.next(Duration::ZERO).is_err(), "lost for good");
    assert_eq!(world.state().cameras[0].attempts, 4);
}

#[test]
fn a_camera_that_is_missing_at_the_start_is_waited_for_then_refused() {
    let world = World::new();
    world.camera(1, |camera| camera.unplugged = true);
    let start_ns = world.now_ns();
    let error = open(&world, &options()).unwrap_err();
    assert_eq!(world.now_ns() - start_ns, 5_000_000_000);
    let CaptureError::Open { origin, cause } = error else { panic!("{error}") };
    assert!(origin.contains("right camera /dev/sim1"), "{origin}");
    assert!(cause.to_string().contains("no such device"), "{cause}");
    assert!(world.state().cameras.iter().all(|camera| camera.open == 0));
}

#[test]
fn a_source_may_start_without_its_cameras() {
    let world = World::new();
    for camera in [0, 1] {
        world.camera(camera, |camera| camera.unplugged = true);
    }
    let alone = StereoOptions { start_without: true, format: Some(FourCc(*b"GREY")), ..options() };
    let mut source = open(&world, &alone).unwrap();
    assert_eq!(next(&mut source, &world, 100), None);
    assert_eq!(source.health().state, SourceState::Lost);
    for camera in [1, 0] {
        world.camera(camera, |camera| camera.unplugged = false);
        next(&mut source, &world, 100);
    }
    until_back(&mut source, &world);
    assert_eq!(source.health().state, SourceState::Running);
}

#[test]
fn cameras_of_different_formats_are_refused_at_the_start() {
    let world = World::new();
    world.camera(1, |camera| camera.code = *b"YUYV");
    let error = open(&world, &options()).unwrap_err();
    assert!(matches!(error, CaptureError::Configuration { .. }), "{error}");
    let text = error.to_string();
    assert!(text.contains("/dev/sim1") && text.contains("YUYV") && text.contains("GREY"), "{text}");
}

/// The kernel tells once that a source changed, also while the other camera is away.
#[test]
fn a_change_is_not_missed_while_the_other_camera_is_away() {
    let (world, mut source) = running();
    world.camera(1, |camera| camera.unplugged = true);
    for _ in 0..10 {
        next(&mut source, &world, 50);
    }
    world.camera(0, |camera| camera.source_changed = true);
    for _ in 0..10 {
        next(&mut source, &world, 50);
    }
    let left = source.health().cameras[0].unwrap();
    assert_eq!(left.faults.of(Fault::FormatChanged), 1);
    assert_eq!(world.state().cameras[0].attempts, 2, "built anew");
}

/// udev gives a new node to its group a moment after it appears.
#[test]
fn a_node_that_is_not_its_groups_yet_is_waited_for() {
    let refused = |may_change| DeviceError::Permission {
        device: "/dev/sim1".into(),
        found: "a process outside".into(),
        expected: "a member".into(),
        may_change,
    };
    let world = World::new();
    world.camera(1, |camera| camera.open_failures.extend([refused(true), refused(true)]));
    let mut source = open(&world, &options()).unwrap();
    pairs(&mut source, &world, 5);
    assert_eq!(source.health().cameras[1].unwrap().faults.of(Fault::Refused), 2);
    // Nobody's group changes by waiting.
    let world = World::new();
    let start_ns = world.now_ns();
    world.camera(1, |camera| camera.open_failures.push_back(refused(false)));
    let error = open(&world, &options()).unwrap_err();
    assert!(matches!(error, CaptureError::Open { .. }), "{error}");
    assert!(world.now_ns() - start_ns < 100_000_000);
}

/// A control that cannot be what it should be is refused at the start, by name, and is no change of format.
#[test]
fn a_control_that_is_refused_is_said_at_the_start() {
    let world = World::new();
    let control = |transient| DeviceError::Control {
        device: "/dev/sim0".into(),
        control: "gain".into(),
        found: "7 without effect".into(),
        expected: "another".into(),
        transient,
    };
    world.camera(0, |camera| camera.open_failures.push_back(control(false)));
    let error = open(&world, &options()).unwrap_err();
    assert!(matches!(error, CaptureError::Configuration { .. }), "{error}");
    assert!(error.to_string().contains("control gain"), "{error}");
    world.camera(0, |camera| camera.open_failures.push_back(control(true)));
    let source = open(&world, &options()).unwrap();
    let faults = source.health().cameras[0].unwrap().faults;
    assert_eq!((faults.of(Fault::Refused), faults.of(Fault::FormatChanged)), (1, 0));
}

/// A driver whose first open never ends.
#[test]
fn a_camera_that_never_opens_is_lost() {
    let world = World::new();
    world.camera(1, |camera| camera.opening_ns = u64::MAX / 2);
    let alone = StereoOptions { start_without: true, format: Some(FourCc(*b"GREY")), ..options() };
    let mut source = open(&world, &alone).unwrap();
    for _ in 0..30 {
        assert_eq!(next(&mut source, &world, 100), None);
    }
    assert_eq!(states(&source), [SourceState::Lost, SourceState::Running, SourceState::Lost]);
}

/// One thing that a test does to a camera.
#[derive(Clone, Copy, Debug)]
enum Blow {
    Unplug,
    Plug,
    Break,
    Silence(bool),
    Damage(bool),
    Refuse,
    RefuseBuffer,
    Change,
    Times(Option<u64>),
    Recount,
    LoseUncounted,
    Pause(u64),
}

fn blow() -> impl Strategy<Value = Blow> {
    prop_oneof![
        Just(Blow::Unplug),
        Just(Blow::Plug),
        Just(Blow::Break),
        any::<bool>().prop_map(Blow::Silence),
        any::<bool>().prop_map(Blow::Damage),
        Just(Blow::Refuse),
        Just(Blow::RefuseBuffer),
        Just(Blow::Change),
        Just(Blow::Recount),
        Just(Blow::LoseUncounted),
        prop_oneof![Just(None), Just(Some(0)), any::<u64>().prop_map(Some)].prop_map(Blow::Times),
        (0..20 * PERIOD).prop_map(Blow::Pause),
    ]
}

fn strike(world: &World, camera: usize, blow: Blow) {
    if let Blow::Pause(ns) = blow {
        return world.pass(ns);
    }
    world.camera(camera, |camera| match blow {
        Blow::Unplug => camera.unplugged = true,
        Blow::Plug => camera.unplugged = false,
        Blow::Break => camera.broken = Some(Errno::IO),
        Blow::Silence(silent) => camera.silent = silent,
        Blow::Damage(damaged) => camera.damaged = if damaged { |_| true } else { |_| false },
        Blow::Refuse => camera.open_failures.push_back(DeviceError::Request {
            device: "/dev/sim".into(),
            request: "VIDIOC_STREAMON",
            errno: Errno::INVAL,
        }),
        Blow::RefuseBuffer => camera.queue_failure = true,
        Blow::Change => camera.source_changed = true,
        Blow::Recount => camera.recount = true,
        Blow::LoseUncounted => camera.lose_uncounted = true,
        Blow::Times(offset) => camera.time_offset = offset,
        Blow::Pause(_) => {}
    });
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, cases: 128, ..ProptestConfig::default() })]

    /// Any series of faults: pairs are of one moment and calls end in time (`next` checks both), no buffer is queued
    /// twice and no camera opened twice (the simulation checks both), and when all is well again there are pairs.
    #[test]
    fn no_series_of_faults_is_fatal(
        blows in prop::collection::vec((0_usize..2, blow(), 1_usize..20), 1..40),
        pairing in prop::sample::select(vec![Pairing::Timestamp, Pairing::Sequence, Pairing::Arrival]),
    ) {
        let world = World::new();
        let mut source = open(&world, &StereoOptions { pairing, ..options() }).unwrap();
        for (camera, blow, calls) in blows {
            strike(&world, camera, blow);
            for _ in 0..calls {
                next(&mut source, &world, 30);
            }
        }
        for camera in [0, 1] {
            for blow in [Blow::Plug, Blow::Silence(false), Blow::Damage(false), Blow::Times(Some(0))] {
                strike(&world, camera, blow);
            }
        }
        until_back(&mut source, &world);
        // Long enough for damage, mistrust and relapses to be forgotten.
        for _ in 0..300 {
            prop_assert!(next(&mut source, &world, 500).is_some());
        }
        prop_assert_eq!(source.health().state, SourceState::Running);
        // Each camera has lent no more than the caller and the windows hold.
        let held = world.state().cameras.iter().map(simulation::Camera::held).max();
        prop_assert!(held <= Some(3), "{:?} buffers", held);
        drop(source);
        prop_assert!(world.state().cameras.iter().all(|camera| camera.open == 0));
    }
}
