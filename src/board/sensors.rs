//! The readings that health needs while frames run.
//!
//! [`Sensors::open`] finds the files once; [`Sensors::sample`] reads them again through descriptors that
//! stay open (`pread` at 0, which makes sysfs and procfs compute the value anew), into memory that is
//! there already: nothing is allocated, locked or logged. A sensor that fails keeps its place and says
//! why; one that comes back is read again.
//!
//! ```
//! use occdepth::board::{Root, Sensors};
//!
//! let mut sensors = Sensors::open(&Root::system());
//! let sample = sensors.sample();
//! // Bytes, where /proc/meminfo can be read.
//! assert!(sample.available_bytes.is_none_or(|bytes| bytes > 0));
//! ```

use super::thermal::{ZONES, degrees};
use super::{Root, clocks, memory, rails};
use std::fmt;
use std::fs::File;
use std::os::unix::fs::FileExt as _;

/// Open sensors.
#[derive(Debug)]
pub struct Sensors {
    zones: Box<[Sensor]>,
    rails: Box<[RailSensor]>,
    gpu_load: Option<Sensor>,
    gpu_clock: Option<Sensor>,
    meminfo: Option<File>,
    sample: Sample,
}

/// What the sensors said at one time.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Sample {
    /// Degrees Celsius of each zone, in the order of [`Sensors::zones`].
    pub celsius: Box<[Result<f64, Fault>]>,
    /// Power of each rail in watts, in the order of [`Sensors::rails`].
    pub watts: Box<[Result<f64, Fault>]>,
    /// Share of the time that the GPU was busy, 0 to 1; `None`: it has no such file.
    pub gpu_load: Option<Result<f64, Fault>>,
    /// Clock of the GPU, Hz; `None`: it has no such file.
    pub gpu_hz: Option<Result<u64, Fault>>,
    /// Memory that programs can still have, bytes; `None`: not known.
    pub available_bytes: Option<u64>,
}

/// Why a sensor said nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The system's error number: 11 (`EAGAIN`) of a zone that sleeps, 19 (`ENODEV`) of one that is gone.
    Os(i32),
    /// Not what such a file says.
    Malformed,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Os(number) => write!(f, "{}", std::io::Error::from_raw_os_error(*number)),
            Self::Malformed => f.write_str("not what such a sensor says"),
        }
    }
}

impl std::error::Error for Fault {}

impl Sample {
    /// The hottest zone: its place and its temperature.
    pub fn hottest(&self) -> Option<(usize, f64)> {
        let known = self.celsius.iter().enumerate().filter_map(|(i, c)| Some((i, c.ok()?)));
        known.max_by(|a, b| a.1.total_cmp(&b.1))
    }
}

impl Sensors {
    /// Opens what there is below `root`. What cannot be opened now is left out.
    pub fn open(root: &Root) -> Self {
        let zones: Box<[Sensor]> = root
            .names(ZONES)
            .into_iter()
            .filter(|name| name.starts_with("thermal_zone"))
            .filter_map(|name| {
                let title =
                    root.text(&format!("{ZONES}/{name}/type")).unwrap_or_else(|_| name.clone());
                Sensor::open(root, title, &format!("{ZONES}/{name}/temp"))
            })
            .collect();
        let rails: Box<[RailSensor]> = rails::channels(root)
            .into_iter()
            .filter_map(|channel| {
                Some(RailSensor {
                    voltage: Sensor::open(root, channel.name.clone(), &channel.voltage)?,
                    current: Sensor::open(root, channel.name, &channel.current)?,
                })
            })
            .collect();
        let device = clocks::gpu_device(root);
        let gpu = |path: String| Sensor::open(root, "gpu".into(), &path);
        let sample = Sample {
            celsius: vec![Err(Fault::Malformed); zones.len()].into(),
            watts: vec![Err(Fault::Malformed); rails.len()].into(),
            ..Sample::default()
        };
        let mut sensors = Self {
            zones,
            rails,
            gpu_load: device
                .as_ref()
                .and_then(|device| gpu(clocks::gpu_load_path(root, device).ok()?)),
            gpu_clock: device
                .and_then(|device| gpu(format!("{}/{device}/cur_freq", clocks::DEVFREQ))),
            meminfo: File::open(root.join(memory::MEMINFO)).ok(),
            sample,
        };
        sensors.sample();
        sensors
    }

    /// Reads every sensor again.
    pub fn sample(&mut self) -> &Sample {
        let sample = &mut self.sample;
        for (value, zone) in sample.celsius.iter_mut().zip(&self.zones) {
            *value = zone.number().and_then(|value| degrees(value).ok_or(Fault::Malformed));
        }
        for (value, rail) in sample.watts.iter_mut().zip(&self.rails) {
            *value = rail.watts();
        }
        sample.gpu_load = self.gpu_load.as_ref().map(|sensor| {
            let tenths = sensor.number()?;
            let known = (0..=1000).contains(&tenths);
            known.then(|| tenths as f64 / 1000.0).ok_or(Fault::Malformed)
        });
        sample.gpu_hz = self
            .gpu_clock
            .as_ref()
            .map(|sensor| u64::try_from(sensor.number()?).map_err(|_| Fault::Malformed));
        sample.available_bytes = self.meminfo.as_ref().and_then(available);
        sample
    }

    /// The names of the thermal zones.
    pub fn zones(&self) -> impl ExactSizeIterator<Item = &str> {
        self.zones.iter().map(|zone| zone.name.as_str())
    }

    /// The names of the power rails.
    pub fn rails(&self) -> impl ExactSizeIterator<Item = &str> {
        self.rails.iter().map(|rail| rail.voltage.name.as_str())
    }

    /// What the whole board takes in watts, of the newest sample, as [`rails::total_watts`] has it.
    pub fn total_watts(&self) -> Option<f64> {
        let watts = &self.sample.watts;
        let input = self.rails().position(|name| rails::INPUTS.contains(&name));
        match input.and_then(|index| watts[index].ok()) {
            Some(input) => Some(input),
            None if watts.is_empty() => None,
            None => watts.iter().try_fold(0.0, |sum, watts| Some(sum + watts.as_ref().ok()?)),
        }
    }
}

/// A file with a number.
#[derive(Debug)]
struct Sensor {
    name: String,
    file: File,
}

impl Sensor {
    fn open(root: &Root, name: String, path: &str) -> Option<Self> {
        Some(Self { name, file: File::open(root.join(path)).ok()? })
    }

    fn number(&self) -> Result<i64, Fault> {
        let mut buffer = [0; LONGEST_NUMBER];
        let length = read(&self.file, &mut buffer)?;
        parse(&buffer[..length]).ok_or(Fault::Malformed)
    }
}

#[derive(Debug)]
struct RailSensor {
    voltage: Sensor,
    current: Sensor,
}

impl RailSensor {
    /// Millivolts times milliamperes.
    fn watts(&self) -> Result<f64, Fault> {
        Ok(self.voltage.number()? as f64 * self.current.number()? as f64 * 1e-6)
    }
}

/// `MemAvailable` in bytes.
fn available(meminfo: &File) -> Option<u64> {
    // It is the third line; the file is longer.
    let mut buffer = [0; 256];
    let length = read(meminfo, &mut buffer).ok()?;
    memory::kib(&buffer[..length], "MemAvailable")?.checked_mul(1024)
}

fn read(file: &File, buffer: &mut [u8]) -> Result<usize, Fault> {
    file.read_at(buffer, 0)
        .map_err(|error| error.raw_os_error().map_or(Fault::Malformed, Fault::Os))
}

/// The number in a sensor's file: digits, perhaps a sign before them, white space around; nothing else,
/// and not longer than the buffer.
pub fn parse(bytes: &[u8]) -> Option<i64> {
    let text = std::str::from_utf8(bytes).ok()?.trim();
    (bytes.len() < LONGEST_NUMBER).then(|| text.parse().ok())?
}

/// Longer than any 64-bit number with its line break.
const LONGEST_NUMBER: usize = 32;
