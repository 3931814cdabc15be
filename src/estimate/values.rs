//! What each value of a graph is.

use crate::board::Precision;
use occdepth_contract::onnx::{GraphProto, NodeProto, TensorProto, data_type};
use occdepth_cpu::Shapes;
use serde::Serialize;
use std::collections::{HashMap, HashSet};
use std::iter::Sum;
use std::ops::Add;

/// Numbers in memory. Those that a network computes with take what the precision says; indices and truth
/// values keep their own width.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Amount {
    /// Floating-point numbers.
    pub floats: u64,
    /// Bytes of all others.
    pub fixed_bytes: u64,
}

impl Amount {
    /// Bytes in a precision.
    pub fn bytes(self, precision: Precision) -> u64 {
        self.floats.saturating_mul(precision.bytes()).saturating_add(self.fixed_bytes)
    }
}

impl Add for Amount {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self {
            floats: self.floats.saturating_add(other.floats),
            fixed_bytes: self.fixed_bytes.saturating_add(other.fixed_bytes),
        }
    }
}

impl Sum for Amount {
    fn sum<I: Iterator<Item = Self>>(amounts: I) -> Self {
        amounts.fold(Self::default(), Add::add)
    }
}

/// How wide the elements of a value are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Width {
    /// What the precision says.
    Float,
    /// Bytes.
    Fixed(u64),
}

/// The values of a graph.
pub(super) struct Values<'a> {
    pub(super) shapes: Shapes<'a>,
    widths: HashMap<&'a str, Width>,
    /// Values that are another one under another name or shape.
    roots: HashMap<&'a str, &'a str>,
    /// Values that are the same in every frame.
    constants: HashSet<&'a str>,
}

impl<'a> Values<'a> {
    pub(super) fn new(graph: &'a GraphProto) -> Self {
        let mut values = Self {
            shapes: Shapes::new(graph),
            widths: HashMap::new(),
            roots: HashMap::new(),
            constants: HashSet::new(),
        };
        for input in &graph.input {
            if let Some((element, _)) = input.static_tensor() {
                values.widths.insert(&input.name, width(element));
            }
        }
        for constant in &graph.initializer {
            values.constant(&constant.name, constant);
        }
        for node in &graph.node {
            values.widths_of(node);
        }
        values
    }

    /// Makes `name` the same value as `of`, under another name or shape.
    pub(super) fn alias(&mut self, name: &'a str, of: &'a str) {
        let root = self.root(of);
        self.roots.insert(name, root);
        if self.constants.contains(root) {
            self.constants.insert(name);
        }
    }

    /// Marks a value that is the same in every frame.
    pub(super) fn make_constant(&mut self, name: &'a str) {
        self.constants.insert(name);
    }

    /// The value that `name` is, through views.
    pub(super) fn root<'b>(&self, name: &'b str) -> &'b str
    where
        'a: 'b,
    {
        self.roots.get(name).copied().unwrap_or(name)
    }

    pub(super) fn is_constant(&self, name: &str) -> bool {
        self.constants.contains(name)
    }

    /// Number of elements.
    pub(super) fn count(&self, name: &str) -> Option<u64> {
        Some(self.shapes.of(name)?.iter().product::<usize>() as u64)
    }

    /// `count` elements of a value.
    pub(super) fn amount_of(&self, name: &str, count: u64) -> Amount {
        match self.widths.get(name).copied().unwrap_or(Width::Float) {
            Width::Float => Amount { floats: count, fixed_bytes: 0 },
            Width::Fixed(bytes) => Amount { floats: 0, fixed_bytes: count.saturating_mul(bytes) },
        }
    }

    /// All elements of a value; nothing where its shape is unknown.
    pub(super) fn amount(&self, name: &str) -> Amount {
        self.amount_of(name, self.count(name).unwrap_or(0))
    }

    fn constant(&mut self, name: &'a str, constant: &TensorProto) {
        self.widths.insert(name, width(constant.data_type));
        self.constants.insert(name);
    }

    fn widths_of(&mut self, node: &'a NodeProto) {
        if node.op_type == "Constant" {
            let value = node.attribute("value").and_then(|value| value.t.as_ref());
            if let (Some(value), [output]) = (value, node.output.as_slice()) {
                self.constant(output, value);
            }
            return;
        }
        let input = |position: usize| {
            let width = node.input.get(position).and_then(|name| self.widths.get(name.as_str()));
            width.copied().unwrap_or(Width::Float)
        };
        let width = match node.op_type.as_str() {
            "And" | "Equal" | "Greater" | "GreaterOrEqual" | "IsNaN" | "Less" | "LessOrEqual"
            | "Not" | "Or" | "QuantizeLinear" | "Xor" => Width::Fixed(1),
            "ArgMax" | "ArgMin" | "NonZero" | "Shape" | "Size" => Width::Fixed(8),
            "Cast" => {
                let to =
                    node.attribute("to").and_then(|to| to.i).and_then(|to| i32::try_from(to).ok());
                to.map_or(Width::Float, width)
            }
            "DequantizeLinear" => Width::Float,
            "Where" => input(1),
            _ => input(0),
        };
        for output in node.output.iter().filter(|name| !name.is_empty()) {
            self.widths.insert(output, width);
        }
    }
}

/// How wide elements of an ONNX type are (`TensorProto.DataType`).
fn width(element: i32) -> Width {
    match element {
        data_type::UINT8 | data_type::INT8 | data_type::BOOL => Width::Fixed(1),
        4 | 5 => Width::Fixed(2), // u16, i16
        data_type::INT32 | 12 => Width::Fixed(4),
        data_type::INT64 | 13 => Width::Fixed(8),
        _ => Width::Float,
    }
}
