//! Pictures that say nothing about the rig must not speak against it, nor for it.

use crate::support::{Picture, images, survey, watch};
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

/// Noise that is another one for every seed, 0 to 1.
fn noise(seed: usize) -> impl FnMut(usize, usize) -> f32 {
    move |x, y| {
        let mut hash = (seed * 1_000_003 + y * WIDTH + x) as u64;
        for _ in 0..3 {
            hash = (hash ^ (hash >> 29)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        }
        (hash >> 40) as f32 / (1 << 24) as f32
    }
}

fn nothing_to_say() -> Vec<(&'static str, Picture, Picture)> {
    let same = |picture: Picture| (picture.clone(), picture);
    let stripes = |down: usize, across: usize| {
        picture(move |x, y| if (x / across + y / down).is_multiple_of(2) { 40.0 } else { 200.0 })
    };
    let mut night = [noise(1), noise(2)];
    let [n1, n2] = &mut night;
    let dark = [picture(|x, y| 6.0 * n1(x, y)), picture(|x, y| 6.0 * n2(x, y))];
    let mut loud = [noise(3), noise(4)];
    let [n3, n4] = &mut loud;
    let loud = [picture(|x, y| 255.0 * n3(x, y)), picture(|x, y| 255.0 * n4(x, y))];
    let mut rows = noise(5);
    let bars = picture(|x, _| 255.0 * rows(x / 3, 0));
    let shifted = |by: usize| {
        picture(move |x, y| if (x / 8 + (y + by) / 8).is_multiple_of(2) { 40.0 } else { 200.0 })
    };
    let with = |name, (left, right)| (name, left, right);
    let [dark_left, dark_right] = dark;
    let [loud_left, loud_right] = loud;
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
        with("noise", (loud_left, loud_right)),
        with("one camera dark", (stripes(8, 8), picture(|_, _| 0.0))),
    ]
}

#[test]
fn they_are_no_evidence() {
    for (name, left, right) in nothing_to_say() {
        let mut watch = watch(&cameras());
        let report = survey(&mut watch, &images(&left, &right), 40);
        assert_eq!(report.state, State::Unknown, "{name}: {report:?}");
        assert_eq!(report.estimate, None, "{name}");
        assert_eq!(report.epipolar_error_px(), None, "{name}");
    }
}

#[test]
fn they_leave_the_state_and_let_the_measurement_age() {
    let mut street = Street::new(1, &demo_rig().unwrap()).unwrap();
    let mut rendering = Rendering::default();
    street.render(0.0, &mut rendering);
    let [left, right] = [&rendering.left_rgb, &rendering.right_rgb]
        .map(|rgb| Picture::of_rgb(rgb, WIDTH, WIDTH, HEIGHT));
    let mut watch = watch(&cameras());
    let before = survey(&mut watch, &images(&left, &right), 5);
    assert_eq!(before.state, State::Ok);
    assert!(before.epipolar_error_px().is_some());
    for (name, left, right) in nothing_to_say() {
        let after = survey(&mut watch, &images(&left, &right), 40);
        assert_eq!(after.state, State::Ok, "{name}");
        assert_eq!(after.estimate, before.estimate, "{name}");
    }
    assert!(watch.report().age_frames > 300);
    assert_eq!(watch.report().epipolar_error_px(), None);
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

#[test]
fn every_nth_frame_is_looked_at() {
    let config = WatchConfig { every: 3, ..WatchConfig::default() };
    let mut watch = Watch::new(&cameras(), &crate::support::NORMALISATION, &config).unwrap();
    let black = picture(|_, _| 0.0);
    let images = images(&black, &black);
    for _ in 0..watch.frames_per_survey() {
        watch.observe(&images);
    }
    assert_eq!(watch.report().surveys, 1);
    assert_eq!(watch.report().age_frames * 3, watch.frames_per_survey());
}
