//! A reader that was written in C from `ABI.md` alone (`tests/alone`) against this crate's writer. It is compiled by `$CC`, or
//! `cc`; every line that it prints is compared.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

#[path = "support/c_reader.rs"]
mod c_reader;
#[path = "support/hostile.rs"]
mod damaged;
mod support;

use c_reader::{Run, assert_fails, fnv, number, offered, program, send};
use damaged::VOXELS;
use occdepth_ring::layout::segment::SegmentHeader;
use occdepth_ring::{
    CalibrationState, Class, Degradation, Grid, GridRecord, Health, PublishedGrid, Reader,
    ReaderOptions, RigError, StreamDescription, Writer, WriterOptions,
};
use std::os::fd::OwnedFd;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};
use support::{attach, filled, listener, options, record, small_stream, stream};

/// How the reader may wait for grids.
const MODES: [&[&str]; 2] = [&[], &["--notify"]];

#[test]
fn every_value_is_what_was_published() {
    for (confidence, mode) in [(true, MODES[0]), (true, MODES[1]), (false, MODES[0])] {
        let (_directory, socket) = socket();
        let description = told_of_everything(confidence);
        let mut writer = Writer::create(&description, &options(&socket)).unwrap();
        let reader = Reader::connect(&socket, &ReaderOptions::default()).unwrap();
        let records = records();
        let mut publish = |record: &GridRecord| publish(&mut writer, record, confidence);
        publish(&records[0]);

        let count = records.len().to_string();
        let run = Run::start(program(), &socket, &[&[&*count], mode].concat());
        let header = header(&socket);
        assert_fields(&run.line(), "stream", &stream_values(&header, &description, 1, &socket));
        for class in &description.classes {
            assert_fields(&run.line(), "class", &class_values(class));
        }
        for (nth, record) in records.iter().enumerate() {
            if nth > 0 {
                publish(record);
            }
            let mut grid = Grid::new();
            reader.copy_newest(&mut grid).unwrap();
            assert_eq!(grid.published.record.frame_id, record.frame_id);
            let values = grid_values(&grid.published, record, confidence);
            assert_fields(&run.line(), "grid", &values);
        }
        let end = run.end();
        assert_eq!((end.code, &*end.errors), (0, ""));
        assert!(matches!(&*end.lines, [last] if last.starts_with("status ")), "{:?}", end.lines);
    }
}

#[test]
fn all_grids_and_the_last_status_are_there_after_the_writer_has_gone() {
    for mode in MODES {
        let (_directory, socket) = socket();
        let mut writer = Writer::create(&small_stream(), &options(&socket)).unwrap();
        let run = Run::start(program(), &socket, &[&["99"], mode].concat());
        assert!(run.line().contains(" newest=0 "), "before any grid");
        for frame_id in 1..=4 {
            publish(&mut writer, &record(frame_id), true);
        }
        let flags = Degradation::SOURCE_INTERRUPTED | Degradation::from_bits(1 << 55);
        writer.report(Health::Failing, flags);
        let reader = Reader::connect(&socket, &ReaderOptions::default()).unwrap();
        let time_ns = reader.status().unwrap().time_ns;
        drop(writer);

        let end = run.end();
        assert_eq!((end.code, &*end.errors), (3, ""));
        let grids =
            end.lines.iter().filter(|line| line.starts_with("grid ")).map(|line| number(line));
        assert_eq!(grids.collect::<Vec<_>>(), [1, 2, 3, 4]);
        let [.., gone, status] = &*end.lines else { panic!("{:?}", end.lines) };
        assert_eq!(gone, "gone");
        let values = [
            ("status_time_ns", text(time_ns)),
            ("health", text(3)),
            ("degradation", text(format!("{:x}", flags.bits()))),
        ];
        assert_fields(status, "status", &values);
    }
}

#[test]
fn a_reader_that_was_stopped_counts_what_it_missed() {
    for last in [5, 6, 60] {
        let (_directory, socket) = socket();
        let mut writer = Writer::create(&small_stream(), &options(&socket)).unwrap();
        publish(&mut writer, &record(1), true);
        let run = Run::start(program(), &socket, &["1000"]);
        while !run.line().starts_with("grid ") {}
        run.stop();
        for frame_id in 2..=last {
            publish(&mut writer, &record(frame_id), true);
        }
        drop(writer);
        run.go_on();

        let end = run.end();
        assert_eq!((end.code, &*end.errors), (3, ""));
        // The ring holds four grids; of those, after a loss, the one that is overwritten next is left out.
        let first = if last > 5 { last - 2 } else { 2 };
        let missed = end.lines.iter().filter_map(|line| line.strip_prefix("missed "));
        let missed: u64 = missed.map(|count| count.parse::<u64>().unwrap()).sum();
        assert_eq!(missed, first - 2);
        let grids = end.lines.iter().filter(|line| line.starts_with("grid "));
        let delivered: Vec<u64> = grids.map(|line| number(line)).collect();
        assert_eq!(delivered, (first..=last).collect::<Vec<_>>());
    }
}

#[test]
fn a_refused_client_exits_with_1_and_names_reason_and_versions() {
    let (_directory, socket) = socket();
    let full = WriterOptions { max_clients: 0, ..options(&socket) };
    let writer = Writer::create(&small_stream(), &full).unwrap();
    let end = Run::start(program(), &socket, &["1"]).end();
    assert_fails(
        &end,
        "status 4 (too many clients), ABI 1.1 of the writer, ABI 1.1 of this reader",
    );
    drop(writer);

    // Another major, in no more bytes than all majors share, and one that accepts.
    let listener = listener(&socket);
    let reply = |status: u8, length| {
        let mut reply = b"OCCDRPLY\x02\0\0\0\x07\0\0\0".to_vec();
        reply.push(status);
        reply.resize(length, 0);
        reply
    };
    for (status, length) in [(1, 24), (9, 64), (0, 24), (0, 64)] {
        let answer = |client: &OwnedFd| send(client, &reply(status, length));
        let end = offered(program(), &socket, &listener, &["1"], answer);
        assert_fails(&end, &format!("refused: status {status} "));
        assert_fails(&end, "ABI 2.7 of the writer, ABI 1.1 of this reader");
    }
}

#[test]
fn where_no_writer_answers_it_exits_with_1_and_in_time() {
    let (_directory, socket) = socket();
    assert_fails(&Run::start(program(), &socket, &["1"]).end(), "No such file");
    let listener = listener(&socket);
    let start = Instant::now();
    assert_fails(&Run::start(program(), &socket, &["1"]).end(), "could not read a reply within");
    assert!(start.elapsed() >= Duration::from_secs(2));
    drop(listener);
    assert_fails(&Run::start(program(), &socket, &["1"]).end(), "Connection refused");
    let long = PathBuf::from(format!("/{}", "x".repeat(107)));
    assert_fails(&Run::start(program(), &long, &["1"]).end(), "1 to 107 bytes");
}

#[test]
fn bad_usage_exits_with_2() {
    let (_directory, socket) = socket();
    for arguments in
        [&[][..], &["-1"], &["x"], &["1x"], &[""], &["99999999999999999999"], &["1", "--notif"]]
    {
        let end = Run::start(program(), &socket, arguments).end();
        assert_eq!((end.code, end.lines.len()), (2, 0), "{arguments:?}");
        assert_eq!(end.errors, "usage: reader SOCKET COUNT [--notify]\n");
    }
}

fn socket() -> (tempfile::TempDir, PathBuf) {
    let directory = tempfile::tempdir().unwrap();
    let socket = directory.path().join("front.sock");
    (directory, socket)
}

fn publish(writer: &mut Writer, record: &GridRecord, confidence: bool) {
    let [labels, probabilities] = [0, 1].map(|salt| filled(VOXELS, record.frame_id, salt));
    writer.publish(record, &labels, confidence.then_some(&probabilities)).unwrap();
}

/// A stream whose texts have all kinds of characters, and fill their fields.
fn told_of_everything(confidence: bool) -> StreamDescription {
    let mut description = stream([5, 3, 7], confidence);
    description.stream = "Straße \"vorn\" \\ 前方 \u{10ffff}\u{ffff}\u{800} é".into();
    description.producer = "p".repeat(64);
    description.grid.frame = "Fahrzeug = Ursprung\n".into();
    description.grid.origin_m = [-0.1, 1e-300, f64::MAX];
    description.grid.voxel_size_m = 0.1;
    description.rectified.fx_px = 1.0 / 3.0;
    description.trained = confidence;
    description.classes[1].name = "ü".repeat(28);
    description
}

/// Records of which each says something that the others do not.
fn records() -> Vec<GridRecord> {
    let rig_error = Some(RigError { pitch_rad: -0.1, roll_rad: f64::MIN_POSITIVE, focal: 1e-9 });
    vec![
        record(1),
        GridRecord { frame_id: 7, ..GridRecord::default() },
        GridRecord { epipolar_error_px: None, rig_error: None, ..record(8) },
        GridRecord { right_capture_time_ns: 3, left_capture_time_ns: 1 << 40, ..record(9) },
        GridRecord {
            frame_id: u64::MAX,
            health: Health::Failing,
            calibration: CalibrationState::Lost,
            degradation: Degradation::from_bits(u64::MAX),
            epipolar_error_px: Some(0.1),
            rig_error,
            ..record(10)
        },
    ]
}

/// The header of the segment, for what only the segment knows: epoch, times and places.
fn header(socket: &Path) -> SegmentHeader {
    let (_connection, segment) = attach(socket, 0);
    let bytes = segment.metadata().unwrap().len();
    let mut header = vec![0; 8192];
    segment.read_exact_at(&mut header, 0).unwrap();
    SegmentHeader::decode(&header, bytes).unwrap()
}

/// What a field of a line should say.
enum Value {
    Text(String),
    /// Compared as numbers, bit by bit; all NaN are alike.
    Floats(Vec<f64>),
}

type Values = Vec<(&'static str, Value)>;

#[allow(clippy::needless_pass_by_value, reason = "most are literals, or made for this call")]
fn text(value: impl ToString) -> Value {
    Value::Text(value.to_string())
}

fn quoted(value: &str) -> Value {
    let escape = |&byte: &u8| match byte {
        b'"' | b'\\' => format!("\\x{byte:02x}"),
        0x20..=0x7e => char::from(byte).to_string(),
        _ => format!("\\x{byte:02x}"),
    };
    text(format!("\"{}\"", value.as_bytes().iter().map(escape).collect::<String>()))
}

fn hex(bytes: &[u8]) -> Value {
    let digits: Vec<String> = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    text(digits.concat())
}

fn stream_values(
    header: &SegmentHeader,
    description: &StreamDescription,
    newest: u64,
    socket: &Path,
) -> Values {
    let (places, grid) = (&header.places, &description.grid);
    let camera = &description.rectified;
    let [x, y, z] = grid.dims;
    vec![
        ("epoch", text(header.epoch)),
        ("segment_bytes", text(places.segment_bytes)),
        ("slot_count", text(4)),
        ("created_time_ns", text(header.created_time_ns)),
        ("created_wall_offset_ns", text(header.created_wall_offset_ns)),
        ("dims", text(format!("{x}x{y}x{z}"))),
        ("axes", text(1)),
        ("voxel_size_m", Value::Floats(vec![grid.voxel_size_m])),
        ("origin_m", Value::Floats(grid.origin_m.to_vec())),
        ("rectified_from_ego", Value::Floats(description.rectified_from_ego.concat())),
        (
            "rectified_intrinsics_px",
            Value::Floats(vec![camera.fx_px, camera.fy_px, camera.cx_px, camera.cy_px]),
        ),
        ("rectified_size_px", text(format!("{}x{}", camera.width_px, camera.height_px))),
        ("frame", quoted(&grid.frame)),
        ("network_sha256", hex(&description.network_sha256)),
        ("engine_sha256", hex(&description.engine_sha256)),
        ("stream", quoted(&description.stream)),
        ("producer", quoted(&description.producer)),
        ("trained", text(u8::from(description.trained))),
        ("confidence", text(u8::from(description.confidence))),
        ("newest", text(newest)),
        ("abi_major", text(1)),
        ("abi_minor", text(1)),
        ("header_bytes", text(8192)),
        ("control_offset", text(1024)),
        ("class_table_offset", text(2048)),
        ("class_bytes", text(64)),
        ("class_count", text(description.classes.len())),
        ("slots_offset", text(places.slots_offset)),
        ("slot_bytes", text(places.slot_bytes)),
        ("slot_header_bytes", text(256)),
        ("labels_offset", text(places.labels_offset)),
        ("labels_bytes", text(VOXELS)),
        ("confidence_offset", text(places.confidence_offset)),
        ("confidence_bytes", text(places.confidence_bytes)),
        ("writer_uid", text(socket.metadata().unwrap().uid())),
    ]
}

fn class_values(class: &Class) -> Values {
    let [red, green, blue] = class.colour;
    vec![
        ("id", text(class.id)),
        ("colour", text(format!("{red},{green},{blue}"))),
        ("name", quoted(&class.name)),
    ]
}

/// `record` as it was published; of `published` only what publication adds.
fn grid_values(published: &PublishedGrid, record: &GridRecord, confidence: bool) -> Values {
    let float = |value: Option<f64>| Value::Floats(vec![value.unwrap_or(f64::NAN)]);
    let fnv_of = |salt| format!("{:016x}", fnv(&filled(VOXELS, record.frame_id, salt)));
    let stages = &record.stages;
    let health = match record.health {
        Health::Degraded => 2,
        Health::Failing => 3,
        _ => 0,
    };
    let calibration = match record.calibration {
        CalibrationState::Suspect => 2,
        CalibrationState::Lost => 3,
        _ => 0,
    };
    vec![
        ("sequence", text(published.sequence)),
        ("frame_id", text(record.frame_id)),
        ("left_capture_time_ns", text(record.left_capture_time_ns)),
        ("right_capture_time_ns", text(record.right_capture_time_ns)),
        ("publish_time_ns", text(published.publish_time_ns)),
        ("wall_offset_ns", text(published.wall_offset_ns)),
        ("capture_ns", text(stages.capture_ns)),
        ("rectify_ns", text(stages.rectify_ns)),
        ("infer_ns", text(stages.infer_ns)),
        ("label_ns", text(stages.label_ns)),
        ("publish_ns", text(published.record.stages.publish_ns)),
        ("watch_ns", text(stages.watch_ns)),
        ("skew_ns", text(record.skew_ns())),
        ("health", text(health)),
        ("calibration", text(calibration)),
        ("degradation", text(format!("{:x}", record.degradation.bits()))),
        ("epipolar_error_px", float(record.epipolar_error_px)),
        ("pitch_error_rad", float(record.rig_error.map(|error| error.pitch_rad))),
        ("roll_error_rad", float(record.rig_error.map(|error| error.roll_rad))),
        ("focal_error", float(record.rig_error.map(|error| error.focal))),
        ("checksum", text(format!("{:08x}", published.checksum))),
        ("labels_fnv64", text(fnv_of(0))),
        ("confidence_fnv64", if confidence { text(fnv_of(1)) } else { text("none") }),
    ]
}

/// Asserts that a line is `word` and these fields, in this order, and nothing else.
fn assert_fields(line: &str, word: &str, values: &[(&'static str, Value)]) {
    let Some(mut rest) = line.strip_prefix(word) else { panic!("{word} is not in {line:?}") };
    for (key, value) in values {
        let field = rest.strip_prefix(&format!(" {key}="));
        let Some(field) = field else { panic!("{key} is not at {rest:?}") };
        let end = match field.strip_prefix('"') {
            Some(quoted) => quoted.find('"').unwrap() + 2,
            None => field.find(' ').unwrap_or(field.len()),
        };
        let (found, after) = field.split_at(end);
        match value {
            Value::Text(expected) => assert_eq!(found, expected, "{key}"),
            Value::Floats(expected) => {
                let bits = |value: f64| if value.is_nan() { f64::NAN } else { value }.to_bits();
                let found: Vec<u64> =
                    found.split(',').map(|value| bits(value.parse().unwrap())).collect();
                let expected: Vec<u64> = expected.iter().copied().map(bits).collect();
                assert_eq!(found, expected, "{key}");
            }
        }
        rest = after;
    }
    assert_eq!(rest, "", "after the last field of {word}");
}
