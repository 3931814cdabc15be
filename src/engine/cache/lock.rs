//! One build at a time.

use super::CacheError;
use rustix::fs::{FlockOperation, Mode, OFlags};
use std::fs::File;
use std::io::{Read as _, Write as _};
use std::path::Path;

/// The lock of a cache. The kernel frees it when the process ends, however it ends.
#[derive(Debug)]
pub struct BuildLock {
    /// Holds the lock while it is open.
    _file: File,
}

impl BuildLock {
    /// Takes the lock without waiting.
    pub(super) fn take(path: &Path) -> Result<Self, CacheError> {
        let system =
            |what| move |source| CacheError::System { path: path.to_owned(), what, source };
        let flags = OFlags::RDWR | OFlags::CREATE | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let file = rustix::fs::open(path, flags, Mode::RUSR | Mode::WUSR | Mode::RGRP | Mode::ROTH)
            .map_err(|error| system("open the lock")(error.into()))?;
        let mut file = File::from(file);
        match rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => {}
            Err(rustix::io::Errno::WOULDBLOCK) => {
                let mut holder = String::new();
                // The number is for people; a lock that cannot be read is held all the same.
                let _ = std::io::Read::by_ref(&mut file).take(32).read_to_string(&mut holder);
                let holder = holder.trim();
                let holder = if holder.is_empty() { "(unknown)" } else { holder };
                return Err(CacheError::Busy { path: path.to_owned(), holder: holder.to_owned() });
            }
            Err(error) => return Err(system("take the lock")(error.into())),
        }
        file.set_len(0)
            .and_then(|()| writeln!(file, "{}", std::process::id()))
            .map_err(system("write the lock"))?;
        Ok(Self { _file: file })
    }
}
