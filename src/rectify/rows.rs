//! Rows of the camera's image in the layout that the inner loop reads.
//!
//! | layout | a pixel | formats |
//! |---|---|---|
//! | [`Grey`](super::kernel::Grey) | one word: itself and, in the high half, its right neighbour | grey |
//! | [`Colour8`](super::kernel::Colour8) | one word: three bytes | RGB, and YUV as it is |
//! | [`Colour16`](super::kernel::Colour16) | two words: red and green, blue; sums of four samples | Bayer |
#![expect(clippy::inline_always, reason = "inlined where instructions are chosen")]

use super::colour::black_codes;
use crate::capture::{BayerOrder, Image, PixelFormat, Plane, YuvEncoding};

/// The words of a black pixel; formats of one word have it twice.
pub(super) fn black(format: PixelFormat, colour: YuvEncoding) -> [u32; 2] {
    let word = match format {
        PixelFormat::Yuyv | PixelFormat::Uyvy | PixelFormat::Nv12 => {
            let [y, u, v] = black_codes(colour.range);
            bytes(y, u, v)
        }
        _ => 0,
    };
    [word; 2]
}

/// Writes row `y` of `image` into a row of the ring, whose first and last pixels are the border.
#[inline(always)]
pub(super) fn write_row(image: &Image<'_>, y: usize, row: &mut [u32]) {
    let width = image.size.width as usize;
    let source = row_of(image.plane, y, image.format.row_bytes(image.size.width));
    match image.format {
        PixelFormat::Rgb8 => {
            for (word, &[r, g, b]) in row[1..].iter_mut().zip(source.as_chunks().0) {
                *word = bytes(r, g, b);
            }
        }
        PixelFormat::Bgr8 => {
            for (word, &[b, g, r]) in row[1..].iter_mut().zip(source.as_chunks().0) {
                *word = bytes(r, g, b);
            }
        }
        PixelFormat::Yuyv => {
            let pairs = row[1..].as_chunks_mut().0.iter_mut().zip(source.as_chunks().0);
            for (pair, &[y0, u, y1, v]) in pairs {
                *pair = [bytes(y0, u, v), bytes(y1, u, v)];
            }
        }
        PixelFormat::Uyvy => {
            let pairs = row[1..].as_chunks_mut().0.iter_mut().zip(source.as_chunks().0);
            for (pair, &[u, y0, v, y1]) in pairs {
                *pair = [bytes(y0, u, v), bytes(y1, u, v)];
            }
        }
        PixelFormat::Nv12 => {
            let chroma = image.chroma.expect("`Image::check` refuses NV12 without it");
            let chroma = row_of(chroma, y / 2, width).as_chunks().0;
            let luma = source.as_chunks().0.iter();
            let pairs = row[1..].as_chunks_mut().0.iter_mut();
            for ((pair, &[y0, y1]), &[u, v]) in pairs.zip(luma).zip(chroma) {
                *pair = [bytes(y0, u, v), bytes(y1, u, v)];
            }
        }
        PixelFormat::Grey8 => write_grey(source.iter().map(|&grey| u32::from(grey)), row),
        PixelFormat::Grey10 => write_grey(words(source, 10), row),
        PixelFormat::Grey16 => write_grey(words(source, 16), row),
        PixelFormat::Bayer8(order) => {
            write_colours(image, y, order, row, |data, x| u32::from(data[x]));
        }
        PixelFormat::Bayer10(order) => write_colours(image, y, order, row, word::<10>),
        PixelFormat::Bayer12(order) => write_colours(image, y, order, row, word::<12>),
    }
}

/// Each word has a grey value and its right neighbour; black follows the last.
#[inline(always)]
fn write_grey(greys: impl Iterator<Item = u32>, row: &mut [u32]) {
    let width = row.len() - 2;
    for (word, grey) in row[1..=width].iter_mut().zip(greys) {
        *word = grey;
    }
    for i in 0..=width {
        row[i] = row[i] & 0xFFFF | row[i + 1] << 16;
    }
    row[width + 1] = 0;
}

/// Red, green and blue of each pixel, as sums of four samples.
#[inline(always)]
fn write_colours(
    image: &Image<'_>,
    y: usize,
    order: BayerOrder,
    row: &mut [u32],
    sample: impl Fn(&[u8], usize) -> u32,
) {
    let (width, height) = (image.size.width as usize, image.size.height as usize);
    let bytes = image.format.row_bytes(image.size.width);
    let above = row_of(image.plane, if y == 0 { 1 } else { y - 1 }, bytes);
    let here = row_of(image.plane, y, bytes);
    let below = row_of(image.plane, if y + 1 == height { y - 1 } else { y + 1 }, bytes);
    let [red_x, red_y] = order.red();
    let red_row = y % 2 == red_y;
    let own_x = if red_row { red_x } else { 1 - red_x }; // where red or blue is in this row
    let pixels = row.as_chunks_mut().0[1..=width].iter_mut().enumerate();
    for (x, pixel) in pixels {
        let left = if x == 0 { 1 } else { x - 1 };
        let right = if x + 1 == width { x - 1 } else { x + 1 };
        let centre = 4 * sample(here, x);
        let vertical = sample(above, x) + sample(below, x);
        let horizontal = sample(here, left) + sample(here, right);
        let diagonal = sample(above, left)
            + sample(above, right)
            + sample(below, left)
            + sample(below, right);
        // The colour of this row, green, and the colour of the rows beside it.
        let [own, green, other] = if x % 2 == own_x {
            [centre, vertical + horizontal, diagonal]
        } else {
            [2 * horizontal, centre, 2 * vertical]
        };
        let [red, blue] = if red_row { [own, other] } else { [other, own] };
        *pixel = [red | green << 16, blue];
    }
}

#[inline(always)]
fn row_of(plane: Plane<'_>, y: usize, bytes: usize) -> &[u8] {
    &plane.data[y * plane.stride_bytes..][..bytes]
}

/// The low `bits` of little-endian words.
#[inline(always)]
fn words(row: &[u8], bits: u32) -> impl Iterator<Item = u32> {
    let mask = (1 << bits) - 1;
    row.as_chunks().0.iter().map(move |&bytes| u32::from(u16::from_le_bytes(bytes)) & mask)
}

#[inline(always)]
fn word<const BITS: u32>(row: &[u8], x: usize) -> u32 {
    u32::from(u16::from_le_bytes(row.as_chunks().0[x])) & ((1 << BITS) - 1)
}

#[inline(always)]
fn bytes(a: u8, b: u8, c: u8) -> u32 {
    u32::from_le_bytes([a, b, c, 0])
}
