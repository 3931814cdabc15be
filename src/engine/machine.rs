//! What an engine is built for: the GPU, its driver, and the `TensorRT` of this machine.

use super::cache::{DeviceIdentity, EngineKey};
use super::recipe::Recipe;

/// What this machine runs engines with.
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

impl Machine {
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
    pub fn refuses(&self, key: &EngineKey) -> Option<super::cache::KeyDifference> {
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
