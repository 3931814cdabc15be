//! From a driver's buffer to the images in it, without a copy.

use super::camera::CameraStream;
use crate::buffers::BufferPlane;
use crate::pixels::{BayerOrder, Image, PixelFormat, Plane, YuvEncoding, YuvMatrix, YuvRange};
use crate::v4l2::{ColourTags, DeviceError, Format, FourCc};
use occdepth_geometry::ImageSize;

/// How the two views lie in the image of one device.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Layout {
    /// The left view in the left half.
    SideBySide,
    /// The left view in the top half.
    TopBottom,
}

impl Layout {
    /// Size of an image that holds two views of `view`; `None` if there is none.
    pub fn image_size(self, view: ImageSize) -> Option<ImageSize> {
        let ImageSize { width, height } = view;
        match self {
            Self::SideBySide => Some(ImageSize { width: width.checked_mul(2)?, height }),
            Self::TopBottom => Some(ImageSize { width, height: height.checked_mul(2)? }),
        }
    }
}

/// What a fourcc means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Coding {
    /// Pixels as they are.
    Raw(PixelFormat),
    /// One JPEG an image.
    Jpeg,
}

impl Coding {
    /// The format of the images that are lent.
    pub(super) fn pixel_format(self) -> PixelFormat {
        match self {
            Self::Raw(format) => format,
            Self::Jpeg => PixelFormat::Rgb8,
        }
    }
}

/// Codes of `linux/videodev2.h` that are understood, the preferred first: colour that is ready before colour that is to
/// be made, and both before what has to be decoded.
pub(super) const CODES: &[([u8; 4], Coding)] = &[
    (*b"YUYV", Coding::Raw(PixelFormat::Yuyv)),
    (*b"UYVY", Coding::Raw(PixelFormat::Uyvy)),
    (*b"NV12", Coding::Raw(PixelFormat::Nv12)),
    (*b"NM12", Coding::Raw(PixelFormat::Nv12)),
    (*b"RGB3", Coding::Raw(PixelFormat::Rgb8)),
    (*b"BGR3", Coding::Raw(PixelFormat::Bgr8)),
    (*b"GREY", Coding::Raw(PixelFormat::Grey8)),
    (*b"Y10 ", Coding::Raw(PixelFormat::Grey10)),
    (*b"Y16 ", Coding::Raw(PixelFormat::Grey16)),
    (*b"RGGB", Coding::Raw(PixelFormat::Bayer8(BayerOrder::Rggb))),
    (*b"GRBG", Coding::Raw(PixelFormat::Bayer8(BayerOrder::Grbg))),
    (*b"GBRG", Coding::Raw(PixelFormat::Bayer8(BayerOrder::Gbrg))),
    (*b"BA81", Coding::Raw(PixelFormat::Bayer8(BayerOrder::Bggr))),
    (*b"RG10", Coding::Raw(PixelFormat::Bayer10(BayerOrder::Rggb))),
    (*b"BA10", Coding::Raw(PixelFormat::Bayer10(BayerOrder::Grbg))),
    (*b"GB10", Coding::Raw(PixelFormat::Bayer10(BayerOrder::Gbrg))),
    (*b"BG10", Coding::Raw(PixelFormat::Bayer10(BayerOrder::Bggr))),
    (*b"RG12", Coding::Raw(PixelFormat::Bayer12(BayerOrder::Rggb))),
    (*b"BA12", Coding::Raw(PixelFormat::Bayer12(BayerOrder::Grbg))),
    (*b"GB12", Coding::Raw(PixelFormat::Bayer12(BayerOrder::Gbrg))),
    (*b"BG12", Coding::Raw(PixelFormat::Bayer12(BayerOrder::Bggr))),
    (*b"MJPG", Coding::Jpeg),
    (*b"JPEG", Coding::Jpeg),
];

pub(super) fn coding(code: FourCc) -> Option<Coding> {
    CODES.iter().find(|(known, _)| FourCc(*known) == code).map(|&(_, coding)| coding)
}

/// What luma and chroma mean by a driver's word.
pub(super) fn yuv_encoding(tags: ColourTags) -> YuvEncoding {
    YuvEncoding {
        matrix: if tags.is_bt709() { YuvMatrix::Bt709 } else { YuvMatrix::Bt601 },
        range: if tags.is_full_range() { YuvRange::Full } else { YuvRange::Limited },
    }
}

/// Columns and rows of the pixels that share their colour samples.
fn shared_samples(format: PixelFormat) -> (u32, u32) {
    match format {
        PixelFormat::Yuyv | PixelFormat::Uyvy => (2, 1),
        PixelFormat::Nv12
        | PixelFormat::Bayer8(_)
        | PixelFormat::Bayer10(_)
        | PixelFormat::Bayer12(_) => (2, 2),
        PixelFormat::Rgb8
        | PixelFormat::Bgr8
        | PixelFormat::Grey8
        | PixelFormat::Grey10
        | PixelFormat::Grey16 => (1, 1),
    }
}

/// Where one view lies in the buffers of a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct View {
    format: PixelFormat,
    size: ImageSize,
    stride_bytes: usize,
    /// From the start of the first memory plane to the view's first byte.
    start: usize,
    /// Of NV12: memory plane, stride, and start of the chroma in it.
    chroma: Option<(usize, usize, usize)>,
}

/// Where a view lies and how large it is, in pixels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Region {
    left: u32,
    top: u32,
    size: ImageSize,
}

impl View {
    /// The left and the right view in the images of one device.
    ///
    /// # Errors
    /// [`DeviceError::Unsupported`] when an image cannot be halved (its halves, or where they start, have no whole
    /// chroma or colour samples), or the driver's strides are too short.
    pub(super) fn halves(
        device: &str,
        format: &Format,
        pixels: PixelFormat,
        layout: Layout,
    ) -> Result<[Self; 2], DeviceError> {
        let ImageSize { width, height } = format.size;
        let (size, left, top) = match layout {
            Layout::SideBySide => (ImageSize { width: width / 2, height }, width / 2, 0),
            Layout::TopBottom => (ImageSize { width, height: height / 2 }, 0, height / 2),
        };
        let even = match layout {
            Layout::SideBySide => width % 2 == 0,
            Layout::TopBottom => height % 2 == 0,
        };
        // Where the second view starts amid pixels that share samples, its samples are others than the first's.
        let (columns, rows) = shared_samples(pixels);
        let whole = left.is_multiple_of(columns) && top.is_multiple_of(rows);
        if !even || !whole || pixels.check_size(size).is_err() {
            return Err(DeviceError::Unsupported {
                device: device.to_owned(),
                field: "layout".into(),
                found: format!("{width}x{height} pixels of {}", format.code),
                expected: "an image whose halves are whole pixels of its format".into(),
            });
        }
        let first = Self::new(device, format, pixels, Region { left: 0, top: 0, size })?;
        let second = Self::new(device, format, pixels, Region { left, top, size })?;
        Ok([first, second])
    }

    /// The whole image.
    ///
    /// # Errors
    /// [`DeviceError::Unsupported`] as for [`View::halves`].
    pub(super) fn whole(
        device: &str,
        format: &Format,
        pixels: PixelFormat,
    ) -> Result<Self, DeviceError> {
        Self::new(device, format, pixels, Region { left: 0, top: 0, size: format.size })
    }

    fn new(
        device: &str,
        format: &Format,
        pixels: PixelFormat,
        region: Region,
    ) -> Result<Self, DeviceError> {
        let refuse = |field: &str, found: String, expected: String| DeviceError::Unsupported {
            device: device.to_owned(),
            field: field.into(),
            found,
            expected,
        };
        pixels.check_size(region.size).map_err(|error| {
            refuse("size", error.to_string(), format!("a size that {} has", format.code))
        })?;
        let row_bytes = pixels.row_bytes(format.size.width);
        let stride = |plane: usize| -> Result<usize, DeviceError> {
            // A driver that leaves it at 0 means rows without padding.
            match format.planes.get(plane).map(|layout| layout.stride_bytes as usize) {
                Some(0) => Ok(row_bytes),
                Some(stride) if stride >= row_bytes => Ok(stride),
                found => Err(refuse(
                    "bytesperline",
                    format!("{found:?} in plane {plane}"),
                    format!("at least {row_bytes}"),
                )),
            }
        };
        let stride_bytes = stride(0)?;
        let (left, top) = (pixels.row_bytes(region.left), region.top as usize);
        let chroma = match (pixels, format.planes.len()) {
            (PixelFormat::Nv12, 2..) => {
                let stride = stride(1)?;
                Some((1, stride, stride * (top / 2) + left))
            }
            (PixelFormat::Nv12, _) => {
                let luma_bytes = stride_bytes * format.size.height as usize;
                Some((0, stride_bytes, luma_bytes + stride_bytes * (top / 2) + left))
            }
            _ => None,
        };
        let start = stride_bytes * top + left;
        Ok(Self { format: pixels, size: region.size, stride_bytes, start, chroma })
    }

    /// The view in a buffer of `stream`; `None` when the buffer holds less than the view.
    pub(super) fn image<'a>(
        &self,
        stream: &'a dyn CameraStream,
        buffer: usize,
    ) -> Option<Image<'a>> {
        let plane = |plane: usize, stride_bytes: usize, start: usize| {
            let data = stream.plane(buffer, plane)?.get(start..)?;
            Some(Plane { data, stride_bytes })
        };
        let chroma = match self.chroma {
            Some((number, stride, start)) => Some(plane(number, stride, start)?),
            None => None,
        };
        let luma = plane(0, self.stride_bytes, self.start)?;
        self.checked(luma, chroma)
    }

    /// Where the view begins in a buffer of `stream`: pixels, chroma.
    pub(super) fn planes(
        &self,
        stream: &dyn CameraStream,
        buffer: usize,
    ) -> (BufferPlane, Option<BufferPlane>) {
        let plane = |memory: usize, stride_bytes: usize, start: usize| BufferPlane {
            memory,
            offset_bytes: stream.plane_start(buffer, memory) + start,
            stride_bytes,
        };
        let chroma = self.chroma.map(|(memory, stride, start)| plane(memory, stride, start));
        (plane(0, self.stride_bytes, self.start), chroma)
    }

    /// The view in a decoded image.
    pub(super) fn decoded<'a>(&self, pixels: &'a [u8]) -> Option<Image<'a>> {
        let plane = Plane { data: pixels.get(self.start..)?, stride_bytes: self.stride_bytes };
        self.checked(plane, None)
    }

    fn checked<'a>(&self, plane: Plane<'a>, chroma: Option<Plane<'a>>) -> Option<Image<'a>> {
        let image = Image { format: self.format, size: self.size, plane, chroma };
        image.check().is_ok().then_some(image)
    }
}
