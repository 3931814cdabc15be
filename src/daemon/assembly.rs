//! From a configuration to a pipeline: every part opened, checked and fitted to the others.

use super::engine::{OpenEngineError, open_engine};
use super::{Config, GridConfig, SourceConfig, StreamConfig};
use crate::Pipeline;
use crate::capture::directory::{AtEnd, Directory, DirectoryOptions, Grey, PairFiles, Times};
use crate::capture::synthetic::{Synthetic, SyntheticOptions};
use crate::capture::{CaptureError, FrameSource, Pacing};
use crate::engine::Engine;
use crate::perception::{Perception, PerceptionError};
use crate::publish::{Publisher, WriterError};
use crate::rig::{RigFileError, demo_rig, read_rig};
use occdepth_geometry::ImageSize;
use occdepth_geometry::rig::StereoRig;

/// Why a configuration became no pipeline.
#[derive(Debug, thiserror::Error)]
pub enum AssemblyError {
    /// The source could not be opened.
    #[error("the source cannot be opened")]
    Source(#[from] CaptureError),
    /// The rig could not be read.
    #[error("the rig is not usable")]
    Rig(#[from] RigFileError),
    /// There is no engine for the network.
    #[error("the network cannot run")]
    Engine(#[source] Box<OpenEngineError>),
    /// Source, rig and network do not fit together.
    #[error("source, rig and network do not fit together")]
    Perception(#[from] PerceptionError),
    /// The stream could not be opened.
    #[error("the stream cannot be opened")]
    Stream(#[from] WriterError),
}

impl From<OpenEngineError> for AssemblyError {
    fn from(error: OpenEngineError) -> Self {
        Self::Engine(Box::new(error))
    }
}

/// Opens and fits together everything that `config` names.
///
/// # Errors
/// The first part that cannot be had, by name.
pub fn assemble(config: &Config) -> Result<Pipeline, AssemblyError> {
    let rig = match &config.rig {
        // A calib.txt does not know its image size; the source does.
        Some(path) => match read_rig(path, None) {
            Err(RigFileError::ImageSizeMissing { .. }) => None,
            rig => Some(rig?),
        },
        None => Some(demo_rig().map_err(RigFileError::from)?),
    };
    let source = open_source(&config.source, rig.as_ref())?;
    let rig = match (rig, &config.rig) {
        (None, Some(path)) => read_rig(path, Some(source.description().size))?,
        (Some(rig), _) => rig,
        (None, None) => demo_rig().map_err(RigFileError::from)?,
    };
    let engine = open_engine(&config.network)?;
    let mut perception =
        open_perception(&rig, source.as_ref(), engine, config.network.origin_m, config.grid)?;
    perception.watch_calibration(&config.calibration_watch)?;
    let publisher = open_stream(&config.stream, &perception)?;
    Ok(Pipeline::new(source, perception, publisher))
}

/// Opens a source. `rig` says what size the images must have; the synthetic street needs one.
///
/// # Errors
/// When it cannot be opened, or its files do not fit each other or the rig.
pub fn open_source(
    config: &SourceConfig,
    rig: Option<&StereoRig>,
) -> Result<Box<dyn FrameSource>, AssemblyError> {
    let times = |times: &Option<_>, rate_hz: Option<f64>| match (times, rate_hz) {
        (_, Some(rate_hz)) => Times::Rate(rate_hz),
        (Some(file), None) => Times::File(std::path::PathBuf::clone(file)),
        (None, None) => Times::Recorded,
    };
    let options = match config {
        SourceConfig::Synthetic { seed, rate_hz, frames } => {
            let rig = match rig {
                Some(rig) => rig.clone(),
                None => demo_rig().map_err(RigFileError::from)?,
            };
            let options = SyntheticOptions {
                seed: *seed,
                rate_hz: *rate_hz,
                frames: *frames,
                ..SyntheticOptions::default()
            };
            return Ok(Box::new(Synthetic::open(&rig, &options)?));
        }
        SourceConfig::V4l2(cameras) => {
            let size = cameras.size().or_else(|| rig.map(|rig| rig.image_size));
            let size = size.ok_or_else(|| CaptureError::Configuration {
                origin: "cameras".into(),
                field: "source.width",
                found: "missing".into(),
                expected: "`width` and `height`, or a rig that has `image_size`".into(),
            })?;
            if let Some(rig) = rig.filter(|rig| rig.image_size != size) {
                let ImageSize { width, height } = rig.image_size;
                return Err(AssemblyError::Source(CaptureError::Configuration {
                    origin: format!("rig {:?}", rig.name),
                    field: "source.width",
                    found: format!("{}x{}", size.width, size.height),
                    expected: format!("{width}x{height}, the rig's `image_size`"),
                }));
            }
            return Ok(cameras.open(size)?);
        }
        SourceConfig::Kitti { directory, times: file, rate_hz, paced, repeat, first, end } => {
            DirectoryOptions {
                pacing: pacing(*paced),
                at_end: at_end(*repeat),
                first: *first,
                end: *end,
                ..DirectoryOptions::new(PairFiles::Kitti(directory.clone()), times(file, *rate_hz))
            }
        }
        SourceConfig::Images { left, right, times: file, rate_hz, paced, repeat, grey } => {
            DirectoryOptions {
                pacing: pacing(*paced),
                at_end: at_end(*repeat),
                grey: if *grey { Grey::Replicate } else { Grey::Refuse },
                ..DirectoryOptions::new(
                    PairFiles::Globs { left: left.clone(), right: right.clone() },
                    times(file, *rate_hz),
                )
            }
        }
    };
    let options = DirectoryOptions { size: rig.map(|rig| rig.image_size), ..options };
    Ok(Box::new(Directory::open(&options)?))
}

/// Fits rig, source and network together.
///
/// # Errors
/// When they do not fit; the error names what disagrees.
pub fn open_perception(
    rig: &StereoRig,
    source: &dyn FrameSource,
    engine: Box<dyn Engine>,
    origin_m: Option<[f64; 3]>,
    grid: GridConfig,
) -> Result<Perception, AssemblyError> {
    Ok(Perception::new(rig, source.description(), engine, origin_m, grid)?)
}

fn open_stream(config: &StreamConfig, perception: &Perception) -> Result<Publisher, AssemblyError> {
    Ok(Publisher::open(config, perception)?)
}

fn pacing(paced: bool) -> Pacing {
    if paced { Pacing::Clock } else { Pacing::Unpaced }
}

fn at_end(repeat: bool) -> AtEnd {
    if repeat { AtEnd::Loop } else { AtEnd::Stop }
}
