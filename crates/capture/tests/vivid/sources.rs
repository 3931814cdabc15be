//! Stereo sources on virtual cameras: every fault that vivid can inject, as the source answers it.

use super::devices::open;
use super::faults::{
    DAMAGE, DISCONNECT, DROPPED, FAIL_QBUF, FAIL_REQBUFS, FAIL_STREAMON, FATAL, WRAP_SEQUENCE,
    WRAP_TIME, set,
};
use super::{LEFT, MULTI_PLANAR, RIGHT};
use occdepth_capture::stereo::{
    CameraHealth, CameraSettings, Fault, Layout, MonotonicClock, Pairing, Ports, Retry,
    SourceState, StereoCameras, StereoOptions, V4l2Port,
};
use occdepth_capture::v4l2::{FourCc, Setting};
use occdepth_capture::{Capture, CaptureError, FrameSource, PixelFormat};
use occdepth_geometry::ImageSize;
use std::time::{Duration, Instant};

pub(crate) const SIZE: ImageSize = ImageSize { width: 640, height: 360 };
pub(crate) const YUYV: FourCc = FourCc(*b"YUYV");
/// Of a webcam input at 640x360: 40 images a second.
const HALF_PERIOD_NS: i64 = 12_500_000;

pub(crate) fn port(path: &str, size: ImageSize) -> Box<V4l2Port> {
    Box::new(V4l2Port::new(CameraSettings {
        path: path.into(),
        format: Some(YUYV),
        size,
        rate_hz: Some(40.0),
        buffers: 5,
        controls: vec![("brightness".into(), Setting::Number(77))],
    }))
}

fn open_with(options: &StereoOptions) -> Result<StereoCameras, CaptureError> {
    let ports = Ports::Two { left: port(LEFT, SIZE), right: port(RIGHT, SIZE) };
    StereoCameras::open(ports, options, Box::new(MonotonicClock))
}

pub(crate) fn options() -> StereoOptions {
    // Healthy again after half a second: the checks follow each other closely.
    let retry = Retry { longest_pause: Duration::from_millis(500), ..Retry::default() };
    StereoOptions { retry, ..StereoOptions::new(SIZE) }
}

/// So many pairs, their skew within the limit.
pub(crate) fn pairs(source: &mut StereoCameras, count: usize) -> Vec<(u32, u32)> {
    (0..count).map(|_| pair(source, Duration::from_secs(10)).expect("a pair in time")).collect()
}

fn pair(source: &mut StereoCameras, within: Duration) -> Option<(u32, u32)> {
    let arrival = source.health().pairing == Some(Pairing::Arrival);
    let start = Instant::now();
    while start.elapsed() < within {
        if let Capture::Frame(frame) = source.next(Duration::from_millis(200)).unwrap() {
            let [left, right] = [frame.left_stamp, frame.right_stamp].map(|stamp| stamp.time_ns);
            let skew = i64::try_from(right).unwrap() - i64::try_from(left).unwrap();
            assert!(arrival || skew.abs() <= HALF_PERIOD_NS, "skew {skew} ns");
            frame.left.check().unwrap();
            frame.right.check().unwrap();
            return Some((frame.dropped, frame.faulty));
        }
    }
    None
}

pub(crate) fn camera(source: &StereoCameras, camera: usize) -> CameraHealth {
    source.health().cameras[camera].unwrap()
}

/// Calls until `done`, as a daemon would.
pub(crate) fn until(source: &mut StereoCameras, what: &str, done: impl Fn(&StereoCameras) -> bool) {
    let start = Instant::now();
    while !done(source) {
        assert!(start.elapsed() < Duration::from_secs(10), "no {what}: {:?}", source.health());
        let _ = source.next(Duration::from_millis(50)).unwrap();
    }
}

pub(crate) fn running(source: &StereoCameras) -> bool {
    source.health().state == SourceState::Running
}

pub(crate) fn two_cameras_are_a_source() {
    let mut source = open_with(&options()).unwrap();
    pairs(&mut source, 20);
    let health = source.health();
    assert_eq!((health.state, health.pairing), (SourceState::Running, Some(Pairing::Timestamp)));
    assert!(health.skew.max_ns <= HALF_PERIOD_NS && health.skew.min_ns >= -HALF_PERIOD_NS);
    assert_eq!(open(RIGHT).control("brightness").unwrap().value, Some(77));
    assert_eq!(source.description().rate_hz.map(f64::round), Some(40.0));
    drop(source);
    // Nothing is asked for: the first format that is understood.
    let settings = CameraSettings {
        path: LEFT.into(),
        format: None,
        size: SIZE,
        rate_hz: None,
        buffers: 4,
        controls: Vec::new(),
    };
    let right = CameraSettings { path: RIGHT.into(), ..settings.clone() };
    let ports = Ports::Two {
        left: Box::new(V4l2Port::new(settings)),
        right: Box::new(V4l2Port::new(right)),
    };
    let mut source = StereoCameras::open(ports, &options(), Box::new(MonotonicClock)).unwrap();
    pairs(&mut source, 3);
}

pub(crate) fn one_device_with_both_views_is_a_source() {
    for (layout, view) in [
        (Layout::SideBySide, ImageSize { width: 320, height: 360 }),
        (Layout::TopBottom, ImageSize { width: 640, height: 180 }),
    ] {
        let ports = Ports::One { device: port(LEFT, SIZE), layout };
        let options = StereoOptions::new(view);
        let mut source = StereoCameras::open(ports, &options, Box::new(MonotonicClock)).unwrap();
        assert_eq!(source.description().size, view);
        pairs(&mut source, 5);
        assert_eq!(source.health().pairing, Some(Pairing::OneImage));
    }
}

pub(crate) fn multi_planar_images_are_views() {
    let settings = CameraSettings {
        path: MULTI_PLANAR.into(),
        format: Some(FourCc(*b"NM12")),
        size: SIZE,
        rate_hz: None,
        buffers: 4,
        controls: Vec::new(),
    };
    let device = Box::new(V4l2Port::new(settings));
    let options = StereoOptions::new(ImageSize { width: 320, height: 360 });
    let ports = Ports::One { device, layout: Layout::SideBySide };
    let mut source = StereoCameras::open(ports, &options, Box::new(MonotonicClock)).unwrap();
    assert_eq!(source.description().format, PixelFormat::Nv12);
    pairs(&mut source, 5);
}

pub(crate) fn settings_that_cannot_be_are_refused() {
    let size = ImageSize { width: 641, height: 361 };
    let ports = Ports::Two { left: port(LEFT, size), right: port(RIGHT, size) };
    let refused = StereoCameras::open(ports, &StereoOptions::new(size), Box::new(MonotonicClock));
    let error = refused.unwrap_err();
    assert!(matches!(error, CaptureError::Configuration { .. }), "{error}");
    assert!(error.to_string().contains("641x361"), "{error}");

    let start_within = Duration::from_millis(300);
    let ports = Ports::Two { left: port(LEFT, SIZE), right: port("/dev/video9", SIZE) };
    let late = StereoOptions { start_within, ..options() };
    let error = StereoCameras::open(ports, &late, Box::new(MonotonicClock)).unwrap_err();
    assert!(matches!(&error, CaptureError::Open { origin, .. } if origin.contains("video9")));
}

pub(crate) fn dropped_buffers_are_counted() {
    let mut source = open_with(&options()).unwrap();
    pairs(&mut source, 3);
    set(LEFT, DROPPED, 50);
    // Each image is dropped with even chances: that 40 pairs cost no more than 5 happens once in ten million times.
    let missed: u32 = pairs(&mut source, 40).iter().map(|(dropped, _)| dropped).sum();
    set(LEFT, DROPPED, 0);
    let left = camera(&source, 0);
    assert!(missed > 5 && left.dropped > 5 && left.gaps > 3, "{missed} {left:?}");
    assert!(camera(&source, 1).unpaired + camera(&source, 1).superseded > 3);
}

pub(crate) fn a_silent_camera_is_rebuilt() {
    let mut source = open_with(&options()).unwrap();
    pairs(&mut source, 3);
    set(RIGHT, DROPPED, 100);
    until(&mut source, "silence", |s| camera(s, 1).faults.of(Fault::Silent) > 0);
    assert!(source.health().state > SourceState::Running);
    set(RIGHT, DROPPED, 0);
    until(&mut source, "return", running);
    assert!(camera(&source, 1).recoveries >= 1);
    assert_eq!(camera(&source, 0).fault_total(), 0);
    pairs(&mut source, 3);
}

pub(crate) fn damaged_images_are_never_lent() {
    let mut source = open_with(&options()).unwrap();
    pairs(&mut source, 3);
    for _ in 0..3 {
        let before = camera(&source, 0).damaged;
        set(LEFT, DAMAGE, 1);
        until(&mut source, "damaged image", |s| camera(s, 0).damaged > before);
        pairs(&mut source, 2);
    }
    assert_eq!(camera(&source, 0).damaged, 3);
    assert_eq!(camera(&source, 0).fault_total(), 0);
}

pub(crate) fn requests_that_fail_once_are_repeated() {
    let mut source = open_with(&options()).unwrap();
    for control in [FAIL_REQBUFS, FAIL_STREAMON] {
        pairs(&mut source, 2);
        let before = camera(&source, 0);
        // The rebuild that this asks for is the one that fails.
        set(LEFT, control, 1);
        set(LEFT, FATAL, 1);
        until(&mut source, "rebuild", |s| camera(s, 0).recoveries > before.recoveries);
        let after = camera(&source, 0).faults;
        assert_eq!(after.of(Fault::Refused), before.faults.of(Fault::Refused) + 1, "{control}");
        assert_eq!(after.of(Fault::StreamBroken), before.faults.of(Fault::StreamBroken) + 1);
    }
    // While it streams, a buffer is given back.
    pairs(&mut source, 2);
    let before = camera(&source, 0);
    set(LEFT, FAIL_QBUF, 1);
    until(&mut source, "rebuild", |s| camera(s, 0).recoveries > before.recoveries);
    assert_eq!(camera(&source, 0).faults.of(Fault::Refused), before.faults.of(Fault::Refused) + 1);
    until(&mut source, "return", running);
    pairs(&mut source, 3);
}

pub(crate) fn a_broken_stream_is_rebuilt() {
    let mut source = open_with(&options()).unwrap();
    pairs(&mut source, 3);
    set(RIGHT, FATAL, 1);
    until(&mut source, "fault", |s| camera(s, 1).faults.of(Fault::StreamBroken) == 1);
    until(&mut source, "return", running);
    assert_eq!((camera(&source, 1).recoveries, camera(&source, 1).fault_total()), (1, 1));
    pairs(&mut source, 3);
}

pub(crate) fn a_lost_camera_returns_with_its_controls() {
    let mut source = open_with(&options()).unwrap();
    pairs(&mut source, 3);
    set(LEFT, DISCONNECT, 1);
    until(&mut source, "loss", |s| s.health().state == SourceState::Lost);
    until(&mut source, "return", running);
    let left = camera(&source, 0);
    assert!(left.faults.of(Fault::Disconnected) >= 1 && left.recoveries == 1, "{left:?}");
    assert_eq!(open(LEFT).control("brightness").unwrap().value, Some(77));
    pairs(&mut source, 3);
}

pub(crate) fn a_second_owner_is_waited_for() {
    let owner = open_with(&options()).unwrap();
    let short = StereoOptions { start_within: Duration::from_millis(500), ..options() };
    let begin = Instant::now();
    let error = open_with(&short).unwrap_err();
    let CaptureError::Open { cause, .. } = &error else { panic!("{error}") };
    assert!(cause.to_string().contains("EBUSY"), "{cause}");
    assert!(begin.elapsed() >= short.start_within, "not waited for");
    // It goes while somebody waits.
    let leaves = std::thread::spawn(move || {
        std::thread::sleep(Duration::from_millis(700));
        drop(owner);
    });
    let mut source = open_with(&options()).unwrap();
    leaves.join().unwrap();
    assert!(camera(&source, 0).faults.of(Fault::Busy) > 0);
    pairs(&mut source, 3);
}

pub(crate) fn a_sequence_that_wraps_makes_no_gap() {
    for pairing in [Pairing::Timestamp, Pairing::Sequence] {
        set(LEFT, WRAP_SEQUENCE, 1);
        let mut source = open_with(&StereoOptions { pairing, ..options() }).unwrap();
        // 128 images until it wraps; the emulated machine loses some.
        let start = Instant::now();
        let mut last = 0;
        while last <= u64::from(u32::MAX) + 5 {
            assert!(start.elapsed() < Duration::from_secs(20), "at {last}");
            if let Capture::Frame(frame) = source.next(Duration::from_millis(200)).unwrap() {
                let sequence = frame.left_stamp.sequence;
                assert!(
                    last == 0 || (last + 1..last + 100).contains(&sequence),
                    "{last} {sequence}"
                );
                last = sequence;
            }
        }
        set(LEFT, WRAP_SEQUENCE, 0);
        assert_eq!(camera(&source, 0).faults.of(Fault::SequenceRestarted), 0);
        assert_eq!(source.health().pairing, Some(pairing));
    }
}

pub(crate) fn times_that_wrap_are_said_aloud() {
    set(RIGHT, WRAP_TIME, 1);
    let mut source = open_with(&options()).unwrap();
    until(&mut source, "mistrust", |s| s.health().mistrust.is_some());
    let health = source.health();
    assert_eq!((health.state, health.pairing), (SourceState::Degraded, Some(Pairing::Arrival)));
    set(RIGHT, WRAP_TIME, 0);
    drop(source);
    let mut source = open_with(&options()).unwrap();
    pairs(&mut source, 3);
    assert_eq!(source.health().mistrust, None);
}

/// Descriptors, mappings and threads of this process.
fn held() -> [usize; 3] {
    let entries = |path: &str| std::fs::read_dir(path).unwrap().count();
    let maps = std::fs::read_to_string("/proc/self/maps").unwrap();
    let mapped = maps.lines().filter(|line| line.contains("/dev/video")).count();
    [entries("/proc/self/fd"), mapped, entries("/proc/self/task")]
}

/// Resident memory, bytes.
fn resident() -> usize {
    let pages = std::fs::read_to_string("/proc/self/statm").unwrap();
    pages.split(' ').nth(1).unwrap().parse::<usize>().unwrap() * 4096
}

pub(crate) fn no_fault_leaks() {
    let before = held();
    let mut source = open_with(&options()).unwrap();
    pairs(&mut source, 2);
    let open = held();
    let fail = |source: &mut StereoCameras, path: &str, control: &str| {
        let side = usize::from(path == RIGHT);
        let recoveries = camera(source, side).recoveries;
        set(path, control, 1);
        if [FAIL_REQBUFS, FAIL_STREAMON].contains(&control) {
            set(path, FATAL, 1); // the rebuild that this asks for is the one that fails
        }
        until(source, "return", |s| camera(s, side).recoveries > recoveries);
    };
    for control in [FATAL, DISCONNECT, FAIL_QBUF, FAIL_REQBUFS, FAIL_STREAMON] {
        for path in [LEFT, RIGHT] {
            fail(&mut source, path, control);
        }
    }
    until(&mut source, "return", running);
    assert_eq!(held(), open, "descriptors, mappings, threads");
    // Streams of 2 MB each: one that is kept shows.
    let memory = resident();
    for _ in 0..5 {
        fail(&mut source, LEFT, FATAL);
        fail(&mut source, RIGHT, FATAL);
    }
    until(&mut source, "return", running);
    assert!(resident() < memory + 1_500_000, "{} after {memory} bytes", resident());
    assert_eq!(held(), open, "descriptors, mappings, threads");
    drop(source);
    assert_eq!(held(), before, "descriptors, mappings, threads");
}
