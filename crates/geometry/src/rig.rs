//! A stereo rig: two cameras, their relation, their mount.
use crate::{ImageSize, camera::Camera};
use nalgebra::Matrix4;

/// A stereo rig.
#[derive(Clone, Debug, PartialEq)]
pub struct StereoRig {
    pub name: String,
    /// Of both cameras.
    pub image_size: ImageSize,
    pub left: Camera,
    pub right: Camera,
    /// Rigid; metres.
    pub right_from_left: Matrix4<f64>,
    /// Rigid; metres; physical left camera from ego.
    pub left_from_ego: Matrix4<f64>,
    /// The images arrive already rectified (KITTI): no distortion, no rotation between the views.
    pub rectified: bool,
}
#[derive(Debug, thiserror::Error)]
pub enum RigError {
    #[error("todo")]
    Todo,
}
impl StereoRig {
    /// Parses the native TOML; `origin` (a path or a name) is only for error messages.
    pub fn from_toml(_text: &str, _origin: &str) -> Result<Self, RigError> {
        todo!()
    }
    /// The native TOML of this rig; `from_toml` reads it back exactly.
    pub fn to_toml(&self) -> String {
        todo!()
    }
    /// KITTI odometry calib.txt (P0-P3, Tr): the colour pair P2, P3, already rectified; ego = velodyne.
    pub fn from_kitti_calib(
        _text: &str,
        _origin: &str,
        _image_size: ImageSize,
    ) -> Result<Self, RigError> {
        todo!()
    }
    /// Checks everything that from_toml checks.
    pub fn validate(&self, _origin: &str) -> Result<(), RigError> {
        todo!()
    }
}
