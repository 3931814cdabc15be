//! `occdepth camera list`.

use super::{Failure, describe};
use crate::cli::output;
use clap::Args;
use occdepth_capture::v4l2::inspect;
use serde_json::json;
use std::path::{Path, PathBuf};

#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// Prints JSON
    #[arg(long)]
    json: bool,
}

pub(super) fn run(arguments: &Arguments) -> Result<(), Failure> {
    let devices = devices(Path::new("/dev"));
    if arguments.json {
        let list: Vec<_> = devices
            .iter()
            .map(|device| match inspect(device) {
                Ok(identity) => json!({
                    "device": device,
                    "kind": describe(identity.kind),
                    "name": identity.card,
                    "driver": identity.driver,
                    "bus": identity.bus,
                    "multi_planar": identity.multi_planar,
                    "links": links(device),
                }),
                Err(error) => json!({ "device": device, "error": error.to_string() }),
            })
            .collect();
        return output::print_json(&list.into());
    }
    if devices.is_empty() {
        return output::print_line("no V4L2 device on this machine (no /dev/video*)");
    }
    let mut text = String::new();
    for device in &devices {
        match inspect(device) {
            Ok(identity) => {
                text += &format!(
                    "{}  {}: {} ({}{}{})\n",
                    device.display(),
                    describe(identity.kind),
                    identity.card,
                    identity.driver,
                    if identity.bus.is_empty() { "" } else { ", " },
                    identity.bus,
                );
            }
            Err(error) => text += &format!("{error}\n"),
        }
        // These stay the same when cameras are plugged in another order.
        for link in links(device) {
            text += &format!("    {}\n", link.display());
        }
    }
    output::print(text.as_bytes())
}

/// `/dev/video*`, by number.
fn devices(folder: &Path) -> Vec<PathBuf> {
    let mut found: Vec<(u32, PathBuf)> = entries(folder)
        .filter_map(|path| {
            let number = path.file_name()?.to_str()?.strip_prefix("video")?.parse().ok()?;
            Some((number, path))
        })
        .collect();
    found.sort();
    found.into_iter().map(|(_, path)| path).collect()
}

/// udev's names of a device that do not depend on the order of plugging in.
fn links(device: &Path) -> Vec<PathBuf> {
    let target = std::fs::canonicalize(device).ok();
    let mut links: Vec<PathBuf> = ["/dev/v4l/by-path", "/dev/v4l/by-id"]
        .into_iter()
        .flat_map(|folder| entries(Path::new(folder)))
        .filter(|link| target.is_some() && std::fs::canonicalize(link).ok() == target)
        .collect();
    links.sort();
    links
}

fn entries(folder: &Path) -> impl Iterator<Item = PathBuf> {
    let entries = std::fs::read_dir(folder).into_iter().flatten();
    entries.filter_map(|entry| Some(entry.ok()?.path()))
}
