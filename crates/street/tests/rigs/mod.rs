//! Rigs that look at the street.
#![allow(dead_code, reason = "each test uses some")]

use nalgebra::{Matrix3, Matrix4, Rotation3, Vector3};
use occdepth_geometry::ImageSize;
use occdepth_geometry::camera::{Camera, Distortion, Intrinsics};
use occdepth_geometry::rig::StereoRig;

/// Rectified, straight ahead, 0.27 m before and 8 cm below the ego's origin.
pub(crate) fn rectified(width: u32, height: u32) -> StereoRig {
    let focal = f64::from(width) * 0.58;
    let camera = Camera {
        intrinsics: Intrinsics {
            fx: focal,
            fy: focal,
            cx: f64::from(width) * 0.49,
            cy: f64::from(height) * 0.48,
        },
        distortion: Distortion::RadialTangential([0.0; 8]),
    };
    rig(camera, ImageSize { width, height }, Matrix3::identity(), 0.54)
}

/// Distorted, turned 6 degrees to the left and 5 downwards.
pub(crate) fn distorted(width: u32, height: u32) -> StereoRig {
    let mut rig = rectified(width, height);
    let distortion =
        Distortion::RadialTangential([-0.28, 0.07, 0.001, -0.0006, 0.0, 0.0, 0.0, 0.0]);
    rig.left.distortion = distortion;
    rig.right.distortion = distortion;
    rig.right.intrinsics.fx *= 1.01;
    let turn = Rotation3::from_euler_angles(0.09, 0.1, 0.01).to_homogeneous();
    rig.left_from_ego = turn * rig.left_from_ego;
    let twist = Rotation3::from_euler_angles(0.004, -0.01, 0.006).to_homogeneous();
    rig.right_from_left = twist * rig.right_from_left;
    rig.rectified = false;
    rig
}

/// A fisheye of about 150 degrees.
pub(crate) fn fisheye(width: u32, height: u32) -> StereoRig {
    let focal = f64::from(width) / 2.7;
    let camera = Camera {
        intrinsics: Intrinsics {
            fx: focal,
            fy: focal,
            cx: f64::from(width) * 0.5,
            cy: f64::from(height) * 0.5,
        },
        distortion: Distortion::KannalaBrandt([0.01, -0.004, 0.002, -0.0005]),
    };
    let mut rig = rig(camera, ImageSize { width, height }, Matrix3::identity(), 0.3);
    rig.rectified = false;
    rig
}

/// The same rig with the left camera where the right one is, to see the right view's truth.
pub(crate) fn right_as_left(rig: &StereoRig) -> StereoRig {
    let mut swapped = rig.clone();
    swapped.left = rig.right;
    swapped.left_from_ego = rig.right_from_left * rig.left_from_ego;
    swapped
}

fn rig(
    camera: Camera,
    image_size: ImageSize,
    rotation: Matrix3<f64>,
    baseline_m: f64,
) -> StereoRig {
    // x right, y down, z forward from x forward, y left, z up.
    let axes = Matrix3::new(0.0, -1.0, 0.0, 0.0, 0.0, -1.0, 1.0, 0.0, 0.0);
    let mut left_from_ego = (rotation * axes).to_homogeneous();
    left_from_ego
        .fixed_view_mut::<3, 1>(0, 3)
        .copy_from(&(rotation * Vector3::new(0.0, -0.08, -0.27)));
    StereoRig {
        name: "test".into(),
        image_size,
        left: camera,
        right: camera,
        right_from_left: Matrix4::new_translation(&Vector3::new(-baseline_m, 0.0, 0.0)),
        left_from_ego,
        rectified: true,
    }
}
