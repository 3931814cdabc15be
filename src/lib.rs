//! The runtime of `occdepth`: stereo frames in, 3D semantic occupancy grids out.
//!
//! This page is the whole of it. A frame goes through five stages, always in this order, and nothing flows back:
//!
//! ```text
//!  capture ──────► rectify ──────► infer ────────► label ─────────► publish
//!  FrameSource     StereoRectifier Engine          Labeller         occdepth_ring::Writer
//!  pixels as the   [2, 3, H, W]    [C, X, Y, Z]    u8 [X, Y, Z]     one slot of the ring,
//!  camera has them f32, rectified  f32, logits     class ids        any number of readers
//! ```
//!
//! | module | job |
//! |---|---|
//! | [`capture`] | where stereo pairs come from: image files, the synthetic street, cameras of the kernel |
//! | [`rectify`] | camera pixels through the rectification map to the network's normalised planes, in one pass |
//! | [`decalibration`] | notices on the rectified pair when the rig no longer is what its calibration says |
//! | [`engine`] | runs an exported network |
//! | [`grid`] | logits to class ids and probabilities, in one pass |
//! | [`perception`] | the three stages in the middle, fitted to one rig and one network |
//! | [`publish`] | what the ring says of a stream and of each of its grids |
//! | [`daemon`] | configuration, and a pipeline assembled from it |
//! | [`stages`] | where the time went |
//! | [`rig`] | reading rig files |
//! | [`toml_file`] | why a configuration or a recipe is refused |
//! | [`doctor`] | every precondition of running here, with a verdict and a mend |
//! | [`causes`] | errors with their causes, for logs and reports |
//! | [`board`] | the board that the program runs on: profiles, sensors, what is installed |
//! | [`estimate`] | what a network costs, and the least time a board needs for it |
//!
//! The mathematics (cameras, rectification, where a voxel falls in an image) is in `occdepth-geometry`, shared
//! with training, so that both compute it alike. What a network promises is in `occdepth-contract`.
//!
//! # One frame
//!
//! ```
//! use occdepth::daemon::{Config, assemble};
//! use occdepth::{Step, rig::demo_rig};
//! use std::time::Duration;
//!
//! let directory = tempfile::tempdir()?;
//! let config = Config::parse(
//!     "[source]\nkind = 'synthetic'\nframes = 1\n[stream]\nsocket = 'street.sock'\n",
//!     &directory.path().join("street.toml"),
//! )?;
//! let mut pipeline = assemble(&config)?;
//! let mut reader = occdepth_ring::Reader::connect(&config.stream.socket, &Default::default())?;
//!
//! assert!(matches!(pipeline.step(Duration::from_secs(5))?, Step::Published { sequence: 1, .. }));
//!
//! let mut grid = occdepth_ring::Grid::new();
//! reader.copy_newest(&mut grid)?;
//! assert_eq!(grid.labels, pipeline.perception().labels());
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
#![forbid(unsafe_code)]

pub mod board;
pub mod calibrate;
pub mod capture;
pub mod causes;
pub mod daemon;
pub mod decalibration;
pub mod doctor;
pub mod engine;
pub mod estimate;
pub mod grid;
mod overlap;
pub mod perception;
pub mod publish;
pub mod rectify;
pub mod rig;
pub mod stages;
pub mod toml_file;

use crate::capture::{Capture, CaptureError, FrameSource, monotonic_ns};
use crate::overlap::{Overlap, OverlapError, Overlapped};
use crate::perception::{FrameError, Perception};
use crate::publish::{CapturedPair, PublishError, Publisher};
use crate::stages::{StageStatistics, StageTimes};
use std::time::Duration;

/// The pipeline: a source, the stages in the middle, and the ring.
///
/// After the first frame, [`step`](Pipeline::step) neither allocates nor logs (the crate that runs the
/// network aside), and waits for nothing but the source and the engine.
#[derive(Debug)]
pub struct Pipeline {
    source: Box<dyn FrameSource>,
    perception: Perception,
    publisher: Publisher,
    statistics: StageStatistics,
    /// Of an engine that works on one frame while the next one is captured.
    overlap: Overlap,
    /// Why the frame after the last one that was published is lost.
    failed: Option<FrameError>,
}

/// What one step did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// One more grid is in the ring.
    Published {
        /// Its number in the ring, from 1.
        sequence: u64,
        /// Where its time went.
        times: StageTimes,
    },
    /// The source had nothing within the timeout.
    Idle,
    /// The source is exhausted.
    Ended,
}

/// Why a step failed.
#[derive(Debug, thiserror::Error)]
pub enum PipelineError {
    /// The source failed.
    #[error("capture failed")]
    Capture(#[from] CaptureError),
    /// The pair could not be turned into a grid.
    #[error("a frame could not be turned into a grid")]
    Frame(#[from] FrameError),
    /// The grid could not be published.
    #[error("a grid could not be published")]
    Publish(#[from] PublishError),
}

impl PipelineError {
    /// Whether the next step may succeed: one pair was lost, not the source, the engine or the stream.
    pub fn is_recoverable(&self) -> bool {
        match self {
            Self::Capture(error) => error.is_recoverable(),
            Self::Frame(FrameError::Rectify(_)) => true,
            Self::Frame(FrameError::Engine(error)) => error.is_recoverable(),
            Self::Frame(FrameError::Sequential) | Self::Publish(_) => false,
        }
    }
}

impl Pipeline {
    /// Puts the parts together; [`daemon::assemble`] makes them from a configuration.
    pub fn new(source: Box<dyn FrameSource>, perception: Perception, publisher: Publisher) -> Self {
        Self {
            source,
            perception,
            publisher,
            statistics: StageStatistics::new(),
            overlap: Overlap::default(),
            failed: None,
        }
    }

    /// Takes one pair from capture to publish, waiting at most `timeout` for it. Where no grid comes of it, clients are
    /// told how the source is.
    ///
    /// # Errors
    /// When a stage fails; [`PipelineError::is_recoverable`] says whether to go on.
    pub fn step(&mut self, timeout: Duration) -> Result<Step, PipelineError> {
        let step = if self.perception.overlaps() {
            self.step_overlapped(timeout)
        } else {
            self.step_alone(timeout)
        };
        if !matches!(step, Ok(Step::Published { .. })) {
            self.publisher.report(&self.source.health(), self.perception.calibration());
        }
        step
    }

    /// As [`Pipeline::step`], one pair after the other.
    fn step_alone(&mut self, timeout: Duration) -> Result<Step, PipelineError> {
        let frame = match self.source.next(timeout)? {
            Capture::Frame(frame) => frame,
            Capture::TimedOut => return Ok(Step::Idle),
            Capture::Ended => return Ok(Step::Ended),
        };
        let captured_pair = CapturedPair::new(&frame);
        let captured = monotonic_ns().saturating_sub(frame.left_stamp.time_ns);
        let mut times = self.perception.perceive(&frame, None)?;
        times.capture = Duration::from_nanos(captured);
        self.publish(&captured_pair, times)
    }

    /// As [`Pipeline::step`], with an engine that works while pairs are captured: the next one is on its way when this
    /// returns.
    fn step_overlapped(&mut self, timeout: Duration) -> Result<Step, PipelineError> {
        if let Some(error) = self.failed.take() {
            return Err(error.into());
        }
        match self.overlap.step(self.source.as_mut(), &mut self.perception, timeout) {
            Ok(Overlapped::Done { pair, times, next }) => {
                self.failed = next.err();
                self.publish(&pair, times)
            }
            Ok(Overlapped::Idle) => Ok(Step::Idle),
            Ok(Overlapped::Ended) => Ok(Step::Ended),
            Err(OverlapError::Capture(error)) => Err(error.into()),
            Err(OverlapError::Frame(error) | OverlapError::Pair(error)) => Err(error.into()),
        }
    }

    fn publish(
        &mut self,
        pair: &CapturedPair,
        mut times: StageTimes,
    ) -> Result<Step, PipelineError> {
        let published = self.publisher.publish(
            pair,
            &self.source.health(),
            &mut times,
            self.perception.calibration(),
            self.perception.labels(),
            self.perception.confidence(),
        )?;
        self.statistics.record(times);
        Ok(Step::Published { sequence: published, times })
    }

    /// Where the pairs come from; [`FrameSource::health`] says how that goes.
    pub fn source(&self) -> &dyn FrameSource {
        self.source.as_ref()
    }

    /// The stages in the middle.
    pub fn perception(&self) -> &Perception {
        &self.perception
    }

    /// The stream that the grids go to.
    pub fn publisher(&self) -> &Publisher {
        &self.publisher
    }

    /// Where the time of the recent frames went.
    pub fn statistics(&self) -> &StageStatistics {
        &self.statistics
    }
}
