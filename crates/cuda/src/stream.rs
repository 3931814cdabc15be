//! Streams, events and graphs.
#![allow(unsafe_code, reason = "calls of the CUDA driver")]

use crate::context::Context;
use crate::error::CudaError;
use crate::memory::{DeviceBuffer, HostBuffer};
use cudarc::driver::sys::{CUevent, CUgraphExec, CUstream, CUstreamCaptureMode};
use std::ffi::c_void;
use std::sync::Arc;
use std::time::Duration;

/// A queue of work on the device, done in order.
///
/// # Safety of what is queued
///
/// Work runs after the call that queues it has returned, so buffers must outlive it. The methods that queue work are
/// `unsafe` for that reason alone; the frame path upholds it by owning stream and buffers and by waiting before it drops
/// or reads them.
#[derive(Debug)]
pub(crate) struct Stream {
    pub(crate) context: Arc<Context>,
    handle: CUstream,
}

// SAFETY: streams may be used from any thread whose current context is theirs (CUDA driver API, "Stream management").
unsafe impl Send for Stream {}

impl Stream {
    pub(crate) fn new(context: &Arc<Context>) -> Result<Self, CudaError> {
        context.make_current()?;
        let driver = context.device().driver;
        let mut handle = std::ptr::null_mut();
        // SAFETY: `handle` is valid for the call, and the context is current.
        let code = unsafe { (driver.stream_create)(&raw mut handle, STREAM_NON_BLOCKING) };
        driver.check("cuStreamCreate", code)?;
        Ok(Self { context: Arc::clone(context), handle })
    }

    /// For `TensorRT`.
    pub(crate) fn handle(&self) -> *mut c_void {
        self.handle.cast()
    }

    pub(crate) fn raw(&self) -> CUstream {
        self.handle
    }

    /// Waits until everything queued so far is done.
    pub(crate) fn synchronize(&self) -> Result<(), CudaError> {
        let driver = self.context.device().driver;
        // SAFETY: the handle is valid while `self` is.
        driver.check("cuStreamSynchronize", unsafe { (driver.stream_synchronize)(self.handle) })
    }

    /// Queues a copy of the first `bytes`.
    ///
    /// # Safety
    /// Both buffers must outlive the copy, and the host must not write to `from` before it is done.
    pub(crate) unsafe fn upload(
        &self,
        from: &HostBuffer,
        to: &DeviceBuffer,
        bytes: usize,
    ) -> Result<(), CudaError> {
        let driver = self.context.device().driver;
        let bytes = bytes.min(from.bytes()).min(to.bytes());
        // SAFETY: both hold so many bytes; the caller vouches for the time.
        let code = unsafe {
            (driver.copy_to_device)(to.address(), from.pointer().cast(), bytes, self.handle)
        };
        driver.check("cuMemcpyHtoDAsync", code)
    }

    /// Queues a copy of the first `bytes`.
    ///
    /// # Safety
    /// Both buffers must outlive the copy, and the host must not touch `to` before it is done.
    pub(crate) unsafe fn download(
        &self,
        from: &DeviceBuffer,
        to: &HostBuffer,
        bytes: usize,
    ) -> Result<(), CudaError> {
        let driver = self.context.device().driver;
        let bytes = bytes.min(from.bytes()).min(to.bytes());
        // SAFETY: both hold so many bytes; the caller vouches for the time.
        let code = unsafe {
            (driver.copy_to_host)(to.pointer().cast(), from.address(), bytes, self.handle)
        };
        driver.check("cuMemcpyDtoHAsync", code)
    }

    /// Copies `values` to the device and waits for it.
    pub(crate) fn upload_now(&self, values: &[u8], to: &DeviceBuffer) -> Result<(), CudaError> {
        let driver = self.context.device().driver;
        let bytes = values.len().min(to.bytes());
        // SAFETY: both hold so many bytes, and the copy is waited for below.
        let code = unsafe {
            (driver.copy_to_device)(to.address(), values.as_ptr().cast(), bytes, self.handle)
        };
        let copied = driver.check("cuMemcpyHtoDAsync", code);
        self.synchronize()?;
        copied
    }

    /// Copies the device's bytes from byte `first` on into `values` and waits for it. The caller sees to it that there are so
    /// many; what is beyond the buffer is not copied.
    pub(crate) fn download_now(
        &self,
        from: &DeviceBuffer,
        first: usize,
        values: &mut [u8],
    ) -> Result<(), CudaError> {
        let driver = self.context.device().driver;
        let first = first.min(from.bytes());
        let bytes = values.len().min(from.bytes() - first);
        // SAFETY: both hold so many bytes, and the copy is waited for below.
        let code = unsafe {
            (driver.copy_to_host)(
                values.as_mut_ptr().cast(),
                from.address() + first as u64,
                bytes,
                self.handle,
            )
        };
        let copied = driver.check("cuMemcpyDtoHAsync", code);
        self.synchronize()?;
        copied
    }

    /// Queues a copy on the device: what the benches measure kernels against.
    ///
    /// # Safety
    /// Both buffers must outlive the copy.
    pub(crate) unsafe fn copy_on_device(
        &self,
        from: &DeviceBuffer,
        to: &DeviceBuffer,
        bytes: usize,
    ) -> Result<(), CudaError> {
        let driver = self.context.device().driver;
        let bytes = bytes.min(from.bytes()).min(to.bytes());
        // SAFETY: both hold so many bytes; the caller vouches for the time.
        let code =
            unsafe { (driver.copy_on_device)(to.address(), from.address(), bytes, self.handle) };
        driver.check("cuMemcpyDtoDAsync", code)
    }

    /// Sets every byte and waits for it.
    pub(crate) fn fill_now(&self, buffer: &DeviceBuffer, value: u8) -> Result<(), CudaError> {
        let driver = self.context.device().driver;
        // SAFETY: the buffer holds so many bytes, and the work is waited for below.
        let code = unsafe { (driver.fill)(buffer.address(), value, buffer.bytes(), self.handle) };
        let filled = driver.check("cuMemsetD8Async", code);
        self.synchronize()?;
        filled
    }

    /// What `queue` puts into this stream, as a graph that is not run. `queue` must put work into this stream only.
    pub(crate) fn capture(
        &self,
        queue: impl FnOnce() -> Result<(), CudaError>,
    ) -> Result<Graph, CudaError> {
        let driver = self.context.device().driver;
        // Other threads may allocate meanwhile.
        let mode = CUstreamCaptureMode::CU_STREAM_CAPTURE_MODE_THREAD_LOCAL;
        // SAFETY: the stream is valid and nothing is being captured: `&self` is not shared while a capture lasts.
        let code = unsafe { (driver.capture_begin)(self.handle, mode) };
        driver.check("cuStreamBeginCapture", code)?;
        let queued = queue();
        let mut graph = std::ptr::null_mut();
        // Also after a failure, or the stream would be useless.
        // SAFETY: `graph` is valid for the call.
        let code = unsafe { (driver.capture_end)(self.handle, &raw mut graph) };
        let ended = driver.check("cuStreamEndCapture", code);
        let made = queued.and(ended).and_then(|()| {
            let mut exec = std::ptr::null_mut();
            // SAFETY: the graph was captured above.
            let code = unsafe { (driver.graph_instantiate)(&raw mut exec, graph, 0) };
            driver.check("cuGraphInstantiate", code)?;
            Ok(Graph { context: Arc::clone(&self.context), exec })
        });
        if !graph.is_null() {
            // SAFETY: captured above, destroyed once; what was made of it does not need it.
            unsafe { (driver.graph_destroy)(graph) };
        }
        made
    }

    /// Runs `graph`.
    ///
    /// # Safety
    /// What the graph uses must outlive its run.
    pub(crate) unsafe fn launch(&self, graph: &Graph) -> Result<(), CudaError> {
        let driver = self.context.device().driver;
        // SAFETY: both are valid while borrowed; the caller vouches for the buffers.
        driver.check("cuGraphLaunch", unsafe { (driver.graph_launch)(graph.exec, self.handle) })
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        if self.context.make_current().is_ok() {
            // Buffers are dropped after the stream that uses them.
            self.synchronize().ok();
            // SAFETY: created in `new`, destroyed once.
            unsafe { (self.context.device().driver.stream_destroy)(self.handle) };
        }
    }
}

/// Work that was captured from a stream.
#[derive(Debug)]
pub(crate) struct Graph {
    context: Arc<Context>,
    exec: CUgraphExec,
}

// SAFETY: the driver may be called from any thread; graphs are not shared between threads (CUDA driver API, "Graph
// management": not thread-safe), and `&Graph` only leaves this crate inside a frame path, which is not `Sync`.
unsafe impl Send for Graph {}

impl Drop for Graph {
    fn drop(&mut self) {
        if self.context.make_current().is_ok() {
            // SAFETY: instantiated in `Stream::capture`, destroyed once; a run in progress finishes first.
            unsafe { (self.context.device().driver.graph_exec_destroy)(self.exec) };
        }
    }
}

/// A mark in a stream.
#[derive(Debug)]
pub(crate) struct Event {
    context: Arc<Context>,
    handle: CUevent,
}

// SAFETY: events may be used from any thread (CUDA driver API, "Event management").
unsafe impl Send for Event {}

impl Event {
    pub(crate) fn new(context: &Arc<Context>) -> Result<Self, CudaError> {
        context.make_current()?;
        let driver = context.device().driver;
        let mut handle = std::ptr::null_mut();
        // SAFETY: `handle` is valid for the call. Waiting sleeps instead of spinning: frames take milliseconds.
        let code = unsafe { (driver.event_create)(&raw mut handle, EVENT_BLOCKING_SYNC) };
        driver.check("cuEventCreate", code)?;
        Ok(Self { context: Arc::clone(context), handle })
    }

    /// Puts the mark at the end of `stream`; `captured`: while a graph is being captured, of which it becomes a part.
    pub(crate) fn record(&self, stream: &Stream, captured: bool) -> Result<(), CudaError> {
        let driver = self.context.device().driver;
        let flags = if captured { EVENT_RECORD_EXTERNAL } else { 0 };
        // SAFETY: both handles are valid while borrowed.
        let code = unsafe { (driver.event_record)(self.handle, stream.raw(), flags) };
        driver.check("cuEventRecord", code)
    }

    /// Whether the work before the mark is done.
    pub(crate) fn is_done(&self) -> Result<bool, CudaError> {
        let driver = self.context.device().driver;
        // SAFETY: the handle is valid while `self` is.
        match unsafe { (driver.event_query)(self.handle) } {
            NOT_READY => Ok(false),
            code => driver.check("cuEventQuery", code).map(|()| true),
        }
    }

    /// Waits until the work before the mark is done.
    pub(crate) fn wait(&self) -> Result<(), CudaError> {
        let driver = self.context.device().driver;
        // SAFETY: the handle is valid while `self` is.
        driver.check("cuEventSynchronize", unsafe { (driver.event_synchronize)(self.handle) })
    }

    /// How long after `earlier` the device passed this mark; both must be done.
    pub(crate) fn since(&self, earlier: &Self) -> Result<Duration, CudaError> {
        let driver = self.context.device().driver;
        let mut milliseconds = 0.0;
        // SAFETY: both handles are valid while borrowed.
        let code =
            unsafe { (driver.event_elapsed)(&raw mut milliseconds, earlier.handle, self.handle) };
        driver.check("cuEventElapsedTime", code)?;
        Ok(Duration::try_from_secs_f32(milliseconds / 1000.0).unwrap_or_default())
    }
}

impl Drop for Event {
    fn drop(&mut self) {
        if self.context.make_current().is_ok() {
            // SAFETY: created in `new`, destroyed once.
            unsafe { (self.context.device().driver.event_destroy)(self.handle) };
        }
    }
}

/// `CU_STREAM_NON_BLOCKING`: nobody's work on the default stream holds it up.
const STREAM_NON_BLOCKING: u32 = 1;
/// `CU_EVENT_BLOCKING_SYNC`.
const EVENT_BLOCKING_SYNC: u32 = 1;
/// `CU_EVENT_RECORD_EXTERNAL`: a node of the graph, not a dependency.
const EVENT_RECORD_EXTERNAL: u32 = 1;
/// `CUDA_ERROR_NOT_READY`.
const NOT_READY: i32 = 600;
