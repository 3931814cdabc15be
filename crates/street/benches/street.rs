//! How long a stereo pair takes, on one core, beside filling and copying as many bytes.
#![allow(missing_docs, reason = "criterion's macros make undocumented functions")]
#![allow(clippy::unwrap_used, reason = "a bench fails by panicking")]

#[path = "../tests/rigs/mod.rs"]
mod rigs;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use occdepth_geometry::voxel::VoxelGrid;
use occdepth_street::{Rendering, Street};
use std::hint::black_box;

fn street(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("street");
    for (width, height) in [(640, 192), (1280, 720)] {
        let bytes = 2 * 3 * width as usize * height as usize;
        group.throughput(Throughput::Bytes(bytes as u64));
        let mut pair = vec![0_u8; bytes];
        group.bench_function(format!("baseline: memset of {width}x{height} pair"), |bencher| {
            bencher.iter(|| black_box(&mut pair).fill(black_box(7)));
        });
        let source = vec![3_u8; bytes];
        group.bench_function(format!("baseline: memcpy of {width}x{height} pair"), |bencher| {
            bencher.iter(|| black_box(&mut pair).copy_from_slice(black_box(&source)));
        });
        let mut street = Street::new(1, &rigs::rectified(width, height)).unwrap();
        let mut rendering = Rendering::default();
        let mut time_s = 0.0;
        group.bench_function(format!("render {width}x{height} pair"), |bencher| {
            bencher.iter(|| {
                time_s += 0.1;
                street.render(time_s, black_box(&mut rendering));
            });
        });
    }
    group.finish();

    let street = Street::new(1, &rigs::rectified(640, 192)).unwrap();
    let mut labels = Vec::new();
    criterion.bench_function("labels of 256x256x32", |bencher| {
        bencher.iter(|| street.labels(black_box(3.0), &VoxelGrid::KITTI, &mut labels));
    });
}

criterion_group!(benches, street);
criterion_main!(benches);
