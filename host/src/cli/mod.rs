//! The command line: one file per subcommand, and how errors become lines and exit codes.

mod export;
mod import;
mod inspect;
mod verify;

use clap::{Parser, Subcommand};
use occdepth_host::{preset::Preset, weights::Weights};
use std::{error::Error, path::Path, process::ExitCode};

/// The companion of occdepth: makes the networks that the runtime runs.
#[derive(Debug, Parser)]
#[command(
    version,
    after_help = "Exit codes: 0 done, 1 failed, 2 bad usage or configuration.",
    propagate_version = true
)]
pub(crate) struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Export(export::Arguments),
    Import(import::Arguments),
    Inspect(inspect::Arguments),
    Verify(verify::Arguments),
}

/// Why a command failed: whose fault it is decides the exit code.
#[derive(Debug)]
enum Failure {
    /// The arguments or a file that they name.
    Configuration(Box<dyn Error>),
    /// Everything else.
    Execution(Box<dyn Error>),
}

impl Failure {
    fn configuration(error: impl Into<Box<dyn Error>>) -> Self {
        Self::Configuration(error.into())
    }

    fn execution(error: impl Into<Box<dyn Error>>) -> Self {
        Self::Execution(error.into())
    }
}

/// Runs the command and reports a failure as one line with its causes.
pub(crate) fn run(cli: Cli) -> ExitCode {
    let result = match cli.command {
        Command::Export(arguments) => arguments.run(),
        Command::Import(arguments) => arguments.run(),
        Command::Inspect(arguments) => arguments.run(),
        Command::Verify(arguments) => arguments.run(),
    };
    let (error, code) = match result {
        Ok(()) => return ExitCode::SUCCESS,
        Err(Failure::Configuration(error)) => (error, 2),
        Err(Failure::Execution(error)) => (error, 1),
    };
    #[allow(clippy::print_stderr, reason = "this is where the program reports its failure")]
    {
        eprintln!("occdepth-host: {}", one_line(error.as_ref()));
    }
    ExitCode::from(code)
}

/// The preset that an argument names: a file where it looks like one, else a built-in one.
fn preset(argument: &str) -> Result<Preset, Failure> {
    let path = Path::new(argument);
    let is_file = path.extension().is_some_and(|extension| extension == "toml")
        || path.components().count() > 1;
    let preset = if is_file { Preset::read(path) } else { Preset::builtin(argument) };
    preset.map_err(Failure::configuration)
}

/// The built-in preset that a file names: what a file says is never read as a path.
fn builtin(name: &str, origin: &str, field: &str) -> Result<Preset, Failure> {
    Preset::builtin(name).map_err(|_| {
        Failure::configuration(format!(
            "{origin}: field `{field}`: found {name:?}, expected a built-in one, or --preset"
        ))
    })
}

/// Weights that are made here rather than read.
#[derive(Clone, Copy)]
enum Made {
    /// `hash`, with its seed.
    Hash(u64),
    /// `formula`.
    Formula,
}

impl Made {
    /// What --weights asks for, with --seed where it means something; None: a file.
    fn of(weights: &str, seed: Option<u64>) -> Result<Option<Self>, Failure> {
        match (weights, seed) {
            ("hash", seed) => Ok(Some(Self::Hash(seed.unwrap_or(1)))),
            (other, Some(seed)) => Err(Failure::configuration(format!(
                "--seed: found {seed} with --weights {other}, expected none: only the weights `hash` \
                 have a seed"
            ))),
            ("formula", None) => Ok(Some(Self::Formula)),
            _ => Ok(None),
        }
    }

    fn weights(self, preset: &Preset) -> Weights {
        match self {
            Self::Hash(seed) => Weights::initialise(preset, seed),
            Self::Formula => Weights::formula(preset),
        }
    }
}

/// The error and its causes, outermost first.
fn one_line(error: &dyn Error) -> String {
    let causes = std::iter::successors(Some(error), |&error| error.source());
    let causes: Vec<String> = causes
        .map(|cause| cause.to_string().split_whitespace().collect::<Vec<_>>().join(" "))
        .collect();
    causes.join(": ")
}
