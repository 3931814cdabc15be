//! The ONNX container against a file of the `onnx` package, and against files that are not one.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use occdepth_contract::onnx::{
    AttributeProto, GraphProto, ModelProto, NodeProto, OnnxError, TensorError, TensorProto,
    ValueInfoProto, attribute_type, data_type,
};
use proptest::prelude::*;

/// A model made by the Python package `onnx` 1.23 (`helper.make_model`): one `Conv` node with an
/// attribute of each kind that networks use, constants stored in three ways, a symbolic extent, and
/// metadata.
const BY_ONNX: &str = "\
    08081201703ab9010a510a01780a01771201791a016e2204436f6e762a0f0a05616c706861150000003fa001012a0c0a\
    0567726f75701803a001022a0f0a046d6f6465220473616d65a001032a0d0a047061647340014000a001071201672a11\
    0802100122080000c03f000000c04201772a14080210073a0bffffffffffffffffff01074201692a0d08011006420172\
    4a04050000005a130a0178120e0a0c080112080a0208010a02080262140a0179120f0a0d080612090a0312014e0a0208\
    0242040a001011720e0a086f6363646570746812027b7d";

fn by_onnx() -> Vec<u8> {
    (0..BY_ONNX.len())
        .step_by(2)
        .map(|at| u8::from_str_radix(&BY_ONNX[at..at + 2], 16).unwrap())
        .collect()
}

#[test]
fn a_model_of_the_onnx_package_is_read_field_by_field() {
    let model = ModelProto::from_bytes(&by_onnx(), "by-onnx.onnx").unwrap();
    assert_eq!((model.ir_version, model.producer_name.as_str()), (8, "p"));
    assert_eq!(model.opset_import[0].version, 17);
    assert_eq!(model.metadata("occdepth"), Some("{}"));
    let graph = model.graph.as_ref().unwrap();
    assert_eq!(graph.name, "g");
    let node = &graph.node[0];
    assert_eq!((node.name.as_str(), node.op_type.as_str()), ("n", "Conv"));
    assert_eq!((node.input.join(" "), node.output.join(" ")), ("x w".into(), "y".into()));
    let attribute = |name: &str| node.attribute(name).unwrap();
    assert_eq!(attribute("alpha").f, Some(0.5));
    assert_eq!(attribute("group").i, Some(3));
    assert_eq!(attribute("mode").s.as_deref(), Some(&b"same"[..]));
    assert_eq!(attribute("pads").ints, [1, 0]);
    assert_eq!(attribute("pads").r#type, attribute_type::INTS);
    assert_eq!(graph.initializer[0].to_f32().unwrap(), [1.5, -2.0]);
    assert_eq!(graph.initializer[1].to_i64().unwrap(), [-1, 7]);
    assert_eq!(graph.initializer[2].to_i64().unwrap(), [5]);
    assert_eq!(graph.input[0].static_tensor(), Some((data_type::FLOAT, vec![1, 2])));
    assert_eq!(graph.output[0].static_tensor(), None, "its first extent is a name");
    // And it survives.
    let again = ModelProto::from_bytes(&model.to_bytes(), "again.onnx").unwrap();
    assert_eq!(again, model);
}

#[test]
fn files_that_are_no_model_are_refused_by_name() {
    for bytes in [&b""[..], b"\x89PNG\r\n\x1a\n", b"{\"format\": \"json\"}", &[0xff; 64]] {
        let error = ModelProto::from_bytes(bytes, "photo.onnx").unwrap_err();
        assert!(error.to_string().starts_with("photo.onnx: "), "{error}");
    }
    // An empty message is a valid one, but no model.
    let error = ModelProto::from_bytes(&[0x08, 0x08], "stub.onnx").unwrap_err();
    assert!(matches!(error, OnnxError::NoGraph { .. }), "{error}");
}

#[test]
fn content_that_would_change_the_result_is_refused() {
    let mut model = ModelProto::from_bytes(&by_onnx(), "a").unwrap();
    model.functions.push(vec![1, 2, 3]);
    let error = ModelProto::from_bytes(&model.to_bytes(), "a").unwrap_err();
    assert!(
        matches!(error, OnnxError::Unsupported { field: "functions", found: 1, .. }),
        "{error}"
    );

    let mut model = ModelProto::from_bytes(&by_onnx(), "a").unwrap();
    model.graph.as_mut().unwrap().initializer[0].data_location = 1;
    let error = ModelProto::from_bytes(&model.to_bytes(), "a").unwrap_err();
    assert!(
        matches!(error, OnnxError::Constant { source: TensorError::External { .. }, .. }),
        "{error}"
    );
}

#[test]
fn constants_hold_as_many_values_as_their_dims_say() {
    let mut tensor = TensorProto::from_f32("w", &[2, 3], &[0.0; 6]);
    assert!(tensor.check().is_ok());
    tensor.raw_data.pop();
    assert!(matches!(tensor.check(), Err(TensorError::Length { found: 23, expected: 24, .. })));
    assert!(tensor.to_f32().is_err());
    tensor.dims = vec![-1];
    assert!(matches!(tensor.check(), Err(TensorError::Dims { .. })));
    tensor.dims = vec![i64::MAX, i64::MAX];
    assert!(matches!(tensor.check(), Err(TensorError::Dims { .. })));
    let ints = TensorProto::from_i64("i", &[1], &[1]);
    assert!(matches!(ints.to_f32(), Err(TensorError::Type { found: data_type::INT64, .. })));
}

#[test]
fn the_same_model_gives_the_same_bytes() {
    let model = || ModelProto {
        graph: Some(GraphProto {
            node: vec![NodeProto {
                op_type: "LeakyRelu".into(),
                attribute: vec![AttributeProto::float("alpha", 0.01)],
                ..Default::default()
            }],
            output: vec![ValueInfoProto::tensor("y", data_type::FLOAT, &[1])],
            ..Default::default()
        }),
        ..Default::default()
    };
    assert_eq!(model().to_bytes(), model().to_bytes());
    assert_eq!(ModelProto::from_bytes(&model().to_bytes(), "m").unwrap(), model());
}

proptest! {
    #[test]
    fn arbitrary_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        // Random bytes may be a message; they are not a graph with nodes, outputs and a contract.
        if let Ok(model) = ModelProto::from_bytes(&bytes, "noise") {
            prop_assert!(model.graph.is_some());
        }
    }

    #[test]
    fn floats_survive_to_the_bit(values in prop::collection::vec(any::<u32>(), 0..20)) {
        let floats: Vec<f32> = values.iter().copied().map(f32::from_bits).collect();
        let dims = [i64::try_from(floats.len()).unwrap()];
        let read = TensorProto::from_f32("w", &dims, &floats).to_f32().unwrap();
        let bits: Vec<u32> = read.into_iter().map(f32::to_bits).collect();
        prop_assert_eq!(bits, values);
    }
}
