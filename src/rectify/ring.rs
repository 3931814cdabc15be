//! The unpacked rows that are being read.
//!
//! Neighbouring rows of the destination show neighbouring rows of the source, so few of them are needed at a time: they are
//! unpacked once, into a ring that stays in the second cache. Around the image is a black frame of one pixel: a pixel across
//! the image's edge needs no special case.
#![expect(clippy::inline_always, reason = "compiled for the instructions chosen at dispatch")]

use super::unpack::{Line, Unpacker};
use crate::capture::Image;
use occdepth_geometry::ImageSize;

/// Values of a pixel: red, green and blue.
pub(super) const PIXEL: usize = 3;
/// Values that are read at once for two neighbours of a row; the last two are not used.
pub(super) const TWO_PIXELS: usize = 8;

/// Slots of rows, frame included; row `y`, counted from the frame's, is in slot `y % slots`.
#[derive(Clone, Debug)]
pub(super) struct Ring {
    values: Vec<f32>,
    slots: usize,
    /// Values from row to row.
    pitch: u32,
    /// Rows of the image.
    height: usize,
    black: [f32; 3],
    line: Line,
}

impl Ring {
    pub(super) fn new(image: ImageSize, slots: usize, black: [f32; 3]) -> Self {
        let pitch = pitch(image);
        // One slot more, for a copy of slot 0: the row below the one in the last slot.
        let values =
            black.into_iter().cycle().take((slots + 1) * pitch as usize + TWO_PIXELS).collect();
        Self { values, slots, pitch, height: image.height as usize, black, line: Line::new(image) }
    }

    /// Values from row to row.
    #[inline(always)]
    pub(super) fn pitch(&self) -> u32 {
        self.pitch
    }

    #[inline(always)]
    pub(super) fn values(&self) -> &[f32] {
        &self.values
    }

    /// Brings row `y`, counted from the frame's, into its slot.
    #[inline(always)]
    pub(super) fn fill<const FUSED: bool>(
        &mut self,
        unpacker: &Unpacker,
        image: &Image<'_>,
        y: usize,
    ) {
        let slot = y % self.slots;
        let pitch = self.pitch as usize;
        let row = self.values[slot * pitch..][..pitch].as_chunks_mut::<PIXEL>().0;
        if (1..=self.height).contains(&y) {
            unpacker.unpack::<FUSED>(image, y - 1, &mut self.line);
            // The pixels of the frame stay black.
            let colours = self.line.red.iter().zip(&self.line.green).zip(&self.line.blue);
            for (pixel, ((&red, &green), &blue)) in row[1..].iter_mut().zip(colours) {
                *pixel = [red, green, blue];
            }
        } else {
            row.fill(self.black);
        }
        if slot == 0 {
            self.values.copy_within(0..pitch, self.slots * pitch);
        }
    }
}

/// Values from row to row of a ring for `image`.
pub(super) fn pitch(image: ImageSize) -> u32 {
    3 * (image.width + 2)
}
