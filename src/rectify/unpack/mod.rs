//! Camera pixels as one kind of pixel: red, green, blue in 16 bits.
//!
//! Every row that rectification needs is unpacked once, just before it is needed, into a canvas that has a black frame of
//! one pixel around the image: what is outside of the image needs no special case any more. Bilinear demosaicing of Bayer
//! images happens here as well.
#![expect(clippy::inline_always, reason = "compiled for the instructions chosen at dispatch")]

mod bayer;
mod rgb;
mod yuv;

use crate::capture::{Image, PixelFormat, YuvEncoding};
use occdepth_geometry::ImageSize;
use yuv::YuvToRgb;

/// Red, green, blue and nothing; white is [`WHITE`].
pub(super) type Pixel = [i16; 4];

/// 255 grey levels of 128 steps: a step is 0.008 grey levels, and white still fits 16 bits.
pub(super) const WHITE: i16 = 255 * STEPS_PER_LEVEL;
/// Steps of a [`Pixel`]'s channel for one grey level of 8 bits.
pub(super) const STEPS_PER_LEVEL: i16 = 128;

const BLACK: Pixel = [0; 4];

/// An unpacked image in a black frame one pixel wide.
#[derive(Clone, Debug)]
pub(super) struct Canvas {
    image: ImageSize,
    pixels: Vec<Pixel>,
}

impl Canvas {
    pub(super) fn new(image: ImageSize) -> Self {
        let pixels = (image.width as usize + 2) * (image.height as usize + 2);
        Self { image, pixels: vec![BLACK; pixels] }
    }

    /// Pixels from one row to the next.
    pub(super) fn stride(&self) -> usize {
        self.image.width as usize + 2
    }

    /// Frame included, row by row; the image's pixel (x, y) is at `(y + 1) * stride + x + 1`.
    #[inline(always)]
    pub(super) fn pixels(&self) -> &[Pixel] {
        &self.pixels
    }

    /// Row `y` of the image, without the frame.
    pub(super) fn row(&self, y: usize) -> &[Pixel] {
        let first = (y + 1) * self.stride() + 1;
        &self.pixels[first..first + self.image.width as usize]
    }

    #[inline(always)]
    fn row_mut(&mut self, y: usize) -> &mut [Pixel] {
        let first = (y + 1) * self.stride() + 1;
        &mut self.pixels[first..first + self.image.width as usize]
    }
}

/// How to unpack images of one format.
#[derive(Clone, Copy, Debug)]
pub(super) struct Unpacker {
    format: PixelFormat,
    yuv: YuvToRgb,
}

impl Unpacker {
    pub(super) fn new(format: PixelFormat, colour: YuvEncoding) -> Self {
        Self { format, yuv: YuvToRgb::new(colour) }
    }

    /// Unpacks the given rows of `image`, which must have passed [`Image::check`] and be of the canvas's size.
    #[inline(always)]
    pub(super) fn unpack(
        &self,
        image: &Image<'_>,
        rows: std::ops::Range<usize>,
        canvas: &mut Canvas,
    ) {
        let source = Rows { data: image.plane.data, stride: image.plane.stride_bytes };
        for y in rows {
            let out = canvas.row_mut(y);
            let width = out.len();
            match self.format {
                PixelFormat::Rgb8 => rgb::unpack::<0>(source.row(y, 3 * width), out),
                PixelFormat::Bgr8 => rgb::unpack::<2>(source.row(y, 3 * width), out),
                PixelFormat::Grey8 => rgb::unpack_grey8(source.row(y, width), out),
                PixelFormat::Grey10 => rgb::unpack_words::<10>(source.row(y, 2 * width), out),
                PixelFormat::Grey16 => rgb::unpack_words::<16>(source.row(y, 2 * width), out),
                PixelFormat::Yuyv => self.yuv.unpack_packed::<0>(source.row(y, 2 * width), out),
                PixelFormat::Uyvy => self.yuv.unpack_packed::<1>(source.row(y, 2 * width), out),
                PixelFormat::Nv12 => {
                    let chroma = image.chroma.expect("`Image::check` refuses NV12 without it");
                    let chroma = Rows { data: chroma.data, stride: chroma.stride_bytes };
                    let (luma, chroma) = (source.row(y, width), chroma.row(y / 2, width));
                    self.yuv.unpack_semi_planar(luma, chroma, out);
                }
                PixelFormat::Bayer8(order) => {
                    let height = image.size.height as usize;
                    bayer::unpack::<1>(order, 8, |y| source.row(y, width), y, height, out);
                }
                PixelFormat::Bayer10(order) => {
                    let height = image.size.height as usize;
                    bayer::unpack::<2>(order, 10, |y| source.row(y, 2 * width), y, height, out);
                }
                PixelFormat::Bayer12(order) => {
                    let height = image.size.height as usize;
                    bayer::unpack::<2>(order, 12, |y| source.row(y, 2 * width), y, height, out);
                }
            }
        }
    }
}

/// Rows of bytes.
#[derive(Clone, Copy, Debug)]
struct Rows<'a> {
    data: &'a [u8],
    stride: usize,
}

impl<'a> Rows<'a> {
    /// The first `bytes` of row `y`.
    #[inline(always)]
    fn row(&self, y: usize, bytes: usize) -> &'a [u8] {
        &self.data[y * self.stride..][..bytes]
    }
}
