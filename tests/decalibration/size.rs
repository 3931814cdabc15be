//! Every size that a network's images may have: the smallest, odd ones, very wide ones.

use crate::support::{NORMALISATION, Viewer, ideal, images, wall};
use occdepth::decalibration::{Finding, State, Watch, WatchConfig};
use occdepth_geometry::ImageSize;

const SIZES: [[u32; 2]; 16] = [
    [96, 96],
    [97, 99],
    [98, 101],
    [99, 98],
    [101, 103],
    [128, 97],
    [640, 510],
    [640, 511],
    [640, 512],
    [1219, 369],
    [1221, 371],
    [1226, 370],
    [2049, 129],
    [2560, 256],
    [4096, 97],
    [97, 1200],
];

#[test]
fn a_good_rig_is_ok_and_a_bent_one_is_found_at_every_size() {
    for [width, height] in SIZES {
        let size = ImageSize { width, height };
        let cameras = ideal(size);
        for rows in [0, 2] {
            let [left, right] = wall(size, 6, rows);
            let shown = images(&left, &right);
            let mut viewer = Viewer::new(&cameras);
            // Four surveys may be gathered for one fit, and two fits make a state.
            let report = viewer.survey(&shown, 12);
            let found = report.estimate.unwrap_or_else(|| panic!("{width}x{height}: {report:?}"));
            println!(
                "{width}x{height}, {} frames a survey, suspect from {:.2} px: {}, error {:.3} +- {:.3}, {} matches",
                viewer.watch.frames_per_survey(),
                report.suspect_px,
                report.state,
                found.error_px.value,
                found.error_px.sigma,
                found.matches,
            );
            assert_eq!(report.finding, Finding::None, "{width}x{height}: {report:?}");
            assert!(
                (found.error_px.value - rows as f64).abs() < 0.1,
                "{width}x{height}: {found:?}"
            );
            if rows == 0 {
                assert_eq!(report.state, State::Ok, "{width}x{height}: {report:?}");
            } else {
                assert!(report.state >= State::Suspect, "{width}x{height}: {report:?}");
            }
        }
    }
}

/// The threshold follows what a focal error does to the rows, so that the same error of the rig is found.
#[test]
fn the_threshold_follows_the_size_of_the_image() {
    let suspect = |width, height| {
        let config = WatchConfig::default();
        let cameras = ideal(ImageSize { width, height });
        let thresholds = *Watch::new(&cameras, &NORMALISATION, &config).unwrap().thresholds();
        assert!((thresholds.lost_px / thresholds.suspect_px - 3.75).abs() < 1e-9);
        thresholds.suspect_px
    };
    // Rows up to 185 px from the middle, 0.375 %: 185 / sqrt(3) * 0.00375.
    assert!((suspect(1220, 370) - 0.4).abs() < 0.005, "{}", suspect(1220, 370));
    assert!((suspect(640, 192) - 0.208).abs() < 0.005, "{}", suspect(640, 192));
    assert!((suspect(610, 185) - 0.2).abs() < 0.005, "{}", suspect(610, 185));
    // Finer than this is not measured.
    assert!((suspect(96, 96) - 0.104).abs() < 0.005, "{}", suspect(96, 96));
    let config = WatchConfig { suspect_px: Some(0.3), ..WatchConfig::default() };
    let cameras = ideal(ImageSize { width: 640, height: 192 });
    let thresholds = *Watch::new(&cameras, &NORMALISATION, &config).unwrap().thresholds();
    assert_eq!((thresholds.suspect_px, thresholds.lost_px), (0.3, 0.3 * 3.75));
    let config = WatchConfig { lost_px: Some(0.1), ..WatchConfig::default() };
    let thresholds = *Watch::new(&cameras, &NORMALISATION, &config).unwrap().thresholds();
    assert_eq!((thresholds.suspect_px, thresholds.lost_px), (0.1, 0.1));
}
