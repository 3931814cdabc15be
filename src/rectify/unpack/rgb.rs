//! Pixels that are red, green, blue or grey already.
#![expect(clippy::inline_always, reason = "compiled for the instructions chosen at dispatch")]

use super::{Affine, Line};

/// 3 bytes a pixel; RED is the position of red (0 or 2), blue has the other.
#[inline(always)]
pub(super) fn unpack<const FUSED: bool, const RED: usize>(
    affine: &Affine,
    row: &[u8],
    line: &mut Line,
) {
    let out = line.red.iter_mut().zip(&mut line.green).zip(&mut line.blue);
    for (((red, green), blue), pixel) in out.zip(row.as_chunks::<3>().0) {
        *red = affine.apply::<FUSED>(0, pixel[RED].into());
        *green = affine.apply::<FUSED>(1, pixel[1].into());
        *blue = affine.apply::<FUSED>(2, pixel[2 - RED].into());
    }
}

/// 1 byte a pixel.
#[inline(always)]
pub(super) fn unpack_grey8<const FUSED: bool>(affine: &Affine, row: &[u8], line: &mut Line) {
    grey::<FUSED>(affine, row.iter().map(|&grey| grey.into()), line);
}

/// A little-endian word a pixel, its value in the low BITS; bits above, which a driver should leave 0, are ignored.
#[inline(always)]
pub(super) fn unpack_words<const FUSED: bool, const BITS: u32>(
    affine: &Affine,
    row: &[u8],
    line: &mut Line,
) {
    let value = |&word: &[u8; 2]| f32::from(u16::from_le_bytes(word) & (u16::MAX >> (16 - BITS)));
    grey::<FUSED>(affine, row.as_chunks().0.iter().map(value), line);
}

#[inline(always)]
fn grey<const FUSED: bool>(affine: &Affine, row: impl Iterator<Item = f32>, line: &mut Line) {
    let out = line.red.iter_mut().zip(&mut line.green).zip(&mut line.blue);
    for (((red, green), blue), grey) in out.zip(row) {
        *red = affine.apply::<FUSED>(0, grey);
        *green = affine.apply::<FUSED>(1, grey);
        *blue = affine.apply::<FUSED>(2, grey);
    }
}
