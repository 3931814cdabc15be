//! CUDA is asked before any factory. What a process finds as libcuda is settled once, so these run in processes
//! of their own.

use crate::support::{Fake, skip, skipped};
use std::path::Path;
use std::process::Command;
use tensorrt_fake::FakeVersion;
use tensorrt_rs::{Builder, CudaError, Runtime, Search, TensorRt, TensorRtError};

const DIRECTORY: &str = "TENSORRT_RS_TEST_DIRECTORY";

/// Runs [`child`] in another process and returns what it printed.
fn in_child(directory: &Path, variables: &[(&str, &str)]) -> String {
    let mut command = Command::new(std::env::current_exe().expect("this program"));
    command.args(["--ignored", "--exact", "cuda::child", "--nocapture"]);
    command.env(DIRECTORY, directory).env_remove("LD_LIBRARY_PATH");
    command.envs(variables.iter().copied());
    let output = command.output().expect("this program runs");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{text}{}", String::from_utf8_lossy(&output.stderr));
    text
}

/// Tries to make a runtime and a builder, and prints how it went.
#[test]
#[ignore = "run by the tests of this module"]
fn child() {
    let directory = std::env::var_os(DIRECTORY).expect("set by the parent");
    match tensorrt_rs::cuda::probe() {
        Ok(version) => println!("\ndriver {version}"),
        Err(error) => println!("\ninstalled {}: {error}", !error.is_not_installed()),
    }
    let tensorrt = TensorRt::load(&Search::at(directory)).expect("loading needs no CUDA");
    for result in [Runtime::new(tensorrt).map(drop), Builder::new(tensorrt).map(drop)] {
        match result {
            Ok(()) => println!("made"),
            Err(error @ TensorRtError::Cuda(CudaError::NotInstalled)) => println!("none: {error}"),
            Err(error @ TensorRtError::Cuda(_)) => println!("cuda: {error}"),
            Err(error) => println!("other: {error}"),
        }
    }
}

#[test]
fn a_machine_without_a_driver_is_told_so() {
    if skipped("a_machine_without_a_driver_is_told_so") {
        return;
    }
    let fake = Fake::new(FakeVersion::ALL[7]);
    let log = fake.directory.path().join("calls");
    let text = in_child(
        fake.directory.path(),
        &[("TENSORRT_FAKE", &format!("runtime=0x228;log={}", log.display()))],
    );
    if text.lines().any(|line| line.starts_with("driver ")) {
        skip("a_machine_without_a_driver_is_told_so", "this machine has a driver");
        return;
    }
    assert!(text.contains("installed false"), "{text}");
    assert_eq!(text.matches("none: TensorRT needs CUDA").count(), 2, "{text}");
    assert!(!log.exists(), "a factory was called");
}

#[test]
fn what_the_driver_says_is_passed_on() {
    if skipped("what_the_driver_says_is_passed_on") {
        return;
    }
    let fake = Fake::new(FakeVersion::ALL[3]);
    let log = fake.directory.path().join("calls");
    let cuda = fake.fake.cuda.parent().expect("a directory").display().to_string();
    for (code, name) in [
        ("100", "CUDA_ERROR_NO_DEVICE"),
        ("803", "CUDA_ERROR_SYSTEM_DRIVER_MISMATCH"),
        ("12345", "an error without a name"),
    ] {
        let text = in_child(
            fake.directory.path(),
            &[
                ("LD_LIBRARY_PATH", &cuda),
                ("FAKE_CUDA_INIT", code),
                ("TENSORRT_FAKE", &format!("runtime=0x228;log={}", log.display())),
            ],
        );
        assert_eq!(text.matches("cuda: TensorRT needs CUDA").count(), 2, "{text}");
        assert!(text.contains(name) && text.contains(code), "{text}");
    }
    assert!(!log.exists(), "a factory was called");
    let text = in_child(
        fake.directory.path(),
        &[("LD_LIBRARY_PATH", &cuda), ("FAKE_CUDA_VERSION", "11040")],
    );
    assert!(text.contains("driver 11.4"), "{text}");
    assert_eq!(text.matches("made").count(), 2, "{text}");
}

#[test]
fn small_numbers_are_no_objects() {
    if skipped("small_numbers_are_no_objects") {
        return;
    }
    for version in [FakeVersion::ALL[5], FakeVersion::ALL[7]] {
        let fake = Fake::new(version);
        fake.fake.control("runtime=0x228");
        let error = Runtime::new(fake.load()).expect_err("0x228 is no runtime");
        assert!(matches!(error, TensorRtError::Failed(_)), "{error}");
    }
}
