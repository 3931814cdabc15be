//! Labelling the logits of a full grid, 20 x 256 x 256 x 32, against copying them.
#![allow(missing_docs, reason = "criterion's macros make undocumented items")]
#![allow(clippy::unwrap_used, reason = "a bench fails by panicking")]

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use occdepth::grid::{GridOutput, LabelOptions, Labeller};
use occdepth_contract::Class;
use std::hint::black_box;

criterion_group! {
    name = benches;
    config = Criterion::default().sample_size(20);
    targets = argmax
}
criterion_main!(benches);

fn argmax(criterion: &mut Criterion) {
    let classes: Vec<_> =
        (0..CLASSES).map(|id| Class { id, name: format!("class {id}"), colour: [id; 3] }).collect();
    let labeller = Labeller::new(&classes, LabelOptions::default()).unwrap();
    let logits = noise();
    let mut copy = vec![0.0; logits.len()];
    let (mut labels, mut confidence) = (vec![0; VOXELS], vec![0; VOXELS]);

    let mut group = criterion.benchmark_group("label_20x256x256x32");
    group.throughput(Throughput::Bytes(size_of_val(logits.as_slice()) as u64));
    group.bench_function("baseline_memcpy_of_the_logits", |bencher| {
        bencher.iter(|| black_box(&mut copy).copy_from_slice(black_box(&logits)));
    });
    group.bench_function("labels", |bencher| {
        bencher.iter(|| {
            let output = GridOutput { labels: &mut labels, confidence: None, logits: None };
            labeller.label(black_box(&logits), VOXELS, output)
        });
    });
    group.bench_function("labels_and_confidence", |bencher| {
        bencher.iter(|| {
            let confidence = Some(&mut confidence[..]);
            let output = GridOutput { labels: &mut labels, confidence, logits: None };
            labeller.label(black_box(&logits), VOXELS, output)
        });
    });
    group.finish();
}

/// Logits from -8 to 8 that no predictor learns (a linear congruential generator, Knuth's MMIX
/// constants).
fn noise() -> Vec<f32> {
    let mut state = 1_u64;
    let value = || {
        state =
            state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 40) as f32 / 2_f32.powi(20) - 8.0
    };
    std::iter::repeat_with(value).take(usize::from(CLASSES) * VOXELS).collect()
}

const CLASSES: u8 = 20;
const VOXELS: usize = 256 * 256 * 32;
