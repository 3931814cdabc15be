//! The shared photographs, corners included, against `OpenCV` on the same nine pairs.

use crate::support::{SIZE, golden, golden_pairs, robust, shared};
use occdepth_calibration::board::Board;
use occdepth_calibration::bundle::{Lens, Options, Pair};
use occdepth_calibration::corners::{CornerFinder, GreyImage};
use occdepth_calibration::quality::calibrate;

fn photographed(test: &str, finder: &CornerFinder) -> Option<Vec<Pair>> {
    let directory = shared(test, "data/chessboard")?;
    let pairs = (1..=9).map(|index| {
        let [left, right] = ["left", "right"].map(|view| {
            image::open(directory.join(format!("{view}{index:02}.jpg"))).unwrap().into_luma8()
        });
        let view = |image| GreyImage::new(SIZE, image).unwrap();
        finder
            .find_pair(&view(left.as_raw()), &view(right.as_raw()))
            .unwrap_or_else(|error| panic!("pair {index}: {error:?}"))
    });
    Some(pairs.collect())
}

#[test]
fn corners_and_calibration_are_as_good_as_opencv() {
    let test = "corners_and_calibration_are_as_good_as_opencv";
    let Some(golden) = golden(test) else { return };
    let board = Board::new(9, 6, 0.025).unwrap();
    let Some(pairs) = photographed(test, &CornerFinder::new(board)) else { return };
    // Every corner is the one that OpenCV found (they lie 20 px apart), in both views numbered alike.
    for (index, (pair, theirs)) in pairs.iter().zip(golden_pairs(&golden)).enumerate() {
        let far = |ours: &[[f64; 2]], theirs: &[[f64; 2]]| {
            let distances = ours.iter().zip(theirs).map(|(a, b)| (a[0] - b[0]).hypot(a[1] - b[1]));
            distances.fold(0.0, f64::max)
        };
        let mut theirs = theirs;
        if far(&pair.left, &theirs.left) > 5.0 {
            theirs.left.reverse();
            theirs.right.reverse();
        }
        let [left, right] = [far(&pair.left, &theirs.left), far(&pair.right, &theirs.right)];
        assert!(left < 2.0 && right < 2.0, "pair {}: {left:.2}, {right:.2}", index + 1);
    }
    for (model, lens) in
        [("radtan5", Lens::RadialTangential5), ("radtan8", Lens::RadialTangential8)]
    {
        // With all corners, as OpenCV; and with the few that do not fit left out, as the program does it.
        let all = Options { reject_outliers: false, ..robust(lens) };
        let theirs = |key: &str| golden["models"][model][key].as_f64().unwrap();
        for options in [all, robust(lens)] {
            let found = calibrate("photographs", &board, &pairs, &options).unwrap();
            let rms = found.adjustment.rms_px();
            let left_out = found.adjustment.outliers().count();
            assert!(left_out <= if options.reject_outliers { 5 } else { 0 }, "{left_out} of 972");
            assert!(rms <= theirs("rms_stereo"), "{model}: {rms}");
            let rows = found.rows;
            assert!(rows.mean_px <= theirs("vertical_disparity_mean_px"), "{model}: {rows:?}");
            assert!(rows.max_px <= theirs("vertical_disparity_max_px"), "{model}: {rows:?}");
        }
        let found = calibrate("photographs", &board, &pairs, &all).unwrap();
        // The same camera: within three tenths of a percent.
        let theirs_fx = golden["models"][model]["K1"][0][0].as_f64().unwrap();
        let fx = found.rig.left.intrinsics.fx;
        assert!((fx / theirs_fx - 1.0).abs() < 0.003, "{model}: {fx}, OpenCV {theirs_fx}");
    }
}

/// Each pair judged by the calibration of the eight others: nothing was fitted to it.
#[test]
fn pairs_that_were_not_used_fit_too() {
    let board = Board::new(9, 6, 0.025).unwrap();
    let Some(pairs) = photographed("pairs_that_were_not_used_fit_too", &CornerFinder::new(board))
    else {
        return;
    };
    for left_out in 0..pairs.len() {
        let mut others = pairs.clone();
        let judged = others.remove(left_out);
        let found = calibrate("others", &board, &others, &robust(Lens::RadialTangential5)).unwrap();
        let rows = found.vertical_disparity(&judged).unwrap().unwrap();
        assert!(rows.mean_px < 0.35, "pair {}: {rows:?}", left_out + 1);
    }
}
