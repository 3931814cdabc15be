//! The layers that the network is made of, loaded by name.

use burn::{
    module::{Module, Param, RunningState},
    nn::BatchNorm,
    tensor::{
        Tensor,
        activation::{leaky_relu, relu, silu},
        module::{conv_transpose3d, conv2d, conv3d},
        ops::{ConvOptions, ConvTransposeOptions},
    },
};

use super::loader::Loader;
use crate::{
    preset::{Activation, LEAKY_SLOPE},
    weights::WeightsError,
};

/// A 2-D convolution.
#[derive(Module, Debug)]
pub(super) struct Conv2d {
    weight: Param<Tensor<4>>,
    bias: Option<Param<Tensor<1>>>,
    stride: usize,
    groups: usize,
    #[module(skip)]
    padding: Padding,
}

/// How a 2-D convolution pads its input.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Padding {
    /// That many zeros on every side.
    Zeros(usize),
    /// TensorFlow's "SAME": ceil(n / stride) outputs; an odd zero goes to the right and the bottom.
    Same,
}

/// Shape of a 2-D convolution.
#[derive(Clone, Copy)]
pub(super) struct Conv2dShape {
    pub(super) out: usize,
    pub(super) input: usize,
    pub(super) kernel: usize,
    pub(super) stride: usize,
    pub(super) groups: usize,
    pub(super) padding: Padding,
    pub(super) bias: bool,
}

impl Conv2dShape {
    /// Stride 1, zeros that keep the size, no groups, a bias.
    pub(super) const fn new(out: usize, input: usize, kernel: usize) -> Self {
        let padding = Padding::Zeros(kernel / 2);
        Self { out, input, kernel, stride: 1, groups: 1, padding, bias: true }
    }

    pub(super) const fn without_bias(self) -> Self {
        Self { bias: false, ..self }
    }
}

impl Conv2d {
    pub(super) fn load(loader: &Loader<'_>, shape: Conv2dShape) -> Result<Self, WeightsError> {
        let Conv2dShape { out, input, kernel, stride, groups, padding, bias } = shape;
        Ok(Self {
            weight: loader.param("weight", [out, input / groups, kernel, kernel])?,
            bias: bias.then(|| loader.param("bias", [out])).transpose()?,
            stride,
            groups,
            padding,
        })
    }

    pub(super) fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        let [_, _, height, width] = x.dims();
        let [_, _, kernel, _] = self.weight.val().dims();
        let padding = match self.padding {
            Padding::Zeros(zeros) => [(zeros, zeros); 2],
            Padding::Same => [height, width].map(|n| same_padding(n, kernel, self.stride)),
        };
        let options = ConvOptions::new_with_padding([self.stride; 2], padding, [1, 1], self.groups);
        conv2d(x, self.weight.val(), self.bias.as_ref().map(Param::val), options)
    }
}

/// Zeros before and after an axis of `n` for ceil(n / stride) outputs.
fn same_padding(n: usize, kernel: usize, stride: usize) -> (usize, usize) {
    let covered = (n.div_ceil(stride) - 1) * stride + kernel;
    let zeros = covered.saturating_sub(n);
    (zeros / 2, zeros - zeros / 2)
}

/// A 3-D convolution with zeros that keep the size (at stride 1).
#[derive(Module, Debug)]
pub(super) struct Conv3d {
    weight: Param<Tensor<5>>,
    bias: Option<Param<Tensor<1>>>,
    stride: [usize; 3],
    padding: [usize; 3],
    dilation: [usize; 3],
}

/// Shape of a 3-D convolution.
#[derive(Clone, Copy)]
pub(super) struct Conv3dShape {
    pub(super) out: usize,
    pub(super) input: usize,
    pub(super) kernel: [usize; 3],
    pub(super) stride: [usize; 3],
    pub(super) padding: [usize; 3],
    pub(super) dilation: [usize; 3],
    pub(super) bias: bool,
}

impl Conv3dShape {
    /// Stride 1, zeros that keep the size, no bias.
    pub(super) fn new(out: usize, input: usize, kernel: [usize; 3], dilation: usize) -> Self {
        Self {
            out,
            input,
            kernel,
            stride: [1; 3],
            padding: kernel.map(|k| k / 2 * dilation),
            dilation: [dilation; 3],
            bias: false,
        }
    }

    pub(super) const fn with_bias(self) -> Self {
        Self { bias: true, ..self }
    }
}

impl Conv3d {
    pub(super) fn load(loader: &Loader<'_>, shape: Conv3dShape) -> Result<Self, WeightsError> {
        let Conv3dShape { out, input, kernel: [kx, ky, kz], stride, padding, dilation, bias } =
            shape;
        Ok(Self {
            weight: loader.param("weight", [out, input, kx, ky, kz])?,
            bias: bias.then(|| loader.param("bias", [out])).transpose()?,
            stride,
            padding,
            dilation,
        })
    }

    pub(super) fn forward(&self, x: Tensor<5>) -> Tensor<5> {
        self.forward_padded(x, self.padding)
    }

    /// With other padding than the layer's own.
    pub(super) fn forward_padded(&self, x: Tensor<5>, padding: [usize; 3]) -> Tensor<5> {
        let options = ConvOptions::new(self.stride, padding, self.dilation, 1);
        conv3d(x, self.weight.val(), self.bias.as_ref().map(Param::val), options)
    }
}

/// A transposed 3-D convolution whose output is exactly `stride` times its input.
#[derive(Module, Debug)]
pub(super) struct ConvTranspose3d {
    weight: Param<Tensor<5>>,
    bias: Param<Tensor<1>>,
    stride: usize,
    padding: usize,
    padding_out: usize,
}

impl ConvTranspose3d {
    pub(super) fn load(
        loader: &Loader<'_>,
        [input, out]: [usize; 2],
        kernel: usize,
        stride: usize,
    ) -> Result<Self, WeightsError> {
        // (n - 1) * stride - 2 * padding + kernel + padding_out = n * stride
        let padding = kernel.saturating_sub(stride).div_ceil(2);
        Ok(Self {
            weight: loader.param("weight", [input, out, kernel, kernel, kernel])?,
            bias: loader.param("bias", [out])?,
            stride,
            padding,
            padding_out: stride + 2 * padding - kernel,
        })
    }

    pub(super) fn forward(&self, x: Tensor<5>) -> Tensor<5> {
        let options = ConvTransposeOptions::new(
            [self.stride; 3],
            [self.padding; 3],
            [self.padding_out; 3],
            [1; 3],
            1,
        );
        conv_transpose3d(x, self.weight.val(), Some(self.bias.val()), options)
    }
}

/// A linear layer with a bias, `[out, in]` as published.
#[derive(Module, Debug)]
pub(super) struct Linear {
    weight: Param<Tensor<2>>,
    bias: Param<Tensor<1>>,
}

impl Linear {
    pub(super) fn load(
        loader: &Loader<'_>,
        out: usize,
        input: usize,
    ) -> Result<Self, WeightsError> {
        let weight = loader.param("weight", [out, input])?;
        Ok(Self { weight, bias: loader.param("bias", [out])? })
    }

    pub(super) fn forward(&self, x: Tensor<2>) -> Tensor<2> {
        x.matmul(self.weight.val().transpose()) + self.bias.val().unsqueeze()
    }
}

/// A batch norm with its running statistics.
pub(super) fn load_norm(
    loader: &Loader<'_>,
    width: usize,
    epsilon: f64,
) -> Result<BatchNorm, WeightsError> {
    Ok(BatchNorm {
        gamma: loader.param("weight", [width])?,
        beta: loader.param("bias", [width])?,
        training: Param::from_bool(true),
        running_mean: RunningState::new(loader.tensor("running_mean", [width])?),
        running_var: RunningState::new(loader.tensor("running_var", [width])?),
        momentum: NORM_MOMENTUM,
        epsilon,
    })
}

/// Applies an activation of a preset.
pub(super) fn activate<const D: usize>(x: Tensor<D>, activation: Activation) -> Tensor<D> {
    match activation {
        Activation::Silu => silu(x),
        Activation::Relu => relu(x),
        Activation::LeakyRelu => leaky_relu(x, LEAKY_SLOPE),
    }
}

/// Share of a new batch in the running statistics while training (`PyTorch`'s default).
const NORM_MOMENTUM: f64 = 0.1;
