//! What a network costs, counted, and what a board needs for it at least, predicted.
//!
//! [`Estimate::of`] goes through an exported network once: operations of every node, numbers that are
//! read and written, weights, and when each value is needed. [`Estimate::memory`] answers whether it fits
//! before an engine is built; [`Estimate::predict`] puts the counts on the roofline (Williams, Waterman
//! and Patterson, 2009) of a board:
//!
//! | figure | what it is |
//! |---|---|
//! | [`Prediction::floor_s`] | all operations at the peak, or weights, inputs and outputs once through the memory, whichever takes longer: nothing is gained by fusing more |
//! | [`Prediction::roofline_s`] | layer by layer: operations at the peak or its traffic through the memory, whichever takes longer |
//!
//! Both are **predictions from data sheets, not measurements**; [`ASSUMPTIONS`] says what they take for
//! granted. A multiply-add counts as two operations. An operator that no rule here describes is listed
//! in [`Estimate::unknown`], and the counts are then lower than the truth.
//!
//! | module | job |
//! |---|---|
//! | `values` | what each value is: how many numbers, of which kind, a view of which |
//! | [`operations`] | operations and reads of one node |
//! | `layers` | nodes that one kernel can do together |
//! | `memory` | which values are needed at the same time |
//! | `roofline` | counts and rates to times |
//!
//! ```
//! use occdepth::board::{Precision, profile};
//! use occdepth::engine::{BUNDLED_NAME, BUNDLED_NETWORK};
//! use occdepth::estimate::Estimate;
//! use occdepth_contract::onnx::ModelProto;
//!
//! let model = ModelProto::from_bytes(BUNDLED_NETWORK, BUNDLED_NAME)?;
//! let estimate = Estimate::of(&model, BUNDLED_NAME)?;
//! assert!(estimate.unknown.is_empty());
//!
//! let orin = profile::find("orin-nano-8gb")?;
//! let prediction = estimate.predict(&orin.rates()[0], Precision::Fp16).unwrap();
//! assert!(prediction.floor_s <= prediction.roofline_s);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod layers;
mod memory;
pub mod operations;
mod roofline;
mod values;

pub use layers::Layer;
pub use memory::Memory;
pub use roofline::{Bound, LayerTime, Prediction};
pub use values::Amount;

use crate::board::Precision;
use crate::board::profile::Rates;
use memory::Lifetime;
use occdepth_contract::onnx::{ModelProto, NodeProto};
use serde::Serialize;
use std::collections::BTreeMap;
use values::Values;

/// What the predictions take for granted.
pub const ASSUMPTIONS: [&str; 9] = [
    "peaks and bandwidths are those of the data sheets: no real program reaches them",
    "convolutions take the operations of their definition: Winograd's algorithm, which needs fewer, or sparse weights can be faster",
    "operators on single elements run in the layer whose result they take; nothing else is fused",
    "values between layers go through memory once each way; caches save nothing, and concatenations are copied",
    "every floating-point number has the width of the precision, inputs and outputs included; integers keep their own",
    "all operations run at the peak of the precision, those that tensor cores cannot do as well",
    "weights are read once a frame",
    "launches, synchronisation, capture, rectification and labelling are not included",
    "clocks stay where the operating point has them: no throttling, nobody else on the memory",
];

/// What a network costs.
#[derive(Clone, Debug, Serialize)]
pub struct Estimate {
    /// Layers in the order in which they can run.
    pub layers: Vec<Layer>,
    /// Nodes that no rule describes.
    pub unknown: Vec<Unknown>,
    /// Constants that layers use, each once.
    pub weights: Amount,
    /// The network's inputs that layers use.
    pub inputs: Amount,
    /// The network's outputs.
    pub outputs: Amount,
    #[serde(skip)]
    lifetimes: Vec<Lifetime>,
}

/// A node that no rule describes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Unknown {
    /// The node.
    pub node: String,
    /// Its operator.
    pub operator: String,
    /// Why nothing is said of it.
    pub reason: String,
}

/// The layers of one part of a network.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Part {
    /// The first names of its layers.
    pub name: String,
    /// How many layers it has.
    pub layers: usize,
    /// Operations of all of them.
    pub operations: u64,
    /// Constants.
    pub weights: Amount,
    /// What goes through the memory besides constants.
    pub traffic: Amount,
}

/// Why a network cannot be estimated.
#[derive(Debug, thiserror::Error)]
pub enum EstimateError {
    /// The model has no graph.
    #[error("{origin}: field `graph`: missing, expected the graph of a network")]
    NoGraph {
        /// The file.
        origin: String,
    },
    /// An input has no shape to count with.
    #[error("{origin}: input `{input}`: found {found}, expected a tensor with a static shape")]
    Input {
        /// The file.
        origin: String,
        /// The input.
        input: String,
        /// What it is declared as.
        found: String,
    },
}

impl Estimate {
    /// Counts a network; `origin` names it in errors.
    ///
    /// # Errors
    /// [`EstimateError`] for a model without a graph or with inputs that are not static.
    pub fn of(model: &ModelProto, origin: &str) -> Result<Self, EstimateError> {
        let graph =
            model.graph.as_ref().ok_or_else(|| EstimateError::NoGraph { origin: origin.into() })?;
        for input in &graph.input {
            let constant = graph.initializer.iter().any(|constant| constant.name == input.name);
            let dims = input.static_tensor().map(|(_, dims)| dims);
            let fixed = dims.as_ref().is_some_and(|dims| dims.iter().all(|&extent| extent >= 0));
            if !constant && !fixed {
                return Err(EstimateError::Input {
                    origin: origin.into(),
                    input: input.name.clone(),
                    found: dims
                        .map_or_else(|| "no static shape".into(), |dims| format!("{dims:?}")),
                });
            }
        }
        let mut values = Values::new(graph);
        let (groups, unknown) = layers::group(graph, &mut values);
        let counted = layers::count(graph, &values, &groups);
        let lifetimes = memory::lifetimes(graph, &values);
        Ok(Self {
            layers: counted.layers,
            unknown,
            weights: counted.weights,
            inputs: counted.inputs,
            outputs: counted.outputs,
            lifetimes,
        })
    }

    /// Operations of all layers; a multiply-add counts as two.
    pub fn operations(&self) -> u64 {
        self.layers.iter().map(|layer| layer.operations).sum()
    }

    /// Multiply-adds of convolutions and matrix products, what the literature calls MACs.
    pub fn multiply_adds(&self) -> u64 {
        self.layers.iter().map(|layer| layer.multiply_adds).sum()
    }

    /// What goes through the memory between layers, constants aside.
    pub fn traffic(&self) -> Amount {
        self.layers.iter().map(|layer| layer.reads + layer.writes).sum()
    }

    /// Memory that the network needs in a precision.
    pub fn memory(&self, precision: Precision) -> Memory {
        memory::need(self.weights, &self.lifetimes, precision)
    }

    /// How long a frame takes at least at these rates; `None` where the peak of the precision or the
    /// bandwidth is unknown.
    pub fn predict(&self, rates: &Rates, precision: Precision) -> Option<Prediction> {
        roofline::predict(self, rates, precision)
    }

    /// The layers by part, the most expensive part first.
    pub fn parts(&self) -> Vec<Part> {
        let mut parts: BTreeMap<&str, Part> = BTreeMap::new();
        for layer in &self.layers {
            let part = parts.entry(&layer.part).or_insert_with(|| Part {
                name: layer.part.clone(),
                layers: 0,
                operations: 0,
                weights: Amount::default(),
                traffic: Amount::default(),
            });
            part.layers += 1;
            part.operations += layer.operations;
            part.weights = part.weights + layer.weights;
            part.traffic = part.traffic + layer.reads + layer.writes;
        }
        let mut parts: Vec<Part> = parts.into_values().collect();
        parts.sort_by_key(|part| std::cmp::Reverse(part.operations));
        parts
    }
}

/// What messages call a node: its name, or what it computes where it has none.
fn title(node: &NodeProto) -> String {
    if !node.name.is_empty() {
        return node.name.clone();
    }
    let output = node.output.iter().find(|name| !name.is_empty());
    output.cloned().unwrap_or_else(|| node.op_type.clone())
}

/// The part that a node belongs to: the first two names in its own, without numbers and without the last,
/// which is the operator's. Exported networks have the modules of the trained one there.
fn part_of(node: &NodeProto) -> String {
    let names: Vec<&str> = node.name.split(['.', '/']).filter(|name| !name.is_empty()).collect();
    let modules = names.split_last().map_or(&[][..], |(_, modules)| modules);
    let is_number = |name: &str| name.bytes().all(|byte| byte.is_ascii_digit());
    let named: Vec<&str> =
        modules.iter().copied().filter(|name| !is_number(name)).take(2).collect();
    if named.is_empty() { "(unnamed)".into() } else { named.join(".") }
}
