//! Camera pixels as one kind of pixel: red, green and blue, already normalised.
//!
//! Normalising is linear and the weights of an interpolation sum to one, so it may come first: here it costs nothing,
//! because scaling samples is a multiplication and an addition anyway. Bilinear demosaicing of Bayer images happens here as
//! well.
#![expect(clippy::inline_always, reason = "compiled for the instructions chosen at dispatch")]

mod bayer;
mod rgb;
mod yuv;

use super::normalise::{Affine, Normaliser};
use crate::capture::{Image, PixelFormat, YuvEncoding};
use occdepth_cuda::YuvCoefficients;
use occdepth_geometry::ImageSize;
use yuv::YuvToRgb;

/// One unpacked row of the image, by colour.
#[derive(Clone, Debug)]
pub(super) struct Line {
    pub(super) red: Vec<f32>,
    pub(super) green: Vec<f32>,
    pub(super) blue: Vec<f32>,
}

impl Line {
    pub(super) fn new(image: ImageSize) -> Self {
        let values = vec![0.0; image.width as usize];
        Self { red: values.clone(), green: values.clone(), blue: values }
    }
}

/// How to unpack images of one format.
#[derive(Clone, Copy, Debug)]
pub(super) struct Unpacker {
    format: PixelFormat,
    /// For formats whose samples are colours.
    affine: Affine,
    yuv: YuvToRgb,
    black: [f32; 3],
}

impl Unpacker {
    pub(super) fn new(format: PixelFormat, colour: YuvEncoding, normaliser: &Normaliser) -> Self {
        let white = match format {
            PixelFormat::Grey10 => 1023.0,
            PixelFormat::Grey16 => 65_535.0,
            // Sums of four samples, see `bayer`.
            PixelFormat::Bayer8(_) => 4.0 * 255.0,
            PixelFormat::Bayer10(_) => 4.0 * 1023.0,
            PixelFormat::Bayer12(_) => 4.0 * 4095.0,
            _ => 255.0,
        };
        let black = [0, 1, 2].map(|channel| normaliser.form(channel, [], 0.0).1);
        let yuv = YuvToRgb::new(colour, normaliser);
        Self { format, affine: normaliser.affine(white), yuv, black }
    }

    /// Normalised red, green and blue of a black pixel.
    pub(super) fn black(&self) -> [f32; 3] {
        self.black
    }

    /// Scale and offset by channel of samples that are colours.
    pub(super) fn factors(&self) -> ([f32; 3], [f32; 3]) {
        self.affine.factors()
    }

    /// Of luma and chroma, by colour.
    pub(super) fn yuv(&self) -> [YuvCoefficients; 3] {
        self.yuv.coefficients()
    }

    /// Unpacks row `y` of `image`, which must have passed [`Image::check`] and be as wide as `line`.
    #[inline(always)]
    pub(super) fn unpack<const FUSED: bool>(&self, image: &Image<'_>, y: usize, line: &mut Line) {
        let source = Rows { data: image.plane.data, stride: image.plane.stride_bytes };
        let (width, height) = (image.size.width as usize, image.size.height as usize);
        let Self { affine, yuv, .. } = self;
        match self.format {
            PixelFormat::Rgb8 => rgb::unpack::<FUSED, 0>(affine, source.row(y, 3 * width), line),
            PixelFormat::Bgr8 => rgb::unpack::<FUSED, 2>(affine, source.row(y, 3 * width), line),
            PixelFormat::Grey8 => rgb::unpack_grey8::<FUSED>(affine, source.row(y, width), line),
            PixelFormat::Grey10 => {
                rgb::unpack_words::<FUSED, 10>(affine, source.row(y, 2 * width), line);
            }
            PixelFormat::Grey16 => {
                rgb::unpack_words::<FUSED, 16>(affine, source.row(y, 2 * width), line);
            }
            PixelFormat::Yuyv => yuv.unpack_packed::<FUSED, 0>(source.row(y, 2 * width), line),
            PixelFormat::Uyvy => yuv.unpack_packed::<FUSED, 1>(source.row(y, 2 * width), line),
            PixelFormat::Nv12 => {
                let chroma = image.chroma.expect("`Image::check` refuses NV12 without it");
                let chroma = Rows { data: chroma.data, stride: chroma.stride_bytes };
                let (luma, chroma) = (source.row(y, width), chroma.row(y / 2, width));
                yuv.unpack_semi_planar::<FUSED>(luma, chroma, line);
            }
            PixelFormat::Bayer8(order) => {
                let rows = bayer::Rows::<1>::new(|y| source.row(y, width), y, height);
                bayer::unpack::<FUSED, 1, 8>(affine, order, rows, line);
            }
            PixelFormat::Bayer10(order) => {
                let rows = bayer::Rows::<2>::new(|y| source.row(y, 2 * width), y, height);
                bayer::unpack::<FUSED, 2, 10>(affine, order, rows, line);
            }
            PixelFormat::Bayer12(order) => {
                let rows = bayer::Rows::<2>::new(|y| source.row(y, 2 * width), y, height);
                bayer::unpack::<FUSED, 2, 12>(affine, order, rows, line);
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
