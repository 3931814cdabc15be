//! Builds a plan from an ONNX file and shows how far it is: `cargo run --example build NETWORK.onnx PLAN`.
#![allow(clippy::print_stdout, reason = "printing is what it is for")]

use std::path::Path;
use std::process::ExitCode;
use tensorrt_rs::{
    Builder, BuilderFlag, Feature, MemoryPool, NetworkTyping, ProgressMonitor, Runtime, Search,
    TensorRt,
};

/// Prints each phase and step.
struct Progress;

impl ProgressMonitor for Progress {
    fn phase_start(&self, phase: &str, parent: Option<&str>, steps: u32) {
        println!("{}{phase}: {steps} steps", if parent.is_some() { "  " } else { "" });
    }

    fn step_complete(&self, phase: &str, step: u32) -> bool {
        println!("  {phase}: {}", step + 1);
        true
    }

    fn phase_finish(&self, _: &str) {}
}

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
    let mut arguments = std::env::args_os().skip(1);
    let (Some(network_path), Some(plan_path)) = (arguments.next(), arguments.next()) else {
        return Err("usage: build NETWORK.onnx PLAN".into());
    };
    let tensorrt = TensorRt::load(&Search::default())?;
    let builder = Builder::new(tensorrt)?;
    let typing = if tensorrt.has(Feature::WeaklyTyped) {
        NetworkTyping::Weak
    } else {
        NetworkTyping::Strong
    };
    let mut network = builder.create_network(typing)?;
    let bytes = std::fs::read(&network_path)?;
    network.onnx_parser()?.parse(&bytes, Some(Path::new(&network_path)))?;

    let mut config = builder.create_config()?;
    config.set_flag(BuilderFlag::Tf32, false)?;
    config.set_memory_pool_limit(MemoryPool::Workspace, 1 << 30)?;
    if tensorrt.has(Feature::ProgressMonitor) {
        config.set_progress_monitor(Box::new(Progress))?;
    }
    let plan = builder.build_serialized(&network, &mut config)?;
    std::fs::write(&plan_path, &*plan)?;
    println!("{} bytes", plan.len());

    for tensor in Runtime::new(tensorrt)?.deserialize(&plan)?.io_tensors()? {
        println!(
            "{:?} {} {} {}",
            tensor.mode,
            tensor.display_name(),
            tensor.data_type,
            tensor.shape
        );
    }
    Ok(())
}
