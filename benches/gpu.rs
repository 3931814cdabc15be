//! The GPU frame path on a real GPU, each kernel beside a device copy of the same bytes in the same run
//! (`benches/results/gpu.md`); without a GPU it says so and does nothing.
//!
//! `cargo bench --bench gpu`. Figures are the device's own times (events), not the host's. The goal: 1.25 of the copy.
#![allow(missing_docs, reason = "criterion's macros make public functions")]
#![allow(clippy::unwrap_used, reason = "a bench fails by panicking")]
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "the figures are the result")]
#![allow(unsafe_code, reason = "a network that works on device memory")]
#![allow(clippy::cast_possible_truncation, reason = "small numbers")]

use criterion::{Criterion, criterion_group, criterion_main};
use libloading::Library;
use occdepth_cuda::{
    CameraFormat, CameraImage, Context, CudaError, Device, DeviceNetwork, FrameOptions, FramePath,
    KernelSource, LabelPlan, MemoryUse, NetworkSource, RectifyPlan, Tensor, ValueKind,
    YuvCoefficients, sample,
};
use std::ffi::c_void;
use std::sync::Arc;
use std::time::Duration;

/// KITTI: images of 1220 x 370 from cameras of 1242 x 376; 20 classes of 256 x 256 x 32 voxels.
const SOURCE: [u32; 2] = [1242, 376];
const OUTPUT: [u32; 2] = [1220, 370];
const CLASSES: usize = 20;
const VOXELS: usize = 256 * 256 * 32;

fn gpu(criterion: &mut Criterion) {
    let device = match Device::open(0) {
        Ok(device) => device,
        Err(error) => {
            eprintln!("SKIPPED gpu: {error}");
            return;
        }
    };
    println!("{}, sm_{}{}", device.name(), device.compute().0, device.compute().1);
    for kind in [ValueKind::F32, ValueKind::F16] {
        for memory in [MemoryUse::Copied, MemoryUse::Mapped] {
            for graph in [false, true] {
                let mut path = path(&device, kind, memory, graph);
                let name =
                    format!("{kind:?}, {memory:?}, {}", if graph { "graph" } else { "plain" });
                compare(&mut path, kind, &name);
                let mut frame = Frame::new();
                criterion.bench_function(&format!("gpu/frame, {name}"), |bencher| {
                    bencher.iter(|| frame.run(&mut path));
                });
            }
        }
    }
}

/// Device times of the kernels alone, and with their transfers, beside those of copies.
fn compare(path: &mut FramePath, kind: ValueKind, name: &str) {
    let mut frame = Frame::new();
    let times: Vec<_> = (0..200).map(|_| frame.run(path)).collect();
    // A copy reads and writes: half of what a kernel reads and writes together.
    let pixels = OUTPUT[0] as usize * OUTPUT[1] as usize;
    let pair = 2 * CameraFormat::Yuyv.row_bytes(SOURCE[0]) * SOURCE[1] as usize;
    let rectified = pair + 2 * pixels * (8 + 3 * kind.bytes());
    let labelled = VOXELS * (CLASSES * kind.bytes() + 2);
    for (nth, kernel, bytes) in [(0, "rectify", rectified), (1, "label", labelled)] {
        let mut copies = Vec::new();
        let mut alone = Vec::new();
        // By turns, so that neither has the better moment.
        for _ in 0..200 {
            copies.push(path.time_copy(bytes / 2).unwrap());
            let time = if nth == 0 { path.time_rectify() } else { path.time_label() };
            alone.push(time.unwrap());
        }
        let (copy, alone) = (median(copies), median(alone));
        let in_frames = median(times.iter().map(|times| times[nth]).collect());
        println!(
            "{kernel}, {name}: {alone:?}, a copy of its {bytes} bytes {copy:?}, {:.2} of it; in frames, with \
             transfers, {in_frames:?}",
            alone.as_secs_f64() / copy.as_secs_f64(),
        );
    }
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort_unstable();
    times[times.len() / 2]
}

struct Frame {
    pair: Vec<u8>,
    labels: Vec<u8>,
    confidence: Vec<u8>,
}

impl Frame {
    fn new() -> Self {
        let bytes = CameraFormat::Yuyv.row_bytes(SOURCE[0]) * SOURCE[1] as usize;
        let pair = (0..bytes).map(|i| (i * 31 % 251) as u8).collect();
        Self { pair, labels: vec![0; VOXELS], confidence: vec![0; VOXELS] }
    }

    /// The device's times of rectification and labelling.
    fn run(&mut self, path: &mut FramePath) -> [Duration; 2] {
        let stride = CameraFormat::Yuyv.row_bytes(SOURCE[0]);
        let image = CameraImage { pixels: &self.pair, stride, chroma: None };
        path.stage(&[image, image]).unwrap();
        path.submit().unwrap();
        let times = path.collect(&mut self.labels, Some(&mut self.confidence), None).unwrap();
        [times.rectify, times.label]
    }
}

fn path(device: &Device, kind: ValueKind, memory: MemoryUse, graph: bool) -> FramePath {
    let view_values = 3 * OUTPUT[0] as usize * OUTPUT[1] as usize;
    let options = FrameOptions {
        images: "images".into(),
        logits: "ssc_logits".into(),
        view_values,
        memory,
        graph,
        kernels: KernelSource::default(),
    };
    let mut path =
        FramePath::new(device, Box::new(Nothing { kind, view_values }), options).unwrap();
    let planes = (0..CLASSES).map(|class| (class as u16, class as u8)).collect();
    path.label_by(LabelPlan { planes, voxels: VOXELS, unknown_below: 0, hidden: None }).unwrap();
    let entry = |i: u32| {
        let [x, y] = [i % OUTPUT[0], i / OUTPUT[0]];
        sample([(x + 10) as u16, (y + 3) as u16], [(i * 977) as u16, (i * 613) as u16])
    };
    let samples: Vec<u64> = (0..OUTPUT[0] * OUTPUT[1]).map(entry).collect();
    let colour =
        YuvCoefficients { luma: 0.01, u: 0.01, v: 0.01, offset: -2.0, black: -2.0, white: 2.0 };
    let plan = RectifyPlan {
        format: CameraFormat::Yuyv,
        source: SOURCE,
        output: OUTPUT,
        scale: [0.01; 3],
        offset: [-2.0; 3],
        black: [-2.0; 3],
        yuv: [colour; 3],
        samples: [Some(samples.clone()), Some(samples)],
    };
    path.rectify_by(plan).unwrap();
    path.warm_up().unwrap();
    path
}

/// A network that only clears the first bytes of its logits, so that what is measured is everything else.
struct Nothing {
    kind: ValueKind,
    view_values: usize,
}

type Fill = unsafe extern "C" fn(u64, u8, usize, *mut c_void) -> i32;

struct NothingNetwork {
    tensors: Vec<Tensor>,
    logits: u64,
    fill: Fill,
}

impl NetworkSource for Nothing {
    fn load(&mut self, _: &Arc<Context>) -> Result<Box<dyn DeviceNetwork>, CudaError> {
        let tensor = |name: &str, is_input, values| Tensor {
            name: name.into(),
            is_input,
            kind: self.kind,
            values,
        };
        // SAFETY: the driver is loaded already.
        let driver = unsafe { Library::new("libcuda.so.1") }.unwrap();
        // SAFETY: cuda.h's type of this name.
        let fill = *unsafe { driver.get::<Fill>(b"cuMemsetD8Async") }.unwrap();
        std::mem::forget(driver);
        let tensors = vec![
            tensor("images", true, 2 * self.view_values),
            tensor("ssc_logits", false, CLASSES * VOXELS),
        ];
        Ok(Box::new(NothingNetwork { tensors, logits: 0, fill }))
    }
}

// SAFETY: it queues the clearing of a few of the logits' bytes on the stream.
unsafe impl DeviceNetwork for NothingNetwork {
    fn tensors(&self) -> &[Tensor] {
        &self.tensors
    }

    unsafe fn set_address(&mut self, nth: usize, address: u64) -> Result<(), CudaError> {
        if nth == 1 {
            self.logits = address;
        }
        Ok(())
    }

    unsafe fn enqueue(&mut self, stream: *mut c_void) -> Result<(), CudaError> {
        // SAFETY: the caller vouches for stream and address.
        match unsafe { (self.fill)(self.logits, 0, 64, stream) } {
            0 => Ok(()),
            code => Err(CudaError::Network(format!("the fill failed with {code}"))),
        }
    }
}

criterion_group!(benches, gpu);
criterion_main!(benches);
