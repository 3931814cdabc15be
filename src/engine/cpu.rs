//! The CPU engine: an exported network on `occdepth-cpu`, fed with images and geometry.

use super::geometry::{self, GeometryTensor, GeometryValues};
use super::{Engine, EngineDescription, EngineError, EngineTimes};
use crate::grid::{GridOutput, LabelOptions, Labeller};
use occdepth_contract::onnx::{ModelFile, ModelProto, OnnxError};
use occdepth_contract::{Contract, tensor};
use occdepth_cpu::{Input, Network, Values};
use occdepth_geometry::network::GeometryInputs;
use sha2::{Digest, Sha256};
use std::path::Path;
use std::time::Instant;

/// A network on the CPU.
///
/// Each engine has its own threads, which sleep between frames.
pub struct CpuEngine {
    description: EngineDescription,
    contract: Contract,
    network: Network,
    images_shape: Vec<usize>,
    /// X Y Z.
    voxels: usize,
    /// C X Y Z.
    logits: usize,
    /// `None` before the first rig.
    labeller: Option<Labeller>,
}

impl CpuEngine {
    /// Loads a network from an ONNX file, with its external data if it has any. `threads` is how many
    /// it runs on; `None`: one for each core that this process may use.
    ///
    /// # Errors
    /// A file that cannot be read, is no ONNX model, has no contract or one that does not hold, needs a
    /// depth camera, or has operators that the CPU cannot run.
    pub fn open(path: &Path, threads: Option<usize>) -> Result<Self, EngineError> {
        let file = ModelFile::read(path).map_err(|error| match error {
            OnnxError::Read { path, source } => EngineError::Read { path, source },
            other => other.into(),
        })?;
        Self::load(file.model, file.sha256, &path.display().to_string(), threads)
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
        let model = ModelProto::from_bytes(bytes, origin)?;
        Self::load(model, Sha256::digest(bytes).into(), origin, threads)
    }

    /// Says in its description that it runs in the place of an engine that this machine should have.
    #[must_use]
    pub fn as_substitute(mut self) -> Self {
        self.description.substitute = true;
        self
    }

    fn load(
        model: ModelProto,
        sha256: [u8; 32],
        origin: &str,
        threads: Option<usize>,
    ) -> Result<Self, EngineError> {
        let contract = Contract::from_model(&model, origin)?;
        refuse_depth_camera(&contract, origin)?;
        let network = Network::load(model, origin, threads)?;
        let images_shape = extents(&geometry::spec(&contract, tensor::IMAGES)?.shape);
        let voxels: usize = contract.grid.dims.iter().map(|&n| extent(n.into())).product();
        Ok(Self {
            description: EngineDescription {
                name: format!("cpu ({})", network.description()),
                network_sha256: sha256,
                engine_sha256: sha256,
                substitute: false,
            },
            images_shape,
            voxels,
            logits: voxels * contract.classes.len(),
            contract,
            network,
            labeller: None,
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
        let tensors = geometry::checked(&self.contract, geometry)?;
        let shape = |tensor: &GeometryTensor<'_>| {
            Ok(extents(&geometry::spec(&self.contract, tensor.name)?.shape))
        };
        let shapes: Vec<Vec<usize>> =
            tensors.iter().map(shape).collect::<Result<_, EngineError>>()?;
        let inputs: Vec<Input<'_>> = tensors
            .iter()
            .zip(&shapes)
            .map(|(tensor, shape)| Input { name: tensor.name, shape, values: tensor.values.into() })
            .collect();
        self.network.bind(&inputs)?;
        self.labeller = Some(labeller);
        Ok(())
    }

    fn run(&mut self, images: &[f32], output: GridOutput<'_>) -> Result<EngineTimes, EngineError> {
        let Some(labeller) = &self.labeller else { return Err(EngineError::Unbound) };
        let expected = self.images_shape.iter().product();
        if images.len() != expected {
            return Err(EngineError::Images { found: images.len(), expected });
        }
        let start = Instant::now();
        let images =
            Input { name: tensor::IMAGES, shape: &self.images_shape, values: Values::F32(images) };
        let outputs = self.network.run(&[images], &[tensor::SSC_LOGITS])?;
        let infer = start.elapsed();

        let start = Instant::now();
        let logits = outputs.first().and_then(|output| output.values().as_f32());
        let Some(logits) = logits.filter(|logits| logits.len() == self.logits) else {
            return Err(EngineError::Output {
                output: tensor::SSC_LOGITS,
                found: outputs.first().map_or_else(String::new, |output| {
                    format!("{} {:?}", output.values().dtype(), output.shape())
                }),
                expected: format!("{} values f32", self.logits),
            });
        };
        labeller.label(logits, self.voxels, output)?;
        Ok(EngineTimes { infer, label: start.elapsed(), ..EngineTimes::default() })
    }
}

impl std::fmt::Debug for CpuEngine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("CpuEngine")
            .field("description", &self.description)
            .field("preset", &self.contract.preset)
            .field("bound", &self.labeller.is_some())
            .finish_non_exhaustive()
    }
}

/// RGB-D networks make their second view from a depth image, which no camera here delivers.
fn refuse_depth_camera(contract: &Contract, origin: &str) -> Result<(), EngineError> {
    if !contract.virtual_stereo {
        return Ok(());
    }
    Err(EngineError::Field {
        origin: origin.into(),
        field: "virtual_stereo".into(),
        found: "true: an RGB-D network (it takes a depth image)".into(),
        expected: "a network for one or two cameras: there is no depth camera".into(),
    })
}

impl<'a> From<GeometryValues<'a>> for Values<'a> {
    fn from(values: GeometryValues<'a>) -> Self {
        match values {
            GeometryValues::I32(values) => Self::I32(values),
            GeometryValues::F32(values) => Self::F32(values),
        }
    }
}

fn extents(shape: &[u64]) -> Vec<usize> {
    shape.iter().map(|&n| extent(n)).collect()
}

fn extent(n: u64) -> usize {
    usize::try_from(n).expect("a validated contract bounds its extents far below 2^63")
}

/// The ONNX file of a small network for two views, part of the program. It is there to show the whole
/// pipeline anywhere; whether it was trained is in its contract.
// A constant would be one copy of 4 MB in each crate that names it: in the library and in the program.
pub static BUNDLED_NETWORK: &[u8] = include_bytes!("../../engines/nano.onnx");

/// What messages call [`BUNDLED_NETWORK`].
pub const BUNDLED_NAME: &str = "engines/nano.onnx (bundled)";

/// The self-test of [`BUNDLED_NETWORK`].
pub const BUNDLED_SELF_TEST: &str = include_str!("../../engines/nano.selftest.json");

/// What messages call [`BUNDLED_SELF_TEST`].
pub const BUNDLED_SELF_TEST_NAME: &str = "engines/nano.selftest.json (bundled)";
