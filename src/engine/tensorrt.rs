//! Opening an engine of the cache on the GPU.

use super::build::NetworkFile;
use super::cache::{CacheError, EngineCache, EngineKey, VerifiedPlan};
use super::machine::OpenMachine;
use super::{EngineDescription, EngineError, GpuEngine, GpuOptions};
use occdepth_contract::hex;
use occdepth_cuda::{PlanSource, ReadPlan};
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
    let (path, key) = (plan.path.clone(), plan.manifest.key.clone());
    let sha256 = Sha256::digest(&plan.bytes).into();
    let again = cache.clone();
    let mut first = Some(plan.bytes);
    let read: ReadPlan = Box::new(move || {
        let again = || again.read(&path).map(|plan| plan.bytes);
        let bytes: Result<_, CacheError> = first.take().map_or_else(again, Ok);
        Ok(bytes?)
    });
    open(read, sha256, &key, network, machine, cache)
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
    let plan = plan.to_vec();
    open(Box::new(move || Ok(plan.clone())), sha256, key, network, machine, cache)
}

fn open(
    read: ReadPlan,
    sha256: [u8; 32],
    key: &EngineKey,
    network: &NetworkFile,
    machine: &OpenMachine,
    cache: &EngineCache,
) -> Result<GpuEngine, EngineError> {
    let dla = key.dla_core.map_or_else(String::new, |core| format!(", DLA {core}"));
    let description = EngineDescription {
        name: format!("TensorRT {}, {}{dla}", key.tensorrt, key.precision),
        network_sha256: network.sha256,
        engine_sha256: sha256,
    };
    log::debug!("plan {}, {}", &hex::digits(&sha256)[..16], description.name);
    let source = PlanSource::new(machine.tensorrt, read, key.dla_core.map(u32::from));
    // A DLA and a CUDA graph do not go together.
    let graph = key.dla_core.is_none();
    let options =
        GpuOptions { kernel_cache: cache.usable_kernels(), graph, ..GpuOptions::default() };
    GpuEngine::open(Box::new(source), network.contract.clone(), description, &options)
}
