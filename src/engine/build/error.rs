//! Why no engine was built.

use crate::engine::EngineError;
use crate::engine::cache::CacheError;
use crate::engine::machine::MachineError;
use crate::engine::recipe::RecipePrecision;
use occdepth_contract::Precision;
use occdepth_contract::self_test::{Comparison, SelfTestError};
use std::path::PathBuf;

/// Why no engine was built.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    /// There is no `TensorRT` that can build.
    #[error("TensorRT builds no engine")]
    TensorRt(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// There is no GPU or no `TensorRT` that can be used.
    #[error(transparent)]
    Machine(#[from] MachineError),
    /// The network is not one of ours, or not a whole one.
    #[error(transparent)]
    Network(#[from] EngineError),
    /// The file changed while it was being built from.
    #[error("{}: the network changed while an engine was built from it", path.display())]
    NetworkChanged {
        /// The file.
        path: PathBuf,
    },
    /// The recipe, the network and this `TensorRT` do not go together.
    #[error(
        "precision: the recipe asks for {recipe}, the network is {network:?}, TensorRT's major version is {major}; expected {expected}"
    )]
    Precision {
        /// What the recipe says.
        recipe: RecipePrecision,
        /// What the network is.
        network: Precision,
        /// Major version of `TensorRT`.
        major: u32,
        /// What would be accepted.
        expected: &'static str,
    },
    /// A field of the recipe asks for what this machine or version does not have.
    #[error("recipe: `{field}` is {found}, expected {expected}")]
    Recipe {
        /// The field.
        field: &'static str,
        /// What the recipe says.
        found: String,
        /// What would be accepted here.
        expected: String,
    },
    /// Not enough memory.
    #[error("memory: {} MiB available, {} MiB needed (an estimate, with {workspace_mib} MiB of workspace)", available >> 20, needed >> 20)]
    Memory {
        /// What there is, bytes.
        available: u64,
        /// What is needed, bytes.
        needed: u64,
        /// The workspace counted in.
        workspace_mib: u32,
    },
    /// Not enough space.
    #[error("{}: {} MiB of disk space available, {} MiB needed", directory.display(), available >> 20, needed >> 20)]
    Disk {
        /// The cache.
        directory: PathBuf,
        /// What there is, bytes.
        available: u64,
        /// What is needed, bytes.
        needed: u64,
    },
    /// The cache cannot be used.
    #[error(transparent)]
    Cache(#[from] CacheError),
    /// The build was stopped.
    #[error(
        "the build was stopped after {seconds:.0} s; nothing was kept but what was measured, for the next build"
    )]
    Cancelled {
        /// How long it had run.
        seconds: f64,
    },
    /// There is no self-test for the network.
    #[error("the engine could not be tested")]
    SelfTest(#[from] SelfTestError),
    /// The engine failed in the self-test.
    #[error("the engine that was built fails on the self-test")]
    Run(#[source] EngineError),
    /// The engine computes something else than the network.
    #[error(
        "the engine that was built gives wrong answers: error {:.2e} (at most {:.1e}), rms {:.2e} (at most {:.1e}); element {} of {} is {}, expected {}",
        .0.largest, .0.tolerance.largest, .0.rms, .0.tolerance.rms, .0.worst.0, .0.output, .0.worst.1, .0.worst.2
    )]
    Wrong(Box<Comparison>),
}

impl BuildError {
    /// What `TensorRT` refused.
    pub(super) fn tensorrt(error: tensorrt_rs::TensorRtError) -> Self {
        Self::TensorRt(Box::new(error))
    }
}
