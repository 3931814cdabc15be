//! Running a network.
use crate::grid::GridOutput;
use occdepth_contract::Contract;
use occdepth_geometry::network::GeometryInputs;
use std::time::Duration;

/// Times of one run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct EngineTimes {
    /// Images in to logits out.
    pub infer: Duration,
    /// Logits to labels.
    pub label: Duration,
}

/// What an engine is, for health, `network show` and the ring.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EngineDescription {
    /// "cpu (rten 0.27, 2 threads)".
    pub name: String,
    /// SHA-256 of the ONNX file.
    pub network_sha256: [u8; 32],
    /// SHA-256 of what actually runs (a TensorRT plan); the network's for the CPU engine.
    pub engine_sha256: [u8; 32],
}

/// A network ready to run.
pub trait Engine: Send {
    fn description(&self) -> &EngineDescription;
    fn contract(&self) -> &Contract;
    /// Takes the geometry inputs of a rig once; every later run uses them.
    fn bind(&mut self, geometry: &GeometryInputs) -> Result<(), EngineError>;
    /// Runs one frame: `images` is f32 [V, 3, H, W] of the contract, `output` memory of the caller.
    fn run(&mut self, images: &[f32], output: GridOutput<'_>) -> Result<EngineTimes, EngineError>;
}

#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    #[error("todo")]
    Todo,
}
