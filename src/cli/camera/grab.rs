//! `occdepth camera grab`: a pair, taken by the runtime's own source and unpacked by its own rectifier.

use super::Failure;
use super::devices::{Mode, open};
use crate::cli::output;
use clap::Args;
use occdepth::capture::{Capture, FrameSource, SourceDescription, StereoFrame};
use occdepth::rectify::PictureMaker;
use std::path::PathBuf;
use std::time::{Duration, Instant};

#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// The left and the right camera, or one device with both views (then --layout)
    #[arg(required = true, num_args = 1..=2, value_name = "DEVICE")]
    devices: Vec<PathBuf>,

    #[command(flatten)]
    mode: Mode,

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
    let mut source = open(&arguments.devices, &arguments.mode)?;
    let description = source.description().clone();
    let timeout = Duration::from_secs(arguments.timeout);
    let mut deadline = Instant::now() + timeout;
    let mut skip = arguments.skip;
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            // Why is known: cameras that are away, or whose images are too far apart.
            return Err(Failure::work(format!(
                "{}: no pair within {} s; the cameras: {}",
                description.name,
                arguments.timeout,
                source.health()
            )));
        }
        match source.next(left) {
            Ok(Capture::Frame(_)) if skip > 0 => {
                skip -= 1;
                deadline = Instant::now() + timeout;
            }
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

fn save(
    frame: &StereoFrame<'_>,
    description: &SourceDescription,
    arguments: &Arguments,
) -> Result<(), Failure> {
    for (image, path) in [(&frame.left, &arguments.left), (&frame.right, &arguments.right)] {
        let rgb = PictureMaker::new(image.size, image.format, description.colour, None)
            .and_then(|mut maker| maker.picture(image))
            .map_err(|error| Failure::work("the image cannot be read").because(error))?;
        output::write_png(path, &rgb, image.size.width, image.size.height)?;
    }
    let (left, right) = (frame.left_stamp, frame.right_stamp);
    let skew_ms = (right.time_ns as f64 - left.time_ns as f64) * 1e-6;
    output::print_line(format_args!(
        "{}: {:?} {}x{}\nleft  {} at {:.6} s, image {}\nright {} at {:.6} s, image {}\nskew  {skew_ms:+.3} ms (right minus left)",
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
