//! The whole pipeline with the bundled network: from a pair in the source's hands to the grid in a client's hands,
//! against the network alone in the same run. What lies between the two is what the runtime costs.
#![allow(missing_docs, reason = "criterion's macros define public items")]

use criterion::{Criterion, criterion_group, criterion_main};
use occdepth::Pipeline;
use occdepth::capture::synthetic::{Synthetic, SyntheticOptions};
use occdepth::capture::{FrameSource, Pacing};
use occdepth::daemon::{GridConfig, StreamConfig};
use occdepth::engine::{CpuEngine, Engine};
use occdepth::grid::{GridOutput, LabelOptions};
use occdepth::perception::Perception;
use occdepth::publish::Publisher;
use occdepth::rig::demo_rig;
use occdepth_geometry::fit::NetworkCameras;
use occdepth_geometry::network::GeometryInputs;
use occdepth_ring::{Grid, Reader, ReaderOptions};
use std::time::Duration;

fn pipeline(criterion: &mut Criterion) {
    let rig = demo_rig().expect("the bundled rig is valid");
    let mut group = criterion.benchmark_group("pipeline");
    group.sample_size(20).measurement_time(Duration::from_secs(8));

    let mut engine = CpuEngine::bundled(None).expect("the bundled network loads");
    let contract = engine.contract().clone();
    let cameras = NetworkCameras::new(&rig, contract.fit, contract.image).expect("the rig fits");
    let spec = contract.geometry_spec(None).expect("the grid has an origin");
    let views = [cameras.left.view, cameras.right.view];
    let geometry = GeometryInputs::new(&spec, &views).expect("the views fit");
    engine.bind(&geometry, LabelOptions::default()).expect("the geometry fits");
    let pixels = contract.image.width as usize * contract.image.height as usize;
    let images: Vec<f32> = (0..6 * pixels).map(|i| (i % 97) as f32 / 48.5 - 1.0).collect();
    let voxels: usize = contract.grid.dims.iter().map(|&n| n as usize).product();
    let (mut labels, mut confidence) = (vec![0; voxels], vec![0; voxels]);
    group.bench_function("network alone (baseline)", |bencher| {
        bencher.iter(|| {
            let output =
                GridOutput { labels: &mut labels, confidence: Some(&mut confidence), logits: None };
            engine.run(&images, output).expect("the network runs")
        });
    });

    let options = SyntheticOptions { pacing: Pacing::Unpaced, ..SyntheticOptions::default() };
    let source = Synthetic::open(&rig, &options).expect("the street opens");
    let perception =
        Perception::new(&rig, source.description(), Box::new(engine), None, GridConfig::default())
            .expect("rig, source and network fit");
    let directory = tempfile::tempdir().expect("a temporary directory");
    let stream = StreamConfig {
        socket: directory.path().join("bench.sock"),
        name: "bench".into(),
        slots: 4,
        mode: 0o700,
        group: None,
    };
    let publisher = Publisher::open(&stream, &perception).expect("the stream opens");
    let mut pipeline = Pipeline::new(Box::new(source), perception, publisher);
    let mut reader =
        Reader::connect(&stream.socket, &ReaderOptions::default()).expect("the client connects");
    let mut grid = Grid::new();
    group.bench_function("camera to client", |bencher| {
        bencher.iter(|| {
            pipeline.step(Duration::from_secs(10)).expect("a grid");
            reader.next(&mut grid, Duration::from_secs(10)).expect("the grid arrives")
        });
    });
    group.finish();
}

criterion_group!(benches, pipeline);
criterion_main!(benches);
