//! `occdepth build`: an engine from a network, for this device.

use super::engines::{self, CacheArguments};
use super::{Failure, output, setup};
use clap::Args;
use indicatif::{ProgressBar, ProgressStyle};
use occdepth::engine::build::{self, BuildError, BuildRequest, Built, Observer, Step};
use occdepth::engine::recipe::{Recipe, RecipePrecision};
use serde_json::json;
use std::io::IsTerminal as _;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// Builds an engine from a network, for this device, with TensorRT
///
/// Takes minutes. The engine is tested with the network's self-test before it is kept; one that gives wrong answers is
/// refused. It runs on this GPU, with this driver and this version of TensorRT, and nowhere else: after an upgrade,
/// build it again.
///
/// Exit codes: 0 built, or there already; 1 the build failed, or memory or disk do not suffice; 2 bad recipe or
/// configuration.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// How the engine is built (engines/*.toml)
    #[arg(long, value_name = "FILE.toml", conflicts_with_all = ["network", "precision"])]
    recipe: Option<PathBuf>,

    /// The exported network (ONNX), without a recipe; the bundled one when neither is given
    #[arg(long, value_name = "FILE.onnx")]
    network: Option<PathBuf>,

    /// Arithmetic of the engine, without a recipe
    #[arg(long, value_enum, default_value_t = Precision::Fp16)]
    precision: Precision,

    #[command(flatten)]
    cache: CacheArguments,

    /// Where libnvinfer lies, when the loader does not find it
    #[arg(long, value_name = "PATH")]
    tensorrt: Option<PathBuf>,

    /// Builds even if the engine is there
    #[arg(long)]
    force: bool,

    /// Prints what was built as JSON; progress still goes to standard error
    #[arg(long)]
    json: bool,
}

/// As recipes have it, for the command line.
#[derive(Clone, Copy, Debug, clap::ValueEnum)]
enum Precision {
    Fp32,
    Fp16,
    Int8,
}

pub(crate) fn run(arguments: &Arguments) -> Result<(), Failure> {
    let recipe = arguments.recipe()?;
    let cache = arguments.cache.open()?;
    let stop = setup::stop_on_signals()?;
    let observer = Arc::new(Display::new(stop));
    let request = BuildRequest {
        recipe: &recipe,
        cache: &cache,
        tensorrt: arguments.tensorrt.as_deref(),
        force: arguments.force,
    };
    let following: Arc<dyn Observer> = observer.clone();
    let result = build::build(&request, &following);
    observer.finish();
    let built = result.map_err(failure)?;
    report(&built, arguments.json)
}

impl Arguments {
    fn recipe(&self) -> Result<Recipe, Failure> {
        let Some(path) = &self.recipe else {
            let precision = match self.precision {
                Precision::Fp32 => RecipePrecision::Fp32,
                Precision::Fp16 => RecipePrecision::Fp16,
                Precision::Int8 => RecipePrecision::Int8,
            };
            return Ok(Recipe::of_network(self.network.clone(), precision));
        };
        Recipe::read(path).map_err(|error| Failure::configuration("bad recipe").because(error))
    }
}

/// Bad recipes and networks are configuration; what the machine or `TensorRT` refuses is work.
pub(crate) fn failure(error: BuildError) -> Failure {
    let context = "no engine was built";
    let hint = match &error {
        BuildError::Cache(_) => {
            let BuildError::Cache(error) = error else { unreachable!("matched above") };
            return engines::unusable(error);
        }
        BuildError::TensorRt(_) | BuildError::Machine(_) => {
            "`occdepth doctor` says what is missing and how to mend it"
        }
        BuildError::Memory { .. } => {
            "close other programs, lower `workspace_mib` in the recipe, or add swap for the build"
        }
        BuildError::Disk { .. } => {
            "`occdepth engines prune` makes room, --cache DIR goes elsewhere"
        }
        BuildError::SelfTest(_) => {
            "`occdepth-host export` writes the self-test beside the network; an engine that cannot be tested is not kept"
        }
        BuildError::Wrong(_) => {
            "try precision = \"fp32\", and tell us: `occdepth doctor --full` writes a report"
        }
        _ => "",
    };
    let failure = match &error {
        BuildError::Network(_)
        | BuildError::Precision { .. }
        | BuildError::Recipe { .. }
        | BuildError::SelfTest(_) => Failure::configuration(context),
        _ => Failure::work(context),
    };
    let failure = failure.because(error);
    if hint.is_empty() { failure } else { failure.hint(hint) }
}

fn report(built: &Built, as_json: bool) -> Result<(), Failure> {
    let Built { path, manifest, fresh, notes } = built;
    if as_json {
        return output::print_json(&json!({
            "plan": path,
            "fresh": fresh,
            "manifest": manifest,
            "notes": notes,
        }));
    }
    let test = manifest.self_test;
    let verb = if *fresh { "built" } else { "there already:" };
    let mut lines = vec![
        format!("{verb} {}", path.display()),
        format!(
            "{:.1} MB in {:.0} s; self-test: {} samples, largest error {:.2e}, rms {:.2e}",
            manifest.plan_bytes as f64 / 1e6,
            manifest.build_s,
            test.samples,
            test.largest,
            test.rms
        ),
    ];
    lines.extend(notes.iter().map(|note| format!("note: {note}")));
    output::print_line(lines.join("\n"))
}

/// What a person sees of a build: a bar on a terminal, a line now and then elsewhere (a journal).
struct Display {
    start: Instant,
    bar: Option<ProgressBar>,
    spoken: Mutex<Spoken>,
    stop: Arc<AtomicBool>,
}

/// What was said last where there is no terminal.
struct Spoken {
    at: Instant,
    text: String,
}

/// Before `TensorRT` 10 nobody knows how much is left.
const UNMEASURED: &str = "{spinner} {elapsed} {wide_msg}";
/// Phases nest, and each has a length of its own.
const MEASURED: &str = "{spinner} {elapsed} [{bar:30}] {pos}/{len} {wide_msg}";

/// From line to line in a journal.
const EVERY: Duration = Duration::from_secs(10);

impl Display {
    fn new(stop: Arc<AtomicBool>) -> Self {
        let start = Instant::now();
        let bar = std::io::stderr().is_terminal().then(|| {
            let bar = ProgressBar::new_spinner();
            let style = ProgressStyle::with_template(UNMEASURED);
            if let Ok(style) = style {
                bar.set_style(style);
            }
            // The heartbeat: before TensorRT 10 nothing else moves for minutes.
            bar.enable_steady_tick(Duration::from_millis(250));
            bar
        });
        Self { start, bar, spoken: Mutex::new(Spoken { at: start, text: String::new() }), stop }
    }

    fn finish(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }

    #[allow(
        clippy::print_stderr,
        reason = "progress is for whoever watches, not part of the result"
    )]
    fn say(&self, text: &str, at_once: bool) {
        if let Some(bar) = &self.bar {
            bar.set_message(text.to_owned());
            return;
        }
        let mut spoken = self.spoken.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if at_once || spoken.at.elapsed() >= EVERY {
            spoken.at = Instant::now();
            eprintln!("{:5.0} s  {text}", self.start.elapsed().as_secs_f64());
        }
        text.clone_into(&mut spoken.text);
    }
}

impl Observer for Display {
    fn step(&self, step: Step) {
        self.say(step.text(), true);
    }

    fn progress(&self, phase: &str, done: u32, of: u32) {
        if let Some(bar) = &self.bar {
            if bar.length() != Some(of.into()) {
                bar.set_length(of.into());
                if let Ok(style) = ProgressStyle::with_template(MEASURED) {
                    bar.set_style(style);
                }
            }
            bar.set_position(done.into());
            bar.set_message(phase.to_owned());
            return;
        }
        self.say(&format!("building: {phase}, {done} of {of}"), false);
    }

    fn beat(&self) {
        let text = {
            let spoken = self.spoken.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
            spoken.text.clone()
        };
        if self.bar.is_none() {
            self.say(&text, false);
        }
    }

    fn stop_requested(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }
}
