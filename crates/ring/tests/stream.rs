//! What a stream promises, within one process.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod support;

use occdepth_ring::{
    Class, Degradation, Grid, Health, PublishError, ReadError, Reader, ReaderOptions, Writer,
    WriterError, WriterOptions,
};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use std::os::fd::AsFd;
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use support::{assert_whole, filled, options, record, small_stream, stream};

const VOXELS: usize = 5 * 3 * 7;
/// Long enough for a busy machine; only a failing test takes it.
const PLENTY: Duration = Duration::from_secs(30);
const SHORT: Duration = Duration::from_millis(20);

fn socket() -> (tempfile::TempDir, PathBuf) {
    let directory = tempfile::tempdir().unwrap();
    let socket = directory.path().join("front.sock");
    (directory, socket)
}

fn small_writer(socket: &Path) -> Writer {
    Writer::create(&small_stream(), &options(socket)).unwrap()
}

fn connect(socket: &Path) -> Reader {
    Reader::connect(socket, &ReaderOptions::default()).unwrap()
}

fn publish(writer: &mut Writer, frame_id: u64) -> u64 {
    let (labels, confidence) = (filled(VOXELS, frame_id, 0), filled(VOXELS, frame_id, 1));
    writer.publish(&record(frame_id), &labels, Some(&confidence)).unwrap()
}

fn is_readable(reader: &Reader, timeout: Duration) -> bool {
    let mut sockets = [PollFd::from_borrowed_fd(reader.as_fd(), PollFlags::IN)];
    let timeout = Timespec::try_from(timeout).unwrap();
    poll(&mut sockets, Some(&timeout)).unwrap() == 1
}

#[test]
fn what_is_published_is_received() {
    let (_directory, socket) = socket();
    let mut writer = small_writer(&socket);
    let mut reader = connect(&socket);
    assert_eq!(reader.description(), &small_stream());
    assert_eq!(reader.epoch(), writer.epoch());
    assert_eq!(reader.server().pid, i32::try_from(std::process::id()).unwrap());

    let mut grid = Grid::new();
    for frame_id in 10..30 {
        let before_ns = occdepth_ring::monotonic_now_ns();
        let sequence = publish(&mut writer, frame_id);
        let after_ns = occdepth_ring::monotonic_now_ns();
        assert_eq!(sequence, frame_id - 9);
        assert_eq!(reader.next(&mut grid, PLENTY).unwrap(), Some(sequence));
        assert_eq!(grid.published.sequence, sequence);
        assert_eq!(grid.published.record.frame_id, frame_id);
        assert_eq!((grid.labels.len(), grid.confidence.len()), (VOXELS, VOXELS));
        assert_whole(&grid.published, &grid.labels, &grid.confidence);
        assert!((before_ns..=after_ns).contains(&grid.published.publish_time_ns));
        assert!(grid.published.record.stages.publish_ns <= after_ns - before_ns);
        assert_eq!(grid.published.record.skew_ns(), 17);
    }
    let wall = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    let published_ns = grid.published.wall_time_ns(grid.published.publish_time_ns);
    let apart = wall.abs_diff(Duration::from_nanos(published_ns));
    assert!(apart < PLENTY, "wall time is off by {apart:?}");
}

#[test]
fn the_checksum_is_the_crc_32_of_labels_confidences_and_record() {
    // CRC-32 as ISO 3309 defines it, bit by bit; "123456789" is its usual test value.
    fn crc_32(bytes: impl IntoIterator<Item = u8>) -> u32 {
        !bytes.into_iter().fold(!0, |crc: u32, byte| {
            (0..8).fold(crc ^ u32::from(byte), |crc, _| {
                if crc & 1 == 1 { crc >> 1 ^ 0xedb8_8320 } else { crc >> 1 }
            })
        })
    }
    assert_eq!(crc_32(*b"123456789"), 0xcbf4_3926);

    let (_directory, socket) = socket();
    let mut writer = small_writer(&socket);
    publish(&mut writer, 3);
    let reader = connect(&socket);
    let mut grid = Grid::new();
    reader.copy_newest(&mut grid).unwrap();

    // Bytes 8 to 240 of the slot header, put together from ABI.md.
    let published = &grid.published;
    let record = &published.record;
    let mut bytes = Vec::new();
    for value in [
        published.sequence,
        writer.epoch(),
        record.frame_id,
        record.left_capture_time_ns,
        record.right_capture_time_ns,
        published.publish_time_ns,
        published.wall_offset_ns.cast_unsigned(),
        record.stages.capture_ns,
        record.stages.rectify_ns,
        record.stages.infer_ns,
        record.stages.label_ns,
        record.stages.publish_ns,
        record.stages.watch_ns,
        0,
        0,
        17,
        2 | 2 << 32,
        1 << 60 | 2,
        0.375_f64.to_bits(),
        (1.0_f64 / 1024.0).to_bits(),
        (-1.0_f64 / 512.0).to_bits(),
        (1.0_f64 / 128.0).to_bits(),
    ] {
        bytes.extend(value.to_le_bytes());
    }
    bytes.resize(240 - 8, 0);
    let all = grid.labels.iter().chain(&grid.confidence).chain(&bytes).copied();
    assert_eq!(published.checksum, crc_32(all));
}

#[test]
fn a_stream_without_confidences_has_none() {
    let (_directory, socket) = socket();
    let mut writer = Writer::create(&stream([5, 3, 7], false), &options(&socket)).unwrap();
    let labels = filled(VOXELS, 1, 0);
    let refused = writer.publish(&record(1), &labels, Some(&labels));
    assert_eq!(refused, Err(PublishError::Confidence { found: Some(VOXELS), expected: 0 }));
    writer.publish(&record(1), &labels, None).unwrap();

    let reader = connect(&socket);
    let mut grid = Grid { confidence: vec![1, 2, 3], ..Grid::new() };
    reader.copy_newest(&mut grid).unwrap();
    assert!(grid.confidence.is_empty());
    assert_whole(&grid.published, &grid.labels, &grid.confidence);
    assert_eq!(reader.look_newest(|live| live.confidence([0, 0, 0])).unwrap(), None);
}

#[test]
fn grids_of_a_wrong_size_are_not_published() {
    let (_directory, socket) = socket();
    let mut writer = small_writer(&socket);
    let (short, right) = (vec![0; VOXELS - 1], vec![0; VOXELS]);
    assert_eq!(
        writer.publish(&record(1), &short, Some(&right)),
        Err(PublishError::Labels { found: VOXELS - 1, expected: VOXELS })
    );
    for confidence in [None, Some(short.as_slice())] {
        assert_eq!(
            writer.publish(&record(1), &right, confidence),
            Err(PublishError::Confidence { found: confidence.map(<[u8]>::len), expected: VOXELS })
        );
    }
    assert_eq!(writer.sequence(), 0);
    assert_eq!(connect(&socket).newest(), 0);
}

#[test]
fn a_lapped_reader_is_told_exactly_how_many_grids_it_missed() {
    let (_directory, socket) = socket();
    for slot_count in [2, 3, 4, 7] {
        let options = WriterOptions { slot_count, ..options(&socket) };
        let mut writer = Writer::create(&small_stream(), &options).unwrap();
        let mut reader = connect(&socket);
        let mut grid = Grid::new();
        let (mut published, mut delivered, mut missed) = (0, 0, 0);
        for burst in [1, 2, 3, 4, 5, 6, 7, 8, 9, 20, 1, 40] {
            for _ in 0..burst {
                published += 1;
                publish(&mut writer, published);
            }
            // The ring holds slot_count grids: all are delivered when no more were published.
            let lapped = burst > u64::from(slot_count);
            let mut missed_now = 0;
            loop {
                match reader.next(&mut grid, Duration::ZERO) {
                    Ok(Some(sequence)) => {
                        delivered += 1;
                        assert_eq!(sequence, delivered + missed);
                        assert_eq!(grid.published.record.frame_id, sequence);
                        assert_whole(&grid.published, &grid.labels, &grid.confidence);
                    }
                    Ok(None) => break,
                    Err(ReadError::Lapped { missed: count }) => {
                        missed_now += count;
                        missed += count;
                    }
                    Err(error) => panic!("{error}"),
                }
            }
            // After a lap the reader leaves out the grid that is overwritten next.
            let kept = u64::from(slot_count) - 1;
            assert_eq!(missed_now, if lapped { burst - kept } else { 0 });
            assert_eq!(delivered + missed, published);
        }
    }
}

#[test]
fn a_grid_that_was_overwritten_is_not_handed_out() {
    let (_directory, socket) = socket();
    let mut writer = small_writer(&socket);
    let reader = connect(&socket);
    let mut grid = Grid::new();
    assert!(matches!(reader.copy_newest(&mut grid), Err(ReadError::NoGrid)));
    for frame_id in 1..=9 {
        publish(&mut writer, frame_id);
    }
    for sequence in 1..=5 {
        reader.copy(9, &mut grid).unwrap();
        let error = reader.copy(sequence, &mut grid).unwrap_err();
        assert!(matches!(error, ReadError::Overwritten { sequence: s } if s == sequence));
        // The record of grid 9 does not stand above whatever the labels are now.
        assert_eq!(grid.published.sequence, 0);
    }
    for sequence in 6..=9 {
        reader.copy(sequence, &mut grid).unwrap();
        assert_eq!(grid.published.record.frame_id, sequence);
        assert_whole(&grid.published, &grid.labels, &grid.confidence);
    }
    for sequence in [0, 10, u64::MAX / 2, u64::MAX] {
        assert!(matches!(reader.copy(sequence, &mut grid), Err(ReadError::NoGrid)));
        assert_eq!(grid.published.sequence, 9);
    }
}

#[test]
fn a_late_reader_starts_with_the_newest_grid() {
    let (_directory, socket) = socket();
    let mut writer = small_writer(&socket);
    for frame_id in 1..=3 {
        publish(&mut writer, frame_id);
    }
    let mut reader = connect(&socket);
    let mut grid = Grid::new();
    assert_eq!(reader.next(&mut grid, PLENTY).unwrap(), Some(3));
    assert_eq!(reader.next(&mut grid, Duration::ZERO).unwrap(), None);
}

#[test]
fn a_look_sees_what_a_copy_has() {
    let (_directory, socket) = socket();
    let mut writer = small_writer(&socket);
    publish(&mut writer, 77);
    let reader = connect(&socket);
    let mut grid = Grid::new();
    reader.copy_newest(&mut grid).unwrap();
    let geometry = &reader.description().grid;
    for (voxel, index) in [([0, 0, 0], 0), ([1, 0, 0], 21), ([4, 2, 6], 104), ([2, 1, 3], 52)] {
        assert_eq!(geometry.index(voxel), Some(index));
        let seen = reader.look_newest(|live| (live.label(voxel), live.confidence(voxel))).unwrap();
        assert_eq!(seen, (Some(grid.labels[index]), Some(grid.confidence[index])));
    }
    for outside in [[5, 0, 0], [0, 3, 0], [0, 0, 7], [u32::MAX; 3]] {
        assert_eq!(reader.look(1, |live| live.label(outside)).unwrap(), None);
    }
    for (from, length) in [(0, 105), (0, 0), (105, 0), (3, 2), (7, 2), (1, 100), (97, 8)] {
        let mut part = vec![0; length];
        assert!(reader.look(1, |live| live.copy_labels(from, &mut part)).unwrap());
        assert_eq!(part, grid.labels[from..from + length]);
        assert!(reader.look(1, |live| live.copy_confidence(from, &mut part)).unwrap());
        assert_eq!(part, grid.confidence[from..from + length]);
    }
    for (from, length) in [(0, 106), (105, 1), (usize::MAX, 1), (usize::MAX, 0)] {
        let mut part = vec![9; length];
        assert!(!reader.look(1, |live| live.copy_labels(from, &mut part)).unwrap());
        assert!(part.iter().all(|&byte| byte == 9));
    }
    let seen = reader.look_newest(|live| (live.published(), live.label([0, 0, 0]))).unwrap();
    assert_eq!(seen, (grid.published, Some(grid.labels[0])));
}

#[test]
fn a_look_at_a_grid_that_is_overwritten_meanwhile_is_dropped() {
    let (_directory, socket) = socket();
    let mut writer = small_writer(&socket);
    publish(&mut writer, 1);
    let reader = connect(&socket);
    let looked = reader.look(1, |live| {
        for frame_id in 2..=5 {
            publish(&mut writer, frame_id);
        }
        live.label([0, 0, 0])
    });
    assert!(matches!(looked, Err(ReadError::Overwritten { sequence: 1 })));
}

#[test]
fn waiting_ends_with_a_grid_or_at_the_timeout() {
    let (_directory, socket) = socket();
    let mut writer = small_writer(&socket);
    let reader = connect(&socket);
    let start = Instant::now();
    assert_eq!(reader.wait(0, SHORT).unwrap(), None);
    assert!(start.elapsed() >= SHORT);
    // Longer than one slice of waiting.
    let long = Duration::from_millis(150);
    let start = Instant::now();
    assert_eq!(reader.wait(0, long).unwrap(), None);
    assert!(start.elapsed() >= long);

    std::thread::scope(|scope| {
        let waiting = scope.spawn(|| reader.wait(0, PLENTY).unwrap());
        std::thread::sleep(SHORT);
        publish(&mut writer, 1);
        assert_eq!(waiting.join().unwrap(), Some(1));
    });
    assert_eq!(reader.wait(0, Duration::ZERO).unwrap(), Some(1));
    assert_eq!(reader.wait(1, Duration::ZERO).unwrap(), None);
}

#[test]
fn a_notification_makes_the_descriptor_readable() {
    let (_directory, socket) = socket();
    let mut writer = small_writer(&socket);
    let notify = ReaderOptions { notify: true, ..ReaderOptions::default() };
    let reader = Reader::connect(&socket, &notify).unwrap();
    let silent = connect(&socket);
    assert!(!is_readable(&reader, Duration::ZERO));
    assert_eq!(reader.drain_notifications().unwrap(), 0);
    for frame_id in 1..=3 {
        publish(&mut writer, frame_id);
        assert!(is_readable(&reader, PLENTY));
        assert_eq!(reader.newest(), frame_id);
        assert!(reader.drain_notifications().unwrap() >= 1);
        assert!(!is_readable(&reader, Duration::ZERO));
    }
    assert!(!is_readable(&silent, Duration::ZERO));
    drop(writer);
    assert!(is_readable(&reader, PLENTY));
    assert!(matches!(reader.drain_notifications(), Err(ReadError::WriterGone)));
    assert!(is_readable(&silent, PLENTY));
}

#[test]
fn notifications_that_nobody_takes_do_not_disturb_anybody() {
    let (_directory, socket) = socket();
    let mut writer = small_writer(&socket);
    let notify = ReaderOptions { notify: true, ..ReaderOptions::default() };
    let lazy = Reader::connect(&socket, &notify).unwrap();
    let reader = Reader::connect(&socket, &notify).unwrap();
    for frame_id in 1..=500 {
        publish(&mut writer, frame_id);
        // Its notification comes after that of the lazy one, who connected earlier.
        assert!(is_readable(&reader, PLENTY));
        assert_eq!(reader.drain_notifications().unwrap(), 1);
    }
    assert!(lazy.is_writer_alive().unwrap());
    // The queue has been full for long: the writer's send buffer bounds it.
    let queued = lazy.drain_notifications().unwrap();
    assert!((1..200).contains(&queued), "{queued} notifications were queued");
    let mut grid = Grid::new();
    lazy.copy_newest(&mut grid).unwrap();
    assert_eq!(grid.published.sequence, 500);
}

#[test]
fn many_readers_see_only_whole_grids() {
    let (_directory, socket) = socket();
    let mut writer = Writer::create(&stream([64, 16, 16], true), &options(&socket)).unwrap();
    let voxels = 64 * 16 * 16;
    let done = AtomicBool::new(false);
    // Half of them without checksum: the lock alone must keep torn grids out.
    let readers: Vec<Reader> = (0..8)
        .map(|index| ReaderOptions { verify_checksum: index % 2 == 0, ..ReaderOptions::default() })
        .map(|options| Reader::connect(&socket, &options).unwrap())
        .collect();
    let read = |mut reader: Reader| {
        let mut grid = Grid::new();
        let mut seen = 0_u64;
        while seen == 0 || !done.load(Ordering::Relaxed) {
            match reader.next(&mut grid, SHORT) {
                Ok(Some(_)) => {
                    assert_whole(&grid.published, &grid.labels, &grid.confidence);
                    seen += 1;
                }
                Ok(None) | Err(ReadError::Lapped { .. }) => {}
                Err(error) => panic!("{error}"),
            }
        }
        seen
    };
    std::thread::scope(|scope| {
        let read = &read;
        let threads: Vec<_> =
            readers.into_iter().map(|reader| scope.spawn(move || read(reader))).collect();
        let mut labels = vec![0; voxels];
        let mut confidence = vec![0; voxels];
        for frame_id in 1..=3_000 {
            support::fill(&mut labels, frame_id, 0);
            support::fill(&mut confidence, frame_id, 1);
            writer.publish(&record(frame_id), &labels, Some(&confidence)).unwrap();
        }
        done.store(true, Ordering::Relaxed);
        for thread in threads {
            assert!(thread.join().unwrap() > 0);
        }
    });
}

#[test]
fn a_second_writer_is_refused() {
    let (_directory, socket) = socket();
    let mut first = small_writer(&socket);
    let error = Writer::create(&small_stream(), &options(&socket)).unwrap_err();
    assert!(matches!(&error, WriterError::SecondWriter { path } if path == &socket), "{error}");
    assert!(error.to_string().contains("a second writer"), "{error}");
    // The first one did not notice.
    publish(&mut first, 1);
    assert_eq!(connect(&socket).newest(), 1);
    drop(first);
    drop(small_writer(&socket));
}

#[test]
fn a_listener_that_does_not_know_the_lock_is_a_second_writer_too() {
    let (_directory, socket) = socket();
    let listener = support::listener(&socket);
    let error = Writer::create(&small_stream(), &options(&socket)).unwrap_err();
    assert!(matches!(error, WriterError::SecondWriter { .. }), "{error}");
    drop(listener);
    // What it left behind is stale now.
    assert!(socket.metadata().unwrap().file_type().is_socket());
    drop(small_writer(&socket));
}

#[test]
fn a_file_that_is_no_socket_is_left_alone() {
    let (_directory, socket) = socket();
    std::fs::write(&socket, "precious").unwrap();
    let error = Writer::create(&small_stream(), &options(&socket)).unwrap_err();
    assert!(matches!(error, WriterError::NotASocket { .. }), "{error}");
    assert_eq!(std::fs::read_to_string(&socket).unwrap(), "precious");
}

#[test]
fn a_path_that_cannot_be_a_socket_is_an_error_that_names_it() {
    let long = PathBuf::from("/tmp").join("x".repeat(108));
    let error = Writer::create(&small_stream(), &options(&long)).unwrap_err();
    assert!(matches!(&error, WriterError::Path { path, .. } if path == &long), "{error}");
    assert!(Reader::connect(&long, &ReaderOptions::default()).is_err());
}

#[test]
fn socket_and_directory_have_the_configured_modes() {
    let directory = tempfile::tempdir().unwrap();
    let socket = directory.path().join("made").join("front.sock");
    let options = WriterOptions { socket_mode: 0o622, directory_mode: 0o711, ..options(&socket) };
    let writer = Writer::create(&small_stream(), &options).unwrap();
    let mode = |path: &Path| path.metadata().unwrap().permissions().mode() & 0o7777;
    assert_eq!(mode(&socket), 0o622);
    assert_eq!(mode(socket.parent().unwrap()), 0o711);
    drop(writer);
    assert!(!socket.exists());
}

#[test]
fn a_writer_says_how_it_is_without_grids() {
    let (_directory, socket) = socket();
    let mut writer = small_writer(&socket);
    let reader = connect(&socket);
    assert_eq!(reader.status(), None, "it has said nothing yet");

    let before_ns = occdepth_ring::monotonic_now_ns();
    let flags = Degradation::SOURCE_INTERRUPTED | Degradation::from_bits(1 << 55);
    writer.report(Health::Failing, flags | Degradation::from_bits(1 << 56));
    let status = reader.status().unwrap();
    assert_eq!((status.health, status.degradation), (Health::Failing, flags));
    assert!((before_ns..=occdepth_ring::monotonic_now_ns()).contains(&status.time_ns));
    assert_eq!(status.age_ns(status.time_ns + 5), 5);
    assert_eq!(reader.newest(), 0, "a report is no grid");

    publish(&mut writer, 1);
    let published = reader.status().unwrap();
    assert!(published.time_ns >= status.time_ns);
    assert_eq!(published.health, Health::Degraded);
    assert_eq!(published.degradation, Degradation::LATE, "bit 60 has no place in a status");
}

#[test]
fn a_restart_is_a_new_epoch_and_ends_the_old_readers() {
    let (_directory, socket) = socket();
    let mut writer = small_writer(&socket);
    let mut reader = connect(&socket);
    publish(&mut writer, 1);
    publish(&mut writer, 2);
    let first_epoch = writer.epoch();
    drop(writer);
    assert!(matches!(
        Reader::connect(&socket, &ReaderOptions::default()),
        Err(occdepth_ring::ConnectError::NoStream { .. })
    ));
    let writer = small_writer(&socket);
    assert_ne!(writer.epoch(), first_epoch);

    // What had been published is still delivered; then it is over.
    let mut grid = Grid::new();
    assert!(!reader.is_writer_alive().unwrap());
    assert_eq!(reader.next(&mut grid, PLENTY).unwrap(), Some(1));
    assert_eq!(reader.next(&mut grid, PLENTY).unwrap(), Some(2));
    assert!(matches!(reader.next(&mut grid, PLENTY), Err(ReadError::WriterGone)));
    assert!(matches!(reader.wait(2, PLENTY), Err(ReadError::WriterGone)));
    assert_eq!(connect(&socket).epoch(), writer.epoch());
}

#[test]
fn a_waiting_reader_learns_that_the_writer_is_gone() {
    let (_directory, socket) = socket();
    let writer = small_writer(&socket);
    let reader = connect(&socket);
    std::thread::scope(|scope| {
        let waiting = scope.spawn(|| reader.wait(0, PLENTY));
        std::thread::sleep(SHORT);
        drop(writer);
        assert!(matches!(waiting.join().unwrap(), Err(ReadError::WriterGone)));
    });
}

#[test]
fn descriptions_that_a_segment_cannot_hold_are_refused_by_field() {
    let (_directory, socket) = socket();
    let good = small_stream();
    let class = |id: u8, name: &str| Class { id, name: name.into(), colour: [0; 3] };
    let mut cases = Vec::new();
    let mut case = |field: &str, change: &dyn Fn(&mut occdepth_ring::StreamDescription)| {
        let mut bad = good.clone();
        change(&mut bad);
        cases.push((field.to_owned(), bad));
    };
    case("stream", &|d| d.stream.clear());
    case("stream", &|d| d.stream = "x".repeat(65));
    case("stream", &|d| d.stream = "a\0b".into());
    case("producer", &|d| d.producer = "ü".repeat(33));
    case("grid.frame", &|d| d.grid.frame = "x".repeat(33));
    case("grid.dims", &|d| d.grid.dims = [0, 1, 1]);
    case("grid.dims", &|d| d.grid.dims = [u32::MAX; 3]);
    case("grid.dims", &|d| d.grid.dims = [1 << 15, 1 << 15, 2]);
    case("grid.voxel_size_m", &|d| d.grid.voxel_size_m = 0.0);
    case("grid.voxel_size_m", &|d| d.grid.voxel_size_m = f64::NAN);
    case("grid.origin_m", &|d| d.grid.origin_m[2] = f64::INFINITY);
    case("rectified_from_ego", &|d| d.rectified_from_ego[3][3] = f64::NAN);
    case("rectified", &|d| d.rectified.cx_px = f64::NEG_INFINITY);
    case("classes", &|d| d.classes = (0..65).map(|id| class(id, "c")).collect());
    case("classes.id", &|d| d.classes.push(class(0, "twice")));
    case("classes.id", &|d| d.classes.push(class(255, "unknown")));
    case("classes.name", &|d| d.classes.push(class(7, "")));
    case("classes.name", &|d| d.classes.push(class(7, &"x".repeat(57))));
    for (field, bad) in cases {
        match Writer::create(&bad, &options(&socket)).unwrap_err() {
            WriterError::Description(error) => assert_eq!(error.field, field),
            error => panic!("{field}: {error}"),
        }
        assert!(!socket.exists());
    }
    for slot_count in [0, 1, 1025] {
        let options = WriterOptions { slot_count, ..options(&socket) };
        let error = Writer::create(&good, &options).unwrap_err();
        assert!(matches!(error, WriterError::SlotCount { found } if found == slot_count));
    }
}
