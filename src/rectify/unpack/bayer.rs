//! Bayer mosaics: each pixel keeps one colour, the others are the means of the nearest pixels that have them (bilinear
//! demosaicing). Beyond the image's edge the mosaic is mirrored about its outermost pixels, which keeps its order of
//! colours.
#![expect(clippy::inline_always, reason = "compiled for the instructions chosen at dispatch")]

use super::{Pixel, WHITE};
use crate::capture::BayerOrder;

/// Unpacks row `y` of `height`. BYTES a value, of which `bits` count; `row` gives the bytes of a row.
#[inline(always)]
pub(super) fn unpack<'a, const BYTES: usize>(
    order: BayerOrder,
    bits: u32,
    row: impl Fn(usize) -> &'a [u8],
    y: usize,
    height: usize,
    out: &mut [Pixel],
) {
    let above = row(if y == 0 { 1 } else { y - 1 });
    let below = row(if y + 1 == height { y - 1 } else { y + 1 });
    let rows = [above, row(y), below].map(|row| row.as_chunks::<BYTES>().0);
    let [red_x, red_y] = order.red();
    let red_row = y % 2 == red_y;
    let last = out.len() - 1;
    for (x, pixel) in out.iter_mut().enumerate() {
        let left = if x == 0 { 1 } else { x - 1 };
        let right = if x == last { last - 1 } else { x + 1 };
        let at = |row: usize, x: usize| value(rows[row][x]) & ((1 << bits) - 1);
        let here = at(1, x);
        let beside = at(1, left) + at(1, right);
        let upright = at(0, x) + at(2, x);
        let diagonal = at(0, left) + at(0, right) + at(2, left) + at(2, right);
        // Everything times four, so that the means are exact.
        let [row_colour, green, other_colour] = if (x % 2 == red_x) == red_row {
            // Red in a row of red, or blue in a row of blue.
            [4 * here, beside + upright, diagonal]
        } else {
            [2 * beside, 4 * here, 2 * upright]
        };
        let [red, blue] =
            if red_row { [row_colour, other_colour] } else { [other_colour, row_colour] };
        *pixel = [red, green, blue, 0].map(|fourfold| quarter(fourfold, bits));
    }
}

#[inline(always)]
fn value<const BYTES: usize>(bytes: [u8; BYTES]) -> u32 {
    let mut word = [0; 4];
    word[..BYTES].copy_from_slice(&bytes);
    u32::from_le_bytes(word)
}

/// A quarter of a sum of four values of `bits` bits, as steps of a pixel.
#[inline(always)]
fn quarter(fourfold: u32, bits: u32) -> i16 {
    let white = 4 * ((1 << bits) - 1);
    // At most 16380 * 32640 + 8190, below 2^31.
    let steps = (fourfold * u32::from(WHITE.unsigned_abs()) + white / 2) / white;
    #[expect(clippy::cast_possible_truncation, reason = "at most WHITE")]
    let steps = steps as i16;
    steps
}
