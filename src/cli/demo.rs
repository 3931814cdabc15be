//! `occdepth demo`: the whole product, without a camera, a file or a configuration.

use super::private_directory::PrivateDirectory;
use super::{Failure, output, setup, table};
use occdepth::daemon::{
    self, Config, EngineChoice, GridConfig, NetworkConfig, Outcome, SourceConfig, StreamConfig,
};
use occdepth::decalibration::WatchConfig;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus};
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

/// Drives along a synthetic street, runs the bundled network on it, streams the grids through shared memory, and
/// draws what a client in a second process receives. Prints where the time went, and writes the last grid as a PNG.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// How long to drive
    #[arg(long, value_name = "S", default_value_t = 10.0, value_parser = parse_seconds)]
    seconds: f64,

    /// The street
    #[arg(long, default_value_t = 1)]
    seed: u64,

    /// Stereo pairs a second
    #[arg(long, value_name = "HZ", default_value_t = 10.0, value_parser = parse_seconds)]
    rate: f64,

    /// The network; the bundled one when absent
    #[arg(long, value_name = "FILE.onnx")]
    network: Option<PathBuf>,

    /// Threads of the CPU engine; all cores when absent
    #[arg(long)]
    threads: Option<usize>,

    /// Where the client writes the last grid it received, seen from above
    #[arg(long, value_name = "FILE", default_value = "occdepth-demo.png")]
    png: PathBuf,

    /// Prints the summary as JSON; nothing is drawn
    #[arg(long)]
    json: bool,
}

fn parse_seconds(text: &str) -> Result<f64, String> {
    text.parse()
        .ok()
        .filter(|value: &f64| value.is_finite() && *value > 0.0)
        .ok_or_else(|| "expected a positive number".to_owned())
}

pub(crate) fn run(arguments: &Arguments, verbose: u8) -> Result<(), Failure> {
    let directory = PrivateDirectory::new("demo")?;
    let config = Config {
        rig: None,
        source: SourceConfig::Synthetic {
            seed: arguments.seed,
            rate_hz: arguments.rate,
            frames: None,
        },
        network: NetworkConfig {
            file: arguments.network.clone(),
            engine: EngineChoice::Cpu,
            threads: arguments.threads,
            ..NetworkConfig::default()
        },
        grid: GridConfig::default(),
        calibration_watch: WatchConfig::default(),
        stream: StreamConfig {
            socket: directory.path.join("street.sock"),
            name: "street".to_owned(),
            slots: 8,
            mode: 0o700,
            group: None,
        },
        status: daemon::StatusConfig { every_s: 0.0 },
    };
    let opening = Instant::now();
    let mut pipeline = setup::assemble(&config)?;
    let stop = setup::stop_on_signals()?;
    let client = Client::start(&config.stream.socket, arguments, verbose)?;
    setup::wait_for_client(&pipeline, &stop);

    let start = Instant::now();
    let mut first_grid = None;
    let outcome = daemon::run(&mut pipeline, &stop, |_, step| {
        if matches!(step, occdepth::Step::Published { .. }) {
            first_grid.get_or_insert_with(|| opening.elapsed());
        }
        if start.elapsed().as_secs_f64() >= arguments.seconds {
            stop.store(true, Ordering::Relaxed);
        }
    });
    let summary = table::Summary::new(&pipeline, start.elapsed());
    // The client ends when the stream does.
    drop(pipeline);
    let status = client.wait()?;

    match outcome {
        Ok(Outcome::Ended | Outcome::Stopped) => {}
        Err(error) => return Err(Failure::work("the pipeline stopped").because(error)),
    }
    let first_grid_ms = first_grid.map(|duration: Duration| duration.as_secs_f64() * 1e3);
    if arguments.json {
        let mut document = summary.json();
        document["start_to_first_grid_ms"] = serde_json::json!(first_grid_ms);
        document["png"] = serde_json::json!(arguments.png);
        output::print_json(&document)?;
    } else {
        output::print(summary.text().as_bytes())?;
        if let Some(ms) = first_grid_ms {
            output::print_line(format_args!("start to first grid {ms:.0} ms"))?;
        }
        output::print_line(format_args!("the last grid from above: {}", arguments.png.display()))?;
    }
    if status.success() {
        Ok(())
    } else {
        Err(Failure::work(format!("the client failed ({status})")))
    }
}

/// `occdepth watch` in a process of its own; killed if it is not waited for.
struct Client {
    child: Option<Child>,
}

impl Client {
    fn start(socket: &Path, arguments: &Arguments, verbose: u8) -> Result<Self, Failure> {
        let failed = |error| Failure::work("cannot start the client").because(error);
        let mut command = Command::new(std::env::current_exe().map_err(failed)?);
        command.arg("watch").arg(socket).arg("--png").arg(&arguments.png);
        command.args((0..verbose).map(|_| "-v"));
        if arguments.json {
            command.arg("--quiet");
        }
        Ok(Self { child: Some(command.spawn().map_err(failed)?) })
    }

    /// Waits for its end, which the end of the stream brings about.
    fn wait(mut self) -> Result<ExitStatus, Failure> {
        let mut child = self.child.take().expect("taken only here and on drop");
        child.wait().map_err(|error| Failure::work("cannot wait for the client").because(error))
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        if let Some(child) = &mut self.child {
            // Already ended, or ended by this: there is nothing else to do about either.
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}
