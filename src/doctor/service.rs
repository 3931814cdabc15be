//! Whether systemd would start the service.

use super::Finding;
use std::path::Path;

/// Where units lie, the administrator's first (`systemd.unit(5)`).
const UNITS: [&str; 4] = [
    "etc/systemd/system",
    "run/systemd/system",
    "usr/local/lib/systemd/system",
    "usr/lib/systemd/system",
];

pub(super) fn examine(root: &Path) -> Finding {
    const SUBJECT: &str = "systemd unit";
    let unit = UNITS.iter().map(|folder| root.join(folder).join("occdepth.service"));
    let Some(unit) = unit.into_iter().find(|path| path.exists()) else {
        return Finding::unknown(SUBJECT, "occdepth.service is not installed");
    };
    let text = match std::fs::read_to_string(&unit) {
        Ok(text) => text,
        Err(error) => {
            let found = format!("{}: {error}", unit.display());
            return Finding::problem(SUBJECT, found, "install the unit again");
        }
    };
    let start = text.lines().find_map(|line| line.trim().strip_prefix("ExecStart="));
    let Some(program) = start.and_then(|line| {
        line.trim_start_matches(['-', '@', ':', '+', '!']).split_whitespace().next()
    }) else {
        let found = format!("{} has no ExecStart", unit.display());
        return Finding::problem(SUBJECT, found, "install the unit again");
    };
    if !root.join(program.trim_start_matches('/')).exists() {
        let found = format!("{} starts {program}, which is not there", unit.display());
        return Finding::problem(
            SUBJECT,
            found,
            "install the program, or mend the unit's ExecStart",
        );
    }
    let wanted = root.join("etc/systemd/system/multi-user.target.wants/occdepth.service");
    if std::fs::symlink_metadata(wanted).is_err() {
        let found = format!("{} is not enabled: it does not start at boot", unit.display());
        return Finding::warning(SUBJECT, found, "`sudo systemctl enable occdepth`");
    }
    Finding::good(SUBJECT, format!("{} starts {program}", unit.display()))
}
