//! Stereo rectification with OpenCV's semantics, and remap tables.
use crate::ImageSize;
use nalgebra::{Matrix3, Matrix3x4, Matrix4};

/// What the new camera matrix should keep of the images.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Crop {
    /// alpha = -1 (OpenCV's default scaling) or 0..=1; pinhole cameras.
    Alpha(f64),
    /// balance 0..=1; fisheye cameras.
    Balance(f64),
}
#[derive(Clone, Debug, PartialEq)]
pub struct StereoRectification {
    pub size: ImageSize,
    pub r1: Matrix3<f64>,
    pub r2: Matrix3<f64>,
    pub p1: Matrix3x4<f64>,
    pub p2: Matrix3x4<f64>,
    pub q: Matrix4<f64>,
}
#[derive(Debug, thiserror::Error)]
pub enum RectificationError {
    #[error("todo")]
    Todo,
}
impl StereoRectification {
    pub fn new(
        _rig: &crate::rig::StereoRig,
        _crop: Crop,
        _size: ImageSize,
    ) -> Result<Self, RectificationError> {
        todo!()
    }
    pub fn left_map(&self, _rig: &crate::rig::StereoRig) -> RemapTable {
        todo!()
    }
    pub fn right_map(&self, _rig: &crate::rig::StereoRig) -> RemapTable {
        todo!()
    }
}
/// For each destination pixel, row-major, where to sample the source: (x, y) in source pixels, centres at integers.
/// A point that no source pixel can show (behind the lens model's range) is NaN.
#[derive(Clone, Debug, PartialEq)]
pub struct RemapTable {
    pub size: ImageSize,
    pub source: Vec<[f32; 2]>,
}
