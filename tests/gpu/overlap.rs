//! Two frames at a time: while one is in flight the next one is staged.

use crate::cases::{self, Rig, calls, collect, frame};
use crate::fakes::on_fakes;
use crate::network::CopySource;
use crate::random::Random;
use occdepth::capture::PixelFormat;
use occdepth::grid::Labeller;
use occdepth_cuda::{CudaError, Device, FramePath, GraphUse, MemoryUse, ValueKind};

/// A path whose network copies its images, and its rig.
fn path(
    random: &mut Random,
    memory: MemoryUse,
    graph: bool,
    waits: bool,
) -> (FramePath, Rig, Labeller) {
    let rig = Rig::new(random, PixelFormat::Yuyv, [false; 2]);
    let values = 2 * rig.view_values();
    let source = CopySource { kind: ValueKind::F32, images: values, logits: values, waits };
    let device = Device::open(0).unwrap();
    let options = cases::options(rig.view_values(), memory, graph);
    let mut path = FramePath::new(&device, Box::new(source), options).unwrap();
    let (labeller, plan) = rig.labeller(random);
    path.label_by(plan).unwrap();
    path.rectify_by(rig.plan.clone()).unwrap();
    path.warm_up().unwrap();
    (path, rig, labeller)
}

#[test]
fn the_next_pair_is_staged_while_one_is_in_flight() {
    let test = "overlap::the_next_pair_is_staged_while_one_is_in_flight";
    on_fakes(test, &[("FAKE_CUDA_DELAY_US", "3000")], || {
        let mut random = Random::new(test);
        for memory in [MemoryUse::Copied, MemoryUse::Mapped] {
            let (mut path, mut rig, labeller) = path(&mut random, memory, true, false);
            let voxels = rig.view_values() / 3;
            let mut in_flight: Option<Vec<f32>> = None;
            for nth in 0..8 {
                // A pair that is replaced, and the one that replaces it.
                let pictures: Vec<_> = (0..4).map(|_| rig.picture(&mut random)).collect();
                let (first, second) =
                    (frame(&pictures[0], &pictures[1]), frame(&pictures[2], &pictures[3]));
                path.stage(&rig.pair(&first)).unwrap();
                if nth % 2 == 0 {
                    path.stage(&rig.pair(&second)).unwrap();
                }
                let images = rig.images(if nth % 2 == 0 { &second } else { &first });
                if let Some(expected) = in_flight.take() {
                    // Work takes 3 ms a piece: it has just been submitted.
                    assert!(!path.is_done().unwrap());
                    assert_eq!(
                        collect(&mut path, voxels),
                        cases::label(&labeller, &expected, voxels)
                    );
                }
                path.submit().unwrap();
                in_flight = Some(images);
            }
            let mut downloaded = vec![f32::NAN; 2 * rig.view_values()];
            path.images(0, &mut downloaded).unwrap();
            let expected = in_flight.unwrap();
            let close = |(a, b): (&f32, &f32)| (a - b).abs() < 1e-4;
            assert!(downloaded.iter().zip(&expected).all(close));
            assert_eq!(collect(&mut path, voxels), cases::label(&labeller, &downloaded, voxels));
        }
    });
}

#[test]
fn calls_in_the_wrong_order_are_refused_and_change_nothing() {
    let test = "overlap::calls_in_the_wrong_order_are_refused_and_change_nothing";
    on_fakes(test, &[], || {
        let mut random = Random::new(test);
        let (mut path, mut rig, labeller) = path(&mut random, MemoryUse::Auto, true, false);
        let voxels = rig.view_values() / 3;
        let shape = |error: CudaError| matches!(error, CudaError::Shape { .. });
        assert!(shape(path.submit().unwrap_err()), "nothing staged");
        assert!(shape(path.is_done().unwrap_err()), "nothing in flight");
        assert!(shape(path.images(0, &mut [0.0]).unwrap_err()), "nothing in flight");
        let (mut labels, mut short) = (vec![0; voxels], vec![0; voxels + 1]);
        assert!(shape(path.collect(&mut labels, None, None).unwrap_err()), "nothing in flight");
        let pictures = [rig.picture(&mut random), rig.picture(&mut random)];
        let frame = frame(&pictures[0], &pictures[1]);
        path.stage(&rig.pair(&frame)).unwrap();
        path.submit().unwrap();
        path.stage(&rig.pair(&frame)).unwrap();
        assert!(shape(path.submit().unwrap_err()), "one is in flight");
        assert!(shape(path.collect(&mut short, None, None).unwrap_err()), "a grid of another size");
        let expected = cases::label(&labeller, &rig.images(&frame), voxels);
        assert_eq!(collect(&mut path, voxels), expected);
        path.submit().unwrap();
        assert_eq!(collect(&mut path, voxels), expected);
    });
}

#[test]
fn mapped_memory_is_not_copied_and_an_integrated_gpu_maps() {
    let test = "overlap::mapped_memory_is_not_copied_and_an_integrated_gpu_maps";
    let directory = tempfile::tempdir().unwrap();
    let log = directory.path().join("calls");
    let settings = [("FAKE_CUDA_INTEGRATED", "1"), ("FAKE_CUDA_LOG", log.to_str().unwrap())];
    on_fakes(test, &settings, || {
        let log = std::path::PathBuf::from(std::env::var("FAKE_CUDA_LOG").unwrap());
        let copies = || calls(&log, "cuMemcpyHtoDAsync_v2") + calls(&log, "cuMemcpyDtoHAsync_v2");
        let mut random = Random::new(test);
        for (memory, per_frame) in
            [(MemoryUse::Auto, 0), (MemoryUse::Mapped, 0), (MemoryUse::Copied, 2)]
        {
            // Without a graph, so that each copy is a call.
            let (mut path, mut rig, labeller) = path(&mut random, memory, false, false);
            assert_eq!(path.is_mapped(), per_frame == 0);
            let voxels = rig.view_values() / 3;
            let before = copies();
            for _ in 0..3 {
                let pictures = [rig.picture(&mut random), rig.picture(&mut random)];
                let frame = frame(&pictures[0], &pictures[1]);
                path.stage(&rig.pair(&frame)).unwrap();
                path.submit().unwrap();
                let expected = cases::label(&labeller, &rig.images(&frame), voxels);
                assert_eq!(collect(&mut path, voxels), expected);
            }
            assert_eq!(copies() - before, 3 * per_frame, "{memory:?}");
        }
    });
}

#[test]
fn a_graph_is_launched_once_a_frame_and_what_cannot_be_captured_runs_without() {
    let test = "overlap::a_graph_is_launched_once_a_frame_and_what_cannot_be_captured_runs_without";
    let directory = tempfile::tempdir().unwrap();
    let log = directory.path().join("calls");
    on_fakes(test, &[("FAKE_CUDA_LOG", log.to_str().unwrap())], || {
        let log = std::path::PathBuf::from(std::env::var("FAKE_CUDA_LOG").unwrap());
        let mut random = Random::new(test);
        for waits in [false, true] {
            let (mut path, mut rig, labeller) = path(&mut random, MemoryUse::Copied, true, waits);
            if waits {
                // The network waits for the stream, which ends a capture: error 900 of the driver.
                let graph = path.graph();
                assert!(
                    matches!(&graph, GraphUse::Refused(why) if why.contains("900")),
                    "{graph:?}"
                );
            } else {
                assert_eq!(path.graph(), GraphUse::Captured);
            }
            let voxels = rig.view_values() / 3;
            let launches = calls(&log, "cuGraphLaunch");
            let kernels = calls(&log, "cuLaunchKernel");
            for _ in 0..4 {
                let pictures = [rig.picture(&mut random), rig.picture(&mut random)];
                let frame = frame(&pictures[0], &pictures[1]);
                path.stage(&rig.pair(&frame)).unwrap();
                path.submit().unwrap();
                let expected = cases::label(&labeller, &rig.images(&frame), voxels);
                assert_eq!(collect(&mut path, voxels), expected);
            }
            assert_eq!(calls(&log, "cuGraphLaunch") - launches, if waits { 0 } else { 4 });
            assert_eq!(calls(&log, "cuLaunchKernel") - kernels, if waits { 8 } else { 4 });
        }
    });
}
