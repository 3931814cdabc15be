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
mod gpu;
pub mod machine;
pub mod profile;
pub mod recipe;
pub mod tensorrt;

pub use cpu::{
    BUNDLED_NAME, BUNDLED_NETWORK, BUNDLED_SELF_TEST, BUNDLED_SELF_TEST_NAME, CpuEngine,
};
pub use error::EngineError;
pub use gpu::{GpuEngine, GpuOptions};

use crate::grid::{GridOutput, LabelOptions};
use occdepth_contract::Contract;
use occdepth_cuda::{CameraImage, RectifyPlan};
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
    /// engine then keeps what it was bound to before, unless a device failed: then it is unbound.
    fn bind(&mut self, geometry: &GeometryInputs, labels: LabelOptions) -> Result<(), EngineError>;

    /// Runs one frame. `images` is f32 `[V, 3, H, W]` of the contract, normalised as it says; `output`
    /// is memory of the caller.
    ///
    /// # Errors
    /// [`EngineError::Unbound`] before the first [`Engine::bind`], images or outputs of another length
    /// than the contract's, and failures of the runtime. The output is then unspecified; the engine can
    /// be used again.
    fn run(&mut self, images: &[f32], output: GridOutput<'_>) -> Result<EngineTimes, EngineError>;

    /// The engine as one that takes pairs as the cameras have them, if it is one: pixels then go where it runs, and
    /// nothing but labels comes back.
    fn frames(&mut self) -> Option<&mut dyn FrameEngine> {
        None
    }
}

/// An engine that rectifies where it runs, and so can work on one frame while the next one is being captured.
///
/// A frame is staged (copied out of the camera's memory), submitted, and collected. While one is in flight, others may be
/// staged, of which the last counts.
pub trait FrameEngine {
    /// Rectifies as `plan` says from now on.
    ///
    /// # Errors
    /// A plan that does not fit the network, or no memory for it.
    fn fit(&mut self, plan: RectifyPlan) -> Result<(), EngineError>;

    /// Copies a pair; it may be taken back by its owner afterwards.
    ///
    /// # Errors
    /// Images that are shorter than the plan says, or a device that fails.
    fn stage(&mut self, pair: &[CameraImage<'_>; 2]) -> Result<(), EngineError>;

    /// Starts on the staged pair.
    ///
    /// # Errors
    /// Nothing staged, a frame in flight already, or a device that fails.
    fn submit(&mut self) -> Result<(), EngineError>;

    /// Whether the frame in flight is done.
    ///
    /// # Errors
    /// No frame in flight, or a device that fails; the frame is then lost.
    fn is_done(&mut self) -> Result<bool, EngineError>;

    /// Values from `first` on of the rectified images of the frame in flight, f32 `[2, 3, H, W]`, as soon as they are there.
    ///
    /// # Errors
    /// As [`FrameEngine::is_done`].
    fn images(&mut self, first: usize, values: &mut [f32]) -> Result<(), EngineError>;

    /// Waits for the frame in flight and takes its grid.
    ///
    /// # Errors
    /// As [`FrameEngine::is_done`], and outputs of another length.
    fn collect(&mut self, output: GridOutput<'_>) -> Result<FrameEngineTimes, EngineError>;
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
    /// Whether it runs in the place of one that this machine should have: the CPU's, though there is a GPU.
    pub substitute: bool,
}

/// How long the parts of a frame took.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FrameEngineTimes {
    /// The camera's pixels in to images.
    pub rectify: Duration,
    /// The rest.
    pub engine: EngineTimes,
}

/// How long the parts of one run took.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct EngineTimes {
    /// Images in to logits out.
    pub infer: Duration,
    /// Logits to labels.
    pub label: Duration,
    /// What of `infer` the host spent handing the work over; zero where the host does the work itself.
    pub enqueue: Duration,
}
