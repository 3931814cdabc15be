//! `occdepth run`: a pipeline in the foreground.

use super::{Failure, output, setup, table};
use occdepth::daemon::{self, Config, Outcome, StatusConfig};
use occdepth::{Pipeline, Step};
use std::path::PathBuf;
use std::time::{Duration, Instant};

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
    let mut status = Status::new(config.status, start, arguments.json);
    let outcome = daemon::run(&mut pipeline, &stop, |pipeline, step| {
        status.tell(pipeline);
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

/// A line about the source and the grids every so often.
struct Status {
    every: Option<Duration>,
    due: Instant,
    start: Instant,
}

impl Status {
    fn new(config: StatusConfig, start: Instant, json: bool) -> Self {
        let every = Duration::try_from_secs_f64(config.every_s).ok();
        // Machine-readable output is the summary only.
        let every = every.filter(|every| !every.is_zero() && !json);
        Self { every, due: start + every.unwrap_or_default(), start }
    }

    fn tell(&mut self, pipeline: &Pipeline) {
        let Some(every) = self.every.filter(|_| Instant::now() >= self.due) else { return };
        self.due += every;
        let line = output::print_line(format_args!(
            "after {:.0} s: {} grids; source {}",
            self.start.elapsed().as_secs_f64(),
            pipeline.statistics().frames(),
            pipeline.source().health()
        ));
        if let Err(error) = line {
            log::debug!("no status line: {error}");
        }
    }
}
