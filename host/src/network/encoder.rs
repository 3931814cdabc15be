//! The image encoder: `EfficientNet` with TensorFlow padding.

use burn::{
    module::Module,
    nn::BatchNorm,
    tensor::{Tensor, activation::sigmoid},
};

use super::{
    layers::{Conv2d, Conv2dShape, Padding, activate, load_norm},
    loader::Loader,
};
use crate::{
    preset::{self, Activation, ENCODER_NORM_EPSILON, EncoderBlock, IMAGE_CHANNELS},
    weights::WeightsError,
};

/// Stem, seven stages and the head convolution.
#[derive(Module, Debug)]
pub struct Encoder {
    conv_stem: Conv2d,
    bn1: BatchNorm,
    blocks: Vec<Vec<Block>>,
    conv_head: Conv2d,
    #[module(skip)]
    activation: Activation,
}

/// What the decoder reads of the encoder.
#[derive(Clone, Debug)]
pub struct Taps {
    /// Outputs of stages 0, 1, 2 and 4: [V, C, ceil(H / s), ceil(W / s)] at s = 2, 4, 8, 16.
    pub stages: [Tensor<4>; 4],
    /// The head convolution before its batch norm, at 1/32.
    pub head: Tensor<4>,
}

impl Encoder {
    pub(super) fn load(
        loader: &Loader<'_>,
        encoder: &preset::Encoder,
    ) -> Result<Self, WeightsError> {
        let stem = Conv2dShape {
            stride: 2,
            padding: Padding::Same,
            ..Conv2dShape::new(encoder.stem, IMAGE_CHANNELS, 3).without_bias()
        };
        let mut blocks: Vec<Vec<Block>> = vec![Vec::new(); encoder.stages.len()];
        for block in encoder.blocks() {
            let loader = loader.at(&block.name);
            blocks[block.stage].push(Block::load(&loader, &block, encoder.activation)?);
        }
        let head = Conv2dShape::new(encoder.head, encoder.stages[6].width, 1).without_bias();
        Ok(Self {
            conv_stem: Conv2d::load(&loader.at("conv_stem"), stem)?,
            bn1: load_norm(&loader.at("bn1"), encoder.stem, ENCODER_NORM_EPSILON)?,
            blocks,
            conv_head: Conv2d::load(&loader.at("conv_head"), head)?,
            activation: encoder.activation,
        })
    }

    /// Taps of normalised images [V, 3, H, W].
    pub fn forward(&self, images: Tensor<4>) -> Taps {
        let mut x = activate(self.bn1.forward(self.stem(images)), self.activation);
        let outputs: Vec<Tensor<4>> = self
            .blocks
            .iter()
            .map(|stage| {
                x = stage.iter().fold(x.clone(), |x, block| block.forward(x));
                x.clone()
            })
            .collect();
        let stages = [0, 1, 2, 4].map(|stage: usize| outputs[stage].clone());
        Taps { stages, head: self.conv_head.forward(x) }
    }

    /// The stem convolution of normalised images [V, 3, H, W], at 1/2, before its batch norm.
    pub fn stem(&self, images: Tensor<4>) -> Tensor<4> {
        self.conv_stem.forward(images)
    }
}

/// An inverted residual, or without `conv_pwl` a depthwise-separable block.
#[derive(Module, Debug)]
pub struct Block {
    conv_pw: Conv2d,
    bn1: BatchNorm,
    conv_dw: Conv2d,
    bn2: BatchNorm,
    se: Option<SqueezeExcite>,
    conv_pwl: Option<Conv2d>,
    bn3: Option<BatchNorm>,
    residual: bool,
    #[module(skip)]
    activation: Activation,
}

impl Block {
    fn load(
        loader: &Loader<'_>,
        block: &EncoderBlock,
        activation: Activation,
    ) -> Result<Self, WeightsError> {
        let EncoderBlock { input, hidden, output, .. } = *block;
        let pointwise = |name: &str, out, input| {
            Conv2d::load(&loader.at(name), Conv2dShape::new(out, input, 1).without_bias())
        };
        let norm = |name: &str, width| load_norm(&loader.at(name), width, ENCODER_NORM_EPSILON);
        let depthwise = Conv2dShape {
            stride: block.stride,
            groups: hidden,
            padding: Padding::Same,
            ..Conv2dShape::new(hidden, hidden, block.kernel).without_bias()
        };
        let (conv_pw, conv_pwl, bn2, bn3) = if block.expands {
            (
                pointwise("conv_pw", hidden, input)?,
                Some(pointwise("conv_pwl", output, hidden)?),
                norm("bn2", hidden)?,
                Some(norm("bn3", output)?),
            )
        } else {
            (pointwise("conv_pw", output, hidden)?, None, norm("bn2", output)?, None)
        };
        Ok(Self {
            conv_pw,
            bn1: norm("bn1", hidden)?,
            conv_dw: Conv2d::load(&loader.at("conv_dw"), depthwise)?,
            bn2,
            se: block
                .reduced
                .map(|reduced| SqueezeExcite::load(&loader.at("se"), hidden, reduced, activation))
                .transpose()?,
            conv_pwl,
            bn3,
            residual: block.residual,
            activation,
        })
    }

    fn forward(&self, input: Tensor<4>) -> Tensor<4> {
        let activate = |x| activate(x, self.activation);
        let excite = |x| match &self.se {
            Some(se) => se.forward(x),
            None => x,
        };
        let x = input.clone();
        let x = if let (Some(conv_pwl), Some(bn3)) = (&self.conv_pwl, &self.bn3) {
            let x = activate(self.bn1.forward(self.conv_pw.forward(x)));
            let x = activate(self.bn2.forward(self.conv_dw.forward(x)));
            bn3.forward(conv_pwl.forward(excite(x)))
        } else {
            let x = activate(self.bn1.forward(self.conv_dw.forward(x)));
            self.bn2.forward(self.conv_pw.forward(excite(x)))
        };
        if self.residual { x + input } else { x }
    }
}

/// Channels scaled by what their means say.
#[derive(Module, Debug)]
pub struct SqueezeExcite {
    conv_reduce: Conv2d,
    conv_expand: Conv2d,
    #[module(skip)]
    activation: Activation,
}

impl SqueezeExcite {
    fn load(
        loader: &Loader<'_>,
        width: usize,
        reduced: usize,
        activation: Activation,
    ) -> Result<Self, WeightsError> {
        let reduce = Conv2dShape::new(reduced, width, 1);
        let expand = Conv2dShape::new(width, reduced, 1);
        Ok(Self {
            conv_reduce: Conv2d::load(&loader.at("conv_reduce"), reduce)?,
            conv_expand: Conv2d::load(&loader.at("conv_expand"), expand)?,
            activation,
        })
    }

    fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        let mean = x.clone().mean_dim(3).mean_dim(2);
        let reduced = activate(self.conv_reduce.forward(mean), self.activation);
        x * sigmoid(self.conv_expand.forward(reduced))
    }
}
