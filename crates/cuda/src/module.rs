//! Kernels, loaded into a context.
#![allow(unsafe_code, reason = "calls of the CUDA driver")]

use crate::cache::{KernelCache, Lookup};
use crate::context::Context;
use crate::error::CudaError;
use crate::nvrtc::{Nvrtc, Source};
use crate::stream::Stream;
use cudarc::driver::sys::{CUfunction, CUfunction_attribute, CUmodule};
use std::ffi::{CString, c_void};
use std::path::PathBuf;
use std::sync::Arc;

/// Where compiled kernels come from.
#[derive(Clone, Debug, Default)]
pub struct KernelSource {
    /// Where they are kept; none: compiled at each start.
    pub cache: Option<KernelCache>,
    /// Where the compiler's library lies; none: where the system's loader looks.
    pub nvrtc_directory: Option<PathBuf>,
}

impl KernelSource {
    /// Loads a kernel: from the cache, or by compiling it.
    pub(crate) fn load(
        &self,
        context: &Arc<Context>,
        source: &Source,
    ) -> Result<Kernel, CudaError> {
        let device = context.device();
        let kernel = source.kernel;
        if let Some(cache) = &self.cache {
            let problem = match cache.find(source, device) {
                Lookup::Found(image) => match Kernel::new(context, kernel, &image) {
                    Ok(kernel) => return Ok(kernel),
                    Err(error) => Some(error.to_string()),
                },
                Lookup::Missing => None,
                Lookup::Unusable(problem) => Some(problem),
            };
            if let Some(problem) = problem {
                log::warn!(
                    "the compiled form of kernel `{kernel}` in the cache is not used: {problem}; compiling it again"
                );
            }
        }
        let nvrtc = Nvrtc::load(self.nvrtc_directory.as_deref(), Some(device.driver_cuda().0))?;
        let compiled = nvrtc.compile(source, device.compute())?;
        let (major, minor) = nvrtc.version();
        log::info!(
            "compiled kernel `{kernel}` for {} with NVRTC {major}.{minor}",
            compiled.architecture
        );
        let loaded = Kernel::new(context, kernel, &compiled.image)?;
        if let Some(cache) = &self.cache
            && let Err(error) = cache.store(source, device, &compiled.image)
        {
            log::warn!("kernel `{kernel}` will be compiled again at the next start: {error}");
        }
        Ok(loaded)
    }
}

/// A kernel that can be launched.
#[derive(Debug)]
pub(crate) struct Kernel {
    context: Arc<Context>,
    module: CUmodule,
    function: CUfunction,
}

// SAFETY: modules and functions may be used from any thread whose current context is theirs.
unsafe impl Send for Kernel {}

impl Kernel {
    fn new(context: &Arc<Context>, name: &'static str, image: &[u8]) -> Result<Self, CudaError> {
        context.make_current()?;
        let driver = context.device().driver;
        let mut module = std::ptr::null_mut();
        // SAFETY: the image is a whole cubin or PTX that ends with 0: our compiler's, or from the cache with its hash. The driver
        // copies it.
        let code = unsafe {
            (driver.module_load)(
                &raw mut module,
                image.as_ptr().cast(),
                0,
                std::ptr::null_mut(),
                std::ptr::null_mut(),
            )
        };
        driver.check("cuModuleLoadData", code)?;
        let mut this =
            Self { context: Arc::clone(context), module, function: std::ptr::null_mut() };
        let name = CString::new(name).map_err(|error| CudaError::Network(error.to_string()))?;
        // SAFETY: the module was loaded above, the name ends with 0.
        let code =
            unsafe { (driver.module_function)(&raw mut this.function, module, name.as_ptr()) };
        driver.check("cuModuleGetFunction", code)?;
        Ok(this)
    }

    /// Registers a thread, and bytes of local memory that did not fit them.
    pub(crate) fn footprint(&self) -> Result<(u32, u32), CudaError> {
        let driver = self.context.device().driver;
        let attribute = |attribute| {
            let mut value = 0;
            // SAFETY: `value` is valid for the call, and the function as long as `self`.
            let code =
                unsafe { (driver.function_attribute)(&raw mut value, attribute, self.function) };
            driver.check("cuFuncGetAttribute", code)?;
            Ok::<u32, CudaError>(u32::try_from(value).unwrap_or(0))
        };
        Ok((
            attribute(CUfunction_attribute::CU_FUNC_ATTRIBUTE_NUM_REGS)?,
            attribute(CUfunction_attribute::CU_FUNC_ATTRIBUTE_LOCAL_SIZE_BYTES)?,
        ))
    }

    /// Queues a launch.
    ///
    /// # Safety
    /// `parameters` must be what the kernel takes, of the size that it was compiled for, and every address in it must be
    /// of memory that is large enough and outlives the run.
    pub(crate) unsafe fn launch(
        &self,
        stream: &Stream,
        grid: [u32; 3],
        block: [u32; 3],
        parameters: *const c_void,
    ) -> Result<(), CudaError> {
        let driver = self.context.device().driver;
        let mut arguments = [parameters.cast_mut()];
        // SAFETY: one argument, which the driver copies before it returns; the caller vouches for what it points to.
        let code = unsafe {
            (driver.launch)(
                self.function,
                grid[0],
                grid[1],
                grid[2],
                block[0],
                block[1],
                block[2],
                0,
                stream.raw(),
                arguments.as_mut_ptr(),
                std::ptr::null_mut(),
            )
        };
        driver.check("cuLaunchKernel", code)
    }
}

impl Drop for Kernel {
    fn drop(&mut self) {
        if self.context.make_current().is_ok() {
            // SAFETY: loaded in `new`, unloaded once.
            unsafe { (self.context.device().driver.module_unload)(self.module) };
        }
    }
}
