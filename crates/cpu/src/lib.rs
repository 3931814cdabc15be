//! Runs an exported network on the CPU.
//!
//! [`Network`] is one ONNX graph, loaded by the crate `rten` after a rewriting that it needs: `rten`
//! is pure Rust, multi-threaded and has no three-dimensional operators; [`lower`] writes those in two
//! dimensions. This crate knows tensors by name, and nothing of cameras, contracts of networks or
//! grids: the runtime's engine and the companion's `verify` both stand on it.
//!
//! | module | job |
//! |---|---|
//! | `network` | loading, binding what stays the same, running |
//! | `tensor` | what goes in and comes out |
//! | [`lower`] | 3-D operators as 2-D ones |
//! | `widen` | half-precision networks in single precision |
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

mod error;
pub mod lower;
mod network;
mod split;
mod stage;
mod tensor;
mod widen;
mod winograd;

pub use error::CpuError;
pub use network::{MAX_THREADS, Network};
pub use tensor::{Input, Output, Values};
