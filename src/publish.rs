//! From labels to the ring: what is said of the stream once, and of each grid.

use crate::capture::{StereoFrame, monotonic_ns};
use crate::daemon::StreamConfig;
use crate::decalibration::{Report, State};
use crate::perception::Perception;
use crate::stages::StageTimes;
use occdepth_contract::Contract;
use occdepth_ring::{
    Access, Axes, CalibrationState, Class, Degradation, GridGeometry, GridRecord, Health,
    RectifiedCamera, StreamDescription, Writer, WriterOptions,
};
use std::time::Duration;

pub use occdepth_ring::{PublishError, WriterError};

/// The stream that the grids of a pipeline go to.
#[derive(Debug)]
pub struct Publisher {
    writer: Writer,
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
        Ok(Self { writer: Writer::create(&describe(&config.name, perception), &options)? })
    }

    /// Publishes one grid and fills in `times.publish`; `calibration` is None while it is not watched. Allocates nothing and waits for nobody.
    ///
    /// # Errors
    /// Labels or confidences of another size than the stream's grid.
    pub fn publish(
        &mut self,
        frame: &StereoFrame<'_>,
        times: &mut StageTimes,
        calibration: Option<&Report>,
        labels: &[u8],
        confidence: Option<&[u8]>,
    ) -> Result<u64, PublishError> {
        let start_ns = monotonic_ns();
        let sequence =
            self.writer.publish(&record(frame, times, calibration), labels, confidence)?;
        times.publish = Duration::from_nanos(monotonic_ns().saturating_sub(start_ns));
        Ok(sequence)
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
fn record(frame: &StereoFrame<'_>, times: &StageTimes, calibration: Option<&Report>) -> GridRecord {
    let mut degradation = Degradation::NONE;
    if frame.dropped > 0 {
        degradation |= Degradation::FRAMES_DROPPED;
    }
    if frame.faulty > 0 {
        degradation |= Degradation::CAMERA_FAULT;
    }
    let state = calibration.map_or(CalibrationState::Unknown, calibration_state);
    GridRecord {
        frame_id: frame.left_stamp.sequence,
        left_capture_time_ns: frame.left_stamp.time_ns,
        right_capture_time_ns: frame.right_stamp.time_ns,
        stages: occdepth_ring::StageTimes {
            capture_ns: nanoseconds(times.capture),
            rectify_ns: nanoseconds(times.rectify),
            infer_ns: nanoseconds(times.infer),
            label_ns: nanoseconds(times.label),
            publish_ns: 0, // the writer's to fill in
        },
        health: health(state, degradation),
        degradation,
        calibration: state,
        epipolar_error_px: calibration.and_then(Report::epipolar_error_px),
    }
}

/// The producer's judgement: grids of a rig that is not what its calibration says should not be relied on.
fn health(calibration: CalibrationState, degradation: Degradation) -> Health {
    match calibration {
        CalibrationState::Lost => Health::Failing,
        CalibrationState::Suspect => Health::Degraded,
        _ if !degradation.is_empty() => Health::Degraded,
        _ => Health::Ok,
    }
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
