//! The frame path allocates nothing after its first frames, the crate that runs the network aside.
#![allow(unsafe_code, reason = "a counting allocator is an unsafe trait")]
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "support/counting.rs"]
mod counting;

use counting::{allocations, uncounted};
use occdepth::capture::FrameSource;
use occdepth::capture::synthetic::{Synthetic, SyntheticOptions};
use occdepth::capture::{BayerOrder, Image, Pacing, PixelFormat, Plane, YuvEncoding};
use occdepth::daemon::{GridConfig, StreamConfig};
use occdepth::decalibration::{Finding, State, Watch, WatchConfig};
use occdepth::engine::{
    BUNDLED_NETWORK, CpuEngine, Engine, EngineDescription, EngineError, EngineTimes,
};
use occdepth::grid::{GridOutput, LabelOptions, Labeller};
use occdepth::perception::Perception;
use occdepth::publish::Publisher;
use occdepth::rectify::Rectifier;
use occdepth::rig::demo_rig;
use occdepth::{Pipeline, Step};
use occdepth_contract::{Contract, Normalisation, onnx::ModelProto};
use occdepth_geometry::ImageSize;
use occdepth_geometry::fit::{Fit, NetworkCamera, NetworkCameras};
use occdepth_geometry::network::{GeometryInputs, View};
use occdepth_geometry::rectification::RemapTable;
use std::time::Duration;

/// An engine whose network is a table: logits that were there from the start, labelled as every engine labels.
struct Canned {
    description: EngineDescription,
    contract: Contract,
    labeller: Option<Labeller>,
    logits: Vec<f32>,
}

impl Engine for Canned {
    fn description(&self) -> &EngineDescription {
        &self.description
    }

    fn contract(&self) -> &Contract {
        &self.contract
    }

    fn bind(&mut self, _: &GeometryInputs, labels: LabelOptions) -> Result<(), EngineError> {
        self.labeller = Some(Labeller::new(&self.contract.classes, labels).unwrap());
        Ok(())
    }

    fn run(&mut self, _: &[f32], output: GridOutput<'_>) -> Result<EngineTimes, EngineError> {
        let voxels = output.labels.len();
        self.labeller.as_ref().unwrap().label(&self.logits, voxels, output).unwrap();
        Ok(EngineTimes::default())
    }
}

/// The real engine; what the crate inside allocates is not counted.
struct Unwatched(CpuEngine);

impl Engine for Unwatched {
    fn description(&self) -> &EngineDescription {
        self.0.description()
    }

    fn contract(&self) -> &Contract {
        self.0.contract()
    }

    fn bind(&mut self, inputs: &GeometryInputs, labels: LabelOptions) -> Result<(), EngineError> {
        self.0.bind(inputs, labels)
    }

    fn run(&mut self, images: &[f32], output: GridOutput<'_>) -> Result<EngineTimes, EngineError> {
        uncounted(|| self.0.run(images, output))
    }
}

fn canned() -> Canned {
    let model = ModelProto::from_bytes(BUNDLED_NETWORK, "bundled").unwrap();
    let contract = Contract::from_model(&model, "bundled").unwrap();
    let voxels: usize = contract.grid.dims.iter().map(|&n| n as usize).product();
    let logits = (0..voxels * contract.classes.len()).map(|i| ((i * 37) % 101) as f32).collect();
    let description = EngineDescription {
        name: "canned".into(),
        network_sha256: [0; 32],
        engine_sha256: [0; 32],
        substitute: false,
    };
    Canned { description, contract, labeller: None, logits }
}

fn frames_allocate_nothing(engine: Box<dyn Engine>, format: PixelFormat, frames: usize) {
    let rig = demo_rig().unwrap();
    let options =
        SyntheticOptions { format, pacing: Pacing::Unpaced, ..SyntheticOptions::default() };
    let source = Synthetic::open(&rig, &options).unwrap();
    let grid = GridConfig { unseen_unknown: true, unknown_below: 0.1, ..GridConfig::default() };
    let mut perception = Perception::new(&rig, source.description(), engine, None, grid).unwrap();
    perception.watch_calibration(&WatchConfig::default()).unwrap();
    let directory = tempfile::tempdir().unwrap();
    let stream = StreamConfig {
        socket: directory.path().join("s.sock"),
        name: "s".into(),
        slots: 4,
        mode: 0o700,
        group: None,
    };
    let publisher = Publisher::open(&stream, &perception).unwrap();
    let mut pipeline = Pipeline::new(Box::new(source), perception, publisher);
    // A client is attached, as on a vehicle.
    let _reader =
        occdepth_ring::Reader::connect(&stream.socket, &occdepth_ring::ReaderOptions::default())
            .unwrap();
    let mut step = || {
        let step = pipeline.step(Duration::from_secs(30)).unwrap();
        assert!(matches!(step, Step::Published { .. }));
    };
    step();
    step();
    let allocated = allocations(|| (0..frames).for_each(|_| step()));
    assert_eq!(allocated, 0, "allocations in {frames} frames");
}

#[test]
fn capture_rectify_label_and_publish_allocate_nothing() {
    for format in [PixelFormat::Rgb8, PixelFormat::Yuyv] {
        frames_allocate_nothing(Box::new(canned()), format, 30);
    }
}

#[test]
fn the_cpu_engine_adds_none_outside_its_crate() {
    let engine = Unwatched(CpuEngine::bundled(None).unwrap());
    frames_allocate_nothing(Box::new(engine), PixelFormat::Rgb8, 5);
}

/// Every way that the watch can take: matches, no matches, the searches further up, down and to the left, alarms.
#[test]
fn the_calibration_watch_allocates_nothing_whatever_it_sees() {
    let rig = demo_rig().unwrap();
    let cameras = NetworkCameras::new(&rig, Fit::Crop, rig.image_size).unwrap();
    let [width, height] = [rig.image_size.width, rig.image_size.height].map(|side| side as usize);
    let hash = |x: usize, y: usize, seed: usize| {
        let mixed = ((seed * 4096 + y / 8) * 4096 + x / 8).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        ((mixed ^ (mixed >> 29)).wrapping_mul(0xbf58_476d_1ce4_e5b9) >> 40) as f32
            / (1 << 23) as f32
    };
    let images = |right: &dyn Fn(usize, usize) -> f32| -> Vec<f32> {
        let pixel = |i: usize| [i % width, i / width % height];
        let views = 0..6 * width * height;
        views
            .map(|i| {
                let [x, y] = pixel(i);
                if i < 3 * width * height { hash(x + 800, y + 800, 1) } else { right(x, y) }
            })
            .collect()
    };
    let shown = [
        ("good", images(&|x, y| hash(x + 808, y + 800, 1))),
        ("lower", images(&|x, y| hash(x + 808, y + 797, 1))),
        ("far lower", images(&|x, y| hash(x + 808, y + 760, 1))),
        ("near", images(&|x, y| hash(x + 950, y + 800, 1))),
        ("beyond infinity", images(&|x, y| hash(x + 770, y + 800, 1))),
        ("another", images(&|x, y| hash(x, y, 2))),
        ("dark", images(&|_, _| 0.0)),
    ];
    let normalisation = Normalisation::IMAGENET;
    let mut watch = Watch::new(&cameras, &normalisation, &WatchConfig::default()).unwrap();
    let mut findings = Vec::with_capacity(shown.len());
    let mut states = Vec::with_capacity(shown.len());
    let mut now_ns = 0;
    let allocated = allocations(|| {
        for (_, images) in &shown {
            for _ in 0..150 {
                now_ns += 100_000_000;
                watch.observe(images, now_ns);
            }
            findings.push(watch.report().finding);
            states.push(watch.report().state);
        }
    });
    assert_eq!(allocated, 0);
    // That it took them.
    assert_eq!(states[..3], [State::Ok, State::Lost, State::Lost]);
    assert!(findings.contains(&Finding::NegativeDisparity), "{findings:?}");
    assert!(findings.contains(&Finding::Unmatched), "{findings:?}");
}

/// The demo rig is rectified already, so the frames above take no map; these do, from every kind of pixel.
#[test]
fn rectification_by_a_map_allocates_nothing() {
    let size = ImageSize { width: 64, height: 48 };
    let normalisation = Normalisation { mean: [0.5; 3], std: [0.25; 3] };
    // Turned a little, and beyond the image in the corners.
    let position = |i: u32| {
        let (x, y) = ((i % size.width) as f32, (i / size.width) as f32);
        [x + 0.2 * y - 4.5, y - 0.2 * x + 6.5]
    };
    let map = RemapTable { size, source: (0..size.width * size.height).map(position).collect() };
    let view =
        View { k: nalgebra::Matrix3::identity(), cam_from_ego: nalgebra::Matrix4::identity() };
    for format in [
        PixelFormat::Rgb8,
        PixelFormat::Bgr8,
        PixelFormat::Grey8,
        PixelFormat::Grey10,
        PixelFormat::Grey16,
        PixelFormat::Yuyv,
        PixelFormat::Uyvy,
        PixelFormat::Nv12,
        PixelFormat::Bayer8(BayerOrder::Rggb),
        PixelFormat::Bayer10(BayerOrder::Rggb),
        PixelFormat::Bayer12(BayerOrder::Rggb),
    ] {
        // More than any format needs, in rows of the widest.
        let data = vec![100; 3 * 64 * 48];
        let plane = Plane { data: &data, stride_bytes: 3 * 64 };
        let chroma = (format == PixelFormat::Nv12).then_some(plane);
        let image = Image { format, size, plane, chroma };
        for map in [Some(map.clone()), None] {
            let camera = NetworkCamera { view, map };
            let encoding = YuvEncoding::default();
            let mut rectifier =
                Rectifier::new(size, format, encoding, &camera, size, &normalisation).unwrap();
            let mut planes = vec![0.0; rectifier.values()];
            // The first frame as well: all memory is taken at the start.
            let allocated = allocations(|| {
                for _ in 0..2 {
                    rectifier.rectify(&image, &mut planes).unwrap();
                }
            });
            assert_eq!(allocated, 0, "{format:?}, map: {}", camera.map.is_some());
        }
    }
}

/// The counter counts: otherwise the tests above could not fail.
#[test]
fn an_allocation_is_noticed() {
    assert_eq!(allocations(|| drop(std::hint::black_box(vec![0_u8; 100]))), 1);
    assert_eq!(allocations(|| ()), 0);
}
