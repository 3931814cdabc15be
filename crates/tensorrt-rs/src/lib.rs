//! A safe binding to whatever TensorRT the machine has, from 8.5 to 11, loaded at run time.
//!
//! # Design
//!
//! `libnvinfer.so` exports a handful of C functions; the objects that they return are of C++ classes, with virtual tables
//! of the Itanium ABI. This crate calls through those tables and needs neither headers nor a C++ compiler nor
//! a library at build time: one program runs with the TensorRT of every `JetPack` from 5.1 on, and on a machine
//! without TensorRT says so. Within a major version no method ever moved, between majors nearly all did, so
//! there are four sets of tables ([`table`]) behind one API, and what a version lacks is an error that names
//! it ([`Unsupported`]).
//!
//! # Example
//!
//! ```no_run
//! use tensorrt_rs::{Builder, BuilderFlag, MemoryPool, NetworkTyping, Runtime, Search, TensorRt};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let tensorrt = TensorRt::load(&Search::default())?;
//! println!("TensorRT {} of {}", tensorrt.version(), tensorrt.path().display());
//!
//! // Build, in one thread.
//! let builder = Builder::new(tensorrt)?;
//! let mut network = builder.create_network(NetworkTyping::Weak)?;
//! let onnx = std::fs::read("network.onnx")?;
//! network.onnx_parser()?.parse(&onnx, Some("network.onnx".as_ref()))?;
//! let mut config = builder.create_config()?;
//! config.set_flag(BuilderFlag::Tf32, false)?;
//! config.set_memory_pool_limit(MemoryPool::Workspace, 1 << 30)?;
//! let plan = builder.build_serialized(&network, &mut config)?;
//!
//! // Run, in any.
//! let runtime = Runtime::new(tensorrt)?;
//! let engine = runtime.deserialize(&plan)?;
//! for tensor in engine.io_tensors()? {
//!     println!("{} {} {:?}", tensor.display_name(), tensor.shape, tensor.data_type);
//! }
//! let context = engine.create_context()?;
//! # Ok(())
//! # }
//! ```
//!
//! # What exists in which version
//!
//! | | 8.5 | 8.6 | 10.x | 11.x |
//! |---|---|---|---|---|
//! | in `JetPack` | 5.1 | 6.0 | 6.1, 6.2 (10.3), 7 (10.13) | |
//! | weakly typed networks, [`BuilderFlag::Fp16`], [`BuilderFlag::Int8`], [`Layer::set_precision`], [`Tensor::set_data_type`] | yes | yes | yes | |
//! | strongly typed networks | | | yes | always |
//! | [`BuilderConfig::set_optimization_level`], [`BuilderConfig::set_hardware_compatibility`], [`BuilderConfig::set_max_aux_streams`] | | yes | yes | yes |
//! | [`Runtime::set_engine_host_code_allowed`], [`Runtime::set_temporary_directory`], [`BuilderFlag::VersionCompatible`] | | yes | yes | yes |
//! | [`OnnxParser::set_flag`] | | yes | yes | yes |
//! | [`BuilderConfig::set_progress_monitor`] | | | yes | yes |
//! | name and operator of a node in [`ParserError`] | | | yes | yes |
//! | [`Builder::platform_has_fast_fp16`] | yes | yes | yes | |
//! | extents of [`Dims`] | 32 bits | 32 bits | 64 bits | 64 bits |
//! | DLA | yes | yes | until 10.7 | |
//!
//! 9.x (never on Jetson) and 12 and later are refused by name, as is what is older than 8.5.
//!
//! `TensorRT` for RTX 1.7 and later 1.x, NVIDIA's library for the GPUs of PCs, is bound as well, as it has all but two of the
//! slots of 11: it is taken where it is asked for ([`Search::allow_rtx`]) or named. What 11 has it has, without DLA.
//!
//! # Messages
//!
//! TensorRT has one logger for the process; it goes to the [`log`] facade with the target `tensorrt`: errors
//! as errors, warnings as warnings, information as debug, the rest as trace. The errors that a call logged are
//! also in the error that it returns ([`TensorRtError::messages`]).
//!
//! # What has been run where
//!
//! The calls are tested against fake libraries of eight versions, whose C++ classes are made from a list of
//! slots that is independent of this crate's tables; loading, versions and the logger against NVIDIA's lean
//! runtimes 10.16 and 11.4. NVIDIA's own parser and builder are run in `TensorRT` for RTX 1.7 (`tests/rtx.rs`), which needs no
//! GPU for that: parsing, errors, networks, configurations, profiles, progress, cancelling, timing caches and plans, through
//! 280 of the 282 entries of the tables of 11. The builders of `TensorRT` 8.x to 11.x themselves, and engines on a Jetson, are
//! not yet run on a device.
#![allow(unsafe_code, reason = "calling C++ through its virtual tables is what this crate is for")]

#[cfg(not(all(target_os = "linux", any(target_arch = "x86_64", target_arch = "aarch64"))))]
compile_error!("TensorRT's virtual tables are known for Linux on x86_64 and aarch64 only");

pub mod abi;
pub mod build;
mod callback;
pub mod cuda;
mod dims;
mod enums;
mod error;
mod library;
mod object;
pub mod runtime;
pub mod table;
mod version;

pub use build::{
    Builder, BuilderConfig, Layer, Network, NetworkTyping, OnnxParser, OptimizationProfile,
    ParseError, ParserError, Tensor, TimingCache,
};
pub use callback::{Profiler, ProgressMonitor};
pub use cuda::CudaError;
pub use dims::{Dims, MAX_DIMS};
pub use enums::{
    BuilderFlag, DataType, DeviceType, HardwareCompatibility, InformationFormat, LayerType,
    MemoryPool, ParserErrorCode, ParserFlag, ProfileSelector, ProfilingVerbosity, TacticSource,
    TensorFormat, TensorIoMode,
};
pub use error::{Availability, Failure, TensorRtError, Unsupported};
pub use library::{Feature, LoadError, ParserLoadError, Rejected, Rejection, Search, TensorRt};
pub use runtime::{Engine, EngineInspector, ExecutionContext, HostMemory, IoTensor, Runtime};
pub use version::{Major, Version};
