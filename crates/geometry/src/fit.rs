//! How a rig's images become a network's images: crop, or a rectified camera that fills them.
use crate::{ImageSize, network::View, rectification::RemapTable, rig::StereoRig};

/// `fit` of the network contract.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Fit {
    /// The top-left width x height pixels of the rectified image, unscaled.
    Crop,
    /// A rectified camera chosen so that the rig's view fills width x height.
    Rectify,
}
/// What one view sees and how its pixels are made.
#[derive(Clone, Debug)]
pub struct NetworkCamera {
    pub view: View,
    /// None: copy the top-left pixels unchanged (already rectified and cropped).
    pub map: Option<RemapTable>,
}
#[derive(Clone, Debug)]
pub struct NetworkCameras {
    pub size: ImageSize,
    pub left: NetworkCamera,
    pub right: NetworkCamera,
    /// Rectified left camera from ego (R1 * left_from_ego).
    pub rectified_from_ego: nalgebra::Matrix4<f64>,
    /// Metres, positive.
    pub baseline_m: f64,
}
#[derive(Debug, thiserror::Error)]
pub enum FitError {
    #[error("todo")]
    Todo,
}
impl NetworkCameras {
    pub fn new(_rig: &StereoRig, _fit: Fit, _size: ImageSize) -> Result<Self, FitError> {
        todo!()
    }
}
