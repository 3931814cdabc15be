//! Stereo from cameras: which images belong together, and what happens when a camera fails.
//!
//! | module | job |
//! |---|---|
//! | `camera` | what is needed of one camera; simulated ones in tests |
//! | `cameras` | one or two of them together: opening, images taken, buffers given back |
//! | `device` | the kernel's cameras: format, rate and controls, opened on a thread of their own |
//! | `timeline` | one camera's count and clock, over wraps and restarts |
//! | `pairing` | which image belongs to which |
//! | `supervision` | one camera's state, its faults, and when it is tried again |
//! | `view` | from a driver's buffer to the images in it |
//! | `jpeg` | decoding Motion JPEG |
//! | `rate` | the period, and how far apart images of one moment can be |
//! | `drought` | both cameras deliver, and nothing is a pair |
//! | `background` | opening and closing on a thread that nobody has to wait for |
//! | `statistics` | skew and drift |
//! | `health` | what the source says of itself |
//! | `source` | all of it as a [`FrameSource`](crate::FrameSource) |
//!
//! # Faults
//!
//! Every fault of a stream is answered in the same way: the device is closed and opened again, after a pause that
//! doubles with each attempt until the camera has delivered for a while. Nothing that was taken from a stream outlives
//! it, and when one camera's stream ends, what waits of the other's is given back: no pair joins images from before and
//! after.
//!
//! | what happens | state | answer |
//! |---|---|---|
//! | the device is gone (ENODEV, no node) | lost | closed, opened again by its path until it is back |
//! | no good image for a while | degraded, then lost | opened again |
//! | EIO while streaming | degraded, then lost | opened again |
//! | a damaged image | running; degraded when many are | counted, never lent |
//! | STREAMON, REQBUFS, QBUF fail | degraded, then lost | opened again |
//! | EBUSY | degraded, then lost | tried again |
//! | another format or size than at the start | degraded, then lost | refused until it is the same again |
//! | times that cannot be compared | degraded | pairs by arrival, until the times are good again |
//! | the driver counts anew | running | counted; pairing by sequence finds its offset anew |
//! | both deliver, no two images are near enough | degraded, then lost | said, with the distance; looked for on |
//! | an automatic overrides a control, a device without permission | at the start: refused | opened again |

mod background;
mod camera;
mod cameras;
mod device;
mod drought;
mod health;
mod jpeg;
mod pairing;
mod rate;
mod source;
mod statistics;
mod supervision;
mod timeline;
mod view;

pub use camera::{CameraPort, CameraStream, Clock, MonotonicClock};
pub use device::{CameraSettings, V4l2Port};
pub use health::{CameraHealth, Fault, FaultCounts, Mistrust, Pairing, SourceHealth, SourceState};
pub use source::{Ports, StereoCameras, StereoOptions};
pub use statistics::Skew;
pub use supervision::Retry;
pub use view::Layout;
