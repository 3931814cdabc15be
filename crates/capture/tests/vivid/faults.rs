//! Every fault that vivid can inject, as the kernel's interface shows it.

use super::LEFT;
use super::devices::open;
use super::streams::{next, start};
use occdepth_capture::monotonic_ns;
use occdepth_capture::v4l2::{Dequeued, DeviceError, Recovery, Setting, Stream};

pub(crate) const DROPPED: &str = "percentage_of_dropped_buffers";
pub(crate) const DAMAGE: &str = "inject_v4l2_buf_flag_error";
pub(crate) const FAIL_STREAMON: &str = "inject_vidioc_streamon_error";
pub(crate) const FAIL_REQBUFS: &str = "inject_vidioc_reqbufs_error";
pub(crate) const FAIL_QBUF: &str = "inject_vidioc_qbuf_error";
pub(crate) const FATAL: &str = "inject_fatal_streaming_error";
pub(crate) const DISCONNECT: &str = "disconnect";
pub(crate) const WRAP_SEQUENCE: &str = "wrap_sequence_number";
pub(crate) const WRAP_TIME: &str = "wrap_timestamp";

/// Sets a control through a descriptor of its own, as another program would.
pub(crate) fn set(path: &str, control: &str, value: i64) {
    open(path).set_control(control, &Setting::Number(value)).unwrap();
}

/// The first error of the stream.
fn error_of(stream: &mut Stream) -> DeviceError {
    for _ in 0..100 {
        match stream.dequeue(monotonic_ns() + 1_000_000_000) {
            Ok(Dequeued::Filled(filled)) => {
                if let Err(error) = stream.queue(filled.index) {
                    return error;
                }
            }
            Ok(other) => panic!("{other:?} instead of an error"),
            Err(error) => return error,
        }
    }
    panic!("100 images and no error");
}

pub(crate) fn dropped_buffers_leave_gaps() {
    let mut stream = start(LEFT, 4).unwrap();
    set(LEFT, DROPPED, 50);
    let first = next(&mut stream).sequence;
    let last = (0..20).map(|_| next(&mut stream).sequence).last().unwrap();
    set(LEFT, DROPPED, 0);
    assert!(last - first > 20, "20 images in {} of the sequence", last - first);
}

pub(crate) fn silence_is_a_timeout() {
    let mut stream = start(LEFT, 4).unwrap();
    next(&mut stream);
    set(LEFT, DROPPED, 100);
    // What was full already still comes.
    let mut silent = false;
    for _ in 0..10 {
        match stream.dequeue(monotonic_ns() + 300_000_000).unwrap() {
            Dequeued::Filled(filled) => stream.queue(filled.index).unwrap(),
            Dequeued::Nothing => {
                silent = true;
                break;
            }
            Dequeued::SourceChanged => panic!("nothing changed"),
        }
    }
    assert!(silent);
    // A deadline in the past looks and returns.
    assert_eq!(stream.dequeue(0).unwrap(), Dequeued::Nothing);
    set(LEFT, DROPPED, 0);
    next(&mut stream);
}

pub(crate) fn damaged_buffers_are_flagged() {
    let mut stream = start(LEFT, 4).unwrap();
    next(&mut stream);
    let before = (0..5).filter(|_| next(&mut stream).damaged).count();
    set(LEFT, DAMAGE, 1);
    let damaged = (0..10).filter(|_| next(&mut stream).damaged).count();
    assert_eq!((before, damaged), (0, 1));
}

pub(crate) fn requests_that_fail_once() {
    for control in [FAIL_REQBUFS, FAIL_QBUF, FAIL_STREAMON] {
        set(LEFT, control, 1);
        let error = start(LEFT, 4).unwrap_err();
        assert!(matches!(error, DeviceError::Request { .. }), "{control}: {error}");
        assert_eq!(error.recovery(), Recovery::Reopen);
        let mut stream = start(LEFT, 4).unwrap();
        next(&mut stream);
    }
}

pub(crate) fn a_fatal_error_lasts_until_the_stream_is_rebuilt() {
    let mut stream = start(LEFT, 4).unwrap();
    next(&mut stream);
    set(LEFT, FATAL, 1);
    for _ in 0..2 {
        let error = error_of(&mut stream);
        assert!(matches!(error, DeviceError::StreamBroken { .. }), "{error}");
        assert_eq!(error.recovery(), Recovery::Reopen);
    }
    drop(stream);
    let mut stream = start(LEFT, 4).unwrap();
    next(&mut stream);
}

pub(crate) fn a_lost_device_comes_back() {
    let mut stream = start(LEFT, 4).unwrap();
    next(&mut stream);
    set(LEFT, DISCONNECT, 1);
    let error = error_of(&mut stream);
    assert!(matches!(error, DeviceError::Disconnected { .. }), "{error}");
    assert_eq!(error.recovery(), Recovery::Reopen);
    drop(stream);
    let mut stream = start(LEFT, 4).unwrap();
    next(&mut stream);
}

pub(crate) fn the_sequence_wraps() {
    set(LEFT, WRAP_SEQUENCE, 1);
    let mut stream = start(LEFT, 4).unwrap();
    let first = next(&mut stream).sequence;
    set(LEFT, WRAP_SEQUENCE, 0);
    assert!(first >= u32::MAX - 127, "the sequence starts at {first}");
}

pub(crate) fn the_timestamp_wraps() {
    set(LEFT, WRAP_TIME, 1);
    let mut stream = start(LEFT, 4).unwrap();
    // 9.22e9 s are beyond 64 bits of nanoseconds' sign, not beyond 64 bits.
    let time_ns = next(&mut stream).time_ns;
    set(LEFT, WRAP_TIME, 0);
    assert!(time_ns.is_none_or(|ns| ns > 9_000_000_000_000_000_000), "{time_ns:?}");
}
