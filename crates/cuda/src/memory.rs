//! Memory of the device, and pinned memory of the host.
#![allow(unsafe_code, reason = "calls of the CUDA driver, and slices of memory that it allocated")]

use crate::context::Context;
use crate::error::CudaError;
use cudarc::driver::sys::CUdeviceptr;
use std::ffi::c_void;
use std::sync::Arc;

/// Memory of the device. Aligned to 256 bytes.
#[derive(Debug)]
pub(crate) struct DeviceBuffer {
    context: Arc<Context>,
    address: CUdeviceptr,
    bytes: usize,
}

impl DeviceBuffer {
    /// `bytes` of memory (at least one), whose contents are unspecified. `what` names it in errors.
    ///
    /// # Errors
    /// [`CudaError::OutOfMemory`], or a driver that fails.
    pub(crate) fn new(
        context: &Arc<Context>,
        what: &'static str,
        bytes: usize,
    ) -> Result<Self, CudaError> {
        context.make_current()?;
        let driver = context.device().driver;
        let mut address = 0;
        // SAFETY: `address` is valid for the call, and the context is current.
        let code = unsafe { (driver.allocate)(&raw mut address, bytes.max(1)) };
        check_memory(context, "cuMemAlloc", code, what, bytes)?;
        Ok(Self { context: Arc::clone(context), address, bytes })
    }

    /// Its size.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Where it lies, for kernels and for `TensorRT`.
    pub(crate) fn address(&self) -> u64 {
        self.address
    }
}

impl Drop for DeviceBuffer {
    fn drop(&mut self) {
        if self.context.make_current().is_ok() {
            // SAFETY: allocated in `new`, freed once, and no queued work uses it: whoever queues work on a buffer waits for
            // it or owns the stream and drops that first (`Session`). A context is only reset when no session is alive.
            unsafe { (self.context.device().driver.free)(self.address) };
        }
    }
}

/// Pinned memory of the host, which the device copies from and to without a detour, and may use directly.
#[derive(Debug)]
pub(crate) struct HostBuffer {
    context: Arc<Context>,
    pointer: *mut u8,
    /// Of the same memory, for kernels; 0 where they cannot use it.
    address: CUdeviceptr,
    bytes: usize,
}

// SAFETY: it owns its memory, as a `Vec<u8>` does, and the driver may be called from any thread.
unsafe impl Send for HostBuffer {}

impl HostBuffer {
    /// `bytes` of memory (at least one), all 0. `what` names it in errors.
    ///
    /// # Errors
    /// [`CudaError::OutOfMemory`], or a driver that fails.
    pub(crate) fn new(
        context: &Arc<Context>,
        what: &'static str,
        bytes: usize,
    ) -> Result<Self, CudaError> {
        context.make_current()?;
        let driver = context.device().driver;
        let mut pointer: *mut c_void = std::ptr::null_mut();
        let mapped = context.device().can_map_host_memory();
        let flags = HOST_PORTABLE | if mapped { HOST_DEVICE_MAP } else { 0 };
        // SAFETY: `pointer` is valid for the call, and the context is current.
        let code = unsafe { (driver.host_allocate)(&raw mut pointer, bytes.max(1), flags) };
        check_memory(context, "cuMemHostAlloc", code, what, bytes)?;
        let pointer = pointer.cast::<u8>();
        // SAFETY: the driver has just allocated so many bytes, which nobody else knows of.
        unsafe { pointer.write_bytes(0, bytes.max(1)) };
        let mut this = Self { context: Arc::clone(context), pointer, address: 0, bytes };
        if mapped {
            // SAFETY: allocated above with the flag that allows it.
            let code =
                unsafe { (driver.host_device_pointer)(&raw mut this.address, pointer.cast(), 0) };
            driver.check("cuMemHostGetDevicePointer", code)?;
        }
        Ok(this)
    }

    /// Its size.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Where the device finds it; 0 where it cannot.
    pub(crate) fn address(&self) -> u64 {
        self.address
    }

    pub(crate) fn pointer(&self) -> *mut u8 {
        self.pointer
    }

    /// Its contents.
    ///
    /// # Safety
    /// The device must not be writing to it: every piece of work that does must have been waited for.
    pub(crate) unsafe fn contents(&self) -> &[u8] {
        // SAFETY: allocated with so many bytes, which `new` has initialised; the caller vouches for the device.
        unsafe { std::slice::from_raw_parts(self.pointer, self.bytes) }
    }

    /// Its contents, to be changed.
    ///
    /// # Safety
    /// The device must not be using it at all.
    pub(crate) unsafe fn contents_mut(&mut self) -> &mut [u8] {
        // SAFETY: as `contents`, and `self` is borrowed exclusively.
        unsafe { std::slice::from_raw_parts_mut(self.pointer, self.bytes) }
    }
}

impl Drop for HostBuffer {
    fn drop(&mut self) {
        if self.context.make_current().is_ok() {
            // SAFETY: as for `DeviceBuffer`.
            unsafe { (self.context.device().driver.host_free)(self.pointer.cast()) };
        }
    }
}

/// An error for any `code` but 0; for a lack of memory, one that says how much of it there is.
fn check_memory(
    context: &Context,
    call: &'static str,
    code: i32,
    what: &'static str,
    bytes: usize,
) -> Result<(), CudaError> {
    if code == OUT_OF_MEMORY {
        let (free, total) = context.memory();
        return Err(CudaError::OutOfMemory { what, bytes, free, total });
    }
    context.device().driver.check(call, code)
}

/// `CUDA_ERROR_OUT_OF_MEMORY`.
const OUT_OF_MEMORY: i32 = 2;
/// `CU_MEMHOSTALLOC_PORTABLE`: pinned for every context.
const HOST_PORTABLE: u32 = 1;
/// `CU_MEMHOSTALLOC_DEVICEMAP`: kernels can use it.
const HOST_DEVICE_MAP: u32 = 2;
