//! One network, run by the CPU engine's network and by tract: wall and CPU seconds for each frame.
//!
//! `cargo run --release -- cpu NETWORK.onnx THREADS FRAMES`; with `--features tract` also `tract` and
//! `tract-lowered`, on one thread.
//!
//! `engines serve NETWORK.onnx THREADS` runs a frame for each line on stdin and answers with a line of
//! JSON: for `against_onnxruntime.py`, which compares with ONNX Runtime.
#![forbid(unsafe_code)]

mod inputs;
#[cfg(feature = "tract")]
mod tract;

use inputs::Inputs;
use occdepth_contract::onnx::{ModelFile, ModelProto};
use occdepth_contract::{Contract, tensor};
use occdepth_cpu::{Input, Network, Output};
use rustix::time::{ClockId, clock_gettime};
use std::error::Error;
use std::path::Path;
use std::time::{Duration, Instant};

/// Runs one frame.
type Frame = Box<dyn FnMut() -> Result<(), Box<dyn Error>>>;

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match arguments.as_slice() {
        ["serve", network, threads] => serve(network, threads.parse()?),
        [runtime, network, threads, frames] => {
            measure(runtime, network, threads.parse()?, frames.parse()?)
        }
        _ => Err("expected: cpu NETWORK.onnx THREADS FRAMES, or serve NETWORK.onnx THREADS".into()),
    }
}

fn measure(
    runtime: &str,
    network: &str,
    threads: usize,
    frames: u32,
) -> Result<(), Box<dyn Error>> {
    let (model, inputs) = read(network)?;
    let mut run: Frame = match runtime {
        "cpu" => {
            let mut network = Bound::new(model, inputs, network, threads)?;
            Box::new(move || network.run().map(drop))
        }
        #[cfg(feature = "tract")]
        "tract" | "tract-lowered" if threads == 1 => {
            tract::prepare(model, &inputs, runtime == "tract-lowered")?
        }
        other => {
            return Err(format!("runtime {other}: not built, or not for {threads} threads").into());
        }
    };

    run()?; // memory and caches
    let (start, cpu) = (Instant::now(), cpu_time());
    for _ in 0..frames {
        run()?;
    }
    let (wall, cpu) = (start.elapsed() / frames, (cpu_time() - cpu) / frames);
    println!("{network} {runtime} {threads} threads: wall {wall:.3?}, cpu {cpu:.3?} a frame");
    Ok(())
}

/// A frame for each line, with what it cost and every [`SAMPLE_STEP`]th logit, [`SAMPLES`] of them.
fn serve(network: &str, threads: usize) -> Result<(), Box<dyn Error>> {
    let (model, inputs) = read(network)?;
    let mut network = Bound::new(model, inputs, network, threads)?;
    for line in std::io::stdin().lines() {
        line?;
        let (start, cpu) = (Instant::now(), cpu_time());
        let output = network.run()?;
        let (wall, cpu) = (start.elapsed().as_secs_f64(), (cpu_time() - cpu).as_secs_f64());
        let logits = output.values().as_f32().ok_or("no logits")?;
        let sampled: Vec<String> =
            (0..SAMPLES).map(|i| logits[i * SAMPLE_STEP % logits.len()].to_string()).collect();
        let (peak_kb, sampled) = (peak_kb()?, sampled.join(","));
        println!(r#"{{"cpu_s":{cpu},"wall_s":{wall},"peak_kb":{peak_kb},"sampled":[{sampled}]}}"#);
    }
    Ok(())
}

/// A network with everything but the images bound.
struct Bound {
    network: Network,
    inputs: Inputs,
}

impl Bound {
    fn new(
        model: ModelProto,
        inputs: Inputs,
        origin: &str,
        threads: usize,
    ) -> Result<Self, Box<dyn Error>> {
        let mut network = Network::load(model, origin, Some(threads))?;
        let rig: Vec<Input<'_>> =
            inputs.iter().filter(|input| input.name != tensor::IMAGES).collect();
        network.bind(&rig)?;
        Ok(Self { network, inputs })
    }

    /// The logits of one frame.
    fn run(&mut self) -> Result<Output, Box<dyn Error>> {
        let images: Vec<Input<'_>> =
            self.inputs.iter().filter(|input| input.name == tensor::IMAGES).collect();
        let mut outputs = self.network.run(&images, &[tensor::SSC_LOGITS])?;
        outputs.pop().ok_or_else(|| "no output".into())
    }
}

fn read(network: &str) -> Result<(ModelProto, Inputs), Box<dyn Error>> {
    let model = ModelFile::read(Path::new(network))?.model;
    let inputs = Inputs::new(&Contract::from_model(&model, network)?)?;
    Ok((model, inputs))
}

fn cpu_time() -> Duration {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}

fn peak_kb() -> Result<u64, Box<dyn Error>> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).ok_or("no VmHWM")?;
    Ok(line.trim().trim_end_matches("kB").trim().parse()?)
}

const SAMPLES: usize = 1000;
const SAMPLE_STEP: usize = 7919;
