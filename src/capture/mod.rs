//! Frame sources: where stereo pairs come from.
use occdepth_geometry::ImageSize;
use std::time::Duration;

/// Memory layout of a camera image.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum PixelFormat {
    /// 3 bytes a pixel.
    Rgb8,
    /// 3 bytes a pixel, blue first.
    Bgr8,
    /// 1 byte a pixel.
    Grey8,
    /// 4:2:2 packed, Y0 U Y1 V; BT.601 limited range.
    Yuyv,
    /// 4:2:2 packed, U Y0 V Y1; BT.601 limited range.
    Uyvy,
    /// 4:2:0, a Y plane and an interleaved UV plane; BT.601 limited range.
    Nv12,
}

/// One plane of pixels, borrowed from whoever owns the buffer (a driver, a decoder).
#[derive(Clone, Copy, Debug)]
pub struct Plane<'a> {
    /// At least `stride_bytes * (rows - 1) + used bytes of the last row`.
    pub data: &'a [u8],
    /// Bytes from one row to the next.
    pub stride_bytes: usize,
}

/// A borrowed camera image.
#[derive(Clone, Copy, Debug)]
pub struct Image<'a> {
    pub format: PixelFormat,
    pub size: ImageSize,
    /// The pixels; Y for NV12.
    pub plane: Plane<'a>,
    /// Interleaved UV of NV12; `None` for every other format.
    pub chroma: Option<Plane<'a>>,
}

/// When and as what the source delivered one image.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stamp {
    /// Capture time, CLOCK_MONOTONIC nanoseconds.
    pub time_ns: u64,
    /// The source's own counter; gaps are drops.
    pub sequence: u64,
}

/// A stereo pair, lent by the source until its next call.
#[derive(Clone, Copy, Debug)]
pub struct StereoFrame<'a> {
    pub left: Image<'a>,
    pub right: Image<'a>,
    pub left_stamp: Stamp,
    pub right_stamp: Stamp,
    /// Pairs that the source dropped since the previous delivered pair (late, faulty or unpaired).
    pub dropped: u32,
}

/// What a call to [`FrameSource::next`] brought.
#[derive(Debug)]
pub enum Capture<'a> {
    Frame(StereoFrame<'a>),
    /// Nothing within the timeout; the source is alive.
    TimedOut,
    /// The source is exhausted; it will never deliver again.
    Ended,
}

/// What a source is, fixed at opening.
#[derive(Clone, Debug, PartialEq)]
pub struct SourceDescription {
    /// For people: "KITTI sequence /data/08", "synthetic street, seed 1".
    pub name: String,
    pub size: ImageSize,
    pub format: PixelFormat,
    /// Nominal pairs a second; `None` when the source is not paced.
    pub rate_hz: Option<f64>,
}

/// A source of stereo pairs.
pub trait FrameSource: Send {
    fn description(&self) -> &SourceDescription;
    /// Waits at most `timeout` for the newest pair. A late caller gets the newest pair, not a queue of old ones.
    fn next(&mut self, timeout: Duration) -> Result<Capture<'_>, CaptureError>;
}

#[derive(Debug, thiserror::Error)]
pub enum CaptureError {
    #[error("todo")]
    Todo,
}
