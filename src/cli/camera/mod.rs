//! `occdepth camera`: what cameras there are, what they can do, and a pair of pictures.

pub(crate) mod devices;
mod grab;
mod list;
mod probe;

use super::Failure;
use occdepth_capture::v4l2::{DeviceError, DeviceKind};

#[derive(Debug, clap::Subcommand)]
pub(crate) enum Command {
    /// Lists the V4L2 devices of this machine
    List(list::Arguments),
    /// Prints formats, sizes, rates and controls of a camera
    Probe(probe::Arguments),
    /// Takes a pair of pictures, as the runtime would
    Grab(grab::Arguments),
}

pub(crate) fn run(command: &Command) -> Result<(), Failure> {
    match command {
        Command::List(arguments) => list::run(arguments),
        Command::Probe(arguments) => probe::run(arguments),
        Command::Grab(arguments) => grab::run(arguments),
    }
}

/// Devices that are named wrongly are bad usage; those that fail are failures.
fn device_failure(error: DeviceError) -> Failure {
    let failure = match error {
        DeviceError::Missing { .. }
        | DeviceError::NotACamera { .. }
        | DeviceError::Control { .. }
        | DeviceError::Unsupported { .. } => Failure::configuration("the camera is not usable"),
        _ => Failure::work("the camera cannot be used"),
    };
    failure.because(error)
}

fn describe(kind: DeviceKind) -> &'static str {
    match kind {
        DeviceKind::Camera => "camera",
        DeviceKind::CameraWithoutStreaming => "camera without streaming",
        DeviceKind::Metadata => "metadata",
        DeviceKind::Output => "output",
        DeviceKind::MemoryToMemory => "codec or scaler",
        DeviceKind::Other => "no images",
    }
}
