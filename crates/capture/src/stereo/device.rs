//! A camera of the kernel, as the source opens it.

use super::camera::{CameraPort, CameraStream};
use super::view::CODES;
use crate::v4l2::{Dequeued, Device, DeviceError, Format, FourCc, OfferedSize, Setting, Stream};
use occdepth_geometry::ImageSize;
use std::path::PathBuf;
use std::thread::JoinHandle;

/// What a camera is asked for.
#[derive(Clone, Debug, PartialEq)]
pub struct CameraSettings {
    /// The device node.
    pub path: PathBuf,
    /// The pixel format; when absent, the first of those understood that the device offers in this size.
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
    opening: Option<JoinHandle<Result<V4l2Stream, DeviceError>>>,
    closing: Option<JoinHandle<()>>,
}

impl V4l2Port {
    /// A camera that is not open yet.
    pub fn new(mut settings: CameraSettings) -> Self {
        settings.controls.sort_by_key(|(name, _)| !name.to_lowercase().contains("auto"));
        let name = settings.path.display().to_string();
        Self { name, settings, opening: None, closing: None }
    }

    fn thread_refused(&self, error: &std::io::Error) -> DeviceError {
        DeviceError::Unsupported {
            device: self.name.clone(),
            field: "thread".into(),
            found: error.to_string(),
            expected: "a thread to open it on".into(),
        }
    }
}

impl CameraPort for V4l2Port {
    fn name(&self) -> &str {
        &self.name
    }

    fn poll_open(&mut self) -> Option<Result<Box<dyn CameraStream>, DeviceError>> {
        // A device reconnects only after its last descriptor is closed.
        if self.closing.as_ref().is_some_and(|closing| !closing.is_finished()) {
            return None;
        }
        self.closing = None;
        let Some(opening) = self.opening.take() else {
            let settings = self.settings.clone();
            let thread = std::thread::Builder::new().name("camera-open".into());
            match thread.spawn(move || V4l2Stream::open(&settings)) {
                Ok(opening) => self.opening = Some(opening),
                Err(error) => return Some(Err(self.thread_refused(&error))),
            }
            return None;
        };
        if !opening.is_finished() {
            self.opening = Some(opening);
            return None;
        }
        let stream = match opening.join() {
            Ok(Ok(stream)) => stream,
            Ok(Err(error)) => return Some(Err(error)),
            Err(panic) => std::panic::resume_unwind(panic),
        };
        // From now on the camera is what it was at first.
        self.settings.format = Some(stream.format.code);
        Some(Ok(Box::new(stream)))
    }

    fn close(&mut self, stream: Box<dyn CameraStream>) {
        let thread = std::thread::Builder::new().name("camera-close".into());
        // Where there is no thread, it is closed here: `spawn` drops what it was given.
        self.closing = thread.spawn(move || drop(stream)).ok();
    }
}

impl Drop for V4l2Port {
    fn drop(&mut self) {
        // Nothing of a source that is gone stays open. A thread that panicked has nothing left to close.
        if let Some(opening) = self.opening.take() {
            let _ = opening.join();
        }
        if let Some(closing) = self.closing.take() {
            let _ = closing.join();
        }
    }
}

#[derive(Debug)]
struct V4l2Stream {
    stream: Stream,
    format: Format,
    rate_hz: Option<f64>,
}

impl V4l2Stream {
    fn open(settings: &CameraSettings) -> Result<Self, DeviceError> {
        let device = Device::open(&settings.path)?;
        let code = match settings.format {
            Some(code) => code,
            None => choose(&device, settings.size)?,
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
        let rate_hz = match settings.rate_hz {
            Some(asked) => {
                let found = device.set_rate(asked)?;
                match found {
                    Some(found) if (found - asked).abs() > asked * RATE_TOLERANCE => log::warn!(
                        "{}: {found:.3} images a second, asked for {asked:.3}",
                        device.path()
                    ),
                    None => log::warn!("{}: its rate cannot be set", device.path()),
                    Some(_) => {}
                }
                found.or(device.rate()?)
            }
            None => device.rate()?,
        };
        for (name, setting) in &settings.controls {
            device.set_control(name, setting)?;
        }
        let stream = Stream::start(device, settings.buffers)?;
        Ok(Self { stream, format, rate_hz })
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
}

/// The first format that is understood and that the device offers in `size`.
fn choose(device: &Device, size: ImageSize) -> Result<FourCc, DeviceError> {
    let offered = device.formats()?;
    for (code, _) in CODES {
        let code = FourCc(*code);
        if !offered.iter().any(|format| format.code == code && !format.emulated) {
            continue;
        }
        let sizes = device.sizes(code)?;
        if sizes.is_empty() || sizes.iter().any(|offered| has(offered, size)) {
            return Ok(code);
        }
    }
    let names = offered.iter().map(|format| format.code.to_string()).collect::<Vec<_>>();
    Err(DeviceError::Unsupported {
        device: device.path().to_owned(),
        field: "format".into(),
        found: format!("{} without {}x{}", names.join(", "), size.width, size.height),
        expected: "a format that is understood, in the rig's size".into(),
    })
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
