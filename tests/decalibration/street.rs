//! The synthetic street: how long a knock goes unnoticed, and that a good rig never raises an alarm.

use crate::support::{Bend, Picture, Viewer, images};
use occdepth::decalibration::{Finding, State};
use occdepth::rig::demo_rig;
use occdepth_geometry::fit::{Fit, NetworkCameras};
use occdepth_geometry::rig::StereoRig;
use occdepth_street::{Rendering, Street};

const RATE_HZ: f64 = 10.0;

/// A drive whose cameras may be knocked.
struct Drive {
    rig: StereoRig,
    street: Street,
    seed: u64,
    frame: u32,
    rendering: Rendering,
}

impl Drive {
    fn new(seed: u64) -> (Self, Viewer) {
        let rig = demo_rig().unwrap();
        let cameras = NetworkCameras::new(&rig, Fit::Crop, rig.image_size).unwrap();
        let street = Street::new(seed, &rig).unwrap();
        let rendering = Rendering::default();
        (Self { rig, street, seed, frame: 0, rendering }, Viewer::new(&cameras))
    }

    /// From now on the right camera is bent; the calibration does not know.
    fn knock(&mut self, bend: Bend) {
        let mut rig = self.rig.clone();
        rig.right_from_left = bend.rotation().to_homogeneous() * rig.right_from_left;
        rig.right.intrinsics.fx *= 1.0 + bend.focal;
        rig.right.intrinsics.fy *= 1.0 + bend.focal;
        self.street = Street::new(self.seed, &rig).unwrap();
    }

    fn pair(&mut self) -> [Picture; 2] {
        self.street.render(f64::from(self.frame) / RATE_HZ, &mut self.rendering);
        self.frame += 1;
        let size = self.rig.image_size;
        let [width, height] = [size.width, size.height].map(|side| side as usize);
        [&self.rendering.left_rgb, &self.rendering.right_rgb]
            .map(|rgb| Picture::of_rgb(rgb, width, width, height))
    }

    fn images(&mut self) -> Vec<f32> {
        let [left, right] = self.pair();
        images(&left, &right)
    }

    fn step(&mut self, viewer: &mut Viewer) -> State {
        let images = self.images();
        viewer.show(&images).state
    }

    /// Frames until the watch says `state`, or something worse.
    fn until(&mut self, viewer: &mut Viewer, state: State, at_most: u32) -> u32 {
        for frame in 1..=at_most {
            if self.step(viewer) >= state {
                return frame;
            }
        }
        panic!("not {state} within {at_most} frames: {:?}", viewer.report());
    }

    /// Frames until the watch says ok.
    fn until_ok(&mut self, viewer: &mut Viewer, at_most: u32) -> u32 {
        (1..=at_most)
            .find(|_| self.step(viewer) == State::Ok)
            .unwrap_or_else(|| panic!("not ok in {at_most} frames: {:?}", viewer.report()))
    }
}

#[test]
fn a_good_rig_never_raises_an_alarm() {
    for seed in [1, 2, 3] {
        let (mut drive, mut viewer) = Drive::new(seed);
        let mut worst: f64 = 0.0;
        for _ in 0..200 {
            let state = drive.step(&mut viewer);
            assert!(
                state <= State::Ok,
                "seed {seed}, frame {}: {:?}",
                drive.frame,
                viewer.report()
            );
            assert!(!viewer.report().overdue);
            worst = worst.max(viewer.report().epipolar_error_px().unwrap_or(0.0));
        }
        println!("seed {seed}: worst error {worst:.3} px, last {:?}", viewer.report().estimate);
        assert_eq!(viewer.report().state, State::Ok);
    }
}

/// The promise, for every seed and every moment within a survey: the survey in which the knock falls, and as many
/// more as last the time of an alarm.
#[test]
fn a_knock_is_noticed_within_three_surveys_at_any_moment() {
    let none = Bend::default();
    for (bend, state) in [
        (Bend { pitch_deg: 0.3, ..none }, State::Lost),
        (Bend { pitch_deg: -0.3, ..none }, State::Lost),
        (Bend { roll_deg: 0.3, ..none }, State::Suspect),
        (Bend { roll_deg: -0.3, ..none }, State::Suspect),
        (Bend { focal: 0.01, ..none }, State::Suspect),
        (Bend { focal: -0.01, ..none }, State::Suspect),
    ] {
        let mut delays = Vec::new();
        for seed in [1, 2, 3, 4] {
            let (mut drive, mut viewer) = Drive::new(seed);
            drive.until_ok(&mut viewer, 30);
            let per_survey = viewer.watch.frames_per_survey();
            let most = 3 * per_survey;
            let good: Vec<_> = (0..per_survey).map(|_| drive.images()).collect();
            drive.frame -= per_survey;
            drive.knock(bend);
            let bent: Vec<_> = (0..per_survey + most).map(|_| drive.images()).collect();
            for phase in 0..per_survey as usize {
                let mut viewer = viewer.clone();
                for images in &good[..phase] {
                    assert_eq!(viewer.show(images).state, State::Ok);
                }
                let delay = (1..)
                    .zip(&bent[phase..])
                    .find(|(_, images)| viewer.show(images).state >= state);
                let Some((delay, _)) = delay else {
                    panic!("{bend:?}, seed {seed}, phase {phase}: {:?}", viewer.report());
                };
                assert!(delay <= most, "{bend:?}, seed {seed}, phase {phase}: {delay} frames");
                delays.push(delay);
            }
        }
        println!("{bend:?}: {state} after {delays:?} frames");
    }
}

/// At 640 x 192, half a per cent is a quarter of a pixel in the rows. It may take longer to be sure.
#[test]
fn half_a_per_cent_of_focal_length_is_found_on_small_images() {
    for seed in [1, 2, 3, 4] {
        for focal in [0.005, -0.005] {
            let (mut drive, mut viewer) = Drive::new(seed);
            drive.until_ok(&mut viewer, 30);
            drive.knock(Bend { focal, ..Bend::default() });
            let delay = drive.until(&mut viewer, State::Suspect, 32);
            println!(
                "seed {seed}, focal {focal}: suspect after {delay} frames, {}",
                viewer.report()
            );
        }
    }
}

#[test]
fn a_knock_is_measured_and_its_repair_noticed() {
    let none = Bend::default();
    for (bend, state, at_most) in [
        (Bend { pitch_deg: 0.3, ..none }, State::Lost, 16),
        (Bend { roll_deg: -0.3, ..none }, State::Suspect, 16),
        (Bend { focal: 0.015, ..none }, State::Suspect, 16),
        // Beyond the rows of the ordinary search.
        (Bend { pitch_deg: -4.0, ..none }, State::Lost, 60),
    ] {
        let (mut drive, mut viewer) = Drive::new(1);
        drive.until_ok(&mut viewer, 30);
        drive.knock(bend);
        let noticed = drive.until(&mut viewer, state, at_most);
        // The survey in which the knock fell is mixed; the next one is not.
        (0..4 * viewer.watch.frames_per_survey()).for_each(|_| {
            drive.step(&mut viewer);
        });
        let found = viewer.report().estimate.unwrap();
        println!("{bend:?}: {} after {noticed} frames; {found:?}", viewer.report().state);
        assert!(viewer.report().state >= state);
        let wrong = |found: f64, truth: f64| (found - truth).abs() > 0.03 + 0.02 * truth.abs();
        let pitch = found.pitch_rad.value.to_degrees();
        let roll = found.roll_rad.value.to_degrees();
        assert!(!wrong(pitch, bend.pitch_deg), "{bend:?}: pitch {pitch}");
        assert!(!wrong(roll, bend.roll_deg), "{bend:?}: roll {roll}");
        // To second order (v - p) / (1 + p v) has the term p^2 v, which is that of a focal error.
        let focal = bend.focal + bend.pitch_deg.to_radians().powi(2);
        assert!((found.focal.value - focal).abs() < 0.002, "{bend:?}: {found:?}");
        drive.knock(none);
        let repaired = drive.until_ok(&mut viewer, 100);
        println!("{bend:?}: ok again {repaired} frames after the repair");
        // Four seconds, of which the survey of the repair may be a part.
        assert!(repaired >= 36, "{repaired} frames");
    }
}

#[test]
fn swapped_cameras_are_named() {
    let (mut drive, mut viewer) = Drive::new(2);
    for _ in 0..60 {
        let [left, right] = drive.pair();
        viewer.show(&images(&right, &left));
    }
    assert_eq!(viewer.report().finding, Finding::Swapped, "{:?}", viewer.report());
    assert_eq!(viewer.report().state, State::Lost);
}

#[test]
fn a_yaw_that_puts_points_beyond_infinity_is_no_swap() {
    let (mut drive, mut viewer) = Drive::new(2);
    // The right camera looks further to the left: everything in it moves to the right.
    drive.knock(Bend { yaw_deg: 3.0, ..Bend::default() });
    for _ in 0..60 {
        drive.step(&mut viewer);
    }
    assert_eq!(viewer.report().finding, Finding::NegativeDisparity, "{:?}", viewer.report());
    assert!(viewer.report().state >= State::Suspect);
}

/// What a rig that was ok is, `seconds` after its right camera began to show something else.
fn after_a_fault(
    seconds: u32,
    mut right: impl FnMut(&[Picture; 2], &Picture) -> Picture,
) -> Viewer {
    let (mut drive, mut viewer) = Drive::new(1);
    drive.until_ok(&mut viewer, 30);
    let [_, last] = drive.pair();
    for _ in 0..10 * seconds {
        let pair = drive.pair();
        let right = right(&pair, &last);
        viewer.show(&images(&pair[0], &right));
    }
    println!("{:?}", viewer.report());
    viewer
}

#[test]
fn a_covered_camera_does_not_stay_ok() {
    let viewer =
        after_a_fault(11, |[left, _], _| Picture::new(left.width, left.height, |_, _| 3.0));
    assert_eq!(viewer.report().state, State::Unknown);
    assert!(viewer.report().overdue);
    assert_eq!(viewer.report().epipolar_error_px(), None);
}

#[test]
fn a_frozen_camera_does_not_stay_ok() {
    let viewer = after_a_fault(20, |_, frozen| frozen.clone());
    assert_ne!(viewer.report().state, State::Ok, "{:?}", viewer.report());
    assert!(viewer.report().state >= State::Suspect || viewer.report().overdue);
}

#[test]
fn a_camera_out_of_focus_does_not_stay_ok() {
    let viewer = after_a_fault(20, |[_, right], _| right.blurred(12).blurred(12));
    assert_ne!(viewer.report().state, State::Ok, "{:?}", viewer.report());
    assert!(viewer.report().state >= State::Suspect || viewer.report().overdue);
}

/// Nothing of the right view is in the left one, however far it is searched.
#[test]
fn a_camera_that_fell_off_is_suspect() {
    for bend in [
        Bend { pitch_deg: 14.0, ..Bend::default() },
        Bend { roll_deg: 25.0, ..Bend::default() },
        Bend { pitch_deg: -20.0, roll_deg: 70.0, yaw_deg: 15.0, ..Bend::default() },
    ] {
        let (mut drive, mut viewer) = Drive::new(3);
        drive.until_ok(&mut viewer, 30);
        drive.knock(bend);
        let delay = drive.until(&mut viewer, State::Suspect, 150);
        println!("{bend:?}: {} after {delay} frames", viewer.report());
    }
}
