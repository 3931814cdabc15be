//! Rigs for tests: made up, but like real ones.
#![allow(dead_code, reason = "every test binary uses a part of this module")]

use nalgebra::{Matrix3, Matrix4, Rotation3, Vector3};
use occdepth_geometry::{
    ImageSize,
    camera::{Camera, CoefficientError, Distortion, Intrinsics},
    rig::StereoRig,
};
use proptest::prelude::*;

/// A wide-angle pinhole pair, 800x600, 0.25 m, of different focal lengths, slightly turned.
pub(crate) fn pinholes() -> StereoRig {
    StereoRig {
        name: "pinholes".to_owned(),
        image_size: ImageSize { width: 800, height: 600 },
        left: camera(
            [520.0, 515.0, 405.0, 290.0],
            Distortion::radial_tangential(&[-0.31, 0.12, 0.0008, -0.0005, -0.02]),
        ),
        right: camera(
            [525.0, 518.0, 395.0, 305.0],
            Distortion::radial_tangential(&[-0.29, 0.10, -0.0006, 0.0009, -0.015]),
        ),
        right_from_left: rigid([0.012, -0.02, 0.015], [-0.25, 0.004, -0.006]),
        left_from_ego: mount([0.01, 0.05, -0.02], [0.125, -0.1, -0.4]),
        rectified: false,
    }
}

/// The same with fisheye lenses of more than 180 degrees.
pub(crate) fn fisheyes() -> StereoRig {
    StereoRig {
        name: "fisheyes".to_owned(),
        left: camera(
            [300.0, 301.0, 402.0, 297.0],
            Distortion::kannala_brandt(&[0.02, -0.005, 0.001, -0.0002]),
        ),
        right: camera(
            [299.0, 300.5, 398.0, 303.0],
            Distortion::kannala_brandt(&[0.018, -0.004, 0.0008, -0.0001]),
        ),
        ..pinholes()
    }
}

/// A rectified pair whose right camera is a little higher and further forward, as KITTI's is.
pub(crate) fn rectified() -> StereoRig {
    let ideal = camera([700.0, 700.0, 600.0, 180.0], Ok(Distortion::NONE));
    StereoRig {
        name: "rectified".to_owned(),
        image_size: ImageSize { width: 1226, height: 370 },
        left: ideal,
        right: ideal,
        right_from_left: rigid([0.0; 3], [-0.53, 0.003, -0.002]),
        left_from_ego: mount([0.0, 0.01, 0.005], [0.06, -0.08, -0.27]),
        rectified: true,
    }
}

/// Any plausible rig, rectified or not, of any two lenses.
pub(crate) fn any_rig() -> impl Strategy<Value = StereoRig> {
    let extent = 200..1400u32;
    let kinds = (any::<bool>(), [0..4u8, 0..4u8]);
    (extent.clone(), extent, kinds, [lens(), lens()], pose(), pose()).prop_map(
        |(width, height, (rectified, [left_kind, right_kind]), lenses, relative, mounted)| {
            let camera_of = |kind: u8, lens: &[f64; 9]| {
                let [focal, aspect, cx, cy, k @ ..] = *lens;
                let focal = focal * f64::from(width);
                let intrinsics =
                    [focal, focal * aspect, cx * f64::from(width), cy * f64::from(height)];
                let distortion = match (rectified, kind) {
                    (true, _) => Ok(Distortion::NONE),
                    (_, 0) => Distortion::radial_tangential(&[
                        k[0] * 0.3,
                        k[1] * 0.1,
                        k[2] * 0.002,
                        k[3] * 0.002,
                        k[4] * 0.01,
                    ]),
                    (_, 1) => Distortion::kannala_brandt(&[
                        k[0] * 0.05,
                        k[1] * 0.01,
                        k[2] * 0.002,
                        k[3] * 0.0005,
                    ]),
                    (_, 2) => Distortion::double_sphere(&[k[0] * 0.3, 0.5 + k[1] * 0.2]),
                    _ => Distortion::extended_unified(&[0.5 + k[0] * 0.2, 1.0 + k[1] * 0.3]),
                };
                camera(intrinsics, distortion)
            };
            let (turn, [x, y, z]) = relative;
            let turn = if rectified { [0.0; 3] } else { turn.map(|angle| angle * 0.1) };
            StereoRig {
                name: "any".to_owned(),
                image_size: ImageSize { width, height },
                left: camera_of(left_kind, &lenses[0]),
                right: camera_of(right_kind, &lenses[1]),
                right_from_left: rigid(turn, [-0.3 - 0.2 * x, 0.01 * y, 0.01 * z]),
                left_from_ego: mount(mounted.0.map(|angle| 0.5 * angle), mounted.1),
                rectified,
            }
        },
    )
}

pub(crate) fn camera(
    [fx, fy, cx, cy]: [f64; 4],
    distortion: Result<Distortion, CoefficientError>,
) -> Camera {
    Camera { intrinsics: Intrinsics { fx, fy, cx, cy }, distortion: distortion.unwrap() }
}

/// A transform from a rotation vector, radians, and a translation, metres.
pub(crate) fn rigid(rotation: [f64; 3], translation: [f64; 3]) -> Matrix4<f64> {
    with_translation(Rotation3::new(Vector3::from(rotation)).matrix(), translation)
}

/// A camera that looks along ego x, then turned by a rotation vector.
fn mount(turn: [f64; 3], translation: [f64; 3]) -> Matrix4<f64> {
    let forward = Matrix3::new(0.0, -1.0, 0.0, 0.0, 0.0, -1.0, 1.0, 0.0, 0.0);
    with_translation(&(Rotation3::new(Vector3::from(turn)).matrix() * forward), translation)
}

fn with_translation(rotation: &Matrix3<f64>, translation: [f64; 3]) -> Matrix4<f64> {
    let mut matrix = rotation.to_homogeneous();
    matrix.fixed_view_mut::<3, 1>(0, 3).copy_from(&Vector3::from(translation));
    matrix
}

/// Focal length (widths), aspect, principal point (widths, heights), and coefficients of -1 to 1.
fn lens() -> impl Strategy<Value = [f64; 9]> {
    let k = -1.0..1.0;
    (
        (0.5..1.5, 0.98..1.02, 0.45..0.55, 0.45..0.55),
        [k.clone(), k.clone(), k.clone(), k.clone(), k],
    )
        .prop_map(|((focal, aspect, cx, cy), [a, b, c, d, e])| {
            [focal, aspect, cx, cy, a, b, c, d, e]
        })
}

fn pose() -> impl Strategy<Value = ([f64; 3], [f64; 3])> {
    let unit = || [-1.0..1.0, -1.0..1.0, -1.0..1.0];
    (unit(), unit())
}
