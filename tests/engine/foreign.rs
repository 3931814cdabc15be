//! Files that claim our metadata but are not ours: refused, or loaded and run to an error or to logits,
//! never a panic.
//!
//! What is loaded may still ask for much memory when it runs: changes here keep sizes small.

use crate::network;
use occdepth::engine::{CpuEngine, Engine, EngineError};
use occdepth::grid::{GridOutput, LabelOptions};
use occdepth_contract::onnx::{AttributeProto, GraphProto, TensorProto, ValueInfoProto, data_type};
use proptest::prelude::*;

/// The document is ours; the graph has something that it does not promise.
#[test]
fn a_graph_beside_its_document_is_refused_by_tensor() {
    type Case<'a> = (&'a str, &'a dyn Fn(&mut GraphProto));
    let cases: [Case<'_>; 6] = [
        ("graph.input", &|graph| {
            graph.input.push(ValueInfoProto::tensor("calibration", data_type::FLOAT, &[3]));
        }),
        ("graph.input", &|graph| {
            graph.input.pop();
        }),
        ("graph.input.images", &|graph| {
            graph.input[0] = ValueInfoProto::tensor("images", data_type::FLOAT16, &[2, 3, 4, 8]);
        }),
        ("graph.input.pixels", &|graph| {
            graph.input[1] = ValueInfoProto::tensor("pixels", data_type::INT64, &[2, 1, 12, 1]);
        }),
        ("graph.output.ssc_logits", &|graph| {
            graph.output[0] =
                ValueInfoProto::tensor("ssc_logits", data_type::FLOAT, &[3, 2, 3, 2, 1]);
        }),
        ("graph.output", &|graph| {
            graph.output.push(ValueInfoProto::tensor("depth", data_type::FLOAT, &[1]));
        }),
    ];
    for (expected, change) in cases {
        let mut model = network::model(&network::contract());
        change(model.graph.as_mut().unwrap());
        let error = CpuEngine::from_bytes(&model.to_bytes(), "foreign.onnx", Some(1)).unwrap_err();
        let text = error.to_string();
        assert!(matches!(error, EngineError::Contract(_)), "{text}");
        assert!(text.contains("foreign.onnx") && text.contains(expected), "{text}");
    }
}

/// What somebody may have done to a graph that declares what the document says.
#[derive(Clone, Debug)]
enum Change {
    Operator(prop::sample::Index, &'static str),
    DropNode(prop::sample::Index),
    SwapNodes(prop::sample::Index, prop::sample::Index),
    Rewire(prop::sample::Index, prop::sample::Index),
    Attribute(prop::sample::Index, Box<AttributeProto>),
    DropConstant(prop::sample::Index),
    Constant(prop::sample::Index, Vec<i64>),
}

impl Change {
    fn apply(&self, graph: &mut GraphProto) {
        match self {
            Self::Operator(at, op_type) => {
                let at = at.index(graph.node.len());
                graph.node[at].op_type = (*op_type).into();
            }
            Self::DropNode(at) if graph.node.len() > 1 => {
                graph.node.remove(at.index(graph.node.len()));
            }
            Self::SwapNodes(a, b) => {
                let (a, b) = (a.index(graph.node.len()), b.index(graph.node.len()));
                graph.node.swap(a, b);
            }
            Self::Rewire(at, from) => {
                let from = from.index(graph.node.len());
                let source = graph.node[from].output[0].clone();
                let at = at.index(graph.node.len());
                if let Some(input) = graph.node[at].input.first_mut() {
                    *input = source;
                }
            }
            Self::Attribute(at, attribute) => {
                let at = at.index(graph.node.len());
                let attributes = &mut graph.node[at].attribute;
                attributes.retain(|other| other.name != attribute.name);
                attributes.push(*attribute.clone());
            }
            Self::DropConstant(at) if !graph.initializer.is_empty() => {
                graph.initializer.remove(at.index(graph.initializer.len()));
            }
            Self::Constant(at, values) if !graph.initializer.is_empty() => {
                let at = at.index(graph.initializer.len());
                let count = i64::try_from(values.len()).unwrap();
                let name = graph.initializer[at].name.clone();
                graph.initializer[at] = TensorProto::from_i64(&name, &[count], values);
            }
            _ => {}
        }
    }
}

fn change() -> impl Strategy<Value = Change> {
    let at = any::<prop::sample::Index>;
    let operator = prop::sample::select(vec![
        "Add",
        "Concat",
        "Conv",
        "Gather",
        "MatMul",
        "Relu",
        "Reshape",
        "Shape",
        "Softmax",
        "Loop",
        "Transpose",
        "GridSample",
        "CustomPlugin",
    ]);
    let attribute = (
        prop::sample::select(vec!["axis", "group", "pads", "strides", "kernel_shape", "dilations"]),
        prop::collection::vec(-3_i64..4, 0..7),
    );
    prop_oneof![
        (at(), operator).prop_map(|(at, op_type)| Change::Operator(at, op_type)),
        at().prop_map(Change::DropNode),
        (at(), at()).prop_map(|(a, b)| Change::SwapNodes(a, b)),
        (at(), at()).prop_map(|(a, b)| Change::Rewire(a, b)),
        (at(), attribute).prop_map(|(at, (name, values))| {
            let attribute = match values[..] {
                [value] => AttributeProto::int(name, value),
                _ => AttributeProto::ints(name, &values),
            };
            Change::Attribute(at, Box::new(attribute))
        }),
        at().prop_map(Change::DropConstant),
        (at(), prop::collection::vec(-3_i64..100, 0..6))
            .prop_map(|(at, values)| Change::Constant(at, values)),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(300) })]

    #[test]
    fn a_changed_graph_never_panics(changes in prop::collection::vec(change(), 1..4)) {
        let mut model = network::model(&network::contract());
        for change in &changes {
            change.apply(model.graph.as_mut().unwrap());
        }
        if let Some(mut engine) = load(&model.to_bytes()) {
            run(&mut engine);
        }
    }
}

fn load(bytes: &[u8]) -> Option<CpuEngine> {
    match CpuEngine::from_bytes(bytes, "foreign.onnx", Some(1)) {
        Ok(engine) => Some(engine),
        Err(error) => {
            assert!(!error.to_string().is_empty());
            None
        }
    }
}

/// Binding and running may fail, with a cause.
fn run(engine: &mut CpuEngine) {
    let geometry = network::geometry(|_, voxel| i32::try_from(voxel).unwrap());
    if engine.bind(&geometry, LabelOptions::default()).is_err() {
        return;
    }
    let mut labels = [0; network::VOXELS];
    let output = GridOutput { labels: &mut labels, confidence: None, logits: None };
    let _ = engine.run(&network::images(), output);
}
