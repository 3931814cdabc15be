//! The CPU engine: the ONNX crate `rten`, on a graph that has been rewritten for it.
//!
//! `rten` is pure Rust, multi-threaded and has no three-dimensional operators; [`occdepth_cpu::lower`] writes those
//! in two dimensions when the network is loaded. It was chosen over `tract`, which runs the graph as it
//! is but takes about twice as long: `benches/results/engines.md`.

use super::geometry::{self, GeometryTensor, GeometryValues};
use super::{Engine, EngineDescription, EngineError, EngineTimes};
use crate::grid::{GridOutput, LabelOptions, Labeller};
use occdepth_contract::onnx::{MAX_MODEL_BYTES, ModelProto, OnnxError};
use occdepth_contract::{Contract, Precision, tensor};
use occdepth_cpu::lower;
use occdepth_geometry::network::GeometryInputs;
use rten::{Model, ModelOptions, NodeId, RunOptions, ThreadPool, Value, ValueOrView, ValueView};
use rten_tensor::TensorView;
use rten_tensor::prelude::*;
use sha2::{Digest, Sha256};
use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

/// A network on the CPU.
///
/// Each engine has its own threads, which sleep between frames. A run allocates what the ONNX crate
/// needs for the values between operators; nothing is allocated or copied outside of it.
pub struct CpuEngine {
    description: EngineDescription,
    contract: Contract,
    model: Model,
    options: RunOptions,
    images: NodeId,
    images_shape: Vec<usize>,
    ssc_logits: NodeId,
    /// X Y Z.
    voxels: usize,
    /// C X Y Z.
    logits: usize,
    bound: Option<Bound>,
}

/// What stays the same from frame to frame.
struct Bound {
    /// Geometry inputs, and values that follow from them alone.
    values: Vec<(NodeId, Value)>,
    labeller: Labeller,
}

impl CpuEngine {
    /// Loads a network from an ONNX file. `threads` is how many it runs on; `None`: one for each core
    /// that this process may use.
    ///
    /// # Errors
    /// A file that cannot be read, is no ONNX model, has no contract or one that does not hold, needs a
    /// depth camera, is not single precision, or has operators that the CPU cannot run.
    pub fn open(path: &Path, threads: Option<usize>) -> Result<Self, EngineError> {
        let read = |source| EngineError::Read { path: path.into(), source };
        let origin = path.display().to_string();
        let size = fs::metadata(path).map_err(read)?.len();
        if size > MAX_MODEL_BYTES {
            return Err(OnnxError::TooLarge { origin, found: size }.into());
        }
        Self::from_bytes(&fs::read(path).map_err(read)?, &origin, threads)
    }

    /// Loads the network that comes with this program, [`BUNDLED_NETWORK`].
    ///
    /// # Errors
    /// A number of `threads` that is out of range; see [`CpuEngine::open`].
    pub fn bundled(threads: Option<usize>) -> Result<Self, EngineError> {
        Self::from_bytes(BUNDLED_NETWORK, BUNDLED_NAME, threads)
    }

    /// Loads a network from the bytes of an ONNX file; `origin` names it in messages.
    ///
    /// # Errors
    /// As [`CpuEngine::open`].
    pub fn from_bytes(
        bytes: &[u8],
        origin: &str,
        threads: Option<usize>,
    ) -> Result<Self, EngineError> {
        let threads = match threads {
            Some(threads) if (1..=MAX_THREADS).contains(&threads) => threads,
            Some(found) => return Err(EngineError::Threads { found }),
            None => std::thread::available_parallelism().map_or(1, usize::from).min(MAX_THREADS),
        };
        let mut model = ModelProto::from_bytes(bytes, origin)?;
        refuse_depth_camera(&model, origin)?;
        let contract = Contract::from_model(&model, origin)?;
        if contract.precision != Precision::Fp32 {
            return Err(EngineError::Field {
                origin: origin.into(),
                field: "precision".into(),
                found: format!("{:?}", contract.precision).to_lowercase(),
                expected: "fp32: the CPU engine computes in single precision".into(),
            });
        }
        let sha256: [u8; 32] = Sha256::digest(bytes).into();

        let graph = model.graph.take().unwrap_or_default();
        let graph = lower::lower(graph)
            .map_err(|source| EngineError::Lower { origin: origin.into(), source })?;
        let model = ModelProto { graph: Some(graph), ..model };
        let model = ModelOptions::with_all_ops()
            .load(model.to_bytes())
            .map_err(|source| EngineError::Load { origin: origin.into(), source })?;

        let images_spec = geometry::spec(&contract, tensor::IMAGES)?;
        let images_shape = images_spec.shape.iter().map(|&n| extent(n)).collect();
        let voxels: usize = contract.grid.dims.iter().map(|&n| extent(n.into())).product();
        let pool = Arc::new(ThreadPool::with_num_threads(threads));
        Ok(Self {
            description: EngineDescription {
                name: format!(
                    "cpu (rten {RTEN_VERSION}, {threads} thread{})",
                    if threads == 1 { "" } else { "s" }
                ),
                network_sha256: sha256,
                engine_sha256: sha256,
            },
            images: model.node_id(tensor::IMAGES)?,
            images_shape,
            ssc_logits: model.node_id(tensor::SSC_LOGITS)?,
            voxels,
            logits: voxels * contract.classes.len(),
            contract,
            model,
            options: RunOptions::default().with_thread_pool(Some(pool)),
            bound: None,
        })
    }
}

impl Engine for CpuEngine {
    fn description(&self) -> &EngineDescription {
        &self.description
    }

    fn contract(&self) -> &Contract {
        &self.contract
    }

    fn bind(&mut self, geometry: &GeometryInputs, labels: LabelOptions) -> Result<(), EngineError> {
        let labeller = Labeller::new(&self.contract.classes, labels)?;
        let mut values = Vec::new();
        for tensor in geometry::checked(&self.contract, geometry)? {
            let shape: Vec<usize> = geometry::spec(&self.contract, tensor.name)?
                .shape
                .iter()
                .map(|&n| extent(n))
                .collect();
            values.push((self.model.node_id(tensor.name)?, owned(&tensor, &shape)));
        }
        // Everything that no image can change, computed once instead of in every frame.
        let known = values.iter().map(|(id, value)| (*id, value.as_view().into())).collect();
        let mut follows =
            self.model.partial_run(known, &[self.ssc_logits], Some(self.options.clone()))?;
        // A value that several operators read is returned once for each of them.
        follows.sort_by_key(|(id, _)| *id);
        follows.dedup_by_key(|(id, _)| *id);
        // What the rest of the graph still reads: among it inputs, unchanged.
        values.retain(|(id, _)| follows.iter().all(|(known, _)| known != id));
        values.extend(follows);
        self.bound = Some(Bound { values, labeller });
        Ok(())
    }

    fn run(&mut self, images: &[f32], output: GridOutput<'_>) -> Result<EngineTimes, EngineError> {
        let Some(bound) = &self.bound else { return Err(EngineError::Unbound) };
        let expected = self.images_shape.iter().product();
        if images.len() != expected {
            return Err(EngineError::Images { found: images.len(), expected });
        }
        let start = Instant::now();
        let images = TensorView::from_data(self.images_shape.as_slice(), images);
        let mut inputs: Vec<(NodeId, ValueOrView<'_>)> = Vec::with_capacity(1 + bound.values.len());
        inputs.push((self.images, ValueView::from(images).into()));
        inputs.extend(bound.values.iter().map(|(id, value)| (*id, value.as_view().into())));
        let [logits] = self.model.run_n(inputs, [self.ssc_logits], Some(self.options.clone()))?;
        let infer = start.elapsed();

        let start = Instant::now();
        let view = TensorView::<'_, f32>::try_from(&logits);
        let Some(logits) = view.ok().filter(|view| view.len() == self.logits) else {
            return Err(EngineError::Output {
                output: tensor::SSC_LOGITS,
                found: format!("{:?} {:?}", logits.dtype(), logits.shape()),
                expected: format!("{} values f32", self.logits),
            });
        };
        // A view of the runtime's memory unless its last operator left it in another order.
        let logits = logits.to_contiguous();
        bound.labeller.label(logits.data(), self.voxels, output)?;
        Ok(EngineTimes { infer, label: start.elapsed() })
    }
}

impl std::fmt::Debug for CpuEngine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("CpuEngine")
            .field("description", &self.description)
            .field("preset", &self.contract.preset)
            .field("bound", &self.bound.is_some())
            .finish_non_exhaustive()
    }
}

/// RGB-D networks make their second view from a depth image, which no camera here delivers.
fn refuse_depth_camera(model: &ModelProto, origin: &str) -> Result<(), EngineError> {
    let inputs = model.graph.iter().flat_map(|graph| &graph.input);
    match inputs.into_iter().find(|input| DEPTH_CAMERA_INPUTS.contains(&input.name.as_str())) {
        None => Ok(()),
        Some(input) => Err(EngineError::Field {
            origin: origin.into(),
            field: format!("graph.input.{}", input.name),
            found: "an RGB-D network (it takes a depth image)".into(),
            expected: "a network for two cameras: there is no depth camera".into(),
        }),
    }
}

fn owned(tensor: &GeometryTensor<'_>, shape: &[usize]) -> Value {
    match tensor.values {
        GeometryValues::I32(values) => {
            rten_tensor::Tensor::from_data(shape, values.to_vec()).into()
        }
        GeometryValues::F32(values) => {
            rten_tensor::Tensor::from_data(shape, values.to_vec()).into()
        }
    }
}

fn extent(n: u64) -> usize {
    usize::try_from(n).expect("a validated contract bounds its extents far below 2^63")
}

/// The ONNX file of a small network for two views, part of the program. It is there to show the whole
/// pipeline anywhere; whether it was trained is in its contract.
pub const BUNDLED_NETWORK: &[u8] = include_bytes!("../../engines/nano.onnx");

/// What messages call [`BUNDLED_NETWORK`].
pub const BUNDLED_NAME: &str = "engines/nano.onnx (bundled)";

/// More threads than any board has cores.
pub const MAX_THREADS: usize = 1024;

/// As in the workspace's dependencies.
const RTEN_VERSION: &str = "0.27";

/// Inputs of networks with virtual stereo.
const DEPTH_CAMERA_INPUTS: [&str; 2] = ["depth_m", "baseline_focal"];
