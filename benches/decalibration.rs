//! What watching the calibration costs a frame: turns of the watch at the size of the published networks, against
//! copying the two planes that it looks at.
#![allow(missing_docs, reason = "criterion's macros make undocumented items")]
#![allow(clippy::unwrap_used, reason = "a bench fails by panicking")]

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use nalgebra::Matrix3;
use occdepth::decalibration::{Watch, WatchConfig};
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
    let rig = rig();
    let cameras = NetworkCameras::new(&rig, Fit::Crop, SIZE).unwrap();
    let mut street = Street::new(1, &rig).unwrap();
    let mut rendering = Rendering::default();
    street.render(3.0, &mut rendering);
    let street =
        images(|view, pixel| [&rendering.left_rgb, &rendering.right_rgb][view][3 * pixel + 1]);
    // The most work there is: every cell has a corner, and every corner is found.
    let texture = images(|_, pixel| noise(pixel));
    // All of the searching and none of the aligning.
    let noise = images(|view, pixel| noise(pixel + view * PIXELS));
    report_turns("street", &cameras, &street);
    report_turns("texture", &cameras, &texture);
    report_turns("noise", &cameras, &noise);

    let mut group = criterion.benchmark_group("decalibration_2x3x370x1220");
    for (name, images) in [("street", &street), ("texture", &texture), ("noise", &noise)] {
        let mut watch = Watch::new(&cameras, &NORMALISATION, &WatchConfig::default()).unwrap();
        let turns = u64::from(watch.frames_per_survey());
        // A frame's share of a survey: criterion takes the mean over whole surveys.
        group.bench_function(format!("{name}_mean_frame"), |bencher| {
            bencher.iter_custom(|iterations| {
                let start = Instant::now();
                for _ in 0..iterations * turns {
                    black_box(watch.observe(black_box(images)));
                }
                start.elapsed() / u32::try_from(turns).unwrap()
            });
        });
    }
    let mut target = vec![0.0_f32; 2 * PIXELS];
    group.throughput(Throughput::Bytes(2 * PIXELS as u64 * 4));
    group.bench_function("baseline_memcpy_of_the_two_planes", |bencher| {
        bencher.iter(|| {
            let (left, right) = black_box(&mut target).split_at_mut(PIXELS);
            left.copy_from_slice(&black_box(&street)[PIXELS..2 * PIXELS]);
            right.copy_from_slice(&black_box(&street)[4 * PIXELS..5 * PIXELS]);
        });
    });
    group.finish();
}

/// The budget is for every frame, so the slowest turn counts: prints the median of each turn over 40 surveys.
#[allow(clippy::print_stdout, reason = "a bench reports")]
fn report_turns(name: &str, cameras: &NetworkCameras, images: &[f32]) {
    let mut watch = Watch::new(cameras, &NORMALISATION, &WatchConfig::default()).unwrap();
    let turns = watch.frames_per_survey() as usize;
    let mut times = vec![Vec::new(); turns];
    for _ in 0..40 {
        for times in &mut times {
            let start = Instant::now();
            black_box(watch.observe(black_box(images)));
            times.push(start.elapsed());
        }
    }
    let medians: Vec<Duration> = times
        .iter_mut()
        .map(|times| {
            times.sort_unstable();
            times[times.len() / 2]
        })
        .collect();
    let matches = watch.report().estimate.map_or(0, |estimate| estimate.matches);
    println!("{name}: {matches} matches a survey; median of each turn {medians:?}");
}

/// f32 [2, 3, H, W]; the three channels are equal.
fn images(level: impl Fn(usize, usize) -> u8) -> Vec<f32> {
    let mut images = Vec::with_capacity(6 * PIXELS);
    for view in 0..2 {
        for (mean, std) in NORMALISATION.mean.iter().zip(NORMALISATION.std) {
            let normalised = |pixel| (f32::from(level(view, pixel)) / 255.0 - mean) / std;
            images.extend((0..PIXELS).map(normalised));
        }
    }
    images
}

fn noise(pixel: usize) -> u8 {
    let hash = (pixel as u64 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    (hash ^ (hash >> 31)).wrapping_mul(0xbf58_476d_1ce4_e5b9).to_be_bytes()[0]
}

fn rig() -> StereoRig {
    let camera = Camera {
        intrinsics: Intrinsics { fx: 707.0, fy: 707.0, cx: 602.0, cy: 183.0 },
        distortion: Distortion::NONE,
    };
    let mut right_from_left = Matrix3::identity().to_homogeneous();
    right_from_left.m14 = -0.54;
    let mut left_from_ego =
        Matrix3::new(0.0, -1.0, 0.0, 0.0, 0.0, -1.0, 1.0, 0.0, 0.0).to_homogeneous();
    left_from_ego.m24 = -0.08;
    StereoRig {
        name: "bench".into(),
        image_size: SIZE,
        left: camera,
        right: camera,
        right_from_left,
        left_from_ego,
        rectified: true,
    }
}

const SIZE: ImageSize = ImageSize { width: 1220, height: 370 };
const PIXELS: usize = 1220 * 370;
const NORMALISATION: Normalisation = Normalisation::IMAGENET;
