//! What the source needs of one camera. The kernel's cameras are in `device`; tests have simulated ones.

use crate::clock::monotonic_ns;
use crate::v4l2::{Dequeued, DeviceError, Format};
use rustix::fd::OwnedFd;
use std::fmt::Debug;
use std::time::Duration;

/// A camera that can be opened, again and again.
///
/// Opening and closing may take seconds when a device is wedged, so neither is waited for: [`poll_open`] is asked
/// until it answers.
///
/// [`poll_open`]: CameraPort::poll_open
pub trait CameraPort: Send + Debug {
    /// For messages: the device's path.
    fn name(&self) -> &str;

    /// Starts opening (device, format, controls, stream), or looks whether it is done; never waits. `None`: not yet.
    ///
    /// Once it has answered, the next call starts anew. An earlier stream of this camera is closed before.
    fn poll_open(&mut self) -> Option<Result<Box<dyn CameraStream>, DeviceError>>;

    /// Takes back a stream that is over, to close it without waiting for that.
    fn close(&mut self, stream: Box<dyn CameraStream>);
}

/// A running stream of one camera. Dropping it ends it and closes the device.
pub trait CameraStream: Send + Debug {
    /// What it delivers; constant.
    fn format(&self) -> &Format;

    /// Images a second, where the driver says.
    fn rate_hz(&self) -> Option<f64>;

    /// How many buffers it has.
    fn buffer_count(&self) -> usize;

    /// Waits for the oldest full buffer until `deadline_ns`; a deadline in the past only looks.
    ///
    /// # Errors
    /// The stream is over then.
    fn dequeue(&mut self, deadline_ns: u64) -> Result<Dequeued, DeviceError>;

    /// The bytes of one memory plane of a dequeued buffer.
    fn plane(&self, index: usize, plane: usize) -> Option<&[u8]>;

    /// Gives a dequeued buffer back.
    ///
    /// # Errors
    /// The stream is over then.
    fn queue(&mut self, index: usize) -> Result<(), DeviceError>;

    /// Bytes from the start of a plane's memory to the first of [`plane`](CameraStream::plane).
    fn plane_start(&self, _index: usize, _plane: usize) -> usize {
        0
    }

    /// A DMABUF descriptor of one memory plane of a buffer; `None` where there is none.
    ///
    /// # Errors
    /// When the device is gone.
    fn export(&self, _index: usize, _plane: usize) -> Result<Option<OwnedFd>, DeviceError> {
        Ok(None)
    }
}

/// The source's clock; tests have a simulated one.
pub trait Clock: Send + Debug {
    /// Now, ns.
    fn now_ns(&self) -> u64;

    /// Sleeps until `deadline_ns`.
    fn sleep_until(&self, deadline_ns: u64);
}

/// `CLOCK_MONOTONIC`.
#[derive(Clone, Copy, Debug, Default)]
pub struct MonotonicClock;

impl Clock for MonotonicClock {
    fn now_ns(&self) -> u64 {
        monotonic_ns()
    }

    fn sleep_until(&self, deadline_ns: u64) {
        std::thread::sleep(Duration::from_nanos(deadline_ns.saturating_sub(monotonic_ns())));
    }
}
