//! The synthetic street: how long a knock goes unnoticed, and that a good rig never raises an alarm.

use crate::support::{Bend, Picture, images, watch};
use occdepth::decalibration::{Finding, State, Watch};
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
    fn new(seed: u64) -> (Self, Watch) {
        let rig = demo_rig().unwrap();
        let cameras = NetworkCameras::new(&rig, Fit::Crop, rig.image_size).unwrap();
        let street = Street::new(seed, &rig).unwrap();
        let rendering = Rendering::default();
        (Self { rig, street, seed, frame: 0, rendering }, watch(&cameras))
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

    fn step(&mut self, watch: &mut Watch) -> State {
        let [left, right] = self.pair();
        watch.observe(&images(&left, &right)).state
    }

    /// Frames until the watch says `state`.
    fn until(&mut self, watch: &mut Watch, state: State, at_most: u32) -> u32 {
        for frame in 1..=at_most {
            if self.step(watch) == state {
                return frame;
            }
        }
        panic!("not {state} within {at_most} frames: {:?}", watch.report());
    }
}

#[test]
fn a_good_rig_never_raises_an_alarm() {
    for seed in [1, 2, 3] {
        let (mut drive, mut watch) = Drive::new(seed);
        let mut worst: f64 = 0.0;
        for _ in 0..200 {
            let state = drive.step(&mut watch);
            assert!(state <= State::Ok, "seed {seed}, frame {}: {:?}", drive.frame, watch.report());
            worst = worst.max(watch.report().epipolar_error_px().unwrap_or(0.0));
        }
        println!("seed {seed}: worst error {worst:.3} px, last {:?}", watch.report().estimate);
        assert_eq!(watch.report().state, State::Ok);
    }
}

#[test]
fn a_knock_is_found_and_its_repair_noticed() {
    let none = Bend::default();
    for (bend, state) in [
        (Bend { pitch_deg: 0.3, ..none }, State::Lost),
        (Bend { roll_deg: -0.3, ..none }, State::Suspect),
        (Bend { focal: 0.015, ..none }, State::Suspect),
        // Beyond the rows of the ordinary search.
        (Bend { pitch_deg: -4.0, ..none }, State::Lost),
    ] {
        let (mut drive, mut watch) = Drive::new(1);
        drive.until(&mut watch, State::Ok, 30);
        drive.knock(bend);
        let noticed = drive.until(&mut watch, state, 120);
        // The survey in which the knock fell is mixed; the next one is not.
        (0..4 * watch.frames_per_survey()).for_each(|_| {
            drive.step(&mut watch);
        });
        let found = watch.report().estimate.unwrap();
        println!("{bend:?}: {state} after {noticed} frames; {found:?}");
        assert!(watch.report().state >= state);
        let wrong = |found: f64, truth: f64| (found - truth).abs() > 0.03 + 0.02 * truth.abs();
        let pitch = found.pitch_rad.value.to_degrees();
        let roll = found.roll_rad.value.to_degrees();
        assert!(!wrong(pitch, bend.pitch_deg), "{bend:?}: pitch {pitch}");
        assert!(!wrong(roll, bend.roll_deg), "{bend:?}: roll {roll}");
        // To second order (v - p) / (1 + p v) has the term p^2 v, which is that of a focal error.
        let focal = bend.focal + bend.pitch_deg.to_radians().powi(2);
        assert!((found.focal.value - focal).abs() < 0.002, "{bend:?}: {found:?}");
        drive.knock(none);
        let repaired = drive.until(&mut watch, State::Ok, 200);
        println!("{bend:?}: ok again {repaired} frames after the repair");
        assert!(repaired >= 9 * watch.frames_per_survey(), "{repaired} frames");
    }
}

#[test]
fn swapped_cameras_are_named() {
    let (mut drive, mut watch) = Drive::new(2);
    for _ in 0..60 {
        let [left, right] = drive.pair();
        watch.observe(&images(&right, &left));
    }
    assert_eq!(watch.report().finding, Finding::Swapped, "{:?}", watch.report());
    assert_eq!(watch.report().state, State::Lost);
}

#[test]
fn a_yaw_that_puts_points_beyond_infinity_is_no_swap() {
    let (mut drive, mut watch) = Drive::new(2);
    // The right camera looks further to the left: everything in it moves to the right.
    drive.knock(Bend { yaw_deg: 3.0, ..Bend::default() });
    for _ in 0..60 {
        drive.step(&mut watch);
    }
    assert_eq!(watch.report().finding, Finding::NegativeDisparity, "{:?}", watch.report());
    assert!(watch.report().state >= State::Suspect);
}
