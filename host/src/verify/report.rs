//! What a verification found.

use std::fmt;

use occdepth_contract::{Precision, self_test::Tolerance};
use serde::Serialize;

use super::compare::Comparison;

/// Errors, ranges and times of one verification.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Report {
    /// The exported file.
    pub file: String,
    /// Its preset.
    pub preset: String,
    /// Its precision.
    pub precision: Precision,
    /// The program that wrote it.
    pub exporter: String,
    /// Whether its graph was compared node by node: not where another version of the exporter wrote it.
    pub graph_compared: bool,
    /// What ran it.
    pub engine: String,
    /// What is allowed of an output.
    pub tolerance: Tolerance,
    /// The outputs of the contract, in its order.
    pub outputs: Vec<Comparison>,
    /// The file on the frame of its self-test, if there is one.
    pub self_test: Option<SelfTestRun>,
    /// What rounding the weights to half precision does to the outputs of the native network, where
    /// the tolerance follows from it.
    pub rounding: Vec<Comparison>,
    /// Values between the parts of the network, in the order of the data, if asked for. They are
    /// there to find where an error enters; no tolerance holds for them.
    pub stages: Vec<Comparison>,
    /// The largest magnitudes of the graph's float values, largest first, if asked for.
    pub ranges: Vec<Range>,
    /// Wall seconds of one native forward pass; with stages the 3-D network is in it twice.
    pub native_seconds: f64,
    /// Wall seconds of loading the exported network.
    pub load_seconds: f64,
    /// Wall seconds of one run of the exported network, with binding its geometry, and with stages
    /// and ranges where they were asked for.
    pub exported_seconds: f64,
}

/// An exported file on the frame of its self-test.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct SelfTestRun {
    /// What the self-test allows of an output.
    pub tolerance: Tolerance,
    /// Every output of the contract, at the places that the self-test has.
    pub outputs: Vec<Comparison>,
}

/// How large a value of the exported graph gets on this frame, computed in single precision.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Range {
    /// The value; it is named after the layer that makes it.
    pub value: String,
    /// Its largest magnitude.
    pub largest: f32,
    /// Whether the file holds it in half precision.
    pub half: bool,
}

impl Report {
    /// What is beyond tolerance, one line each; none: the export is right.
    pub fn failures(&self) -> Vec<String> {
        let outputs = self.outputs.iter().flat_map(|output| beyond(output, self.tolerance));
        let self_test = self.self_test.iter().flat_map(|test| {
            let lines = test.outputs.iter().flat_map(|output| beyond(output, test.tolerance));
            lines.map(|line| format!("self-test: {line}"))
        });
        let overflows = self.ranges.iter().filter(|range| range.overflows()).map(|range| {
            format!(
                "fp16 overflow: {} reaches {:.4e}, half precision ends at {F16_MAX}",
                range.value, range.largest
            )
        });
        outputs.chain(self_test).chain(overflows).collect()
    }
}

/// What of an output is beyond `tolerance`.
fn beyond(output: &Comparison, tolerance: Tolerance) -> impl Iterator<Item = String> {
    let (index, found, expected) = output.worst;
    let bounds = [
        ("largest error", output.relative(), tolerance.largest),
        ("RMS error", output.rms, tolerance.rms),
    ];
    let beyond =
        bounds.into_iter().filter(|(_, error, bound)| *error > f64::from(*bound) || error.is_nan());
    beyond.map(move |(what, error, bound)| {
        format!(
            "output {}: {what} {error:.2e}, allowed {bound:.1e} (worst: value {index} is {found}, \
             expected {expected})",
            output.name
        )
    })
}

impl Range {
    /// Whether the value does not fit into the type that it has in the file.
    pub fn overflows(&self) -> bool {
        self.half && (self.largest > F16_MAX || self.largest.is_nan())
    }
}

impl fmt::Display for Report {
    /// A table for people.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "{} ({}, {}) on {}, against the network in burn",
            self.file,
            self.preset,
            format!("{:?}", self.precision).to_lowercase(),
            self.engine
        )?;
        if !self.graph_compared {
            writeln!(
                f,
                "its graph was not compared node by node: {:?} wrote it, and this is another version",
                self.exporter
            )?;
        }
        let header = ["tensor", "values", "largest", "error", "relative", "RMS"];
        let [name, cells @ ..] = header;
        write!(f, "{name:28}")?;
        cells.iter().try_for_each(|cell| write!(f, "{cell:>12}"))?;
        writeln!(f)?;
        for row in self.stages.iter().chain(&self.outputs) {
            writeln!(
                f,
                "{:28}{:>12}{:>12.4}{:>12.2e}{:>12.2e}{:>12.2e}",
                row.name,
                row.values,
                row.scale,
                row.error,
                row.relative(),
                row.rms,
            )?;
        }
        for output in &self.outputs {
            if let Some(labels) = output.labels {
                write!(
                    f,
                    "{}: most likely class equal in {} of {} voxels",
                    output.name, labels.equal, labels.voxels
                )?;
                if labels.equal < labels.voxels {
                    write!(
                        f,
                        "; elsewhere the first is at most {:.2e} above the second",
                        labels.widest_margin
                    )?;
                }
                writeln!(f)?;
            }
        }
        for output in self.self_test.iter().flat_map(|test| &test.outputs) {
            writeln!(
                f,
                "{}: on the self-test's frame, {} values: relative {:.2e}, RMS {:.2e}",
                output.name,
                output.values,
                output.relative(),
                output.rms
            )?;
        }
        for moved in &self.rounding {
            writeln!(
                f,
                "{}: rounding the weights to half precision moves the native network's by {:.2e}, RMS \
                 {:.2e}",
                moved.name,
                moved.relative(),
                moved.rms
            )?;
        }
        if !self.ranges.is_empty() {
            let halves = self.ranges.iter().filter(|range| range.half).count();
            writeln!(
                f,
                "largest magnitudes of {} values ({halves} in half precision, which ends at {F16_MAX}):",
                self.ranges.len()
            )?;
            for range in self.ranges.iter().take(SHOWN_RANGES) {
                let kind = if range.half { "f16" } else { "f32" };
                writeln!(f, "  {:>12.5}  {kind}  {}", range.largest, range.value)?;
            }
        }
        writeln!(
            f,
            "native {:.2} s, exported {:.2} s (loading {:.2} s)",
            self.native_seconds, self.exported_seconds, self.load_seconds
        )?;
        let failures = self.failures();
        if failures.is_empty() {
            let Tolerance { largest, rms } = self.tolerance;
            return writeln!(
                f,
                "within tolerance: relative {largest:.1e}, RMS {rms:.1e}, of each output"
            );
        }
        failures.iter().try_for_each(|failure| writeln!(f, "BEYOND TOLERANCE: {failure}"))
    }
}

/// The largest magnitude of half precision.
pub const F16_MAX: f32 = 65504.0;

/// More would scroll the errors off a screen; JSON has all.
const SHOWN_RANGES: usize = 8;
