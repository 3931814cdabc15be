//! Import: a published checkpoint becomes weights under official names.
//!
//! A checkpoint is a program that its author wrote: unpickling it in Python runs it. Here it is only
//! read ([`Checkpoint`]), tensor by tensor, and compared with a preset by name and shape ([`Report`]).
//! [`import`] takes all that the network needs, or nothing.
//!
//! ```text
//! file - archive (zip) - pickle - checkpoint - report - weights
//!                        names of calls   tensors   preset
//! ```
//!
//! ```no_run
//! use occdepth_host::import::{self, Checkpoint, Options};
//!
//! let mut checkpoint = Checkpoint::open("occdepth.ckpt".as_ref())?;
//! let preset = import::guess(&checkpoint)?;
//! let (weights, report) = import::import(&mut checkpoint, &preset, Options::default())?;
//! print!("{report}");
//! weights.write_safetensors("occdepth.safetensors".as_ref())?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod archive;
mod checkpoint;
mod guess;
mod opening;
mod pickle;
mod report;
mod tensor;

pub use archive::ArchiveError;
pub use checkpoint::{Checkpoint, CheckpointError, Entry, Format, Stored};
pub use guess::{GuessError, guess};
pub use pickle::PickleError;
pub use report::{Misshapen, Report, Unused};
pub use tensor::Dtype;

use std::collections::BTreeMap;

use report::official_entries;

use crate::{
    preset::Preset,
    weights::{Provenance, Weights, WeightsError},
};

/// What an import may leave to the user's judgement.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Options {
    /// Leave out what the checkpoint holds under names that nobody knows, instead of refusing: a
    /// network that was trained with additions (published code drops some when it evaluates).
    pub allow_unknown: bool,
}

/// Why nothing was imported.
#[derive(Debug, thiserror::Error)]
pub enum ImportError {
    /// The checkpoint cannot be read.
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
    /// It does not fit the preset; the report names all that is wrong.
    #[error("{origin}: does not fit the preset {}: {}", report.preset, report.problems())]
    Refused {
        /// The file.
        origin: String,
        /// Everything that is wrong.
        report: Box<Report>,
    },
    /// A tensor could not be kept.
    #[error(transparent)]
    Weights(#[from] WeightsError),
}

/// Reads the weights that `preset` needs, as float32, with their provenance.
///
/// The weights count as trained, unless the checkpoint says otherwise: it is an untrained weights
/// file of ours, or its batch norms have seen no batch.
///
/// # Errors
/// [`ImportError::Refused`] if anything is missing, has another shape or type, is not finite, or
/// (unless `options` allow it) is unknown; the other variants if the checkpoint cannot be read.
pub fn import(
    checkpoint: &mut Checkpoint,
    preset: &Preset,
    options: Options,
) -> Result<(Weights, Report), ImportError> {
    let mut report = Report::new(checkpoint, preset);
    let refused = |checkpoint: &Checkpoint, report: Report| ImportError::Refused {
        origin: checkpoint.path().display().to_string(),
        report: Box::new(report),
    };
    if !report.is_complete() || !(report.unknown.is_empty() || options.allow_unknown) {
        return Err(refused(checkpoint, report));
    }
    let names: BTreeMap<String, String> = official_entries(checkpoint)
        .into_iter()
        .map(|(official, (name, _))| (official, name.to_owned()))
        .collect();
    let mut weights = Weights::default();
    for parameter in preset.parameters() {
        let Some(name) = names.get(&parameter.name) else {
            report.missing.push((parameter.name, parameter.shape));
            continue;
        };
        let values = checkpoint.read(name)?;
        let not_finite = values.iter().filter(|value| !value.is_finite()).count();
        if not_finite > 0 {
            report.not_finite.push((parameter.name.clone(), not_finite));
        }
        weights.insert(parameter.name, parameter.shape, values)?;
    }
    if !report.is_complete() {
        return Err(refused(checkpoint, report));
    }
    let source_name = checkpoint.path().file_name().unwrap_or_default().to_string_lossy();
    let provenance = Provenance {
        preset: preset.name.clone(),
        source_name: source_name.replace(char::is_control, "\u{fffd}"),
        source_sha256: checkpoint.sha256()?,
        trained: checkpoint.is_trained()?,
    };
    Ok((weights.with_provenance(provenance), report))
}
