//! What runs together, what is needed at once, and what is refused.

use crate::graph::{estimate, floats, indices, ints, model, node, refused};
use occdepth::board::Precision;
use occdepth::estimate::{Amount, Estimate, EstimateError};
use occdepth_contract::onnx::{Dimension, ModelProto, ValueInfoProto, data_type};

/// A convolution, its activation `x · sigmoid(x)` and a residual are one layer: the values between them stay
/// where they are.
#[test]
fn activations_run_with_what_they_activate() {
    let nodes = vec![
        node("Conv", &["x", "w"], "c", vec![ints("pads", &[1, 1, 1, 1])]),
        node("Sigmoid", &["c"], "s", vec![]),
        node("Mul", &["c", "s"], "m", vec![]),
        node("Add", &["m", "x"], "y", vec![]),
    ];
    let counted =
        estimate(&model(&[("x", &[1, 4, 5, 5])], vec![floats("w", &[4, 4, 3, 3])], nodes, &["y"]));
    assert_eq!(counted.layers.len(), 1);
    let layer = &counted.layers[0];
    assert_eq!(
        (layer.operator.as_str(), layer.fused.join(" ")),
        ("Conv", "Sigmoid Mul Add".into())
    );
    assert_eq!(layer.operations, 2 * 100 * 36 + 100 * (4 + 1 + 1));
    // x is read once although two nodes take it.
    assert_eq!((layer.reads.floats, layer.writes.floats, layer.weights.floats), (100, 100, 144));
}

/// A value that another layer takes as well is written, and read there.
#[test]
fn what_others_need_is_written() {
    let nodes = vec![
        node("Conv", &["x", "w"], "c", vec![]),
        node("Relu", &["c"], "r", vec![]),
        node("Conv", &["c", "w"], "d", vec![]),
        node("Add", &["r", "d"], "y", vec![]),
    ];
    let counted =
        estimate(&model(&[("x", &[1, 4, 3, 3])], vec![floats("w", &[4, 4, 1, 1])], nodes, &["y"]));
    // The sum runs with the later convolution.
    let fused: Vec<String> = counted.layers.iter().map(|layer| layer.fused.join(" ")).collect();
    assert_eq!(fused, ["Relu", "Add"]);
    let [first, second] = &counted.layers[..] else { panic!() };
    assert_eq!((first.reads.floats, first.writes.floats), (36, 72)); // c and r
    assert_eq!((second.reads.floats, second.writes.floats), (72, 36));
    // Both convolutions have the same weights; they are in memory once.
    assert_eq!((first.weights.floats, second.weights.floats, counted.weights.floats), (16, 16, 16));
}

/// Squeeze and excite: the factor is smaller than what it scales, so the product is a layer of its own.
#[test]
fn a_smaller_factor_does_not_take_the_product_with_it() {
    let nodes = vec![
        node("GlobalAveragePool", &["x"], "p", vec![]),
        node("Sigmoid", &["p"], "s", vec![]),
        node("Mul", &["x", "s"], "y", vec![]),
    ];
    let counted = estimate(&model(&[("x", &[1, 4, 3, 3])], vec![], nodes, &["y"]));
    let names: Vec<&str> = counted.layers.iter().map(|layer| layer.name.as_str()).collect();
    assert_eq!(names, ["p", "y"]);
    assert_eq!(counted.layers[1].reads.floats, 36 + 4);
}

/// Reshapes move nothing, and what is behind them is still the same value.
#[test]
fn views_are_free() {
    let nodes = vec![
        node("Relu", &["x"], "r", vec![]),
        node("Reshape", &["r", "shape"], "v", vec![]),
        node("Neg", &["v"], "n", vec![]),
        node("Flatten", &["n"], "y", vec![]),
    ];
    let constants = vec![indices("shape", &[6, 4])];
    let counted = estimate(&model(&[("x", &[2, 3, 4])], constants, nodes, &["y"]));
    assert_eq!(counted.layers.len(), 1);
    assert_eq!((counted.traffic().floats, counted.weights), (48, Amount::default()));
    assert_eq!(counted.operations(), 48);
}

/// What depends on constants alone is worked out when an engine is built.
#[test]
fn constants_are_folded() {
    let nodes = vec![node("Neg", &["w"], "n", vec![]), node("Add", &["x", "n"], "y", vec![])];
    let counted = estimate(&model(&[("x", &[8])], vec![floats("w", &[8])], nodes, &["y"]));
    assert_eq!((counted.layers.len(), counted.operations()), (1, 8));
    assert_eq!(counted.weights.floats, 8);
}

/// x (100) stays; a (100) and b (100) are needed together, then b and c (50), then c and y.
#[test]
fn memory_is_what_is_needed_at_once() {
    let nodes = vec![
        node("Relu", &["x"], "a", vec![]),
        node("Transpose", &["a"], "b", vec![ints("perm", &[1, 0])]),
        node("Slice", &["b", "from", "to"], "c", vec![]),
        node("Transpose", &["c"], "y", vec![ints("perm", &[1, 0])]),
    ];
    let constants = vec![indices("from", &[0]), indices("to", &[5])];
    let counted = estimate(&model(&[("x", &[10, 10])], constants, nodes, &["y"]));
    let memory = counted.memory(Precision::Fp32);
    assert_eq!(memory.activations_peak_bytes, 4 * 200);
    assert_eq!(memory.inputs_outputs_bytes, 4 * 150);
    assert_eq!(counted.memory(Precision::Fp16).activations_peak_bytes, 2 * 200);
    assert_eq!(memory.total_bytes(), memory.weights_bytes + 4 * 350);
}

/// An operator without a rule is named, and nothing is made up for it.
#[test]
fn unknown_operators_are_listed() {
    let nodes = vec![
        node("Relu", &["x"], "a", vec![]),
        node("Frobnicate", &["a"], "f", vec![]),
        node("Add", &["f", "x"], "y", vec![]),
    ];
    let network = model(&[("x", &[8])], vec![], nodes, &["y"]);
    let counted = Estimate::of(&network, "small.onnx").unwrap();
    let [frobnicate, sum] = &counted.unknown[..] else { panic!("{:?}", counted.unknown) };
    assert_eq!((frobnicate.node.as_str(), frobnicate.operator.as_str()), ("f", "Frobnicate"));
    assert!(frobnicate.reason.contains("the shape of `f` is unknown"), "{}", frobnicate.reason);
    assert!(sum.reason.contains("`y` is unknown"), "{}", sum.reason);
    // What goes into it is written for it.
    assert_eq!(counted.layers[0].writes.floats, 8);
    assert_eq!(counted.operations(), 8);
}

/// With its shape declared, the operator alone is unknown.
#[test]
fn declared_shapes_are_believed() {
    let nodes =
        vec![node("Frobnicate", &["x"], "f", vec![]), node("Add", &["f", "x"], "y", vec![])];
    let mut network = model(&[("x", &[8])], vec![], nodes, &["y"]);
    let graph = network.graph.as_mut().unwrap();
    graph.value_info.push(ValueInfoProto::tensor("f", data_type::FLOAT, &[8]));
    let mut foreign = node("Relu", &["x"], "g", vec![]);
    foreign.domain = "com.example".into();
    graph.node.push(foreign);
    graph.value_info.push(ValueInfoProto::tensor("g", data_type::FLOAT, &[8]));
    let counted = Estimate::of(&network, "small.onnx").unwrap();
    let reasons: Vec<&str> =
        counted.unknown.iter().map(|unknown| unknown.reason.as_str()).collect();
    assert_eq!(reasons, ["no rule for this operator", "an operator of \"com.example\""]);
    assert_eq!(counted.operations(), 8);
}

#[test]
fn what_cannot_be_counted_is_refused() {
    let empty = ModelProto::default();
    assert!(matches!(refused(&empty), EstimateError::NoGraph { origin } if origin == "small.onnx"));
    let mut network =
        model(&[("x", &[8, 3])], vec![], vec![node("Relu", &["x"], "y", vec![])], &["y"]);
    let input = &mut network.graph.as_mut().unwrap().input[0];
    let tensor = input.r#type.as_mut().unwrap().tensor_type.as_mut().unwrap();
    tensor.shape.as_mut().unwrap().dim[0] =
        Dimension { dim_param: Some("batch".into()), ..Dimension::default() };
    let said = refused(&network).to_string();
    assert_eq!(
        said,
        "small.onnx: input `x`: found no static shape, expected a tensor with a static shape"
    );
    let negative = model(&[("x", &[-8])], vec![], vec![], &[]);
    assert!(refused(&negative).to_string().contains("found [-8]"));
}

/// Parts come from the names of nodes, without numbers and operators.
#[test]
fn parts_are_named_by_the_nodes() {
    let names =
        ["net.encoder.blocks.0.1.conv/Conv", "net.encoder/Add", "projects.2/Mul", "", "alone"];
    let nodes = names.iter().enumerate().map(|(index, name)| {
        let mut node = node("Relu", &["x"], &format!("y{index}"), vec![]);
        (*name).clone_into(&mut node.name);
        node
    });
    let outputs: Vec<String> = (0..names.len()).map(|index| format!("y{index}")).collect();
    let outputs: Vec<&str> = outputs.iter().map(String::as_str).collect();
    let counted = estimate(&model(&[("x", &[4])], vec![], nodes.collect(), &outputs));
    let parts: Vec<(String, usize)> =
        counted.parts().into_iter().map(|part| (part.name, part.layers)).collect();
    let expected = [("(unnamed)", 2), ("net.encoder", 2), ("projects", 1)];
    assert_eq!(parts, expected.map(|(name, layers)| (name.to_owned(), layers)));
}
