//! NVIDIA's run-time compiler, from whatever `libnvrtc` is installed.
//!
//! `cudarc` looks for unversioned names, which only development packages have, and for a CUDA 11 by a name that does
//! not exist (the library of every CUDA 11 since 11.3 is `libnvrtc.so.11.2`); so the search is here.
#![allow(unsafe_code, reason = "functions of a C library, looked up by name")]

use crate::error::CudaError;
use libloading::Library;
use std::ffi::{CStr, CString, c_char, c_int, c_void};
use std::path::{Path, PathBuf};

/// The compiler.
#[derive(Debug)]
pub struct Nvrtc {
    functions: Functions,
    /// The file or name that was loaded.
    name: String,
    version: (u32, u32),
    architectures: Vec<u32>,
}

/// A kernel's source and how to compile it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Source {
    /// The name of the function.
    pub kernel: &'static str,
    /// CUDA C++.
    pub text: String,
    /// "-DCLASSES=20".
    pub options: Vec<String>,
}

/// What came out of the compiler.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Compiled {
    /// A cubin, or PTX that ends with 0.
    pub image: Vec<u8>,
    /// "`sm_87`": a cubin; "`compute_86`": PTX, which the driver compiles on.
    pub architecture: String,
    /// What the compiler had to say besides: warnings.
    pub log: String,
}

impl Nvrtc {
    /// Loads the compiler: from `directory` where one is given, else from where the system's loader looks; the newest of
    /// CUDA 13, 12 and 11, but none of a later major than `driver` (what the driver supports): it would make what the
    /// driver cannot load.
    ///
    /// # Errors
    /// [`CudaError::NotInstalled`] with what the loader said of each name, or one that is too old.
    pub fn load(directory: Option<&Path>, driver: Option<u32>) -> Result<Self, CudaError> {
        let mut reasons = Vec::new();
        for (name, major) in LIBRARIES {
            let newer = |major: u32| driver.is_some_and(|driver| major > driver);
            if newer(major) {
                reasons.push(format!("{name}: newer than the driver"));
                continue;
            }
            let path =
                directory.map_or_else(|| PathBuf::from(name), |directory| directory.join(name));
            // SAFETY: loading NVIDIA's compiler runs its initialisers, which expect nothing of the program.
            let found = match unsafe { Library::new(&path) } {
                Ok(library) => Self::from(library, path.display().to_string()),
                Err(error) => {
                    reasons.push(error.to_string());
                    continue;
                }
            };
            match found {
                // Its name does not say which CUDA it is of.
                Ok(compiler) if newer(compiler.version.0) => {
                    reasons.push(format!("{name}: newer than the driver"));
                }
                Ok(compiler) => return Ok(compiler),
                Err(error) => reasons.push(error.to_string()),
            }
        }
        let reasons = reasons.join("; ");
        Err(CudaError::NotInstalled {
            library: "CUDA's run-time compiler (libnvrtc)",
            reason: reasons,
        })
    }

    fn from(library: Library, name: String) -> Result<Self, CudaError> {
        // Pointers into it are kept, and unloading it gains nothing.
        let library: &'static Library = Box::leak(Box::new(library));
        let functions = Functions::from(library, &name)?;
        let (mut major, mut minor) = (0, 0);
        // SAFETY: both are valid for the call.
        check("nvrtcVersion", unsafe { (functions.version)(&raw mut major, &raw mut minor) })?;
        let mut count = 0;
        // SAFETY: `count` is valid for the call.
        let code = unsafe { (functions.architecture_count)(&raw mut count) };
        check("nvrtcGetNumSupportedArchs", code)?;
        let mut architectures = vec![0; usize::try_from(count).unwrap_or(0)];
        // SAFETY: as many as the library has just said that it writes.
        let code = unsafe { (functions.architectures)(architectures.as_mut_ptr()) };
        check("nvrtcGetSupportedArchs", code)?;
        let unsigned = |value| u32::try_from(value).unwrap_or(0);
        let mut architectures: Vec<u32> = architectures.into_iter().map(unsigned).collect();
        architectures.sort_unstable();
        Ok(Self { functions, name, version: (unsigned(major), unsigned(minor)), architectures })
    }

    /// The file or name that was loaded.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Major and minor.
    pub fn version(&self) -> (u32, u32) {
        self.version
    }

    /// What it can compile for, ascending: 87 for compute capability 8.7.
    pub fn architectures(&self) -> &[u32] {
        &self.architectures
    }

    /// Compiles `source` for a device of compute capability `compute`: to machine code if the compiler knows the device,
    /// else to PTX of the newest architecture before it.
    ///
    /// # Errors
    /// [`CudaError::Compile`] with the compiler's words.
    pub fn compile(&self, source: &Source, compute: (u32, u32)) -> Result<Compiled, CudaError> {
        let wanted = 10 * compute.0 + compute.1;
        let known = self.architectures.iter().rev().find(|&&known| known <= wanted);
        let Some(&known) = known else {
            return Err(CudaError::Compile {
                kernel: source.kernel,
                architecture: format!("sm_{wanted}"),
                log: format!(
                    "NVRTC {}.{} ({}) knows {:?}, none of which such a device can run",
                    self.version.0, self.version.1, self.name, self.architectures
                ),
            });
        };
        let native = known == wanted;
        let architecture = format!("{}_{known}", if native { "sm" } else { "compute" });
        let failed = |log: String| CudaError::Compile {
            kernel: source.kernel,
            architecture: architecture.clone(),
            log,
        };
        let c = |text: &str| CString::new(text).map_err(|error| failed(error.to_string()));

        let program = Program::new(&self.functions, &c(&source.text)?, &c(source.kernel)?)?;
        let mut options =
            vec![c(&format!("--gpu-architecture={architecture}"))?, c("--std=c++14")?];
        for option in &source.options {
            options.push(c(option)?);
        }
        let code = program.compile(&options);
        let log = program.log()?;
        if code != 0 {
            return Err(failed(if log.is_empty() { format!("NVRTC error {code}") } else { log }));
        }
        let image = if native { program.cubin()? } else { program.ptx()? };
        Ok(Compiled { image, architecture, log })
    }
}

/// A program of the compiler.
struct Program<'a> {
    functions: &'a Functions,
    handle: *mut c_void,
}

impl<'a> Program<'a> {
    fn new(functions: &'a Functions, text: &CStr, name: &CStr) -> Result<Self, CudaError> {
        let mut handle = std::ptr::null_mut();
        // SAFETY: strings that end with 0, and no headers.
        let code = unsafe {
            (functions.create)(
                &raw mut handle,
                text.as_ptr(),
                name.as_ptr(),
                0,
                std::ptr::null(),
                std::ptr::null(),
            )
        };
        check("nvrtcCreateProgram", code)?;
        Ok(Self { functions, handle })
    }

    fn compile(&self, options: &[CString]) -> c_int {
        let options: Vec<_> = options.iter().map(|option| option.as_ptr()).collect();
        let count = c_int::try_from(options.len()).unwrap_or(0);
        // SAFETY: `count` strings that end with 0 and outlive the call.
        unsafe { (self.functions.compile)(self.handle, count, options.as_ptr()) }
    }

    fn log(&self) -> Result<String, CudaError> {
        let log = self.bytes("nvrtcGetProgramLog", self.functions.log_size, self.functions.log)?;
        Ok(String::from_utf8_lossy(&log).trim_end_matches('\0').trim().to_owned())
    }

    fn cubin(&self) -> Result<Vec<u8>, CudaError> {
        self.bytes("nvrtcGetCUBIN", self.functions.cubin_size, self.functions.cubin)
    }

    fn ptx(&self) -> Result<Vec<u8>, CudaError> {
        self.bytes("nvrtcGetPTX", self.functions.ptx_size, self.functions.ptx)
    }

    fn bytes(&self, call: &'static str, size: Size, get: Get) -> Result<Vec<u8>, CudaError> {
        let mut bytes = 0;
        // SAFETY: `bytes` is valid for the call.
        check(call, unsafe { size(self.handle, &raw mut bytes) })?;
        let mut buffer = vec![0_u8; bytes];
        // SAFETY: the buffer has as many bytes as the library asked for.
        check(call, unsafe { get(self.handle, buffer.as_mut_ptr().cast()) })?;
        Ok(buffer)
    }
}

impl Drop for Program<'_> {
    fn drop(&mut self) {
        // SAFETY: created in `new`, destroyed once.
        unsafe { (self.functions.destroy)(&raw mut self.handle) };
    }
}

type Size = unsafe extern "C" fn(*mut c_void, *mut usize) -> c_int;
type Get = unsafe extern "C" fn(*mut c_void, *mut c_char) -> c_int;
type Create = unsafe extern "C" fn(
    *mut *mut c_void,
    *const c_char,
    *const c_char,
    c_int,
    *const *const c_char,
    *const *const c_char,
) -> c_int;

/// The compiler's functions, as nvrtc.h of CUDA 11.4 declares them.
#[derive(Debug)]
struct Functions {
    version: unsafe extern "C" fn(*mut c_int, *mut c_int) -> c_int,
    architecture_count: unsafe extern "C" fn(*mut c_int) -> c_int,
    architectures: unsafe extern "C" fn(*mut c_int) -> c_int,
    create: Create,
    destroy: unsafe extern "C" fn(*mut *mut c_void) -> c_int,
    compile: unsafe extern "C" fn(*mut c_void, c_int, *const *const c_char) -> c_int,
    log_size: Size,
    log: Get,
    cubin_size: Size,
    cubin: Get,
    ptx_size: Size,
    ptx: Get,
}

impl Functions {
    fn from(library: &Library, name: &str) -> Result<Self, CudaError> {
        /// Looks a function up.
        ///
        /// # Safety
        /// T must be the type of a function of that name.
        unsafe fn get<T: Copy>(
            library: &Library,
            name: &str,
            symbol: &'static str,
        ) -> Result<T, CudaError> {
            // SAFETY: the caller vouches for the type.
            let found = unsafe { library.get::<T>(symbol.as_bytes()) };
            let missing = |_| CudaError::Symbol { library: name.into(), symbol };
            found.map(|found| *found).map_err(missing)
        }
        macro_rules! get {
            ($symbol:literal) => {
                // SAFETY: the field's type is the one that nvrtc.h declares for this name.
                unsafe { get(library, name, $symbol) }?
            };
        }
        Ok(Self {
            version: get!("nvrtcVersion"),
            architecture_count: get!("nvrtcGetNumSupportedArchs"),
            architectures: get!("nvrtcGetSupportedArchs"),
            create: get!("nvrtcCreateProgram"),
            destroy: get!("nvrtcDestroyProgram"),
            compile: get!("nvrtcCompileProgram"),
            log_size: get!("nvrtcGetProgramLogSize"),
            log: get!("nvrtcGetProgramLog"),
            cubin_size: get!("nvrtcGetCUBINSize"),
            cubin: get!("nvrtcGetCUBIN"),
            ptx_size: get!("nvrtcGetPTXSize"),
            ptx: get!("nvrtcGetPTX"),
        })
    }
}

fn check(call: &'static str, code: c_int) -> Result<(), CudaError> {
    if code == 0 {
        return Ok(());
    }
    Err(CudaError::Call { call, code, name: "an error of the run-time compiler".into() })
}

/// Newest first. Majors have one name each; the unversioned one is a development package's.
const LIBRARIES: [(&str, u32); 4] =
    [("libnvrtc.so.13", 13), ("libnvrtc.so.12", 12), ("libnvrtc.so.11.2", 11), ("libnvrtc.so", 0)];
