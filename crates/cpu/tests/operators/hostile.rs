//! Graphs whose declarations contradict each other, or that ask for more than they should: refused by
//! name, or run to the values that the nodes say.

use crate::convolution::{close, conv, model, plain, run};
use crate::reference::{self, Axis, Integers, Volume};
use occdepth_contract::onnx::{
    AttributeProto, ModelProto, NodeProto, TensorProto, ValueInfoProto, data_type,
};
use occdepth_cpu::{CpuError, Input, Network, OwnKernels, Values};

/// A kernel's shape from one place and its values from another.
#[test]
fn a_name_used_twice_is_refused() {
    let one = || TensorProto::from_f32("w", &[1], &[1.0]);
    let shape = || TensorProto::from_i64("shape", &[4], &[64, 64, 3, 3]);
    let convolution = || conv("x", "w", None, "y", &[1; 4], 1, 1);
    let expanded = vec![plain("Expand", &["w", "shape"], "w"), convolution()];
    let empty = TensorProto { dims: vec![1 << 30, 0], raw_data: Vec::new(), ..one() };
    let graphs = [
        (vec![convolution()], vec![one(), one()]),
        (expanded, vec![one(), shape()]),
        (vec![convolution()], vec![one(), empty]),
        (vec![plain("Relu", &["x"], "w"), plain("Relu", &["x"], "w"), convolution()], vec![]),
        (vec![constant("w", one()), convolution()], vec![one()]),
    ];
    for (nodes, constants) in graphs {
        let error = load(model(nodes, constants, &[1, 64, 5, 6], &["y"])).unwrap_err();
        assert!(matches!(&error, CpuError::Name { value, .. } if value == "w"), "{error}");
        assert!(error.to_string().starts_with("hostile: "), "{error}");
    }
    let weights = TensorProto::from_f32("x", &[64, 64, 3, 3], &vec![1.0; 64 * 64 * 9]);
    let error = load(model(vec![convolution()], vec![weights], &[1, 64, 5, 6], &["y"]));
    assert!(matches!(&error, Err(CpuError::Name { value, .. }) if value == "x"), "{error:?}");
}

/// A `Constant` node is known by its output: what its tensor is called means nothing, although a
/// tensor of that name may be much larger.
#[test]
fn a_constant_is_known_by_its_nodes_output() {
    let mut integers = Integers(3);
    let input = integers.volume([1, 2, 1, 5, 6]);
    let weights = integers.volume([2, 2, 1, 3, 3]);
    let same = Axis { pads: [1; 2], ..Axis::taps(3) };
    let expected = reference::conv(&input, &weights, &[], [Axis::PLAIN, same, same], 1);
    let misnamed = TensorProto::from_f32("large", &[2, 2, 3, 3], &weights.values);
    let nodes = vec![
        constant("w", misnamed),
        conv("x", "w", None, "y", &[1; 4], 1, 1),
        plain("Add", &["x", "large"], "z"),
    ];
    let large = TensorProto::from_f32("large", &[64, 2, 5, 6], &[1.0; 64 * 60]);
    let model = model(nodes, vec![large], &[1, 2, 5, 6], &["y", "z"]);
    close(&run(&model, &input, &["y"], 1, 1)[0], &expected.values, 0.1);
}

/// A convolution without an axis to slide along (matrices as input and weights), and one whose result
/// has no name: no values come of them, and no panic.
#[test]
fn convolutions_without_axes_or_outputs_are_errors() {
    let matrix = TensorProto::from_f32("w", &[2, 2], &[1.0; 4]);
    for pads in [&[1, 1][..], &[]] {
        let nodes = vec![conv("x", "w", None, "y", pads, 1, 1)];
        let Ok(mut network) = load(model(nodes, vec![matrix.clone()], &[2, 2], &["y"])) else {
            continue;
        };
        let x = Input { name: "x", shape: &[2, 2], values: Values::F32(&[1.0; 4]) };
        assert!(network.run(&[x], &["y"]).is_err());
    }
    for (shape, kernel, count) in
        [(vec![1, 1, 5, 6], vec![1, 1, 3, 3], 9), (vec![1, 1, 5, 6, 4], vec![1, 1, 3, 3, 3], 27)]
    {
        let weights = TensorProto::from_f32("w", &kernel, &vec![1.0; count]);
        let pads = vec![1; 2 * (kernel.len() - 2)];
        let nameless = NodeProto { output: vec![], ..conv("x", "w", None, "y", &pads, 1, 1) };
        let nodes = vec![nameless, plain("Relu", &["x"], "y")];
        assert!(load(model(nodes, vec![weights], &shape, &["y"])).is_err());
    }
}

/// Constants of which there are none, under a shape declared for them: of an image, of a volume that is
/// lowered and of a transposed one.
#[test]
fn weights_that_are_not_there_are_refused() {
    let axes = |ints: &[i64]| AttributeProto::ints("strides", ints);
    let mut strided = conv("x", "w", None, "y", &[1; 6], 1, 1);
    strided.attribute.push(axes(&[2, 1, 1]));
    let mut transposed = plain("ConvTranspose", &["x", "w"], "y");
    transposed.attribute.push(AttributeProto::ints("kernel_shape", &[3; 3]));
    let cases = [
        (conv("x", "w", None, "y", &[1; 4], 1, 1), vec![1, 64, 5, 6], vec![64, 64, 3, 3]),
        (conv("x", "w", None, "y", &[1; 6], 1, 1), vec![1, 8, 3, 3, 3], vec![8, 8, 3, 3, 3]),
        (strided, vec![1, 8, 3, 3, 3], vec![8, 8, 3, 3, 3]),
        (transposed, vec![1, 8, 3, 3, 3], vec![8, 8, 3, 3, 3]),
    ];
    for (node, input, kernel) in cases {
        let title = node.op_type.clone();
        let empty = TensorProto { dims: vec![1 << 30, 0], ..TensorProto::from_f32("w", &[0], &[]) };
        let mut model = model(vec![node], vec![empty], &input, &["y"]);
        let graph = model.graph.as_mut().unwrap();
        graph.value_info.push(ValueInfoProto::tensor("w", data_type::FLOAT, &kernel));
        let Ok(mut network) = load(model) else { continue };
        // What the ONNX crate takes fails when it runs.
        assert_eq!(network.own_convolutions(), 0, "{title}");
        let shape: Vec<usize> = input.iter().map(|&extent| extent as usize).collect();
        let values = vec![1.0; shape.iter().product()];
        let x = Input { name: "x", shape: &shape, values: Values::F32(&values) };
        assert!(network.run(&[x], &["y"]).is_err(), "{title}");
    }
}

/// What is declared of a computed value does not matter.
#[test]
fn a_false_declaration_changes_nothing() {
    let mut integers = Integers(4);
    let input = integers.volume([1, 2, 3, 4, 5]);
    let weights = integers.volume([2, 2, 3, 3, 3]);
    let same = Axis { pads: [1; 2], ..Axis::taps(3) };
    let strided = Axis { stride: 2, ..same };
    let first = reference::conv(&input, &weights, &[], [same; 3], 1);
    let second = reference::conv(&first, &weights, &[], [strided; 3], 1);
    let mut last = conv("c", "w", None, "y", &[1; 6], 1, 1);
    last.attribute.push(AttributeProto::ints("strides", &[2; 3]));
    let nodes = vec![conv("x", "w", None, "c", &[1; 6], 1, 1), last];
    let weights = TensorProto::from_f32("w", &[2, 2, 3, 3, 3], &weights.values);
    let mut model = model(nodes, vec![weights], &[1, 2, 3, 4, 5], &["c", "y"]);
    let graph = model.graph.as_mut().unwrap();
    let lie = ValueInfoProto::tensor("c", data_type::FLOAT, &[1, 2, 5, 4, 3]);
    graph.value_info.push(lie);
    let found = run(&model, &input, &["c", "y"], 1, 1);
    close(&found[0], &first.values, 0.1);
    close(&found[1], &second.values, 20.0 * 54.0 * 1e-4);
    // The same beside the output's name.
    model.graph.as_mut().unwrap().output[0] =
        ValueInfoProto::tensor("c", data_type::FLOAT, &[1, 2, 5, 4, 3]);
    assert_eq!(run(&model, &input, &["c", "y"], 1, 1), found);
}

#[test]
fn a_convolution_of_a_constant_is_left_alone() {
    let mut integers = Integers(5);
    let constant = integers.volume([1, 2, 1, 5, 6]);
    let weights = integers.volume([2, 2, 1, 3, 3]);
    let same = Axis { pads: [1; 2], ..Axis::taps(3) };
    let convolved = reference::conv(&constant, &weights, &[], [Axis::PLAIN, same, same], 1);
    let nodes = vec![conv("k", "w", None, "c", &[1; 4], 1, 1), plain("Add", &["c", "x"], "y")];
    let constants = vec![
        TensorProto::from_f32("k", &[1, 2, 5, 6], &constant.values),
        TensorProto::from_f32("w", &[2, 2, 3, 3], &weights.values),
    ];
    let zeros = Volume { values: vec![0.0; 60], ..constant };
    let model = model(nodes, constants, &[1, 2, 5, 6], &["y"]);
    assert_eq!(run(&model, &zeros, &["y"], 1, 0), [convolved.values]);
}

/// Dilations far above the extents, of which every tile would be mostly padding, and lines so long that
/// one block takes hundreds of megabytes.
#[test]
fn volumes_that_tiles_do_not_suit_are_left_alone() {
    for (extents, dilation, own) in [
        ([2, 3, 4], 16, 1),
        ([2, 3, 4], 17, 0),
        ([2, 3, 4], 1000, 0),
        ([1, 1, 450_000], 1, 0),
        ([1, 1, 300_000], 1, 1),
    ] {
        let [x, y, z] = extents;
        let mut integers = Integers(dilation as u32);
        let input = integers.volume([1, 1, x, y, z]);
        let weights = integers.volume([1, 1, 3, 3, 3]);
        let axis = Axis { dilation, pads: [dilation; 2], ..Axis::taps(3) };
        let expected = reference::conv(&input, &weights, &[], [axis; 3], 1);
        let pads = [dilation as i64; 6];
        let nodes = vec![conv("x", "w", None, "y", &pads, dilation as i64, 1)];
        let weights = TensorProto::from_f32("w", &[1, 1, 3, 3, 3], &weights.values);
        let shape = [1, 1, x as i64, y as i64, z as i64];
        let model = model(nodes, vec![weights], &shape, &["y"]);
        close(&run(&model, &input, &["y"], 1, own)[0], &expected.values, 0.05);
    }
}

/// One constant, read by everybody: transformed only as often as memory allows, and no less right.
#[test]
fn shared_weights_are_transformed_within_bounds() {
    // [128, 128, 3, 3] is 0.6 MB, transformed 2.4 MB: 27 and a few fit 64 MiB and 4 x 0.6 MB.
    let channels = 128;
    let values = Integers(6).take(channels * channels * 9);
    let dims = [channels as i64, channels as i64, 3, 3];
    let weights = TensorProto::from_f32("w", &dims, &values);
    let nodes = (0..40).map(|nth| conv("x", "w", None, &format!("y{nth}"), &[1; 4], 1, 1));
    let model = model(nodes.collect(), vec![weights], &[1, channels as i64, 1, 1], &["y0", "y39"]);
    let mut network = load(model).unwrap();
    assert_eq!(network.own_convolutions(), (4 * 589_824 + (64 << 20)) / (4 * 589_824));
    let input = Integers(7).take(channels);
    // Only the centre of a kernel meets the one pixel.
    let expected: Vec<f32> = (0..channels)
        .map(|o| (0..channels).map(|c| input[c] * values[(o * channels + c) * 9 + 4]).sum())
        .collect();
    let x = Input { name: "x", shape: &[1, channels, 1, 1], values: Values::F32(&input) };
    for output in network.run(&[x], &["y0", "y39"]).unwrap() {
        close(output.values().as_f32().unwrap(), &expected, 0.05);
    }
}

/// A constant that is read between all convolutions would be copied for each of the parts.
#[test]
fn constants_shared_by_too_many_parts_are_refused() {
    let large = TensorProto::from_f32("k", &[1, 1, 1024, 1024], &vec![0.0; 1 << 20]);
    let weights = TensorProto::from_f32("w", &[1, 1, 3, 3], &[1.0; 9]);
    let mut nodes = Vec::new();
    let mut name = String::from("x");
    for nth in 0..30 {
        let (convolved, sum) = (format!("c{nth}"), format!("s{nth}"));
        nodes.push(conv(&name, "w", None, &convolved, &[1; 4], 1, 1));
        nodes.push(plain("Add", &[&convolved, "k"], &sum));
        name = sum;
    }
    let model = model(nodes, vec![large, weights], &[1, 1, 1024, 1024], &[&name]);
    let error = load(model).unwrap_err();
    let expected = 4 * ((4 << 20) + 36) + (64 << 20);
    // The convolutions' own weights are not among the constants any more.
    assert!(
        matches!(error, CpuError::Shared { allowed, found, .. } if allowed <= expected && found > allowed),
        "{error}"
    );
}

fn load(model: ModelProto) -> Result<Network, CpuError> {
    Network::load_with(model, "hostile", Some(1), OwnKernels::All)
}

fn constant(output: &str, value: TensorProto) -> NodeProto {
    let value = AttributeProto { name: "value".into(), t: Some(value), ..Default::default() };
    NodeProto { attribute: vec![value], ..plain("Constant", &[], output) }
}
