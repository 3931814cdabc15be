//! Streams that behave.

use super::devices::open;
use super::{LEFT, MULTI_PLANAR};
use occdepth_capture::monotonic_ns;
use occdepth_capture::v4l2::{Dequeued, DeviceError, Filled, FourCc, Stream};
use occdepth_geometry::ImageSize;
use rustix::fs::fstat;

/// 640x360 YUYV at 40 images a second: what a webcam input of vivid has.
pub(crate) const SIZE: ImageSize = ImageSize { width: 640, height: 360 };
pub(crate) const BYTES: usize = 640 * 360 * 2;

pub(crate) fn code(name: &str) -> FourCc {
    name.parse().unwrap()
}

pub(crate) fn start(path: &str, buffers: u32) -> Result<Stream, DeviceError> {
    let device = open(path);
    let format = device.set_format(code("YUYV"), SIZE)?;
    assert_eq!((format.code, format.size), (code("YUYV"), SIZE));
    Stream::start(device, buffers)
}

/// The next image; its buffer is given back.
pub(crate) fn next(stream: &mut Stream) -> Filled {
    let filled = keep(stream);
    stream.queue(filled.index).unwrap();
    filled
}

/// The next image; its buffer stays ours.
pub(crate) fn keep(stream: &mut Stream) -> Filled {
    match stream.dequeue(monotonic_ns() + 2_000_000_000).unwrap() {
        Dequeued::Filled(filled) => filled,
        other => panic!("{other:?} after two seconds"),
    }
}

pub(crate) fn times_and_sequences_rise() {
    let mut stream = start(LEFT, 4).unwrap();
    let mut previous = next(&mut stream);
    let first = previous.sequence;
    for _ in 0..10 {
        let filled = next(&mut stream);
        assert!(!filled.damaged);
        // vivid numbers an image by the periods since the start: of two that it fills in one, both have its number.
        assert!(filled.sequence >= previous.sequence);
        let (time_ns, before_ns) = (filled.time_ns.unwrap(), previous.time_ns.unwrap());
        assert!(time_ns > before_ns);
        // vivid dates an image at the end of its period, which may not be over yet.
        assert!(time_ns.abs_diff(monotonic_ns()) < 1_000_000_000, "an image of {time_ns} ns");
        previous = filled;
    }
    assert!(previous.sequence - first >= 8, "10 images in {}", previous.sequence - first);
}

pub(crate) fn buffers_are_lent_one_by_one() {
    for path in [LEFT, MULTI_PLANAR] {
        let mut stream = start(path, 4).unwrap();
        assert!(stream.buffer_count() >= 4);
        let first = keep(&mut stream);
        let second = keep(&mut stream);
        assert_ne!(first.index, second.index);
        assert_eq!(stream.dequeued_count(), 2);
        let bytes = stream.plane(first.index, 0).unwrap();
        assert_eq!(bytes.len(), BYTES);
        // Colour bars: not one grey.
        assert!(bytes.iter().any(|&b| b != bytes[0]));
        // Nobody writes to a buffer that is ours.
        let copy = bytes.to_vec();
        std::thread::sleep(std::time::Duration::from_millis(200));
        assert_eq!(stream.plane(first.index, 0).unwrap(), copy);
        let foreign = (0..stream.buffer_count()).find(|&i| i != first.index && i != second.index);
        assert!(stream.plane(foreign.unwrap(), 0).is_none());
        assert!(stream.plane(first.index, 1).is_none());
        stream.queue(first.index).unwrap();
        assert!(stream.plane(first.index, 0).is_none());
    }
}

pub(crate) fn buffers_are_exported() {
    let mut stream = start(LEFT, 3).unwrap();
    let filled = keep(&mut stream);
    let exported = stream.export(filled.index, 0).unwrap().expect("vivid exports DMABUF");
    assert!(usize::try_from(fstat(&exported).unwrap().st_size).unwrap() >= BYTES);
    assert!(stream.export(99, 0).unwrap().is_none());
    drop(stream);
    drop(exported);
}

pub(crate) fn a_second_owner_is_refused() {
    let first = start(LEFT, 3).unwrap();
    let second = open(LEFT);
    let error = second.set_format(code("YUYV"), ImageSize { width: 320, height: 180 });
    assert!(matches!(error, Err(DeviceError::Busy { .. })), "{error:?}");
    let error = Stream::start(second, 3).unwrap_err();
    assert!(matches!(error, DeviceError::Busy { .. }), "{error}");
    assert!(error.to_string().contains(LEFT));
    drop(first);
    let mut alone = start(LEFT, 3).unwrap();
    next(&mut alone);
}
