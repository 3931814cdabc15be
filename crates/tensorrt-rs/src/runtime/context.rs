//! Execution contexts: running an engine.

use super::engine::EngineInner;
use crate::callback::{Profiler, ProfilerObject};
use crate::dims::Dims;
use crate::enums::ProfilingVerbosity;
use crate::error::TensorRtError;
use crate::library::TensorRt;
use crate::object::Object;
use crate::version::Major;
use std::ffi::{CStr, c_void};
use std::sync::Arc;

/// Runs an engine, one frame at a time.
///
/// `Send`, and not `Sync`: a context holds the state of a frame, and using one from two threads at once is
/// undefined (Developer Guide, "Threading"). CUDA contexts are per thread, too: the one that was current when this was made has to be
/// current where it is used.
///
/// After the first frames the calls of a frame ([`set_tensor_address`](Self::set_tensor_address),
/// [`enqueue`](Self::enqueue)) allocate nothing on this side, unless they fail.
#[derive(Debug)]
pub struct ExecutionContext {
    object: Object,
    profiler: Option<Box<ProfilerObject>>,
    engine: Arc<EngineInner>,
    /// Keeps it from being `Sync`.
    _not_sync: std::marker::PhantomData<std::cell::Cell<()>>,
}

// SAFETY: moving an object serialises access to it, which is what the Developer Guide ("Threading") asks for.
unsafe impl Send for ExecutionContext {}

impl ExecutionContext {
    pub(super) fn new(engine: Arc<EngineInner>, object: Object) -> Self {
        Self { object, profiler: None, engine, _not_sync: std::marker::PhantomData }
    }

    fn tensorrt(&self) -> TensorRt {
        self.engine.runtime.tensorrt
    }

    /// Says how large an input will be. Needed for those whose shape the engine leaves open.
    ///
    /// # Errors
    /// No such input, or a shape outside the optimisation profile.
    pub fn set_input_shape(&mut self, name: &CStr, shape: &Dims) -> Result<(), TensorRtError> {
        const CALL: &str = "IExecutionContext::setInputShape";
        let (calls, object) = (self.tensorrt().calls(), self.object);
        let set = match self.tensorrt().major() {
            Major::V8 => {
                let dims = shape.to_32(CALL)?;
                self.tensorrt().explain(CALL, Some(&Naming(name, shape)), || {
                    // SAFETY: the object is a live `IExecutionContext` of this library; the name and the
                    // shape are alive, TensorRT copies them.
                    let set = unsafe {
                        calls.context_set_input_shape_32(object, name.as_ptr(), &raw const dims)
                    };
                    set.ok().filter(|&set| set)
                })
            }
            Major::V10 | Major::V11 | Major::Rtx1 => {
                let dims = shape.to_64();
                self.tensorrt().explain(CALL, Some(&Naming(name, shape)), || {
                    // SAFETY: as above.
                    let set = unsafe {
                        calls.context_set_input_shape_64(object, name.as_ptr(), &raw const dims)
                    };
                    set.ok().filter(|&set| set)
                })
            }
        };
        set.map(|_| ())
    }

    /// The shape of an input or output under the shapes that were set; -1 where one is missing.
    ///
    /// # Errors
    /// There is no such tensor.
    pub fn tensor_shape(&self, name: &CStr) -> Result<Dims, TensorRtError> {
        let (calls, object) = (self.tensorrt().calls(), self.object);
        let subject = Name(name);
        self.tensorrt().explain("IExecutionContext::getTensorShape", Some(&subject), || {
            match self.tensorrt().major() {
                Major::V8 => {
                    // SAFETY: the object is a live `IExecutionContext` of this library, the name is alive.
                    let dims = unsafe { calls.context_tensor_shape_32(object, name.as_ptr()) };
                    Dims::from_32(&dims.ok()?)
                }
                Major::V10 | Major::V11 | Major::Rtx1 => {
                    // SAFETY: as above.
                    let dims = unsafe { calls.context_tensor_shape_64(object, name.as_ptr()) };
                    Dims::from_64(&dims.ok()?)
                }
            }
        })
    }

    /// Whether every input has a shape.
    ///
    /// # Errors
    /// None today.
    pub fn all_input_dimensions_specified(&self) -> Result<bool, TensorRtError> {
        let calls = self.tensorrt().calls();
        // SAFETY: the object is a live `IExecutionContext` of this library.
        Ok(unsafe { calls.context_all_input_dimensions_specified(self.object) }?)
    }

    /// Says where in device memory an input or output lies.
    ///
    /// # Errors
    /// There is no such tensor; an address that is not aligned to 256 bytes.
    ///
    /// # Safety
    /// From the next [`enqueue`](Self::enqueue) until its work on the stream is done, and for every later
    /// one until another address is set, `address` is device memory, or mapped memory that the device
    /// reaches by this address, of the CUDA context of this engine, as large as the tensor in its format; no
    /// other work of the device or the host writes it meanwhile, nor reads an output.
    pub unsafe fn set_tensor_address(
        &mut self,
        name: &CStr,
        address: *mut c_void,
    ) -> Result<(), TensorRtError> {
        let (calls, object) = (self.tensorrt().calls(), self.object);
        let subject = Name(name);
        let call = "IExecutionContext::setTensorAddress";
        let set = self.tensorrt().explain(call, Some(&subject), || {
            // SAFETY: the object is a live `IExecutionContext` of this library, the name is alive and is
            // copied; the caller vouches for the address.
            let set = unsafe { calls.context_set_tensor_address(object, name.as_ptr(), address) };
            set.ok().filter(|&set| set)
        });
        set.map(|_| ())
    }

    /// Puts one frame's work on a CUDA stream and returns, mostly before it is done.
    ///
    /// # Errors
    /// A tensor without address or shape, a failing kernel launch: see [`TensorRtError::messages`]. Failures of the
    /// work itself are seen when the stream is synchronised.
    ///
    /// # Safety
    /// `stream` is a `cudaStream_t` of the CUDA context of this engine, which is current in this thread. Until
    /// the work is done, this context is not dropped and nothing of it is changed, and what
    /// [`set_tensor_address`](Self::set_tensor_address) asks for holds.
    pub unsafe fn enqueue(&mut self, stream: *mut c_void) -> Result<(), TensorRtError> {
        let (calls, object) = (self.tensorrt().calls(), self.object);
        let enqueued = self.tensorrt().explain("IExecutionContext::enqueueV3", None, || {
            // SAFETY: the object is a live `IExecutionContext` of this library; the caller vouches for the
            // stream and for the addresses.
            unsafe { calls.context_enqueue(object, stream) }.ok().filter(|&enqueued| enqueued)
        });
        enqueued.map(|_| ())
    }

    /// Chooses an optimisation profile.
    ///
    /// # Errors
    /// No such profile, or another context has it.
    ///
    /// # Safety
    /// `stream` is a `cudaStream_t` of the CUDA context of this engine, which is current in this thread, and
    /// the next [`enqueue`](Self::enqueue) is on the same stream or after its work is done.
    pub unsafe fn set_optimization_profile_async(
        &mut self,
        profile: u32,
        stream: *mut c_void,
    ) -> Result<(), TensorRtError> {
        let (calls, object) = (self.tensorrt().calls(), self.object);
        let subject = format!("profile {profile}");
        let index = i32::try_from(profile).unwrap_or(i32::MAX);
        let call = "IExecutionContext::setOptimizationProfileAsync";
        let set = self.tensorrt().explain(call, Some(&subject), || {
            // SAFETY: the object is a live `IExecutionContext` of this library; the caller vouches for the
            // stream.
            let set =
                unsafe { calls.context_set_optimization_profile_async(object, index, stream) };
            set.ok().filter(|&set| set)
        });
        set.map(|_| ())
    }

    /// Gives the times of layers to a profiler from now on; `None` ends that. Returns the one before. A
    /// profiler makes [`enqueue`](Self::enqueue) wait for the frame unless
    /// [`set_enqueue_emits_profile`](Self::set_enqueue_emits_profile) is off; CUDA graphs and profilers
    /// exclude each other.
    ///
    /// # Errors
    /// None today.
    pub fn set_profiler(
        &mut self,
        profiler: Option<Box<dyn Profiler>>,
    ) -> Result<Option<Box<dyn Profiler>>, TensorRtError> {
        let object = profiler.map(|profiler| {
            // In a box: TensorRT keeps its address.
            Box::new(ProfilerObject::new(self.tensorrt().major(), profiler))
        });
        let pointer = object.as_ref().map_or(std::ptr::null_mut(), |object| object.as_ptr());
        // SAFETY: the object is a live `IExecutionContext` of this library. The profiler is of the layout of
        // this major and is kept until TensorRT is told of another or the context is deleted.
        unsafe { self.tensorrt().calls().context_set_profiler(self.object, pointer) }?;
        let previous = std::mem::replace(&mut self.profiler, object);
        Ok(previous.map(|object| object.into_profiler()))
    }

    /// Whether [`enqueue`](Self::enqueue) itself reports to the profiler (at first), or only
    /// [`report_to_profiler`](Self::report_to_profiler).
    ///
    /// # Errors
    /// None today.
    pub fn set_enqueue_emits_profile(&mut self, emits: bool) -> Result<(), TensorRtError> {
        let calls = self.tensorrt().calls();
        // SAFETY: the object is a live `IExecutionContext` of this library.
        Ok(unsafe { calls.context_set_enqueue_emits_profile(self.object, emits) }?)
    }

    /// Reports the times of the frame before to the profiler. Its work on the stream has to be done.
    ///
    /// # Errors
    /// No profiler is set, no frame was run, or it was run by a CUDA graph.
    pub fn report_to_profiler(&mut self) -> Result<(), TensorRtError> {
        let (calls, object) = (self.tensorrt().calls(), self.object);
        let reported = self.tensorrt().explain("IExecutionContext::reportToProfiler", None, || {
            // SAFETY: the object is a live `IExecutionContext` of this library.
            unsafe { calls.context_report_to_profiler(object) }.ok().filter(|&reported| reported)
        });
        reported.map(|_| ())
    }

    /// How much NVTX markers say. At first what the engine was built with; `None` makes enqueueing cheapest.
    ///
    /// # Errors
    /// More than the engine was built with.
    pub fn set_nvtx_verbosity(
        &mut self,
        verbosity: ProfilingVerbosity,
    ) -> Result<(), TensorRtError> {
        let (calls, object) = (self.tensorrt().calls(), self.object);
        let number = verbosity.number(self.tensorrt().version())?;
        let call = "IExecutionContext::setNvtxVerbosity";
        let set = self.tensorrt().explain(call, Some(&verbosity), || {
            // SAFETY: the object is a live `IExecutionContext` of this library.
            unsafe { calls.context_set_nvtx_verbosity(object, number) }.ok().filter(|&set| set)
        });
        set.map(|_| ())
    }

    /// How much of the L2 cache may hold on to activations, in bytes. 0 at first.
    ///
    /// # Errors
    /// None today.
    pub fn set_persistent_cache_limit(&mut self, bytes: usize) -> Result<(), TensorRtError> {
        let calls = self.tensorrt().calls();
        // SAFETY: the object is a live `IExecutionContext` of this library.
        Ok(unsafe { calls.context_set_persistent_cache_limit(self.object, bytes) }?)
    }
}

impl Drop for ExecutionContext {
    fn drop(&mut self) {
        // SAFETY: the object is alive and is not used again; whoever enqueued vouched that its work is done.
        // The profiler goes after it.
        let deleted = unsafe { self.tensorrt().calls().context_delete(self.object) };
        deleted.expect("every version has a destructor");
    }
}

/// A name for an error's text, which is only written when there is one.
struct Name<'a>(&'a CStr);

impl std::fmt::Display for Name<'_> {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(&self.0.to_string_lossy())
    }
}

/// A name and a shape for an error's text.
struct Naming<'a>(&'a CStr, &'a Dims);

impl std::fmt::Display for Naming<'_> {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "{} as {}", self.0.to_string_lossy(), self.1)
    }
}
