//! `occdepth-host import`: a published checkpoint to one weights file.

use super::{Failure, preset};
use clap::Args;
use occdepth_host::{
    import::{self, Checkpoint, GuessError, ImportError, Options},
    preset::Preset,
};
use std::{
    fs,
    io::Write,
    path::{Path, PathBuf},
};

/// Reads a trained network's checkpoint into a weights file that `export` takes.
///
/// CHECKPOINT is a Lightning checkpoint (.ckpt), a file of torch.save (.pth, zip or legacy) or a
/// .safetensors file. It is read, never executed: no Python object in it is made. Prints what is
/// used and what is not, and why; anything missing, of another shape, not finite or unknown is
/// named and refused, and then nothing is written.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Arguments {
    /// The checkpoint to read
    #[arg(value_name = "CHECKPOINT")]
    checkpoint: PathBuf,

    /// A built-in preset (nano, kitti-b3, ...) or the path of a preset file (*.toml); by default the
    /// only built-in one that the checkpoint's names and shapes fit, or of several the one that a
    /// weights file of an earlier import says it is of
    #[arg(long, value_name = "NAME|FILE.toml")]
    preset: Option<String>,

    /// Leave out tensors that no published network has, instead of refusing the checkpoint
    #[arg(long)]
    allow_unknown: bool,

    /// The weights file to write
    #[arg(short, long, value_name = "FILE.safetensors")]
    output: PathBuf,
}

impl Arguments {
    pub(super) fn run(&self) -> Result<(), Failure> {
        if is_same_file(&self.checkpoint, &self.output) {
            let message = format!("{}: is the checkpoint itself", self.output.display());
            return Err(Failure::configuration(message));
        }
        let mut checkpoint = Checkpoint::open(&self.checkpoint).map_err(Failure::configuration)?;
        say(&description(&checkpoint));
        let preset = match &self.preset {
            Some(name) => preset(name)?,
            None => guess(&checkpoint)?,
        };
        let options = Options { allow_unknown: self.allow_unknown };
        let imported = import::import(&mut checkpoint, &preset, options);
        if let Err(ImportError::Refused { report, .. }) = &imported {
            say(&report.to_string());
        }
        let (weights, report) = imported.map_err(Failure::configuration)?;
        say(&report.to_string());
        weights.write_safetensors(&self.output).map_err(Failure::execution)?;
        let provenance = weights.provenance().expect("an import sets it");
        say(&format!(
            "{}: {:.2} M parameters, {}, from {} (SHA-256 {})\n",
            self.output.display(),
            preset.parameter_count() as f64 / 1e6,
            if provenance.trained { "trained" } else { "untrained" },
            provenance.source_name,
            provenance.source_sha256,
        ));
        Ok(())
    }
}

/// The preset by names and shapes; where none fits, one line says why for each.
fn guess(checkpoint: &Checkpoint) -> Result<Preset, Failure> {
    let guessed = import::guess(checkpoint);
    if let Err(GuessError::NoneFits { reports, .. }) = &guessed {
        for report in reports {
            say(&format!("  not {}: {}\n", report.preset, report.problems()));
        }
    }
    guessed.map_err(Failure::configuration)
}

/// What the file is, before it is compared with anything.
fn description(checkpoint: &Checkpoint) -> String {
    let path = checkpoint.path().display();
    let (format, entries) = (checkpoint.format(), checkpoint.entries().len());
    let mut text = format!("{path}: {format}, {entries} names\n");
    if !checkpoint.beside().is_empty() {
        text.push_str(&format!("  not read: {}\n", checkpoint.beside().join(", ")));
    }
    if !checkpoint.calls_not_made().is_empty() {
        text.push_str(&format!("  not called: {}\n", checkpoint.calls_not_made().join(", ")));
    }
    text
}

/// Prints to standard output; a closed one is no reason to fail.
fn say(text: &str) {
    let _ = std::io::stdout().write_all(text.as_bytes());
}

fn is_same_file(one: &Path, other: &Path) -> bool {
    matches!((fs::canonicalize(one), fs::canonicalize(other)), (Ok(one), Ok(other)) if one == other)
}

const EXAMPLES: &str = "Examples:
  The preset is told by names and shapes:
    occdepth-host import occdepth.ckpt -o occdepth.safetensors
  Presets that differ in nothing that weights show need a name:
    occdepth-host import monoscene_kitti.ckpt --preset monoscene -o monoscene.safetensors";
