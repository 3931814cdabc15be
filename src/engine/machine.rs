//! What engines are built for and run with: the GPU, its driver, and the `TensorRT` of this machine.

use super::build::{BuildError, Memory, memory_available};
use super::cache::{DeviceIdentity, EngineKey, KeyDifference};
use super::recipe::Recipe;
use crate::board::profile::find;
use crate::board::{Board, Root, software};
use occdepth_cuda::{Context, CudaError, Device};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tensorrt_rs::{LoadError, Search, TensorRt};

/// What an engine is built for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Machine {
    /// Full version of `TensorRT`.
    pub tensorrt: String,
    /// Version of CUDA that the driver speaks.
    pub cuda: String,
    /// Version of the driver; empty where the system does not say.
    pub driver: String,
    /// The GPU.
    pub device: DeviceIdentity,
}

/// The GPU and the `TensorRT` of this machine, ready to use.
#[derive(Debug)]
pub struct OpenMachine {
    /// The library.
    pub tensorrt: TensorRt,
    /// The GPU.
    pub context: Arc<Context>,
    /// What engines are built for here.
    pub identity: Machine,
}

/// Why no engine can run here.
#[derive(Debug, thiserror::Error)]
pub enum MachineError {
    /// No driver, no GPU, or one that fails.
    #[error("no NVIDIA GPU can be used")]
    Gpu(#[from] CudaError),
    /// No `TensorRT`, or one that cannot be used.
    #[error("TensorRT cannot be used")]
    TensorRt(#[from] LoadError),
}

impl MachineError {
    /// Whether there simply is no GPU, as opposed to one that does not work.
    pub fn is_without_gpu(&self) -> bool {
        matches!(self, Self::Gpu(error) if is_without_gpu(error))
    }

    /// Whether there simply is no `TensorRT`, as opposed to one that does not work.
    pub fn is_without_tensorrt(&self) -> bool {
        matches!(self, Self::TensorRt(error) if error.is_not_installed())
    }
}

impl Machine {
    /// What engines are built for here.
    ///
    /// # Errors
    /// As [`OpenMachine::open`].
    pub fn probe(tensorrt: Option<&Path>) -> Result<Self, MachineError> {
        OpenMachine::open(tensorrt).map(|machine| machine.identity)
    }

    /// The key of the engine that `recipe` makes of a network here.
    pub fn key(&self, network_sha256: [u8; 32], recipe: &Recipe) -> EngineKey {
        EngineKey::new(
            network_sha256,
            recipe,
            &self.tensorrt,
            &self.cuda,
            &self.driver,
            self.device.clone(),
        )
    }

    /// Why an engine of `key` cannot run here; None: it can, as far as a key says.
    pub fn refuses(&self, key: &EngineKey) -> Option<KeyDifference> {
        let here = EngineKey {
            tensorrt: self.tensorrt.clone(),
            cuda: self.cuda.clone(),
            driver: self.driver.clone(),
            device: self.device.clone(),
            ..key.clone()
        };
        key.difference(&here)
    }
}

impl OpenMachine {
    /// Opens the first GPU, and `TensorRT` at `tensorrt` or where the loader finds it. CUDA comes first: without a GPU
    /// factories of `TensorRT` return what crashes when it is used.
    ///
    /// # Errors
    /// No usable GPU, no usable `TensorRT`.
    pub fn open(tensorrt: Option<&Path>) -> Result<Self, MachineError> {
        let device = Device::open(0)?;
        let context = Context::new(&device)?;
        let search = tensorrt.map_or_else(Search::default, |path| Search::at(PathBuf::from(path)));
        let tensorrt = TensorRt::load(&search)?;
        let (major, minor) = device.driver_cuda();
        let (sm_major, sm_minor) = device.compute();
        let identity = Machine {
            tensorrt: tensorrt.version().to_string(),
            cuda: format!("{major}.{minor}"),
            driver: driver_version(),
            device: DeviceIdentity {
                name: device.name().to_owned(),
                compute_capability: format!("{sm_major}.{sm_minor}"),
                multiprocessors: device.multiprocessors(),
                memory_mib: device.memory_bytes() as u64 >> 20,
            },
        };
        Ok(Self { tensorrt, context, identity })
    }

    /// What memory is available.
    pub fn memory(&self) -> Memory {
        let (free, total) = self.context.memory();
        let own = !self.context.device().is_integrated() && total > 0;
        Memory {
            system: memory_available().unwrap_or(u64::MAX),
            device: own.then_some(free as u64),
        }
    }
}

/// Whether CUDA says that there simply is no GPU: no driver, or none that it finds (`CUDA_ERROR_NO_DEVICE`).
pub fn is_without_gpu(error: &CudaError) -> bool {
    matches!(
        error,
        CudaError::NotInstalled { .. }
            | CudaError::NoDevice { count: 0, .. }
            | CudaError::Call { code: 100, .. }
    )
}

/// The version of the driver: NVIDIA's own, or the Jetson Linux that it is a part of.
fn driver_version() -> String {
    let software = software::read(&Root::system());
    let jetson = software.jetson_linux.known().map(|version| format!("Jetson Linux {version}"));
    jetson.or_else(|| software.driver.known().cloned()).unwrap_or_default()
}

/// The workspace that the profile of the board recommends: the one that the recipe names, or this machine's.
///
/// # Errors
/// A recipe that names a board that is not known.
pub(super) fn board_workspace_mib(recipe: &Recipe) -> Result<Option<u32>, BuildError> {
    let mib = if let Some(name) = &recipe.board {
        let profile = find(name).map_err(|error| BuildError::Recipe {
            field: "board",
            found: format!("{name:?}"),
            expected: error.to_string(),
        })?;
        profile.recommended.workspace_mib
    } else {
        let board = Board::read(&Root::system());
        board.profile.known().and_then(|known| known.profile.recommended.workspace_mib)
    };
    Ok(mib.and_then(|mib| u32::try_from(mib).ok()))
}
