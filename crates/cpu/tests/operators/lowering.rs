//! Lowered operators against direct sums. Values are small integers, so that the order of a sum does
//! not matter and results are equal to the last bit.
use crate::reference::{self, Axis, Integers, Volume};
use occdepth_contract::onnx::{
    AttributeProto, GraphProto, ModelProto, NodeProto, OperatorSetIdProto, TensorProto,
    ValueInfoProto, data_type,
};
use occdepth_cpu::lower::{LowerError, lower};
use proptest::prelude::*;
use rten::{Model, ValueView};

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(200) })]

    #[test]
    fn a_convolution_equals_its_definition(
        extents in [1_usize..7, 1..7, 1..6],
        batch in 1_usize..3,
        groups in 1_usize..3,
        per_group in [1_usize..3, 1..4],
        axes in [axis(), axis(), axis()],
        biased: bool,
        seed: u32,
    ) {
        let mut integers = Integers(seed);
        let [inputs, outputs] = per_group.map(|channels| channels * groups);
        let input = integers.volume([batch, inputs, extents[0], extents[1], extents[2]]);
        let taps = axes.map(|axis| axis.taps);
        let weights = integers.volume([outputs, per_group[0], taps[0], taps[1], taps[2]]);
        let bias = if biased { integers.take(outputs) } else { Vec::new() };
        prop_assume!((0..3).all(|axis| axes[axis].convolved(extents[axis]).is_some()));
        prop_assume!((0..3).all(|axis| reaches(axes[axis], extents[axis])));

        let mut node = node("Conv", axes);
        node.attribute.push(AttributeProto::int("group", groups as i64));
        let expected = reference::conv(&input, &weights, &bias, axes, groups);
        prop_assert_eq!(run(node, &input, Some((&weights, &bias))), expected);
    }

    #[test]
    fn a_transposed_convolution_equals_its_definition(
        extents in [1_usize..5, 1..5, 1..5],
        batch in 1_usize..3,
        channels in [1_usize..4, 1..4],
        axes in [axis(), axis(), axis()],
        output_padding in [0_usize..2, 0..2, 0..2],
        biased: bool,
        seed: u32,
    ) {
        let mut integers = Integers(seed);
        let [inputs, outputs] = channels;
        let mut axes = axes;
        for axis in 0..3 {
            // ONNX: less than the stride.
            axes[axis].output_padding = output_padding[axis].min(axes[axis].stride - 1);
        }
        let input = integers.volume([batch, inputs, extents[0], extents[1], extents[2]]);
        let taps = axes.map(|axis| axis.taps);
        let weights = integers.volume([inputs, outputs, taps[0], taps[1], taps[2]]);
        let bias = if biased { integers.take(outputs) } else { Vec::new() };
        prop_assume!((0..3).all(|axis| axes[axis].transposed(extents[axis]).is_some_and(|n| n > 0)));

        let mut node = node("ConvTranspose", axes);
        let padding = axes.map(|axis| axis.output_padding as i64);
        node.attribute.push(AttributeProto::ints("output_padding", &padding));
        let expected = reference::conv_transpose(&input, &weights, &bias, axes);
        prop_assert_eq!(run(node, &input, Some((&weights, &bias))), expected);
    }

    #[test]
    fn average_pooling_equals_its_definition(
        extents in [1_usize..7, 1..7, 1..7],
        batch in 1_usize..3,
        channels in 1_usize..4,
        axes in [axis(), axis(), axis()],
        seed: u32,
    ) {
        let axes = axes.map(|axis| Axis {
            dilation: 1,
            pads: axis.pads.map(|pad| pad.min(axis.taps - 1)),
            ..axis
        });
        prop_assume!((0..3).all(|axis| axes[axis].convolved(extents[axis]).is_some()));
        let input = Integers(seed).volume([batch, channels, extents[0], extents[1], extents[2]]);

        let mut node = node("AveragePool", axes);
        node.attribute.push(AttributeProto::int("count_include_pad", 1));
        let expected = reference::average_pool(&input, axes);
        let found = run(node, &input, None);
        prop_assert_eq!(found.dims, expected.dims);
        for (found, expected) in found.values.iter().zip(&expected.values) {
            prop_assert!((found - expected).abs() <= 1e-5, "{found} != {expected}");
        }
    }
}

/// The windows of the published 3-D decoder: factorised convolutions with dilations 1 to 3 and stride
/// 1 or 2, full ones with dilations 1 to 3, and the up-sampling.
#[test]
fn the_operators_of_the_published_network_equal_their_definitions() {
    let mut integers = Integers(7);
    let input = integers.volume([1, 3, 6, 5, 4]);
    let along = |axis: usize, stride: usize, dilation: usize| {
        let mut axes = [Axis::PLAIN; 3];
        let pads = [dilation; 2];
        axes[axis] = Axis { taps: 3, stride, dilation, pads, output_padding: 0 };
        axes
    };
    let mut windows = Vec::new();
    for dilation in 1..=3 {
        let all = Axis { dilation, pads: [dilation; 2], ..Axis::taps(3) };
        windows.push([all; 3]);
        for (axis, stride) in [(0, 1), (0, 2), (1, 1), (1, 2), (2, 1), (2, 2)] {
            windows.push(along(axis, stride, dilation));
        }
    }
    windows.push([Axis::PLAIN; 3]);
    for axes in windows {
        let taps = axes.map(|axis| axis.taps);
        let weights = integers.volume([2, 3, taps[0], taps[1], taps[2]]);
        let bias = integers.take(2);
        let expected = reference::conv(&input, &weights, &bias, axes, 1);
        assert_eq!(run(node("Conv", axes), &input, Some((&weights, &bias))), expected, "{axes:?}");
    }

    let up = Axis { taps: 3, stride: 2, dilation: 1, pads: [1; 2], output_padding: 1 };
    let weights = integers.volume([3, 2, 3, 3, 3]);
    let bias = integers.take(2);
    let mut transposed = node("ConvTranspose", [up; 3]);
    transposed.attribute.push(AttributeProto::ints("output_padding", &[1; 3]));
    let expected = reference::conv_transpose(&input, &weights, &bias, [up; 3]);
    assert_eq!(expected.dims, [1, 2, 12, 10, 8]);
    assert_eq!(run(transposed, &input, Some((&weights, &bias))), expected);
}

#[test]
fn shapes_are_followed_through_the_operators_around_a_convolution() {
    // x [1, 2, 4, 3, 2] -> Concat with itself -> LeakyRelu -> Reshape -> Transpose -> Conv -> Conv.
    let mut integers = Integers(3);
    let input = integers.volume([1, 2, 4, 3, 2]);
    let one = integers.volume([3, 3, 3, 3, 3]);
    let two = integers.volume([1, 3, 1, 1, 3]);
    let op =
        |op_type: &str, inputs: &[&str], output: &str, attribute: Vec<AttributeProto>| NodeProto {
            op_type: op_type.into(),
            name: output.into(),
            input: inputs.iter().map(|&input| input.into()).collect(),
            output: vec![output.into()],
            attribute,
            ..NodeProto::default()
        };
    let same = Axis { pads: [1; 2], ..Axis::taps(3) };
    let windows = |axes, input: &str, weights: &str, output: &str| NodeProto {
        input: vec![input.into(), weights.into()],
        output: vec![output.into()],
        name: output.into(),
        ..node("Conv", axes)
    };
    let along_z = [Axis::PLAIN, Axis::PLAIN, same];
    let graph = GraphProto {
        node: vec![
            op("Concat", &["x", "x"], "twice", vec![AttributeProto::int("axis", -1)]),
            op("LeakyRelu", &["twice"], "leaky", vec![AttributeProto::float("alpha", 1.0)]),
            op("Reshape", &["leaky", "shape"], "flat", vec![]),
            op("Transpose", &["flat"], "turned", vec![AttributeProto::ints("perm", &[1, 0, 2])]),
            op("Reshape", &["turned", "volume"], "back", vec![]),
            windows([same; 3], "back", "one", "convolved"),
            windows(along_z, "convolved", "two", "y"),
        ],
        initializer: vec![
            TensorProto::from_i64("shape", &[3], &[0, 2, -1]),
            TensorProto::from_i64("volume", &[5], &[1, 3, 4, 2, -1]),
            constant("one", &one),
            constant("two", &two),
        ],
        input: vec![declared("x", &[1, 2, 4, 3, 2])],
        output: vec![declared("y", &[1, 1, 4, 2, 4])],
        ..GraphProto::default()
    };
    // Reshape [0, 2, -1] keeps the batch: 1 x 2 x 48; the transposition makes 2 x 1 x 48 of it, in the
    // same order since an axis of 1 moves nothing. 96 values are no [1, 3, 4, 2, -1] of 24 but 4 each.
    let run_it = |graph: GraphProto| execute(lower(graph).unwrap(), &input);
    let twice: Vec<f32> = input.values.chunks(2).flat_map(|z| [z, z].concat()).collect();
    let back = Volume { dims: [1, 3, 4, 2, 4], values: twice };
    let convolved = reference::conv(&back, &one, &[], [same; 3], 1);
    assert_eq!(run_it(graph), reference::conv(&convolved, &two, &[], along_z, 1));
}

#[test]
fn what_cannot_be_lowered_is_refused_by_node_and_field() {
    let input = Integers(1).volume([1, 2, 4, 4, 4]);
    let weights = Integers(2).volume([2, 2, 3, 3, 3]);
    let graph = |node: NodeProto| graph_of(node, &input, Some((&weights, &[])));
    let three = [Axis::taps(3); 3];

    let mut auto = node("Conv", three);
    auto.attribute.push(AttributeProto::string("auto_pad", "SAME_UPPER"));
    let refused = lower(graph(auto)).unwrap_err();
    assert!(matches!(refused, LowerError::Attribute { attribute: "auto_pad", .. }), "{refused}");

    let mut grouped = node("ConvTranspose", three);
    grouped.attribute.push(AttributeProto::int("group", 2));
    let refused = lower(graph(grouped)).unwrap_err();
    assert!(matches!(refused, LowerError::Attribute { attribute: "group", .. }), "{refused}");

    let mut computed = graph(node("Conv", three));
    computed.initializer.clear();
    computed.input.push(declared("w", &[2, 2, 3, 3, 3]));
    let refused = lower(computed).unwrap_err();
    assert!(matches!(refused, LowerError::Weights { ref value, .. } if value == "w"), "{refused}");

    let mut unknown = graph(node("Conv", three));
    unknown.input.clear();
    let refused = lower(unknown).unwrap_err();
    assert!(matches!(refused, LowerError::Shape { ref value, .. } if value == "x"), "{refused}");

    let large = [Axis { dilation: 5, ..Axis::taps(3) }; 3];
    let refused = lower(graph(node("Conv", large))).unwrap_err();
    assert!(matches!(refused, LowerError::Inputs { .. }), "{refused}");

    let negative = NodeProto {
        attribute: vec![AttributeProto::ints("pads", &[-1, 0, 0, 0, 0, 0])],
        ..node("Conv", three)
    };
    let refused = lower(graph(negative)).unwrap_err();
    assert!(matches!(refused, LowerError::Attribute { attribute: "pads", .. }), "{refused}");
}

fn axis() -> impl Strategy<Value = Axis> {
    let axis = (1_usize..4, 1_usize..4, 1_usize..4, [0_usize..4, 0..4]);
    let random = axis.prop_map(|(taps, stride, dilation, pads)| Axis {
        taps,
        stride,
        dilation,
        pads,
        output_padding: 0,
    });
    prop_oneof![1 => Just(Axis::PLAIN), 3 => random]
}

/// Whether any tap of any window falls on the axis: nothing to compute otherwise.
fn reaches(axis: Axis, extent: usize) -> bool {
    let positions = axis.convolved(extent).unwrap();
    (0..positions).any(|position| {
        (0..axis.taps).any(|tap| {
            let at = position * axis.stride + tap * axis.dilation;
            (axis.pads[0]..axis.pads[0] + extent).contains(&at)
        })
    })
}

/// `y = op(x, w, b)`.
fn node(op_type: &str, axes: [Axis; 3]) -> NodeProto {
    let each = |of: fn(Axis) -> usize| axes.map(|axis| of(axis) as i64);
    let [before, after] = [0, 1].map(|side| axes.map(|axis| axis.pads[side] as i64));
    let mut attribute = vec![
        AttributeProto::ints("kernel_shape", &each(|axis| axis.taps)),
        AttributeProto::ints("strides", &each(|axis| axis.stride)),
        AttributeProto::ints("pads", &[before, after].concat()),
    ];
    if op_type != "AveragePool" {
        attribute.push(AttributeProto::ints("dilations", &each(|axis| axis.dilation)));
    }
    NodeProto {
        op_type: op_type.into(),
        name: "node".into(),
        input: vec!["x".into(), "w".into(), "b".into()],
        output: vec!["y".into()],
        attribute,
        ..NodeProto::default()
    }
}

fn run(node: NodeProto, input: &Volume, weights: Option<(&Volume, &[f32])>) -> Volume {
    execute(lower(graph_of(node, input, weights)).unwrap(), input)
}

fn graph_of(mut node: NodeProto, input: &Volume, weights: Option<(&Volume, &[f32])>) -> GraphProto {
    let mut initializer = Vec::new();
    node.input.truncate(1);
    if let Some((weights, bias)) = weights {
        initializer.push(constant("w", weights));
        node.input.push("w".into());
        if !bias.is_empty() {
            initializer.push(TensorProto::from_f32("b", &[bias.len() as i64], bias));
            node.input.push("b".into());
        }
    }
    GraphProto {
        node: vec![node],
        initializer,
        input: vec![declared("x", &input.dims)],
        output: vec![ValueInfoProto { name: "y".into(), ..ValueInfoProto::default() }],
        ..GraphProto::default()
    }
}

/// Runs a graph from `x` to `y`, on the runtime that has no 3-D operators.
fn execute(graph: GraphProto, input: &Volume) -> Volume {
    let model = ModelProto {
        ir_version: 8,
        opset_import: vec![OperatorSetIdProto { domain: String::new(), version: 17 }],
        graph: Some(graph),
        ..ModelProto::default()
    };
    let model = Model::load(model.to_bytes()).unwrap();
    let x = ValueView::from_shape(input.dims.as_slice(), &input.values[..]).unwrap();
    let ids = [model.node_id("x").unwrap(), model.node_id("y").unwrap()];
    let [y] = model.run_n(vec![(ids[0], x.into())], [ids[1]], None).unwrap();
    let (dims, values) = y.into_shape_vec::<f32, 5>().unwrap();
    Volume { dims, values }
}

fn constant(name: &str, volume: &Volume) -> TensorProto {
    TensorProto::from_f32(name, &volume.dims.map(|extent| extent as i64), &volume.values)
}

fn declared(name: &str, dims: &[usize]) -> ValueInfoProto {
    let dims: Vec<i64> = dims.iter().map(|&extent| extent as i64).collect();
    ValueInfoProto::tensor(name, data_type::FLOAT, &dims)
}
