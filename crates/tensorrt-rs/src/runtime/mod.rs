//! Running engines.
//!
//! A [`Runtime`] makes an [`Engine`] of a plan, the engine an [`ExecutionContext`]. Each keeps what it came
//! from alive, so they may be dropped in any order.
//!
//! Runtimes and engines may be shared between threads, contexts only be handed over:
//!
//! ```
//! fn shared<T: Send + Sync>() {}
//! fn handed_over<T: Send>() {}
//! shared::<tensorrt_rs::TensorRt>();
//! shared::<tensorrt_rs::Runtime>();
//! shared::<tensorrt_rs::Engine>();
//! shared::<tensorrt_rs::HostMemory>();
//! handed_over::<tensorrt_rs::ExecutionContext>();
//! handed_over::<tensorrt_rs::EngineInspector>();
//! ```
//!
//! ```compile_fail,E0277
//! fn shared<T: Sync>() {}
//! shared::<tensorrt_rs::ExecutionContext>();
//! ```

mod context;
mod engine;
mod inspector;
mod memory;

pub use context::ExecutionContext;
pub use engine::{Engine, IoTensor};
pub use inspector::EngineInspector;
pub use memory::HostMemory;

use crate::error::{TensorRtError, c_path};
use crate::library::TensorRt;
use crate::object::Object;
use crate::version::Major;
use std::path::Path;
use std::sync::Arc;

/// Makes engines of plans.
///
/// `Send` and `Sync`: NVIDIA's Developer Guide ("Threading") names deserialising and everything that does not
/// modify a runtime among what several threads may do at once; what does modify it takes `&mut self` here.
#[derive(Debug)]
pub struct Runtime {
    inner: Arc<RuntimeInner>,
}

/// The object, deleted with the last engine that came from it.
#[derive(Debug)]
pub(crate) struct RuntimeInner {
    pub(crate) tensorrt: TensorRt,
    object: Object,
}

// SAFETY: the Developer Guide ("Threading") asks that access to an object be serialised, which moving it does, and
// binds no object to a thread.
unsafe impl Send for RuntimeInner {}
// SAFETY: through a shared reference only `deserializeCudaEngine` and questions that modify nothing are called,
// which the same place names as thread-safe. What sets something goes through `Runtime`, by `&mut`.
unsafe impl Sync for RuntimeInner {}

impl Drop for RuntimeInner {
    fn drop(&mut self) {
        // SAFETY: the object is alive and is not used again; engines, which must not outlive it, each hold
        // a reference to `self`.
        let deleted = unsafe { self.tensorrt.calls().runtime_delete(self.object) };
        deleted.expect("every version has a destructor");
    }
}

impl Runtime {
    /// Makes a runtime on the current CUDA device.
    ///
    /// # Errors
    /// No CUDA device; TensorRT refuses, and says why in [`TensorRtError::messages`].
    pub fn new(tensorrt: TensorRt) -> Result<Self, TensorRtError> {
        let object = tensorrt.create_runtime()?;
        Ok(Self { inner: Arc::new(RuntimeInner { tensorrt, object }) })
    }

    /// The library that it is of.
    pub fn tensorrt(&self) -> TensorRt {
        self.inner.tensorrt
    }

    /// Whether a plan may bring code for the host: the lean runtime inside a version-compatible plan. Off
    /// at first. Before 8.6 no plan has any, and forbidding it has nothing to do.
    ///
    /// # Errors
    /// Allowing it before 8.6.
    pub fn set_engine_host_code_allowed(&mut self, allowed: bool) -> Result<(), TensorRtError> {
        // SAFETY: the object is a live `IRuntime` of this library; nobody else uses it (`&mut self`).
        let set = unsafe {
            self.inner.tensorrt.calls().runtime_set_host_code_allowed(self.inner.object, allowed)
        };
        match set {
            Err(_) if !allowed => Ok(()),
            other => Ok(other?),
        }
    }

    /// The DLA core that engines run on which are deserialised from here on.
    ///
    /// # Errors
    /// A core that the board does not have: TensorRT itself ignores the call.
    pub fn set_dla_core(&mut self, core: u32) -> Result<(), TensorRtError> {
        let cores = self.dla_cores()?;
        let index = i32::try_from(core).ok().filter(|_| core < cores);
        let index = index.ok_or_else(|| TensorRtError::Argument {
            call: "IRuntime::setDLACore",
            argument: "the DLA core",
            found: format!("{core} on a device with {cores} of them"),
            expected: "a core that the device has",
        })?;
        // SAFETY: the object is a live `IRuntime` of this library; nobody else uses it (`&mut self`).
        unsafe { self.inner.tensorrt.calls().runtime_set_dla_core(self.inner.object, index) }?;
        Ok(())
    }

    /// How many DLA cores there are: 0 on desktops, Orin Nano and Thor.
    ///
    /// # Errors
    /// None today.
    pub fn dla_cores(&self) -> Result<u32, TensorRtError> {
        // SAFETY: the object is a live `IRuntime` of this library.
        let cores = unsafe { self.inner.tensorrt.calls().runtime_dla_cores(self.inner.object) }?;
        Ok(u32::try_from(cores).unwrap_or(0))
    }

    /// Where a version-compatible plan's lean runtime may be unpacked.
    ///
    /// # Errors
    /// Before 8.6; a path with a NUL.
    pub fn set_temporary_directory(&mut self, path: &Path) -> Result<(), TensorRtError> {
        let c_path = c_path("IRuntime::setTemporaryDirectory", "the directory", path)?;
        // SAFETY: the object is a live `IRuntime` of this library; the string is alive, TensorRT copies it.
        unsafe {
            self.inner
                .tensorrt
                .calls()
                .runtime_set_temporary_directory(self.inner.object, c_path.as_ptr())
        }?;
        Ok(())
    }

    /// Makes an engine of a plan.
    ///
    /// A plan is code: deserialising one that somebody else may have written is running their code, and
    /// TensorRT detects no tampering. Check where it comes from first.
    ///
    /// # Errors
    /// A plan of another version or GPU, a damaged one, too little memory: see [`TensorRtError::messages`].
    pub fn deserialize(&self, plan: &[u8]) -> Result<Engine, TensorRtError> {
        let RuntimeInner { tensorrt, object } = &*self.inner;
        let (calls, object) = (tensorrt.calls(), *object);
        let (blob, size) = (plan.as_ptr().cast(), plan.len());
        let subject = format!("a plan of {size} bytes");
        let engine = match tensorrt.major() {
            Major::V8 => {
                tensorrt.explain("IRuntime::deserializeCudaEngine", Some(&subject), || {
                    // SAFETY: the object is a live `IRuntime` of this library, the plan is alive; the factory
                    // is null, as NVIDIA's own inline wrapper has it.
                    let engine = unsafe {
                        calls.runtime_deserialize_with_factory(
                            object,
                            blob,
                            size,
                            std::ptr::null_mut(),
                        )
                    };
                    engine.ok().and_then(Object::new)
                })
            }
            Major::V10 | Major::V11 | Major::Rtx1 => {
                tensorrt.explain("IRuntime::deserializeCudaEngine", Some(&subject), || {
                    // SAFETY: the object is a live `IRuntime` of this library, the plan is alive.
                    let engine = unsafe { calls.runtime_deserialize(object, blob, size) };
                    engine.ok().and_then(Object::new)
                })
            }
        }?;
        Ok(Engine::new(Arc::clone(&self.inner), engine))
    }
}
