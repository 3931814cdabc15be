//! The hysteresis is in time, by the stamps of the frames: at every rate, with gaps, and when stamps go wrong.

use crate::support::{NORMALISATION, Viewer, ideal, images, wall};
use occdepth::decalibration::{State, Watch, WatchConfig};
use occdepth_geometry::ImageSize;
use occdepth_geometry::fit::NetworkCameras;
use std::time::Duration;

const SIZE: ImageSize = ImageSize { width: 320, height: 192 };
const SECOND_NS: u64 = 1_000_000_000;

fn cameras() -> NetworkCameras {
    ideal(SIZE)
}

/// A wall seen by a good rig, and by one that is so many rows off.
fn seen(rows: usize) -> Vec<f32> {
    let [left, right] = wall(SIZE, 6, rows);
    images(&left, &right)
}

/// A rig that is ok, and the stamp of its last frame.
fn ok() -> (Watch, u64) {
    let mut viewer = Viewer::new(&cameras());
    viewer.until(&seen(0), State::Ok, 30);
    (viewer.watch, viewer.now_ns)
}

#[test]
fn an_alarm_takes_the_same_time_at_every_rate() {
    let [good, bent] = [0, 2].map(seen);
    for (rate_hz, every) in [(5, 1), (10, 1), (15, 1), (30, 1), (60, 1), (60, 3), (30, 2), (10, 3)]
    {
        let config = WatchConfig { every, ..WatchConfig::default() };
        let mut watch = Watch::new(&cameras(), &NORMALISATION, &config).unwrap();
        let mut now_ns = 0;
        let step_ns = SECOND_NS / rate_hz;
        let mut until = |state, images: &[f32]| {
            for frame in 1..=20 * rate_hz {
                now_ns += step_ns;
                if watch.observe(images, now_ns).state == state {
                    return (frame * step_ns) as f64 / SECOND_NS as f64;
                }
            }
            panic!("{rate_hz} Hz, every {every}: not {state}");
        };
        let survey_s = f64::from(every * cameras_per_survey()) / rate_hz as f64;
        for (what, took_s, least_s) in [
            ("first ok", until(State::Ok, &good), 1.0),
            ("lost", until(State::Lost, &bent), 1.0),
            ("repaired", until(State::Ok, &good), 4.0),
        ] {
            println!("{rate_hz} Hz, every {every}: {what} after {took_s:.2} s");
            // What is asked for, at least two surveys, and the one that is cut.
            let most_s = f64::max(least_s, survey_s) + 2.0 * survey_s;
            assert!(took_s >= least_s - survey_s, "{rate_hz} Hz, every {every}: {what} {took_s} s");
            assert!(took_s <= most_s + 1e-6, "{rate_hz} Hz, every {every}: {what} {took_s} s");
        }
    }
}

fn cameras_per_survey() -> u32 {
    Watch::new(&cameras(), &NORMALISATION, &WatchConfig::default()).unwrap().frames_per_survey()
}

/// Real images, so that what is skipped and what is not can be told by what is found.
#[test]
fn every_nth_frame_is_looked_at() {
    let config = WatchConfig { every: 3, ..WatchConfig::default() };
    let mut watch = Watch::new(&cameras(), &NORMALISATION, &config).unwrap();
    let [good, bent] = [0, 2].map(seen);
    let frames = watch.frames_per_survey();
    assert_eq!(frames, 3 * cameras_per_survey());
    for frame in 0..u64::from(20 * frames) {
        // The two that are skipped show a bent rig.
        watch.observe(if frame % 3 == 0 { &good } else { &bent }, frame * SECOND_NS / 30);
    }
    assert_eq!((watch.report().surveys, watch.report().state), (20, State::Ok));
    assert!(watch.report().epipolar_error_px().unwrap() < 0.1);
}

/// Whoever stops looking does not keep a state; skipped frames let time pass as well.
#[test]
fn skipped_frames_let_ok_lapse() {
    let config = WatchConfig { every: 1000, ..WatchConfig::default() };
    let mut watch = Watch::new(&cameras(), &NORMALISATION, &config).unwrap();
    let good = seen(0);
    for frame in 0..=10 {
        let report = watch.observe(&good, frame * SECOND_NS);
        assert_eq!(report.overdue, frame == 10, "frame {frame}");
    }
}

#[test]
fn a_gap_ends_a_state_and_a_survey() {
    let (mut watch, mut now_ns) = ok();
    let [good, bent] = [0, 2].map(seen);
    // Bands of a bent rig, an hour before the others of a good one.
    watch.observe(&bent, now_ns + 1);
    now_ns += 3600 * SECOND_NS;
    let report = watch.observe(&good, now_ns);
    assert_eq!((report.state, report.overdue), (State::Unknown, true));
    assert_eq!(report.epipolar_error_px(), None);
    let surveys = report.surveys;
    while watch.report().surveys == surveys {
        now_ns += SECOND_NS / 10;
        watch.observe(&good, now_ns);
    }
    let estimate = watch.report().estimate.unwrap();
    assert!(estimate.error_px.value < 0.1 && estimate.inliers == estimate.matches, "{estimate:?}");
    // Frames that are further apart than a measurement counts say nothing together.
    for _ in 0..200 {
        now_ns += 11 * SECOND_NS;
        assert_eq!(watch.observe(&bent, now_ns).state, State::Unknown);
    }
    assert!(watch.report().overdue);
}

#[test]
fn time_that_goes_backwards_is_harmless() {
    let good = seen(0);
    let step_ns = SECOND_NS / 10;
    // One wrong stamp, back to the start, and in between.
    for wrong_ns in [0, 1, 5 * SECOND_NS] {
        let (mut watch, mut now_ns) = ok();
        for frame in 0..60 {
            now_ns += step_ns;
            let stamp_ns = if frame % 20 == 7 { wrong_ns } else { now_ns };
            let report = watch.observe(&good, stamp_ns);
            assert_eq!(report.state, State::Ok, "frame {frame}: {report:?}");
            assert!(report.age <= Duration::from_secs(2));
        }
    }
    // A source that starts over, and one whose clock stands still.
    for restart_ns in [0, 3 * SECOND_NS] {
        let (mut watch, _) = ok();
        for frame in 0..60 {
            let report = watch.observe(&good, restart_ns + frame % 20 * step_ns);
            assert_eq!(report.state, State::Ok, "frame {frame}: {report:?}");
        }
    }
    let (mut watch, now_ns) = ok();
    for _ in 0..60 {
        assert_eq!(watch.observe(&good, now_ns).state, State::Ok);
    }
}

/// A stamp from the far future may cost the state, never more.
#[test]
fn a_wrong_stamp_ahead_is_survived() {
    let (mut watch, mut now_ns) = ok();
    let good = seen(0);
    assert_eq!(watch.observe(&good, u64::MAX).state, State::Unknown);
    let mut states = Vec::new();
    for _ in 0..30 {
        now_ns += SECOND_NS / 10;
        states.push(watch.observe(&good, now_ns).state);
    }
    assert_eq!(states.last(), Some(&State::Ok), "{states:?}");
    assert!(watch.report().fresh);
}
