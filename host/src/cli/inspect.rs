//! `occdepth-host inspect`: what a preset's network costs.

use std::io::Write;

use clap::Args;
use occdepth_host::inspect::Report;

use super::{Failure, preset};

/// Counts a network's parameters, multiply-accumulates and activation memory, per module.
///
/// Memory is what lives at once between the nodes of the exported graph when they run in order, for
/// one frame of all views: the result of a node lives until the last node that reads it, reshaping is
/// free, and element-wise nodes write over inputs that nobody reads later. Weights and inputs are
/// counted apart, scratch memory inside an operator not at all.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Arguments {
    /// A built-in preset or the path of a preset file (*.toml)
    #[arg(long, value_name = "NAME|FILE.toml")]
    preset: String,

    /// Print JSON, with the largest tensor and the peak of every module; bytes, no units
    #[arg(long)]
    json: bool,
}

impl Arguments {
    pub(super) fn run(&self) -> Result<(), Failure> {
        let preset = preset(&self.preset)?;
        let report = Report::new(&preset).map_err(Failure::configuration)?;
        let text = if self.json {
            let json = serde_json::to_string_pretty(&report).map_err(Failure::execution)?;
            json + "\n"
        } else {
            report.to_string()
        };
        std::io::stdout().write_all(text.as_bytes()).map_err(Failure::execution)
    }
}

const EXAMPLES: &str = "Examples:
  The published network:
    occdepth-host inspect --preset kitti-b3
  A variant, for a script:
    occdepth-host inspect --preset my-network.toml --json";
