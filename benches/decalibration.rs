//! What watching the calibration costs a frame: turns of the watch at several sizes, and for comparison copying
//! the two planes that it looks at.
#![allow(missing_docs, reason = "criterion's macros make undocumented items")]
#![allow(clippy::unwrap_used, reason = "a bench fails by panicking")]

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use nalgebra::Matrix3;
use occdepth::decalibration::{Watch, WatchConfig};
use occdepth::stages::Summary;
use occdepth_contract::Normalisation;
use occdepth_geometry::ImageSize;
use occdepth_geometry::camera::{Camera, Distortion, Intrinsics};
use occdepth_geometry::fit::{Fit, NetworkCameras};
use occdepth_geometry::rig::StereoRig;
use occdepth_street::{Rendering, Street};
use std::hint::black_box;
use std::time::{Duration, Instant};

criterion_group! {
    name = benches;
    config = Criterion::default().sample_size(20);
    targets = watch
}
criterion_main!(benches);

fn watch(criterion: &mut Criterion) {
    for size in SIZES {
        let scenes = scenes(size);
        for (name, images) in &scenes {
            report_turns(name, size, images);
        }
    }
    report_copy(criterion);
}

/// Pairs that cost the watch in different ways.
fn scenes(size: ImageSize) -> [(&'static str, Vec<f32>); 3] {
    let rig = rig(size);
    let mut street = Street::new(1, &rig).unwrap();
    let mut rendering = Rendering::default();
    street.render(3.0, &mut rendering);
    let rgb = [&rendering.left_rgb, &rendering.right_rgb];
    let pixels = pixels(size);
    [
        ("street", images(size, |view, pixel| rgb[view][3 * pixel + 1])),
        // The most work there is: every cell has a corner, and every corner is found.
        ("texture", images(size, |_, pixel| noise(pixel))),
        // All of the searching, the wide searches included, and none of the aligning.
        ("noise", images(size, |view, pixel| noise(pixel + view * pixels))),
    ]
}

/// Time that this thread has had a processor.
fn busy_time() -> Duration {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    Duration::try_from(now).unwrap()
}

/// The baseline: copying the two planes that are looked at.
fn report_copy(criterion: &mut Criterion) {
    let size = SIZES[1];
    let pixels = pixels(size);
    let images = images(size, |_, pixel| noise(pixel));
    let mut group = criterion.benchmark_group("decalibration_2x3x370x1220");
    let mut target = vec![0.0_f32; 2 * pixels];
    group.throughput(Throughput::Bytes(2 * pixels as u64 * 4));
    group.bench_function("baseline_memcpy_of_the_two_planes", |bencher| {
        bencher.iter(|| {
            let (left, right) = black_box(&mut target).split_at_mut(pixels);
            left.copy_from_slice(&black_box(&images)[pixels..2 * pixels]);
            right.copy_from_slice(&black_box(&images)[4 * pixels..5 * pixels]);
        });
    });
    group.finish();
}

/// The budget is for every frame: prints percentiles over all turns, and the median of the dearest one. Both in time
/// of the processor, which is the watch's, and by the clock, which on a shared machine is mostly that of others.
#[allow(clippy::print_stdout, reason = "a bench reports")]
fn report_turns(name: &str, size: ImageSize, images: &[f32]) {
    let cameras = NetworkCameras::new(&rig(size), Fit::Crop, size).unwrap();
    let mut watch = Watch::new(&cameras, &NORMALISATION, &WatchConfig::default()).unwrap();
    // Searches that find nothing take turns in four ways: a turn is the same one again after four surveys.
    let turns = 4 * watch.frames_per_survey() as usize;
    let mut times = vec![Vec::new(); turns];
    let mut wall = Vec::new();
    let (mut now_ns, rounds) = (0, 2000_usize.div_ceil(turns).max(15));
    for _ in 0..rounds {
        for times in &mut times {
            now_ns += 33_333_333;
            let (start, busy) = (Instant::now(), busy_time());
            black_box(watch.observe(black_box(images), now_ns));
            times.push(busy_time().saturating_sub(busy));
            wall.push(start.elapsed());
        }
    }
    let mut all: Vec<_> = times.iter().flatten().copied().collect();
    let Summary { p50, p99, max, mean } = Summary::of(&mut all);
    let dearest = times.iter_mut().map(|times| Summary::of(times).p50).max().unwrap_or_default();
    let wall = Summary::of(&mut wall);
    let [p50, p99, max, mean, dearest, wall_p50, wall_p99, wall_max] =
        [p50, p99, max, mean, dearest, wall.p50, wall.p99, wall.max]
            .map(|time| time.as_secs_f64() * 1e3);
    let matches = watch.report().estimate.map_or(0, |estimate| estimate.matches);
    println!(
        "{}x{} {name}: {} frames a survey, {matches} matches; {} turns: p50 {p50:.2}, p99 {p99:.2}, max {max:.2}, \
         mean {mean:.2}, median of the dearest {dearest:.2} ms; \
         by the clock p50 {wall_p50:.2}, p99 {wall_p99:.2}, max {wall_max:.2} ms",
        size.width,
        size.height,
        watch.frames_per_survey(),
        all.len(),
    );
}

/// f32 [2, 3, H, W]; the three channels are equal.
fn images(size: ImageSize, level: impl Fn(usize, usize) -> u8) -> Vec<f32> {
    let pixels = pixels(size);
    let mut images = Vec::with_capacity(6 * pixels);
    for view in 0..2 {
        for (mean, std) in NORMALISATION.mean.iter().zip(NORMALISATION.std) {
            let normalised = |pixel| (f32::from(level(view, pixel)) / 255.0 - mean) / std;
            images.extend((0..pixels).map(normalised));
        }
    }
    images
}

fn noise(pixel: usize) -> u8 {
    let hash = (pixel as u64 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    (hash ^ (hash >> 31)).wrapping_mul(0xbf58_476d_1ce4_e5b9).to_be_bytes()[0]
}

fn pixels(size: ImageSize) -> usize {
    size.width as usize * size.height as usize
}

/// KITTI's field of view.
fn rig(size: ImageSize) -> StereoRig {
    let [width, height] = [size.width, size.height].map(f64::from);
    let focal_px = 0.58 * width;
    let [cx, cy] = [0.49 * width, 0.49 * height];
    let camera = Camera {
        intrinsics: Intrinsics { fx: focal_px, fy: focal_px, cx, cy },
        distortion: Distortion::NONE,
    };
    let mut right_from_left = Matrix3::identity().to_homogeneous();
    right_from_left.m14 = -0.54;
    let mut left_from_ego =
        Matrix3::new(0.0, -1.0, 0.0, 0.0, 0.0, -1.0, 1.0, 0.0, 0.0).to_homogeneous();
    left_from_ego.m24 = -0.08;
    StereoRig {
        name: "bench".into(),
        image_size: size,
        left: camera,
        right: camera,
        right_from_left,
        left_from_ego,
        rectified: true,
    }
}

/// The bundled network's, the published networks', and those of cameras.
const SIZES: [ImageSize; 4] = [
    ImageSize { width: 320, height: 96 },
    ImageSize { width: 1220, height: 370 },
    ImageSize { width: 1280, height: 720 },
    ImageSize { width: 1920, height: 1200 },
];
const NORMALISATION: Normalisation = Normalisation::IMAGENET;
