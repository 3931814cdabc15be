//! A segment with one grid in the first of its four slots, as a real writer made it, to be changed and offered to a reader.
#![allow(dead_code, reason = "every test file uses another part")]

use crate::support::{
    attach, filled, listener, options, receive, record, send_with_descriptor, small_stream,
};
use memmap2::{MmapOptions, MmapRaw};
use occdepth_ring::{Reader, ReaderOptions, Writer};
use rustix::fs::{MemfdFlags, SealFlags};
use std::fs::File;
use std::os::fd::OwnedFd;
use std::os::unix::fs::FileExt;

pub(crate) const SEGMENT_BYTES: usize = 10_240;
/// Where slot 0 starts, and in it labels and confidences.
pub(crate) const SLOT: usize = 8192;
pub(crate) const LABELS: std::ops::Range<usize> = SLOT + 256..SLOT + 256 + 105;
pub(crate) const CONFIDENCE: std::ops::Range<usize> = SLOT + 384..SLOT + 384 + 105;

/// A segment with one grid, as this version writes it.
pub(crate) fn segment() -> Vec<u8> {
    let directory = tempfile::tempdir().unwrap();
    let socket = directory.path().join("s");
    let mut writer = Writer::create(&small_stream(), &options(&socket)).unwrap();
    let (labels, confidence) = (filled(105, 1000, 0), filled(105, 1000, 1));
    writer.publish(&record(1000), &labels, Some(&confidence)).unwrap();
    let (_socket, file) = attach(&socket, 0);
    let mut bytes = vec![0; SEGMENT_BYTES];
    file.read_exact_at(&mut bytes, 0).unwrap();
    bytes
}

/// Makes the checksum of the grid fit again.
pub(crate) fn seal_grid(segment: &mut [u8]) {
    let mut crc = crc32fast::Hasher::new();
    for covered in [LABELS, CONFIDENCE, SLOT + 8..SLOT + 240] {
        crc.update(&segment[covered]);
    }
    segment[SLOT + 240..SLOT + 244].copy_from_slice(&crc.finalize().to_le_bytes());
}

/// A reader of a writer of another minor version that has `segment`.
pub(crate) fn reader_of(segment: &[u8]) -> Reader {
    offer(segment).0
}

/// A reader of a writer that has `segment`, the writer's mapping of it, and its end of the connection.
pub(crate) fn offer(segment: &[u8]) -> (Reader, MmapRaw, OwnedFd) {
    let directory = tempfile::tempdir().unwrap();
    let socket = directory.path().join("s");
    let listener = listener(&socket);
    let file = File::from(rustix::fs::memfd_create("other", MemfdFlags::ALLOW_SEALING).unwrap());
    file.write_all_at(segment, 0).unwrap();
    // Before the seals: after them nobody can map it for writing.
    let mapping = MmapOptions::new().len(segment.len()).map_raw(&file).unwrap();
    let all = SealFlags::SHRINK | SealFlags::GROW | SealFlags::FUTURE_WRITE | SealFlags::SEAL;
    rustix::fs::fcntl_add_seals(&file, all).unwrap();
    let mut reply = b"OCCDRPLY\x01\0\0\0".to_vec();
    reply.extend(&segment[12..16]); // abi_minor
    reply.extend([0; 8]);
    reply.extend(&segment[112..120]); // epoch
    reply.extend((segment.len() as u64).to_le_bytes());
    reply.resize(64, 0);
    std::thread::scope(|scope| {
        let reader = scope.spawn(|| Reader::connect(&socket, &ReaderOptions::default()));
        let client = rustix::net::accept(&listener).unwrap();
        assert_eq!(receive(&client).0.len(), 64);
        send_with_descriptor(&client, &reply, &file);
        (reader.join().unwrap().unwrap(), mapping, client)
    })
}
