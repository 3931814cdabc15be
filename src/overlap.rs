//! One frame in the engine while the next one is being captured.
//!
//! An engine on a GPU leaves the frame thread with nothing to do. [`Overlap`] lets it take the next pair meanwhile, decode
//! it where the source has to, and copy it to where the engine will find it. Of a paced source only the newest pair
//! counts: one that is staged is replaced by the next, and counted as dropped; of an unpaced one every pair does, and one is
//! staged ahead. A finished frame is published at once: the thread looks every millisecond, and puts the next frame
//! into the engine before it publishes this one.

use crate::capture::{Capture, CaptureError, FrameSource, monotonic_ns};
use crate::perception::{FrameError, Perception};
use crate::publish::CapturedPair;
use crate::stages::StageTimes;
use std::time::Duration;

/// What is between the source and the ring.
#[derive(Debug, Default)]
pub(crate) struct Overlap {
    in_flight: Option<InFlight>,
    /// Staged.
    waiting: Option<CapturedPair>,
    /// What the source said while a frame was in flight; said again when that is published.
    held: Option<Held>,
}

#[derive(Clone, Copy, Debug)]
struct InFlight {
    pair: CapturedPair,
    /// From the capture to the engine.
    capture: Duration,
    /// What the watch took; none: it has not looked yet.
    watch: Option<Duration>,
}

#[derive(Debug)]
enum Held {
    Fault(CaptureError),
    /// A pair that could not be taken.
    Pair(FrameError),
    Ended,
}

/// What a step of the overlap came to.
#[expect(
    clippy::large_enum_variant,
    reason = "taken apart by the caller, never kept; a box would allocate"
)]
#[derive(Debug)]
pub(crate) enum Overlapped {
    /// A frame's labels are in the memory of the perception, and `next` says whether the one after it is in the engine.
    Done {
        pair: CapturedPair,
        times: StageTimes,
        next: Result<(), FrameError>,
    },
    Idle,
    Ended,
}

/// Why a step of the overlap failed.
#[derive(Debug)]
pub(crate) enum OverlapError {
    Capture(CaptureError),
    /// A frame is lost, and whatever the engine had.
    Frame(FrameError),
    /// One pair is lost, and nothing else.
    Pair(FrameError),
}

impl From<FrameError> for OverlapError {
    fn from(error: FrameError) -> Self {
        Self::Frame(error)
    }
}

impl Overlap {
    /// Takes one pair to its labels, and perhaps the next one on its way.
    pub(crate) fn step(
        &mut self,
        source: &mut dyn FrameSource,
        perception: &mut Perception,
        timeout: Duration,
    ) -> Result<Overlapped, OverlapError> {
        let result = self.advance(source, perception, timeout);
        if let Err(OverlapError::Frame(_)) = result {
            // Whatever the engine had is lost.
            self.in_flight = None;
            self.waiting = None;
        }
        result
    }

    fn advance(
        &mut self,
        source: &mut dyn FrameSource,
        perception: &mut Perception,
        timeout: Duration,
    ) -> Result<Overlapped, OverlapError> {
        if self.in_flight.is_none() {
            match self.held.take() {
                Some(Held::Fault(error)) => return Err(OverlapError::Capture(error)),
                Some(Held::Pair(error)) => return Err(OverlapError::Pair(error)),
                Some(Held::Ended) if self.waiting.is_none() => {
                    self.held = Some(Held::Ended);
                    return Ok(Overlapped::Ended);
                }
                held => self.held = held,
            }
            if self.waiting.is_none() {
                match source.next(timeout).map_err(OverlapError::Capture)? {
                    Capture::Frame(frame) => {
                        perception.stage(&frame)?;
                        self.waiting = Some(CapturedPair::new(&frame));
                    }
                    Capture::TimedOut => return Ok(Overlapped::Idle),
                    Capture::Ended => return Ok(Overlapped::Ended),
                }
            }
            self.submit(perception)?;
        }
        let Some(mut frame) = self.in_flight else { return Ok(Overlapped::Idle) };
        let watch = match frame.watch {
            Some(watch) => watch,
            None => perception.observe()?,
        };
        frame.watch = Some(watch);
        self.in_flight = Some(frame);

        self.take_pairs(source, perception)?;
        let mut times = perception.collect(watch, None)?;
        times.capture = frame.capture;
        self.in_flight = None;
        let next = if self.waiting.is_some() { self.submit(perception) } else { Ok(()) };
        if next.is_err() {
            self.in_flight = None;
            self.waiting = None;
        }
        Ok(Overlapped::Done { pair: frame.pair, times, next })
    }

    /// Stages pairs until the frame in flight is done.
    fn take_pairs(
        &mut self,
        source: &mut dyn FrameSource,
        perception: &mut Perception,
    ) -> Result<(), OverlapError> {
        let paced = source.description().paced;
        while self.held.is_none() && (paced || self.waiting.is_none()) && !perception.is_done()? {
            match source.next(LOOK) {
                Ok(Capture::Frame(frame)) => {
                    let pair = CapturedPair::new(&frame);
                    let older = self.waiting.take();
                    match perception.stage(&frame) {
                        Ok(()) => {
                            self.waiting = Some(older.map_or(pair, |older| pair.after(&older)));
                        }
                        // One pair is lost, as it would be without an overlap; the frame in flight is not. It is
                        // said when that is published.
                        Err(error @ FrameError::Rectify(_)) => {
                            self.waiting = older;
                            self.held = Some(Held::Pair(error));
                        }
                        Err(error) => return Err(error.into()),
                    }
                }
                Ok(Capture::TimedOut) => {}
                Ok(Capture::Ended) => self.held = Some(Held::Ended),
                Err(error) => self.held = Some(Held::Fault(error)),
            }
        }
        Ok(())
    }

    fn submit(&mut self, perception: &mut Perception) -> Result<(), FrameError> {
        let Some(pair) = self.waiting.take() else { return Ok(()) };
        let staging = perception.submit()?;
        // The copy counts as rectification; waiting for the engine counts here.
        let capture = Duration::from_nanos(monotonic_ns().saturating_sub(pair.captured_ns()));
        let capture = capture.saturating_sub(staging);
        self.in_flight = Some(InFlight { pair, capture, watch: None });
        Ok(())
    }
}

/// How long a finished frame may wait to be noticed.
const LOOK: Duration = Duration::from_millis(1);
