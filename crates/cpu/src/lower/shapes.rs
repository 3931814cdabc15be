//! The shape of every value of a static graph.

use super::conv_transpose;
use super::window::{Window, integer, integers};
use occdepth_contract::onnx::{GraphProto, NodeProto, TensorProto};
use std::collections::HashMap;

/// Constants and shapes by name.
///
/// Shapes come from the declared inputs and constants, operator by operator; what an operator that is
/// not known here computes may be declared in `value_info`. A shape that stays unknown is no error
/// before somebody needs it.
#[derive(Debug)]
pub struct Shapes<'a> {
    constants: HashMap<&'a str, &'a TensorProto>,
    by_name: HashMap<&'a str, Vec<usize>>,
    undetermined: Option<&'a NodeProto>,
}

impl<'a> Shapes<'a> {
    /// Infers the shapes of a graph whose inputs are static.
    pub fn new(graph: &'a GraphProto) -> Self {
        let mut known =
            Self { constants: HashMap::new(), by_name: HashMap::new(), undetermined: None };
        // Inputs last: what is given is checked against them, other declarations nobody checks.
        for value in graph.value_info.iter().chain(&graph.output).chain(&graph.input) {
            if let Some((_, dims)) = value.static_tensor() {
                known.insert(&value.name, extents(&dims));
            }
        }
        for constant in &graph.initializer {
            known.constant_named(&constant.name, constant);
        }
        for node in &graph.node {
            if let ("Constant", [output]) = (node.op_type.as_str(), node.output.as_slice()) {
                if let Some(value) = node.attribute("value").and_then(|value| value.t.as_ref()) {
                    known.constant_named(output, value);
                }
                continue;
            }
            let shapes = known.infer(node).unwrap_or_default();
            let determined = shapes.len() == node.output.len() && shapes.iter().all(|s| fits(s));
            if !determined && known.undetermined.is_none() {
                known.undetermined = Some(node);
            }
            for (output, shape) in node.output.iter().zip(shapes) {
                known.insert(output, Some(shape));
            }
        }
        known
    }

    /// The shape of a value; `None`: it cannot be told.
    pub fn of(&self, name: &str) -> Option<&[usize]> {
        self.by_name.get(name).map(Vec::as_slice)
    }

    /// The first node whose output shapes do not follow from its inputs, or are larger than any
    /// network's.
    pub fn undetermined(&self) -> Option<&'a NodeProto> {
        self.undetermined
    }

    /// A stored value.
    pub fn constant(&self, name: &str) -> Option<&'a TensorProto> {
        self.constants.get(name).copied()
    }

    fn constant_named(&mut self, name: &'a str, value: &'a TensorProto) {
        self.constants.insert(name, value);
        self.insert(name, extents(&value.dims));
    }

    /// Records a shape; one with more elements than any network has is left unknown.
    fn insert(&mut self, name: &'a str, shape: Option<Vec<usize>>) {
        if let Some(shape) = shape.filter(|shape| fits(shape)) {
            self.by_name.insert(name, shape);
        }
    }

    /// The shapes of a node's outputs; `None` where they cannot be told.
    fn infer(&self, node: &NodeProto) -> Option<Vec<Vec<usize>>> {
        let input = |position: usize| self.of(node.input.get(position)?);
        let first = || input(0).map(<[usize]>::to_vec);
        let shape = match node.op_type.as_str() {
            "Abs"
            | "Cast"
            | "Ceil"
            | "Clip"
            | "DequantizeLinear"
            | "Elu"
            | "Erf"
            | "Exp"
            | "Floor"
            | "Gelu"
            | "HardSigmoid"
            | "HardSwish"
            | "Identity"
            | "LeakyRelu"
            | "Log"
            | "LogSoftmax"
            | "Neg"
            | "Not"
            | "PRelu"
            | "QuantizeLinear"
            | "Reciprocal"
            | "Relu"
            | "Round"
            | "Sigmoid"
            | "Sign"
            | "Softmax"
            | "Softplus"
            | "Sqrt"
            | "Tanh"
            | "BatchNormalization"
            | "InstanceNormalization"
            | "LayerNormalization" => first()?,
            "Add" | "And" | "Div" | "Equal" | "Greater" | "GreaterOrEqual" | "Less"
            | "LessOrEqual" | "Max" | "Mean" | "Min" | "Mod" | "Mul" | "Or" | "Pow" | "Sub"
            | "Sum" | "Where" | "Xor" => {
                let shapes: Option<Vec<&[usize]>> =
                    node.input.iter().map(|name| self.of(name)).collect();
                shapes?.into_iter().try_fold(Vec::new(), |all, shape| broadcast(&all, shape))?
            }
            "Expand" => broadcast(input(0)?, &self.extents_of(node, 1)?)?,
            "Concat" => {
                let mut shape = first()?;
                let axis = wrap(integer(node, "axis", 0), shape.len())?;
                shape[axis] = 0;
                for name in &node.input {
                    shape[axis] += self.of(name)?.get(axis)?;
                }
                shape
            }
            "Reshape" => self.reshape(node)?,
            "Flatten" => {
                let shape = input(0)?;
                let axis = wrap(integer(node, "axis", 1), shape.len() + 1)?;
                vec![shape[..axis].iter().product(), shape[axis..].iter().product()]
            }
            "Transpose" => {
                let shape = input(0)?;
                let perm = node.attribute("perm").map_or_else(
                    || (0..shape.len()).rev().collect(),
                    |perm| extents(&perm.ints).unwrap_or_default(),
                );
                perm.iter().map(|&axis| shape.get(axis).copied()).collect::<Option<_>>()?
            }
            "Squeeze" => {
                let shape = input(0)?;
                let gone = match self.integers_of(node, 1) {
                    Some(axes) => wrap_all(&axes, shape.len())?,
                    None => (0..shape.len()).filter(|&axis| shape[axis] == 1).collect(),
                };
                let kept = (0..shape.len()).filter(|axis| !gone.contains(axis));
                kept.map(|axis| shape[axis]).collect()
            }
            "Unsqueeze" => {
                let shape = input(0)?;
                let axes = self.integers_of(node, 1)?;
                let rank = shape.len() + axes.len();
                let new = wrap_all(&axes, rank)?;
                let mut old = shape.iter().copied();
                let extent = |axis| if new.contains(&axis) { Some(1) } else { old.next() };
                (0..rank).map(extent).collect::<Option<_>>()?
            }
            "Gather" => {
                let (shape, index) = (input(0)?, input(1)?);
                let axis = wrap(integer(node, "axis", 0), shape.len())?;
                [&shape[..axis], index, &shape[axis + 1..]].concat()
            }
            "Slice" => self.slice(node)?,
            "Split" => return self.split(node),
            "Pad" => {
                let (mut shape, pads) = (first()?, self.integers_of(node, 1)?);
                if node.input.len() > 3 || pads.len() != 2 * shape.len() {
                    return None;
                }
                for (axis, extent) in shape.iter_mut().enumerate() {
                    let pad = pads[axis].checked_add(pads[axis + pads.len() / 2])?;
                    *extent = extent.checked_add_signed(isize::try_from(pad).ok()?)?;
                }
                shape
            }
            "MatMul" => {
                let ([outer_a @ .., m, _], [outer_b @ .., _, n]) = (input(0)?, input(1)?) else {
                    return None;
                };
                [&broadcast(outer_a, outer_b)?[..], &[*m, *n]].concat()
            }
            "Gemm" => {
                let (&[a0, a1], &[b0, b1]) = (input(0)?, input(1)?) else { return None };
                let m = if integer(node, "transA", 0) == 0 { a0 } else { a1 };
                vec![m, if integer(node, "transB", 0) == 0 { b1 } else { b0 }]
            }
            "ReduceMax" | "ReduceMean" | "ReduceMin" | "ReduceSum" | "ReduceProd" | "ReduceL2" => {
                self.reduce(node)?
            }
            "GlobalAveragePool" | "GlobalMaxPool" => {
                let mut shape = first()?;
                shape.get_mut(2..)?.fill(1);
                shape
            }
            "Resize" => {
                if node.input.len() > 3 {
                    self.extents_of(node, 3)?
                } else {
                    let scales = self.constant(node.input.get(2)?)?.to_f32().ok()?;
                    let scaled = input(0)?.iter().zip(scales).map(|(&n, scale)| {
                        let extent = (n as f32 * scale).floor();
                        #[expect(
                            clippy::cast_possible_truncation,
                            clippy::cast_sign_loss,
                            reason = "bounded by the filter"
                        )]
                        Some(extent).filter(|n| (0.0..1e9).contains(n)).map(|n| n as usize)
                    });
                    scaled.collect::<Option<_>>()?
                }
            }
            "Conv" => {
                let (shape, kernel) = (input(0)?, input(1)?);
                windowed(node, shape, *kernel.first()?, kernel.get(2..)?, Window::positions)?
            }
            "AveragePool" | "MaxPool" => {
                let shape = input(0)?;
                if integer(node, "ceil_mode", 0) != 0 {
                    return None;
                }
                let kernel = integers(node, "kernel_shape", shape.len().checked_sub(2)?, 0).ok()?;
                windowed(node, shape, *shape.get(1)?, &kernel, Window::positions)?
            }
            "ConvTranspose" => {
                let (shape, kernel) = (input(0)?, input(1)?);
                let kernel_spatial = kernel.get(2..)?;
                let mut extra =
                    integers(node, "output_padding", kernel_spatial.len(), 0).ok()?.into_iter();
                let channels =
                    kernel.get(1)?.checked_mul(usize::try_from(integer(node, "group", 1)).ok()?)?;
                windowed(node, shape, channels, kernel_spatial, |window, extent| {
                    conv_transpose::length(extent, window, extra.next()?)
                })?
            }
            _ => return None,
        };
        Some(vec![shape])
    }

    fn reshape(&self, node: &NodeProto) -> Option<Vec<usize>> {
        let shape = self.of(node.input.first()?)?;
        let wanted = self.integers_of(node, 1)?;
        let copies = integer(node, "allowzero", 0) == 0;
        let mut open = None;
        let mut dims = Vec::with_capacity(wanted.len());
        for (axis, &extent) in wanted.iter().enumerate() {
            dims.push(match extent {
                0 if copies => *shape.get(axis)?,
                -1 if open.replace(axis).is_none() => 1,
                extent => usize::try_from(extent).ok()?,
            });
        }
        if let Some(axis) = open {
            let rest = dims.iter().try_fold(1_usize, |count, &n| count.checked_mul(n))?;
            dims[axis] = shape.iter().product::<usize>().checked_div(rest)?;
        }
        Some(dims)
    }

    fn slice(&self, node: &NodeProto) -> Option<Vec<usize>> {
        let mut shape = self.of(node.input.first()?)?.to_vec();
        let (starts, ends) = (self.integers_of(node, 1)?, self.integers_of(node, 2)?);
        let axes = match node.input.get(3).filter(|name| !name.is_empty()) {
            Some(_) => wrap_all(&self.integers_of(node, 3)?, shape.len())?,
            None => (0..starts.len()).collect(),
        };
        let steps = self.integers_of(node, 4).unwrap_or_else(|| vec![1; axes.len()]);
        for (i, &axis) in axes.iter().enumerate() {
            let extent = i64::try_from(*shape.get(axis)?).ok()?;
            let (step, start, end) = (*steps.get(i)?, *starts.get(i)?, *ends.get(i)?);
            if step == 0 || extent == 0 {
                return None;
            }
            let at = |position: i64| {
                if position < 0 { position.saturating_add(extent) } else { position }
            };
            let count = if step > 0 {
                at(end).clamp(0, extent) - at(start).clamp(0, extent)
            } else {
                let (start, end) = (at(start).clamp(0, extent - 1), at(end).clamp(-1, extent - 1));
                start - end
            };
            shape[axis] =
                usize::try_from(count.max(0).unsigned_abs().div_ceil(step.unsigned_abs())).ok()?;
        }
        Some(shape)
    }

    fn split(&self, node: &NodeProto) -> Option<Vec<Vec<usize>>> {
        let shape = self.of(node.input.first()?)?;
        let axis = wrap(integer(node, "axis", 0), shape.len())?;
        let even = || {
            let part = shape[axis].div_ceil(node.output.len().max(1));
            let part_of = |nth| part.min(shape[axis].saturating_sub(nth * part));
            (0..node.output.len()).map(part_of).collect()
        };
        let parts = self.extents_of(node, 1).unwrap_or_else(even);
        let part = |extent| {
            let mut shape = shape.to_vec();
            shape[axis] = extent;
            shape
        };
        Some(parts.into_iter().map(part).collect())
    }

    fn reduce(&self, node: &NodeProto) -> Option<Vec<usize>> {
        let shape = self.of(node.input.first()?)?;
        let axes = match node.attribute("axes") {
            Some(axes) => Some(axes.ints.clone()),
            None => self.integers_of(node, 1),
        };
        let reduced = match axes {
            Some(axes) => wrap_all(&axes, shape.len())?,
            None if node.input.len() > 1 => return None,
            None => (0..shape.len()).collect(),
        };
        let keep = integer(node, "keepdims", 1) != 0;
        let extent = |axis: usize| match reduced.contains(&axis) {
            true if keep => Some(1),
            true => None,
            false => Some(shape[axis]),
        };
        Some((0..shape.len()).filter_map(extent).collect())
    }

    /// The integers of a constant input.
    fn integers_of(&self, node: &NodeProto, position: usize) -> Option<Vec<i64>> {
        self.constant(node.input.get(position)?)?.to_i64().ok()
    }

    fn extents_of(&self, node: &NodeProto, position: usize) -> Option<Vec<usize>> {
        extents(&self.integers_of(node, position)?)
    }
}

/// `[B, channels, ..]` with each spatial extent of `shape` put through a window.
fn windowed(
    node: &NodeProto,
    shape: &[usize],
    channels: usize,
    kernel: &[usize],
    mut extent: impl FnMut(Window, usize) -> Option<usize>,
) -> Option<Vec<usize>> {
    let (&[batch, _], spatial) = shape.split_first_chunk::<2>()?;
    if spatial.len() != kernel.len() {
        return None;
    }
    let explicit =
        node.attribute("auto_pad").is_none_or(|auto| auto.s.as_deref() == Some(b"NOTSET"));
    let rank = kernel.len();
    let strides = integers(node, "strides", rank, 1).ok()?;
    let dilations = integers(node, "dilations", rank, 1).ok()?;
    let pads = integers(node, "pads", 2 * rank, 0).ok()?;
    let mut output = vec![batch, channels];
    for axis in 0..rank {
        let window = Window {
            taps: kernel[axis],
            stride: strides[axis],
            dilation: dilations[axis],
            pads: [pads[axis], pads[axis + rank]],
        };
        if !explicit || window.taps == 0 || window.stride == 0 {
            return None;
        }
        output.push(extent(window, spatial[axis])?);
    }
    Some(output)
}

/// The shape of two shapes broadcast against each other (ONNX, multidirectional broadcasting).
fn broadcast(a: &[usize], b: &[usize]) -> Option<Vec<usize>> {
    let rank = a.len().max(b.len());
    let extent = |shape: &[usize], axis: usize| {
        (axis + shape.len()).checked_sub(rank).map_or(1, |axis| shape[axis])
    };
    (0..rank)
        .map(|axis| match (extent(a, axis), extent(b, axis)) {
            (a, b) if a == b => Some(a),
            (1, n) | (n, 1) => Some(n),
            _ => None,
        })
        .collect()
}

/// An axis counted from the front; negative ones count from the back.
fn wrap(axis: i64, rank: usize) -> Option<usize> {
    let rank = i64::try_from(rank).ok()?;
    let axis = if axis < 0 { axis.checked_add(rank)? } else { axis };
    usize::try_from(axis).ok().filter(|_| axis < rank)
}

fn wrap_all(axes: &[i64], rank: usize) -> Option<Vec<usize>> {
    axes.iter().map(|&axis| wrap(axis, rank)).collect()
}

/// Whether a shape is one that a network on one machine can have.
fn fits(shape: &[usize]) -> bool {
    let count = shape.iter().try_fold(1_usize, |count, &n| count.checked_mul(n.max(1)));
    count.is_some_and(|count| count <= MAX_ELEMENTS)
}

fn extents(dims: &[i64]) -> Option<Vec<usize>> {
    dims.iter().map(|&extent| usize::try_from(extent).ok()).collect()
}

/// 1 GiB of f32. The largest value of a published network is a third of it.
const MAX_ELEMENTS: usize = 1 << 28;
