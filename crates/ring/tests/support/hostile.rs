//! What tests of arbitrary bytes share: rounds that follow from a seed, damage, and what is damaged.
#![allow(dead_code, reason = "every test file uses another part")]
#![allow(clippy::print_stderr, reason = "the seed of a round that fails")]

use crate::support::{attach, fill, options, record, small_stream};
use occdepth_ring::Writer;
use rustix::fs::{MemfdFlags, SealFlags};
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

/// Voxels of a small stream.
pub(crate) const VOXELS: usize = 5 * 3 * 7;

/// Rounds with a seed each, `usual` of them unless more are asked for; the seed of one that fails is printed.
pub(crate) fn rounds(test: &str, usual: u64, mut round: impl FnMut(&mut Random)) {
    let number = |name: &str| std::env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
    let now = || std::time::UNIX_EPOCH.elapsed().unwrap().as_nanos();
    let first = number("RING_HOSTILE_SEED")
        .unwrap_or_else(|| u64::try_from(now() % u128::from(u64::MAX)).unwrap());
    for nth in 0..number("RING_HOSTILE_ROUNDS").unwrap_or(usual) {
        let seed = first.wrapping_add(nth);
        let result = catch_unwind(AssertUnwindSafe(|| round(&mut Random(seed | 1))));
        if let Err(panic) = result {
            eprintln!("{test}: RING_HOSTILE_SEED={seed}");
            resume_unwind(panic);
        }
    }
}

/// `xorshift64*` (Marsaglia 2003; Vigna 2016).
pub(crate) struct Random(u64);

impl Random {
    pub(crate) fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    pub(crate) fn below(&mut self, end: usize) -> usize {
        usize::try_from(self.next() >> 33).unwrap() % end
    }

    /// Numbers that are more likely to hurt than others.
    pub(crate) fn word(&mut self) -> u64 {
        match self.below(8) {
            0 => 0,
            1 => u64::MAX,
            2 => 1 << self.below(64),
            3 => (1 << self.below(64)) - 1,
            4 => self.next() % 20_000,
            5 => f64::NAN.to_bits(),
            _ => self.next(),
        }
    }

    /// Changes a few places.
    pub(crate) fn damage(&mut self, bytes: &mut [u8]) {
        for _ in 0..=self.below(4) {
            let at = self.below(bytes.len());
            match self.below(3) {
                0 => bytes[at] ^= 1 << self.below(8),
                1 => bytes[at] = u8::try_from(self.below(256)).unwrap(),
                _ => {
                    let at = at / 8 * 8;
                    let end = bytes.len().min(at + 8);
                    let word = self.word().to_le_bytes();
                    bytes[at..end].copy_from_slice(&word[..end - at]);
                }
            }
        }
    }
}

/// A segment with nine grids in it, and the reply that came with it.
pub(crate) fn good() -> (Vec<u8>, Vec<u8>) {
    let directory = tempfile::tempdir().unwrap();
    let socket = directory.path().join("s");
    let mut writer = Writer::create(&small_stream(), &options(&socket)).unwrap();
    let (mut labels, mut confidence) = (vec![0; VOXELS], vec![0; VOXELS]);
    for frame_id in 1..=9 {
        fill(&mut labels, frame_id, 0);
        fill(&mut confidence, frame_id, 1);
        writer.publish(&record(frame_id), &labels, Some(&confidence)).unwrap();
    }
    let (_connection, segment) = attach(&socket, 0);
    let mut bytes = vec![0; usize::try_from(segment.metadata().unwrap().len()).unwrap()];
    segment.read_exact_at(&mut bytes, 0).unwrap();
    let reply = reply_to(&bytes);
    (bytes, reply)
}

/// The reply of a writer that offers `segment`.
pub(crate) fn reply_to(segment: &[u8]) -> Vec<u8> {
    let mut reply = b"OCCDRPLY\x01\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0".to_vec();
    reply.extend(&segment[112..120]);
    reply.extend((segment.len() as u64).to_le_bytes());
    reply.resize(64, 0);
    reply
}

/// A memory file as a writer offers it, but with any bytes.
pub(crate) fn sealed(bytes: &[u8]) -> File {
    let file = File::from(rustix::fs::memfd_create("hostile", MemfdFlags::ALLOW_SEALING).unwrap());
    file.write_all_at(bytes, 0).unwrap();
    let all = SealFlags::SHRINK | SealFlags::GROW | SealFlags::FUTURE_WRITE | SealFlags::SEAL;
    rustix::fs::fcntl_add_seals(&file, all).unwrap();
    file
}
