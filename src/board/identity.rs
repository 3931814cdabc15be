//! What the machine says it is.

use super::{Reading, Root};
use serde::Serialize;

/// What the machine says it is.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Identity {
    /// The device tree's `model`: "NVIDIA Jetson Orin Nano Developer Kit".
    pub model: Reading<String>,
    /// The device tree's `compatible`, the most specific first.
    pub compatible: Vec<String>,
    /// Numbers of modules and carrier boards that the device tree names: `p3767-0005`.
    pub parts: Vec<String>,
    /// The CPU's own name, on machines that tell it.
    pub cpu: Reading<String>,
    /// The kernel's release.
    pub kernel: Reading<String>,
}

impl Identity {
    /// Whether this is one of NVIDIA's systems on a chip: `tegra234` of Orin.
    pub fn tegra(&self) -> Option<&str> {
        self.compatible
            .iter()
            .find_map(|name| name.strip_prefix("nvidia,").filter(|chip| chip.starts_with("tegra")))
    }
}

/// Reads the device tree, and what other machines have instead.
pub fn read(root: &Root) -> Identity {
    let tree = |name: &str| {
        root.text(&format!("/proc/device-tree/{name}")).or_else(|reason| {
            root.text(&format!("/sys/firmware/devicetree/base/{name}")).map_err(|_| reason)
        })
    };
    let compatible: Vec<String> = tree("compatible")
        .unwrap_or_default()
        .split('\0')
        .filter(|name| !name.is_empty())
        .map(str::to_owned)
        .collect();
    // JetPack 5 names the file that the tree was made of, with module and carrier in it.
    let file = tree("nvidia,dtsfilename").unwrap_or_default();
    let mut parts = Vec::new();
    for part in compatible.iter().map(String::as_str).chain([file.as_str()]).flat_map(part_numbers)
    {
        if !parts.contains(&part) {
            parts.push(part);
        }
    }
    Identity {
        model: tree("model").into(),
        compatible,
        parts,
        cpu: cpu(root).into(),
        kernel: root.text("/proc/sys/kernel/osrelease").into(),
    }
}

/// Every `pNNNN-NNNN` in a name.
pub fn part_numbers(name: &str) -> Vec<String> {
    let bytes = name.as_bytes();
    let digits = |bytes: &[u8]| bytes.iter().all(u8::is_ascii_digit);
    let is_part = |part: &[u8]| {
        part[0] == b'p' && digits(&part[1..5]) && part[5] == b'-' && digits(&part[6..])
    };
    let starts = (0..bytes.len().saturating_sub(PART_NUMBER - 1)).filter(|&start| {
        let end = start + PART_NUMBER;
        // Not in the middle of a longer word or number.
        let bounded = (start == 0 || !bytes[start - 1].is_ascii_alphanumeric())
            && bytes.get(end).is_none_or(|byte| !byte.is_ascii_alphanumeric());
        bounded && is_part(&bytes[start..end])
    });
    starts.map(|start| name[start..start + PART_NUMBER].to_owned()).collect()
}

/// `model name` of `/proc/cpuinfo`, which x86 has and Arm has not.
fn cpu(root: &Root) -> Result<String, String> {
    let text = root.text("/proc/cpuinfo")?;
    text.lines()
        .filter_map(|line| line.split_once(':'))
        .find(|(name, _)| name.trim() == "model name")
        .map(|(_, value)| value.trim().to_owned())
        .ok_or_else(|| "/proc/cpuinfo: no `model name` (Arm has none)".into())
}

/// Length of `p3767-0005`.
const PART_NUMBER: usize = 10;
