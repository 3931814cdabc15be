//! What must hold of any header and any datagram, whoever wrote it.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use occdepth_ring::layout::AbiVersion;
use occdepth_ring::layout::handshake::{Accepted, Hello, Notification, Reply};
use occdepth_ring::layout::segment::SegmentHeader;
use occdepth_ring::{
    Axes, CalibrationState, Class, Degradation, Grid, GridGeometry, GridRecord, Health, Reader,
    ReaderOptions, RectifiedCamera, RigError, StageTimes, StreamDescription, Writer,
};
use proptest::prelude::*;
use support::{attach, bytes_of, options, small_stream};

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn arbitrary_bytes_are_no_header(
        bytes in prop::collection::vec(any::<u8>(), 0..9000),
        segment_bytes in any::<u64>(),
    ) {
        prop_assert!(SegmentHeader::decode(&bytes, segment_bytes).is_err());
    }

    /// Exactly those of the right magic and length are accepted, and each field says what its bytes say.
    #[test]
    fn a_datagram_says_what_its_bytes_say(
        magic in prop::sample::select(vec![b"OCCDHELO", b"OCCDRPLY", b"OCCDNOTE", b"OCCDRING"]),
        (status, major) in (0..8_u32, 0..3_u32),
        rest in prop::collection::vec(any::<u8>(), 0..300),
    ) {
        let mut bytes = [magic.as_slice(), rest.as_slice()].concat();
        if let Some(field) = bytes.get_mut(16..20) && magic == b"OCCDRPLY" {
            field.copy_from_slice(&status.to_le_bytes());
            bytes[8..12].copy_from_slice(&major.to_le_bytes());
        }
        let length = bytes.len();
        let u32_at = |at: usize| u32::from_le_bytes(bytes[at..at + 4].try_into().unwrap());
        let u64_at = |at: usize| u64::from_le_bytes(bytes[at..at + 8].try_into().unwrap());
        let abi = || AbiVersion { major: u32_at(8), minor: u32_at(12) };

        let is_hello = magic == b"OCCDHELO" && (32..=256).contains(&length);
        let hello = is_hello.then(|| Hello { abi: abi(), notify: u64_at(16) & 1 == 1 });
        prop_assert_eq!(Hello::decode(&bytes), hello);

        // The first 24 bytes mean the same in every major version; of another one there is nothing but refusals.
        let least = if (major, status) == (1, 0) { 64 } else { 24 };
        let is_reply = magic == b"OCCDRPLY" && length >= least;
        let reply = Reply::decode(&bytes);
        prop_assert_eq!(reply.is_some(), is_reply);
        if let Some(reply) = reply {
            prop_assert_eq!(reply.abi, abi());
            let accepted = || Accepted { epoch: u64_at(24), segment_bytes: u64_at(32) };
            prop_assert_eq!(reply.outcome.ok(), ((major, status) == (1, 0)).then(accepted));
            prop_assert_eq!(Reply::decode(&reply.encode()), Some(reply));
        }

        let is_note = magic == b"OCCDNOTE" && length >= 32;
        let note = is_note.then(|| Notification { epoch: u64_at(8), sequence: u64_at(16) });
        prop_assert_eq!(Notification::decode(&bytes), note);
    }

    /// Mutations of a good header reach the checks behind the magic: whatever is accepted keeps
    /// every access of a reader within the segment.
    #[test]
    fn a_mutated_header_that_is_accepted_stays_within_the_segment(
        mutations in prop::collection::vec((0..720_usize, any::<u8>()), 1..4),
        words in prop::collection::vec((2..16_usize, prop::sample::select(vec![
            0, 1, 64, 256, 512, 8192, 10_240, u64::from(u32::MAX), 1 << 63, u64::MAX, u64::MAX - 63,
        ])), 0..3),
        segment_bytes in prop::sample::select(vec![0, 8192, 10_239, 10_240, 10_241, u64::MAX]),
    ) {
        let mut bytes = HEADER.with(Clone::clone);
        for (offset, byte) in mutations {
            bytes[offset] = byte;
        }
        for (word, value) in words {
            bytes[word * 8..word * 8 + 8].copy_from_slice(&value.to_le_bytes());
        }
        if let Ok(header) = SegmentHeader::decode(&bytes, segment_bytes) {
            let places = header.places;
            prop_assert_eq!(places.segment_bytes as u64, segment_bytes);
            let slots_end =
                places.slots_offset as u128 + places.slot_bytes as u128 * u128::from(places.slot_count);
            prop_assert!(slots_end <= u128::from(segment_bytes));
            let rounded = places.labels_bytes.next_multiple_of(8) as u128;
            for offset in [places.labels_offset, places.confidence_offset] {
                prop_assert!(offset as u128 + rounded <= places.slot_bytes as u128);
                prop_assert!(offset % 8 == 0);
            }
            prop_assert!(places.labels_offset >= 256);
            prop_assert_eq!(header.description.grid.voxels(), Some(places.labels_bytes));
        }
    }

    /// An entry of the class table is accepted exactly if it may stand beside the others, and says what its bytes say.
    #[test]
    fn a_class_entry_says_what_its_bytes_say(
        id in any::<u8>(),
        colour in any::<[u8; 3]>(),
        name in prop_oneof![
            "\\PC{0,20}".prop_map(String::into_bytes),
            prop::collection::vec(any::<u8>(), 0..57),
        ],
    ) {
        prop_assume!(name.len() <= 56);
        let mut bytes = HEADER.with(Clone::clone);
        let entry = &mut bytes[2112..2176];
        entry.fill(0);
        entry[0] = id;
        entry[1..4].copy_from_slice(&colour);
        entry[8..8 + name.len()].copy_from_slice(&name);
        // Zeros at the end are padding.
        let text = std::str::from_utf8(&name).ok().map(|name| name.trim_end_matches('\0'));
        let text = text.filter(|name| !name.is_empty() && !name.contains('\0'));
        let is_free = ![0, 254, 255].contains(&id);
        match SegmentHeader::decode(&bytes, 10_240) {
            Ok(header) => {
                let expected = Class { id, name: text.unwrap_or_default().to_owned(), colour };
                prop_assert_eq!(&header.description.classes[1], &expected);
                prop_assert!(is_free && text.is_some());
            }
            Err(error) => prop_assert!(!is_free || text.is_none(), "{}", error),
        }
    }

    #[test]
    fn descriptions_come_back(description in any_description()) {
        let directory = tempfile::tempdir().unwrap();
        let socket = directory.path().join("s");
        let _writer = Writer::create(&description, &options(&socket)).unwrap();
        let reader = Reader::connect(&socket, &ReaderOptions::default()).unwrap();
        prop_assert_eq!(reader.description(), &description);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn records_come_back(records in prop::collection::vec(any_record(), 1..8)) {
        let directory = tempfile::tempdir().unwrap();
        let socket = directory.path().join("s");
        let mut writer = Writer::create(&small_stream(), &options(&socket)).unwrap();
        let reader = Reader::connect(&socket, &ReaderOptions::default()).unwrap();
        let (zeros, mut grid) = (vec![0; 105], Grid::new());
        for mut record in records {
            writer.publish(&record, &zeros, Some(&zeros)).unwrap();
            reader.copy_newest(&mut grid).unwrap();
            record.stages.publish_ns = grid.published.record.stages.publish_ns;
            prop_assert_eq!(grid.published.record, record);
        }
    }
}

thread_local! {
    /// Of a small stream.
    static HEADER: Vec<u8> = {
        let directory = tempfile::tempdir().unwrap();
        let socket = directory.path().join("s");
        let _writer = Writer::create(&small_stream(), &options(&socket)).unwrap();
        bytes_of(&attach(&socket, 0).1, 0, 8192)
    };
}

fn any_description() -> impl Strategy<Value = StreamDescription> {
    let number = -1e12..1e12;
    let class = ("\\PC{1,14}", any::<[u8; 3]>());
    let grid =
        (0..3_u8, "[a-z]{1,32}", [number.clone(), number.clone(), number.clone()], 1e-3..10.0)
            .prop_flat_map(|(axes, frame, origin_m, voxel_size_m)| {
                [1..40_u32, 1..40_u32, 1..40_u32].prop_map(move |dims| GridGeometry {
                    axes: [Axes::Unknown, Axes::ForwardLeftUp, Axes::HorizontalUp]
                        [usize::from(axes)],
                    frame: frame.clone(),
                    origin_m,
                    voxel_size_m,
                    dims,
                })
            });
    let camera =
        ([number.clone(), number.clone(), number.clone(), number.clone()], any::<[u32; 2]>())
            .prop_map(|([fx_px, fy_px, cx_px, cy_px], [width_px, height_px])| RectifiedCamera {
                fx_px,
                fy_px,
                cx_px,
                cy_px,
                width_px,
                height_px,
            });
    (
        ("\\PC{1,16}", "\\PC{0,16}"),
        grid,
        prop::array::uniform4(prop::array::uniform4(number)),
        camera,
        prop::collection::btree_map(0..255_u8, class, 0..=64),
        any::<[bool; 2]>(),
        any::<[[u8; 32]; 2]>(),
    )
        .prop_map(
            |((stream, producer), grid, rectified_from_ego, rectified, classes, flags, hashes)| {
                let class = |(id, (name, colour))| Class { id, name, colour };
                StreamDescription {
                    stream,
                    producer,
                    grid,
                    rectified_from_ego,
                    rectified,
                    classes: classes.into_iter().map(class).collect(),
                    confidence: flags[0],
                    trained: flags[1],
                    network_sha256: hashes[0],
                    engine_sha256: hashes[1],
                }
            },
        )
}

fn any_record() -> impl Strategy<Value = GridRecord> {
    let health = [Health::Unknown, Health::Ok, Health::Degraded, Health::Failing];
    let calibration = [
        CalibrationState::Unknown,
        CalibrationState::Ok,
        CalibrationState::Suspect,
        CalibrationState::Lost,
    ];
    let numbers = (any::<[u64; 8]>(), any::<u64>());
    let rig_error =
        prop::option::of(
            prop::array::uniform3(-1e300..1e300)
                .prop_map(|[pitch_rad, roll_rad, focal]| RigError { pitch_rad, roll_rad, focal }),
        );
    let errors = (prop::option::of(-1e300..1e300), rig_error);
    (numbers, 0..4_usize, 0..4_usize, errors).prop_map(
        move |((numbers, degradation), health_code, calibration_code, errors)| {
            let [frame_id, left, right, capture_ns, rectify_ns, infer_ns, label_ns, watch_ns] =
                numbers;
            let (epipolar_error_px, rig_error) = errors;
            GridRecord {
                frame_id,
                left_capture_time_ns: left,
                right_capture_time_ns: right,
                stages: StageTimes {
                    capture_ns,
                    rectify_ns,
                    infer_ns,
                    label_ns,
                    publish_ns: 0,
                    watch_ns,
                },
                health: health[health_code],
                degradation: Degradation::from_bits(degradation),
                calibration: calibration[calibration_code],
                epipolar_error_px,
                rig_error,
            }
        },
    )
}
