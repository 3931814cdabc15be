//! Before the first frame: drivers, compilers, and kernels that were compiled before.

use crate::cases;
use crate::fakes::{can_fake, child, error, is_child, libraries, on_fakes, said, skip};
use crate::network::CopySource;
use occdepth::grid::LabelOptions;
use occdepth_cuda::{
    CudaError, Device, FramePath, KernelCache, KernelSource, MemoryUse, ValueKind,
};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};

#[test]
fn no_driver_is_an_error_that_says_so() {
    let test = "starting::no_driver_is_an_error_that_says_so";
    if is_child() {
        return match Device::count() {
            Err(CudaError::NotInstalled { .. }) => println!("\nabsent"),
            other => println!("\nfound {other:?}"),
        };
    }
    if !can_fake(test) {
        return;
    }
    let output = child(test, &[], Path::new("/nonexistent"));
    let text = said(&output);
    assert!(output.status.success() && text.contains("1 passed"), "{text}");
    if text.contains("found ") {
        skip(test, "this machine has a driver");
    } else {
        assert!(text.contains("absent"), "{text}");
    }
}

#[test]
fn drivers_that_cannot_be_used_are_told_apart() {
    let test = "starting::drivers_that_cannot_be_used_are_told_apart";
    for settings in [
        [("FAKE_CUDA_DEVICES", "0"), ("EXPECTED", "CUDA_ERROR_NO_DEVICE (100)")],
        [
            ("FAKE_CUDA_VERSION", "11030"),
            ("EXPECTED", "supports CUDA 11.3, expected 11.4 or newer"),
        ],
        [("FAKE_CUDA_FAULTS", "cuInit:999@1"), ("EXPECTED", "unknown to this driver (999)")],
        // A code that CUDA 11.4 does not know.
        [("FAKE_CUDA_FAULTS", "cuInit:46@1"), ("EXPECTED", "unknown to this driver (46)")],
    ] {
        on_fakes(test, &settings, || {
            let said = error(Device::open(0)).to_string();
            assert!(said.contains(&std::env::var("EXPECTED").unwrap()), "{said}");
            // It is said again, not taken for granted.
            assert!(Device::open(0).is_err() || std::env::var_os("FAKE_CUDA_FAULTS").is_some());
        });
        if is_child() {
            return;
        }
    }
}

#[test]
fn a_gpu_that_is_not_there_is_named() {
    on_fakes("starting::a_gpu_that_is_not_there_is_named", &[], || {
        let said = error(Device::open(3)).to_string();
        assert_eq!(said, "GPU 3: found 1 usable GPUs");
        let device = Device::open(0).unwrap();
        assert_eq!(
            (device.name(), device.compute(), device.driver_cuda()),
            ("Fake GPU", (8, 7), (12, 6))
        );
    });
}

/// Labels something with kernels of `cache`.
fn use_kernel(cache: Option<KernelCache>) -> Result<FramePath, CudaError> {
    let source = CopySource { kind: ValueKind::F32, images: 12, logits: 12, waits: false };
    let mut options = cases::options(3, MemoryUse::Copied, true);
    options.kernels = KernelSource { cache, nvrtc_directory: None };
    let mut path = FramePath::new(&Device::open(0)?, Box::new(source), options)?;
    let labeller = cases::labeller(&[4, 5, 6], LabelOptions::default());
    path.label_by(labeller.device_plan(4).unwrap())?;
    let logits = [0.0, 1.0, 0.0, 0.0, 1.0, 0.0, 0.5, 0.0, 0.0, 0.0, 1.0, f32::NAN];
    let mut labels = [0; 4];
    path.run(&logits, &mut labels, None, None)?;
    assert_eq!(labels, [5, 4, 6, 255]);
    Ok(path)
}

#[test]
fn a_compiled_kernel_is_used_again_and_a_damaged_one_is_not() {
    let test = "starting::a_compiled_kernel_is_used_again_and_a_damaged_one_is_not";
    if is_child() {
        let cache = KernelCache::open(&PathBuf::from(std::env::var("CACHE").unwrap())).unwrap();
        use_kernel(Some(cache)).unwrap();
        return;
    }
    if !can_fake(test) {
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    let cache = directory.path().join("deep/kernels");
    let log = directory.path().join("compiled");
    let run = |compute: &str, libraries_in: &str| {
        let settings = [
            ("CACHE", cache.to_str().unwrap()),
            ("FAKE_NVRTC_LOG", log.to_str().unwrap()),
            ("FAKE_CUDA_COMPUTE", compute),
        ];
        let output = child(test, &settings, &libraries().join(libraries_in));
        assert!(output.status.success() && said(&output).contains("1 passed"), "{}", said(&output));
        std::fs::read_to_string(&log).unwrap_or_default().lines().count()
    };
    let files = || -> Vec<PathBuf> {
        std::fs::read_dir(&cache).unwrap().map(|entry| entry.unwrap().path()).collect()
    };
    assert_eq!(run("87", "all"), 1);
    assert_eq!(std::fs::metadata(&cache).unwrap().permissions().mode() & 0o777, 0o755);
    assert_eq!(run("87", "all"), 1, "the second start compiles nothing");
    assert_eq!(run("87", "cuda"), 1, "and needs no compiler");
    assert_eq!(run("72", "all"), 2, "another GPU is another kernel");
    assert_eq!(files().len(), 2);
    // Every kind of damage is noticed, and mended.
    let whole: Vec<Vec<u8>> = files().iter().map(|file| std::fs::read(file).unwrap()).collect();
    let flip = |bytes: &[u8], at: usize| {
        let mut bytes = bytes.to_vec();
        bytes[at] ^= 1;
        bytes
    };
    let mut compiled = 2;
    for damage in [
        |_: &[u8]| vec![],
        |bytes: &[u8]| bytes[..bytes.len() - 1].to_vec(),
        |bytes: &[u8]| bytes[..10].to_vec(),
    ] {
        for (file, whole) in files().iter().zip(&whole) {
            std::fs::write(file, damage(whole)).unwrap();
        }
        compiled += 1;
        assert_eq!(run("87", "all"), compiled);
        assert_eq!(run("87", "all"), compiled);
    }
    for at in [0, 20, 5000] {
        for (file, whole) in files().iter().zip(&whole) {
            std::fs::write(file, flip(whole, at)).unwrap();
        }
        compiled += 1;
        assert_eq!(run("87", "all"), compiled);
    }
    // A file that others may write to, and a link, are not run.
    for file in files() {
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o622)).unwrap();
    }
    compiled += 1;
    assert_eq!(run("87", "all"), compiled);
    for (nth, file) in files().into_iter().enumerate() {
        let elsewhere = directory.path().join(format!("elsewhere-{nth}"));
        std::fs::rename(&file, &elsewhere).unwrap();
        symlink(&elsewhere, &file).unwrap();
    }
    compiled += 1;
    assert_eq!(run("87", "all"), compiled);
    assert!(files().iter().all(|file| file.extension().unwrap() == "kernel"), "nothing half done");
}

#[test]
fn a_cache_that_others_may_write_to_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    for mode in [0o770, 0o707, 0o777, 0o1777, 0o720] {
        let path = directory.path().join(format!("{mode:o}"));
        std::fs::create_dir(&path).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
        let said = error(KernelCache::open(&path)).to_string();
        assert!(said.contains("only its owner may write"), "{said}");
    }
    let file = directory.path().join("file");
    std::fs::write(&file, "").unwrap();
    assert!(KernelCache::open(&file).is_err());
    let fine = directory.path().join("fine");
    std::fs::create_dir(&fine).unwrap();
    std::fs::set_permissions(&fine, std::fs::Permissions::from_mode(0o755)).unwrap();
    assert!(KernelCache::open(&fine).is_ok());
}

#[test]
fn a_kernel_that_does_not_compile_says_what_the_compiler_said() {
    let test = "starting::a_kernel_that_does_not_compile_says_what_the_compiler_said";
    on_fakes(test, &[("FAKE_NVRTC_FAIL", "label")], || {
        let said = error(use_kernel(None)).to_string();
        assert_eq!(
            said,
            "kernel `label` does not compile for sm_87: label.cu(1): error: told to fail"
        );
    });
}

#[test]
fn a_gpu_newer_than_the_compiler_gets_ptx_and_an_older_one_an_error() {
    let test = "starting::a_gpu_newer_than_the_compiler_gets_ptx_and_an_older_one_an_error";
    for compute in ["110", "53"] {
        on_fakes(test, &[("FAKE_CUDA_COMPUTE", compute)], || {
            if std::env::var("FAKE_CUDA_COMPUTE").unwrap() == "110" {
                use_kernel(None).unwrap();
            } else {
                let said = error(use_kernel(None)).to_string();
                assert!(said.contains("sm_53") && said.contains("[72, 87, 90]"), "{said}");
            }
        });
        if is_child() {
            return;
        }
    }
}

/// The fake compiler is one of CUDA 12.
#[test]
fn a_compiler_newer_than_the_driver_is_passed_over() {
    let test = "starting::a_compiler_newer_than_the_driver_is_passed_over";
    if is_child() {
        match use_kernel(None) {
            Err(CudaError::NotInstalled { reason, .. }) => {
                assert!(reason.contains("libnvrtc.so.12: newer than the driver"), "{reason}");
            }
            Ok(_) => println!("\nfound"),
            Err(other) => panic!("{other}"),
        }
        return;
    }
    if !can_fake(test) {
        return;
    }
    let output = child(test, &[("FAKE_CUDA_VERSION", "11040")], &libraries().join("all"));
    assert!(output.status.success() && said(&output).contains("1 passed"), "{}", said(&output));
    if said(&output).contains("found") {
        skip(test, "this machine has a compiler of CUDA 11");
    }
}

#[test]
fn no_compiler_and_no_compiled_kernel_is_an_error() {
    let test = "starting::no_compiler_and_no_compiled_kernel_is_an_error";
    if is_child() {
        match use_kernel(None) {
            Err(CudaError::NotInstalled { library, .. }) => assert!(library.contains("libnvrtc")),
            Ok(_) => println!("\nfound"),
            Err(other) => panic!("{other}"),
        }
        return;
    }
    if !can_fake(test) {
        return;
    }
    let output = child(test, &[], &libraries().join("cuda"));
    assert!(output.status.success() && said(&output).contains("1 passed"), "{}", said(&output));
    if said(&output).contains("found") {
        skip(test, "this machine has a compiler");
    }
}
