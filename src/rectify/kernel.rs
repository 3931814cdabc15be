//! The inner loops.
//!
//! Written as plain loops over small arrays, which the compiler turns into vector code; `rten-simd` only chooses, once per
//! call, for which instructions they were compiled (AVX2, AVX-512, NEON, or what every machine has).
#![expect(clippy::inline_always, reason = "compiled for the instructions chosen at dispatch")]

use super::normalise::multiply_add;
use super::ring::{PIXEL, Ring, TWO_PIXELS};
use super::table::{Kind, Rest, SampleTable};
use super::unpack::{Line, Unpacker};
use crate::capture::Image;
use occdepth_geometry::ImageSize;
use rten_simd::ops::BitOps as _;
use rten_simd::{Isa, SimdOp};

/// Fills `planes` ([3, H, W]) with the pixels of `image` that `table` names.
pub(super) struct Remap<'a> {
    pub(super) image: &'a Image<'a>,
    pub(super) unpacker: &'a Unpacker,
    pub(super) ring: &'a mut Ring,
    pub(super) table: &'a SampleTable,
    pub(super) planes: &'a mut [f32],
}

impl SimdOp for Remap<'_> {
    type Output = ();

    #[inline(always)]
    fn eval<I: Isa>(self, isa: I) {
        if has_fused_multiply_add(isa) {
            self.run::<true>();
        } else {
            self.run::<false>();
        }
    }
}

impl Remap<'_> {
    #[inline(always)]
    fn run<const FUSED: bool>(self) {
        let Self { image, unpacker, ring, table, planes } = self;
        let mut planes = Planes::new(planes);
        let (mut offsets, mut rests) = (table.offsets.as_slice(), table.rests.as_slice());
        let mut first = 0;
        let mut next_row = table.first_row;
        for run in &table.runs {
            let out = planes.part(first, run.pixels);
            first += run.pixels;
            if run.kind == Kind::Outside {
                for (plane, black) in out.into_iter().zip(unpacker.black()) {
                    plane.fill(black);
                }
                continue;
            }
            while next_row < run.rows.end {
                ring.fill::<FUSED>(unpacker, image, next_row);
                next_row += 1;
            }
            let (offsets_of_run, rests_of_run);
            (offsets_of_run, offsets) = offsets.split_at(run.pixels);
            (rests_of_run, rests) = rests.split_at(run.pixels);
            interpolate::<FUSED>(ring, offsets_of_run, rests_of_run, out);
        }
    }
}

/// Fills `planes` ([3, H, W]) with the top-left corner of `image`.
pub(super) struct Straight<'a> {
    pub(super) image: &'a Image<'a>,
    pub(super) unpacker: &'a Unpacker,
    pub(super) line: &'a mut Line,
    pub(super) output: ImageSize,
    pub(super) planes: &'a mut [f32],
}

impl SimdOp for Straight<'_> {
    type Output = ();

    #[inline(always)]
    fn eval<I: Isa>(self, isa: I) {
        if has_fused_multiply_add(isa) {
            self.run::<true>();
        } else {
            self.run::<false>();
        }
    }
}

impl Straight<'_> {
    #[inline(always)]
    fn run<const FUSED: bool>(self) {
        let Self { image, unpacker, line, output, planes } = self;
        let (width, height) = (output.width as usize, output.height as usize);
        let mut planes = Planes::new(planes);
        for y in 0..height {
            unpacker.unpack::<FUSED>(image, y, line);
            let [red, green, blue] = planes.part(y * width, width);
            red.copy_from_slice(&line.red[..width]);
            green.copy_from_slice(&line.green[..width]);
            blue.copy_from_slice(&line.blue[..width]);
        }
    }
}

/// Known while compiling: `rten-simd` asks for FMA before it uses vectors of eight, and NEON always has it.
#[inline(always)]
fn has_fused_multiply_add(isa: impl Isa) -> bool {
    isa.f32().len() >= 8 || cfg!(target_arch = "aarch64")
}

/// The pixels at `offsets` and the `rests` beyond, into `out` (red, green, blue).
///
/// A pixel at a time, on its channels at once: between the rows, on both columns; then between the columns. The pixels of
/// a block go into the planes together, so that storing works on whole vectors.
#[inline(always)]
fn interpolate<const FUSED: bool>(
    ring: &Ring,
    offsets: &[u32],
    rests: &[Rest],
    out: [&mut [f32]; 3],
) {
    // Known to be small, so that no sum with it can overflow and ask for a check of its own.
    let (values, pitch) = (ring.values(), ring.pitch() as usize);
    let mut pixels = [[0.0; 4]; BLOCK];
    let (mut rights, mut downs) = ([0.0; BLOCK], [0.0; BLOCK]);
    let [red, green, blue] = out.map(|plane| plane.chunks_mut(BLOCK));
    let blocks = offsets.chunks(BLOCK).zip(rests.chunks(BLOCK));
    for ((((offsets, rests), red), green), blue) in blocks.zip(red).zip(green).zip(blue) {
        for ((right, down), rest) in rights.iter_mut().zip(&mut downs).zip(rests) {
            *right = f32::from(rest.right) * PER_STEP;
            *down = f32::from(rest.down) * PER_STEP;
        }
        let shares = rights.iter().zip(&downs);
        for ((pixel, &offset), (&right, &down)) in pixels.iter_mut().zip(offsets).zip(shares) {
            // One slice over both rows, so that its bounds are checked once.
            let at = offset as usize;
            let rows = &values[at..at + pitch + TWO_PIXELS];
            let upper: &[f32; TWO_PIXELS] = rows.first_chunk().expect("cut to hold it");
            let lower: &[f32; TWO_PIXELS] = rows[pitch..].first_chunk().expect("cut to hold it");
            let mut columns = [0.0; TWO_PIXELS];
            for i in 0..TWO_PIXELS {
                columns[i] = between::<FUSED>(upper[i], lower[i], down);
            }
            // The fourth value fills the vector.
            for c in 0..4 {
                pixel[c] = between::<FUSED>(columns[c], columns[c + PIXEL], right);
            }
        }
        for (((red, green), blue), pixel) in red.iter_mut().zip(green).zip(blue).zip(&pixels) {
            [*red, *green, *blue, _] = *pixel;
        }
    }
}

#[inline(always)]
fn between<const FUSED: bool>(a: f32, b: f32, share: f32) -> f32 {
    multiply_add::<FUSED>(b - a, share, a)
}

/// The output planes: red, green, blue.
struct Planes<'a>([&'a mut [f32]; 3]);

impl<'a> Planes<'a> {
    fn new(planes: &'a mut [f32]) -> Self {
        let pixels = planes.len() / 3;
        let (red, rest) = planes.split_at_mut(pixels);
        let (green, blue) = rest.split_at_mut(pixels);
        Self([red, green, blue])
    }

    /// `pixels` of each plane, from `first` on.
    #[inline(always)]
    fn part(&mut self, first: usize, pixels: usize) -> [&mut [f32]; 3] {
        self.0.each_mut().map(|plane| &mut plane[first..first + pixels])
    }
}

/// Destination pixels per block, which stays in the first cache.
const BLOCK: usize = 64;
/// Of a [`Rest`], in pixels.
const PER_STEP: f32 = 1.0 / 65536.0;
