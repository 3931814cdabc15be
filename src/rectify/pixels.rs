//! The camera's pixel formats as samples that are linear in RGB.
#![expect(clippy::inline_always, reason = "the inner loop; a call per tap would double its time")]

use crate::capture::{Image, Plane};
use occdepth_geometry::ImageSize;

/// The samples of an image of C channels. The image must have passed [`Image::check`] and positions
/// must lie in it.
pub(super) trait Samples<const C: usize> {
    /// Channels of a black pixel.
    const BLACK: [u8; C];

    /// Columns and rows.
    fn size(&self) -> ImageSize;

    /// Channels of one pixel.
    fn pixel(&self, x: usize, y: usize) -> [u8; C];

    /// Channels of the pixels (x, y) and (x + 1, y).
    #[inline(always)]
    fn pair(&self, x: usize, y: usize) -> [[u8; C]; 2] {
        [self.pixel(x, y), self.pixel(x + 1, y)]
    }

    /// Red, green and blue, 0 to 255, of (interpolated) channels.
    fn rgb(channels: [f32; C]) -> [f32; 3];
}

/// 3 bytes a pixel; RED is the position of red (0 or 2), blue has the other.
#[derive(Debug)]
pub(super) struct Rgb<'a, const RED: usize> {
    size: ImageSize,
    rows: Rows<'a>,
}

impl<'a, const RED: usize> Rgb<'a, RED> {
    pub(super) fn new(image: &Image<'a>) -> Self {
        Self { size: image.size, rows: Rows::new(image.plane) }
    }
}

impl<const RED: usize> Samples<3> for Rgb<'_, RED> {
    const BLACK: [u8; 3] = [0; 3];

    fn size(&self) -> ImageSize {
        self.size
    }

    #[inline(always)]
    fn pixel(&self, x: usize, y: usize) -> [u8; 3] {
        let p: [u8; 3] = self.rows.bytes(y, 3 * x);
        [p[RED], p[1], p[2 - RED]]
    }

    #[inline(always)]
    fn pair(&self, x: usize, y: usize) -> [[u8; 3]; 2] {
        let p: [u8; 6] = self.rows.bytes(y, 3 * x);
        [[p[RED], p[1], p[2 - RED]], [p[3 + RED], p[4], p[5 - RED]]]
    }

    #[inline(always)]
    fn rgb(channels: [f32; 3]) -> [f32; 3] {
        channels
    }
}

/// 1 byte a pixel.
#[derive(Debug)]
pub(super) struct Grey<'a> {
    size: ImageSize,
    rows: Rows<'a>,
}

impl<'a> Grey<'a> {
    pub(super) fn new(image: &Image<'a>) -> Self {
        Self { size: image.size, rows: Rows::new(image.plane) }
    }
}

impl Samples<1> for Grey<'_> {
    const BLACK: [u8; 1] = [0];

    fn size(&self) -> ImageSize {
        self.size
    }

    #[inline(always)]
    fn pixel(&self, x: usize, y: usize) -> [u8; 1] {
        self.rows.bytes(y, x)
    }

    #[inline(always)]
    fn pair(&self, x: usize, y: usize) -> [[u8; 1]; 2] {
        let [a, b] = self.rows.bytes(y, x);
        [[a], [b]]
    }

    #[inline(always)]
    fn rgb([grey]: [f32; 1]) -> [f32; 3] {
        [grey; 3]
    }
}

/// 4 bytes for two neighbours, which share their chroma; LUMA is the position of the first luma
/// (0: Y0 U Y1 V, 1: U Y0 V Y1).
#[derive(Debug)]
pub(super) struct Yuv422<'a, const LUMA: usize> {
    size: ImageSize,
    rows: Rows<'a>,
}

impl<'a, const LUMA: usize> Yuv422<'a, LUMA> {
    pub(super) fn new(image: &Image<'a>) -> Self {
        Self { size: image.size, rows: Rows::new(image.plane) }
    }
}

impl<const LUMA: usize> Samples<3> for Yuv422<'_, LUMA> {
    const BLACK: [u8; 3] = YUV_BLACK;

    fn size(&self) -> ImageSize {
        self.size
    }

    #[inline(always)]
    fn pixel(&self, x: usize, y: usize) -> [u8; 3] {
        let two: [u8; 4] = self.rows.bytes(y, 4 * (x / 2));
        // Loaded again rather than chosen from `two`: neighbours alternate, no branch predicts that.
        let [luma] = self.rows.bytes(y, 2 * x + LUMA);
        [luma, two[1 - LUMA], two[3 - LUMA]]
    }

    #[inline(always)]
    fn rgb(channels: [f32; 3]) -> [f32; 3] {
        rgb_from_yuv(channels)
    }
}

/// A luma plane, and a plane of U V pairs that each serve 2 x 2 pixels.
#[derive(Debug)]
pub(super) struct Nv12<'a> {
    size: ImageSize,
    luma: Rows<'a>,
    chroma: Rows<'a>,
}

impl<'a> Nv12<'a> {
    pub(super) fn new(image: &Image<'a>) -> Self {
        let chroma = image.chroma.expect("`Image::check` refuses NV12 without it");
        Self { size: image.size, luma: Rows::new(image.plane), chroma: Rows::new(chroma) }
    }
}

impl Samples<3> for Nv12<'_> {
    const BLACK: [u8; 3] = YUV_BLACK;

    fn size(&self) -> ImageSize {
        self.size
    }

    #[inline(always)]
    fn pixel(&self, x: usize, y: usize) -> [u8; 3] {
        let [luma] = self.luma.bytes(y, x);
        let [u, v] = self.chroma.bytes(y / 2, x & !1);
        [luma, u, v]
    }

    #[inline(always)]
    fn rgb(channels: [f32; 3]) -> [f32; 3] {
        rgb_from_yuv(channels)
    }
}

/// Rows of bytes.
#[derive(Debug)]
struct Rows<'a> {
    data: &'a [u8],
    stride: usize,
}

impl<'a> Rows<'a> {
    fn new(plane: Plane<'a>) -> Self {
        Self { data: plane.data, stride: plane.stride_bytes }
    }

    /// The N bytes from `offset` in row `y`.
    #[inline(always)]
    fn bytes<const N: usize>(&self, y: usize, offset: usize) -> [u8; N] {
        let at = y * self.stride + offset;
        *self.data[at..].first_chunk().expect("`Image::check` found the plane large enough")
    }
}

/// BT.601, limited range, to full-range RGB: luma 16 to 235 and chroma 16 to 240 around 128
/// (ITU-R BT.601-7, 2.5.1 to 2.5.4, with Kr = 0.299, Kb = 0.114; V4L2's `V4L2_YCBCR_ENC_601` with
/// `V4L2_QUANTIZATION_LIM_RANGE`).
#[inline(always)]
fn rgb_from_yuv([y, u, v]: [f32; 3]) -> [f32; 3] {
    let (y, u, v) = (Y_SCALE * (y - 16.0), u - 128.0, v - 128.0);
    let clamp = |c: f32| c.clamp(0.0, 255.0);
    [clamp(y + RED_V * v), clamp(y - GREEN_U * u - GREEN_V * v), clamp(y + BLUE_U * u)]
}

const YUV_BLACK: [u8; 3] = [16, 128, 128];
const KR: f32 = 0.299;
const KB: f32 = 0.114;
const KG: f32 = 1.0 - KR - KB;
const Y_SCALE: f32 = 255.0 / 219.0;
const CHROMA_SCALE: f32 = 255.0 / 224.0;
const RED_V: f32 = 2.0 * (1.0 - KR) * CHROMA_SCALE;
const BLUE_U: f32 = 2.0 * (1.0 - KB) * CHROMA_SCALE;
const GREEN_U: f32 = 2.0 * (1.0 - KB) * KB / KG * CHROMA_SCALE;
const GREEN_V: f32 = 2.0 * (1.0 - KR) * KR / KG * CHROMA_SCALE;
