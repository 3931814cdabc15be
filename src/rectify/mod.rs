//! From camera pixels to the network's normalised planes, in one pass.
//!
//! A [`Rectifier`] belongs to one camera. Built once from the camera's pixel format and its
//! [`NetworkCamera`], it turns each [`Image`] into three planes of the network input `images`
//! (f32 `[3, H, W]`, RGB): decode, undistort, rotate, crop or scale, and normalise, pixel by pixel,
//! with no image in between. [`StereoRectifier`] does both views of a frame.
//!
//! For a destination pixel with source position `(x, y)` (source pixels, centres at integers; see
//! [`RemapTable`](occdepth_geometry::rectification::RemapTable)) and channel `c`
//!
//! ```text
//! plane[c] = (bilinear(source, x, y)[c] / 255 - mean[c]) / std[c]
//! ```
//!
//! - **Bilinear** over the four source pixels around `(x, y)`. The position is rounded to 1/65536 px at construction,
//!   the rest is f32, so a value is within 0.005 grey levels of the exact one.
//! - **Border**: a tap outside the source image is black (`BORDER_CONSTANT` of `cv::remap` with value 0):
//!   pixels across the edge fade to black, pixels beyond it, and those whose position is NaN, are
//!   black, that is `-mean / std`.
//! - **Straight path**: a camera without a map is already rectified; the top-left W x H pixels of
//!   its image are taken unchanged.
//! - **Grey** becomes three equal channels, each normalised with its own mean and deviation.
//! - **YUV** is what its [`YuvEncoding`] says, chroma as stored: a pixel has the chroma sample that it shares with its
//!   neighbours, not an interpolated one. Each source pixel is clamped to 0..=255, as a display would.
//! - **Bayer** mosaics are demosaiced bilinearly: a missing colour is the mean of the two or four nearest pixels that have
//!   it. Values of 10 and 12 bits keep their precision.
//!
//! [`DeviceRectifier`] prepares the same for a GPU, whose kernel is in `occdepth-cuda`.
//!
//! The rows of the source are unpacked, once and just before they are needed, into normalised colours; the interpolation
//! then has one kind of pixel to read and no border to mind. Neither call allocates, locks or logs. One
//! thread does the work. Measured, a second one for the second view is 1.6 to 1.9 times as fast on idle cores and brings little
//! on busy ones (`benches/results/rectify.md`); it is left out, because starting it would allocate, and a standing one would
//! need a copy of the lent image and a lock. The views are independent: a caller may keep a [`Rectifier`] of each on threads
//! of its own.

mod device;
mod kernel;
mod normalise;
mod picture;
mod ring;
mod table;
mod unpack;

use crate::capture::{Image, ImageLayoutError, PixelFormat, StereoFrame, YuvEncoding};
pub use device::DeviceRectifier;
pub use picture::PictureMaker;

use kernel::{Remap, Straight};
use normalise::Normaliser;
use occdepth_contract::Normalisation;
use occdepth_geometry::{
    ImageSize,
    fit::{NetworkCamera, NetworkCameras},
};
use ring::Ring;
use rten_simd::SimdOp as _;
use table::SampleTable;
use unpack::{Line, Unpacker};

/// Both views of a stereo frame into the network's `images`, f32 `[2, 3, H, W]`, left first.
#[derive(Clone, Debug)]
pub struct StereoRectifier {
    left: Rectifier,
    right: Rectifier,
}

impl StereoRectifier {
    /// Rectifiers of both cameras; `source` and `format` are what both deliver.
    ///
    /// # Errors
    /// As [`Rectifier::new`], inside [`RectifyError::View`].
    pub fn new(
        source: ImageSize,
        format: PixelFormat,
        colour: YuvEncoding,
        cameras: &NetworkCameras,
        normalisation: &Normalisation,
    ) -> Result<Self, RectifyError> {
        let view = |view, camera| {
            Rectifier::new(source, format, colour, camera, cameras.size, normalisation)
                .map_err(|error| RectifyError::in_view(view, error))
        };
        Ok(Self { left: view("left", &cameras.left)?, right: view("right", &cameras.right)? })
    }

    /// Rectifies both images of `frame` into `images`, f32 `[2, 3, H, W]`.
    ///
    /// # Errors
    /// As [`Rectifier::rectify`], inside [`RectifyError::View`]; [`RectifyError::Output`] for
    /// `images` of another length. After an error the contents of `images` are unspecified.
    pub fn rectify(
        &mut self,
        frame: &StereoFrame<'_>,
        images: &mut [f32],
    ) -> Result<(), RectifyError> {
        let expected = self.left.values() + self.right.values();
        if images.len() != expected {
            return Err(RectifyError::Output { found: images.len(), expected });
        }
        let (left, right) = images.split_at_mut(self.left.values());
        self.left
            .rectify(&frame.left, left)
            .map_err(|error| RectifyError::in_view("left", error))?;
        self.right
            .rectify(&frame.right, right)
            .map_err(|error| RectifyError::in_view("right", error))
    }
}

/// One camera's images into the network's planes.
#[derive(Clone, Debug)]
pub struct Rectifier {
    source: ImageSize,
    format: PixelFormat,
    output: ImageSize,
    unpacker: Unpacker,
    path: Path,
}

/// The two ways from an image to planes, each with its memory.
#[derive(Clone, Debug)]
enum Path {
    /// Where the map says.
    Mapped { table: SampleTable, ring: Ring },
    /// The top-left corner, unchanged.
    Straight { line: Line },
}

impl Rectifier {
    /// Prepares the way from images of `source` pixels in `format` to `output` pixels.
    ///
    /// # Errors
    /// - [`RectifyError::Layout`] for a size that the format cannot have, [`RectifyError::SourceSize`]
    ///   for one beyond [`MAX_SIDE_PX`];
    /// - [`RectifyError::Crop`] when a camera without a map is smaller than `output`;
    /// - [`RectifyError::MapSize`] when the map is not of `output` pixels;
    /// - [`RectifyError::Normalisation`] for a mean or deviation that cannot normalise.
    pub fn new(
        source: ImageSize,
        format: PixelFormat,
        colour: YuvEncoding,
        camera: &NetworkCamera,
        output: ImageSize,
        normalisation: &Normalisation,
    ) -> Result<Self, RectifyError> {
        format.check_size(source)?;
        if source.width.max(source.height) > MAX_SIDE_PX {
            return Err(RectifyError::SourceSize { found: source });
        }
        let unpacker = Unpacker::new(format, colour, &Normaliser::new(normalisation)?);
        let path = match &camera.map {
            Some(map) => {
                let table = SampleTable::new(map, source, output)?;
                let ring = Ring::new(source, table.slots, unpacker.black());
                Path::Mapped { table, ring }
            }
            None if output.width > source.width || output.height > source.height => {
                return Err(RectifyError::Crop { source_size: source, output });
            }
            None => Path::Straight { line: Line::new(source) },
        };
        Ok(Self { source, format, output, unpacker, path })
    }

    /// Length of the planes: 3 * H * W.
    pub fn values(&self) -> usize {
        3 * self.output.width as usize * self.output.height as usize
    }

    /// Rectifies `image` into `planes`, f32 `[3, H, W]` (red, green, blue; row-major).
    ///
    /// # Errors
    /// An image of another format or size, or with less memory than its size needs, and planes of
    /// another length; nothing has been written then.
    pub fn rectify(&mut self, image: &Image<'_>, planes: &mut [f32]) -> Result<(), RectifyError> {
        if planes.len() != self.values() {
            return Err(RectifyError::Output { found: planes.len(), expected: self.values() });
        }
        if image.format != self.format {
            return Err(RectifyError::Format { found: image.format, expected: self.format });
        }
        if image.size != self.source {
            return Err(RectifyError::ImageSize { found: image.size, expected: self.source });
        }
        image.check()?;
        let Self { unpacker, output, path, .. } = self;
        match path {
            Path::Mapped { table, ring } => {
                Remap { image, unpacker, ring, table, planes }.dispatch();
            }
            Path::Straight { line } => {
                Straight { image, unpacker, line, output: *output, planes }.dispatch();
            }
        }
        Ok(())
    }
}

/// Longest side of a source image, pixels: so that a table entry, an index of three values per pixel, fits 32 bits.
pub const MAX_SIDE_PX: u32 = i16::MAX as u32;

/// Why an image cannot become network input.
#[derive(Debug, thiserror::Error)]
pub enum RectifyError {
    /// One of the two views failed.
    #[error("{view} camera")]
    View {
        /// "left" or "right".
        view: &'static str,
        /// What failed.
        source: Box<RectifyError>,
    },
    /// The camera's images are larger than table entries can address.
    #[error(
        "source image size: found {}x{}, expected at most {MAX_SIDE_PX} columns and rows",
        found.width, found.height
    )]
    SourceSize {
        /// The camera's size.
        found: ImageSize,
    },
    /// A camera that is already rectified has fewer pixels than the network sees.
    #[error(
        "crop: found a source image of {}x{}, expected at least the network's {}x{}",
        source_size.width, source_size.height, output.width, output.height
    )]
    Crop {
        /// The camera's size.
        source_size: ImageSize,
        /// The network's size.
        output: ImageSize,
    },
    /// The remap table is not of the network's size.
    #[error(
        "remap table: found {}x{} with {entries} entries, expected {}x{}",
        found.width, found.height, expected.width, expected.height
    )]
    MapSize {
        /// The table's declared size.
        found: ImageSize,
        /// The positions it holds.
        entries: usize,
        /// The network's size.
        expected: ImageSize,
    },
    /// A mean is not finite, or a deviation is not finite and positive.
    #[error(
        "normalisation of channel {channel}: found mean {mean} and std {std}, \
         expected finite numbers and a positive std"
    )]
    Normalisation {
        /// 0 red, 1 green, 2 blue.
        channel: usize,
        /// Of the contract.
        mean: f32,
        /// Of the contract.
        std: f32,
    },
    /// The image is in another format than the rectifier was made for.
    #[error("image format: found {found:?}, expected {expected:?}")]
    Format {
        /// The image's.
        found: PixelFormat,
        /// The rectifier's.
        expected: PixelFormat,
    },
    /// The image has another size than the rectifier was made for.
    #[error(
        "image size: found {}x{}, expected {}x{}",
        found.width, found.height, expected.width, expected.height
    )]
    ImageSize {
        /// The image's.
        found: ImageSize,
        /// The rectifier's.
        expected: ImageSize,
    },
    /// The image's memory does not hold its pixels, or no image can have the format and size.
    #[error(transparent)]
    Layout(#[from] ImageLayoutError),
    /// The caller's memory does not have the length of the output.
    #[error("output: found {found} values, expected {expected}")]
    Output {
        /// Values in the caller's slice.
        found: usize,
        /// 3 * H * W per view.
        expected: usize,
    },
}

impl RectifyError {
    fn in_view(view: &'static str, error: Self) -> Self {
        Self::View { view, source: Box::new(error) }
    }
}
