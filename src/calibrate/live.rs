//! Pairs of a board from a running source.

use crate::capture::{
    Capture, CaptureError, FrameSource, Image, SourceDescription, grey_from_rgb8,
};
use crate::rectify::{PictureMaker, RectifyError};
use occdepth_calibration::collector::{Collector, Verdict};
use occdepth_calibration::corners::GreyImage;
use std::time::Duration;

/// A pair that was looked at.
#[derive(Debug)]
pub struct Look<'a> {
    /// What became of it.
    pub verdict: Verdict,
    /// Packed RGB8 of the left and the right image.
    pub pictures: [&'a [u8]; 2],
    /// What has been collected, this pair included.
    pub collector: &'a Collector,
}

/// Whether to look at another pair.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// Go on.
    Continue,
    /// It is enough.
    Stop,
}

/// Offers pairs of `source` to `collector` until `seen` says stop or the source ends. `seen` is called after every pair that
/// was looked at, and with `None` when none came for a while; a source that is late is late with the newest pair, so looking
/// may take as long as it takes.
///
/// # Errors
/// A source that is lost, an image that is not what its source says, and what `seen` fails with.
///
/// # Panics
/// Never: pictures have as many pixels as the image that they are made of.
pub fn collect<E: From<CollectError>>(
    source: &mut dyn FrameSource,
    collector: &mut Collector,
    mut seen: impl FnMut(Option<Look<'_>>) -> Result<Next, E>,
) -> Result<(), E> {
    let mut makers = Makers::new(source.description())?;
    loop {
        let next = match source.next(PATIENCE) {
            Ok(Capture::Frame(frame)) => {
                let pictures = [makers.picture(0, &frame.left)?, makers.picture(1, &frame.right)?];
                let grey = pictures.each_ref().map(|rgb| grey_from_rgb8(rgb));
                let view = |index: usize| {
                    GreyImage::new(frame.left.size, &grey[index]).expect("made from as many pixels")
                };
                let verdict = collector.offer(&view(0), &view(1), frame.left_stamp.time_ns);
                let pictures = pictures.each_ref().map(Vec::as_slice);
                seen(Some(Look { verdict, pictures, collector }))?
            }
            Ok(Capture::TimedOut) => seen(None)?,
            Ok(Capture::Ended) => return Ok(()),
            Err(error) if error.is_recoverable() => {
                log::warn!("{error}");
                seen(None)?
            }
            Err(error) => return Err(CollectError::from(error).into()),
        };
        if next == Next::Stop {
            return Ok(());
        }
    }
}

/// Why collecting ended before its time.
#[derive(Debug, thiserror::Error)]
pub enum CollectError {
    /// The source is lost.
    #[error(transparent)]
    Capture(#[from] CaptureError),
    /// An image is not what its source says.
    #[error(transparent)]
    Image(#[from] RectifyError),
}

/// Pictures of both cameras.
struct Makers([PictureMaker; 2]);

impl Makers {
    fn new(description: &SourceDescription) -> Result<Self, CollectError> {
        let SourceDescription { size, format, colour, .. } = *description;
        let maker = PictureMaker::new(size, format, colour, None)?;
        Ok(Self([maker.clone(), maker]))
    }

    fn picture(&mut self, view: usize, image: &Image<'_>) -> Result<Vec<u8>, CollectError> {
        Ok(self.0[view].picture(image)?)
    }
}

/// So that a signal is noticed soon.
const PATIENCE: Duration = Duration::from_millis(200);
