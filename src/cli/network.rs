//! `occdepth network`: what an exported network promises.

use super::{Failure, output};
use occdepth_contract::onnx::ModelProto;
use occdepth_contract::{Contract, DType, TensorSpec};
use serde_json::json;
use sha2::Digest as _;
use std::collections::BTreeMap;
use std::path::PathBuf;

#[derive(Debug, clap::Subcommand)]
pub(crate) enum Command {
    /// Prints the contract of a network: tensors, grid, classes, whether it is trained
    Show(Show),
}

#[derive(Debug, clap::Args)]
pub(crate) struct Show {
    /// The exported network (ONNX); the bundled one when absent
    file: Option<PathBuf>,

    /// Prints JSON: the contract as the file holds it, and facts about the file
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(command: &Command) -> Result<(), Failure> {
    let Command::Show(arguments) = command;
    let (bytes, origin) = match &arguments.file {
        Some(path) => {
            let bytes = std::fs::read(path).map_err(|error| {
                Failure::configuration(format!("cannot read the network {}", path.display()))
                    .because(error)
            })?;
            (std::borrow::Cow::Owned(bytes), path.display().to_string())
        }
        None => {
            (occdepth::engine::BUNDLED_NETWORK.into(), occdepth::engine::BUNDLED_NAME.to_owned())
        }
    };
    let unusable = |error: Box<dyn std::error::Error + Send + Sync>| {
        Failure::configuration("the network is not usable").because(error)
    };
    let model = ModelProto::from_bytes(&bytes, &origin).map_err(|error| unusable(error.into()))?;
    let contract = Contract::from_model(&model, &origin).map_err(|error| unusable(error.into()))?;
    let facts = Facts::of(&model, &bytes);
    if arguments.json {
        output::print_json(&json!({
            "file": origin,
            "bytes": bytes.len(),
            "sha256": facts.sha256,
            "parameters": facts.parameters,
            "opset": facts.opset,
            "operators": facts.operators,
            "contract": contract,
        }))
    } else {
        output::print(text(&origin, bytes.len(), &contract, &facts).as_bytes())
    }
}

/// What the file says besides its contract.
struct Facts {
    sha256: String,
    /// Numbers in the floating-point constants.
    parameters: usize,
    opset: i64,
    operators: BTreeMap<String, usize>,
}

impl Facts {
    fn of(model: &ModelProto, bytes: &[u8]) -> Self {
        let mut operators = BTreeMap::new();
        let mut parameters = 0;
        if let Some(graph) = &model.graph {
            for node in &graph.node {
                *operators.entry(node.op_type.clone()).or_insert(0) += 1;
            }
            parameters = graph
                .initializer
                .iter()
                .filter(|constant| constant.data_type == DType::F32.onnx())
                .filter_map(|constant| constant.element_count().ok())
                .sum();
        }
        let opset = model.opset_import.iter().find(|set| set.domain.is_empty());
        Self {
            sha256: hex(&sha2::Sha256::digest(bytes)),
            parameters,
            opset: opset.map_or(0, |set| set.version),
            operators,
        }
    }
}

fn text(origin: &str, bytes: usize, contract: &Contract, facts: &Facts) -> String {
    let Contract { grid, image, training, .. } = contract;
    let [x, y, z] = grid.dims;
    let trained = if training.trained { "trained" } else { "UNTRAINED: its labels mean nothing" };
    let origin_m = grid.origin_m.map_or_else(
        || "with an origin per scene".to_owned(),
        |[x, y, z]| format!("from ({x}, {y}, {z}) m"),
    );
    let depth = contract.depth.map_or_else(
        || "no depth net".to_owned(),
        |volume| {
            let bins = volume.bins;
            format!("{} {:?} bins, {} to {} m", bins.count, bins.mode, bins.min_m, bins.max_m)
        },
    );
    let operators: Vec<_> =
        facts.operators.iter().map(|(name, count)| format!("{name} x{count}")).collect();
    let classes: Vec<_> =
        contract.classes.iter().map(|class| format!("{} {}", class.id, class.name)).collect();
    let mut lines = vec![
        format!("{origin}: {bytes} bytes, sha256 {}", facts.sha256),
        format!("preset     {} ({})", contract.preset, contract.dataset),
        format!("state      {trained} ({})", training.note),
        format!("contract   {}, written by {}", contract.contract_version, contract.exporter),
        format!(
            "images     {} x {}x{}, fit = {:?}, {:?}",
            contract.views, image.width, image.height, contract.fit, contract.precision
        ),
        format!(
            "grid       {x}x{y}x{z} voxels of {} m {origin_m}, {}",
            grid.voxel_size_m, grid.axes
        ),
        format!(
            "sampling   scales {:?}, pattern {}, project scale {}; {depth}",
            contract.scales, contract.pattern, contract.project_scale
        ),
        format!("parameters {} (opset {})", facts.parameters, facts.opset),
    ];
    let tensors = |direction: &'static str, specs: &[TensorSpec]| {
        specs
            .iter()
            .map(|t| format!("{direction} {:15} {:?} {:?}", t.name, t.dtype, t.shape))
            .collect::<Vec<_>>()
    };
    lines.extend(tensors("input     ", &contract.inputs));
    lines.extend(tensors("output    ", &contract.outputs));
    lines.push(format!("classes    {}", classes.join(", ")));
    lines.push(format!("operators  {}", operators.join(", ")));
    lines.join("\n") + "\n"
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |text, byte| text + &format!("{byte:02x}"))
}
