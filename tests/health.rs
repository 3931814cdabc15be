//! The health of a source reaches the ring and the run: what clients are told, and that a run outlives its cameras.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use occdepth::capture::synthetic::{Synthetic, SyntheticOptions};
use occdepth::capture::{
    Capture, CaptureError, FrameSource, Pacing, SourceDescription, SourceHealth, SourceState,
};
use occdepth::daemon::{self, GridConfig, NetworkConfig, Outcome, StreamConfig};
use occdepth::perception::Perception;
use occdepth::publish::Publisher;
use occdepth::rig::demo_rig;
use occdepth::{Pipeline, Step};
use occdepth_capture::stereo::CameraHealth;
use occdepth_ring::{Degradation, Grid, Health, Reader, ReaderOptions};
use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
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
    let directory = tempfile::tempdir().unwrap();
    let stream = StreamConfig {
        socket: directory.path().join("s.sock"),
        name: "s".into(),
        slots: 4,
        mode: 0o700,
        group: None,
    };
    let publisher = Publisher::open(&stream, &perception).unwrap();
    (Pipeline::new(Box::new(source), perception, publisher), stream, directory)
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
        (record.health, record.degradation.contains(Degradation::CAMERA_FAULT))
    };
    assert_eq!(told(), (Health::Ok, false));
    assert_eq!(told(), (Health::Degraded, false));
    // A camera came back between this grid and the one before it.
    assert_eq!(told(), (Health::Degraded, true));
    assert_eq!(told(), (Health::Ok, false));
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
