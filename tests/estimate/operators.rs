//! Operations of single operators, worked out by hand.

use crate::graph::{estimate, floats, indices, ints, model, node, only};
use occdepth_contract::onnx::{AttributeProto, ModelProto, NodeProto, TensorProto};

/// 4 x 6 pixels, 3 by 3 taps without padding: 2 x 4 outputs of 8 channels, 3 · 9 products each.
#[test]
fn a_convolution() {
    let conv = |constants, inputs: &[&str]| {
        only(&model(
            &[("x", &[1, 3, 4, 6])],
            constants,
            vec![node("Conv", inputs, "y", vec![])],
            &["y"],
        ))
    };
    let layer = conv(vec![floats("w", &[8, 3, 3, 3])], &["x", "w"]);
    assert_eq!(layer.multiply_adds, 2 * 4 * 8 * 27);
    assert_eq!(layer.operations, 2 * 1728);
    assert_eq!(layer.shape, [1, 8, 2, 4]);
    assert_eq!((layer.weights.floats, layer.reads.floats, layer.writes.floats), (216, 72, 64));
    // A bias is one sum for each output.
    let biased = conv(vec![floats("w", &[8, 3, 3, 3]), floats("b", &[8])], &["x", "w", "b"]);
    assert_eq!(biased.operations, 2 * 1728 + 64);
    assert_eq!(biased.weights.floats, 216 + 8);
}

/// Depthwise: each of 6 channels has a filter of its own.
#[test]
fn a_grouped_convolution() {
    let attributes = vec![AttributeProto::int("group", 6), ints("pads", &[1, 1, 1, 1])];
    let nodes = vec![node("Conv", &["x", "w"], "y", attributes)];
    let layer =
        only(&model(&[("x", &[2, 6, 5, 5])], vec![floats("w", &[6, 1, 3, 3])], nodes, &["y"]));
    assert_eq!(layer.multiply_adds, 2 * 6 * 25 * 9);
}

/// Strides and dilations: 1 x 9 x 9 x 9 with 3 taps, dilation 2 (a reach of 5), stride 2: 3 x 3 x 3.
#[test]
fn a_convolution_in_three_dimensions() {
    let attributes = vec![ints("strides", &[2, 2, 2]), ints("dilations", &[2, 2, 2])];
    let nodes = vec![node("Conv", &["x", "w"], "y", attributes)];
    let layer = only(&model(
        &[("x", &[1, 1, 9, 9, 9])],
        vec![floats("w", &[4, 1, 3, 3, 3])],
        nodes,
        &["y"],
    ));
    assert_eq!(layer.multiply_adds, 27 * 4 * 27);
}

/// Every one of 2 · 16 inputs goes to 5 channels of 3 by 3 places.
#[test]
fn a_transposed_convolution() {
    let attributes = vec![ints("strides", &[2, 2])];
    let nodes = vec![node("ConvTranspose", &["x", "w", "b"], "y", attributes)];
    let constants = vec![floats("w", &[2, 5, 3, 3]), floats("b", &[5])];
    let layer = only(&model(&[("x", &[1, 2, 4, 4])], constants, nodes, &["y"]));
    assert_eq!(layer.shape, [1, 5, 9, 9]);
    assert_eq!(layer.multiply_adds, 32 * 5 * 9);
    assert_eq!(layer.operations, 2 * 1440 + 5 * 81);
}

#[test]
fn matrix_products() {
    let product = |left: &[i64], right: &[i64]| {
        let nodes = vec![node("MatMul", &["x", "w"], "y", vec![])];
        only(&model(&[("x", left)], vec![floats("w", right)], nodes, &["y"])).multiply_adds
    };
    assert_eq!(product(&[5, 7], &[7, 11]), 5 * 7 * 11);
    assert_eq!(product(&[3, 2, 5, 7], &[7, 11]), 6 * 5 * 7 * 11);
    let gemm = |attributes: Vec<AttributeProto>, x: &[i64], w: &[i64]| {
        let nodes = vec![node("Gemm", &["x", "w", "c"], "y", attributes)];
        only(&model(&[("x", x)], vec![floats("w", w), floats("c", &[11])], nodes, &["y"]))
    };
    let plain = gemm(vec![], &[5, 7], &[7, 11]);
    assert_eq!((plain.multiply_adds, plain.operations), (385, 770 + 55));
    let transposed = vec![AttributeProto::int("transA", 1), AttributeProto::int("transB", 1)];
    assert_eq!(gemm(transposed, &[7, 5], &[11, 7]).multiply_adds, 385);
}

/// 24 elements each: one operation for a rectifier, four for a sigmoid, and so on.
#[test]
fn operators_on_single_elements() {
    for (operator, inputs, each) in [
        ("Relu", 1, 1),
        ("LeakyRelu", 1, 2),
        ("Sigmoid", 1, 4),
        ("Sqrt", 1, 1),
        ("Clip", 1, 2),
        ("Add", 2, 1),
        ("Div", 2, 1),
        ("Max", 3, 2),
        ("Mean", 3, 3),
        ("Sum", 4, 3),
    ] {
        let names: Vec<String> = (0..inputs).map(|index| format!("x{index}")).collect();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let given: Vec<(&str, &[i64])> = names.iter().map(|&name| (name, &[2, 3, 4][..])).collect();
        let layer = only(&model(&given, vec![], vec![node(operator, &names, "y", vec![])], &["y"]));
        assert_eq!(layer.operations, 24 * each, "{operator}");
        assert_eq!(layer.reads.floats, 24 * inputs, "{operator}");
        assert_eq!(layer.writes.floats, 24, "{operator}");
    }
}

/// A bias of 3 against 24 elements: 24 sums, and only 3 numbers more to read.
#[test]
fn what_is_broadcast_is_read_once() {
    let nodes = vec![node("Add", &["x", "b"], "y", vec![])];
    let layer = only(&model(&[("x", &[2, 3, 4]), ("b", &[3, 1])], vec![], nodes, &["y"]));
    assert_eq!((layer.operations, layer.reads.floats), (24, 24 + 3));
}

#[test]
fn pools_and_reductions() {
    let one = |node: NodeProto, constants: Vec<TensorProto>| {
        only(&model(&[("x", &[1, 2, 4, 4])], constants, vec![node], &["y"])).operations
    };
    let pooled = |operator| {
        let attributes = vec![ints("kernel_shape", &[2, 2]), ints("strides", &[2, 2])];
        one(node(operator, &["x"], "y", attributes), vec![])
    };
    // 8 outputs of 4 taps: three sums and a factor, or three comparisons.
    assert_eq!((pooled("AveragePool"), pooled("MaxPool")), (8 * 4, 8 * 3));
    // 32 numbers to 2: 30 sums; a mean has a quotient for each.
    assert_eq!(one(node("GlobalAveragePool", &["x"], "y", vec![]), vec![]), 32);
    assert_eq!(one(node("GlobalMaxPool", &["x"], "y", vec![]), vec![]), 30);
    let axes = || vec![indices("axes", &[2, 3])];
    assert_eq!(one(node("ReduceSum", &["x", "axes"], "y", vec![]), axes()), 30);
    let over = || vec![ints("axes", &[2, 3])];
    assert_eq!(one(node("ReduceMean", &["x"], "y", over()), vec![]), 32);
    assert_eq!(one(node("ReduceMax", &["x"], "y", over()), vec![]), 30);
    // 32 squares, 30 sums, 2 roots.
    assert_eq!(one(node("ReduceL2", &["x"], "y", over()), vec![]), 64);
    assert_eq!(one(node("Softmax", &["x"], "y", vec![]), vec![]), 5 * 32);
}

/// 2 x 3 to 4 x 6: bilinear takes four products and three sums an output, along one axis two and one.
#[test]
fn a_resize() {
    let resize = |mode: &str, sizes: &[i64]| {
        let attributes = vec![AttributeProto::string("mode", mode)];
        let nodes = vec![node("Resize", &["x", "", "", "sizes"], "y", attributes)];
        only(&model(&[("x", &[1, 1, 2, 3])], vec![indices("sizes", sizes)], nodes, &["y"]))
    };
    assert_eq!(resize("linear", &[1, 1, 4, 6]).operations, 24 * 7);
    assert_eq!(resize("linear", &[1, 1, 4, 3]).operations, 12 * 3);
    assert_eq!(resize("cubic", &[1, 1, 4, 6]).operations, 24 * 31);
    assert_eq!(resize("nearest", &[1, 1, 4, 6]).operations, 0);
    let layer = resize("linear", &[1, 1, 4, 6]);
    // The sizes say how, and are no data.
    assert_eq!((layer.reads.floats, layer.weights.fixed_bytes, layer.writes.floats), (6, 0, 24));
}

/// A gather takes no more of its table than it gives, and reads its indices.
#[test]
fn movers_do_no_arithmetic() {
    let nodes = || vec![node("Gather", &["x", "i"], "y", vec![AttributeProto::int("axis", 1)])];
    let few = only(&model(&[("x", &[4, 100])], vec![indices("i", &[3, 5, 7])], nodes(), &["y"]));
    assert_eq!((few.operations, few.reads.floats, few.writes.floats), (0, 12, 12));
    assert_eq!(few.weights.fixed_bytes, 3 * 8);
    let many = only(&model(&[("x", &[4, 2])], vec![indices("i", &[0; 50])], nodes(), &["y"]));
    assert_eq!((many.reads.floats, many.writes.floats), (8, 200));

    let nodes = vec![node("Slice", &["x", "from", "to"], "y", vec![])];
    let constants = vec![indices("from", &[1]), indices("to", &[3])];
    let slice = only(&model(&[("x", &[10, 5])], constants, nodes, &["y"]));
    assert_eq!((slice.operations, slice.reads.floats, slice.writes.floats), (0, 10, 10));

    let nodes = vec![node("Concat", &["x", "z"], "y", vec![AttributeProto::int("axis", 0)])];
    let concat = only(&model(&[("x", &[3, 2]), ("z", &[4, 2])], vec![], nodes, &["y"]));
    assert_eq!((concat.operations, concat.reads.floats, concat.writes.floats), (0, 14, 14));

    let nodes = vec![node("Transpose", &["x"], "y", vec![ints("perm", &[1, 0])])];
    let transposed = only(&model(&[("x", &[3, 2])], vec![], nodes, &["y"]));
    assert_eq!(
        (transposed.operations, transposed.reads.floats, transposed.writes.floats),
        (0, 6, 6)
    );
}

/// An explicitly quantised product (quantise, dequantise, multiply): the quantised numbers take a byte each, in
/// every precision, and the product's own rule is that of floating-point numbers.
#[test]
fn quantised_networks_are_counted() {
    let nodes = vec![
        node("QuantizeLinear", &["x", "scale", "zero"], "q", vec![]),
        node("DequantizeLinear", &["q", "scale", "zero"], "d", vec![]),
        node("MatMul", &["d", "w"], "y", vec![]),
    ];
    let zero = TensorProto {
        name: "zero".into(),
        data_type: 3,
        raw_data: vec![0],
        ..TensorProto::default()
    };
    let scale = TensorProto::from_f32("scale", &[], &[0.5]);
    let constants = vec![scale, zero, floats("w", &[4, 2])];
    let counted = estimate(&model(&[("x", &[8, 4])], constants, nodes, &["y"]));
    assert_eq!(counted.operations(), 32 * 3 + 32 * 2 + 2 * 8 * 2 * 4);
    assert_eq!(counted.layers.len(), 2);
}

/// Truth values take a byte each whatever the precision, and so do quantised numbers.
#[test]
fn widths_follow_the_operators() {
    let nodes = vec![node("Greater", &["x", "z"], "y", vec![])];
    let truth: ModelProto = model(&[("x", &[8]), ("z", &[8])], vec![], nodes, &["y"]);
    let layer = only(&truth);
    assert_eq!((layer.writes.floats, layer.writes.fixed_bytes), (0, 8));
    let nodes = vec![node("Cast", &["x"], "y", vec![AttributeProto::int("to", 6)])];
    let layer = only(&model(&[("x", &[8])], vec![], nodes, &["y"]));
    assert_eq!((layer.operations, layer.writes.fixed_bytes), (0, 32));
}
