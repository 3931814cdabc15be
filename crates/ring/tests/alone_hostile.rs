//! The reader in C (`tests/alone`), built with sanitizers, against writers that lie and against those of other minor versions.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

#[path = "support/c_reader.rs"]
mod c_reader;
#[path = "support/hostile.rs"]
mod damaged;
mod support;

use c_reader::{assert_fails, fnv, number, offered, sanitized, send};
use damaged::{VOXELS, good, reply_to, rounds, sealed};
use rustix::fs::{MemfdFlags, SealFlags};
use std::fs::File;
use std::os::fd::OwnedFd;
use std::os::unix::fs::FileExt;
use support::{filled, listener, send_with_descriptors};

#[test]
fn a_lying_header_is_refused_by_the_field_that_lies() {
    let program = sanitized("a_lying_header_is_refused_by_the_field_that_lies");
    let directory = tempfile::tempdir().unwrap();
    let socket = directory.path().join("s");
    let listener = listener(&socket);
    let (bytes, _) = good();
    let mut cut_character = [b'a'; 65];
    cut_character[63..].copy_from_slice("é".as_bytes());
    let cases: &[(usize, &[u8], &str)] = &[
        (0, b"o", "magic"),
        (8, &[2], "segment refused: ABI 2.1,"),
        (16, &[1], "segment_bytes"),
        (24, &[0, 0x1f], "header_bytes"),
        (24, &[0, 0x21], "slots_offset"),
        (32, &[8], "control_offset"),
        (40, &[8], "class_table_offset"),
        (48, &[32], "class_bytes"),
        (52, &[65], "class_count"),
        (52, &[0xff; 4], "class_count"),
        (56, &[8], "slots_offset"),
        (56, &[0xc0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff], "slots_offset"),
        (56, &[8, 0x20, 0, 0, 0, 0, 0, 0, 0, 2, 0, 0, 0, 0, 0, 0, 3], "slots_offset"),
        (64, &[0x40, 2], "slots_offset"),
        (64, &[0x08], "slot_bytes"),
        (64, &[0, 0, 0, 0, 0, 0, 0, 0xf0], "slot_bytes"),
        (64, &[0x40, 0], "labels_offset"),
        (72, &[0], "slot_count"),
        (72, &[1], "slot_count"),
        (72, &[5], "slots_offset"),
        (72, &[0xff; 4], "slot_count"),
        (76, &[0, 0], "slot_header_bytes"),
        (76, &[1, 1], "labels_offset"),
        (80, &[4, 1], "labels_offset"),
        (80, &[0xc0, 1], "labels_offset"),
        (80, &[0xc0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff], "labels_offset"),
        (88, &[106], "confidence_bytes"),
        (88, &[0; 8], "labels_bytes"),
        (88, &[0xff; 8], "labels_bytes"),
        (96, &[0, 0], "confidence_offset"),
        (96, &[0, 1], "confidence_offset"),
        (96, &[0x88, 1], "confidence_offset"),
        (96, &[0xc0, 1], "confidence_offset"),
        (96, &[0xc0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff], "confidence_offset"),
        (104, &[104], "confidence_bytes"),
        (104, &[0], "confidence_offset"),
        (112, &[0; 8], "epoch"),
        (192, &[0], "dims"),
        (192, &[6], "labels_bytes"),
        (192, &[0xff; 12], "labels_bytes"),
        (208, &[0; 8], "voxel_size_m"),
        (208, &[0xff; 8], "voxel_size_m"),
        (208, &[0, 0, 0, 0, 0, 0, 0xf0, 0x7f], "voxel_size_m"),
        (216, &[0xff; 8], "origin_m"),
        (240, &[0xff; 8], "rectified_from_ego"),
        (368, &[0xff; 8], "rectified_intrinsics_px"),
        (408, &[0; 32], "frame"),
        (415, &[65], "frame"),
        (576, &[0; 64], "stream"),
        (576, &cut_character, "stream"),
        (640, &[0xc3, 0x28], "producer"),
        (640, &[0xc0, 0x80], "producer"),
        (640, &[0xe4, 0xb8, 0x28], "producer"),
        (640, &[0xed, 0xa0, 0x80], "producer"),
        (640, &[0xf4, 0x90, 0x80, 0x80], "producer"),
        (640, &[0xf0; 64], "producer"),
        (704, &[2], "trained"),
        (1024, &[0xff; 8], "newest"),
        (2048, &[255], "id of a class"),
        (2112, &[0], "id of a class"),
        (2056, &[0xff], "name of a class"),
        (2056, &[0; 56], "name of a class"),
        // Slots whose lock says that they can be read, but that hold something else.
        (8192 + 8, &[8], "sequence of grid 9 is 8"),
        (8192 + 16, &[0; 8], "epoch of grid 9 is 0"),
        (8192 + 24, &[0xff; 8], "checksum of grid 9"),
        (8192 + 240, &[0; 4], "checksum of grid 9"),
        (8192 + 256, &[0xff; 105], "checksum of grid 9"),
        (8192 + 384 + 104, &[0xff; 3], "checksum of grid 9"),
    ];
    for &(offset, lie, name) in cases {
        let mut bytes = bytes.clone();
        bytes[offset..offset + lie.len()].copy_from_slice(lie);
        // As a writer would that is only mistaken about its segment.
        let reply = reply_to(&bytes);
        let answer = |client: &OwnedFd| send_with_descriptors(client, &reply, &[&sealed(&bytes)]);
        let end = offered(program, &socket, &listener, &["1"], answer);
        let of_header = offset < 8192 && ![8, 1024].contains(&offset);
        assert_fails(
            &end,
            &if of_header { format!(" refused: {name} is not ") } else { name.into() },
        );
    }
}

#[test]
fn a_lying_reply_is_refused() {
    let program = sanitized("a_lying_reply_is_refused");
    let directory = tempfile::tempdir().unwrap();
    let socket = directory.path().join("s");
    let listener = listener(&socket);
    let (bytes, reply) = good();
    let (file, null) = (sealed(&bytes), File::open("/dev/null").unwrap());
    let lying = |offset: usize, lie: &[u8]| {
        let mut reply = reply.clone();
        reply[offset..offset + lie.len()].copy_from_slice(lie);
        reply
    };
    let (smaller, larger) = (lying(32, &[0xc0, 0x27]), lying(32, &[0xff; 8]));
    let (epoch, magic) = (lying(24, &[0; 8]), lying(7, b"X"));
    let cases: [(&[u8], &[&File], &str); 9] = [
        (&smaller, &[&file], "the file has 10240 bytes, the reply says 10176"),
        (&larger, &[&file], "the file has 10240 bytes"),
        (&epoch, &[&file], "epoch"),
        (&magic, &[&file], "not a reply"),
        (&reply[..63], &[&file], "63 bytes"),
        (&reply[..23], &[&file], "not a reply"),
        (&reply, &[], "no descriptor"),
        (&reply, &[&null], "seals"),
        (&reply, &[&null, &file], "seals"),
    ];
    for (reply, files, reason) in cases {
        let answer = |client: &OwnedFd| send_with_descriptors(client, reply, files);
        assert_fails(&offered(program, &socket, &listener, &["1"], answer), reason);
    }
    let all = SealFlags::SHRINK | SealFlags::GROW | SealFlags::FUTURE_WRITE | SealFlags::SEAL;
    for missing in [SealFlags::SHRINK, SealFlags::GROW, SealFlags::FUTURE_WRITE, SealFlags::SEAL] {
        let file = rustix::fs::memfd_create("unsealed", MemfdFlags::ALLOW_SEALING).unwrap();
        let file = File::from(file);
        file.write_all_at(&bytes, 0).unwrap();
        rustix::fs::fcntl_add_seals(&file, all - missing).unwrap();
        let answer = |client: &OwnedFd| send_with_descriptors(client, &reply, &[&file]);
        assert_fails(&offered(program, &socket, &listener, &["1"], answer), "seals");
    }
    let short = sealed(&bytes[..4096]);
    let reply_of_short = lying(32, &[0, 0x10]);
    let answer = |client: &OwnedFd| send_with_descriptors(client, &reply_of_short, &[&short]);
    assert_fails(&offered(program, &socket, &listener, &["1"], answer), "4096 bytes");
    assert_fails(&offered(program, &socket, &listener, &["1"], |_| {}), "without a reply");

    // What ABI.md leaves open to a writer is taken.
    let long = [&reply[..], &[0xff; 400]].concat();
    for (reply, files) in [(&long, &[&file][..]), (&reply, &[&file, &null, &null, &null])] {
        let answer = |client: &OwnedFd| send_with_descriptors(client, reply, files);
        let end = offered(program, &socket, &listener, &["1"], answer);
        assert_eq!((end.code, &*end.errors), (0, ""));
    }
}

#[test]
fn segments_of_other_minors_are_read() {
    let program = sanitized("segments_of_other_minors_are_read");
    let directory = tempfile::tempdir().unwrap();
    let socket = directory.path().join("s");
    let listener = listener(&socket);
    let (bytes, _) = good();
    let changed = |changes: &[(usize, &[u8])]| {
        let mut bytes = bytes.clone();
        for &(offset, change) in changes {
            bytes[offset..offset + change.len()].copy_from_slice(change);
        }
        bytes
    };
    let read = |bytes: &[u8]| {
        let (reply, file) = (reply_to(bytes), sealed(bytes));
        let answer = |client: &OwnedFd| {
            send_with_descriptors(client, &reply, &[&file]);
            // Neither datagrams of a kind that is not known yet nor long ones disturb a reader.
            send(client, b"OCCDMORE");
            send(client, &[&b"OCCDNOTE"[..], &[0xff; 500]].concat());
        };
        let end = offered(program, &socket, &listener, &["5", "--notify"], answer);
        assert_eq!((end.code, &*end.errors), (3, ""));
        let find =
            |word: &str| end.lines.iter().find(|line| line.starts_with(word)).unwrap().clone();
        let (stream, grid, status) = (find("stream "), find("grid "), find("status "));
        assert_eq!(number(&grid), 9);
        assert!(
            grid.contains(&format!(" labels_fnv64={:016x} ", fnv(&filled(VOXELS, 9, 0)))),
            "{grid}"
        );
        (stream, grid, status)
    };
    // 1.0 has no rig error and no status, and says zero instead.
    let (_, grid, status) = read(&changed(&[(12, &[0])]));
    assert!(grid.contains(" pitch_error_rad=nan roll_error_rad=nan focal_error=nan "), "{grid}");
    assert_eq!(status, "status status_time_ns=0 health=0 degradation=0");

    // A newer one: longer headers, codes that are not known yet, space behind the last slot.
    let longer = changed(&[
        (12, &[9]),
        (16, &[0, 0x40]),    // segment_bytes: 16384
        (24, &[0x30, 0x20]), // header_bytes: 8240
        (52, &[0]),          // class_count
        (56, &[0x40, 0x20]), // slots_offset: 8256
        (64, &[0x80, 2]),    // slot_bytes: 640
        (76, &[0x40, 1]),    // slot_header_bytes: 320
        (80, &[0x80, 1]),    // labels_offset: 384
        (96, &[0, 2]),       // confidence_offset: 512
        (204, &[77]),        // axes
        (1160, &[203]),      // health in the status
    ]);
    let mut newer = longer[..8192].to_vec();
    newer.resize(16_384, 0);
    newer[8256..8256 + 256].copy_from_slice(&bytes[8192..8192 + 256]);
    newer[8256 + 384..][..VOXELS].copy_from_slice(&bytes[8192 + 256..][..VOXELS]);
    newer[8256 + 512..][..VOXELS].copy_from_slice(&bytes[8192 + 384..][..VOXELS]);
    let (stream, grid, status) = read(&newer);
    assert!(stream.contains(" axes=0 ") && stream.contains(" abi_minor=9 "), "{stream}");
    assert!(grid.contains(" watch_ns=509 ") && grid.contains(" focal_error=0.0078125 "), "{grid}");
    assert!(status.contains(" health=0 "), "{status}");
}

#[test]
fn no_bytes_make_it_crash() {
    let program = sanitized("no_bytes_make_it_crash");
    let directory = tempfile::tempdir().unwrap();
    let socket = directory.path().join("s");
    let listener = listener(&socket);
    let (bytes, _) = good();
    let known: Vec<String> =
        (1..=9).map(|id| format!(" labels_fnv64={:016x} ", fnv(&filled(VOXELS, id, 0)))).collect();
    let (mut taken, mut refused) = (0, 0);
    rounds("no_bytes_make_it_crash", 60, |random| {
        let mut bytes = bytes.clone();
        let end = [128, 1032, 2304, bytes.len()][random.below(4)];
        random.damage(&mut bytes[..end]);
        let (reply, file) = (reply_to(&bytes), sealed(&bytes));
        let answer = |client: &OwnedFd| send_with_descriptors(client, &reply, &[&file]);
        let end = offered(program, &socket, &listener, &["3"], answer);
        match end.code {
            1 => {
                refused += 1;
                assert_fails(&end, "");
            }
            0 | 3 => {
                taken += 1;
                assert_eq!(end.errors, "");
            }
            code => panic!("exit {code}: {}", end.errors),
        }
        for line in end.lines.iter().filter(|line| line.starts_with("grid ")) {
            assert!(known.iter().any(|fnv| line.contains(fnv)), "nobody published {line}");
        }
    });
    assert!(taken > 0 && refused > 0, "{taken} taken, {refused} refused");
}
