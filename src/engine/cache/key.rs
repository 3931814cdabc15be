//! What an engine was built from and for. Whatever changes of it makes the engine another one.

use crate::engine::recipe::{ProfilingDetail, Recipe, RecipePrecision};
use occdepth_contract::hex;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use std::fmt;

/// What an engine was built from and for.
///
/// The shapes of a network are static, so there is no optimisation profile to tell apart.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EngineKey {
    /// SHA-256 of the network's file and its external data, lower-case hex.
    pub network_sha256: String,
    /// Full version of `TensorRT`, such as "10.3.0".
    pub tensorrt: String,
    /// Version of CUDA that the driver speaks, such as "12.6".
    pub cuda: String,
    /// Version of the driver, such as "540.4.0"; empty where the system does not say.
    pub driver: String,
    /// The GPU.
    pub device: DeviceIdentity,
    /// Arithmetic.
    pub precision: RecipePrecision,
    /// Whether fp32 layers may use TF32.
    pub tf32: bool,
    /// How long the builder searched.
    pub optimization_level: u8,
    /// Scratch memory it could use, MiB, as the recipe says; None: chosen at the build.
    pub workspace_mib: Option<u32>,
    /// The board whose profile bounds the workspace, where the recipe names one.
    pub board: Option<String>,
    /// The DLA that runs what it can.
    pub dla_core: Option<u8>,
    /// Whether the GPU runs what the DLA cannot.
    pub gpu_fallback: bool,
    /// What the engine says about its layers.
    pub profiling: ProfilingDetail,
}

/// A GPU, as far as it matters to an engine.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DeviceIdentity {
    /// As the driver names it: "Orin".
    pub name: String,
    /// "8.7".
    pub compute_capability: String,
    /// Streaming multiprocessors; boards of one name differ in it, and so do power modes.
    pub multiprocessors: u32,
    /// Memory of the device in MiB. Not in bytes: what firmware keeps for itself differs from boot to boot.
    pub memory_mib: u64,
}

/// The first thing that differs between an engine and the machine or the recipe.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyDifference {
    /// The field of [`EngineKey`].
    pub field: &'static str,
    /// What the engine was built for.
    pub built: String,
    /// What there is now.
    pub now: String,
}

impl EngineKey {
    /// The key of an engine that `recipe` makes of a network, by a version of `TensorRT`, on a device.
    pub fn new(
        network_sha256: [u8; 32],
        recipe: &Recipe,
        tensorrt: impl fmt::Display,
        cuda: impl Into<String>,
        driver: impl Into<String>,
        device: DeviceIdentity,
    ) -> Self {
        Self {
            network_sha256: hex::digits(&network_sha256),
            tensorrt: tensorrt.to_string(),
            cuda: cuda.into(),
            driver: driver.into(),
            device,
            precision: recipe.precision,
            tf32: recipe.tf32,
            optimization_level: recipe.optimization_level,
            workspace_mib: recipe.workspace_mib,
            board: recipe.board.clone(),
            dla_core: recipe.dla_core,
            gpu_fallback: recipe.gpu_fallback,
            profiling: recipe.profiling,
        }
    }

    /// SHA-256 of the key, lower-case hex.
    ///
    /// # Panics
    /// Never: strings and numbers always have a JSON form.
    pub fn digest(&self) -> String {
        let json = serde_json::to_vec(self).expect("strings and numbers have a JSON form");
        hex::digits(&Sha256::digest(json))
    }

    /// What differs from `now`, most telling first; None: nothing.
    pub fn difference(&self, now: &Self) -> Option<KeyDifference> {
        let fields = |key: &Self| {
            let optional = |value: Option<String>| value.unwrap_or_else(|| "none".into());
            [
                ("network_sha256", key.network_sha256.clone()),
                ("tensorrt", key.tensorrt.clone()),
                ("device.name", key.device.name.clone()),
                ("device.compute_capability", key.device.compute_capability.clone()),
                ("device.multiprocessors", key.device.multiprocessors.to_string()),
                ("device.memory_mib", key.device.memory_mib.to_string()),
                ("driver", key.driver.clone()),
                ("cuda", key.cuda.clone()),
                ("precision", key.precision.name().into()),
                ("tf32", key.tf32.to_string()),
                ("optimization_level", key.optimization_level.to_string()),
                ("workspace_mib", optional(key.workspace_mib.map(|mib| mib.to_string()))),
                ("board", optional(key.board.clone())),
                ("dla_core", optional(key.dla_core.map(|core| core.to_string()))),
                ("gpu_fallback", key.gpu_fallback.to_string()),
                ("profiling", format!("{:?}", key.profiling)),
            ]
        };
        fields(self)
            .into_iter()
            .zip(fields(now))
            .find(|((_, built), (_, now))| built != now)
            .map(|((field, built), (_, now))| KeyDifference { field, built, now })
    }
}

impl fmt::Display for KeyDifference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { field, built, now } = self;
        write!(f, "it was built with `{field}` {built}, now it is {now}")
    }
}
