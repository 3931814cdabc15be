//! The `rectify` kernel.
#![allow(unsafe_code, reason = "launching a kernel with addresses of device memory")]

use super::DEVICE;
use crate::error::CudaError;
use crate::module::Kernel;
use crate::nvrtc::Source;
use crate::stream::Stream;

/// Memory layout of a camera image, as the kernel is compiled for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum CameraFormat {
    /// 3 bytes a pixel: red, green, blue.
    Rgb8,
    /// 3 bytes a pixel: blue, green, red.
    Bgr8,
    /// 1 byte a pixel.
    Grey8,
    /// A little-endian word a pixel, value in its low 10 bits.
    Grey10,
    /// A little-endian word a pixel.
    Grey16,
    /// Y0 U Y1 V. Width even.
    Yuyv,
    /// U Y0 V Y1. Width even.
    Uyvy,
    /// A plane of Y and one of U, V pairs for 2x2 pixels. Width and height even.
    Nv12,
    /// 1 byte a pixel, one colour each; column and row (0, 1) of red in each square of four. Width and height even.
    Bayer8([u32; 2]),
    /// As [`CameraFormat::Bayer8`], a little-endian word a pixel, value in its low 10 bits.
    Bayer10([u32; 2]),
    /// As [`CameraFormat::Bayer8`], a little-endian word a pixel, value in its low 12 bits.
    Bayer12([u32; 2]),
}

impl CameraFormat {
    /// Its number in `rectify.cu`.
    fn number(self) -> u32 {
        match self {
            Self::Rgb8 => 0,
            Self::Bgr8 => 1,
            Self::Grey8 => 2,
            Self::Grey10 => 3,
            Self::Grey16 => 4,
            Self::Yuyv => 5,
            Self::Uyvy => 6,
            Self::Nv12 => 7,
            Self::Bayer8(_) => 8,
            Self::Bayer10(_) => 9,
            Self::Bayer12(_) => 10,
        }
    }

    /// Bytes of a row without padding; of Y, and as many of chroma, for NV12.
    pub fn row_bytes(self, width: u32) -> usize {
        let width = width as usize;
        match self {
            Self::Rgb8 | Self::Bgr8 => 3 * width,
            Self::Grey8 | Self::Nv12 | Self::Bayer8(_) => width,
            _ => 2 * width,
        }
    }

    fn red(self) -> [u32; 2] {
        match self {
            Self::Bayer8(red) | Self::Bayer10(red) | Self::Bayer12(red) => red.map(|at| at & 1),
            _ => [0; 2],
        }
    }

    fn needs_even(self) -> (bool, bool) {
        let rows =
            matches!(self, Self::Nv12 | Self::Bayer8(_) | Self::Bayer10(_) | Self::Bayer12(_));
        (rows || matches!(self, Self::Yuyv | Self::Uyvy), rows)
    }
}

/// `clamp(luma Y + u U + v V + offset, black, white)`: one normalised colour of a YUV pixel.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
#[repr(C)]
pub struct YuvCoefficients {
    /// Factor of the luma code.
    pub luma: f32,
    /// Factor of the U code.
    pub u: f32,
    /// Factor of the V code.
    pub v: f32,
    /// What is added.
    pub offset: f32,
    /// Normalised black.
    pub black: f32,
    /// Normalised white.
    pub white: f32,
}

/// How both cameras' images become the network's, computed once on the CPU.
#[derive(Clone, Debug)]
pub struct RectifyPlan {
    /// Of both cameras.
    pub format: CameraFormat,
    /// Width and height of a camera image, pixels, at most 32767.
    pub source: [u32; 2],
    /// Width and height of a network image, pixels.
    pub output: [u32; 2],
    /// Of samples that are colours: `scale * sample + offset` is normalised; Bayer samples count four times.
    pub scale: [f32; 3],
    /// See `scale`.
    pub offset: [f32; 3],
    /// Normalised black: what lies outside the image.
    pub black: [f32; 3],
    /// Of YUV formats: red, green, blue.
    pub yuv: [YuvCoefficients; 3],
    /// For each view one [`sample`] per pixel of the output, row-major, or [`NO_SAMPLE`]; none: the top left of the image,
    /// unchanged.
    pub samples: [Option<Vec<u64>>; 2],
}

/// An entry of [`RectifyPlan::samples`]: `column`, `row` of the upper left of the four pixels around the position, counted
/// from one pixel outside the image; `right`, `down`: the rest of the way in 1/65536 px.
pub fn sample([column, row]: [u16; 2], [right, down]: [u16; 2]) -> u64 {
    u64::from(column) | u64::from(row) << 16 | u64::from(right) << 32 | u64::from(down) << 48
}

/// The entry of a pixel that shows nothing of the image.
pub const NO_SAMPLE: u64 = 0xffff;

impl RectifyPlan {
    /// Bytes of a staged row: a multiple of 4, so that the kernel may read words.
    pub(crate) fn stride(&self) -> usize {
        self.format.row_bytes(self.source[0]).next_multiple_of(4)
    }

    /// Values of one view: 3 H W.
    pub(crate) fn view_values(&self) -> usize {
        3 * self.output[0] as usize * self.output[1] as usize
    }

    /// Where the parts of a staged pair lie.
    pub(crate) fn staging(&self) -> Staging {
        let rows = self.source[1] as usize;
        let pixels = (self.stride() * rows).next_multiple_of(ALIGNMENT);
        let chroma = if self.format == CameraFormat::Nv12 {
            (self.stride() * rows / 2).next_multiple_of(ALIGNMENT)
        } else {
            0
        };
        Staging {
            pixels: [0, pixels + chroma],
            chroma: [pixels, 2 * pixels + chroma],
            bytes: 2 * (pixels + chroma),
        }
    }

    /// Checks what the kernel relies on: with it, no entry of the tables makes it read or write outside its buffers.
    pub(crate) fn check(&self) -> Result<(), CudaError> {
        let shape = |what: &str, found: String, expected: String| CudaError::Shape {
            what: what.into(),
            found,
            expected,
        };
        let [width, height] = self.source;
        let size = format!("{width}x{height}");
        if width == 0 || height == 0 || width.max(height) > LONGEST_SIDE {
            return Err(shape("source image", size, format!("sides of 1 to {LONGEST_SIDE}")));
        }
        let (even_width, even_height) = self.format.needs_even();
        if even_width && width % 2 == 1 || even_height && height % 2 == 1 {
            return Err(shape("source image", size, format!("even sides for {:?}", self.format)));
        }
        let pixels = self.output[0] as usize * self.output[1] as usize;
        for samples in &self.samples {
            match samples {
                Some(samples) if samples.len() != pixels => {
                    let found = format!("{} samples", samples.len());
                    return Err(shape("rectification", found, pixels.to_string()));
                }
                None if self.output[0] > width || self.output[1] > height => {
                    let expected = format!("at least {}x{}", self.output[0], self.output[1]);
                    return Err(shape("source image", size, expected));
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// The kernel for this format.
    pub(crate) fn source_text(&self, half: bool) -> Source {
        source(self.format, half)
    }
}

/// The kernel for images in `format`.
pub(super) fn source(format: CameraFormat, half: bool) -> Source {
    Source {
        kernel: "rectify",
        text: format!("{DEVICE}\n{}", include_str!("../../kernels/rectify.cu")),
        options: vec![
            format!("-DFORMAT={}", format.number()),
            format!("-DOUTPUT_HALF={}", u32::from(half)),
            format!("-DBYTES={}", size_of::<Parameters>()),
        ],
    }
}

/// Offsets in a staged pair, bytes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Staging {
    pub(crate) pixels: [usize; 2],
    pub(crate) chroma: [usize; 2],
    pub(crate) bytes: usize,
}

/// Addresses on the device.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RectifyBuffers {
    /// A staged pair.
    pub(crate) pair: u64,
    /// Of each view; 0: none.
    pub(crate) samples: [u64; 2],
    /// [2, 3, H, W].
    pub(crate) images: u64,
}

/// A launch, ready.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rectification {
    parameters: Parameters,
    grid: [u32; 3],
}

impl Rectification {
    /// `views` of the pair are rectified.
    pub(crate) fn new(plan: &RectifyPlan, buffers: &RectifyBuffers, views: u32) -> Self {
        let staging = plan.staging();
        let view = |view: usize| View {
            pixels: buffers.pair + staging.pixels[view] as u64,
            chroma: buffers.pair + staging.chroma[view] as u64,
            samples: buffers.samples[view],
        };
        let [width, height] = plan.output;
        let [red_x, red_y] = plan.format.red();
        let parameters = Parameters {
            views: [view(0), view(1)],
            images: buffers.images,
            source_width: plan.source[0],
            source_height: plan.source[1],
            stride: u32::try_from(plan.stride()).unwrap_or(u32::MAX),
            width,
            height,
            red_x,
            red_y,
            scale: plan.scale,
            offset: plan.offset,
            black: plan.black,
            yuv: plan.yuv,
        };
        let grid = [width.div_ceil(BLOCK[0]), height.div_ceil(BLOCK[1]), views];
        Self { parameters, grid }
    }

    /// Queues it.
    ///
    /// # Safety
    /// The kernel must be that of the plan; the buffers must be as large as the plan says and outlive the run.
    pub(crate) unsafe fn launch(&self, kernel: &Kernel, stream: &Stream) -> Result<(), CudaError> {
        // SAFETY: the parameters are the kernel's, of the size it was compiled for; the caller vouches for the buffers,
        // and `RectifyPlan::check` for every index into them.
        unsafe { kernel.launch(stream, self.grid, BLOCK, (&raw const self.parameters).cast()) }
    }
}

/// `View` of `rectify.cu`.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
struct View {
    pixels: u64,
    chroma: u64,
    samples: u64,
}

/// `Rectify` of `rectify.cu`.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
struct Parameters {
    views: [View; 2],
    images: u64,
    source_width: u32,
    source_height: u32,
    stride: u32,
    width: u32,
    height: u32,
    red_x: u32,
    red_y: u32,
    scale: [f32; 3],
    offset: [f32; 3],
    black: [f32; 3],
    yuv: [YuvCoefficients; 3],
}

/// A warp along the rows, so that its stores are whole lines of memory.
const BLOCK: [u32; 3] = [32, 4, 1];
/// Of the parts of a staged pair: what memory of the device has.
const ALIGNMENT: usize = 256;
/// So that a column, counted from one pixel outside, fits 16 bits and is never that of [`NO_SAMPLE`].
const LONGEST_SIDE: u32 = 32_767;
