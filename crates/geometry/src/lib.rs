//! Cameras, stereo rectification and voxel projection (skeleton).
#![forbid(unsafe_code)]

pub mod camera;
pub mod depth;
pub mod fit;
pub mod network;
pub mod projection;
pub mod rectification;
pub mod rig;
pub mod voxel;

/// Width and height of an image, in pixels.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ImageSize {
    /// Columns.
    pub width: u32,
    /// Rows.
    pub height: u32,
}

impl std::fmt::Display for ImageSize {
    /// `1226x370`
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}x{}", self.width, self.height)
    }
}
