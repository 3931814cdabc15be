//! A frame, from camera pixels in memory of the host to labels in memory of the host, on one stream.
//!
//! ```text
//! stage    copy of the pair into pinned memory            host; the slot that is not in flight
//! submit   upload ─ rectify ─ network ─ label ─ download  device, queued at once, in order
//!                             └────── one graph ────────┘
//! collect  wait, copy of labels and confidences           host
//! ```
//!
//! - There are two slots: while one frame is in flight the next pair can be staged, as often as a newer one arrives; a
//!   frame is submitted when the one before it has been collected, so nothing queues up.
//! - On an integrated GPU ([`MemoryUse`]) uploads and downloads fall away: the kernels read and write the pinned memory.
//! - Network, labels and download are captured as a CUDA graph at the start, where the network allows that; upload and
//!   rectification are two or three launches in front of it, so that their end can be waited for: the images may be
//!   downloaded while the network runs ([`FramePath::images`]).
//! - An error after which the context is useless makes everything anew, once, where the driver allows that:
//!   see [`CudaError::Recovered`].
//!
//! After [`FramePath::warm_up`] no call but [`FramePath::run`] allocates, and none logs, unless something fails.

mod network;
mod session;
mod tensorrt;
mod transfer;

pub use network::{DeviceNetwork, NetworkSource, Tensor, ValueKind};
pub use tensorrt::{LayerTime, LayerTimes, PlanSource, ReadPlan};

use crate::context::Context;
use crate::device::Device;
use crate::error::CudaError;
use crate::kernels::{LabelPlan, RectifyPlan};
use crate::module::KernelSource;
use session::Session;
use std::time::Duration;

/// How a frame path is to work.
#[derive(Clone, Debug)]
pub struct FrameOptions {
    /// The network's input for images.
    pub images: String,
    /// The network's output of logits.
    pub logits: String,
    /// 3 H W: values of one view of the images.
    pub view_values: usize,
    /// How pixels and labels cross between host and device.
    pub memory: MemoryUse,
    /// Whether to try a CUDA graph.
    pub graph: bool,
    /// Where kernels come from.
    pub kernels: KernelSource,
}

impl FrameOptions {
    fn maps(&self, device: &Device) -> bool {
        device.can_map_host_memory()
            && match self.memory {
                MemoryUse::Auto => device.is_integrated(),
                MemoryUse::Copied => false,
                MemoryUse::Mapped => true,
            }
    }
}

/// How pixels and labels cross between host and device.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum MemoryUse {
    /// [`MemoryUse::Mapped`] on a GPU that shares its memory with the CPU, else [`MemoryUse::Copied`].
    #[default]
    Auto,
    /// Copied to memory of the device and back.
    Copied,
    /// Kernels use the host's pinned memory; where a device cannot do that, as [`MemoryUse::Copied`].
    Mapped,
}

/// Whether frames run as a CUDA graph.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum GraphUse {
    /// Not asked for, or not warmed up yet.
    #[default]
    Off,
    /// Yes.
    Captured,
    /// No: the network does not allow it, and why.
    Refused(String),
}

/// A camera's image, borrowed. [`RectifyPlan`] says format and size.
#[derive(Clone, Copy, Debug)]
pub struct CameraImage<'a> {
    /// The pixels; Y of NV12.
    pub pixels: &'a [u8],
    /// Bytes from row to row.
    pub stride: usize,
    /// Interleaved U, V of NV12 and its bytes from row to row.
    pub chroma: Option<(&'a [u8], usize)>,
}

/// How long the device took.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FrameTimes {
    /// Upload and rectification.
    pub rectify: Duration,
    /// The network.
    pub infer: Duration,
    /// Labels and download.
    pub label: Duration,
    /// On the host: queueing network, labels and download. Not beside the others but part of the frame thread's time.
    pub enqueue: Duration,
}

use FrameTimes as Times;

/// What was asked of a frame path: enough to make it anew in another context.
#[derive(Default)]
struct Setup {
    /// Inputs by name, in the engine's own types.
    inputs: Vec<(String, Vec<u8>)>,
    labels: Option<LabelPlan>,
    rectify: Option<RectifyPlan>,
}

/// Values of an input.
#[derive(Clone, Copy, Debug)]
pub enum InputValues<'a> {
    /// Converted where the engine takes half precision.
    F32(&'a [f32]),
    /// Indices.
    I32(&'a [i32]),
}

/// The stages of a frame on one GPU.
pub struct FramePath {
    device: Device,
    source: Box<dyn NetworkSource>,
    options: FrameOptions,
    setup: Setup,
    /// None: lost.
    session: Option<Session>,
    warm: bool,
    /// No frame has succeeded since the context was made anew.
    fragile: bool,
}

impl FramePath {
    /// Loads the network of `source` onto `device`.
    ///
    /// # Errors
    /// No memory, a network that is refused, or one without the tensors that `options` name.
    pub fn new(
        device: &Device,
        mut source: Box<dyn NetworkSource>,
        options: FrameOptions,
    ) -> Result<Self, CudaError> {
        let context = Context::new(device)?;
        let network = source.load(&context)?;
        let setup = Setup::default();
        let session = Session::new(context, network, &options, &setup)?;
        Ok(Self {
            device: device.clone(),
            source,
            options,
            setup,
            session: Some(session),
            warm: false,
            fragile: false,
        })
    }

    /// The GPU.
    pub fn device(&self) -> &Device {
        &self.device
    }

    /// Whether kernels use the host's memory.
    pub fn is_mapped(&self) -> bool {
        self.options.maps(&self.device)
    }

    /// Whether frames run as a CUDA graph; known after [`FramePath::warm_up`].
    pub fn graph(&self) -> GraphUse {
        self.session.as_ref().map_or(GraphUse::Off, |session| session.graph().clone())
    }

    /// Of each kernel: its name, registers a thread, and bytes a thread that did not fit them.
    pub fn footprints(&self) -> Vec<(&'static str, u32, u32)> {
        self.session.as_ref().map(Session::footprints).unwrap_or_default()
    }

    /// The network's inputs and outputs.
    ///
    /// # Errors
    /// A context that was lost.
    pub fn tensors(&self) -> Result<&[Tensor], CudaError> {
        self.session.as_ref().map(Session::tensors).ok_or_else(lost)
    }

    /// Gives an input its values, which are kept for a context that has to be made anew.
    ///
    /// # Errors
    /// An input that the engine does not have, or of another length or type.
    pub fn bind(&mut self, name: &str, values: InputValues<'_>) -> Result<(), CudaError> {
        let tensor = self.tensors()?.iter().find(|tensor| tensor.name == name && tensor.is_input);
        let shape = |found: String, expected: String| CudaError::Shape {
            what: format!("input `{name}`"),
            found,
            expected,
        };
        let Some(tensor) = tensor else {
            return Err(shape("nothing of that name in the engine".into(), "an input".into()));
        };
        let (length, bytes) = match (values, tensor.kind) {
            (InputValues::F32(values), ValueKind::F32 | ValueKind::F16) => {
                (values.len(), transfer::to_kind(values, tensor.kind))
            }
            (InputValues::I32(values), ValueKind::I32) => {
                (values.len(), values.iter().flat_map(|value| value.to_ne_bytes()).collect())
            }
            (InputValues::F32(_), kind) => {
                return Err(shape(format!("{kind:?}"), "F32 or F16".into()));
            }
            (InputValues::I32(_), kind) => return Err(shape(format!("{kind:?}"), "I32".into())),
        };
        if length != tensor.values {
            return Err(shape(format!("{length} values"), tensor.values.to_string()));
        }
        self.attempt(|session, _| session.bind(name, &bytes))?;
        self.setup.inputs.retain(|(known, _)| known != name);
        self.setup.inputs.push((name.into(), bytes));
        Ok(())
    }

    /// Labels by `plan` from now on.
    ///
    /// # Errors
    /// A plan that does not fit the network, a kernel that cannot be compiled, no memory.
    pub fn label_by(&mut self, plan: LabelPlan) -> Result<(), CudaError> {
        self.warm = false;
        self.attempt(|session, options| session.label_by(&plan, options))?;
        self.setup.labels = Some(plan);
        Ok(())
    }

    /// Rectifies by `plan` from now on.
    ///
    /// # Errors
    /// As [`FramePath::label_by`].
    pub fn rectify_by(&mut self, plan: RectifyPlan) -> Result<(), CudaError> {
        self.attempt(|session, options| session.rectify_by(&plan, options))?;
        self.setup.rectify = Some(plan);
        Ok(())
    }

    /// Runs the network on nothing, so that no frame has to wait for what a first run does, and captures the graph.
    /// Labels and geometry must have been bound. A first frame does it where nobody else has.
    ///
    /// # Errors
    /// A network that fails.
    pub fn warm_up(&mut self) -> Result<(), CudaError> {
        if !self.warm {
            self.attempt(Session::warm_up)?;
            self.warm = true;
        }
        Ok(())
    }

    /// Copies a pair to where the device finds it, while another frame may be in flight. A pair that was staged and not
    /// submitted is replaced.
    ///
    /// # Errors
    /// Images that are shorter than the plan says.
    pub fn stage(&mut self, pair: &[CameraImage<'_>; 2]) -> Result<(), CudaError> {
        let session = self.session.as_mut().ok_or_else(lost)?;
        match session.stage(pair) {
            Err(error) if error.is_sticky() => Err(self.recover(error)),
            result => result,
        }
    }

    /// Queues the staged pair; it is in flight until it is collected.
    ///
    /// # Errors
    /// Nothing staged, a frame in flight, or a device that fails: see [`CudaError::is_recoverable`].
    pub fn submit(&mut self) -> Result<(), CudaError> {
        self.warm_up()?;
        self.attempt(|session, _| session.submit())
    }

    /// Whether the frame in flight is done, without waiting.
    ///
    /// # Errors
    /// No frame in flight, or a device that fails.
    pub fn is_done(&mut self) -> Result<bool, CudaError> {
        self.attempt(|session, _| session.is_done())
    }

    /// Values from `first` on of the images of the frame in flight, f32 `[2, 3, H, W]`: waits for the rectification only.
    ///
    /// # Errors
    /// No frame in flight, or a device that fails.
    pub fn images(&mut self, first: usize, out: &mut [f32]) -> Result<(), CudaError> {
        self.attempt(|session, _| session.images(first, out))
    }

    /// Waits for the frame in flight and copies its grid: class ids, probabilities (255 = 1.0), and, where wanted, the
    /// logits as f32.
    ///
    /// # Errors
    /// No frame in flight, outputs of another length, or a device that fails; the frame is then lost.
    pub fn collect(
        &mut self,
        labels: &mut [u8],
        confidence: Option<&mut [u8]>,
        logits: Option<&mut [f32]>,
    ) -> Result<FrameTimes, CudaError> {
        let times = self.attempt(|session, _| session.collect(labels, confidence, logits))?;
        self.fragile = false;
        Ok(times)
    }

    /// Runs the network on images of the host, f32 `[V, 3, H, W]`, and waits for it. Allocates.
    ///
    /// # Errors
    /// As [`FramePath::submit`] and [`FramePath::collect`].
    pub fn run(
        &mut self,
        images: &[f32],
        labels: &mut [u8],
        confidence: Option<&mut [u8]>,
        logits: Option<&mut [f32]>,
    ) -> Result<FrameTimes, CudaError> {
        let expected = self.tensors()?.iter().find(|tensor| tensor.name == self.options.images);
        let expected = expected.map_or(0, |tensor| tensor.values);
        if images.len() != expected {
            return Err(CudaError::Shape {
                what: format!("input `{}`", self.options.images),
                found: format!("{} values", images.len()),
                expected: expected.to_string(),
            });
        }
        self.warm_up()?;
        self.attempt(|session, _| session.submit_images(images))?;
        self.collect(labels, confidence, logits)
    }

    /// How long the device takes to copy `bytes` of its memory: what a kernel that moves as many is measured against.
    ///
    /// # Errors
    /// No memory, a frame in flight, or a device that fails.
    pub fn time_copy(&mut self, bytes: usize) -> Result<Duration, CudaError> {
        self.attempt(|session, _| session.time_copy(bytes))
    }

    /// How long the rectification kernel takes the device, without transfers.
    ///
    /// # Errors
    /// No rectification or labels yet, a frame in flight, or a device that fails.
    pub fn time_rectify(&mut self) -> Result<Duration, CudaError> {
        self.attempt(|session, _| session.time_rectify())
    }

    /// How long the label kernel takes the device, without transfers.
    ///
    /// # Errors
    /// As [`FramePath::time_rectify`].
    pub fn time_label(&mut self) -> Result<Duration, CudaError> {
        self.attempt(|session, _| session.time_label())
    }

    /// Does `work`. After a failure nothing is in flight; after one that took the context with it, there is another.
    fn attempt<T>(
        &mut self,
        work: impl FnOnce(&mut Session, &FrameOptions) -> Result<T, CudaError>,
    ) -> Result<T, CudaError> {
        let session = self.session.as_mut().ok_or_else(lost)?;
        let current = session.context().make_current();
        let error = match current.and_then(|()| work(session, &self.options)) {
            Ok(value) => return Ok(value),
            // Said wrongly, not done wrongly.
            Err(error @ CudaError::Shape { .. }) => return Err(error),
            Err(error) => error,
        };
        // An error of the network's, or one that came late, may hide one of the context's. Where the device cannot even be
        // waited for, nothing is known of what it still does: its buffers must not be used again.
        if let Err(settled) = session.settle() {
            return Err(self.recover(settled));
        }
        Err(if error.is_sticky() { self.recover(error) } else { error })
    }

    /// Makes everything anew in another context.
    #[cold]
    fn recover(&mut self, cause: CudaError) -> CudaError {
        self.session = None;
        if std::mem::replace(&mut self.fragile, true) {
            return CudaError::Lost { cause: Box::new(cause) };
        }
        if session::any_alive() {
            log::error!(
                "the GPU failed: {cause}; its context has other users in this process and stays"
            );
            return CudaError::Lost { cause: Box::new(cause) };
        }
        log::error!("the GPU failed: {cause}; making its context anew");
        let was_warm = std::mem::take(&mut self.warm);
        let rebuilt = (|| {
            Context::reset(&self.device)?;
            let context = Context::new(&self.device)?;
            let network = self.source.load(&context)?;
            let mut session = Session::new(context, network, &self.options, &self.setup)?;
            if was_warm {
                session.warm_up(&self.options)?;
            }
            Ok::<Session, CudaError>(session)
        })();
        match rebuilt {
            Ok(session) => {
                self.session = Some(session);
                self.warm = was_warm;
                CudaError::Recovered { cause: Box::new(cause) }
            }
            Err(error) => {
                log::error!("no other context is to be had in this process: {error}");
                CudaError::Lost { cause: Box::new(cause) }
            }
        }
    }
}

impl std::fmt::Debug for FramePath {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("FramePath")
            .field("device", &self.device.name())
            .field("options", &self.options)
            .field("session", &self.session)
            .finish_non_exhaustive()
    }
}

fn lost() -> CudaError {
    CudaError::Gone
}
