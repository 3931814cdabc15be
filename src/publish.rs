//! From labels to the ring: what is said of the stream once, and of each grid.

use crate::capture::{SourceHealth, SourceState, Stamp, StereoFrame, monotonic_ns};
use crate::daemon::StreamConfig;
use crate::decalibration::{Report, State};
use crate::perception::Perception;
use crate::stages::StageTimes;
use occdepth_contract::Contract;
use occdepth_ring::{
    Access, Axes, CalibrationState, Class, Degradation, GridGeometry, GridRecord, Health,
    RectifiedCamera, RigError, StreamDescription, Writer, WriterOptions,
};
use std::time::Duration;

pub use occdepth_ring::{PublishError, WriterError};

/// The stream that the grids of a pipeline go to.
#[derive(Debug)]
pub struct Publisher {
    writer: Writer,
    /// Recoveries of the cameras up to the last grid.
    recoveries: u64,
    /// What is degraded for as long as the stream lasts: the engine that runs it.
    standing: Degradation,
}

/// What is said of a pair after its pixels have gone back to the source.
#[derive(Clone, Copy, Debug)]
pub struct CapturedPair {
    left: Stamp,
    right: Stamp,
    dropped: u32,
    faulty: u32,
}

impl CapturedPair {
    /// What `frame` says of itself.
    pub fn new(frame: &StereoFrame<'_>) -> Self {
        Self {
            left: frame.left_stamp,
            right: frame.right_stamp,
            dropped: frame.dropped,
            faulty: frame.faulty,
        }
    }

    /// When the left image was taken, `CLOCK_MONOTONIC` nanoseconds.
    pub fn captured_ns(&self) -> u64 {
        self.left.time_ns
    }

    /// This pair, taken instead of `older`, which is dropped.
    #[must_use]
    pub fn after(self, older: &Self) -> Self {
        Self {
            dropped: self.dropped.saturating_add(older.dropped).saturating_add(1),
            faulty: self.faulty.saturating_add(older.faulty),
            ..self
        }
    }
}

impl Publisher {
    /// Opens the stream of `config` for the grids of `perception`.
    ///
    /// # Errors
    /// When another writer has the socket, its path cannot be used, or memory cannot be had.
    pub fn open(config: &StreamConfig, perception: &Perception) -> Result<Self, WriterError> {
        let options = WriterOptions {
            socket_mode: config.mode,
            socket_group: config.group,
            slot_count: config.slots,
            access: Access { gids: config.group.into_iter().collect(), ..Access::default() },
            ..WriterOptions::new(&config.socket)
        };
        let writer = Writer::create(&describe(&config.name, perception), &options)?;
        let standing = if perception.engine().description().substitute {
            Degradation::ENGINE_SUBSTITUTED
        } else {
            Degradation::NONE
        };
        Ok(Self { writer, recoveries: 0, standing })
    }

    /// Publishes one grid and fills in `times.publish`; `calibration` is None while it is not watched. Allocates
    /// nothing and waits for nobody.
    ///
    /// # Errors
    /// Labels or confidences of another size than the stream's grid.
    pub fn publish(
        &mut self,
        pair: &CapturedPair,
        source: &SourceHealth,
        times: &mut StageTimes,
        calibration: Option<&Report>,
        labels: &[u8],
        confidence: Option<&[u8]>,
    ) -> Result<u64, PublishError> {
        let start_ns = monotonic_ns();
        let recoveries = source.cameras.iter().flatten().map(|camera| camera.recoveries).sum();
        let recovered = std::mem::replace(&mut self.recoveries, recoveries) < recoveries;
        let record = record(pair, source.state, recovered, times, calibration, self.standing);
        let sequence = self.writer.publish(&record, labels, confidence)?;
        times.publish = Duration::from_nanos(monotonic_ns().saturating_sub(start_ns));
        Ok(sequence)
    }

    /// Says how the stream is while there is no grid to say it with. Allocates nothing and waits for nobody.
    pub fn report(&mut self, source: &SourceHealth, calibration: Option<&Report>) {
        let degradation = self.standing | degradation(source.state, calibration);
        self.writer.report(health(calibration, degradation), degradation);
    }

    /// What clients are told of the stream.
    pub fn description(&self) -> &StreamDescription {
        self.writer.description()
    }

    /// The writer: its clients, whether it still serves them.
    pub fn writer(&self) -> &Writer {
        &self.writer
    }
}

/// What is said of one grid.
///
/// `recovered`: a camera came back since the previous grid. `standing`: what is degraded for as long as the stream lasts.
fn record(
    pair: &CapturedPair,
    source: SourceState,
    recovered: bool,
    times: &StageTimes,
    calibration: Option<&Report>,
    standing: Degradation,
) -> GridRecord {
    let mut degradation = standing | degradation(source, calibration);
    if pair.dropped > 0 {
        degradation |= Degradation::FRAMES_DROPPED;
    }
    if pair.faulty > 0 || recovered {
        degradation |= Degradation::CAMERA_FAULT;
    }
    let state = calibration.map_or(CalibrationState::Unknown, calibration_state);
    GridRecord {
        frame_id: pair.left.sequence,
        left_capture_time_ns: pair.left.time_ns,
        right_capture_time_ns: pair.right.time_ns,
        stages: occdepth_ring::StageTimes {
            capture_ns: nanoseconds(times.capture),
            rectify_ns: nanoseconds(times.rectify),
            watch_ns: nanoseconds(times.watch),
            infer_ns: nanoseconds(times.infer),
            label_ns: nanoseconds(times.label),
            publish_ns: 0, // the writer's to fill in
        },
        health: health(calibration, degradation),
        degradation,
        calibration: state,
        epipolar_error_px: calibration.and_then(Report::epipolar_error_px),
        rig_error: calibration.and_then(rig_error),
    }
}

/// The producer's judgement: grids of a rig that is not what its calibration says should not be relied on, and
/// those of a rig of which that has not been known for long only with care.
fn health(calibration: Option<&Report>, degradation: Degradation) -> Health {
    match calibration.map(|report| report.state) {
        Some(State::Lost) => Health::Failing,
        Some(State::Suspect) => Health::Degraded,
        _ if !degradation.is_empty() => Health::Degraded,
        _ => Health::Ok,
    }
}

/// What is degraded apart from a single pair.
fn degradation(source: SourceState, calibration: Option<&Report>) -> Degradation {
    let mut degradation = Degradation::NONE;
    if source != SourceState::Running {
        degradation |= Degradation::SOURCE_INTERRUPTED;
    }
    if calibration.is_some_and(|report| report.state == State::Unknown && report.overdue) {
        degradation |= Degradation::CALIBRATION_UNPROVEN;
    }
    degradation
}

/// Of the last survey, as long as it counts.
fn rig_error(report: &Report) -> Option<RigError> {
    report.estimate.filter(|_| report.fresh).map(|estimate| RigError {
        pitch_rad: estimate.pitch_rad.value,
        roll_rad: estimate.roll_rad.value,
        focal: estimate.focal.value,
    })
}

fn calibration_state(report: &Report) -> CalibrationState {
    match report.state {
        State::Unknown => CalibrationState::Unknown,
        State::Ok => CalibrationState::Ok,
        State::Suspect => CalibrationState::Suspect,
        State::Lost => CalibrationState::Lost,
    }
}

/// What is said of the stream.
fn describe(name: &str, perception: &Perception) -> StreamDescription {
    let engine = perception.engine();
    let contract = engine.contract();
    let cameras = perception.cameras();
    let k = cameras.left.view.k;
    StreamDescription {
        stream: name.to_owned(),
        producer: concat!("occdepth ", env!("CARGO_PKG_VERSION")).to_owned(),
        grid: GridGeometry {
            axes: axes(contract),
            frame: "ego".to_owned(),
            origin_m: perception.grid_origin_m(),
            voxel_size_m: contract.grid.voxel_size_m,
            dims: contract.grid.dims,
        },
        rectified_from_ego: std::array::from_fn(|row| {
            std::array::from_fn(|column| cameras.rectified_from_ego[(row, column)])
        }),
        rectified: RectifiedCamera {
            fx_px: k[(0, 0)],
            fy_px: k[(1, 1)],
            cx_px: k[(0, 2)],
            cy_px: k[(1, 2)],
            width_px: cameras.size.width,
            height_px: cameras.size.height,
        },
        classes: contract
            .classes
            .iter()
            .map(|class| Class { id: class.id, name: class.name.clone(), colour: class.colour })
            .collect(),
        confidence: perception.confidence().is_some(),
        trained: contract.training.trained,
        network_sha256: engine.description().network_sha256,
        engine_sha256: engine.description().engine_sha256,
    }
}

/// The contract describes axes for people; the ring numbers them.
fn axes(contract: &Contract) -> Axes {
    [Axes::ForwardLeftUp, Axes::HorizontalUp]
        .into_iter()
        .find(|axes| axes.to_string() == contract.grid.axes)
        .unwrap_or(Axes::Unknown)
}

fn nanoseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}
