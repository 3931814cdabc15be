//! `occdepth camera grab`: a pair, taken by the runtime's own source and unpacked by its own rectifier.

use super::{Failure, device_failure};
use crate::cli::output;
use crate::cli::rig::parse_size;
use clap::Args;
use occdepth::capture::{
    Capture, CaptureError, FrameSource, Image, SourceDescription, StereoFrame,
};
use occdepth::rectify::Rectifier;
use occdepth_capture::stereo::{
    CameraSettings, Layout, MonotonicClock, Ports, StereoCameras, StereoOptions, V4l2Port,
};
use occdepth_capture::v4l2::{Device, FourCc};
use occdepth_contract::Normalisation;
use occdepth_geometry::ImageSize;
use occdepth_geometry::fit::NetworkCamera;
use occdepth_geometry::network::View;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// The left and the right camera, or one device with both views (then --layout)
    #[arg(required = true, num_args = 1..=2, value_name = "DEVICE")]
    devices: Vec<PathBuf>,

    /// How the views lie in the images of the one device
    #[arg(long, value_name = "LAYOUT", value_parser = ["side-by-side", "top-bottom"])]
    layout: Option<String>,

    /// Size of one view; what the device delivers at present when absent
    #[arg(long, value_name = "WxH", value_parser = parse_size)]
    size: Option<ImageSize>,

    /// The pixel format, such as YUYV; the first that is understood when absent
    #[arg(long)]
    format: Option<FourCc>,

    /// Pairs to let pass first, while exposure settles
    #[arg(long, value_name = "N", default_value_t = 10)]
    skip: u32,

    /// Gives up after so many seconds without a pair
    #[arg(long, value_name = "SECONDS", default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..=600))]
    timeout: u64,

    /// Where the left picture goes
    #[arg(long, value_name = "PNG", default_value = "left.png")]
    left: PathBuf,

    /// Where the right picture goes
    #[arg(long, value_name = "PNG", default_value = "right.png")]
    right: PathBuf,
}

pub(super) fn run(arguments: &Arguments) -> Result<(), Failure> {
    let mut source = open(arguments)?;
    let description = source.description().clone();
    let deadline = Instant::now() + Duration::from_secs(arguments.timeout);
    let mut skip = arguments.skip;
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(Failure::work(format!(
                "{}: no pair within {} s",
                description.name, arguments.timeout
            )));
        }
        match source.next(left) {
            Ok(Capture::Frame(_)) if skip > 0 => skip -= 1,
            Ok(Capture::Frame(frame)) => return save(&frame, &description, arguments),
            Ok(Capture::TimedOut) => {}
            Ok(Capture::Ended) => {
                return Err(Failure::work(format!("{}: ended", description.name)));
            }
            Err(error) if error.is_recoverable() => log::warn!("{error}"),
            Err(error) => return Err(Failure::work("the cameras failed").because(error)),
        }
    }
}

fn open(arguments: &Arguments) -> Result<StereoCameras, Failure> {
    let layout = match arguments.layout.as_deref() {
        None => None,
        Some("side-by-side") => Some(Layout::SideBySide),
        Some(_) => Some(Layout::TopBottom),
    };
    let size = match arguments.size {
        Some(size) => size,
        None => present_size(&arguments.devices[0], layout)?,
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
            format: arguments.format,
            size: image_size,
            rate_hz: None,
            buffers: 4,
            controls: Vec::new(),
        }))
    };
    let ports = match (&arguments.devices[..], layout) {
        ([left, right], None) => Ports::Two { left: port(left), right: port(right) },
        ([device], Some(layout)) => Ports::One { device: port(device), layout },
        _ => {
            return Err(Failure::configuration(
                "found one device without --layout, or two with it; expected a left and a right camera, or one device \
                 and --layout",
            ));
        }
    };
    let options = StereoOptions { format: arguments.format, ..StereoOptions::new(size) };
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

fn save(
    frame: &StereoFrame<'_>,
    description: &SourceDescription,
    arguments: &Arguments,
) -> Result<(), Failure> {
    for (image, path) in [(&frame.left, &arguments.left), (&frame.right, &arguments.right)] {
        let rgb = rgb(image, description)?;
        output::write_png(path, &rgb, image.size.width, image.size.height)?;
    }
    let (left, right) = (frame.left_stamp, frame.right_stamp);
    let skew_ms = (left.time_ns as f64 - right.time_ns as f64) * 1e-6;
    output::print_line(format_args!(
        "{}: {:?} {}x{}\nleft  {} at {:.6} s, image {}\nright {} at {:.6} s, image {}\nskew  {skew_ms:+.3} ms (left minus right)",
        description.name,
        description.format,
        description.size.width,
        description.size.height,
        arguments.left.display(),
        left.time_ns as f64 * 1e-9,
        left.sequence,
        arguments.right.display(),
        right.time_ns as f64 * 1e-9,
        right.sequence,
    ))
}

/// Packed RGB of an image in any format: through the rectifier, which reads them all, without a map.
fn rgb(image: &Image<'_>, description: &SourceDescription) -> Result<Vec<u8>, Failure> {
    let failed = |error| Failure::work("the image cannot be read").because(error);
    let camera = NetworkCamera {
        view: View {
            k: nalgebra::Matrix3::identity(),
            cam_from_ego: nalgebra::Matrix4::identity(),
        },
        map: None,
    };
    let levels = Normalisation { mean: [0.0; 3], std: [1.0 / 255.0; 3] };
    let (size, colour) = (image.size, description.colour);
    let mut rectifier =
        Rectifier::new(size, image.format, colour, &camera, size, &levels).map_err(failed)?;
    let mut planes = vec![0.0; rectifier.values()];
    rectifier.rectify(image, &mut planes).map_err(failed)?;
    let pixels = planes.len() / 3;
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "clamped")]
    let byte = |value: f32| value.round().clamp(0.0, 255.0) as u8;
    Ok((0..pixels).flat_map(|i| [0, 1, 2].map(|c| byte(planes[c * pixels + i]))).collect())
}
