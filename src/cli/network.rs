//! `occdepth network`: what an exported network promises, and whether an engine keeps it.

use super::{Failure, output};
use occdepth::engine::build::{BuildError, compare};
use occdepth::engine::{
    BUNDLED_NAME, BUNDLED_NETWORK, BUNDLED_SELF_TEST, BUNDLED_SELF_TEST_NAME, CpuEngine,
    Engine as _,
};
use occdepth_contract::onnx::{ModelFile, ModelProto, data_type};
use occdepth_contract::self_test::{self, Comparison, SelfTest};
use occdepth_contract::{Contract, TensorSpec, hex};
use serde_json::json;
use sha2::Digest as _;
use std::collections::BTreeMap;
use std::error::Error;
use std::path::{Path, PathBuf};

#[derive(Debug, clap::Subcommand)]
pub(crate) enum Command {
    /// Prints the contract of a network: tensors, grid, classes, whether it is trained
    Show(Show),
    /// Runs the self-test of a network on this machine's engine
    Check(Check),
}

#[derive(Debug, clap::Args)]
pub(crate) struct Show {
    /// The exported network (ONNX); the bundled one when absent
    file: Option<PathBuf>,

    /// Prints JSON: the contract as the file holds it, and facts about the file
    #[arg(long)]
    json: bool,
}

/// Runs the self-test of a network on this machine's engine
///
/// Beside each exported N.onnx lies N.selftest.json: how to make one frame, and what the network as it
/// was trained says about it at some thousand voxels. The engine must say the same, within the
/// tolerance that the file names.
///
/// Exit codes: 0 the engine computes the network, 1 it does not, 2 there is no self-test for this file.
#[derive(Debug, clap::Args)]
pub(crate) struct Check {
    /// The exported network (ONNX); the bundled one when absent
    file: Option<PathBuf>,

    /// The self-test; by default FILE with the extension `selftest.json`
    #[arg(long, value_name = "FILE.selftest.json", requires = "file")]
    self_test: Option<PathBuf>,

    /// Threads that the engine runs on; by default one for each core
    #[arg(long, value_name = "N")]
    threads: Option<usize>,

    /// Prints JSON
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(command: &Command) -> Result<(), Failure> {
    match command {
        Command::Show(arguments) => show(arguments),
        Command::Check(arguments) => check(arguments),
    }
}

fn show(arguments: &Show) -> Result<(), Failure> {
    let (file, origin) = read(arguments.file.as_deref()).map_err(unusable)?;
    let contract =
        Contract::from_model(&file.model, &origin).map_err(|error| unusable(Box::new(error)))?;
    let facts = Facts::of(&file);
    if arguments.json {
        output::print_json(&json!({
            "file": origin,
            "bytes": file.bytes,
            "sha256": facts.sha256,
            "parameters": facts.parameters,
            "opset": facts.opset,
            "operators": facts.operators,
            "contract": contract,
        }))
    } else {
        output::print(text(&origin, file.bytes, &contract, &facts).as_bytes())
    }
}

/// The file, or the bundled network, and its name for messages.
fn read(path: Option<&Path>) -> Result<(ModelFile, String), Box<dyn Error + Send + Sync>> {
    let Some(path) = path else {
        let model = ModelProto::from_bytes(BUNDLED_NETWORK, BUNDLED_NAME)?;
        let sha256 = sha2::Sha256::digest(BUNDLED_NETWORK).into();
        let file = ModelFile { model, sha256, bytes: BUNDLED_NETWORK.len() as u64 };
        return Ok((file, BUNDLED_NAME.into()));
    };
    Ok((ModelFile::read(path)?, path.display().to_string()))
}

fn unusable(error: Box<dyn Error + Send + Sync>) -> Failure {
    Failure::configuration("the network is not usable").because(error)
}

fn check(arguments: &Check) -> Result<(), Failure> {
    let (test, test_origin) = read_self_test(arguments)?;
    let mut engine = match &arguments.file {
        Some(file) => CpuEngine::open(file, arguments.threads),
        None => CpuEngine::bundled(arguments.threads),
    }
    .map_err(|error| unusable(error.into()))?;
    let network = engine.description().network_sha256;
    test.check_network(network, &test_origin).map_err(|error| no_test(error.into()))?;
    let comparison = compare(&mut engine, &test, &test_origin).map_err(|error| match error {
        BuildError::Run(error) => {
            Failure::work("the engine failed on the self-test").because(error)
        }
        other => no_test(other.into()),
    })?;
    report(&test, &comparison, &engine.description().name, arguments.json)?;
    if comparison.passed() {
        return Ok(());
    }
    Err(Failure::work("the engine does not compute this network").hint(
        "the file may be damaged, or the engine's build wrong: export the network again, and compare with \
         `occdepth-host verify`",
    ))
}

/// The self-test of the file, or of the bundled network, and its name for messages.
fn read_self_test(arguments: &Check) -> Result<(SelfTest, String), Failure> {
    let Some(file) = &arguments.file else {
        let test = SelfTest::from_json(BUNDLED_SELF_TEST, BUNDLED_SELF_TEST_NAME);
        let test = test.map_err(|error| no_test(error.into()))?;
        return Ok((test, BUNDLED_SELF_TEST_NAME.into()));
    };
    let beside = || self_test::path_beside(file);
    let path = arguments.self_test.clone().unwrap_or_else(beside);
    let test = SelfTest::read(&path).map_err(|error| {
        no_test(error.into()).hint("`occdepth-host export` writes the self-test beside the network")
    })?;
    Ok((test, path.display().to_string()))
}

fn no_test(error: Box<dyn Error + Send + Sync>) -> Failure {
    Failure::configuration("the network cannot be checked").because(error)
}

fn report(
    test: &SelfTest,
    comparison: &Comparison,
    engine: &str,
    as_json: bool,
) -> Result<(), Failure> {
    let Comparison { output, samples, largest, rms, worst, tolerance } = comparison;
    let (index, found, expected) = worst;
    let passed = comparison.passed();
    // The engine hands out the class logits only.
    let unchecked: Vec<&str> = test
        .outputs
        .iter()
        .map(|samples| samples.name.as_str())
        .filter(|name| name != output)
        .collect();
    if as_json {
        return output::print_json(&json!({
            "preset": test.preset,
            "engine": engine,
            "output": output,
            "samples": samples,
            "largest_error": largest,
            "rms_error": rms,
            "tolerance": tolerance,
            "worst": { "index": index, "found": found, "expected": expected },
            "not_checked": unchecked,
            "passed": passed,
        }));
    }
    let mut lines = vec![
        format!("network    preset {}, engine {engine}", test.preset),
        format!("samples    {samples} of {output}, errors as shares of what was expected"),
        format!("largest    {largest:.2e}, at most {:.1e}", tolerance.largest),
        format!("rms        {rms:.2e}, at most {:.1e}", tolerance.rms),
        format!("worst      element {index}: {found} instead of {expected}"),
    ];
    if !unchecked.is_empty() {
        let names = unchecked.join(", ");
        lines.push(format!("not looked at: {names} (the engine does not return them)"));
    }
    lines.push(if passed { "passed" } else { "FAILED" }.into());
    output::print_line(lines.join("\n"))
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
    fn of(file: &ModelFile) -> Self {
        let model = &file.model;
        let mut operators = BTreeMap::new();
        let mut parameters = 0;
        if let Some(graph) = &model.graph {
            for node in &graph.node {
                *operators.entry(node.op_type.clone()).or_insert(0) += 1;
            }
            parameters = graph
                .initializer
                .iter()
                .filter(|constant| {
                    [data_type::FLOAT, data_type::FLOAT16].contains(&constant.data_type)
                })
                .filter_map(|constant| constant.element_count().ok())
                .sum();
        }
        let opset = model.opset_import.iter().find(|set| set.domain.is_empty());
        Self {
            sha256: hex::digits(&file.sha256),
            parameters,
            opset: opset.map_or(0, |set| set.version),
            operators,
        }
    }
}

fn text(origin: &str, bytes: u64, contract: &Contract, facts: &Facts) -> String {
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
    let operators: Vec<_> = facts
        .operators
        .iter()
        .map(|(name, count)| format!("{} x{count}", name.escape_debug()))
        .collect();
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
