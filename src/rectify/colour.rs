//! From interpolated channels to normalised planes: one affine map, whatever the camera speaks.

use super::RectifyError;
use crate::capture::{PixelFormat, YuvEncoding, YuvRange};
use occdepth_contract::Normalisation;

/// `plane[p] = clamp(sum over c of factors[p][c] * channel[c] + offset[p], black[p], white[p])`.
#[derive(Clone, Copy, Debug)]
pub(super) struct ColourMatrix {
    pub(super) factors: [[f32; 3]; 3],
    pub(super) offset: [f32; 3],
    pub(super) black: [f32; 3],
    pub(super) white: [f32; 3],
}

impl ColourMatrix {
    /// The colour of the channels of `format`, from 0 to 1 where the camera's black and white are,
    /// normalised: `(x - mean) / std`.
    #[expect(clippy::cast_possible_truncation, reason = "rounds to the nearest f32, once")]
    pub(super) fn new(
        format: PixelFormat,
        colour: YuvEncoding,
        normalisation: &Normalisation,
    ) -> Result<Self, RectifyError> {
        let (matrix, constant) = channels_to_rgb(format, colour);
        let mut this =
            Self { factors: [[0.0; 3]; 3], offset: [0.0; 3], black: [0.0; 3], white: [0.0; 3] };
        for channel in 0..3 {
            let (mean, std) = (normalisation.mean[channel], normalisation.std[channel]);
            if !(mean.is_finite() && std.is_finite() && std > 0.0) {
                return Err(RectifyError::Normalisation { channel, mean, std });
            }
            let (mean, std) = (f64::from(mean), f64::from(std));
            this.factors[channel] = matrix[channel].map(|factor| (factor / std) as f32);
            this.offset[channel] = ((constant[channel] - mean) / std) as f32;
            this.black[channel] = (-mean / std) as f32;
            this.white[channel] = ((1.0 - mean) / std) as f32;
        }
        Ok(this)
    }
}

/// A matrix (rows are red, green, blue) and a constant.
fn channels_to_rgb(format: PixelFormat, colour: YuvEncoding) -> ([[f64; 3]; 3], [f64; 3]) {
    let diagonal = |white: f64| {
        let scale = 1.0 / white;
        ([[scale, 0.0, 0.0], [0.0, scale, 0.0], [0.0, 0.0, scale]], [0.0; 3])
    };
    let grey = |white: f64| ([[1.0 / white, 0.0, 0.0]; 3], [0.0; 3]);
    match format {
        PixelFormat::Rgb8 | PixelFormat::Bgr8 => diagonal(255.0),
        PixelFormat::Grey8 => grey(255.0),
        PixelFormat::Grey10 => grey(1023.0),
        PixelFormat::Grey16 => grey(65_535.0),
        // Sums of four: see `rows`.
        PixelFormat::Bayer8(_) => diagonal(4.0 * 255.0),
        PixelFormat::Bayer10(_) => diagonal(4.0 * 1023.0),
        PixelFormat::Bayer12(_) => diagonal(4.0 * 4095.0),
        PixelFormat::Yuyv | PixelFormat::Uyvy | PixelFormat::Nv12 => yuv_to_rgb(colour),
    }
}

/// The inverse of the definition of Y, U and V, see [`YuvEncoding`].
fn yuv_to_rgb(colour: YuvEncoding) -> ([[f64; 3]; 3], [f64; 3]) {
    let [kr, kb] = colour.matrix.weights();
    let kg = 1.0 - kr - kb;
    let (luma_codes, chroma_codes) = match colour.range {
        YuvRange::Limited => (219.0, 224.0),
        YuvRange::Full => (255.0, 255.0),
    };
    let (y, u, v) = (
        1.0 / luma_codes,
        2.0 * (1.0 - kb) / chroma_codes, // blue minus luma
        2.0 * (1.0 - kr) / chroma_codes, // red minus luma
    );
    let matrix = [[y, 0.0, v], [y, -u * kb / kg, -v * kr / kg], [y, u, 0.0]];
    let [black, grey, _] = black_codes(colour.range).map(f64::from);
    let constant = matrix.map(|[y, u, v]| -(y * black + (u + v) * grey));
    (matrix, constant)
}

/// Y, U and V of black.
pub(super) fn black_codes(range: YuvRange) -> [u8; 3] {
    match range {
        YuvRange::Limited => [16, 128, 128],
        YuvRange::Full => [0, 128, 128],
    }
}
