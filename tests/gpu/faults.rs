//! A device that fails: every call, every kernel, and out of memory.

use crate::cases::{self, Rig, collect, frame};
use crate::fakes::{can_fake, child, error, is_child, libraries, on_fakes, said};
use crate::network::CopySource;
use crate::random::Random;
use occdepth::capture::PixelFormat;
use occdepth::grid::Labeller;
use occdepth_cuda::{
    CudaError, Device, FrameOptions, FramePath, MemoryUse, NetworkSource, ValueKind,
};

fn path(random: &mut Random, memory: MemoryUse) -> Result<(FramePath, Rig, Labeller), CudaError> {
    path_of(random, cases::options(0, memory, true), |source| Box::new(source))
}

/// A path whose network copies its images to its logits; `source` may put something around it.
pub(crate) fn path_of(
    random: &mut Random,
    options: FrameOptions,
    source: impl FnOnce(CopySource) -> Box<dyn NetworkSource>,
) -> Result<(FramePath, Rig, Labeller), CudaError> {
    let rig = Rig::new(random, PixelFormat::Yuyv, [false; 2]);
    let values = 2 * rig.view_values();
    let copy = CopySource { kind: ValueKind::F32, images: values, logits: values, waits: false };
    let options = FrameOptions { view_values: rig.view_values(), ..options };
    let mut path = FramePath::new(&Device::open(0)?, source(copy), options)?;
    let (labeller, plan) = rig.labeller(random);
    path.label_by(plan)?;
    path.rectify_by(rig.plan.clone())?;
    path.warm_up()?;
    Ok((path, rig, labeller))
}

/// One frame, compared with the CPU.
pub(crate) fn run(
    random: &mut Random,
    path: &mut FramePath,
    rig: &mut Rig,
    labeller: &Labeller,
) -> Result<(), CudaError> {
    let voxels = rig.view_values() / 3;
    let pictures = [rig.picture(random), rig.picture(random)];
    let frame = frame(&pictures[0], &pictures[1]);
    path.stage(&rig.pair(&frame))?;
    path.submit()?;
    let (mut labels, mut confidence) = (vec![9; voxels], vec![9; voxels]);
    path.collect(&mut labels, Some(&mut confidence), None)?;
    assert_eq!([labels, confidence], cases::label(labeller, &rig.images(&frame), voxels));
    Ok(())
}

/// Frames until nothing happens any more: at most two of them may fail, in ways that have a name.
#[test]
fn a_kernel_that_fails_costs_one_frame_and_a_second_one_the_device() {
    // Warming up runs four label kernels (two before the capture, two after) and each frame runs two kernels: the 5th and
    // 6th are the first frame's.
    for (faults, fates) in [
        ("kernel:719@6", ["recovered", "ok", "ok", "ok"].as_slice()),
        ("kernel:719@7", &["ok", "recovered", "ok", "ok"]),
        ("kernel:700@5", &["recovered", "ok", "ok", "ok"]),
        // After the frame was lost, warming up in the new context runs four kernels; the next is the next frame's.
        ("kernel:700@5 kernel:700@10", &["recovered", "lost", "gone", "gone"]),
        // A frame between them, and it is another misfortune.
        ("kernel:700@5 kernel:700@12", &["recovered", "ok", "recovered", "ok"]),
        // The new context fails, too.
        ("kernel:700@5+", &["lost", "gone", "gone", "gone"]),
        ("kernel:700@5 cuDevicePrimaryCtxReset_v2:999@1", &["lost", "gone", "gone", "gone"]),
    ] {
        let fates = fates.join(" ");
        let settings = [("FAKE_CUDA_FAULTS", faults), ("EXPECTED_FATES", fates.as_str())];
        on_fakes(
            "faults::a_kernel_that_fails_costs_one_frame_and_a_second_one_the_device",
            &settings,
            || {
                let mut random = Random::new(faults);
                let (mut path, mut rig, labeller) = path(&mut random, MemoryUse::Copied).unwrap();
                let mut found = Vec::new();
                for _ in 0..4 {
                    let fate = match run(&mut random, &mut path, &mut rig, &labeller) {
                        Ok(()) => "ok",
                        Err(error @ CudaError::Recovered { .. }) => {
                            assert!(error.is_recoverable());
                            "recovered"
                        }
                        Err(error) => {
                            assert!(!error.is_recoverable());
                            if matches!(error, CudaError::Lost { .. }) { "lost" } else { "gone" }
                        }
                    };
                    found.push(fate);
                }
                let settings = std::env::var("FAKE_CUDA_FAULTS").unwrap();
                assert_eq!(found.join(" "), std::env::var("EXPECTED_FATES").unwrap(), "{settings}");
            },
        );
        if is_child() {
            return;
        }
    }
}

/// A reset takes the context from everybody in the process: not while somebody else has handles into it.
#[test]
fn a_context_that_others_use_is_not_made_anew() {
    let test = "faults::a_context_that_others_use_is_not_made_anew";
    // Both warm up with four label kernels; the 9th is the first frame's.
    on_fakes(test, &[("FAKE_CUDA_FAULTS", "kernel:700@9")], || {
        let mut random = Random::new(test);
        let (mut first, mut rig, labeller) = path(&mut random, MemoryUse::Copied).unwrap();
        let (second, ..) = path(&mut random, MemoryUse::Copied).unwrap();
        let error = run(&mut random, &mut first, &mut rig, &labeller).unwrap_err();
        assert!(matches!(error, CudaError::Lost { .. }), "{error}");
        drop(second);
        assert!(matches!(run(&mut random, &mut first, &mut rig, &labeller), Err(CudaError::Gone)));
    });
}

#[test]
fn a_launch_that_is_refused_is_an_error_and_the_next_frame_is_right() {
    let test = "faults::a_launch_that_is_refused_is_an_error_and_the_next_frame_is_right";
    // The 5th launch is the first frame's rectification: two of warming up, two of capturing. Graphs are launched twice in
    // warming up.
    let faults = "cuLaunchKernel:701@5 cuGraphLaunch:2@4 cuMemcpyHtoDAsync_v2:1@5";
    on_fakes(test, &[("FAKE_CUDA_FAULTS", faults)], || {
        let mut random = Random::new(test);
        let (mut path, mut rig, labeller) = path(&mut random, MemoryUse::Copied).unwrap();
        let mut failures = 0;
        for _ in 0..8 {
            if let Err(error) = run(&mut random, &mut path, &mut rig, &labeller) {
                assert!(matches!(error, CudaError::Call { .. }), "{error}");
                failures += 1;
            }
        }
        assert_eq!(failures, 3);
        run(&mut random, &mut path, &mut rig, &labeller).unwrap();
    });
}

#[test]
fn memory_that_is_not_there_is_named() {
    let test = "faults::memory_that_is_not_there_is_named";
    if !is_child() && !can_fake(test) {
        return;
    }
    let mut named = std::collections::BTreeSet::new();
    // Every allocation of the device and of the host, one after the other.
    for call in ["cuMemAlloc_v2", "cuMemHostAlloc"] {
        for nth in 1..12 {
            let faults = format!("{call}:2@{nth}");
            if !is_child() {
                let output =
                    child(test, &[("FAKE_CUDA_FAULTS", &faults)], &libraries().join("all"));
                let text = said(&output);
                assert!(
                    output.status.success() && text.contains("1 passed"),
                    "{faults}: {}\n{text}",
                    output.status
                );
                named.extend(
                    text.lines().filter_map(|line| line.strip_prefix("named: ")).map(str::to_owned),
                );
                continue;
            }
            let mut random = Random::new(test);
            match path(&mut random, MemoryUse::Copied) {
                Err(CudaError::OutOfMemory { what, bytes, total, .. }) => {
                    assert!(bytes > 0 && total > 0);
                    println!("\nnamed: {what}");
                }
                Err(other) => panic!("{other}"),
                Ok((mut path, mut rig, labeller)) => {
                    run(&mut random, &mut path, &mut rig, &labeller).unwrap();
                }
            }
            return;
        }
    }
    let expected =
        ["a pair of images", "a rectification table", "a tensor of the network", "labels"];
    assert_eq!(named.into_iter().collect::<Vec<_>>(), expected);
}

/// Each call of the driver fails once, early and late: there is an error or a right result, never a crash, a hang, or a
/// wrong label.
#[test]
fn whatever_call_fails_there_is_an_error_or_a_right_result() {
    let test = "faults::whatever_call_fails_there_is_an_error_or_a_right_result";
    if !is_child() && !can_fake(test) {
        return;
    }
    let calls = [
        "cuDeviceGetAttribute:1@3",
        "cuDevicePrimaryCtxRetain:2@1",
        "cuCtxSetCurrent:201@1",
        "cuCtxSetCurrent:201@9",
        "cuMemHostGetDevicePointer_v2:1@1",
        "cuMemsetD8Async:1@2",
        "cuStreamCreate:2@1",
        "cuStreamCreate:2@2",
        "cuStreamSynchronize:719@1",
        "cuStreamSynchronize:719@6",
        "cuStreamBeginCapture_v2:900@1",
        "cuStreamEndCapture:901@2",
        "cuGraphInstantiateWithFlags:2@2",
        "cuGraphLaunch:719@1",
        "cuEventCreate:2@3",
        "cuEventRecordWithFlags:400@2",
        "cuEventRecordWithFlags:719@8",
        "cuEventSynchronize:719@1",
        "cuEventElapsedTime:600@1",
        "cuModuleLoadDataEx:209@1",
        "cuModuleGetFunction:500@1",
        "cuMemcpyHtoDAsync_v2:719@2",
        "cuMemcpyDtoHAsync_v2:719@3",
        "cuMemcpyDtoDAsync_v2:719@2",
        "cuLaunchKernel:719@4",
    ];
    for faults in calls {
        if !is_child() {
            let output = child(test, &[("FAKE_CUDA_FAULTS", faults)], &libraries().join("all"));
            let text = said(&output);
            let passed = output.status.success() && text.contains("1 passed");
            assert!(passed, "{faults}: {}\n{text}", output.status);
            continue;
        }
        let mut random = Random::new(test);
        match path(&mut random, MemoryUse::Copied) {
            Ok((mut path, mut rig, labeller)) => {
                for _ in 0..3 {
                    // The comparison is inside.
                    if let Err(error) = run(&mut random, &mut path, &mut rig, &labeller) {
                        eprintln!("a frame failed: {error}");
                    }
                }
                run(&mut random, &mut path, &mut rig, &labeller).unwrap();
            }
            Err(error) => eprintln!("refused: {error}"),
        }
        return;
    }
}

#[test]
fn a_short_image_is_refused_before_anything_is_queued() {
    let test = "faults::a_short_image_is_refused_before_anything_is_queued";
    on_fakes(test, &[], || {
        let mut random = Random::new(test);
        let (mut path, mut rig, labeller) = path(&mut random, MemoryUse::Copied).unwrap();
        let pictures = [rig.picture(&mut random), rig.picture(&mut random)];
        let frame = frame(&pictures[0], &pictures[1]);
        let mut pair = rig.pair(&frame);
        pair[1].pixels = &pair[1].pixels[1..];
        assert!(matches!(error(path.stage(&pair)), CudaError::Shape { .. }));
        let mut pair = rig.pair(&frame);
        pair[0].stride = 1;
        if rig.source.width > 1 {
            assert!(matches!(error(path.stage(&pair)), CudaError::Shape { .. }));
        }
        assert!(matches!(error(path.submit()), CudaError::Shape { .. }), "nothing is staged");
        run(&mut random, &mut path, &mut rig, &labeller).unwrap();
        let voxels = rig.view_values() / 3;
        path.stage(&rig.pair(&frame)).unwrap();
        path.submit().unwrap();
        collect(&mut path, voxels);
    });
}
