//! The program's subcommands, one file each.

mod build;
mod calibrate;
mod camera;
mod completions;
mod demo;
mod doctor;
mod draw;
mod engines;
mod estimate;
mod failure;
mod infer;
mod network;
mod output;
mod private_directory;
mod rig;
mod run;
mod setup;
mod streams;
mod table;
mod watch;

pub(crate) use failure::Failure;

use clap::{Parser, Subcommand};

/// Turns a stereo camera into a 3D semantic occupancy grid.
///
/// `occdepth demo` needs no camera, no files and no configuration: it drives along a synthetic street, runs the
/// bundled network, streams the grids through shared memory and draws them from above.
///
/// Exit codes: 0 success, 1 failure, 2 bad usage or configuration.
#[derive(Debug, Parser)]
#[command(name = "occdepth", version, max_term_width = 100)]
pub(crate) struct Cli {
    /// Says more (-v: what the runtime decides, -vv: details). `RUST_LOG` is understood as well.
    #[arg(short, long, global = true, action = clap::ArgAction::Count, display_order = 1000)]
    pub(crate) verbose: u8,

    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Runs the whole pipeline on a synthetic street and draws what a client sees
    Demo(demo::Arguments),
    /// Runs the pipeline of a configuration file in the foreground
    Run(run::Arguments),
    /// Labels the voxels of one pair of image files
    Infer(infer::Arguments),
    /// Shows the grids of a running stream
    Watch(watch::Arguments),
    /// Lists the streams of this machine
    Streams(streams::Arguments),
    /// Lists, probes and tries cameras
    #[command(subcommand)]
    Camera(camera::Command),
    /// Calibrates a stereo rig from pictures of a chessboard, or with live cameras
    Calibrate(calibrate::Arguments),
    /// Shows, checks, imports and exports stereo rigs
    #[command(subcommand)]
    Rig(rig::Command),
    /// Shows what an exported network promises, and checks that it is computed right
    #[command(subcommand)]
    Network(network::Command),
    /// Builds an engine from a network, for this device, with TensorRT
    Build(build::Arguments),
    /// Lists, verifies and removes the engines that were built here
    #[command(subcommand)]
    Engines(engines::Command),
    /// Looks at everything that the runtime needs, and says what to mend
    Doctor(doctor::Arguments),
    /// Predicts the least time that boards need for a network
    Estimate(estimate::Arguments),
    /// Prints a completion script for a shell
    Completions(completions::Arguments),
}

/// Prints a failure to standard error.
#[allow(clippy::print_stderr, reason = "the one place where the program reports its failure")]
pub(crate) fn print_failure(failure: &Failure) {
    eprintln!("{failure}");
}

impl Cli {
    /// Runs the subcommand.
    pub(crate) fn run(self) -> Result<(), Failure> {
        match self.command {
            Command::Demo(arguments) => demo::run(&arguments, self.verbose),
            Command::Run(arguments) => run::run(&arguments),
            Command::Infer(arguments) => infer::run(&arguments),
            Command::Watch(arguments) => watch::run(&arguments),
            Command::Streams(arguments) => streams::run(&arguments),
            Command::Camera(command) => camera::run(&command),
            Command::Calibrate(arguments) => calibrate::run(&arguments),
            Command::Rig(command) => rig::run(&command),
            Command::Network(command) => network::run(&command),
            Command::Build(arguments) => build::run(&arguments),
            Command::Engines(command) => engines::run(&command),
            Command::Doctor(arguments) => doctor::run(&arguments),
            Command::Estimate(arguments) => estimate::run(&arguments),
            Command::Completions(arguments) => completions::run(&arguments),
        }
    }
}
