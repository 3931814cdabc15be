//! RGB8 into the formats that cameras speak.

use super::{BayerOrder, PixelFormat};
use occdepth_geometry::ImageSize;

/// Grey values of packed RGB8 pixels: 0.299 R + 0.587 G + 0.114 B (BT.601, full range).
pub fn grey_from_rgb8(rgb: &[u8]) -> Vec<u8> {
    rgb.as_chunks().0.iter().map(|&pixel| full_range_luma(pixel)).collect()
}

/// Converts a packed RGB8 image of `size` into packed `format`.
///
/// `rgb` and `out` have [`PixelFormat::image_bytes`] of their formats, and `size` is one that `format`
/// has. Chroma is the mean of the pixels that share it.
pub(super) fn from_rgb8(rgb: &[u8], size: ImageSize, format: PixelFormat, out: &mut [u8]) {
    let pixels = rgb.as_chunks().0;
    match format {
        PixelFormat::Rgb8 => out.copy_from_slice(rgb),
        PixelFormat::Bgr8 => {
            for (bgr, &[r, g, b]) in out.as_chunks_mut().0.iter_mut().zip(pixels) {
                *bgr = [b, g, r];
            }
        }
        PixelFormat::Grey8 => {
            for (grey, &pixel) in out.iter_mut().zip(pixels) {
                *grey = full_range_luma(pixel);
            }
        }
        PixelFormat::Grey10 => {
            for (word, &pixel) in out.as_chunks_mut().0.iter_mut().zip(pixels) {
                *word = widen(full_range_luma(pixel), 10);
            }
        }
        PixelFormat::Grey16 => {
            for (word, &pixel) in out.as_chunks_mut().0.iter_mut().zip(pixels) {
                *word = widen(full_range_luma(pixel), 16);
            }
        }
        PixelFormat::Bayer8(order) => {
            for (byte, colour) in out.iter_mut().zip(mosaic(pixels, size, order)) {
                *byte = colour;
            }
        }
        PixelFormat::Bayer10(order) => {
            let words = out.as_chunks_mut().0.iter_mut();
            for (word, colour) in words.zip(mosaic(pixels, size, order)) {
                *word = widen(colour, 10);
            }
        }
        PixelFormat::Bayer12(order) => {
            let words = out.as_chunks_mut().0.iter_mut();
            for (word, colour) in words.zip(mosaic(pixels, size, order)) {
                *word = widen(colour, 12);
            }
        }
        PixelFormat::Yuyv => {
            for (yuyv, &[a, b]) in out.as_chunks_mut().0.iter_mut().zip(pixels.as_chunks().0) {
                let [u, v] = chroma(&[a, b]);
                *yuyv = [luma(a), u, luma(b), v];
            }
        }
        PixelFormat::Uyvy => {
            for (uyvy, &[a, b]) in out.as_chunks_mut().0.iter_mut().zip(pixels.as_chunks().0) {
                let [u, v] = chroma(&[a, b]);
                *uyvy = [u, luma(a), v, luma(b)];
            }
        }
        PixelFormat::Nv12 => {
            let width = size.width as usize;
            let (luma_plane, chroma_plane) = out.split_at_mut(pixels.len());
            for (y, &pixel) in luma_plane.iter_mut().zip(pixels) {
                *y = luma(pixel);
            }
            let rows = pixels.chunks_exact(2 * width);
            for (pairs, rows) in chroma_plane.chunks_exact_mut(width).zip(rows) {
                let (upper, lower) = rows.split_at(width);
                let squares = upper.as_chunks().0.iter().zip(lower.as_chunks().0);
                for (uv, (&[a, b], &[c, d])) in pairs.as_chunks_mut().0.iter_mut().zip(squares) {
                    *uv = chroma(&[a, b, c, d]);
                }
            }
        }
    }
}

/// The colour that a mosaic keeps of each pixel.
fn mosaic(pixels: &[[u8; 3]], size: ImageSize, order: BayerOrder) -> impl Iterator<Item = u8> + '_ {
    let width = size.width as usize;
    let [red_x, red_y] = order.red();
    pixels.iter().enumerate().map(move |(i, pixel)| {
        let (x, y) = (i % width % 2, i / width % 2);
        // Red, green next to it in its row and column, blue in the opposite corner.
        pixel[usize::from(x != red_x) + usize::from(y != red_y)]
    })
}

/// A value of 8 bits in a little-endian word of `bits`, white staying white.
fn widen(value: u8, bits: u32) -> [u8; 2] {
    let white = (1_u32 << bits) - 1;
    let value = (u32::from(value) * white + 127) / 255;
    u16::try_from(value).expect("at most 16 bits").to_le_bytes()
}

/// Y of BT.601, limited range: 16 + 219 (0.299 R + 0.587 G + 0.114 B) / 255, coefficients times 2^16.
fn luma(pixel: [u8; 3]) -> u8 {
    byte((weighted(pixel, [16_829, 33_039, 6_416]) + (16 << 16) + HALF) >> 16)
}

/// Grey: 0.299 R + 0.587 G + 0.114 B, coefficients times 2^16.
fn full_range_luma(pixel: [u8; 3]) -> u8 {
    byte((weighted(pixel, [19_595, 38_470, 7_471]) + HALF) >> 16)
}

/// U and V of BT.601, limited range, of the mean of `pixels`: 128 + 224 (B - Y) / (2 * 0.886) / 255 and
/// 128 + 224 (R - Y) / (2 * 0.701) / 255, coefficients times 2^16.
fn chroma<const N: usize>(pixels: &[[u8; 3]; N]) -> [u8; 2] {
    let count = i32::try_from(N).expect("two or four pixels");
    let mean = |coefficients| {
        let sum: i32 = pixels.iter().map(|&pixel| weighted(pixel, coefficients)).sum();
        byte((sum / count + (128 << 16) + HALF) >> 16)
    };
    [mean([-9_714, -19_071, 28_785]), mean([28_785, -24_103, -4_682])]
}

fn weighted([r, g, b]: [u8; 3], [cr, cg, cb]: [i32; 3]) -> i32 {
    cr * i32::from(r) + cg * i32::from(g) + cb * i32::from(b)
}

fn byte(value: i32) -> u8 {
    u8::try_from(value.clamp(0, 255)).expect("clamped")
}

const HALF: i32 = 1 << 15;
