//! Events: a source whose picture changes under the stream.

use super::abi;
use super::device::Device;
use super::error::DeviceError;
use rustix::io::Errno;

impl Device {
    /// Asks to be told when the source changes its resolution (an HDMI input, a deserialiser that lost its link).
    /// Returns whether the driver can tell.
    ///
    /// # Errors
    /// When the device is gone.
    pub(super) fn subscribe_source_change(&self) -> Result<bool, DeviceError> {
        let mut subscription = abi::EventSubscription {
            type_: abi::EVENT_SOURCE_CHANGE,
            ..abi::EventSubscription::ZERO
        };
        match self.try_call(&abi::SUBSCRIBE_EVENT, &mut subscription) {
            Ok(()) => Ok(true),
            Err(Errno::INVAL | Errno::NOTTY) => Ok(false),
            Err(errno) => Err(self.error(&abi::SUBSCRIBE_EVENT, errno)),
        }
    }

    /// Takes every waiting event; whether one of them says that the source changed.
    ///
    /// # Errors
    /// When the device is gone.
    pub(super) fn source_changed(&self) -> Result<bool, DeviceError> {
        let mut changed = false;
        loop {
            let mut event = abi::Event::ZERO;
            match self.try_call(&abi::DQEVENT, &mut event) {
                Ok(()) => changed |= event.type_ == abi::EVENT_SOURCE_CHANGE,
                Err(Errno::NOENT | Errno::INVAL | Errno::NOTTY) => return Ok(changed),
                Err(errno) => return Err(self.error(&abi::DQEVENT, errno)),
            }
        }
    }
}
