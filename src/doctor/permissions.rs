//! Whether this user may use cameras and the GPU.
//!
//! On Jetson boards the GPU's nodes belong to the groups `video` (`JetPack` 5: `/dev/nvhost-*`, `/dev/nvmap`) and `render`
//! (`JetPack` 6: `/dev/nvgpu`, `/dev/dri/renderD*`); without them CUDA says only that there is no device.

use super::Finding;
use crate::board::Board;
use crate::daemon::{Config, SourceConfig};
use rustix::fs::Access;
use std::path::{Path, PathBuf};

pub(super) fn examine(root: &Path, board: &Board, config: Option<&Config>) -> Vec<Finding> {
    let cameras = config.is_some_and(|config| matches!(config.source, SourceConfig::V4l2(_)));
    // The render nodes of other makers' GPUs are none of ours.
    let nvidia = board.identity.tegra().is_some() || !board.discrete_gpus.is_empty();
    vec![
        nodes(root, "camera nodes", &CAMERAS, cameras),
        nodes(root, "GPU nodes", &GPU, nvidia),
        groups(root),
    ]
}

/// Where cameras are.
const CAMERAS: [&str; 1] = ["dev/video*"];

/// Where GPUs are, on boards and on other machines.
const GPU: [&str; 8] = [
    "dev/nvhost-gpu",
    "dev/nvhost-ctrl-gpu",
    "dev/nvmap",
    "dev/nvgpu/igpu0/*",
    "dev/nvidia[0-9]*",
    "dev/nvidiactl",
    "dev/nvidia-uvm",
    "dev/dri/renderD*",
];

/// `needed`: whether something here cannot do without them.
fn nodes(root: &Path, subject: &'static str, patterns: &[&str], needed: bool) -> Finding {
    let all: Vec<PathBuf> = patterns
        .iter()
        .filter_map(|pattern| {
            let base = glob::Pattern::escape(&root.to_string_lossy());
            glob::glob(&format!("{}/{pattern}", base.trim_end_matches('/'))).ok()
        })
        .flatten()
        .filter_map(Result::ok)
        .filter(|path| !path.is_dir())
        .collect();
    if all.is_empty() {
        return Finding::unknown(subject, "none on this machine");
    }
    let closed: Vec<String> = all
        .iter()
        .filter(|path| rustix::fs::access(*path, Access::READ_OK | Access::WRITE_OK).is_err())
        .map(|path| path.display().to_string())
        .collect();
    if closed.is_empty() {
        return Finding::good(subject, format!("{} can be opened", all.len()));
    }
    let found =
        format!("{} of {} cannot be opened: {}", closed.len(), all.len(), closed.join(", "));
    let mend = "`sudo usermod -aG video,render $USER`, and log in again (a service: `SupplementaryGroups=video render`)";
    if needed {
        Finding::problem(subject, found, mend)
    } else {
        Finding::warning(subject, found, mend)
    }
}

/// Whether this process is in the groups that own the nodes.
fn groups(root: &Path) -> Finding {
    const SUBJECT: &str = "groups";
    if rustix::process::geteuid().is_root() {
        return Finding::good(SUBJECT, "root needs none");
    }
    let text = match std::fs::read_to_string(root.join("etc/group")) {
        Ok(text) => text,
        Err(error) => return Finding::unknown(SUBJECT, format!("/etc/group: {error}")),
    };
    let Ok(mut own) = rustix::process::getgroups() else {
        return Finding::unknown(SUBJECT, "the system does not say which groups this process has");
    };
    own.push(rustix::process::getegid());
    let missing: Vec<&str> = ["video", "render"]
        .into_iter()
        .filter(|name| {
            group_id(&text, name).is_some_and(|id| own.iter().all(|group| group.as_raw() != id))
        })
        .collect();
    if missing.is_empty() {
        return Finding::good(SUBJECT, "video and render, as far as this machine has them");
    }
    Finding::warning(
        SUBJECT,
        format!("not in {}", missing.join(" and ")),
        format!("`sudo usermod -aG {} $USER`, and log in again", missing.join(",")),
    )
}

/// The number of a group in the text of `/etc/group`.
fn group_id(text: &str, name: &str) -> Option<u32> {
    text.lines().find_map(|line| {
        let mut fields = line.split(':');
        (fields.next() == Some(name)).then(|| fields.nth(1)?.parse().ok())?
    })
}
