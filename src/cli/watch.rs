//! `occdepth watch`: a client of a stream.

use super::draw::{self, Palette, Terminal, TopDown, screen_cells};
use super::{Failure, output, setup};
use occdepth::stages::Summary;
use occdepth_ring::{
    CalibrationState, ConnectError, Grid, GridRecord, ReadError, Reader, ReaderOptions,
    StreamDescription, monotonic_now_ns,
};
use serde_json::{Value, json};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// Shows the grids of a stream, live, until it ends or SIGINT or SIGTERM.
///
/// On a terminal it draws each grid from above (`NO_COLOR` is understood); elsewhere it prints a line a second.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// The socket of the stream
    #[arg(value_name = "SOCKET")]
    stream: PathBuf,

    /// Ends after the first grid
    #[arg(long, conflicts_with = "grids")]
    once: bool,

    /// Ends after so many grids
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    grids: Option<u64>,

    /// Prints one JSON document a line for each grid, and nothing else
    #[arg(long, conflicts_with = "quiet")]
    json: bool,

    /// Writes the last grid, seen from above, when it ends
    #[arg(long, value_name = "FILE")]
    png: Option<PathBuf>,

    /// Prints and draws nothing
    #[arg(long)]
    quiet: bool,

    /// How long to wait for the stream and for its first grid, seconds
    #[arg(long, value_name = "S", default_value_t = 10)]
    timeout: u32,
}

pub(crate) fn run(arguments: &Arguments) -> Result<(), Failure> {
    let stop = setup::stop_on_signals()?;
    let mut reader = connect(arguments, &stop)?;
    let mut view = View::new(arguments, reader.description());
    view.open()?;
    let result = watch(arguments, &mut reader, &mut view, &stop);
    view.close()?;
    let received = result?;
    if let Some(grid) = received
        && let Some(path) = &arguments.png
    {
        view.write_png(path, &grid)?;
    }
    view.finish(&reader)
}

/// Receives grids until the end, and returns the last one.
fn watch(
    arguments: &Arguments,
    reader: &mut Reader,
    view: &mut View<'_>,
    stop: &AtomicBool,
) -> Result<Option<Grid>, Failure> {
    let wanted = if arguments.once { Some(1) } else { arguments.grids };
    let started = Instant::now();
    let mut grid = Grid::new();
    while !stop.load(Ordering::Relaxed) {
        match reader.next(&mut grid, WAIT) {
            Ok(Some(_)) => {
                view.show(&grid)?;
                if wanted == Some(view.received) {
                    break;
                }
            }
            Ok(None) => {
                let patience = Duration::from_secs(u64::from(arguments.timeout));
                if view.received == 0 && started.elapsed() > patience {
                    let context = format!("no grid within {} s", arguments.timeout);
                    let hint = match reader.status() {
                        Some(status) => format!(
                            "its process said {:.1} s ago: {}{}",
                            status.age_ns(monotonic_now_ns()) as f64 / 1e9,
                            status.health,
                            status
                                .degradation
                                .names()
                                .fold(String::new(), |said, name| said + ", " + name),
                        ),
                        None => {
                            "the stream is there; is its camera? See the log of its process".into()
                        }
                    };
                    return Err(Failure::work(context).hint(hint));
                }
            }
            Err(ReadError::Lapped { missed }) => view.missed += missed,
            Err(ReadError::Corrupt { sequence, what }) => {
                log::error!("grid {sequence} is corrupt: {what}");
                view.corrupt += 1;
            }
            Err(ReadError::WriterGone) => {
                if wanted.is_some() || view.received == 0 {
                    return Err(Failure::work("the stream ended before all grids came"));
                }
                break;
            }
            Err(error) => {
                return Err(Failure::work("cannot read the stream").because(error));
            }
        }
    }
    Ok((view.received > 0).then_some(grid))
}

/// How long one wait for a grid may take, so that a signal is noticed.
const WAIT: Duration = Duration::from_millis(200);

/// Connects, waiting for a stream that is not there yet.
fn connect(arguments: &Arguments, stop: &AtomicBool) -> Result<Reader, Failure> {
    let deadline = Instant::now() + Duration::from_secs(u64::from(arguments.timeout));
    loop {
        match Reader::connect(&arguments.stream, &ReaderOptions::default()) {
            Ok(reader) => return Ok(reader),
            Err(ConnectError::NoStream { .. } | ConnectError::NoWriter { .. })
                if Instant::now() < deadline && !stop.load(Ordering::Relaxed) =>
            {
                std::thread::sleep(Duration::from_millis(20));
            }
            Err(error) => {
                return Err(Failure::work("cannot connect to the stream")
                    .because(error)
                    .hint("`occdepth run` opens a stream; its configuration names the socket"));
            }
        }
    }
}

/// What is shown, and what is remembered for the end.
struct View<'a> {
    arguments: &'a Arguments,
    stream: StreamDescription,
    palette: Palette,
    terminal: Terminal,
    received: u64,
    missed: u64,
    corrupt: u64,
    /// From the capture of the older image to the received copy, of the most recent grids.
    latencies: Vec<Duration>,
    last_line: Option<Instant>,
    first: Option<Instant>,
    last: Option<Instant>,
}

impl<'a> View<'a> {
    fn new(arguments: &'a Arguments, stream: &StreamDescription) -> Self {
        let classes = stream.classes.iter();
        let silent = arguments.json || arguments.quiet;
        Self {
            arguments,
            palette: Palette::new(
                classes.map(|class| (class.id, class.name.as_str(), class.colour)),
            ),
            stream: stream.clone(),
            terminal: if silent || arguments.once { Terminal::None } else { Terminal::detect() },
            received: 0,
            missed: 0,
            corrupt: 0,
            latencies: Vec::new(),
            last_line: None,
            first: None,
            last: None,
        }
    }

    fn open(&self) -> Result<(), Failure> {
        self.terminal.enter().map_err(cannot_draw)
    }

    fn close(&self) -> Result<(), Failure> {
        self.terminal.leave().map_err(cannot_draw)
    }

    fn show(&mut self, grid: &Grid) -> Result<(), Failure> {
        let now = Instant::now();
        self.received += 1;
        self.first.get_or_insert(now);
        self.last = Some(now);
        let latency = Duration::from_nanos(grid.published.age_ns(monotonic_now_ns()));
        if self.latencies.len() < MAX_LATENCIES {
            self.latencies.push(latency);
        }
        if self.arguments.json {
            return output::print_line(self.json(grid, latency));
        }
        if self.arguments.quiet {
            return Ok(());
        }
        if self.terminal == Terminal::None {
            let due = self.last_line.is_none_or(|last| last.elapsed() >= LINE_INTERVAL);
            if due {
                self.last_line = Some(now);
                output::print_line(self.line(grid, latency))?;
            }
            return Ok(());
        }
        let lines = [self.line(grid, latency), self.legend(grid)];
        let view = TopDown::new(&grid.labels, self.stream.grid.dims);
        let (rows, columns) = screen_cells(view.rows, view.columns, lines.len() + 1);
        self.terminal.draw(&view.shrunk(rows, columns), &self.palette, &lines).map_err(cannot_draw)
    }

    /// One line about a grid.
    fn line(&self, grid: &Grid, latency: Duration) -> String {
        let untrained = if self.stream.trained { "" } else { " UNTRAINED NETWORK" };
        let stages = &grid.published.record.stages;
        format!(
            "{} #{}{untrained}: {:.0} ms old, infer {:.0} ms, {} missed, {:?}{}",
            self.stream.stream,
            grid.published.sequence,
            latency.as_secs_f64() * 1e3,
            stages.infer_ns as f64 / 1e6,
            self.missed,
            grid.published.record.health,
            calibration(&grid.published.record),
        )
    }

    /// The most frequent classes of a grid, in their colours where there are any.
    fn legend(&self, grid: &Grid) -> String {
        let mut counts: Vec<_> = Self::counts(grid).into_iter().filter(|(_, n)| *n > 0).collect();
        counts.sort_by_key(|&(class, count)| (std::cmp::Reverse(count), class));
        counts
            .iter()
            .filter_map(|&(label, _)| self.stream.class(label))
            .filter(|class| class.id != 0)
            .take(8)
            .map(|class| {
                let [r, g, b] = class.colour;
                match self.terminal {
                    Terminal::Colour => format!("\x1b[38;2;{r};{g};{b}m█\x1b[0m {}  ", class.name),
                    _ => format!("{} {}  ", self.palette.letter(class.id), class.name),
                }
            })
            .collect()
    }

    fn counts(grid: &Grid) -> Vec<(u8, u64)> {
        let mut counts = [0_u64; 256];
        for &label in &grid.labels {
            counts[usize::from(label)] += 1;
        }
        (0..=255).zip(counts).collect()
    }

    /// Everything about a grid but its voxels, for scripts.
    fn json(&self, grid: &Grid, latency: Duration) -> Value {
        let published = &grid.published;
        let record = &published.record;
        let stages = &record.stages;
        let voxels: serde_json::Map<_, _> = Self::counts(grid)
            .into_iter()
            .filter(|&(_, count)| count > 0)
            .map(|(label, count)| {
                let name = self.stream.class(label).map_or_else(
                    || if label == 255 { "unknown".to_owned() } else { label.to_string() },
                    |class| class.name.clone(),
                );
                (name, json!(count))
            })
            .collect();
        json!({
            "stream": self.stream.stream,
            "producer": self.stream.producer,
            "trained": self.stream.trained,
            "dims": self.stream.grid.dims,
            "origin_m": self.stream.grid.origin_m,
            "voxel_size_m": self.stream.grid.voxel_size_m,
            "sequence": published.sequence,
            "frame_id": record.frame_id,
            "left_capture_time_ns": record.left_capture_time_ns,
            "right_capture_time_ns": record.right_capture_time_ns,
            "publish_time_ns": published.publish_time_ns,
            "wall_offset_ns": published.wall_offset_ns,
            "skew_ns": record.skew_ns(),
            "latency_ms": latency.as_secs_f64() * 1e3,
            "stages_ns": {
                "capture": stages.capture_ns,
                "rectify": stages.rectify_ns,
                "watch": stages.watch_ns,
                "infer": stages.infer_ns,
                "label": stages.label_ns,
                "publish": stages.publish_ns,
            },
            "health": format!("{:?}", record.health).to_lowercase(),
            "degradation": record.degradation.names().collect::<Vec<_>>(),
            "calibration": format!("{:?}", record.calibration).to_lowercase(),
            "epipolar_error_px": record.epipolar_error_px,
            "checksum": published.checksum,
            "missed": self.missed,
            "corrupt": self.corrupt,
            "voxels": voxels,
        })
    }

    fn write_png(&self, path: &std::path::Path, grid: &Grid) -> Result<(), Failure> {
        draw::write_png(path, &grid.labels, self.stream.grid.dims, &self.palette)
    }

    /// What the client saw in all.
    fn finish(mut self, reader: &Reader) -> Result<(), Failure> {
        if self.arguments.json || self.arguments.quiet {
            return Ok(());
        }
        let latency = Summary::of(&mut self.latencies);
        let between = self.first.zip(self.last).map(|(first, last)| last - first);
        let rate = match between {
            Some(between) if self.received > 1 => {
                format!(", {:.1} grids/s", (self.received - 1) as f64 / between.as_secs_f64())
            }
            _ => String::new(),
        };
        output::print_line(format_args!(
            "client: {} grids received{rate}, {} missed, {} corrupt; capture to client p50 {:.1} ms, p99 {:.1} ms; \
             ring of {} slots, {:.1} MiB",
            self.received,
            self.missed,
            self.corrupt,
            latency.p50.as_secs_f64() * 1e3,
            latency.p99.as_secs_f64() * 1e3,
            reader.slot_count(),
            reader.segment_bytes() as f64 / f64::from(1 << 20),
        ))
    }
}

/// What a line says of the calibration; nothing while it is not watched.
fn calibration(record: &GridRecord) -> String {
    let error = record.epipolar_error_px.map_or_else(String::new, |px| format!(" ({px:.2} px)"));
    match record.calibration {
        CalibrationState::Unknown => String::new(),
        state => format!(", calibration {}{error}", format!("{state:?}").to_lowercase()),
    }
}

/// Where nothing is drawn, a line at most this often.
const LINE_INTERVAL: Duration = Duration::from_secs(1);
/// Latencies that are remembered: more than two hours at 10 grids a second.
const MAX_LATENCIES: usize = 100_000;

fn cannot_draw(error: std::io::Error) -> Failure {
    Failure::work("cannot draw on the terminal").because(error)
}
