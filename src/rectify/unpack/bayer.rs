//! Bayer mosaics: each pixel keeps one colour, the others are the means of the nearest pixels that have them (bilinear
//! demosaicing). Beyond the image's edge the mosaic is mirrored about its outermost pixels, which keeps its order of
//! colours.
#![expect(clippy::inline_always, reason = "compiled for the instructions chosen at dispatch")]

use super::{Affine, Line};
use crate::capture::BayerOrder;

/// A row of the mosaic with its neighbours, BYTES a sample.
#[derive(Clone, Copy, Debug)]
pub(super) struct Rows<'a, const BYTES: usize> {
    above: &'a [[u8; BYTES]],
    here: &'a [[u8; BYTES]],
    below: &'a [[u8; BYTES]],
    y: usize,
}

impl<'a, const BYTES: usize> Rows<'a, BYTES> {
    /// Around row `y` of `height`; `row` gives the bytes of a row.
    #[inline(always)]
    pub(super) fn new(row: impl Fn(usize) -> &'a [u8], y: usize, height: usize) -> Self {
        let samples = |y| row(y).as_chunks().0;
        Self {
            above: samples(if y == 0 { 1 } else { y - 1 }),
            here: samples(y),
            below: samples(if y + 1 == height { y - 1 } else { y + 1 }),
            y,
        }
    }
}

/// Unpacks a row; BITS of a sample count, bits above are ignored.
#[inline(always)]
pub(super) fn unpack<const FUSED: bool, const BYTES: usize, const BITS: u32>(
    affine: &Affine,
    order: BayerOrder,
    rows: Rows<'_, BYTES>,
    line: &mut Line,
) {
    let Rows { above, here, below, y } = rows;
    let [red_x, red_y] = order.red();
    let red_row = y % 2 == red_y;
    let pixel = |x: usize, [above, here, below]: [[u16; 3]; 3]| {
        let beside = here[0] + here[2];
        let upright = above[1] + below[1];
        let diagonal = above[0] + above[2] + below[0] + below[2];
        // Everything times four, so that the means are exact.
        let [of_row, of_green, of_other] = if (x % 2 == red_x) == red_row {
            // Red in a row of red, or blue in a row of blue.
            [4 * here[1], beside + upright, diagonal]
        } else {
            [2 * beside, 4 * here[1], 2 * upright]
        };
        let [of_red, of_blue] = if red_row { [of_row, of_other] } else { [of_other, of_row] };
        [
            affine.apply::<FUSED>(0, of_red.into()),
            affine.apply::<FUSED>(1, of_green.into()),
            affine.apply::<FUSED>(2, of_blue.into()),
        ]
    };
    let last = here.len() - 1;
    let sample = value::<BYTES, BITS>;
    let (red, green, blue) = (&mut line.red, &mut line.green, &mut line.blue);
    for (x, columns) in [(0, [1, 0, 1]), (last, [last - 1, last, last - 1])] {
        let around = [above, here, below].map(|row| columns.map(|column| sample(row[column])));
        [red[x], green[x], blue[x]] = pixel(x, around);
    }
    let inner = 1..last;
    let out = red[inner.clone()].iter_mut().zip(&mut green[inner.clone()]);
    let out = out.zip(&mut blue[inner.clone()]).zip(inner);
    let around = above.windows(3).zip(here.windows(3)).zip(below.windows(3));
    for ((((red, green), blue), x), ((above, here), below)) in out.zip(around) {
        let around = [above, here, below].map(|row| [row[0], row[1], row[2]].map(sample));
        [*red, *green, *blue] = pixel(x, around);
    }
}

/// Four of them fit 16 bits: they have at most 12.
#[inline(always)]
fn value<const BYTES: usize, const BITS: u32>(bytes: [u8; BYTES]) -> u16 {
    let mut word = [0; 2];
    word[..BYTES].copy_from_slice(&bytes);
    u16::from_le_bytes(word) & ((1 << BITS) - 1)
}
