//! A place for sockets of a run that is nobody else's business.

use super::Failure;
use std::fs::{self, DirBuilder};
use std::os::unix::fs::DirBuilderExt as _;
use std::path::PathBuf;

/// A directory that only this user can enter, removed when it goes out of scope.
pub(crate) struct PrivateDirectory {
    pub(crate) path: PathBuf,
}

impl PrivateDirectory {
    /// Makes one; `purpose` is part of its name.
    pub(crate) fn new(purpose: &str) -> Result<Self, Failure> {
        let base = std::env::var_os("XDG_RUNTIME_DIR")
            .map(PathBuf::from)
            .filter(|path| path.is_dir())
            .unwrap_or_else(std::env::temp_dir);
        let path = base.join(format!("occdepth-{purpose}-{}", std::process::id()));
        // Fails if somebody made it before us, so that nobody else can own it.
        DirBuilder::new().mode(0o700).create(&path).map_err(|error| {
            Failure::work(format!("cannot make the directory {}", path.display())).because(error)
        })?;
        Ok(Self { path })
    }
}

impl Drop for PrivateDirectory {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_dir_all(&self.path) {
            log::warn!("cannot remove {}: {error}", self.path.display());
        }
    }
}
