//! The exported network on one frame, as the runtime runs it: geometry bound, then images.

use std::time::Instant;

use occdepth_contract::{
    Contract,
    onnx::{AttributeProto, GraphProto, ModelProto, NodeProto, ValueInfoProto, data_type},
    self_test::{Frame, Values},
    tensor,
};
use occdepth_cpu::{Input, Network, Output};

use super::{VerifyError, report::Range, stages::Stage};

/// What the exported network computed.
pub(super) struct Exported {
    outputs: Vec<Output>,
    /// Largest first.
    pub(super) ranges: Vec<Range>,
    /// What ran it.
    pub(super) engine: String,
    /// Wall time of loading.
    pub(super) load_seconds: f64,
    /// Wall time of binding and running.
    pub(super) run_seconds: f64,
}

impl Exported {
    /// The output or value `name`, row-major; empty where it was not asked for.
    pub(super) fn tensor(&self, name: &str) -> &[f32] {
        let output = self.outputs.iter().find(|output| output.name() == name);
        output.and_then(|output| output.values().as_f32()).unwrap_or(&[])
    }
}

/// Runs `model` on `frame`; `stages` and, with `ranges`, the magnitude of every value become outputs.
pub(super) fn run(
    mut model: ModelProto,
    origin: &str,
    contract: &Contract,
    frame: &Frame,
    stages: &[Stage],
    ranges: bool,
    threads: Option<usize>,
) -> Result<Exported, VerifyError> {
    let graph = model.graph.get_or_insert_default();
    for stage in stages {
        let info = graph.value_info.iter().find(|info| info.name == stage.value);
        let declared = graph.output.iter().any(|output| output.name == stage.value);
        if let Some(info) = info.filter(|_| !declared).cloned() {
            graph.output.push(info);
        }
    }
    let measured = if ranges { measure_all(graph) } else { Vec::new() };

    let start = Instant::now();
    let mut network = Network::load(model, origin, threads)?;
    let load_seconds = start.elapsed().as_secs_f64();

    let shapes: Vec<(&str, Vec<usize>)> = contract
        .inputs
        .iter()
        .map(|spec| {
            let extent = |n: &u64| usize::try_from(*n).expect("a checked contract fits in memory");
            (spec.name.as_str(), spec.shape.iter().map(extent).collect())
        })
        .collect();
    let given = frame.inputs();
    let inputs = given.iter().filter_map(|(name, values)| {
        let (name, shape) = shapes.iter().find(|(known, _)| known == name)?;
        let values = match values {
            Values::F32(values) => occdepth_cpu::Values::F32(values),
            Values::I32(values) => occdepth_cpu::Values::I32(values),
        };
        Some(Input { name, shape, values })
    });
    let (per_frame, bound): (Vec<Input<'_>>, Vec<Input<'_>>) =
        inputs.partition(|input| [tensor::IMAGES, tensor::DEPTH_M].contains(&input.name));
    // In the order of the graph, so that a value is measured, and gone, before the next is made.
    let names: Vec<&str> = measured
        .iter()
        .map(|measure| measure.output.as_str())
        .chain(stages.iter().map(|stage| stage.value.as_str()))
        .chain(contract.outputs.iter().map(|output| output.name.as_str()))
        .collect();
    let start = Instant::now();
    network.bind(&bound)?;
    let mut outputs = network.run(&per_frame, &names)?;
    let run_seconds = start.elapsed().as_secs_f64();

    let magnitudes = outputs.drain(..measured.len());
    let mut ranges: Vec<Range> = measured
        .iter()
        .zip(magnitudes)
        .map(|(measure, magnitude)| {
            let value = magnitude.values().as_f32().and_then(<[f32]>::first);
            // What is no number is beyond every range.
            let largest = value.copied().unwrap_or(f32::NAN);
            Range { value: measure.value.clone(), largest, half: measure.half }
        })
        .collect();
    ranges.sort_by(|a, b| b.largest.total_cmp(&a.largest));
    let engine = network.description().to_owned();
    Ok(Exported { outputs, ranges, engine, load_seconds, run_seconds })
}

/// A value whose magnitude is an output.
struct Measure {
    value: String,
    output: String,
    half: bool,
}

/// Adds max |x| of every float value between nodes as an output.
fn measure_all(graph: &mut GraphProto) -> Vec<Measure> {
    let floats: Vec<(String, i32, Vec<i64>)> = graph
        .value_info
        .iter()
        .filter_map(|info| {
            let (elem_type, shape) = info.static_tensor()?;
            let is_float = matches!(elem_type, data_type::FLOAT | data_type::FLOAT16);
            is_float.then(|| (info.name.clone(), elem_type, shape))
        })
        .collect();
    let measures = floats.into_iter().map(|(value, elem_type, shape)| {
        let [magnitude, output] = ["magnitude", "range"].map(|kind| format!("{kind}/{value}"));
        let node = |op: &str, input: &str, output: &str, attribute| NodeProto {
            op_type: op.into(),
            name: output.into(),
            input: vec![input.into()],
            output: vec![output.into()],
            attribute,
            ..NodeProto::default()
        };
        let to_a_scalar = vec![AttributeProto::int("keepdims", 0)];
        graph.node.push(node("Abs", &value, &magnitude, vec![]));
        graph.node.push(node("ReduceMax", &magnitude, &output, to_a_scalar));
        graph.value_info.push(ValueInfoProto::tensor(&magnitude, elem_type, &shape));
        graph.output.push(ValueInfoProto::tensor(&output, elem_type, &[]));
        Measure { value, output, half: elem_type == data_type::FLOAT16 }
    });
    measures.collect()
}
