//! Where the time of an engine goes: whole frames, and layer by layer.

use super::build::{BuildError, NetworkFile};
use super::cache::{EngineCache, VerifiedPlan};
use super::machine::OpenMachine;
use super::tensorrt::{open_plan, open_profiled};
use super::{Engine, EngineError};
use crate::grid::{GridOutput, LabelOptions};
use crate::stages::Summary;
use occdepth_contract::self_test::{Frame, SelfTest};
use serde::Serialize;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Where the time of an engine goes.
#[derive(Clone, Debug)]
pub struct Profile {
    /// The engine, as it describes itself once it is warm.
    pub engine: String,
    /// Frames that were timed.
    pub frames: u32,
    /// From the call to its return, images and labels copied.
    pub host: Summary,
    /// What of that the host spent queueing network, labels and download.
    pub enqueue: Summary,
    /// The network on the GPU.
    pub infer: Summary,
    /// Labelling on the GPU, and the labels' way back.
    pub label: Summary,
    /// Memory of the GPU that the engine took, bytes; None where the driver does not say.
    pub device_memory: Option<u64>,
    /// The layers in the order in which they ran; of further frames, without a CUDA graph.
    pub layers: Vec<LayerProfile>,
}

/// What a layer took.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct LayerProfile {
    /// Its name, as the engine has it.
    pub name: String,
    /// Mean over the frames, milliseconds on the GPU.
    pub mean_ms: f64,
    /// Of all layers together.
    pub share: f64,
}

/// Frames before the first that counts.
const WARM_UP: u32 = 10;
/// Frames that layers are timed over.
const LAYER_FRAMES: u32 = 20;

/// Times `frames` frames of an engine with the images and the rig of its network's self-test.
///
/// # Errors
/// A plan that cannot be opened or fails, or a self-test that is not this network's.
pub fn profile(
    plan: VerifiedPlan,
    network: &NetworkFile,
    test: &SelfTest,
    machine: &OpenMachine,
    cache: &EngineCache,
    frames: u32,
) -> Result<Profile, BuildError> {
    let frame = test.frame(&network.contract, &network.name)?;
    let (before, _) = machine.context.memory();
    let mut engine = open_plan(plan.clone(), network, machine, cache).map_err(BuildError::Run)?;
    let mut runner = Runner::new(&mut engine, &frame)?;
    let (after, _) = machine.context.memory();
    for _ in 0..WARM_UP {
        runner.run()?;
    }
    let mut times: [Vec<Duration>; 4] = Default::default();
    for _ in 0..frames {
        let all = runner.run()?;
        for (times, time) in times.iter_mut().zip(all) {
            times.push(time);
        }
    }
    let name = engine.description().name.clone();
    drop(engine);

    let layers = Arc::new(Mutex::new(Vec::new()));
    let mut engine = open_profiled(plan, network, machine, cache, Arc::clone(&layers))
        .map_err(BuildError::Run)?;
    let mut runner = Runner::new(&mut engine, &frame)?;
    // What warming up was timed as does not count.
    layers.lock().unwrap_or_else(PoisonError::into_inner).clear();
    for _ in 0..LAYER_FRAMES {
        runner.run()?;
    }
    let layers = layers.lock().unwrap_or_else(PoisonError::into_inner);
    let mean = |total_ms: f64, frames: u32| total_ms / f64::from(frames.max(1));
    let sum: f64 = layers.iter().map(|layer| mean(layer.total_ms, layer.frames)).sum();
    let [mut host, mut enqueue, mut infer, mut label] = times;
    Ok(Profile {
        engine: name,
        frames,
        host: Summary::of(&mut host),
        enqueue: Summary::of(&mut enqueue),
        infer: Summary::of(&mut infer),
        label: Summary::of(&mut label),
        device_memory: (before > 0).then(|| (before.saturating_sub(after)) as u64),
        layers: layers
            .iter()
            .map(|layer| {
                let mean_ms = mean(layer.total_ms, layer.frames);
                let share = if sum > 0.0 { mean_ms / sum } else { 0.0 };
                LayerProfile { name: layer.name.clone(), mean_ms, share }
            })
            .collect(),
    })
}

/// An engine with a frame to run over and over.
struct Runner<'a> {
    engine: &'a mut dyn Engine,
    images: &'a [f32],
    labels: Vec<u8>,
    confidence: Vec<u8>,
}

impl<'a> Runner<'a> {
    fn new(engine: &'a mut dyn Engine, frame: &'a Frame) -> Result<Self, BuildError> {
        engine.bind(&frame.geometry, LabelOptions::default()).map_err(BuildError::Run)?;
        let voxels = engine.contract().grid.dims.iter().map(|&n| n as usize).product();
        Ok(Self {
            engine,
            images: &frame.images,
            labels: vec![0; voxels],
            confidence: vec![0; voxels],
        })
    }

    /// Runs the frame: how long the host, queueing, the network and labelling took.
    fn run(&mut self) -> Result<[Duration; 4], BuildError> {
        let output = GridOutput {
            labels: &mut self.labels,
            confidence: Some(&mut self.confidence),
            logits: None,
        };
        let start = Instant::now();
        let times = self
            .engine
            .run(self.images, output)
            .map_err(|error: EngineError| BuildError::Run(error))?;
        Ok([start.elapsed(), times.enqueue, times.infer, times.label])
    }
}
