//! Small graphs.

use occdepth::estimate::{Estimate, EstimateError, Layer};
use occdepth_contract::onnx::{
    AttributeProto, GraphProto, ModelProto, NodeProto, OperatorSetIdProto, TensorProto,
    ValueInfoProto, data_type,
};

/// A node named like its output.
pub(crate) fn node(
    operator: &str,
    inputs: &[&str],
    output: &str,
    attributes: Vec<AttributeProto>,
) -> NodeProto {
    NodeProto {
        op_type: operator.into(),
        name: output.into(),
        input: inputs.iter().map(|&name| name.to_owned()).collect(),
        output: vec![output.into()],
        attribute: attributes,
        ..NodeProto::default()
    }
}

pub(crate) fn ints(name: &str, values: &[i64]) -> AttributeProto {
    AttributeProto::ints(name, values)
}

/// A constant of zeros.
pub(crate) fn floats(name: &str, dims: &[i64]) -> TensorProto {
    let count = usize::try_from(dims.iter().product::<i64>()).unwrap();
    TensorProto::from_f32(name, dims, &vec![0.0; count])
}

/// A constant of whole numbers.
pub(crate) fn indices(name: &str, values: &[i64]) -> TensorProto {
    TensorProto {
        name: name.into(),
        dims: vec![i64::try_from(values.len()).unwrap()],
        data_type: data_type::INT64,
        int64_data: values.to_vec(),
        ..TensorProto::default()
    }
}

/// A model of f32 inputs `(name, shape)`; its outputs are those of the nodes named.
pub(crate) fn model(
    inputs: &[(&str, &[i64])],
    constants: Vec<TensorProto>,
    nodes: Vec<NodeProto>,
    outputs: &[&str],
) -> ModelProto {
    let declare = |name: &str, shape: &[i64]| ValueInfoProto::tensor(name, data_type::FLOAT, shape);
    ModelProto {
        ir_version: 8,
        opset_import: vec![OperatorSetIdProto { domain: String::new(), version: 17 }],
        graph: Some(GraphProto {
            input: inputs.iter().map(|(name, shape)| declare(name, shape)).collect(),
            output: outputs
                .iter()
                .map(|&name| ValueInfoProto { name: name.into(), ..ValueInfoProto::default() })
                .collect(),
            initializer: constants,
            node: nodes,
            ..GraphProto::default()
        }),
        ..ModelProto::default()
    }
}

pub(crate) fn estimate(model: &ModelProto) -> Estimate {
    let estimate = Estimate::of(model, "small.onnx").unwrap();
    assert_eq!(estimate.unknown, [], "every operator has a rule");
    estimate
}

/// The only layer of a graph of one node.
pub(crate) fn only(model: &ModelProto) -> Layer {
    let mut layers = estimate(model).layers;
    assert_eq!(layers.len(), 1);
    layers.remove(0)
}

pub(crate) fn refused(model: &ModelProto) -> EstimateError {
    Estimate::of(model, "small.onnx").unwrap_err()
}
