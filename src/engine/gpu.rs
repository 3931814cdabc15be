//! The GPU engine: a network of `TensorRT` that takes pixels as the camera has them and gives labels.

use super::geometry::{self, GeometryValues};
use super::{Engine, EngineDescription, EngineError, EngineTimes, FrameEngine, FrameEngineTimes};
use crate::grid::{GridOutput, LabelOptions, Labeller};
use occdepth_contract::{Contract, tensor};
use occdepth_cuda::{
    CameraImage, Device, FrameOptions, FramePath, FrameTimes, GraphUse, InputValues, KernelCache,
    KernelSource, MemoryUse, NetworkSource, RectifyPlan,
};
use occdepth_geometry::network::GeometryInputs;
use std::path::PathBuf;

/// How a GPU is used.
#[derive(Clone, Debug)]
pub struct GpuOptions {
    /// Which one, from 0.
    pub device: usize,
    /// How pixels and labels cross between host and device.
    pub memory: MemoryUse,
    /// Whether to try a CUDA graph.
    pub graph: bool,
    /// Where compiled kernels are kept; none: they are compiled at each start.
    pub kernel_cache: Option<PathBuf>,
    /// Where NVRTC lies; none: where the system's loader looks.
    pub nvrtc_directory: Option<PathBuf>,
}

impl Default for GpuOptions {
    fn default() -> Self {
        Self {
            device: 0,
            memory: MemoryUse::Auto,
            graph: true,
            kernel_cache: None,
            nvrtc_directory: None,
        }
    }
}

/// A network on a GPU.
pub struct GpuEngine {
    description: EngineDescription,
    /// The description's name without what is found out when the engine is warmed up.
    name: String,
    contract: Contract,
    path: FramePath,
    voxels: usize,
    bound: bool,
}

impl GpuEngine {
    /// Loads the network of `network` onto the GPU. `contract` is that of the ONNX file that it was built from;
    /// `description` says what it is, to which the GPU's name is added.
    ///
    /// # Errors
    /// No GPU, a kernel cache that others may write to, no memory, an engine that is refused or does not have the
    /// contract's tensors.
    pub fn open(
        network: Box<dyn NetworkSource>,
        contract: Contract,
        description: &EngineDescription,
        options: &GpuOptions,
    ) -> Result<Self, EngineError> {
        let device = Device::open(options.device)?;
        let cache = options.kernel_cache.as_deref().map(KernelCache::open).transpose()?;
        let image = contract.image;
        let path = FramePath::new(
            &device,
            network,
            FrameOptions {
                images: tensor::IMAGES.into(),
                logits: tensor::SSC_LOGITS.into(),
                view_values: 3 * image.width as usize * image.height as usize,
                memory: options.memory,
                graph: options.graph,
                kernels: KernelSource { cache, nvrtc_directory: options.nvrtc_directory.clone() },
            },
        )?;
        let (major, minor) = device.compute();
        let memory = if path.is_mapped() { "mapped memory" } else { "copies" };
        let name =
            format!("{} on {} (sm_{major}{minor}), {memory}", description.name, device.name());
        let voxels = contract.grid.dims.iter().map(|&n| n as usize).product();
        Ok(Self {
            description: EngineDescription { name: name.clone(), ..description.clone() },
            name,
            contract,
            path,
            voxels,
            bound: false,
        })
    }

    /// What carries its frames.
    pub fn path(&self) -> &FramePath {
        &self.path
    }
}

impl Engine for GpuEngine {
    fn description(&self) -> &EngineDescription {
        &self.description
    }

    fn contract(&self) -> &Contract {
        &self.contract
    }

    fn bind(&mut self, geometry: &GeometryInputs, labels: LabelOptions) -> Result<(), EngineError> {
        let plan = Labeller::new(&self.contract.classes, labels)?.device_plan(self.voxels)?;
        let tensors = geometry::checked(&self.contract, geometry)?;
        // From here on a failure leaves a mixture.
        self.bound = false;
        for tensor in tensors {
            let values = match tensor.values {
                GeometryValues::I32(values) => InputValues::I32(values),
                GeometryValues::F32(values) => InputValues::F32(values),
            };
            self.path.bind(tensor.name, values)?;
        }
        self.path.label_by(plan)?;
        self.path.warm_up()?;
        let graph = match self.path.graph() {
            GraphUse::Captured => ", CUDA graph".into(),
            GraphUse::Off => String::new(),
            GraphUse::Refused(reason) => format!(", no CUDA graph ({reason})"),
        };
        self.description.name = format!("{}{graph}", self.name);
        self.bound = true;
        Ok(())
    }

    fn run(&mut self, images: &[f32], output: GridOutput<'_>) -> Result<EngineTimes, EngineError> {
        if !self.bound {
            return Err(EngineError::Unbound);
        }
        let GridOutput { labels, confidence, logits } = output;
        let times = self.path.run(images, labels, confidence, logits)?;
        Ok(engine_times(times))
    }

    fn frames(&mut self) -> Option<&mut dyn FrameEngine> {
        Some(self)
    }
}

impl FrameEngine for GpuEngine {
    fn fit(&mut self, plan: RectifyPlan) -> Result<(), EngineError> {
        Ok(self.path.rectify_by(plan)?)
    }

    fn stage(&mut self, pair: &[CameraImage<'_>; 2]) -> Result<(), EngineError> {
        Ok(self.path.stage(pair)?)
    }

    fn submit(&mut self) -> Result<(), EngineError> {
        if !self.bound {
            return Err(EngineError::Unbound);
        }
        Ok(self.path.submit()?)
    }

    fn is_done(&mut self) -> Result<bool, EngineError> {
        Ok(self.path.is_done()?)
    }

    fn images(&mut self, first: usize, values: &mut [f32]) -> Result<(), EngineError> {
        Ok(self.path.images(first, values)?)
    }

    fn collect(&mut self, output: GridOutput<'_>) -> Result<FrameEngineTimes, EngineError> {
        let GridOutput { labels, confidence, logits } = output;
        let times = self.path.collect(labels, confidence, logits)?;
        Ok(FrameEngineTimes { rectify: times.rectify, engine: engine_times(times) })
    }
}

fn engine_times(times: FrameTimes) -> EngineTimes {
    EngineTimes { infer: times.infer, label: times.label, enqueue: times.enqueue }
}

impl std::fmt::Debug for GpuEngine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("GpuEngine")
            .field("description", &self.description)
            .field("preset", &self.contract.preset)
            .field("path", &self.path)
            .finish_non_exhaustive()
    }
}
