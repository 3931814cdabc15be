//! What can be wrong with headers.

use std::io;
use std::path::PathBuf;

/// Why headers could not be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum HeaderError {
    /// A header that has to be there is not, or cannot be read.
    #[error("{}: cannot be read", path.display())]
    Read {
        /// The header.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A header is larger than any that NVIDIA ships by far.
    #[error("{}: {bytes} bytes; a header has at most {limit}", path.display())]
    TooLarge {
        /// The header.
        path: PathBuf,
        /// Its size.
        bytes: u64,
        /// The largest that is read.
        limit: u64,
    },
    /// A header includes another one of NVIDIA's that is not in the directory.
    #[error("{}:{line}: includes {name}, which is not there", file.display())]
    Include {
        /// The header with the directive.
        file: PathBuf,
        /// Its line.
        line: u32,
        /// What is included.
        name: String,
    },
    /// The text is not C++ as the reader knows it.
    #[error("{}:{line}: found {found}, expected {expected}", file.display())]
    Syntax {
        /// The header.
        file: PathBuf,
        /// Where the reader stopped.
        line: u32,
        /// What stands there.
        found: String,
        /// What the reader could have used.
        expected: String,
    },
    /// The headers refuse to be compiled: an `#error` that holds.
    #[error("{}:{line}: #error {message}", file.display())]
    Refused {
        /// The header.
        file: PathBuf,
        /// The line of the directive.
        line: u32,
        /// What it says.
        message: String,
    },
    /// Macros, includes or nesting without an end.
    #[error("{}:{line}: more than {limit} {what}", file.display())]
    Endless {
        /// The header.
        file: PathBuf,
        /// Where the reader gave up.
        line: u32,
        /// What there is too much of.
        what: &'static str,
        /// The most that is read.
        limit: usize,
    },
    /// The headers do not say which version they are of.
    #[error("{}: defines no {name} with a value; expected the version of TensorRT", dir.display())]
    Version {
        /// The directory.
        dir: PathBuf,
        /// The macro that is missing or has no value.
        name: &'static str,
    },
}
