//! Whether this machine can build an engine at all, asked before ten minutes are spent on it.

use super::BuildError;
use crate::board::{Root, memory};
use std::path::Path;

/// What a build needs of the machine, bytes. Estimates: nobody but the builder knows, and it does not say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Needs {
    /// Memory beside the workspace.
    pub memory: u64,
    /// Space where the cache lies.
    pub disk: u64,
}

/// What a process and the libraries of CUDA and `TensorRT` take before they have seen a network: `TensorRT`'s release
/// notes and users of Jetson boards report 0.5 to 1 GiB.
const LIBRARIES: u64 = 768 << 20;
/// The parser's copy of the weights, the builder's in the engine's precision, and the serialised plan.
const COPIES_OF_WEIGHTS: u64 = 4;
/// Plans hold kernels beside weights.
const PLAN_OVERHEAD: u64 = 128 << 20;
/// The least workspace that is worth a build.
const LEAST_WORKSPACE_MIB: u32 = 64;
/// The most that is chosen where neither the recipe nor the board says anything; a recipe may say more.
const MOST_WORKSPACE_MIB: u64 = 4096;

impl Needs {
    /// What a network of `bytes` (its file and external data) needs whose engine holds `running` bytes beside its weights
    /// (the builder runs what it measures).
    pub fn of_network(bytes: u64, running: u64) -> Self {
        Self {
            memory: LIBRARIES + COPIES_OF_WEIGHTS * bytes + running,
            disk: PLAN_OVERHEAD + 2 * bytes,
        }
    }

    /// Checks that the disk under `directory` has room.
    ///
    /// # Errors
    /// [`BuildError::Disk`] with what there is and what is needed.
    pub fn check_disk(&self, directory: &Path) -> Result<(), BuildError> {
        let Some(available) = disk_available(directory) else { return Ok(()) };
        if available >= self.disk {
            return Ok(());
        }
        Err(BuildError::Disk { directory: directory.to_owned(), available, needed: self.disk })
    }

    /// The workspace in MiB: what the recipe says if there is memory for it, else as much as the board's profile says
    /// and half of what is left allows.
    ///
    /// `memory` is what is available in bytes: the system's, and on a card of its own the card's.
    ///
    /// # Errors
    /// [`BuildError::Memory`] with what there is and what is needed.
    pub fn workspace_mib(
        &self,
        memory: Memory,
        recipe: Option<u32>,
        board: Option<u32>,
    ) -> Result<u32, BuildError> {
        let least = |mib: u32| u64::from(mib) << 20;
        let refuse = |workspace: u32| {
            Err(BuildError::Memory {
                available: memory.system.min(memory.device.unwrap_or(u64::MAX)),
                needed: self.memory + least(workspace),
                workspace_mib: workspace,
            })
        };
        // On an integrated GPU one memory serves both.
        let left = match memory.device {
            None => memory.system.saturating_sub(self.memory),
            Some(_) if memory.system < self.memory => {
                return refuse(recipe.unwrap_or(LEAST_WORKSPACE_MIB));
            }
            Some(device) => device.saturating_sub(self.memory),
        };
        if let Some(mib) = recipe {
            return if left >= least(mib) { Ok(mib) } else { refuse(mib) };
        }
        let half_mib = (left / 2) >> 20;
        let chosen = half_mib.min(board.map_or(MOST_WORKSPACE_MIB, u64::from));
        match u32::try_from(chosen) {
            Ok(mib) if mib >= LEAST_WORKSPACE_MIB => Ok(mib),
            _ => refuse(LEAST_WORKSPACE_MIB),
        }
    }
}

/// Memory that is available, bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Memory {
    /// The system's.
    pub system: u64,
    /// The GPU's, where it has its own.
    pub device: Option<u64>,
}

/// Memory that the system could give without swapping, bytes; None where it does not say.
pub fn memory_available() -> Option<u64> {
    memory::read(&Root::system()).known().map(|memory| memory.available_bytes)
}

/// Space that this user may fill where `path` lies, bytes; None where it does not exist.
pub fn disk_available(path: &Path) -> Option<u64> {
    let facts = rustix::fs::statvfs(path).ok()?;
    facts.f_bavail.checked_mul(facts.f_frsize)
}
