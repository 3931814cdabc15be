//! Real pairs: as they are, and with the right image turned or scaled about the camera's centre.

use crate::support::{Bend, Picture, Viewer, images, noise, shared};
use occdepth::decalibration::{Estimate, Finding, State};
use occdepth_geometry::ImageSize;
use occdepth_geometry::fit::{Fit, NetworkCameras};
use occdepth_geometry::rig::StereoRig;

const NETWORK: ImageSize = ImageSize { width: 1220, height: 370 };

struct Pair {
    name: String,
    left: Picture,
    right: Picture,
}

fn pairs(test: &str) -> Option<(NetworkCameras, Vec<Pair>)> {
    let directory = shared(test, "data/kitti/sequences/08")?;
    let calibration = std::fs::read_to_string(directory.join("calib.txt")).unwrap();
    let mut size = None;
    let pairs: Vec<_> = (0..4)
        .map(|index| {
            let name = format!("{index:06}.png");
            let [left, right] = ["image_2", "image_3"].map(|view| {
                let rgb = image::open(directory.join(view).join(&name)).unwrap().to_rgb8();
                size = Some(ImageSize { width: rgb.width(), height: rgb.height() });
                let [width, height] = [NETWORK.width, NETWORK.height].map(|side| side as usize);
                Picture::of_rgb(rgb.as_raw(), rgb.width() as usize, width, height)
            });
            Pair { name, left, right }
        })
        .collect();
    let rig = StereoRig::from_kitti_calib(&calibration, "calib.txt", size.unwrap()).unwrap();
    Some((NetworkCameras::new(&rig, Fit::Crop, NETWORK).unwrap(), pairs))
}

/// What the watch finds in each pair after the right camera was bent, and the state that it ends in.
fn estimates((cameras, pairs): &(NetworkCameras, Vec<Pair>), bend: Bend) -> Vec<(Estimate, State)> {
    let homography = bend.homography(&cameras.right.view.k);
    pairs
        .iter()
        .map(|pair| {
            let right =
                if bend == Bend::default() { pair.right.clone() } else { pair.right.moved(&homography) };
            let report = Viewer::new(cameras).survey(&images(&pair.left, &right), 8);
            let found = report.estimate.unwrap();
            println!(
                "{} {bend:?}: {} error {:.3} +- {:.3} px, pitch {:.4} roll {:.4} yaw {:.4} deg (+- {:.4} {:.4} {:.4}), \
                 curvature {:.4} deg, focal {:.5} +- {:.5}, scatter {:.3} px, {}/{}",
                pair.name, report.state, found.error_px.value, found.error_px.sigma,
                found.pitch_rad.value.to_degrees(), found.roll_rad.value.to_degrees(), found.yaw_rad.value.to_degrees(),
                found.pitch_rad.sigma.to_degrees(), found.roll_rad.sigma.to_degrees(), found.yaw_rad.sigma.to_degrees(),
                found.curvature_rad.value.to_degrees(),
                found.focal.value, found.focal.sigma, found.scatter_px, found.inliers, found.matches,
            );
            assert_eq!(report.finding, Finding::None, "{}", pair.name);
            (found, report.state)
        })
        .collect()
}

#[test]
fn pairs_as_they_are_raise_no_alarm() {
    let Some(data) = pairs("pairs_as_they_are_raise_no_alarm") else { return };
    for (_, state) in estimates(&data, Bend::default()) {
        assert_eq!(state, State::Ok);
    }
}

#[test]
fn a_bend_is_found_on_every_pair_and_named() {
    let Some(data) = pairs("a_bend_is_found_on_every_pair_and_named") else { return };
    let still = estimates(&data, Bend::default());
    let none = Bend::default();
    for sign in [-1.0, 1.0] {
        for bend in [
            Bend { pitch_deg: 0.3 * sign, ..none },
            Bend { roll_deg: 0.3 * sign, ..none },
            Bend { focal: 0.005 * sign, ..none },
        ] {
            for ((before, _), (after, state)) in still.iter().zip(estimates(&data, bend)) {
                assert!(state >= State::Suspect, "{bend:?}: {state}");
                let pitch = (after.pitch_rad.value - before.pitch_rad.value).to_degrees();
                let roll = (after.roll_rad.value - before.roll_rad.value).to_degrees();
                let focal = after.focal.value - before.focal.value;
                // A tenth of what has to be found.
                assert!((pitch - bend.pitch_deg).abs() < 0.03, "{bend:?}: pitch {pitch}");
                assert!((roll - bend.roll_deg).abs() < 0.03, "{bend:?}: roll {roll}");
                assert!((focal - bend.focal).abs() < 0.0005, "{bend:?}: focal {focal}");
            }
        }
    }
}

/// The same scene as another moment would show it: noise of the sensor, and another exposure on the right.
fn retaken(picture: &Picture, seed: u64, gain: f32) -> Picture {
    let mut retaken = picture.clone();
    for (i, level) in retaken.levels.iter_mut().enumerate() {
        let [x, y] = [i % picture.width, i / picture.width];
        // Four uniform ones: nearly normal, of standard deviation 3.
        let noise: f32 = (0..4).map(|part| noise(4 * seed + part, x, y) - 0.5).sum();
        *level = (gain * *level + 3.0 / (4.0_f32 / 12.0).sqrt() * noise).round().clamp(0.0, 255.0);
    }
    retaken
}

/// One pair alone gives the same survey every time. With noise every survey is another one.
#[test]
fn a_noisy_drive_raises_no_alarm_and_a_bent_one_does_on_every_pair() {
    let name = "a_noisy_drive_raises_no_alarm_and_a_bent_one_does_on_every_pair";
    let Some((cameras, pairs)) = pairs(name) else { return };
    let none = Bend::default();
    for (bend, surveys) in [
        (none, 12),
        (Bend { pitch_deg: -0.3, ..none }, 4),
        (Bend { roll_deg: 0.3, ..none }, 4),
        (Bend { focal: 0.005, ..none }, 8),
        (Bend { focal: -0.005, ..none }, 8),
    ] {
        let homography = bend.homography(&cameras.right.view.k);
        for (which, pair) in (0..).zip(&pairs) {
            let right =
                if bend == none { pair.right.clone() } else { pair.right.moved(&homography) };
            let mut viewer = Viewer::new(&cameras);
            let (mut errors, mut sigmas) = (Vec::new(), Vec::new());
            for survey in 0..surveys {
                let seed = 1000 * which + 2 * survey;
                let left = retaken(&pair.left, seed, 1.0);
                let right = retaken(&right, seed + 1, 0.85 + 0.02 * survey as f32);
                let report = viewer.survey(&images(&left, &right), 1);
                assert!(bend != none || report.state <= State::Ok, "{}: {report:?}", pair.name);
                errors.extend(report.epipolar_error_px());
                sigmas.extend(report.estimate.map(|estimate| estimate.error_px.sigma));
            }
            println!(
                "{} noisy {bend:?}: {}, errors {errors:.3?}, sigmas {sigmas:.3?}",
                pair.name,
                viewer.report().state
            );
            if bend == none {
                assert_eq!(viewer.report().state, State::Ok, "{}", pair.name);
            } else {
                assert!(viewer.report().state >= State::Suspect, "{} {bend:?}", pair.name);
            }
        }
    }
}

#[test]
fn swapped_cameras_and_a_yaw_are_told_apart() {
    let Some((cameras, pairs)) = pairs("swapped_cameras_and_a_yaw_are_told_apart") else { return };
    let yaw = Bend { yaw_deg: 2.0, ..Bend::default() }.homography(&cameras.right.view.k);
    for pair in &pairs {
        let report = Viewer::new(&cameras).survey(&images(&pair.right, &pair.left), 8);
        assert_eq!(
            (report.finding, report.state),
            (Finding::Swapped, State::Lost),
            "{}",
            pair.name
        );
        let right = pair.right.moved(&yaw);
        let report = Viewer::new(&cameras).survey(&images(&pair.left, &right), 8);
        assert_eq!(report.finding, Finding::NegativeDisparity, "{}: {report:?}", pair.name);
        assert!(report.state >= State::Suspect, "{}: {report:?}", pair.name);
    }
}

/// A camera that hangs: nothing of one view is where the other one is searched. It must not stay ok.
#[test]
fn a_camera_that_points_elsewhere_does_not_stay_ok() {
    let Some((cameras, pairs)) = pairs("a_camera_that_points_elsewhere_does_not_stay_ok") else {
        return;
    };
    let none = Bend::default();
    for (bend, least) in [
        (Bend { pitch_deg: 7.0, ..none }, State::Suspect),
        (Bend { pitch_deg: -9.0, ..none }, State::Suspect),
        (Bend { roll_deg: 8.0, ..none }, State::Suspect),
        // Much of these views is black, for want of pixels: too little structure for a verdict, but not ok.
        (Bend { roll_deg: -30.0, ..none }, State::Unknown),
        (Bend { pitch_deg: 4.0, roll_deg: 10.0, yaw_deg: -12.0, ..none }, State::Unknown),
    ] {
        let homography = bend.homography(&cameras.right.view.k);
        for pair in &pairs {
            let mut viewer = Viewer::new(&cameras);
            viewer.survey(&images(&pair.left, &pair.right), 4);
            assert_eq!(viewer.report().state, State::Ok);
            let shown = images(&pair.left, &pair.right.moved(&homography));
            // Ok lasts ten seconds, and the surveys before may have ended half a second ago.
            let reports: Vec<_> = (0..110).map(|_| viewer.show(&shown)).collect();
            let left_ok = reports.iter().position(|report| report.state != State::Ok);
            let suspect = reports.iter().position(|report| report.state >= State::Suspect);
            println!(
                "{} {bend:?}: not ok after {left_ok:?}, suspect after {suspect:?} frames: {}",
                pair.name,
                viewer.report()
            );
            let last = viewer.report();
            assert!(last.state >= least && last.state != State::Ok, "{bend:?}: {last:?}");
            assert!(last.state >= State::Suspect || last.overdue, "{bend:?}: {last:?}");
        }
    }
}
