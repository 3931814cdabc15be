//! Cameras that are named on the command line.

use super::{Failure, device_failure};
use crate::cli::rig::parse_size;
use clap::Args;
use occdepth::capture::CaptureError;
use occdepth_capture::stereo::{
    CameraSettings, Layout, MonotonicClock, Ports, StereoCameras, StereoOptions, V4l2Port,
};
use occdepth_capture::v4l2::{Device, FourCc, is_same_device};
use occdepth_geometry::ImageSize;
use std::path::{Path, PathBuf};

/// What the cameras are asked for.
#[derive(Debug, Args)]
pub(crate) struct Mode {
    /// How the views lie in the images of the one device
    #[arg(long, value_name = "LAYOUT", value_parser = ["side-by-side", "top-bottom"])]
    layout: Option<String>,

    /// Size of one view; what the device delivers at present when absent
    #[arg(long, value_name = "WxH", value_parser = parse_size)]
    size: Option<ImageSize>,

    /// The pixel format, such as YUYV; the first that is understood when absent
    #[arg(long)]
    format: Option<FourCc>,
}

/// Opens a left and a right camera, or one device with both views.
pub(crate) fn open(devices: &[PathBuf], mode: &Mode) -> Result<StereoCameras, Failure> {
    let layout = match mode.layout.as_deref() {
        None => None,
        Some("side-by-side") => Some(Layout::SideBySide),
        Some(_) => Some(Layout::TopBottom),
    };
    let size = match mode.size {
        Some(size) => size,
        None => present_size(&devices[0], layout)?,
    };
    let image_size = match layout {
        None => size,
        Some(layout) => layout.image_size(size).ok_or_else(|| {
            Failure::configuration("--size: two views of this size fit into no image")
        })?,
    };
    let port = |path: &Path| {
        Box::new(V4l2Port::new(CameraSettings {
            path: path.to_owned(),
            format: mode.format,
            size: image_size,
            rate_hz: None,
            buffers: 4,
            controls: Vec::new(),
        }))
    };
    let ports = match (devices, layout) {
        ([left, right], None) if left == right || is_same_device(left, right) => {
            return Err(Failure::configuration(format!(
                "found {} and {}, which are one device; expected two, or one and --layout",
                left.display(),
                right.display()
            )));
        }
        ([left, right], None) => Ports::Two { left: port(left), right: port(right) },
        ([device], Some(layout)) => Ports::One { device: port(device), layout },
        _ => {
            return Err(Failure::configuration(
                "found one device without --layout, or two with it; expected a left and a right camera, or one device \
                 and --layout",
            ));
        }
    };
    let options = StereoOptions { format: mode.format, ..StereoOptions::new(size) };
    StereoCameras::open(ports, &options, Box::new(MonotonicClock)).map_err(|error| {
        let failure = match error {
            CaptureError::Configuration { .. } => {
                Failure::configuration("the cameras are not usable")
            }
            _ => Failure::work("the cameras cannot be opened"),
        };
        failure.because(error)
    })
}

/// Size of a view as the device delivers it at present.
fn present_size(device: &Path, layout: Option<Layout>) -> Result<ImageSize, Failure> {
    let device = Device::open(device).map_err(device_failure)?;
    let ImageSize { width, height } = device.format().map_err(device_failure)?.size;
    Ok(match layout {
        None => ImageSize { width, height },
        Some(Layout::SideBySide) => ImageSize { width: width / 2, height },
        Some(Layout::TopBottom) => ImageSize { width, height: height / 2 },
    })
}
