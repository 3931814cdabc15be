//! `occdepth estimate`: what a network costs, and the least time that boards need for it.

use super::{Failure, output};
use occdepth::board::Precision;
use occdepth::board::profile::{Profile, Rates, catalogue, find};
use occdepth::engine::{BUNDLED_NAME, BUNDLED_NETWORK};
use occdepth::estimate::{ASSUMPTIONS, Estimate, LayerTime, Prediction};
use occdepth_contract::onnx::{ModelFile, ModelProto};
use serde_json::{Value, json};
use std::path::PathBuf;

/// Predicts the least time that boards need for a network
///
/// Counts the operations and the traffic of every layer, and puts them on the roofline of each board:
/// a layer takes as long as its operations at the peak of the data sheet, or as long as its traffic at
/// the bandwidth of the data sheet, whichever is longer. What comes out is a prediction of the least
/// time, not a measurement; `occdepth doctor --full` measures, on the board itself.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// The exported network (ONNX); the bundled one when absent
    #[arg(long, value_name = "FILE.onnx")]
    network: Option<PathBuf>,

    /// A board, or the path of a profile (*.toml); may be repeated; all boards when absent
    #[arg(long, value_name = "BOARD|FILE.toml")]
    board: Vec<String>,

    /// Also predicts for the power modes of nvpmodel whose clocks are known
    #[arg(long)]
    power_modes: bool,

    /// Number of layers that are listed, the slowest first
    #[arg(long, value_name = "N", default_value_t = 10)]
    top: usize,

    /// Prints JSON, with every layer
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(arguments: &Arguments) -> Result<(), Failure> {
    let unusable = |error: Box<dyn std::error::Error + Send + Sync>| {
        Failure::configuration("the network cannot be estimated").because(error)
    };
    let (model, origin) = if let Some(path) = &arguments.network {
        let file = ModelFile::read(path).map_err(|error| unusable(error.into()))?;
        (file.model, path.display().to_string())
    } else {
        let model = ModelProto::from_bytes(BUNDLED_NETWORK, BUNDLED_NAME);
        (model.map_err(|error| unusable(error.into()))?, BUNDLED_NAME.to_owned())
    };
    let boards = boards(&arguments.board)?;
    let estimate = Estimate::of(&model, &origin).map_err(|error| unusable(error.into()))?;
    drop(model);
    if arguments.json {
        return output::print_json(&document(&origin, &estimate, &boards, arguments.power_modes));
    }
    output::print(text(&origin, &estimate, &boards, arguments).as_bytes())
}

fn boards(names: &[String]) -> Result<Vec<Profile>, Failure> {
    if names.is_empty() {
        return Ok(catalogue().to_vec());
    }
    let found = names.iter().map(|name| find(name)).collect::<Result<_, _>>();
    found.map_err(|error| Failure::configuration("the board is not usable").because(error))
}

/// The operating points of a board, and its power modes where they are asked for.
fn rates(board: &Profile, power_modes: bool) -> Vec<Rates> {
    let mut rates = board.rates();
    if power_modes {
        let modes = board
            .power_mode_tables
            .iter()
            .flat_map(|table| table.modes.iter().map(move |mode| (table, mode)));
        rates.extend(modes.filter_map(|(table, mode)| board.in_power_mode(table, mode)));
    }
    rates
}

fn text(origin: &str, estimate: &Estimate, boards: &[Profile], arguments: &Arguments) -> String {
    let mut text = format!(
        "{origin}: {} operations ({} multiply-adds), {} layers, {} weights\n",
        scaled(estimate.operations() as f64, ""),
        scaled(estimate.multiply_adds() as f64, ""),
        estimate.layers.len(),
        scaled(estimate.weights.floats as f64, ""),
    );
    text += "memory     weights    in/out  activations (nothing fused)\n";
    for precision in [Precision::Fp32, Precision::Fp16, Precision::Int8] {
        let memory = estimate.memory(precision);
        text += &format!(
            "{:8} {:>9} {:>9}  {:>9}\n",
            precision.name(),
            scaled(memory.weights_bytes as f64, "B"),
            scaled(memory.inputs_outputs_bytes as f64, "B"),
            scaled(memory.activations_peak_bytes as f64, "B"),
        );
    }
    text +=
        "\npart                            layers operations  share   weights   traffic (fp16)\n";
    let all = estimate.operations().max(1) as f64;
    for part in estimate.parts() {
        text += &format!(
            "{:32}{:>6} {:>10} {:>5.1}% {:>9} {:>9}\n",
            printable(&part.name, 31),
            part.layers,
            scaled(part.operations as f64, ""),
            100.0 * part.operations as f64 / all,
            scaled(part.weights.bytes(Precision::Fp16) as f64, "B"),
            scaled(part.traffic.bytes(Precision::Fp16) as f64, "B"),
        );
    }
    text += &unknown(estimate);
    text += "\nPREDICTIONS from data sheets, not measurements, of the least time a frame takes\n";
    text +=
        "floor: all arithmetic at the peak, or weights, inputs and outputs once through memory\n";
    text += "layers: one after another, each at its arithmetic or at its traffic\n";
    let names = boards.iter().flat_map(|board| rates(board, arguments.power_modes));
    let width = names.map(|rates| rates.name.chars().count()).max().unwrap_or(0).max(6);
    text += &format!(
        "board           {:width$} precision   floor ms  layers ms  frames/s  mostly\n",
        "clocks"
    );
    for board in boards {
        text += &board_text(estimate, board, arguments.power_modes, width);
    }
    text += &top(estimate, boards, arguments.top);
    text += "\nassumptions\n";
    for assumption in ASSUMPTIONS {
        text += &format!("- {assumption}\n");
    }
    text
}

fn unknown(estimate: &Estimate) -> String {
    if estimate.unknown.is_empty() {
        return String::new();
    }
    let mut text = format!(
        "\nNOT COUNTED: {} nodes; all figures are lower than the truth\n",
        estimate.unknown.len()
    );
    for unknown in estimate.unknown.iter().take(MOST_UNKNOWN) {
        let (node, operator) = (unknown.node.escape_debug(), unknown.operator.escape_debug());
        text += &format!("- {node} ({operator}): {}\n", unknown.reason.escape_debug());
    }
    if estimate.unknown.len() > MOST_UNKNOWN {
        text += &format!("- and {} more (--json has all)\n", estimate.unknown.len() - MOST_UNKNOWN);
    }
    text
}

fn board_text(estimate: &Estimate, board: &Profile, power_modes: bool, width: usize) -> String {
    let rates = rates(board, power_modes);
    if rates.is_empty() {
        return format!("{:15} no figures, no prediction\n", board.name);
    }
    let mut text = String::new();
    for rates in &rates {
        for precision in Precision::ALL {
            let Some(prediction) = estimate.predict(rates, precision) else { continue };
            text += &format!(
                "{:15} {:width$} {:9} {:>10.2} {:>10.2} {:>9.1}  {}\n",
                board.name,
                rates.name,
                precision.name(),
                prediction.floor_s * 1e3,
                prediction.roofline_s * 1e3,
                1.0 / prediction.roofline_s,
                prediction.bound().name(),
            );
        }
    }
    let memory = estimate.memory(board.recommended.precision).total_bytes();
    if let Some(size) = &board.memory
        && memory as f64 > size.gib * f64::from(1 << 30)
    {
        text += &format!(
            "{:15} DOES NOT FIT: {} of {} GiB in {}\n",
            board.name,
            scaled(memory as f64, "B"),
            size.gib,
            board.recommended.precision.name()
        );
    }
    text
}

/// The slowest layers on the first board that has figures, in FP16.
fn top(estimate: &Estimate, boards: &[Profile], most: usize) -> String {
    let predicted = boards.iter().find_map(|board| {
        let rates = board.rates().pop()?;
        Some((board, rates.name.clone(), estimate.predict(&rates, Precision::Fp16)?))
    });
    let Some((board, point, prediction)) = predicted.filter(|_| most > 0) else {
        return String::new();
    };
    let mut layers: Vec<_> = estimate.layers.iter().zip(&prediction.layers).collect();
    layers.sort_by(|(_, a), (_, b)| b.seconds.total_cmp(&a.seconds));
    let mut text = format!("\nslowest layers on {} at {point} in fp16\n", board.name);
    text += "     ms  share  op/byte  bound      operator            layer\n";
    for (layer, LayerTime { intensity, seconds, bound }) in layers.into_iter().take(most) {
        let fused =
            if layer.fused.is_empty() { String::new() } else { format!(" +{}", layer.fused.len()) };
        text += &format!(
            "{:>7.3} {:>5.1}% {intensity:>8.1}  {:10} {:19} {}\n",
            seconds * 1e3,
            100.0 * seconds / prediction.roofline_s,
            bound.name(),
            format!("{}{fused}", printable(&layer.operator, 15)),
            printable(&layer.name, 60),
        );
    }
    text
}

fn document(origin: &str, estimate: &Estimate, boards: &[Profile], power_modes: bool) -> Value {
    let memory = |precision: Precision| {
        let memory = estimate.memory(precision);
        (
            precision.name().to_owned(),
            json!({
                "weights_bytes": memory.weights_bytes,
                "inputs_outputs_bytes": memory.inputs_outputs_bytes,
                "activations_peak_bytes": memory.activations_peak_bytes,
                "total_bytes": memory.total_bytes(),
            }),
        )
    };
    let memory: serde_json::Map<_, _> =
        [Precision::Fp32, Precision::Fp16, Precision::Int8].map(memory).into_iter().collect();
    let boards: Vec<Value> = boards
        .iter()
        .map(|board| {
            let points: Vec<Value> = rates(board, power_modes)
                .iter()
                .map(|rates| {
                    let predictions: serde_json::Map<_, _> = Precision::ALL
                        .into_iter()
                        .map(|precision| {
                            let prediction = estimate.predict(rates, precision);
                            let value = prediction.map_or(Value::Null, |p| prediction_json(&p));
                            (precision.name().to_owned(), value)
                        })
                        .collect();
                    json!({
                        "name": rates.name,
                        "bandwidth_bytes_per_s": rates.bandwidth,
                        "peak_operations_per_s": peaks(rates),
                        "predictions": predictions,
                    })
                })
                .collect();
            json!({ "name": board.name, "title": board.title, "points": points })
        })
        .collect();
    json!({
        "what": "a prediction from data sheets, not a measurement",
        "assumptions": ASSUMPTIONS,
        "network": origin,
        "operations": estimate.operations(),
        "multiply_adds": estimate.multiply_adds(),
        "weights": estimate.weights,
        "traffic": estimate.traffic(),
        "memory": memory,
        "parts": estimate.parts(),
        "layers": estimate.layers,
        "not_counted": estimate.unknown,
        "boards": boards,
    })
}

fn peaks(rates: &Rates) -> Value {
    let peaks = Precision::ALL.map(|p| (p.name().to_owned(), json!(rates.peak(p))));
    Value::Object(peaks.into_iter().collect())
}

fn prediction_json(prediction: &Prediction) -> Value {
    json!({
        "floor_s": prediction.floor_s,
        "roofline_s": prediction.roofline_s,
        "compute_bound_s": prediction.compute_bound_s,
        "bandwidth_bound_s": prediction.bandwidth_bound_s,
        "ridge_operations_per_byte": prediction.ridge,
        "bound": prediction.bound(),
    })
}

/// A number with three digits and a unit's prefix: "1.43 G".
fn scaled(value: f64, unit: &str) -> String {
    let (mut value, mut prefixes) = (value, ["", "k", "M", "G", "T", "P"].into_iter());
    let mut prefix = prefixes.next().unwrap_or_default();
    while value >= 999.5 {
        let Some(next) = prefixes.next() else { break };
        (value, prefix) = (value / 1000.0, next);
    }
    let digits =
        if value >= 99.95 || prefix.is_empty() { 0 } else { 1 + usize::from(value < 9.995) };
    format!("{value:.digits$} {prefix}{unit}").trim_end().to_owned()
}

/// A name from a file, on one line and no longer than `most`.
fn printable(name: &str, most: usize) -> String {
    let name = name.escape_debug().to_string();
    let count = name.chars().count();
    if count <= most {
        return name;
    }
    // The end tells layers apart.
    let end: String = name.chars().skip(count - most + 3).collect();
    format!("...{end}")
}

/// Nodes that are listed for people.
const MOST_UNKNOWN: usize = 10;
