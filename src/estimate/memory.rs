//! Which values are needed at the same time.

use super::values::{Amount, Values};
use crate::board::Precision;
use occdepth_contract::onnx::GraphProto;
use serde::Serialize;
use std::collections::HashMap;

/// Memory that a network needs, bytes. What a runtime needs beside it (workspace of its kernels, its own
/// code, the images) is not in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Memory {
    /// Constants.
    pub weights_bytes: u64,
    /// The network's inputs and outputs, which a caller keeps all the time.
    pub inputs_outputs_bytes: u64,
    /// The most that other values take at one time, when nodes run in the order of the file and none is
    /// fused. A runtime that fuses needs less; one that runs nodes at the same time may need more.
    pub activations_peak_bytes: u64,
}

impl Memory {
    /// All of it.
    pub fn total_bytes(&self) -> u64 {
        self.weights_bytes
            .saturating_add(self.inputs_outputs_bytes)
            .saturating_add(self.activations_peak_bytes)
    }
}

/// From which node to which a value is needed.
#[derive(Clone, Debug)]
pub(super) struct Lifetime {
    amount: Amount,
    /// The node that makes it; `None`: a caller has it all the time.
    made: Option<usize>,
    /// The last node that takes it.
    taken: usize,
}

/// The lifetimes of all values but constants.
pub(super) fn lifetimes(graph: &GraphProto, values: &Values<'_>) -> Vec<Lifetime> {
    let mut by_root: HashMap<&str, Lifetime> = HashMap::new();
    let kept = |name: &str| Lifetime { amount: values.amount(name), made: None, taken: 0 };
    for input in graph.input.iter().filter(|input| !values.is_constant(&input.name)) {
        by_root.insert(&input.name, kept(&input.name));
    }
    for output in &graph.output {
        let root = values.root(&output.name);
        by_root.insert(root, kept(root));
    }
    for (index, node) in graph.node.iter().enumerate() {
        for name in &node.input {
            if let Some(lifetime) = by_root.get_mut(values.root(name)) {
                lifetime.taken = index;
            }
        }
        for name in node.output.iter().filter(|name| !name.is_empty()) {
            let root = values.root(name);
            if root == name && !values.is_constant(name) {
                by_root.entry(root).or_insert_with(|| Lifetime {
                    amount: values.amount(name),
                    made: Some(index),
                    taken: index,
                });
            }
        }
    }
    by_root.into_values().collect()
}

/// The most that is needed at one time.
pub(super) fn need(weights: Amount, lifetimes: &[Lifetime], precision: Precision) -> Memory {
    let mut kept = 0_u64;
    // What begins and what ends at a node, in the order of the nodes.
    let mut changes: Vec<(usize, bool, u64)> = Vec::new();
    for lifetime in lifetimes {
        let bytes = lifetime.amount.bytes(precision);
        match lifetime.made {
            None => kept = kept.saturating_add(bytes),
            Some(made) => changes.extend([(made, false, bytes), (lifetime.taken, true, bytes)]),
        }
    }
    // At one node, what it makes is there before what it takes goes.
    changes.sort_unstable();
    let (mut now, mut peak) = (0_u64, 0_u64);
    for (_, ends, bytes) in changes {
        if ends {
            now -= bytes;
        } else {
            now = now.saturating_add(bytes);
            peak = peak.max(now);
        }
    }
    Memory {
        weights_bytes: weights.bytes(precision),
        inputs_outputs_bytes: kept,
        activations_peak_bytes: peak,
    }
}
