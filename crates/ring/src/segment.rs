//! The file behind a segment: an anonymous memory file, allocated in full and sealed.

use rustix::fs::{FallocateFlags, MemfdFlags, Mode, SealFlags};
use rustix::io::Errno;
use std::os::fd::{AsFd, OwnedFd};

use crate::headroom;
use crate::words::WritableWords;

/// What a writer seals: the file keeps its size for ever, and nobody can map it for writing or
/// write to it any more, except through the mapping that the writer already has.
pub(crate) const SEALS: SealFlags =
    SealFlags::SHRINK.union(SealFlags::GROW).union(SealFlags::FUTURE_WRITE).union(SealFlags::SEAL);

/// Makes a file of `bytes` bytes, maps it, writes its first bytes, and seals it.
///
/// # Errors
/// What failed, and the system's word for it. Memory that cannot be had is found here and not
/// later: every page is allocated before this returns, and none before it is known that all of them can be.
pub(crate) fn create(
    bytes: usize,
    start: &[u8],
) -> Result<(OwnedFd, WritableWords), (&'static str, std::io::Error)> {
    headroom::check(bytes as u64).map_err(|error| ("cannot be had", error))?;
    let file = create_memfd().map_err(|error| ("memfd_create", error.into()))?;
    rustix::fs::ftruncate(&file, bytes as u64).map_err(|error| ("ftruncate", error.into()))?;
    // A file that was only truncated is sparse: a page that cannot be had later is a SIGBUS.
    retry(|| rustix::fs::fallocate(&file, FallocateFlags::empty(), 0, bytes as u64))
        .map_err(|error| ("fallocate", error.into()))?;
    // Readers get the descriptor, not the right to open the file again by its name in /proc.
    rustix::fs::fchmod(&file, Mode::RUSR).map_err(|error| ("fchmod", error.into()))?;
    let words = WritableWords::map(&file, bytes).map_err(|error| ("mmap", error))?;
    crate::words::store(words.words(), start);
    rustix::fs::fcntl_add_seals(&file, SEALS).map_err(|error| ("F_ADD_SEALS", error.into()))?;
    Ok((file, words))
}

/// The seals and the size of a file that somebody else made.
///
/// # Errors
/// When it is not a file that has seals at all.
pub(crate) fn inspect(file: impl AsFd) -> Result<(SealFlags, u64), Errno> {
    let seals = rustix::fs::fcntl_get_seals(&file)?;
    let size = rustix::fs::fstat(&file)?.st_size;
    Ok((seals, u64::try_from(size).unwrap_or(0)))
}

fn create_memfd() -> Result<OwnedFd, Errno> {
    let flags = MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING;
    match rustix::fs::memfd_create(NAME, flags | MemfdFlags::NOEXEC_SEAL) {
        // Linux before 6.3 does not know NOEXEC_SEAL.
        Err(Errno::INVAL) => rustix::fs::memfd_create(NAME, flags),
        result => result,
    }
}

fn retry<T>(mut call: impl FnMut() -> Result<T, Errno>) -> Result<T, Errno> {
    loop {
        match call() {
            Err(Errno::INTR) => {}
            result => return result,
        }
    }
}

/// Shown in /proc/PID/maps.
const NAME: &str = "occdepth-ring";
