//! Cameras against `OpenCV` 5.0 (`projectPoints`, `undistortPoints` run to convergence) and closed forms.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod rigs;

use nalgebra::Vector3;
use occdepth_geometry::camera::{
    Camera, CoefficientError, Distortion, Intrinsics, ProjectionError,
};
use proptest::prelude::*;
use rigs::camera;
use std::f64::consts::PI;

const POINTS: [[f64; 3]; 4] =
    [[0.3, -0.2, 1.0], [-0.5, 0.4, 1.2], [0.0, 0.0, 2.0], [1.5, 0.7, 3.0]];
const PINHOLE: [f64; 4] = [520.0, 515.0, 405.0, 290.0];

#[test]
fn points_project_as_by_opencv() {
    let five = [-0.31, 0.12, 0.0008, -0.0005, -0.02];
    let cases = [
        (
            camera(PINHOLE, Distortion::radial_tangential(&five[..4])),
            [
                [554.899_048, 191.059_436],
                [205.069_579_474_608_5, 448.465_062_882_507_9],
                [405.0, 290.0],
                [643.241_505_185_185_1, 400.272_351_876_543_2],
            ],
        ),
        (
            camera(PINHOLE, Distortion::radial_tangential(&five)),
            [
                [554.892_193_36, 191.063_961_819_999_97],
                [205.169_599_323_595_38, 448.385_816_310_790_62],
                [405.0, 290.0],
                [643.094_772_284_225, 400.204_534_939_625_03],
            ],
        ),
        (
            camera(
                PINHOLE,
                Distortion::radial_tangential(&[0.4, -0.3, 0.001, -0.002, 0.05, 0.7, -0.1, 0.02]),
            ),
            [
                [554.555_646_903_785_9, 191.232_608_775_064_4],
                [205.884_046_978_181_4, 447.673_122_073_697_3],
                [405.0, 290.0],
                [640.749_257_375_761_7, 399.261_596_062_059_65],
            ],
        ),
        (
            camera(
                [300.0, 301.0, 402.0, 297.0],
                Distortion::kannala_brandt(&[0.02, -0.005, 0.001, -0.0002]),
            ),
            [
                [488.579_360_736_029_23, 239.088_027_596_567_14],
                [286.654_676_775_157_55, 389.583_846_108_473_5],
                [402.0, 297.0],
                [539.723_235_779_806_6, 361.485_079_508_556_1],
            ],
        ),
    ];
    for (camera, expected) in cases {
        for (point, expected) in POINTS.into_iter().zip(expected) {
            let point = Vector3::from(point);
            close(camera.project(&point).unwrap(), expected, 2e-7);
            let ray = camera.unproject(expected).unwrap();
            assert!((ray - point.normalize()).norm() < 1e-8, "{ray} {point}");
        }
    }
}

#[test]
fn pixels_are_undistorted_as_by_opencv() {
    let camera = rigs::pinholes().left;
    for (pixel, expected) in [
        ([100.0, 80.0], [36.497_373_112_575_73, 35.743_889_398_594_945]),
        ([700.0, 500.0], [758.486_634_645_055_8, 541.134_113_175_968_1]),
        ([405.0, 290.0], [405.0, 290.0]),
        ([30.0, 570.0], [-100.293_974_008_705_39, 666.851_336_185_314]),
    ] {
        close(camera.undistort(pixel).unwrap(), expected, 3e-6);
    }
}

#[test]
fn a_lens_list_has_opencvs_lengths() {
    let k = [-0.3, 0.1, 0.001, -0.001, 0.02, 0.3, 0.2, 0.1];
    for length in [4, 5, 8] {
        let mut padded = [0.0; 8];
        padded[..length].copy_from_slice(&k[..length]);
        let lens = Distortion::radial_tangential(&k[..length]);
        assert_eq!(lens, Ok(Distortion::RadialTangential(padded)));
        for longer in [12, 14] {
            let mut list = padded.to_vec();
            list.resize(longer, 0.0);
            assert_eq!(Distortion::radial_tangential(&list), lens);
        }
    }
    assert_eq!(Distortion::radial_tangential(&[]), Ok(Distortion::NONE));
    for (index, name) in [(8, "s1"), (11, "s4"), (12, "tau_x"), (13, "tau_y")] {
        let mut list = [0.0; 14];
        list[index] = 0.01;
        assert_eq!(
            Distortion::radial_tangential(&list),
            Err(CoefficientError::Unsupported { name, found: 0.01 })
        );
    }
    for length in [1, 2, 3, 6, 7, 9, 13, 15] {
        let message = Distortion::radial_tangential(&vec![0.0; length]).unwrap_err().to_string();
        assert!(message.contains(&format!("found {length}")), "{message}");
    }
    assert!(Distortion::kannala_brandt(&[0.0; 5]).is_err());
    let message = Distortion::kannala_brandt(&[0.0, 0.0, f64::NAN, 0.0]).unwrap_err().to_string();
    assert!(message.contains("k3") && message.contains("NaN"), "{message}");
}

#[test]
fn a_pinhole_sees_only_what_is_in_front() {
    let camera = camera(PINHOLE, Distortion::radial_tangential(&[]));
    for z in [0.0, -1e-9, -5.0] {
        assert_eq!(camera.project(&Vector3::new(0.1, 0.2, z)), Err(ProjectionError::Behind { z }));
    }
    assert_eq!(camera.project(&Vector3::new(f64::NAN, 0.0, 1.0)), Err(ProjectionError::NotFinite));
    assert_eq!(camera.unproject([f64::INFINITY, 0.0]), Err(ProjectionError::NotFinite));
}

#[test]
fn the_range_of_a_pinhole_ends_where_its_distortion_turns_back() {
    // r (1 - 0.3 r^2) rises up to r = 1 / sqrt(0.9), where it is 2 r / 3.
    let camera =
        camera([100.0, 100.0, 0.0, 0.0], Distortion::radial_tangential(&[-0.3, 0.0, 0.0, 0.0]));
    let turn = 0.9_f64.sqrt().recip();
    let at = |r: f64| camera.project(&Vector3::new(0.6 * r, -0.8 * r, 1.0));
    let inside = at(turn * 0.999_999).unwrap();
    assert!((inside[0].hypot(inside[1]) - 100.0 * turn * 2.0 / 3.0).abs() < 1e-8);
    // The polynomial itself comes back to the same pixels from outside: those points are not there.
    for outside in [1.000_001, 1.2, 1.7, 3.0, 1e6] {
        assert!(matches!(at(turn * outside), Err(ProjectionError::BeyondLens { .. })));
    }
    let edge = 100.0 * turn * 2.0 / 3.0;
    assert!(camera.unproject([0.0, edge - 1e-6]).is_ok());
    assert_eq!(
        camera.unproject([0.0, edge + 1e-4]),
        Err(ProjectionError::NoRay { x: 0.0, y: edge + 1e-4 })
    );
}

#[test]
fn a_pole_ends_the_range_of_a_rational_lens() {
    // (1 - 0.25 s) / (1 - 0.25 s) is 1 everywhere but at s = 4; the model is not to be used beyond.
    let k = [-0.25, 0.0, 0.0, 0.0, 0.0, -0.25, 0.0, 0.0];
    let camera = camera([100.0, 100.0, 0.0, 0.0], Distortion::radial_tangential(&k));
    close(camera.project(&Vector3::new(1.5, 0.0, 1.0)).unwrap(), [150.0, 0.0], 1e-9);
    assert!(camera.project(&Vector3::new(2.5, 0.0, 1.0)).is_err());
}

#[test]
fn an_equidistant_fisheye_sees_behind_itself() {
    // With zero coefficients the radius is the angle.
    let camera = camera([200.0, 200.0, 320.0, 240.0], Distortion::kannala_brandt(&[0.0; 4]));
    for angle in [1e-9, 0.5, PI / 2.0, 2.1, 3.1] {
        let ray = Vector3::new(0.0, f64::sin(angle), f64::cos(angle));
        close(camera.project(&(ray * 3.0)).unwrap(), [320.0, 240.0 + 200.0 * angle], 1e-9);
        let back = camera.unproject([320.0, 240.0 + 200.0 * angle]).unwrap();
        assert!((back - ray).norm() < 1e-12, "{back} {ray}");
    }
    assert!(camera.project(&Vector3::new(0.0, 0.0, -1.0)).is_err());
    assert!(camera.project(&Vector3::zeros()).is_err());
    assert!(camera.unproject([320.0, 240.0 + 200.0 * 3.2]).is_err());
    assert!(matches!(
        camera.undistort([320.0, 240.0 + 200.0 * 2.0]),
        Err(ProjectionError::Behind { .. })
    ));
    close(
        camera.undistort([320.0, 240.0 + 200.0]).unwrap(),
        [320.0, 240.0 + 200.0 * 1_f64.tan()],
        1e-9,
    );
}

proptest! {
    /// Inside the image of a usual lens every pixel has a ray, and the ray leads back to it.
    #[test]
    fn unprojected_pixels_project_to_themselves(
        rig in rigs::any_rig(), x in 0.1..0.9, y in 0.1..0.9,
    ) {
        for camera in [rig.left, rig.right] {
            // Radius 0.57 at most: the strongest of these lenses reaches 0.6.
            let Intrinsics { fx, fy, cx, cy } = camera.intrinsics;
            let pixel = [cx + (x - 0.5) * fx, cy + (y - 0.5) * fy];
            let ray = camera.unproject(pixel).unwrap();
            prop_assert!((ray.norm() - 1.0).abs() < 1e-12);
            close(camera.project(&ray).unwrap(), pixel, 1e-6);
        }
    }

    /// Whatever projects is found again: no two points share a pixel.
    #[test]
    fn projected_points_unproject_to_themselves(
        rig in rigs::any_rig(), x in -3.0..3.0, y in -3.0..3.0, z in -1.0..4.0, scale in 1e-3..1e3,
    ) {
        let ray = Vector3::new(x, y, z).normalize();
        for camera in [rig.left, rig.right] {
            // Right at the turn the inverse has no precision: ask for a neighbour to be valid, too.
            let neighbour = Vector3::new(ray.x * 1.05, ray.y * 1.05, ray.z - 0.05);
            if let (Ok(pixel), Ok(_)) = (camera.project(&(ray * scale)), camera.project(&neighbour)) {
                let back = camera.unproject(pixel).unwrap();
                prop_assert!((back - ray).norm() < 1e-6, "{back} {ray}");
            }
        }
    }

    /// Any numbers at all: an answer or an error.
    #[test]
    fn no_lens_makes_the_camera_panic(
        k in any::<[f64; 8]>(), f in any::<[f64; 4]>(), p in any::<[f64; 3]>(),
    ) {
        let [fx, fy, cx, cy] = f;
        for distortion in [
            Distortion::RadialTangential(k),
            Distortion::KannalaBrandt([k[0], k[1], k[2], k[3]]),
            Distortion::DoubleSphere { xi: k[0], alpha: k[1] },
            Distortion::ExtendedUnified { alpha: k[2], beta: k[3] },
            // In the ranges that are checked.
            Distortion::DoubleSphere { xi: k[4].rem_euclid(2.9) - 0.95, alpha: k[5].rem_euclid(1.0) },
            Distortion::ExtendedUnified {
                alpha: k[6].rem_euclid(1.0),
                beta: k[7].rem_euclid(99.0) + 1e-3,
            },
        ] {
            let camera = Camera { intrinsics: Intrinsics { fx, fy, cx, cy }, distortion };
            let _ = camera.project(&Vector3::from(p));
            if let Ok(ray) = camera.unproject([p[0], p[1]]) {
                prop_assert!(ray.norm() <= 1.0 + 1e-9, "{ray}");
            }
            let range_rad = camera.range_rad();
            prop_assert!(range_rad.is_nan() || (0.0..=PI).contains(&range_rad), "{range_rad}");
            let _ = camera.undistort([p[0], p[1]]);
        }
    }
}

#[track_caller]
fn close(found: [f64; 2], expected: [f64; 2], tolerance: f64) {
    let error = (found[0] - expected[0]).hypot(found[1] - expected[1]);
    assert!(error <= tolerance, "{found:?} {expected:?}");
}

/// With alpha = 1/2 and beta = 1 the extended unified model is the stereographic projection, r = 2 tan(t / 2); with alpha =
/// 0 either model of spheres is a pinhole; and without a distance between its spheres the double sphere is the extended
/// unified model with beta = 1.
#[test]
fn models_of_spheres_have_their_special_cases() {
    let lens = |distortion| camera([1.0, 1.0, 0.0, 0.0], Ok(distortion));
    let stereographic = lens(Distortion::ExtendedUnified { alpha: 0.5, beta: 1.0 });
    for degrees in [0.0_f64, 1.0, 45.0, 90.0, 120.0, 170.0] {
        let t = degrees.to_radians();
        let ray = Vector3::new(t.sin(), 0.0, t.cos());
        close(stereographic.project(&ray).unwrap(), [2.0 * (t / 2.0).tan(), 0.0], 1e-12);
    }
    for pinhole in [
        Distortion::ExtendedUnified { alpha: 0.0, beta: 1.7 },
        Distortion::DoubleSphere { xi: 0.0, alpha: 0.0 },
    ] {
        close(lens(pinhole).project(&Vector3::new(0.6, -0.2, 2.0)).unwrap(), [0.3, -0.1], 1e-15);
        let behind = lens(pinhole).project(&Vector3::new(0.6, -0.2, -2.0));
        assert!(matches!(behind, Err(ProjectionError::BeyondLens { .. })));
    }
    for point in POINTS.map(Vector3::from) {
        let sphere = lens(Distortion::DoubleSphere { xi: 0.0, alpha: 0.6 });
        let unified = lens(Distortion::ExtendedUnified { alpha: 0.6, beta: 1.0 });
        close(sphere.project(&point).unwrap(), unified.project(&point).unwrap(), 1e-14);
    }
}

/// The double sphere's special cases, in closed form: with alpha = 0 it is Mei's unified model, sin / (xi + cos); with xi =
/// 1 besides, tan(t / 2); with alpha = 1 it divides by the distance to the second centre.
#[test]
fn double_spheres_equal_their_closed_forms() {
    let lens = |xi, alpha| camera([1.0, 1.0, 0.0, 0.0], Distortion::double_sphere(&[xi, alpha]));
    let radius = |xi, alpha, t: f64| {
        let ray = Vector3::new(0.6 * t.sin(), -0.8 * t.sin(), t.cos());
        lens(xi, alpha).project(&(ray * 3.0)).map(|[x, y]| x.hypot(y))
    };
    for t in [0.01_f64, 0.3, 0.9, 1.3, 1.55] {
        for xi in [-0.3, -0.1, 0.2, 0.8, 1.0, 1.6] {
            let mei = t.sin() / (xi + t.cos());
            if xi > 0.0 || t < 1.2 {
                assert!((radius(xi, 0.0, t).unwrap() - mei).abs() < 1e-12, "{xi} {t}");
            }
            let whole = t.sin() / (1.0 + 2.0 * xi * t.cos() + xi * xi).sqrt();
            if xi > 0.0 || t < 1.2 {
                assert!((radius(xi, 1.0, t).unwrap() - whole).abs() < 1e-12, "{xi} {t}");
            }
        }
        assert!((radius(1.0, 0.0, t).unwrap() - (t / 2.0).tan()).abs() < 1e-12);
    }
}

/// Where the double sphere's radius stops growing: at acos(-1 / xi) beyond xi = 1, at the pole cos = -xi of Mei's model
/// below, at acos(-xi) as well where alpha is 1; in between where the derivative, taken numerically, changes its sign.
#[test]
fn the_range_of_a_double_sphere_ends_where_it_turns_back() {
    let range = |xi: f64, alpha: f64| {
        let lens = Distortion::DoubleSphere { xi, alpha };
        camera([1.0, 1.0, 0.0, 0.0], Ok(lens)).range_rad()
    };
    let close = |found: f64, expected: f64| {
        assert!((found - expected).abs() < 1e-12, "{found} {expected}");
    };
    for alpha in [0.0, 0.3, 0.6, 1.0] {
        close(range(1.5, alpha), (-1.0_f64 / 1.5).acos());
        close(range(1.01, alpha), (-1.0_f64 / 1.01).acos());
    }
    for xi in [-0.5_f64, 0.0, 0.4, 0.9] {
        close(range(xi, 0.0), (-xi).acos());
        close(range(xi, 1.0), (-xi).acos());
    }
    close(range(1.0, 0.5), PI);
    for (xi, alpha) in [(-0.4, 0.3), (-0.2, 0.59), (0.3, 0.7), (0.8, 0.55), (1.2, 0.6), (1.9, 0.2)]
    {
        let radius = |t: f64| {
            let shifted = xi + t.cos();
            t.sin() / (alpha * t.sin().hypot(shifted) + (1.0 - alpha) * shifted)
        };
        let end = range(xi, alpha);
        assert!(end < PI);
        let rises = |t: f64| {
            let (before, after) = (radius(t - 1e-7), radius(t + 1e-7));
            before > 0.0 && after > before
        };
        for step in 1..200 {
            let t = (end - 1e-5) * f64::from(step) / 200.0;
            assert!(rises(t), "{xi} {alpha}: {t}");
        }
        assert!(rises(end - 1e-5) && !rises(end + 1e-5), "{xi} {alpha}: {end}");
    }
    // Two rays that would share a pixel (xi = 1.5, alpha = 0.6): one of them is refused.
    let lens = camera([1.0, 1.0, 0.0, 0.0], Distortion::double_sphere(&[1.5, 0.6]));
    let ray =
        |degrees: f64| Vector3::new(degrees.to_radians().sin(), 0.0, degrees.to_radians().cos());
    assert!(matches!(lens.project(&ray(150.0)), Err(ProjectionError::BeyondLens { .. })));
    let pixel = lens.project(&ray(106.5)).unwrap();
    assert!((lens.unproject(pixel).unwrap() - ray(106.5)).norm() < 1e-9);
}

#[test]
fn the_range_of_a_pinhole_is_an_angle() {
    let pinhole = camera(PINHOLE, Ok(Distortion::NONE));
    assert!((pinhole.range_rad() - PI / 2.0).abs() < 1e-15);
    let turning = camera(PINHOLE, Distortion::radial_tangential(&[-0.3, 0.0, 0.0, 0.0]));
    assert!((turning.range_rad() - 0.9_f64.sqrt().recip().atan()).abs() < 1e-12);
}

proptest! {
    #[test]
    fn models_of_spheres_unproject_what_they_project(
        (first, alpha, beta) in (-0.5_f64..1.95, 0.05_f64..0.9, 0.5_f64..2.0),
        (angle, around) in (0.0_f64..2.2, 0.0..2.0 * PI),
    ) {
        let ray = Vector3::new(angle.sin() * around.cos(), angle.sin() * around.sin(), angle.cos());
        for distortion in [
            Distortion::double_sphere(&[first, alpha]),
            Distortion::extended_unified(&[alpha, beta]),
        ] {
            let camera = camera([190.0, 191.0, 255.0, 256.0], distortion);
            match camera.project(&(ray * 7.0)) {
                Ok(pixel) => {
                    let found = camera.unproject(pixel).unwrap();
                    // Close to the edge of what a model sees, its radius hardly grows with the angle.
                    let edge = camera.project(&(ray + Vector3::new(0.0, 0.0, -0.05))).is_err();
                    let allowed = if edge { 1e-3 } else { 1e-8 };
                    prop_assert!((found - ray).norm() < allowed, "{found} {ray}");
                }
                Err(error) => prop_assert!(
                    matches!(error, ProjectionError::BeyondLens { .. }) && angle > PI / 3.0,
                    "{error} at {angle}"
                ),
            }
        }
    }
}

#[test]
fn coefficients_of_spheres_are_checked() {
    for (refused, says) in [
        (Distortion::double_sphere(&[0.1]), "2 coefficients, found 1"),
        (Distortion::double_sphere(&[f64::NAN, 0.5]), "xi is NaN"),
        (Distortion::double_sphere(&[-1.0, 0.5]), "xi is -1"),
        (Distortion::double_sphere(&[0.0, 1.5]), "alpha is 1.5, expected 0 to 1"),
        (Distortion::extended_unified(&[0.5, 0.0]), "beta is 0"),
        (Distortion::extended_unified(&[0.5, f64::INFINITY]), "beta is inf"),
    ] {
        let message = refused.unwrap_err().to_string();
        assert!(message.contains(says), "{message}");
    }
}
