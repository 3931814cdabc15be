//! Which built-in preset a checkpoint is of, by its names and shapes.

use serde_json::Value;

use super::{checkpoint::Checkpoint, report::Report};
use crate::preset::{Preset, PresetError};

/// Why the preset of a checkpoint cannot be told.
#[derive(Debug, thiserror::Error)]
pub enum GuessError {
    /// None fits.
    #[error(
        "{origin}: no built-in preset fits; the closest is {}",
        reports.first().map(|report| format!("{}: {}", report.preset, report.problems())).unwrap_or_default()
    )]
    NoneFits {
        /// The file.
        origin: String,
        /// What is wrong with each of them, the closest first.
        reports: Vec<Report>,
    },
    /// More than one fits, and the file names none of them: they differ in nothing that weights
    /// show.
    #[error(
        "{origin}: fits the presets {}, which have the same weights and differ in {}: name the one \
         that it was trained as with --preset",
        presets.join(", "),
        fields.join(", ")
    )]
    Ambiguous {
        /// The file.
        origin: String,
        /// Their names.
        presets: Vec<String>,
        /// Where they differ.
        fields: Vec<String>,
    },
    /// A built-in preset does not parse.
    #[error(transparent)]
    Preset(#[from] PresetError),
}

/// The one built-in preset whose names and shapes are those of `checkpoint`; of several, the one
/// that the file itself names.
///
/// # Errors
/// If none fits, with what is wrong with each; if several do, with where they differ.
pub fn guess(checkpoint: &Checkpoint) -> Result<Preset, GuessError> {
    let origin = checkpoint.path().display().to_string();
    let mut fitting = Vec::new();
    let mut others = Vec::new();
    for (name, _) in Preset::BUILTIN {
        let preset = Preset::builtin(name)?;
        let report = Report::new(checkpoint, &preset);
        if report.fits() { fitting.push(preset) } else { others.push(report) }
    }
    if fitting.is_empty() {
        let distance = |report: &Report| {
            report.missing.len()
                + report.misshapen.len()
                + report.unusable.len()
                + report.unknown.len()
        };
        others.sort_by_key(distance);
        return Err(GuessError::NoneFits { origin, reports: others });
    }
    // A weights file that an import wrote says which of them it is.
    let said = checkpoint.provenance().map(|provenance| provenance.preset.as_str());
    if let Some(index) = fitting.iter().position(|preset| Some(preset.name.as_str()) == said) {
        return Ok(fitting.swap_remove(index));
    }
    if fitting.len() > 1 {
        let presets = fitting.iter().map(|preset| preset.name.clone()).collect();
        return Err(GuessError::Ambiguous { origin, presets, fields: differences(&fitting) });
    }
    Ok(fitting.remove(0))
}

/// The keys in which presets differ, but for their names.
fn differences(presets: &[Preset]) -> Vec<String> {
    let documents: Vec<Value> =
        presets.iter().filter_map(|preset| serde_json::to_value(preset).ok()).collect();
    let keys = documents.first().and_then(Value::as_object).into_iter().flat_map(|map| map.keys());
    keys.filter(|key| !["name", "description"].contains(&key.as_str()))
        .filter(|key| documents.windows(2).any(|pair| pair[0].get(key) != pair[1].get(key)))
        .cloned()
        .collect()
}
