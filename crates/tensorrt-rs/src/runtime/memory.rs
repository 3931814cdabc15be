//! Memory that TensorRT allocated on the host: plans, timing caches.

use crate::library::TensorRt;
use crate::object::Object;
use std::fmt;
use std::ops::Deref;

/// Bytes that belong to TensorRT.
pub struct HostMemory {
    tensorrt: TensorRt,
    object: Object,
    data: *const u8,
    size: usize,
}

// SAFETY: the bytes are constant and the object is only deleted; an `IHostMemory` refers to no other object
// (it may outlive its builder: `IBuilder::buildSerializedNetwork` hands it over to the caller).
unsafe impl Send for HostMemory {}
// SAFETY: shared references read constant bytes.
unsafe impl Sync for HostMemory {}

impl HostMemory {
    /// # Safety
    /// `object` is an `IHostMemory` of this library that is the caller's to delete.
    pub(crate) unsafe fn new(tensorrt: TensorRt, object: Object) -> Self {
        let calls = tensorrt.calls();
        // SAFETY: the caller vouches for the object.
        let data = unsafe { calls.memory_data(object) }.expect("every version has it");
        // SAFETY: as above.
        let size = unsafe { calls.memory_size(object) }.expect("every version has it");
        let data: *const u8 = data.cast_const().cast();
        Self { tensorrt, object, data, size: if data.is_null() { 0 } else { size } }
    }
}

impl Deref for HostMemory {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        if self.size == 0 {
            return &[];
        }
        // SAFETY: TensorRT says that this many bytes are there; they stay until the object is deleted.
        unsafe { std::slice::from_raw_parts(self.data, self.size) }
    }
}

impl Drop for HostMemory {
    fn drop(&mut self) {
        // SAFETY: the object is alive, ours, and is not used again.
        let deleted = unsafe { self.tensorrt.calls().memory_delete(self.object) };
        deleted.expect("every version has a destructor");
    }
}

impl fmt::Debug for HostMemory {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "HostMemory({} bytes)", self.size)
    }
}
