//! The image decoder: up-blocks that join the encoder's taps, and 1x1 outputs per scale.

use burn::{module::Module, nn::BatchNorm, tensor::Tensor};

use super::{
    encoder::Taps,
    layers::{Conv2d, Conv2dShape, Padding, activate, load_norm},
    loader::Loader,
    resample::{Alignment, resample},
};
use crate::{
    preset::{self, Activation, NORM_EPSILON, Preset},
    weights::WeightsError,
};

/// `conv2`, then the up-blocks coarse to fine.
#[derive(Module, Debug)]
pub struct Decoder {
    conv2: Conv2d,
    ups: Vec<UpBlock>,
}

/// Features of the views at the scales that voxels gather from.
#[derive(Clone, Debug)]
pub struct Features {
    /// Scale and [V, C, ceil(H / scale), ceil(W / scale)], fine to coarse.
    pub scales: Vec<(u32, Tensor<4>)>,
}

impl Features {
    /// The map at 1/8, which the depth net reads.
    pub(super) fn depth_map(&self) -> Tensor<4> {
        let map = self.scales.iter().find(|(scale, _)| *scale == 8);
        map.expect("a valid preset with a depth net has scale 8").1.clone()
    }
}

impl Decoder {
    pub(super) fn load(loader: &Loader<'_>, preset: &Preset) -> Result<Self, WeightsError> {
        // The published decoder pads this 1x1 convolution: the map grows by a frame of the bias.
        let conv2 = Conv2dShape {
            padding: Padding::Zeros(1),
            ..Conv2dShape::new(preset.decoder.bottleneck, preset.encoder.head, 1)
        };
        let width = preset.unet.widths[0];
        let activation = preset.decoder.activation;
        Ok(Self {
            conv2: Conv2d::load(&loader.at("conv2"), conv2)?,
            ups: preset
                .up_blocks()
                .iter()
                .map(|block| UpBlock::load(loader, block, width, activation))
                .collect::<Result<_, _>>()?,
        })
    }

    /// Features of images [V, 3, H, W] and their taps.
    pub fn forward(&self, images: Tensor<4>, taps: Taps) -> Features {
        let [half, quarter, eighth, sixteenth] = taps.stages;
        let skips = [sixteenth, eighth, quarter, half, images];
        let mut x = self.conv2.forward(taps.head);
        let mut scales = Vec::new();
        for (up, skip) in self.ups.iter().zip(skips) {
            x = up.forward(x, skip);
            if let Some(resize) = &up.resize_output {
                scales.push((up.scale, resize.forward(x.clone())));
            }
        }
        scales.reverse();
        Features { scales }
    }
}

/// Enlarges, joins a tap, and convolves twice.
#[derive(Module, Debug)]
pub struct UpBlock {
    conv1: Conv2d,
    bn1: BatchNorm,
    conv2: Conv2d,
    bn2: BatchNorm,
    resize_output: Option<Conv2d>,
    scale: u32,
    #[module(skip)]
    activation: Activation,
}

impl UpBlock {
    fn load(
        decoder: &Loader<'_>,
        block: &preset::UpBlock,
        width: usize,
        activation: Activation,
    ) -> Result<Self, WeightsError> {
        let net = decoder.at(&format!("{}._net", block.name));
        let out = block.output;
        let resize = decoder.at(&format!("resize_output_1_{}", block.scale));
        Ok(Self {
            conv1: Conv2d::load(&net.at("0"), Conv2dShape::new(out, block.input + block.skip, 3))?,
            bn1: load_norm(&net.at("1"), out, NORM_EPSILON)?,
            conv2: Conv2d::load(&net.at("3"), Conv2dShape::new(out, out, 3))?,
            bn2: load_norm(&net.at("4"), out, NORM_EPSILON)?,
            resize_output: block
                .resized
                .then(|| Conv2d::load(&resize, Conv2dShape::new(width, out, 1)))
                .transpose()?,
            scale: block.scale,
            activation,
        })
    }

    fn forward(&self, x: Tensor<4>, skip: Tensor<4>) -> Tensor<4> {
        let [_, _, height, width] = skip.dims();
        let x = Tensor::cat(vec![resample(x, height, width, Alignment::Corners), skip], 1);
        let x = activate(self.bn1.forward(self.conv1.forward(x)), self.activation);
        activate(self.bn2.forward(self.conv2.forward(x)), self.activation)
    }
}
