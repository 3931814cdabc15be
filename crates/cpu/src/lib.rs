//! Runs an exported network on the CPU.
//!
//! [`Network`] is one ONNX graph. Most of its operators are run by the crate `rten`, which is pure Rust
//! and multi-threaded; it has no three-dimensional operators, so [`lower`] writes those in two
//! dimensions. Most of its arithmetic is done by our own kernels: convolutions with three taps along
//! every axis are taken out of the graph, and the parts between them run one after another. This crate
//! knows tensors by name, and nothing of cameras, contracts of networks or grids: the runtime's engine
//! and the companion's `verify` both stand on it.
//!
//! | module | job |
//! |---|---|
//! | `network` | loading, binding what stays the same, running |
//! | `tensor` | what goes in and comes out |
//! | `widen` | half-precision networks in single precision |
//! | `allowance` | how much memory may be made of constants |
//! | `split` | taking convolutions out of a graph, cutting it at them |
//! | `stage` | running the parts and the convolutions between them |
//! | `spare` | memory for the next values |
//! | `winograd` | those convolutions |
//! | [`lower`] | 3-D operators as 2-D ones; the [`Shapes`] of a graph's values |
//!
//! # Example
//!
//! ```
//! use occdepth_contract::onnx::{
//!     GraphProto, ModelProto, NodeProto, OperatorSetIdProto, ValueInfoProto, data_type,
//! };
//! use occdepth_cpu::{Input, Network, Values};
//!
//! // y = a + b, of two values each.
//! let declared = |name| ValueInfoProto::tensor(name, data_type::FLOAT, &[2]);
//! let model = ModelProto {
//!     ir_version: 8,
//!     opset_import: vec![OperatorSetIdProto { domain: String::new(), version: 17 }],
//!     graph: Some(GraphProto {
//!         node: vec![NodeProto {
//!             op_type: "Add".into(),
//!             name: "sum".into(),
//!             input: vec!["a".into(), "b".into()],
//!             output: vec!["y".into()],
//!             ..NodeProto::default()
//!         }],
//!         input: vec![declared("a"), declared("b")],
//!         output: vec![declared("y")],
//!         ..GraphProto::default()
//!     }),
//!     ..ModelProto::default()
//! };
//! let mut network = Network::load(model, "sum.onnx", Some(1))?;
//!
//! // `b` is the same in every run, `a` is not.
//! network.bind(&[Input { name: "b", shape: &[2], values: Values::F32(&[10.0, 20.0]) }])?;
//! let a = Input { name: "a", shape: &[2], values: Values::F32(&[1.0, 2.0]) };
//! let outputs = network.run(&[a], &["y"])?;
//! assert_eq!(outputs[0].values(), Values::F32(&[11.0, 22.0]));
//! # Ok::<(), occdepth_cpu::CpuError>(())
//! ```
#![forbid(unsafe_code)]

mod allowance;
mod error;
pub mod lower;
mod network;
mod spare;
mod split;
mod stage;
mod tensor;
mod widen;
mod winograd;

pub use error::CpuError;
pub use lower::shapes::Shapes;
pub use network::{MAX_THREADS, Network, OwnKernels};
pub use tensor::{Input, Output, Values};
