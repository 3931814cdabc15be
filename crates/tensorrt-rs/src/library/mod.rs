//! The library of TensorRT that is loaded.

mod parser;
mod search;

pub use parser::ParserLoadError;
pub use search::{LoadError, Rejected, Rejection, Search};

pub(crate) use parser::ParserLibrary;

use crate::callback::logger;
use crate::cuda::{self, DriverVersion};
use crate::error::{Failure, TensorRtError};
use crate::object::Object;
use crate::table::Calls;
use crate::version::{Major, Version};
use std::ffi::c_void;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

/// `createInferRuntime_INTERNAL` and `createInferBuilder_INTERNAL`: logger, version of the caller's header.
type Factory = unsafe extern "C" fn(*mut c_void, i32) -> *mut c_void;

/// A loaded TensorRT. Copies are cheap; the library stays loaded until the process ends.
#[derive(Clone, Copy)]
pub struct TensorRt {
    library: &'static Library,
}

/// What a loaded library offers.
pub(crate) struct Library {
    version: Version,
    major: Major,
    /// The file, where the loader tells it; else the name that was asked for.
    path: PathBuf,
    /// What `getInferLibVersion` returned: the factories want the version of the caller's headers, and
    /// take their own.
    number: i32,
    create_runtime: Factory,
    /// Lean and dispatch runtimes have none.
    create_builder: Option<Factory>,
    parser: OnceLock<Result<ParserLibrary, ParserLoadError>>,
}

/// Something that not every supported version has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Feature {
    /// Building engines: not in lean and dispatch runtimes.
    Builder,
    /// `IBuilderConfig::setBuilderOptimizationLevel`: from 8.6.
    OptimizationLevel,
    /// `IBuilderConfig::setHardwareCompatibilityLevel`: from 8.6.
    HardwareCompatibility,
    /// `BuilderFlag::kVERSION_COMPATIBLE` and `IRuntime::setEngineHostCodeAllowed`: from 8.6.
    VersionCompatibility,
    /// `IBuilderConfig::setProgressMonitor`: from 10.0.
    ProgressMonitor,
    /// Strongly typed networks: from 10.0.
    StronglyTyped,
    /// Networks whose precisions the builder chooses (`BuilderFlag::kFP16`, `kINT8`): until 10.x.
    WeaklyTyped,
}

impl TensorRt {
    /// Finds and loads TensorRT. The same file is loaded once; asking again is cheap.
    ///
    /// # Errors
    /// [`LoadError::NotInstalled`] where there is none; otherwise what was found and why it cannot be used.
    pub fn load(search: &Search) -> Result<Self, LoadError> {
        search.run().map(|library| Self { library })
    }

    /// The version.
    pub fn version(self) -> Version {
        self.library.version
    }

    /// Which tables it is called through.
    pub fn major(self) -> Major {
        self.library.major
    }

    /// The file that is loaded.
    pub fn path(self) -> &'static Path {
        &self.library.path
    }

    /// Whether this library has something.
    pub fn has(self, feature: Feature) -> bool {
        let major = self.library.major;
        let from_8_6 = major >= Major::V10 || self.library.version >= Version::new(8, 6, 0);
        match feature {
            Feature::Builder => self.library.create_builder.is_some(),
            Feature::OptimizationLevel
            | Feature::HardwareCompatibility
            | Feature::VersionCompatibility => from_8_6,
            Feature::ProgressMonitor | Feature::StronglyTyped => major >= Major::V10,
            Feature::WeaklyTyped => major < Major::V11,
        }
    }

    /// Loads the ONNX parser of the same major, from the directory of the library first.
    ///
    /// # Errors
    /// There is none, or one of another version.
    pub fn load_parser(self) -> Result<&'static Path, ParserLoadError> {
        self.parser_library().map(ParserLibrary::path)
    }

    /// Checks that there is a CUDA device, without which no object of TensorRT can be made.
    ///
    /// # Errors
    /// See [`cuda::probe`].
    pub fn probe_cuda(self) -> Result<DriverVersion, TensorRtError> {
        Ok(cuda::probe()?)
    }

    pub(crate) fn parser_library(self) -> Result<&'static ParserLibrary, ParserLoadError> {
        let parser = self
            .library
            .parser
            .get_or_init(|| ParserLibrary::load(self.library.version, &self.library.path));
        parser.as_ref().map_err(Clone::clone)
    }

    pub(crate) fn calls(self) -> Calls {
        Calls { version: self.library.version }
    }

    pub(crate) fn create_runtime(self) -> Result<Object, TensorRtError> {
        self.create("createInferRuntime", self.library.create_runtime)
    }

    pub(crate) fn create_builder(self) -> Result<Object, TensorRtError> {
        let factory = self.library.create_builder.ok_or_else(|| TensorRtError::NoBuilder {
            path: self.library.path.clone(),
            version: self.library.version,
        })?;
        self.create("createInferBuilder", factory)
    }

    fn create(self, call: &'static str, factory: Factory) -> Result<Object, TensorRtError> {
        // Without a device a factory may return what is neither null nor an object; that of TensorRT for RTX needs none.
        if self.library.major != Major::Rtx1 {
            cuda::probe()?;
        }
        let logger = logger::object(self.library.major);
        self.explain(call, None, || {
            // SAFETY: the factory of this library, with the signature of `NvInferRuntime.h` (the same in
            // all supported versions); the logger is static and of the layout of this major.
            Object::new(unsafe { factory(logger, self.library.number) })
        })
    }

    /// Runs a call that may fail; a failure gets what TensorRT logged meanwhile.
    pub(crate) fn explain<T>(
        self,
        call: &'static str,
        subject: Option<&dyn fmt::Display>,
        run: impl FnOnce() -> Option<T>,
    ) -> Result<T, TensorRtError> {
        let mark = logger::mark();
        run().ok_or_else(|| {
            TensorRtError::failed(Failure {
                call,
                subject: subject.map(ToString::to_string),
                version: self.library.version,
                messages: logger::errors_since(mark),
            })
        })
    }
}

impl fmt::Debug for TensorRt {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("TensorRt")
            .field("version", &self.library.version)
            .field("path", &self.library.path)
            .finish_non_exhaustive()
    }
}

/// What the dynamic loader said.
pub(crate) fn loader_message(error: &libloading::Error) -> String {
    // The description of `dlerror` is the source of the error in libloading 0.9.
    std::error::Error::source(error).map_or_else(|| error.to_string(), ToString::to_string)
}

/// Whether the loader found no file of that name, as opposed to a file, or one of those that it needs,
/// that cannot be used. The message is glibc's; it starts with the file that is missing.
pub(crate) fn is_missing(name: &str, message: &str) -> bool {
    message
        .strip_prefix(name)
        .is_some_and(|rest| rest.starts_with(": cannot open shared object file: No such file"))
}
