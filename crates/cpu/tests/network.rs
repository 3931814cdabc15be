//! Loading, binding and running, on networks whose values follow from a formula.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use occdepth_contract::onnx::{
    AttributeProto, GraphProto, ModelProto, NodeProto, OperatorSetIdProto, TensorProto,
    ValueInfoProto, data_type,
};
use occdepth_cpu::{CpuError, Input, MAX_THREADS, Network, Output, Values};

#[test]
fn bound_inputs_stay_until_the_next_binding() {
    let mut network = Network::load(sums(), "sums", Some(2)).unwrap();
    let x = floats("x", &[1.0, 2.0]);
    for bound in [[10.0, 20.0], [0.5, 0.25]] {
        network.bind(&[floats("a", &bound)]).unwrap();
        for _ in 0..2 {
            // y = (a + a) + x, z = a + a
            let outputs = network.run(&[x], &["z", "y"]).unwrap();
            assert_eq!(f32s(&outputs[0]), bound.map(|a| 2.0 * a));
            assert_eq!(f32s(&outputs[1]), [2.0 * bound[0] + 1.0, 2.0 * bound[1] + 2.0]);
            assert_eq!((outputs[1].name(), outputs[1].shape()), ("y", &[2][..]));
        }
    }
    network.bind(&[]).unwrap();
    let outputs = network.run(&[floats("a", &[1.0, 1.0]), x], &["y"]).unwrap();
    assert_eq!(f32s(&outputs[0]), [3.0, 4.0]);
}

#[test]
fn integers_pass_as_integers() {
    let model = model(
        vec![op("Identity", &["x"], "y")],
        vec![],
        vec![ValueInfoProto::tensor("x", data_type::INT32, &[3])],
        &["y"],
    );
    let mut network = Network::load(model, "integers", Some(1)).unwrap();
    let x = Input { name: "x", shape: &[3], values: Values::I32(&[i32::MIN, 0, i32::MAX]) };
    let outputs = network.run(&[x], &["y"]).unwrap();
    assert_eq!(outputs[0].values(), x.values);
}

#[test]
fn inputs_that_do_not_fit_are_refused_by_name() {
    let mut network = Network::load(sums(), "sums", Some(1)).unwrap();
    let (a, x) = (floats("a", &[1.0, 1.0]), floats("x", &[1.0, 2.0]));
    let three = floats("x", &[0.0; 3]);
    let short = Input { shape: &[2], ..floats("x", &[0.0; 1]) };
    let huge = Input { shape: &[usize::MAX, 2], ..x };
    let integers = Input { values: Values::I32(&[1, 2]), ..x };
    let unknown = floats("u", &[1.0, 2.0]);
    for (inputs, name) in [
        (vec![a, three], "x"),
        (vec![a, short], "x"),
        (vec![a, huge], "x"),
        (vec![a, integers], "x"),
        (vec![a, x, unknown], "u"),
        (vec![a, x, a], "a"),
        (vec![a], "x"),
    ] {
        let error = network.run(&inputs, &["y"]).unwrap_err();
        assert!(matches!(&error, CpuError::Input { name: found, .. } if found == name), "{error}");
    }
    let error = network.run(&[a, x], &["nothing"]).unwrap_err();
    assert!(matches!(&error, CpuError::Output { name, .. } if name == "nothing"), "{error}");
    assert!(error.to_string().contains("`y`"), "{error}");
    let error = network.run(&[a, x], &["y", "z", "y"]).unwrap_err();
    assert!(matches!(&error, CpuError::Output { name, .. } if name == "y"), "{error}");

    // What is bound cannot be given again, and a refused binding changes nothing.
    network.bind(&[a]).unwrap();
    assert!(matches!(network.bind(&[three]), Err(CpuError::Input { .. })));
    assert!(matches!(network.run(&[a, x], &["y"]), Err(CpuError::Input { .. })));
    assert_eq!(f32s(&network.run(&[x], &["y"]).unwrap()[0]), [3.0, 4.0]);
}

/// An output that nobody asks for is not computed: the sum that would fail does not.
#[test]
fn only_what_is_asked_for_is_computed() {
    let mut gather = op("Gather", &["x", "index"], "z");
    gather.attribute.push(AttributeProto::int("axis", 0));
    let model = model(
        vec![op("Add", &["x", "x"], "y"), gather],
        vec![TensorProto::from_i64("index", &[1], &[7])],
        vec![ValueInfoProto::tensor("x", data_type::FLOAT, &[2])],
        &["y", "z"],
    );
    let mut network = Network::load(model, "gather", Some(1)).unwrap();
    let x = floats("x", &[1.0, 2.0]);
    assert!(matches!(network.run(&[x], &["y", "z"]), Err(CpuError::Run(_))));
    assert_eq!(f32s(&network.run(&[x], &["y"]).unwrap()[0]), [2.0, 4.0]);
}

#[test]
fn the_number_of_threads_has_bounds() {
    for threads in [0, MAX_THREADS + 1] {
        let error = Network::load(sums(), "sums", Some(threads)).unwrap_err();
        assert!(matches!(error, CpuError::Threads { found } if found == threads), "{error}");
    }
    let network = Network::load(sums(), "sums", Some(3)).unwrap();
    assert!(network.description().contains("3 threads"), "{}", network.description());
}

/// f16 constants in both encodings, casts down and up, and a declared f16 value: all as f32, and the
/// weights exactly as they are stored.
#[test]
fn half_precision_is_widened() {
    // Bits and values of IEEE 754 binary16 (2019, table 3.5): 1, -2, the largest number, the smallest
    // normal and subnormal ones, the largest subnormal one, and 1 / 3 as it is rounded.
    let halves = [
        (0x3c00, 1.0),
        (0xc000, -2.0),
        (0x7bff, 65504.0),
        (0x0400, 2.0_f32.powi(-14)),
        (0x0001, 2.0_f32.powi(-24)),
        (0x83ff, -1023.0 * 2.0_f32.powi(-24)),
        (0x3555, 1365.0 / 4096.0),
        (0x8000, -0.0),
        (0x7c00, f32::INFINITY),
    ];
    let bits: Vec<u16> = halves.iter().map(|(bits, _)| *bits).collect();
    let count = halves.len();
    let raw = TensorProto {
        name: "raw".into(),
        dims: vec![9],
        data_type: data_type::FLOAT16,
        raw_data: bits.iter().flat_map(|bits| bits.to_le_bytes()).collect(),
        ..TensorProto::default()
    };
    let typed = TensorProto {
        name: "typed".into(),
        int32_data: bits.iter().map(|&bits| i32::from(bits)).collect(),
        raw_data: vec![],
        ..raw.clone()
    };
    let cast = |input: &str, to: i32, output: &str| NodeProto {
        attribute: vec![AttributeProto::int("to", i64::from(to))],
        ..op("Cast", &[input], output)
    };
    let graph = |constants: Vec<TensorProto>| {
        let nodes = vec![
            cast("x", data_type::FLOAT16, "half"),
            op("Mul", &["half", "raw"], "product"),
            cast("product", data_type::FLOAT, "y"),
            op("Identity", &["typed"], "z"),
        ];
        let x = ValueInfoProto::tensor("x", data_type::FLOAT, &[9]);
        let mut model = model(nodes, constants, vec![x], &["y", "z"]);
        let half = ValueInfoProto::tensor("half", data_type::FLOAT16, &[9]);
        model.graph.as_mut().unwrap().value_info.push(half);
        model
    };
    let mut network = Network::load(graph(vec![raw.clone(), typed]), "half", Some(1)).unwrap();
    assert!(network.description().contains("fp16"), "{}", network.description());
    // 1 + 2^-20 would not survive a real cast.
    let x = 1.0 + 2.0_f32.powi(-20);
    let outputs = network.run(&[floats("x", &vec![x; count])], &["y", "z"]).unwrap();
    for (nth, (_, value)) in halves.iter().enumerate() {
        assert_eq!(f32s(&outputs[0])[nth].to_bits(), (x * value).to_bits(), "{value}");
        assert_eq!(f32s(&outputs[1])[nth].to_bits(), value.to_bits(), "{value}");
    }
    assert!(!Network::load(sums(), "sums", None).unwrap().description().contains("fp16"));

    let short = TensorProto { raw_data: vec![0; 3], ..raw };
    let error = Network::load(graph(vec![short]), "half", Some(1)).unwrap_err();
    assert!(matches!(&error, CpuError::Widen { .. }), "{error}");
}

/// `z = a + a`, `y = z + x`, all of two values.
fn sums() -> ModelProto {
    let declared = |name| ValueInfoProto::tensor(name, data_type::FLOAT, &[2]);
    model(
        vec![op("Add", &["a", "a"], "z"), op("Add", &["z", "x"], "y")],
        vec![],
        vec![declared("a"), declared("x")],
        &["y", "z"],
    )
}

fn model(
    node: Vec<NodeProto>,
    initializer: Vec<TensorProto>,
    input: Vec<ValueInfoProto>,
    outputs: &[&str],
) -> ModelProto {
    let output = |name: &&str| ValueInfoProto { name: (*name).into(), ..Default::default() };
    ModelProto {
        ir_version: 8,
        opset_import: vec![OperatorSetIdProto { domain: String::new(), version: 17 }],
        graph: Some(GraphProto {
            node,
            initializer,
            input,
            output: outputs.iter().map(output).collect(),
            ..GraphProto::default()
        }),
        ..ModelProto::default()
    }
}

fn op(op_type: &str, inputs: &[&str], output: &str) -> NodeProto {
    NodeProto {
        op_type: op_type.into(),
        name: output.into(),
        input: inputs.iter().map(|&input| input.into()).collect(),
        output: vec![output.into()],
        ..NodeProto::default()
    }
}

/// A tensor of one axis.
fn floats<'a>(name: &'a str, values: &'a [f32]) -> Input<'a> {
    let shape: &[usize] = match values.len() {
        1 => &[1],
        2 => &[2],
        3 => &[3],
        9 => &[9],
        other => panic!("no shape for {other} values"),
    };
    Input { name, shape, values: Values::F32(values) }
}

fn f32s(output: &Output) -> &[f32] {
    output.values().as_f32().unwrap()
}
