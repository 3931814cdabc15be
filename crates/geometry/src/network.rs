//! The geometry inputs of the network contract, computed for one rig and one network.
use crate::{ImageSize, depth::DepthVolume, voxel::VoxelGrid};
use nalgebra::{Matrix3, Matrix4};

/// What a network needs to know of geometry.
#[derive(Clone, Debug, PartialEq)]
pub struct GeometrySpec {
    pub views: usize,
    pub image: ImageSize,
    pub scales: Vec<u32>,
    /// Pattern id 0..=8.
    pub pattern: u8,
    pub project_scale: u32,
    /// The output grid; the projection grid has the same origin and `project_scale` times the voxel size.
    pub grid: VoxelGrid,
    pub depth: Option<DepthVolume>,
    /// Published quirk of project scale 1: both views sample with the left view's pixels.
    pub right_samples_left_pixels: bool,
}
/// One view as the network sees it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct View {
    /// Intrinsics of the network's image, pixels.
    pub k: Matrix3<f64>,
    pub cam_from_ego: Matrix4<f64>,
}
/// The tensors, row-major.
#[derive(Clone, Debug, PartialEq)]
pub struct GeometryInputs {
    /// i32 [Vp, S, N, P].
    pub pixels: Vec<i32>,
    /// i32, f32 [V, 8, N] and f32 [V, 1], for networks with a depth net.
    pub depth: Option<DepthInputs>,
}
#[derive(Clone, Debug, PartialEq)]
pub struct DepthInputs {
    pub index: Vec<i32>,
    pub weight: Vec<f32>,
    pub pixel_size: Vec<f32>,
}
#[derive(Debug, thiserror::Error)]
pub enum GeometryError {
    #[error("todo")]
    Todo,
}
impl GeometryInputs {
    pub fn new(_spec: &GeometrySpec, _views: &[View]) -> Result<Self, GeometryError> {
        todo!()
    }
}
