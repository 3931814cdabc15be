//! Linear resampling of maps, as products with constant matrices: their gradients exist on every
//! backend.

use burn::tensor::{Device, Tensor, TensorData};

/// Where the samples of an axis lie when its number changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Alignment {
    /// The first and the last sample keep their places (`align_corners = true`).
    Corners,
    /// Samples are the middles of equal areas; beyond the outermost ones the edge continues
    /// (`align_corners = false`).
    Areas,
}

/// Bilinear resampling of [N, C, h, w] to [N, C, height, width].
pub(super) fn resample(
    x: Tensor<4>,
    height: usize,
    width: usize,
    alignment: Alignment,
) -> Tensor<4> {
    let [_, _, rows, columns] = x.dims();
    let device = x.device();
    let down = interpolation(height, rows, alignment, &device).unsqueeze();
    let across = interpolation(width, columns, alignment, &device).transpose().unsqueeze();
    down.matmul(x).matmul(across)
}

/// The matrix [to, from] of linear interpolation between `from` samples.
fn interpolation(to: usize, from: usize, alignment: Alignment, device: &Device) -> Tensor<2> {
    let mut values = vec![0.0_f32; to * from];
    let (step, first) = match alignment {
        Alignment::Corners if to > 1 => ((from - 1) as f64 / (to - 1) as f64, 0.0),
        Alignment::Corners => (0.0, 0.0),
        Alignment::Areas => {
            let step = from as f64 / to as f64;
            (step, 0.5 * step - 0.5)
        }
    };
    for (row, values) in values.chunks_exact_mut(from).enumerate() {
        let position = (first + row as f64 * step).max(0.0);
        #[allow(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a position between 0 and from"
        )]
        let left = (position as usize).min(from - 1);
        #[allow(clippy::cast_possible_truncation, reason = "a fraction, rounded to f32")]
        let share = (position - left as f64) as f32;
        if left + 1 < from {
            values[left] += 1.0 - share;
            values[left + 1] += share;
        } else {
            values[left] = 1.0;
        }
    }
    Tensor::from_data(TensorData::new(values, [to, from]), device)
}
