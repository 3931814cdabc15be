//! The functions of the CUDA driver, from whatever `libcuda.so.1` is installed.
//!
//! Types and constants are `cudarc`'s. The functions are looked up here, for two reasons: `cudarc` returns `CUresult` as a
//! Rust enum, which is undefined behaviour for a code that its bindings do not know (a driver may be years newer than
//! the CUDA 11.4 that we ask for, and then says `CUDA_ERROR_DEVICE_UNAVAILABLE`); and a missing function is a panic there
//! and an error here.
#![allow(unsafe_code, reason = "functions of a C library, looked up by name")]

use crate::error::CudaError;
use cudarc::driver::sys::{
    CUcontext, CUdevice, CUdevice_attribute, CUdeviceptr, CUevent, CUfunction,
    CUfunction_attribute, CUgraph, CUgraphExec, CUjit_option, CUmodule, CUstream,
    CUstreamCaptureMode, CUuuid,
};
use libloading::Library;
use std::ffi::{CStr, c_char, c_int, c_uint, c_void};
use std::sync::OnceLock;

/// Declares [`Driver`], one function pointer for each function, and how it is filled.
macro_rules! functions {
    ($($field:ident = $symbol:literal ( $($argument:ty),* );)*) => {
        /// The driver's functions. The library is never unloaded.
        pub(crate) struct Driver {
            $(pub(crate) $field: unsafe extern "C" fn($($argument),*) -> c_int,)*
        }

        impl Driver {
            fn from(library: &Library) -> Result<Self, CudaError> {
                Ok(Self {
                    $($field: {
                        // SAFETY: the signature is the one that cuda.h of CUDA 11.4 declares for this name, and the ABI
                        // of a versioned name never changes; a pointer outlives `library` because that is leaked.
                        let symbol = unsafe {
                            library.get::<unsafe extern "C" fn($($argument),*) -> c_int>($symbol.as_bytes())
                        };
                        *symbol.map_err(|_| CudaError::Symbol {
                            library: LIBRARY.into(),
                            symbol: $symbol,
                        })?
                    },)*
                })
            }
        }
    };
}

functions! {
    init = "cuInit"(c_uint);
    driver_version = "cuDriverGetVersion"(*mut c_int);
    error_name = "cuGetErrorName"(c_int, *mut *const c_char);
    device_count = "cuDeviceGetCount"(*mut c_int);
    device_get = "cuDeviceGet"(*mut CUdevice, c_int);
    device_name = "cuDeviceGetName"(*mut c_char, c_int, CUdevice);
    device_uuid = "cuDeviceGetUuid"(*mut CUuuid, CUdevice);
    device_memory = "cuDeviceTotalMem_v2"(*mut usize, CUdevice);
    device_attribute = "cuDeviceGetAttribute"(*mut c_int, CUdevice_attribute, CUdevice);
    context_retain = "cuDevicePrimaryCtxRetain"(*mut CUcontext, CUdevice);
    context_release = "cuDevicePrimaryCtxRelease_v2"(CUdevice);
    context_reset = "cuDevicePrimaryCtxReset_v2"(CUdevice);
    context_set = "cuCtxSetCurrent"(CUcontext);
    memory_info = "cuMemGetInfo_v2"(*mut usize, *mut usize);
    allocate = "cuMemAlloc_v2"(*mut CUdeviceptr, usize);
    free = "cuMemFree_v2"(CUdeviceptr);
    host_allocate = "cuMemHostAlloc"(*mut *mut c_void, usize, c_uint);
    host_free = "cuMemFreeHost"(*mut c_void);
    host_device_pointer = "cuMemHostGetDevicePointer_v2"(*mut CUdeviceptr, *mut c_void, c_uint);
    copy_to_device = "cuMemcpyHtoDAsync_v2"(CUdeviceptr, *const c_void, usize, CUstream);
    copy_to_host = "cuMemcpyDtoHAsync_v2"(*mut c_void, CUdeviceptr, usize, CUstream);
    copy_on_device = "cuMemcpyDtoDAsync_v2"(CUdeviceptr, CUdeviceptr, usize, CUstream);
    fill = "cuMemsetD8Async"(CUdeviceptr, u8, usize, CUstream);
    stream_create = "cuStreamCreate"(*mut CUstream, c_uint);
    stream_destroy = "cuStreamDestroy_v2"(CUstream);
    stream_synchronize = "cuStreamSynchronize"(CUstream);
    capture_begin = "cuStreamBeginCapture_v2"(CUstream, CUstreamCaptureMode);
    capture_end = "cuStreamEndCapture"(CUstream, *mut CUgraph);
    graph_instantiate = "cuGraphInstantiateWithFlags"(*mut CUgraphExec, CUgraph, u64);
    graph_launch = "cuGraphLaunch"(CUgraphExec, CUstream);
    graph_exec_destroy = "cuGraphExecDestroy"(CUgraphExec);
    graph_destroy = "cuGraphDestroy"(CUgraph);
    event_create = "cuEventCreate"(*mut CUevent, c_uint);
    event_destroy = "cuEventDestroy_v2"(CUevent);
    event_record = "cuEventRecordWithFlags"(CUevent, CUstream, c_uint);
    event_query = "cuEventQuery"(CUevent);
    event_synchronize = "cuEventSynchronize"(CUevent);
    event_elapsed = "cuEventElapsedTime"(*mut f32, CUevent, CUevent);
    module_load = "cuModuleLoadDataEx"(*mut CUmodule, *const c_void, c_uint, *mut CUjit_option, *mut *mut c_void);
    module_unload = "cuModuleUnload"(CUmodule);
    module_function = "cuModuleGetFunction"(*mut CUfunction, CUmodule, *const c_char);
    function_attribute = "cuFuncGetAttribute"(*mut c_int, CUfunction_attribute, CUfunction);
    launch = "cuLaunchKernel"(
        CUfunction, c_uint, c_uint, c_uint, c_uint, c_uint, c_uint, c_uint, CUstream, *mut *mut c_void,
        *mut *mut c_void
    );
}

impl Driver {
    /// The driver, loaded and initialised once per process, and again after a failure.
    ///
    /// # Errors
    /// No driver, one that is too old, or one that finds no GPU or may not use it.
    pub(crate) fn load() -> Result<&'static Self, CudaError> {
        static DRIVER: OnceLock<Driver> = OnceLock::new();
        match DRIVER.get() {
            Some(driver) => Ok(driver),
            None => Self::open().map(|driver| DRIVER.get_or_init(|| driver)),
        }
    }

    fn open() -> Result<Self, CudaError> {
        // SAFETY: loading the driver runs its initialisers, which is what every CUDA program does at its start.
        let library = unsafe { Library::new(LIBRARY) }.map_err(|error| {
            CudaError::NotInstalled { library: LIBRARY_FOR_PEOPLE, reason: error.to_string() }
        })?;
        // Pointers into it are kept for ever.
        let library: &'static Library = Box::leak(Box::new(library));
        let driver = Self::from(library)?;
        // SAFETY: flags must be 0.
        driver.check("cuInit", unsafe { (driver.init)(0) })?;
        let mut found = 0;
        // SAFETY: `found` is valid for the call.
        driver.check("cuDriverGetVersion", unsafe { (driver.driver_version)(&raw mut found) })?;
        if found < MINIMUM_DRIVER {
            return Err(CudaError::DriverVersion { found });
        }
        Ok(driver)
    }

    /// The CUDA version that the driver supports: 1000 major + 10 minor.
    pub(crate) fn version(&self) -> Result<i32, CudaError> {
        let mut version = 0;
        // SAFETY: `version` is valid for the call.
        self.check("cuDriverGetVersion", unsafe { (self.driver_version)(&raw mut version) })?;
        Ok(version)
    }

    /// An error for any `code` but 0.
    pub(crate) fn check(&self, call: &'static str, code: c_int) -> Result<(), CudaError> {
        if code == 0 { Ok(()) } else { Err(self.error(call, code)) }
    }

    #[cold]
    fn error(&self, call: &'static str, code: c_int) -> CudaError {
        let mut name = std::ptr::null();
        // SAFETY: `name` is valid for the call; any number may be asked about.
        let known = unsafe { (self.error_name)(code, &raw mut name) };
        let name = if known == 0 && !name.is_null() {
            // SAFETY: the driver returned it as a string that ends with 0 and lives as long as the library, that is, for ever.
            unsafe { CStr::from_ptr(name) }.to_string_lossy().into_owned()
        } else {
            "unknown to this driver".into()
        };
        CudaError::Call { call, code, name }
    }
}

impl std::fmt::Debug for Driver {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Driver").finish_non_exhaustive()
    }
}

const LIBRARY: &str = "libcuda.so.1";
const LIBRARY_FOR_PEOPLE: &str = "the CUDA driver (libcuda.so.1)";
const MINIMUM_DRIVER: i32 = 11_040;
