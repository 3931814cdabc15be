//! Files that are whole, or not there at all.

use super::CacheError;
use std::ffi::OsString;
use std::fs::{self, File};
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

/// A file that is being written under another name. Dropping it removes it.
#[derive(Debug)]
pub struct PartialFile {
    target: PathBuf,
    path: PathBuf,
    file: File,
    committed: bool,
}

impl PartialFile {
    /// Starts a file that will be `target`.
    ///
    /// # Errors
    /// When the directory cannot be written.
    pub fn create(target: &Path) -> Result<Self, CacheError> {
        // In the same directory, so that the rename stays within one file system.
        let mut name = OsString::from(".");
        name.push(target.file_name().unwrap_or_default());
        name.push(format!(".{}{SUFFIX}", std::process::id()));
        let path = target.with_file_name(name);
        let file = File::options().write(true).create(true).truncate(true).mode(0o644).open(&path);
        let file = file.map_err(|source| CacheError::System {
            path: path.clone(),
            what: "create it",
            source,
        })?;
        Ok(Self { target: target.to_owned(), path, file, committed: false })
    }

    /// What it will be called.
    pub fn target(&self) -> &Path {
        &self.target
    }

    /// Appends bytes.
    ///
    /// # Errors
    /// When they cannot be written: a full disk.
    pub fn write(&mut self, bytes: &[u8]) -> Result<(), CacheError> {
        self.file.write_all(bytes).map_err(|source| self.failed("write it", source))
    }

    /// Gives it its name, after the bytes have reached the disk.
    ///
    /// # Errors
    /// When the disk or the directory refuses.
    pub fn commit(mut self) -> Result<(), CacheError> {
        self.file.sync_all().map_err(|source| self.failed("write it to the disk", source))?;
        fs::rename(&self.path, &self.target)
            .map_err(|source| self.failed("give it its name", source))?;
        self.committed = true;
        let directory = self.target.parent().unwrap_or_else(|| Path::new("."));
        // The name must be on the disk as well, before anything is built upon it.
        File::open(directory)
            .and_then(|directory| directory.sync_all())
            .map_err(|source| self.failed("write its name to the disk", source))
    }

    fn failed(&self, what: &'static str, source: std::io::Error) -> CacheError {
        CacheError::System { path: self.path.clone(), what, source }
    }
}

impl Drop for PartialFile {
    fn drop(&mut self) {
        if !self.committed {
            // It is hidden and the next build removes it; that it cannot be removed now changes nothing.
            let _ = fs::remove_file(&self.path);
        }
    }
}

/// Whether `path` is a file that was being written.
pub(super) fn is_partial(path: &Path) -> bool {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    name.starts_with('.') && name.ends_with(SUFFIX)
}

const SUFFIX: &str = ".partial";
