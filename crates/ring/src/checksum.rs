//! The checksum of a grid: CRC-32 as zlib, PNG and Ethernet have it (polynomial 0x04C11DB7,
//! reflected), because every language has it at hand (`zlib.crc32` in Python and C) and both
//! x86-64 and `ARMv8` compute it at memory speed.
//!
//! The sequence lock is what keeps torn grids from readers. The checksum is the second line: it
//! also catches a writer that breaks the protocol and memory that another process of the writer's
//! own user changed.

use crate::layout::slot::SlotHeader;
use crate::words::{self, ReadOnlyWord};
use crc32fast::Hasher;
use std::sync::atomic::AtomicU64;

/// A checksum in the making: labels, then confidences, then the record.
#[derive(Debug, Default)]
pub(crate) struct Checksum(Hasher);

impl Checksum {
    /// Takes in `bytes` and stores them to shared words.
    pub(crate) fn store(&mut self, words: &[AtomicU64], bytes: &[u8]) {
        for (words, bytes) in words.chunks(CHUNK_WORDS).zip(bytes.chunks(CHUNK_BYTES)) {
            self.0.update(bytes);
            words::store(words, bytes);
        }
    }

    /// Loads shared words into `bytes` and takes those in.
    pub(crate) fn load(&mut self, words: &[ReadOnlyWord], bytes: &mut [u8]) {
        for (words, bytes) in words.chunks(CHUNK_WORDS).zip(bytes.chunks_mut(CHUNK_BYTES)) {
            words::load(words, bytes);
            self.0.update(bytes);
        }
    }

    /// The checksum, with the record as the last part.
    pub(crate) fn finish(mut self, header: &SlotHeader) -> u32 {
        self.0.update(header.checked());
        self.0.finalize()
    }
}

// Small enough that the second pass over a chunk finds it in the first-level cache.
const CHUNK_BYTES: usize = 16 * 1024;
const CHUNK_WORDS: usize = CHUNK_BYTES / words::WORD_BYTES;
