//! Pixels that are red, green, blue or grey already.
#![expect(clippy::inline_always, reason = "compiled for the instructions chosen at dispatch")]

use super::{Pixel, STEPS_PER_LEVEL, WHITE};

/// 3 bytes a pixel; RED is the position of red (0 or 2), blue has the other.
#[inline(always)]
pub(super) fn unpack<const RED: usize>(row: &[u8], out: &mut [Pixel]) {
    for (pixel, p) in out.iter_mut().zip(row.as_chunks::<3>().0) {
        *pixel = [level(p[RED]), level(p[1]), level(p[2 - RED]), 0];
    }
}

/// 1 byte a pixel.
#[inline(always)]
pub(super) fn unpack_grey8(row: &[u8], out: &mut [Pixel]) {
    for (pixel, &grey) in out.iter_mut().zip(row) {
        let grey = level(grey);
        *pixel = [grey, grey, grey, 0];
    }
}

/// A little-endian word a pixel, its value in the low BITS.
#[inline(always)]
pub(super) fn unpack_words<const BITS: u32>(row: &[u8], out: &mut [Pixel]) {
    for (pixel, &word) in out.iter_mut().zip(row.as_chunks().0) {
        let grey = scaled(u16::from_le_bytes(word).into(), BITS);
        *pixel = [grey, grey, grey, 0];
    }
}

#[inline(always)]
pub(super) fn level(byte: u8) -> i16 {
    i16::from(byte) * STEPS_PER_LEVEL
}

/// A value of `bits` bits, whose greatest is white. Bits above, which a driver should leave 0, are ignored.
#[inline(always)]
pub(super) fn scaled(value: u32, bits: u32) -> i16 {
    let white = (1 << bits) - 1;
    // At most 65535 * 32640 + 32767, below 2^31; the quotient is at most WHITE.
    let steps = ((value & white) * WHITE.unsigned_abs() as u32 + white / 2) / white;
    #[expect(clippy::cast_possible_truncation, reason = "at most WHITE")]
    let steps = steps as i16;
    steps
}
