//! Counts and rates to times.

use super::{Estimate, Layer};
use crate::board::Precision;
use crate::board::profile::Rates;
use serde::Serialize;

/// How long a frame takes at least. A prediction: see [`super::ASSUMPTIONS`].
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Prediction {
    /// The precision that it is for.
    pub precision: Precision,
    /// Seconds for all operations at the peak, or for weights, inputs and outputs once through the memory,
    /// whichever are more.
    pub floor_s: f64,
    /// Seconds layer by layer.
    pub roofline_s: f64,
    /// Of those, seconds in layers that the peak bounds.
    pub compute_bound_s: f64,
    /// Of those, seconds in layers that the memory bounds.
    pub bandwidth_bound_s: f64,
    /// Operations a byte at which peak and bandwidth take equally long.
    pub ridge: f64,
    /// The times of [`Estimate::layers`].
    #[serde(skip)]
    pub layers: Vec<LayerTime>,
}

/// How long a layer takes at least.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct LayerTime {
    /// Operations for each byte that it moves; infinite where it moves none.
    pub intensity: f64,
    /// Seconds.
    pub seconds: f64,
    /// What takes them.
    pub bound: Bound,
}

/// What a layer waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Bound {
    /// The arithmetic.
    Compute,
    /// The memory.
    Bandwidth,
}

impl Bound {
    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Compute => "compute",
            Self::Bandwidth => "bandwidth",
        }
    }
}

impl Prediction {
    /// What most of the time goes to.
    pub fn bound(&self) -> Bound {
        if self.compute_bound_s >= self.bandwidth_bound_s {
            Bound::Compute
        } else {
            Bound::Bandwidth
        }
    }
}

impl Layer {
    /// Bytes that it moves in a precision, constants included.
    pub fn bytes(&self, precision: Precision) -> u64 {
        (self.weights + self.reads + self.writes).bytes(precision)
    }

    /// Operations for each byte that it moves; infinite where it moves none.
    pub fn intensity(&self, precision: Precision) -> f64 {
        let bytes = self.bytes(precision);
        if bytes == 0 { f64::INFINITY } else { self.operations as f64 / bytes as f64 }
    }
}

pub(super) fn predict(
    estimate: &Estimate,
    rates: &Rates,
    precision: Precision,
) -> Option<Prediction> {
    let (peak, bandwidth) = (rates.peak(precision)?, rates.bandwidth?);
    let layers: Vec<LayerTime> = estimate
        .layers
        .iter()
        .map(|layer| {
            let compute = layer.operations as f64 / peak;
            let memory = layer.bytes(precision) as f64 / bandwidth;
            let bound = if compute >= memory { Bound::Compute } else { Bound::Bandwidth };
            let intensity = layer.intensity(precision);
            LayerTime { intensity, seconds: compute.max(memory), bound }
        })
        .collect();
    let seconds =
        |bound| layers.iter().filter(|layer| layer.bound == bound).map(|layer| layer.seconds).sum();
    let (compute_bound_s, bandwidth_bound_s): (f64, f64) =
        (seconds(Bound::Compute), seconds(Bound::Bandwidth));
    // What has to be moved whatever a program fuses and caches.
    let once = (estimate.weights + estimate.inputs + estimate.outputs).bytes(precision);
    let floor_s = (estimate.operations() as f64 / peak).max(once as f64 / bandwidth);
    Some(Prediction {
        precision,
        floor_s,
        roofline_s: compute_bound_s + bandwidth_bound_s,
        compute_bound_s,
        bandwidth_bound_s,
        ridge: peak / bandwidth,
        layers,
    })
}
