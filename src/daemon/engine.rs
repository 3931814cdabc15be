//! The engine that a configuration asks for.

use super::config::{BuildPolicy, EngineChoice, NetworkConfig};
use crate::causes::WithCauses;
use crate::engine::build::{self, BuildError, BuildRequest, NetworkFile, Observer, Step};
use crate::engine::cache::{CacheError, EngineCache, VerifiedPlan};
use crate::engine::machine::{MachineError, OpenMachine};
use crate::engine::recipe::{Recipe, RecipeError, RecipePrecision};
use crate::engine::tensorrt::open_plan;
use crate::engine::{CpuEngine, Engine, EngineError};
use occdepth_cuda::CudaError;
use std::path::Path;
use std::sync::Arc;

/// Why there is no engine.
#[derive(Debug, thiserror::Error)]
pub enum OpenEngineError {
    /// The recipe cannot be used.
    #[error(transparent)]
    Recipe(#[from] RecipeError),
    /// The network cannot be used.
    #[error(transparent)]
    Network(#[from] EngineError),
    /// There is no GPU or no `TensorRT` that can be used.
    #[error("`network.engine` asks for TensorRT")]
    Machine(#[from] MachineError),
    /// No engine was built, or it cannot be used.
    #[error("there is no usable engine; `{command}` builds one")]
    NotBuilt {
        /// The command that builds it.
        command: String,
        /// Why.
        source: CacheError,
    },
    /// `TensorRT` refuses the engine.
    #[error("the engine is refused; `{command}` builds another")]
    Refused {
        /// The command that builds it.
        command: String,
        /// Why.
        source: Box<EngineError>,
    },
    /// The engine cannot be opened now.
    #[error("the engine cannot be opened")]
    Engine(#[source] EngineError),
    /// The cache cannot be used.
    #[error(transparent)]
    Cache(CacheError),
    /// It could not be built.
    #[error("the engine could not be built")]
    Build(#[from] BuildError),
    /// There is no place for engines.
    #[error(
        "no place for engines is known: neither `network.cache`, nor a home, nor `OCCDEPTH_CACHE`"
    )]
    NoCache,
}

impl NetworkConfig {
    /// How its engine is built.
    ///
    /// # Errors
    /// A recipe that cannot be read.
    pub fn recipe(&self) -> Result<Recipe, RecipeError> {
        match &self.recipe {
            Some(path) => Recipe::read(path),
            None => Ok(Recipe::of_network(self.file.clone(), RecipePrecision::Fp16)),
        }
    }

    /// Where its engine is kept; None: nobody says.
    pub fn engine_cache(&self) -> Option<EngineCache> {
        self.cache.as_ref().map(EngineCache::at).or_else(EngineCache::of_user)
    }

    /// The command that builds its engine, where this service looks for it.
    pub fn build_command(&self) -> String {
        let mut command = "occdepth build".to_owned();
        let mut option = |name: &str, path: Option<&Path>| {
            if let Some(path) = path {
                command +=
                    &format!(" --{name} '{}'", path.display().to_string().replace('\'', "'\\''"));
            }
        };
        option("recipe", self.recipe.as_deref());
        option("network", self.file.as_deref());
        option("cache", self.engine_cache().as_ref().map(EngineCache::directory));
        option("tensorrt", self.tensorrt.as_deref());
        command
    }
}

/// Opens the engine that `config` asks for on this machine.
///
/// # Errors
/// When it cannot be had. A missing or stale engine is built where the configuration says so, and else an error.
pub fn open_engine(config: &NetworkConfig) -> Result<Box<dyn Engine>, OpenEngineError> {
    match config.engine {
        EngineChoice::Cpu => Ok(Box::new(open_cpu(config)?)),
        EngineChoice::TensorRt => {
            open_tensorrt(config, &OpenMachine::open(config.tensorrt.as_deref())?)
        }
        EngineChoice::Auto => match OpenMachine::open(config.tensorrt.as_deref()) {
            Ok(machine) => open_tensorrt(config, &machine),
            Err(error) if error.is_without_gpu() => {
                if NODES.iter().any(|node| Path::new(node).exists()) {
                    log::warn!(
                        "the network runs on the CPU, though there is a GPU: {} (see `occdepth doctor`)",
                        WithCauses(&error)
                    );
                    return Ok(Box::new(open_cpu(config)?.as_substitute()));
                }
                log::info!("the network runs on the CPU: there is no NVIDIA GPU");
                Ok(Box::new(open_cpu(config)?))
            }
            Err(error) if error.is_without_tensorrt() && config.tensorrt.is_none() => {
                log::warn!(
                    "the network runs on the CPU, though there is a GPU: TensorRT is not installed"
                );
                Ok(Box::new(open_cpu(config)?.as_substitute()))
            }
            // A GPU that is there and does not work is not passed over in silence.
            Err(error) => Err(error.into()),
        },
    }
}

/// Where an NVIDIA GPU shows, usable or not: CUDA says "no device" as well where only permissions are missing.
const NODES: [&str; 3] = ["/dev/nvidiactl", "/dev/nvmap", "/dev/nvhost-gpu"];

fn open_cpu(config: &NetworkConfig) -> Result<CpuEngine, OpenEngineError> {
    let file = match &config.recipe {
        Some(path) => Recipe::read(path)?.network,
        None => config.file.clone(),
    };
    Ok(match file {
        Some(path) => CpuEngine::open(&path, config.threads)?,
        None => CpuEngine::bundled(config.threads)?,
    })
}

fn open_tensorrt(
    config: &NetworkConfig,
    machine: &OpenMachine,
) -> Result<Box<dyn Engine>, OpenEngineError> {
    let cache = config.engine_cache().ok_or(OpenEngineError::NoCache)?;
    let recipe = config.recipe()?;
    let network = NetworkFile::open(recipe.network.as_deref())?;
    let key = machine.identity.key(network.sha256, &recipe);
    let open = |plan: VerifiedPlan| open_plan(plan, &network, machine, &cache);
    let reason = match cache.open(&network.name, &key) {
        Ok(plan) => match open(plan) {
            Ok(engine) => return Ok(Box::new(engine)),
            // The key says that it fits, TensorRT says that it does not: build anew, and say why.
            Err(source @ EngineError::Gpu(CudaError::Plan(_))) => {
                if config.build != BuildPolicy::Auto {
                    let command = config.build_command();
                    return Err(OpenEngineError::Refused { command, source: source.into() });
                }
                WithCauses(&source).to_string()
            }
            Err(error) => return Err(OpenEngineError::Engine(error)),
        },
        Err(error) if error.build_helps() && config.build == BuildPolicy::Auto => error.to_string(),
        Err(source) if source.build_helps() => {
            return Err(OpenEngineError::NotBuilt { command: config.build_command(), source });
        }
        Err(error) => return Err(OpenEngineError::Cache(error)),
    };
    log::warn!("an engine is built now, which takes minutes: {reason}");
    let request = BuildRequest {
        recipe: &recipe,
        cache: &cache,
        tensorrt: config.tensorrt.as_deref(),
        force: true,
    };
    let observer: Arc<dyn Observer> = Arc::new(Journal::default());
    let built = build::build(&request, &observer)?;
    for note in &built.notes {
        log::info!("{note}");
    }
    let plan = cache.read(&built.path).map_err(OpenEngineError::Cache)?;
    Ok(Box::new(open(plan).map_err(OpenEngineError::Engine)?))
}

/// A build as the log shows it: each part, and a line now and then.
#[derive(Debug, Default)]
struct Journal {
    beats: std::sync::atomic::AtomicU32,
}

/// Seconds from line to line.
const EVERY_S: u32 = 10;

impl Observer for Journal {
    fn step(&self, step: Step) {
        log::info!("{}", step.text());
    }

    fn progress(&self, phase: &str, done: u32, of: u32) {
        log::debug!("building: {phase}, {done} of {of}");
    }

    fn beat(&self) {
        let beats = 1 + self.beats.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        if beats.is_multiple_of(EVERY_S) {
            log::info!("still building, after {beats} s");
        }
    }

    fn stop_requested(&self) -> bool {
        false
    }
}
