//! What can go wrong with a device, and what to do about it.

use rustix::io::Errno;

/// Why a device could not be used. Every variant names the device.
///
/// [`recovery`](DeviceError::recovery) says what helps.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DeviceError {
    /// There is no such node.
    #[error("{device}: no such device")]
    Missing {
        /// Path of the node.
        device: String,
    },
    /// The node exists and may not be opened by this process.
    #[error("{device}: permission denied; found {found}, expected {expected}")]
    Permission {
        /// Path of the node.
        device: String,
        /// Who asked: "a process outside group video".
        found: String,
        /// Who may, and how one becomes that.
        expected: String,
        /// The node may be so new that udev has yet to give it to its group.
        may_change: bool,
    },
    /// Something else than a camera.
    #[error("{device}: found {found}, expected a V4L2 video capture device with streaming")]
    NotACamera {
        /// Path of the node.
        device: String,
        /// What it is.
        found: String,
    },
    /// Another program (or another stream of this one) has it.
    #[error("{device}: in use by another program ({request} says EBUSY)")]
    Busy {
        /// Path of the node.
        device: String,
        /// The request that was refused.
        request: &'static str,
    },
    /// The camera was unplugged, or its driver gave it up.
    #[error("{device}: disconnected ({request} says ENODEV)")]
    Disconnected {
        /// Path of the node.
        device: String,
        /// The request that found out.
        request: &'static str,
    },
    /// The stream is broken until it is built anew.
    #[error("{device}: the stream failed ({request} says {errno})")]
    StreamBroken {
        /// Path of the node.
        device: String,
        /// The request that found out.
        request: &'static str,
        /// Usually EIO.
        errno: Errno,
    },
    /// The driver refused a request.
    #[error("{device}: {request} failed: {errno}")]
    Request {
        /// Path of the node.
        device: String,
        /// The kernel's name of the request.
        request: &'static str,
        /// The driver's answer.
        errno: Errno,
    },
    /// A control could not be set, or is not what it was set to.
    #[error("{device}: control {control}: found {found}, expected {expected}")]
    Control {
        /// Path of the node.
        device: String,
        /// The control's name in configurations, or the name that none has.
        control: String,
        /// What it is, or what the driver answered.
        found: String,
        /// What it should be.
        expected: String,
        /// The device did not answer, as a device on a bus may: trying again can help.
        transient: bool,
    },
    /// The device was asked for something and does something else.
    #[error("{device}: {field}: found {found}, expected {expected}")]
    Unsupported {
        /// Path of the node.
        device: String,
        /// What was asked for: a format, a number of buffers.
        field: String,
        /// What the device has.
        found: String,
        /// What was asked.
        expected: String,
    },
}

/// What helps against a [`DeviceError`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Recovery {
    /// Close the device, open it again and build the stream anew; after a pause if that fails too.
    Reopen,
    /// Wait until the node is back or given to its group, or the other program is gone, then open it.
    Wait,
    /// Nothing that a program can do: the configuration or the machine has to change.
    Change,
}

impl DeviceError {
    /// What helps.
    ///
    /// Everything that a driver refuses while streaming is answered by opening the device again: descriptors that are
    /// closed cannot leak, and drivers reconnect a lost device only when its last descriptor is closed.
    pub fn recovery(&self) -> Recovery {
        match self {
            Self::Missing { .. }
            | Self::Busy { .. }
            | Self::Permission { may_change: true, .. } => Recovery::Wait,
            Self::Disconnected { .. }
            | Self::StreamBroken { .. }
            | Self::Request { .. }
            | Self::Control { transient: true, .. } => Recovery::Reopen,
            Self::Permission { .. }
            | Self::NotACamera { .. }
            | Self::Control { .. }
            | Self::Unsupported { .. } => Recovery::Change,
        }
    }

    /// The error of `request` on `device`.
    pub(super) fn request(device: &str, request: &'static str, errno: Errno) -> Self {
        let device = device.to_owned();
        match errno {
            Errno::BUSY => Self::Busy { device, request },
            Errno::NODEV | Errno::NXIO => Self::Disconnected { device, request },
            Errno::IO | Errno::PIPE => Self::StreamBroken { device, request, errno },
            _ => Self::Request { device, request, errno },
        }
    }
}
