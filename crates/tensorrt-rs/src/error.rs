//! What can go wrong after a library is loaded.

use crate::build::ParseError;
use crate::cuda::CudaError;
use crate::library::ParserLoadError;
use crate::version::Version;
use std::fmt;
use std::path::PathBuf;
use thiserror::Error;

/// Why something could not be done.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum TensorRtError {
    /// There is no usable CUDA, so no TensorRT object can be made.
    #[error("TensorRT needs CUDA: {0}")]
    Cuda(#[from] CudaError),
    /// This version of TensorRT has no such thing.
    #[error(transparent)]
    Unsupported(#[from] Unsupported),
    /// The library cannot build engines.
    #[error(
        "{path} (TensorRT {version}) is a lean or dispatch runtime: it has no builder; to build an engine install the full TensorRT (libnvinfer.so.{major})", path = .path.display(), major = .version.major
    )]
    NoBuilder {
        /// The library that is loaded.
        path: PathBuf,
        /// Its version.
        version: Version,
    },
    /// The ONNX parser's library is missing or unusable.
    #[error(transparent)]
    ParserLibrary(#[from] ParserLoadError),
    /// The ONNX parser refused the network.
    #[error(transparent)]
    Parse(#[from] ParseError),
    /// A call returned null or false.
    #[error(transparent)]
    Failed(Box<Failure>),
    /// An argument that cannot be handed over.
    #[error("{call}: {argument} is {found}; expected {expected}")]
    Argument {
        /// The method that would have been called.
        call: &'static str,
        /// Which argument.
        argument: &'static str,
        /// What it was.
        found: String,
        /// What it has to be.
        expected: &'static str,
    },
    /// TensorRT answered with a number that this crate has no name for.
    #[error("{call} answered with {value}, which is no {enumeration} that this crate knows")]
    UnknownValue {
        /// The method that was called.
        call: &'static str,
        /// The enumeration of the answer.
        enumeration: &'static str,
        /// The number.
        value: i64,
    },
}

impl TensorRtError {
    pub(crate) fn failed(failure: Failure) -> Self {
        Self::Failed(Box::new(failure))
    }

    /// What TensorRT logged while the call that failed was running, for [`TensorRtError::Failed`].
    pub fn messages(&self) -> &[String] {
        match self {
            Self::Failed(failure) => &failure.messages,
            _ => &[],
        }
    }
}

/// A call that returned null or false.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// The method, "`ICudaEngine::createExecutionContext`".
    pub call: &'static str,
    /// What it was called for, where that says more.
    pub subject: Option<String>,
    /// The version of TensorRT.
    pub version: Version,
    /// What TensorRT logged as an error between the start of the call and its end, oldest first. Other
    /// threads that fail at the same time are among them: TensorRT does not say whose a message is.
    pub messages: Vec<String>,
}

impl std::error::Error for Failure {}

impl fmt::Display for Failure {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{} failed", self.call)?;
        if let Some(subject) = &self.subject {
            write!(formatter, " for {subject}")?;
        }
        write!(formatter, " (TensorRT {})", self.version)?;
        match self.messages.as_slice() {
            [] => write!(formatter, "; it logged no reason"),
            messages => write!(formatter, ": {}", messages.join("; ")),
        }
    }
}

/// Something that the installed version of TensorRT does not have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unsupported {
    /// The method, flag or value, "`BuilderFlag::kFP16`".
    pub class: &'static str,
    /// The name within `class`.
    pub name: &'static str,
    /// What is installed.
    pub version: Version,
    /// Who has it.
    pub availability: Availability,
}

impl std::error::Error for Unsupported {}

impl fmt::Display for Unsupported {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { class, name, version, availability } = self;
        write!(formatter, "TensorRT {version} has no {class}::{name} ({availability})")
    }
}

/// The versions that have something: for each of the majors 8, 10 and 11, and for `TensorRT` for RTX, since when, if at all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Availability {
    /// For 8.x, 10.x, 11.x and `TensorRT` for RTX, in this order: the first version of that family that has it.
    pub since: [Option<Version>; 4],
}

impl Availability {
    /// Whether a version has it.
    pub fn includes(&self, version: Version) -> bool {
        crate::version::Major::of(version)
            .and_then(|major| self.since[major.index()])
            .is_some_and(|since| version >= since)
    }
}

impl fmt::Display for Availability {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let parts: Vec<String> = self
            .since
            .iter()
            .flatten()
            // Nobody has it who has not asked for it.
            .filter(|since| since.major != 1)
            .map(|since| match (since.major, since.minor) {
                (8, 5) | (10 | 11, 0) => format!("{}.x", since.major),
                (8, 6) => "8.6".to_owned(),
                (major, minor) => format!("{major}.x since {major}.{minor}"),
            })
            .collect();
        match parts.as_slice() {
            [] => formatter.write_str("no supported version has it"),
            [only] => write!(formatter, "only {only} has it"),
            many => write!(formatter, "available in {}", many.join(", ")),
        }
    }
}

/// A C string from text, or an error that names the argument.
pub(crate) fn c_string(
    call: &'static str,
    argument: &'static str,
    text: &str,
) -> Result<std::ffi::CString, TensorRtError> {
    std::ffi::CString::new(text).map_err(|_| TensorRtError::Argument {
        call,
        argument,
        found: format!("{text:?}"),
        expected: "text without a NUL character",
    })
}

/// A C string from a path, or an error that names the argument.
pub(crate) fn c_path(
    call: &'static str,
    argument: &'static str,
    path: &std::path::Path,
) -> Result<std::ffi::CString, TensorRtError> {
    use std::os::unix::ffi::OsStrExt;
    std::ffi::CString::new(path.as_os_str().as_bytes()).map_err(|_| TensorRtError::Argument {
        call,
        argument,
        found: path.display().to_string(),
        expected: "a path without a NUL character",
    })
}
