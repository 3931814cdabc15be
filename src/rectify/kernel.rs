//! The inner loops.
//!
//! Written as plain loops over small arrays, which the compiler turns into vector code; `rten-simd` only chooses, once per
//! call, for which instructions they were compiled (AVX2, AVX-512, NEON, or what every machine has).
#![expect(clippy::inline_always, reason = "compiled for the instructions chosen at dispatch")]

use super::RectifyError;
use super::table::{Kind, SampleTable, Tap};
use super::unpack::{Canvas, Pixel, STEPS_PER_LEVEL, Unpacker};
use crate::capture::Image;
use occdepth_contract::Normalisation;
use occdepth_geometry::ImageSize;
use rten_simd::ops::BitOps as _;
use rten_simd::{Isa, SimdOp};

/// `(x / 255 - mean) / std` per channel, as one multiplication and one addition.
#[derive(Clone, Copy, Debug)]
pub(super) struct Normaliser {
    /// For a [`Pixel`]'s steps.
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
                (1.0 / (255.0 * f64::from(STEPS_PER_LEVEL) * f64::from(std))) as f32,
                (-f64::from(mean) / f64::from(std)) as f32,
            );
            (this.scale[channel], this.offset[channel]) = (scale, offset);
        }
        Ok(this)
    }
}

/// Fills `planes` ([3, H, W]) with the pixels of `image` that `table` names.
pub(super) struct Remap<'a> {
    pub(super) image: &'a Image<'a>,
    pub(super) unpacker: &'a Unpacker,
    pub(super) canvas: &'a mut Canvas,
    pub(super) table: &'a SampleTable,
    pub(super) normaliser: &'a Normaliser,
    pub(super) planes: &'a mut [f32],
}

impl SimdOp for Remap<'_> {
    type Output = ();

    #[inline(always)]
    fn eval<I: Isa>(self, isa: I) {
        let Self { image, unpacker, canvas, table, normaliser, planes } = self;
        let fused = has_fused_multiply_add(isa);
        let mut planes = Planes::new(planes, *normaliser);
        let mut taps = table.taps.as_slice();
        let mut first = 0;
        // The rows that are in the canvas.
        let mut unpacked = 0..0;
        for run in &table.runs {
            if run.kind == Kind::Outside {
                planes.fill_black(first, run.pixels);
                first += run.pixels;
                continue;
            }
            if unpacked.is_empty() {
                unpacked = run.rows.start..run.rows.start;
            }
            // Neighbouring rows of the destination show neighbouring rows of the source: what is unpacked is close to
            // what is read, in time and so in the caches.
            if run.rows.start < unpacked.start {
                unpacker.unpack(image, run.rows.start..unpacked.start, canvas);
                unpacked.start = run.rows.start;
            }
            if run.rows.end > unpacked.end {
                unpacker.unpack(image, unpacked.end..run.rows.end, canvas);
                unpacked.end = run.rows.end;
            }
            let (of_run, rest) = taps.split_at(run.pixels);
            taps = rest;
            if fused {
                interpolate::<true>(canvas, of_run, first, &mut planes);
            } else {
                interpolate::<false>(canvas, of_run, first, &mut planes);
            }
            first += run.pixels;
        }
    }
}

/// Fills `planes` ([3, H, W]) with the top-left corner of `image`.
pub(super) struct Straight<'a> {
    pub(super) image: &'a Image<'a>,
    pub(super) unpacker: &'a Unpacker,
    pub(super) canvas: &'a mut Canvas,
    pub(super) output: ImageSize,
    pub(super) normaliser: &'a Normaliser,
    pub(super) planes: &'a mut [f32],
}

impl SimdOp for Straight<'_> {
    type Output = ();

    #[inline(always)]
    fn eval<I: Isa>(self, isa: I) {
        let Self { image, unpacker, canvas, output, normaliser, planes } = self;
        let fused = has_fused_multiply_add(isa);
        let (width, height) = (output.width as usize, output.height as usize);
        let mut planes = Planes::new(planes, *normaliser);
        for y in 0..height {
            unpacker.unpack(image, y..y + 1, canvas);
            let row = &canvas.row(y)[..width];
            let row = row.iter().map(|p| [p[0], p[1], p[2]].map(f32::from));
            if fused {
                planes.write::<true>(y * width, row);
            } else {
                planes.write::<false>(y * width, row);
            }
        }
    }
}

/// Known while compiling: `rten-simd` asks for FMA before it uses vectors of eight, and NEON always has it.
#[inline(always)]
fn has_fused_multiply_add(isa: impl Isa) -> bool {
    isa.f32().len() >= 8 || cfg!(target_arch = "aarch64")
}

/// The pixels of `taps` into the planes from `first` on.
///
/// In two steps, so that each works on whole vectors: between the rows, on the two columns' eight channels of one pixel
/// at once; then between the columns, on one channel of many pixels at once.
#[inline(always)]
fn interpolate<const FUSED: bool>(
    canvas: &Canvas,
    taps: &[Tap],
    first: usize,
    planes: &mut Planes<'_>,
) {
    let stride = canvas.stride();
    let (pixels, below) = (canvas.pixels(), &canvas.pixels()[stride..]);
    let mut columns = [[0.0; 8]; BLOCK];
    let (mut rights, mut downs) = ([0.0; BLOCK], [0.0; BLOCK]);
    for (index, chunk) in taps.chunks(BLOCK).enumerate() {
        for ((right, down), tap) in rights.iter_mut().zip(&mut downs).zip(chunk) {
            *right = f32::from(tap.right) * PER_STEP;
            *down = f32::from(tap.down) * PER_STEP;
        }
        for ((columns, tap), &down) in columns.iter_mut().zip(chunk).zip(&downs) {
            let at = tap.at as usize;
            let (upper, lower) = (two(pixels, at), two(below, at));
            for c in 0..8 {
                columns[c] = between::<FUSED>(upper[c], lower[c], down);
            }
        }
        let shown = columns[..chunk.len()].iter().zip(&rights);
        planes.write::<FUSED>(
            first + index * BLOCK,
            shown.map(|(columns, &right)| {
                [0, 1, 2].map(|c| between::<FUSED>(columns[c], columns[c + 4], right))
            }),
        );
    }
}

/// Two neighbours of a row.
#[inline(always)]
fn two(pixels: &[Pixel], at: usize) -> [f32; 8] {
    let two: &[i16; 8] =
        pixels.as_flattened()[4 * at..].first_chunk().expect("taps lie inside the frame");
    two.map(f32::from)
}

#[inline(always)]
fn between<const FUSED: bool>(a: f32, b: f32, share: f32) -> f32 {
    multiply_add::<FUSED>(b - a, share, a)
}

/// `a * b + c`. FUSED: by one instruction, which only some machines have; elsewhere it would be a slow call.
#[inline(always)]
fn multiply_add<const FUSED: bool>(a: f32, b: f32, c: f32) -> f32 {
    if FUSED { a.mul_add(b, c) } else { a * b + c }
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

    /// Normalises `pixels` into the planes from `first` on.
    #[inline(always)]
    fn write<const FUSED: bool>(
        &mut self,
        first: usize,
        pixels: impl ExactSizeIterator<Item = [f32; 3]>,
    ) {
        let Normaliser { scale, offset } = self.normaliser;
        let end = first + pixels.len();
        let [red, green, blue] = self.planes.each_mut().map(|plane| &mut plane[first..end]);
        let out = red.iter_mut().zip(green).zip(blue);
        for (((red, green), blue), pixel) in out.zip(pixels) {
            *red = multiply_add::<FUSED>(pixel[0], scale[0], offset[0]);
            *green = multiply_add::<FUSED>(pixel[1], scale[1], offset[1]);
            *blue = multiply_add::<FUSED>(pixel[2], scale[2], offset[2]);
        }
    }

    fn fill_black(&mut self, first: usize, pixels: usize) {
        for (plane, offset) in self.planes.iter_mut().zip(self.normaliser.offset) {
            plane[first..first + pixels].fill(offset);
        }
    }
}

/// Destination pixels per block, which stays in the first cache.
const BLOCK: usize = 64;
/// Of a [`Tap`]'s rest, in pixels.
const PER_STEP: f32 = 1.0 / 65536.0;
