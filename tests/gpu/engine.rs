//! The whole product on fakes: a plan of (fake) `TensorRT`, its engine, the pipeline, and a client of the ring.
//!
//! The fake engine computes its logits from a hash of every byte that it is given (`tensorrt_fake`), so a single wrong bit
//! of images or geometry gives other labels.

use crate::cases::{self, label};
use crate::fakes::{can_fake, is_child, libraries, on_fakes, skip};
use occdepth::capture::synthetic::{Synthetic, SyntheticOptions};
use occdepth::capture::{
    Capture, CaptureError, FrameSource, Pacing, PixelFormat, SourceDescription,
};
use occdepth::daemon::{GridConfig, StreamConfig};
use occdepth::decalibration::WatchConfig;
use occdepth::engine::{BUNDLED_NETWORK, Engine, EngineDescription, GpuEngine, GpuOptions};
use occdepth::grid::{GridOutput, LabelOptions, Labeller};
use occdepth::perception::Perception;
use occdepth::publish::Publisher;
use occdepth::rectify::{DeviceRectifier, StereoRectifier};
use occdepth::rig::demo_rig;
use occdepth::{Pipeline, Step};
use occdepth_contract::{Contract, onnx::ModelProto};
use occdepth_cuda::PlanSource;
use occdepth_geometry::fit::NetworkCameras;
use occdepth_geometry::network::GeometryInputs;
use occdepth_geometry::rig::StereoRig;
use std::path::PathBuf;
use std::time::Duration;
use tensorrt_fake::{FakeTensorRt, FakeVersion, expected_output, network_hash};
use tensorrt_rs::{Builder, NetworkTyping, Search, TensorRt};

/// A version of each major.
const VERSIONS: [FakeVersion; 3] = [
    FakeVersion { major: 8, minor: 5, patch: 2 },
    FakeVersion { major: 10, minor: 3, patch: 0 },
    FakeVersion { major: 11, minor: 4, patch: 0 },
];

#[test]
fn an_engine_of_tensorrt_gets_the_bytes_of_the_cpu_path() {
    let test = "engine::an_engine_of_tensorrt_gets_the_bytes_of_the_cpu_path";
    for version in VERSIONS {
        with_fake(test, version, &[], || engine_test(NV12));
        if is_child() {
            return;
        }
    }
}

#[test]
fn a_pipeline_publishes_every_pair_of_a_device_once_and_in_order() {
    let test = "engine::a_pipeline_publishes_every_pair_of_a_device_once_and_in_order";
    for integrated in ["0", "1"] {
        with_fake(test, VERSIONS[1], &[("FAKE_CUDA_INTEGRATED", integrated)], || {
            pipeline_test(test, 0);
        });
        if is_child() {
            return;
        }
    }
}

#[test]
fn a_pipeline_survives_a_device_that_fails_once() {
    let test = "engine::a_pipeline_survives_a_device_that_fails_once";
    // Warming up runs four label kernels; each frame a rectification and a label kernel: this is the third frame's.
    let settings = [("FAKE_CUDA_FAULTS", "kernel:719@9")];
    with_fake(test, VERSIONS[1], &settings, || pipeline_test(test, 1));
}

/// A camera that is faster than the device: each grid is one of a pair's, and what was not used is said to be dropped.
#[test]
fn a_fast_camera_is_followed_and_not_queued() {
    let test = "engine::a_fast_camera_is_followed_and_not_queued";
    // A frame is five pieces of work: 100 ms, of a camera with 50 Hz.
    with_fake(test, VERSIONS[1], &[("FAKE_CUDA_DELAY_US", "20000")], || {
        const FRAMES: u64 = 16;
        let wanted = wanted(FRAMES, 50.0);
        let rig = demo_rig().unwrap();
        let options = SyntheticOptions {
            format: PixelFormat::Yuyv,
            rate_hz: 50.0,
            pacing: Pacing::Clock,
            frames: Some(FRAMES),
            ..SyntheticOptions::default()
        };
        let source = Synthetic::open(&rig, &options).unwrap();
        let directory = tempfile::tempdir().unwrap();
        let mut pipeline = pipeline(source, directory.path());
        let socket = directory.path().join("s.sock");
        let options = occdepth_ring::ReaderOptions::default();
        let reader = occdepth_ring::Reader::connect(&socket, &options).unwrap();
        let mut grid = occdepth_ring::Grid::new();
        let mut last = None;
        let mut published = 0;
        let mut missed = false;
        loop {
            match pipeline.step(Duration::from_millis(100)).unwrap() {
                Step::Published { .. } => {
                    reader.copy_newest(&mut grid).unwrap();
                    let record = &grid.published.record;
                    assert!(last.is_none_or(|last| record.frame_id > last), "in order");
                    let gap = last.is_some_and(|last| record.frame_id > last + 1);
                    let said =
                        record.degradation.contains(occdepth_ring::Degradation::FRAMES_DROPPED);
                    assert!(said || !gap, "frame {} after {last:?}", record.frame_id);
                    missed |= gap;
                    last = Some(record.frame_id);
                    published += 1;
                    if cases::cpu_is_fused() {
                        assert_eq!(grid.labels, wanted[record.frame_id as usize][0]);
                    }
                }
                Step::Idle => {}
                Step::Ended => break,
            }
        }
        assert!(missed && published < FRAMES, "{published} grids");
        assert!(last.unwrap() + 1 == FRAMES || published > 3, "{last:?}");
    });
}

const NV12: PixelFormat = PixelFormat::Nv12;

/// Runs `body` on the fakes, with a fake `TensorRT` at `TENSORRT`.
fn with_fake(test: &str, version: FakeVersion, settings: &[(&str, &str)], body: impl FnOnce()) {
    if is_child() {
        return body();
    }
    if !can_fake(test) {
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    FakeTensorRt::cached(version, &libraries(), directory.path()).unwrap();
    let mut all = vec![("TENSORRT", directory.path().to_str().unwrap())];
    all.extend(settings);
    on_fakes(test, &all, body);
}

/// An engine of the bundled network.
fn engine() -> GpuEngine {
    let tensorrt =
        TensorRt::load(&Search::at(PathBuf::from(std::env::var("TENSORRT").unwrap()))).unwrap();
    let builder = Builder::new(tensorrt).unwrap();
    let typing =
        if tensorrt.version().major == 11 { NetworkTyping::Strong } else { NetworkTyping::Weak };
    let mut network = builder.create_network(typing).unwrap();
    network.onnx_parser().unwrap().parse(BUNDLED_NETWORK, None).unwrap();
    let mut config = builder.create_config().unwrap();
    let plan = builder.build_serialized(&network, &mut config).unwrap().to_vec();
    let source = PlanSource::new(tensorrt, Box::new(move || Ok(plan.clone())), None);
    let description = EngineDescription {
        name: format!("TensorRT {}", tensorrt.version()),
        network_sha256: [1; 32],
        engine_sha256: [2; 32],
        substitute: false,
    };
    let options =
        GpuOptions { kernel_cache: Some(libraries().join("kernels")), ..GpuOptions::default() };
    GpuEngine::open(Box::new(source), contract(), &description, &options).unwrap()
}

fn contract() -> Contract {
    let model = ModelProto::from_bytes(BUNDLED_NETWORK, "bundled").unwrap();
    Contract::from_model(&model, "bundled").unwrap()
}

fn source(rig: &StereoRig, format: PixelFormat, frames: u64, rate_hz: f64) -> Synthetic {
    let options = SyntheticOptions {
        format,
        rate_hz,
        pacing: Pacing::Unpaced,
        frames: Some(frames),
        ..SyntheticOptions::default()
    };
    Synthetic::open(rig, &options).unwrap()
}

/// What the fake engine makes of `images`, labelled by the CPU.
fn expected(contract: &Contract, geometry: &GeometryInputs, images: &[f32]) -> [Vec<u8>; 2] {
    let bytes =
        |values: &[f32]| -> Vec<u8> { values.iter().flat_map(|v| v.to_le_bytes()).collect() };
    let integers =
        |values: &[i32]| -> Vec<u8> { values.iter().flat_map(|v| v.to_le_bytes()).collect() };
    let inputs: Vec<(&str, Vec<u8>)> = contract
        .inputs
        .iter()
        .map(|input| {
            let depth = geometry.depth.as_ref();
            let bytes = match input.name.as_str() {
                "images" => bytes(images),
                "pixels" => integers(&geometry.pixels),
                "depth_index" => integers(&depth.unwrap().index),
                "depth_weight" => bytes(&depth.unwrap().weight),
                "pixel_size" => bytes(&depth.unwrap().pixel_size),
                other => panic!("input {other}"),
            };
            (input.name.as_str(), bytes)
        })
        .collect();
    let inputs: Vec<(&str, &[u8])> =
        inputs.iter().map(|(name, bytes)| (*name, bytes.as_slice())).collect();
    let voxels: usize = contract.grid.dims.iter().map(|&n| n as usize).product();
    let count = voxels * contract.classes.len();
    let logits = expected_output(network_hash(BUNDLED_NETWORK), &inputs, 0, 0, count);
    let logits: Vec<f32> =
        logits.as_chunks::<4>().0.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect();
    let labeller = Labeller::new(&contract.classes, LabelOptions::default()).unwrap();
    label(&labeller, &logits, voxels)
}

/// The cameras and the geometry of the bundled network on `rig`.
fn fitted(contract: &Contract, rig: &StereoRig) -> (NetworkCameras, GeometryInputs) {
    let cameras = NetworkCameras::new(rig, contract.fit, contract.image).unwrap();
    let spec = contract.geometry_spec(None).unwrap();
    let geometry = GeometryInputs::new(&spec, &[cameras.left.view, cameras.right.view]).unwrap();
    (cameras, geometry)
}

fn engine_test(format: PixelFormat) {
    let (rig, contract) = (demo_rig().unwrap(), contract());
    let (cameras, geometry) = fitted(&contract, &rig);
    let mut engine = engine();
    assert!(engine.description().name.contains("on Fake GPU (sm_87), copies"));
    let voxels: usize = contract.grid.dims.iter().map(|&n| n as usize).product();
    let (mut labels, mut confidence) = (vec![9; voxels], vec![9; voxels]);
    let mut output = |engine: &mut GpuEngine| {
        let output =
            GridOutput { labels: &mut labels, confidence: Some(&mut confidence), logits: None };
        engine.frames().unwrap().collect(output).unwrap();
        [labels.clone(), confidence.clone()]
    };
    assert!(
        engine.run(&[], GridOutput { labels: &mut [], confidence: None, logits: None }).is_err()
    );
    engine.bind(&geometry, LabelOptions::default()).unwrap();
    assert!(engine.description().name.ends_with(", CUDA graph"), "{}", engine.description().name);

    let mut source = source(&rig, format, 3, 10.0);
    let about = source.description().clone();
    let (rectifier, plan) = DeviceRectifier::new(
        about.size,
        about.format,
        about.colour,
        &cameras,
        &contract.normalisation,
    )
    .unwrap();
    engine.frames().unwrap().fit(plan).unwrap();
    for _ in 0..3 {
        let Capture::Frame(frame) = source.next(Duration::from_secs(30)).unwrap() else {
            panic!("a pair was expected")
        };
        let pair = rectifier.pair(&frame).unwrap();
        let frames = engine.frames().unwrap();
        frames.stage(&pair).unwrap();
        frames.submit().unwrap();
        let mut images = vec![f32::NAN; contract.inputs[0].element_count() as usize];
        frames.images(0, &mut images).unwrap();
        let found = output(&mut engine);
        assert_eq!(found, expected(&contract, &geometry, &images));

        // The same through the other door: images from the host.
        let (mut labels, mut sure) = (vec![9; voxels], vec![9; voxels]);
        let output = GridOutput { labels: &mut labels, confidence: Some(&mut sure), logits: None };
        engine.run(&images, output).unwrap();
        assert_eq!([labels, sure], found);
    }
}

/// Labels and confidences of the CPU path for the first pairs of the synthetic street.
fn wanted(frames: u64, rate_hz: f64) -> Vec<[Vec<u8>; 2]> {
    let (rig, contract) = (demo_rig().unwrap(), contract());
    let (cameras, geometry) = fitted(&contract, &rig);
    // What a pair shows depends on when it was taken.
    let mut source = source(&rig, PixelFormat::Yuyv, frames, rate_hz);
    let about = source.description().clone();
    let mut rectifier = StereoRectifier::new(
        about.size,
        about.format,
        about.colour,
        &cameras,
        &contract.normalisation,
    )
    .unwrap();
    let mut images = vec![0.0; contract.inputs[0].element_count() as usize];
    let mut wanted = Vec::new();
    while let Capture::Frame(frame) = source.next(Duration::from_secs(30)).unwrap() {
        rectifier.rectify(&frame, &mut images).unwrap();
        wanted.push(expected(&contract, &geometry, &images));
    }
    assert_eq!(wanted.len() as u64, frames);
    wanted
}

/// A street of which one pair is cut off.
#[derive(Debug)]
struct CutOff {
    street: Synthetic,
    pairs: u64,
    /// Counted from 1.
    bad: u64,
}

impl FrameSource for CutOff {
    fn description(&self) -> &SourceDescription {
        self.street.description()
    }

    fn next(&mut self, timeout: Duration) -> Result<Capture<'_>, CaptureError> {
        let mut pair = match self.street.next(timeout)? {
            Capture::Frame(pair) => pair,
            // A busy machine does not render a pair within the millisecond that it may be given.
            Capture::TimedOut => return Ok(Capture::TimedOut),
            Capture::Ended => return Ok(Capture::Ended),
        };
        self.pairs += 1;
        if self.pairs == self.bad {
            pair.left.plane.data = &pair.left.plane.data[..10];
        }
        Ok(Capture::Frame(pair))
    }
}

#[test]
fn a_pair_that_cannot_be_taken_is_said_and_costs_no_other() {
    let test = "engine::a_pair_that_cannot_be_taken_is_said_and_costs_no_other";
    with_fake(test, VERSIONS[1], &[], || {
        const FRAMES: u64 = 6;
        // The first is taken while nothing is in flight, the third while a frame is.
        for bad in [1, 3] {
            let rig = demo_rig().unwrap();
            let directory = tempfile::tempdir().unwrap();
            let street = source(&rig, PixelFormat::Yuyv, FRAMES, 10.0);
            let mut pipeline = pipeline(CutOff { street, pairs: 0, bad }, directory.path());
            let (mut grids, mut failures) = (0, 0);
            loop {
                match pipeline.step(Duration::from_secs(30)) {
                    Ok(Step::Published { .. }) => grids += 1,
                    Ok(Step::Ended) => break,
                    Ok(Step::Idle) => panic!("an unpaced source is never idle"),
                    Err(error) => {
                        assert!(error.is_recoverable(), "{error:?}");
                        failures += 1;
                    }
                }
            }
            assert_eq!((grids, failures), (FRAMES - 1, 1), "pair {bad}");
        }
    });
}

/// The product on the fake GPU, its stream at `s.sock` in `directory`.
fn pipeline(source: impl FrameSource + 'static, directory: &std::path::Path) -> Pipeline {
    let rig = demo_rig().unwrap();
    let mut perception = Perception::new(
        &rig,
        source.description(),
        Box::new(engine()),
        None,
        GridConfig::default(),
    )
    .unwrap();
    perception.watch_calibration(&WatchConfig::default()).unwrap();
    let stream = StreamConfig {
        socket: directory.join("s.sock"),
        name: "s".into(),
        slots: 4,
        mode: 0o700,
        group: None,
    };
    let publisher = Publisher::open(&stream, &perception).unwrap();
    Pipeline::new(Box::new(source), perception, publisher)
}

/// A pipeline of which `lost` frames are lost.
fn pipeline_test(test: &str, lost: usize) {
    const FRAMES: u64 = 6;
    let wanted = wanted(FRAMES, 10.0);
    let rig = demo_rig().unwrap();
    let directory = tempfile::tempdir().unwrap();
    let mut pipeline = pipeline(source(&rig, PixelFormat::Yuyv, FRAMES, 10.0), directory.path());
    let mut found = Vec::new();
    let mut failures = 0;
    loop {
        match pipeline.step(Duration::from_secs(30)) {
            Ok(Step::Published { sequence, times }) => {
                assert_eq!(sequence, found.len() as u64 + 1);
                assert!(!times.rectify.is_zero() && !times.infer.is_zero());
                found.push(pipeline.perception().labels().to_vec());
            }
            Ok(Step::Ended) => break,
            Ok(Step::Idle) => panic!("an unpaced source is never idle"),
            Err(error) => {
                assert!(error.is_recoverable(), "{error:?}");
                failures += 1;
            }
        }
    }
    assert_eq!(failures, usize::from(lost > 0));
    if !cases::cpu_is_fused() {
        return skip(
            test,
            "the CPU rounds more often than the kernel, and the fake engine sees every bit",
        );
    }
    // With the lost frame goes the one that was staged behind it.
    let wanted: Vec<_> = wanted.into_iter().map(|[labels, _]| labels).collect();
    if lost == 0 {
        assert_eq!(found, wanted);
    } else {
        assert!(found.len() >= wanted.len() - 2, "{} of {}", found.len(), wanted.len());
        let mut rest = wanted.iter();
        assert!(found.iter().all(|grid| rest.any(|wanted| wanted == grid)), "in order, and right");
    }
}
