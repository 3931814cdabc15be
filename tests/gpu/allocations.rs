//! The GPU frame path allocates nothing on this side of the driver after it has been warmed up.

use crate::cases::{self, Rig, frame};
use crate::counting::allocations;
use crate::fakes::{alone_on_a_gpu, on_fakes};
use crate::network::CopySource;
use crate::random::Random;
use occdepth::capture::PixelFormat;
use occdepth_cuda::{Device, FramePath, MemoryUse, ValueKind};

#[test]
fn frames_allocate_nothing() {
    let test = "allocations::frames_allocate_nothing";
    on_fakes(test, &[], || frames(test));
}

#[test]
fn frames_allocate_nothing_on_a_gpu() {
    let test = "allocations::frames_allocate_nothing_on_a_gpu";
    alone_on_a_gpu(test, |_| frames(test));
}

fn frames(test: &str) {
    let mut random = Random::new(test);
    for (memory, graph, kind) in [
        (MemoryUse::Copied, true, ValueKind::F32),
        (MemoryUse::Mapped, true, ValueKind::F16),
        (MemoryUse::Copied, false, ValueKind::F32),
    ] {
        let rig = Rig::new(&mut random, PixelFormat::Nv12, [false; 2]);
        let values = 2 * rig.view_values();
        let source = CopySource { kind, images: values, logits: values, waits: false };
        let device = Device::open(0).unwrap();
        let options = cases::options(rig.view_values(), memory, graph);
        let mut path = FramePath::new(&device, Box::new(source), options).unwrap();
        path.label_by(rig.labeller(&mut random).1).unwrap();
        path.rectify_by(rig.plan.clone()).unwrap();
        path.warm_up().unwrap();
        let pictures = [rig.picture(&mut random), rig.picture(&mut random)];
        let frame = frame(&pictures[0], &pictures[1]);
        let voxels = values / 6;
        let (mut labels, mut confidence) = (vec![0; voxels], vec![0; voxels]);
        let mut images = vec![0.0; values];
        let counted = allocations(|| {
            for _ in 0..10 {
                let pair = rig.pair(&frame);
                path.stage(&pair).unwrap();
                path.submit().unwrap();
                path.stage(&pair).unwrap();
                path.images(0, &mut images).unwrap();
                while !path.is_done().unwrap() {
                    std::thread::yield_now();
                }
                path.collect(&mut labels, Some(&mut confidence), None).unwrap();
            }
        });
        assert_eq!(counted, 0, "{memory:?}");
    }
}
