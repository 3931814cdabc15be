//! `occdepth-host export`: a preset and weights to one ONNX file.

use super::{Failure, Made, builtin, preset};
use clap::{Args, ValueEnum};
use occdepth_contract::{
    Contract, Precision,
    self_test::{self, Tolerance},
};
use occdepth_host::{
    export::{self, ExportError, Options, StagedFiles, Vectors, VectorsError},
    preset::Preset,
    weights::Weights,
};
use std::{
    fs,
    io::Write,
    path::{Path, PathBuf},
};

/// Writes a network as an ONNX file that the runtime runs.
///
/// The file is opset 17 with static shapes and carries its contract (what it takes, what its output
/// means, whether it was trained) in its metadata; see it with `occdepth network show FILE`. The same
/// command writes the same bytes on every machine. Beside FILE.onnx lies FILE.selftest.json: a frame
/// and what the network says about it, for `occdepth network check FILE.onnx` on a device and for
/// `occdepth-host verify` here (RGB-D networks, which the runtime does not run, only there). Existing
/// files are replaced only when the new ones are whole.
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

    /// Seed of the weights `hash`; 1 when absent
    #[arg(long, value_name = "N")]
    seed: Option<u64>,

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
        if same_file(&self.output, Path::new(&self.weights)) {
            return Err(Failure::configuration(format!(
                "--output: found {}, expected another file than --weights",
                self.output.display()
            )));
        }
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
        let model = export::export(&preset, &weights, &options).map_err(|error| match error {
            ExportError::Contract(_) => Failure::execution(error),
            _ => Failure::configuration(error),
        })?;
        let mut files = StagedFiles::default();
        let (sha256, bytes) = files
            .add_model(&self.output, &model, self.external_data_above)
            .map_err(Failure::execution)?;
        let contract = Contract::from_model(&model, "export").map_err(Failure::execution)?;
        drop(model);
        let mut note = String::new();
        let usual = Tolerance::of(contract.precision);
        if !self.no_self_test {
            let Vectors { test, rounding_rms } = export::self_test(
                &preset, &weights, &contract, sha256,
            )
            .map_err(|error| match error {
                VectorsError::Output { .. } => Failure::execution(error),
                _ => Failure::configuration(error),
            })?;
            files
                .add(&self_test::path_beside(&self.output), |file| {
                    file.write_all(test.to_json().as_bytes())
                })
                .map_err(Failure::execution)?;
            // More than usual: the network amplifies rounding, and its user should know.
            if let Some(rms) = rounding_rms.filter(|_| test.tolerance != usual) {
                note = format!(
                    "; rounding its weights to fp16 moves its logits by {:.1} % (rms)",
                    rms * 100.0
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
        let required = || match self.preset.as_deref() {
            Some(name) => preset(name),
            None => Err(Failure::configuration(
                "--preset: none given, expected one: the weights do not name theirs",
            )),
        };
        if let Some(made) = Made::of(&self.weights, self.seed)? {
            let preset = required()?;
            let how = match made {
                Made::Hash(seed) => format!("by integer hash, seed {seed}"),
                Made::Formula => "by the golden formula".into(),
            };
            let weights = made.weights(&preset);
            return Ok((preset, weights, Options::untrained(&how)));
        }
        let path = Path::new(&self.weights);
        let weights = Weights::read_safetensors(path).map_err(Failure::configuration)?;
        let provenance = weights.provenance();
        let preset = match provenance {
            Some(known) if self.preset.is_none() => {
                builtin(&known.preset, &self.weights, "occdepth.preset")?
            }
            _ => required()?,
        };
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let options = provenance.map_or_else(|| Options::unknown(&name), Options::from_provenance);
        Ok((preset, weights, options))
    }
}

/// Whether both paths lead to one existing file.
fn same_file(a: &Path, b: &Path) -> bool {
    matches!((fs::canonicalize(a), fs::canonicalize(b)), (Ok(a), Ok(b)) if a == b)
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
