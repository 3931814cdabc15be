//! Every kernel against the CPU path.

use crate::cases::{self, Rig, collect, formats, frame, labeller, rounded};
use crate::fakes::{on_a_gpu, on_fakes};
use crate::network::CopySource;
use crate::random::Random;
use half::f16;
use occdepth::grid::LabelOptions;
use occdepth_cuda::{Device, FramePath, GraphUse, MemoryUse, ValueKind};

#[test]
fn every_format_is_rectified_and_labelled_as_on_the_cpu() {
    let test = "kernels::every_format_is_rectified_and_labelled_as_on_the_cpu";
    on_fakes(test, &[("FAKE_CUDA_DELAY_US", "50")], || rectify(test, &Device::open(0).unwrap()));
}

#[test]
fn every_format_is_rectified_and_labelled_as_on_the_cpu_on_a_gpu() {
    let test = "kernels::every_format_is_rectified_and_labelled_as_on_the_cpu_on_a_gpu";
    on_a_gpu(test, |device| rectify(test, device));
}

#[test]
fn labels_are_those_of_the_cpu() {
    let test = "kernels::labels_are_those_of_the_cpu";
    on_fakes(test, &[], || labels(test, &Device::open(0).unwrap()));
}

#[test]
fn labels_are_those_of_the_cpu_on_a_gpu() {
    let test = "kernels::labels_are_those_of_the_cpu_on_a_gpu";
    on_a_gpu(test, |device| labels(test, device));
}

fn rectify(test: &str, device: &Device) {
    let mut random = Random::new(test);
    let mut exact = true;
    for (nth, format) in formats().into_iter().enumerate() {
        for round in 0..6 {
            let straight = [round == 0, round <= 1];
            let mut rig = Rig::new(&mut random, format, straight);
            // Half precision for some formats only: each is a kernel of its own to compile.
            let half = nth % 3 == 0 && round % 2 == 0;
            let kind = if half { ValueKind::F16 } else { ValueKind::F32 };
            let memory = [MemoryUse::Copied, MemoryUse::Mapped][round % 2];
            let graph = round % 3 != 0;
            exact &= rectified(&mut random, device, &mut rig, kind, memory, graph);
        }
    }
    eprintln!("{test}: equal to the bit: {exact}");
    // The order of the arithmetic is the same; without fused multiply-add the CPU rounds more often.
    assert!(
        exact || !cases::cpu_is_fused(),
        "not equal to the bit on a CPU with fused multiply-add"
    );
}

/// Whether two frames of `rig` are equal to the bit; they are within the tolerance.
fn rectified(
    random: &mut Random,
    device: &Device,
    rig: &mut Rig,
    kind: ValueKind,
    memory: MemoryUse,
    graph: bool,
) -> bool {
    let mut exact = true;
    let values = 2 * rig.view_values();
    let voxels = values / 6;
    let source = CopySource { kind, images: values, logits: values, waits: false };
    let options = cases::options(rig.view_values(), memory, graph);
    let mut path = FramePath::new(device, Box::new(source), options).unwrap();
    let (labeller, plan) = rig.labeller(random);
    path.label_by(plan).unwrap();
    path.rectify_by(rig.plan.clone()).unwrap();
    path.warm_up().unwrap();
    let wanted = if graph { GraphUse::Captured } else { GraphUse::Off };
    assert_eq!(path.graph(), wanted);

    // Two frames: nothing of the first may show in the second.
    for _ in 0..2 {
        let pictures = [rig.picture(random), rig.picture(random)];
        let frame = frame(&pictures[0], &pictures[1]);
        path.stage(&rig.pair(&frame)).unwrap();
        path.submit().unwrap();
        let mut images = vec![f32::NAN; values];
        path.images(0, &mut images).unwrap();
        let [found, sure] = collect(&mut path, voxels);

        let expected = rounded(&rig.images(&frame), kind);
        for (i, (&found, &expected)) in images.iter().zip(&expected).enumerate() {
            exact &= found.to_bits() == expected.to_bits();
            assert!(
                (found - expected).abs() <= tolerance(expected, kind),
                "{:?} {:?} to {:?}, value {i}: {found}, expected {expected}",
                rig.format,
                rig.source,
                rig.output
            );
        }
        // Of what the network saw, the labels are the CPU's to the bit.
        let expected = cases::label(&labeller, &images, voxels);
        assert!([found, sure] == expected, "{:?}: other labels", rig.format);
    }
    exact
}

/// The sizes of a real camera and a real grid, where numbers of blocks and offsets are large.
#[test]
fn whole_images_and_grids_are_those_of_the_cpu_on_a_gpu() {
    let test = "kernels::whole_images_and_grids_are_those_of_the_cpu_on_a_gpu";
    on_a_gpu(test, |device| {
        use occdepth::capture::{BayerOrder, PixelFormat};
        let mut random = Random::new(test);
        let size = |width, height| occdepth_geometry::ImageSize { width, height };
        let mut exact = true;
        for format in [PixelFormat::Yuyv, PixelFormat::Bayer12(BayerOrder::Grbg)] {
            for (source, output) in [
                (size(1242, 376), size(1220, 370)),
                (size(1920, 1080), size(1220, 370)),
                (size(3840, 2160), size(640, 360)),
            ] {
                let mut rig = Rig::of(&mut random, format, source, output, [false; 2]);
                for kind in [ValueKind::F32, ValueKind::F16] {
                    let memory = [MemoryUse::Copied, MemoryUse::Mapped][random.below(2)];
                    exact &= rectified(&mut random, device, &mut rig, kind, memory, true);
                }
            }
        }
        eprintln!("{test}: equal to the bit: {exact}");
        assert!(exact || !cases::cpu_is_fused());
        let voxels = 256 * 256 * 32;
        for (classes, voxels) in [(20, voxels), (20, voxels + 1), (12, 240 * 144 * 240)] {
            for kind in [ValueKind::F32, ValueKind::F16] {
                labelled(&mut random, device, classes, voxels, kind);
            }
        }
    });
}

/// The CPU path without fused multiply-add rounds each product as well: some units in the last place of what is added, of
/// which none is beyond 16 (normalised with a deviation of at least 0.1, YUV codes up to 255 of 219). In half precision the
/// nearest value may then be the next one.
fn tolerance(expected: f32, kind: ValueKind) -> f32 {
    let single = 64.0 * f32::EPSILON * 16.0;
    match kind {
        ValueKind::F16 => single + expected.abs().max(1e-4) * 0.001,
        _ => single,
    }
}

fn labels(test: &str, device: &Device) {
    let mut random = Random::new(test);
    for (nth, classes) in [1, 2, 12, 20, 49, 254].into_iter().enumerate() {
        for kind in [ValueKind::F32, ValueKind::F16] {
            let odd = usize::from((nth + usize::from(kind == ValueKind::F16)) % 2 == 0);
            let voxels = 2 * (1 + random.below(700)) + odd;
            labelled(&mut random, device, classes, voxels, kind);
        }
    }
}

/// Two frames of random logits, with and without thresholds and hidden voxels.
fn labelled(random: &mut Random, device: &Device, classes: usize, voxels: usize, kind: ValueKind) {
    let ids = cases::ids(random, classes);
    let values = classes * voxels;
    for options in label_options(random, voxels) {
        let source = CopySource { kind, images: values, logits: values, waits: false };
        let memory = [MemoryUse::Copied, MemoryUse::Mapped][random.below(2)];
        let options_of_path = cases::options(3, memory, true);
        let mut path = FramePath::new(device, Box::new(source), options_of_path).unwrap();
        let labeller = labeller(&ids, options);
        path.label_by(labeller.device_plan(voxels).unwrap()).unwrap();
        for _ in 0..2 {
            let logits = rounded(&logits(random, values), kind);
            let (mut labels, mut confidence) = (vec![9; voxels], vec![9; voxels]);
            let mut copy = vec![1.5; values];
            path.run(&logits, &mut labels, Some(&mut confidence), Some(&mut copy)).unwrap();
            let bits = |values: &[f32]| values.iter().map(|v| v.to_bits()).collect::<Vec<_>>();
            assert!(bits(&copy) == bits(&logits), "the network's copy");
            let expected = cases::label(&labeller, &logits, voxels);
            assert!([labels, confidence] == expected, "{classes} classes, {voxels} voxels");
        }
    }
}

fn label_options(random: &mut Random, voxels: usize) -> [LabelOptions; 2] {
    let plain = LabelOptions::default();
    let threshold =
        LabelOptions { unknown_below: random.below(256) as u8, visibility: mask(random, voxels) };
    [plain, threshold]
}

/// What the cameras of a little rig do not see, of a grid of `voxels` voxels in one row.
fn mask(random: &mut Random, voxels: usize) -> Option<occdepth::grid::VisibilityMask> {
    use occdepth_geometry::ImageSize;
    use occdepth_geometry::network::{GeometryInputs, GeometrySpec};
    use occdepth_geometry::voxel::VoxelGrid;
    let spec = GeometrySpec {
        image: ImageSize { width: 4, height: 4 },
        grid: VoxelGrid { dims: [1, 1, voxels as u32], origin_m: [0.0; 3], voxel_size_m: 1.0 },
        views: 1,
        scales: vec![1],
        project_scale: 1,
        pattern: 0,
        depth: None,
        right_samples_left_pixels: false,
    };
    let pixels = (0..voxels).map(|_| if random.below(3) == 0 { 16 } else { 0 }).collect();
    occdepth::grid::VisibilityMask::new(&spec, &GeometryInputs { pixels, depth: None }).ok()
}

/// Ties, near ties, certain and impossible ones, and some that are broken.
fn logits(random: &mut Random, count: usize) -> Vec<f32> {
    let mut one = || match random.below(400) {
        0 => f32::NAN,
        1 => f32::INFINITY,
        2 => f32::NEG_INFINITY,
        3..20 => 0.0,
        20..30 => -0.0,
        30..60 => f32::from(f16::MAX) * random.real(),
        60..200 => (random.real() * 4.0).round() * 0.5,
        _ => random.real() * 12.0,
    };
    (0..count).map(|_| one()).collect()
}
