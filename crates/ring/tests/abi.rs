//! The layout, to the byte: golden bytes of every header, `ABI.md` against the code, and headers
//! that somebody else wrote. `headers.rs` has what must hold of any.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod support;

use occdepth_ring::layout::handshake::{
    Accepted, HELLO_FIELDS, Hello, NOTIFICATION_FIELDS, Notification, REPLY_FIELDS, Refusal, Reply,
};
use occdepth_ring::layout::segment::{self, SegmentHeader};
use occdepth_ring::layout::{AbiVersion, Field, LayoutError, slot};
use occdepth_ring::{
    CalibrationState, ConnectError, Degradation, GridRecord, Health, Reader, ReaderOptions, Writer,
};
use std::fs::File;
use std::os::unix::fs::FileExt;
use support::{attach, bytes_of, filled, options, receive, record, small_stream, stream};

/// Offsets and values as ABI.md has them, written out by hand. `None`: another value every time.
fn golden_segment_header() -> Vec<(usize, Option<Vec<u8>>)> {
    let some = |bytes: &[u8]| Some(bytes.to_vec());
    let f64s = |values: &[f64]| Some(values.iter().flat_map(|v| v.to_le_bytes()).collect());
    vec![
        (0, some(b"OCCDRING")),
        (8, some(&[1, 0, 0, 0])),                           // abi_major
        (12, some(&[1, 0, 0, 0])),                          // abi_minor
        (16, some(&[0, 0x28, 0, 0, 0, 0, 0, 0])),           // segment_bytes: 8192 + 4 * 512 = 10240
        (24, some(&[0, 0x20, 0, 0, 0, 0, 0, 0])),           // header_bytes: 8192
        (32, some(&[0, 0x04, 0, 0, 0, 0, 0, 0])),           // control_offset: 1024
        (40, some(&[0, 0x08, 0, 0, 0, 0, 0, 0])),           // class_table_offset: 2048
        (48, some(&[64, 0, 0, 0])),                         // class_bytes
        (52, some(&[3, 0, 0, 0])),                          // class_count
        (56, some(&[0, 0x20, 0, 0, 0, 0, 0, 0])),           // slots_offset: 8192
        (64, some(&[0, 2, 0, 0, 0, 0, 0, 0])),              // slot_bytes: 256 + 128 + 128 = 512
        (72, some(&[4, 0, 0, 0])),                          // slot_count
        (76, some(&[0, 1, 0, 0])),                          // slot_header_bytes: 256
        (80, some(&[0, 1, 0, 0, 0, 0, 0, 0])),              // labels_offset: 256
        (88, some(&[105, 0, 0, 0, 0, 0, 0, 0])),            // labels_bytes: 5 * 3 * 7
        (96, some(&[0x80, 1, 0, 0, 0, 0, 0, 0])),           // confidence_offset: 256 + 128
        (104, some(&[105, 0, 0, 0, 0, 0, 0, 0])),           // confidence_bytes
        (112, None),                                        // epoch
        (120, None),                                        // created_time_ns
        (128, None),                                        // created_wall_offset_ns
        (192, some(&[5, 0, 0, 0, 3, 0, 0, 0, 7, 0, 0, 0])), // dims
        (204, some(&[1, 0, 0, 0])),                         // axes: x forward, y left, z up
        (208, some(&[0x9a, 0x99, 0x99, 0x99, 0x99, 0x99, 0xc9, 0x3f])), // voxel_size_m: 0.2
        (216, f64s(&[0.0, -25.6, -2.0])),                   // origin_m
        (
            240, // rectified_from_ego
            f64s(&[
                0.0, -1.0, 0.0, 0.06, 0.0, 0.0, -1.0, -0.08, 1.0, 0.0, 0.0, -0.27, 0.0, 0.0, 0.0,
                1.0,
            ]),
        ),
        (368, f64s(&[707.0, 707.5, 601.75, 183.25])), // rectified_intrinsics_px
        (400, some(&[0xc4, 0x04, 0, 0, 0x72, 0x01, 0, 0])), // rectified_size_px: 1220 x 370
        (408, some(b"ego")),                          // frame
        (512, Some((0..32).collect())),               // network_sha256
        (544, Some((224..=255).rev().collect())),     // engine_sha256
        (576, some(b"front")),                        // stream
        (640, some(b"ring tests 1.0")),               // producer
        (704, some(&[1, 0, 0, 0])),                   // trained
        (1024, some(&[1, 0, 0, 0, 0, 0, 0, 0])),      // newest
        (1152, None),                                 // status_time_ns
        (1160, some(&[2, 2, 0, 0, 0, 0, 0, 0])),      // status: degraded; bit 1, not bit 60
        (2048, some(&[0, 0, 0, 0, 0, 0, 0, 0])),      // class 0: id, colour
        (2056, some(b"empty")),
        (2112, some(&[1, 100, 150, 245, 0, 0, 0, 0])), // class 1
        (2120, some(b"car")),
        (2176, some(&[254, 255, 254, 253, 0, 0, 0, 0])), // class 2
        (2184, some(b"Stra\xc3\x9fenbahn")),
    ]
}

/// The header of slot 0 with grid 1 of frame 1000; likewise.
fn golden_slot_header() -> Vec<(usize, Option<Vec<u8>>)> {
    let some = |bytes: &[u8]| Some(bytes.to_vec());
    vec![
        (0, some(&[2, 0, 0, 0, 0, 0, 0, 0])),            // lock
        (8, some(&[1, 0, 0, 0, 0, 0, 0, 0])),            // sequence
        (16, None),                                      // epoch
        (24, some(&[0xe8, 0x03, 0, 0, 0, 0, 0, 0])),     // frame_id: 1000
        (32, some(&[0x41, 0x42, 0x0f, 0, 0, 0, 0, 0])),  // left_capture_time_ns: 1000001
        (40, some(&[0x52, 0x42, 0x0f, 0, 0, 0, 0, 0])),  // right_capture_time_ns: 1000018
        (48, None),                                      // publish_time_ns
        (56, None),                                      // wall_offset_ns
        (64, some(&[0x4c, 0x04, 0, 0, 0, 0, 0, 0])),     // capture_ns: 1100
        (72, some(&[0xb0, 0x04, 0, 0, 0, 0, 0, 0])),     // rectify_ns: 1200
        (80, some(&[0x14, 0x05, 0, 0, 0, 0, 0, 0])),     // infer_ns: 1300
        (88, some(&[0x78, 0x05, 0, 0, 0, 0, 0, 0])),     // label_ns: 1400
        (96, None),                                      // publish_ns
        (104, some(&[0xdc, 0x05, 0, 0, 0, 0, 0, 0])),    // watch_ns: 1500
        (128, some(&[17, 0, 0, 0, 0, 0, 0, 0])),         // skew_ns
        (136, some(&[2, 0, 0, 0])),                      // health: degraded
        (140, some(&[2, 0, 0, 0])),                      // calibration: suspect
        (144, some(&[2, 0, 0, 0, 0, 0, 0, 0x10])),       // degradation: bits 1 and 60
        (152, some(&[0, 0, 0, 0, 0, 0x40, 0x5f, 0x40])), // epipolar_error_px: 125.0
        (160, some(&[0, 0, 0, 0, 0, 0, 0x50, 0x3f])),    // pitch_error_rad: 2^-10
        (168, some(&[0, 0, 0, 0, 0, 0, 0x60, 0xbf])),    // roll_error_rad: -2^-9
        (176, some(&[0, 0, 0, 0, 0, 0, 0x80, 0x3f])),    // focal_error: 2^-7
        (240, None),                                     // checksum
    ]
}

#[test]
fn a_segment_has_the_golden_bytes() {
    let directory = tempfile::tempdir().unwrap();
    let socket = directory.path().join("s");
    let mut writer = Writer::create(&small_stream(), &options(&socket)).unwrap();
    let (labels, confidence) = (filled(105, 1000, 0), filled(105, 1000, 1));
    writer.publish(&record(1000), &labels, Some(&confidence)).unwrap();
    let (_socket, file) = attach(&socket, 0);
    assert_eq!(file.metadata().unwrap().len(), 10_240);
    let segment = bytes_of(&file, 0, 10_240);

    compare(&segment[..8192], &golden_segment_header(), segment::FIELDS);
    compare(&segment[8192..8192 + 256], &golden_slot_header(), slot::FIELDS);
    assert_eq!(segment[8448..8448 + 105], labels);
    assert_eq!(segment[8448 + 105..8576], [0; 23]);
    assert_eq!(segment[8576..8576 + 105], confidence);
    assert_eq!(segment[8681..8704], [0; 23]);
    assert!(segment[8704..].iter().all(|&byte| byte == 0), "slots that no grid used yet");
    // What differs from run to run, where it must agree.
    assert_eq!(segment[112..120], writer.epoch().to_le_bytes());
    assert_eq!(segment[8192 + 16..8192 + 24], writer.epoch().to_le_bytes());
    assert_eq!(segment[8192 + 244..8192 + 248], [0; 4], "upper half of the checksum");
}

/// Compares every byte: those that `golden` gives, and zeros everywhere else.
fn compare(found: &[u8], golden: &[(usize, Option<Vec<u8>>)], fields: &[Field]) {
    let mut expected = vec![0; found.len()];
    for (offset, value) in golden {
        if let Some(value) = value {
            expected[*offset..offset + value.len()].copy_from_slice(value);
        } else {
            let at = *offset..offset + 8;
            assert!(found[at.clone()] != [0; 8], "nothing at {offset}");
            expected[at.clone()].copy_from_slice(&found[at]);
        }
    }
    for field in fields {
        assert_eq!(field.of(found), field.of(&expected), "{} at {}", field.name, field.offset);
    }
    let first = found.iter().zip(&expected).position(|(found, expected)| found != expected);
    assert_eq!(first, None, "the first byte that differs");
}

#[test]
fn the_datagrams_have_the_golden_bytes() {
    let padded = |start: &[u8], length| {
        let mut bytes = start.to_vec();
        bytes.resize(length, 0);
        bytes
    };
    let hello = Hello { abi: AbiVersion { major: 1, minor: 0x0203 }, notify: true };
    let golden = b"OCCDHELO\x01\0\0\0\x03\x02\0\0\x01\0\0\0\0\0\0\0";
    assert_eq!(hello.encode().to_vec(), padded(golden, 64));
    assert_eq!(Hello::decode(&padded(golden, 64)), Some(hello));

    // Of a live writer: accepted, refused, notified.
    let directory = tempfile::tempdir().unwrap();
    let socket = directory.path().join("s");
    let mut writer = Writer::create(&small_stream(), &options(&socket)).unwrap();
    let epoch = writer.epoch().to_le_bytes();

    let client = support::raw_client(&socket);
    rustix::net::send(&client, &padded(golden, 64), rustix::net::SendFlags::empty()).unwrap();
    let (reply, segment) = receive(&client);
    let mut golden = b"OCCDRPLY\x01\0\0\0\x01\0\0\0\0\0\0\0\0\0\0\0".to_vec();
    golden.extend(epoch);
    golden.extend([0, 0x28, 0, 0, 0, 0, 0, 0]); // segment_bytes: 10240
    assert_eq!(reply, padded(&golden, 64));
    assert!(segment.is_some());

    let zeros = vec![0; 105];
    writer.publish(&record(1), &zeros, Some(&zeros)).unwrap();
    let mut golden = b"OCCDNOTE".to_vec();
    golden.extend(epoch);
    golden.push(1); // sequence
    assert_eq!(receive(&client).0, padded(&golden, 32));
    let notification = Notification { epoch: writer.epoch(), sequence: 1 };
    assert_eq!(Notification::decode(&padded(&golden, 32)), Some(notification));

    let client = support::raw_client(&socket);
    let hello = support::hello(7, 0, 0);
    rustix::net::send(&client, &hello, rustix::net::SendFlags::empty()).unwrap();
    let (reply, segment) = receive(&client);
    let golden = b"OCCDRPLY\x01\0\0\0\x01\0\0\0\x01\0\0\0\0\0\0\0";
    assert_eq!(reply, padded(golden, 64));
    assert!(segment.is_none());
}

#[test]
fn a_segment_without_confidences_has_the_golden_places() {
    let directory = tempfile::tempdir().unwrap();
    let socket = directory.path().join("s");
    let _writer = Writer::create(&stream([5, 3, 7], false), &options(&socket)).unwrap();
    let header = bytes_of(&attach(&socket, 0).1, 0, 8192);
    assert_eq!(header[16..24], [0, 0x26, 0, 0, 0, 0, 0, 0], "segment_bytes: 8192 + 4 * 384 = 9728");
    assert_eq!(header[64..72], [0x80, 1, 0, 0, 0, 0, 0, 0], "slot_bytes: 256 + 128 = 384");
    assert_eq!(header[96..112], [0; 16], "confidence_offset, confidence_bytes");
}

#[test]
fn codes_and_flags_have_the_golden_numbers() {
    let abi = AbiVersion { major: 1, minor: 0 };
    let refusals = [
        (Refusal::Version, 1),
        (Refusal::Hello, 2),
        (Refusal::Access, 3),
        (Refusal::TooManyClients, 4),
        (Refusal::OutOfDescriptors, 5),
        (Refusal::Other(0x0403_0201), 0x0403_0201_u32),
    ];
    for (refusal, code) in refusals {
        let mut golden = b"OCCDRPLY\x01\0\0\0\0\0\0\0".to_vec();
        golden.extend(code.to_le_bytes());
        golden.resize(64, 0);
        let reply = Reply { abi, outcome: Err(refusal) };
        assert_eq!(reply.encode(), *golden);
        assert_eq!(Reply::decode(&golden), Some(reply));
    }
    let accepted = Accepted { epoch: 0x0807_0605_0403_0201, segment_bytes: 0x2800 };
    let mut golden =
        b"OCCDRPLY\x01\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\x01\x02\x03\x04\x05\x06\x07\x08\0\x28"
            .to_vec();
    golden.resize(64, 0);
    assert_eq!(Reply { abi, outcome: Ok(accepted) }.encode(), *golden);

    let directory = tempfile::tempdir().unwrap();
    let socket = directory.path().join("s");
    let mut writer = Writer::create(&small_stream(), &options(&socket)).unwrap();
    let (_socket, file) = attach(&socket, 0);
    let zeros = vec![0; 105];
    for (code, health, calibration) in [
        (0, Health::Unknown, CalibrationState::Unknown),
        (1, Health::Ok, CalibrationState::Ok),
        (2, Health::Degraded, CalibrationState::Suspect),
        (3, Health::Failing, CalibrationState::Lost),
    ] {
        let record = GridRecord { health, calibration, ..GridRecord::default() };
        let sequence = writer.publish(&record, &zeros, Some(&zeros)).unwrap();
        let slot = bytes_of(&file, 8192 + 512 * (sequence - 1), 256);
        assert_eq!(slot[136..144], [code, 0, 0, 0, code, 0, 0, 0], "{health:?}, {calibration:?}");
    }
    let flags = [
        Degradation::FRAMES_DROPPED,
        Degradation::LATE,
        Degradation::THERMAL_LIMIT,
        Degradation::POWER_LIMIT,
        Degradation::ENGINE_SUBSTITUTED,
        Degradation::PRECISION_SUBSTITUTED,
        Degradation::SKEW_EXCEEDED,
        Degradation::CAMERA_FAULT,
    ];
    assert_eq!(flags.map(Degradation::bits), [1, 2, 4, 8, 16, 32, 64, 128]);
}

#[test]
fn abi_md_has_the_offsets_of_the_code() {
    let document = include_str!("../ABI.md");
    for (heading, fields) in [
        ("## Segment header", segment::FIELDS),
        ("## Class table", segment::CLASS_FIELDS),
        ("## Slot", slot::FIELDS),
        ("### Hello", HELLO_FIELDS),
        ("### Reply", REPLY_FIELDS),
        ("### Notification", NOTIFICATION_FIELDS),
    ] {
        let (_, section) = document.split_once(&format!("\n{heading}\n")).unwrap();
        let section = section.split("\n#").next().unwrap();
        let rows: Vec<(usize, usize, String)> = section
            .lines()
            .filter_map(|line| {
                let mut cells = line.strip_prefix("| ")?.split(" | ");
                let offset = cells.next()?.trim().parse().ok()?;
                let bytes = cells.next()?.trim().parse().ok()?;
                Some((offset, bytes, cells.next()?.trim().trim_matches('`').to_owned()))
            })
            .collect();
        let expected: Vec<(usize, usize, String)> =
            fields.iter().map(|field| (field.offset, field.bytes, field.name.to_owned())).collect();
        assert_eq!(rows, expected, "{heading}");
        // No gap, no overlap: a reserved byte is as much a part of the ABI as a used one.
        let mut end = 0;
        for field in fields {
            assert_eq!(field.offset, end, "{heading}: {}", field.name);
            end += field.bytes;
        }
    }
    for (text, value) in [
        ("ABI version 1.1", (AbiVersion::CURRENT.major, AbiVersion::CURRENT.minor) == (1, 1)),
        ("8192", segment::HEADER_BYTES == 8192),
        ("256", slot::HEADER_BYTES == 256),
        ("8 to 240", slot::CHECKED == (8..240)),
    ] {
        assert!(value && document.contains(text), "{text}");
    }
}

/// The bytes of the header of a small stream.
fn good_header() -> Vec<u8> {
    let directory = tempfile::tempdir().unwrap();
    let socket = directory.path().join("s");
    let _writer = Writer::create(&small_stream(), &options(&socket)).unwrap();
    let (_socket, file) = attach(&socket, 0);
    bytes_of(&file, 0, 8192)
}

#[test]
fn a_field_that_does_not_fit_is_refused_by_name() {
    let good = good_header();
    assert!(SegmentHeader::decode(&good, 10_240).is_ok());
    let cases: &[(usize, &[u8], &str)] = &[
        (16, &[1], "segment_bytes"),
        (24, &[0, 0x1f], "header_bytes"),
        (24, &[0, 0x21], "header_bytes"),
        (32, &[8], "control_offset"),
        (40, &[8], "class_table_offset"),
        (48, &[32], "class_bytes"),
        (52, &[65], "class_count"),
        (52, &[0xff; 4], "class_count"),
        (56, &[8], "slots_offset"),
        (56, &[0xc0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff], "slots_offset"),
        (64, &[0x40, 2], "slot_bytes"),
        (64, &[0x08], "slot_bytes"),
        (64, &[0, 0, 0, 0, 0, 0, 0, 0xf0], "slot_bytes"),
        (64, &[0x40, 0], "labels_offset"),
        (72, &[0], "slot_count"),
        (72, &[1], "slot_count"),
        (72, &[5], "slot_bytes"),
        (72, &[0xff; 4], "slot_count"),
        (76, &[0, 0], "slot_header_bytes"),
        (76, &[1, 1], "slot_header_bytes"),
        (80, &[4, 1], "labels_offset"),
        (80, &[0xc0, 1], "labels_offset"),
        (80, &[0xc0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff], "labels_offset"),
        (88, &[106], "labels_bytes"),
        (88, &[0xff; 8], "labels_bytes"),
        (96, &[0, 0], "confidence_offset"),
        (96, &[0, 1], "confidence_offset"),
        (96, &[0xc0, 1], "confidence_offset"),
        (104, &[104], "confidence_bytes"),
        (104, &[0], "confidence_offset"),
        (112, &[0; 8], "epoch"),
        (192, &[0], "labels_bytes"),
        (192, &[0xff; 12], "labels_bytes"),
        (208, &[0; 8], "grid.voxel_size_m"),
        (216, &[0xff; 8], "grid.origin_m"),
        (240, &[0xff; 8], "rectified_from_ego"),
        (368, &[0xff; 8], "rectified"),
        (408, &[0xff], "frame"),
        (408, &[0; 32], "grid.frame"),
        (415, &[65], "frame"),
        (576, &[0; 64], "stream"),
        (640, &[0xc3, 0x28], "producer"),
        (704, &[2], "trained"),
        (2048, &[255], "classes.id"),
        (2112, &[0], "classes.id"),
        (2056, &[0xff], "name"),
        (2056, &[0; 56], "classes.name"),
    ];
    for (offset, bytes, name) in cases {
        let mut bad = good.clone();
        bad[*offset..offset + bytes.len()].copy_from_slice(bytes);
        match SegmentHeader::decode(&bad, 10_240) {
            Err(LayoutError::Field { field, .. }) => assert_eq!(field, *name, "at {offset}"),
            other => panic!("{name} at {offset}: {other:?}"),
        }
    }
    let mut bad = good.clone();
    bad[0] = b'o';
    let expected = LayoutError::Magic { found: *b"oCCDRING" };
    assert_eq!(SegmentHeader::decode(&bad, 10_240), Err(expected));
    let mut bad = good.clone();
    bad[8] = 2;
    bad[12] = 9;
    let error = SegmentHeader::decode(&bad, 10_240).unwrap_err();
    assert_eq!(error, LayoutError::Version { segment: AbiVersion { major: 2, minor: 9 } });
    assert_eq!(error.to_string(), "the segment has ABI 2.9, this reader speaks 1.1");
    for length in [0, 7, 15, 16, 8191] {
        let error = SegmentHeader::decode(&good[..length], 10_240).unwrap_err();
        assert!(matches!(error, LayoutError::TooSmall { .. }), "{length}: {error}");
    }
}

#[test]
fn a_hostile_segment_is_refused_or_read_without_a_crash() {
    use rustix::fs::{MemfdFlags, SealFlags};
    let directory = tempfile::tempdir().unwrap();
    let socket = directory.path().join("s");
    let listener = support::listener(&socket);
    let good = {
        let mut good = good_header();
        good[1024] = 9; // newest: a grid that was never written
        good.resize(10_240, 0);
        good
    };
    let all = SealFlags::SHRINK | SealFlags::GROW | SealFlags::FUTURE_WRITE | SealFlags::SEAL;
    // Offers a segment as a writer would, with what the closure makes of it.
    let offer = |bytes: &[u8], size: u64, seals: SealFlags, claimed: u64| {
        let file = rustix::fs::memfd_create("hostile", MemfdFlags::ALLOW_SEALING).unwrap();
        let file = File::from(file);
        file.write_all_at(bytes, 0).unwrap();
        file.set_len(size).unwrap();
        rustix::fs::fcntl_add_seals(&file, seals).unwrap();
        std::thread::scope(|scope| {
            let reader = scope.spawn(|| Reader::connect(&socket, &ReaderOptions::default()));
            let client = rustix::net::accept(&listener).unwrap();
            assert_eq!(receive(&client).0.len(), 64);
            let mut reply = b"OCCDRPLY\x01\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0".to_vec();
            reply.extend(&bytes[112..120]);
            reply.extend(claimed.to_le_bytes());
            reply.resize(64, 0);
            support::send_with_descriptor(&client, &reply, &file);
            reader.join().unwrap()
        })
    };
    let size = 10_240;
    let reader = offer(&good, size, all, size).unwrap();
    let mut grid = occdepth_ring::Grid::new();
    for sequence in 0..12 {
        reader.copy(sequence, &mut grid).unwrap_err();
    }
    for missing in [SealFlags::SHRINK, SealFlags::GROW, SealFlags::FUTURE_WRITE, SealFlags::SEAL] {
        let error = offer(&good, size, all - missing, size).unwrap_err();
        assert!(matches!(error, ConnectError::NotSealed { .. }), "{missing:?}: {error}");
    }
    for (bytes, size, claimed) in
        [(&good[..], size, size + 64), (&good, size + 64, size + 64), (&good[..4096], 4096, 4096)]
    {
        assert!(offer(bytes, size, all, claimed).is_err());
    }
    // Slots whose content lies: a readable lock over a grid that is none.
    let mut lying = good.clone();
    lying[8192] = 18; // lock: grid 9 can be read
    let reader = offer(&lying, size, all, size).unwrap();
    let error = reader.copy(9, &mut grid).unwrap_err();
    assert!(matches!(error, occdepth_ring::ReadError::Corrupt { sequence: 9, .. }), "{error}");
    lying[8200] = 9; // sequence
    let epoch: [u8; 8] = lying[112..120].try_into().unwrap();
    lying[8208..8216].copy_from_slice(&epoch);
    let mut reader = offer(&lying, size, all, size).unwrap();
    let error = reader.next(&mut grid, std::time::Duration::ZERO).unwrap_err();
    assert!(error.to_string().contains("checksum"), "{error}");
    // A newest index from the end of the world.
    lying[1024..1032].fill(0xff);
    let mut reader = offer(&lying, size, all, size).unwrap();
    for _ in 0..3 {
        reader.next(&mut grid, std::time::Duration::ZERO).unwrap_err();
    }
    reader.copy_newest(&mut grid).unwrap_err();
}
