//! Export: a preset and its weights become one ONNX file that carries its own contract.
//!
//! The graph is emitted from the preset and the named tensors, one file per part of the network, in
//! the order of the paper's figure:
//!
//! ```text
//! images ── encoder ── decoder ──┬── sfa ──────────┐
//!                  pixels ───────┼────┘            × ── unet3d (crp) ── head ── ssc_logits
//!                                └── depth ────────┘
//!            depth_index, depth_weight, pixel_size ┘
//! ```
//!
//! It is opset 17 with static shapes throughout, and runs on `TensorRT` 8.5 and later: three-dimensional
//! convolutions stay `Conv` and `ConvTranspose` (a CPU engine may lower them itself), voxels read
//! features and depth by `Gather`, and nothing is dynamic. Batch norms are folded into their
//! convolutions. Parameters that the forward pass does not read are not exported.
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
mod crp;
mod decoder;
mod depth;
mod encoder;
mod file;
mod head;
mod layer;
mod sfa;
mod unet3d;

pub use file::{WriteError, write_atomically, write_atomically_with};

use crate::{
    preset::{Preset, PresetError},
    weights::{Weights, WeightsError},
};
use builder::{GraphBuilder, Value};
use depth::DepthInputs;
use occdepth_contract::{
    CONTRACT_VERSION, Contract, ContractError, GridSpec, METADATA_KEY, Normalisation, Precision,
    Quirks, TensorSpec, Training,
    onnx::{ModelProto, OperatorSetIdProto, StringStringEntryProto},
    tensor,
};

/// What the file says about itself beyond its preset, and which outputs it has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    /// Whether and on what the weights were trained.
    pub training: Training,
    /// SHA-256 of the imported checkpoint, lower-case hex.
    pub source_checkpoint: Option<String>,
    /// Add the output `occ_logits` (cascade heads only). It never changes `ssc_logits`.
    pub occupancy_output: bool,
}

impl Options {
    /// For weights that were made rather than trained; `how` they were initialised is said wherever
    /// the network is shown.
    pub fn untrained(how: &str) -> Self {
        let note = format!("initialised {how}; untrained");
        Self {
            training: Training { trained: false, note },
            source_checkpoint: None,
            occupancy_output: false,
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
    /// What was emitted does not keep its own contract: a defect of the exporter, or a preset beyond
    /// the contract's limits.
    #[error("the exported network does not keep its contract")]
    Contract(#[from] ContractError),
}

/// The model of `preset` with `weights`, checked against the contract it carries.
///
/// # Errors
/// [`ExportError`] when the preset is not valid, when weights are missing or of another shape, or when
/// an option does not fit.
///
/// # Panics
/// Never: what the emitters rely on is checked with the preset first.
pub fn export(
    preset: &Preset,
    weights: &Weights,
    options: &Options,
) -> Result<ModelProto, ExportError> {
    preset.validate(&preset.name)?;
    if options.occupancy_output && !preset.head.is_cascade() {
        return Err(ExportError::NoOccupancy { preset: preset.name.clone() });
    }
    let contract = contract(preset, options);
    let mut graph = GraphBuilder::new(weights);
    let inputs: Vec<Value> = contract.inputs.iter().map(|spec| graph.input(spec)).collect();
    let [images, pixels, depth_inputs @ ..] = &inputs[..] else {
        unreachable!("every contract has images and pixels");
    };

    let taps = encoder::emit(&mut graph, &preset.encoder, images)?;
    let features = decoder::emit(&mut graph, preset, &taps, images)?;
    let mut voxels = sfa::emit(&mut graph, preset, &features, pixels);
    if let (Some(net), [index, weight, pixel_size]) = (&preset.depth, depth_inputs) {
        let inputs = DepthInputs {
            index: index.clone(),
            weight: weight.clone(),
            pixel_size: pixel_size.clone(),
        };
        let eighth = preset
            .scales
            .iter()
            .position(|&scale| scale == 8)
            .expect("a validated preset with a depth net gathers at 1/8");
        let depth = depth::emit(&mut graph, net, &features[eighth], &inputs)?;
        voxels = graph.binary("Mul", "flosp_depth", &voxels, &depth);
    }
    let [x, y, z] = preset.projection_dims();
    let width = preset.unet.widths[0];
    let voxels = graph.transpose("projects", &voxels, &[0, 2, 1]);
    let voxels = graph.reshape("projects", &voxels, &[1, width, x, y, z]);
    let full = unet3d::emit(&mut graph, preset, &voxels)?;
    let logits = head::emit(&mut graph, preset, &full)?;

    let mut outputs = vec![(tensor::SSC_LOGITS, logits.classes)];
    if let Some(occupancy) = logits.occupancy.filter(|_| options.occupancy_output) {
        outputs.push((tensor::OCC_LOGITS, head::unbatched(&mut graph, &occupancy)));
    }
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
        graph: Some(graph.finish(&format!("occdepth-{}", preset.name), &outputs)),
        training_info: vec![],
        functions: vec![],
    };
    Contract::from_model(&model, &format!("export of {}", preset.name))?;
    Ok(model)
}

fn contract(preset: &Preset, options: &Options) -> Contract {
    let mut contract = Contract {
        contract_version: CONTRACT_VERSION.into(),
        preset: preset.name.clone(),
        dataset: preset.dataset.name().into(),
        training: options.training.clone(),
        views: u32::try_from(preset.views).expect("a validated preset has 1 or 2 views"),
        virtual_stereo: false,
        image: preset.image,
        scales: preset.scales.clone(),
        pattern: preset.pattern,
        project_scale: preset.project_scale,
        grid: GridSpec {
            axes: "x forward, y left, z up".into(),
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
        precision: Precision::Fp32,
        quirks: Quirks { right_samples_left_pixels: preset.samples_right_with_left_pixels() },
        source_checkpoint: options.source_checkpoint.clone(),
        exporter: concat!("occdepth-host ", env!("CARGO_PKG_VERSION")).into(),
    };
    contract.inputs = contract.expected_inputs();
    contract.outputs = contract.expected_outputs();
    if options.occupancy_output {
        let shape = [&[2], &contract.outputs[0].shape[1..]].concat();
        let dtype = contract.outputs[0].dtype;
        contract.outputs.push(TensorSpec { name: tensor::OCC_LOGITS.into(), shape, dtype });
    }
    contract
}

fn doc_string(contract: &Contract) -> String {
    let Training { trained, note } = &contract.training;
    format!(
        "OccDepth, preset {}: {} stereo views of {}x{} pixels to {:?} voxels of {} m. {}: {note}. The \
         contract is the JSON document `{METADATA_KEY}` in the metadata.",
        contract.preset,
        contract.views,
        contract.image.width,
        contract.image.height,
        contract.grid.dims,
        contract.grid.voxel_size_m,
        if *trained { "Trained" } else { "NOT TRAINED" },
    )
}

/// Version of the ONNX container that goes with the operator set.
const IR_VERSION: i64 = 8;
/// The newest operator set that `TensorRT` 8.5's parser reads.
const OPSET: i64 = 17;
