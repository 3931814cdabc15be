//! Export: a preset and its weights become one ONNX file that carries its own contract.
//!
//! The graph is emitted from the preset and the named tensors, one file per part of the network, in
//! the order of the paper's figure:
//!
//! ```text
//! images ── encoder ── decoder ──┬── sfa ──────────┐
//!   pixels (virtual_stereo) ─────┼────┘            × ── unet3d (crp) ── head ── ssc_logits
//!                                └── depth ────────┘
//!            depth_index, depth_weight, pixel_size ┘
//! ```
//!
//! It is opset 17 with static shapes throughout, of operators that `TensorRT` 8.5 and later document (not
//! yet run on a device): three-dimensional convolutions stay `Conv` and `ConvTranspose` (a CPU engine may lower them itself), voxels read
//! features and depth by `Gather`, and nothing is dynamic. Batch norms are folded into their
//! convolutions. Parameters that the forward pass does not read are not exported.
//!
//! Inside, floats are f32 or f16 ([`Options::precision`]). An f16 network keeps f32 inputs and outputs,
//! and computes in f32 where halves do not reach; every value has one type that follows from the
//! graph, as strongly typed builders want it. What stays in f32, and why, is measured in
//! `benches/results/fp16.md`:
//!
//! | part | in f32 |
//! |---|---|
//! | `encoder` | the means of squeeze-and-excite |
//! | `sfa` | everything after the gathers |
//! | `virtual_stereo` | disparities and columns |
//! | `depth` | the camera's gate, the samples of the volume |
//! | `crp` | the context that voxels gather, and the convolution that reads it |
//!
//! The same preset and weights give the same bytes on every machine: everything is emitted in a fixed
//! order, folding uses exactly rounded arithmetic, and nothing in the file depends on time or place.
//!
//! ```
//! use occdepth_contract::Contract;
//! use occdepth_host::{export::{self, Options}, preset::Preset, weights::Weights};
//!
//! let preset = Preset::builtin("nano")?;
//! let weights = Weights::initialise(&preset, 1);
//! let model = export::export(&preset, &weights, &Options::untrained("by integer hash, seed 1"))?;
//! let contract = Contract::from_model(&model, "nano.onnx")?;
//! assert!(!contract.training.trained);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod builder;
mod constant;
mod crp;
mod decoder;
mod depth;
mod encoder;
mod file;
mod head;
mod layer;
mod self_test;
mod sfa;
mod unet3d;
mod virtual_stereo;

pub use file::{StagedFiles, WriteError, write_atomically, write_atomically_with};
pub(crate) use self_test::rounded;
pub use self_test::{AMPLIFICATION, MOST_ALLOWED, Vectors, VectorsError, self_test};

use crate::{
    preset::{Preset, PresetError, parameters::HEAD},
    weights::{Provenance, Weights, WeightsError},
};
use builder::{GraphBuilder, Value};
use depth::DepthInputs;
use occdepth_contract::{
    CONTRACT_VERSION, Contract, ContractError, GridSpec, METADATA_KEY, Normalisation, Precision,
    Quirks, TensorSpec, Training,
    onnx::{GraphProto, ModelProto, OperatorSetIdProto, StringStringEntryProto, data_type},
    tensor,
};
use virtual_stereo::DepthImage;

/// What the file says about itself beyond its preset, and which outputs it has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    /// Whether and on what the weights were trained.
    pub training: Training,
    /// SHA-256 of the imported checkpoint, lower-case hex.
    pub source_checkpoint: Option<String>,
    /// Arithmetic inside the network: [`Precision::Fp32`] or [`Precision::Fp16`].
    pub precision: Precision,
    /// Add the output `occ_logits` (cascade heads only). It never changes `ssc_logits`.
    pub occupancy_output: bool,
    /// Add the output `occluded_logits` (occluded heads only). Without it that head is not exported:
    /// nothing else reads it.
    pub occluded_output: bool,
}

impl Options {
    /// For weights that were made rather than trained; `how` they were initialised is said wherever
    /// the network is shown.
    pub fn untrained(how: &str) -> Self {
        let note = format!("initialised {how}; untrained");
        Self {
            training: Training { trained: false, note },
            source_checkpoint: None,
            precision: Precision::Fp32,
            occupancy_output: false,
            occluded_output: false,
        }
    }

    /// For weights from a file that does not say where they come from.
    pub fn unknown(name: &str) -> Self {
        let note = format!("read from {name}, which does not say whether it was trained");
        Self { training: Training { trained: false, note }, ..Self::untrained("") }
    }

    /// For weights that say where they come from: trained or not, on what, from which checkpoint.
    pub fn from_provenance(provenance: &Provenance) -> Self {
        let Provenance { source_name, source_sha256, trained, .. } = provenance;
        let note = if *trained { "imported from" } else { "untrained, from" };
        Self {
            training: Training { trained: *trained, note: format!("{note} {source_name}") },
            source_checkpoint: Some(source_sha256.clone()),
            ..Self::untrained("")
        }
    }
}

/// Why a network cannot be exported.
#[derive(Debug, thiserror::Error)]
pub enum ExportError {
    /// The preset has a value that makes no network.
    #[error("the preset cannot be exported")]
    Preset(#[from] PresetError),
    /// A tensor that the network needs is missing or has another shape.
    #[error("the weights do not fit the preset")]
    Weights(#[from] WeightsError),
    /// The occupancy output was asked for, but the head has none.
    #[error(
        "preset {preset}: field `head.cascade`: found none, expected true for the output occ_logits"
    )]
    NoOccupancy {
        /// The preset.
        preset: String,
    },
    /// The occluded output was asked for, but there is no such head.
    #[error(
        "preset {preset}: field `head.occluded`: found none, expected true for the output \
         occluded_logits"
    )]
    NoOccluded {
        /// The preset.
        preset: String,
    },
    /// A precision that networks are not exported in.
    #[error("precision: found {found:?}, expected fp32 or fp16")]
    Precision {
        /// The one asked for.
        found: Precision,
    },
    /// A weight that is not a number, or became none when its batch norm was folded in.
    #[error("tensor {tensor}: found a weight of {found}, expected finite numbers")]
    NotFinite {
        /// The tensor, by the name of its convolution.
        tensor: String,
        /// The value.
        found: f32,
    },
    /// A weight beyond the range of f16.
    #[error(
        "fp16 overflow: tensor {tensor}: found a weight of {found} (batch norm folded in), expected \
         at most 65504; export as fp32"
    )]
    Overflow {
        /// The tensor, by the name of its convolution.
        tensor: String,
        /// The value.
        found: f32,
    },
    /// Most of a tensor is below the normal range of f16.
    #[error(
        "fp16 underflow: tensor {tensor}: f16 loses {:.1} % of it (batch norm folded in), expected \
         at most 0.8 %: its weights are below 6e-5; export as fp32",
        lost * 100.0
    )]
    Underflow {
        /// The tensor, by the name of its convolution.
        tensor: String,
        /// The share that rounding takes, as a root of sums of squares.
        lost: f64,
    },
    /// What was emitted does not keep its own contract: a defect of the exporter, or a preset beyond
    /// the contract's limits.
    #[error("the exported network does not keep its contract")]
    Contract(#[from] ContractError),
}

/// The model of `preset` with `weights`, checked against the contract it carries.
///
/// # Errors
/// [`ExportError`] when the preset is not valid, when weights are missing, of another shape or not
/// finite, when they do not fit the precision, or when an option does not fit the preset.
pub fn export(
    preset: &Preset,
    weights: &Weights,
    options: &Options,
) -> Result<ModelProto, ExportError> {
    let (contract, graph) = emit(preset, Some(weights), options)?;
    let model = ModelProto {
        ir_version: IR_VERSION,
        opset_import: vec![OperatorSetIdProto { domain: String::new(), version: OPSET }],
        producer_name: "occdepth-host".into(),
        producer_version: env!("CARGO_PKG_VERSION").into(),
        domain: String::new(),
        model_version: 1,
        doc_string: doc_string(&contract),
        metadata_props: vec![StringStringEntryProto {
            key: METADATA_KEY.into(),
            value: contract.to_json(),
        }],
        graph: Some(graph),
        training_info: vec![],
        functions: vec![],
    };
    Contract::from_model(&model, &format!("export of {}", preset.name))?;
    Ok(model)
}

/// The graph that [`export`] would write, with the shapes of all parameters and the values of none: to
/// look at a network of a gigabyte without making one. It is no model that runs.
///
/// # Errors
/// [`ExportError`] when the preset is not valid or an option does not fit it.
pub fn outline(preset: &Preset, options: &Options) -> Result<GraphProto, ExportError> {
    emit(preset, None, options).map(|(_, graph)| graph)
}

fn emit(
    preset: &Preset,
    weights: Option<&Weights>,
    options: &Options,
) -> Result<(Contract, GraphProto), ExportError> {
    preset.validate(&preset.name)?;
    if options.occupancy_output && !preset.head.is_cascade() {
        return Err(ExportError::NoOccupancy { preset: preset.name.clone() });
    }
    if options.occluded_output && !preset.head.has_occluded() {
        return Err(ExportError::NoOccluded { preset: preset.name.clone() });
    }
    let float = match options.precision {
        Precision::Fp32 => data_type::FLOAT,
        Precision::Fp16 => data_type::FLOAT16,
        found @ Precision::Int8 => return Err(ExportError::Precision { found }),
    };
    let contract = contract(preset, options);
    let mut graph = GraphBuilder::new(weights, float);
    let inputs = Inputs::declare(&mut graph, &contract);

    let images = graph.narrow(tensor::IMAGES, &inputs.images);
    let taps = encoder::emit(&mut graph, &preset.encoder, &images)?;
    let features = decoder::emit(&mut graph, preset, &taps, &images)?;
    let depth_image = inputs.depth_image.as_ref();
    let mut voxels = sfa::emit(&mut graph, preset, &features, &inputs.pixels, depth_image);
    if let (Some(net), Some(inputs)) = (&preset.depth, &inputs.depth) {
        let eighth = preset
            .scales
            .iter()
            .position(|&scale| scale == 8)
            .expect("a validated preset with a depth net gathers at 1/8");
        let depth = depth::emit(&mut graph, net, &features[eighth], inputs)?;
        voxels = graph.binary("Mul", "flosp_depth", &voxels, &depth);
    }
    let voxels = graph.narrow("projects", &voxels);
    let axes = preset.unet.axes;
    let volume = unet3d::arrange(&mut graph, "projects", &voxels, preset.projection_dims(), axes);
    let full = unet3d::emit(&mut graph, preset, &volume)?;

    let logits = head::emit(&mut graph, preset, &full)?;
    let mut results = vec![(tensor::SSC_LOGITS, logits.classes)];
    if let Some(occupancy) = logits.occupancy.filter(|_| options.occupancy_output) {
        results.push((tensor::OCC_LOGITS, occupancy));
    }
    if options.occluded_output
        && let Some(occluded) = head::emit_occluded(&mut graph, preset, &full)?
    {
        results.push((tensor::OCCLUDED_LOGITS, occluded));
    }
    let outputs: Vec<(&str, Value)> = results
        .into_iter()
        .map(|(name, logits)| (name, unet3d::restore(&mut graph, HEAD, &logits, axes)))
        .collect();
    Ok((contract, graph.finish(&format!("occdepth-{}", preset.name), &outputs)))
}

/// The inputs of the contract as values.
struct Inputs {
    images: Value,
    pixels: Value,
    depth: Option<DepthInputs>,
    depth_image: Option<DepthImage>,
}

impl Inputs {
    /// Declares them in the order of the contract.
    fn declare(graph: &mut GraphBuilder<'_>, contract: &Contract) -> Self {
        let values: Vec<Value> = contract.inputs.iter().map(|spec| graph.input(spec)).collect();
        let find = |name: &str| {
            let position = contract.inputs.iter().position(|spec| spec.name == name)?;
            Some(values[position].clone())
        };
        let required = |name: &str| find(name).expect("every contract has images and pixels");
        Self {
            images: required(tensor::IMAGES),
            pixels: required(tensor::PIXELS),
            depth: (|| {
                Some(DepthInputs {
                    index: find(tensor::DEPTH_INDEX)?,
                    weight: find(tensor::DEPTH_WEIGHT)?,
                    pixel_size: find(tensor::PIXEL_SIZE)?,
                })
            })(),
            depth_image: (|| {
                Some(DepthImage {
                    depth_m: find(tensor::DEPTH_M)?,
                    baseline_focal: find(tensor::BASELINE_FOCAL)?,
                })
            })(),
        }
    }
}

fn contract(preset: &Preset, options: &Options) -> Contract {
    let mut contract = Contract {
        contract_version: CONTRACT_VERSION.into(),
        preset: preset.name.clone(),
        dataset: preset.dataset.name().into(),
        training: options.training.clone(),
        views: u32::try_from(preset.views).expect("a validated preset has 1 or 2 views"),
        virtual_stereo: preset.virtual_stereo,
        image: preset.image,
        scales: preset.scales.clone(),
        pattern: preset.pattern,
        project_scale: preset.project_scale,
        grid: GridSpec {
            axes: AXES.into(),
            origin_m: preset.grid.origin_m,
            voxel_size_m: preset.grid.voxel_size_m,
            dims: preset.grid.dims,
        },
        depth: preset.depth.map(|depth| depth.volume),
        fit: preset.fit,
        normalisation: Normalisation::IMAGENET,
        classes: preset.dataset.classes(),
        inputs: vec![],
        outputs: vec![],
        precision: options.precision,
        quirks: Quirks { right_samples_left_pixels: preset.samples_right_with_left_pixels() },
        source_checkpoint: options.source_checkpoint.clone(),
        exporter: EXPORTER.into(),
    };
    contract.inputs = contract.expected_inputs();
    contract.outputs = contract.expected_outputs();
    let optional = [
        (tensor::OCC_LOGITS, options.occupancy_output),
        (tensor::OCCLUDED_LOGITS, options.occluded_output),
    ];
    for (name, _) in optional.into_iter().filter(|(_, wanted)| *wanted) {
        let shape = [&[2], &contract.outputs[0].shape[1..]].concat();
        let dtype = contract.outputs[0].dtype;
        contract.outputs.push(TensorSpec { name: name.into(), shape, dtype });
    }
    contract
}

fn doc_string(contract: &Contract) -> String {
    let Training { trained, note } = &contract.training;
    let views = match (contract.views, contract.virtual_stereo) {
        (1, false) => "1 view",
        (1, true) => "1 view and a depth image",
        _ => "2 stereo views",
    };
    format!(
        "OccDepth, preset {}: {} of {}x{} pixels to {:?} voxels of {} m. {}: {note}. The \
         contract is the JSON document `{METADATA_KEY}` in the metadata.",
        contract.preset,
        views,
        contract.image.width,
        contract.image.height,
        contract.grid.dims,
        contract.grid.voxel_size_m,
        if *trained { "Trained" } else { "NOT TRAINED" },
    )
}

/// What contracts say of the program that wrote them.
pub(crate) const EXPORTER: &str = concat!("occdepth-host ", env!("CARGO_PKG_VERSION"));
/// What contracts say of the axes of the grid.
pub(crate) const AXES: &str = "x forward, y left, z up";
/// Version of the ONNX container that goes with the operator set.
const IR_VERSION: i64 = 8;
/// The newest operator set that `TensorRT` 8.5's parser reads.
const OPSET: i64 = 17;
