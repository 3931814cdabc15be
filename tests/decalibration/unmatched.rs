//! Views full of structure that do not show the same, or not where it is searched first.

use crate::support::{Picture, Viewer, ideal, images, noise, wall};
use occdepth::decalibration::{Finding, State};
use occdepth_geometry::ImageSize;

const SIZE: ImageSize = ImageSize { width: 640, height: 192 };

fn texture(seed: u64) -> Picture {
    Picture::new(640, 192, |x, y| 255.0 * noise(seed, x / 3, y / 3))
}

/// A rig that was ok is suspect within the time that ok may last, and is not forgiven without a measurement.
#[test]
fn views_of_different_things_are_suspect() {
    let mut viewer = Viewer::new(&ideal(SIZE));
    let [left, right] = wall(SIZE, 8, 0);
    let good = images(&left, &right);
    viewer.until(&good, State::Ok, 30);
    let shown = images(&texture(1), &texture(2));
    let delay = viewer.until(&shown, State::Suspect, 100);
    println!("suspect after {delay} frames: {}", viewer.report());
    assert_eq!(viewer.report().finding, Finding::Unmatched);
    assert!(viewer.report().to_string().contains("do not show the same"), "{}", viewer.report());
    assert_eq!(viewer.survey(&shown, 100).state, State::Suspect);
    viewer.until(&good, State::Ok, 80);
    assert_eq!(viewer.report().finding, Finding::None);
}

/// So from the start: no measurement was ever made.
#[test]
fn views_that_never_matched_are_suspect() {
    let mut viewer = Viewer::new(&ideal(SIZE));
    let report = viewer.survey(&images(&texture(1), &texture(2)), 60);
    assert_eq!((report.state, report.finding), (State::Suspect, Finding::Unmatched));
    assert_eq!((report.estimate, report.epipolar_error_px()), (None, None));
    assert!(!report.overdue);
}

/// Parked in front of a wall, everything is nearer than the ordinary search reaches: no fault of the rig.
#[test]
fn a_wall_right_in_front_is_measured() {
    for disparity in [90, 140, 200] {
        let [left, right] = wall(SIZE, disparity, 0);
        let mut viewer = Viewer::new(&ideal(SIZE));
        let report = viewer.survey(&images(&left, &right), 40);
        assert_eq!(
            (report.state, report.finding),
            (State::Ok, Finding::None),
            "{disparity}: {report:?}"
        );
        assert!(report.epipolar_error_px().unwrap() < 0.1, "{disparity}: {report:?}");
        // And what is wrong with it is found there, too.
        let [left, right] = wall(SIZE, disparity, 2);
        viewer.until(&images(&left, &right), State::Lost, 80);
    }
}

/// Rows far from where they should be.
#[test]
fn a_large_offset_is_measured() {
    for rows in [16, 30, 55] {
        let [left, right] = wall(SIZE, 8, rows);
        let mut viewer = Viewer::new(&ideal(SIZE));
        viewer.until(&images(&left, &right), State::Lost, 80);
        let found = viewer.report().estimate.unwrap();
        assert!((found.error_px.value - rows as f64).abs() < 0.3, "{rows}: {found:?}");
    }
}
