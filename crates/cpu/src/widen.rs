//! Half-precision networks in single precision.
//!
//! The ONNX crate computes in f32 only. A network whose weights are f16 runs with the same weights,
//! every one of which is also an f32; casts to f16 become casts to f32, so that nothing is rounded on
//! the way.

use occdepth_contract::onnx::{
    AttributeProto, GraphProto, TensorError, TensorProto, ValueInfoProto, data_type,
};

/// Makes every f16 of a graph an f32: constants, casts, and the types of declared values. Returns
/// whether there were any.
///
/// # Errors
/// A constant whose values do not fit its shape.
pub(crate) fn widen(graph: &mut GraphProto) -> Result<bool, TensorError> {
    let mut widened = false;
    for constant in &mut graph.initializer {
        widened |= widen_constant(constant)?;
    }
    for node in &mut graph.node {
        let casts = node.op_type == "Cast";
        for attribute in &mut node.attribute {
            if let Some(constant) = &mut attribute.t {
                widened |= widen_constant(constant)?;
            }
            if casts && is_half(attribute) {
                attribute.i = Some(i64::from(data_type::FLOAT));
                widened = true;
            }
        }
    }
    for value in graph.input.iter_mut().chain(&mut graph.output).chain(&mut graph.value_info) {
        widened |= widen_declared(value);
    }
    Ok(widened)
}

fn is_half(attribute: &AttributeProto) -> bool {
    attribute.name == "to" && attribute.i == Some(i64::from(data_type::FLOAT16))
}

fn widen_declared(value: &mut ValueInfoProto) -> bool {
    let tensor = value.r#type.as_mut().and_then(|kind| kind.tensor_type.as_mut());
    match tensor {
        Some(tensor) if tensor.elem_type == data_type::FLOAT16 => {
            tensor.elem_type = data_type::FLOAT;
            true
        }
        _ => false,
    }
}

fn widen_constant(constant: &mut TensorProto) -> Result<bool, TensorError> {
    if constant.data_type != data_type::FLOAT16 {
        return Ok(false);
    }
    constant.check()?;
    let values = constant.to_f32()?;
    *constant = TensorProto::from_f32(&constant.name, &constant.dims, &values);
    Ok(true)
}
