//! From a stereo pair to labelled voxels: rectify, infer, label.
//!
//! `occdepth run` does this for every frame, `occdepth infer` once.
//!
//! An engine that has [frames](Engine::frames) rectifies where it runs. [`Perception::perceive`] is the same for both kinds;
//! the other kind can also be [given](Perception::stage) the next pair while it works on one.

use crate::capture::{SourceDescription, StereoFrame};
use crate::daemon::GridConfig;
use crate::decalibration::{Report, Watch, WatchConfig, WatchError};
use crate::engine::{Engine, EngineError, FrameEngine};
use crate::grid::{GridError, GridOutput, LabelOptions, VisibilityMask};
use crate::rectify::{DeviceRectifier, RectifyError, StereoRectifier};
use crate::stages::StageTimes;
use occdepth_contract::ContractError;
use occdepth_geometry::fit::{FitError, NetworkCameras};
use occdepth_geometry::network::{GeometryError, GeometryInputs};
use occdepth_geometry::rig::StereoRig;
use std::time::{Duration, Instant};

/// Turns stereo pairs of one rig into grids of one network. All of its memory is allocated at the start.
pub struct Perception {
    cameras: NetworkCameras,
    grid_origin_m: [f64; 3],
    rectifier: Rectification,
    /// None: the calibration is not watched.
    watch: Option<Watch>,
    engine: Box<dyn Engine>,
    /// f32 [2, 3, H, W], of which the network sees as many views as it has. Of an engine that rectifies itself: what the
    /// watch looks at; empty without one.
    images: Vec<f32>,
    /// Length of the network's `images`.
    network_values: usize,
    /// u8 [X, Y, Z].
    labels: Vec<u8>,
    /// u8 [X, Y, Z].
    confidence: Option<Vec<u8>>,
}

/// Where pairs are rectified.
enum Rectification {
    /// Here.
    Host(Box<StereoRectifier>),
    /// Where the engine runs.
    Device { rectifier: DeviceRectifier, staged: Staged, in_flight: Staged },
}

/// What is known of a pair that the engine has.
#[derive(Clone, Copy, Debug, Default)]
struct Staged {
    /// Copying it out of the camera's memory.
    staging: Duration,
    /// When its left image was taken, for the watch.
    captured_ns: u64,
}

/// Why a rig, a source and a network do not fit together.
#[derive(Debug, thiserror::Error)]
pub enum PerceptionError {
    /// The source delivers images of another size than the rig's cameras take.
    #[error(
        "{source_name}: images of {}x{} pixels, rig {rig:?} has `image_size` {}x{}",
        found.width, found.height, expected.width, expected.height
    )]
    ImageSize {
        /// The source.
        source_name: String,
        /// What it delivers.
        found: occdepth_geometry::ImageSize,
        /// The rig's name.
        rig: String,
        /// What the rig says.
        expected: occdepth_geometry::ImageSize,
    },
    /// The rig's images cannot become the network's.
    #[error("the rig does not fit the network")]
    Fit(#[from] FitError),
    /// The network's contract and the configuration disagree.
    #[error("the network does not fit the configuration")]
    Contract(#[from] ContractError),
    /// The voxels cannot be projected into the images.
    #[error("the network's voxels cannot be projected into the rig's images")]
    Geometry(#[from] GeometryError),
    /// The voxels that no camera sees cannot be told.
    #[error("the voxels that no camera sees cannot be told")]
    Visibility(#[from] GridError),
    /// The camera's pixels cannot be rectified.
    #[error("the camera's images cannot be rectified")]
    Rectify(#[from] RectifyError),
    /// The calibration cannot be watched.
    #[error("the calibration cannot be watched: see `calibration_watch.enabled`")]
    Watch(#[from] WatchError),
    /// The engine refuses the rig.
    #[error("the engine refuses the rig")]
    Engine(#[from] EngineError),
}

/// Why one frame became no grid.
#[derive(Debug, thiserror::Error)]
pub enum FrameError {
    /// The images could not be rectified.
    #[error(transparent)]
    Rectify(#[from] RectifyError),
    /// The network failed.
    #[error(transparent)]
    Engine(#[from] EngineError),
    /// The engine works on one pair from beginning to end.
    #[error("the engine takes whole frames only: it does not overlap them")]
    Sequential,
}

impl Perception {
    /// Fits `rig` to the network of `engine`, and binds its geometry.
    ///
    /// `origin_m` places the grid (metres, ego frame) of a network whose grid has an origin per scene.
    ///
    /// # Errors
    /// When the source, the rig and the network do not fit together; the error names what disagrees.
    pub fn new(
        rig: &StereoRig,
        source: &SourceDescription,
        mut engine: Box<dyn Engine>,
        origin_m: Option<[f64; 3]>,
        grid: GridConfig,
    ) -> Result<Self, PerceptionError> {
        if source.size != rig.image_size {
            return Err(PerceptionError::ImageSize {
                source_name: source.name.clone(),
                found: source.size,
                rig: rig.name.clone(),
                expected: rig.image_size,
            });
        }
        let contract = engine.contract();
        let cameras = NetworkCameras::new(rig, contract.fit, contract.image)?;
        let spec = contract.geometry_spec(origin_m)?;
        let views = [cameras.left.view, cameras.right.view];
        // A network of one view sees through the left camera.
        let geometry = GeometryInputs::new(&spec, &views[..spec.views.min(2)])?;
        let normalisation = contract.normalisation;
        let pixels = contract.image.width as usize * contract.image.height as usize;
        let voxels = contract.grid.dims.iter().map(|&n| n as usize).product();
        let visibility =
            grid.unseen_unknown.then(|| VisibilityMask::new(&spec, &geometry)).transpose()?;
        // In the 8 bits of a confidence, rounded as confidences are: a voxel at the threshold stays.
        #[allow(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "clamped to the range of u8"
        )]
        let unknown_below = (grid.unknown_below * 255.0).round().clamp(0.0, 255.0) as u8;
        engine.bind(&geometry, LabelOptions { unknown_below, visibility })?;
        let (size, format, colour) = (source.size, source.format, source.colour);
        let (rectifier, values) = if let Some(frames) = engine.frames() {
            let (rectifier, plan) =
                DeviceRectifier::new(size, format, colour, &cameras, &normalisation)?;
            frames.fit(plan)?;
            let [staged, in_flight] = [Staged::default(); 2];
            (Rectification::Device { rectifier, staged, in_flight }, 0)
        } else {
            let rectifier = StereoRectifier::new(size, format, colour, &cameras, &normalisation)?;
            (Rectification::Host(Box::new(rectifier)), 2 * 3 * pixels)
        };
        Ok(Self {
            cameras,
            grid_origin_m: spec.grid.origin_m,
            rectifier,
            watch: None,
            engine,
            images: vec![0.0; values],
            network_values: spec.views.min(2) * 3 * pixels,
            labels: vec![0; voxels],
            confidence: grid.confidence.then(|| vec![0; voxels]),
        })
    }

    /// Watches the calibration from now on, if `config` says so.
    ///
    /// # Errors
    /// Images too small to be watched.
    pub fn watch_calibration(&mut self, config: &WatchConfig) -> Result<(), PerceptionError> {
        let normalisation = &self.engine.contract().normalisation;
        self.watch =
            config.enabled.then(|| Watch::new(&self.cameras, normalisation, config)).transpose()?;
        if let Rectification::Device { .. } = self.rectifier {
            let size = self.cameras.size;
            let values = 2 * 3 * size.width as usize * size.height as usize;
            self.images = vec![0.0; if self.watch.is_some() { values } else { 0 }];
        }
        Ok(())
    }

    /// Turns one pair into labels, in the memory of this value. `logits` (f32 [C, X, Y, Z]) receives the
    /// network's raw output where it is wanted.
    ///
    /// The times are those of rectification, watch, network and labelling; the others are zero.
    ///
    /// # Errors
    /// When the images are not what the source promised, or the network fails. The labels are then
    /// unspecified; the next frame may succeed.
    pub fn perceive(
        &mut self,
        frame: &StereoFrame<'_>,
        logits: Option<&mut [f32]>,
    ) -> Result<StageTimes, FrameError> {
        let rectifier = match &mut self.rectifier {
            Rectification::Host(rectifier) => rectifier,
            Rectification::Device { .. } => {
                self.stage(frame)?;
                self.submit()?;
                let watch = self.observe()?;
                return self.collect(watch, logits);
            }
        };
        let start = Instant::now();
        rectifier.rectify(frame, &mut self.images)?;
        let rectify = start.elapsed();
        if let Some(watch) = &mut self.watch {
            watch.observe(&self.images, frame.left_stamp.time_ns);
        }
        let watch = start.elapsed().saturating_sub(rectify);
        let output = GridOutput {
            labels: &mut self.labels,
            confidence: self.confidence.as_deref_mut(),
            logits,
        };
        let times = self.engine.run(&self.images[..self.network_values], output)?;
        Ok(StageTimes {
            rectify,
            watch,
            infer: times.infer,
            label: times.label,
            ..StageTimes::default()
        })
    }

    /// Whether the engine works on one frame while the next one is captured: [`Perception::stage`] and what follows it are
    /// for such engines.
    pub fn overlaps(&self) -> bool {
        matches!(self.rectifier, Rectification::Device { .. })
    }

    /// Copies a pair out of the camera's memory, also while another one is being worked on. It replaces one that was staged
    /// and not submitted.
    ///
    /// # Errors
    /// Images that are not what the source promised, a device that fails, or an engine that does not overlap.
    pub fn stage(&mut self, frame: &StereoFrame<'_>) -> Result<(), FrameError> {
        let start = Instant::now();
        let Rectification::Device { rectifier, staged, .. } = &mut self.rectifier else {
            return Err(FrameError::Sequential);
        };
        let pair = rectifier.pair(frame)?;
        self.engine.frames().ok_or(FrameError::Sequential)?.stage(&pair)?;
        *staged = Staged { staging: start.elapsed(), captured_ns: frame.left_stamp.time_ns };
        Ok(())
    }

    /// Starts on the staged pair; what was in flight must have been collected. Says how long that pair took to copy.
    ///
    /// # Errors
    /// Nothing staged, or a device that fails: see [`EngineError::is_recoverable`].
    pub fn submit(&mut self) -> Result<Duration, FrameError> {
        self.frames()?.submit()?;
        let Rectification::Device { staged, in_flight, .. } = &mut self.rectifier else {
            return Err(FrameError::Sequential);
        };
        *in_flight = *staged;
        Ok(in_flight.staging)
    }

    /// Lets the watch, where there is one, look at the pair in flight, which the network runs on meanwhile. Once for each pair.
    /// Says how long that took.
    ///
    /// # Errors
    /// A device that fails; the frame is then lost.
    pub fn observe(&mut self) -> Result<Duration, FrameError> {
        let Rectification::Device { in_flight, .. } = self.rectifier else {
            return Err(FrameError::Sequential);
        };
        let start = Instant::now();
        let Some(watch) = &mut self.watch else { return Ok(Duration::ZERO) };
        if watch.looks() {
            let frames = self.engine.frames().ok_or(FrameError::Sequential)?;
            for part in watch.parts() {
                frames.images(part.start, &mut self.images[part])?;
            }
        }
        watch.observe(&self.images, in_flight.captured_ns);
        Ok(start.elapsed())
    }

    /// Whether the frame in flight is done.
    ///
    /// # Errors
    /// As [`Perception::observe`].
    pub fn is_done(&mut self) -> Result<bool, FrameError> {
        Ok(self.frames()?.is_done()?)
    }

    /// Waits for the frame in flight; its labels are then in the memory of this value. `watch` is what
    /// [`Perception::observe`] said, for the times.
    ///
    /// # Errors
    /// As [`Perception::observe`].
    pub fn collect(
        &mut self,
        watch: Duration,
        logits: Option<&mut [f32]>,
    ) -> Result<StageTimes, FrameError> {
        let Rectification::Device { in_flight, .. } = self.rectifier else {
            return Err(FrameError::Sequential);
        };
        let frames = self.engine.frames().ok_or(FrameError::Sequential)?;
        let times = frames.collect(GridOutput {
            labels: &mut self.labels,
            confidence: self.confidence.as_deref_mut(),
            logits,
        })?;
        // The watch looks while the network runs: what goes beyond that is all that it adds to the frame's time.
        let hidden = times.engine.infer + times.engine.label;
        Ok(StageTimes {
            rectify: in_flight.staging + times.rectify,
            watch: watch.saturating_sub(hidden),
            infer: times.engine.infer,
            label: times.engine.label,
            ..StageTimes::default()
        })
    }

    fn frames(&mut self) -> Result<&mut dyn FrameEngine, FrameError> {
        self.engine.frames().ok_or(FrameError::Sequential)
    }

    /// u8 [X, Y, Z], x-major: the class ids of the last frame; 255 = unknown.
    pub fn labels(&self) -> &[u8] {
        &self.labels
    }

    /// u8 [X, Y, Z]: the probabilities of the last frame's labels, 255 = 1.0, where they were asked for.
    pub fn confidence(&self) -> Option<&[u8]> {
        self.confidence.as_deref()
    }

    /// What is known of the calibration after the last frame; None while it is not watched.
    pub fn calibration(&self) -> Option<&Report> {
        self.watch.as_ref().map(Watch::report)
    }

    /// The cameras that the network sees through.
    pub fn cameras(&self) -> &NetworkCameras {
        &self.cameras
    }

    /// Minimum corner of the grid, metres, ego frame.
    pub fn grid_origin_m(&self) -> [f64; 3] {
        self.grid_origin_m
    }

    /// The engine that runs the network.
    pub fn engine(&self) -> &dyn Engine {
        self.engine.as_ref()
    }
}

impl std::fmt::Debug for Perception {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Perception")
            .field("engine", self.engine.description())
            .field("grid_origin_m", &self.grid_origin_m)
            .finish_non_exhaustive()
    }
}
