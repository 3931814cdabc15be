//! The inner loops.
//!
//! Destination pixels go through blocks of [`BLOCK`] that never leave the first cache: the loads of
//! the four taps are scalar, everything after them runs on whole vectors.
#![expect(
    clippy::inline_always,
    reason = "instructions are chosen where an operation is dispatched: all of it has to be there"
)]

use super::{colour::ColourMatrix, rows::write_row, table::SampleTable};
use crate::capture::Image;
use occdepth_geometry::ImageSize;
use rten_simd::ops::{BitOps, IntOps, NumOps, ToFloat};
use rten_simd::{Isa, SimdOp};
use std::marker::PhantomData;

/// Destination pixels per block; a multiple of every vector's lanes.
pub(super) const BLOCK: usize = 64;

/// How a source pixel of C channels lies in a row of words (see [`super::rows`]). T words hold it
/// and its right neighbour.
pub(super) trait Layout<const T: usize, const C: usize> {
    /// Words from pixel to pixel.
    const WORDS: usize;

    /// Channels of the pixel and of its right neighbour, of vectors of each of the T words.
    fn channels<I: Isa>(isa: I, words: [I::I32; T]) -> [[I::F32; C]; 2];
}

/// One channel of 16 bits.
pub(super) struct Grey;

impl Layout<1, 1> for Grey {
    const WORDS: usize = 1;

    #[inline(always)]
    fn channels<I: Isa>(isa: I, [word]: [I::I32; 1]) -> [[I::F32; 1]; 2] {
        [[low_half(isa, word)], [high_half(isa, word)]]
    }
}

/// Three channels of 8 bits.
pub(super) struct Colour8;

impl Layout<2, 3> for Colour8 {
    const WORDS: usize = 1;

    #[inline(always)]
    fn channels<I: Isa>(isa: I, words: [I::I32; 2]) -> [[I::F32; 3]; 2] {
        let ops = isa.i32();
        let byte = ops.splat(0xFF);
        words.map(|word| {
            // The highest byte is 0.
            let bytes = [
                ops.and(word, byte),
                ops.and(ops.shift_right::<8>(word), byte),
                ops.shift_right::<16>(word),
            ];
            bytes.map(|byte| ops.to_float(byte))
        })
    }
}

/// Three channels of 16 bits.
pub(super) struct Colour16;

impl Layout<4, 3> for Colour16 {
    const WORDS: usize = 2;

    #[inline(always)]
    fn channels<I: Isa>(isa: I, [rg0, b0, rg1, b1]: [I::I32; 4]) -> [[I::F32; 3]; 2] {
        [[rg0, b0], [rg1, b1]]
            .map(|[rg, b]| [low_half(isa, rg), high_half(isa, rg), low_half(isa, b)])
    }
}

#[inline(always)]
fn low_half<I: Isa>(isa: I, word: I::I32) -> I::F32 {
    let ops = isa.i32();
    ops.to_float(ops.and(word, ops.splat(0xFFFF)))
}

#[inline(always)]
fn high_half<I: Isa>(isa: I, word: I::I32) -> I::F32 {
    low_half(isa, isa.i32().shift_right::<16>(word))
}

/// Fills `planes` ([3, H, W]) with the pixels that `table` names.
pub(super) struct Remap<'a, L, const T: usize, const C: usize> {
    image: &'a Image<'a>,
    table: &'a SampleTable,
    colour: &'a ColourMatrix,
    ring: &'a mut [u32],
    planes: Planes<'a>,
    layout: PhantomData<L>,
}

impl<'a, L: Layout<T, C>, const T: usize, const C: usize> Remap<'a, L, T, C> {
    /// `image` has passed [`Image::check`]; `ring` is the table's.
    pub(super) fn new(
        image: &'a Image<'a>,
        table: &'a SampleTable,
        colour: &'a ColourMatrix,
        ring: &'a mut [u32],
        planes: &'a mut [f32],
    ) -> Self {
        Self { image, table, colour, ring, planes: Planes::new(planes), layout: PhantomData }
    }
}

impl<L: Layout<T, C>, const T: usize, const C: usize> SimdOp for Remap<'_, L, T, C> {
    type Output = ();

    #[inline(always)]
    fn eval<I: Isa>(mut self, isa: I) {
        let table = self.table;
        let mut upper = [[0; BLOCK]; T];
        let mut lower = [[0; BLOCK]; T];
        let mut rows = 0;
        let offsets = table.offsets.as_chunks::<BLOCK>().0;
        let fractions = table.fractions.as_chunks::<BLOCK>().0;
        let blocks = offsets.iter().zip(fractions).zip(&table.needed_rows);
        for (block, ((offsets, fractions), &needed)) in blocks.enumerate() {
            while rows < needed {
                fill_slot::<L, T, C>(self.image, table, rows, self.ring);
                rows += 1;
            }
            let below = &self.ring[table.pitch..];
            for (i, &offset) in offsets.iter().enumerate() {
                let of = |rows: &[u32]| -> [u32; T] {
                    *rows[offset as usize..].first_chunk().expect("the ring has two black rows more")
                };
                let (above, below) = (of(self.ring), of(below));
                for word in 0..T {
                    upper[word][i] = above[word].cast_signed();
                    lower[word][i] = below[word].cast_signed();
                }
            }
            self.planes.write_block(block * BLOCK, |lane, out| {
                let channels = bilinear::<I, L, T, C>(isa, &upper, &lower, fractions, lane);
                colours(isa, channels, self.colour, lane, out);
            }, isa.f32().len());
        }
    }
}

/// Brings row `index` (from the table's first) into the ring.
#[inline(always)]
fn fill_slot<L: Layout<T, C>, const T: usize, const C: usize>(
    image: &Image<'_>,
    table: &SampleTable,
    index: usize,
    ring: &mut [u32],
) {
    let SampleTable { slots, pitch, first_row, .. } = *table;
    let slot = index % slots;
    let row = first_row + index;
    let words = slot * pitch..(slot + 1) * pitch;
    if row == 0 || row > image.size.height as usize {
        let black = (slots + 1) * pitch;
        ring.copy_within(black..black + pitch, words.start);
    } else {
        write_row(image, row - 1, &mut ring[words.clone()]);
    }
    if slot == 0 {
        ring.copy_within(words, slots * pitch);
    }
}

/// The bilinear sums of the vector of pixels from `lane`.
#[inline(always)]
fn bilinear<I: Isa, L: Layout<T, C>, const T: usize, const C: usize>(
    isa: I,
    upper: &[[i32; BLOCK]; T],
    lower: &[[i32; BLOCK]; T],
    fractions: &[i32; BLOCK],
    lane: usize,
) -> [I::F32; C] {
    let (ops, ints) = (isa.f32(), isa.i32());
    let fractions = ints.load(&fractions[lane..]);
    let unit = ops.splat(1.0 / 65_536.0);
    let right = ops.mul(low_half(isa, fractions), unit);
    let down = ops.mul(high_half(isa, fractions), unit);
    let across = |row: &[[i32; BLOCK]; T]| -> [I::F32; C] {
        let words = std::array::from_fn(|word| ints.load(&row[word][lane..]));
        let [a, b] = L::channels(isa, words);
        std::array::from_fn(|c| ops.mul_add(right, ops.sub(b[c], a[c]), a[c]))
    };
    let (a, b) = (across(upper), across(lower));
    std::array::from_fn(|c| ops.mul_add(down, ops.sub(b[c], a[c]), a[c]))
}

/// Normalised red, green and blue of a vector of pixels, into `out` from `lane`.
#[inline(always)]
fn colours<I: Isa, const C: usize>(
    isa: I,
    channels: [I::F32; C],
    colour: &ColourMatrix,
    lane: usize,
    out: [&mut [f32; BLOCK]; 3],
) {
    let ops = isa.f32();
    for (plane, out) in out.into_iter().enumerate() {
        let mut value = ops.splat(colour.offset[plane]);
        for (channel, &factor) in channels.into_iter().zip(&colour.factors[plane]) {
            value = ops.mul_add(ops.splat(factor), channel, value);
        }
        let (black, white) = (ops.splat(colour.black[plane]), ops.splat(colour.white[plane]));
        ops.store(ops.clamp(value, black, white), &mut out[lane..]);
    }
}

/// Fills `planes` ([3, H, W]) with the top-left corner of the image.
pub(super) struct Crop<'a, L, const T: usize, const C: usize> {
    image: &'a Image<'a>,
    output: ImageSize,
    colour: &'a ColourMatrix,
    row: &'a mut [u32],
    planes: Planes<'a>,
    layout: PhantomData<L>,
}

impl Crop<'_, (), 0, 0> {
    /// Memory for one row of `source`, and a block beyond it.
    pub(super) fn rows(source: ImageSize, words: usize, black: [u32; 2]) -> Vec<u32> {
        let pixels = source.width as usize + 2 + BLOCK + 1;
        black.into_iter().cycle().take(pixels * words).collect()
    }
}

impl<'a, L: Layout<T, C>, const T: usize, const C: usize> Crop<'a, L, T, C> {
    /// `image` has passed [`Image::check`]; `row` is from [`Crop::rows`].
    pub(super) fn new(
        image: &'a Image<'a>,
        output: ImageSize,
        colour: &'a ColourMatrix,
        row: &'a mut [u32],
        planes: &'a mut [f32],
    ) -> Self {
        Self { image, output, colour, row, planes: Planes::new(planes), layout: PhantomData }
    }
}

impl<L: Layout<T, C>, const T: usize, const C: usize> SimdOp for Crop<'_, L, T, C> {
    type Output = ();

    #[inline(always)]
    fn eval<I: Isa>(mut self, isa: I) {
        let (width, height) = (self.output.width as usize, self.output.height as usize);
        let pitch = (self.image.size.width as usize + 2) * L::WORDS;
        let ints = isa.i32();
        let mut words = [[0; BLOCK]; T];
        for y in 0..height {
            write_row(self.image, y, &mut self.row[..pitch]);
            for first in (0..width).step_by(BLOCK) {
                let row = &self.row[(first + 1) * L::WORDS..][..BLOCK * L::WORDS];
                for (i, pixel) in row.chunks_exact(L::WORDS).enumerate() {
                    for (words, word) in words.iter_mut().zip(pixel) {
                        words[i] = word.cast_signed();
                    }
                }
                let pixels = BLOCK.min(width - first);
                self.planes.write(y * width + first, pixels, |lane, out| {
                    let words = words.each_ref().map(|words| ints.load(&words[lane..]));
                    let [channels, _] = L::channels(isa, words);
                    colours(isa, channels, self.colour, lane, out);
                }, isa.f32().len());
            }
        }
    }
}

/// The output planes.
struct Planes<'a>([&'a mut [f32]; 3]);

impl<'a> Planes<'a> {
    fn new(planes: &'a mut [f32]) -> Self {
        let pixels = planes.len() / 3;
        let (red, rest) = planes.split_at_mut(pixels);
        Self([red, rest].into()).split(pixels)
    }
}
