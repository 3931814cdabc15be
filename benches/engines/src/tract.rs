//! The network in tract.

use crate::Frame;
use crate::inputs::Inputs;
use occdepth_contract::onnx::ModelProto;
use occdepth_cpu::{Input, Values, lower::lower};
use std::error::Error;
use tract_onnx::prelude::*;

/// The network as it is, or with its 3-D operators written in two dimensions.
pub fn prepare(
    mut model: ModelProto,
    inputs: &Inputs,
    lowered: bool,
) -> Result<Frame, Box<dyn Error>> {
    if lowered {
        model.graph = model.graph.map(lower).transpose()?;
    }
    let model = tract_onnx::onnx()
        .model_for_read(&mut model.to_bytes().as_slice())?
        .into_optimized()?
        .into_runnable()?;
    let inputs: TVec<TValue> = inputs.iter().map(value).collect::<Result<_, _>>()?;
    Ok(Box::new(move || {
        model.run(inputs.clone())?;
        Ok(())
    }))
}

fn value(input: Input<'_>) -> Result<TValue, Box<dyn Error>> {
    Ok(match input.values {
        Values::F32(values) => Tensor::from_shape(input.shape, values)?,
        Values::I32(values) => Tensor::from_shape(input.shape, values)?,
    }
    .into())
}
