//! Minor versions of one major work together: a segment of an older writer, and one of a newer.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod support;

use occdepth_ring::layout::AbiVersion;
use occdepth_ring::{Axes, CalibrationState, Grid, Health, Reader, ReaderOptions, Writer};
use rustix::fs::{MemfdFlags, SealFlags};
use std::fs::File;
use std::os::unix::fs::FileExt;
use support::{attach, filled, options, receive, record, send_with_descriptor, small_stream};

const SEGMENT_BYTES: usize = 10_240;
/// Where slot 0 starts, and in it labels and confidences.
const SLOT: usize = 8192;
const LABELS: std::ops::Range<usize> = SLOT + 256..SLOT + 256 + 105;
const CONFIDENCE: std::ops::Range<usize> = SLOT + 384..SLOT + 384 + 105;

/// A segment with one grid, as this version writes it.
fn segment() -> Vec<u8> {
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
fn seal_grid(segment: &mut [u8]) {
    let mut crc = crc32fast::Hasher::new();
    for covered in [LABELS, CONFIDENCE, SLOT + 8..SLOT + 240] {
        crc.update(&segment[covered]);
    }
    segment[SLOT + 240..SLOT + 244].copy_from_slice(&crc.finalize().to_le_bytes());
}

/// A reader of a writer of another minor version that has `segment`.
fn reader_of(segment: &[u8]) -> Reader {
    let directory = tempfile::tempdir().unwrap();
    let socket = directory.path().join("s");
    let listener = support::listener(&socket);
    let file = File::from(rustix::fs::memfd_create("other", MemfdFlags::ALLOW_SEALING).unwrap());
    file.write_all_at(segment, 0).unwrap();
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
        reader.join().unwrap().unwrap()
    })
}

/// What 1.1 filled is zero in segments of 1.0, and zeros must not read as measurements.
#[test]
fn a_segment_of_1_0_says_nothing_of_what_came_later() {
    let mut older = segment();
    older[12] = 0;
    older[1152..1168].fill(0);
    for reserved in [104..112, 160..184] {
        older[SLOT..][reserved].fill(0);
    }
    seal_grid(&mut older);

    let reader = reader_of(&older);
    assert_eq!(reader.writer_abi(), AbiVersion { major: 1, minor: 0 });
    assert_eq!(reader.status(), None);
    let mut grid = Grid::new();
    reader.copy(1, &mut grid).unwrap();
    let mut expected = record(1000);
    expected.rig_error = None;
    expected.stages.watch_ns = 0;
    expected.stages.publish_ns = grid.published.record.stages.publish_ns;
    assert_eq!(grid.published.record, expected);
    assert_eq!(grid.labels, older[LABELS]);
}

#[test]
fn a_newer_minor_is_understood() {
    let mut newer = segment();
    newer[12] = 3;
    // What this minor must not look at, and a code that it does not know.
    for reserved in [136..192, 440..512, 708..1024, 1032..1152, 1168..2048, 6144..8192] {
        newer[reserved].fill(0xaa);
    }
    for reserved in [112..128, 184..240, 244..256] {
        newer[SLOT..][reserved].fill(0xaa);
    }
    newer[204] = 200; // axes
    newer[SLOT + 136] = 200; // health
    newer[SLOT + 140] = 200; // calibration
    seal_grid(&mut newer);

    let reader = reader_of(&newer);
    assert_eq!(reader.writer_abi(), AbiVersion { major: 1, minor: 3 });
    let mut expected = small_stream();
    expected.grid.axes = Axes::Unknown;
    assert_eq!(reader.description(), &expected);
    let mut grid = Grid::new();
    reader.copy(1, &mut grid).unwrap();
    let mut expected = record(1000);
    expected.health = Health::Unknown;
    expected.calibration = CalibrationState::Unknown;
    expected.stages.publish_ns = grid.published.record.stages.publish_ns;
    assert_eq!(grid.published.record, expected);
    assert_eq!(grid.confidence, newer[CONFIDENCE]);
}
