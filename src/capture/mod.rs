//! Frame sources: where stereo pairs come from.
//!
//! What a source is, the pixel formats and the cameras are in `occdepth-capture`, which knows nothing of
//! networks; this module re-exports it and adds the sources that play recordings.
//!
//! | source | pairs come from | paced by |
//! |---|---|---|
//! | [`synthetic::Synthetic`] | the synthetic street of `occdepth-street` | a rate, or the caller |
//! | [`directory::Directory`] | pairs of PNG or JPEG files | recorded times, a rate, or the caller |

mod convert;
pub mod directory;
mod replay;
pub mod synthetic;

pub use convert::grey_from_rgb8;
pub use occdepth_capture::{
    BayerOrder, Capture, CaptureError, FrameSource, Image, ImageLayoutError, PixelFormat, Plane,
    SourceDescription, SourceHealth, SourceState, Stamp, StereoFrame, YuvEncoding, YuvMatrix,
    YuvRange, monotonic_ns,
};
pub use replay::Pacing;
