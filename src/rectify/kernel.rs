//! The inner loops.
//!
//! Destination pixels go through a block of [`BLOCK`] sums per channel that never leaves the first
//! cache: gathering source bytes is scalar work, everything after it (to float, to RGB, to
//! normalised planes) runs on whole vectors.
#![expect(clippy::inline_always, reason = "the inner loop; a call per pixel would double its time")]
#![expect(clippy::needless_range_loop, reason = "an index runs over pixels of several channels")]

use super::{
    RectifyError,
    pixels::Samples,
    table::{FRACTION_BITS, Kind, SampleTable, Tap},
};
use occdepth_contract::Normalisation;
use occdepth_geometry::ImageSize;

/// `(x / 255 - mean) / std` per channel, as one multiplication and one addition.
#[derive(Clone, Copy, Debug)]
pub(super) struct Normaliser {
    scale: [f32; 3],
    offset: [f32; 3],
}

impl Normaliser {
    pub(super) fn new(normalisation: &Normalisation) -> Result<Self, RectifyError> {
        let mut this = Self { scale: [0.0; 3], offset: [0.0; 3] };
        for channel in 0..3 {
            let (mean, std) = (normalisation.mean[channel], normalisation.std[channel]);
            if !(mean.is_finite() && std.is_finite() && std > 0.0) {
                return Err(RectifyError::Normalisation { channel, mean, std });
            }
            #[expect(clippy::cast_possible_truncation, reason = "rounds to the nearest f32")]
            let (scale, offset) = (
                (1.0 / (255.0 * f64::from(std))) as f32,
                (-f64::from(mean) / f64::from(std)) as f32,
            );
            (this.scale[channel], this.offset[channel]) = (scale, offset);
        }
        Ok(this)
    }
}

/// Fills `planes` ([3, H, W]) with the pixels that `table` names.
pub(super) fn remap<const C: usize, S: Samples<C>>(
    samples: &S,
    table: &SampleTable,
    normaliser: &Normaliser,
    planes: &mut [f32],
) {
    let mut planes = Planes::new(planes, *normaliser);
    let mut block = [[0; BLOCK]; C];
    let mut taps = table.taps.as_slice();
    let mut first = 0;
    for run in &table.runs {
        let end = first + run.pixels;
        let of_run = match run.kind {
            Kind::Outside => {
                planes.fill_black(first..end);
                first = end;
                continue;
            }
            Kind::Inside | Kind::Border => {
                let (of_run, rest) = taps.split_at(run.pixels);
                taps = rest;
                of_run
            }
        };
        for chunk in of_run.chunks(BLOCK) {
            if run.kind == Kind::Inside {
                for (i, &tap) in chunk.iter().enumerate() {
                    let sums = inside(samples, tap);
                    for c in 0..C {
                        block[c][i] = sums[c];
                    }
                }
            } else {
                for (i, &tap) in chunk.iter().enumerate() {
                    let sums = border(samples, tap);
                    for c in 0..C {
                        block[c][i] = sums[c];
                    }
                }
            }
            planes.write::<C, S>(first, &block, chunk.len());
            first += chunk.len();
        }
    }
}

/// Fills `planes` ([3, H, W]) with the top-left corner of the image.
pub(super) fn crop<const C: usize, S: Samples<C>>(
    samples: &S,
    output: ImageSize,
    normaliser: &Normaliser,
    planes: &mut [f32],
) {
    let (width, height) = (output.width as usize, output.height as usize);
    let mut planes = Planes::new(planes, *normaliser);
    let mut block = [[0; BLOCK]; C];
    for y in 0..height {
        for first in (0..width).step_by(BLOCK) {
            let pixels = BLOCK.min(width - first);
            for i in 0..pixels {
                let channels = samples.pixel(first + i, y);
                for c in 0..C {
                    block[c][i] = i32::from(channels[c]) << FRACTION_BITS;
                }
            }
            planes.write::<C, S>(y * width + first, &block, pixels);
        }
    }
}

/// Four taps in the image: the weighted sum per channel, times 65536.
#[inline(always)]
fn inside<const C: usize>(samples: &impl Samples<C>, tap: Tap) -> [i32; C] {
    let (x, y) = (tap.x.cast_unsigned().into(), tap.y.cast_unsigned().into()); // not negative
    weigh(tap, [samples.pair(x, y), samples.pair(x, y + 1)])
}

/// As [`inside`], with black for taps that the image does not have.
fn border<const C: usize, S: Samples<C>>(samples: &S, tap: Tap) -> [i32; C] {
    let ImageSize { width, height } = samples.size();
    let at = |dx: i32, dy: i32| {
        let (x, y) = (i32::from(tap.x) + dx, i32::from(tap.y) + dy);
        match (u32::try_from(x), u32::try_from(y)) {
            (Ok(x), Ok(y)) if x < width && y < height => samples.pixel(x as usize, y as usize),
            _ => S::BLACK,
        }
    };
    weigh(tap, [[at(0, 0), at(1, 0)], [at(0, 1), at(1, 1)]])
}

/// The bilinear sum of taps `[row][column][channel]`, times 65536: the four weights add up to
/// exactly that, so a sum is below 2^24 and exact as f32.
#[inline(always)]
fn weigh<const C: usize>(tap: Tap, taps: [[[u8; C]; 2]; 2]) -> [i32; C] {
    let (right, down) = (u32::from(tap.right), u32::from(tap.down));
    let w11 = (right * down + ONE / 2) >> FRACTION_BITS; // (2^16 - 1)^2 + 2^15 is below 2^32
    let [w00, w01, w10, w11] =
        [ONE + w11 - right - down, right - w11, down - w11, w11].map(u32::cast_signed);
    std::array::from_fn(|c| {
        w00 * i32::from(taps[0][0][c])
            + w01 * i32::from(taps[0][1][c])
            + w10 * i32::from(taps[1][0][c])
            + w11 * i32::from(taps[1][1][c])
    })
}

/// The output planes.
struct Planes<'a> {
    planes: [&'a mut [f32]; 3],
    normaliser: Normaliser,
}

impl<'a> Planes<'a> {
    fn new(planes: &'a mut [f32], normaliser: Normaliser) -> Self {
        let pixels = planes.len() / 3;
        let (red, rest) = planes.split_at_mut(pixels);
        let (green, blue) = rest.split_at_mut(pixels);
        Self { planes: [red, green, blue], normaliser }
    }

    /// Converts the first `pixels` sums of `block` to the pixels from `first`.
    #[inline(always)]
    fn write<const C: usize, S: Samples<C>>(
        &mut self,
        first: usize,
        block: &[[i32; BLOCK]; C],
        pixels: usize,
    ) {
        let Normaliser { scale, offset } = self.normaliser;
        let [red, green, blue] =
            self.planes.each_mut().map(|plane| &mut plane[first..first + pixels]);
        let block = block.each_ref().map(|channel| &channel[..pixels]);
        for (i, ((red, green), blue)) in
            red.iter_mut().zip(green.iter_mut()).zip(blue.iter_mut()).enumerate()
        {
            let channels = std::array::from_fn(|c| block[c][i] as f32 * (1.0 / ONE as f32));
            let rgb = S::rgb(channels);
            *red = rgb[0] * scale[0] + offset[0];
            *green = rgb[1] * scale[1] + offset[1];
            *blue = rgb[2] * scale[2] + offset[2];
        }
    }

    fn fill_black(&mut self, pixels: std::ops::Range<usize>) {
        for (plane, offset) in self.planes.iter_mut().zip(self.normaliser.offset) {
            plane[pixels.clone()].fill(offset);
        }
    }
}

/// Destination pixels per block.
const BLOCK: usize = 64;
/// The sum of the four weights.
const ONE: u32 = 1 << FRACTION_BITS;
