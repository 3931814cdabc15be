//! The library of the ONNX parser.

use super::{is_missing, loader_message};
use crate::version::{Major, Version};
use libloading::os::unix::{Library as Handle, RTLD_LOCAL, RTLD_NOW};
use std::ffi::{c_int, c_void};
use std::path::{Path, PathBuf};
use thiserror::Error;

/// `createNvOnnxParser_INTERNAL`: network, logger, version of the caller's header.
type Factory = unsafe extern "C" fn(*mut c_void, *mut c_void, c_int) -> *mut c_void;

/// A loaded `libnvonnxparser`.
#[derive(Debug)]
pub(crate) struct ParserLibrary {
    path: PathBuf,
    create: Factory,
    /// What `getNvOnnxParserVersion` returned: 100 up to 10.x, 200 in 11.4. The factory wants the number
    /// of the caller's header, and takes its own.
    number: c_int,
}

/// Why there is no ONNX parser to use.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum ParserLoadError {
    /// None of the same major was found.
    #[error("TensorRT {version} is installed without its ONNX parser: {name} is neither in {directory} nor on the loader's path", directory = .directory.display())]
    NotInstalled {
        /// The version of TensorRT.
        version: Version,
        /// The name that was looked for.
        name: String,
        /// Where it was looked for first.
        directory: PathBuf,
    },
    /// It was found and cannot be loaded.
    #[error("the ONNX parser {path} cannot be loaded: {message}", path = .path.display())]
    Unloadable {
        /// The file or name.
        path: PathBuf,
        /// What the loader said.
        message: String,
    },
    /// It lacks what every parser has.
    #[error("{path} is no ONNX parser of TensorRT: it has no symbol {symbol}", path = .path.display())]
    NotAParser {
        /// The file or name.
        path: PathBuf,
        /// What is missing.
        symbol: &'static str,
    },
}

impl ParserLibrary {
    /// The parser of `version`, next to the library of TensorRT or else on the loader's path. The name with
    /// the major is the only one that is tried: a parser's own version says nothing of TensorRT's.
    pub(super) fn load(version: Version, library: &Path) -> Result<Self, ParserLoadError> {
        let stem = match Major::of(version) {
            Some(Major::Rtx1) => "libtensorrt_onnxparser_rtx",
            _ => "libnvonnxparser",
        };
        let name = format!("{stem}.so.{}", version.major);
        let directory = library.parent().unwrap_or_else(|| Path::new("")).to_path_buf();
        let beside = directory.join(&name);
        let path =
            if library.is_absolute() && beside.exists() { beside } else { name.clone().into() };
        // SAFETY: loading runs the initialisers of a part of TensorRT; it is never unloaded.
        let handle = unsafe { Handle::open(Some(&path), RTLD_NOW | RTLD_LOCAL) };
        let handle = handle.map_err(|error| {
            let message = loader_message(&error);
            if is_missing(&path.to_string_lossy(), &message) {
                ParserLoadError::NotInstalled { version, name, directory }
            } else {
                ParserLoadError::Unloadable { path: path.clone(), message }
            }
        })?;
        let no_symbol = |symbol| ParserLoadError::NotAParser { path: path.clone(), symbol };
        // SAFETY: the type is that of `createNvOnnxParser_INTERNAL` of NvOnnxParser.h, from 8.5 to 11 and in TensorRT for RTX.
        let create: Factory = *unsafe { handle.get(b"createNvOnnxParser_INTERNAL\0") }
            .map_err(|_| no_symbol("createNvOnnxParser_INTERNAL"))?;
        // SAFETY: the type is that of `getNvOnnxParserVersion` of NvOnnxParser.h, from 8.5 to 11 and in TensorRT for RTX.
        let get_version: unsafe extern "C" fn() -> c_int =
            *unsafe { handle.get(b"getNvOnnxParserVersion\0") }
                .map_err(|_| no_symbol("getNvOnnxParserVersion"))?;
        // SAFETY: it takes nothing and returns a constant.
        let number = unsafe { get_version() };
        // Never unloaded: the addresses we took live on.
        std::mem::forget(handle);
        Ok(Self { path, create, number })
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// # Safety
    /// `network` is a live `INetworkDefinition` of the TensorRT of the same version, `logger` a logger of its
    /// major that lives for ever.
    pub(crate) unsafe fn create(&self, network: *mut c_void, logger: *mut c_void) -> *mut c_void {
        // SAFETY: the caller vouches for the arguments; the number is the library's own.
        unsafe { (self.create)(network, logger, self.number) }
    }
}
