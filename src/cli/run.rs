//! `occdepth run`: a pipeline in the foreground.

use super::{Failure, output, setup, table};
use occdepth::Step;
use occdepth::daemon::{self, Config, Outcome};
use std::path::PathBuf;
use std::time::Instant;

/// Runs the pipeline of a configuration file until its source ends, or SIGINT or SIGTERM.
///
/// Prints where the time went when it ends. Clients read the stream meanwhile: see `occdepth watch`.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// The configuration (TOML); the README shows one
    #[arg(short, long, value_name = "FILE")]
    config: PathBuf,

    /// Ends after so many grids
    #[arg(long, value_name = "N")]
    grids: Option<u64>,

    /// Waits until a client is connected before the first frame is taken
    #[arg(long)]
    wait_for_client: bool,

    /// Prints the summary as JSON
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(arguments: &Arguments) -> Result<(), Failure> {
    let config = Config::read(&arguments.config)
        .map_err(|error| Failure::configuration("bad configuration").because(error))?;
    let mut pipeline = setup::assemble(&config)?;
    let stop = setup::stop_on_signals()?;
    if !arguments.json {
        output::print_line(format_args!(
            "streaming {:?} on {}",
            config.stream.name,
            config.stream.socket.display()
        ))?;
    }
    if arguments.wait_for_client {
        setup::wait_for_client(&pipeline, &stop);
    }

    let start = Instant::now();
    let outcome = daemon::run(&mut pipeline, &stop, |step| {
        if let Step::Published { sequence, .. } = step
            && Some(*sequence) == arguments.grids
        {
            stop.store(true, std::sync::atomic::Ordering::Relaxed);
        }
    });
    let summary = table::Summary::new(&pipeline, start.elapsed());
    if arguments.json {
        output::print_json(&summary.json())?;
    } else {
        output::print(summary.text().as_bytes())?;
    }
    match outcome {
        Ok(Outcome::Ended | Outcome::Stopped) => Ok(()),
        Err(error) => Err(Failure::work("the pipeline stopped").because(error)),
    }
}
