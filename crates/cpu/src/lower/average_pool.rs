//! Average pooling.

use super::LowerError;
use super::fold::View;
use super::rewrite::{Rewrite, int, title};
use super::window::{Window, integer, integers};
use occdepth_contract::onnx::{AttributeProto, NodeProto};

/// Lowers a 5-D `AveragePool` that counts its padding, or has none: it is then a mean along y and z of
/// every x-plane, and of these a mean along x.
pub(super) fn lower(rewrite: &mut Rewrite<'_>, node: &NodeProto) -> Result<(), LowerError> {
    let input @ [b, c, x, y, z] = rewrite.volume(node)?;
    let kernel = integers(node, "kernel_shape", 3, 0)?;
    let windows @ [along_x, along_y, along_z] =
        Window::of(node, [kernel[0], kernel[1], kernel[2]])?;
    let padded = windows.iter().any(|window| window.pads != [0, 0]);
    let refuse = |attribute, found: i64, expected| {
        Err(LowerError::Attribute {
            node: title(node),
            attribute,
            found: found.to_string(),
            expected,
        })
    };
    if integer(node, "ceil_mode", 0) != 0 {
        return refuse("ceil_mode", integer(node, "ceil_mode", 0), "0");
    }
    if windows.iter().any(|window| window.dilation != 1) {
        return refuse("dilations", 2, "1");
    }
    if padded && integer(node, "count_include_pad", 0) != 1 {
        return refuse("count_include_pad", 0, "1, or no padding");
    }
    let mut output = [0; 3];
    for axis in 0..3 {
        output[axis] =
            windows[axis].positions(input[axis + 2]).ok_or_else(|| LowerError::Inputs {
                node: title(node),
                found: format!("{input:?}"),
                expected: format!("room for a kernel of {kernel:?}"),
            })?;
    }
    let [out_x, out_y, out_z] = output;

    let mut value = node.input[0].clone();
    if !(along_y.is_plain() && along_z.is_plain()) {
        value = rewrite.reshape(&value, &[b, c * x, y, z]);
        value = rewrite.op("AveragePool", &[&value], attributes(along_y, along_z));
    }
    if !along_x.is_plain() {
        let image = View::Planes.image([b, c, x, out_y, out_z]);
        value = rewrite.reshape(&value, &image);
        value = rewrite.op("AveragePool", &[&value], attributes(along_x, Window::PLAIN));
    }
    rewrite.reshape_into(&value, &[b, c, out_x, out_y, out_z], &node.output[0]);
    Ok(())
}

fn attributes(rows: Window, columns: Window) -> Vec<AttributeProto> {
    let both = |of: fn(Window) -> usize| [int(of(rows)), int(of(columns))];
    let pads = [rows.pads[0], columns.pads[0], rows.pads[1], columns.pads[1]];
    vec![
        AttributeProto::ints("kernel_shape", &both(|window| window.taps)),
        AttributeProto::ints("strides", &both(|window| window.stride)),
        AttributeProto::ints("pads", &pads.map(int)),
        AttributeProto::int("count_include_pad", 1),
    ]
}
