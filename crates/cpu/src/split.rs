//! Taking convolutions out of a graph, and cutting the rest into the stages between them.

use crate::allowance::{allowed_bytes, constant_bytes};
use crate::lower::shapes::Shapes;
use crate::lower::window::{integer, integers};
use crate::winograd::{Activation, Convolution, Extents, Shape};
use occdepth_contract::onnx::{GraphProto, NodeProto, TensorProto, ValueInfoProto, data_type};
use std::collections::{HashMap, HashSet};

/// A convolution that was a node of the graph, with the activation that followed it.
pub(crate) struct Extracted {
    /// Names of values.
    pub(crate) input: String,
    pub(crate) output: String,
    /// `[B, O, ..]`.
    pub(crate) output_shape: Vec<usize>,
    pub(crate) convolution: Convolution,
}

/// Takes every convolution that [`Convolution`] can do, and that is of `least_work` multiply-accumulates
/// or more, out of a graph in which every value is named
/// once and no operator has a body. Their outputs become inputs of the graph; what they read is still
/// computed by it, or given to it.
pub(crate) fn extract(graph: GraphProto, least_work: usize) -> (GraphProto, Vec<Extracted>) {
    let shapes = Shapes::new(&graph);
    let readers = Readers::of(&graph);
    let mut room = allowed_bytes(&graph);
    let mut extracted = Vec::new();
    let mut gone = HashSet::new();
    for node in &graph.node {
        let Some(taken) = read(node, &readers, &shapes, room, least_work) else { continue };
        room -= taken.convolution.weight_bytes();
        gone.insert(node.output[0].clone());
        gone.insert(taken.output.clone());
        extracted.push(taken);
    }
    drop((shapes, readers));
    let mut graph = graph;
    graph.node.retain(|node| !node.output.first().is_some_and(|output| gone.contains(output)));
    for Extracted { output, output_shape, .. } in &extracted {
        let dims: Option<Vec<i64>> =
            output_shape.iter().map(|&extent| i64::try_from(extent).ok()).collect();
        let value = ValueInfoProto::tensor(output, data_type::FLOAT, &dims.unwrap_or_default());
        graph.input.push(value);
    }
    let outputs = graph.output.iter().map(|output| output.name.as_str());
    let used: HashSet<&str> = names_read(&graph.node).chain(outputs).collect();
    graph.initializer.retain(|constant| used.contains(constant.name.as_str()));
    drop(used);
    (graph, extracted)
}

/// Who reads the values of a graph.
struct Readers<'a> {
    /// `None`: several read it, or one more than once.
    only_reader: HashMap<&'a str, Option<&'a NodeProto>>,
    outputs: HashSet<&'a str>,
}

impl<'a> Readers<'a> {
    fn of(graph: &'a GraphProto) -> Self {
        let mut only_reader = HashMap::new();
        for node in &graph.node {
            for name in &node.input {
                let only = only_reader.entry(name.as_str());
                only.and_modify(|only| *only = None).or_insert(Some(node));
            }
        }
        let outputs = graph.output.iter().map(|output| output.name.as_str()).collect();
        Self { only_reader, outputs }
    }

    /// The output of the only node that reads a value, if it is an activation.
    fn activation(&self, value: &str) -> Option<(&'a str, Activation)> {
        let reader = (*self.only_reader.get(value)?)?;
        if self.outputs.contains(value) || !reader.domain.is_empty() {
            return None;
        }
        let ([_], [output]) = (reader.input.as_slice(), reader.output.as_slice()) else {
            return None;
        };
        let activation = match reader.op_type.as_str() {
            "Relu" => Activation::Relu,
            // ONNX: 0.01 unless said otherwise.
            "LeakyRelu" => Activation::LeakyRelu(
                reader.attribute("alpha").and_then(|alpha| alpha.f).unwrap_or(0.01),
            ),
            _ => return None,
        };
        Some((output, activation))
    }
}

/// A node as a convolution of three taps along every axis, of stride 1, of one group, padded by its
/// dilation, whose transformed weights take at most `room` bytes and which is of `least_work` multiply-accumulates or
/// more; `None` for any other node.
fn read(
    node: &NodeProto,
    readers: &Readers<'_>,
    shapes: &Shapes<'_>,
    room: usize,
    least_work: usize,
) -> Option<Extracted> {
    if node.op_type != "Conv" || !node.domain.is_empty() || integer(node, "group", 1) != 1 {
        return None;
    }
    let auto = node.attribute("auto_pad").and_then(|attribute| attribute.s.as_deref());
    if !matches!(auto, None | Some(b"" | b"NOTSET")) {
        return None;
    }
    let [output] = node.output.as_slice() else { return None };
    let (input, weights) = (node.input.first()?, node.input.get(1)?);
    // A constant input is no value that a stage could provide.
    if shapes.constant(input).is_some() {
        return None;
    }
    let kernel = shapes.of(weights)?;
    let (&[outputs, channels], taps) = kernel.split_first_chunk::<2>()?;
    let (&[batch, depth], extents) = shapes.of(input)?.split_first_chunk::<2>()?;
    let axes = taps.len();
    if taps.iter().any(|&taps| taps != 3) || extents.len() != axes || depth != channels {
        return None;
    }
    let all = |name, count, default| {
        let values = integers(node, name, count, default).ok()?;
        let (first, rest) = values.split_first()?;
        rest.iter().all(|value| value == first).then_some(*first)
    };
    let dilation = all("dilations", axes, 1)?;
    if all("strides", axes, 1)? != 1 || all("pads", 2 * axes, 0)? != dilation || dilation == 0 {
        return None;
    }
    let output_shape = [&[batch, outputs][..], extents].concat();
    if output_shape.contains(&0) || channels == 0 {
        return None;
    }
    let extents = match *extents {
        [height, width] if dilation == 1 => Extents::Image([height, width]),
        [x, y, z] => Extents::Volume([x, y, z], dilation),
        _ => return None,
    };
    let shape = Shape { extents, channels, outputs };
    if !shape.is_practical() || shape.weight_bytes() > room {
        return None;
    }
    let work = output_shape.iter().chain(&kernel[1..]).fold(1, |work, &n| n.saturating_mul(work));
    if work < least_work {
        return None;
    }
    let weights = shapes.constant(weights)?.to_f32().ok()?;
    let bias = match node.input.get(2).filter(|name| !name.is_empty()) {
        Some(name) => shapes.constant(name)?.to_f32().ok()?,
        None => vec![0.0; outputs],
    };
    // What is declared of a constant need not be so.
    if bias.len() != outputs || weights.len() != kernel.iter().product::<usize>() {
        return None;
    }
    let (output, activation) = readers.activation(output).unwrap_or((output, Activation::None));
    Some(Extracted {
        input: input.clone(),
        output: output.into(),
        output_shape,
        convolution: Convolution::new(shape, &weights, bias, activation),
    })
}

/// The part of a graph that can run between two convolutions.
pub(crate) struct Part {
    /// Its inputs are what it reads of other parts, its outputs what others read.
    pub(crate) graph: GraphProto,
    /// Positions in the list of convolutions: those whose inputs are then there.
    pub(crate) convolutions: Vec<usize>,
}

/// Cuts a graph into parts: a node is in the first part before which all convolutions that it depends
/// on have run.
///
/// # Errors
/// The bytes that copies of constants would take, where parts share so many of them.
pub(crate) fn split(graph: GraphProto, extracted: &[Extracted]) -> Result<Vec<Part>, Copies> {
    let mut levels = Levels::new(extracted);
    let node_levels: Vec<usize> = graph.node.iter().map(|node| levels.add(node)).collect();
    let convolution_levels: Vec<usize> =
        extracted.iter().map(|taken| levels.of(&taken.input)).collect();
    let all_levels = node_levels.iter().chain(&convolution_levels);
    let count = 1 + all_levels.copied().max().unwrap_or(0);
    let nodes_of = by_level(&node_levels, count);
    let convolutions_of = by_level(&convolution_levels, count);

    let mut read_later: HashMap<&str, usize> = HashMap::new();
    let mut reads = |name, level: usize| {
        let last = read_later.entry(name).or_insert(level);
        *last = level.max(*last);
    };
    for (node, &level) in graph.node.iter().zip(&node_levels) {
        node.input.iter().for_each(|name| reads(name.as_str(), level));
    }
    // Whatever is read outside of its own part is an output of it.
    for taken in extracted {
        reads(&taken.input, usize::MAX);
    }
    graph.output.iter().for_each(|output| reads(&output.name, usize::MAX));

    let allowed = allowed_bytes(&graph);
    let mut copied = 0_usize;
    let declared: HashMap<&str, &ValueInfoProto> =
        graph.input.iter().map(|input| (input.name.as_str(), input)).collect();
    let mut constants: HashMap<String, TensorProto> =
        graph.initializer.into_iter().map(|constant| (constant.name.clone(), constant)).collect();
    let mut parts = Vec::with_capacity(count);
    for (part, (nodes, convolutions)) in nodes_of.into_iter().zip(convolutions_of).enumerate() {
        let node: Vec<NodeProto> = nodes.into_iter().map(|nth| graph.node[nth].clone()).collect();
        let computed: HashSet<&str> =
            node.iter().flat_map(|node| &node.output).map(String::as_str).collect();
        let mut input = Vec::new();
        let mut initializer = Vec::new();
        let mut seen = HashSet::new();
        for name in names_read(&node) {
            if !seen.insert(name) {
                continue;
            }
            // The last part that reads a constant takes it, others copy it.
            let constant = if read_later.get(name) == Some(&part) {
                constants.remove(name)
            } else {
                let constant = constants.get(name);
                copied = copied.saturating_add(constant.map_or(0, constant_bytes));
                if copied > allowed {
                    return Err(Copies { found: copied, allowed });
                }
                constant.cloned()
            };
            if let Some(constant) = constant {
                initializer.push(constant);
            } else if !computed.contains(name) {
                input.push(declared.get(name).map_or_else(
                    || ValueInfoProto { name: name.into(), ..ValueInfoProto::default() },
                    |&declared| declared.clone(),
                ));
            }
        }
        let output = node
            .iter()
            .flat_map(|node| &node.output)
            .filter(|name| read_later.get(name.as_str()).is_some_and(|&level| level > part))
            .map(|name| ValueInfoProto { name: name.clone(), ..ValueInfoProto::default() })
            .collect();
        drop((computed, seen));
        parts.push(Part {
            graph: GraphProto { node, initializer, input, output, ..GraphProto::default() },
            convolutions,
        });
    }
    Ok(parts)
}

/// Too many copies of constants, in bytes.
pub(crate) struct Copies {
    pub(crate) found: usize,
    pub(crate) allowed: usize,
}

/// Positions of what has each of `count` levels.
fn by_level(levels: &[usize], count: usize) -> Vec<Vec<usize>> {
    let mut positions = vec![Vec::new(); count];
    for (nth, &level) in levels.iter().enumerate() {
        positions[level].push(nth);
    }
    positions
}

/// The part before which each value is there; that of the node for a node's output.
struct Levels<'a> {
    known: HashMap<&'a str, usize>,
    convolutions: HashMap<&'a str, &'a Extracted>,
}

impl<'a> Levels<'a> {
    fn new(extracted: &'a [Extracted]) -> Self {
        let convolutions = extracted.iter().map(|taken| (taken.output.as_str(), taken)).collect();
        Self { known: HashMap::new(), convolutions }
    }

    /// The level of a node whose inputs are there by those before it.
    fn add(&mut self, node: &'a NodeProto) -> usize {
        let level = node.input.iter().map(|name| self.of(name)).max().unwrap_or(0);
        self.known.extend(node.output.iter().map(|output| (output.as_str(), level)));
        level
    }

    fn of(&mut self, name: &'a str) -> usize {
        let mut chain = Vec::new();
        let mut name = name;
        let mut level = loop {
            if let Some(&level) = self.known.get(name) {
                break level;
            }
            match self.convolutions.get(name) {
                // A value is never its own input: there are no more steps than convolutions.
                Some(taken) if chain.len() < self.convolutions.len() => {
                    chain.push(name);
                    name = &taken.input;
                }
                _ => break 0,
            }
        };
        for output in chain.into_iter().rev() {
            level += 1;
            self.known.insert(output, level);
        }
        level
    }
}

fn names_read(nodes: &[NodeProto]) -> impl Iterator<Item = &str> {
    nodes.iter().flat_map(|node| &node.input).map(String::as_str).filter(|name| !name.is_empty())
}
