//! The depth net: a distribution over depth bins per pixel, and its samples at the voxels.

use burn::{
    module::Module,
    nn::BatchNorm,
    tensor::{
        Int, Tensor,
        activation::{relu, sigmoid},
    },
};

use super::{
    layers::{Conv2d, Conv2dShape, Linear, load_norm},
    loader::Loader,
};
use crate::{
    preset::{DepthNet, NORM_EPSILON},
    weights::WeightsError,
};

/// Reduce convolution, camera-aware squeeze-excite, residual blocks, and a 1x1 convolution to the
/// bins.
#[derive(Module, Debug)]
pub struct DepthHead {
    reduce_conv: Conv2d,
    reduce_norm: BatchNorm,
    fc1: Linear,
    fc2: Linear,
    conv_reduce: Conv2d,
    conv_expand: Conv2d,
    depth_conv: Vec<BasicBlock>,
    depth_pred: Conv2d,
}

impl DepthHead {
    pub(super) fn load(
        loader: &Loader<'_>,
        net: &DepthNet,
        input: usize,
    ) -> Result<Self, WeightsError> {
        let width = net.width;
        let bins = net.volume.bins.count as usize;
        let pointwise =
            |name: &str, out| Conv2d::load(&loader.at(name), Conv2dShape::new(out, width, 1));
        let reduce = Conv2dShape::new(width, input, 3);
        Ok(Self {
            reduce_conv: Conv2d::load(&loader.at("reduce_conv.0"), reduce)?,
            reduce_norm: load_norm(&loader.at("reduce_conv.1"), width, NORM_EPSILON)?,
            fc1: Linear::load(&loader.at("mlp.fc1"), width, 1)?,
            fc2: Linear::load(&loader.at("mlp.fc2"), width, width)?,
            conv_reduce: pointwise("se.conv_reduce", width)?,
            conv_expand: pointwise("se.conv_expand", width)?,
            depth_conv: (0..net.blocks)
                .map(|block| BasicBlock::load(&loader.at(&format!("depth_conv.{block}")), width))
                .collect::<Result<_, _>>()?,
            depth_pred: pointwise("depth_pred", bins)?,
        })
    }

    /// Logits [V, D, h, w] from the features at 1/8 [V, C, h, w] and the scaled pixel sizes [V, 1].
    pub fn forward(&self, features: Tensor<4>, pixel_size: Tensor<2>) -> Tensor<4> {
        let x = relu(self.reduce_norm.forward(self.reduce_conv.forward(features)));
        let camera = self.fc2.forward(relu(self.fc1.forward(pixel_size)));
        let camera = camera.unsqueeze_dims(&[2, 3]);
        let gate = self.conv_expand.forward(relu(self.conv_reduce.forward(camera)));
        let x = x * sigmoid(gate);
        let x = self.depth_conv.iter().fold(x, |x, block| block.forward(x));
        self.depth_pred.forward(x)
    }
}

/// How much of each voxel is at the depth that its pixels see: [1, N], from the distributions [V,
/// D, h, w], corner indices [V, 8, N] into D x h x w and their weights, which already hold the mean
/// over the views.
pub fn lift(probabilities: Tensor<4>, index: &Tensor<3, Int>, weight: Tensor<3>) -> Tensor<2> {
    let [views, bins, height, width] = probabilities.dims();
    let [_, corners, voxels] = index.dims();
    let volume = probabilities.reshape([views, bins * height * width]);
    let corner_index = index.clone().reshape([views, corners * voxels]);
    let samples = volume.gather(1, corner_index) * weight.reshape([views, corners * voxels]);
    samples.reshape([views * corners, voxels]).sum_dim(0)
}

/// Two 3x3 convolutions and a shortcut.
#[derive(Module, Debug)]
pub struct BasicBlock {
    conv1: Conv2d,
    bn1: BatchNorm,
    conv2: Conv2d,
    bn2: BatchNorm,
}

impl BasicBlock {
    fn load(loader: &Loader<'_>, width: usize) -> Result<Self, WeightsError> {
        let conv = |name: &str| {
            Conv2d::load(&loader.at(name), Conv2dShape::new(width, width, 3).without_bias())
        };
        let norm = |name: &str| load_norm(&loader.at(name), width, NORM_EPSILON);
        Ok(Self {
            conv1: conv("conv1")?,
            bn1: norm("bn1")?,
            conv2: conv("conv2")?,
            bn2: norm("bn2")?,
        })
    }

    fn forward(&self, input: Tensor<4>) -> Tensor<4> {
        let x = relu(self.bn1.forward(self.conv1.forward(input.clone())));
        relu(self.bn2.forward(self.conv2.forward(x)) + input)
    }
}
