//! What every exported graph keeps to: operators that builders take, static shapes, one type for every
//! value.

use occdepth_contract::onnx::{
    GraphProto, NodeProto,
    data_type::{BOOL, FLOAT, FLOAT16, INT32, INT64},
};
use std::collections::{BTreeMap, BTreeSet};

/// Known operators; every value defined once, before its use, with a static shape and a type that
/// follows from the graph; nothing that is not used.
pub(crate) fn assert_static(graph: &GraphProto) {
    let mut defined: BTreeSet<&str> = graph
        .input
        .iter()
        .map(|input| input.name.as_str())
        .chain(graph.initializer.iter().map(|constant| constant.name.as_str()))
        .collect();
    assert_eq!(defined.len(), graph.input.len() + graph.initializer.len());
    let types = types(graph);
    let mut used: BTreeSet<&str> = graph.output.iter().map(|output| output.name.as_str()).collect();
    let mut names = BTreeSet::new();
    for node in &graph.node {
        assert!(OPERATORS.contains(&node.op_type.as_str()), "{}", node.op_type);
        assert!(node.domain.is_empty(), "{}", node.domain);
        assert!(names.insert(node.name.as_str()), "{} twice", node.name);
        for input in node.input.iter().filter(|input| !input.is_empty()) {
            assert!(defined.contains(input.as_str()), "{}: {input} is not defined", node.name);
            used.insert(input);
        }
        for output in &node.output {
            assert!(defined.insert(output), "{output} twice");
            assert!(types.contains_key(output.as_str()), "{output} has no static shape");
        }
        assert_typed(node, &types);
    }
    let unused: Vec<&&str> = defined.difference(&used).collect();
    assert!(unused.is_empty(), "{unused:?}");
}

/// The element type of every input, constant, and value of static shape.
pub(crate) fn types(graph: &GraphProto) -> BTreeMap<&str, i32> {
    let values = graph.input.iter().chain(&graph.value_info).chain(&graph.output);
    let declared = values.filter_map(|value| Some((value.name.as_str(), value.static_tensor()?.0)));
    let constants =
        graph.initializer.iter().map(|constant| (constant.name.as_str(), constant.data_type));
    declared.chain(constants).collect()
}

/// The types that ONNX's operator schemas allow: a strongly typed builder takes them as they are.
fn assert_typed(node: &NodeProto, types: &BTreeMap<&str, i32>) {
    let of = |name: &String| types[name.as_str()];
    let inputs: Vec<i32> = node.input.iter().filter(|name| !name.is_empty()).map(of).collect();
    let outputs: Vec<i32> = node.output.iter().map(of).collect();
    let float = |t: i32| t == FLOAT || t == FLOAT16;
    let holds = match (node.op_type.as_str(), &inputs[..], &outputs[..]) {
        ("Cast", [_], [to]) => {
            node.attribute("to").and_then(|to| to.i) == Some(i64::from(*to)) && *to != INT64
        }
        ("Equal" | "Greater", [a, b], [BOOL]) => a == b,
        ("Or", [BOOL, BOOL], [BOOL]) => true,
        ("Gather", [table, INT32], [y]) => table == y,
        ("Reshape", [x, INT64], [y]) => x == y,
        ("Split", [x, INT64], ys) => ys.iter().all(|y| x == y),
        ("Resize" | "ReduceSum", [x, INT64], [y]) => x == y && float(*x),
        ("Transpose" | "Concat", xs, [y]) => xs.iter().all(|x| x == y),
        ("Where", [BOOL, a, b], [y]) | ("Add" | "Max" | "Min" | "Mul" | "Sub", [a, b], [y]) => {
            a == b && a == y
        }
        (_, xs, [y]) => xs.iter().all(|x| x == y) && float(*y),
        _ => false,
    };
    assert!(holds, "{} ({}): {inputs:?} to {outputs:?}", node.name, node.op_type);
}

/// What an export may use. Every one is in the lists of operators that NVIDIA's ONNX parser takes in
/// `TensorRT` 8.5 and in 11 (`docs/operators.md` of onnx-tensorrt, branches release/8.5-GA and main), in the
/// types that [`assert_typed`] allows, and in the CPU engine. Not among them, although some versions know
/// them: whatever computes shapes (`Shape`, `ConstantOfShape`, `Range`), `GatherND` and `ScatterND`,
/// and `GridSample`, which is 4-D before 11.2.
const OPERATORS: [&str; 30] = [
    "Abs",
    "Add",
    "AveragePool",
    "Cast",
    "Concat",
    "Conv",
    "ConvTranspose",
    "Div",
    "Equal",
    "Gather",
    "Gemm",
    "GlobalAveragePool",
    "Greater",
    "LeakyRelu",
    "MatMul",
    "Max",
    "Min",
    "Mul",
    "Or",
    "ReduceL2",
    "ReduceSum",
    "Relu",
    "Reshape",
    "Resize",
    "Sigmoid",
    "Softmax",
    "Split",
    "Sub",
    "Transpose",
    "Where",
];
