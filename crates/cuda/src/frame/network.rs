//! What the frame path asks of a network: `TensorRT`'s, or a test's.
#![allow(unsafe_code, reason = "a network works on addresses of device memory")]

use crate::context::Context;
use crate::error::CudaError;
use std::ffi::c_void;
use std::sync::Arc;

/// An input or output of a network.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tensor {
    /// Its name in the graph.
    pub name: String,
    /// Whether it is an input.
    pub is_input: bool,
    /// Of its values.
    pub kind: ValueKind,
    /// Values.
    pub values: usize,
}

/// The type of a tensor's values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ValueKind {
    /// Single precision.
    F32,
    /// IEEE half precision.
    F16,
    /// Integers of 32 bits.
    I32,
}

impl ValueKind {
    /// Of one value.
    pub fn bytes(self) -> usize {
        match self {
            Self::F32 | Self::I32 => 4,
            Self::F16 => 2,
        }
    }
}

/// A network that is loaded into a context.
///
/// # Safety
/// An implementation must queue work on the given stream only, which reads no more than the inputs and writes no more than
/// the outputs, each of the size that [`DeviceNetwork::tensors`] says; it must not change that answer.
pub unsafe trait DeviceNetwork: Send {
    /// Its inputs and outputs. Shapes are static.
    fn tensors(&self) -> &[Tensor];

    /// Says where tensor `nth` lies.
    ///
    /// # Safety
    /// `address` must be of device memory that holds the tensor and outlives every run, until the next call.
    ///
    /// # Errors
    /// When the network refuses the address.
    unsafe fn set_address(&mut self, nth: usize, address: u64) -> Result<(), CudaError>;

    /// Queues a run on `stream`, which is one of CUDA's.
    ///
    /// # Safety
    /// Every tensor must have its address, and nothing may write to these buffers until the run is done, and nothing may read the outputs.
    ///
    /// # Errors
    /// When the run cannot be queued; `stream` is then still usable, unless the context is lost.
    unsafe fn enqueue(&mut self, stream: *mut c_void) -> Result<(), CudaError>;
}

/// Where a network comes from: once at the start, and again when a context had to be made anew.
pub trait NetworkSource: Send {
    /// Loads it into `context`, which is current.
    ///
    /// # Errors
    /// A plan that cannot be read or is refused.
    fn load(&mut self, context: &Arc<Context>) -> Result<Box<dyn DeviceNetwork>, CudaError>;
}
