//! Whether there is a CUDA driver and a device.
//!
//! Without a device `createInferRuntime_INTERNAL` of 10.16, 11.0 and 11.4 was seen to return 0x228, which
//! is not null, and using that crashes. So CUDA is asked first, every time.

use libloading::os::unix::{Library, RTLD_LOCAL, RTLD_NOW};
use std::ffi::{CStr, c_char, c_int, c_uint};
use std::fmt;
use std::sync::OnceLock;
use thiserror::Error;

/// The soname of the driver's library, the same on desktops and Jetsons.
const LIBRARY: &str = "libcuda.so.1";

/// What `cuDriverGetVersion` says: the newest CUDA that the driver supports.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct DriverVersion {
    /// 12 of CUDA 12.6.
    pub major: u32,
    /// 6 of CUDA 12.6.
    pub minor: u32,
}

impl fmt::Display for DriverVersion {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}.{}", self.major, self.minor)
    }
}

/// Why CUDA cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum CudaError {
    /// There is no driver on the loader's path.
    #[error("no NVIDIA driver is installed ({LIBRARY} was not found)")]
    NotInstalled,
    /// A driver is there and cannot be loaded.
    #[error("{LIBRARY} cannot be loaded: {reason}")]
    Unloadable {
        /// What the loader said.
        reason: String,
    },
    /// The library is no CUDA driver.
    #[error("{LIBRARY} has no symbol {symbol}: it is no CUDA driver")]
    NotCuda {
        /// What is missing.
        symbol: &'static str,
    },
    /// The driver is there and a call of it failed.
    #[error("{call} failed with {code} ({name}){hint}", hint = hint(*.code))]
    Call {
        /// The function of the driver.
        call: &'static str,
        /// A `CUresult`.
        code: i32,
        /// Its name, as the driver has it.
        name: String,
    },
}

impl CudaError {
    /// Whether there is simply no NVIDIA driver, as on a machine without an NVIDIA GPU.
    pub fn is_not_installed(&self) -> bool {
        matches!(self, Self::NotInstalled)
    }
}

/// Loads the driver once, calls `cuInit`, and returns the driver's version.
///
/// # Errors
/// No driver, a driver that does not fit the kernel module, no device, no permission.
pub fn probe() -> Result<DriverVersion, CudaError> {
    static DRIVER: OnceLock<Driver> = OnceLock::new();
    let driver = if let Some(driver) = DRIVER.get() {
        driver
    } else {
        let loaded = Driver::load()?;
        DRIVER.get_or_init(|| loaded)
    };
    driver.initialise()
}

/// The functions that are needed of `cuda.h`; each has kept its signature since CUDA 6.
#[derive(Debug)]
struct Driver {
    init: unsafe extern "C" fn(c_uint) -> c_int,
    version: unsafe extern "C" fn(*mut c_int) -> c_int,
    get_error_name: unsafe extern "C" fn(c_int, *mut *const c_char) -> c_int,
}

impl Driver {
    fn load() -> Result<Self, CudaError> {
        // SAFETY: loading runs the initialisers of the NVIDIA driver's own library, which are made to be
        // run in any process; the library is never unloaded.
        let library = match unsafe { Library::open(Some(LIBRARY), RTLD_NOW | RTLD_LOCAL) } {
            Ok(library) => library,
            Err(error) => {
                let reason = crate::library::loader_message(&error);
                return Err(if crate::library::is_missing(LIBRARY, &reason) {
                    CudaError::NotInstalled
                } else {
                    CudaError::Unloadable { reason }
                });
            }
        };
        let missing = |symbol| CudaError::NotCuda { symbol };
        // SAFETY: the type is that of `cuInit` in cuda.h.
        let init = *unsafe { library.get(b"cuInit\0") }.map_err(|_| missing("cuInit"))?;
        // SAFETY: the type is that of `cuDriverGetVersion` in cuda.h.
        let version = *unsafe { library.get(b"cuDriverGetVersion\0") }
            .map_err(|_| missing("cuDriverGetVersion"))?;
        // SAFETY: the type is that of `cuGetErrorName` in cuda.h.
        let get_error_name =
            *unsafe { library.get(b"cuGetErrorName\0") }.map_err(|_| missing("cuGetErrorName"))?;
        // Never unloaded: the function pointers stay valid.
        std::mem::forget(library);
        Ok(Self { init, version, get_error_name })
    }

    fn initialise(&self) -> Result<DriverVersion, CudaError> {
        // SAFETY: `cuInit` takes 0 and may be called any number of times, from any thread.
        self.check("cuInit", unsafe { (self.init)(0) })?;
        let mut version = 0;
        // SAFETY: the pointer is to a live integer.
        self.check("cuDriverGetVersion", unsafe { (self.version)(&raw mut version) })?;
        // 1000 * major + 10 * minor, says cuda.h.
        let version = u32::try_from(version).unwrap_or(0);
        Ok(DriverVersion { major: version / 1000, minor: version % 1000 / 10 })
    }

    fn check(&self, call: &'static str, code: c_int) -> Result<(), CudaError> {
        if code == 0 {
            return Ok(());
        }
        let mut name = std::ptr::null();
        // SAFETY: the pointer is to a live pointer; the driver writes the address of a static string to
        // it, or null.
        let named = unsafe { (self.get_error_name)(code, &raw mut name) };
        let name = if named != 0 || name.is_null() {
            "an error without a name".to_owned()
        } else {
            // SAFETY: the driver's names are static and end with a NUL.
            unsafe { CStr::from_ptr(name) }.to_string_lossy().into_owned()
        };
        Err(CudaError::Call { call, code, name })
    }
}

/// What helps most often, by `CUresult` of cuda.h.
fn hint(code: i32) -> &'static str {
    match code {
        100 => {
            ": no CUDA device is visible; on a Jetson the user has to be in the groups video and render"
        }
        803 => {
            ": the driver's library and its kernel module are of different versions; reboot after an update"
        }
        999 => ": the kernel module may not be loaded",
        _ => "",
    }
}
