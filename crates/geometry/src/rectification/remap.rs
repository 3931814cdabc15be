//! The table that tells where each rectified pixel comes from.

use crate::{
    ImageSize,
    camera::{Camera, Intrinsics, PreparedCamera},
};
use nalgebra::{Matrix3, Vector3};

/// For each destination pixel, row-major, where to sample the source: (x, y) in source pixels, centres at integers.
/// A point that no source pixel can show (behind the lens model's range) is NaN.
#[derive(Clone, Debug, PartialEq)]
pub struct RemapTable {
    /// Of the destination.
    pub size: ImageSize,
    /// One position per destination pixel. It may lie outside the source image.
    pub source: Vec<[f32; 2]>,
}

impl RemapTable {
    /// The table that makes the image of a pinhole camera with intrinsics `rectified` and `size` pixels out of
    /// the images of `camera`, which stands in the same place; `rectified_from_camera` is the rotation
    /// between them.
    #[allow(clippy::cast_possible_truncation, reason = "f32 holds 1e-4 px of the largest image")]
    pub fn new(
        camera: &Camera,
        rectified_from_camera: &Matrix3<f64>,
        rectified: &Intrinsics,
        size: ImageSize,
    ) -> Self {
        let prepared = PreparedCamera::new(camera);
        let camera_from_rectified = rectified_from_camera.transpose();
        let source = (0..size.height)
            .flat_map(|v| (0..size.width).map(move |u| [f64::from(u), f64::from(v)]))
            .map(|pixel| {
                let [x, y] = rectified.plane(pixel);
                let ray = camera_from_rectified * Vector3::new(x, y, 1.0);
                prepared.project(&ray).map_or([f32::NAN; 2], |[x, y]| [x as f32, y as f32])
            })
            .collect();
        Self { size, source }
    }
}
