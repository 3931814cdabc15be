//! Rectifying a 1280x720 pair to the network's `[2, 3, 370, 1220]` and to `[2, 3, 720, 1280]`, from every kind of pixel,
//! against copying as many bytes as the planes have. Times are processor time of the thread, which does not count waiting
//! for a core on a busy machine.
#![allow(missing_docs, reason = "criterion's macros make undocumented items")]
#![allow(clippy::unwrap_used, reason = "a bench fails by panicking")]

use criterion::measurement::{Measurement, ValueFormatter, WallTime};
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use nalgebra::{Matrix4, Rotation3};
use occdepth::capture::{BayerOrder, Image, PixelFormat, Stamp, StereoFrame, YuvEncoding};
use occdepth::rectify::StereoRectifier;
use occdepth_contract::Normalisation;
use occdepth_geometry::ImageSize;
use occdepth_geometry::camera::{Camera, Distortion, Intrinsics};
use occdepth_geometry::fit::{Fit, NetworkCameras};
use occdepth_geometry::rig::StereoRig;
use rustix::time::{ClockId, clock_gettime};
use std::hint::black_box;
use std::time::Duration;

criterion_group! {
    name = benches;
    config = Criterion::default().sample_size(20).with_measurement(ProcessorTime);
    targets = rectify
}
criterion_main!(benches);

fn rectify(criterion: &mut Criterion<ProcessorTime>) {
    for output in [ImageSize { width: 1220, height: 370 }, CAMERA] {
        to(criterion, output);
    }
}

fn to(criterion: &mut Criterion<ProcessorTime>, output: ImageSize) {
    let mapped = NetworkCameras::new(&rig(false), Fit::Rectify, output).unwrap();
    let straight = NetworkCameras::new(&rig(true), Fit::Crop, output).unwrap();
    assert!(mapped.left.map.is_some() && straight.left.map.is_none());

    let values = 2 * 3 * output.width as usize * output.height as usize;
    let mut images = vec![0.0_f32; values];
    let name = format!("rectify_1280x720_pair_to_2x3x{}x{}", output.height, output.width);
    let mut group = criterion.benchmark_group(name);
    for (name, format) in [
        ("yuyv", PixelFormat::Yuyv),
        ("nv12", PixelFormat::Nv12),
        ("rgb8", PixelFormat::Rgb8),
        ("grey8", PixelFormat::Grey8),
        ("grey10", PixelFormat::Grey10),
        ("grey16", PixelFormat::Grey16),
        ("bayer8", PixelFormat::Bayer8(BayerOrder::Rggb)),
        ("bayer10", PixelFormat::Bayer10(BayerOrder::Rggb)),
        ("bayer12", PixelFormat::Bayer12(BayerOrder::Rggb)),
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
                bencher.iter(|| {
                    rectifier.rectify(black_box(&frame), black_box(&mut images)).unwrap();
                });
            });
        }
    }

    let source = images.clone();
    group.throughput(Throughput::Bytes(2 * size_of_val(source.as_slice()) as u64));
    group.bench_function("baseline_memcpy_of_the_planes", |bencher| {
        bencher.iter(|| black_box(&mut images).copy_from_slice(black_box(&source)));
    });
    group.finish();
}

/// Of the thread.
struct ProcessorTime;

impl Measurement for ProcessorTime {
    type Intermediate = Duration;
    type Value = Duration;

    fn start(&self) -> Duration {
        let time = clock_gettime(ClockId::ThreadCPUTime);
        Duration::try_from(time).unwrap()
    }

    fn end(&self, start: Duration) -> Duration {
        self.start().saturating_sub(start)
    }

    fn add(&self, a: &Duration, b: &Duration) -> Duration {
        *a + *b
    }

    fn zero(&self) -> Duration {
        Duration::ZERO
    }

    fn to_f64(&self, value: &Duration) -> f64 {
        WallTime.to_f64(value)
    }

    fn formatter(&self) -> &dyn ValueFormatter {
        WallTime.formatter()
    }
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
/// `ImageNet`.
const NORMALISATION: Normalisation =
    Normalisation { mean: [0.485, 0.456, 0.406], std: [0.229, 0.224, 0.225] };
