//! The tensors of the network contract, checked against a preset.

use burn::tensor::{Device, Int, Tensor, TensorData};
use occdepth_geometry::network::GeometryInputs;

use crate::preset::{IMAGE_CHANNELS, Preset};

/// One frame for [`Network::forward`](super::Network::forward).
#[derive(Clone, Debug)]
pub struct Inputs {
    /// Normalised images [V, 3, H, W].
    pub images: Tensor<4>,
    /// Pixels of the voxels [V, S, N, P].
    pub pixels: Tensor<4, Int>,
    /// Tables of the depth net, for networks that have one.
    pub depth: Option<DepthTables>,
}

/// The inputs of a depth net.
#[derive(Clone, Debug)]
pub struct DepthTables {
    /// Corners in the depth volume [V, 8, N].
    pub index: Tensor<3, Int>,
    /// Their weights [V, 8, N].
    pub weight: Tensor<3>,
    /// 1000 * sqrt(1 / fx^2 + 1 / fy^2) [V, 1].
    pub pixel_size: Tensor<2>,
}

/// Why inputs do not fit a preset.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum InputsError {
    /// A tensor has another number of values than the preset asks for.
    #[error("input {tensor}: {found} values, expected {expected} for shape {shape:?}")]
    Length {
        /// Name in the contract.
        tensor: &'static str,
        /// Values given.
        found: usize,
        /// Values expected.
        expected: usize,
        /// Shape expected.
        shape: Vec<usize>,
    },
    /// The preset has a depth net and the geometry has no depth tables.
    #[error("input depth_index: missing, expected by the depth net of preset {preset}")]
    NoDepth {
        /// The preset.
        preset: String,
    },
}

impl Inputs {
    /// Normalised images (row-major [V, 3, H, W]) and geometry as tensors on `device`.
    ///
    /// # Errors
    /// For the first tensor that does not fit `preset`.
    pub fn new(
        preset: &Preset,
        images: Vec<f32>,
        geometry: &GeometryInputs,
        device: &Device,
    ) -> Result<Self, InputsError> {
        let views = preset.views;
        let voxels = preset.projection_voxels();
        let (width, height) = (preset.image.width as usize, preset.image.height as usize);
        let shape = [views, IMAGE_CHANNELS, height, width];
        check("images", images.len(), &shape)?;
        let images = Tensor::from_data(TensorData::new(images, shape), device);

        // The number of points follows from the table; every pattern has at least one.
        let per_point = views * preset.scales.len() * voxels;
        let points = (geometry.pixels.len() / per_point).max(1);
        let shape = [views, preset.scales.len(), voxels, points];
        check("pixels", geometry.pixels.len(), &shape)?;
        let pixels = Tensor::from_data(TensorData::new(geometry.pixels.clone(), shape), device);

        let depth = match (&preset.depth, &geometry.depth) {
            (None, _) => None,
            (Some(_), None) => return Err(InputsError::NoDepth { preset: preset.name.clone() }),
            (Some(_), Some(depth)) => {
                let shape = [views, 8, voxels];
                check("depth_index", depth.index.len(), &shape)?;
                check("depth_weight", depth.weight.len(), &shape)?;
                check("pixel_size", depth.pixel_size.len(), &[views, 1])?;
                let index = TensorData::new(depth.index.clone(), shape);
                let weight = TensorData::new(depth.weight.clone(), shape);
                let pixel_size = TensorData::new(depth.pixel_size.clone(), [views, 1]);
                Some(DepthTables {
                    index: Tensor::from_data(index, device),
                    weight: Tensor::from_data(weight, device),
                    pixel_size: Tensor::from_data(pixel_size, device),
                })
            }
        };
        Ok(Self { images, pixels, depth })
    }
}

fn check(tensor: &'static str, found: usize, shape: &[usize]) -> Result<(), InputsError> {
    let expected = shape.iter().product();
    if found == expected {
        return Ok(());
    }
    Err(InputsError::Length { tensor, found, expected, shape: shape.to_vec() })
}
