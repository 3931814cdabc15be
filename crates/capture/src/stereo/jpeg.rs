//! JPEG images of a camera, decoded into memory that is used again.

use occdepth_geometry::ImageSize;
use zune_jpeg::JpegDecoder;
use zune_jpeg::zune_core::bytestream::ZCursor;
use zune_jpeg::zune_core::colorspace::ColorSpace;
use zune_jpeg::zune_core::options::DecoderOptions;

/// Memory for one RGB8 image without padding.
#[derive(Debug)]
pub(super) struct Decoded {
    size: ImageSize,
    pub(super) pixels: Vec<u8>,
}

impl Decoded {
    /// Nothing, of `size` pixels.
    pub(super) fn new(size: ImageSize) -> Self {
        Self { size, pixels: vec![0; 3 * size.width as usize * size.height as usize] }
    }

    /// Decodes `jpeg`; whether it was a whole image of the right size. The pixels are unspecified if not.
    pub(super) fn decode(&mut self, jpeg: &[u8]) -> bool {
        // The decoder does not miss the last rows of an image that was cut off; the marker at its end does. It cannot be
        // mistaken: in coded data a zero follows each 0xff.
        if !jpeg.windows(2).rev().any(|marker| marker == END_OF_IMAGE) {
            return false;
        }
        // Strict: a camera's truncated image is a damaged one, not half a picture and grey.
        let options = DecoderOptions::default()
            .set_strict_mode(true)
            .set_max_width(self.size.width as usize)
            .set_max_height(self.size.height as usize)
            .jpeg_set_out_colorspace(ColorSpace::RGB);
        let mut decoder = JpegDecoder::new_with_options(ZCursor::new(jpeg), options);
        if decoder.decode_headers().is_err() {
            return false;
        }
        let expected = (self.size.width as usize, self.size.height as usize);
        decoder.dimensions() == Some(expected) && decoder.decode_into(&mut self.pixels).is_ok()
    }
}

/// ITU-T T.81, table B.1.
const END_OF_IMAGE: [u8; 2] = [0xff, 0xd9];
