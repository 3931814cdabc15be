//! Clocks of CPU, GPU and memory, and whether they are held.

use super::{Reading, Root};
use serde::Serialize;

/// Clocks of the CPU.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Cpu {
    /// Cores that are switched on.
    pub online: Reading<String>,
    /// The governors of its frequency policies, each once.
    pub governors: Vec<String>,
    /// The policies: cores that share a clock.
    pub policies: Vec<Policy>,
}

/// Cores that share a clock.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Policy {
    /// `policy0`.
    pub name: String,
    /// Lowest clock that the governor may choose, Hz.
    pub min_hz: Reading<u64>,
    /// Highest clock that it may choose, Hz.
    pub max_hz: Reading<u64>,
    /// Highest clock that the hardware has, Hz.
    pub hardware_max_hz: Reading<u64>,
}

/// A GPU that shares the CPU's memory.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Gpu {
    /// Its device: `17000000.gpu`, `gpu-gpc-0`.
    pub name: String,
    /// The governor of its clock.
    pub governor: Reading<String>,
    /// Its clock now, Hz; 0 while it sleeps.
    pub hz: Reading<u64>,
    /// Lowest clock that the governor may choose, Hz.
    pub min_hz: Reading<u64>,
    /// Highest clock that it may choose, Hz.
    pub max_hz: Reading<u64>,
    /// Share of the time that it was busy, 0 to 1. Thor's driver has it only for NVML.
    pub load: Reading<f64>,
}

/// The memory's controller (external memory controller, EMC).
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Emc {
    /// Its clock now, Hz. Only root may read it on most kernels.
    pub hz: Reading<u64>,
    /// Highest clock, Hz.
    pub max_hz: Reading<u64>,
    /// Whether its clock is held (`jetson_clocks`).
    pub held: Reading<bool>,
    /// Share of its clocks that moved data, 0 to 1.
    pub load: Reading<f64>,
}

/// Reads the policies of the CPU.
pub fn cpu(root: &Root) -> Cpu {
    let khz =
        |path: String| Reading::from(root.number::<u64>(&path)).map(|khz| khz.saturating_mul(1000));
    let names = root.names(POLICIES).into_iter().filter(|name| name.starts_with("policy"));
    let mut governors = Vec::new();
    let policies = names
        .map(|name| {
            let path = format!("{POLICIES}/{name}");
            if let Ok(governor) = root.text(&format!("{path}/scaling_governor"))
                && !governors.contains(&governor)
            {
                governors.push(governor);
            }
            Policy {
                min_hz: khz(format!("{path}/scaling_min_freq")),
                max_hz: khz(format!("{path}/scaling_max_freq")),
                hardware_max_hz: khz(format!("{path}/cpuinfo_max_freq")),
                name,
            }
        })
        .collect();
    Cpu { online: root.text("/sys/devices/system/cpu/online").into(), governors, policies }
}

/// Reads the clocks of the GPU that shares the CPU's memory.
pub fn integrated_gpu(root: &Root) -> Reading<Gpu> {
    let Some(device) = gpu_device(root) else {
        return Reading::Unknown(format!(
            "{DEVFREQ}: no GPU (a Jetson's is named *.ga10b, *.gpu, *.gv11b or gpu-gpc-0)"
        ));
    };
    let path = format!("{DEVFREQ}/{device}");
    let load = gpu_load_path(root, &device).and_then(|path| {
        let tenths: u32 = root.number(&path)?;
        share(tenths).ok_or_else(|| format!("{path}: found {tenths}, expected 0 to 1000"))
    });
    Reading::Known(Gpu {
        governor: root.text(&format!("{path}/governor")).into(),
        hz: root.number(&format!("{path}/cur_freq")).into(),
        min_hz: root.number(&format!("{path}/min_freq")).into(),
        max_hz: root.number(&format!("{path}/max_freq")).into(),
        load: load.into(),
        name: device,
    })
}

/// Reads the clock and the load of the memory's controller.
pub fn emc(root: &Root) -> Emc {
    let first = |paths: &[&str]| -> Result<u64, String> {
        let mut reasons = Vec::new();
        for path in paths {
            match root.number(path) {
                Ok(value) => return Ok(value),
                Err(reason) => reasons.push(reason),
            }
        }
        Err(reasons.join("; "))
    };
    let hz =
        first(&["/sys/kernel/debug/bpmp/debug/clk/emc/rate", "/sys/kernel/debug/clk/emc/clk_rate"]);
    // Kilohertz of clocks that moved data, averaged.
    let load = first(&["/sys/kernel/actmon_avg_activity/mc_all"]).and_then(|khz| match &hz {
        Ok(hz) if *hz > 0 => Ok((khz as f64 * 1000.0 / *hz as f64).min(1.0)),
        Ok(_) => Err("the clock of the memory is 0".into()),
        Err(reason) => Err(reason.clone()),
    });
    let held = first(&["/sys/kernel/debug/bpmp/debug/clk/emc/mrq_rate_locked"]);
    Emc {
        max_hz: first(&["/sys/kernel/debug/bpmp/debug/clk/emc/max_rate"]).into(),
        held: held.map(|locked| locked != 0).into(),
        load: load.into(),
        hz: hz.into(),
    }
}

/// Whether the clocks are held at their limits, as `jetson_clocks` does: lowest and highest permitted
/// clock of every CPU policy and of the GPU are the same. The memory's controller counts where it can be
/// read.
pub fn held(cpu: &Cpu, gpu: &Reading<Gpu>, emc: &Emc) -> Reading<bool> {
    let same = |min: &Reading<u64>, max: &Reading<u64>| match (min, max) {
        (Reading::Known(min), Reading::Known(max)) => Ok(min == max),
        (Reading::Unknown(reason), _) | (_, Reading::Unknown(reason)) => Err(reason.clone()),
    };
    let all = || {
        let gpu = match gpu {
            Reading::Known(gpu) => gpu,
            Reading::Unknown(reason) => return Err(reason.clone()),
        };
        if cpu.policies.is_empty() {
            return Err(format!("{POLICIES}: no policy"));
        }
        let mut all = same(&gpu.min_hz, &gpu.max_hz)?;
        for policy in &cpu.policies {
            all &= same(&policy.min_hz, &policy.max_hz)?;
        }
        Ok(all && emc.held.known().copied().unwrap_or(true))
    };
    all().into()
}

/// The device of the GPU in `/sys/class/devfreq`.
pub(super) fn gpu_device(root: &Root) -> Option<String> {
    let names = root.names(DEVFREQ);
    let is = |name: &str| {
        name == "gpu-gpc-0" || [".ga10b", ".gpu", ".gv11b"].iter().any(|end| name.ends_with(end))
    };
    names.into_iter().find(|name| is(name))
}

/// The file with the load of the GPU, tenths of a per cent.
pub(super) fn gpu_load_path(root: &Root, device: &str) -> Result<String, String> {
    let places = [
        format!("{DEVFREQ}/{device}/device/load"),
        format!("/sys/devices/platform/{device}/load"),
        "/sys/devices/platform/gpu.0/load".into(),
        "/sys/devices/gpu.0/load".into(),
    ];
    let found = places.iter().find(|path| root.has(path)).cloned();
    found.ok_or_else(|| format!("no load of the GPU in {}", places.join(", ")))
}

/// A share of 1000 as one of 1.
fn share(tenths: u32) -> Option<f64> {
    (tenths <= 1000).then(|| f64::from(tenths) / 1000.0)
}

pub(super) const DEVFREQ: &str = "/sys/class/devfreq";
const POLICIES: &str = "/sys/devices/system/cpu/cpufreq";
