//! Everything of the frame path that belongs to a context, and goes with it.
#![allow(unsafe_code, reason = "work that is queued on a stream with buffers of this value")]

use super::network::{DeviceNetwork, Tensor, ValueKind};
use super::transfer::{from_kind, stage_pair, to_kind};
use super::{CameraImage, FrameOptions, FrameTimes, GraphUse, Setup, Times};
use crate::context::Context;
use crate::error::CudaError;
use crate::kernels::{LabelPlan, Labelling, Rectification, RectifyBuffers, RectifyPlan};
use crate::memory::{DeviceBuffer, HostBuffer};
use crate::module::Kernel;
use crate::stream::{Event, Graph, Stream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

/// Buffers, kernels and the network, in one context.
///
/// # Why this is sound
///
/// Work is queued on one stream, with addresses of buffers that this value owns, and fields are dropped in the order in
/// which they are declared: the streams first, which waits for what is queued on them. Buffers of a slot are touched by the
/// host only while none of its work is queued: [`Session::in_flight`] says which slot's is.
#[derive(Debug)]
pub(super) struct Session {
    stream: Stream,
    /// For the images, while the network runs.
    side: Stream,
    slots: [Option<Slot>; 2],
    /// The slot whose work is queued.
    in_flight: Option<usize>,
    /// The slot that holds a pair to be submitted.
    staged: Option<usize>,
    network: Network,
    /// One per tensor of the network.
    buffers: Vec<DeviceBuffer>,
    rectify: Option<Rectify>,
    label: Option<Label>,
    graph: GraphUse,
    images: usize,
    logits: usize,
    context: Arc<Context>,
    _alive: Alive,
}

/// Counts the sessions of this process.
#[derive(Debug)]
struct Alive;

static ALIVE: AtomicUsize = AtomicUsize::new(0);

impl Alive {
    fn new() -> Self {
        ALIVE.fetch_add(1, Ordering::SeqCst);
        Self
    }
}

impl Drop for Alive {
    fn drop(&mut self) {
        ALIVE.fetch_sub(1, Ordering::SeqCst);
    }
}

/// Whether any session of this process still has handles into a context.
pub(super) fn any_alive() -> bool {
    ALIVE.load(Ordering::SeqCst) > 0
}

struct Network(Box<dyn DeviceNetwork>);

impl std::fmt::Debug for Network {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.tensors().fmt(f)
    }
}

#[derive(Debug)]
struct Rectify {
    plan: RectifyPlan,
    kernel: Kernel,
    samples: [Option<DeviceBuffer>; 2],
}

#[derive(Debug)]
struct Label {
    plan: LabelPlan,
    kernel: Kernel,
    hidden: Option<DeviceBuffer>,
}

/// What one frame needs for itself, so that the next one can be staged meanwhile.
#[derive(Debug)]
struct Slot {
    graph: Option<Graph>,
    /// A pair as the cameras have it; none before the rectification is known.
    pair: Option<Pair>,
    labelling: Labelling,
    /// Labels, then confidences.
    grid: Memory,
    start: Event,
    rectified: Event,
    inferred: Event,
    done: Event,
    /// How long the host took to queue network, labels and download.
    enqueue: Duration,
}

#[derive(Debug)]
struct Pair {
    memory: Memory,
    rectification: Rectification,
}

/// Memory that host and device see.
#[derive(Debug)]
struct Memory {
    host: HostBuffer,
    /// None: the device uses the host's.
    device: Option<DeviceBuffer>,
}

impl Memory {
    fn new(
        context: &Arc<Context>,
        what: &'static str,
        bytes: usize,
        mapped: bool,
    ) -> Result<Self, CudaError> {
        let host = HostBuffer::new(context, what, bytes)?;
        let device = if mapped { None } else { Some(DeviceBuffer::new(context, what, bytes)?) };
        Ok(Self { host, device })
    }

    /// For kernels.
    fn address(&self) -> u64 {
        self.device.as_ref().map_or_else(|| self.host.address(), DeviceBuffer::address)
    }
}

impl Session {
    /// Loads the network and everything that `setup` knows into a context.
    pub(super) fn new(
        context: Arc<Context>,
        network: Box<dyn DeviceNetwork>,
        options: &FrameOptions,
        setup: &Setup,
    ) -> Result<Self, CudaError> {
        let alive = Alive::new();
        let mut network = Network(network);
        let find = |name: &str, is_input: bool| {
            let tensors = network.0.tensors();
            let found = tensors.iter().position(|t| t.name == name && t.is_input == is_input);
            found.ok_or_else(|| CudaError::Shape {
                what: "tensors of the engine".into(),
                found: tensors.iter().map(|t| t.name.as_str()).collect::<Vec<_>>().join(", "),
                expected: format!("an {} `{name}`", if is_input { "input" } else { "output" }),
            })
        };
        let (images, logits) = (find(&options.images, true)?, find(&options.logits, false)?);
        for nth in [images, logits] {
            let tensor = &network.0.tensors()[nth];
            if tensor.kind == ValueKind::I32 {
                return Err(CudaError::Shape {
                    what: format!("tensor `{}`", tensor.name),
                    found: "integers".into(),
                    expected: "f32 or f16".into(),
                });
            }
        }
        // Before the stream, so that an error on the way drops the stream first, which waits for what is queued on it.
        let mut buffers = Vec::new();
        let stream = Stream::new(&context)?;
        for (nth, tensor) in network.0.tensors().iter().enumerate() {
            let mut bytes = tensor.values * tensor.kind.bytes();
            if nth == images {
                // Both views, of which a network of one view sees the first: the calibration is watched on both.
                bytes = bytes.max(2 * options.view_values * tensor.kind.bytes());
            }
            let buffer = DeviceBuffer::new(&context, "a tensor of the network", bytes)?;
            stream.fill_now(&buffer, 0)?;
            buffers.push(buffer);
        }
        for (nth, buffer) in buffers.iter().enumerate() {
            // SAFETY: the buffer holds the tensor, and is dropped after the streams on which runs are queued.
            unsafe { network.0.set_address(nth, buffer.address()) }?;
        }
        let side = Stream::new(&context)?;
        let mut this = Self {
            stream,
            side,
            slots: [None, None],
            in_flight: None,
            staged: None,
            network,
            buffers,
            rectify: None,
            label: None,
            graph: GraphUse::Off,
            images,
            logits,
            context,
            _alive: alive,
        };
        for (name, bytes) in &setup.inputs {
            this.bind(name, bytes)?;
        }
        if let Some(plan) = &setup.labels {
            this.label_by(plan, options)?;
        }
        if let Some(plan) = &setup.rectify {
            this.rectify_by(plan, options)?;
        }
        Ok(this)
    }

    /// Its inputs and outputs.
    pub(super) fn tensors(&self) -> &[Tensor] {
        self.network.0.tensors()
    }

    pub(super) fn context(&self) -> &Arc<Context> {
        &self.context
    }

    pub(super) fn graph(&self) -> &GraphUse {
        &self.graph
    }

    /// Registers a thread and spilled bytes of each kernel.
    pub(super) fn footprints(&self) -> Vec<(&'static str, u32, u32)> {
        let kernels = [
            ("rectify", self.rectify.as_ref().map(|rectify| &rectify.kernel)),
            ("label", self.label.as_ref().map(|label| &label.kernel)),
        ];
        let footprint = |(name, kernel): (&'static str, Option<&Kernel>)| {
            let (registers, spilled) = kernel?.footprint().ok()?;
            Some((name, registers, spilled))
        };
        kernels.into_iter().filter_map(footprint).collect()
    }

    /// Uploads an input, in the engine's own type.
    pub(super) fn bind(&mut self, name: &str, bytes: &[u8]) -> Result<(), CudaError> {
        self.idle()?;
        let found = self.tensors().iter().position(|tensor| tensor.name == name && tensor.is_input);
        let Some(nth) = found else {
            return Err(CudaError::Shape {
                what: "inputs of the engine".into(),
                found: format!("no `{name}`"),
                expected: "an input for each geometry tensor".into(),
            });
        };
        self.stream.upload_now(bytes, &self.buffers[nth])
    }

    /// Labels by `plan` from now on.
    pub(super) fn label_by(
        &mut self,
        plan: &LabelPlan,
        options: &FrameOptions,
    ) -> Result<(), CudaError> {
        self.idle()?;
        plan.check()?;
        let logits = &self.tensors()[self.logits];
        let expected = plan.planes.len() * plan.voxels;
        if logits.values != expected {
            return Err(CudaError::Shape {
                what: format!("output `{}`", logits.name),
                found: format!("{} values", logits.values),
                expected: format!(
                    "{expected} ({} classes x {} voxels)",
                    plan.planes.len(),
                    plan.voxels
                ),
            });
        }
        let half = logits.kind == ValueKind::F16;
        let kernel = options.kernels.load(&self.context, &plan.source_text(half))?;
        let hidden = match &plan.hidden {
            Some(hidden) => {
                let buffer = DeviceBuffer::new(&self.context, "the visibility mask", hidden.len())?;
                self.stream.upload_now(hidden, &buffer)?;
                Some(buffer)
            }
            None => None,
        };
        // A plan is remembered by the frame path; the mask is on the device.
        let kept = LabelPlan { hidden: None, planes: plan.planes.clone(), ..*plan };
        self.slots = [None, None];
        self.staged = None;
        self.label = Some(Label { plan: kept, kernel, hidden });
        for nth in 0..2 {
            let slot = self.slot(options)?;
            self.slots[nth] = Some(slot);
        }
        self.pairs(options)
    }

    /// Rectifies by `plan` from now on.
    pub(super) fn rectify_by(
        &mut self,
        plan: &RectifyPlan,
        options: &FrameOptions,
    ) -> Result<(), CudaError> {
        self.idle()?;
        plan.check()?;
        let images = &self.tensors()[self.images];
        if plan.view_values() != options.view_values {
            return Err(CudaError::Shape {
                what: format!("input `{}`", images.name),
                found: format!("{} values a view", plan.view_values()),
                expected: options.view_values.to_string(),
            });
        }
        let half = images.kind == ValueKind::F16;
        let kernel = options.kernels.load(&self.context, &plan.source_text(half))?;
        let mut samples = [None, None];
        for (buffer, table) in samples.iter_mut().zip(&plan.samples) {
            if let Some(table) = table {
                let bytes: Vec<u8> = table.iter().flat_map(|entry| entry.to_ne_bytes()).collect();
                let new = DeviceBuffer::new(&self.context, "a rectification table", bytes.len())?;
                self.stream.upload_now(&bytes, &new)?;
                *buffer = Some(new);
            }
        }
        // Should what follows fail, no slot keeps addresses of the tables that go now.
        for slot in self.slots.iter_mut().flatten() {
            slot.pair = None;
        }
        let kept = RectifyPlan { samples: [None, None], ..*plan };
        self.rectify = Some(Rectify { plan: kept, kernel, samples });
        self.staged = None;
        self.pairs(options)
    }

    /// A slot without a pair.
    fn slot(&self, options: &FrameOptions) -> Result<Slot, CudaError> {
        let label = self.label.as_ref().ok_or_else(not_ready)?;
        let mapped = options.maps(self.context.device());
        let voxels = label.plan.voxels;
        let grid = Memory::new(&self.context, "labels", 2 * voxels, mapped)?;
        let labelling = Labelling::new(
            &label.plan,
            self.tensors()[self.logits].kind == ValueKind::F16,
            [
                self.buffers[self.logits].address(),
                label.hidden.as_ref().map_or(0, DeviceBuffer::address),
                grid.address(),
                grid.address() + voxels as u64,
            ],
        );
        Ok(Slot {
            graph: None,
            pair: None,
            labelling,
            grid,
            start: Event::new(&self.context)?,
            rectified: Event::new(&self.context)?,
            inferred: Event::new(&self.context)?,
            done: Event::new(&self.context)?,
            enqueue: Duration::ZERO,
        })
    }

    /// Gives each slot memory for a pair, where the rectification is known.
    fn pairs(&mut self, options: &FrameOptions) -> Result<(), CudaError> {
        let Some(rectify) = &self.rectify else { return Ok(()) };
        let mapped = options.maps(self.context.device());
        for slot in self.slots.iter_mut().flatten() {
            let bytes = rectify.plan.staging().bytes;
            let memory = Memory::new(&self.context, "a pair of images", bytes, mapped)?;
            let buffers = RectifyBuffers {
                pair: memory.address(),
                samples: rectify
                    .samples
                    .each_ref()
                    .map(|samples| samples.as_ref().map_or(0, DeviceBuffer::address)),
                images: self.buffers[self.images].address(),
            };
            let rectification = Rectification::new(&rectify.plan, &buffers, 2);
            slot.pair = Some(Pair { memory, rectification });
        }
        Ok(())
    }

    /// Runs the network once, and captures what follows the rectification, where graphs are wanted and possible.
    pub(super) fn warm_up(&mut self, options: &FrameOptions) -> Result<(), CudaError> {
        self.idle()?;
        // The first run settles what a network leaves for it; a graph must not hold that.
        for nth in 0..2 {
            self.infer(nth, false)?;
            self.stream.synchronize()?;
        }
        self.graph = GraphUse::Off;
        if !options.graph {
            return Ok(());
        }
        for nth in 0..2 {
            match self.capture(nth) {
                Ok(graph) => {
                    let slot = self.slots[nth].as_mut().ok_or_else(not_ready)?;
                    slot.graph = Some(graph);
                    self.graph = GraphUse::Captured;
                }
                Err(error) if error.is_sticky() => return Err(error),
                Err(error) => {
                    self.refuse_graph(&error);
                    break;
                }
            }
        }
        // The first launch of a graph uploads it, and may show that it cannot be launched; a failed capture must leave a
        // stream that works. Neither is for the first frame to find out.
        for nth in 0..2 {
            let launched = self.infer(nth, true).and_then(|()| self.stream.synchronize());
            match launched {
                Ok(()) => {}
                Err(error) if self.graph == GraphUse::Captured && !error.is_sticky() => {
                    self.refuse_graph(&error);
                    self.infer(nth, true)?;
                    self.stream.synchronize()?;
                }
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Goes on without graphs, and says why.
    fn refuse_graph(&mut self, error: &CudaError) {
        log::warn!("frames cannot run as a CUDA graph: {error}; each is launched piece by piece");
        for slot in self.slots.iter_mut().flatten() {
            slot.graph = None;
        }
        self.graph = GraphUse::Refused(error.to_string());
    }

    fn capture(&mut self, nth: usize) -> Result<Graph, CudaError> {
        let Self { stream, slots, network, label, .. } = self;
        let slot = slots[nth].as_ref().ok_or_else(not_ready)?;
        let label = label.as_ref().ok_or_else(not_ready)?;
        // SAFETY: the buffers are this value's.
        stream.capture(|| unsafe { queue_inference(stream, network, label, slot, true) })
    }

    /// Queues network, labels and download of slot `nth`.
    fn infer(&mut self, nth: usize, allow_graph: bool) -> Result<(), CudaError> {
        let Self { stream, slots, network, label, .. } = self;
        let slot = slots[nth].as_ref().ok_or_else(not_ready)?;
        let label = label.as_ref().ok_or_else(not_ready)?;
        match &slot.graph {
            // SAFETY: the graph's buffers are this value's.
            Some(graph) if allow_graph => unsafe { stream.launch(graph) },
            // SAFETY: the buffers are this value's.
            _ => unsafe { queue_inference(stream, network, label, slot, false) },
        }
    }

    /// Copies a pair into the memory of the slot that is not in flight; an older pair there is forgotten.
    pub(super) fn stage(&mut self, images: &[CameraImage<'_>; 2]) -> Result<(), CudaError> {
        self.context.make_current()?;
        let nth = usize::from(self.in_flight == Some(0));
        let rectify = self.rectify.as_ref().ok_or_else(not_ready)?;
        let slot = self.slots[nth].as_mut().ok_or_else(not_ready)?;
        let pair = slot.pair.as_mut().ok_or_else(not_ready)?;
        self.staged = None;
        // SAFETY: nothing of this slot is queued: it is not in flight, and what was has been waited for.
        let staging = unsafe { pair.memory.host.contents_mut() };
        stage_pair(&rectify.plan, images, staging)?;
        self.staged = Some(nth);
        Ok(())
    }

    /// Queues the staged pair.
    pub(super) fn submit(&mut self) -> Result<(), CudaError> {
        self.context.make_current()?;
        self.idle()?;
        let nth = self.staged.take().ok_or_else(not_ready)?;
        {
            let rectify = self.rectify.as_ref().ok_or_else(not_ready)?;
            let slot = self.slots[nth].as_ref().ok_or_else(not_ready)?;
            let pair = slot.pair.as_ref().ok_or_else(not_ready)?;
            self.in_flight = Some(nth);
            slot.start.record(&self.stream, false)?;
            if let Some(device) = &pair.memory.device {
                // SAFETY: both are this value's, and the host does not touch the pair while the slot is in flight.
                unsafe { self.stream.upload(&pair.memory.host, device, device.bytes()) }?;
            }
            // SAFETY: the kernel is the plan's, and all buffers are this value's and sized by the plan.
            unsafe { pair.rectification.launch(&rectify.kernel, &self.stream) }?;
            slot.rectified.record(&self.stream, false)?;
        }
        self.finish(nth)
    }

    /// Queues a run on images of the host, f32 as the network takes them.
    pub(super) fn submit_images(&mut self, images: &[f32]) -> Result<(), CudaError> {
        self.context.make_current()?;
        self.idle()?;
        let tensor = &self.tensors()[self.images];
        let bytes = to_kind(images, tensor.kind);
        let nth = 0;
        self.stream.upload_now(&bytes, &self.buffers[self.images])?;
        {
            let slot = self.slots[nth].as_ref().ok_or_else(not_ready)?;
            self.in_flight = Some(nth);
            slot.start.record(&self.stream, false)?;
            slot.rectified.record(&self.stream, false)?;
        }
        self.finish(nth)
    }

    /// Queues what follows the images of slot `nth`.
    fn finish(&mut self, nth: usize) -> Result<(), CudaError> {
        let start = Instant::now();
        self.infer(nth, true)?;
        let slot = self.slots[nth].as_mut().ok_or_else(not_ready)?;
        slot.enqueue = start.elapsed();
        slot.done.record(&self.stream, false)
    }

    /// Whether the submitted frame is done.
    pub(super) fn is_done(&self) -> Result<bool, CudaError> {
        self.context.make_current()?;
        self.flying()?.done.is_done()
    }

    /// Values from `first` on of the submitted frame's images, f32 [2, 3, H, W], while the network may still run on them.
    pub(super) fn images(&self, first: usize, out: &mut [f32]) -> Result<(), CudaError> {
        self.context.make_current()?;
        self.flying()?.rectified.wait()?;
        let tensor = &self.tensors()[self.images];
        from_kind(&self.side, &self.buffers[self.images], tensor.kind, first, out)
    }

    /// Waits for the submitted frame and copies its grid. `logits`: the network's output as f32.
    pub(super) fn collect(
        &mut self,
        labels: &mut [u8],
        confidence: Option<&mut [u8]>,
        logits: Option<&mut [f32]>,
    ) -> Result<FrameTimes, CudaError> {
        self.context.make_current()?;
        let slot = self.flying()?;
        slot.done.wait()?;
        let label = self.label.as_ref().ok_or_else(not_ready)?;
        let voxels = label.plan.voxels;
        // SAFETY: the last piece of work that writes to it has been waited for.
        let grid = unsafe { slot.grid.host.contents() };
        let (found_labels, found_confidence) = grid.split_at(voxels);
        copy("labels", found_labels, labels)?;
        if let Some(confidence) = confidence {
            copy("confidence", found_confidence, confidence)?;
        }
        if let Some(logits) = logits {
            let tensor = &self.tensors()[self.logits];
            from_kind(&self.stream, &self.buffers[self.logits], tensor.kind, 0, logits)?;
        }
        // The grid is there; a clock that fails is no reason to lose it.
        let between = |end: &Event, start: &Event| end.since(start).unwrap_or_default();
        let times = Times {
            rectify: between(&slot.rectified, &slot.start),
            infer: between(&slot.inferred, &slot.rectified),
            label: between(&slot.done, &slot.inferred),
            enqueue: slot.enqueue,
        };
        self.in_flight = None;
        Ok(times)
    }

    /// Waits for whatever is queued, and forgets it.
    pub(super) fn settle(&mut self) -> Result<(), CudaError> {
        self.context.make_current()?;
        self.in_flight = None;
        self.staged = None;
        self.stream.synchronize()?;
        self.side.synchronize()
    }

    /// How long the device takes to copy `bytes` of its memory: what kernels are measured against.
    pub(super) fn time_copy(&self, bytes: usize) -> Result<Duration, CudaError> {
        self.context.make_current()?;
        self.idle()?;
        let from = DeviceBuffer::new(&self.context, "a copy that is timed", bytes)?;
        let to = DeviceBuffer::new(&self.context, "a copy that is timed", bytes)?;
        // SAFETY: `time` waits for it, before either is dropped.
        self.time(|| unsafe { self.stream.copy_on_device(&from, &to, bytes) })
    }

    /// How long the rectification kernel takes, for the pair that a slot holds.
    pub(super) fn time_rectify(&self) -> Result<Duration, CudaError> {
        self.context.make_current()?;
        self.idle()?;
        let rectify = self.rectify.as_ref().ok_or_else(not_ready)?;
        let pair = self.slots[0].as_ref().and_then(|slot| slot.pair.as_ref());
        let pair = pair.ok_or_else(not_ready)?;
        // SAFETY: the kernel is the plan's, and all buffers are this value's and sized by the plan.
        self.time(|| unsafe { pair.rectification.launch(&rectify.kernel, &self.stream) })
    }

    /// How long the label kernel takes, for the logits that are there.
    pub(super) fn time_label(&self) -> Result<Duration, CudaError> {
        self.context.make_current()?;
        self.idle()?;
        let label = self.label.as_ref().ok_or_else(not_ready)?;
        let slot = self.slots[0].as_ref().ok_or_else(not_ready)?;
        // SAFETY: the kernel is that of the slot's labelling, and all buffers are this value's.
        self.time(|| unsafe { slot.labelling.launch(&label.kernel, &self.stream) })
    }

    /// Queues `work` many times and waits: how long each took the device. What a launch costs the host is hidden by the
    /// queue, unless it is longer than the work.
    fn time(&self, work: impl Fn() -> Result<(), CudaError>) -> Result<Duration, CudaError> {
        let (start, end) = (Event::new(&self.context)?, Event::new(&self.context)?);
        let result = (|| {
            work()?;
            start.record(&self.stream, false)?;
            for _ in 0..TIMED {
                work()?;
            }
            end.record(&self.stream, false)?;
            end.wait()?;
            Ok(end.since(&start)? / TIMED)
        })();
        // Whatever was queued is over before its buffers may go.
        self.stream.synchronize()?;
        result
    }

    fn flying(&self) -> Result<&Slot, CudaError> {
        let slot = self.in_flight.and_then(|nth| self.slots[nth].as_ref());
        slot.ok_or_else(|| CudaError::Shape {
            what: "frame path".into(),
            found: "no frame in flight".into(),
            expected: "a frame that was submitted".into(),
        })
    }

    fn idle(&self) -> Result<(), CudaError> {
        if self.in_flight.is_none() {
            return Ok(());
        }
        Err(CudaError::Shape {
            what: "frame path".into(),
            found: "a frame in flight".into(),
            expected: "none: collect it first".into(),
        })
    }
}

/// How often something is done for its time.
const TIMED: u32 = 20;

/// Network, labels and download of `slot`.
///
/// # Safety
/// The kernel must be that of the slot's labelling, and all buffers must outlive the work.
unsafe fn queue_inference(
    stream: &Stream,
    network: &mut Network,
    label: &Label,
    slot: &Slot,
    captured: bool,
) -> Result<(), CudaError> {
    // SAFETY: `Session::new` gave every tensor its address; work on one stream is done in order, so nothing else uses
    // the buffers meanwhile.
    unsafe { network.0.enqueue(stream.handle()) }?;
    slot.inferred.record(stream, captured)?;
    // SAFETY: the caller vouches for kernel and buffers.
    unsafe { slot.labelling.launch(&label.kernel, stream) }?;
    if let Some(device) = &slot.grid.device {
        // SAFETY: the caller vouches for the buffers; the host reads the slot's grid after `done` only.
        unsafe { stream.download(device, &slot.grid.host, device.bytes()) }?;
    }
    Ok(())
}

fn copy(what: &'static str, from: &[u8], to: &mut [u8]) -> Result<(), CudaError> {
    if from.len() != to.len() {
        return Err(CudaError::Shape {
            what: what.into(),
            found: format!("{} voxels", to.len()),
            expected: from.len().to_string(),
        });
    }
    to.copy_from_slice(from);
    Ok(())
}

fn not_ready() -> CudaError {
    CudaError::Shape {
        what: "frame path".into(),
        found: "no rectification, no labels or no staged pair".into(),
        expected: "`rectify_by`, `label_by` and `stage` first".into(),
    }
}
