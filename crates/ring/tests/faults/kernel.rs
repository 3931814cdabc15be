//! Calls to the kernel that no honest client makes, and that have no safe wrapper.
#![allow(unsafe_code, reason = "raw futex calls on a word that is mapped read-only")]

use memmap2::{MmapOptions, MmapRaw};
use rustix::io::Errno;
use std::fs::File;
use std::sync::atomic::AtomicU32;

/// What a hostile client has of a segment: a mapping for reading only.
pub(crate) struct Mapped(MmapRaw);

impl Mapped {
    pub(crate) fn of(segment: &File) -> Self {
        Self(MmapOptions::new().map_raw_read_only(segment).unwrap())
    }

    /// The futex word that readers wait on: the first half of `newest`, at 1024.
    pub(crate) fn newest(&self) -> *const u32 {
        self.word(1024)
    }

    pub(crate) fn word(&self, offset: usize) -> *const u32 {
        assert!(offset.is_multiple_of(4) && offset < self.0.len());
        self.0.as_ptr().wrapping_add(offset).cast()
    }
}

/// `FUTEX_REQUEUE`: moves all waiters of one word to another one and returns how many.
pub(crate) fn requeue(from: *const u32, to: *const u32) -> Result<u64, Errno> {
    futex(libc::FUTEX_REQUEUE, from, 0, ALL, to, 0)
}

/// `FUTEX_CMP_REQUEUE`: as above, if the word has this value.
pub(crate) fn requeue_if(from: *const u32, value: u32, to: *const u32) -> Result<u64, Errno> {
    futex(libc::FUTEX_CMP_REQUEUE, from, 0, ALL, to, value)
}

/// `FUTEX_WAKE`: wakes all waiters and returns how many.
pub(crate) fn wake(word: *const u32) -> Result<u64, Errno> {
    futex(libc::FUTEX_WAKE, word, u32::MAX >> 1, 0, std::ptr::null(), 0)
}

/// `FUTEX_WAIT_REQUEUE_PI`: waits for a requeue that never comes, and meanwhile makes every `FUTEX_WAKE` of the word fail
/// when it comes to this waiter. Returns at once when the word has another value.
pub(crate) fn wait_before_others(word: *const u32, value: u32, own: &AtomicU32) {
    // How it ends is all the same.
    let _ = futex(libc::FUTEX_WAIT_REQUEUE_PI, word, value, 0, own.as_ptr(), 0);
}

/// The first half of `newest`, as a hostile client sees it.
pub(crate) fn load(word: *const u32) -> u32 {
    // SAFETY: every word here comes from `Mapped::word`, which checks that it lies in the mapping and is aligned; the
    // mapping lives as long as the child process. Another process changes the word: hence volatile, one load.
    unsafe { word.read_volatile() }
}

fn futex(
    operation: i32,
    word: *const u32,
    first: u32,
    second: usize,
    to: *const u32,
    last: u32,
) -> Result<u64, Errno> {
    // SAFETY: futex(2) takes addresses as numbers and checks them itself. The operations above write to no memory of this
    // process but, with `FUTEX_WAIT_REQUEUE_PI`, to an atomic that is borrowed for the call. The fourth argument is a count
    // for the two that requeue, and otherwise a null pointer: no timeout.
    let result =
        unsafe { libc::syscall(libc::SYS_futex, word, operation, first, second, to, last) };
    u64::try_from(result)
        .map_err(|_| Errno::from_io_error(&std::io::Error::last_os_error()).unwrap())
}

const ALL: usize = i32::MAX as usize;
