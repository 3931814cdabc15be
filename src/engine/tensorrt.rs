//! Opening an engine of the cache on the GPU.

use super::build::NetworkFile;
use super::cache::{EngineCache, EngineKey, VerifiedPlan};
use super::machine::OpenMachine;
use super::{EngineDescription, EngineError, GpuEngine, GpuOptions};
use occdepth_contract::hex;
use occdepth_cuda::{LayerTimes, PlanSource, ReadPlan};
use sha2::{Digest as _, Sha256};

/// Opens a verified plan. Should the GPU's context be lost, the plan is read and verified again.
///
/// # Errors
/// No GPU, no memory, a plan that `TensorRT` refuses or that lacks tensors of the network's contract.
pub fn open_plan(
    plan: VerifiedPlan,
    network: &NetworkFile,
    machine: &OpenMachine,
    cache: &EngineCache,
) -> Result<GpuEngine, EngineError> {
    let (key, sha256) = (plan.manifest.key.clone(), Sha256::digest(&plan.bytes).into());
    open(reading(plan, cache), sha256, &key, network, machine, cache, None)
}

/// As [`open_plan`], for frames whose layers are timed.
///
/// # Errors
/// As [`open_plan`].
pub(super) fn open_profiled(
    plan: VerifiedPlan,
    network: &NetworkFile,
    machine: &OpenMachine,
    cache: &EngineCache,
    layers: LayerTimes,
) -> Result<GpuEngine, EngineError> {
    let (key, sha256) = (plan.manifest.key.clone(), Sha256::digest(&plan.bytes).into());
    open(reading(plan, cache), sha256, &key, network, machine, cache, Some(layers))
}

/// The bytes of a plan; should they be wanted again, they are read and verified again, and must be the same: what runs is
/// what the ring says.
fn reading(plan: VerifiedPlan, cache: &EngineCache) -> ReadPlan {
    let (path, cache, sha256) = (plan.path, cache.clone(), plan.manifest.plan_sha256);
    let mut first = Some(plan.bytes);
    Box::new(move || {
        if let Some(bytes) = first.take() {
            return Ok(bytes);
        }
        let plan = cache.read(&path)?;
        if plan.manifest.plan_sha256 == sha256 {
            return Ok(plan.bytes);
        }
        Err(format!("{}: another engine was built meanwhile: start again", path.display()).into())
    })
}

/// Opens a plan that was just built and is not in the cache yet, to test it.
///
/// # Errors
/// As [`open_plan`].
pub(super) fn open_fresh(
    plan: &[u8],
    key: &EngineKey,
    network: &NetworkFile,
    machine: &OpenMachine,
    cache: &EngineCache,
) -> Result<GpuEngine, EngineError> {
    let sha256 = Sha256::digest(plan).into();
    let mut plan = Some(plan.to_vec());
    let read =
        move || plan.take().ok_or_else(|| "the GPU's context was lost during the test".into());
    open(Box::new(read), sha256, key, network, machine, cache, None)
}

fn open(
    read: ReadPlan,
    sha256: [u8; 32],
    key: &EngineKey,
    network: &NetworkFile,
    machine: &OpenMachine,
    cache: &EngineCache,
    layers: Option<LayerTimes>,
) -> Result<GpuEngine, EngineError> {
    let dla = key.dla_core.map_or_else(String::new, |core| format!(", DLA {core}"));
    let description = EngineDescription {
        name: format!("TensorRT {}, {}{dla}", key.tensorrt, key.precision),
        network_sha256: network.sha256,
        engine_sha256: sha256,
        substitute: false,
    };
    log::debug!("plan {}, {}", &hex::digits(&sha256)[..16], description.name);
    // Neither a DLA nor a profiler goes together with a CUDA graph.
    let graph = key.dla_core.is_none() && layers.is_none();
    let source = PlanSource::new(machine.tensorrt, read, key.dla_core.map(u32::from));
    let source = match layers {
        Some(layers) => source.profiled(layers),
        None => source,
    };
    let options =
        GpuOptions { kernel_cache: cache.usable_kernels(), graph, ..GpuOptions::default() };
    GpuEngine::open(Box::new(source), network.contract.clone(), &description, &options)
}
