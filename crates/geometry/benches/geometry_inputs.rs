//! The geometry inputs of a full KITTI network (two views of 1220 x 370, four scales, 262 144 voxels, a
//! depth net), against copying as many bytes as they have.
//!
//! `cargo bench -p occdepth-geometry --bench geometry_inputs`

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use nalgebra::{Matrix3, Matrix4};
use occdepth_geometry::{
    ImageSize,
    depth::{DepthBins, DepthVolume},
    network::{GeometryInputs, GeometrySpec, View},
    voxel::VoxelGrid,
};
use std::hint::black_box;

fn geometry_inputs(criterion: &mut Criterion) {
    let views = views();
    for (name, pattern, project_scale) in
        [("kitti", 0, 2), ("kitti_pattern_6", 6, 2), ("kitti_full_grid", 0, 1)]
    {
        let spec = spec(pattern, project_scale);
        let inputs = compute(&spec, &views);
        let bytes = bytes(&inputs);
        let mut copy = vec![0_u8; bytes.len()];

        let mut group = criterion.benchmark_group(name);
        group.sample_size(10);
        group.throughput(Throughput::Bytes(bytes.len() as u64));
        group.bench_function("geometry_inputs", |bencher| bencher.iter(|| compute(&spec, &views)));
        group.bench_function("memcpy", |bencher| {
            bencher.iter(|| black_box(&mut copy).copy_from_slice(black_box(&bytes)));
        });
        group.finish();
    }
}

fn compute(spec: &GeometrySpec, views: &[View]) -> GeometryInputs {
    GeometryInputs::new(black_box(spec), black_box(views)).expect("a valid specification")
}

fn spec(pattern: u8, project_scale: u32) -> GeometrySpec {
    let image = ImageSize { width: 1220, height: 370 };
    GeometrySpec {
        views: 2,
        image,
        scales: vec![1, 2, 4, 8],
        pattern,
        project_scale,
        grid: VoxelGrid::KITTI,
        depth: Some(DepthVolume { bins: DepthBins::KITTI, sampling_size: image }),
        right_samples_left_pixels: false,
    }
}

/// A stereo pair half a metre apart with about KITTI's view.
fn views() -> [View; 2] {
    let k = Matrix3::new(720.0, 0.0, 610.0, 0.0, 720.0, 185.0, 0.0, 0.0, 1.0);
    [0.0, -0.5].map(|x_m| {
        let cam_from_ego = Matrix4::new(
            0.0, -1.0, 0.0, x_m, //
            0.0, 0.0, -1.0, 0.0, //
            1.0, 0.0, 0.0, -0.3, //
            0.0, 0.0, 0.0, 1.0,
        );
        View { k, cam_from_ego }
    })
}

/// All tensors, one after the other.
fn bytes(inputs: &GeometryInputs) -> Vec<u8> {
    let mut bytes: Vec<u8> = inputs.pixels.iter().flat_map(|entry| entry.to_ne_bytes()).collect();
    if let Some(depth) = &inputs.depth {
        bytes.extend(depth.index.iter().flat_map(|index| index.to_ne_bytes()));
        bytes.extend(depth.weight.iter().flat_map(|weight| weight.to_ne_bytes()));
        bytes.extend(depth.pixel_size.iter().flat_map(|size| size.to_ne_bytes()));
    }
    bytes
}

criterion_group!(benches, geometry_inputs);
criterion_main!(benches);
