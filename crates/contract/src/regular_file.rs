//! Reading whole files that somebody else has made: only regular ones, and never more than a limit.

use std::{
    fs::{self, File},
    io::{self, Read},
    path::Path,
};

/// Why a file is not read.
#[derive(Debug)]
pub(crate) enum ReadError {
    /// It is not a regular file, or cannot be read.
    Io(io::Error),
    /// It has more bytes than the limit; how many were seen.
    TooLarge(u64),
}

/// The bytes of the regular file (or the link to one) at `path`, `limit` of them at most.
///
/// The limit holds for what is read, not only for the size that the file system reports: devices report
/// none, and a file may grow. A pipe is refused before it is opened, which would wait for a writer.
///
/// # Errors
/// [`ReadError`]; nothing beyond the limit is kept in memory.
pub(crate) fn read(path: &Path, limit: u64) -> Result<Vec<u8>, ReadError> {
    let facts = fs::metadata(path).map_err(ReadError::Io)?;
    if !facts.is_file() {
        let source = io::Error::new(io::ErrorKind::InvalidInput, "not a regular file");
        return Err(ReadError::Io(source));
    }
    if facts.len() > limit {
        return Err(ReadError::TooLarge(facts.len()));
    }
    let file = File::open(path).map_err(ReadError::Io)?;
    let bytes = read_sized(file.take(limit + 1), facts.len()).map_err(ReadError::Io)?;
    let found = bytes.len() as u64;
    if found > limit { Err(ReadError::TooLarge(found)) } else { Ok(bytes) }
}

/// All bytes of `source`, of which about `size` are expected; too little memory for them is an error.
pub(crate) fn read_sized(mut source: impl Read, size: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let size = usize::try_from(size).map_err(|_| io::ErrorKind::OutOfMemory)?;
    bytes.try_reserve_exact(size).map_err(|_| io::ErrorKind::OutOfMemory)?;
    source.read_to_end(&mut bytes)?;
    Ok(bytes)
}
