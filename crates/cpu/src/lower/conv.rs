//! Convolution.

use super::LowerError;
use super::fold::{Taps, View};
use super::rewrite::{Rewrite, int, title};
use super::window::{Window, integer};
use occdepth_contract::onnx::{AttributeProto, NodeProto};

/// Lowers a 5-D `Conv` of any kernel, stride, dilation, padding and group count.
pub(super) fn lower(rewrite: &mut Rewrite<'_>, node: &NodeProto) -> Result<(), LowerError> {
    let conv = Conv::read(rewrite, node)?;
    let plan = Plan::of(conv.windows);
    let [b, c, x, y, z] = conv.input;
    let [out_x, out_y, out_z] = conv.output;
    let [along_x, along_y, along_z] = conv.windows;
    let Conv { groups, out_channels, .. } = conv;
    let (taps_y, taps_z) = plan.channel_taps(conv.windows);

    // The 2-D convolution: [B, groups x taps x channels of a group, rows, columns].
    let image = plan.view.image([b, c, x, y, z]);
    let value = rewrite.reshape(&node.input[0], &image);
    let (kernel, dilations, strides, pads, partial) = match plan.view {
        View::Planes => {
            let along_y = if plan.y_in_channels { Window::PLAIN } else { along_y };
            (
                [along_x.taps, along_y.taps],
                [along_x.dilation, along_y.dilation * z],
                [along_x.stride, 1],
                [along_x.pads[0], along_y.pads[0] * z, along_x.pads[1], along_y.pads[1] * z],
                [out_x, if plan.y_in_channels { y } else { out_y }, z],
            )
        }
        View::Rows => (
            [along_x.taps, along_z.taps],
            [along_x.dilation * y, along_z.dilation],
            [1, along_z.stride],
            [along_x.pads[0] * y, along_z.pads[0], along_x.pads[1] * y, along_z.pads[1]],
            [out_x, y, out_z],
        ),
    };
    let channels = taps_y * taps_z * out_channels;
    let weights = conv.weights_by_tap(plan);
    let weights = rewrite.floats(&[channels, c / groups, kernel[0], kernel[1]], &weights);
    let mut inputs = vec![value.as_str(), &weights];
    let bias_by_tap = conv.bias_by_tap(plan);
    let bias = bias_by_tap.as_ref().map(|bias| rewrite.floats(&[channels], bias));
    inputs.extend(bias.as_deref());
    let attributes = vec![
        AttributeProto::ints("kernel_shape", &kernel.map(int)),
        AttributeProto::ints("dilations", &dilations.map(int)),
        AttributeProto::ints("strides", &strides.map(int)),
        AttributeProto::ints("pads", &pads.map(int)),
        AttributeProto::int("group", int(groups)),
    ];
    let mut value = rewrite.op("Conv", &inputs, attributes);

    // The taps that became channels.
    let empty = || LowerError::Attribute {
        node: title(node),
        attribute: "pads",
        found: format!("{:?}", conv.windows),
        expected: "windows that reach the input",
    };
    let per_group = out_channels / groups;
    let [_, partial_y, partial_z] = partial;
    if plan.y_in_channels {
        let taps = Taps {
            outer: b * groups,
            mid: taps_z * per_group * out_x,
            extent: partial_y,
            inner: partial_z,
        };
        value = taps.convolve(rewrite, &value, along_y).ok_or_else(empty)?;
    }
    if plan.z_in_channels {
        let taps =
            Taps { outer: b * groups, mid: per_group * out_x * out_y, extent: partial_z, inner: 1 };
        value = taps.convolve(rewrite, &value, along_z).ok_or_else(empty)?;
    }

    let output = [b, out_channels, out_x, out_y, out_z];
    match conv.bias.filter(|_| bias_by_tap.is_none()) {
        None => rewrite.reshape_into(&value, &output, &node.output[0]),
        Some(bias) => {
            let value = rewrite.reshape(&value, &output);
            let bias = rewrite.floats(&[1, out_channels, 1, 1, 1], &bias);
            rewrite.op_into("Add", &[&value, &bias], Vec::new(), &node.output[0]);
        }
    }
    Ok(())
}

/// Keeps a 2-D `Conv`, with `kernel_shape` written out: the ONNX crate takes the number of strides
/// from it, although it follows from the weights.
pub(super) fn complete(rewrite: &mut Rewrite<'_>, node: &NodeProto) {
    let mut node = node.clone();
    let weights = node.input.get(1).and_then(|name| rewrite.shapes.of(name));
    if let Some(&[_, _, height, width]) = weights
        && node.attribute("kernel_shape").is_none()
    {
        node.attribute.push(AttributeProto::ints("kernel_shape", &[int(height), int(width)]));
    }
    rewrite.keep(&node);
}

/// A 3-D convolution.
struct Conv {
    /// `[B, C, X, Y, Z]`.
    input: [usize; 5],
    /// `[X, Y, Z]` of the output.
    output: [usize; 3],
    out_channels: usize,
    groups: usize,
    windows: [Window; 3],
    /// `[O, C / groups, kx, ky, kz]`.
    weights: Vec<f32>,
    /// `[O]`.
    bias: Option<Vec<f32>>,
}

impl Conv {
    fn read(rewrite: &Rewrite<'_>, node: &NodeProto) -> Result<Self, LowerError> {
        let input = rewrite.volume(node)?;
        let weight_shape = node.input.get(1).and_then(|name| rewrite.shapes.of(name));
        let groups = usize::try_from(integer(node, "group", 1)).unwrap_or(0);
        let misfit = || LowerError::Inputs {
            node: title(node),
            found: format!("{input:?} and {weight_shape:?} in {groups} groups"),
            expected: "[B, C, X, Y, Z], [O, C / groups, kx, ky, kz] and [O], the kernel inside"
                .into(),
        };
        let Some(&[out_channels, per_group, kx, ky, kz]) = weight_shape else {
            return Err(misfit());
        };
        let windows = Window::of(node, [kx, ky, kz])?;
        let weights = rewrite.floats_of(node, 1)?.ok_or_else(misfit)?;
        let bias = rewrite.floats_of(node, 2)?;
        let fits = groups > 0
            && per_group > 0
            && per_group.checked_mul(groups) == Some(input[1])
            && out_channels.is_multiple_of(groups)
            && weights.len() == [out_channels, per_group, kx, ky, kz].iter().product::<usize>()
            && bias.as_ref().is_none_or(|bias| bias.len() == out_channels);
        let mut output = [0; 3];
        for axis in 0..3 {
            output[axis] = windows[axis].positions(input[axis + 2]).ok_or_else(misfit)?;
        }
        if !fits {
            return Err(misfit());
        }
        Ok(Self { input, output, out_channels, groups, windows, weights, bias })
    }

    /// The weights `[groups, taps in channels (y, z), O / groups, C / groups, 2-D kernel]`.
    fn weights_by_tap(&self, plan: Plan) -> Vec<f32> {
        let [kx, ky, kz] = self.windows.map(|window| window.taps);
        let (taps_y, taps_z) = plan.channel_taps(self.windows);
        let per_group = self.out_channels / self.groups;
        let inputs = self.input[1] / self.groups;
        let mut weights = Vec::with_capacity(self.weights.len());
        for group in 0..self.groups {
            for (tap_y, tap_z) in pairs(taps_y, taps_z) {
                for (out, input) in pairs(per_group, inputs) {
                    let from = ((group * per_group + out) * inputs + input) * kx * ky * kz;
                    for x in 0..kx {
                        // One of these is the tap, the other runs through the 2-D kernel.
                        for (y, z) in pairs(ky / taps_y, kz / taps_z) {
                            let (y, z) = (y + tap_y, z + tap_z);
                            weights.push(self.weights[from + (x * ky + y) * kz + z]);
                        }
                    }
                }
            }
        }
        weights
    }

    /// The bias of the 2-D convolution's channels, given to a tap that reaches every output; `None`
    /// without a bias or such a tap.
    fn bias_by_tap(&self, plan: Plan) -> Option<Vec<f32>> {
        let bias = self.bias.as_ref()?;
        let (taps_y, taps_z) = plan.channel_taps(self.windows);
        let covering = |taps: usize, axis: usize| {
            let (extent, window) = (self.input[axis + 2], self.windows[axis]);
            (0..taps).find(|&tap| Taps::covers(extent, window, tap))
        };
        let tap_y = if plan.y_in_channels { covering(taps_y, 1)? } else { 0 };
        let tap_z = if plan.z_in_channels { covering(taps_z, 2)? } else { 0 };
        let per_group = self.out_channels / self.groups;
        let mut by_tap = Vec::with_capacity(taps_y * taps_z * self.out_channels);
        for group in bias.chunks_exact(per_group) {
            for tap in pairs(taps_y, taps_z) {
                let here = tap == (tap_y, tap_z);
                by_tap.extend(group.iter().map(|&bias| if here { bias } else { 0.0 }));
            }
        }
        Some(by_tap)
    }
}

/// Which image a volume is seen as, and which taps become output channels.
#[derive(Clone, Copy)]
struct Plan {
    view: View,
    y_in_channels: bool,
    z_in_channels: bool,
}

impl Plan {
    fn of([along_x, along_y, along_z]: [Window; 3]) -> Self {
        let plan = |view, y_in_channels, z_in_channels| Self { view, y_in_channels, z_in_channels };
        if along_z.is_plain() && along_y.stride == 1 {
            plan(View::Planes, false, false)
        } else if along_x.stride == 1 {
            // Rather y than z in the channels: its shifted planes are whole runs of Z values.
            plan(View::Rows, !along_y.is_plain(), false)
        } else {
            // Columns have no stride of their own in y.
            plan(View::Planes, along_y.stride != 1, !along_z.is_plain())
        }
    }

    /// The number of taps along y and z that become channels.
    fn channel_taps(self, [_, along_y, along_z]: [Window; 3]) -> (usize, usize) {
        (
            if self.y_in_channels { along_y.taps } else { 1 },
            if self.z_in_channels { along_z.taps } else { 1 },
        )
    }
}

fn pairs(outer: usize, inner: usize) -> impl Iterator<Item = (usize, usize)> {
    (0..outer).flat_map(move |a| (0..inner).map(move |b| (a, b)))
}
