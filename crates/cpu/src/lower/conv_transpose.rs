//! Transposed convolution.

use super::LowerError;
use super::fold::{Taps, View};
use super::rewrite::{Rewrite, int, title};
use super::window::{Window, integer, integers};
use occdepth_contract::onnx::{AttributeProto, NodeProto};

/// Lowers a 5-D `ConvTranspose` of one group.
pub(super) fn lower(rewrite: &mut Rewrite<'_>, node: &NodeProto) -> Result<(), LowerError> {
    let input @ [b, c, x, y, _] = rewrite.volume(node)?;
    let weight_shape = node.input.get(1).and_then(|name| rewrite.shapes.of(name));
    let misfit = || LowerError::Inputs {
        node: title(node),
        found: format!("{input:?} and {weight_shape:?}"),
        expected: "[B, C, X, Y, Z], [C, O, kx, ky, kz] and [O]".into(),
    };
    let Some(&[inputs, out_channels, kx, ky, kz]) = weight_shape else {
        return Err(misfit());
    };
    if integer(node, "group", 1) != 1 {
        return Err(LowerError::Attribute {
            node: title(node),
            attribute: "group",
            found: integer(node, "group", 1).to_string(),
            expected: "1",
        });
    }
    let windows @ [along_x, along_y, along_z] = Window::of(node, [kx, ky, kz])?;
    let output_padding = integers(node, "output_padding", 3, 0)?;
    let weights = rewrite.floats_of(node, 1)?.ok_or_else(misfit)?;
    let bias = rewrite.floats_of(node, 2)?;
    let mut output = [0; 3];
    for axis in 0..3 {
        output[axis] =
            length(input[axis + 2], windows[axis], output_padding[axis]).ok_or_else(misfit)?;
    }
    let fits = inputs == c
        && weights.len() == [inputs, out_channels, kx, ky, kz].iter().product::<usize>()
        && bias.as_ref().is_none_or(|bias| bias.len() == out_channels);
    if !fits || input.contains(&0) || output.contains(&0) {
        return Err(misfit());
    }
    let [out_x, out_y, out_z] = output;

    // Along z in two dimensions; the taps of x and y are channels: [C, kx ky O, 1, kz].
    let channels = kx * ky * out_channels;
    let mut by_tap = Vec::with_capacity(weights.len());
    for input in 0..c {
        for tap in 0..kx * ky {
            for out in 0..out_channels {
                let from = ((input * out_channels + out) * kx * ky + tap) * kz;
                by_tap.extend_from_slice(&weights[from..from + kz]);
            }
        }
    }
    let value = rewrite.reshape(&node.input[0], &View::Rows.image(input));
    let by_tap = rewrite.floats(&[c, channels, 1, kz], &by_tap);
    let mut operands = vec![value.as_str(), &by_tap];

    // The bias belongs once to every output: to a tap of each phase that reaches all of it.
    let covering = [0, 1].map(|axis| {
        Taps::covering_taps(input[axis + 2], windows[axis], output[axis]).unwrap_or_default()
    });
    let bias_by_tap =
        bias.as_ref().filter(|_| covering.iter().all(|taps| !taps.is_empty())).map(|bias| {
            let mut by_tap = Vec::with_capacity(channels);
            for tap_x in 0..kx {
                for tap_y in 0..ky {
                    let here = covering[0].contains(&tap_x) && covering[1].contains(&tap_y);
                    by_tap.extend(bias.iter().map(|&bias| if here { bias } else { 0.0 }));
                }
            }
            rewrite.floats(&[channels], &by_tap)
        });
    operands.extend(bias_by_tap.as_deref());
    let attributes = vec![
        AttributeProto::ints("kernel_shape", &[1, int(kz)]),
        AttributeProto::ints("strides", &[1, int(along_z.stride)]),
        AttributeProto::ints("dilations", &[1, int(along_z.dilation)]),
        AttributeProto::ints("pads", &[0, int(along_z.pads[0]), 0, int(along_z.pads[1])]),
        AttributeProto::ints("output_padding", &[0, int(output_padding[2])]),
    ];
    let value = rewrite.op("ConvTranspose", &operands, attributes);

    let taps = Taps { outer: b * kx, mid: out_channels * x, extent: y, inner: out_z };
    let value = taps.scatter(rewrite, &value, along_y, out_y);
    let taps = Taps { outer: b, mid: out_channels, extent: x, inner: out_y * out_z };
    let value = taps.scatter(rewrite, &value, along_x, out_x);

    let output = [b, out_channels, out_x, out_y, out_z];
    match bias.filter(|_| bias_by_tap.is_none()) {
        None => rewrite.reshape_into(&value, &output, &node.output[0]),
        Some(bias) => {
            let value = rewrite.reshape(&value, &output);
            let bias = rewrite.floats(&[1, out_channels, 1, 1, 1], &bias);
            rewrite.op_into("Add", &[&value, &bias], Vec::new(), &node.output[0]);
        }
    }
    Ok(())
}

/// Extent of the output along one axis (ONNX, `ConvTranspose`, with explicit pads).
pub(super) fn length(extent: usize, window: Window, output_padding: usize) -> Option<usize> {
    let whole = window.stride * extent.checked_sub(1)? + window.reach() + output_padding;
    whole.checked_sub(window.pads[0] + window.pads[1])
}
