//! Rectifying a 1280x720 YUYV pair to the network's `[2, 3, 370, 1220]`, against copying as many
//! bytes as the pass reads and writes.
#![allow(missing_docs, reason = "criterion's macros make undocumented items")]
#![allow(clippy::unwrap_used, reason = "a bench fails by panicking")]

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use nalgebra::{Matrix4, Rotation3};
use occdepth::capture::{Image, PixelFormat, Stamp, StereoFrame, YuvEncoding};
use occdepth::rectify::StereoRectifier;
use occdepth_contract::Normalisation;
use occdepth_geometry::ImageSize;
use occdepth_geometry::camera::{Camera, Distortion, Intrinsics};
use occdepth_geometry::fit::{Fit, NetworkCameras};
use occdepth_geometry::rig::StereoRig;
use std::hint::black_box;

criterion_group! {
    name = benches;
    config = Criterion::default().sample_size(20);
    targets = rectify
}
criterion_main!(benches);

fn rectify(criterion: &mut Criterion) {
    let mapped = NetworkCameras::new(&rig(false), Fit::Rectify, NETWORK).unwrap();
    let straight = NetworkCameras::new(&rig(true), Fit::Crop, NETWORK).unwrap();
    assert!(mapped.left.map.is_some() && straight.left.map.is_none());

    let mut images = vec![0.0_f32; 2 * 3 * PIXELS];
    let mut group = criterion.benchmark_group("rectify_1280x720_pair_to_2x3x370x1220");
    for (name, format) in [
        ("yuyv", PixelFormat::Yuyv),
        ("nv12", PixelFormat::Nv12),
        ("rgb8", PixelFormat::Rgb8),
        ("grey8", PixelFormat::Grey8),
    ] {
        let [left, right] = [1, 2].map(|seed| noise(seed, format.image_bytes(CAMERA)));
        let frame = frame(format, &left, &right);
        for (path, cameras) in [("map", &mapped), ("straight", &straight)] {
            let mut rectifier = StereoRectifier::new(
                CAMERA,
                format,
                YuvEncoding::default(),
                cameras,
                &NORMALISATION,
            )
            .unwrap();
            group.bench_function(format!("{name}_{path}"), |bencher| {
                bencher.iter(|| rectifier.rectify(black_box(&frame), black_box(&mut images)));
            });
        }
    }

    // The baseline: the bytes that the YUYV pass must read (pixels, and 8 bytes of table per
    // destination pixel) and write, moved by memcpy: half of them read, half of them written.
    let moved = 2 * (PixelFormat::Yuyv.image_bytes(CAMERA) + PIXELS * (8 + 3 * 4));
    let source = noise(3, moved / 2);
    let mut target = vec![0_u8; moved / 2];
    group.throughput(Throughput::Bytes(moved as u64));
    group.bench_function("baseline_memcpy_of_the_same_bytes", |bencher| {
        bencher.iter(|| black_box(&mut target).copy_from_slice(black_box(&source)));
    });
    group.finish();
}

fn frame<'a>(format: PixelFormat, left: &'a [u8], right: &'a [u8]) -> StereoFrame<'a> {
    let stamp = Stamp { time_ns: 0, sequence: 0 };
    StereoFrame {
        left: Image::packed(format, CAMERA, left).unwrap(),
        right: Image::packed(format, CAMERA, right).unwrap(),
        left_stamp: stamp,
        right_stamp: stamp,
        dropped: 0,
        faulty: 0,
    }
}

/// A wide-angle rig like those on vehicles: barrel distortion, cameras a degree out of line.
fn rig(rectified: bool) -> StereoRig {
    let (distortion, turn) = if rectified {
        (Distortion::NONE, 0.0)
    } else {
        (Distortion::radial_tangential(&[-0.28, 0.07, 2e-4, -1e-4, 0.0]).unwrap(), 0.017)
    };
    let camera = Camera {
        intrinsics: Intrinsics { fx: 700.0, fy: 700.0, cx: 640.0, cy: 360.0 },
        distortion,
    };
    let mut right_from_left = Rotation3::from_euler_angles(turn, -turn, turn).to_homogeneous();
    right_from_left.m14 = -0.54;
    StereoRig {
        name: "bench".into(),
        image_size: CAMERA,
        left: camera,
        right: camera,
        right_from_left,
        left_from_ego: Matrix4::identity(),
        rectified,
    }
}

/// Bytes that no predictor learns (a linear congruential generator, Knuth's MMIX constants).
fn noise(seed: u64, bytes: usize) -> Vec<u8> {
    let step = |state: &mut u64| {
        *state =
            state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        Some(state.to_be_bytes()[0])
    };
    let mut state = seed;
    std::iter::from_fn(|| step(&mut state)).take(bytes).collect()
}

const CAMERA: ImageSize = ImageSize { width: 1280, height: 720 };
const NETWORK: ImageSize = ImageSize { width: 1220, height: 370 };
const PIXELS: usize = 1220 * 370;
/// `ImageNet`.
const NORMALISATION: Normalisation =
    Normalisation { mean: [0.485, 0.456, 0.406], std: [0.229, 0.224, 0.225] };
