//! Real pairs: as they are, and with the right image turned or scaled about the camera's centre.

use crate::support::{Bend, Picture, images, shared, survey, watch};
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
            let mut watch = watch(cameras);
            let report = survey(&mut watch, &images(&pair.left, &right), 8);
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
