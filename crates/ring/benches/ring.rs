//! Publish to received copy of a grid of 2 MiB (256 x 256 x 32 labels), beside a copy of the same
//! bytes by `memcpy` in the same run.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "a bench prints, and fails by panicking"
)]

use criterion::{Criterion, Throughput};
use occdepth_ring::{
    Axes, Grid, GridGeometry, GridRecord, Reader, ReaderOptions, RectifiedCamera,
    StreamDescription, Writer, WriterOptions, monotonic_now_ns,
};
use std::hint::black_box;
use std::path::Path;
use std::time::Duration;

fn main() {
    let mut criterion = Criterion::default().configure_from_args();
    throughput(&mut criterion);
    criterion.final_summary();
    // `cargo test --benches` only wants to know whether it runs.
    let rounds = if std::env::args().any(|argument| argument == "--bench") { 2_000 } else { 10 };
    latency(rounds);
}

/// Each step on its own, in one thread.
fn throughput(criterion: &mut Criterion) {
    let directory = tempfile::tempdir().unwrap();
    let (mut writer, labels) = offer(&directory.path().join("s"));
    let reader = connect(&directory.path().join("s"), true);
    let unchecked = connect(&directory.path().join("s"), false);
    let mut grid = Grid::new();
    let mut copy = vec![0; VOXELS];
    let mut group = criterion.benchmark_group("ring, 2 MiB");
    group.throughput(Throughput::Bytes(VOXELS as u64));
    group.bench_function("memcpy (baseline)", |bench| {
        bench.iter(|| copy.copy_from_slice(black_box(&labels)));
    });
    group.bench_function("CRC-32 (baseline)", |bench| {
        bench.iter(|| crc32fast::hash(black_box(&labels)));
    });
    group.bench_function("publish", |bench| {
        bench.iter(|| writer.publish(&GridRecord::default(), black_box(&labels), None).unwrap());
    });
    group.bench_function("copy_newest", |bench| {
        bench.iter(|| reader.copy_newest(black_box(&mut grid)).unwrap());
    });
    group.bench_function("copy_newest without checksum", |bench| {
        bench.iter(|| unchecked.copy_newest(black_box(&mut grid)).unwrap());
    });
    group.finish();
}

/// From the call of `publish` to the copy in the hands of a reader in another thread, a little apart:
/// with the checksum, the wake-up through the serving thread, and the copy.
fn latency(rounds: usize) {
    let directory = tempfile::tempdir().unwrap();
    let socket = directory.path().join("s");
    let (mut writer, labels) = offer(&socket);
    // The same pace, the same number of buffers: as cold for the caches as the ring is.
    let mut copies = vec![vec![0; VOXELS]; 4];
    let memcpy: Vec<u64> = (0..rounds)
        .map(|round| {
            std::thread::sleep(PACE);
            let copy = &mut copies[round % 4];
            let start_ns = monotonic_now_ns();
            copy.copy_from_slice(black_box(&labels));
            black_box(copy);
            monotonic_now_ns() - start_ns
        })
        .collect();
    let mut published = Vec::with_capacity(rounds);
    let (mut received, mut received_without) = (Vec::new(), Vec::new());
    for (verify_checksum, times) in [(true, &mut received), (false, &mut received_without)] {
        let mut reader = connect(&socket, verify_checksum);
        let first = writer.sequence() + 1;
        std::thread::scope(|scope| {
            let reading = scope.spawn(move || {
                let mut grid = Grid::new();
                let mut arrivals = Vec::with_capacity(rounds);
                let mut sequence = first - 1;
                while sequence < first - 1 + rounds as u64 {
                    match reader.next(&mut grid, Duration::from_secs(10)) {
                        Ok(Some(delivered)) => sequence = delivered,
                        other => panic!("{other:?}"),
                    }
                    // The newest grid of the run before comes first.
                    if sequence >= first {
                        arrivals.push((grid.published.record.frame_id, monotonic_now_ns()));
                    }
                }
                arrivals
            });
            for _ in 0..rounds {
                std::thread::sleep(PACE);
                let start_ns = monotonic_now_ns();
                let record = GridRecord { frame_id: start_ns, ..GridRecord::default() };
                writer.publish(&record, &labels, None).unwrap();
                published.push(monotonic_now_ns() - start_ns);
            }
            let arrivals = reading.join().unwrap();
            times.extend(arrivals.into_iter().map(|(start_ns, end_ns)| end_ns - start_ns));
        });
    }
    println!(
        "\n| 2 MiB, {rounds} rounds                        |   p50 us |   p99 us |   max us |"
    );
    println!("|--------------------------------------------|----------|----------|----------|");
    for (name, mut times) in [
        ("memcpy (baseline)", memcpy),
        ("publish, on the frame thread", published),
        ("publish to received copy", received),
        ("publish to received copy, no reader checksum", received_without),
    ] {
        times.sort_unstable();
        let at = |percent: usize| times[(times.len() - 1) * percent / 100] as f64 / 1e3;
        println!("| {name:44}| {:8.1} | {:8.1} | {:8.1} |", at(50), at(99), at(100));
    }
}

fn offer(socket: &Path) -> (Writer, Vec<u8>) {
    let description = StreamDescription {
        stream: "bench".into(),
        producer: "ring bench".into(),
        grid: GridGeometry {
            axes: Axes::ForwardLeftUp,
            frame: "ego".into(),
            origin_m: [0.0, -25.6, -2.0],
            voxel_size_m: 0.2,
            dims: [256, 256, 32],
        },
        rectified_from_ego: [[0.0; 4]; 4],
        rectified: RectifiedCamera {
            fx_px: 700.0,
            fy_px: 700.0,
            cx_px: 600.0,
            cy_px: 180.0,
            width_px: 1220,
            height_px: 370,
        },
        classes: Vec::new(),
        confidence: false,
        trained: false,
        network_sha256: [0; 32],
        engine_sha256: [0; 32],
    };
    let options = WriterOptions { protect_process: false, ..WriterOptions::new(socket) };
    let labels = (0..VOXELS).map(|voxel| u8::try_from(voxel % 20).unwrap()).collect();
    (Writer::create(&description, &options).unwrap(), labels)
}

fn connect(socket: &Path, verify_checksum: bool) -> Reader {
    let options = ReaderOptions { verify_checksum, ..ReaderOptions::default() };
    Reader::connect(socket, &options).unwrap()
}

const PACE: Duration = Duration::from_millis(2);
const VOXELS: usize = 256 * 256 * 32;
