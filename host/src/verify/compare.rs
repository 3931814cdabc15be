//! Two tensors that should be one.

use serde::Serialize;

/// How far a tensor of the exported network is from the native one's.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Comparison {
    /// The output or stage.
    pub name: String,
    /// Values compared.
    pub values: usize,
    /// Largest magnitude expected.
    pub scale: f64,
    /// Largest error; infinite where a value of either side is not a finite number.
    pub error: f64,
    /// Root mean square of the errors, as a share of that of the expected values.
    pub rms: f64,
    /// The value with the largest error: row-major position, found, expected.
    pub worst: (usize, f32, f32),
    /// For logits: whether the most likely class is the same.
    pub labels: Option<Labels>,
}

/// The most likely class of every voxel.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Labels {
    /// Voxels.
    pub voxels: usize,
    /// Those where both networks say the same class.
    pub equal: usize,
    /// Of the others, the widest margin: how far the native network's first class is above its
    /// second. Errors smaller than half of it could not have changed the class.
    pub widest_margin: f64,
}

impl Comparison {
    /// Compares `found` with `expected`, tensors of one length; `classes` is the extent of the first
    /// axis where that axis holds the logits of classes.
    ///
    /// # Panics
    /// If the lengths differ.
    pub fn new(name: &str, found: &[f32], expected: &[f32], classes: Option<usize>) -> Self {
        assert_eq!(found.len(), expected.len(), "{name}");
        let (mut scale, mut error) = (0.0_f64, 0.0_f64);
        let (mut error_power, mut power) = (0.0, 0.0);
        let first = |values: &[f32]| values.first().copied().unwrap_or_default();
        let mut worst = (0, first(found), first(expected));
        for (index, (&found, &expected)) in found.iter().zip(expected).enumerate() {
            let difference = (f64::from(found) - f64::from(expected)).abs();
            let difference = if difference.is_finite() { difference } else { f64::INFINITY };
            if difference > error {
                error = difference;
                worst = (index, found, expected);
            }
            scale = scale.max(f64::from(expected).abs());
            error_power += difference * difference;
            power += f64::from(expected).powi(2);
        }
        let rms = share(error_power.sqrt(), power.sqrt());
        let labels = classes.map(|classes| Labels::new(found, expected, classes));
        Self { name: name.into(), values: found.len(), scale, error, rms, worst, labels }
    }

    /// The largest error as a share of the largest magnitude expected.
    pub fn relative(&self) -> f64 {
        share(self.error, self.scale)
    }
}

impl Labels {
    fn new(found: &[f32], expected: &[f32], classes: usize) -> Self {
        let voxels = found.len() / classes.max(1);
        let mut labels = Self { voxels, equal: 0, widest_margin: 0.0 };
        for voxel in 0..voxels {
            let (class, _) = first_and_margin(found, voxels, voxel);
            let (native, margin) = first_and_margin(expected, voxels, voxel);
            if class == native {
                labels.equal += 1;
            } else {
                labels.widest_margin = labels.widest_margin.max(margin);
            }
        }
        labels
    }
}

/// The first class with the largest of a voxel's logits [C, N], and how far it is above the next.
fn first_and_margin(logits: &[f32], voxels: usize, voxel: usize) -> (usize, f64) {
    let (mut class, mut largest, mut second) = (0, f32::NEG_INFINITY, f32::NEG_INFINITY);
    for (index, &logit) in logits.iter().skip(voxel).step_by(voxels).enumerate() {
        if logit > largest {
            (class, second, largest) = (index, largest, logit);
        } else if logit > second {
            second = logit;
        }
    }
    (class, f64::from(largest) - f64::from(second))
}

/// Nothing of nothing is nothing.
fn share(part: f64, whole: f64) -> f64 {
    if part == 0.0 { 0.0 } else { part / whole }
}
