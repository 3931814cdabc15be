//! `occdepth engines profile`: where the time of an engine goes.

use super::{CacheArguments, unusable};
use crate::cli::build::failure;
use crate::cli::{Failure, output};
use occdepth::board::{Board, Root};
use occdepth::engine::build::{BuildError, NetworkFile};
use occdepth::engine::machine::OpenMachine;
use occdepth::engine::profile::{self, Profile};
use occdepth::engine::recipe::{Recipe, RecipePrecision};
use occdepth::stages::Summary;
use serde_json::{Value, json};
use std::path::PathBuf;
use std::time::Duration;

/// Times an engine: whole frames on the host and on the GPU, and every layer
///
/// Frames are those of the network's self-test, one after the other without a camera. Layers are timed in further frames,
/// without a CUDA graph; with `profiling = "detailed"` in the recipe their names say most. Clocks and power mode are
/// printed with the times, because times mean little without them.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// The recipe that the engine was built by
    #[arg(long, value_name = "FILE.toml", conflicts_with = "network")]
    recipe: Option<PathBuf>,

    /// The network that an engine was built from without a recipe (fp16); the bundled one when neither is given
    #[arg(long, value_name = "FILE.onnx")]
    network: Option<PathBuf>,

    #[command(flatten)]
    cache: CacheArguments,

    /// Where libnvinfer lies, when the loader does not find it
    #[arg(long, value_name = "PATH")]
    tensorrt: Option<PathBuf>,

    /// Frames that are timed
    #[arg(long, value_name = "N", default_value_t = 200, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    frames: u32,

    /// Prints JSON
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(arguments: &Arguments) -> Result<(), Failure> {
    let recipe = match &arguments.recipe {
        Some(path) => Recipe::read(path)
            .map_err(|error| Failure::configuration("bad recipe").because(error))?,
        None => Recipe::of_network(arguments.network.clone(), RecipePrecision::Fp16),
    };
    let cache = arguments.cache.open()?;
    let refused = |error: BuildError| Failure::work("the engine cannot be profiled").because(error);
    let network = NetworkFile::open(recipe.network.as_deref()).map_err(|e| failure(e.into()))?;
    let test = network.self_test().map_err(failure)?;
    let machine =
        OpenMachine::open(arguments.tensorrt.as_deref()).map_err(|error| refused(error.into()))?;
    let key = machine.identity.key(network.sha256, &recipe);
    let plan = cache.open(&network.name, &key).map_err(|error| {
        if error.build_helps() {
            return Failure::configuration("there is no engine to profile")
                .because(error)
                .hint("`occdepth build`, with the same recipe, builds it");
        }
        unusable(error)
    })?;
    let profile = profile::profile(plan, &network, &test, &machine, &cache, arguments.frames)
        .map_err(refused)?;
    let board = Board::read(&Root::system());
    if arguments.json {
        return output::print_json(&document(&profile, &board));
    }
    output::print(text(&profile, &board).as_bytes())
}

fn document(profile: &Profile, board: &Board) -> Value {
    let times = |summary: Summary| {
        let [p50, p99, max, mean] = [summary.p50, summary.p99, summary.max, summary.mean].map(ms);
        json!({ "p50_ms": p50, "p99_ms": p99, "max_ms": max, "mean_ms": mean })
    };
    json!({
        "engine": profile.engine,
        "frames": profile.frames,
        "host": times(profile.host),
        "enqueue": times(profile.enqueue),
        "infer": times(profile.infer),
        "label": times(profile.label),
        "device_memory_bytes": profile.device_memory,
        "power_mode": board.power_mode,
        "clocks_held": board.clocks_held,
        "gpu": board.integrated_gpu,
        "layers": profile.layers,
    })
}

fn text(profile: &Profile, board: &Board) -> String {
    let mut text = format!("{}\n{} frames\n", profile.engine, profile.frames);
    text += "            p50 ms   p99 ms   max ms  mean ms\n";
    for (name, times) in [
        ("host", profile.host),
        ("enqueue", profile.enqueue),
        ("infer", profile.infer),
        ("label", profile.label),
    ] {
        let [p50, p99, max, mean] = [times.p50, times.p99, times.max, times.mean].map(ms);
        text += &format!("{name:9} {p50:8.3} {p99:8.3} {max:8.3} {mean:8.3}\n");
    }
    if let Some(bytes) = profile.device_memory {
        text += &format!("memory of the GPU {:.1} MiB\n", bytes as f64 / f64::from(1 << 20));
    }
    if let Some(mode) = board.power_mode.known() {
        let name = mode.name.known().map_or("unknown", String::as_str);
        text += &format!("power mode {name}");
        text += match board.clocks_held.known() {
            Some(true) => ", clocks held\n",
            Some(false) => ", clocks not held: times vary with the governor\n",
            None => "\n",
        };
    }
    let mut layers: Vec<_> = profile.layers.iter().collect();
    layers.sort_by(|a, b| b.mean_ms.total_cmp(&a.mean_ms));
    if !layers.is_empty() {
        text += "\n mean ms  share  layer\n";
    }
    for layer in layers {
        text += &format!("{:8.4} {:5.1}%  {}\n", layer.mean_ms, layer.share * 100.0, layer.name);
    }
    text
}

fn ms(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1e3
}
