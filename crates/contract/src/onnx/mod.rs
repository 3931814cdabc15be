//! The ONNX container, as far as an exported network uses it.
//!
//! The messages are written by hand from the field numbers of `onnx.proto` (ONNX 1.12, IR version 8,
//! Apache-2.0), so that no `.proto` file and no `protoc` is needed. Parts that no exported network
//! contains (training graphs, model-local functions, sparse initializers, quantisation annotations)
//! are kept as opaque bytes: they survive a decode and encode, and [`ModelProto::from_bytes`] refuses
//! those that would change what the network computes instead of running without them.
//!
//! Constants may lie in a file beside the model (ONNX external data): [`ModelFile::read`] brings them
//! in, [`ModelProto::write_external`] puts them there.
//!
//! Encoding is deterministic: fields in the order of their numbers, no maps. The same model gives the
//! same bytes everywhere.

mod file;
mod read;
mod tensor;
mod write;

pub use file::{MAX_EXTERNAL_BYTES, ModelFile, sha256};
pub use read::{MAX_MODEL_BYTES, OnnxError};
pub use tensor::TensorError;

use prost::Message;

/// A model: a graph, the operator sets it is written in, and metadata.
#[derive(Clone, PartialEq, Message)]
pub struct ModelProto {
    /// Version of the container; 8 belongs to opset 17.
    #[prost(int64, tag = "1")]
    pub ir_version: i64,
    /// Operator sets that the nodes come from.
    #[prost(message, repeated, tag = "8")]
    pub opset_import: Vec<OperatorSetIdProto>,
    /// Program that wrote the file.
    #[prost(string, tag = "2")]
    pub producer_name: String,
    /// Version of that program.
    #[prost(string, tag = "3")]
    pub producer_version: String,
    /// Reverse domain name of the model's namespace.
    #[prost(string, tag = "4")]
    pub domain: String,
    /// Version of the model itself.
    #[prost(int64, tag = "5")]
    pub model_version: i64,
    /// For people.
    #[prost(string, tag = "6")]
    pub doc_string: String,
    /// The computation.
    #[prost(message, optional, tag = "7")]
    pub graph: Option<GraphProto>,
    /// Named strings; the contract lives here under [`crate::METADATA_KEY`].
    #[prost(message, repeated, tag = "14")]
    pub metadata_props: Vec<StringStringEntryProto>,
    /// Opaque; refused when reading.
    #[prost(bytes = "vec", repeated, tag = "20")]
    pub training_info: Vec<Vec<u8>>,
    /// Opaque model-local functions; refused when reading.
    #[prost(bytes = "vec", repeated, tag = "25")]
    pub functions: Vec<Vec<u8>>,
}

/// A graph: nodes in an order in which they can run, constants, declared inputs and outputs.
#[derive(Clone, PartialEq, Message)]
pub struct GraphProto {
    /// Topologically sorted.
    #[prost(message, repeated, tag = "1")]
    pub node: Vec<NodeProto>,
    /// For people.
    #[prost(string, tag = "2")]
    pub name: String,
    /// Constants by name.
    #[prost(message, repeated, tag = "5")]
    pub initializer: Vec<TensorProto>,
    /// For people.
    #[prost(string, tag = "10")]
    pub doc_string: String,
    /// Inputs that a caller provides.
    #[prost(message, repeated, tag = "11")]
    pub input: Vec<ValueInfoProto>,
    /// Outputs that a caller receives.
    #[prost(message, repeated, tag = "12")]
    pub output: Vec<ValueInfoProto>,
    /// Types of values between nodes; optional.
    #[prost(message, repeated, tag = "13")]
    pub value_info: Vec<ValueInfoProto>,
    /// Opaque; annotations that do not change values.
    #[prost(bytes = "vec", repeated, tag = "14")]
    pub quantization_annotation: Vec<Vec<u8>>,
    /// Opaque; refused when reading.
    #[prost(bytes = "vec", repeated, tag = "15")]
    pub sparse_initializer: Vec<Vec<u8>>,
}

/// One operator applied to named values.
#[derive(Clone, PartialEq, Message)]
pub struct NodeProto {
    /// Names of its inputs; an empty name is an omitted optional input.
    #[prost(string, repeated, tag = "1")]
    pub input: Vec<String>,
    /// Names of its outputs.
    #[prost(string, repeated, tag = "2")]
    pub output: Vec<String>,
    /// Unique in the graph.
    #[prost(string, tag = "3")]
    pub name: String,
    /// The operator.
    #[prost(string, tag = "4")]
    pub op_type: String,
    /// Its parameters.
    #[prost(message, repeated, tag = "5")]
    pub attribute: Vec<AttributeProto>,
    /// For people.
    #[prost(string, tag = "6")]
    pub doc_string: String,
    /// Operator set of the operator; empty is ONNX's own.
    #[prost(string, tag = "7")]
    pub domain: String,
}

impl NodeProto {
    /// The attribute named `name`.
    pub fn attribute(&self, name: &str) -> Option<&AttributeProto> {
        self.attribute.iter().find(|attribute| attribute.name == name)
    }
}

/// A named parameter of a node: one value of the type that `type` says.
#[derive(Clone, PartialEq, Message)]
pub struct AttributeProto {
    /// Its name.
    #[prost(string, tag = "1")]
    pub name: String,
    /// One float.
    #[prost(float, optional, tag = "2")]
    pub f: Option<f32>,
    /// One integer.
    #[prost(int64, optional, tag = "3")]
    pub i: Option<i64>,
    /// One string, UTF-8.
    #[prost(bytes = "vec", optional, tag = "4")]
    pub s: Option<Vec<u8>>,
    /// One tensor.
    #[prost(message, optional, tag = "5")]
    pub t: Option<TensorProto>,
    /// One graph (the body of a control-flow operator).
    #[prost(message, optional, tag = "6")]
    pub g: Option<GraphProto>,
    /// Floats.
    #[prost(float, repeated, packed = "false", tag = "7")]
    pub floats: Vec<f32>,
    /// Integers.
    #[prost(int64, repeated, packed = "false", tag = "8")]
    pub ints: Vec<i64>,
    /// Strings.
    #[prost(bytes = "vec", repeated, tag = "9")]
    pub strings: Vec<Vec<u8>>,
    /// Which of the fields is the value: [`attribute_type`].
    #[prost(int32, tag = "20")]
    pub r#type: i32,
}

impl AttributeProto {
    /// An integer attribute.
    pub fn int(name: &str, value: i64) -> Self {
        Self { name: name.into(), i: Some(value), r#type: attribute_type::INT, ..Self::default() }
    }

    /// A float attribute.
    pub fn float(name: &str, value: f32) -> Self {
        Self { name: name.into(), f: Some(value), r#type: attribute_type::FLOAT, ..Self::default() }
    }

    /// A string attribute.
    pub fn string(name: &str, value: &str) -> Self {
        Self {
            name: name.into(),
            s: Some(value.as_bytes().to_vec()),
            r#type: attribute_type::STRING,
            ..Self::default()
        }
    }

    /// An attribute that is a list of integers.
    pub fn ints(name: &str, values: &[i64]) -> Self {
        Self {
            name: name.into(),
            ints: values.to_vec(),
            r#type: attribute_type::INTS,
            ..Self::default()
        }
    }
}

/// Values of [`AttributeProto::type`](AttributeProto#structfield.type).
pub mod attribute_type {
    /// `f`.
    pub const FLOAT: i32 = 1;
    /// `i`.
    pub const INT: i32 = 2;
    /// `s`.
    pub const STRING: i32 = 3;
    /// `t`.
    pub const TENSOR: i32 = 4;
    /// `g`.
    pub const GRAPH: i32 = 5;
    /// `floats`.
    pub const FLOATS: i32 = 6;
    /// `ints`.
    pub const INTS: i32 = 7;
    /// `strings`.
    pub const STRINGS: i32 = 8;
}

/// A constant tensor, row-major.
///
/// Its values are in `raw_data` (little endian) or in the field of its type; [`TensorProto::to_f32`]
/// and [`TensorProto::to_i64`] read either.
#[derive(Clone, PartialEq, Message)]
pub struct TensorProto {
    /// Extents; none for a scalar.
    #[prost(int64, repeated, packed = "false", tag = "1")]
    pub dims: Vec<i64>,
    /// Element type: [`data_type`].
    #[prost(int32, tag = "2")]
    pub data_type: i32,
    /// Values of type `FLOAT`.
    #[prost(float, repeated, tag = "4")]
    pub float_data: Vec<f32>,
    /// Values of type `INT32` and narrower integers.
    #[prost(int32, repeated, tag = "5")]
    pub int32_data: Vec<i32>,
    /// Values of type `STRING`.
    #[prost(bytes = "vec", repeated, tag = "6")]
    pub string_data: Vec<Vec<u8>>,
    /// Values of type `INT64`.
    #[prost(int64, repeated, tag = "7")]
    pub int64_data: Vec<i64>,
    /// Its name.
    #[prost(string, tag = "8")]
    pub name: String,
    /// Values of any type, little endian.
    #[prost(bytes = "vec", tag = "9")]
    pub raw_data: Vec<u8>,
    /// Values of type `DOUBLE`.
    #[prost(double, repeated, tag = "10")]
    pub double_data: Vec<f64>,
    /// Values of type `UINT64` and `UINT32`.
    #[prost(uint64, repeated, tag = "11")]
    pub uint64_data: Vec<u64>,
    /// For people.
    #[prost(string, tag = "12")]
    pub doc_string: String,
    /// Where the values are when they are not in this file: `location`, `offset`, `length`.
    #[prost(message, repeated, tag = "13")]
    pub external_data: Vec<StringStringEntryProto>,
    /// 1: the values are in another file.
    #[prost(int32, tag = "14")]
    pub data_location: i32,
}

/// Element types, `TensorProto.DataType` of ONNX.
pub mod data_type {
    /// `f32`.
    pub const FLOAT: i32 = 1;
    /// `u8`.
    pub const UINT8: i32 = 2;
    /// `i8`.
    pub const INT8: i32 = 3;
    /// `i32`.
    pub const INT32: i32 = 6;
    /// `i64`.
    pub const INT64: i32 = 7;
    /// `bool`.
    pub const BOOL: i32 = 9;
    /// IEEE half precision.
    pub const FLOAT16: i32 = 10;
    /// `f64`.
    pub const DOUBLE: i32 = 11;
}

/// A named value with its type.
#[derive(Clone, PartialEq, Message)]
pub struct ValueInfoProto {
    /// Its name.
    #[prost(string, tag = "1")]
    pub name: String,
    /// Its type.
    #[prost(message, optional, tag = "2")]
    pub r#type: Option<TypeProto>,
    /// For people.
    #[prost(string, tag = "3")]
    pub doc_string: String,
}

impl ValueInfoProto {
    /// A tensor with a static shape.
    pub fn tensor(name: &str, elem_type: i32, shape: &[i64]) -> Self {
        let dim = shape
            .iter()
            .map(|&extent| Dimension { dim_value: Some(extent), ..Dimension::default() });
        Self {
            name: name.into(),
            r#type: Some(TypeProto {
                tensor_type: Some(TensorTypeProto {
                    elem_type,
                    shape: Some(TensorShapeProto { dim: dim.collect() }),
                }),
            }),
            doc_string: String::new(),
        }
    }

    /// Element type and extents, if this is a tensor whose extents are all known.
    pub fn static_tensor(&self) -> Option<(i32, Vec<i64>)> {
        let tensor = self.r#type.as_ref()?.tensor_type.as_ref()?;
        let dims: Option<Vec<i64>> =
            tensor.shape.as_ref()?.dim.iter().map(|dim| dim.dim_value).collect();
        Some((tensor.elem_type, dims?))
    }
}

/// The type of a value; `None` for the kinds other than a dense tensor.
#[derive(Clone, PartialEq, Message)]
pub struct TypeProto {
    /// A dense tensor.
    #[prost(message, optional, tag = "1")]
    pub tensor_type: Option<TensorTypeProto>,
}

/// Element type and shape of a dense tensor.
#[derive(Clone, PartialEq, Message)]
pub struct TensorTypeProto {
    /// [`data_type`].
    #[prost(int32, tag = "1")]
    pub elem_type: i32,
    /// `None`: unknown rank.
    #[prost(message, optional, tag = "2")]
    pub shape: Option<TensorShapeProto>,
}

/// A shape.
#[derive(Clone, PartialEq, Message)]
pub struct TensorShapeProto {
    /// Outermost first.
    #[prost(message, repeated, tag = "1")]
    pub dim: Vec<Dimension>,
}

/// One extent of a shape: a number, a name, or unknown.
#[derive(Clone, PartialEq, Message)]
pub struct Dimension {
    /// A static extent.
    #[prost(int64, optional, tag = "1")]
    pub dim_value: Option<i64>,
    /// A symbolic extent.
    #[prost(string, optional, tag = "2")]
    pub dim_param: Option<String>,
}

/// An operator set and its version.
#[derive(Clone, PartialEq, Eq, Message)]
pub struct OperatorSetIdProto {
    /// Empty: ONNX's own operators.
    #[prost(string, tag = "1")]
    pub domain: String,
    /// Its version.
    #[prost(int64, tag = "2")]
    pub version: i64,
}

/// A named string.
#[derive(Clone, PartialEq, Eq, Message)]
pub struct StringStringEntryProto {
    /// Its name.
    #[prost(string, tag = "1")]
    pub key: String,
    /// Its value.
    #[prost(string, tag = "2")]
    pub value: String,
}
