//! A device's context: what every allocation, stream and kernel belongs to.
#![allow(unsafe_code, reason = "calls of the CUDA driver")]

use crate::device::Device;
use crate::error::CudaError;
use cudarc::driver::sys::CUcontext;
use std::sync::Arc;

/// The primary context of a device, which CUDA's runtime library, and so `TensorRT`, uses as well.
#[derive(Debug)]
pub struct Context {
    device: Device,
    handle: CUcontext,
}

// SAFETY: a context may be current on any number of threads, and the driver locks it (CUDA driver API, "Context
// management"). The handle is only ever passed to the driver.
unsafe impl Send for Context {}
// SAFETY: as for `Send`.
unsafe impl Sync for Context {}

impl Context {
    /// Retains the primary context of `device` and makes it current.
    ///
    /// # Errors
    /// A driver that fails; on a busy device, one without memory for a context.
    pub fn new(device: &Device) -> Result<Arc<Self>, CudaError> {
        let driver = device.driver;
        let mut handle = std::ptr::null_mut();
        // SAFETY: `handle` is valid for the call, the device came from the driver.
        let code = unsafe { (driver.context_retain)(&raw mut handle, device.handle) };
        driver.check("cuDevicePrimaryCtxRetain", code)?;
        let context = Arc::new(Self { device: device.clone(), handle });
        context.make_current()?;
        Ok(context)
    }

    /// The device.
    pub fn device(&self) -> &Device {
        &self.device
    }

    /// Makes this the context of the calling thread, which every other call asks for. Costs nanoseconds.
    ///
    /// # Errors
    /// A context that was lost.
    pub fn make_current(&self) -> Result<(), CudaError> {
        let driver = self.device.driver;
        // SAFETY: the handle is valid until `self` releases it.
        driver.check("cuCtxSetCurrent", unsafe { (driver.context_set)(self.handle) })
    }

    /// Free and total memory of the device, bytes; zeros where the driver does not say.
    pub fn memory(&self) -> (usize, usize) {
        let (mut free, mut total) = (0, 0);
        if self.make_current().is_err() {
            return (0, 0);
        }
        // SAFETY: both are valid for the call.
        let code = unsafe { (self.device.driver.memory_info)(&raw mut free, &raw mut total) };
        if code == 0 { (free, total) } else { (0, 0) }
    }

    /// Gives up a context that a sticky error has made useless, with everything in it: for all users of the device in
    /// this process. Contexts that are made afterwards are new.
    ///
    /// Objects that belonged to it must be gone; what they free later fails, harmlessly.
    ///
    /// # Errors
    /// A device that does not come back.
    pub(crate) fn reset(device: &Device) -> Result<(), CudaError> {
        let driver = device.driver;
        // SAFETY: resetting is allowed at any time. The one caller (`FramePath::recover`) has made sure that no session of
        // this process is alive, and only sessions keep handles into a context; a bare `Context` keeps the retained one,
        // which a reset does not release.
        driver.check("cuDevicePrimaryCtxReset", unsafe { (driver.context_reset)(device.handle) })
    }
}

impl Drop for Context {
    fn drop(&mut self) {
        // SAFETY: retained once in `new`. A failure (the driver is being unloaded at exit) leaves nothing to do.
        unsafe { (self.device.driver.context_release)(self.device.handle) };
    }
}
