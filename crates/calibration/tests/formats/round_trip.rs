//! What is exported reads back as the same rig.

use super::{detected, read};
use nalgebra::{Matrix4, Rotation3};
use occdepth_calibration::formats::{Format, Options, export};
use occdepth_geometry::ImageSize;
use occdepth_geometry::camera::{Camera, Distortion, Intrinsics};
use occdepth_geometry::rig::StereoRig;
use proptest::prelude::*;

pub(crate) fn rig(lens: Distortion, turn: [f64; 3], baseline_m: f64) -> StereoRig {
    let camera = |shift: f64| Camera {
        intrinsics: Intrinsics { fx: 411.25, fy: 410.5 + shift, cx: 319.75, cy: 241.0 - shift },
        distortion: lens,
    };
    let mut right_from_left =
        Rotation3::from_euler_angles(turn[0], turn[1], turn[2]).to_homogeneous();
    right_from_left.m14 = -baseline_m;
    right_from_left.m24 = 0.01 * baseline_m;
    StereoRig {
        name: "rig".into(),
        image_size: ImageSize { width: 640, height: 480 },
        left: camera(0.0),
        right: camera(1.5),
        right_from_left,
        left_from_ego: Options::default().left_from_ego,
        rectified: false,
    }
}

fn lens() -> impl Strategy<Value = Distortion> {
    prop_oneof![
        prop::array::uniform4(-0.01_f64..0.01).prop_map(Distortion::KannalaBrandt),
        (-0.3_f64..1.2, 0.1_f64..0.8)
            .prop_map(|(xi, alpha)| Distortion::DoubleSphere { xi, alpha }),
        (0.1_f64..0.8, 0.6_f64..1.5)
            .prop_map(|(alpha, beta)| Distortion::ExtendedUnified { alpha, beta }),
        prop::array::uniform4(-0.02_f64..0.02)
            .prop_map(|k| Distortion::radial_tangential(&k).unwrap()),
        prop::array::uniform5(-0.02_f64..0.02)
            .prop_map(|k| Distortion::radial_tangential(&k).unwrap()),
        prop::array::uniform8(-0.02_f64..0.02)
            .prop_map(|k| Distortion::radial_tangential(&k).unwrap()),
    ]
}

proptest! {
    #[test]
    fn every_format_reads_back_what_it_wrote(
        lens in lens(),
        turn in prop::array::uniform3(-0.1_f64..0.1),
        baseline_m in 0.05_f64..1.0,
    ) {
        let rig = rig(lens, turn, baseline_m);
        for (name, format) in Format::ALL {
            if !formats_of(&lens).contains(&format) {
                prop_assert!(export(&rig, format).is_err(), "{}", name);
                continue;
            }
            let files = export(&rig, format).map_err(|e| TestCaseError::fail(e.to_string()))?;
            let files: Vec<(&str, &str)> =
                files.iter().map(|(name, text)| (name.as_str(), text.as_str())).collect();
            prop_assert_eq!(detected(files[0].0, files[0].1), format, "{}", name);
            let back = read(&files, &Options::default()).map_err(|e| TestCaseError::fail(format!("{name}: {e}")))?.rig;
            prop_assert_eq!(back.left, rig.left, "{}", name);
            prop_assert_eq!(back.right, rig.right, "{}", name);
            prop_assert_eq!(back.image_size, rig.image_size);
            let error = (back.right_from_left - rig.right_from_left).amax();
            prop_assert!(error < 1e-9, "{name}: {error}");
        }
    }
}

/// The formats that have a lens, as their documents say.
fn formats_of(lens: &Distortion) -> &'static [Format] {
    use Format::{Basalt, Euroc, Kalibr, KittiRaw, Native, OpenCv, Ros};
    match lens {
        Distortion::RadialTangential(k) if k[4..].iter().all(|&k| k == 0.0) => {
            &[Native, KittiRaw, OpenCv, Ros, Kalibr, Euroc, Basalt]
        }
        Distortion::RadialTangential(k) if k[5..].iter().all(|&k| k == 0.0) => {
            &[Native, KittiRaw, OpenCv, Ros, Euroc, Basalt]
        }
        Distortion::RadialTangential(_) => &[Native, OpenCv, Ros, Euroc, Basalt],
        Distortion::KannalaBrandt(_) => &[Native, OpenCv, Ros, Kalibr, Euroc, Basalt],
        Distortion::DoubleSphere { .. } | Distortion::ExtendedUnified { .. } => {
            &[Native, Kalibr, Basalt]
        }
    }
}

#[test]
fn lenses_that_a_format_has_not_are_refused_by_name() {
    let spheres = rig(Distortion::DoubleSphere { xi: 0.1, alpha: 0.5 }, [0.0; 3], 0.1);
    for format in [Format::OpenCv, Format::Ros, Format::Euroc, Format::KittiRaw] {
        let message = export(&spheres, format).unwrap_err().to_string();
        assert!(message.contains("double-sphere") && message.contains(format.name()), "{message}");
    }
    let message = export(&spheres, Format::KittiOdometry).unwrap_err().to_string();
    assert!(message.contains("expected a rectified pair"), "{message}");
}

#[test]
fn a_rectified_pair_is_written_as_kitti_odometry() {
    let mut rectified = rig(Distortion::NONE, [0.0; 3], 0.54);
    rectified.rectified = true;
    rectified.left_from_ego = Matrix4::new(
        0.0, -1.0, 0.0, 0.05, 0.0, 0.0, -1.0, -0.08, 1.0, 0.0, 0.0, -0.27, 0.0, 0.0, 0.0, 1.0,
    );
    let files = export(&rectified, Format::KittiOdometry).unwrap();
    let options = Options { image_size: Some(rectified.image_size), ..Options::default() };
    let back = read(&[(&files[0].0, &files[0].1)], &options).unwrap();
    assert_eq!(back.format, Format::KittiOdometry);
    assert!((back.rig.right_from_left - rectified.right_from_left).amax() < 1e-12);
    assert!((back.rig.left_from_ego - rectified.left_from_ego).amax() < 1e-12);
    assert_eq!(back.rig.right, rectified.right);
}
