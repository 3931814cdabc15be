//! `occdepth engines`: what was built on this device.

mod profile;

use super::{Failure, output};
use clap::Args;
use occdepth::causes::WithCauses;
use occdepth::engine::cache::{CacheError, EngineCache, Entry};
use occdepth::engine::machine::Machine;
use serde_json::{Value, json};
use std::path::{Path, PathBuf};

#[derive(Debug, clap::Subcommand)]
pub(crate) enum Command {
    /// Lists the engines, what each was built for, and whether it can run here
    List(List),
    /// Hashes every plan and compares it with its manifest
    Verify(Verify),
    /// Removes what killed builds left, damaged engines, and engines that cannot run here
    Prune(Prune),
    /// Times an engine: whole frames on the host and on the GPU, and every layer
    Profile(profile::Arguments),
}

/// Where engines are kept.
#[derive(Debug, Args)]
pub(crate) struct CacheArguments {
    /// Where engines are kept: /var/cache/occdepth for root, ~/.cache/occdepth for others, unless `OCCDEPTH_CACHE`
    /// says otherwise
    #[arg(long, value_name = "DIR")]
    cache: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(crate) struct List {
    #[command(flatten)]
    cache: CacheArguments,

    /// Where libnvinfer lies, when the loader does not find it
    #[arg(long, value_name = "PATH")]
    tensorrt: Option<PathBuf>,

    /// Prints JSON
    #[arg(long)]
    json: bool,
}

/// Hashes every plan and compares it with its manifest
///
/// Exit codes: 0 every engine is what its manifest says, 1 one is not.
#[derive(Debug, Args)]
pub(crate) struct Verify {
    #[command(flatten)]
    cache: CacheArguments,

    /// Prints JSON
    #[arg(long)]
    json: bool,
}

/// Removes what killed builds left, damaged engines, and engines that cannot run here
///
/// An engine cannot run here when it was built for another GPU, driver or version of TensorRT. Where none of these can
/// be asked (no GPU), such engines stay.
#[derive(Debug, Args)]
pub(crate) struct Prune {
    #[command(flatten)]
    cache: CacheArguments,

    /// Where libnvinfer lies, when the loader does not find it
    #[arg(long, value_name = "PATH")]
    tensorrt: Option<PathBuf>,

    /// Removes every engine
    #[arg(long)]
    all: bool,

    /// Says what would be removed, and removes nothing
    #[arg(long)]
    dry_run: bool,
}

pub(crate) fn run(command: &Command) -> Result<(), Failure> {
    match command {
        Command::List(arguments) => list(arguments),
        Command::Verify(arguments) => verify(arguments),
        Command::Prune(arguments) => prune(arguments),
        Command::Profile(arguments) => profile::run(arguments),
    }
}

impl CacheArguments {
    /// The cache that was named.
    pub(crate) fn named(&self) -> Option<EngineCache> {
        self.cache.as_ref().map(EngineCache::at)
    }

    /// The cache that was named, or the user's own.
    pub(crate) fn open(&self) -> Result<EngineCache, Failure> {
        self.named().or_else(EngineCache::of_user).ok_or_else(|| {
            Failure::configuration(
                "no directory for engines: neither a home nor a variable says where",
            )
            .hint("name one with --cache DIR")
        })
    }
}

fn list(arguments: &List) -> Result<(), Failure> {
    let cache = arguments.cache.open()?;
    let entries = cache.entries().map_err(unusable)?;
    let machine = Machine::probe(arguments.tensorrt.as_deref()).ok();
    if arguments.json {
        let document = |entry: &Entry| {
            let manifest = entry.manifest.as_ref();
            json!({
                "plan": entry.path,
                "bytes": entry.bytes,
                "manifest": manifest.ok(),
                "runs_here": verdict(entry, machine.as_ref()).ok(),
                "problem": verdict(entry, machine.as_ref()).err(),
            })
        };
        let engines: Vec<Value> = entries.iter().map(document).collect();
        return output::print_json(&json!({ "cache": cache.directory(), "engines": engines }));
    }
    if entries.is_empty() {
        return output::print_line(format_args!("no engines in {}", cache.directory().display()));
    }
    for entry in &entries {
        output::print(text(entry, machine.as_ref()).as_bytes())?;
    }
    Ok(())
}

/// Whether an engine runs on this machine; None: nobody can say. Or what is wrong with it.
fn verdict(entry: &Entry, machine: Option<&Machine>) -> Result<Option<bool>, String> {
    let manifest = entry.manifest.as_ref().map_err(ToString::to_string)?;
    let Some(machine) = machine else { return Ok(None) };
    match machine.refuses(&manifest.key) {
        None => Ok(Some(true)),
        Some(difference) => Err(difference.to_string()),
    }
}

fn text(entry: &Entry, machine: Option<&Machine>) -> String {
    let mut lines = vec![format!(
        "{}: {:.1} MB",
        entry.path.file_name().unwrap_or_default().to_string_lossy(),
        entry.bytes as f64 / 1e6
    )];
    if let Ok(manifest) = &entry.manifest {
        let key = &manifest.key;
        let device = &key.device;
        lines.push(format!(
            "  built for  TensorRT {}, CUDA {}, driver {}, {} (sm {}, {} SMs, {} MiB)",
            key.tensorrt,
            key.cuda,
            if key.driver.is_empty() { "unknown" } else { &key.driver },
            device.name,
            device.compute_capability,
            device.multiprocessors,
            device.memory_mib
        ));
        lines.push(format!(
            "  network    {}, sha256 {}, {}, level {}",
            manifest.network,
            &key.network_sha256[..16],
            key.precision,
            key.optimization_level
        ));
        let test = manifest.self_test;
        lines.push(format!(
            "  self-test  {} samples, largest error {:.2e}, rms {:.2e}; built in {:.0} s",
            test.samples, test.largest, test.rms, manifest.build_s
        ));
    }
    lines.push(match verdict(entry, machine) {
        Ok(Some(_)) => "  runs here".into(),
        Ok(None) => "  whether it runs here is unknown: no GPU with TensorRT can be asked".into(),
        Err(problem) => format!("  UNUSABLE   {problem}"),
    });
    lines.join("\n") + "\n"
}

fn verify(arguments: &Verify) -> Result<(), Failure> {
    let cache = arguments.cache.open()?;
    let mut bad = 0;
    let mut documents = Vec::new();
    for entry in cache.entries().map_err(unusable)? {
        let outcome = entry.manifest.and_then(|_| cache.read(&entry.path));
        bad += usize::from(outcome.is_err());
        if arguments.json {
            let problem = outcome.err().map(|error| WithCauses(&error).to_string());
            documents
                .push(json!({ "plan": entry.path, "ok": problem.is_none(), "problem": problem }));
        } else {
            let name = entry.path.display();
            output::print_line(match outcome {
                Ok(plan) => format!("ok   {name}: sha256 {}", plan.manifest.plan_sha256),
                Err(error) => format!("BAD  {}", WithCauses(&error)),
            })?;
        }
    }
    if arguments.json {
        output::print_json(&json!({ "cache": cache.directory(), "engines": documents }))?;
    }
    if bad == 0 {
        return Ok(());
    }
    Err(Failure::work(format!("{bad} of the engines are not what their manifests say"))
        .hint("`occdepth engines prune` removes them, `occdepth build` builds them anew"))
}

fn prune(arguments: &Prune) -> Result<(), Failure> {
    let cache = arguments.cache.open()?;
    if !cache.directory().exists() {
        return output::print_line(format_args!("no engines in {}", cache.directory().display()));
    }
    let lock = cache.lock().map_err(unusable)?;
    let machine = Machine::probe(arguments.tensorrt.as_deref()).ok();
    for Entry { path, manifest, .. } in cache.entries().map_err(unusable)? {
        // What could not be looked at, or is somebody else's to write, is no fault of the plan.
        let judged = |error: CacheError| {
            let text = WithCauses(&error).to_string();
            if error.build_helps() { Judgement::Remove(text) } else { Judgement::Keep(text) }
        };
        let judgement = match manifest {
            _ if arguments.all => Judgement::Remove("as was asked".to_owned()),
            Err(error) => judged(error),
            Ok(manifest) => match machine.as_ref().and_then(|m| m.refuses(&manifest.key)) {
                Some(difference) => Judgement::Remove(difference.to_string()),
                None => match cache.read(&path) {
                    Ok(_) => continue,
                    Err(error) => judged(error),
                },
            },
        };
        match judgement {
            Judgement::Keep(reason) => {
                output::print_line(format_args!("kept {}: {reason}", path.display()))?;
            }
            Judgement::Remove(reason) => {
                say(&path, &reason, arguments.dry_run)?;
                if !arguments.dry_run {
                    cache.remove(&lock, &path).map_err(unusable)?;
                }
            }
        }
    }
    if !arguments.dry_run {
        for path in cache.clean(&lock).map_err(unusable)? {
            say(&path, "a killed build left it", false)?;
        }
    }
    if machine.is_none() && !arguments.all {
        log::warn!("no GPU with TensorRT can be asked: engines of other machines stay");
    }
    Ok(())
}

/// What becomes of an engine, and why.
enum Judgement {
    Keep(String),
    Remove(String),
}

fn say(path: &Path, reason: &str, dry_run: bool) -> Result<(), Failure> {
    let verb = if dry_run { "would remove" } else { "removed" };
    output::print_line(format_args!("{verb} {}: {reason}", path.display()))
}

/// A cache error as a failure: a directory that is not safe is configuration, the rest is work.
pub(crate) fn unusable(error: CacheError) -> Failure {
    let context = "the engine cache is not usable";
    match &error {
        CacheError::Untrusted { .. } => Failure::configuration(context),
        CacheError::Busy { .. } => {
            Failure::work(context).hint("wait for the other build, or stop that process")
        }
        _ => Failure::work(context),
    }
    .because(error)
}
