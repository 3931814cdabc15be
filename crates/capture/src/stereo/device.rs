//! A camera of the kernel, as the source opens it.

use super::background::Background;
use super::camera::{CameraPort, CameraStream};
use super::view::CODES;
use crate::v4l2::{Dequeued, Device, DeviceError, Format, FourCc, OfferedSize, Setting, Stream};
use occdepth_geometry::ImageSize;
use rustix::fd::OwnedFd;
use rustix::io::Errno;
use std::path::PathBuf;

/// What a camera is asked for.
#[derive(Clone, Debug, PartialEq)]
pub struct CameraSettings {
    /// The device node.
    pub path: PathBuf,
    /// The pixel format; when absent, the first of those understood that the device offers in this size, if there is
    /// one at the rate asked for.
    pub format: Option<FourCc>,
    /// Size of its images.
    pub size: ImageSize,
    /// Images a second; the driver's choice when absent.
    pub rate_hz: Option<f64>,
    /// Buffers to ask for.
    pub buffers: u32,
    /// Controls by name. Those with `auto` in their names are set first, because the others depend on them.
    pub controls: Vec<(String, Setting)>,
}

/// A V4L2 camera, opened and closed on a thread of its own.
#[derive(Debug)]
pub struct V4l2Port {
    name: String,
    settings: CameraSettings,
    opening: Option<Background<Result<V4l2Stream, DeviceError>>>,
    closing: Option<Background<()>>,
    /// What was said last of the rate.
    rate_said: Option<String>,
}

impl V4l2Port {
    /// A camera that is not open yet.
    pub fn new(mut settings: CameraSettings) -> Self {
        settings.controls.sort_by_key(|(name, _)| !name.to_lowercase().contains("auto"));
        let name = settings.path.display().to_string();
        Self { name, settings, opening: None, closing: None, rate_said: None }
    }

    fn thread_refused(&self, error: &std::io::Error) -> DeviceError {
        DeviceError::Request {
            device: self.name.clone(),
            request: "a thread to open it on",
            errno: error.raw_os_error().map_or(Errno::AGAIN, Errno::from_raw_os_error),
        }
    }

    /// Says what is to be said of the rate: once, not at each return of a camera.
    fn say_rate(&mut self, note: Option<String>) {
        if let Some(note) = note.as_ref().filter(|&note| self.rate_said.as_ref() != Some(note)) {
            log::warn!("{}: {note}", self.name);
        }
        self.rate_said = note;
    }
}

impl CameraPort for V4l2Port {
    fn name(&self) -> &str {
        &self.name
    }

    fn poll_open(&mut self) -> Option<Result<Box<dyn CameraStream>, DeviceError>> {
        // A device reconnects only after its last descriptor is closed.
        if self.closing.as_ref().is_some_and(|closing| !closing.is_done()) {
            return None;
        }
        self.closing = None;
        let Some(opening) = self.opening.take() else {
            let settings = self.settings.clone();
            match Background::spawn("camera-open", move || V4l2Stream::open(&settings)) {
                Ok(opening) => self.opening = Some(opening),
                Err(error) => return Some(Err(self.thread_refused(&error))),
            }
            return None;
        };
        let mut stream = match opening.take() {
            Ok(Ok(stream)) => stream,
            Ok(Err(error)) => return Some(Err(error)),
            Err(not_yet) => {
                self.opening = Some(not_yet);
                return None;
            }
        };
        // From now on the camera is what it was at first.
        self.settings.format = Some(stream.format.code);
        self.say_rate(stream.rate_note.take());
        Some(Ok(Box::new(stream)))
    }

    fn close(&mut self, stream: Box<dyn CameraStream>) {
        // Where there is no thread, it is closed here: `spawn` drops what it was given.
        self.closing = Background::spawn("camera-close", move || drop(stream)).ok();
    }
}

#[derive(Debug)]
struct V4l2Stream {
    stream: Stream,
    format: Format,
    rate_hz: Option<f64>,
    /// The rate is another than asked for.
    rate_note: Option<String>,
}

impl V4l2Stream {
    fn open(settings: &CameraSettings) -> Result<Self, DeviceError> {
        let device = Device::open(&settings.path)?;
        let code = match settings.format {
            Some(code) => code,
            None => choose(&device, settings.size, settings.rate_hz)?,
        };
        let format = device.set_format(code, settings.size)?;
        if format.code != code || format.size != settings.size {
            return Err(refuse_format(&device, code, settings.size, &format));
        }
        if !format.progressive {
            return Err(DeviceError::Unsupported {
                device: device.path().to_owned(),
                field: "field".into(),
                found: "interlaced images".into(),
                expected: "whole images".into(),
            });
        }
        let mut rate_note = None;
        let rate_hz = match settings.rate_hz {
            Some(asked) => {
                let found = device.set_rate(asked)?;
                rate_note = match found {
                    Some(found) if (found - asked).abs() > asked * RATE_TOLERANCE => {
                        Some(format!("{found:.3} images a second, asked for {asked:.3}"))
                    }
                    None => Some("its rate cannot be set".to_owned()),
                    Some(_) => None,
                };
                found.or(device.rate()?)
            }
            None => device.rate()?,
        };
        for (name, setting) in &settings.controls {
            device.set_control(name, setting)?;
        }
        let stream = Stream::start(device, settings.buffers)?;
        Ok(Self { stream, format, rate_hz, rate_note })
    }
}

impl CameraStream for V4l2Stream {
    fn format(&self) -> &Format {
        &self.format
    }

    fn rate_hz(&self) -> Option<f64> {
        self.rate_hz
    }

    fn buffer_count(&self) -> usize {
        self.stream.buffer_count()
    }

    fn dequeue(&mut self, deadline_ns: u64) -> Result<Dequeued, DeviceError> {
        self.stream.dequeue(deadline_ns)
    }

    fn plane(&self, index: usize, plane: usize) -> Option<&[u8]> {
        self.stream.plane(index, plane)
    }

    fn queue(&mut self, index: usize) -> Result<(), DeviceError> {
        self.stream.queue(index)
    }

    fn plane_start(&self, index: usize, plane: usize) -> usize {
        self.stream.plane_start(index, plane)
    }

    fn export(&self, index: usize, plane: usize) -> Result<Option<OwnedFd>, DeviceError> {
        self.stream.export(index, plane)
    }
}

/// The first format that is understood and that the device offers in `size`; of those the first that is fast enough, if
/// one is: many USB cameras have raw images at a few a second only, and Motion JPEG at the full rate.
fn choose(device: &Device, size: ImageSize, rate_hz: Option<f64>) -> Result<FourCc, DeviceError> {
    let offered = device.formats()?;
    let mut slower = None;
    for (code, _) in CODES {
        let code = FourCc(*code);
        if !offered.iter().any(|format| format.code == code && !format.emulated) {
            continue;
        }
        let sizes = device.sizes(code)?;
        if !sizes.is_empty() && !sizes.iter().any(|offered| has(offered, size)) {
            continue;
        }
        let fast_enough = match rate_hz {
            Some(asked) => is_fast_enough(&device.rates(code, size)?, asked),
            None => true,
        };
        if fast_enough {
            return Ok(code);
        }
        slower.get_or_insert(code);
    }
    if let Some(code) = slower {
        return Ok(code);
    }
    let names = offered.iter().map(|format| format.code.to_string()).collect::<Vec<_>>();
    Err(DeviceError::Unsupported {
        device: device.path().to_owned(),
        field: "format".into(),
        found: format!("{} without {}x{}", names.join(", "), size.width, size.height),
        expected: "a format that is understood, in the rig's size".into(),
    })
}

/// Drivers that name no rates are believed.
fn is_fast_enough(rates: &[f64], asked: f64) -> bool {
    rates.is_empty() || rates.iter().any(|rate| *rate >= asked * (1.0 - RATE_TOLERANCE))
}

fn has(offered: &OfferedSize, size: ImageSize) -> bool {
    match offered {
        OfferedSize::Exact(exact) => *exact == size,
        OfferedSize::Range { least, greatest, step } => {
            let fits = |value: u32, least: u32, greatest: u32, step: u32| {
                (least..=greatest).contains(&value) && (value - least).is_multiple_of(step.max(1))
            };
            fits(size.width, least.width, greatest.width, step.width)
                && fits(size.height, least.height, greatest.height, step.height)
        }
    }
}

fn refuse_format(device: &Device, code: FourCc, size: ImageSize, found: &Format) -> DeviceError {
    let show = |code: FourCc, size: ImageSize| format!("{code} {}x{}", size.width, size.height);
    // What it offers is advice; a device that is asked in vain is reported without.
    let formats = device.formats().unwrap_or_default();
    let formats = formats.iter().map(|format| format.code.to_string()).collect::<Vec<_>>();
    let sizes = device.sizes(code).unwrap_or_default();
    let sizes = sizes.iter().map(|size| match size {
        OfferedSize::Exact(size) => format!("{}x{}", size.width, size.height),
        OfferedSize::Range { least, greatest, .. } => {
            format!("{}x{} to {}x{}", least.width, least.height, greatest.width, greatest.height)
        }
    });
    let sizes = sizes.collect::<Vec<_>>().join(", ");
    DeviceError::Unsupported {
        device: device.path().to_owned(),
        field: "format".into(),
        found: format!(
            "{} (it offers {}; {code} in {sizes})",
            show(found.code, found.size),
            formats.join(", ")
        ),
        expected: show(code, size),
    }
}

/// Drivers round intervals.
const RATE_TOLERANCE: f64 = 0.005;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_that_is_asked_for_is_looked_for() {
        assert!(is_fast_enough(&[5.0, 10.0, 29.97], 30.0), "drivers round");
        assert!(!is_fast_enough(&[5.0, 10.0], 30.0));
        assert!(is_fast_enough(&[], 30.0));
    }

    #[test]
    fn sizes_of_a_range_lie_on_its_steps() {
        let of = |width, height| ImageSize { width, height };
        let range =
            OfferedSize::Range { least: of(32, 16), greatest: of(640, 480), step: of(16, 0) };
        for (size, expected) in [
            (of(32, 16), true),
            (of(640, 480), true),
            (of(48, 17), true),
            (of(40, 16), false),
            (of(656, 480), false),
            (of(16, 16), false),
        ] {
            assert_eq!(has(&range, size), expected, "{size:?}");
        }
    }
}
