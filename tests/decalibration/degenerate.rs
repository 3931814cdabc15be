//! Pictures that say nothing about the rig must not speak against it, nor for it.

use crate::support::{Picture, Viewer, images, noise};
use occdepth::decalibration::{State, Watch, WatchConfig, WatchError};
use occdepth::rig::demo_rig;
use occdepth_geometry::ImageSize;
use occdepth_geometry::fit::{Fit, NetworkCameras};
use occdepth_street::{Rendering, Street};

const WIDTH: usize = 640;
const HEIGHT: usize = 192;

fn cameras() -> NetworkCameras {
    let rig = demo_rig().unwrap();
    NetworkCameras::new(&rig, Fit::Crop, rig.image_size).unwrap()
}

fn picture(level: impl FnMut(usize, usize) -> f32) -> Picture {
    Picture::new(WIDTH, HEIGHT, level)
}

fn nothing_to_say() -> Vec<(&'static str, Picture, Picture)> {
    let same = |picture: Picture| (picture.clone(), picture);
    let stripes = |down: usize, across: usize| {
        picture(move |x, y| if (x / across + y / down).is_multiple_of(2) { 40.0 } else { 200.0 })
    };
    let dark = [1, 2].map(|seed| picture(|x, y| 6.0 * noise(seed, x, y)));
    // A sensor at its highest gain: a standard deviation of 20 levels, and nothing else.
    let gain = [3, 4].map(|seed| picture(|x, y| 10.0 + 70.0 * noise(seed, x, y)));
    let bars = picture(|x, _| 255.0 * noise(5, x / 3, 0));
    let shifted = |by: usize| {
        picture(move |x, y| if (x / 8 + (y + by) / 8).is_multiple_of(2) { 40.0 } else { 200.0 })
    };
    let with = |name, (left, right)| (name, left, right);
    let [dark_left, dark_right] = dark;
    let [gain_left, gain_right] = gain;
    vec![
        with("black", same(picture(|_, _| 0.0))),
        with("grey", same(picture(|_, _| 117.0))),
        with("white", same(picture(|_, _| 255.0))),
        with("a slope", same(picture(|x, y| (x / 8 + y / 4) as f32))),
        with("bars", same(bars)),
        with("stripes", same(stripes(1000, 6))),
        with("a chessboard", same(stripes(8, 8))),
        with("a chessboard, four rows off", (shifted(0), shifted(4))),
        with("noise at night", (dark_left, dark_right)),
        with("noise at the highest gain", (gain_left, gain_right)),
        with("one camera dark", (stripes(8, 8), picture(|_, _| 0.0))),
    ]
}

#[test]
fn they_are_no_evidence() {
    for (name, left, right) in nothing_to_say() {
        let report = Viewer::new(&cameras()).survey(&images(&left, &right), 60);
        assert_eq!(report.state, State::Unknown, "{name}: {report:?}");
        assert_eq!(report.estimate, None, "{name}");
        assert_eq!(report.epipolar_error_px(), None, "{name}");
        assert!(report.overdue, "{name}: not known for 24 s");
    }
}

/// Fog may lie on the road for a while. What was ok is then not ok for ever; what was wrong is not forgiven.
#[test]
fn they_let_ok_lapse_and_an_alarm_stand() {
    let mut street = Street::new(1, &demo_rig().unwrap()).unwrap();
    let mut rendering = Rendering::default();
    street.render(0.0, &mut rendering);
    let [left, right] = [&rendering.left_rgb, &rendering.right_rgb]
        .map(|rgb| Picture::of_rgb(rgb, WIDTH, WIDTH, HEIGHT));
    let good = images(&left, &right);
    let mut well = Viewer::new(&cameras());
    well.until(&good, State::Ok, 30);
    let mut wrong = well.clone();
    let lower = Picture::new(WIDTH, HEIGHT, |x, y| right.levels[y.saturating_sub(3) * WIDTH + x]);
    wrong.until(&images(&left, &lower), State::Lost, 30);
    for (name, left, right) in nothing_to_say() {
        let shown = images(&left, &right);
        let mut viewer = well.clone();
        for frame in 1..100 {
            let report = viewer.show(&shown);
            assert_eq!(report.state, State::Ok, "{name}, frame {frame}");
            assert_eq!(report.age.as_millis(), frame * 100, "{name}, frame {frame}");
            assert!(report.epipolar_error_px().is_some() && !report.overdue, "{name}");
        }
        // Ten seconds.
        let report = viewer.show(&shown);
        assert_eq!((report.state, report.overdue), (State::Unknown, true), "{name}");
        assert_eq!(report.epipolar_error_px(), None, "{name}");
        assert_eq!(report.estimate, well.report().estimate, "{name}");
        assert!(report.to_string().contains("measured 10 s ago"), "{report}");
        // It clears up.
        viewer.until(&good, State::Ok, 30);
        assert!(!viewer.report().overdue, "{name}");

        let mut viewer = wrong.clone();
        assert_eq!(viewer.survey(&shown, 60).state, State::Lost, "{name}");
        viewer.until(&good, State::Ok, 60);
    }
}

#[test]
fn images_that_are_too_small_are_refused() {
    let mut cameras = cameras();
    cameras.size = ImageSize { width: 640, height: 60 };
    let error = Watch::new(&cameras, &crate::support::NORMALISATION, &WatchConfig::default());
    let error = error.unwrap_err();
    assert!(matches!(error, WatchError::ImageSize { .. }));
    assert!(error.to_string().contains("640x60"), "{error}");
}

/// Values that are no numbers, all over or here and there: no panic, no invented measurement.
#[test]
fn values_that_are_no_numbers_say_nothing() {
    let good = images(&blotches(0), &blotches(0));
    let pixels = WIDTH * HEIGHT;
    for (name, which) in [
        ("everywhere", (|_, _| true) as fn(usize, usize) -> bool),
        ("left", |view, _| view == 0),
        ("right", |view, _| view == 1),
        ("every tenth pixel", |_, pixel| pixel % 10 == 0),
    ] {
        for bad in [f32::NAN, f32::INFINITY, f32::MAX] {
            let mut shown = good.clone();
            for (i, value) in shown.iter_mut().enumerate() {
                if which(i / (3 * pixels), i % pixels) {
                    *value = bad;
                }
            }
            let report = Viewer::new(&cameras()).survey(&shown, 30);
            assert_eq!((report.state, report.estimate), (State::Unknown, None), "{name} {bad}");
        }
    }
    // In one corner: the rest is measured.
    let mut shown = good;
    for (i, value) in shown.iter_mut().enumerate() {
        if i % WIDTH < 200 && i % pixels < 60 * WIDTH {
            *value = f32::NAN;
        }
    }
    let report = Viewer::new(&cameras()).survey(&shown, 6);
    assert_eq!(report.state, State::Ok, "{report:?}");
    assert!(report.epipolar_error_px().unwrap() < 0.05, "{report:?}");
}

/// Structure everywhere, at infinity.
fn blotches(rows: usize) -> Picture {
    let [left, _] = crate::support::wall(cameras().size, 0, rows);
    left
}
