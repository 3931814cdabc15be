//! Prints which TensorRT this machine has and what it can do: `cargo run --example info [FILE-OR-DIRECTORY]`.
#![allow(clippy::print_stdout, reason = "printing is what it is for")]

use std::process::ExitCode;
use tensorrt_rs::{Builder, Feature, Runtime, Search, TensorRt, cuda};

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            println!("{error}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<(), Box<dyn std::error::Error>> {
    let search = match std::env::args_os().nth(1) {
        Some(path) => Search::at(path),
        None => Search::default(),
    };
    let tensorrt = TensorRt::load(&search.allow_lean())?;
    println!("TensorRT {} at {}", tensorrt.version(), tensorrt.path().display());
    for feature in [
        Feature::Builder,
        Feature::StronglyTyped,
        Feature::WeaklyTyped,
        Feature::OptimizationLevel,
        Feature::ProgressMonitor,
        Feature::VersionCompatibility,
    ] {
        println!("{feature:?}: {}", if tensorrt.has(feature) { "yes" } else { "no" });
    }
    match tensorrt.load_parser() {
        Ok(path) => println!("ONNX parser at {}", path.display()),
        Err(error) => println!("no ONNX parser: {error}"),
    }
    match cuda::probe() {
        Ok(version) => println!("CUDA {version}"),
        Err(error) => {
            println!("no CUDA: {error}");
            return Ok(());
        }
    }
    println!("DLA cores: {}", Runtime::new(tensorrt)?.dla_cores()?);
    if tensorrt.has(Feature::Builder) {
        drop(Builder::new(tensorrt)?);
        println!("a builder can be made");
    }
    Ok(())
}
