//! A deterministic synthetic street (skeleton).
#![forbid(unsafe_code)]
use occdepth_geometry::{rig::StereoRig, voxel::VoxelGrid};

/// A street made from a seed; everything about it follows from `seed` and time.
#[derive(Debug)]
pub struct Street {
    _seed: u64,
}
/// What a stereo rig sees at one moment. Buffers are reused from call to call.
#[derive(Clone, Debug, Default)]
pub struct Rendering {
    /// RGB8, row-major, image size of the rig.
    pub left_rgb: Vec<u8>,
    pub right_rgb: Vec<u8>,
}
#[derive(Debug, thiserror::Error)]
pub enum StreetError {
    #[error("todo")]
    Todo,
}
impl Street {
    pub fn new(_seed: u64, _rig: &StereoRig) -> Result<Self, StreetError> {
        todo!()
    }
    /// Renders both views at `time_s` after the start.
    pub fn render(&mut self, _time_s: f64, _into: &mut Rendering) {
        todo!()
    }
    /// z-depth of the left view in metres, row-major; 0 = sky.
    pub fn left_depth_m(&self, _time_s: f64, _into: &mut Vec<f32>) {
        todo!()
    }
    /// SemanticKITTI class ids 0..=19 of every voxel of `grid` (ego frame) at `time_s`.
    pub fn labels(&self, _time_s: f64, _grid: &VoxelGrid, _into: &mut Vec<u8>) {
        todo!()
    }
}
