//! Cameras, stereo rectification and voxel projection: the mathematics that the runtime and the training
//! share.
//!
//! A network that turns stereo images into occupied voxels takes its geometry as an input: a table that says
//! which pixels each voxel looks at. This crate computes that table from a description of the rig, once per rig
//! and network. Training and serving call the same functions, so a voxel cannot fall on one pixel
//! here and on another there. There is no I/O: files are parsed from text, and every error names the field,
//! what was found and what was expected.
//!
//! In the order that data flows through it:
//!
//! | module | turns | into |
//! |---|---|---|
//! | [`rig`] | a rig file, or KITTI's `calib.txt` | [`StereoRig`](rig::StereoRig): two cameras, their relation, their mount |
//! | [`camera`] | a point | its pixel, by `OpenCV`'s lens models; and a pixel into its ray |
//! | [`rectification`] | a rig | row-aligned cameras and remap tables, number for number as `OpenCV` |
//! | [`fit`] | a rig and a network's image size | the cameras that the network looks through |
//! | [`voxel`], [`projection`] | a voxel grid and those cameras | the pixels of every voxel |
//! | [`depth`] | the same | bins and weights in a volume of depth probabilities |
//! | [`network`] | all of it | the input tensors of the network contract |
//!
//! Conventions everywhere: metres and pixels; pixel centres at integers; `b_from_a` takes coordinates in a to
//! coordinates in b; cameras have x right, y down, z forward; the ego frame has x forward, y left, z up.
//!
//! # Example
//!
//! ```
//! use occdepth_geometry::{ImageSize, fit::{Fit, NetworkCameras}, rig::StereoRig};
//!
//! # let text = include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/../../calibration/demo.toml"));
//! let rig = StereoRig::from_toml(text, "calibration/demo.toml")?;
//! let size = ImageSize { width: 320, height: 96 };
//! let cameras = NetworkCameras::new(&rig, Fit::Rectify, size)?;
//!
//! // A point 10 m ahead of the ego origin, and the pixel in which the network's left image shows it.
//! let in_left = cameras.left.view.cam_from_ego * nalgebra::Vector4::new(10.0, 0.0, 0.0, 1.0);
//! let pixel = cameras.left.view.k * in_left.xyz() / in_left.z;
//! assert!(pixel.x > 0.0 && pixel.x < 320.0 && pixel.y > 0.0 && pixel.y < 96.0);
//!
//! // Where that pixel comes from in the 640x192 image of the real camera.
//! let map = cameras.left.map.as_ref().expect("the image is scaled, so there is a map");
//! let [x, y] = map.source[pixel.y as usize * 320 + pixel.x as usize];
//! assert!((0.0..=639.0).contains(&x) && (0.0..=191.0).contains(&y));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
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
