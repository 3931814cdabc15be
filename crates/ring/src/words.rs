//! Shared memory as a slice of atomic 8-byte words: the only view of it that exists.
//!
//! The other side of a mapping runs in another process and may be hostile, so nothing may assume
//! that a byte keeps its value between two reads. Atomic words are exactly that assumption's
//! absence, in terms that the language defines: no reference to plain bytes of the mapping is ever
//! made, here or by anybody else, because the mapping does not leave this module. A reader's words
//! have no store at all, because its memory is mapped read-only.
#![allow(unsafe_code, reason = "a mapping is a raw pointer; here it becomes a slice of atomics")]

use memmap2::{MmapOptions, MmapRaw};
use std::os::fd::{AsFd, AsRawFd};
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

/// The writer's mapping of a whole file, seen as atomic words.
#[derive(Debug)]
pub(crate) struct WritableWords {
    map: MmapRaw,
}

impl WritableWords {
    /// Maps `bytes` bytes of a file for reading and writing, and brings them into memory.
    pub(crate) fn map(file: impl AsFd, bytes: usize) -> std::io::Result<Self> {
        let file = file.as_fd().as_raw_fd();
        Ok(Self { map: MmapOptions::new().len(bytes).populate().map_raw(file)? })
    }

    /// The words; bytes after the last whole word are left out.
    pub(crate) fn words(&self) -> &[AtomicU64] {
        #[allow(clippy::cast_ptr_alignment, reason = "a mapping is aligned to a page")]
        let words = self.map.as_ptr().cast::<AtomicU64>();
        // SAFETY:
        // - The pointer is not null and aligned to a page, hence to a word. The mapping has
        //   `map.len()` bytes, so the whole words lie in it, and all are initialised (by the
        //   kernel, with zeros, before anybody can see them).
        // - The slice borrows `self`, which owns the mapping and never remaps or unmaps it while
        //   it lives; the file cannot shrink because its maker is this process, which seals it.
        // - Other processes, and other mappings of the file in this one, read and possibly change
        //   the memory at any time. `AtomicU64` has interior mutability, so the compiler assumes
        //   nothing about its value; hardware makes aligned 8-byte loads and stores single-copy
        //   atomic on the 64-bit targets that this crate compiles for.
        // - The mapping was made writable, so stores are as good as loads.
        unsafe { std::slice::from_raw_parts(words, self.map.len() / WORD_BYTES) }
    }

    /// A word as the kernel's futex calls want it.
    pub(crate) fn futex(&self, word: usize) -> &AtomicU32 {
        futex(&self.words()[word])
    }
}

/// A reader's mapping of a whole file, seen as atomic words that can only be loaded.
#[derive(Debug)]
pub(crate) struct ReadOnlyWords {
    map: MmapRaw,
}

impl ReadOnlyWords {
    /// Maps `bytes` bytes of a file for reading only.
    ///
    /// The file must not shrink below `bytes` while it is mapped (touching a page past its end
    /// raises SIGBUS): callers check that it is sealed against that.
    pub(crate) fn map(file: impl AsFd, bytes: usize) -> std::io::Result<Self> {
        let file = file.as_fd().as_raw_fd();
        Ok(Self { map: MmapOptions::new().len(bytes).map_raw_read_only(file)? })
    }

    /// The words; bytes after the last whole word are left out.
    pub(crate) fn words(&self) -> &[ReadOnlyWord] {
        #[allow(clippy::cast_ptr_alignment, reason = "a mapping is aligned to a page")]
        let words = self.map.as_ptr().cast::<ReadOnlyWord>();
        // SAFETY:
        // - `ReadOnlyWord` is a transparent `AtomicU64`. Pointer, alignment, length and lifetime
        //   are as in `WritableWords::words`; that the file does not shrink is the condition of
        //   `map`, which the only caller meets by checking the seal.
        // - The writer's process changes the memory at any time, possibly with malice: as above,
        //   an atomic with interior mutability is the type for that.
        // - The memory is mapped read-only. `ReadOnlyWord` has loads only, relaxed or acquire and
        //   8 bytes wide, which `core::sync::atomic` permits there on the 64-bit targets that
        //   this crate compiles for ("Atomic accesses to read-only memory").
        unsafe { std::slice::from_raw_parts(words, self.map.len() / WORD_BYTES) }
    }

    /// A word as the kernel's futex calls want it.
    pub(crate) fn futex(&self, word: usize) -> &AtomicU32 {
        futex(&self.words()[word].0)
    }
}

/// A word that may lie in memory mapped read-only: it can be loaded and nothing else.
#[derive(Debug)]
#[repr(transparent)]
pub(crate) struct ReadOnlyWord(AtomicU64);

impl ReadOnlyWord {
    /// Loads the word; `order` is relaxed or acquire.
    pub(crate) fn load(&self, order: Ordering) -> u64 {
        self.0.load(order)
    }
}

/// The first four bytes of a word: the futex word. The kernel compares it; no value is read or
/// written through this reference in this process.
fn futex(word: &AtomicU64) -> &AtomicU32 {
    let word: *const AtomicU64 = word;
    // SAFETY: `word` is borrowed for as long as the result is, is aligned to 8 bytes, hence to 4,
    // and 4 of its bytes fit an `AtomicU32`, which has interior mutability as the word has. The
    // reference is passed to futex calls only, so this program makes no access of mixed size
    // through it, and none at all that memory mapped read-only would not allow.
    unsafe { &*word.cast::<AtomicU32>() }
}

/// Copies `bytes` into words, relaxed. A last word that is not filled is filled with zeros.
///
/// # Panics
/// When `bytes` do not fit into `words`: a caller's mistake that no input can provoke.
pub(crate) fn store(words: &[AtomicU64], bytes: &[u8]) {
    let (whole, rest) = bytes.as_chunks::<WORD_BYTES>();
    for (word, bytes) in words[..whole.len()].iter().zip(whole) {
        word.store(u64::from_le_bytes(*bytes), Ordering::Relaxed);
    }
    if !rest.is_empty() {
        let mut last = [0; WORD_BYTES];
        last[..rest.len()].copy_from_slice(rest);
        words[whole.len()].store(u64::from_le_bytes(last), Ordering::Relaxed);
    }
}

/// Copies words into `bytes`, relaxed: as many as it takes to fill them.
///
/// # Panics
/// When there are not enough words: a caller's mistake that no input can provoke.
pub(crate) fn load(words: &[ReadOnlyWord], bytes: &mut [u8]) {
    let (whole, rest) = bytes.as_chunks_mut::<WORD_BYTES>();
    for (word, bytes) in words[..whole.len()].iter().zip(whole.iter_mut()) {
        *bytes = word.load(Ordering::Relaxed).to_le_bytes();
    }
    if !rest.is_empty() {
        let last = words[whole.len()].load(Ordering::Relaxed).to_le_bytes();
        rest.copy_from_slice(&last[..rest.len()]);
    }
}

/// Bytes of a word.
pub(crate) const WORD_BYTES: usize = size_of::<u64>();

const _: () = assert!(
    cfg!(all(target_os = "linux", target_pointer_width = "64", target_endian = "little")),
    "the ring needs 64-bit little-endian Linux"
);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mapping_has_the_whole_words_of_its_file_and_no_more() {
        for (bytes, expected) in [(8, 1), (15, 1), (4096, 512), (4100, 512), (8192, 1024)] {
            let file = std::fs::File::from(
                rustix::fs::memfd_create("words", rustix::fs::MemfdFlags::CLOEXEC).expect("memory"),
            );
            file.set_len(bytes as u64).expect("memory");
            let writable = WritableWords::map(&file, bytes).expect("memory");
            let read_only = ReadOnlyWords::map(&file, bytes).expect("memory");
            assert_eq!((writable.words().len(), read_only.words().len()), (expected, expected));
            let pattern: Vec<u8> =
                (0..expected * WORD_BYTES).map(|at| at.to_le_bytes()[0]).collect();
            store(writable.words(), &pattern);
            let mut back = vec![0; pattern.len()];
            load(read_only.words(), &mut back);
            assert_eq!(back, pattern);
        }
    }

    #[test]
    fn bytes_of_any_length_come_back() {
        for length in 0..=40_u8 {
            let words: Vec<AtomicU64> = (0..5).map(|_| AtomicU64::new(u64::MAX)).collect();
            let bytes: Vec<u8> = (1..=length).collect();
            store(&words, &bytes);
            let read_only: Vec<ReadOnlyWord> = words.into_iter().map(ReadOnlyWord).collect();
            let mut back = vec![0; usize::from(length)];
            load(&read_only, &mut back);
            assert_eq!(back, bytes);
            let untouched = &read_only[usize::from(length).div_ceil(WORD_BYTES)..];
            assert!(untouched.iter().all(|word| word.load(Ordering::Relaxed) == u64::MAX));
        }
    }
}
