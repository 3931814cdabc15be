//! The health of a source and of its calibration reach the ring and the run: what clients are told, what is logged,
//! and that a run outlives its cameras.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use nalgebra::{Rotation3, Vector3};
use occdepth::capture::synthetic::{Synthetic, SyntheticOptions};
use occdepth::capture::{
    Capture, CaptureError, FrameSource, Pacing, SourceDescription, SourceHealth, SourceState,
};
use occdepth::daemon::{self, GridConfig, NetworkConfig, Outcome, StreamConfig};
use occdepth::decalibration::WatchConfig;
use occdepth::engine::{BUNDLED_NETWORK, Engine, EngineDescription, EngineError, EngineTimes};
use occdepth::grid::{GridOutput, LabelOptions};
use occdepth::perception::Perception;
use occdepth::publish::Publisher;
use occdepth::rig::demo_rig;
use occdepth::{Pipeline, Step};
use occdepth_capture::stereo::CameraHealth;
use occdepth_contract::{Contract, onnx::ModelProto};
use occdepth_geometry::network::GeometryInputs;
use occdepth_ring::{CalibrationState, Degradation, Grid, Health, Reader, ReaderOptions};
use std::collections::VecDeque;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::ThreadId;
use std::time::Duration;

/// The synthetic street as cameras that say what a script says of them.
#[derive(Debug)]
struct Cameras {
    street: Synthetic,
    /// One entry a call: state and recoveries; nothing is delivered while the state is `lost`.
    script: VecDeque<(SourceState, u64)>,
    health: SourceHealth,
}

impl FrameSource for Cameras {
    fn description(&self) -> &SourceDescription {
        self.street.description()
    }

    fn next(&mut self, timeout: Duration) -> Result<Capture<'_>, CaptureError> {
        let Some((state, recoveries)) = self.script.pop_front() else { return Ok(Capture::Ended) };
        self.health.state = state;
        self.health.cameras =
            [Some(CameraHealth { state, recoveries, ..CameraHealth::default() }), None];
        if state == SourceState::Lost { Ok(Capture::TimedOut) } else { self.street.next(timeout) }
    }

    fn health(&self) -> SourceHealth {
        self.health
    }
}

/// A pipeline with such cameras, and the directory that its socket is in.
fn pipeline(script: &[(SourceState, u64)]) -> (Pipeline, StreamConfig, tempfile::TempDir) {
    let rig = demo_rig().unwrap();
    let options = SyntheticOptions { pacing: Pacing::Unpaced, ..SyntheticOptions::default() };
    let street = Synthetic::open(&rig, &options).unwrap();
    let source = Cameras {
        street,
        script: script.iter().copied().collect(),
        health: SourceHealth::default(),
    };
    let engine = daemon::open_engine(&NetworkConfig::default()).unwrap();
    let grid = GridConfig::default();
    let perception = Perception::new(&rig, source.description(), engine, None, grid).unwrap();
    streamed(Box::new(source), perception)
}

/// With a stream of its own.
fn streamed(
    source: Box<dyn FrameSource>,
    perception: Perception,
) -> (Pipeline, StreamConfig, tempfile::TempDir) {
    let directory = tempfile::tempdir().unwrap();
    let stream = StreamConfig {
        socket: directory.path().join("s.sock"),
        name: "s".into(),
        slots: 4,
        mode: 0o700,
        group: None,
    };
    let publisher = Publisher::open(&stream, &perception).unwrap();
    (Pipeline::new(source, perception, publisher), stream, directory)
}

#[test]
fn clients_are_told_how_the_cameras_are() {
    use SourceState::{Degraded, Running};
    let script = [(Running, 0), (Degraded, 0), (Running, 1), (Running, 1)];
    let (mut pipeline, stream, _directory) = pipeline(&script);
    let reader = Reader::connect(&stream.socket, &ReaderOptions::default()).unwrap();
    let mut grid = Grid::new();
    let mut told = || {
        let step = pipeline.step(Duration::from_secs(30)).unwrap();
        assert!(matches!(step, Step::Published { .. }));
        reader.copy_newest(&mut grid).unwrap();
        let record = &grid.published.record;
        (record.health, record.degradation)
    };
    assert_eq!(told(), (Health::Ok, Degradation::NONE));
    assert_eq!(told(), (Health::Degraded, Degradation::SOURCE_INTERRUPTED));
    // A camera came back between this grid and the one before it.
    assert_eq!(told(), (Health::Degraded, Degradation::CAMERA_FAULT));
    assert_eq!(told(), (Health::Ok, Degradation::NONE));
}

#[test]
fn clients_are_told_that_no_grids_come_because_the_cameras_are_lost() {
    let script = [(SourceState::Running, 0), (SourceState::Lost, 0), (SourceState::Running, 1)];
    let (mut pipeline, stream, _directory) = pipeline(&script);
    let reader = Reader::connect(&stream.socket, &ReaderOptions::default()).unwrap();
    let mut told = || {
        let step = pipeline.step(Duration::from_secs(30)).unwrap();
        let status = reader.status().unwrap();
        (step != Step::Idle, status.health, status.degradation)
    };
    assert_eq!(told(), (true, Health::Ok, Degradation::NONE));
    assert_eq!(told(), (false, Health::Degraded, Degradation::SOURCE_INTERRUPTED));
    assert_eq!(told(), (true, Health::Degraded, Degradation::CAMERA_FAULT));
}

/// A CPU that stands in for a GPU is no secret.
#[test]
fn clients_are_told_that_a_substitute_runs() {
    let rig = demo_rig().unwrap();
    let options = SyntheticOptions { pacing: Pacing::Unpaced, ..SyntheticOptions::default() };
    let street = Synthetic::open(&rig, &options).unwrap();
    let model = ModelProto::from_bytes(BUNDLED_NETWORK, "bundled").unwrap();
    let description = EngineDescription {
        name: "none".into(),
        network_sha256: [0; 32],
        engine_sha256: [0; 32],
        substitute: true,
    };
    let contract = Contract::from_model(&model, "bundled").unwrap();
    let engine = Box::new(NoNetwork { description, contract });
    let grid = GridConfig::default();
    let perception = Perception::new(&rig, street.description(), engine, None, grid).unwrap();
    let (mut pipeline, stream, _directory) = streamed(Box::new(street), perception);
    let reader = Reader::connect(&stream.socket, &ReaderOptions::default()).unwrap();
    pipeline.step(Duration::from_secs(30)).unwrap();
    let status = reader.status().unwrap();
    assert_eq!(status.health, Health::Degraded);
    assert_eq!(status.degradation, Degradation::ENGINE_SUBSTITUTED);
}

#[test]
fn a_run_outlives_lost_cameras() {
    let mut script = vec![(SourceState::Running, 0)];
    script.extend([(SourceState::Lost, 0); 300]);
    script.push((SourceState::Running, 1));
    let (mut pipeline, ..) = pipeline(&script);
    let (mut grids, mut idle) = (0, 0);
    let stop = AtomicBool::new(false);
    let outcome = daemon::run(&mut pipeline, &stop, |pipeline, step| match step {
        Step::Published { .. } => grids += 1,
        Step::Idle => {
            idle += 1;
            assert_eq!(pipeline.source().health().state, SourceState::Lost);
        }
        Step::Ended => {}
    });
    assert_eq!((outcome.unwrap(), grids, idle), (Outcome::Ended, 2, 300));
    assert!(!stop.load(Ordering::Relaxed));
}

/// An engine that labels nothing: what is published besides the labels does not depend on them.
struct NoNetwork {
    description: EngineDescription,
    contract: Contract,
}

impl Engine for NoNetwork {
    fn description(&self) -> &EngineDescription {
        &self.description
    }

    fn contract(&self) -> &Contract {
        &self.contract
    }

    fn bind(&mut self, _: &GeometryInputs, _: LabelOptions) -> Result<(), EngineError> {
        Ok(())
    }

    fn run(&mut self, _: &[f32], output: GridOutput<'_>) -> Result<EngineTimes, EngineError> {
        output.labels.fill(0);
        Ok(EngineTimes::default())
    }
}

/// A watched pipeline whose right camera is turned about its x axis, and has a longer lens, than its calibration says.
fn bent(
    pitch_deg: f64,
    focal: f64,
    config: &WatchConfig,
) -> (Pipeline, StreamConfig, tempfile::TempDir) {
    let calibrated = demo_rig().unwrap();
    let mut actual = calibrated.clone();
    let rotation = Rotation3::new(Vector3::new(pitch_deg.to_radians(), 0.0, 0.0));
    actual.right_from_left = rotation.to_homogeneous() * actual.right_from_left;
    actual.right.intrinsics.fx *= 1.0 + focal;
    actual.right.intrinsics.fy *= 1.0 + focal;
    let options = SyntheticOptions {
        pacing: Pacing::Unpaced,
        frames: Some(40),
        ..SyntheticOptions::default()
    };
    let source = Synthetic::open(&actual, &options).unwrap();
    let model = ModelProto::from_bytes(BUNDLED_NETWORK, "bundled").unwrap();
    let engine = NoNetwork {
        description: EngineDescription {
            name: "none".into(),
            network_sha256: [0; 32],
            engine_sha256: [0; 32],
            substitute: false,
        },
        contract: Contract::from_model(&model, "bundled").unwrap(),
    };
    let grid = GridConfig::default();
    let mut perception =
        Perception::new(&calibrated, source.description(), Box::new(engine), None, grid).unwrap();
    perception.watch_calibration(config).unwrap();
    streamed(Box::new(source), perception)
}

#[test]
fn clients_are_told_how_the_calibration_is() {
    for (pitch_deg, focal, calibration, health, error_px) in [
        (0.0, 0.0, CalibrationState::Ok, Health::Ok, 0.0..0.1),
        (0.0, 0.01, CalibrationState::Suspect, Health::Degraded, 0.2..0.35),
        (0.3, 0.0, CalibrationState::Lost, Health::Failing, 0.85..1.05),
    ] {
        let (mut pipeline, stream, _directory) = bent(pitch_deg, focal, &WatchConfig::default());
        let reader = Reader::connect(&stream.socket, &ReaderOptions::default()).unwrap();
        let mut grid = Grid::new();
        for frame in 0..40 {
            let Step::Published { times, .. } = pipeline.step(Duration::from_secs(30)).unwrap()
            else {
                panic!("no grid");
            };
            reader.copy_newest(&mut grid).unwrap();
            let record = &grid.published.record;
            if frame == 0 {
                // Nothing is known yet, and nothing is held against the rig.
                assert_eq!(record.calibration, CalibrationState::Unknown);
                assert_eq!((record.health, record.epipolar_error_px), (Health::Ok, None));
            }
            let told = [record.stages.rectify_ns, record.stages.watch_ns].map(u128::from);
            assert_eq!(told, [times.rectify.as_nanos(), times.watch.as_nanos()]);
        }
        let record = &grid.published.record;
        assert_eq!((record.calibration, record.health), (calibration, health));
        let error = record.epipolar_error_px.unwrap();
        assert!(error_px.contains(&error), "{calibration:?}: {error} px");
        // What was bent is what is told, roughly: this is about its way to clients, not the watch's accuracy.
        let told = record.rig_error.unwrap();
        assert!((told.pitch_rad.to_degrees() - pitch_deg).abs() < 0.05, "{told:?}");
        assert!((told.focal - focal).abs() < 2e-3 && told.roll_rad.abs() < 2e-3, "{told:?}");
    }
}

/// Nothing in sight for longer than a measurement counts: not the same as ok. (The watch
/// looks at so few frames that no survey ends.)
#[test]
fn a_calibration_that_stays_unknown_is_no_good_health() {
    let config = WatchConfig { every: 1_000_000, stale_after_s: 3.0, ..WatchConfig::default() };
    let (mut pipeline, stream, _directory) = bent(0.0, 0.0, &config);
    let reader = Reader::connect(&stream.socket, &ReaderOptions::default()).unwrap();
    let mut grid = Grid::new();
    for frame in 0..40 {
        pipeline.step(Duration::from_secs(30)).unwrap();
        reader.copy_newest(&mut grid).unwrap();
        let record = &grid.published.record;
        assert_eq!(record.calibration, CalibrationState::Unknown, "frame {frame}");
        let unproven = (Health::Degraded, Degradation::CALIBRATION_UNPROVEN);
        let told = if frame < 30 { (Health::Ok, Degradation::NONE) } else { unproven };
        assert_eq!((record.health, record.degradation), told, "frame {frame}");
    }
}

/// What each test's thread logged.
struct Lines(Mutex<Vec<(ThreadId, log::Level, String)>>);

static LINES: Lines = Lines(Mutex::new(Vec::new()));

impl log::Log for Lines {
    fn enabled(&self, _: &log::Metadata<'_>) -> bool {
        true
    }

    fn log(&self, record: &log::Record<'_>) {
        let line = (std::thread::current().id(), record.level(), record.args().to_string());
        self.0.lock().unwrap().push(line);
    }

    fn flush(&self) {}
}

#[test]
fn a_change_of_the_calibration_is_logged_once() {
    // Another test of this process may have been first, with the same logger.
    if log::set_logger(&LINES).is_ok() {
        log::set_max_level(log::LevelFilter::Info);
    }
    for (pitch_deg, level, start) in [
        (0.0, log::Level::Info, "calibration: ok, epipolar error 0.0"),
        (0.3, log::Level::Warn, "calibration: lost, epipolar error 0.9"),
    ] {
        let (mut pipeline, ..) = bent(pitch_deg, 0.0, &WatchConfig::default());
        LINES.0.lock().unwrap().clear();
        let outcome = daemon::run(&mut pipeline, &AtomicBool::new(false), |_, _| ());
        assert_eq!(outcome.unwrap(), Outcome::Ended);
        let lines = LINES.0.lock().unwrap();
        let here = std::thread::current().id();
        let said: Vec<_> = lines
            .iter()
            .filter(|(thread, _, line)| *thread == here && line.starts_with("calibration"))
            .collect();
        assert_eq!(said.len(), 1, "{said:?}");
        assert_eq!(said[0].1, level);
        assert!(said[0].2.starts_with(start), "{}", said[0].2);
        assert!(said[0].2.contains("pitch"), "{}", said[0].2);
    }
}
