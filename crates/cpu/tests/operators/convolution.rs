//! Our own convolutions, through networks, against direct sums. Values are small integers, so that the
//! direct sums are exact and the difference is the error of our way of summing.

use crate::reference::{self, Axis, Integers, Volume};
use occdepth_contract::onnx::{
    AttributeProto, GraphProto, ModelProto, NodeProto, OperatorSetIdProto, TensorProto,
    ValueInfoProto, data_type,
};
use occdepth_cpu::{CpuError, Input, Network, OwnKernels, Values};
use proptest::prelude::*;

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(60) })]

    #[test]
    fn an_image_convolution_equals_its_definition(
        extents in [1_usize..23, 1..90],
        batch in 1_usize..3,
        channels in [1_usize..14, 1..21],
        biased: bool,
        activation in activation(),
        threads in 1_usize..4,
        seed: u32,
    ) {
        let case = Case {
            extents: vec![extents[0], extents[1]], batch, channels, dilation: 1, biased, activation,
        };
        check(&case, threads, seed)?;
    }

    #[test]
    fn a_volume_convolution_equals_its_definition(
        extents in [1_usize..15, 1..15, 1..21],
        batch in 1_usize..3,
        channels in [1_usize..6, 1..10],
        dilation in 1_usize..4,
        biased: bool,
        activation in activation(),
        threads in 1_usize..4,
        seed: u32,
    ) {
        let case = Case { extents: extents.to_vec(), batch, channels, dilation, biased, activation };
        check(&case, threads, seed)?;
    }
}

/// Sizes around those of tiles, vectors and blocks, and more channels than one block takes.
#[test]
fn sizes_at_the_edges_of_tiles_and_blocks_equal_their_definitions() {
    let case = |extents: &[usize], channels, dilation| Case {
        extents: extents.to_vec(),
        batch: 1,
        channels,
        dilation,
        biased: true,
        activation: Activation::None,
    };
    for (nth, case) in [
        case(&[1, 1], [1, 1], 1),
        case(&[4, 64], [3, 8], 1),
        case(&[5, 65], [3, 9], 1),
        case(&[3, 63], [3, 7], 1),
        case(&[40, 52], [70, 12], 1),
        case(&[1, 1, 1], [2, 2], 3),
        case(&[8, 8, 32], [4, 4], 1),
        case(&[9, 17, 31], [4, 5], 2),
        case(&[25, 13, 16], [3, 4], 3),
        case(&[6, 6, 4], [40, 20], 3),
    ]
    .iter()
    .enumerate()
    {
        for threads in [1, 4] {
            check(case, threads, nth as u32).unwrap();
        }
    }
}

/// The same sums whatever the number of threads: labels do not depend on the machine's load.
#[test]
fn results_do_not_depend_on_the_number_of_threads() {
    let mut integers = Integers(11);
    let input = integers.volume([2, 5, 1, 33, 70]);
    let weights: Vec<f32> = integers.take(7 * 5 * 9).iter().map(|w| w * 0.37).collect();
    let model = model(
        vec![conv("x", "w", None, "y", &[1, 1, 1, 1], 1, 1)],
        vec![TensorProto::from_f32("w", &[7, 5, 3, 3], &weights)],
        &[2, 5, 33, 70],
        &["y"],
    );
    let one = run(&model, &input, &["y"], 1, 1);
    assert_eq!(run(&model, &input, &["y"], 3, 1), one);
    assert_eq!(run(&model, &input, &["y"], 8, 1), one);
}

/// What is not of stride 1, one group, three taps and equal padding is left to the ONNX crate, and is
/// as right.
#[test]
fn other_convolutions_are_left_alone() {
    let mut integers = Integers(5);
    let input = integers.volume([1, 4, 1, 9, 12]);
    let weights = integers.volume([4, 4, 1, 3, 3]);
    let grouped = integers.volume([4, 2, 1, 3, 3]);
    let same = Axis { pads: [1; 2], ..Axis::taps(3) };
    let pads = |before, after| Axis { pads: [before, after], ..same };
    let stride = |stride| Axis { stride, ..same };
    let dilated = |dilation| Axis { dilation, pads: [dilation; 2], ..same };
    for (axes, groups) in [
        ([stride(2), stride(2)], 1),
        ([same, stride(2)], 1),
        ([same, same], 2),
        ([pads(0, 0), pads(0, 0)], 1),
        ([pads(1, 0), pads(1, 2)], 1),
        ([pads(0, 2), pads(1, 1)], 1),
        ([dilated(2), dilated(2)], 1),
        ([same, dilated(2)], 1),
    ] {
        let weights = if groups == 1 { &weights } else { &grouped };
        let node = windowed(&axes, groups);
        let dims = [4, weights.dims[1] as i64, 3, 3];
        let constants = vec![TensorProto::from_f32("w", &dims, &weights.values)];
        let model = model(vec![node], constants, &[1, 4, 9, 12], &["y"]);
        let axes = [Axis::PLAIN, axes[0], axes[1]];
        let expected = reference::conv(&input, weights, &[], axes, groups);
        assert_eq!(run(&model, &input, &["y"], 1, 0), [expected.values], "{axes:?}");
    }

    let input = integers.volume([1, 2, 5, 6, 7]);
    let weights = integers.volume([3, 2, 3, 3, 3]);
    for axes in [
        [same, dilated(2), same],
        [dilated(2), dilated(2), dilated(3)],
        [same, same, pads(2, 0)],
        [pads(1, 0), same, same],
        [same, pads(0, 2), same],
        [stride(2), same, same],
    ] {
        let constants = vec![TensorProto::from_f32("w", &[3, 2, 3, 3, 3], &weights.values)];
        let model = model(vec![windowed(&axes, 1)], constants, &[1, 2, 5, 6, 7], &["y"]);
        let expected = reference::conv(&input, &weights, &[], axes, 1);
        assert_eq!(run(&model, &input, &["y"], 1, 0), [expected.values], "{axes:?}");
    }
}

/// Padding that an operator finds itself, and weights that another operator computes.
#[test]
fn convolutions_that_are_not_written_out_are_left_alone() {
    let mut integers = Integers(6);
    let input = integers.volume([1, 4, 1, 9, 12]);
    let weights = integers.volume([4, 4, 1, 3, 3]);
    let same = Axis { pads: [1; 2], ..Axis::taps(3) };
    let expected = reference::conv(&input, &weights, &[], [Axis::PLAIN, same, same], 1).values;
    let constants = || vec![TensorProto::from_f32("w", &[4, 4, 3, 3], &weights.values)];
    let computed =
        vec![plain("Identity", &["w"], "weights"), conv("x", "weights", None, "y", &[1; 4], 1, 1)];
    let computed = model(computed, constants(), &[1, 4, 9, 12], &["y"]);
    assert_eq!(run(&computed, &input, &["y"], 1, 0), [expected]);

    // Refused by name, not run with other padding.
    let mut auto = conv("x", "w", None, "y", &[1; 4], 1, 1);
    auto.attribute.retain(|attribute| attribute.name != "pads");
    auto.attribute.push(AttributeProto::string("auto_pad", "SAME_UPPER"));
    let auto = model(vec![auto], constants(), &[1, 4, 9, 12], &["y"]);
    let error = Network::load(auto, "auto", Some(1)).unwrap_err();
    assert!(matches!(&error, CpuError::Node { node, .. } if node == "y"), "{error}");
}

/// Nothing in, nothing out.
#[test]
fn an_empty_convolution_is_left_alone() {
    let weights = TensorProto::from_f32("w", &[2, 3, 3, 3], &[1.0; 54]);
    let nodes = vec![conv("x", "w", None, "y", &[1; 4], 1, 1)];
    let model = model(nodes, vec![weights], &[0, 3, 4, 5], &["y"]);
    let nothing = Volume { dims: [0, 3, 1, 4, 5], values: Vec::new() };
    assert_eq!(run(&model, &nothing, &["y"], 1, 0), [Vec::<f32>::new()]);
}

/// An activation that is not the only reader is no part of its convolution.
#[test]
fn a_convolution_read_by_more_than_an_activation_keeps_its_values() {
    let mut integers = Integers(8);
    let input = integers.volume([1, 3, 1, 6, 7]);
    let weights = integers.volume([3, 3, 1, 3, 3]);
    let same = Axis { pads: [1; 2], ..Axis::taps(3) };
    let convolved = reference::conv(&input, &weights, &[], [Axis::PLAIN, same, same], 1).values;
    let nodes = vec![
        conv("x", "w", None, "c", &[1; 4], 1, 1),
        plain("Relu", &["c"], "r"),
        plain("Add", &["c", "x"], "s"),
    ];
    let weights = TensorProto::from_f32("w", &[3, 3, 3, 3], &weights.values);
    let model = model(nodes, vec![weights], &[1, 3, 6, 7], &["r", "s"]);
    let found = run(&model, &input, &["r", "s"], 1, 1);
    let relu: Vec<f32> = convolved.iter().map(|value| value.max(0.0)).collect();
    let sum: Vec<f32> = convolved.iter().zip(&input.values).map(|(c, x)| c + x).collect();
    close(&found[0], &relu, 0.1);
    close(&found[1], &sum, 0.1);
}

/// Values large enough for their memory to be used again, by a next run as well: of three sizes, so
/// that some memory is larger than what is put into it.
#[test]
fn memory_that_is_used_again_does_not_change_results() {
    let mut integers = Integers(12);
    let input = integers.volume([1, 2, 1, 160, 128]);
    let same = Axis { pads: [1; 2], ..Axis::taps(3) };
    let (mut nodes, mut constants, mut expected) = (Vec::new(), Vec::new(), input.clone());
    let mut name = String::from("x");
    for (nth, outputs) in [8, 4, 6, 4].into_iter().enumerate() {
        let inputs = expected.dims[1];
        // Weights of one value in each output, so that sums stay small and exact in f32.
        let mut weights = Volume { dims: [outputs, inputs, 1, 3, 3], values: Vec::new() };
        for output in 0..outputs {
            let mut kernel = vec![0.0; inputs * 9];
            kernel[(output * 7 + nth * 5) % (inputs * 9)] = 1.0;
            kernel[(output * 11 + nth) % (inputs * 9)] -= 2.0;
            weights.values.extend(kernel);
        }
        expected = reference::conv(&expected, &weights, &[], [Axis::PLAIN, same, same], 1);
        let (weight_name, output) = (format!("w{nth}"), format!("y{nth}"));
        nodes.push(conv(&name, &weight_name, None, &output, &[1; 4], 1, 1));
        let dims = [outputs as i64, inputs as i64, 3, 3];
        constants.push(TensorProto::from_f32(&weight_name, &dims, &weights.values));
        name = output;
    }
    // The convolutions' own values are not asked for: a sum between them and the end is.
    let last = plain("Add", &[&name, &name], "y");
    nodes.push(last);
    let model = model(nodes, constants, &[1, 2, 160, 128], &["y"]);
    let twice: Vec<f32> = expected.values.iter().map(|value| 2.0 * value).collect();
    close(&run(&model, &input, &["y"], 2, 4)[0], &twice, 0.05);
}

/// `y`, the convolution of `x` by `w` over two or three axes.
fn windowed(axes: &[Axis], groups: usize) -> NodeProto {
    let of = |of: fn(&Axis) -> usize| axes.iter().map(|axis| of(axis) as i64).collect::<Vec<_>>();
    let pads = [of(|axis| axis.pads[0]), of(|axis| axis.pads[1])].concat();
    let mut node = conv("x", "w", None, "y", &pads, 1, groups as i64);
    node.attribute.retain(|attribute| attribute.name != "dilations");
    node.attribute.push(AttributeProto::ints("dilations", &of(|axis| axis.dilation)));
    node.attribute.push(AttributeProto::ints("strides", &of(|axis| axis.stride)));
    node
}

/// Convolutions in a row, side by side, over a shortcut, and read more than once: each value is
/// computed before it is read, and those that are asked for are there at the end.
#[test]
fn convolutions_are_run_in_the_order_of_the_graph() {
    let mut integers = Integers(9);
    let input = integers.volume([1, 3, 1, 6, 7]);
    let weights: Vec<Volume> = (0..4).map(|_| integers.volume([3, 3, 1, 3, 3])).collect();
    let axis = Axis { pads: [1; 2], ..Axis::taps(3) };
    let convolved = |x: &Volume, nth: usize| {
        reference::conv(x, &weights[nth], &[], [Axis::PLAIN, axis, axis], 1)
    };
    let map = |x: &Volume, f: fn(f32) -> f32| Volume {
        values: x.values.iter().map(|&value| f(value)).collect(),
        ..x.clone()
    };
    let sum = |x: &Volume, y: &Volume| Volume {
        values: x.values.iter().zip(&y.values).map(|(x, y)| x + y).collect(),
        ..x.clone()
    };
    let a = convolved(&input, 0);
    let b = map(&a, |value| value.max(0.0));
    let c = convolved(&b, 1);
    let d = sum(&c, &input);
    let e = convolved(&c, 2);
    let f = sum(&convolved(&d, 3), &e);

    let conv = |input: &str, weights: &str, output: &str| {
        conv(input, weights, None, output, &[1; 4], 1, 1)
    };
    let constant = |(nth, weights): (usize, &Volume)| {
        TensorProto::from_f32(&format!("w{nth}"), &[3, 3, 3, 3], &weights.values)
    };
    let nodes = vec![
        conv("x", "w0", "a"),
        plain("Relu", &["a"], "b"),
        conv("b", "w1", "c"),
        plain("Add", &["c", "x"], "d"),
        conv("c", "w2", "e"),
        conv("d", "w3", "g"),
        plain("Add", &["g", "e"], "f"),
    ];
    let constants = weights.iter().enumerate().map(constant).collect();
    let names = ["a", "b", "c", "e", "f"];
    let model = model(nodes, constants, &[1, 3, 6, 7], &names);
    let expected = [&a, &b, &c, &e, &f];
    for (found, expected) in run(&model, &input, &names, 2, 4).iter().zip(expected) {
        close(found, &expected.values, 0.2);
    }
    // Without the others nothing is kept for them, and the activation is part of its convolution.
    let mut model = model;
    model.graph.as_mut().unwrap().output.retain(|output| output.name == "f");
    close(&run(&model, &input, &["f"], 2, 4)[0], &f.values, 0.2);
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Activation {
    None,
    Relu,
    LeakyRelu(f32),
}

#[derive(Clone, Debug)]
struct Case {
    extents: Vec<usize>,
    batch: usize,
    /// Of the input and of the output.
    channels: [usize; 2],
    dilation: usize,
    biased: bool,
    activation: Activation,
}

fn activation() -> impl Strategy<Value = Activation> {
    prop_oneof![
        Just(Activation::None),
        Just(Activation::Relu),
        Just(Activation::LeakyRelu(0.01)),
        Just(Activation::LeakyRelu(1.5)),
    ]
}

fn check(case: &Case, threads: usize, seed: u32) -> Result<(), TestCaseError> {
    let mut integers = Integers(seed);
    let Case { extents, batch, channels: [inputs, outputs], dilation, .. } = case;
    let plain = 3 - extents.len();
    let mut dims = [*batch, *inputs, 1, 1, 1];
    dims[2 + plain..].copy_from_slice(extents);
    let input = integers.volume(dims);
    let mut kernel = [*outputs, *inputs, 1, 1, 1];
    kernel[2 + plain..].fill(3);
    let weights = integers.volume(kernel);
    let bias = if case.biased { integers.take(*outputs) } else { Vec::new() };
    let axis = Axis { dilation: *dilation, pads: [*dilation; 2], ..Axis::taps(3) };
    let axes = std::array::from_fn(|nth| if nth < plain { Axis::PLAIN } else { axis });
    let absolute = |volume: &Volume| Volume {
        values: volume.values.iter().map(|value| value.abs()).collect(),
        ..volume.clone()
    };
    let expected = reference::conv(&input, &weights, &bias, axes, 1);
    let magnitude = reference::conv(&absolute(&input), &absolute(&weights), &[], axes, 1);

    let ints = |values: &[usize]| values.iter().map(|&value| value as i64).collect::<Vec<_>>();
    let shape = |dims: &[usize]| ints(&[&dims[..2], &dims[2 + plain..]].concat());
    let bias_name = case.biased.then_some("b");
    let pads = vec![*dilation as i64; 2 * extents.len()];
    let convolved = if case.activation == Activation::None { "y" } else { "convolved" };
    let mut nodes = vec![conv("x", "w", bias_name, convolved, &pads, *dilation as i64, 1)];
    let activated = |op_type: &str, attribute: Vec<AttributeProto>| NodeProto {
        op_type: op_type.into(),
        name: "activation".into(),
        input: vec!["convolved".into()],
        output: vec!["y".into()],
        attribute,
        ..NodeProto::default()
    };
    match case.activation {
        Activation::None => {}
        Activation::Relu => nodes.push(activated("Relu", vec![])),
        Activation::LeakyRelu(alpha) => {
            nodes.push(activated("LeakyRelu", vec![AttributeProto::float("alpha", alpha)]));
        }
    }
    let mut constants = vec![TensorProto::from_f32("w", &shape(&kernel), &weights.values)];
    if case.biased {
        constants.push(TensorProto::from_f32("b", &[*outputs as i64], &bias));
    }
    let model = model(nodes, constants, &shape(&dims), &["y"]);
    let found = run(&model, &input, &["y"], threads, 1).remove(0);
    prop_assert_eq!(found.len(), expected.values.len());
    for ((&found, &expected), magnitude) in
        found.iter().zip(&expected.values).zip(&magnitude.values)
    {
        let (expected, slope) = match case.activation {
            Activation::None => (expected, 1.0),
            Activation::Relu => (expected.max(0.0), 1.0),
            Activation::LeakyRelu(alpha) if expected < 0.0 => (expected * alpha, 1.0 + alpha),
            Activation::LeakyRelu(alpha) => (expected, 1.0 + alpha),
        };
        // A tap that is missing or misplaced is off by a whole number.
        let tolerance = slope * (4e-6 * magnitude + 1e-4);
        prop_assert!((found - expected).abs() <= tolerance, "{found} != {expected}");
    }
    Ok(())
}

pub(crate) fn close(found: &[f32], expected: &[f32], tolerance: f32) {
    assert_eq!(found.len(), expected.len());
    for (found, expected) in found.iter().zip(expected) {
        assert!((found - expected).abs() <= tolerance, "{found} != {expected}");
    }
}

pub(crate) fn conv(
    input: &str,
    weights: &str,
    bias: Option<&str>,
    output: &str,
    pads: &[i64],
    dilation: i64,
    groups: i64,
) -> NodeProto {
    let axes = pads.len() / 2;
    let names = [Some(input), Some(weights), bias];
    NodeProto {
        op_type: "Conv".into(),
        name: output.into(),
        input: names.into_iter().flatten().map(String::from).collect(),
        output: vec![output.into()],
        attribute: vec![
            AttributeProto::ints("kernel_shape", &vec![3; axes]),
            AttributeProto::ints("pads", pads),
            AttributeProto::ints("dilations", &vec![dilation; axes]),
            AttributeProto::int("group", groups),
        ],
        ..NodeProto::default()
    }
}

/// By default: 64 -> 64 channels are 566 M multiply-accumulates at 120x128, 530 M at 120x120; the border
/// is 2^29 (537 M).
#[test]
fn small_convolutions_are_left_alone_unless_asked_for() {
    let weights = TensorProto::from_f32("w", &[64, 64, 3, 3], &vec![1.0; 64 * 64 * 9]);
    let nodes = || vec![conv("x", "w", None, "y", &[1; 4], 1, 1)];
    for (width, kernels, own) in
        [(128, OwnKernels::Large, 1), (120, OwnKernels::Large, 0), (120, OwnKernels::All, 1)]
    {
        let model = model(nodes(), vec![weights.clone()], &[1, 64, 120, width], &["y"]);
        let network = Network::load_with(model, "sizes", Some(1), kernels).unwrap();
        assert_eq!(network.own_convolutions(), own, "{width} {kernels:?}");
    }
    let model = model(nodes(), vec![weights], &[1, 64, 120, 120], &["y"]);
    assert_eq!(Network::load(model, "sizes", Some(1)).unwrap().own_convolutions(), 0);
}

pub(crate) fn model(
    node: Vec<NodeProto>,
    initializer: Vec<TensorProto>,
    shape: &[i64],
    outputs: &[&str],
) -> ModelProto {
    let output = |name: &&str| ValueInfoProto { name: (*name).into(), ..Default::default() };
    ModelProto {
        ir_version: 8,
        opset_import: vec![OperatorSetIdProto { domain: String::new(), version: 17 }],
        graph: Some(GraphProto {
            node,
            initializer,
            input: vec![ValueInfoProto::tensor("x", data_type::FLOAT, shape)],
            output: outputs.iter().map(output).collect(),
            ..GraphProto::default()
        }),
        ..ModelProto::default()
    }
}

pub(crate) fn plain(op_type: &str, inputs: &[&str], output: &str) -> NodeProto {
    NodeProto {
        op_type: op_type.into(),
        name: output.into(),
        input: inputs.iter().map(|&input| input.into()).collect(),
        output: vec![output.into()],
        ..NodeProto::default()
    }
}

/// The outputs of a network of which `own` convolutions are ours, the same in each of two runs.
pub(crate) fn run(
    model: &ModelProto,
    input: &Volume,
    outputs: &[&str],
    threads: usize,
    own: usize,
) -> Vec<Vec<f32>> {
    let declared = model.graph.as_ref().unwrap().input[0].static_tensor().unwrap().1;
    let shape: Vec<usize> = declared.iter().map(|&extent| extent as usize).collect();
    let kernels = OwnKernels::All;
    let mut network = Network::load_with(model.clone(), "test", Some(threads), kernels).unwrap();
    assert_eq!(network.own_convolutions(), own);
    let mut run = || -> Vec<Vec<f32>> {
        let x = Input { name: "x", shape: &shape, values: Values::F32(&input.values) };
        let outputs = network.run(&[x], outputs).unwrap();
        outputs.iter().map(|output| output.values().as_f32().unwrap().to_vec()).collect()
    };
    let first = run();
    assert_eq!(run(), first);
    first
}
