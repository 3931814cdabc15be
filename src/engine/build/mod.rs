//! Building an engine from a network, on the device that will run it.
//!
//! ```text
//!  recipe ── network ── checks ── lock ── TensorRT ── plan ── self-test ── cache
//!                          │                 │           │         │
//!             precision, memory, disk   timing cache  partial   refused if wrong
//! ```
//!
//! Everything that can be known to be wrong is said before the builder starts, because it takes minutes. A plan becomes
//! an engine only after it has given the right answers. Not yet run on a device.

mod compile;
mod error;
mod network;
mod observer;
mod plan;
mod resources;
mod test;

pub use error::BuildError;
pub use network::NetworkFile;
pub use observer::{Observer, Step};
pub use plan::Typing;
pub use resources::{Memory, Needs, disk_available, memory_available};
pub use test::{compare, test};

use crate::causes::WithCauses;
use crate::engine::cache::{EngineCache, Manifest, PartialFile};
use crate::engine::machine::{OpenMachine, board_workspace_mib};
use crate::engine::recipe::Recipe;
use crate::engine::tensorrt::open_fresh;
use sha2::{Digest as _, Sha256};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Instant, SystemTime, UNIX_EPOCH};
use tensorrt_rs::Feature;

/// What is built, and where it goes.
#[derive(Debug)]
pub struct BuildRequest<'a> {
    /// How.
    pub recipe: &'a Recipe,
    /// Where the engine goes.
    pub cache: &'a EngineCache,
    /// Where `libnvinfer` lies, when the loader does not find it.
    pub tensorrt: Option<&'a std::path::Path>,
    /// Builds even if the engine is there.
    pub force: bool,
}

/// An engine in the cache.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Built {
    /// The plan.
    pub path: PathBuf,
    /// What it is.
    pub manifest: Manifest,
    /// Built now; false: it was there.
    pub fresh: bool,
    /// What was not as asked, or is worth knowing: a timing cache that did not fit, layers that went to the GPU.
    pub notes: Vec<String>,
}

/// Builds the engine of a recipe, or finds it in the cache.
///
/// # Errors
/// [`BuildError`]; whatever happens, including the death of the process, the cache holds whole engines only.
pub fn build(
    request: &BuildRequest<'_>,
    observer: &Arc<dyn Observer>,
) -> Result<Built, BuildError> {
    observer.step(Step::Checking);
    let BuildRequest { recipe, cache, .. } = *request;
    let machine = OpenMachine::open(request.tensorrt)?;
    let network = NetworkFile::open(recipe.network.as_deref())?;
    let self_test = network.self_test()?;
    let version = machine.tensorrt.version();
    let typing = Typing::new(recipe, network.contract.precision, version.major)?;
    check_version(recipe, &machine)?;
    let key = machine.identity.key(network.sha256, recipe);
    let path = cache.plan_path(&network.name, &key);

    cache.create()?;
    let lock = cache.lock()?;
    for leftover in cache.clean(&lock)? {
        log::info!("removed {}: a killed build left it", leftover.display());
    }
    if !request.force {
        match cache.open(&network.name, &key) {
            Ok(plan) => {
                let notes = Vec::new();
                return Ok(Built { path: plan.path, manifest: plan.manifest, fresh: false, notes });
            }
            Err(error) if error.build_helps() => log::info!("building: {}", WithCauses(&error)),
            Err(error) => return Err(error.into()),
        }
    }
    let needs = Needs::of_network(network.bytes, network.running_bytes(recipe.precision));
    needs.check_disk(cache.directory())?;
    let board_mib = board_workspace_mib(recipe)?;
    let workspace_mib = needs.workspace_mib(machine.memory(), recipe.workspace_mib, board_mib)?;

    let start = Instant::now();
    let job = compile::Job { recipe, machine: &machine, network: &network, typing, workspace_mib };
    let mut plan = PartialFile::create(&path)?;
    let compiled = job.run(cache, &cache.timing_path(&key), observer)?;
    plan.write(&compiled.plan)?;
    network.check_unchanged()?;
    observer.step(Step::Testing);
    let build_s = start.elapsed().as_secs_f64();
    let mut engine =
        open_fresh(&compiled.plan, &key, &network, &machine, cache).map_err(BuildError::Run)?;
    let self_test = test(&mut engine, &network, self_test, recipe)?;
    drop(engine);

    observer.step(Step::Storing);
    let digest: [u8; 32] = Sha256::digest(&*compiled.plan).into();
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    let manifest = Manifest {
        format: Manifest::FORMAT.into(),
        network: network.name.clone(),
        key,
        plan_sha256: occdepth_contract::hex::digits(&digest),
        plan_bytes: compiled.plan.len() as u64,
        built_unix_s: now.map_or(0, |now| now.as_secs()),
        build_s,
        producer: concat!("occdepth ", env!("CARGO_PKG_VERSION")).into(),
        self_test,
    };
    let path = cache.store(&lock, plan, &manifest)?;
    Ok(Built { path, manifest, fresh: true, notes: compiled.notes })
}

/// What a recipe asks for and a version of `TensorRT` does not have.
fn check_version(recipe: &Recipe, machine: &OpenMachine) -> Result<(), BuildError> {
    let default = Recipe::of_network(None, recipe.precision).optimization_level;
    if recipe.optimization_level == default || machine.tensorrt.has(Feature::OptimizationLevel) {
        return Ok(());
    }
    Err(BuildError::Recipe {
        field: "optimization_level",
        found: recipe.optimization_level.to_string(),
        expected: format!("{default}: TensorRT {} has no levels", machine.identity.tensorrt),
    })
}
