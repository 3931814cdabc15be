//! What scripts start from: segments with grids in them, the same bytes in every run.

use crate::abi;
use crate::support::{attach, fill, options, record, stream};
use occdepth_ring::{StreamDescription, Writer};
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::sync::LazyLock;

/// A segment of four slots in which grids 6 to 9 lie: with confidences, without, and with room between all of its parts,
/// as a newer minor version may have it.
pub(crate) static SEGMENTS: LazyLock<[Vec<u8>; 3]> = LazyLock::new(|| {
    let [with, without] = [true, false].map(|confidence| made(&stream(DIMS, confidence)));
    let roomy = roomy(&with);
    let all = [with, without, roomy];
    assert!(all.iter().all(|bytes| abi::is_segment(bytes, bytes.len() as u64)));
    all
});

/// The header of the largest segment that there can be: every bound is reached, and nothing of it is in memory.
pub(crate) static LARGEST: LazyLock<Vec<u8>> = LazyLock::new(|| {
    let mut bytes = SEGMENTS[0][..8192].to_vec();
    let slot_bytes = 256 + (2 << 30);
    let numbers = [
        (16, 8192 + (1024 + 4) * slot_bytes), // room for what is beyond a bound
        (64, slot_bytes),
        (72, 1024 | 256 << 32), // slot_count, slot_header_bytes
        (88, 1 << 30),
        (96, 256 + (1 << 30)),
        (104, 1 << 30),
        (192, 1024 | 1024 << 32), // dims
    ];
    for (offset, value) in numbers {
        bytes[offset..offset + 8].copy_from_slice(&u64::to_le_bytes(value));
    }
    bytes[200..204].copy_from_slice(&[0, 4, 0, 0]);
    bytes[52] = 64; // class_count
    for id in 0..64 {
        let entry = &mut bytes[2048 + usize::from(id) * 64..][..64];
        entry[0] = id;
        entry[8..].fill(b'c');
    }
    assert!(abi::is_segment(&bytes, abi::u64_at(&bytes, 16)));
    bytes
});

/// The reply that belongs to a segment: its epoch and its size.
pub(crate) fn reply(segment: &[u8]) -> Vec<u8> {
    let mut reply = b"OCCDRPLY\x01\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0".to_vec();
    reply.extend(abi::u64_at(segment, 112).to_le_bytes());
    reply.extend((segment.len() as u64).to_le_bytes());
    reply.resize(64, 0);
    reply
}

/// A path for a socket, in a directory that this process alone uses.
pub(crate) fn socket_path(name: &str) -> PathBuf {
    let directory = std::env::temp_dir().join(format!("ring-fuzz-{}", std::process::id()));
    std::fs::create_dir_all(&directory).expect("the directory for temporary files is writable");
    directory.join(name)
}

pub(crate) const DIMS: [u32; 3] = [5, 3, 7];
const EPOCH: u64 = 0x0123_4567_89ab_cdef;

fn made(stream: &StreamDescription) -> Vec<u8> {
    let socket = socket_path("good");
    let mut writer = Writer::create(stream, &options(&socket)).expect("a valid stream");
    let voxels = stream.grid.voxels().expect("small");
    let (mut labels, mut confidence) = (vec![0; voxels], vec![0; voxels]);
    for frame_id in 1..=9 {
        fill(&mut labels, frame_id, 0);
        fill(&mut confidence, frame_id, 1);
        let confidence = stream.confidence.then_some(confidence.as_slice());
        writer.publish(&record(frame_id), &labels, confidence).expect("of the right size");
    }
    let (_connection, segment) = attach(&socket, 0);
    let size = segment.metadata().expect("a memory file").len();
    let mut bytes = vec![0; usize::try_from(size).expect("small")];
    segment.read_exact_at(&mut bytes, 0).expect("as long as it says");

    // Random, or of the clock: made the same in every run, so that an input means the same in every run.
    bytes[112..120].copy_from_slice(&EPOCH.to_le_bytes());
    bytes[120..136].copy_from_slice(&[1; 16]);
    for sequence in 6..=9 {
        let slot = abi::slot_offset(&bytes, sequence);
        bytes[slot + 16..slot + 24].copy_from_slice(&EPOCH.to_le_bytes());
        bytes[slot + 48..slot + 64].copy_from_slice(&[2; 16]);
        bytes[slot + 96..slot + 104].copy_from_slice(&[3; 8]);
        abi::seal(&mut bytes, sequence);
    }
    bytes
}

fn roomy(segment: &[u8]) -> Vec<u8> {
    const SLOTS_OFFSET: usize = 8192 + 128;
    const SLOT_BYTES: usize = 512 + 192;
    let mut bytes = vec![0; SLOTS_OFFSET + 4 * SLOT_BYTES + 72];
    bytes[..8192].copy_from_slice(&segment[..8192]);
    let numbers: [(usize, usize); 7] = [
        (16, bytes.len()),
        (24, 8192 + 64),
        (56, SLOTS_OFFSET),
        (64, SLOT_BYTES),
        (72, 4 | (256 + 8) << 32), // slot_count, slot_header_bytes
        (80, 256 + 64),
        (96, 256 + 64 + 128 + 64),
    ];
    for (offset, value) in numbers {
        bytes[offset..offset + 8].copy_from_slice(&(value as u64).to_le_bytes());
    }
    bytes[12] = 3;
    for sequence in 6..=9 {
        let from = &segment[abi::slot_offset(segment, sequence)..][..512];
        let at = abi::slot_offset(&bytes, sequence);
        bytes[at..at + 256].copy_from_slice(&from[..256]);
        bytes[at + 320..at + 448].copy_from_slice(&from[256..384]);
        bytes[at + 512..at + 640].copy_from_slice(&from[384..]);
    }
    bytes
}
