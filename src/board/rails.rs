//! Power by rail, from the monitors on the board.

use super::{Reading, Root};
use serde::Serialize;

/// A rail that a power monitor watches.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Rail {
    /// Its name: `VDD_GPU_SOC`, `VDD_IN`.
    pub name: String,
    /// The monitor: `ina3221` or `ina238`.
    pub monitor: String,
    /// Voltage, V.
    pub volts: Reading<f64>,
    /// Current, A.
    pub amperes: Reading<f64>,
    /// Power, W: voltage times current.
    pub watts: Reading<f64>,
}

/// Where the voltage and the current of a rail are read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Channel {
    pub(super) name: String,
    monitor: String,
    /// Thousandths of a volt.
    pub(super) voltage: String,
    /// Thousandths of an ampere.
    pub(super) current: String,
}

/// Reads the rails of every INA3221 and INA238.
pub fn rails(root: &Root) -> Vec<Rail> {
    channels(root).into_iter().map(|channel| rail(root, channel)).collect()
}

/// What the whole board takes: the rail of its input where it has one (`VDD_IN` of Orin NX and Nano,
/// `VIN` of Thor), else the sum of all rails, which on an AGX Orin and an AGX Xavier is what the module
/// takes. `None` where a rail of the sum cannot be read, or there is none.
pub fn total_watts(rails: &[Rail]) -> Option<f64> {
    let input = rails.iter().find(|rail| INPUTS.contains(&rail.name.as_str()));
    if let Some(watts) = input.and_then(|rail| rail.watts.known()) {
        return Some(*watts);
    }
    let watts: Option<Vec<f64>> = rails.iter().map(|rail| rail.watts.known().copied()).collect();
    watts.filter(|watts| !watts.is_empty()).map(|watts| watts.iter().sum())
}

/// The channels that have a name of a rail.
pub(super) fn channels(root: &Root) -> Vec<Channel> {
    let mut channels = Vec::new();
    for device in root.names(MONITORS) {
        let path = format!("{MONITORS}/{device}");
        let Ok(monitor) = root.text(&format!("{path}/name")) else { continue };
        let channel = |index: u32, name: String| Channel {
            name,
            monitor: monitor.clone(),
            voltage: format!("{path}/in{index}_input"),
            current: format!("{path}/curr{index}_input"),
        };
        match monitor.as_str() {
            // Three channels; 4 and above are sums of shunt voltages.
            "ina3221" => channels.extend((1..=3).filter_map(|index| {
                let name = root.text(&format!("{path}/in{index}_label")).ok()?;
                // Nvidia's name for what is not connected.
                (name != "NC" && !name.is_empty()).then(|| channel(index, name))
            })),
            // One channel: in1 is the voltage of the bus.
            "ina238" => {
                let label = |file: &str| root.text(&format!("{path}/{file}")).ok();
                let name = label("in1_label")
                    .or_else(|| label("label"))
                    .unwrap_or_else(|| monitor.clone());
                channels.push(channel(1, name));
            }
            _ => {}
        }
    }
    channels
}

fn rail(root: &Root, channel: Channel) -> Rail {
    let thousandths = |path: &str| root.number::<i32>(path).map(|value| f64::from(value) / 1000.0);
    let (volts, amperes) = (thousandths(&channel.voltage), thousandths(&channel.current));
    let watts = match (&volts, &amperes) {
        (Ok(volts), Ok(amperes)) => Ok(volts * amperes),
        (Err(reason), _) | (_, Err(reason)) => Err(reason.clone()),
    };
    Rail {
        name: channel.name,
        monitor: channel.monitor,
        volts: volts.into(),
        amperes: amperes.into(),
        watts: watts.into(),
    }
}

/// Rails through which all power of a board comes.
pub(super) const INPUTS: [&str; 2] = ["VDD_IN", "VIN"];

const MONITORS: &str = "/sys/class/hwmon";
