//! Files that are whole or not there.

use std::{
    fs::{self, File},
    io::{BufWriter, Write},
    path::{Path, PathBuf},
};

/// Why a file could not be written.
#[derive(Debug, thiserror::Error)]
#[error("cannot write {}", path.display())]
pub struct WriteError {
    /// The file that was to be written.
    pub path: PathBuf,
    /// Why.
    pub source: std::io::Error,
}

/// Writes `bytes` to `path` as [`write_atomically_with`] does.
///
/// # Errors
/// [`WriteError`] with the path; nothing half-written is left behind.
pub fn write_atomically(path: &Path, bytes: &[u8]) -> Result<(), WriteError> {
    write_atomically_with(path, |file| file.write_all(bytes))
}

/// Writes what `content` writes to `path`: to a file beside it first, which takes its name only
/// when it is whole and on disk. Where that fails (a full disk, no permission, an error of
/// `content`), `path` is what it was before. What exists and is not a regular file is refused.
///
/// # Errors
/// [`WriteError`] with the path; nothing half-written is left behind.
pub fn write_atomically_with(
    path: &Path,
    content: impl FnOnce(&mut BufWriter<File>) -> std::io::Result<()>,
) -> Result<(), WriteError> {
    let failed = |source| WriteError { path: path.into(), source };
    let Some(name) = path.file_name() else {
        return Err(failed(std::io::Error::new(
            std::io::ErrorKind::InvalidInput,
            "the path does not end in a file name",
        )));
    };
    // Renaming over a device or a directory would replace it, where it succeeds at all.
    if fs::metadata(path).is_ok_and(|existing| !existing.is_file()) {
        return Err(failed(std::io::Error::new(
            std::io::ErrorKind::InvalidInput,
            "the path exists and is not a regular file",
        )));
    }
    // The process id keeps two exports to one file apart; the later rename wins.
    let mut partial_name = name.to_owned();
    partial_name.push(format!(".{}.partial", std::process::id()));
    let partial = path.with_file_name(partial_name);
    let written = File::create(&partial).and_then(|file| {
        let mut file = BufWriter::new(file);
        content(&mut file)?;
        file.into_inner().map_err(std::io::IntoInnerError::into_error)?.sync_all()?;
        fs::rename(&partial, path)
    });
    written.map_err(|source| {
        // The first error is the one to report; there may be nothing to remove.
        let _ = fs::remove_file(&partial);
        failed(source)
    })
}
