//! The network in burn, laid out as the paper's figure and the published checkpoints have it.
//!
//! [`Network`] is built from a preset and named weights and runs the tensors of the network
//! contract: images and the geometry inputs in, class logits out. Each part is a burn module that
//! can be run and tested alone, and takes its tensors from [`Weights`] under the names of the
//! published state dict.
//!
//! ```
//! use burn::tensor::Device;
//! use occdepth_host::{network::Network, preset::Preset, weights::Weights};
//!
//! let preset = Preset::builtin("nano")?;
//! let network = Network::new(&preset, &Weights::initialise(&preset, 1), &Device::flex())?;
//! assert!(network.flosp_depth.is_some() && network.net_3d_decoder.relation_prior.is_none());
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

#![allow(
    clippy::needless_pass_by_value,
    reason = "a tensor is a handle, and passed by value as burn's own layers do"
)]
#![allow(
    clippy::missing_panics_doc,
    reason = "only where a preset is not valid or a tensor not of the documented shape, as in burn"
)]

pub mod assignment;
pub mod crp;
pub mod decoder;
pub mod depth;
pub mod encoder;
pub mod head;
mod inputs;
mod layers;
mod loader;
mod resample;
pub mod unet3d;
pub mod virtual_stereo;

use burn::{
    module::Module,
    tensor::{Device, Tensor, activation::softmax},
};

pub use inputs::{DepthImage, DepthTables, Inputs, InputsError, Rgbd};

use crate::{
    preset::{AxisOrder, DEPTH_GAIN, Preset},
    weights::{Weights, WeightsError},
};
use decoder::Decoder;
use depth::DepthHead;
use encoder::Encoder;
use loader::Loader;
use unet3d::Unet3d;

/// `OccDepth`: stereo images to class logits per voxel.
#[derive(Module, Debug)]
pub struct Network {
    /// The image network, shared by the views.
    pub net_rgb: ImageNetwork,
    /// The depth net, if the preset has one.
    pub flosp_depth: Option<DepthHead>,
    /// The 3-D network with its head.
    pub net_3d_decoder: Unet3d,
    dims: [usize; 3],
    #[module(skip)]
    axes: AxisOrder,
}

/// Encoder and decoder of one image.
#[derive(Module, Debug)]
pub struct ImageNetwork {
    /// `EfficientNet`.
    pub encoder: Encoder,
    /// Up-blocks to the features of every scale.
    pub decoder: Decoder,
}

/// What a forward pass gives.
#[derive(Clone, Debug)]
pub struct Outputs {
    /// Class logits [C, X, Y, Z].
    pub ssc_logits: Tensor<4>,
    /// Empty and occupied [2, X, Y, Z], of cascade heads.
    pub occ_logits: Option<Tensor<4>>,
    /// Seen and occluded [2, X, Y, Z], of networks with an occluded head.
    pub occluded_logits: Option<Tensor<4>>,
    /// Relation logits [R, mega-voxels, voxels at 1/4 of the projection grid], of networks with a
    /// relation prior; voxels in the order of the 3-D network's axes.
    pub relation_logits: Option<Tensor<3>>,
}

impl Network {
    /// Builds the network of `preset` with `weights` on `device`; tensors that the preset does not
    /// need are ignored.
    ///
    /// # Errors
    /// For the first tensor that is missing or has another shape, by its name.
    pub fn new(preset: &Preset, weights: &Weights, device: &Device) -> Result<Self, WeightsError> {
        let root = Loader::new(weights, device);
        let image = root.at("net_rgb");
        let depth = preset.depth.as_ref();
        Ok(Self {
            net_rgb: ImageNetwork {
                encoder: Encoder::load(&image.at("encoder.original_model"), &preset.encoder)?,
                decoder: Decoder::load(&image.at("decoder"), preset)?,
            },
            flosp_depth: depth
                .map(|depth| {
                    let loader = root.at("flosp_depth.depth_net.0");
                    DepthHead::load(&loader, depth, preset.unet.widths[0])
                })
                .transpose()?,
            net_3d_decoder: Unet3d::load(&root.at("net_3d_decoder"), preset)?,
            dims: preset.projection_dims(),
            axes: preset.unet.axes,
        })
    }

    /// Runs one frame.
    pub fn forward(&self, inputs: Inputs) -> Outputs {
        let features = self.net_rgb.forward(inputs.images);
        let lifted = match &inputs.rgbd {
            Some(rgbd) => {
                let both = virtual_stereo::with_right_view(&features, rgbd);
                assignment::assign(&both, &inputs.pixels)
            }
            None => assignment::assign(&features, &inputs.pixels),
        };
        let volume = match (&self.flosp_depth, inputs.depth) {
            (Some(net), Some(tables)) => {
                let logits = net.forward(features.depth_map(), tables.pixel_size);
                let occupied = depth::lift(softmax(logits, 1), &tables.index, tables.weight);
                lifted * occupied * DEPTH_GAIN
            }
            _ => lifted,
        };
        self.complete(volume)
    }

    /// The 3-D network on voxel features [C, N].
    pub fn complete(&self, volume: Tensor<2>) -> Outputs {
        let [width, _] = volume.dims();
        let [x, y, z] = self.dims;
        let volume = unet3d::arrange(volume.reshape([1, width, x, y, z]), self.axes);
        let restore =
            |logits: Tensor<4>| unet3d::arrange(logits.unsqueeze(), self.axes).squeeze_dim(0);
        let outputs = self.net_3d_decoder.forward(volume);
        Outputs {
            ssc_logits: restore(outputs.ssc_logits),
            occ_logits: outputs.occ_logits.map(restore),
            occluded_logits: outputs.occluded_logits.map(restore),
            relation_logits: outputs.relation_logits,
        }
    }
}

impl ImageNetwork {
    /// Features of every scale from images [V, 3, H, W].
    pub fn forward(&self, images: Tensor<4>) -> decoder::Features {
        let taps = self.encoder.forward(images.clone());
        self.decoder.forward(images, taps)
    }
}
