//! Running a network.
//!
//! An [`Engine`] is one network of one file, ready to run on one kind of hardware. The network takes
//! images and, because it serves every rig with the same image size, the geometry of the rig as further
//! inputs. Geometry changes only when the rig does, so an engine takes it once, in [`Engine::bind`], and
//! every frame then costs one [`Engine::run`] into memory of the caller:
//!
//! | step | when | what crosses the boundary |
//! |---|---|---|
//! | [`CpuEngine::open`] | once | the file: its [`Contract`], its weights |
//! | [`Engine::bind`] | once for each rig | [`GeometryInputs`], checked to the last index, and [`LabelOptions`] |
//! | [`Engine::run`] | each frame | images in, labels out; the logits stay inside unless asked for |
//!
//! What an engine refuses it refuses by field: see [`EngineError`].
//!
//! # Example
//!
//! ```
//! use occdepth::engine::{CpuEngine, EngineError};
//! use std::path::Path;
//!
//! // Whatever is wrong with a network is said before a frame is spent on it.
//! let refused = CpuEngine::open(Path::new("no/such/network.onnx"), None);
//! assert!(matches!(refused, Err(EngineError::Read { .. })));
//! ```

pub mod build;
pub mod cache;
pub mod cpu;
mod error;
mod geometry;
pub mod machine;
pub mod recipe;

pub use cpu::{BUNDLED_NAME, BUNDLED_NETWORK, CpuEngine};
pub use error::EngineError;

use crate::grid::{GridOutput, LabelOptions};
use occdepth_contract::Contract;
use occdepth_geometry::network::GeometryInputs;
use std::time::Duration;

/// A network ready to run.
pub trait Engine: Send {
    /// What this engine is.
    fn description(&self) -> &EngineDescription;

    /// What the network promises, from the metadata of its file.
    fn contract(&self) -> &Contract;

    /// Takes the geometry of a rig and how its grids are labelled; every later run uses them, until the
    /// next call. What depends on the geometry alone is computed here.
    ///
    /// # Errors
    /// Tensors that the contract does not ask for or of another length, an index that lies outside
    /// what it indexes, a weight that is not finite, or a class table that cannot be labelled. The
    /// engine then keeps what it was bound to before.
    fn bind(&mut self, geometry: &GeometryInputs, labels: LabelOptions) -> Result<(), EngineError>;

    /// Runs one frame. `images` is f32 `[V, 3, H, W]` of the contract, normalised as it says; `output`
    /// is memory of the caller.
    ///
    /// # Errors
    /// [`EngineError::Unbound`] before the first [`Engine::bind`], images or outputs of another length
    /// than the contract's, and failures of the runtime. The output is then unspecified; the engine can
    /// be used again.
    fn run(&mut self, images: &[f32], output: GridOutput<'_>) -> Result<EngineTimes, EngineError>;
}

/// What an engine is, for health, `occdepth network show` and the ring.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EngineDescription {
    /// For people: "cpu (rten 0.27, 2 threads)".
    pub name: String,
    /// SHA-256 of the network's ONNX file.
    pub network_sha256: [u8; 32],
    /// SHA-256 of what actually runs (a `TensorRT` plan); the CPU engine has nothing but the network.
    pub engine_sha256: [u8; 32],
}

/// How long the parts of one run took.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct EngineTimes {
    /// Images in to logits out.
    pub infer: Duration,
    /// Logits to labels.
    pub label: Duration,
}
