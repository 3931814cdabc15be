//! Thermal zones.

use super::{Reading, Root};
use serde::Serialize;

/// A thermal zone: a sensor and the temperatures at which something happens.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Zone {
    /// What it measures: `gpu-thermal`, `tj-thermal`.
    pub name: String,
    /// Its directory.
    pub path: String,
    /// Its temperature, degrees Celsius. Zones of parts that are switched off cannot be read.
    pub celsius: Reading<f64>,
    /// What happens at which temperature, the lowest first.
    pub trips: Vec<Trip>,
}

/// A trip point.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Trip {
    /// `active` (a fan), `passive` (clocks are lowered), `hot`, or `critical` (the machine is switched off).
    pub kind: String,
    /// The temperature, degrees Celsius.
    pub celsius: f64,
}

impl Zone {
    /// Degrees to the lowest trip point at which the machine slows down or goes off; `None` where either is
    /// unknown. Negative: it has been passed.
    pub fn headroom_c(&self) -> Option<f64> {
        let limit = self.trips.iter().find(|trip| trip.kind != "active")?;
        Some(limit.celsius - self.celsius.known()?)
    }
}

/// Reads the zones that the kernel has.
pub fn zones(root: &Root) -> Vec<Zone> {
    let zones = root.names(ZONES).into_iter().filter(|name| name.starts_with("thermal_zone"));
    zones.map(|name| zone(root, &format!("{ZONES}/{name}"))).collect()
}

fn zone(root: &Root, path: &str) -> Zone {
    let celsius = root.number::<i64>(&format!("{path}/temp")).and_then(|millidegrees| {
        degrees(millidegrees).ok_or_else(|| {
            format!("{path}/temp: found {millidegrees}, expected thousandths of a degree Celsius")
        })
    });
    let mut trips: Vec<Trip> = (0..)
        .map_while(|index| {
            let kind = root.text(&format!("{path}/trip_point_{index}_type")).ok()?;
            let celsius = root.number(&format!("{path}/trip_point_{index}_temp")).ok();
            Some((kind, celsius.and_then(degrees)))
        })
        // A trip point that is switched off has an impossible temperature.
        .filter_map(|(kind, celsius)| Some(Trip { kind, celsius: celsius? }))
        .take(MOST_TRIPS)
        .collect();
    trips.sort_by(|a, b| a.celsius.total_cmp(&b.celsius));
    Zone {
        name: root.text(&format!("{path}/type")).unwrap_or_else(|_| path.to_owned()),
        path: path.to_owned(),
        celsius: celsius.into(),
        trips,
    }
}

/// Degrees of thousandths; `None` for what no machine measures (the kernel's invalid temperature is
/// -274 degrees).
pub(super) fn degrees(millidegrees: i64) -> Option<f64> {
    (-100_000..=250_000).contains(&millidegrees).then(|| millidegrees as f64 / 1000.0)
}

pub(super) const ZONES: &str = "/sys/class/thermal";

/// More than any zone has.
const MOST_TRIPS: usize = 32;
