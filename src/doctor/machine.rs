//! The board: memory, disk, power mode, clocks, temperatures.

use super::{Examination, Finding};
use crate::board::{Board, How, Reading};
use crate::engine::build::disk_available;

pub(super) fn examine(examination: &Examination, board: &Board) -> Vec<Finding> {
    vec![memory(board), disk(examination), power_mode(board), clocks(board), thermal(board)]
}

/// What the machine is.
pub(super) fn board(board: &Board) -> Finding {
    const SUBJECT: &str = "board";
    match &board.profile {
        Reading::Known(known) => {
            let by = match &known.by {
                How::Module(module) => format!("module {module}"),
                How::Model(model) => model.clone(),
                How::Gpu(gpu) => gpu.clone(),
                How::NothingFound => "no Jetson, no NVIDIA GPU".into(),
            };
            Finding::good(SUBJECT, format!("{} ({by})", known.profile.title))
        }
        Reading::Unknown(reason) => Finding::warning(
            SUBJECT,
            reason.clone(),
            "name a profile in the recipe (`board`), and tell us what /proc/device-tree says",
        ),
    }
}

/// Memory for the bundled network's pipeline on the CPU, and as much again: below this nothing runs well.
const LEAST_MEMORY: u64 = 256 << 20;
/// Below this a build of a published network fails on a Jetson, as users of 4 GB boards report.
const BUILD_MEMORY: u64 = 2 << 30;

fn memory(board: &Board) -> Finding {
    const SUBJECT: &str = "memory";
    let memory = match &board.memory {
        Reading::Known(memory) => memory,
        Reading::Unknown(reason) => return Finding::unknown(SUBJECT, reason.clone()),
    };
    let mib = |bytes: u64| bytes >> 20;
    let found = format!(
        "{} of {} MiB available, {} MiB of swap",
        mib(memory.available_bytes),
        mib(memory.total_bytes),
        mib(memory.swap_free_bytes)
    );
    if memory.available_bytes < LEAST_MEMORY {
        return Finding::problem(
            SUBJECT,
            found,
            "close other programs: a desktop takes 1 GiB and more",
        );
    }
    if memory.available_bytes < BUILD_MEMORY {
        let mend = "enough to run; to build an engine, close other programs or add swap";
        return Finding::warning(SUBJECT, found, mend);
    }
    Finding::good(SUBJECT, found)
}

/// A published network's engine, its timing cache and a report.
const LEAST_DISK: u64 = 1 << 30;

fn disk(examination: &Examination) -> Finding {
    const SUBJECT: &str = "disk";
    let Some(cache) = &examination.cache else {
        return Finding::unknown(SUBJECT, "no place for engines is known");
    };
    let existing = cache.directory().ancestors().find(|path| path.exists());
    let Some(available) = existing.and_then(disk_available) else {
        return Finding::unknown(
            SUBJECT,
            format!("{}: the system does not say", cache.directory().display()),
        );
    };
    let found = format!("{} MiB available for {}", available >> 20, cache.directory().display());
    if available < LEAST_DISK {
        return Finding::warning(
            SUBJECT,
            found,
            "make room: `occdepth engines prune`, or another --cache",
        );
    }
    Finding::good(SUBJECT, found)
}

fn power_mode(board: &Board) -> Finding {
    const SUBJECT: &str = "power mode";
    let mode = match &board.power_mode {
        Reading::Known(mode) => mode,
        Reading::Unknown(_) if board.identity.tegra().is_none() => {
            return Finding::unknown(SUBJECT, "not a Jetson");
        }
        Reading::Unknown(reason) => return Finding::unknown(SUBJECT, reason.clone()),
    };
    let name = mode.name.known().map_or_else(|| format!("mode {}", mode.id), Clone::clone);
    // MAXN and MAXN SUPER have no limits; every other mode gives up clocks or cores for power.
    if name.starts_with("MAXN") {
        return Finding::good(SUBJECT, name);
    }
    Finding::warning(
        SUBJECT,
        format!("{name}: a mode that limits clocks"),
        "if power and cooling allow: `sudo nvpmodel -m 0` (the mode that your board's manual names MAXN)",
    )
}

fn clocks(board: &Board) -> Finding {
    const SUBJECT: &str = "clocks";
    if board.identity.tegra().is_none() {
        return Finding::unknown(SUBJECT, "not a Jetson");
    }
    match &board.clocks_held {
        Reading::Known(true) => Finding::good(SUBJECT, "held at their limits"),
        Reading::Known(false) => Finding::warning(
            SUBJECT,
            "not held: latency varies with the governor",
            "for even latencies: `sudo jetson_clocks` (again after each start)",
        ),
        Reading::Unknown(reason) => Finding::unknown(SUBJECT, reason.clone()),
    }
}

/// Below this the board slows down under load before a minute is over.
const LEAST_HEADROOM_C: f64 = 15.0;

fn thermal(board: &Board) -> Finding {
    const SUBJECT: &str = "temperature";
    let closest = board
        .thermal
        .iter()
        .filter_map(|zone| Some((zone, *zone.celsius.known()?, zone.headroom_c()?)))
        .min_by(|a, b| a.2.total_cmp(&b.2));
    let Some((zone, celsius, headroom)) = closest else {
        return Finding::unknown(
            SUBJECT,
            "no thermal zone says both its temperature and its limit",
        );
    };
    let found = format!("{} {celsius:.0} C, {headroom:.0} C below the limit", zone.name);
    if headroom <= 0.0 {
        return Finding::problem(SUBJECT, found, "it is throttled now: mend the cooling");
    }
    if headroom < LEAST_HEADROOM_C {
        return Finding::warning(
            SUBJECT,
            found,
            "it will throttle under load: look at fan and heat sink",
        );
    }
    Finding::good(SUBJECT, found)
}
