//! From a network to a plan, through `TensorRT`'s parser and builder.

use super::{BuildError, NetworkFile, Observer, Step, Typing};
use crate::engine::BUNDLED_NETWORK;
use crate::engine::cache::{EngineCache, PartialFile};
use crate::engine::machine::OpenMachine;
use crate::engine::recipe::{ProfilingDetail, Recipe};
use std::collections::HashMap;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::time::{Duration, Instant};
use tensorrt_rs::{
    Builder, BuilderConfig, BuilderFlag, DeviceType, Feature, HostMemory, MemoryPool, Network,
    NetworkTyping, ProfilingVerbosity, ProgressMonitor, TensorRtError,
};

/// One run of the builder.
pub(super) struct Job<'a> {
    pub(super) recipe: &'a Recipe,
    pub(super) machine: &'a OpenMachine,
    pub(super) network: &'a NetworkFile,
    pub(super) typing: Typing,
    pub(super) workspace_mib: u32,
}

/// What a run of the builder gave.
pub(super) struct Compiled {
    pub(super) plan: HostMemory,
    /// What is worth knowing: where layers went, a timing cache that did not fit.
    pub(super) notes: Vec<String>,
}

impl Job<'_> {
    /// Runs the parser and the builder.
    pub(super) fn run(
        &self,
        cache: &EngineCache,
        timing_path: &Path,
        observer: &Arc<dyn Observer>,
    ) -> Result<Compiled, BuildError> {
        let start = Instant::now();
        let mut notes = Vec::new();
        let builder = Builder::new(self.machine.tensorrt).map_err(BuildError::tensorrt)?;
        observer.step(Step::Parsing);
        let typing = if self.typing.strong { NetworkTyping::Strong } else { NetworkTyping::Weak };
        let mut network = builder.create_network(typing).map_err(BuildError::tensorrt)?;
        self.parse(&mut network)?;

        let mut config = builder.create_config().map_err(BuildError::tensorrt)?;
        self.configure(&mut config).map_err(BuildError::tensorrt)?;
        if let Some(core) = self.recipe.dla_core {
            let cores = builder.dla_cores().map_err(BuildError::tensorrt)?;
            notes.extend(self.place(&network, &mut config, core, cores)?);
        }
        let kept = cache.read_timing(timing_path);
        notes.extend(use_timing(&mut config, kept.as_deref(), timing_path)?);
        if self.machine.tensorrt.has(Feature::ProgressMonitor) {
            let monitor = Monitor { observer: Arc::clone(observer), phases: Mutex::default() };
            config.set_progress_monitor(Box::new(monitor)).map_err(BuildError::tensorrt)?;
        }

        observer.step(Step::Building);
        let plan =
            with_heartbeat(observer.as_ref(), || builder.build_serialized(&network, &mut config));
        // What was measured serves the next build, whether this one got to its end or not.
        if let Err(error) = keep_timing(&config, timing_path) {
            log::warn!("the timing cache was not kept: {error}");
        }
        match plan {
            Ok(plan) => Ok(Compiled { plan, notes }),
            Err(_) if observer.stop_requested() => {
                Err(BuildError::Cancelled { seconds: start.elapsed().as_secs_f64() })
            }
            Err(error) => Err(BuildError::tensorrt(error)),
        }
    }

    fn parse(&self, network: &mut Network) -> Result<(), BuildError> {
        let mut parser = network.onnx_parser().map_err(BuildError::tensorrt)?;
        let parsed = match &self.network.path {
            Some(path) => parser.parse_file(path),
            None => parser.parse(BUNDLED_NETWORK, None),
        };
        parsed.map_err(BuildError::tensorrt)
    }

    fn configure(&self, config: &mut BuilderConfig) -> Result<(), TensorRtError> {
        let Typing { fp16, int8, tf32, .. } = self.typing;
        // Set by default; fp32 means fp32 unless somebody says otherwise.
        config.set_flag(BuilderFlag::Tf32, tf32)?;
        if fp16 {
            config.set_flag(BuilderFlag::Fp16, true)?;
        }
        if int8 {
            config.set_flag(BuilderFlag::Int8, true)?;
        }
        if self.machine.tensorrt.has(Feature::OptimizationLevel) {
            config.set_optimization_level(self.recipe.optimization_level)?;
        }
        let workspace = usize::try_from(u64::from(self.workspace_mib) << 20).unwrap_or(usize::MAX);
        config.set_memory_pool_limit(MemoryPool::Workspace, workspace)?;
        config.set_profiling_verbosity(match self.recipe.profiling {
            ProfilingDetail::None => ProfilingVerbosity::None,
            ProfilingDetail::LayerNames => ProfilingVerbosity::LayerNamesOnly,
            ProfilingDetail::Detailed => ProfilingVerbosity::Detailed,
        })
    }

    /// Sends to the DLA what it can run, and says what went where. Nothing goes elsewhere silently: users of DLAs have
    /// seen a network become six times slower because a few layers did not fit.
    fn place(
        &self,
        network: &Network,
        config: &mut BuilderConfig,
        core: u8,
        cores: u32,
    ) -> Result<Vec<String>, BuildError> {
        if u32::from(core) >= cores {
            return Err(BuildError::Recipe {
                field: "dla_core",
                found: core.to_string(),
                expected: match cores {
                    0 => "none: this GPU, or this TensorRT, has no DLA".into(),
                    1 => "0, the only DLA here".into(),
                    n => format!("0 to {}", n - 1),
                },
            });
        }
        let failed = BuildError::tensorrt;
        config.set_default_device_type(DeviceType::Dla).map_err(failed)?;
        config.set_dla_core(core.into()).map_err(failed)?;
        if self.recipe.gpu_fallback {
            config.set_flag(BuilderFlag::GpuFallback, true).map_err(failed)?;
        }
        let layers = network.layers().map_err(failed)?;
        let mut elsewhere = Vec::new();
        for index in 0..layers {
            let layer = network.layer(index).map_err(failed)?;
            if !config.can_run_on_dla(&layer).map_err(failed)? {
                elsewhere.push(layer.name().map_err(failed)?);
            }
        }
        if !elsewhere.is_empty() && !self.recipe.gpu_fallback {
            return Err(BuildError::Recipe {
                field: "dla_core",
                found: format!(
                    "{core}, which cannot run {} of {layers} layers: {}",
                    elsewhere.len(),
                    shortened(&elsewhere)
                ),
                expected: "`gpu_fallback = true` as well, or no DLA".into(),
            });
        }
        let on_dla = layers as usize - elsewhere.len();
        let mut notes = vec![format!("{on_dla} of {layers} layers can run on DLA {core}")];
        if !elsewhere.is_empty() {
            let names = shortened(&elsewhere);
            notes.push(format!("{} layers go to the GPU: {names}", elsewhere.len()));
        }
        Ok(notes)
    }
}

/// The first names of a long list.
fn shortened(names: &[String]) -> String {
    const SHOWN: usize = 8;
    let shown = names[..names.len().min(SHOWN)].join(", ");
    if names.len() > SHOWN { format!("{shown} and {} more", names.len() - SHOWN) } else { shown }
}

/// Gives the builder what earlier builds measured. A cache that does not fit is not fatal: what it would have saved is
/// measured again.
fn use_timing(
    config: &mut BuilderConfig,
    kept: Option<&[u8]>,
    path: &Path,
) -> Result<Option<String>, BuildError> {
    if let Some(bytes) = kept.filter(|bytes| !bytes.is_empty()) {
        let given = config
            .create_timing_cache(bytes)
            .and_then(|cache| config.set_timing_cache(cache, false));
        match given {
            Ok(()) => return Ok(None),
            Err(error) => {
                let note = format!("{}: not used: {error}", path.display());
                start_timing(config)?;
                return Ok(Some(note));
            }
        }
    }
    start_timing(config)?;
    Ok(None)
}

fn start_timing(config: &mut BuilderConfig) -> Result<(), BuildError> {
    let cache = config.create_timing_cache(&[]).map_err(BuildError::tensorrt)?;
    config.set_timing_cache(cache, false).map_err(BuildError::tensorrt)
}

fn keep_timing(
    config: &BuilderConfig,
    path: &Path,
) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    let Some(cache) = config.timing_cache() else { return Ok(()) };
    let bytes = cache.serialize()?;
    let mut file = PartialFile::create(path)?;
    file.write(&bytes)?;
    Ok(file.commit()?)
}

/// Runs `work`, and calls the observer every second meanwhile.
fn with_heartbeat<T>(observer: &dyn Observer, work: impl FnOnce() -> T) -> T {
    std::thread::scope(|scope| {
        let (done, waiting) = mpsc::channel::<()>();
        scope.spawn(move || {
            while waiting.recv_timeout(Duration::from_secs(1))
                == Err(mpsc::RecvTimeoutError::Timeout)
            {
                observer.beat();
            }
        });
        let result = work();
        drop(done);
        result
    })
}

/// The observer, as `TensorRT` tells it.
struct Monitor {
    observer: Arc<dyn Observer>,
    /// Steps of the phases that are running.
    phases: Mutex<HashMap<String, u32>>,
}

impl ProgressMonitor for Monitor {
    fn phase_start(&self, phase: &str, _parent: Option<&str>, steps: u32) {
        let mut phases = self.phases.lock().unwrap_or_else(PoisonError::into_inner);
        phases.insert(phase.to_owned(), steps);
        drop(phases);
        self.observer.progress(phase, 0, steps);
    }

    fn step_complete(&self, phase: &str, step: u32) -> bool {
        let of = {
            let phases = self.phases.lock().unwrap_or_else(PoisonError::into_inner);
            phases.get(phase).copied().unwrap_or(0)
        };
        self.observer.progress(phase, step + 1, of);
        !self.observer.stop_requested()
    }

    fn phase_finish(&self, phase: &str) {
        self.phases.lock().unwrap_or_else(PoisonError::into_inner).remove(phase);
    }
}
