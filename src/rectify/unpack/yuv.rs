//! Luma and chroma to red, green and blue.
//!
//! With Kr, Kg = 1 - Kr - Kb and Kb the weights of the colours in luma (ITU-R BT.601-7 and BT.709-6, both in their
//! sections on the derivation of luminance and colour-difference signals), luma Y and chroma U, V on their full scale:
//!
//! ```text
//! R = Y + 2 (1 - Kr) V
//! G = Y - 2 (1 - Kb) Kb / Kg U - 2 (1 - Kr) Kr / Kg V
//! B = Y + 2 (1 - Kb) U
//! ```
//!
//! Limited range has luma 16 to 235 and chroma 16 to 240; full range (JPEG, JFIF 1.02) uses all codes. Either has its
//! chroma around 128.
#![expect(clippy::inline_always, reason = "compiled for the instructions chosen at dispatch")]

use super::{Pixel, STEPS_PER_LEVEL, WHITE};
use crate::capture::{YuvEncoding, YuvMatrix, YuvRange};

/// Factors in fixed point: a [`Pixel`]'s steps for one code, times 2^[`BITS`].
#[derive(Clone, Copy, Debug)]
pub(super) struct YuvToRgb {
    luma: i32,
    red_v: i32,
    green_u: i32,
    green_v: i32,
    blue_u: i32,
    /// What the offsets of luma and chroma add to red, green and blue, and half a step for rounding.
    offset: [i32; 3],
}

impl YuvToRgb {
    pub(super) fn new(encoding: YuvEncoding) -> Self {
        let (kr, kb) = match encoding.matrix {
            YuvMatrix::Bt601 => (0.299, 0.114),
            YuvMatrix::Bt709 => (0.2126, 0.0722),
        };
        let kg = 1.0 - kr - kb;
        let (luma, chroma, black) = match encoding.range {
            YuvRange::Limited => (255.0 / 219.0, 255.0 / 224.0, 16),
            YuvRange::Full => (1.0, 1.0, 0),
        };
        #[expect(clippy::cast_possible_truncation, reason = "below 2^31: at most 2.2 * 128 * 2^15")]
        let fixed = |factor: f64| {
            (factor * f64::from(STEPS_PER_LEVEL) * f64::from(1 << BITS)).round() as i32
        };
        let luma = fixed(luma);
        let red_v = fixed(2.0 * (1.0 - kr) * chroma);
        let green_u = fixed(2.0 * (1.0 - kb) * kb / kg * chroma);
        let green_v = fixed(2.0 * (1.0 - kr) * kr / kg * chroma);
        let blue_u = fixed(2.0 * (1.0 - kb) * chroma);
        let base = (1 << (BITS - 1)) - black * luma;
        let offset = [base - 128 * red_v, base + 128 * (green_u + green_v), base - 128 * blue_u];
        Self { luma, red_v, green_u, green_v, blue_u, offset }
    }

    /// 4 bytes for two neighbours, which share their chroma; LUMA is the position of the first luma (0: Y0 U Y1 V,
    /// 1: U Y0 V Y1).
    #[inline(always)]
    pub(super) fn unpack_packed<const LUMA: usize>(&self, row: &[u8], out: &mut [Pixel]) {
        for (two, q) in out.as_chunks_mut::<2>().0.iter_mut().zip(row.as_chunks::<4>().0) {
            let chroma = self.chroma(q[1 - LUMA], q[3 - LUMA]);
            *two = [self.pixel(q[LUMA], chroma), self.pixel(q[2 + LUMA], chroma)];
        }
    }

    /// A row of luma, and a row of U V pairs that each serve two neighbours.
    #[inline(always)]
    pub(super) fn unpack_semi_planar(&self, luma: &[u8], chroma: &[u8], out: &mut [Pixel]) {
        let pairs = luma.as_chunks::<2>().0.iter().zip(chroma.as_chunks::<2>().0);
        for (two, (y, &[u, v])) in out.as_chunks_mut::<2>().0.iter_mut().zip(pairs) {
            let chroma = self.chroma(u, v);
            *two = [self.pixel(y[0], chroma), self.pixel(y[1], chroma)];
        }
    }

    /// What chroma and all offsets add to each colour.
    #[inline(always)]
    fn chroma(&self, u: u8, v: u8) -> [i32; 3] {
        let (u, v) = (i32::from(u), i32::from(v));
        [
            self.offset[0] + self.red_v * v,
            self.offset[1] - self.green_u * u - self.green_v * v,
            self.offset[2] + self.blue_u * u,
        ]
    }

    #[inline(always)]
    fn pixel(&self, luma: u8, chroma: [i32; 3]) -> Pixel {
        let luma = self.luma * i32::from(luma);
        #[expect(clippy::cast_possible_truncation, reason = "clamped to 0..=WHITE")]
        let colour = |c: i32| ((luma + c) >> BITS).clamp(0, WHITE.into()) as i16;
        [colour(chroma[0]), colour(chroma[1]), colour(chroma[2]), 0]
    }
}

/// Of a factor's fraction. A factor is then within 2^-16 steps of its value: summed over 8-bit codes 0.01 steps.
/// Sums stay below 2^31: 255 * 128 * 2^15 * (1.2 + 2.2).
const BITS: u32 = 14;
