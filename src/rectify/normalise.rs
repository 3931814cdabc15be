//! Normalisation as one multiplication and one addition, which unpacking does on the way.
#![expect(clippy::inline_always, reason = "compiled for the instructions chosen at dispatch")]

use super::RectifyError;
use occdepth_contract::Normalisation;

/// What a network asks of red, green and blue, checked.
#[derive(Clone, Copy, Debug)]
pub(super) struct Normaliser {
    mean: [f64; 3],
    std: [f64; 3],
}

impl Normaliser {
    pub(super) fn new(normalisation: &Normalisation) -> Result<Self, RectifyError> {
        for channel in 0..3 {
            let (mean, std) = (normalisation.mean[channel], normalisation.std[channel]);
            if !(mean.is_finite() && std.is_finite() && std > 0.0) {
                return Err(RectifyError::Normalisation { channel, mean, std });
            }
        }
        Ok(Self { mean: normalisation.mean.map(f64::from), std: normalisation.std.map(f64::from) })
    }

    /// Of a linear form of a pixel's samples, whose value is 0 for black and 1 for white: factors and constant, so that
    /// the form's value comes out normalised.
    #[expect(clippy::cast_possible_truncation, reason = "rounds to the nearest f32, once")]
    pub(super) fn form<const N: usize>(
        &self,
        channel: usize,
        factors: [f64; N],
        constant: f64,
    ) -> ([f32; N], f32) {
        let (mean, std) = (self.mean[channel], self.std[channel]);
        (factors.map(|factor| (factor / std) as f32), ((constant - mean) / std) as f32)
    }

    /// Normalises samples whose white is `white`.
    pub(super) fn affine(&self, white: f64) -> Affine {
        let mut this = Affine { scale: [0.0; 3], offset: [0.0; 3] };
        for channel in 0..3 {
            ([this.scale[channel]], this.offset[channel]) = self.form(channel, [1.0 / white], 0.0);
        }
        this
    }
}

/// `scale * sample + offset`, by channel.
#[derive(Clone, Copy, Debug)]
pub(super) struct Affine {
    scale: [f32; 3],
    offset: [f32; 3],
}

impl Affine {
    /// Scale and offset by channel.
    pub(super) fn factors(&self) -> ([f32; 3], [f32; 3]) {
        (self.scale, self.offset)
    }

    #[inline(always)]
    pub(super) fn apply<const FUSED: bool>(&self, channel: usize, sample: f32) -> f32 {
        multiply_add::<FUSED>(sample, self.scale[channel], self.offset[channel])
    }
}

/// `a * b + c`. FUSED: by one instruction, which only some machines have; elsewhere it would be a slow call.
#[inline(always)]
pub(super) fn multiply_add<const FUSED: bool>(a: f32, b: f32, c: f32) -> f32 {
    if FUSED { a.mul_add(b, c) } else { a * b + c }
}
