//! Pixel formats and borrowed images.

use occdepth_geometry::ImageSize;

/// Memory layout of a camera image.
///
/// What luma and chroma mean is [`YuvEncoding`]'s to say. Words of 16 bits are little-endian.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum PixelFormat {
    /// 3 bytes a pixel: red, green, blue.
    Rgb8,
    /// 3 bytes a pixel: blue, green, red.
    Bgr8,
    /// 1 byte a pixel, full range.
    Grey8,
    /// A word a pixel, value in its low 10 bits, full range: V4L2's `Y10`.
    Grey10,
    /// A word a pixel, full range: V4L2's `Y16`.
    Grey16,
    /// 4:2:2, 4 bytes for two pixels of a row: Y0 U Y1 V. Width even.
    Yuyv,
    /// 4:2:2, 4 bytes for two pixels of a row: U Y0 V Y1. Width even.
    Uyvy,
    /// 4:2:0, a plane of Y and a plane of U, V pairs, one for 2x2 pixels. Width and height even.
    Nv12,
    /// 1 byte a pixel, one colour each. Width and height even.
    Bayer8(BayerOrder),
    /// A word a pixel, value in its low 10 bits, one colour each. Width and height even.
    Bayer10(BayerOrder),
    /// A word a pixel, value in its low 12 bits, one colour each. Width and height even.
    Bayer12(BayerOrder),
}

/// Colours of the first two pixels of the first row, then of the second row, of a Bayer mosaic.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum BayerOrder {
    /// Red green, green blue.
    Rggb,
    /// Green red, blue green.
    Grbg,
    /// Green blue, red green.
    Gbrg,
    /// Blue green, green red.
    Bggr,
}

impl BayerOrder {
    /// Column (0, 1) and row (0, 1) of red in each square of four; blue is in the opposite corner.
    pub fn red(self) -> [usize; 2] {
        match self {
            Self::Rggb => [0, 0],
            Self::Grbg => [1, 0],
            Self::Gbrg => [0, 1],
            Self::Bggr => [1, 1],
        }
    }
}

/// What luma and chroma mean.
///
/// The default is BT.601, limited range, which V4L2 means where a driver does not say otherwise. Has no meaning for
/// formats without chroma.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct YuvEncoding {
    /// The weights of red, green and blue in luma.
    pub matrix: YuvMatrix,
    /// The codes in use.
    pub range: YuvRange,
}

/// The weights of red, green and blue in luma.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum YuvMatrix {
    /// ITU-R BT.601: Kr = 0.299, Kb = 0.114.
    #[default]
    Bt601,
    /// ITU-R BT.709: Kr = 0.2126, Kb = 0.0722.
    Bt709,
}

/// The codes that luma and chroma use.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum YuvRange {
    /// Luma 16 to 235, chroma 16 to 240.
    #[default]
    Limited,
    /// 0 to 255 (JPEG).
    Full,
}

impl PixelFormat {
    /// Bytes of one row of `width` pixels without padding; of the Y plane for NV12 (a row of its chroma
    /// has as many).
    pub fn row_bytes(self, width: u32) -> usize {
        let width = width as usize;
        match self {
            Self::Rgb8 | Self::Bgr8 => 3 * width,
            Self::Grey8 | Self::Nv12 | Self::Bayer8(_) => width,
            Self::Grey10
            | Self::Grey16
            | Self::Yuyv
            | Self::Uyvy
            | Self::Bayer10(_)
            | Self::Bayer12(_) => 2 * width,
        }
    }

    /// Bytes of a whole image without padding; chroma of NV12 included.
    pub fn image_bytes(self, size: ImageSize) -> usize {
        let height = size.height as usize;
        let rows = if self == Self::Nv12 { height + height / 2 } else { height };
        self.row_bytes(size.width).saturating_mul(rows)
    }

    /// Checks that an image of `size` exists in this format.
    ///
    /// # Errors
    ///
    /// [`ImageLayoutError::Empty`] for a size without pixels, [`ImageLayoutError::OddSize`] where the
    /// chroma or the mosaic of the format needs pairs of columns or rows.
    pub fn check_size(self, size: ImageSize) -> Result<(), ImageLayoutError> {
        let ImageSize { width, height } = size;
        if width == 0 || height == 0 {
            return Err(ImageLayoutError::Empty { width, height });
        }
        let pairs_of_rows =
            matches!(self, Self::Nv12 | Self::Bayer8(_) | Self::Bayer10(_) | Self::Bayer12(_));
        let pairs_of_columns = pairs_of_rows || matches!(self, Self::Yuyv | Self::Uyvy);
        if pairs_of_columns && width % 2 == 1 || pairs_of_rows && height % 2 == 1 {
            return Err(ImageLayoutError::OddSize { format: self, width, height });
        }
        Ok(())
    }
}

/// One plane of pixels, borrowed from whoever owns the buffer (a driver, a decoder).
#[derive(Clone, Copy, Debug)]
pub struct Plane<'a> {
    /// At least `stride_bytes * (rows - 1)` bytes and the used bytes of the last row.
    pub data: &'a [u8],
    /// Bytes from the start of one row to the start of the next.
    pub stride_bytes: usize,
}

impl Plane<'_> {
    fn check(
        &self,
        plane: &'static str,
        row_bytes: usize,
        rows: u32,
    ) -> Result<(), ImageLayoutError> {
        if self.stride_bytes < row_bytes {
            return Err(ImageLayoutError::Stride {
                plane,
                found: self.stride_bytes,
                expected: row_bytes,
            });
        }
        let before_last = self.stride_bytes.saturating_mul(rows as usize - 1);
        let expected = before_last.saturating_add(row_bytes);
        if self.data.len() < expected {
            return Err(ImageLayoutError::Short { plane, found: self.data.len(), expected });
        }
        Ok(())
    }
}

/// A borrowed camera image.
#[derive(Clone, Copy, Debug)]
pub struct Image<'a> {
    /// How the bytes of the planes are to be read.
    pub format: PixelFormat,
    /// In pixels.
    pub size: ImageSize,
    /// The pixels; Y for NV12.
    pub plane: Plane<'a>,
    /// Interleaved UV of NV12, `height / 2` rows; `None` for every other format.
    pub chroma: Option<Plane<'a>>,
}

impl<'a> Image<'a> {
    /// An image whose rows follow each other without padding, chroma of NV12 after its Y plane.
    ///
    /// # Errors
    ///
    /// [`ImageLayoutError`] when `data` is shorter than [`PixelFormat::image_bytes`], or the format has
    /// no image of that size. Bytes beyond the image are allowed and ignored.
    pub fn packed(
        format: PixelFormat,
        size: ImageSize,
        data: &'a [u8],
    ) -> Result<Self, ImageLayoutError> {
        format.check_size(size)?;
        let stride_bytes = format.row_bytes(size.width);
        let luma_bytes = stride_bytes.saturating_mul(size.height as usize);
        let image = match format {
            PixelFormat::Nv12 => {
                let (luma, chroma) =
                    data.split_at_checked(luma_bytes).ok_or(ImageLayoutError::Short {
                        plane: "Y",
                        found: data.len(),
                        expected: luma_bytes,
                    })?;
                let chroma = Some(Plane { data: chroma, stride_bytes });
                Image { format, size, plane: Plane { data: luma, stride_bytes }, chroma }
            }
            _ => Image { format, size, plane: Plane { data, stride_bytes }, chroma: None },
        };
        image.check()?;
        Ok(image)
    }

    /// Checks that every pixel lies inside the planes, so that whoever reads them need not.
    ///
    /// # Errors
    ///
    /// The first [`ImageLayoutError`] found.
    pub fn check(&self) -> Result<(), ImageLayoutError> {
        self.format.check_size(self.size)?;
        let row_bytes = self.format.row_bytes(self.size.width);
        let name = if self.format == PixelFormat::Nv12 { "Y" } else { "pixel" };
        self.plane.check(name, row_bytes, self.size.height)?;
        match (self.format, &self.chroma) {
            (PixelFormat::Nv12, Some(chroma)) => {
                chroma.check("UV", row_bytes, self.size.height / 2)
            }
            (PixelFormat::Nv12, None) => Err(ImageLayoutError::MissingChroma),
            (format, Some(_)) => Err(ImageLayoutError::UnexpectedChroma { format }),
            (_, None) => Ok(()),
        }
    }
}

/// Why bytes are not an image of the claimed format and size.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ImageLayoutError {
    /// No pixels at all.
    #[error("an image of {width}x{height} has no pixels")]
    Empty {
        /// Columns.
        width: u32,
        /// Rows.
        height: u32,
    },
    /// Subsampled chroma and mosaics need whole pairs.
    #[error("{format:?} has no image of {width}x{height}: it needs even sizes")]
    OddSize {
        /// The format asked for.
        format: PixelFormat,
        /// Columns.
        width: u32,
        /// Rows.
        height: u32,
    },
    /// Rows overlap.
    #[error("{plane} plane: {found} bytes from row to row, expected at least {expected}")]
    Stride {
        /// Which plane.
        plane: &'static str,
        /// Its stride, bytes.
        found: usize,
        /// Bytes of a row.
        expected: usize,
    },
    /// The buffer ends before the image does.
    #[error("{plane} plane: {found} bytes, expected at least {expected}")]
    Short {
        /// Which plane.
        plane: &'static str,
        /// Its length, bytes.
        found: usize,
        /// Bytes that the image needs.
        expected: usize,
    },
    /// NV12 without its second plane.
    #[error("Nv12 without a UV plane")]
    MissingChroma,
    /// A second plane where the format has one only.
    #[error("{format:?} with a UV plane")]
    UnexpectedChroma {
        /// The format.
        format: PixelFormat,
    },
}
