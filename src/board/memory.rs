//! Memory and swap.

use super::{Reading, Root};
use serde::Serialize;

/// Memory and swap of the machine, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Memory {
    /// All that the kernel manages: less than is built in, by what firmware keeps.
    pub total_bytes: u64,
    /// What programs can still have without swapping.
    pub available_bytes: u64,
    /// Swap, zram included.
    pub swap_total_bytes: u64,
    /// Swap that is not used.
    pub swap_free_bytes: u64,
}

/// Reads `/proc/meminfo`.
pub fn read(root: &Root) -> Reading<Memory> {
    let parsed = root.text(MEMINFO).and_then(|text| {
        let field = |name| kib(text.as_bytes(), name).map(|kib| kib.saturating_mul(1024));
        Ok(Memory {
            total_bytes: field("MemTotal").ok_or_else(|| lacks("MemTotal"))?,
            available_bytes: field("MemAvailable").ok_or_else(|| lacks("MemAvailable"))?,
            // A kernel without swap says nothing of it.
            swap_total_bytes: field("SwapTotal").unwrap_or(0),
            swap_free_bytes: field("SwapFree").unwrap_or(0),
        })
    });
    parsed.into()
}

/// The value of a field of `/proc/meminfo`, KiB; `None`: not there, or no number.
pub(super) fn kib(meminfo: &[u8], name: &str) -> Option<u64> {
    meminfo.split(|&byte| byte == b'\n').find_map(|line| {
        let rest = line.strip_prefix(name.as_bytes())?.strip_prefix(b":")?;
        let text = std::str::from_utf8(rest).ok()?;
        text.trim().strip_suffix("kB")?.trim_end().parse().ok()
    })
}

fn lacks(field: &str) -> String {
    format!("{MEMINFO}: no field `{field}` in kB")
}

pub(super) const MEMINFO: &str = "/proc/meminfo";
