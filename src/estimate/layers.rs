//! Nodes that one kernel can do together, and what they move.

use super::operations::{self, Kind, Work};
use super::values::{Amount, Values};
use super::{Unknown, part_of, title};
use occdepth_contract::onnx::{GraphProto, NodeProto};
use serde::Serialize;
use std::collections::{BTreeMap, HashMap, HashSet};

/// A node, and the operators on single elements that run with it.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Layer {
    /// The name of the node.
    pub name: String,
    /// Its operator.
    pub operator: String,
    /// The part of the network that it belongs to.
    pub part: String,
    /// The shape of its result.
    pub shape: Vec<usize>,
    /// Operators that run with it.
    pub fused: Vec<String>,
    /// Operations of all of them; a multiply-add counts as two.
    pub operations: u64,
    /// Multiply-adds of convolutions and matrix products.
    pub multiply_adds: u64,
    /// Constants that they read.
    pub weights: Amount,
    /// What they read of other layers and of the network's inputs.
    pub reads: Amount,
    /// What they write for other layers and as the network's outputs.
    pub writes: Amount,
}

/// Nodes that run together.
pub(super) struct Group<'a> {
    nodes: Vec<(&'a NodeProto, Work)>,
}

/// What [`count`] finds.
pub(super) struct Counted {
    pub(super) layers: Vec<Layer>,
    pub(super) weights: Amount,
    pub(super) inputs: Amount,
    pub(super) outputs: Amount,
}

/// Puts every operator on single elements into the group that computes its latest input, if that input has
/// as many elements; every other node into a group of its own.
///
/// Groups depend on earlier ones only, so they can run one after another: a node joins the latest of the
/// groups that it needs.
pub(super) fn group<'a>(
    graph: &'a GraphProto,
    values: &mut Values<'a>,
) -> (Vec<Group<'a>>, Vec<Unknown>) {
    let mut groups: Vec<Group<'a>> = Vec::new();
    let mut unknown = Vec::new();
    // The group that computes a value; none for what no rule describes.
    let mut producer: HashMap<&str, Option<usize>> = HashMap::new();
    for node in &graph.node {
        if node.op_type == "Constant" {
            continue;
        }
        let outputs = || node.output.iter().filter(|name| !name.is_empty());
        let inputs = || node.input.iter().filter(|name| !name.is_empty());
        // What only constants go into is computed when an engine is built.
        if inputs().all(|name| values.is_constant(name)) && inputs().next().is_some() {
            outputs().for_each(|name| values.make_constant(name));
            continue;
        }
        let work = match operations::of(node, values) {
            Ok(work) => work,
            Err(reason) => {
                producer.extend(outputs().map(|name| (name.as_str(), None)));
                unknown.push(Unknown { node: title(node), operator: node.op_type.clone(), reason });
                continue;
            }
        };
        if let (Kind::View, [input, ..], [output]) =
            (work.kind, node.input.as_slice(), node.output.as_slice())
        {
            values.alias(output, input);
            continue;
        }
        let joined =
            if work.kind == Kind::Pointwise { latest(node, values, &producer) } else { None };
        let index = joined.unwrap_or_else(|| {
            groups.push(Group { nodes: Vec::new() });
            groups.len() - 1
        });
        groups[index].nodes.push((node, work));
        producer.extend(outputs().map(|name| (name.as_str(), Some(index))));
    }
    (groups, unknown)
}

/// The latest of the groups that `node` needs, if what it takes from there has as many elements as it
/// makes.
fn latest(
    node: &NodeProto,
    values: &Values<'_>,
    producer: &HashMap<&str, Option<usize>>,
) -> Option<usize> {
    let made = values.count(node.output.first()?)?;
    let mut latest: Option<(usize, bool)> = None;
    for name in node.input.iter().filter(|name| !name.is_empty()) {
        let root = values.root(name);
        // Something unknown may depend on anything.
        let Some(group) = producer.get(root).copied() else { continue };
        let group = group?;
        let fits = values.count(root) == Some(made);
        latest = match latest {
            Some((index, _)) if index > group => latest,
            Some((index, fitted)) if index == group => Some((index, fitted || fits)),
            _ => Some((group, fits)),
        };
    }
    latest.filter(|(_, fits)| *fits).map(|(index, _)| index)
}

/// Counts what each group moves: a value that stays inside one moves nowhere.
pub(super) fn count(graph: &GraphProto, values: &Values<'_>, groups: &[Group<'_>]) -> Counted {
    let mut producer: HashMap<&str, usize> = HashMap::new();
    // Values that some group reads and another makes, or the caller has.
    let mut wanted: HashSet<&str> =
        graph.output.iter().map(|output| values.root(&output.name)).collect();
    for (index, group) in groups.iter().enumerate() {
        for (node, _) in &group.nodes {
            for name in node.input.iter().filter(|name| !name.is_empty()) {
                let root = values.root(name);
                if producer.get(root) != Some(&index) {
                    wanted.insert(root);
                }
            }
            for output in &node.output {
                producer.insert(output, index);
            }
        }
    }
    // What no rule describes reads as well.
    let described: HashSet<&str> = groups
        .iter()
        .flat_map(|group| &group.nodes)
        .filter_map(|(node, _)| node.output.first())
        .map(String::as_str)
        .collect();
    for node in &graph.node {
        let skipped = node.output.first().is_some_and(|output| {
            !described.contains(output.as_str())
                && values.root(output) == output.as_str()
                && !values.is_constant(output)
        });
        if skipped {
            wanted.extend(node.input.iter().map(|name| values.root(name)));
        }
    }
    let given: HashSet<&str> = graph.input.iter().map(|input| input.name.as_str()).collect();
    let mut used: BTreeMap<&str, Amount> = BTreeMap::new();
    let mut inputs: BTreeMap<&str, Amount> = BTreeMap::new();
    let mut layers = Vec::with_capacity(groups.len());
    for (index, group) in groups.iter().enumerate() {
        // Each value once, however many of the group's nodes take it.
        let mut taken: BTreeMap<&str, u64> = BTreeMap::new();
        for (node, work) in &group.nodes {
            for (name, &elements) in node.input.iter().zip(&work.reads) {
                let root = values.root(name);
                if !name.is_empty() && producer.get(root) != Some(&index) {
                    let most = taken.entry(root).or_insert(0);
                    *most = (*most).max(elements);
                }
            }
        }
        let (mut weights, mut reads) = (Amount::default(), Amount::default());
        for (root, elements) in taken {
            let amount = values.amount_of(root, elements);
            if values.is_constant(root) {
                weights = weights + amount;
                used.insert(root, values.amount(root));
            } else {
                reads = reads + amount;
                if given.contains(root) {
                    inputs.insert(root, values.amount(root));
                }
            }
        }
        let made = group.nodes.iter().flat_map(|(node, _)| &node.output);
        let writes = made
            .filter(|name| wanted.contains(name.as_str()))
            .map(|name| values.amount(name))
            .sum();
        let Some((first, _)) = group.nodes.first() else { continue };
        let (last, _) = group.nodes.last().expect("the group has a first node");
        let shape = last.output.first().and_then(|name| values.shapes.of(name));
        layers.push(Layer {
            name: title(first),
            operator: first.op_type.clone(),
            part: part_of(first),
            shape: shape.unwrap_or_default().to_vec(),
            fused: group.nodes[1..].iter().map(|(node, _)| node.op_type.clone()).collect(),
            operations: group.nodes.iter().map(|(_, work)| work.operations).sum(),
            multiply_adds: group.nodes.iter().map(|(_, work)| work.multiply_adds).sum(),
            weights,
            reads,
            writes,
        });
    }
    let outputs = graph.output.iter().map(|output| values.amount(&output.name)).sum();
    Counted {
        layers,
        weights: used.into_values().sum(),
        inputs: inputs.into_values().sum(),
        outputs,
    }
}
