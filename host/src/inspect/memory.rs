//! Activation memory: what the values between a graph's nodes take while the nodes run in order.
//!
//! Counted is what an engine needs that runs one node after the other:
//!
//! - A value lives from the node that makes it to the last node that reads it; an output of the
//!   graph to the end. While a node runs, what it reads and what it makes both live.
//! - `Reshape` makes no value: its result is its input's memory.
//! - An element-wise operator writes over an input of the size of its result that nobody reads
//!   later.
//! - Everything else has memory of its own; scratch memory inside an operator, alignment and
//!   fragmentation are not counted.
//!
//! Weights and the graph's inputs belong to the caller and are counted apart. Engines that fuse
//! operators (an activation into its convolution, a resize into the concatenation after it) need
//! less, engines that keep values longer or unfold convolutions need more.

use std::{collections::HashMap, fmt};

use occdepth_contract::onnx::{GraphProto, NodeProto, ValueInfoProto, data_type};
use serde::Serialize;

use crate::preset::Module;

/// Activation memory of one graph; bytes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ActivationMemory {
    /// The most that lives at once.
    pub peak_bytes: u64,
    /// The node that runs then.
    pub peak_node: String,
    /// The graph's inputs, which are not counted in `peak_bytes`.
    pub input_bytes: u64,
    /// The graph's constants, which are not counted in `peak_bytes`.
    pub weight_bytes: u64,
    /// Every module with nodes in the graph, in the order of the data.
    pub modules: Vec<ModuleMemory>,
}

/// What lives while the nodes of one module run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ModuleMemory {
    /// The module.
    pub module: Module,
    /// The most that lives at once while the module runs, values of other modules included (maps
    /// that wait for a later module).
    pub peak_bytes: u64,
    /// The largest value that the module makes.
    pub largest: Tensor,
}

/// A value of the graph.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Tensor {
    /// Its name.
    pub name: String,
    /// Its extents, outermost first.
    pub shape: Vec<u64>,
    /// Its size.
    pub bytes: u64,
}

/// A graph whose memory cannot be counted.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MemoryError {
    /// A value has no static shape, or elements of a type of unknown size.
    #[error("graph value {value}: no static shape of a known type, expected one of every value")]
    Value {
        /// The value.
        value: String,
    },
    /// The graph has no nodes.
    #[error("graph.node: found none, expected at least one")]
    Empty,
}

impl ActivationMemory {
    /// Counts the memory of `graph`, whose nodes must be in an order in which they can run, as ONNX
    /// asks.
    ///
    /// # Errors
    /// [`MemoryError`] when a value's size is not known or the graph is empty.
    pub fn of(graph: &GraphProto) -> Result<Self, MemoryError> {
        let sizes = Sizes::of(graph)?;
        let mut walk = Walk::new(graph);
        let mut modules: Vec<ModuleMemory> = Vec::new();
        let (mut peak_bytes, mut peak_node) = (0, None);
        for (step, node) in graph.node.iter().enumerate() {
            let live = walk.run(step, node, &sizes)?;
            if peak_node.is_none() || live > peak_bytes {
                (peak_bytes, peak_node) = (live, Some(&node.name));
            }
            let module = Module::of(&node.name);
            for output in node.output.iter().filter(|output| !output.is_empty()) {
                let made = sizes.tensor(output)?;
                match modules.iter_mut().find(|known| known.module == module) {
                    None => modules.push(ModuleMemory { module, peak_bytes: live, largest: made }),
                    Some(known) => {
                        known.peak_bytes = known.peak_bytes.max(live);
                        if made.bytes > known.largest.bytes {
                            known.largest = made;
                        }
                    }
                }
            }
        }
        modules.sort_by_key(|memory| memory.module);
        Ok(Self {
            peak_bytes,
            peak_node: peak_node.ok_or(MemoryError::Empty)?.clone(),
            input_bytes: sizes.input_bytes,
            weight_bytes: sizes.weight_bytes,
            modules,
        })
    }

    /// The largest value of all modules.
    ///
    /// # Panics
    /// Never: a graph with a node has a module.
    pub fn largest(&self) -> &Tensor {
        let largest = self.modules.iter().map(|memory| &memory.largest);
        largest.max_by_key(|tensor| tensor.bytes).expect("a graph with nodes has modules")
    }
}

impl fmt::Display for Tensor {
    /// `[1, 32, 128, 128, 16] NAME`
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} {}", self.shape, self.name)
    }
}

/// The values of a graph that nodes make, with their sizes.
struct Sizes {
    values: HashMap<String, (Vec<u64>, u64)>,
    input_bytes: u64,
    weight_bytes: u64,
}

impl Sizes {
    fn of(graph: &GraphProto) -> Result<Self, MemoryError> {
        let size = |info: &ValueInfoProto| {
            let unknown = || MemoryError::Value { value: info.name.clone() };
            let (elem_type, dims) = info.static_tensor().ok_or_else(unknown)?;
            let shape: Option<Vec<u64>> =
                dims.iter().map(|&extent| u64::try_from(extent).ok()).collect();
            let shape = shape.ok_or_else(unknown)?;
            let bytes = element_bytes(elem_type).ok_or_else(unknown)?;
            let count = shape.iter().try_fold(1_u64, |count, &extent| count.checked_mul(extent));
            let bytes = count.and_then(|n| n.checked_mul(bytes)).ok_or_else(unknown)?;
            Ok((shape, bytes))
        };
        let mut values = HashMap::new();
        for info in graph.value_info.iter().chain(&graph.output) {
            values.insert(info.name.clone(), size(info)?);
        }
        let mut input_bytes = 0;
        for info in &graph.input {
            input_bytes += size(info)?.1;
        }
        let mut weight_bytes = 0;
        for constant in &graph.initializer {
            let unknown = || MemoryError::Value { value: constant.name.clone() };
            let count = constant.element_count().map_err(|_| unknown())?;
            let bytes = element_bytes(constant.data_type).ok_or_else(unknown)?;
            weight_bytes += count as u64 * bytes;
        }
        Ok(Self { values, input_bytes, weight_bytes })
    }

    /// Bytes of a value that a node makes.
    fn bytes(&self, name: &str) -> Result<u64, MemoryError> {
        let value = self.values.get(name);
        value.map(|(_, bytes)| *bytes).ok_or_else(|| MemoryError::Value { value: name.into() })
    }

    fn tensor(&self, name: &str) -> Result<Tensor, MemoryError> {
        let bytes = self.bytes(name)?;
        Ok(Tensor { name: name.into(), shape: self.values[name].0.clone(), bytes })
    }
}

fn element_bytes(elem_type: i32) -> Option<u64> {
    match elem_type {
        data_type::FLOAT | data_type::INT32 => Some(4),
        data_type::FLOAT16 => Some(2),
        data_type::INT64 | data_type::DOUBLE => Some(8),
        data_type::BOOL | data_type::UINT8 | data_type::INT8 => Some(1),
        _ => None,
    }
}

/// The nodes of a graph, run in order.
struct Walk<'g> {
    /// For every value that is read, the last node that does; for an output of the graph, the end.
    last_read: HashMap<&'g str, usize>,
    /// The memory that a value is in; none for inputs and constants.
    buffer_of: HashMap<&'g str, usize>,
    /// Every piece of memory: its size, and the last node that reads a value in it.
    buffers: Vec<(u64, usize)>,
    live_bytes: u64,
}

impl<'g> Walk<'g> {
    fn new(graph: &'g GraphProto) -> Self {
        let mut last_read = HashMap::new();
        for (step, node) in graph.node.iter().enumerate() {
            last_read.extend(node.input.iter().map(|input| (input.as_str(), step)));
        }
        last_read.extend(graph.output.iter().map(|output| (output.name.as_str(), usize::MAX)));
        Self { last_read, buffer_of: HashMap::new(), buffers: Vec::new(), live_bytes: 0 }
    }

    /// Bytes that live while the node at `step` runs.
    fn run(&mut self, step: usize, node: &'g NodeProto, sizes: &Sizes) -> Result<u64, MemoryError> {
        let is_view = node.op_type == "Reshape";
        for (index, output) in node.output.iter().enumerate().filter(|(_, name)| !name.is_empty()) {
            let bytes = sizes.bytes(output)?;
            // A value that nobody reads dies at once.
            let last = self.last_read.get(output.as_str()).copied().unwrap_or(step);
            if is_view {
                let viewed = node.input.first().and_then(|x| self.buffer_of.get(x.as_str()));
                // A view of an input or a constant takes nothing.
                if let Some(&buffer) = viewed {
                    self.buffer_of.insert(output, buffer);
                    let (_, until) = &mut self.buffers[buffer];
                    *until = last.max(*until);
                }
                continue;
            }
            let reused = (index == 0).then(|| self.overwritten(step, node, bytes)).flatten();
            let buffer = reused.unwrap_or_else(|| {
                self.live_bytes += bytes;
                self.buffers.push((bytes, step));
                self.buffers.len() - 1
            });
            self.buffers[buffer].1 = last;
            self.buffer_of.insert(output, buffer);
        }
        let live = self.live_bytes;
        let mut touched: Vec<usize> = node
            .input
            .iter()
            .chain(&node.output)
            .filter_map(|name| self.buffer_of.get(name.as_str()).copied())
            .collect();
        touched.sort_unstable();
        touched.dedup();
        for buffer in touched {
            let (bytes, until) = self.buffers[buffer];
            if until == step {
                self.live_bytes -= bytes;
            }
        }
        Ok(live)
    }

    /// The memory of an input that an element-wise node can write its result of `bytes` over.
    fn overwritten(&self, step: usize, node: &NodeProto, bytes: u64) -> Option<usize> {
        if !ELEMENT_WISE.contains(&node.op_type.as_str()) {
            return None;
        }
        let buffers = node.input.iter().filter_map(|name| self.buffer_of.get(name.as_str()));
        buffers.copied().find(|&buffer| self.buffers[buffer] == (bytes, step))
    }
}

/// Operators whose element i of the result needs nothing but elements i (or broadcast ones) of the
/// inputs. Casts and comparisons change the size of an element and are not among them.
const ELEMENT_WISE: [&str; 11] =
    ["Add", "Clip", "Div", "LeakyRelu", "Max", "Mul", "Relu", "Sigmoid", "Sqrt", "Sub", "Where"];
