//! Timing caches: which tactic was how fast.

use super::BuilderInner;
use crate::error::TensorRtError;
use crate::object::Object;
use crate::runtime::HostMemory;
use std::rc::Rc;

/// What was measured while building, to be used by the next build on the same device and version.
#[derive(Debug)]
pub struct TimingCache {
    object: Object,
    builder: Rc<BuilderInner>,
}

impl TimingCache {
    pub(super) fn new(builder: Rc<BuilderInner>, object: Object) -> Self {
        Self { object, builder }
    }

    pub(super) fn object(&self) -> Object {
        self.object
    }

    pub(super) fn builder(&self) -> &Rc<BuilderInner> {
        &self.builder
    }

    /// The bytes to keep.
    ///
    /// # Errors
    /// See [`TensorRtError::messages`].
    pub fn serialize(&self) -> Result<HostMemory, TensorRtError> {
        let tensorrt = self.builder.tensorrt;
        let memory = tensorrt.explain("ITimingCache::serialize", None, || {
            // SAFETY: the object is a live `ITimingCache` of this library.
            unsafe { tensorrt.calls().cache_serialize(self.object) }.ok().and_then(Object::new)
        })?;
        // SAFETY: TensorRT hands a new `IHostMemory` over to the caller.
        Ok(unsafe { HostMemory::new(tensorrt, memory) })
    }

    /// Adds what another cache knows. With `ignore_mismatch` also one of another device.
    ///
    /// # Errors
    /// A cache of another version, or device.
    pub fn combine(&mut self, other: &Self, ignore_mismatch: bool) -> Result<(), TensorRtError> {
        let tensorrt = self.builder.tensorrt;
        let combined = tensorrt.explain("ITimingCache::combine", None, || {
            // SAFETY: both objects are live; the borrows make them two.
            let combined = unsafe {
                tensorrt.calls().cache_combine(self.object, other.object.as_ptr(), ignore_mismatch)
            };
            combined.ok().filter(|&combined| combined)
        });
        combined.map(|_| ())
    }

    /// Forgets everything.
    ///
    /// # Errors
    /// See [`TensorRtError::messages`].
    pub fn reset(&mut self) -> Result<(), TensorRtError> {
        let tensorrt = self.builder.tensorrt;
        let reset = tensorrt.explain("ITimingCache::reset", None, || {
            // SAFETY: the object is a live `ITimingCache` of this library.
            unsafe { tensorrt.calls().cache_reset(self.object) }.ok().filter(|&reset| reset)
        });
        reset.map(|_| ())
    }
}

impl Drop for TimingCache {
    fn drop(&mut self) {
        // SAFETY: the object is alive, ours, and is not used again: a configuration that refers to it has
        // it, and is deleted before.
        let deleted = unsafe { self.builder.tensorrt.calls().cache_delete(self.object) };
        deleted.expect("every version has a destructor");
    }
}
