//! Which images make a pair.

use crate::simulation::{PERIOD, World};
use crate::{next, open, options, pairs};
use occdepth_capture::stereo::{Fault, Mistrust, Pairing, SourceState, StereoOptions};
use occdepth_capture::{BufferPlane, FrameSource};
use proptest::prelude::*;

#[test]
fn two_cameras_deliver_every_exposure_as_a_pair() {
    let world = World::new();
    let mut source = open(&world, &options()).unwrap();
    assert_eq!(source.description().rate_hz, Some(40.0));
    let seen = pairs(&mut source, &world, 150);
    for (before, after) in seen.iter().zip(&seen[1..]) {
        assert_eq!(after.exposure, before.exposure + 1);
        assert_eq!(after.left_sequence, before.left_sequence + 1);
        assert_eq!((after.dropped, after.faulty), (0, 0));
    }
    let health = source.health();
    assert_eq!((health.state, health.pairing), (SourceState::Running, Some(Pairing::Timestamp)));
    assert_eq!((health.pairs, health.skew.count), (150, 150));
    assert_eq!((health.skew.min_ns, health.skew.max_ns), (1_000_000, 1_000_000));
    assert!(health.drift_ppm.unwrap().abs() < 1e-3);
    for camera in health.cameras {
        let camera = camera.unwrap();
        assert_eq!(camera.state, SourceState::Running);
        assert_eq!((camera.dropped, camera.unpaired, camera.fault_total()), (0, 0, 0));
    }
}

#[test]
fn a_late_caller_gets_the_newest_pair_and_no_queue() {
    let world = World::new();
    let mut source = open(&world, &options()).unwrap();
    let first = next(&mut source, &world, 200).unwrap();
    // Two periods and a half: three buffers of each are full, and none is too old.
    world.pass(PERIOD * 5 / 2);
    let second = next(&mut source, &world, 200).unwrap();
    assert!(second.exposure >= first.exposure + 2, "{first:?} {second:?}");
    assert_eq!(u64::from(second.dropped), second.exposure - first.exposure - 1);
    let third = next(&mut source, &world, 200).unwrap();
    assert_eq!((third.exposure, third.dropped), (second.exposure + 1, 0));
    assert!(source.health().cameras[0].unwrap().superseded > 0);
}

#[test]
fn old_images_of_a_driver_that_ran_out_of_buffers_are_given_up() {
    let world = World::new();
    let mut source = open(&world, &options()).unwrap();
    next(&mut source, &world, 200).unwrap();
    world.pass(40 * PERIOD);
    let start_ns = world.now_ns();
    let fresh = next(&mut source, &world, 200).unwrap();
    assert!(fresh.left_time_ns + 2 * PERIOD > start_ns, "{fresh:?} at {start_ns}");
    let health = source.health();
    assert!(health.stale_pairs > 0);
    // Not asking a camera for a second is no fault of it.
    assert_eq!(health.cameras.map(|camera| camera.unwrap().fault_total()), [0, 0]);
}

#[test]
fn a_camera_with_a_long_pipeline_is_not_starved() {
    let world = World::new();
    for camera in [0, 1] {
        world.camera(camera, |camera| camera.latency_ns = 5 * PERIOD);
    }
    let mut source = open(&world, &options()).unwrap();
    pairs(&mut source, &world, 20);
    // The first of all may have been there before anybody looked.
    assert!(source.health().stale_pairs <= 1);
}

#[test]
fn lost_images_leave_their_partners_unpaired() {
    let world = World::new();
    world.camera(0, |camera| camera.lost = |n| n % 5 == 0);
    world.camera(1, |camera| camera.lost = |n| n % 7 == 0);
    let mut source = open(&world, &options()).unwrap();
    let seen = pairs(&mut source, &world, 100);
    assert!(seen.iter().all(|pair| pair.exposure % 5 != 0 && pair.exposure % 7 != 0));
    let dropped: u64 = seen[1..].iter().map(|pair| u64::from(pair.dropped)).sum();
    assert_eq!(dropped, seen[99].exposure - seen[0].exposure - 99);
    let [left, right] = source.health().cameras.map(Option::unwrap);
    assert!(left.dropped > 20 && left.gaps > 20 && right.dropped > 15);
    assert!(left.unpaired > 10 && right.unpaired > 15, "{left:?} {right:?}");
}

#[test]
fn drift_is_seen() {
    let world = World::new();
    world.camera(1, |camera| camera.period_ns = PERIOD + 500); // 20 ppm slow
    let mut source = open(&world, &options()).unwrap();
    // Phases that far into a clock of 40 Hz are anywhere: pairs are of one time, not of one number.
    for _ in 0..300 {
        let _ = source.next(std::time::Duration::from_millis(200)).unwrap();
    }
    let health = source.health();
    assert!((health.drift_ppm.unwrap() + 20.0).abs() < 0.5, "{health:?}");
    assert!(health.skew.max_ns <= 12_500_250 && health.skew.min_ns >= -12_500_250);
}

#[test]
fn counters_that_wrap_make_no_gap() {
    let world = World::new();
    world.camera(0, |camera| camera.count_from = 0_u32.wrapping_sub(128));
    for pairing in [Pairing::Timestamp, Pairing::Sequence] {
        let mut source = open(&world, &StereoOptions { pairing, ..options() }).unwrap();
        let seen = pairs(&mut source, &world, 200);
        assert!(seen[1..].iter().all(|pair| pair.dropped == 0));
        assert!(seen[199].left_sequence > u64::from(u32::MAX));
        let health = source.health();
        assert_eq!(health.pairing, Some(pairing));
        assert_eq!(health.contradicted_pairs, 0);
        assert_eq!(health.cameras[0].unwrap().dropped, 0);
    }
}

#[test]
fn times_that_cannot_be_compared_fall_back_to_arrival_and_return() {
    // vivid's "Wrap Timestamp" on one camera or both, no times at all, another clock.
    let wrapped = Some((1 << 63) - 16_000_000_000 - 1_000_000_000_000);
    for (left, right) in [(wrapped, Some(0)), (wrapped, wrapped), (None, Some(0)), (None, None)] {
        let world = World::new();
        let mut source = open(&world, &options()).unwrap();
        pairs(&mut source, &world, 5);
        world.camera(0, |camera| camera.time_offset = left);
        world.camera(1, |camera| camera.time_offset = right);
        let now_ns = world.now_ns();
        let seen = pairs(&mut source, &world, 50);
        // The stamps are of our clock all the same.
        assert!(seen.iter().all(|pair| pair.left_time_ns.abs_diff(now_ns) < 100 * PERIOD));
        let health = source.health();
        assert_eq!((health.state, health.pairing), (SourceState::Degraded, Some(Pairing::Arrival)));
        assert_eq!(health.mistrust, Some(Mistrust::Unusable));
        for camera in [0, 1] {
            world.camera(camera, |camera| camera.time_offset = Some(0));
        }
        pairs(&mut source, &world, 50);
        let health = source.health();
        assert_eq!(
            (health.state, health.pairing),
            (SourceState::Running, Some(Pairing::Timestamp))
        );
    }
}

#[test]
fn start_and_end_of_exposure_are_not_compared() {
    let world = World::new();
    world.camera(1, |camera| camera.start_of_exposure = true);
    let mut source = open(&world, &options()).unwrap();
    pairs(&mut source, &world, 20);
    let health = source.health();
    assert_eq!(health.mistrust, Some(Mistrust::DifferentMoments));
    assert_eq!((health.state, health.pairing), (SourceState::Degraded, Some(Pairing::Arrival)));
}

#[test]
fn arrival_pairs_images_that_were_seen_coming() {
    let world = World::new();
    let arrival = StereoOptions { pairing: Pairing::Arrival, ..options() };
    let mut source = open(&world, &arrival).unwrap();
    for pause in [0, 1, 3, 10, 0, 7] {
        world.pass(pause * PERIOD);
        next(&mut source, &world, 200).unwrap();
    }
    assert_eq!(source.health().pairing, Some(Pairing::Arrival));
}

/// What the drivers' counters do must not make a pair of two moments, whatever the times are (`next` checks every pair).
#[test]
fn counters_that_lie_make_no_wrong_pair() {
    type Lie = fn(&mut crate::simulation::Camera);
    let lies: [(Lie, u64); 3] = [
        (|camera| camera.recount = true, 1),
        (|camera| camera.lose_uncounted = true, 0),
        (|camera| (camera.recount, camera.lose_uncounted) = (true, true), 1),
    ];
    for pairing in [Pairing::Timestamp, Pairing::Sequence, Pairing::Arrival] {
        for time_offset in [Some(0), None] {
            for (lie, restarts) in lies {
                let world = World::new();
                world.camera(0, |camera| camera.time_offset = time_offset);
                let options = StereoOptions { pairing, ..options() };
                let mut source = open(&world, &options).unwrap();
                for camera in [1, 0, 1] {
                    let before = pairs(&mut source, &world, 20)[19].exposure;
                    world.camera(camera, lie);
                    let after = pairs(&mut source, &world, 20)[19].exposure;
                    // Found anew at once, not after a while without pairs.
                    assert!(after - before <= 23, "{pairing} {time_offset:?}: {}", after - before);
                    // Without times a late caller must not get what lay in a queue by its number.
                    world.pass(PERIOD * 5 / 2);
                }
                let health = source.health();
                // A driver that says so need not be found out.
                assert!(restarts == 0 || health.contradicted_pairs == 0, "{health:?}");
                let restarted = health
                    .cameras
                    .map(|camera| camera.unwrap().faults.of(Fault::SequenceRestarted));
                assert_eq!(restarted, [restarts, 2 * restarts], "{pairing} {time_offset:?}");
            }
        }
    }
}

#[test]
fn a_driver_that_does_not_count_is_no_series_of_restarts() {
    for pairing in [Pairing::Timestamp, Pairing::Sequence] {
        let world = World::new();
        world.camera(0, |camera| camera.counts = false);
        let mut source = open(&world, &StereoOptions { pairing, ..options() }).unwrap();
        pairs(&mut source, &world, 150);
        world.camera(0, |camera| camera.lose_uncounted = true);
        pairs(&mut source, &world, 50);
        let health = source.health();
        assert_eq!(health.state, SourceState::Running);
        assert_eq!(health.cameras[0].unwrap().fault_total(), 0);
        assert_eq!(health.drift_ppm, None, "numbers that skip nothing tell no drift");
    }
}

#[test]
fn skew_is_not_a_mixture_of_clocks() {
    let world = World::new();
    let mut source = open(&world, &options()).unwrap();
    pairs(&mut source, &world, 20);
    world.camera(0, |camera| (camera.time_offset, camera.latency_ns) = (None, 6_000_000));
    pairs(&mut source, &world, 20);
    let skew = source.health().skew;
    assert_eq!((skew.min_ns, skew.max_ns), (1_000_000, 1_000_000), "by the drivers' times only");
}

/// A camera that comes after the start brings its rate with it.
#[test]
fn a_late_cameras_rate_counts() {
    let world = World::new();
    for camera in [0, 1] {
        world.camera(camera, |camera| (camera.unplugged, camera.period_ns) = (true, PERIOD / 3));
    }
    let alone = StereoOptions {
        start_without: true,
        format: Some(occdepth_capture::v4l2::FourCc(*b"GREY")),
        rate_hz: Some(30.0),
        ..options()
    };
    let mut source = open(&world, &alone).unwrap();
    for camera in [0, 1] {
        world.camera(camera, |camera| camera.unplugged = false);
    }
    world.camera(0, |camera| camera.lost = |n| n % 2 == 0);
    world.camera(1, |camera| {
        (camera.phase_ns, camera.lost) = (500_000, |n| n % 2 == 1);
    });
    // Every image's partner is lost: at 30 a second its neighbour would be near enough.
    for _ in 0..100 {
        assert_eq!(next(&mut source, &world, 100), None);
    }
}

/// For a GPU: which buffer a pair lies in, of which stream.
#[test]
fn lent_images_say_where_they_lie() {
    let world = World::new();
    let mut source = open(&world, &options()).unwrap();
    assert_eq!(source.lent_buffers(), [None, None]);
    pairs(&mut source, &world, 3);
    let [left, right] = source.lent_buffers().map(Option::unwrap);
    assert_eq!((left.camera, left.stream, right.camera, right.stream), (0, 1, 1, 1));
    assert!(left.buffer < 4 && left.chroma.is_none());
    let plane = BufferPlane { memory: 0, offset_bytes: 0, stride_bytes: 16 };
    assert_eq!((left.plane, right.plane), (plane, plane));
    // Simulated drivers export nothing; a camera that is none has nothing.
    assert!(source.export_buffers(0).unwrap().is_none());
    assert!(source.export_buffers(2).unwrap().is_none());
    world.camera(1, |camera| camera.broken = Some(rustix::io::Errno::IO));
    while source.health().cameras[1].unwrap().recoveries == 0 {
        next(&mut source, &world, 50);
    }
    next(&mut source, &world, 200);
    let [left, right] = source.lent_buffers().map(Option::unwrap);
    assert_eq!((left.stream, right.stream), (1, 2), "of another stream");
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, cases: 64, ..ProptestConfig::default() })]

    /// However the caller dawdles and whatever is lost: pairs of one exposure (`next` checks that), ever newer, and
    /// no buffer is queued twice (the simulation checks that) or kept.
    #[test]
    fn a_slow_caller_gets_pairs_of_one_moment(
        pauses in prop::collection::vec(0..6 * PERIOD, 1..60),
        phase in 0..PERIOD / 3,
        buffers in 2_usize..8,
        policy in prop::sample::select(vec![Pairing::Timestamp, Pairing::Sequence, Pairing::Arrival]),
        lossy in any::<bool>(),
    ) {
        let world = World::new();
        for camera in [0, 1] {
            world.camera(camera, |camera| camera.buffers = buffers);
        }
        world.camera(1, |camera| {
            // By arrival, phases have to be well within the limit.
            camera.phase_ns = if policy == Pairing::Arrival { phase / 2 } else { phase };
            if lossy {
                camera.lost = |n| n % 3 == 0;
            }
        });
        let options = StereoOptions { pairing: policy, ..options() };
        let mut source = open(&world, &options).unwrap();
        let mut last = None;
        for pause in pauses {
            world.pass(pause);
            let pair = next(&mut source, &world, 500);
            prop_assert!(pair.is_some());
            let exposure = pair.map(|pair| pair.exposure);
            prop_assert!(exposure > last);
            last = exposure;
        }
        drop(source);
        prop_assert!(world.state().cameras.iter().all(|camera| camera.open == 0));
    }
}
