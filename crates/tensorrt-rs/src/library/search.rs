//! Finding a library of a supported version.

use super::{Factory, Library, is_missing, loader_message};
use crate::version::{Major, SUPPORTED, Version};
use libloading::os::unix::{Library as Handle, RTLD_LOCAL, RTLD_NOW};
use std::ffi::{CStr, OsStr, c_char, c_int, c_void};
use std::fmt;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, OnceLock, PoisonError};
use thiserror::Error;

/// Supported majors, the newest first, and the name without a version last.
const SUFFIXES: [&str; 4] = [".so.11", ".so.10", ".so.8", ".so"];

/// Majors that are looked for only to be named when no other is found.
const UNSUPPORTED_SUFFIXES: [&str; 7] =
    [".so.14", ".so.13", ".so.12", ".so.9", ".so.7", ".so.6", ".so.5"];

/// `TensorRT` for RTX.
const RTX: &str = "libtensorrt_rtx.so.1";

/// Where to look for TensorRT.
///
/// By default `libnvinfer.so.11`, `.so.10`, `.so.8` and `libnvinfer.so` on the loader's path; with a
/// directory the same names in it, and nowhere else; with a file that one.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Search {
    path: Option<PathBuf>,
    lean: bool,
    rtx: bool,
}

impl Search {
    /// A file, or a directory with the libraries in it. Nothing else is tried.
    pub fn at(path: impl Into<PathBuf>) -> Self {
        Self { path: Some(path.into()), lean: false, rtx: false }
    }

    /// Take a lean runtime (`libnvinfer_lean`) where there is no full library. It runs version-compatible
    /// plans only, and builds nothing.
    #[must_use]
    pub fn allow_lean(mut self) -> Self {
        self.lean = true;
        self
    }

    /// Take `TensorRT` for RTX (`libtensorrt_rtx.so.1`) where there is no `libnvinfer`. It runs on GPUs of PCs, not on
    /// Jetsons, and builds plans of its own, also on a machine that has no GPU. A file of it that is named
    /// ([`Search::at`]) is taken without being allowed.
    #[must_use]
    pub fn allow_rtx(mut self) -> Self {
        self.rtx = true;
        self
    }

    pub(super) fn run(&self) -> Result<&'static Library, LoadError> {
        let directory = match &self.path {
            Some(path) => match std::fs::metadata(path) {
                Err(source) => {
                    return Err(LoadError::Missing { path: path.clone(), source });
                }
                Ok(metadata) if metadata.is_dir() => Some(path.as_path()),
                Ok(_) => {
                    return match Attempt::of(path.as_os_str()) {
                        Attempt::Usable(library) => Ok(library),
                        Attempt::Absent => Err(LoadError::NotInstalled {
                            directory: None,
                            tried: vec![path.display().to_string()],
                        }),
                        Attempt::Rejected(rejected) => {
                            Err(LoadError::Unusable { rejected: vec![rejected] })
                        }
                    };
                }
            },
            None => None,
        };
        let stems: &[&str] =
            if self.lean { &["libnvinfer", "libnvinfer_lean"] } else { &["libnvinfer"] };
        let names = |suffixes: &'static [&'static str]| {
            stems
                .iter()
                .flat_map(move |stem| suffixes.iter().map(move |suffix| format!("{stem}{suffix}")))
        };
        let mut rejected: Vec<Rejected> = Vec::new();
        let mut tried = Vec::new();
        for name in names(&SUFFIXES) {
            match Attempt::at(directory, &name) {
                Attempt::Usable(library) => {
                    for rejected in &rejected {
                        log::warn!(target: crate::callback::logger::TARGET, "passed over {rejected}");
                    }
                    return Ok(library);
                }
                Attempt::Absent => {}
                Attempt::Rejected(one) => {
                    // The unversioned name is mostly a link to one that was tried.
                    if !rejected.iter().any(|known| known.same_file(&one)) {
                        rejected.push(one);
                    }
                }
            }
            tried.push(name);
        }
        if self.rtx {
            match Attempt::at(directory, RTX) {
                Attempt::Usable(library) => return Ok(library),
                Attempt::Absent => tried.push(RTX.to_owned()),
                Attempt::Rejected(one) => rejected.push(one),
            }
        }
        if rejected.is_empty() {
            for name in names(&UNSUPPORTED_SUFFIXES) {
                match Attempt::at(directory, &name) {
                    Attempt::Absent => {}
                    Attempt::Rejected(one) => rejected.push(one),
                    // A file of an unsupported name that says it is of a supported version.
                    Attempt::Usable(library) => return Ok(library),
                }
            }
        }
        if rejected.is_empty() {
            Err(LoadError::NotInstalled { directory: directory.map(Path::to_path_buf), tried })
        } else {
            Err(LoadError::Unusable { rejected })
        }
    }
}

/// Why there is no TensorRT to use.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum LoadError {
    /// None was found.
    #[error("TensorRT is not installed: found none of {names} {place}", names = .tried.join(", "), place = place(.directory.as_deref()))]
    NotInstalled {
        /// Where it was looked for; `None` is the loader's path.
        directory: Option<PathBuf>,
        /// The names that were tried.
        tried: Vec<String>,
    },
    /// The configured file or directory cannot be looked at.
    #[error("the configured path of TensorRT, {path}, cannot be used: {source}", path = .path.display())]
    Missing {
        /// The path.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// Something was found and cannot be used.
    #[error("{list}", list = list(.rejected))]
    Unusable {
        /// What and why, in the order in which it was tried; at least one.
        rejected: Vec<Rejected>,
    },
}

impl LoadError {
    /// Whether there is simply no TensorRT, as opposed to one that cannot be used.
    pub fn is_not_installed(&self) -> bool {
        matches!(self, Self::NotInstalled { .. })
    }
}

/// A library that was found and cannot be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rejected {
    /// The file, where the loader tells it; else the name that was asked for.
    pub path: PathBuf,
    /// Why not.
    pub reason: Rejection,
}

impl Rejected {
    fn same_file(&self, other: &Self) -> bool {
        let canonical = |path: &Path| std::fs::canonicalize(path).unwrap_or_else(|_| path.into());
        canonical(&self.path) == canonical(&other.path)
    }
}

impl fmt::Display for Rejected {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{} {}", self.path.display(), self.reason)
    }
}

/// Why a library that was found cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum Rejection {
    /// The loader refuses it.
    #[error("cannot be loaded: {message}")]
    Unloadable {
        /// What the loader said; often a library that it needs is missing.
        message: String,
    },
    /// It lacks what every TensorRT has.
    #[error("is no TensorRT library: it has no symbol {symbol}")]
    NotTensorRt {
        /// What is missing.
        symbol: &'static str,
    },
    /// It tells a version that there is none of.
    #[error("says that its version is {number}, which is no version of TensorRT")]
    NoVersion {
        /// What `getInferLibVersion` returned.
        number: i32,
    },
    /// There are no tables for it.
    #[error("is TensorRT {version}; supported are {SUPPORTED}")]
    Version {
        /// Its version.
        version: Version,
    },
}

fn place(directory: Option<&Path>) -> String {
    match directory {
        Some(directory) => format!("in {}", directory.display()),
        None => "on the loader's path (LD_LIBRARY_PATH, /etc/ld.so.conf)".to_owned(),
    }
}

fn list(rejected: &[Rejected]) -> String {
    let all: Vec<String> = rejected.iter().map(ToString::to_string).collect();
    format!("no usable TensorRT: {}", all.join("; "))
}

/// What became of one name.
enum Attempt {
    Usable(&'static Library),
    Absent,
    Rejected(Rejected),
}

impl Attempt {
    fn at(directory: Option<&Path>, name: &str) -> Self {
        match directory {
            None => Self::of(OsStr::new(name)),
            Some(directory) => {
                let path = directory.join(name);
                // A link that leads nowhere is absent, too.
                if path.exists() { Self::of(path.as_os_str()) } else { Self::Absent }
            }
        }
    }

    fn of(name: &OsStr) -> Self {
        // SAFETY: loading runs the initialisers of what the user configured, or of the system's TensorRT:
        // code that the process is meant to run. The library is never unloaded.
        let handle = match unsafe { Handle::open(Some(name), RTLD_NOW | RTLD_LOCAL) } {
            Ok(handle) => handle,
            Err(error) => {
                let message = loader_message(&error);
                return if is_missing(&name.to_string_lossy(), &message) {
                    Self::Absent
                } else {
                    Self::Rejected(Rejected {
                        path: PathBuf::from(name),
                        reason: Rejection::Unloadable { message },
                    })
                };
            }
        };
        let result = Library::of(&handle, name);
        // Never unloaded: TensorRT's threads and the addresses we took live on.
        std::mem::forget(handle);
        match result {
            Ok(library) => Self::Usable(library),
            Err(rejected) => Self::Rejected(rejected),
        }
    }
}

impl Library {
    fn of(handle: &Handle, name: &OsStr) -> Result<&'static Self, Rejected> {
        let no_symbol = |symbol| Rejected {
            path: PathBuf::from(name),
            reason: Rejection::NotTensorRt { symbol },
        };
        // SAFETY: the type is that of `getInferLibVersion` of NvInferRuntimeBase.h, in every version of both products.
        let get_version: unsafe extern "C" fn() -> i32 =
            *unsafe { handle.get(b"getInferLibVersion\0") }
                .map_err(|_| no_symbol("getInferLibVersion"))?;
        let path = file_of(get_version).unwrap_or_else(|| PathBuf::from(name));
        let reject = |reason| Rejected { path: path.clone(), reason };
        // SAFETY: it takes nothing and returns a constant.
        let number = unsafe { get_version() };
        let version = Version::from_library_number(number)
            .ok_or_else(|| reject(Rejection::NoVersion { number }))?;
        let major = Major::of(version).ok_or_else(|| reject(Rejection::Version { version }))?;
        // SAFETY: the type is that of `createInferRuntime_INTERNAL` of NvInferRuntime.h, from 8.5 to 11 and in TensorRT for RTX.
        let create_runtime: Factory = *unsafe { handle.get(b"createInferRuntime_INTERNAL\0") }
            .map_err(|_| {
                reject(Rejection::NotTensorRt { symbol: "createInferRuntime_INTERNAL" })
            })?;
        // SAFETY: the type is that of `createInferBuilder_INTERNAL` of NvInfer.h, from 8.5 to 11 and in TensorRT for RTX.
        let create_builder =
            unsafe { handle.get::<Factory>(b"createInferBuilder_INTERNAL\0") }.ok().map(|it| *it);
        Ok(Self::kept(Self {
            version,
            major,
            path,
            number,
            create_runtime,
            create_builder,
            parser: OnceLock::new(),
        }))
    }

    /// One for each file, for as long as the process lives.
    fn kept(self) -> &'static Self {
        static LOADED: Mutex<Vec<&'static Library>> = Mutex::new(Vec::new());
        let mut loaded = LOADED.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = loaded.iter().find(|known| known.path == self.path) {
            return known;
        }
        let library: &'static Self = Box::leak(Box::new(self));
        loaded.push(library);
        library
    }
}

/// The file that a function was loaded from.
fn file_of(function: unsafe extern "C" fn() -> i32) -> Option<PathBuf> {
    /// `Dl_info` of glibc and musl.
    #[repr(C)]
    struct DlInfo {
        file: *const c_char,
        base: *mut c_void,
        symbol: *const c_char,
        address: *mut c_void,
    }
    unsafe extern "C" {
        fn dladdr(address: *const c_void, info: *mut DlInfo) -> c_int;
    }
    let mut info = DlInfo {
        file: std::ptr::null(),
        base: std::ptr::null_mut(),
        symbol: std::ptr::null(),
        address: std::ptr::null_mut(),
    };
    // SAFETY: the address is of a function of a loaded library, the other of a live `Dl_info`.
    let found = unsafe { dladdr(function as *const c_void, &raw mut info) };
    if found == 0 || info.file.is_null() {
        return None;
    }
    // SAFETY: the loader keeps the name as long as the library is loaded, which is for ever.
    let file = unsafe { CStr::from_ptr(info.file) };
    Some(PathBuf::from(OsStr::from_bytes(file.to_bytes())))
}
