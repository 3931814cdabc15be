//! Stereo capture: what a frame source is, the pixel formats that cameras speak, and the cameras.
//!
//! # Design
//!
//! A [`FrameSource`] lends one stereo pair at a time. The pixels stay where their owner put them (a
//! driver's buffer, a decoder's buffer), in whatever [`PixelFormat`] the camera speaks; nobody copies
//! or converts them before the rectification pass reads them once. A pair is lent until the next call
//! of [`FrameSource::next`], which is also the moment at which the source takes the buffers back.
//!
//! A paced source behaves like a camera: a caller that is late gets the newest pair that is due, never
//! a queue of old ones, and [`StereoFrame::dropped`] says how many it missed. An unpaced source
//! delivers every pair, as fast as it is asked.
//!
//! # What the trait promises to a camera driver
//!
//! The trait is written for V4L2 as much as for files:
//!
//! * **Buffers without a copy.** [`Image`] borrows; a source can hold one dequeued driver buffer per
//!   view and queue them again when `next` is called. [`Plane::stride_bytes`] carries a padded
//!   `bytesperline`, [`Plane::data`] ends at `bytesused`, and the chroma of NV12 has a plane of its own,
//!   so that single- and multi-planar buffers look alike. Where a driver fills less than a frame,
//!   [`Image::check`] tells before anybody indexes.
//! * **Driver time and sequence.** [`Stamp`] per view, because the two cameras of a pair never agree to
//!   the nanosecond: their difference is the skew of the pair.
//! * **Damaged buffers.** A buffer with `V4L2_BUF_FLAG_ERROR` is never lent; the pair it would have
//!   belonged to is counted in [`StereoFrame::dropped`] and [`StereoFrame::faulty`].
//! * **Silence.** A stalled camera is [`Capture::TimedOut`], not an error: how long silence may last is
//!   for the caller to decide.
//! * **Faults.** [`CaptureError::Fault`] says that this call failed and the next one may succeed (a
//!   stream that has to be rebuilt, a damaged file); [`CaptureError::Lost`] says that this source is
//!   finished and has to be opened again (a camera that was unplugged).
//!
//! # Example
//!
//! ```
//! use occdepth_capture::{Image, ImageLayoutError, PixelFormat};
//! use occdepth_geometry::ImageSize;
//!
//! let size = ImageSize { width: 4, height: 2 };
//! let bytes = [0_u8; 12]; // Y: 4 x 2, then UV: 2 x 1 pairs.
//! let image = Image::packed(PixelFormat::Nv12, size, &bytes)?;
//! assert_eq!(image.plane.data.len(), 8);
//! assert_eq!(image.chroma.map(|uv| uv.stride_bytes), Some(4));
//! # Ok::<(), ImageLayoutError>(())
//! ```

mod buffers;
mod clock;
mod pixels;
pub mod stereo;
pub mod v4l2;

use std::error::Error;
use std::time::Duration;

pub use buffers::{BufferPlane, Export, ExportedBuffers, LentBuffer};
pub use clock::{monotonic_ns, nanoseconds};
use occdepth_geometry::ImageSize;
pub use pixels::{
    BayerOrder, Image, ImageLayoutError, PixelFormat, Plane, YuvEncoding, YuvMatrix, YuvRange,
};
pub use stereo::{SourceHealth, SourceState};

/// A source of stereo pairs.
///
/// A source is used by one thread at a time and may be handed to another (`Send`).
pub trait FrameSource: Send + std::fmt::Debug {
    /// What this source delivers; constant from opening on.
    fn description(&self) -> &SourceDescription;

    /// Waits at most `timeout` for a pair, and takes back the buffers of the previous one.
    ///
    /// A late caller of a paced source gets the newest pair, not a queue of old ones. With a
    /// `timeout` of zero the call only looks. A signal handler does not cut the wait short: a caller
    /// that must react to one keeps `timeout` short.
    ///
    /// # Errors
    ///
    /// [`CaptureError::Fault`] when this pair cannot be delivered but the source is still good: call
    /// again, after a pause if faults repeat. [`CaptureError::Lost`] when the source is finished; every
    /// later call says so too. Never [`CaptureError::Configuration`] or [`CaptureError::Open`].
    fn next(&mut self, timeout: Duration) -> Result<Capture<'_>, CaptureError>;

    /// How the source is, and what has happened to it. Costs no more than a copy of a few counters.
    ///
    /// Sources that cannot fail are running, with counters of zero.
    fn health(&self) -> SourceHealth {
        SourceHealth::default()
    }

    /// In which drivers' buffers the left and the right image of the last pair lie, until the next call of
    /// [`FrameSource::next`]; `None` for images that lie in none.
    ///
    /// For readers that take the pixels from [`FrameSource::export_buffers`]: a pair of which `stream` is not that of
    /// the buffers that were exported asks for another export.
    fn lent_buffers(&self) -> [Option<LentBuffer>; 2] {
        [None; 2]
    }

    /// DMABUF descriptors of every buffer of camera 0 (the left or the only one) or 1; `None` where there are none, or
    /// while the camera is away. Allocates: once per stream, not per pair.
    ///
    /// # Errors
    /// When the device is gone. It is not given up for that.
    fn export_buffers(&self, _camera: usize) -> Export {
        Ok(None)
    }
}

/// What a source is, fixed at opening.
#[derive(Clone, Debug, PartialEq)]
pub struct SourceDescription {
    /// For people: "KITTI sequence data/08", "synthetic street, seed 1".
    pub name: String,
    /// Of both views.
    pub size: ImageSize,
    /// Of both views.
    pub format: PixelFormat,
    /// What luma and chroma of both views mean.
    pub colour: YuvEncoding,
    /// Nominal pairs a second; `None` where nobody says, or the source is not paced.
    pub rate_hz: Option<f64>,
    /// Whether pairs come in their own time, so that a late reader loses some: cameras, and replays by the clock.
    pub paced: bool,
}

/// What a call to [`FrameSource::next`] brought.
#[derive(Debug)]
pub enum Capture<'a> {
    /// A pair, lent until the next call.
    Frame(StereoFrame<'a>),
    /// Nothing within the timeout; the source is alive.
    TimedOut,
    /// The source is exhausted; it will never deliver again.
    Ended,
}

/// A stereo pair, lent by the source until its next call.
#[derive(Clone, Copy, Debug)]
pub struct StereoFrame<'a> {
    /// The physical left camera's image.
    pub left: Image<'a>,
    /// The physical right camera's image; size and format of the left one.
    pub right: Image<'a>,
    /// When the left image was taken.
    pub left_stamp: Stamp,
    /// When the right image was taken.
    pub right_stamp: Stamp,
    /// Pairs that the source did not deliver since the previous delivered pair, for whatever reason:
    /// the caller was late, a buffer was damaged, a view had no partner.
    pub dropped: u32,
    /// How many of `dropped` were damaged: flagged by the driver, or reported as a
    /// [`CaptureError::Fault`].
    pub faulty: u32,
}

/// When and as what the source delivered one image.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stamp {
    /// Capture time, `CLOCK_MONOTONIC` nanoseconds.
    ///
    /// The driver's own time stamp where there is a driver. An unpaced replay keeps the recorded
    /// distances between pairs and therefore runs ahead of the clock: subtract saturating.
    pub time_ns: u64,
    /// The source's own counter, never wrapping (a driver's 32 bits are extended); gaps are drops.
    pub sequence: u64,
}

/// Why a source could not be opened or could not deliver.
///
/// The cause, where there is one, is in [`Error::source`]; the message does not repeat it.
#[derive(Debug, thiserror::Error)]
pub enum CaptureError {
    /// What was asked of the source cannot be: a wrong setting, files that do not fit each other.
    #[error("{origin}: {field}: found {found}, expected {expected}")]
    Configuration {
        /// The source, directory or file that the setting is about.
        origin: String,
        /// The setting or property at fault.
        field: &'static str,
        /// What it is.
        found: String,
        /// What it should be.
        expected: String,
    },
    /// The source exists in name only: it could not be opened (missing, unreadable, in use).
    #[error("{origin}: cannot be opened")]
    Open {
        /// The source: a path, a device.
        origin: String,
        /// The system's or the decoder's reason.
        #[source]
        cause: Box<dyn Error + Send + Sync>,
    },
    /// One pair, or one call, failed; the source stays usable and the next call may succeed.
    #[error("{origin}: pair {sequence} cannot be delivered")]
    Fault {
        /// Name of the source.
        origin: String,
        /// Sequence number of the pair that is missing because of it.
        sequence: u64,
        /// What went wrong, with the file or device.
        #[source]
        cause: Box<dyn Error + Send + Sync>,
    },
    /// The source is finished and delivers nothing more until it is opened again.
    #[error("{origin}: lost")]
    Lost {
        /// Name of the source.
        origin: String,
        /// What went wrong.
        #[source]
        cause: Box<dyn Error + Send + Sync>,
    },
}

impl CaptureError {
    /// Whether the source that returned this error is still worth calling.
    pub fn is_recoverable(&self) -> bool {
        matches!(self, Self::Fault { .. })
    }
}
