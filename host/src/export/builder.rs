//! A graph under construction: named values with static shapes, one method per operator.
//!
//! Names follow the parameters that a node uses, as `PyTorch`'s exporter does it: the convolution of
//! `net_rgb.decoder.up8._net.0` is the node and the value `net_rgb.decoder.up8._net.0/Conv`. A path
//! that runs an operator twice gets `Conv_1`. Everything is emitted in the order of the calls, so the
//! same preset and weights give the same graph.
//!
//! Floats inside the network are f32 or f16. A value carries its type, an operator computes in the
//! type of its operands, and layers store their constants in the type of their input: what is
//! computed in f32 in an f16 network lies between [`GraphBuilder::widen`] and
//! [`GraphBuilder::narrow`], which are nothing in an f32 network.

use super::{ExportError, constant};
use crate::weights::Weights;
use occdepth_contract::{
    TensorSpec,
    onnx::{
        AttributeProto, GraphProto, NodeProto, TensorProto, ValueInfoProto,
        data_type::{BOOL, FLOAT, FLOAT16, INT32, INT64},
    },
};
use std::collections::BTreeSet;

/// A graph under construction.
pub(super) struct GraphBuilder<'w> {
    /// None: an outline, whose parameters have shapes and no values.
    weights: Option<&'w Weights>,
    /// Floats inside the network: `FLOAT` or `FLOAT16`.
    float: i32,
    nodes: Vec<NodeProto>,
    initializers: Vec<TensorProto>,
    inputs: Vec<ValueInfoProto>,
    value_info: Vec<ValueInfoProto>,
    names: BTreeSet<String>,
}

/// A value of the graph: an input, a constant or the result of a node.
#[derive(Clone, Debug)]
pub(super) struct Value {
    name: String,
    /// Extents, outermost first.
    pub(super) shape: Vec<usize>,
    /// Its ONNX element type.
    pub(super) elem_type: i32,
}

impl<'w> GraphBuilder<'w> {
    pub(super) fn new(weights: Option<&'w Weights>, float: i32) -> Self {
        Self {
            weights,
            float,
            nodes: Vec::new(),
            initializers: Vec::new(),
            inputs: Vec::new(),
            value_info: Vec::new(),
            names: BTreeSet::new(),
        }
    }

    /// Declares an input.
    pub(super) fn input(&mut self, spec: &TensorSpec) -> Value {
        let shape: Vec<usize> = spec
            .shape
            .iter()
            .map(|&extent| usize::try_from(extent).expect("a validated preset fits in memory"))
            .collect();
        let value = Value { name: spec.name.clone(), shape, elem_type: spec.dtype.onnx() };
        self.names.insert(value.name.clone());
        self.inputs.push(value.info());
        value
    }

    /// The finished graph; every output is renamed to the name that the contract gives it.
    pub(super) fn finish(mut self, name: &str, outputs: &[(&str, Value)]) -> GraphProto {
        for (output, value) in outputs {
            let names = self
                .nodes
                .iter_mut()
                .flat_map(|node| node.input.iter_mut().chain(&mut node.output));
            for name in names.filter(|name| **name == value.name) {
                (*output).clone_into(name);
            }
            self.value_info.retain(|info| info.name != value.name);
        }
        let output = outputs
            .iter()
            .map(|(name, value)| Value { name: (*name).into(), ..value.clone() }.info())
            .collect();
        GraphProto {
            node: self.nodes,
            name: name.into(),
            initializer: self.initializers,
            input: self.inputs,
            output,
            value_info: self.value_info,
            ..GraphProto::default()
        }
    }

    /// The values of the weight `name`, which must have `shape`; None in an outline.
    pub(super) fn weight(
        &self,
        name: &str,
        shape: &[usize],
    ) -> Result<Option<&'w [f32]>, ExportError> {
        let Some(weights) = self.weights else { return Ok(None) };
        Ok(Some(&weights.tensor(name, shape)?.values))
    }

    /// A constant that belongs to a parameter and carries its name, in the type of `like`.
    pub(super) fn parameter(
        &mut self,
        name: &str,
        shape: &[usize],
        values: Option<&[f32]>,
        like: &Value,
    ) -> Result<Value, ExportError> {
        let elem_type = like.elem_type;
        let value = Value { name: self.unique(name), shape: shape.to_vec(), elem_type };
        self.initializers.push(match values {
            Some(values) => constant::floats(&value.name, &dims(shape), values, elem_type)?,
            None => TensorProto {
                name: value.name.clone(),
                dims: dims(shape),
                data_type: elem_type,
                ..TensorProto::default()
            },
        });
        Ok(value)
    }

    /// A constant scalar in the type of `like`; equal ones are shared. It is 0 or a normal number of
    /// that type.
    pub(super) fn scalar(&mut self, scalar: f32, like: &Value) -> Value {
        let name = format!("constant/{scalar:?}{}", suffix(like.elem_type));
        self.constant(name, &[], like.elem_type, |name| {
            floats(name, &[], &[scalar], like.elem_type)
        })
    }

    /// A constant of zeros in the type of `like`; equal ones are shared.
    pub(super) fn zeros(&mut self, shape: &[usize], like: &Value) -> Value {
        let name = format!("constant/zeros_{}{}", joined(shape), suffix(like.elem_type));
        let count = shape.iter().product();
        self.constant(name, shape, like.elem_type, |name| {
            floats(name, &dims(shape), &vec![0.0; count], like.elem_type)
        })
    }

    /// A constant f32 tensor under a name of its own.
    pub(super) fn numbers(&mut self, name: &str, shape: &[usize], values: &[f32]) -> Value {
        let name = format!("constant/{name}");
        self.constant(name, shape, FLOAT, |name| TensorProto::from_f32(name, &dims(shape), values))
    }

    /// A constant i32 tensor under a name of its own.
    pub(super) fn integers(&mut self, name: &str, shape: &[usize], values: &[i32]) -> Value {
        let name = format!("constant/{name}");
        self.constant(name, shape, INT32, |name| TensorProto::from_i32(name, &dims(shape), values))
    }

    /// A constant i64 list, as operators take shapes, axes and sizes; equal ones are shared.
    fn list(&mut self, values: &[i64]) -> Value {
        let name = format!("constant/list_{}", joined(values));
        self.constant(name, &[values.len()], INT64, |name| {
            TensorProto::from_i64(name, &dims(&[values.len()]), values)
        })
    }

    fn constant(
        &mut self,
        name: String,
        shape: &[usize],
        elem_type: i32,
        tensor: impl FnOnce(&str) -> TensorProto,
    ) -> Value {
        if self.names.insert(name.clone()) {
            self.initializers.push(tensor(&name));
        }
        Value { name, shape: shape.to_vec(), elem_type }
    }

    fn unique(&mut self, name: &str) -> String {
        let mut unique = name.to_owned();
        let mut copies = 0;
        while !self.names.insert(unique.clone()) {
            copies += 1;
            unique = format!("{name}_{copies}");
        }
        unique
    }

    /// Adds a node with one output.
    pub(super) fn node(
        &mut self,
        op: &str,
        path: &str,
        inputs: &[&Value],
        attributes: Vec<AttributeProto>,
        result: (i32, Vec<usize>),
    ) -> Value {
        let inputs: Vec<&str> = inputs.iter().map(|input| input.name.as_str()).collect();
        self.named_node(op, path, &inputs, attributes, result)
    }

    fn named_node(
        &mut self,
        op: &str,
        path: &str,
        inputs: &[&str],
        attribute: Vec<AttributeProto>,
        (elem_type, shape): (i32, Vec<usize>),
    ) -> Value {
        let name = self.unique(&format!("{path}/{op}"));
        let value = Value { name: name.clone(), shape, elem_type };
        self.value_info.push(value.info());
        self.nodes.push(NodeProto {
            input: inputs.iter().map(|&input| input.to_owned()).collect(),
            output: vec![name.clone()],
            name,
            op_type: op.into(),
            attribute,
            ..NodeProto::default()
        });
        value
    }

    /// An element-wise operator of one argument: `Relu`, `Sigmoid`.
    pub(super) fn unary(&mut self, op: &str, path: &str, x: &Value) -> Value {
        self.node(op, path, &[x], vec![], (x.elem_type, x.shape.clone()))
    }

    /// An element-wise operator of two arguments of one type, broadcast: `Add`, `Mul`, `Div`, `Max`.
    pub(super) fn binary(&mut self, op: &str, path: &str, a: &Value, b: &Value) -> Value {
        debug_assert_eq!(a.elem_type, b.elem_type, "{path}/{op}");
        self.node(op, path, &[a, b], vec![], (a.elem_type, broadcast(&a.shape, &b.shape)))
    }

    /// A comparison or a logical operator, broadcast: `Equal`, `Greater`, `Or`.
    pub(super) fn test(&mut self, op: &str, path: &str, a: &Value, b: &Value) -> Value {
        self.node(op, path, &[a, b], vec![], (BOOL, broadcast(&a.shape, &b.shape)))
    }

    /// `yes` where `condition` holds, else `no`; broadcast.
    pub(super) fn select(
        &mut self,
        path: &str,
        condition: &Value,
        yes: &Value,
        no: &Value,
    ) -> Value {
        let shape = broadcast(&broadcast(&condition.shape, &yes.shape), &no.shape);
        self.node("Where", path, &[condition, yes, no], vec![], (yes.elem_type, shape))
    }

    /// Truth values or integers as f32.
    pub(super) fn as_floats(&mut self, path: &str, x: &Value) -> Value {
        self.cast(path, x, FLOAT)
    }

    /// Floats as i32, rounded towards zero.
    pub(super) fn as_integers(&mut self, path: &str, x: &Value) -> Value {
        self.cast(path, x, INT32)
    }

    /// An f16 value as f32: what follows is computed in f32.
    pub(super) fn widen(&mut self, path: &str, x: &Value) -> Value {
        if x.elem_type == FLOAT16 { self.cast(path, x, FLOAT) } else { x.clone() }
    }

    /// An f32 value in the type of the network: the end of what [`GraphBuilder::widen`] began.
    pub(super) fn narrow(&mut self, path: &str, x: &Value) -> Value {
        if x.elem_type == self.float { x.clone() } else { self.cast(path, x, self.float) }
    }

    fn cast(&mut self, path: &str, x: &Value, to: i32) -> Value {
        let attribute = vec![AttributeProto::int("to", i64::from(to))];
        self.node("Cast", path, &[x], attribute, (to, x.shape.clone()))
    }

    /// The same values in another shape.
    pub(super) fn reshape(&mut self, path: &str, x: &Value, shape: &[usize]) -> Value {
        let list = self.list(&dims(shape));
        self.node("Reshape", path, &[x, &list], vec![], (x.elem_type, shape.to_vec()))
    }

    /// Output axis i is input axis `order[i]`.
    pub(super) fn transpose(&mut self, path: &str, x: &Value, order: &[usize]) -> Value {
        let shape = order.iter().map(|&axis| x.shape[axis]).collect();
        let perm = vec![AttributeProto::ints("perm", &dims(order))];
        self.node("Transpose", path, &[x], perm, (x.elem_type, shape))
    }

    /// The values one after the other along `axis`.
    pub(super) fn concat(&mut self, path: &str, values: &[&Value], axis: usize) -> Value {
        let mut shape = values[0].shape.clone();
        shape[axis] = values.iter().map(|value| value.shape[axis]).sum();
        let attributes = vec![AttributeProto::int("axis", signed(axis))];
        self.node("Concat", path, values, attributes, (values[0].elem_type, shape))
    }

    /// One value per entry of axis 0, each keeping that axis with extent 1.
    pub(super) fn split_rows(&mut self, path: &str, x: &Value) -> Vec<Value> {
        let rows = x.shape[0];
        if rows == 1 {
            return vec![x.clone()];
        }
        let sizes = self.list(&vec![1; rows]);
        let name = self.unique(&format!("{path}/Split"));
        let mut shape = x.shape.clone();
        shape[0] = 1;
        let values: Vec<Value> = (0..rows)
            .map(|row| Value {
                name: self.unique(&format!("{name}.{row}")),
                shape: shape.clone(),
                elem_type: x.elem_type,
            })
            .collect();
        self.value_info.extend(values.iter().map(Value::info));
        self.nodes.push(NodeProto {
            input: vec![x.name.clone(), sizes.name],
            output: values.iter().map(|value| value.name.clone()).collect(),
            name,
            op_type: "Split".into(),
            attribute: vec![AttributeProto::int("axis", 0)],
            ..NodeProto::default()
        });
        values
    }

    /// Rows (entries of axis 0) of `table` at `index`.
    pub(super) fn gather_rows(&mut self, path: &str, table: &Value, index: &Value) -> Value {
        let shape = [&index.shape[..], &table.shape[1..]].concat();
        let axis = vec![AttributeProto::int("axis", 0)];
        self.node("Gather", path, &[table, index], axis, (table.elem_type, shape))
    }

    /// Sum over `axes`, which stay with extent 1.
    pub(super) fn sum_over(&mut self, path: &str, x: &Value, axes: &[usize]) -> Value {
        let list = self.list(&dims(axes));
        let mut shape = x.shape.clone();
        for &axis in axes {
            shape[axis] = 1;
        }
        let keep = vec![AttributeProto::int("keepdims", 1)];
        self.node("ReduceSum", path, &[x, &list], keep, (x.elem_type, shape))
    }

    /// Euclidean norm over the last axis, which stays with extent 1.
    pub(super) fn norm_over_last(&mut self, path: &str, x: &Value) -> Value {
        let mut shape = x.shape.clone();
        let last = shape.len() - 1;
        shape[last] = 1;
        // Before opset 18 the axes of this reduction are an attribute.
        let attributes =
            vec![AttributeProto::ints("axes", &[signed(last)]), AttributeProto::int("keepdims", 1)];
        self.node("ReduceL2", path, &[x], attributes, (x.elem_type, shape))
    }

    /// Softmax over `axis`.
    pub(super) fn softmax(&mut self, path: &str, x: &Value, axis: usize) -> Value {
        let attributes = vec![AttributeProto::int("axis", signed(axis))];
        self.node("Softmax", path, &[x], attributes, (x.elem_type, x.shape.clone()))
    }

    /// Matrix product of the last two axes; the axes before them are equal.
    pub(super) fn matmul(&mut self, path: &str, a: &Value, b: &Value) -> Value {
        let mut shape = a.shape.clone();
        shape[a.shape.len() - 1] = b.shape[b.shape.len() - 1];
        self.node("MatMul", path, &[a, b], vec![], (a.elem_type, shape))
    }

    /// Mean over the spatial axes, which stay with extent 1.
    pub(super) fn global_average(&mut self, path: &str, x: &Value) -> Value {
        let mut shape = x.shape.clone();
        shape[2..].fill(1);
        self.node("GlobalAveragePool", path, &[x], vec![], (x.elem_type, shape))
    }

    /// Mean over blocks of `kernel` voxels; a partial block at the end is dropped.
    pub(super) fn average_blocks(&mut self, path: &str, x: &Value, kernel: &[usize]) -> Value {
        let mut shape = x.shape.clone();
        for (extent, block) in shape[2..].iter_mut().zip(kernel) {
            *extent /= block;
        }
        let attributes = vec![
            AttributeProto::ints("kernel_shape", &dims(kernel)),
            AttributeProto::ints("strides", &dims(kernel)),
        ];
        self.node("AveragePool", path, &[x], attributes, (x.elem_type, shape))
    }

    /// Bilinear interpolation to `height` x `width`; nothing when the size is that already.
    pub(super) fn resize(
        &mut self,
        path: &str,
        x: &Value,
        [height, width]: [usize; 2],
        alignment: Alignment,
    ) -> Value {
        let shape = vec![x.shape[0], x.shape[1], height, width];
        if x.shape == shape {
            return x.clone();
        }
        let sizes = self.list(&dims(&shape));
        let mode = match alignment {
            Alignment::Corners => "align_corners",
            Alignment::Areas => "half_pixel",
        };
        let attributes = vec![
            AttributeProto::string("coordinate_transformation_mode", mode),
            AttributeProto::string("mode", "linear"),
        ];
        // Region of interest and scales are not given.
        let inputs = [x.name.as_str(), "", "", &sizes.name];
        self.named_node("Resize", path, &inputs, attributes, (x.elem_type, shape))
    }
}

/// Which places of two images of different sizes are the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Alignment {
    /// The corner pixels' centres (`PyTorch`'s `align_corners=True`).
    Corners,
    /// The outlines (`align_corners=False`).
    Areas,
}

impl Value {
    /// The last `n` extents.
    pub(super) fn trailing<const N: usize>(&self) -> [usize; N] {
        *self.shape.last_chunk().expect("the caller knows the rank of the values it made")
    }

    fn info(&self) -> ValueInfoProto {
        ValueInfoProto::tensor(&self.name, self.elem_type, &dims(&self.shape))
    }
}

/// Distinguishes shared constants of different types; f32 ones, the common case, have none.
fn suffix(elem_type: i32) -> &'static str {
    if elem_type == FLOAT16 { "_f16" } else { "" }
}

/// Constants whose values are known to be representable.
fn floats(name: &str, dims: &[i64], values: &[f32], elem_type: i32) -> TensorProto {
    if elem_type == FLOAT16 {
        TensorProto::from_f16(name, dims, values)
    } else {
        TensorProto::from_f32(name, dims, values)
    }
}

fn broadcast(a: &[usize], b: &[usize]) -> Vec<usize> {
    let rank = a.len().max(b.len());
    let extent = |shape: &[usize], axis: usize| {
        (axis + shape.len()).checked_sub(rank).map_or(1, |axis| shape[axis])
    };
    (0..rank).map(|axis| extent(a, axis).max(extent(b, axis))).collect()
}

fn joined<T: ToString>(values: &[T]) -> String {
    values.iter().map(ToString::to_string).collect::<Vec<_>>().join("_")
}

pub(super) fn dims(extents: &[usize]) -> Vec<i64> {
    extents.iter().map(|&extent| signed(extent)).collect()
}

pub(super) fn signed(extent: usize) -> i64 {
    i64::try_from(extent).expect("extents of a validated preset are far below 2^63")
}
