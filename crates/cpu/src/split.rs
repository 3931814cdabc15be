//! Taking convolutions out of a graph, and cutting the rest into the stages between them.

use crate::lower::shapes::Shapes;
use crate::lower::window::{integer, integers};
use crate::winograd::{Activation, Convolution, Extents};
use occdepth_contract::onnx::{GraphProto, NodeProto, ValueInfoProto, data_type};
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

/// Takes every convolution that [`Convolution`] can do out of a graph. Their outputs become inputs of
/// the graph; what they read is still computed by it, or given to it.
pub(crate) fn extract(graph: GraphProto) -> (GraphProto, Vec<Extracted>) {
    let shapes = Shapes::new(&graph);
    // The body of a control-flow operator can read any value, without saying so where we look.
    let bodies = graph.node.iter().flat_map(|node| &node.attribute).any(|a| a.g.is_some());
    let mut extracted = Vec::new();
    let mut gone = HashSet::new();
    if !bodies {
        for node in &graph.node {
            let activation = following_activation(&graph, node);
            let Some(taken) = read(node, activation, &shapes) else { continue };
            gone.insert(node.output[0].clone());
            gone.insert(taken.output.clone());
            extracted.push(taken);
        }
    }
    drop(shapes);
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

/// The only node that reads a convolution's output, if it is an activation.
fn following_activation<'a>(
    graph: &'a GraphProto,
    conv: &NodeProto,
) -> Option<(&'a str, Activation)> {
    let [output] = conv.output.as_slice() else { return None };
    if graph.output.iter().any(|declared| declared.name == *output) {
        return None;
    }
    let mut readers = graph.node.iter().filter(|node| node.input.contains(output));
    let reader = readers.next().filter(|_| readers.next().is_none())?;
    let activation = match reader.op_type.as_str() {
        "Relu" => Activation::Relu,
        // ONNX: 0.01 unless said otherwise.
        "LeakyRelu" => Activation::LeakyRelu(
            reader.attribute("alpha").and_then(|alpha| alpha.f).unwrap_or(0.01),
        ),
        _ => return None,
    };
    Some((reader.output.first()?, activation))
}

/// A node as a convolution of three taps along every axis, of stride 1, of one group, padded by its
/// dilation; `None` for any other node.
fn read(
    node: &NodeProto,
    activation: Option<(&str, Activation)>,
    shapes: &Shapes<'_>,
) -> Option<Extracted> {
    if node.op_type != "Conv" || !node.domain.is_empty() || integer(node, "group", 1) != 1 {
        return None;
    }
    let auto = node.attribute("auto_pad").and_then(|attribute| attribute.s.as_deref());
    if !matches!(auto, None | Some(b"" | b"NOTSET")) {
        return None;
    }
    let [output] = node.output.as_slice() else { return None };
    let input = node.input.first()?;
    let constant = shapes.constant(node.input.get(1)?)?;
    let kernel = shapes.of(&constant.name)?;
    let (&[outputs, channels], taps) = kernel.split_first_chunk::<2>()?;
    let (&[batch, depth], extents) = shapes.of(input)?.split_first_chunk::<2>()?;
    let axes = taps.len();
    if taps.iter().any(|&taps| taps != 3) || extents.len() != axes || depth != channels {
        return None;
    }
    let all = |name, count, default| {
        let values = integers(node, name, count, default).ok()?;
        values.iter().all(|value| *value == values[0]).then(|| values[0])
    };
    let dilation = all("dilations", axes, 1)?;
    if all("strides", axes, 1)? != 1 || all("pads", 2 * axes, 0)? != dilation || dilation == 0 {
        return None;
    }
    let extents = match *extents {
        [height, width] if dilation == 1 => Extents::Image([height, width]),
        [x, y, z] => Extents::Volume([x, y, z], dilation),
        _ => return None,
    };
    let output_shape = [&[batch, outputs][..], &shapes.of(input)?[2..]].concat();
    if output_shape.contains(&0) || channels == 0 {
        return None;
    }
    let weights = constant.to_f32().ok()?;
    let bias = match node.input.get(2).filter(|name| !name.is_empty()) {
        Some(name) => shapes.constant(name)?.to_f32().ok()?,
        None => vec![0.0; outputs],
    };
    if bias.len() != outputs {
        return None;
    }
    let (output, activation) = activation.unwrap_or((output, Activation::None));
    Some(Extracted {
        input: input.clone(),
        output: output.into(),
        output_shape,
        convolution: Convolution::new(extents, channels, &weights, bias, activation),
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
pub(crate) fn split(graph: GraphProto, extracted: &[Extracted]) -> Vec<Part> {
    let mut parts = Vec::new();
    let by_output: HashMap<&str, &Extracted> =
        extracted.iter().map(|taken| (taken.output.as_str(), taken)).collect();
    let mut levels = HashMap::new();
    let mut node_levels = Vec::with_capacity(graph.node.len());
    for node in &graph.node {
        let level = node.input.iter().map(|name| level_of(name, &levels, &by_output)).max();
        let level = level.unwrap_or(0);
        node_levels.push(level);
        levels.extend(node.output.iter().map(|output| (output.as_str(), level)));
    }
    let mut read_later: HashMap<&str, usize> = HashMap::new();
    let mut reads = |name, level: usize| {
        let last = read_later.entry(name).or_insert(level);
        *last = level.max(*last);
    };
    for (node, &level) in graph.node.iter().zip(&node_levels) {
        node.input.iter().for_each(|name| reads(name.as_str(), level));
    }
    let count = 1 + node_levels.iter().copied().max().unwrap_or(0);
    let convolution_levels: Vec<usize> =
        extracted.iter().map(|taken| level_of(&taken.input, &levels, &by_output)).collect();
    let count = convolution_levels.iter().fold(count, |count, &level| count.max(level + 1));
    // Whatever is read outside of its own part is an output of it.
    for taken in extracted {
        reads(&taken.input, usize::MAX);
    }
    graph.output.iter().for_each(|output| reads(&output.name, usize::MAX));

    let declared: HashMap<&str, &ValueInfoProto> =
        graph.input.iter().map(|input| (input.name.as_str(), input)).collect();
    let mut constants: Vec<_> = graph.initializer.into_iter().map(Some).collect();
    for part in 0..count {
        let node: Vec<NodeProto> = graph
            .node
            .iter()
            .zip(&node_levels)
            .filter(|(_, level)| **level == part)
            .map(|(node, _)| node.clone())
            .collect();
        let computed: HashSet<&str> =
            node.iter().flat_map(|node| &node.output).map(String::as_str).collect();
        let read: HashSet<&str> = names_read(&node).collect();
        // The last part that reads a constant takes it, others copy it.
        let mut initializer = Vec::new();
        for constant in &mut constants {
            match constant.as_ref().map(|constant| constant.name.as_str()) {
                Some(name) if !read.contains(name) => {}
                Some(name) if read_later.get(name) == Some(&part) => {
                    initializer.extend(constant.take());
                }
                _ => initializer.extend(constant.clone()),
            }
        }
        let mut input = Vec::new();
        let mut seen: HashSet<&str> = initializer.iter().map(|c| c.name.as_str()).collect();
        for name in names_read(&node) {
            if !computed.contains(name) && seen.insert(name) {
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
        let convolutions =
            (0..extracted.len()).filter(|&nth| convolution_levels[nth] == part).collect();
        drop((computed, read, seen));
        parts.push(Part {
            graph: GraphProto { node, initializer, input, output, ..GraphProto::default() },
            convolutions,
        });
    }
    parts
}

/// The part before which a value is there; that of the node for a node's output.
fn level_of(
    name: &str,
    levels: &HashMap<&str, usize>,
    by_output: &HashMap<&str, &Extracted>,
) -> usize {
    let mut convolutions = 0;
    let mut name = name;
    loop {
        if let Some(level) = levels.get(name) {
            return level + convolutions;
        }
        match by_output.get(name) {
            // A value is never its own input: there are no more steps than convolutions.
            Some(taken) if convolutions < by_output.len() => {
                convolutions += 1;
                name = &taken.input;
            }
            _ => return convolutions,
        }
    }
}

fn names_read(nodes: &[NodeProto]) -> impl Iterator<Item = &str> {
    nodes.iter().flat_map(|node| &node.input).map(String::as_str).filter(|name| !name.is_empty())
}
