//! One image file to RGB8.

use super::Grey;
use crate::capture::grey_from_rgb8;
use image::{ColorType, DynamicImage, ImageDecoder, ImageError, ImageFormat, ImageReader};
use occdepth_geometry::ImageSize;
use std::fs::File;
use std::io::{self, Cursor, Read};
use std::path::{Path, PathBuf};

/// Reads one PNG or JPEG file as RGB8: its size and `3 * width * height` bytes.
///
/// Palettes are resolved, alpha is ignored, 16 bits are reduced to 8.
///
/// # Errors
///
/// [`FileError`]; [`FileError::Grey`] unless `grey` allows it.
pub fn read_rgb8(path: &Path, grey: Grey) -> Result<(ImageSize, Vec<u8>), FileError> {
    let mut decoder = Decoder::new(grey);
    let size = decoder.probe(path)?;
    let mut rgb = vec![0; 3 * size.width as usize * size.height as usize];
    decoder.read(path, size, &mut rgb)?;
    Ok((size, rgb))
}

/// Reads one PNG or JPEG file as grey: its size and `width * height` bytes, 0.299 R + 0.587 G + 0.114 B.
///
/// # Errors
///
/// [`FileError`].
pub fn read_grey8(path: &Path) -> Result<(ImageSize, Vec<u8>), FileError> {
    let (size, rgb) = read_rgb8(path, Grey::Replicate)?;
    Ok((size, grey_from_rgb8(&rgb)))
}

/// Why an image file could not be used.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    /// The file could not be read.
    #[error("{path}: cannot be read")]
    Read {
        /// The file.
        path: PathBuf,
        /// The system's reason.
        #[source]
        cause: io::Error,
    },
    /// The first bytes are those of neither format.
    #[error("{path}: found neither a PNG nor a JPEG file")]
    UnknownFormat {
        /// The file.
        path: PathBuf,
    },
    /// The decoder gave up: truncated, damaged, or a variant of the format it does not know.
    #[error("{path}: cannot be decoded")]
    Decode {
        /// The file.
        path: PathBuf,
        /// The decoder's reason.
        #[source]
        cause: ImageError,
    },
    /// A JPEG that ends before its end marker; a decoder would fill the rest with grey.
    #[error("{path}: truncated: the end of the JPEG image is missing")]
    Truncated {
        /// The file.
        path: PathBuf,
    },
    /// An image that does not have the size of the others.
    #[error(
        "{path}: image size: found {}x{}, expected {}x{}",
        found.width, found.height, expected.width, expected.height
    )]
    Size {
        /// The file.
        path: PathBuf,
        /// Its size.
        found: ImageSize,
        /// The size of the replay.
        expected: ImageSize,
    },
    /// An image larger than anything a camera delivers.
    #[error(
        "{path}: image size: found {}x{}, expected at most {MAX_SIDE_PX} on each side",
        found.width, found.height
    )]
    TooLarge {
        /// The file.
        path: PathBuf,
        /// Its size.
        found: ImageSize,
    },
    /// A grey image where colour is needed.
    #[error("{path}: found a grey image, expected colour (or allow grey to be replicated)")]
    Grey {
        /// The file.
        path: PathBuf,
    },
}

impl FileError {
    /// The file at fault.
    pub fn path(&self) -> &Path {
        match self {
            Self::Read { path, .. }
            | Self::UnknownFormat { path }
            | Self::Decode { path, .. }
            | Self::Truncated { path }
            | Self::Size { path, .. }
            | Self::TooLarge { path, .. }
            | Self::Grey { path } => path,
        }
    }
}

/// Decodes files one after the other, with memory that stays.
#[derive(Debug)]
pub(super) struct Decoder {
    grey: Grey,
    file: Vec<u8>,
    grey_pixels: Vec<u8>,
}

impl Decoder {
    pub(super) fn new(grey: Grey) -> Self {
        Self { grey, file: Vec::new(), grey_pixels: Vec::new() }
    }

    /// The size in a file's header, once its colour is known to be acceptable.
    pub(super) fn probe(&mut self, path: &Path) -> Result<ImageSize, FileError> {
        Ok(size_of(&open(path, self.grey, &mut self.file)?))
    }

    /// Reads a file of `size` into `rgb`, `3 * width * height` bytes.
    pub(super) fn read(
        &mut self,
        path: &Path,
        size: ImageSize,
        rgb: &mut [u8],
    ) -> Result<(), FileError> {
        let decoder = open(path, self.grey, &mut self.file)?;
        let found = size_of(&decoder);
        if found != size {
            return Err(FileError::Size { path: path.into(), found, expected: size });
        }
        let failed = |cause| FileError::Decode { path: path.into(), cause };
        match decoder.color_type() {
            ColorType::Rgb8 => decoder.read_image(rgb).map_err(failed),
            ColorType::L8 => {
                self.grey_pixels.resize(rgb.len() / 3, 0);
                decoder.read_image(&mut self.grey_pixels).map_err(failed)?;
                for (pixel, &grey) in rgb.as_chunks_mut().0.iter_mut().zip(&self.grey_pixels) {
                    *pixel = [grey; 3];
                }
                Ok(())
            }
            _ => {
                let image = DynamicImage::from_decoder(decoder).map_err(failed)?;
                rgb.copy_from_slice(&image.into_rgb8());
                Ok(())
            }
        }
    }
}

/// Reads the whole of a file into `file`, then its header, and refuses what is not acceptable.
fn open<'a>(
    path: &Path,
    grey: Grey,
    file: &'a mut Vec<u8>,
) -> Result<impl ImageDecoder + 'a, FileError> {
    file.clear();
    File::open(path)
        .and_then(|opened| opened.take(MAX_FILE_BYTES).read_to_end(file))
        .map_err(|cause| FileError::Read { path: path.into(), cause })?;
    let Ok(format @ (ImageFormat::Png | ImageFormat::Jpeg)) = image::guess_format(file) else {
        return Err(FileError::UnknownFormat { path: path.into() });
    };
    if format == ImageFormat::Jpeg && !jpeg_is_whole(file) {
        return Err(FileError::Truncated { path: path.into() });
    }
    let decoder = ImageReader::with_format(Cursor::new(file.as_slice()), format)
        .into_decoder()
        .map_err(|cause| FileError::Decode { path: path.into(), cause })?;
    let found = size_of(&decoder);
    if found.width.max(found.height) > MAX_SIDE_PX {
        return Err(FileError::TooLarge { path: path.into(), found });
    }
    if grey == Grey::Refuse && !decoder.color_type().has_color() {
        return Err(FileError::Grey { path: path.into() });
    }
    Ok(decoder)
}

fn size_of(decoder: &impl ImageDecoder) -> ImageSize {
    let (width, height) = decoder.dimensions();
    ImageSize { width, height }
}

/// Whether an end-of-image marker follows the last start-of-scan marker.
///
/// The decoder accepts a JPEG that stops in the middle of a scan and leaves the rest grey. Markers
/// cannot appear inside entropy-coded data, where a 0xff byte is followed by 0 (ITU-T T.81, B.1.1.5);
/// a thumbnail in a header ends before the scan of the picture starts.
fn jpeg_is_whole(file: &[u8]) -> bool {
    let last = |marker: u8| file.windows(2).rposition(|pair| pair == [0xff, marker]);
    match (last(START_OF_SCAN), last(END_OF_IMAGE)) {
        (Some(scan), Some(end)) => scan < end,
        _ => false,
    }
}

const START_OF_SCAN: u8 = 0xda;
const END_OF_IMAGE: u8 = 0xd9;

/// A bound on memory: 16384 x 16384 RGB8 is 768 MiB.
const MAX_SIDE_PX: u32 = 16_384;

/// A bound on memory; an image of the largest size, uncompressed, fits.
const MAX_FILE_BYTES: u64 = 1 << 30;
