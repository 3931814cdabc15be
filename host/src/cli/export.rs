//! `occdepth-host export`: a preset and weights to one ONNX file.

use super::{Failure, preset};
use clap::{Args, ValueEnum};
use occdepth_contract::{
    Contract, Precision,
    self_test::{self, Tolerance},
};
use occdepth_host::{
    export::{self, Options, StagedFiles},
    preset::Preset,
    weights::Weights,
};
use std::{io::Write, path::PathBuf};

/// Writes a network as an ONNX file that the runtime runs.
///
/// The file is opset 17 with static shapes and carries its contract (what it takes, what its output
/// means, whether it was trained) in its metadata; see it with `occdepth network show FILE`. The same
/// command writes the same bytes on every machine. Beside FILE.onnx lies FILE.selftest.json: a frame
/// and what the network says about it, for `occdepth network check FILE.onnx`. Existing files are
/// replaced only when the new ones are whole.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Arguments {
    /// A built-in preset (nano, kitti-b3, ...) or the path of a preset file (*.toml); by default the
    /// one that the weights were imported for
    #[arg(long, value_name = "NAME|FILE.toml")]
    preset: Option<String>,

    /// Where the weights come from: a file that `occdepth-host import` has written, or untrained:
    /// `hash` (made from --seed and each parameter's name) or `formula` (those of the golden reference
    /// values)
    #[arg(long, default_value = "hash", value_name = "FILE.safetensors|hash|formula")]
    weights: String,

    /// Seed of the weights `hash`
    #[arg(long, default_value_t = 1, value_name = "N")]
    seed: u64,

    /// Arithmetic inside the network; inputs and outputs stay f32 and i32
    #[arg(long, value_enum, default_value_t = Arithmetic::Fp32)]
    precision: Arithmetic,

    /// Also output the occupancy logits that a cascade head computes on the way (`occ_logits`)
    #[arg(long)]
    occ_logits: bool,

    /// Also output the logits of an occluded head (`occluded_logits`)
    #[arg(long)]
    occluded_logits: bool,

    /// Do not run the network to write FILE.selftest.json
    #[arg(long)]
    no_self_test: bool,

    /// More bytes of constants than this go to a file of their own, FILE.onnx.data
    #[arg(long, default_value_t = EXTERNAL_ABOVE, value_name = "BYTES", hide = true)]
    external_data_above: u64,

    /// The ONNX file to write
    #[arg(short, long, value_name = "FILE.onnx")]
    output: PathBuf,
}

/// Arithmetic that networks are exported in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Arithmetic {
    /// 32-bit floats throughout
    Fp32,
    /// 16-bit floats, with 32-bit ones where ranges need them
    Fp16,
}

impl Arguments {
    pub(super) fn run(&self) -> Result<(), Failure> {
        let (preset, weights, options) = self.network()?;
        let options = Options {
            precision: match self.precision {
                Arithmetic::Fp32 => Precision::Fp32,
                Arithmetic::Fp16 => Precision::Fp16,
            },
            occupancy_output: self.occ_logits,
            occluded_output: self.occluded_logits,
            ..options
        };
        let model = export::export(&preset, &weights, &options).map_err(Failure::configuration)?;
        let mut files = StagedFiles::default();
        let (sha256, bytes) = files
            .add_model(&self.output, &model, self.external_data_above)
            .map_err(Failure::execution)?;
        let contract = Contract::from_model(&model, "export").map_err(Failure::execution)?;
        drop(model);
        let mut note = String::new();
        if !self.no_self_test {
            let test = export::self_test(&preset, &weights, &contract, sha256)
                .map_err(Failure::configuration)?;
            files
                .add(&self_test::path_beside(&self.output), |file| {
                    file.write_all(test.to_json().as_bytes())
                })
                .map_err(Failure::execution)?;
            // More than usual: the network amplifies rounding, and its user should know.
            if test.tolerance != Tolerance::of(contract.precision) {
                note = format!(
                    "; rounding its weights to fp16 moves its logits by {:.1} % (rms)",
                    test.tolerance.rms / export::AMPLIFICATION * 100.0
                );
            }
        }
        files.commit().map_err(Failure::execution)?;
        // The files are written: a closed standard output is no reason to fail.
        let _ = writeln!(
            std::io::stdout(),
            "{}: preset {}, {:.2} MB, {}{note}",
            self.output.display(),
            preset.name,
            bytes as f64 / 1e6,
            options.training.note,
        );
        Ok(())
    }

    /// The preset, the weights, and what is said about their origin.
    fn network(&self) -> Result<(Preset, Weights, Options), Failure> {
        let named = |fallback: Option<&str>| match self.preset.as_deref().or(fallback) {
            Some(name) => preset(name),
            None => Err(Failure::configuration(
                "--preset: none given, expected one: the weights do not name theirs",
            )),
        };
        match self.weights.as_str() {
            "hash" => {
                let preset = named(None)?;
                let weights = Weights::initialise(&preset, self.seed);
                let options = Options::untrained(&format!("by integer hash, seed {}", self.seed));
                Ok((preset, weights, options))
            }
            "formula" => {
                let preset = named(None)?;
                let weights = Weights::formula(&preset);
                Ok((preset, weights, Options::untrained("by the golden formula")))
            }
            path => {
                let path = PathBuf::from(path);
                let weights = Weights::read_safetensors(&path).map_err(Failure::configuration)?;
                let provenance = weights.provenance();
                let preset = named(provenance.map(|known| known.preset.as_str()))?;
                let name = path.file_name().unwrap_or_default().to_string_lossy();
                let options =
                    provenance.map_or_else(|| Options::unknown(&name), Options::from_provenance);
                Ok((preset, weights, options))
            }
        }
    }
}

/// Below protobuf's limit of 2 GiB for one message, with room for the graph.
const EXTERNAL_ABOVE: u64 = 1_500_000_000;

const EXAMPLES: &str = "Examples:
  A published checkpoint, after `occdepth-host import`:
    occdepth-host export --weights kitti-b3.safetensors -o kitti-b3.onnx
  The same for a device that computes in half precision:
    occdepth-host export --weights kitti-b3.safetensors --precision fp16 -o kitti-b3.fp16.onnx
  The network that the runtime ships:
    occdepth-host export --preset nano --seed 1 -o engines/nano.onnx";
