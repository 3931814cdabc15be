//! The CUDA edge of occdepth: everything that touches the driver, device memory and kernels, behind an interface that is
//! safe.
//!
//! # Design
//!
//! [`FramePath`] takes camera pixels and gives labels; in between, nothing leaves the GPU. It knows nothing of rigs,
//! contracts or rings: the runtime computes plain tables ([`RectifyPlan`], [`LabelPlan`]) and binds the network's other
//! inputs. Its network is a [`DeviceNetwork`], which is `TensorRT`'s in the product.
//!
//! | module | job |
//! |---|---|
//! | `driver` | the driver's functions, looked up by name: no driver, or an old one, is an error and never a panic |
//! | `device`, `context`, `memory`, `stream` | one CUDA object each, freed when dropped |
//! | `nvrtc`, `cache`, `module` | kernels: compiled for the device at first use, kept, loaded |
//! | `kernels` | the two kernels (CUDA C++ in `kernels/`) and their parameters |
//! | `frame` | the frame path: buffers, slots, the graph, recovery |
//!
//! # Soundness
//!
//! Every piece of work is queued on streams that a session owns, with addresses of buffers that it owns, and its streams are
//! drained before the buffers are freed. Kernels get their sizes from the same plan as the buffers; plans are checked
//! where they are taken, so that no table entry leads outside. Host memory is a slice only while no queued work uses it.
//!
//! # What has not been shown
//!
//! Not yet run on a device: the tests run the kernels, compiled for the host, behind a driver that is not real. What needs
//! a GPU is skipped by name where there is none.
#![deny(unsafe_code)]

mod cache;
mod context;
mod device;
mod driver;
mod error;
mod frame;
mod kernels;
mod memory;
mod module;
mod nvrtc;
mod stream;

pub use cache::KernelCache;
pub use context::Context;
pub use device::Device;
pub use error::{CudaError, MINIMUM_CUDA};
pub use frame::{
    CameraImage, DeviceNetwork, FrameOptions, FramePath, FrameTimes, GraphUse, InputValues,
    LayerTime, LayerTimes, MemoryUse, NetworkSource, PlanSource, ReadPlan, Tensor, ValueKind,
};
pub use kernels::{
    CameraFormat, LabelPlan, NO_SAMPLE, RectifyPlan, YuvCoefficients, sample, variants,
};
pub use module::KernelSource;
pub use nvrtc::{Compiled, Nvrtc, Source};
