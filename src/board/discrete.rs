//! GPUs that NVIDIA's own driver lists.

use super::{Reading, Root};
use serde::Serialize;

/// A GPU of `/proc/driver/nvidia/gpus`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Gpu {
    /// Its place on the bus: `0000:01:00.0`.
    pub bus: String,
    /// Its name.
    pub model: Reading<String>,
    /// What CUDA calls it.
    pub uuid: Reading<String>,
    /// Number of its device, `/dev/nvidia0`.
    pub minor: Reading<u32>,
}

/// Lists them in the order of the bus.
pub fn list(root: &Root) -> Vec<Gpu> {
    let gpus = root.names(GPUS).into_iter().map(|bus| {
        let path = format!("{GPUS}/{bus}/information");
        let text = root.text(&path);
        let field = |name: &str| {
            let text = text.as_ref().map_err(Clone::clone)?;
            text.lines()
                .filter_map(|line| line.split_once(':'))
                .find(|(field, _)| field.trim() == name)
                .map(|(_, value)| value.trim().to_owned())
                .ok_or_else(|| format!("{path}: no field `{name}`"))
        };
        let minor = field("Device Minor").and_then(|minor| {
            minor
                .parse()
                .map_err(|_| format!("{path}: `Device Minor`: found {minor:?}, expected a number"))
        });
        Gpu {
            model: field("Model").into(),
            uuid: field("GPU UUID").into(),
            minor: minor.into(),
            bus,
        }
    });
    gpus.collect()
}

const GPUS: &str = "/proc/driver/nvidia/gpus";
