//! Random cameras, pictures and logits, and what the CPU path makes of them.

use crate::random::Random;
use half::f16;
use occdepth::capture::{
    BayerOrder, Image, PixelFormat, Plane, Stamp, StereoFrame, YuvEncoding, YuvMatrix, YuvRange,
};
use occdepth::grid::{GridOutput, LabelOptions, Labeller};
use occdepth::rectify::{DeviceRectifier, StereoRectifier};
use occdepth_contract::{Class, Normalisation};
use occdepth_cuda::{
    CameraImage, FrameOptions, FramePath, LabelPlan, MemoryUse, RectifyPlan, ValueKind,
};
use occdepth_geometry::ImageSize;
use occdepth_geometry::fit::{NetworkCamera, NetworkCameras};
use occdepth_geometry::network::View;
use occdepth_geometry::rectification::RemapTable;
use std::path::Path;

/// An image with its own memory and padded rows.
pub(crate) struct Picture {
    format: PixelFormat,
    size: ImageSize,
    data: Vec<u8>,
    stride: usize,
    chroma: Vec<u8>,
    chroma_stride: usize,
}

impl Picture {
    pub(crate) fn new(random: &mut Random, format: PixelFormat, size: ImageSize) -> Self {
        let row = format.row_bytes(size.width);
        let mut stride = || if random.below(2) == 0 { row } else { row + random.below(9) };
        let (stride, chroma_stride) = (stride(), stride());
        let height = size.height as usize;
        let is_nv12 = format == PixelFormat::Nv12;
        // Nothing behind the last row.
        let data = random.bytes(stride * (height - 1) + row);
        let chroma =
            if is_nv12 { random.bytes(chroma_stride * (height / 2 - 1) + row) } else { vec![] };
        Self { format, size, data, stride, chroma, chroma_stride }
    }

    pub(crate) fn image(&self) -> Image<'_> {
        let chroma = (self.format == PixelFormat::Nv12)
            .then_some(Plane { data: &self.chroma, stride_bytes: self.chroma_stride });
        let plane = Plane { data: &self.data, stride_bytes: self.stride };
        Image { format: self.format, size: self.size, plane, chroma }
    }
}

pub(crate) fn frame<'a>(left: &'a Picture, right: &'a Picture) -> StereoFrame<'a> {
    let stamp = Stamp { time_ns: 0, sequence: 0 };
    StereoFrame {
        left: left.image(),
        right: right.image(),
        left_stamp: stamp,
        right_stamp: stamp,
        dropped: 0,
        faulty: 0,
    }
}

/// A rig, and both ways to rectify for it.
pub(crate) struct Rig {
    pub(crate) format: PixelFormat,
    pub(crate) source: ImageSize,
    pub(crate) output: ImageSize,
    pub(crate) cpu: StereoRectifier,
    pub(crate) gpu: DeviceRectifier,
    pub(crate) plan: RectifyPlan,
}

impl Rig {
    /// With maps, or (`straight`) without; views may differ.
    pub(crate) fn new(random: &mut Random, format: PixelFormat, straight: [bool; 2]) -> Self {
        // Odd sizes where the format has them.
        let even = 2 * (1 + random.below(20) as u32);
        let even_rows = 2 * (1 + random.below(20) as u32);
        let odd = |side: u32, may: bool| if may { side + 1 } else { side };
        let pairs = format.check_size(ImageSize { width: 3, height: 2 }).is_err();
        let pairs_of_rows = format.check_size(ImageSize { width: 2, height: 3 }).is_err();
        let source = ImageSize {
            width: odd(even, !pairs && random.below(2) == 0),
            height: odd(even_rows, !pairs_of_rows && random.below(2) == 0),
        };
        let mut side = |source: u32| 1 + random.below(source as usize) as u32;
        let output = ImageSize { width: side(source.width), height: side(source.height) };
        Self::of(random, format, source, output, straight)
    }

    /// Of these sizes.
    pub(crate) fn of(
        random: &mut Random,
        format: PixelFormat,
        source: ImageSize,
        output: ImageSize,
        straight: [bool; 2],
    ) -> Self {
        let mut camera = |straight: bool| NetworkCamera {
            view: VIEW,
            map: (!straight).then(|| RemapTable {
                size: output,
                source: (0..output.width * output.height)
                    .map(|_| position(random, source))
                    .collect(),
            }),
        };
        let cameras = NetworkCameras {
            size: output,
            left: camera(straight[0]),
            right: camera(straight[1]),
            rectified_from_ego: nalgebra::Matrix4::identity(),
            baseline_m: 0.5,
        };
        let mut channel = || [0; 3].map(|_| random.real());
        let (mean, std) = (channel(), channel().map(|std| std.abs() + 0.1));
        let normalisation = Normalisation { mean, std };
        let matrix = [YuvMatrix::Bt601, YuvMatrix::Bt709][random.below(2)];
        let range = [YuvRange::Limited, YuvRange::Full][random.below(2)];
        let colour = YuvEncoding { matrix, range };
        let cpu = StereoRectifier::new(source, format, colour, &cameras, &normalisation).unwrap();
        let (gpu, plan) =
            DeviceRectifier::new(source, format, colour, &cameras, &normalisation).unwrap();
        Self { format, source, output, cpu, gpu, plan }
    }

    pub(crate) fn picture(&self, random: &mut Random) -> Picture {
        Picture::new(random, self.format, self.source)
    }

    /// f32 [2, 3, H, W], by the CPU.
    pub(crate) fn images(&mut self, frame: &StereoFrame<'_>) -> Vec<f32> {
        let mut images = vec![f32::NAN; 2 * self.view_values()];
        self.cpu.rectify(frame, &mut images).unwrap();
        images
    }

    pub(crate) fn pair<'a>(&self, frame: &StereoFrame<'a>) -> [CameraImage<'a>; 2] {
        self.gpu.pair(frame).unwrap()
    }

    pub(crate) fn view_values(&self) -> usize {
        3 * self.output.width as usize * self.output.height as usize
    }

    /// The six planes of the images are its logits.
    pub(crate) fn labeller(&self, random: &mut Random) -> (Labeller, LabelPlan) {
        let labeller = labeller(
            &ids(random, 6),
            LabelOptions { unknown_below: random.below(200) as u8, visibility: None },
        );
        let plan = labeller.device_plan(self.view_values() / 3).unwrap();
        (labeller, plan)
    }
}

/// Inside, across the edges, far outside, on whole pixels, and no number at all.
fn position(random: &mut Random, source: ImageSize) -> [f32; 2] {
    let mut one = |side: u32| {
        let side = side as f32;
        match random.below(16) {
            0 => f32::NAN,
            1 => random.real() * 1e9,
            2 => f32::INFINITY,
            3 => random.real() * 2.0,
            4 => side - 1.0 + random.real() * 2.0,
            5 => (random.real() * side).round(),
            6 => side - 1.0 / 131_072.0,
            7 => -1.0,
            _ => (random.real() * 0.6 + 0.5) * side,
        }
    };
    [one(source.width), one(source.height)]
}

/// All of them; orders of Bayer mosaics too.
pub(crate) fn formats() -> Vec<PixelFormat> {
    use PixelFormat::{
        Bayer8, Bayer10, Bayer12, Bgr8, Grey8, Grey10, Grey16, Nv12, Rgb8, Uyvy, Yuyv,
    };
    let mut formats = vec![Rgb8, Bgr8, Grey8, Grey10, Grey16, Yuyv, Uyvy, Nv12];
    for order in [BayerOrder::Rggb, BayerOrder::Grbg, BayerOrder::Gbrg, BayerOrder::Bggr] {
        formats.extend([Bayer8(order), Bayer10(order), Bayer12(order)]);
    }
    formats
}

/// Class ids without 255, in no order.
pub(crate) fn ids(random: &mut Random, count: usize) -> Vec<u8> {
    let mut ids: Vec<u8> = (0..255).collect();
    for i in (1..ids.len()).rev() {
        ids.swap(i, random.below(i + 1));
    }
    ids.truncate(count);
    ids
}

pub(crate) fn labeller(ids: &[u8], options: LabelOptions) -> Labeller {
    let class = |&id: &u8| Class { id, name: format!("class {id}"), colour: [0; 3] };
    Labeller::new(&ids.iter().map(class).collect::<Vec<_>>(), options).unwrap()
}

/// Labels and confidences of the CPU.
pub(crate) fn label(labeller: &Labeller, logits: &[f32], voxels: usize) -> [Vec<u8>; 2] {
    let (mut labels, mut confidence) = (vec![7; voxels], vec![7; voxels]);
    let output =
        GridOutput { labels: &mut labels, confidence: Some(&mut confidence), logits: None };
    labeller.label(logits, voxels, output).unwrap();
    [labels, confidence]
}

/// What an engine of half precision makes of values.
pub(crate) fn rounded(values: &[f32], kind: ValueKind) -> Vec<f32> {
    match kind {
        ValueKind::F16 => values.iter().map(|&value| f16::from_f32(value).to_f32()).collect(),
        _ => values.to_vec(),
    }
}

pub(crate) fn options(view_values: usize, memory: MemoryUse, graph: bool) -> FrameOptions {
    FrameOptions {
        images: "images".into(),
        logits: "ssc_logits".into(),
        view_values,
        memory,
        graph,
        kernels: crate::fakes::kernels(),
    }
}

/// Labels and confidences of the frame in flight.
pub(crate) fn collect(path: &mut FramePath, voxels: usize) -> [Vec<u8>; 2] {
    let (mut labels, mut confidence) = (vec![9; voxels], vec![9; voxels]);
    path.collect(&mut labels, Some(&mut confidence), None).unwrap();
    [labels, confidence]
}

/// Whether the CPU path uses fused multiply-add on this machine, as the kernels do.
pub(crate) fn cpu_is_fused() -> bool {
    #[cfg(target_arch = "x86_64")]
    return is_x86_feature_detected!("fma") && is_x86_feature_detected!("avx2");
    #[cfg(not(target_arch = "x86_64"))]
    return cfg!(target_arch = "aarch64");
}

/// How many times the driver was called by that name so far (`FAKE_CUDA_LOG`).
pub(crate) fn calls(log: &Path, name: &str) -> usize {
    std::fs::read_to_string(log).unwrap_or_default().lines().filter(|line| *line == name).count()
}

const VIEW: View = View {
    k: nalgebra::Matrix3::new(1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0),
    cam_from_ego: nalgebra::Matrix4::new(
        1.0, 0.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 0.0, 1.0,
    ),
};
