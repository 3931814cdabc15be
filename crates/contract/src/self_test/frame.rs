//! The frame of a self-test: images from hashes, geometry from cameras.

use super::{
    SelfTest, SelfTestError,
    error::Check,
    texture::{depth_m, rgb},
};
use crate::{Contract, tensor};
use nalgebra::{Matrix3, Matrix4};
use occdepth_geometry::{
    network::{GeometryInputs, View},
    projection::Arithmetic,
};
use serde::{Deserialize, Serialize};

/// A camera of a self-test, in the network's image.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Camera {
    /// Intrinsics in pixels, row by row.
    pub k: [f64; 9],
    /// Pose: the camera's frame from the ego frame, metres, row by row.
    pub cam_from_ego: [f64; 16],
}

/// Every input of a network.
#[derive(Clone, Debug, PartialEq)]
pub struct Frame {
    /// `images`, f32 `[V, 3, H, W]`, normalised.
    pub images: Vec<f32>,
    /// The inputs that follow from the cameras.
    pub geometry: GeometryInputs,
    /// The inputs of an RGB-D network.
    pub depth: Option<DepthImage>,
}

/// The inputs of an RGB-D network.
#[derive(Clone, Debug, PartialEq)]
pub struct DepthImage {
    /// `depth_m`, f32 `[1, 1, H, W]`; 0 where nothing was measured.
    pub depth_m: Vec<f32>,
    /// `baseline_focal`, metres times pixels.
    pub baseline_focal: f32,
}

/// The values of an input, row-major.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Values<'a> {
    /// Floats.
    F32(&'a [f32]),
    /// Integers.
    I32(&'a [i32]),
}

impl Frame {
    /// The frame of `test` for the network of `contract`; `origin` is for error messages.
    ///
    /// # Errors
    /// [`SelfTestError::Field`] when the test has other cameras than the network, or no place for its
    /// grid; [`SelfTestError::Geometry`] when the cameras cannot be projected.
    pub fn new(test: &SelfTest, contract: &Contract, origin: &str) -> Result<Self, SelfTestError> {
        let check = Check { origin };
        check.that(
            test.cameras.len() == contract.views as usize,
            "cameras",
            test.cameras.len(),
            &format!("{}, one for each view of the network", contract.views),
        )?;
        check.that(
            test.baseline_m.is_some() == contract.virtual_stereo,
            "baseline_m",
            format!("{:?}", test.baseline_m),
            if contract.virtual_stereo { "a length: the network is RGB-D" } else { "null" },
        )?;
        let spec = contract
            .geometry_spec(test.origin_m)
            .map_err(|error| check.failed("origin_m", &error.to_string(), "three metres"))?;
        let views: Vec<View> = test
            .cameras
            .iter()
            .map(|camera| View {
                k: Matrix3::from_row_slice(&camera.k),
                cam_from_ego: Matrix4::from_row_slice(&camera.cam_from_ego),
            })
            .collect();
        let geometry = match test.baseline_m {
            Some(baseline_m) => {
                let arithmetic = Arithmetic::Double;
                GeometryInputs::with_virtual_right(&spec, &views[0], baseline_m, arithmetic)
            }
            None => GeometryInputs::new(&spec, &views),
        }
        .map_err(|source| SelfTestError::Geometry { origin: origin.into(), source })?;
        let depth = test.baseline_m.map(|baseline_m| {
            let focal_px = test.cameras[0].k[0];
            #[allow(clippy::cast_possible_truncation, reason = "an f32 tensor")]
            let baseline_focal = (baseline_m * focal_px) as f32;
            let each = pixels(contract);
            let depth_m = each.map(|[x, y]| depth_m(test.seed, x, y)).collect();
            DepthImage { depth_m, baseline_focal }
        });
        Ok(Self { images: images(test.seed, contract), geometry, depth })
    }

    /// Every input by its name, in the order of the contract.
    pub fn inputs(&self) -> Vec<(&'static str, Values<'_>)> {
        let mut inputs = vec![
            (tensor::IMAGES, Values::F32(&self.images)),
            (tensor::PIXELS, Values::I32(&self.geometry.pixels)),
        ];
        if let Some(depth) = &self.geometry.depth {
            inputs.extend([
                (tensor::DEPTH_INDEX, Values::I32(&depth.index)),
                (tensor::DEPTH_WEIGHT, Values::F32(&depth.weight)),
                (tensor::PIXEL_SIZE, Values::F32(&depth.pixel_size)),
            ]);
        }
        if let Some(depth) = &self.depth {
            inputs.extend([
                (tensor::DEPTH_M, Values::F32(&depth.depth_m)),
                (tensor::BASELINE_FOCAL, Values::F32(std::slice::from_ref(&depth.baseline_focal))),
            ]);
        }
        inputs
    }
}

impl Values<'_> {
    /// CRC-32 of the values, little endian.
    pub fn crc32(self) -> u32 {
        let mut hasher = crc32fast::Hasher::new();
        match self {
            Self::F32(values) => {
                for value in values {
                    hasher.update(&value.to_le_bytes());
                }
            }
            Self::I32(values) => {
                for value in values {
                    hasher.update(&value.to_le_bytes());
                }
            }
        }
        hasher.finalize()
    }
}

/// `images`: one texture, seen by the second view a few pixels further right, so that the views agree
/// in part, as views of one scene do.
fn images(seed: u64, contract: &Contract) -> Vec<f32> {
    let normalisation = &contract.normalisation;
    let mut values = Vec::new();
    for view in 0..contract.views {
        let colours: Vec<[u8; 3]> =
            pixels(contract).map(|[x, y]| rgb(seed, x + view * DISPARITY_PX, y)).collect();
        for channel in 0..3 {
            let [mean, std] = [normalisation.mean[channel], normalisation.std[channel]];
            let normalised =
                colours.iter().map(|colour| (f32::from(colour[channel]) / 255.0 - mean) / std);
            values.extend(normalised);
        }
    }
    values
}

/// x, y of every pixel, row-major.
fn pixels(contract: &Contract) -> impl Iterator<Item = [u32; 2]> + use<> {
    let image = contract.image;
    (0..image.height).flat_map(move |y| (0..image.width).map(move |x| [x, y]))
}

/// Cameras at the near end of the grid, in its middle, looking along x; the baseline of a virtual
/// view; and the origin of a grid that has none.
pub(super) fn default_rig(contract: &Contract) -> (Vec<Camera>, Option<f64>, Option<[f64; 3]>) {
    let grid = &contract.grid;
    let [_, breadth_m, height_m] = grid.dims.map(|n| f64::from(n) * grid.voxel_size_m);
    let placed = grid.origin_m.is_none().then_some([0.0, -breadth_m / 2.0, 0.0]);
    let origin_m = placed.or(grid.origin_m).unwrap_or_default();
    let [width, height] = [contract.image.width, contract.image.height].map(f64::from);
    let focal_px = 0.6 * width;
    let k = [focal_px, 0.0, width / 2.0, 0.0, focal_px, height / 2.0, 0.0, 0.0, 1.0];
    let baseline_m = 2.5 * grid.voxel_size_m;
    let left_m = origin_m[1] + breadth_m / 2.0;
    let up_m = origin_m[2] + 0.4 * height_m;
    let camera = |view: u32| Camera {
        k,
        // x right = -y, y down = -z, z forward = x.
        cam_from_ego: [
            0.0,
            -1.0,
            0.0,
            left_m - f64::from(view) * baseline_m, //
            0.0,
            0.0,
            -1.0,
            up_m, //
            1.0,
            0.0,
            0.0,
            -origin_m[0], //
            0.0,
            0.0,
            0.0,
            1.0,
        ],
    };
    let cameras = (0..contract.views).map(camera).collect();
    (cameras, contract.virtual_stereo.then_some(baseline_m), placed)
}

/// How much further right the second view sees the texture.
const DISPARITY_PX: u32 = 8;
