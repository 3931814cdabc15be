//! A `TensorRT` engine as the network of a frame path.
#![allow(unsafe_code, reason = "an engine works on addresses of device memory")]

use super::network::{DeviceNetwork, NetworkSource, Tensor, ValueKind};
use crate::context::Context;
use crate::error::CudaError;
use std::ffi::{CString, c_void};
use std::sync::{Arc, Mutex, PoisonError};
use tensorrt_rs::{
    DataType, Engine, ExecutionContext, IoTensor, Runtime, TensorFormat, TensorIoMode, TensorRt,
    TensorRtError,
};

/// Where the bytes of a plan come from: read, and compared with its manifest, each time.
pub type ReadPlan =
    Box<dyn FnMut() -> Result<Vec<u8>, Box<dyn std::error::Error + Send + Sync>> + Send>;

/// A plan, deserialised into whatever context the frame path has.
pub struct PlanSource {
    tensorrt: TensorRt,
    read: ReadPlan,
    dla_core: Option<u32>,
    layers: Option<LayerTimes>,
}

/// What the layers of a profiled engine took.
pub type LayerTimes = Arc<Mutex<Vec<LayerTime>>>;

/// What one layer took on the GPU, all frames together.
#[derive(Clone, Debug, PartialEq)]
pub struct LayerTime {
    /// Its name, as the engine has it.
    pub name: String,
    /// Milliseconds.
    pub total_ms: f64,
    /// Frames.
    pub frames: u32,
}

impl PlanSource {
    /// The plan that `read` brings, on DLA core `dla_core` where it was built for one.
    ///
    /// A plan is machine code that runs with this process's rights: `read` must bring one that this machine built, and
    /// check that it still is.
    pub fn new(tensorrt: TensorRt, read: ReadPlan, dla_core: Option<u32>) -> Self {
        Self { tensorrt, read, dla_core, layers: None }
    }

    /// Times every layer of every frame into `layers`. A profiled engine waits for each frame and cannot be captured as
    /// a CUDA graph: its frames are slower, its layers are not.
    #[must_use]
    pub fn profiled(mut self, layers: LayerTimes) -> Self {
        self.layers = Some(layers);
        self
    }
}

impl NetworkSource for PlanSource {
    fn load(&mut self, _: &Arc<Context>) -> Result<Box<dyn DeviceNetwork>, CudaError> {
        let plan = (self.read)().map_err(|error| CudaError::Network(with_causes(&*error)))?;
        let mut runtime = Runtime::new(self.tensorrt).map_err(failed)?;
        runtime.set_engine_host_code_allowed(false).map_err(failed)?;
        if let Some(core) = self.dla_core {
            runtime.set_dla_core(core).map_err(failed)?;
        }
        let engine = runtime.deserialize(&plan).map_err(refused)?;
        let mut network = EngineNetwork::new(&engine)?;
        if let Some(layers) = &self.layers {
            network.profile(Arc::clone(layers))?;
        }
        Ok(Box::new(network))
    }
}

impl std::fmt::Debug for PlanSource {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PlanSource")
            .field("tensorrt", &self.tensorrt.version())
            .field("dla_core", &self.dla_core)
            .finish_non_exhaustive()
    }
}

/// An engine with a context to run it in.
#[derive(Debug)]
struct EngineNetwork {
    context: ExecutionContext,
    names: Vec<CString>,
    tensors: Vec<Tensor>,
}

impl EngineNetwork {
    fn new(engine: &Engine) -> Result<Self, CudaError> {
        let io = engine.io_tensors().map_err(failed)?;
        let tensors = io.iter().map(tensor).collect::<Result<_, _>>()?;
        let names = io.into_iter().map(|tensor| tensor.name).collect();
        Ok(Self { context: engine.create_context().map_err(failed)?, names, tensors })
    }

    fn profile(&mut self, layers: LayerTimes) -> Result<(), CudaError> {
        let profiler = move |name: &str, milliseconds: f32| {
            let mut layers = layers.lock().unwrap_or_else(PoisonError::into_inner);
            let found = layers.iter_mut().find(|layer| layer.name == name);
            if let Some(layer) = found {
                layer.total_ms += f64::from(milliseconds);
                layer.frames += 1;
            } else {
                let total_ms = f64::from(milliseconds);
                layers.push(LayerTime { name: name.into(), total_ms, frames: 1 });
            }
        };
        self.context.set_profiler(Some(Box::new(profiler))).map_err(failed)?;
        Ok(())
    }
}

// SAFETY: `enqueueV3` queues on the stream that it is given, and uses the tensors at the addresses that were set, of the
// static shapes and types that the engine itself reports.
unsafe impl DeviceNetwork for EngineNetwork {
    fn tensors(&self) -> &[Tensor] {
        &self.tensors
    }

    unsafe fn set_address(&mut self, nth: usize, address: u64) -> Result<(), CudaError> {
        let address = address as *mut c_void;
        // SAFETY: the caller vouches for the address; a linear tensor fills no more than its values.
        unsafe { self.context.set_tensor_address(&self.names[nth], address) }.map_err(failed)
    }

    unsafe fn enqueue(&mut self, stream: *mut c_void) -> Result<(), CudaError> {
        // SAFETY: the caller vouches for stream and buffers.
        unsafe { self.context.enqueue(stream) }.map_err(failed)
    }
}

fn tensor(io: &IoTensor) -> Result<Tensor, CudaError> {
    let name = io.display_name().into_owned();
    let shape = |found: String, expected: &str| CudaError::Shape {
        what: format!("tensor `{name}` of the engine"),
        found,
        expected: expected.into(),
    };
    let kind = match io.data_type {
        DataType::Float => ValueKind::F32,
        DataType::Half => ValueKind::F16,
        DataType::Int32 => ValueKind::I32,
        other => return Err(shape(format!("{other:?}"), "Float, Half or Int32")),
    };
    if io.format != TensorFormat::Linear {
        return Err(shape(format!("{:?}", io.format), "Linear"));
    }
    let values =
        io.shape.volume().ok_or_else(|| shape(format!("{:?}", io.shape), "a static shape"))?;
    Ok(Tensor { is_input: io.mode == TensorIoMode::Input, kind, values, name })
}

/// A plan that is refused, unless it was only memory that was wanting.
#[expect(clippy::needless_pass_by_value, reason = "for `map_err`")]
fn refused(error: TensorRtError) -> CudaError {
    let memory = |message: &String| message.to_lowercase().contains("memory");
    let text = with_causes(&error);
    if error.messages().iter().any(memory) {
        CudaError::Network(text)
    } else {
        CudaError::Plan(text)
    }
}

#[expect(clippy::needless_pass_by_value, reason = "for `map_err`")]
fn failed(error: TensorRtError) -> CudaError {
    CudaError::Network(with_causes(&error))
}

fn with_causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}
