//! The graph being written.

use super::LowerError;
use super::shapes::Shapes;
use crate::allowance::{allowed_bytes, constant_bytes};
use occdepth_contract::onnx::{AttributeProto, GraphProto, NodeProto, TensorProto};
use std::collections::HashSet;

/// Nodes and constants of the new graph, and what is known of the old one.
pub(super) struct Rewrite<'a> {
    /// Shapes of the values of the old graph.
    pub(super) shapes: Shapes<'a>,
    nodes: Vec<NodeProto>,
    constants: Vec<TensorProto>,
    /// Bytes of them, and how many there may be.
    made: usize,
    allowed: usize,
    /// Starts the name of every new value; no old name starts with it.
    prefix: String,
}

impl<'a> Rewrite<'a> {
    pub(super) fn new(graph: &'a GraphProto) -> Self {
        let names = || {
            let produced = graph.node.iter().flat_map(|node| &node.output);
            produced
                .chain(graph.initializer.iter().map(|constant| &constant.name))
                .chain(graph.input.iter().map(|input| &input.name))
        };
        let mut prefix = String::from("lowered");
        while names().any(|name| name.starts_with(&prefix)) {
            prefix.push('_');
        }
        Self {
            shapes: Shapes::new(graph),
            nodes: Vec::new(),
            constants: Vec::new(),
            made: 0,
            allowed: allowed_bytes(graph),
            prefix,
        }
    }

    /// Takes a node over as it is.
    pub(super) fn keep(&mut self, node: &NodeProto) {
        self.nodes.push(node.clone());
    }

    /// Ends the reading of the old graph.
    pub(super) fn finish(self) -> Lowered {
        Lowered { nodes: self.nodes, constants: self.constants }
    }

    /// The shape `[B, C, X, Y, Z]` of a node's first input.
    pub(super) fn volume(&self, node: &NodeProto) -> Result<[usize; 5], LowerError> {
        let value = node.input.first().map(String::as_str).unwrap_or_default();
        let unknown = || LowerError::Shape { node: title(node), value: value.into() };
        let shape = self.shapes.of(value).ok_or_else(unknown)?;
        shape.try_into().map_err(|_| LowerError::Inputs {
            node: title(node),
            found: format!("{shape:?}"),
            expected: "[B, C, X, Y, Z]".into(),
        })
    }

    /// The values of a node's constant input `position`; `None` where that input is omitted.
    pub(super) fn floats_of(
        &self,
        node: &NodeProto,
        position: usize,
    ) -> Result<Option<Vec<f32>>, LowerError> {
        let Some(value) = node.input.get(position).filter(|name| !name.is_empty()) else {
            return Ok(None);
        };
        let Some(constant) = self.shapes.constant(value) else {
            return Err(LowerError::Weights { node: title(node), value: value.clone() });
        };
        // A node makes about as much of its weights as they take.
        if self.made.saturating_add(constant_bytes(constant)) > self.allowed {
            return Err(LowerError::Shared {
                node: title(node),
                value: value.clone(),
                allowed: self.allowed,
            });
        }
        Ok(Some(constant.to_f32()?))
    }

    /// A new f32 constant.
    pub(super) fn floats(&mut self, dims: &[usize], values: &[f32]) -> String {
        let dims: Vec<i64> = dims.iter().map(|&extent| int(extent)).collect();
        let name = self.fresh();
        self.made = self.made.saturating_add(size_of_val(values));
        self.constants.push(TensorProto::from_f32(&name, &dims, values));
        name
    }

    /// A new node with one output, which gets a new name.
    pub(super) fn op(
        &mut self,
        op_type: &str,
        inputs: &[&str],
        attributes: Vec<AttributeProto>,
    ) -> String {
        let output = self.fresh();
        self.op_into(op_type, inputs, attributes, &output);
        output
    }

    /// A new node whose output is `output`.
    pub(super) fn op_into(
        &mut self,
        op_type: &str,
        inputs: &[&str],
        attributes: Vec<AttributeProto>,
        output: &str,
    ) {
        self.nodes.push(NodeProto {
            op_type: op_type.into(),
            name: output.into(),
            input: inputs.iter().map(|&input| input.into()).collect(),
            output: vec![output.into()],
            attribute: attributes,
            ..NodeProto::default()
        });
    }

    /// `value` with another shape of as many elements; free at run time.
    pub(super) fn reshape(&mut self, value: &str, dims: &[usize]) -> String {
        let dims = self.extents(dims);
        self.op("Reshape", &[value, &dims], Vec::new())
    }

    /// [`Rewrite::reshape`] with a given output name.
    pub(super) fn reshape_into(&mut self, value: &str, dims: &[usize], output: &str) {
        let dims = self.extents(dims);
        self.op_into("Reshape", &[value, &dims], Vec::new(), output);
    }

    /// `value[.., start..end by step, ..]` along each of `axes`.
    pub(super) fn slice(&mut self, value: &str, axes: &[SliceAxis]) -> String {
        let list = |of: fn(&SliceAxis) -> usize| axes.iter().map(of).collect::<Vec<usize>>();
        let inputs = [
            self.extents(&list(|slice| slice.start)),
            self.extents(&list(|slice| slice.end)),
            self.extents(&list(|slice| slice.axis)),
            self.extents(&list(|slice| slice.step)),
        ];
        let [starts, ends, axes, steps] = &inputs;
        self.op("Slice", &[value, starts, ends, axes, steps], Vec::new())
    }

    /// `value` of `rank` axes with zeros before and after along one axis.
    pub(super) fn pad(
        &mut self,
        value: &str,
        rank: usize,
        axis: usize,
        zeros: [usize; 2],
    ) -> String {
        if zeros == [0, 0] {
            return value.into();
        }
        let mut pads = vec![0; 2 * rank];
        [pads[axis], pads[rank + axis]] = zeros;
        let pads = self.extents(&pads);
        self.op("Pad", &[value, &pads], Vec::new())
    }

    /// Zeros of a shape.
    pub(super) fn zeros(&mut self, dims: &[usize]) -> String {
        let zero = self.floats(&vec![1; dims.len()], &[0.0]);
        let dims = self.extents(dims);
        self.op("Expand", &[&zero, &dims], Vec::new())
    }

    /// A new i64 constant of one axis.
    pub(super) fn extents(&mut self, values: &[usize]) -> String {
        let values: Vec<i64> = values.iter().map(|&value| int(value)).collect();
        let name = self.fresh();
        self.constants.push(TensorProto::from_i64(&name, &[int(values.len())], &values));
        name
    }

    fn fresh(&mut self) -> String {
        format!("{}/{}", self.prefix, self.nodes.len() + self.constants.len())
    }
}

/// The nodes of the new graph and the constants that are new in it.
pub(super) struct Lowered {
    nodes: Vec<NodeProto>,
    constants: Vec<TensorProto>,
}

impl Lowered {
    /// The new graph: what the old one declares, the new nodes, and the constants that they use.
    pub(super) fn replace_in(self, graph: GraphProto) -> GraphProto {
        let Self { nodes, constants } = self;
        let used: HashSet<&str> = nodes
            .iter()
            .flat_map(|node| &node.input)
            .chain(graph.output.iter().map(|output| &output.name))
            .map(String::as_str)
            .collect();
        let mut initializer = graph.initializer;
        initializer.extend(constants);
        initializer.retain(|constant| used.contains(constant.name.as_str()));
        GraphProto { initializer, node: nodes, ..graph }
    }
}

/// Part of an axis.
pub(super) struct SliceAxis {
    pub(super) axis: usize,
    pub(super) start: usize,
    pub(super) end: usize,
    pub(super) step: usize,
}

/// What errors call a node: its name, or what it computes.
pub(crate) fn title(node: &NodeProto) -> String {
    if node.name.is_empty() {
        format!("{} -> {}", node.op_type, node.output.join(", "))
    } else {
        node.name.clone()
    }
}

/// An extent as ONNX stores it.
pub(super) fn int(extent: usize) -> i64 {
    i64::try_from(extent).expect("shapes and windows are bounded far below 2^63")
}
