//! The summary of a run: where the time went.

use occdepth::Pipeline;
use occdepth::capture::SourceHealth;
use occdepth::decalibration::Report;
use occdepth::stages::{StageTimes, Summary as Times};
use occdepth_capture::stereo::{CameraHealth, Fault};
use serde_json::{Value, json};
use std::time::Duration;

/// What a pipeline did in a while.
pub(crate) struct Summary {
    grids: u64,
    elapsed: Duration,
    engine: String,
    /// None: it is not watched.
    calibration: Option<Report>,
    source: SourceHealth,
    stages: Vec<(&'static str, Times)>,
    /// Peak resident memory of the process, bytes, where the system tells.
    peak_memory: Option<u64>,
}

impl Summary {
    pub(crate) fn new(pipeline: &Pipeline, elapsed: Duration) -> Self {
        let statistics = pipeline.statistics();
        let mut stages: Vec<_> = StageTimes::NAMES.into_iter().zip(statistics.stages()).collect();
        stages.push(("work", statistics.work()));
        Self {
            grids: statistics.frames(),
            elapsed,
            engine: pipeline.perception().engine().description().name.clone(),
            calibration: pipeline.perception().calibration().copied(),
            source: pipeline.source().health(),
            stages,
            peak_memory: peak_memory(),
        }
    }

    fn rate(&self) -> f64 {
        self.grids as f64 / self.elapsed.as_secs_f64().max(f64::MIN_POSITIVE)
    }

    /// A table for people. `work` is all stages but capture.
    pub(crate) fn text(&self) -> String {
        let mut text = format!(
            "{} grids in {:.1} s: {:.1} grids/s, engine {}\n",
            self.grids,
            self.elapsed.as_secs_f64(),
            self.rate(),
            self.engine
        );
        if let Some(bytes) = self.peak_memory {
            text += &format!("peak memory {:.0} MiB\n", bytes as f64 / f64::from(1 << 20));
        }
        if let Some(report) = &self.calibration {
            text += &format!("{report}\n");
        }
        if self.source.pairing.is_some() {
            text += &format!("source {}\n", self.source);
        }
        text += "stage       p50 ms   p99 ms   max ms  mean ms\n";
        for (name, times) in &self.stages {
            let [p50, p99, max, mean] = [times.p50, times.p99, times.max, times.mean].map(ms);
            text += &format!("{name:9} {p50:8.2} {p99:8.2} {max:8.2} {mean:8.2}\n");
        }
        text
    }

    pub(crate) fn json(&self) -> Value {
        let stages: serde_json::Map<_, _> = self
            .stages
            .iter()
            .map(|(name, times)| {
                let [p50, p99, max, mean] = [times.p50, times.p99, times.max, times.mean].map(ms);
                let times = json!({ "p50_ms": p50, "p99_ms": p99, "max_ms": max, "mean_ms": mean });
                ((*name).to_owned(), times)
            })
            .collect();
        json!({
            "grids": self.grids,
            "seconds": self.elapsed.as_secs_f64(),
            "grids_per_second": self.rate(),
            "engine": self.engine,
            "calibration": self.calibration.map(|report| report.state.to_string()),
            "epipolar_error_px": self.calibration.and_then(|report| report.epipolar_error_px()),
            "peak_memory_bytes": self.peak_memory,
            "source": source_json(&self.source),
            "stages": stages,
        })
    }
}

/// The health of a source; its state alone where it has no cameras.
fn source_json(health: &SourceHealth) -> Value {
    let Some(pairing) = health.pairing else {
        return json!({ "state": health.state.to_string() });
    };
    let cameras: Vec<Value> = health.cameras.iter().flatten().map(camera_json).collect();
    json!({
        "state": health.state.to_string(),
        "pairing": pairing.to_string(),
        "mistrust": health.mistrust.map(|why| why.to_string()),
        "pairs": health.pairs,
        "stale_pairs": health.stale_pairs,
        "contradicted_pairs": health.contradicted_pairs,
        "skew_ns": {
            "min": health.skew.min_ns,
            "mean": health.skew.mean_ns,
            "max": health.skew.max_ns,
            "std": health.skew.std_ns(),
        },
        "drift_ppm": health.drift_ppm,
        "cameras": cameras,
    })
}

fn camera_json(camera: &CameraHealth) -> Value {
    let counters = camera.counters().map(|(name, count)| (name.to_owned(), json!(count)));
    let mut object: serde_json::Map<_, _> = counters.into_iter().collect();
    object.insert("state".into(), json!(camera.state.to_string()));
    let faults = Fault::ALL.map(|fault| (fault.name().to_owned(), json!(camera.faults.of(fault))));
    object.insert("faults".into(), Value::Object(faults.into_iter().collect()));
    Value::Object(object)
}

fn ms(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1e3
}

/// `VmHWM` of `/proc/self/status` (proc(5)): the high-water mark of resident memory.
fn peak_memory() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kib: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kib * 1024)
}
