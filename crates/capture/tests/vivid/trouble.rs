//! What happens to a source while it runs: other owners, changes, a camera that is not there, and what is said of it.

use super::devices::open;
use super::faults::{DISCONNECT, FATAL, set};
use super::lines;
use super::sources::{SIZE, YUYV, camera, options, pairs, port, running, until};
use super::streams::start;
use super::{HDMI, LEFT, RIGHT};
use occdepth_capture::stereo::{
    CameraSettings, Fault, Layout, MonotonicClock, Ports, SourceState, StereoCameras,
    StereoOptions, V4l2Port,
};
use occdepth_capture::v4l2::{DeviceError, Setting, is_same_device};
use occdepth_capture::{Capture, FrameSource};
use occdepth_geometry::ImageSize;
use std::path::Path;
use std::time::{Duration, Instant};

fn two(left: &str, right: &str, options: &StereoOptions) -> StereoCameras {
    let ports = Ports::Two { left: port(left, SIZE), right: port(right, SIZE) };
    StereoCameras::open(ports, options, Box::new(MonotonicClock)).unwrap()
}

/// Another program takes the camera in the moment in which its stream is rebuilt.
pub(crate) fn a_camera_that_is_taken_meanwhile_is_waited_for() {
    let mut source = two(LEFT, RIGHT, &options());
    pairs(&mut source, 3);
    set(LEFT, FATAL, 1);
    until(&mut source, "fault", |s| camera(s, 0).faults.of(Fault::StreamBroken) > 0);
    // The source pauses before it opens the camera again, which is closed on a thread of its own.
    let begin = Instant::now();
    let thief = loop {
        match start(LEFT, 4) {
            Ok(thief) => break thief,
            Err(DeviceError::Busy { .. }) if begin.elapsed() < Duration::from_secs(5) => {}
            Err(error) => panic!("{error}"),
        }
    };
    until(&mut source, "refusals", |s| camera(s, 0).faults.of(Fault::Busy) >= 2);
    assert!(source.health().state > SourceState::Running);
    assert_eq!(camera(&source, 1).fault_total(), 0);
    drop(thief);
    until(&mut source, "return", running);
    pairs(&mut source, 3);
}

/// The other camera comes later, under a name that it did not have before.
pub(crate) fn one_camera_alone_is_no_source_until_the_other_comes() {
    let late = "/dev/video-late";
    let alone = StereoOptions {
        format: Some(YUYV),
        start_without: true,
        start_within: Duration::from_millis(500),
        ..options()
    };
    let mut source = two(LEFT, late, &alone);
    until(&mut source, "loss", |s| s.health().state == SourceState::Lost);
    until(&mut source, "images", |s| camera(s, 0).images > 5);
    assert_eq!((camera(&source, 0).state, source.health().pairs), (SourceState::Running, 0));
    assert!(camera(&source, 1).faults.of(Fault::Disconnected) > 0);
    std::os::unix::fs::symlink(RIGHT, late).unwrap();
    assert!(is_same_device(Path::new(RIGHT), Path::new(late)));
    assert!(!is_same_device(Path::new(LEFT), Path::new(late)));
    until(&mut source, "return", running);
    pairs(&mut source, 3);
    drop(source);
    std::fs::remove_file(late).unwrap();
}

fn hdmi() -> StereoCameras {
    let settings = CameraSettings {
        path: HDMI.into(),
        format: Some(YUYV),
        size: ImageSize { width: 1280, height: 720 },
        rate_hz: None,
        buffers: 4,
        controls: Vec::new(),
    };
    let ports = Ports::One { device: Box::new(V4l2Port::new(settings)), layout: Layout::TopBottom };
    let view = StereoOptions { size: ImageSize { width: 1280, height: 360 }, ..options() };
    StereoCameras::open(ports, &view, Box::new(MonotonicClock)).unwrap()
}

/// 60 images a second are more than the emulated machine can draw or read.
pub(crate) fn an_overload_loses_images_and_not_the_source() {
    let mut source = hdmi();
    let mut last = None;
    for _ in 0..15 {
        let begin = Instant::now();
        loop {
            assert!(begin.elapsed() < Duration::from_secs(5), "{:?}", source.health());
            if let Capture::Frame(frame) = source.next(Duration::from_millis(200)).unwrap() {
                assert!(Some(frame.left_stamp.sequence) > last, "backwards");
                last = Some(frame.left_stamp.sequence);
                break;
            }
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    let health = source.health();
    println!("overload: {health}");
    assert!(camera(&source, 0).superseded + camera(&source, 0).dropped + health.stale_pairs > 5);
    assert_eq!(camera(&source, 0).fault_total(), 0);
}

/// The cable brings another signal (an event of the kernel): the stream is built anew.
pub(crate) fn a_source_that_changes_is_opened_anew() {
    const SIGNAL: &str = "dv_timings_signal_mode";
    let mut source = hdmi();
    until(&mut source, "pairs", |s| s.health().pairs > 2);
    let before = open(HDMI).control(SIGNAL).unwrap().value.unwrap();
    for signal in ["No Lock", "Current DV Timings"] {
        let changes = camera(&source, 0).faults.of(Fault::FormatChanged);
        open(HDMI).set_control(SIGNAL, &Setting::Label(signal.into())).unwrap();
        until(&mut source, "change", |s| camera(s, 0).faults.of(Fault::FormatChanged) > changes);
        // Only an open camera is told of the next change.
        until(&mut source, "return", running);
    }
    assert_eq!(open(HDMI).control(SIGNAL).unwrap().value, Some(before));
    assert!(camera(&source, 0).recoveries >= 2);
}

/// Of a fault and its end one line each; of a rate that cannot be had one line, not one per return.
pub(crate) fn faults_are_said_once() {
    lines::take();
    let odd = |path: &str| {
        Box::new(V4l2Port::new(CameraSettings {
            path: path.into(),
            format: Some(YUYV),
            size: SIZE,
            rate_hz: Some(37.0),
            buffers: 5,
            controls: Vec::new(),
        }))
    };
    let ports = Ports::Two { left: odd(LEFT), right: odd(RIGHT) };
    let mut source = StereoCameras::open(ports, &options(), Box::new(MonotonicClock)).unwrap();
    until(&mut source, "start", running);
    let said = |words: &[&str], lines: &[String]| {
        lines.iter().filter(|line| words.iter().all(|word| line.contains(word))).count()
    };
    let start = lines::take();
    for device in [LEFT, RIGHT] {
        assert_eq!(said(&[device, "asked for 37"], &start), 1, "{start:#?}");
        assert_eq!(said(&[device, "running"], &start), 1, "{start:#?}");
    }
    for (control, state) in [(FATAL, "degraded"), (DISCONNECT, "lost")] {
        set(LEFT, control, 1);
        until(&mut source, "fault", |s| !running(s));
        until(&mut source, "return", running);
        // Long enough to be healthy again, so that the next fault is another one.
        let begin = Instant::now();
        while begin.elapsed() < Duration::from_millis(1500) {
            let _ = source.next(Duration::from_millis(100)).unwrap();
        }
        let lines = lines::take();
        assert_eq!(said(&["left camera", LEFT, state], &lines), 1, "{lines:#?}");
        assert_eq!(said(&["left camera", LEFT, "running, after"], &lines), 1, "{lines:#?}");
        assert_eq!(lines.len(), 2, "{lines:#?}");
    }
}

pub(crate) fn buffers_of_a_running_source_are_exported() {
    let mut source = two(LEFT, RIGHT, &options());
    let mut old = Vec::new();
    for stream in [1, 2] {
        pairs(&mut source, 2);
        let lent = source.lent_buffers().map(Option::unwrap);
        for (side, lent) in lent.iter().enumerate() {
            let exported = source.export_buffers(side).unwrap().expect("vivid exports DMABUF");
            assert_eq!((lent.camera, lent.chroma), (side, None));
            assert_eq!(lent.stream, exported.stream);
            assert!(side == 1 || lent.stream == stream, "{lent:?}");
            assert!(exported.buffers.len() >= 4 && lent.buffer < exported.buffers.len());
            for planes in &exported.buffers {
                assert_eq!(planes.len(), 1);
                let bytes = usize::try_from(rustix::fs::fstat(&planes[0]).unwrap().st_size);
                let end = lent.plane.offset_bytes + 360 * lent.plane.stride_bytes;
                assert!(bytes.unwrap() >= end && lent.plane.stride_bytes == 1280);
            }
            old.push(exported);
        }
        // Whoever holds descriptors keeps memory, and not the camera from being built anew.
        let recoveries = camera(&source, 0).recoveries;
        set(LEFT, FATAL, 1);
        until(&mut source, "return", |s| camera(s, 0).recoveries > recoveries);
    }
}

/// Every call on a device that has gone says so, whichever comes first.
pub(crate) fn a_device_that_vanishes_says_so_in_every_call() {
    type Call = fn(&occdepth_capture::v4l2::Device) -> Result<(), DeviceError>;
    let calls: [(&str, Call); 7] = [
        ("formats", |device| device.formats().map(drop)),
        ("sizes", |device| device.sizes(YUYV).map(drop)),
        ("rates", |device| device.rates(YUYV, SIZE).map(drop)),
        ("controls", |device| device.controls().map(drop)),
        ("set_control", |device| device.set_control("brightness", &Setting::Number(1))),
        ("set_format", |device| device.set_format(YUYV, SIZE).map(drop)),
        ("rate", |device| device.rate().map(drop)),
    ];
    for (name, call) in calls {
        let device = open(LEFT);
        set(LEFT, DISCONNECT, 1);
        let error = call(&device).expect_err(name);
        assert!(matches!(error, DeviceError::Disconnected { .. }), "{name}: {error}");
        assert!(error.to_string().contains(LEFT), "{name}: {error}");
        drop(device);
    }
    let device = open(LEFT);
    set(LEFT, DISCONNECT, 1);
    let error = occdepth_capture::v4l2::Stream::start(device, 4).unwrap_err();
    assert!(matches!(error, DeviceError::Disconnected { .. }), "{error}");
}
