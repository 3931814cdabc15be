//! One network, run by rten (through the CPU engine) and by tract: wall and CPU seconds for each frame.
//!
//! `cargo run --release -- NETWORK.onnx FRAMES THREADS [rten|tract|tract-lowered]`
#![forbid(unsafe_code)]

use occdepth::engine::{CpuEngine, Engine};
use occdepth::grid::{GridOutput, LabelOptions};
use occdepth_contract::{Contract, onnx::ModelProto, tensor};
use occdepth_cpu::lower::lower;
use occdepth_geometry::network::{DepthInputs, GeometryInputs};
use rustix::time::{ClockId, clock_gettime};
use std::error::Error;
use std::time::{Duration, Instant};
use tract_onnx::prelude::*;

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().collect();
    let [_, network, frames, threads, runtime] = arguments.as_slice() else {
        return Err("expected: NETWORK.onnx FRAMES THREADS rten|tract|tract-lowered".into());
    };
    let (frames, threads): (u32, usize) = (frames.parse()?, threads.parse()?);
    let bytes = std::fs::read(network)?;
    let contract = Contract::from_model(&ModelProto::from_bytes(&bytes, network)?, network)?;
    let mut random = Random(1);
    let geometry = geometry(&contract, &mut random);
    let images: Vec<f32> = (0..count(&contract, tensor::IMAGES))
        .map(|_| random.below(1000) as f32 / 250.0 - 2.0)
        .collect();

    let mut run: Box<dyn FnMut() -> Result<(), Box<dyn Error>>> = match runtime.as_str() {
        "rten" => {
            let mut engine = CpuEngine::from_bytes(&bytes, network, Some(threads))?;
            engine.bind(&geometry, LabelOptions::default())?;
            let voxels = contract.grid.dims.iter().map(|&dim| dim as usize).product();
            let mut labels = vec![0; voxels];
            Box::new(move || {
                let output = GridOutput { labels: &mut labels, confidence: None, logits: None };
                engine.run(&images, output)?;
                Ok(())
            })
        }
        "tract" | "tract-lowered" => {
            let mut model = ModelProto::from_bytes(&bytes, network)?;
            if runtime == "tract-lowered" {
                model.graph = model.graph.map(lower).transpose()?;
            }
            let model = tract_onnx::onnx()
                .model_for_read(&mut model.to_bytes().as_slice())?
                .into_optimized()?
                .into_runnable()?;
            if threads != 1 {
                return Err("tract is measured on one thread".into());
            }
            let inputs = tract_inputs(&contract, &geometry, &images)?;
            Box::new(move || {
                model.run(inputs.clone())?;
                Ok(())
            })
        }
        other => return Err(format!("unknown runtime {other}").into()),
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

fn tract_inputs(
    contract: &Contract,
    geometry: &GeometryInputs,
    images: &[f32],
) -> Result<TVec<TValue>, Box<dyn Error>> {
    let mut inputs = tvec![];
    for spec in &contract.inputs {
        let shape: Vec<usize> = spec.shape.iter().map(|&extent| extent as usize).collect();
        let depth = geometry.depth.as_ref();
        let value = match (spec.name.as_str(), depth) {
            (tensor::IMAGES, _) => Tensor::from_shape(&shape, images)?,
            (tensor::PIXELS, _) => Tensor::from_shape(&shape, &geometry.pixels)?,
            (tensor::DEPTH_INDEX, Some(depth)) => Tensor::from_shape(&shape, &depth.index)?,
            (tensor::DEPTH_WEIGHT, Some(depth)) => Tensor::from_shape(&shape, &depth.weight)?,
            (tensor::PIXEL_SIZE, Some(depth)) => Tensor::from_shape(&shape, &depth.pixel_size)?,
            (other, _) => return Err(format!("unknown input {other}").into()),
        };
        inputs.push(value.into());
    }
    Ok(inputs)
}

/// Random tables: two thirds of the points visible, as on KITTI.
fn geometry(contract: &Contract, random: &mut Random) -> GeometryInputs {
    let per_scale: u64 = contract.inputs[1].shape[2..].iter().product();
    let pixels = (0..count(contract, tensor::PIXELS)).map(|i| {
        let scale = contract.scales[i / per_scale as usize % contract.scales.len()];
        let pixels = contract.image.width.div_ceil(scale) * contract.image.height.div_ceil(scale);
        let visible = random.below(3) > 0;
        (if visible { random.below(pixels) } else { pixels }) as i32
    });
    let pixels = pixels.collect();
    let depth = contract.depth.map(|depth| {
        let cells: u32 = depth.shape(contract.image).iter().product();
        let entries = count(contract, tensor::DEPTH_INDEX);
        DepthInputs {
            index: (0..entries).map(|_| random.below(cells) as i32).collect(),
            weight: (0..entries).map(|_| random.below(1000) as f32 / 8000.0).collect(),
            pixel_size: vec![1.0; count(contract, tensor::PIXEL_SIZE)],
        }
    });
    GeometryInputs { pixels, depth }
}

fn count(contract: &Contract, input: &str) -> usize {
    let specs = contract.inputs.iter().filter(|spec| spec.name == input);
    specs.map(|spec| spec.element_count() as usize).sum()
}

fn cpu_time() -> Duration {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}

/// A linear congruential generator (Numerical Recipes).
struct Random(u32);

impl Random {
    fn below(&mut self, end: u32) -> u32 {
        self.0 = self.0.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (self.0 >> 8) % end
    }
}
