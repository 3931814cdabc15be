//! The synthetic street as a camera: needs no files, and the truth about every pixel is known.
//!
//! Pair `i` shows the street `i / rate` seconds after its start, so the pairs of a seed and a rate are
//! the same whether they are rendered live or as fast as possible. Rendering runs on a thread of its own,
//! a few pairs ahead, into buffers that are reused; no thread allocates after the first pairs.
//!
//! The street renders RGB; every other [`PixelFormat`] is converted from it, for the sake of whatever
//! reads camera formats.

use super::replay::{PairBuffer, PairMaker, Replay, check_rate};
use super::{
    Capture, CaptureError, FrameSource, Pacing, PixelFormat, SourceDescription, YuvEncoding,
    convert::from_rgb8,
};
use occdepth_capture::nanoseconds;
use occdepth_geometry::{ImageSize, rig::StereoRig};
use occdepth_street::{Rendering, Street};
use std::error::Error;
use std::time::Duration;

/// A rendered street.
#[derive(Debug)]
pub struct Synthetic {
    replay: Replay,
}

impl Synthetic {
    /// Builds the street for `rig` and starts rendering ahead.
    ///
    /// The timeline starts with the first call of [`FrameSource::next`].
    ///
    /// # Errors
    ///
    /// [`CaptureError::Configuration`] for a rate outside (0, 1000] and for a pixel format that has no
    /// image of the rig's size; [`CaptureError::Open`] for a rig that the street cannot be seen with.
    pub fn open(rig: &StereoRig, options: &SyntheticOptions) -> Result<Self, CaptureError> {
        let &SyntheticOptions { seed, format, rate_hz, pacing, frames } = options;
        let name = format!("synthetic street, seed {seed}");
        check_rate(&name, rate_hz)?;
        format.check_size(rig.image_size).map_err(|e| CaptureError::Configuration {
            origin: name.clone(),
            field: "format",
            found: e.to_string(),
            expected: "a format that the rig's image size has".into(),
        })?;
        let street = Street::new(seed, rig)
            .map_err(|e| CaptureError::Open { origin: name.clone(), cause: Box::new(e) })?;
        let description = SourceDescription {
            name,
            size: rig.image_size,
            format,
            colour: YuvEncoding::default(),
            rate_hz: (pacing == Pacing::Clock).then_some(rate_hz),
            paced: pacing == Pacing::Clock,
        };
        let rendering = Rendering::default();
        let renderer =
            Renderer { street, rendering, format, size: rig.image_size, rate_hz, frames };
        Ok(Self { replay: Replay::new(description, pacing, 0, BUFFERS, renderer)? })
    }
}

impl FrameSource for Synthetic {
    fn description(&self) -> &SourceDescription {
        self.replay.description()
    }

    fn next(&mut self, timeout: Duration) -> Result<Capture<'_>, CaptureError> {
        self.replay.next(timeout)
    }
}

/// Which street, and how it is delivered.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SyntheticOptions {
    /// Everything about the street follows from it.
    pub seed: u64,
    /// What the cameras speak.
    pub format: PixelFormat,
    /// Pairs per second of street; more than 0, up to 1000.
    pub rate_hz: f64,
    /// Deliver at that rate, or as fast as the caller asks.
    pub pacing: Pacing,
    /// How many pairs there are; endless when `None`.
    pub frames: Option<u64>,
}

impl Default for SyntheticOptions {
    /// An endless street of RGB8 pairs at 10 Hz, seed 1.
    fn default() -> Self {
        Self {
            seed: 1,
            format: PixelFormat::Rgb8,
            rate_hz: 10.0,
            pacing: Pacing::Clock,
            frames: None,
        }
    }
}

#[derive(Debug)]
struct Renderer {
    street: Street,
    rendering: Rendering,
    format: PixelFormat,
    size: ImageSize,
    rate_hz: f64,
    frames: Option<u64>,
}

impl Renderer {
    fn time_s(&self, index: u64) -> f64 {
        index as f64 / self.rate_hz
    }
}

impl PairMaker for Renderer {
    fn due_ns(&self, index: u64) -> Option<u64> {
        if self.frames.is_some_and(|frames| index >= frames) {
            return None;
        }
        nanoseconds(self.time_s(index))
    }

    fn make(
        &mut self,
        index: u64,
        pair: &mut PairBuffer,
    ) -> Result<(), Box<dyn Error + Send + Sync>> {
        self.street.render(self.time_s(index), &mut self.rendering);
        let Rendering { left_rgb, right_rgb } = &mut self.rendering;
        if self.format == PixelFormat::Rgb8 {
            // Same length, rendered anew each time: a swap is a copy that costs nothing.
            std::mem::swap(left_rgb, &mut pair.left);
            std::mem::swap(right_rgb, &mut pair.right);
        } else {
            from_rgb8(left_rgb, self.size, self.format, &mut pair.left);
            from_rgb8(right_rgb, self.size, self.format, &mut pair.right);
        }
        Ok(())
    }
}

/// One lent, one waiting, one in the making.
const BUFFERS: usize = 3;
