//! Engines: what a plan promises.

use super::{EngineInspector, ExecutionContext, HostMemory, RuntimeInner};
use crate::dims::Dims;
use crate::enums::{ContextAllocation, DataType, ProfileSelector, TensorFormat, TensorIoMode};
use crate::error::TensorRtError;
use crate::library::TensorRt;
use crate::object::Object;
use crate::version::Major;
use std::ffi::{CStr, CString, c_char};
use std::sync::Arc;

/// A network ready to run on this GPU.
///
/// `Send` and `Sync`: NVIDIA's Developer Guide ("Threading") names the making of execution contexts and
/// everything that does not modify an engine among what several threads may do at once.
#[derive(Debug)]
pub struct Engine {
    inner: Arc<EngineInner>,
}

/// The object, deleted with the last context that came from it.
#[derive(Debug)]
pub(crate) struct EngineInner {
    pub(crate) object: Object,
    // Declared after nothing that needs it: `drop` deletes the engine before this goes.
    pub(crate) runtime: Arc<RuntimeInner>,
}

// SAFETY: moving an object serialises access to it, which is what the Developer Guide ("Threading") asks for.
unsafe impl Send for EngineInner {}
// SAFETY: only the making of contexts and `const` methods are called, which the same place names as thread-safe:
// nothing modifies an engine through this binding.
unsafe impl Sync for EngineInner {}

impl Drop for EngineInner {
    fn drop(&mut self) {
        // SAFETY: the object is alive and is not used again; contexts and inspectors, which must not
        // outlive it, each hold a reference to `self`.
        let deleted = unsafe { self.runtime.tensorrt.calls().engine_delete(self.object) };
        deleted.expect("every version has a destructor");
    }
}

/// An input or output of an engine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IoTensor {
    /// Its name, as calls take it.
    pub name: CString,
    /// Which way it goes.
    pub mode: TensorIoMode,
    /// What it is made of.
    pub data_type: DataType,
    /// Its shape; -1 where it depends on the inputs' shapes.
    pub shape: Dims,
    /// How it lies in memory.
    pub format: TensorFormat,
}

impl IoTensor {
    /// The name for people.
    pub fn display_name(&self) -> std::borrow::Cow<'_, str> {
        self.name.to_string_lossy()
    }

    /// Bytes of the tensor where it is linear and its shape is known.
    pub fn linear_bytes(&self) -> Option<usize> {
        if self.format != TensorFormat::Linear {
            return None;
        }
        let bits = self.shape.volume()?.checked_mul(self.data_type.bits())?;
        Some(bits.div_ceil(8))
    }
}

impl Engine {
    pub(super) fn new(runtime: Arc<RuntimeInner>, object: Object) -> Self {
        Self { inner: Arc::new(EngineInner { object, runtime }) }
    }

    /// The library that it is of.
    pub fn tensorrt(&self) -> TensorRt {
        self.inner.runtime.tensorrt
    }

    /// Inputs and outputs, in the order of the network.
    ///
    /// # Errors
    /// TensorRT answers with something that this crate does not know.
    pub fn io_tensors(&self) -> Result<Vec<IoTensor>, TensorRtError> {
        // SAFETY: the object is a live `ICudaEngine` of this library.
        let count = unsafe { self.tensorrt().calls().engine_io_tensors(self.inner.object) }?;
        (0..count).map(|index| self.io_tensor(index)).collect()
    }

    fn io_tensor(&self, index: i32) -> Result<IoTensor, TensorRtError> {
        let (tensorrt, object) = (self.tensorrt(), self.inner.object);
        let (calls, version) = (tensorrt.calls(), tensorrt.version());
        let subject = format!("input or output {index}");
        let name = tensorrt.explain("ICudaEngine::getIOTensorName", Some(&subject), || {
            // SAFETY: the object is a live `ICudaEngine` of this library.
            let name = unsafe { calls.engine_io_tensor_name(object, index) }.ok()?;
            // SAFETY: null, or a string that the engine keeps.
            unsafe { owned(name) }
        })?;
        // SAFETY: as above; the name is alive.
        let mode = unsafe { calls.engine_tensor_io_mode(object, name.as_ptr()) }?;
        // SAFETY: as above.
        let data_type = unsafe { calls.engine_tensor_data_type(object, name.as_ptr()) }?;
        // SAFETY: as above.
        let format = unsafe { calls.engine_tensor_format(object, name.as_ptr()) }?;
        let unknown = |call, enumeration, value: i32| TensorRtError::UnknownValue {
            call,
            enumeration,
            value: value.into(),
        };
        Ok(IoTensor {
            mode: TensorIoMode::from_number(version, mode)
                .ok_or_else(|| unknown("ICudaEngine::getTensorIOMode", "TensorIOMode", mode))?,
            data_type: DataType::from_number(version, data_type)
                .ok_or_else(|| unknown("ICudaEngine::getTensorDataType", "DataType", data_type))?,
            shape: self.tensor_shape(&name)?,
            format: TensorFormat::from_number(version, format)
                .ok_or_else(|| unknown("ICudaEngine::getTensorFormat", "TensorFormat", format))?,
            name,
        })
    }

    /// The shape of an input or output; -1 where it depends on the inputs' shapes.
    ///
    /// # Errors
    /// There is no such tensor.
    pub fn tensor_shape(&self, name: &CStr) -> Result<Dims, TensorRtError> {
        let (calls, object) = (self.tensorrt().calls(), self.inner.object);
        let subject = name.to_string_lossy();
        self.tensorrt().explain("ICudaEngine::getTensorShape", Some(&subject), || {
            match self.tensorrt().major() {
                Major::V8 => {
                    // SAFETY: the object is a live `ICudaEngine` of this library, the name is alive.
                    let dims = unsafe { calls.engine_tensor_shape_32(object, name.as_ptr()) };
                    Dims::from_32(&dims.ok()?)
                }
                Major::V10 | Major::V11 | Major::Rtx1 => {
                    // SAFETY: as above.
                    let dims = unsafe { calls.engine_tensor_shape_64(object, name.as_ptr()) };
                    Dims::from_64(&dims.ok()?)
                }
            }
        })
    }

    /// One of the three shapes of an input in an optimisation profile.
    ///
    /// # Errors
    /// There is no such tensor or profile.
    pub fn profile_shape(
        &self,
        name: &CStr,
        profile: u32,
        selector: ProfileSelector,
    ) -> Result<Dims, TensorRtError> {
        let (calls, object) = (self.tensorrt().calls(), self.inner.object);
        let selector = selector.number(self.tensorrt().version())?;
        let index = i32::try_from(profile).unwrap_or(i32::MAX);
        let subject = format!("{} in profile {profile}", name.to_string_lossy());
        self.tensorrt().explain("ICudaEngine::getProfileShape", Some(&subject), || {
            let name = name.as_ptr();
            match self.tensorrt().major() {
                Major::V8 => {
                    // SAFETY: the object is a live `ICudaEngine` of this library, the name is alive.
                    let dims =
                        unsafe { calls.engine_profile_shape_32(object, name, index, selector) };
                    Dims::from_32(&dims.ok()?)
                }
                Major::V10 | Major::V11 | Major::Rtx1 => {
                    // SAFETY: as above.
                    let dims =
                        unsafe { calls.engine_profile_shape_64(object, name, index, selector) };
                    Dims::from_64(&dims.ok()?)
                }
            }
        })
    }

    /// Device memory that a context needs beside inputs, outputs and weights, in bytes.
    ///
    /// # Errors
    /// None today.
    pub fn device_memory_bytes(&self) -> Result<u64, TensorRtError> {
        let (calls, object) = (self.tensorrt().calls(), self.inner.object);
        // SAFETY: the object is a live `ICudaEngine` of this library.
        if let Ok(bytes) = unsafe { calls.engine_device_memory_size_v2(object) } {
            return Ok(u64::try_from(bytes).unwrap_or(0));
        }
        // Before 10.1 there is only the first of the two.
        // SAFETY: as above.
        let bytes = unsafe { calls.engine_device_memory_size(object) }?;
        Ok(u64::try_from(bytes).unwrap_or(u64::MAX))
    }

    /// The name that the network had when it was built; empty if none.
    ///
    /// # Errors
    /// None today.
    pub fn name(&self) -> Result<String, TensorRtError> {
        // SAFETY: the object is a live `ICudaEngine` of this library.
        let name = unsafe { self.tensorrt().calls().engine_name(self.inner.object) }?;
        // SAFETY: null, or a string that the engine keeps.
        let name = unsafe { owned(name) };
        Ok(name.map(|name| name.to_string_lossy().into_owned()).unwrap_or_default())
    }

    /// How many layers are left after fusion.
    ///
    /// # Errors
    /// None today.
    pub fn layers(&self) -> Result<u32, TensorRtError> {
        // SAFETY: the object is a live `ICudaEngine` of this library.
        let layers = unsafe { self.tensorrt().calls().engine_layers(self.inner.object) }?;
        Ok(u32::try_from(layers).unwrap_or(0))
    }

    /// How many optimisation profiles there are: one at least.
    ///
    /// # Errors
    /// None today.
    pub fn optimization_profiles(&self) -> Result<u32, TensorRtError> {
        // SAFETY: the object is a live `ICudaEngine` of this library.
        let profiles = unsafe { self.tensorrt().calls().engine_profiles(self.inner.object) }?;
        Ok(u32::try_from(profiles).unwrap_or(0))
    }

    /// Makes a context, with device memory of its own.
    ///
    /// # Errors
    /// Mostly too little memory; see [`TensorRtError::messages`].
    pub fn create_context(&self) -> Result<ExecutionContext, TensorRtError> {
        let (tensorrt, object) = (self.tensorrt(), self.inner.object);
        let calls = tensorrt.calls();
        let call = "ICudaEngine::createExecutionContext";
        let context = match tensorrt.major() {
            Major::V8 => tensorrt.explain(call, None, || {
                // SAFETY: the object is a live `ICudaEngine` of this library.
                unsafe { calls.engine_create_context(object) }.ok().and_then(Object::new)
            }),
            Major::V10 | Major::V11 | Major::Rtx1 => {
                let strategy = ContextAllocation::Static.number(tensorrt.version())?;
                tensorrt.explain(call, None, || {
                    // SAFETY: the object is a live `ICudaEngine` of this library.
                    let context =
                        unsafe { calls.engine_create_context_with_strategy(object, strategy) };
                    context.ok().and_then(Object::new)
                })
            }
        }?;
        Ok(ExecutionContext::new(Arc::clone(&self.inner), context))
    }

    /// Makes an inspector, which describes the layers.
    ///
    /// # Errors
    /// See [`TensorRtError::messages`].
    pub fn inspector(&self) -> Result<EngineInspector, TensorRtError> {
        let (calls, object) = (self.tensorrt().calls(), self.inner.object);
        let inspector =
            self.tensorrt().explain("ICudaEngine::createEngineInspector", None, || {
                // SAFETY: the object is a live `ICudaEngine` of this library.
                unsafe { calls.engine_create_inspector(object) }.ok().and_then(Object::new)
            })?;
        Ok(EngineInspector::new(Arc::clone(&self.inner), inspector))
    }

    /// The plan of this engine.
    ///
    /// # Errors
    /// See [`TensorRtError::messages`].
    pub fn serialize(&self) -> Result<HostMemory, TensorRtError> {
        let (calls, object) = (self.tensorrt().calls(), self.inner.object);
        let memory = self.tensorrt().explain("ICudaEngine::serialize", None, || {
            // SAFETY: the object is a live `ICudaEngine` of this library.
            unsafe { calls.engine_serialize(object) }.ok().and_then(Object::new)
        })?;
        // SAFETY: TensorRT hands a new `IHostMemory` over to the caller.
        Ok(unsafe { HostMemory::new(self.tensorrt(), memory) })
    }
}

/// A copy of a string of TensorRT's.
///
/// # Safety
/// `text` is null or a live string that ends with a NUL.
pub(super) unsafe fn owned(text: *const c_char) -> Option<CString> {
    if text.is_null() {
        return None;
    }
    // SAFETY: the caller vouches for it.
    Some(unsafe { CStr::from_ptr(text) }.to_owned())
}
