//! `occdepth-host export`: a preset and weights to one ONNX file.

use super::{Failure, preset};
use clap::{Args, ValueEnum};
use occdepth_host::{
    export::{self, Options},
    weights::Weights,
};
use std::{io::Write, path::PathBuf};

/// Writes a network as an ONNX file that the runtime runs.
///
/// The file is opset 17 with static shapes and carries its contract (what it takes, what its output
/// means, whether it was trained) in its metadata; see it with `occdepth network show FILE`. The same
/// command writes the same bytes on every machine. An existing FILE is replaced only when the new one
/// is whole.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Arguments {
    /// A built-in preset (nano, kitti-b3) or the path of a preset file (*.toml)
    #[arg(long, value_name = "NAME|FILE.toml")]
    preset: String,

    /// Where the weights come from: untrained, made from integers alone
    #[arg(long, value_enum, default_value_t = Initialisation::Hash)]
    weights: Initialisation,

    /// Seed of the weights `hash`
    #[arg(long, default_value_t = 1, value_name = "N")]
    seed: u64,

    /// Also output the occupancy logits that a cascade head computes on the way (`occ_logits`)
    #[arg(long)]
    occ_logits: bool,

    /// The ONNX file to write
    #[arg(short, long, value_name = "FILE.onnx")]
    output: PathBuf,
}

/// Ways to make weights without training.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Initialisation {
    /// Uniform by He et al., from a hash of --seed and each parameter's name; norms are the identity
    Hash,
    /// Those of the golden reference values, for comparing with the published implementation
    Formula,
}

impl Arguments {
    pub(super) fn run(&self) -> Result<(), Failure> {
        let preset = preset(&self.preset)?;
        let (weights, how) = match self.weights {
            Initialisation::Hash => {
                let how = format!("by integer hash, seed {}", self.seed);
                (Weights::initialise(&preset, self.seed), how)
            }
            Initialisation::Formula => (Weights::formula(&preset), "by the golden formula".into()),
        };
        let options = Options { occupancy_output: self.occ_logits, ..Options::untrained(&how) };
        let model = export::export(&preset, &weights, &options).map_err(Failure::configuration)?;
        let bytes = model.to_bytes();
        export::write_atomically(&self.output, &bytes).map_err(Failure::execution)?;
        // The file is written: a closed standard output is no reason to fail.
        let _ = writeln!(
            std::io::stdout(),
            "{}: preset {}, {:.2} MB, {}",
            self.output.display(),
            preset.name,
            bytes.len() as f64 / 1e6,
            options.training.note,
        );
        Ok(())
    }
}

const EXAMPLES: &str = "Examples:
  The network that the runtime ships:
    occdepth-host export --preset nano --seed 1 -o engines/nano.onnx
  A variant of a preset, from its own file:
    occdepth-host export --preset my-network.toml -o my-network.onnx";
