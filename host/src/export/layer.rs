//! Layers with parameters: convolutions with their batch norm folded in, linear layers, activations.

use super::{
    ExportError,
    builder::{GraphBuilder, Value, dims, signed},
};
use crate::preset::{Activation, LEAKY_SLOPE};
use occdepth_contract::onnx::AttributeProto;

/// A convolution in two or three dimensions and what follows it without a nonlinearity.
#[derive(Clone, Debug)]
pub(super) struct Conv {
    path: String,
    width: usize,
    kernel: Vec<usize>,
    strides: Vec<usize>,
    dilations: Vec<usize>,
    /// Zeros before and after each axis.
    padding: Vec<(usize, usize)>,
    depthwise: bool,
    bias: bool,
    norm: Option<(String, f64)>,
}

impl Conv {
    /// A convolution of the weight `path.weight` to `width` channels, without bias, that keeps the
    /// extents of its input.
    pub(super) fn new(path: impl Into<String>, width: usize, kernel: &[usize]) -> Self {
        Self {
            path: path.into(),
            width,
            kernel: kernel.to_vec(),
            strides: vec![1; kernel.len()],
            dilations: vec![1; kernel.len()],
            padding: kernel.iter().map(|k| (k / 2, k / 2)).collect(),
            depthwise: false,
            bias: false,
            norm: None,
        }
    }

    /// With the bias `path.bias`.
    pub(super) fn biased(self) -> Self {
        Self { bias: true, ..self }
    }

    /// Followed by the batch norm `norm`.
    pub(super) fn normed(self, norm: impl Into<String>, epsilon: f64) -> Self {
        Self { norm: Some((norm.into(), epsilon)), ..self }
    }

    /// One filter per channel.
    pub(super) fn depthwise(self) -> Self {
        Self { depthwise: true, ..self }
    }

    /// With a stride along each axis.
    pub(super) fn strided(self, strides: &[usize]) -> Self {
        Self { strides: strides.to_vec(), ..self }
    }

    /// With gaps in the kernel, padded so that the extents stay.
    pub(super) fn dilated(mut self, dilation: usize) -> Self {
        for ((taps, gap), padding) in
            self.kernel.iter().zip(&mut self.dilations).zip(&mut self.padding)
        {
            *gap = dilation;
            let side = taps / 2 * dilation;
            *padding = (side, side);
        }
        self
    }

    /// With the same zeros before and after each axis.
    pub(super) fn padded(self, padding: &[usize]) -> Self {
        Self { padding: padding.iter().map(|&side| (side, side)).collect(), ..self }
    }

    /// With TensorFlow's "SAME" padding: ceil(extent / stride) outputs, the odd zero at the end.
    pub(super) fn same(mut self, extents: &[usize]) -> Self {
        for (axis, &extent) in extents.iter().enumerate() {
            let stride = self.strides[axis];
            let reach = (extent.div_ceil(stride) - 1) * stride + self.kernel[axis];
            let zeros = reach.saturating_sub(extent);
            self.padding[axis] = (zeros / 2, zeros - zeros / 2);
        }
        self
    }

    /// Emits the convolution of `x`.
    pub(super) fn emit(
        &self,
        graph: &mut GraphBuilder<'_>,
        x: &Value,
    ) -> Result<Value, ExportError> {
        let groups = if self.depthwise { x.shape[1] } else { 1 };
        let mut shape = vec![self.width, x.shape[1] / groups];
        shape.extend_from_slice(&self.kernel);
        let per_channel: usize = shape[1..].iter().product();
        let (weight, bias) = self.folded(graph, x, &shape, |position| position / per_channel)?;
        let extents = x.shape[2..].iter().enumerate().map(|(axis, extent)| {
            let (before, after) = self.padding[axis];
            let reach = self.dilations[axis] * (self.kernel[axis] - 1) + 1;
            (extent + before + after - reach) / self.strides[axis] + 1
        });
        let out = [x.shape[0], self.width].into_iter().chain(extents).collect();
        let (before, after): (Vec<usize>, Vec<usize>) = self.padding.iter().copied().unzip();
        let attributes = vec![
            AttributeProto::ints("dilations", &dims(&self.dilations)),
            AttributeProto::int("group", signed(groups)),
            AttributeProto::ints("kernel_shape", &dims(&self.kernel)),
            AttributeProto::ints("pads", &dims(&[before, after].concat())),
            AttributeProto::ints("strides", &dims(&self.strides)),
        ];
        let mut inputs = vec![x, &weight];
        inputs.extend(&bias);
        Ok(graph.node("Conv", &self.path, &inputs, attributes, (x.elem_type, out)))
    }

    /// Emits the transposed convolution of `x` that multiplies every extent by its stride.
    pub(super) fn emit_transposed(
        &self,
        graph: &mut GraphBuilder<'_>,
        x: &Value,
    ) -> Result<Value, ExportError> {
        let mut shape = vec![x.shape[1], self.width];
        shape.extend_from_slice(&self.kernel);
        let kernel_len: usize = self.kernel.iter().product();
        let (weight, bias) =
            self.folded(graph, x, &shape, |position| position / kernel_len % self.width)?;
        // (extent - 1) * stride + kernel - 2 * pad + extra = extent * stride, with the published
        // pad of 1 for a kernel of 3.
        let pads: Vec<usize> = self.kernel.iter().map(|taps| (taps - 1) / 2).collect();
        let extra: Vec<usize> = (0..self.kernel.len())
            .map(|axis| self.strides[axis] + 2 * pads[axis] - self.kernel[axis])
            .collect();
        let extents =
            x.shape[2..].iter().zip(&self.strides).map(|(extent, stride)| extent * stride);
        let out = [x.shape[0], self.width].into_iter().chain(extents).collect();
        let attributes = vec![
            AttributeProto::ints("dilations", &dims(&self.dilations)),
            AttributeProto::int("group", 1),
            AttributeProto::ints("kernel_shape", &dims(&self.kernel)),
            AttributeProto::ints("output_padding", &dims(&extra)),
            AttributeProto::ints("pads", &dims(&[&pads[..], &pads[..]].concat())),
            AttributeProto::ints("strides", &dims(&self.strides)),
        ];
        let mut inputs = vec![x, &weight];
        inputs.extend(&bias);
        Ok(graph.node("ConvTranspose", &self.path, &inputs, attributes, (x.elem_type, out)))
    }

    /// Weight and bias as constants in the type of `x`, with the batch norm folded in: y = (w x + b -
    /// mean) * scale + shift with scale = gamma / sqrt(variance + epsilon). In f64, rounded once, with
    /// nothing but exactly rounded operations, so that every platform folds to the same bits.
    #[allow(clippy::cast_possible_truncation, reason = "the one rounding to f32 is the point")]
    fn folded(
        &self,
        graph: &mut GraphBuilder<'_>,
        x: &Value,
        shape: &[usize],
        channel: impl Fn(usize) -> usize,
    ) -> Result<(Value, Option<Value>), ExportError> {
        let [weight_name, bias_name] =
            ["weight", "bias"].map(|part| format!("{}.{part}", self.path));
        let weight = graph.weight(&weight_name, shape)?;
        let bias = if self.bias { graph.weight(&bias_name, &[self.width])? } else { None };
        let Some((norm, epsilon)) = &self.norm else {
            let weight = graph.parameter(&weight_name, shape, weight, x)?;
            let has_bias = self.bias.then_some(());
            let bias = has_bias.map(|()| graph.parameter(&bias_name, &[self.width], bias, x));
            return Ok((weight, bias.transpose()?));
        };
        let part = |part: &str| graph.weight(&format!("{norm}.{part}"), &[self.width]);
        let [gamma, beta] = [part("weight")?, part("bias")?];
        let [mean, variance] = [part("running_mean")?, part("running_var")?];
        let (Some(weight), Some(gamma), Some(beta), Some(mean), Some(variance)) =
            (weight, gamma, beta, mean, variance)
        else {
            let weight = graph.parameter(&weight_name, shape, None, x)?;
            return Ok((weight, Some(graph.parameter(&bias_name, &[self.width], None, x)?)));
        };
        let scale: Vec<f64> = gamma
            .iter()
            .zip(variance)
            .map(|(&gamma, &variance)| f64::from(gamma) / (f64::from(variance) + epsilon).sqrt())
            .collect();
        let weight: Vec<f32> = weight
            .iter()
            .enumerate()
            .map(|(position, &weight)| (f64::from(weight) * scale[channel(position)]) as f32)
            .collect();
        let bias: Vec<f32> = (0..self.width)
            .map(|c| {
                let bias = bias.map_or(0.0, |bias| f64::from(bias[c]));
                ((bias - f64::from(mean[c])) * scale[c] + f64::from(beta[c])) as f32
            })
            .collect();
        let weight = graph.parameter(&weight_name, shape, Some(&weight), x)?;
        let bias = graph.parameter(&bias_name, &[self.width], Some(&bias), x)?;
        Ok((weight, Some(bias)))
    }
}

/// A linear layer of `x` `[V, in]` with the weight `path.weight` `[width, in]` (or a 1x1 convolution's
/// `[width, in, 1, 1]`) and bias.
pub(super) fn linear(
    graph: &mut GraphBuilder<'_>,
    path: &str,
    x: &Value,
    width: usize,
    as_conv: bool,
) -> Result<Value, ExportError> {
    let input = x.shape[1];
    let stored: &[usize] = if as_conv { &[width, input, 1, 1] } else { &[width, input] };
    let weight_name = format!("{path}.weight");
    let weight = graph.weight(&weight_name, stored)?;
    let weight = graph.parameter(&weight_name, &[width, input], weight, x)?;
    let bias_name = format!("{path}.bias");
    let bias = graph.weight(&bias_name, &[width])?;
    let bias = graph.parameter(&bias_name, &[width], bias, x)?;
    let transposed = vec![AttributeProto::int("transB", 1)];
    let out = vec![x.shape[0], width];
    Ok(graph.node("Gemm", path, &[x, &weight, &bias], transposed, (x.elem_type, out)))
}

/// An activation; `SiLU` as `Sigmoid` and `Mul`, because ONNX before opset 24 has no operator for it.
pub(super) fn activate(
    graph: &mut GraphBuilder<'_>,
    path: &str,
    x: &Value,
    activation: Activation,
) -> Value {
    match activation {
        Activation::Silu => {
            let gate = graph.unary("Sigmoid", path, x);
            graph.binary("Mul", path, x, &gate)
        }
        Activation::Relu => graph.unary("Relu", path, x),
        Activation::LeakyRelu => {
            #[allow(clippy::cast_possible_truncation, reason = "ONNX stores the slope as f32")]
            let alpha = vec![AttributeProto::float("alpha", LEAKY_SLOPE as f32)];
            graph.node("LeakyRelu", path, &[x], alpha, (x.elem_type, x.shape.clone()))
        }
    }
}
