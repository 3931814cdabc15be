//! The power mode of `nvpmodel`.

use super::profile::{PowerModeTable, Profile};
use super::root::quoted;
use super::{Reading, Root, profile};
use serde::Serialize;
use std::path::Path;

/// The mode that `nvpmodel` has set.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct PowerMode {
    /// What `nvpmodel -m` takes.
    pub id: u32,
    /// Its name in the configuration.
    pub name: Reading<String>,
    /// The configuration that gives the number its meaning: `nvpmodel_p3767_0003_super.conf`.
    pub configuration: Reading<String>,
}

impl PowerMode {
    /// What `profile` says of this mode.
    pub fn of<'a>(
        &self,
        profile: &'a Profile,
    ) -> Option<(&'a PowerModeTable, &'a profile::PowerMode)> {
        let file = self.configuration.known().map(String::as_str);
        profile.power_mode(file, self.id, self.name.known().map(String::as_str))
    }
}

/// Reads the mode that was set last, which `nvpmodel` sets again at each start.
pub fn read(root: &Root) -> Reading<PowerMode> {
    let id = root.text(STATUS).and_then(|text| {
        parse_status(&text).ok_or_else(|| {
            format!("{STATUS}: found {}, expected `pmode:` and a number", quoted(&text))
        })
    });
    let id = match id {
        Ok(id) => id,
        Err(reason) => return Reading::Unknown(reason),
    };
    let name = root.text(CONFIGURATION).and_then(|text| {
        let modes = parse_configuration(&text);
        let mode = modes.into_iter().find(|(number, _)| *number == id);
        mode.map(|(_, name)| name)
            .ok_or_else(|| format!("{CONFIGURATION}: no POWER_MODEL has ID={id}"))
    });
    Reading::Known(PowerMode { id, name: name.into(), configuration: configuration(root).into() })
}

/// The number in `pmode:0002`, which may be followed by more (`fmode:quiet`).
pub fn parse_status(text: &str) -> Option<u32> {
    let rest = text.split_whitespace().find_map(|word| word.strip_prefix("pmode:"))?;
    rest.bytes().all(|byte| byte.is_ascii_digit()).then(|| rest.parse().ok())?
}

/// The modes of a configuration: the numbers and names of its `< POWER_MODEL ID=2 NAME=MODE_30W >`.
pub fn parse_configuration(text: &str) -> Vec<(u32, String)> {
    let sections = text.lines().map(str::trim).filter(|line| !line.starts_with('#'));
    let mode = |line: &str| {
        let inside = line.strip_prefix('<')?.split('>').next()?;
        let mut words = inside.split_whitespace();
        if words.next() != Some("POWER_MODEL") {
            return None;
        }
        let (mut id, mut name) = (None, None);
        for word in words {
            match word.split_once('=') {
                Some(("ID", value)) => id = value.parse().ok(),
                Some(("NAME", value)) => name = Some(value.to_owned()),
                _ => {}
            }
        }
        Some((id?, name?))
    };
    sections.filter_map(mode).collect()
}

/// The name of the file that `/etc/nvpmodel.conf` is a link to.
fn configuration(root: &Root) -> Result<String, String> {
    let target = root.link(CONFIGURATION)?;
    let name = Path::new(&target).file_name().and_then(|name| name.to_str());
    name.map(str::to_owned).ok_or_else(|| format!("{CONFIGURATION}: a link to {target:?}"))
}

const STATUS: &str = "/var/lib/nvpmodel/status";
const CONFIGURATION: &str = "/etc/nvpmodel.conf";
