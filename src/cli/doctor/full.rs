//! `occdepth doctor --full`: builds, checks, runs, and writes all of it down.

use crate::cli::private_directory::PrivateDirectory;
use crate::cli::{Failure, output, setup, table};
use occdepth::board::{Board, Root, Sensors};
use occdepth::capture::Capture;
use occdepth::causes::WithCauses;
use occdepth::daemon::{
    self, BuildPolicy, Config, EngineChoice, GridConfig, NetworkConfig, SourceConfig, StatusConfig,
    StreamConfig, open_engine, open_perception, open_source,
};
use occdepth::decalibration::WatchConfig;
use occdepth::doctor::{Examination, Finding, Verdict};
use occdepth::engine::build::{self, BuildRequest, NetworkFile, Observer, Step, compare};
use occdepth::engine::machine::OpenMachine;
use occdepth::rig::demo_rig;
use serde_json::{Value, json};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

#[derive(Debug, clap::Args)]
pub(crate) struct FullArguments {
    /// With --full: where the report goes
    #[arg(
        long,
        value_name = "FILE.json",
        default_value = "occdepth-report.json",
        requires = "full"
    )]
    report: PathBuf,

    /// With --full: how long frames run
    #[arg(long, value_name = "S", default_value_t = 60.0, value_parser = seconds, requires = "full")]
    seconds: f64,
}

fn seconds(text: &str) -> Result<f64, String> {
    let seconds: f64 = text.parse().map_err(|_| "expected a number of seconds".to_owned())?;
    if (0.1..=86_400.0).contains(&seconds) {
        Ok(seconds)
    } else {
        Err("expected 0.1 to 86400 seconds".into())
    }
}

pub(super) fn run(
    arguments: &FullArguments,
    examination: &Examination,
    findings: &[Finding],
    as_json: bool,
) -> Result<(), Failure> {
    let stop = setup::stop_on_signals()?;
    let directory = PrivateDirectory::new("doctor")?;
    let mut config = configuration(examination, &directory)?;
    let say = |line: &str| if as_json { Ok(()) } else { output::print_line(line) };
    if !as_json {
        output::print(super::text(findings).as_bytes())?;
    }

    say("building the engine")?;
    let built = built(&config.network, &stop);
    // What could not be built just now is not tried again by whoever opens the engine.
    config.network.build = BuildPolicy::Never;
    let unless_stopped = |work: &dyn Fn() -> Result<Value, String>| {
        if stop.load(Ordering::Relaxed) { Err("stopped".into()) } else { work() }
    };
    say("checking its answers")?;
    let checked = unless_stopped(&|| checked(&config.network));
    say(&format!("running frames for {:.0} s", arguments.seconds))?;
    let ran = unless_stopped(&|| ran(&config, arguments.seconds, &stop));

    let mut problems = findings.iter().filter(|f| f.verdict == Verdict::Problem).count();
    let mut section = |outcome: Result<Value, String>| match outcome {
        Ok(value) => value,
        Err(problem) => {
            problems += 1;
            json!({ "problem": problem })
        }
    };
    let mut report = json!({
        "format": "occdepth-report 1",
        "program": concat!("occdepth ", env!("CARGO_PKG_VERSION")),
        "machine": std::env::consts::ARCH,
        "findings": findings,
        "board": board(examination),
        "build": section(built),
        "check": section(checked),
        "run": section(ran),
    });
    report["problems"] = json!(problems);
    let names = Names::of(examination, &config, &directory);
    names.redact(&mut report);
    output::write_file(&arguments.report, |out| {
        use std::io::Write as _;
        writeln!(out, "{report:#}")
    })?;
    if as_json {
        output::print_json(&report)?;
    } else {
        output::print(summary(&report).as_bytes())?;
        output::print_line(format_args!("report: {}", arguments.report.display()))?;
    }
    super::verdict(problems)
}

/// The service's configuration with a stream of its own, so that a running service is left alone (its cameras are not:
/// they can be open once); without one, the synthetic street.
fn configuration(
    examination: &Examination,
    directory: &PrivateDirectory,
) -> Result<Config, Failure> {
    let stream = StreamConfig {
        socket: directory.path.join("doctor.sock"),
        name: "doctor".into(),
        slots: 4,
        mode: 0o700,
        group: None,
    };
    let Some(path) = &examination.configuration else {
        return Ok(Config {
            rig: None,
            source: SourceConfig::Synthetic { seed: 1, rate_hz: 10.0, frames: None },
            network: NetworkConfig {
                cache: examination.cache.as_ref().map(|cache| cache.directory().to_owned()),
                tensorrt: examination.tensorrt.clone(),
                ..NetworkConfig::default()
            },
            grid: GridConfig::default(),
            calibration_watch: WatchConfig::default(),
            stream,
            status: StatusConfig { every_s: 0.0 },
        });
    };
    let config = Config::read(path)
        .map_err(|error| Failure::configuration("bad configuration").because(error))?;
    let mut network = config.network;
    if let Some(cache) = &examination.cache {
        network.cache = Some(cache.directory().to_owned());
    }
    network.tensorrt = examination.tensorrt.clone().or(network.tensorrt);
    Ok(Config { stream, network, ..config })
}

/// What the board says of itself, without what would tell one board from another.
fn board(examination: &Examination) -> Value {
    let mut board = json!(Board::read(&Root::at(&examination.root)));
    for gpu in board["discrete_gpus"].as_array_mut().into_iter().flatten() {
        gpu.as_object_mut().map(|gpu| gpu.remove("uuid"));
    }
    board
}

/// Builds the engine, or finds it; nothing to build where there is no GPU.
fn built(network: &NetworkConfig, stop: &Arc<AtomicBool>) -> Result<Value, String> {
    let skipped = |reason: &str| Ok(json!({ "skipped": reason }));
    if network.engine == EngineChoice::Cpu {
        return skipped("the configuration asks for the CPU, which needs no build");
    }
    let auto = network.engine == EngineChoice::Auto;
    match OpenMachine::open(network.tensorrt.as_deref()) {
        Ok(_) => {}
        Err(error) if error.is_without_gpu() && auto => {
            return skipped("no NVIDIA GPU: the CPU engine needs no build");
        }
        Err(error) if error.is_without_tensorrt() && auto && network.tensorrt.is_none() => {
            return skipped("no TensorRT: the CPU engine needs no build");
        }
        Err(error) => return Err(WithCauses(&error).to_string()),
    }
    let cache = network.engine_cache().ok_or("no place for engines is known")?;
    let recipe = network.recipe().map_err(|error| WithCauses(&error).to_string())?;
    let request = BuildRequest {
        recipe: &recipe,
        cache: &cache,
        tensorrt: network.tensorrt.as_deref(),
        force: false,
    };
    let observer: Arc<dyn Observer> = Arc::new(Quiet(Arc::clone(stop)));
    let built =
        build::build(&request, &observer).map_err(|error| WithCauses(&error).to_string())?;
    Ok(json!({ "fresh": built.fresh, "manifest": built.manifest, "notes": built.notes }))
}

/// Runs the network's self-test on the engine that the configuration asks for.
fn checked(network: &NetworkConfig) -> Result<Value, String> {
    let mut engine = open_engine(network).map_err(|error| WithCauses(&error).to_string())?;
    let recipe = network.recipe().map_err(|error| WithCauses(&error).to_string())?;
    let file = NetworkFile::open(recipe.network.as_deref())
        .map_err(|error| WithCauses(&error).to_string())?;
    let test = file.self_test().map_err(|error| WithCauses(&error).to_string())?;
    let start = Instant::now();
    let comparison = compare(engine.as_mut(), &test, &file.name)
        .map_err(|error| WithCauses(&error).to_string())?;
    let mut document = json!({
        "engine": engine.description().name,
        "samples": comparison.samples,
        "largest_error": comparison.largest,
        "rms_error": comparison.rms,
        "tolerance": comparison.tolerance,
        "seconds": start.elapsed().as_secs_f64(),
    });
    if !comparison.passed() {
        return Err(format!("the engine gives wrong answers: {document}"));
    }
    let on_gpu = engine.frames().is_some();
    // Two engines at once may be more than a small board has memory for.
    drop(engine);
    if on_gpu {
        // A network whose images do not fit the synthetic street's cameras cannot be compared on it.
        document["equal_labels"] = match agreement(network) {
            Ok(share) => json!(share),
            Err(error) => json!({ "not_compared": WithCauses(error.as_ref()).to_string() }),
        };
    }
    Ok(document)
}

/// The share of voxels that a frame of the synthetic street gets the same labels for from the configured engine, pixels
/// and all, and from the CPU. Of an untrained network in 16 bits it may be low: its logits lie close together.
fn agreement(network: &NetworkConfig) -> Result<f64, Box<dyn std::error::Error>> {
    let labels = |network: &NetworkConfig| -> Result<Vec<u8>, Box<dyn std::error::Error>> {
        let rig = demo_rig()?;
        let config = SourceConfig::Synthetic { seed: 1, rate_hz: 10.0, frames: Some(1) };
        let mut source = open_source(&config, Some(&rig))?;
        let engine = open_engine(network)?;
        let mut perception = open_perception(
            &rig,
            source.as_ref(),
            engine,
            network.origin_m,
            GridConfig::default(),
        )?;
        match source.next(Duration::from_mins(1))? {
            Capture::Frame(pair) => perception.perceive(&pair, None)?,
            _ => return Err("the synthetic street gave no frame".into()),
        };
        Ok(perception.labels().to_vec())
    };
    let found = labels(network)?;
    let file = network.recipe()?.network;
    let expected = labels(&NetworkConfig {
        engine: EngineChoice::Cpu,
        recipe: None,
        file,
        ..network.clone()
    })?;
    let equal = found.iter().zip(&expected).filter(|(found, expected)| found == expected).count();
    Ok(equal as f64 / expected.len().max(1) as f64)
}

/// Runs the pipeline, and reads the sensors once a second meanwhile.
fn ran(config: &Config, seconds: f64, stop: &Arc<AtomicBool>) -> Result<Value, String> {
    let mut pipeline = daemon::assemble(config).map_err(|error| WithCauses(&error).to_string())?;
    let mut sensors = Sensors::open(&Root::system());
    let mut course = Vec::new();
    let start = Instant::now();
    let mut due = start;
    let end = AtomicBool::new(false);
    let outcome = daemon::run(&mut pipeline, &end, |pipeline, _| {
        let now = Instant::now();
        if now >= due {
            due += Duration::from_secs(1);
            course.push(reading(&mut sensors, start.elapsed(), pipeline.statistics().frames()));
        }
        if start.elapsed().as_secs_f64() >= seconds || stop.load(Ordering::Relaxed) {
            end.store(true, Ordering::Relaxed);
        }
    });
    let summary = table::Summary::new(&pipeline, start.elapsed());
    let mut document = summary.json();
    document["course"] = json!(course);
    document["zones"] = json!(sensors.zones().collect::<Vec<_>>());
    document["rails"] = json!(sensors.rails().collect::<Vec<_>>());
    match outcome {
        Ok(_) if pipeline.statistics().frames() == 0 => {
            Err(format!("no grid in {seconds:.0} s: {document}"))
        }
        Ok(_) => Ok(document),
        Err(error) => Err(format!("{}: {document}", WithCauses(&error))),
    }
}

fn reading(sensors: &mut Sensors, at: Duration, grids: u64) -> Value {
    let sample = sensors.sample().clone();
    let known = |values: &[Result<f64, _>]| {
        values.iter().map(|value: &Result<f64, _>| value.as_ref().ok().copied()).collect::<Vec<_>>()
    };
    json!({
        "s": at.as_secs_f64(),
        "grids": grids,
        "celsius": known(&sample.celsius),
        "watts": known(&sample.watts),
        "total_watts": sensors.total_watts(),
        "gpu_load": sample.gpu_load.and_then(Result::ok),
        "gpu_hz": sample.gpu_hz.and_then(Result::ok),
        "available_bytes": sample.available_bytes,
    })
}

/// What says whose machine this is, and what the report has instead.
struct Names(Vec<(String, &'static str)>);

impl Names {
    fn of(examination: &Examination, config: &Config, directory: &PrivateDirectory) -> Self {
        let folder = |path: &std::path::Path| {
            let whole = path.canonicalize().ok()?;
            Some(whole.parent()?.display().to_string())
        };
        let cache = config.network.engine_cache();
        let cache = cache.map(|cache| cache.directory().display().to_string());
        let home = std::env::var("HOME").ok();
        let host = std::fs::read_to_string("/proc/sys/kernel/hostname").ok();
        let mut names = vec![
            (cache, "<cache>"),
            (examination.configuration.as_deref().and_then(folder), "<configuration>"),
            (Some(directory.path.display().to_string()), "<run>"),
            (home, "<home>"),
            (host.map(|host| host.trim().to_owned()), "<host>"),
        ];
        // Short ones (a root directory, a host called "pc") would hit everything.
        names.retain(|(name, _)| name.as_ref().is_some_and(|name| name.len() >= 4));
        Self(names.into_iter().filter_map(|(name, instead)| Some((name?, instead))).collect())
    }

    fn redact(&self, value: &mut Value) {
        match value {
            Value::String(text) => {
                for (name, instead) in &self.0 {
                    *text = text.replace(name.as_str(), instead);
                }
            }
            Value::Array(values) => values.iter_mut().for_each(|value| self.redact(value)),
            Value::Object(values) => values.values_mut().for_each(|value| self.redact(value)),
            Value::Null | Value::Bool(_) | Value::Number(_) => {}
        }
    }
}

/// The report's figures for people.
fn summary(report: &Value) -> String {
    let mut text = String::new();
    for part in ["build", "check", "run"] {
        let section = &report[part];
        text += &match (section["problem"].as_str(), section["skipped"].as_str()) {
            (Some(problem), _) => format!("{part:6} PROBLEM: {problem}\n"),
            (None, Some(reason)) => format!("{part:6} skipped: {reason}\n"),
            (None, None) => match part {
                "build" => format!("{part:6} {}\n", section["manifest"]["build_s"]),
                "check" => format!(
                    "{part:6} {}: largest error {:.2e}, rms {:.2e}\n",
                    section["engine"].as_str().unwrap_or_default(),
                    section["largest_error"].as_f64().unwrap_or(f64::NAN),
                    section["rms_error"].as_f64().unwrap_or(f64::NAN)
                ),
                _ => format!(
                    "{part:6} {} grids, {:.1} a second; work p50 {:.1} ms, p99 {:.1} ms\n",
                    section["grids"],
                    section["grids_per_second"].as_f64().unwrap_or(0.0),
                    section["stages"]["work"]["p50_ms"].as_f64().unwrap_or(f64::NAN),
                    section["stages"]["work"]["p99_ms"].as_f64().unwrap_or(f64::NAN)
                ),
            },
        };
    }
    text
}

/// A build that nobody watches, but that can be stopped.
struct Quiet(Arc<AtomicBool>);

impl Observer for Quiet {
    fn step(&self, step: Step) {
        log::info!("{}", step.text());
    }

    fn progress(&self, _: &str, _: u32, _: u32) {}

    fn beat(&self) {}

    fn stop_requested(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}
