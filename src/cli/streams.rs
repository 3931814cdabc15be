//! `occdepth streams`: which streams there are.

use super::{Failure, output};
use occdepth::causes::WithCauses;
use occdepth_ring::{
    FoundStream, PublishedGrid, Reader, ReaderOptions, discover, monotonic_now_ns,
};
use serde_json::{Value, json};
use std::path::PathBuf;
use std::time::Duration;

/// Lists the streams of this machine: every socket of a directory, what is published there, or why it cannot be read.
///
/// A stream that cannot be read is listed with the reason and is no failure of this command.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// The directory of the sockets
    #[arg(long, value_name = "DIR", default_value = "/run/occdepth")]
    directory: PathBuf,

    /// Prints a JSON document
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(arguments: &Arguments) -> Result<(), Failure> {
    let options = ReaderOptions { handshake_timeout: PATIENCE, ..ReaderOptions::default() };
    let found = discover(&arguments.directory, &options).map_err(|error| {
        let context = format!("cannot list the streams in {}", arguments.directory.display());
        Failure::work(context)
            .because(error)
            .hint("a service makes its directory when it starts; --directory names another one")
    })?;
    if arguments.json {
        return output::print_json(&found.iter().map(document).collect::<Value>());
    }
    if found.is_empty() {
        return output::print_line(format_args!("no streams in {}", arguments.directory.display()));
    }
    for stream in &found {
        output::print_line(line(stream))?;
    }
    Ok(())
}

/// How long a writer may take to answer: one that is alive takes a millisecond.
const PATIENCE: Duration = Duration::from_millis(500);

fn line(found: &FoundStream) -> String {
    let socket = found.socket.display();
    let reader = match &found.reader {
        Ok(reader) => reader,
        Err(error) => return format!("{socket}: {}", WithCauses(error)),
    };
    let description = reader.description();
    let [x, y, z] = description.grid.dims;
    let newest = match newest(reader) {
        Some(grid) => format!(
            "grid {}, {:.1} s old, health {}",
            grid.sequence,
            age_s(&grid),
            grid.record.health
        ),
        None => "no grid yet".to_owned(),
    };
    let untrained = if description.trained { "" } else { ", UNTRAINED" };
    let status = status(reader).unwrap_or_default();
    format!(
        "{socket}: {} by {}, uid {}: {x} x {y} x {z} voxels of {} m, {} classes{untrained}; {newest}{status}",
        description.stream,
        description.producer,
        reader.server().uid,
        description.grid.voxel_size_m,
        description.classes.len(),
    )
}

fn document(found: &FoundStream) -> Value {
    let socket = found.socket.display().to_string();
    let reader = match &found.reader {
        Ok(reader) => reader,
        Err(error) => {
            return json!({ "socket": socket, "error": WithCauses(error).to_string() });
        }
    };
    let description = reader.description();
    let newest = newest(reader).map(|grid| {
        json!({
            "sequence": grid.sequence,
            "age_s": age_s(&grid),
            "health": grid.record.health.to_string(),
        })
    });
    json!({
        "socket": socket,
        "stream": description.stream,
        "producer": description.producer,
        "uid": reader.server().uid,
        "dims": description.grid.dims,
        "voxel_size_m": description.grid.voxel_size_m,
        "frame": description.grid.frame,
        "classes": description.classes.len(),
        "trained": description.trained,
        "newest": newest,
        "status": reader.status().map(|status| json!({
            "age_s": status.age_ns(monotonic_now_ns()) as f64 / 1e9,
            "health": status.health.to_string(),
            "degradation": status.degradation.names().collect::<Vec<_>>(),
        })),
    })
}

/// What the writer says of itself where that is more than its newest grid says.
fn status(reader: &Reader) -> Option<String> {
    let status = reader.status()?;
    let said = newest(reader).is_some_and(|grid| grid.publish_time_ns >= status.time_ns);
    let age_s = status.age_ns(monotonic_now_ns()) as f64 / 1e9;
    let names: Vec<_> = status.degradation.names().collect();
    let why = if names.is_empty() { String::new() } else { format!(" ({})", names.join(", ")) };
    (!said).then(|| format!("; {}{why} {age_s:.1} s ago", status.health))
}

/// What is said of the newest grid; none before the first, or while it is being overwritten.
fn newest(reader: &Reader) -> Option<PublishedGrid> {
    #[expect(
        clippy::redundant_closure_for_method_calls,
        reason = "the method itself is of one lifetime only"
    )]
    let look = |reader: &Reader| reader.look_newest(|grid| grid.published());
    look(reader).ok()
}

fn age_s(grid: &PublishedGrid) -> f64 {
    grid.age_ns(monotonic_now_ns()) as f64 / 1e9
}
