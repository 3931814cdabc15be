//! The tensors of the network contract, checked against a preset.

use burn::tensor::{Device, Int, Tensor, TensorData};
use occdepth_contract::self_test::Frame;
use occdepth_geometry::network::GeometryInputs;

use crate::preset::{IMAGE_CHANNELS, Preset};

/// One frame for [`Network::forward`](super::Network::forward).
#[derive(Clone, Debug)]
pub struct Inputs {
    /// Normalised images [V, 3, H, W].
    pub images: Tensor<4>,
    /// Pixels of the voxels [Vp, S, N, P]; Vp is V, or 2 with a virtual right view.
    pub pixels: Tensor<4, Int>,
    /// Tables of the depth net, for networks that have one.
    pub depth: Option<DepthTables>,
    /// The depth image, for networks that make their right view from one.
    pub rgbd: Option<Rgbd>,
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

/// The inputs of virtual stereo.
#[derive(Clone, Debug)]
pub struct Rgbd {
    /// Depth image [1, 1, H, W], metres; 0 where nothing was measured.
    pub depth_m: Tensor<4>,
    /// Focal length (pixels of the network's image) times baseline (metres) `[1]`.
    pub baseline_focal: Tensor<1>,
}

/// A depth image before it is a tensor.
#[derive(Clone, Debug, PartialEq)]
pub struct DepthImage {
    /// Row-major [H, W], metres; 0 where nothing was measured.
    pub depth_m: Vec<f32>,
    /// Focal length (pixels of the network's image) times baseline (metres) of the virtual right
    /// view.
    pub baseline_focal: f32,
}

/// Why inputs do not fit a preset.
#[derive(Debug, PartialEq, thiserror::Error)]
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
    /// The preset makes its right view from a depth image, and there is none.
    #[error("input depth_m: missing, expected by the virtual stereo of preset {preset}")]
    NoDepthImage {
        /// The preset.
        preset: String,
    },
    /// A depth that is not finite: resampling would spread it over its neighbours.
    #[error(
        "input depth_m: value {at} is {found}, expected finite metres, 0 where nothing was measured"
    )]
    Depth {
        /// Row-major position of the pixel.
        at: usize,
        /// The value.
        found: f32,
    },
    /// A focal length times baseline that is not positive.
    #[error(
        "input baseline_focal: found {found}, expected a positive number of pixels times metres"
    )]
    BaselineFocal {
        /// The value.
        found: f32,
    },
    /// A depth image for a preset that reads none.
    #[error("input depth_m: present, but preset {preset} has no virtual stereo")]
    UnexpectedDepthImage {
        /// The preset.
        preset: String,
    },
}

impl Inputs {
    /// Normalised images (row-major [V, 3, H, W]) and geometry as tensors on `device`.
    ///
    /// # Errors
    /// For the first tensor that does not fit `preset`; a preset with virtual stereo has to have
    /// [`Inputs::with_depth_image`].
    pub fn new(
        preset: &Preset,
        images: Vec<f32>,
        geometry: &GeometryInputs,
        device: &Device,
    ) -> Result<Self, InputsError> {
        if preset.virtual_stereo {
            return Err(InputsError::NoDepthImage { preset: preset.name.clone() });
        }
        Self::without_depth_image(preset, images, geometry, device)
    }

    /// As [`Inputs::new`], with the depth image of a preset with virtual stereo.
    ///
    /// # Errors
    /// For the first tensor that does not fit `preset`.
    pub fn with_depth_image(
        preset: &Preset,
        images: Vec<f32>,
        image: DepthImage,
        geometry: &GeometryInputs,
        device: &Device,
    ) -> Result<Self, InputsError> {
        if !preset.virtual_stereo {
            return Err(InputsError::UnexpectedDepthImage { preset: preset.name.clone() });
        }
        let (width, height) = (preset.image.width as usize, preset.image.height as usize);
        let shape = [1, 1, height, width];
        check("depth_m", image.depth_m.len(), &shape)?;
        if let Some(at) = image.depth_m.iter().position(|m| !m.is_finite()) {
            return Err(InputsError::Depth { at, found: image.depth_m[at] });
        }
        let found = image.baseline_focal;
        if !(found.is_finite() && found > 0.0) {
            return Err(InputsError::BaselineFocal { found });
        }
        let rgbd = Rgbd {
            depth_m: Tensor::from_data(TensorData::new(image.depth_m, shape), device),
            baseline_focal: Tensor::from_data([image.baseline_focal], device),
        };
        let inputs = Self::without_depth_image(preset, images, geometry, device)?;
        Ok(Self { rgbd: Some(rgbd), ..inputs })
    }

    /// A frame of the contract (of a self-test, or of files) as tensors on `device`.
    ///
    /// # Errors
    /// For the first tensor that does not fit `preset`.
    pub fn from_frame(
        preset: &Preset,
        frame: &Frame,
        device: &Device,
    ) -> Result<Self, InputsError> {
        let images = frame.images.clone();
        let Some(depth) = &frame.depth else {
            return Self::new(preset, images, &frame.geometry, device);
        };
        let image =
            DepthImage { depth_m: depth.depth_m.clone(), baseline_focal: depth.baseline_focal };
        Self::with_depth_image(preset, images, image, &frame.geometry, device)
    }

    fn without_depth_image(
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
        let pixel_views = preset.pixel_views();
        let per_point = pixel_views * preset.scales.len() * voxels;
        let points = (geometry.pixels.len() / per_point).max(1);
        let shape = [pixel_views, preset.scales.len(), voxels, points];
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
        Ok(Self { images, pixels, depth, rgbd: None })
    }
}

fn check(tensor: &'static str, found: usize, shape: &[usize]) -> Result<(), InputsError> {
    let expected = shape.iter().product();
    if found == expected {
        return Ok(());
    }
    Err(InputsError::Length { tensor, found, expected, shape: shape.to_vec() })
}
