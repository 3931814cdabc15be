//! The fit, against fields that are known because they were made: by turning points, not by the fit's formula.

use nalgebra::{Rotation3, Vector3};
use occdepth::decalibration::fit::{FieldModel, Match, Workspace};
use occdepth_geometry::ImageSize;
use proptest::prelude::*;

const SIZE: ImageSize = ImageSize { width: 1220, height: 370 };
const FOCAL_PX: f64 = 707.0912;
const CENTRE_PX: [f64; 2] = [601.8873, 183.1104];

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn a_bent_camera_is_recovered_among_wrong_matches(
        angles in prop::array::uniform3(-0.008_f64..0.008),
        focal in -0.01_f64..0.01,
        points in prop::collection::vec((0.0..1220.0, 0.0..370.0, -0.2_f64..0.2), 200..400),
        wrong in prop::collection::vec(-12.0_f64..12.0, 0..60),
    ) {
        let [pitch, yaw, roll] = angles;
        let rotation = Rotation3::new(Vector3::new(pitch, yaw, roll));
        let matches: Vec<_> = points
            .iter()
            .enumerate()
            .map(|(i, &(x, y, noise_px))| {
                let [u, v] = [(x - CENTRE_PX[0]) / FOCAL_PX, (y - CENTRE_PX[1]) / FOCAL_PX];
                let bent = rotation * Vector3::new(u, v, 1.0);
                let dy_px = FOCAL_PX * ((1.0 + focal) * bent.y / bent.z - v) + noise_px;
                Match { u, v, dy_px: wrong.get(i).copied().unwrap_or(dy_px), disparity_px: 5.0 }
            })
            .collect();
        let model = FieldModel::new(SIZE, [FOCAL_PX; 2], CENTRE_PX);
        let found = model.fit(&matches, &mut Workspace::default()).unwrap();
        // Second-order terms are angle times angle: at most 1.3e-4.
        prop_assert!((found.pitch_rad.value - pitch).abs() < 3e-4, "pitch {pitch}: {found:?}");
        prop_assert!((found.roll_rad.value - roll).abs() < 4e-4, "roll {roll}: {found:?}");
        prop_assert!((found.focal.value - focal).abs() < 5e-4, "focal {focal}: {found:?}");
        prop_assert!((found.yaw_rad.value - yaw).abs() < 2e-3, "yaw {yaw}: {found:?}");
        prop_assert!(found.inliers + wrong.len() >= points.len() * 9 / 10, "{found:?}");
    }

    /// An offset without a curvature is a principal point, and the numbers say so.
    #[test]
    fn a_principal_point_has_no_curvature(
        shift_px in 1.0_f64..6.0,
        points in prop::collection::vec((0.0..1220.0, 0.0..370.0, -0.1_f64..0.1), 300..400),
    ) {
        let matches: Vec<_> = points
            .iter()
            .map(|&(x, y, noise_px)| Match {
                u: (x - CENTRE_PX[0]) / FOCAL_PX,
                v: (y - CENTRE_PX[1]) / FOCAL_PX,
                dy_px: shift_px + noise_px,
                disparity_px: 5.0,
            })
            .collect();
        let model = FieldModel::new(SIZE, [FOCAL_PX; 2], CENTRE_PX);
        let found = model.fit(&matches, &mut Workspace::default()).unwrap();
        prop_assert!((found.error_px.value - shift_px).abs() < 0.1);
        prop_assert!((-found.pitch_rad.value * FOCAL_PX - shift_px).abs() < 0.1);
        prop_assert!(found.curvature_rad.value.abs() < 5.0 * found.curvature_rad.sigma + 1e-3);
    }

    /// Whatever the matches, the fit ends and its numbers are numbers.
    #[test]
    fn any_matches_give_finite_numbers(
        points in prop::collection::vec((-2.0..2.0, -1.0..1.0, -60.0_f64..60.0), 0..80),
        same in any::<bool>(),
    ) {
        let matches: Vec<_> = points
            .iter()
            .map(|&(u, v, dy_px)| {
                let [u, v] = if same { [0.1, 0.2] } else { [u, v] };
                Match { u, v, dy_px, disparity_px: 0.0 }
            })
            .collect();
        let model = FieldModel::new(SIZE, [FOCAL_PX; 2], CENTRE_PX);
        if let Some(found) = model.fit(&matches, &mut Workspace::default()) {
            for value in [found.pitch_rad, found.roll_rad, found.yaw_rad, found.focal, found.error_px] {
                prop_assert!(value.value.is_finite() && value.sigma.is_finite(), "{found:?}");
            }
        } else {
            prop_assert!(matches.len() < 200);
        }
    }
}
