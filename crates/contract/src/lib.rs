//! What an exported `OccDepth` network promises, and the file that carries the promise.
//!
//! # Design
//!
//! The companion (`host/`) exports a network as one ONNX file; the runtime runs it without knowing
//! how it was trained. Everything both must agree on stands in the file itself, as a JSON document in
//! the ONNX `metadata_props` under [`METADATA_KEY`]: the [`Contract`]. It says which images the
//! network takes (views, size, normalisation, how a rig's images are fitted to it), which voxels it
//! answers for (grid, projection scale), how the geometry inputs are made (scales, sampling pattern,
//! depth bins), what the answer means (classes), and how far it can be trusted (trained or not).
//!
//! Geometry is an input of the network, not a constant in it: one network serves every rig with the
//! same image size. [`Contract::geometry_spec`] gives the geometry crate what it needs to compute
//! those inputs.
//!
//! The shapes of all tensors follow from the contract ([`Contract::expected_inputs`],
//! [`Contract::expected_outputs`]). A file is accepted only when three things agree: what follows
//! from the fields, what the metadata lists, and what the ONNX graph declares. A missing document, a
//! newer major version or any disagreement is refused with the file, the field, what was found and
//! what was expected.
//!
//! | module | job |
//! |---|---|
//! | [`onnx`] | the ONNX container: messages, reading, writing |
//! | [`classes`] | class tables of the data sets |
//! | [`hex`] | hashes as text |
//! | [`self_test`] | input and sampled outputs that show whether an engine computes the network |
//!
//! # Versions
//!
//! [`CONTRACT_VERSION`] is `major.minor`. A minor only adds top-level fields that an older reader may
//! ignore, and it does; anything else is a new major, which older readers refuse. (A network that an
//! older reader cannot serve is still refused by it: its tensors are others than the older fields
//! say.)
//!
//! | version | added |
//! |---|---|
//! | 1.0 | |
//! | 1.1 | `virtual_stereo` |
//!
//! # Example
//!
//! ```
//! use occdepth_contract::{Contract, DType, METADATA_KEY, onnx};
//! # use occdepth_contract::{GridSpec, Normalisation, Precision, Quirks, TensorSpec, Training, classes};
//! # use occdepth_geometry::{ImageSize, fit::Fit};
//! # fn a_contract() -> Contract {
//! #     Contract {
//! #         contract_version: occdepth_contract::CONTRACT_VERSION.into(),
//! #         preset: "example".into(),
//! #         dataset: "semantic-kitti".into(),
//! #         training: Training { trained: false, note: "an example".into() },
//! #         views: 2,
//! #         virtual_stereo: false,
//! #         image: ImageSize { width: 64, height: 32 },
//! #         scales: vec![1, 2],
//! #         pattern: 0,
//! #         project_scale: 2,
//! #         grid: GridSpec {
//! #             axes: "x forward, y left, z up".into(),
//! #             origin_m: Some([0.0, -25.6, -2.0]),
//! #             voxel_size_m: 1.6,
//! #             dims: [32, 32, 4],
//! #         },
//! #         depth: None,
//! #         fit: Fit::Rectify,
//! #         normalisation: Normalisation::IMAGENET,
//! #         classes: classes::semantic_kitti(),
//! #         inputs: vec![],
//! #         outputs: vec![],
//! #         precision: Precision::Fp32,
//! #         quirks: Quirks::default(),
//! #         source_checkpoint: None,
//! #         exporter: "documentation".into(),
//! #     }
//! # }
//! // The exporter fills in the tensors that follow from the other fields ...
//! let mut contract: Contract = a_contract();
//! contract.inputs = contract.expected_inputs();
//! contract.outputs = contract.expected_outputs();
//! assert_eq!(contract.inputs[1].name, "pixels");
//! assert_eq!(contract.inputs[1].shape, [2, 2, 16 * 16 * 2, 1]); // [views, scales, voxels, points]
//! assert_eq!(contract.inputs[1].dtype, DType::I32);
//!
//! // ... and stores the document in the model.
//! let declare = |spec: &TensorSpec| {
//!     let shape: Vec<i64> = spec.shape.iter().map(|&extent| extent as i64).collect();
//!     onnx::ValueInfoProto::tensor(&spec.name, spec.dtype.onnx(), &shape)
//! };
//! let model = onnx::ModelProto {
//!     metadata_props: vec![onnx::StringStringEntryProto {
//!         key: METADATA_KEY.into(),
//!         value: contract.to_json(),
//!     }],
//!     graph: Some(onnx::GraphProto {
//!         input: contract.inputs.iter().map(declare).collect(),
//!         output: contract.outputs.iter().map(declare).collect(),
//!         ..Default::default()
//!     }),
//!     ..Default::default()
//! };
//!
//! // The runtime reads it back, checked, and learns what geometry the network needs.
//! let read = Contract::from_model(&model, "example.onnx")?;
//! assert_eq!(read, contract);
//! let spec = read.geometry_spec(None)?;
//! assert_eq!(spec.grid.dims, [32, 32, 4]);
//! # Ok::<(), occdepth_contract::ContractError>(())
//! ```
#![forbid(unsafe_code)]

pub mod classes;
mod error;
pub mod hex;
pub mod onnx;
mod regular_file;
pub mod self_test;
mod validate;

pub use error::ContractError;

use occdepth_geometry::{
    ImageSize, depth::DepthVolume, fit::Fit, network::GeometrySpec, voxel::VoxelGrid,
};
use serde::{Deserialize, Serialize};

/// Key of the ONNX `metadata_props` entry that holds the contract as JSON.
pub const METADATA_KEY: &str = "occdepth";

/// The version this crate writes and reads, `major.minor`.
pub const CONTRACT_VERSION: &str = "1.1";

/// The metadata document of an exported network.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Contract {
    /// `major.minor`; a newer major is refused.
    pub contract_version: String,
    /// Name of the preset the network was built from.
    pub preset: String,
    /// Data set whose classes and grid the network uses ("semantic-kitti", "nyu-v2",
    /// "semantic-tartanair").
    pub dataset: String,
    /// Whether and on what the weights were trained.
    pub training: Training,
    /// Number of views V: 1 (left) or 2 (left, right).
    pub views: u32,
    /// An RGB-D network: it has one view, and makes the features of a second one from it and a depth
    /// image (inputs `depth_m` and `baseline_focal`). Since version 1.1; absent means `false`.
    #[serde(default)]
    pub virtual_stereo: bool,
    /// Size W x H of the network's images in pixels.
    pub image: ImageSize,
    /// Downscalings of the feature maps that voxels sample, ascending powers of two; S entries.
    pub scales: Vec<u32>,
    /// Sampling pattern, 0..=8 of the published network; it decides the number of points P.
    pub pattern: u8,
    /// The projection grid has voxels this many times as large as the output grid (1 or 2).
    pub project_scale: u32,
    /// The output voxel grid.
    pub grid: GridSpec,
    /// The depth volume; `None` for networks without a depth net.
    pub depth: Option<DepthVolume>,
    /// How a rig's images become the network's images.
    pub fit: Fit,
    /// How RGB bytes become input values.
    pub normalisation: Normalisation,
    /// The C classes, one per output channel, in the order of the channels.
    pub classes: Vec<Class>,
    /// The graph's inputs, in its order.
    pub inputs: Vec<TensorSpec>,
    /// The graph's outputs, in its order.
    pub outputs: Vec<TensorSpec>,
    /// Arithmetic inside the network; inputs and outputs stay f32 and i32.
    pub precision: Precision,
    /// Behaviours of the published code that a runtime must reproduce.
    pub quirks: Quirks,
    /// SHA-256 of the imported checkpoint, lower-case hex; `None` for weights made here.
    pub source_checkpoint: Option<String>,
    /// Program and version that wrote the file.
    pub exporter: String,
}

/// Whether and on what the weights were trained.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Training {
    /// `false`: the labels mean nothing; whoever shows them must say so.
    pub trained: bool,
    /// On what; for an untrained network how it was initialised.
    pub note: String,
}

/// The output voxel grid, x-major, z fastest, in the ego frame.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GridSpec {
    /// For people: "x forward, y left, z up".
    pub axes: String,
    /// Minimum corner in metres; `None`: per scene, the caller provides it.
    pub origin_m: Option<[f64; 3]>,
    /// Edge of a voxel in metres.
    pub voxel_size_m: f64,
    /// X, Y, Z in voxels.
    pub dims: [u32; 3],
}

impl GridSpec {
    /// Number of voxels, saturating.
    pub fn voxel_count(&self) -> u64 {
        self.dims.iter().fold(1, |count: u64, &dim| count.saturating_mul(u64::from(dim)))
    }
}

/// `(x / 255 - mean) / std` per channel, in the order red, green, blue.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Normalisation {
    /// In 0..=1.
    pub mean: [f32; 3],
    /// Positive.
    pub std: [f32; 3],
}

impl Normalisation {
    /// Mean and standard deviation of `ImageNet`, the constants of torchvision's pretrained models.
    pub const IMAGENET: Self = Self { mean: [0.485, 0.456, 0.406], std: [0.229, 0.224, 0.225] };
}

/// One class of the labels.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Class {
    /// The label; 255 is reserved for unknown.
    pub id: u8,
    /// Its name in the data set.
    pub name: String,
    /// Red, green, blue.
    pub colour: [u8; 3],
}

/// Name, shape and element type of an input or output.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TensorSpec {
    /// Its name in the graph.
    pub name: String,
    /// Extents, outermost first.
    pub shape: Vec<u64>,
    /// Its element type.
    pub dtype: DType,
}

impl TensorSpec {
    /// Number of elements, saturating.
    pub fn element_count(&self) -> u64 {
        self.shape.iter().fold(1, |count: u64, &extent| count.saturating_mul(extent))
    }
}

/// Element type of an input or output.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum DType {
    /// 32-bit IEEE float.
    F32,
    /// 32-bit signed integer.
    I32,
}

impl DType {
    /// The number of this type in ONNX, [`onnx::data_type`].
    pub const fn onnx(self) -> i32 {
        match self {
            Self::F32 => onnx::data_type::FLOAT,
            Self::I32 => onnx::data_type::INT32,
        }
    }
}

/// Arithmetic inside the network.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Precision {
    /// 32-bit floats throughout.
    Fp32,
    /// 16-bit floats inside, 32-bit at the edges.
    Fp16,
    /// Quantised with explicit `QuantizeLinear` and `DequantizeLinear`.
    Int8,
}

/// Behaviours of the published code that a runtime must reproduce for a published network.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Quirks {
    /// Project scale 1 samples both views with the left view's pixels.
    pub right_samples_left_pixels: bool,
}

/// Names of the network's tensors.
pub mod tensor {
    /// Input f32 [V, 3, H, W]: rectified RGB, normalised.
    pub const IMAGES: &str = "images";
    /// Input i32 [Vp, S, N, P]: where each voxel samples each feature map. Vp is V, or 2 for RGB-D
    /// networks.
    pub const PIXELS: &str = "pixels";
    /// Input i32 [V, 8, N]: corners of each voxel in the depth volume.
    pub const DEPTH_INDEX: &str = "depth_index";
    /// Input f32 [V, 8, N]: their weights.
    pub const DEPTH_WEIGHT: &str = "depth_weight";
    /// Input f32 [V, 1]: scaled pixel size.
    pub const PIXEL_SIZE: &str = "pixel_size";
    /// Input f32 [1, 1, H, W] of RGB-D networks: depth of every pixel in metres.
    pub const DEPTH_M: &str = "depth_m";
    /// Input f32 `[1]` of RGB-D networks: baseline in metres times focal length in pixels.
    pub const BASELINE_FOCAL: &str = "baseline_focal";
    /// Output f32 [C, X, Y, Z].
    pub const SSC_LOGITS: &str = "ssc_logits";
    /// Optional output f32 [2, X, Y, Z].
    pub const OCC_LOGITS: &str = "occ_logits";
    /// Optional output f32 [2, X, Y, Z].
    pub const OCCLUDED_LOGITS: &str = "occluded_logits";
}

impl Contract {
    /// Reads and checks the contract of a model; `origin` (a path or a name) is for error messages.
    ///
    /// # Errors
    /// [`ContractError`]: no document, a newer major, a field that is out of range, tensors that do
    /// not follow from the fields, or a graph that declares others.
    pub fn from_model(model: &onnx::ModelProto, origin: &str) -> Result<Self, ContractError> {
        let Some(json) = model.metadata(METADATA_KEY) else {
            return Err(ContractError::Missing { origin: origin.into() });
        };
        let contract = Self::from_json(json, origin)?;
        contract.check_graph(model, origin)?;
        Ok(contract)
    }

    /// Reads and checks the JSON document alone; `origin` is for error messages.
    ///
    /// # Errors
    /// As [`Contract::from_model`], without the graph.
    pub fn from_json(json: &str, origin: &str) -> Result<Self, ContractError> {
        let contract = validate::parse(json, origin)?;
        contract.validate(origin)?;
        Ok(contract)
    }

    /// The document as it is stored. The same contract gives the same text.
    ///
    /// # Panics
    /// Never: strings, numbers and lists always have a JSON form.
    pub fn to_json(&self) -> String {
        serde_json::to_string(self).expect("strings, numbers and lists have a JSON form")
    }

    /// The inputs that follow from the fields, in the order of the graph.
    ///
    /// Shapes of a contract that [`Contract::validate`] refuses mean nothing.
    pub fn expected_inputs(&self) -> Vec<TensorSpec> {
        let [views, width, height] =
            [self.views, self.image.width, self.image.height].map(u64::from);
        let voxels = self.projection_voxels();
        let points = validate::pattern_points(self.pattern).unwrap_or(0);
        let scales = self.scales.len() as u64;
        let mut inputs = vec![
            spec(tensor::IMAGES, DType::F32, &[views, 3, height, width]),
            spec(tensor::PIXELS, DType::I32, &[self.gathering_views(), scales, voxels, points]),
        ];
        if self.depth.is_some() {
            inputs.extend([
                spec(tensor::DEPTH_INDEX, DType::I32, &[views, 8, voxels]),
                spec(tensor::DEPTH_WEIGHT, DType::F32, &[views, 8, voxels]),
                spec(tensor::PIXEL_SIZE, DType::F32, &[views, 1]),
            ]);
        }
        if self.virtual_stereo {
            inputs.extend([
                spec(tensor::DEPTH_M, DType::F32, &[1, 1, height, width]),
                spec(tensor::BASELINE_FOCAL, DType::F32, &[1]),
            ]);
        }
        inputs
    }

    /// The outputs that follow from the fields. The optional ones are there when
    /// [`Contract::outputs`] lists them.
    pub fn expected_outputs(&self) -> Vec<TensorSpec> {
        let [x, y, z] = self.grid.dims.map(u64::from);
        let listed = |name: &&str| self.outputs.iter().any(|output| output.name == **name);
        let optional = [tensor::OCC_LOGITS, tensor::OCCLUDED_LOGITS].into_iter().filter(listed);
        std::iter::once(spec(tensor::SSC_LOGITS, DType::F32, &[self.classes.len() as u64, x, y, z]))
            .chain(optional.map(|name| spec(name, DType::F32, &[2, x, y, z])))
            .collect()
    }

    /// Number of views Vp that voxels gather features from: the cameras, and the virtual right view
    /// of an RGB-D network.
    pub fn gathering_views(&self) -> u64 {
        u64::from(self.views) + u64::from(self.virtual_stereo)
    }

    /// Number of voxels N of the projection grid.
    pub fn projection_voxels(&self) -> u64 {
        let scale = u64::from(self.project_scale.max(1));
        self.grid
            .dims
            .iter()
            .fold(1, |count: u64, &dim| count.saturating_mul(u64::from(dim) / scale))
    }

    /// What the geometry crate needs to compute the geometry inputs.
    ///
    /// `origin_override` is the minimum corner of the grid in metres for networks whose grid is
    /// placed per scene; it also moves a grid that has an origin.
    ///
    /// # Errors
    /// [`ContractError::Field`] when the grid's origin is per scene and none is given, or it is not
    /// finite.
    pub fn geometry_spec(
        &self,
        origin_override: Option<[f64; 3]>,
    ) -> Result<GeometrySpec, ContractError> {
        let origin_m = origin_override.or(self.grid.origin_m);
        let Some(origin_m) = origin_m.filter(|origin| origin.iter().all(|m| m.is_finite())) else {
            return Err(ContractError::Field {
                origin: self.preset.clone(),
                field: "grid.origin_m".into(),
                found: origin_m.map_or_else(|| "per scene".into(), |found| format!("{found:?}")),
                expected: "three finite metres, from the network or the configuration".into(),
            });
        };
        Ok(GeometrySpec {
            views: self.views as usize,
            image: self.image,
            scales: self.scales.clone(),
            pattern: self.pattern,
            project_scale: self.project_scale,
            grid: VoxelGrid {
                origin_m,
                voxel_size_m: self.grid.voxel_size_m,
                dims: self.grid.dims,
            },
            depth: self.depth,
            right_samples_left_pixels: self.quirks.right_samples_left_pixels,
        })
    }
}

fn spec(name: &str, dtype: DType, shape: &[u64]) -> TensorSpec {
    TensorSpec { name: name.into(), shape: shape.to_vec(), dtype }
}
