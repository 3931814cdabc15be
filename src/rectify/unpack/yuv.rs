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

use super::super::normalise::{Normaliser, multiply_add};
use super::Line;
use crate::capture::{YuvEncoding, YuvMatrix, YuvRange};
use occdepth_cuda::YuvCoefficients;

/// Codes to normalised colours.
#[derive(Clone, Copy, Debug)]
pub(super) struct YuvToRgb {
    red: Colour,
    green: Colour,
    blue: Colour,
}

/// `clamp(luma * Y + u * U + v * V + offset, black, white)`, normalised.
#[derive(Clone, Copy, Debug)]
struct Colour {
    luma: f32,
    u: f32,
    v: f32,
    offset: f32,
    black: f32,
    white: f32,
}

impl YuvToRgb {
    pub(super) fn new(encoding: YuvEncoding, normaliser: &Normaliser) -> Self {
        let (kr, kb) = match encoding.matrix {
            YuvMatrix::Bt601 => (0.299, 0.114),
            YuvMatrix::Bt709 => (0.2126, 0.0722),
        };
        let kg = 1.0 - kr - kb;
        let (luma, chroma, black) = match encoding.range {
            YuvRange::Limited => (1.0 / 219.0, 1.0 / 224.0, 16.0),
            YuvRange::Full => (1.0 / 255.0, 1.0 / 255.0, 0.0),
        };
        let (u, v) = (2.0 * (1.0 - kb) * chroma, 2.0 * (1.0 - kr) * chroma);
        let colour = |channel, u: f64, v: f64| {
            let offset = -(luma * black + (u + v) * 128.0);
            let ([luma, u, v], offset) = normaliser.form(channel, [luma, u, v], offset);
            let [black, white] = [0.0, 1.0].map(|level| normaliser.form(channel, [], level).1);
            Colour { luma, u, v, offset, black, white }
        };
        Self {
            red: colour(0, 0.0, v),
            green: colour(1, -u * kb / kg, -v * kr / kg),
            blue: colour(2, u, 0.0),
        }
    }

    /// By colour, for the kernel that does the same on a GPU.
    pub(in crate::rectify) fn coefficients(&self) -> [YuvCoefficients; 3] {
        [self.red, self.green, self.blue].map(|colour| {
            let Colour { luma, u, v, offset, black, white } = colour;
            YuvCoefficients { luma, u, v, offset, black, white }
        })
    }

    /// 4 bytes for two neighbours, which share their chroma; LUMA is the position of the first luma (0: Y0 U Y1 V,
    /// 1: U Y0 V Y1).
    #[inline(always)]
    pub(super) fn unpack_packed<const FUSED: bool, const LUMA: usize>(
        &self,
        row: &[u8],
        line: &mut Line,
    ) {
        let pairs = row.as_chunks::<4>().0.iter();
        let codes = pairs.map(|quad| {
            let quad = quad.map(f32::from);
            [quad[LUMA], quad[2 + LUMA], quad[1 - LUMA], quad[3 - LUMA]]
        });
        self.pairs::<FUSED>(codes, line);
    }

    /// A row of luma, and a row of U V pairs that each serve two neighbours.
    #[inline(always)]
    pub(super) fn unpack_semi_planar<const FUSED: bool>(
        &self,
        luma: &[u8],
        chroma: &[u8],
        line: &mut Line,
    ) {
        let pairs = luma.as_chunks::<2>().0.iter().zip(chroma.as_chunks::<2>().0);
        self.pairs::<FUSED>(pairs.map(|(y, c)| [y[0], y[1], c[0], c[1]].map(f32::from)), line);
    }

    /// Both luma codes, U and V of each two neighbours.
    #[inline(always)]
    fn pairs<const FUSED: bool>(&self, codes: impl Iterator<Item = [f32; 4]>, line: &mut Line) {
        let (red, green) = (line.red.as_chunks_mut::<2>().0, line.green.as_chunks_mut::<2>().0);
        let out = red.iter_mut().zip(green).zip(line.blue.as_chunks_mut::<2>().0);
        for (((red, green), blue), [first, second, u, v]) in out.zip(codes) {
            let of_red = multiply_add::<FUSED>(v, self.red.v, self.red.offset);
            let of_green = multiply_add::<FUSED>(u, self.green.u, self.green.offset);
            let of_green = multiply_add::<FUSED>(v, self.green.v, of_green);
            let of_blue = multiply_add::<FUSED>(u, self.blue.u, self.blue.offset);
            *red = [first, second].map(|luma| self.red.with::<FUSED>(luma, of_red));
            *green = [first, second].map(|luma| self.green.with::<FUSED>(luma, of_green));
            *blue = [first, second].map(|luma| self.blue.with::<FUSED>(luma, of_blue));
        }
    }
}

impl Colour {
    /// The colour of a pixel; `chroma`: what chroma and the offsets add to it.
    #[inline(always)]
    fn with<const FUSED: bool>(&self, luma: f32, chroma: f32) -> f32 {
        let value = multiply_add::<FUSED>(luma, self.luma, chroma);
        // Comparisons become single instructions, which `f32::clamp` (it keeps NaN) does not; nothing here is NaN.
        let value = if value > self.black { value } else { self.black };
        if value < self.white { value } else { self.white }
    }
}
