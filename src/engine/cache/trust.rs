//! Who could have written a plan.
//!
//! Root can always, and so can the own user. A directory that somebody else owns or may write is refused, and so is a
//! path to it through such a directory, because its owner could put another in its place. Directories with the sticky
//! bit (`/tmp`) are passed through: there only the owner of an entry can rename it.

use super::CacheError;
use rustix::fd::OwnedFd;
use rustix::fs::{FileType, Mode, OFlags, Stat};
use std::fs::File;
use std::io;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};

/// An open directory that nobody else may write.
#[derive(Debug)]
pub(super) struct Directory {
    path: PathBuf,
    descriptor: OwnedFd,
}

impl Directory {
    /// Opens a directory, and checks it and all above it.
    pub(super) fn open(path: &Path) -> Result<Self, CacheError> {
        let system = |source: io::Error| CacheError::System {
            path: path.to_owned(),
            what: "open it",
            source,
        };
        let real = path.canonicalize().map_err(system)?;
        for above in real.ancestors().skip(1) {
            let stat = rustix::fs::stat(above).map_err(|error| system(error.into()))?;
            check(above, &stat, Sticky::Passes)?;
        }
        let flags = OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::RDONLY;
        let descriptor =
            rustix::fs::open(&real, flags, Mode::empty()).map_err(|error| system(error.into()))?;
        // What was opened, not what the path says now.
        let stat = rustix::fs::fstat(&descriptor).map_err(|error| system(error.into()))?;
        check(&real, &stat, Sticky::Refused)?;
        Ok(Self { path: real, descriptor })
    }

    /// Opens a regular file of this directory for reading, not through a link, and checks that nobody else may write it.
    pub(super) fn open_file(&self, path: &Path) -> Result<File, CacheError> {
        let shown = self.path.join(path.file_name().unwrap_or_default());
        let system =
            |source: io::Error| CacheError::System { path: shown.clone(), what: "open it", source };
        let flags = OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::RDONLY | OFlags::NONBLOCK;
        let name = path.file_name().unwrap_or_default();
        let descriptor = rustix::fs::openat(&self.descriptor, name, flags, Mode::empty())
            .map_err(|error| system(error.into()))?;
        let stat = rustix::fs::fstat(&descriptor).map_err(|error| system(error.into()))?;
        if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile {
            return Err(CacheError::Untrusted {
                path: shown,
                found: "not a regular file".into(),
                expected: "a regular file",
            });
        }
        check(&shown, &stat, Sticky::Refused)?;
        Ok(File::from(descriptor))
    }
}

/// Makes a directory and those above it (mode 0755: others may read plans, they hold no secret), and checks it.
pub(super) fn create(path: &Path) -> Result<(), CacheError> {
    std::fs::DirBuilder::new().recursive(true).mode(0o755).create(path).map_err(|source| {
        CacheError::System { path: path.to_owned(), what: "create the directory", source }
    })?;
    Directory::open(path).map(|_| ())
}

/// Whether the sticky bit makes up for others being allowed to write.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Sticky {
    Passes,
    Refused,
}

fn check(path: &Path, stat: &Stat, sticky: Sticky) -> Result<(), CacheError> {
    let untrusted = |found: String, expected| {
        Err(CacheError::Untrusted { path: path.to_owned(), found, expected })
    };
    let user = rustix::process::geteuid().as_raw();
    if stat.st_uid != 0 && stat.st_uid != user {
        return untrusted(
            format!("owned by user {}", stat.st_uid),
            "root or the user that runs this program as its owner",
        );
    }
    let others_write = stat.st_mode & 0o022 != 0;
    let passes = sticky == Sticky::Passes && stat.st_mode & 0o1000 != 0;
    if others_write && !passes {
        return untrusted(
            format!("mode {:04o}", stat.st_mode & 0o7777),
            "that only its owner may write (`chmod go-w`)",
        );
    }
    Ok(())
}
