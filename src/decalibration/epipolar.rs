//! Where the calibration says that a point of the left view lies in the right one.

use super::fit::Match;
use nalgebra::{Matrix3, Vector3};
use occdepth_geometry::fit::NetworkCameras;

/// The relation of the two views, without rotation: they are rectified.
#[derive(Clone, Debug)]
pub(super) struct Epipolar {
    left: Matrix3<f64>,
    right: Matrix3<f64>,
    /// Right camera from left camera, metres.
    translation_m: Vector3<f64>,
}

impl Epipolar {
    /// None where the network's cameras are not rectified to each other, which no rig that validates brings.
    pub(super) fn new(cameras: &NetworkCameras) -> Option<Self> {
        let left_from_ego = cameras.left.view.cam_from_ego;
        let right_from_left = cameras.right.view.cam_from_ego * left_from_ego.try_inverse()?;
        let rotation = right_from_left.fixed_view::<3, 3>(0, 0) - Matrix3::identity();
        (rotation.amax() < ALIGNED).then(|| Self {
            left: cameras.left.view.k,
            right: cameras.right.view.k,
            translation_m: right_from_left.fixed_view::<3, 1>(0, 3).into_owned(),
        })
    }

    /// Compares a point of the left view with where it was found in the right one, pixels.
    ///
    /// Views of an already rectified rig may differ in y and z, too (KITTI: some millimetres); the rows then
    /// differ by an amount that depends on depth, which the columns tell.
    pub(super) fn compare(&self, left: [f64; 2], right: [f64; 2]) -> Match {
        let [ul, vl] = normalised(&self.left, left);
        let [u, vr] = normalised(&self.right, right);
        let t = &self.translation_m;
        // u (Z + tz) = ul Z + tx. Behind the cameras, where errors put far points, means far away.
        let depth_m = (t.x - u * t.z) / (u - ul);
        let v = if depth_m > 0.0 && depth_m < FAR_M {
            (vl * depth_m + t.y) / (depth_m + t.z)
        } else {
            vl
        };
        Match {
            u,
            v,
            dy_px: self.right[(1, 1)] * (vr - v),
            disparity_px: self.left[(0, 0)] * (ul - u),
        }
    }
}

fn normalised(k: &Matrix3<f64>, [x, y]: [f64; 2]) -> [f64; 2] {
    [(x - k[(0, 2)]) / k[(0, 0)], (y - k[(1, 2)]) / k[(1, 1)]]
}

/// Rigs that are stated to be rectified may be turned by 1e-6; twice that is a hundredth of a pixel at 5000.
const ALIGNED: f64 = 1e-4;
/// Here a y offset of a metre is below a hundredth of a pixel at any focal length in use.
const FAR_M: f64 = 1e5;
