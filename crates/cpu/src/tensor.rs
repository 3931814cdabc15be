//! What goes into a network and what comes out.

use rten::{Value, ValueView};
use rten_tensor::TensorView;
use rten_tensor::prelude::*;

/// A named tensor for a network, row-major.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Input<'a> {
    /// As the graph declares it.
    pub name: &'a str,
    /// Extents, outermost first.
    pub shape: &'a [usize],
    /// As many as the shape says.
    pub values: Values<'a>,
}

/// The values of a tensor, row-major.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Values<'a> {
    /// Single precision.
    F32(&'a [f32]),
    /// Integers.
    I32(&'a [i32]),
}

impl<'a> Values<'a> {
    /// How many there are.
    pub fn len(self) -> usize {
        match self {
            Self::F32(values) => values.len(),
            Self::I32(values) => values.len(),
        }
    }

    /// Whether there are none.
    pub fn is_empty(self) -> bool {
        self.len() == 0
    }

    /// "f32" or "i32".
    pub fn dtype(self) -> &'static str {
        match self {
            Self::F32(_) => "f32",
            Self::I32(_) => "i32",
        }
    }

    /// The values, where they are single precision.
    pub fn as_f32(self) -> Option<&'a [f32]> {
        match self {
            Self::F32(values) => Some(values),
            Self::I32(_) => None,
        }
    }

    /// The values, where they are integers.
    pub fn as_i32(self) -> Option<&'a [i32]> {
        match self {
            Self::I32(values) => Some(values),
            Self::F32(_) => None,
        }
    }
}

impl<'a> Input<'a> {
    /// For a shape that fits the values.
    pub(crate) fn view(&self) -> ValueView<'a> {
        match self.values {
            Values::F32(values) => TensorView::from_data(self.shape, values).into(),
            Values::I32(values) => TensorView::from_data(self.shape, values).into(),
        }
    }

    /// For a shape that fits the values.
    pub(crate) fn to_value(self) -> Value {
        self.view().to_owned()
    }
}

/// A tensor that a network computed.
#[derive(Clone, Debug)]
pub struct Output {
    name: String,
    shape: Vec<usize>,
    values: Computed,
}

#[derive(Clone, Debug)]
enum Computed {
    F32(Vec<f32>),
    I32(Vec<i32>),
}

impl Output {
    /// `None` for a value that is neither f32 nor i32.
    pub(crate) fn new(name: &str, value: Value) -> Option<Self> {
        let shape = value.shape().to_vec();
        // Nothing is moved unless the last operator left the values in another order.
        let values = match value {
            Value::FloatTensor(tensor) => Computed::F32(tensor.into_data()),
            Value::Int32Tensor(tensor) => Computed::I32(tensor.into_data()),
            _ => return None,
        };
        Some(Self { name: name.into(), shape, values })
    }

    /// As the graph declares it.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Extents, outermost first.
    pub fn shape(&self) -> &[usize] {
        &self.shape
    }

    /// Row-major.
    pub fn values(&self) -> Values<'_> {
        match &self.values {
            Computed::F32(values) => Values::F32(values),
            Computed::I32(values) => Values::I32(values),
        }
    }
}
