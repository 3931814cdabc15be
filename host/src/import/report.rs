//! A checkpoint against a preset: what is used, what is left out and why, and what is wrong.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
};

use super::{
    checkpoint::{Checkpoint, Entry},
    tensor::Dtype,
};
use crate::preset::Preset;

/// How a checkpoint fits a preset: every name of either is in exactly one of the lists. All names
/// are official ones, without the wrappers of trainers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// Name of the preset.
    pub preset: String,
    /// Tensors that the network needs and the checkpoint has.
    pub used: usize,
    /// Used tensors that are not float32, by their type; an import converts them.
    pub converted: BTreeMap<Dtype, usize>,
    /// What the checkpoint has and the network does not need, and why it does not.
    pub unused: Vec<(String, Unused)>,
    /// What the checkpoint has and nobody knows: its name and what it is.
    pub unknown: Vec<(String, String)>,
    /// What the network needs and the checkpoint lacks, with its shape.
    pub missing: Vec<(String, Vec<usize>)>,
    /// What has another shape than the network needs.
    pub misshapen: Vec<Misshapen>,
    /// What the network needs and the checkpoint has, but not as a tensor of a floating-point type:
    /// what it is instead.
    pub unusable: Vec<(String, String)>,
    /// Tensors with values that are not finite (as float32), and how many; known when the values
    /// were read, in the order of the network.
    pub not_finite: Vec<(String, usize)>,
    /// The preset that the file says it is of, where that is another one. Only weights files that
    /// an import wrote say so.
    pub contradicted: Option<String>,
}

/// A tensor of another shape.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Misshapen {
    /// Its name.
    pub name: String,
    /// Its shape in the checkpoint.
    pub found: Vec<usize>,
    /// Its shape in the network.
    pub expected: Vec<usize>,
}

/// Why a network does not need what published checkpoints hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Unused {
    /// `num_batches_tracked`: batch norms count their training batches.
    BatchCounter,
    /// `downsample2` to `downsample4` of a bottleneck that keeps its grid.
    PlainShortcut,
    /// `bn2` after the encoder's head convolution; the decoder reads what comes before it.
    EncoderHeadNorm,
    /// Up-blocks and `resize_output_*` of scales that no voxel gathers from.
    UnusedScale,
    /// `flosp_depth.voxel_*`: the grid, which the preset has.
    GridBuffer,
    /// Buffers of losses and metrics (`class_weights`).
    Training,
}

impl Report {
    /// Compares names, types and shapes; no values are read.
    pub fn new(checkpoint: &Checkpoint, preset: &Preset) -> Self {
        let said = checkpoint.provenance().map(|provenance| &provenance.preset);
        let contradicted = said.filter(|said| **said != preset.name).cloned();
        let mut report = Self { preset: preset.name.clone(), contradicted, ..Self::default() };
        let entries = official_entries(checkpoint);
        let needed: BTreeMap<String, Vec<usize>> = preset
            .parameters()
            .into_iter()
            .map(|parameter| (parameter.name, parameter.shape))
            .collect();
        let held: BTreeSet<String> =
            preset.unused_parameters().into_iter().map(|parameter| parameter.name).collect();
        for (name, &(_, entry)) in &entries {
            match (needed.get(name), entry) {
                (None, _) => match Unused::explain(name, &held) {
                    Some(reason) => report.unused.push((name.clone(), reason)),
                    None => report.unknown.push((name.clone(), entry.to_string())),
                },
                (Some(_), Entry::Other(what)) => {
                    report.unusable.push((name.clone(), what.clone()));
                }
                (Some(expected), Entry::Tensor { shape, .. }) if shape != expected => {
                    report.misshapen.push(Misshapen {
                        name: name.clone(),
                        found: shape.clone(),
                        expected: expected.clone(),
                    });
                }
                (Some(_), Entry::Tensor { dtype, .. }) if !dtype.is_float() => {
                    report.unusable.push((name.clone(), dtype.to_string()));
                }
                (Some(_), Entry::Tensor { dtype, .. }) => {
                    report.used += 1;
                    if *dtype != Dtype::F32 {
                        *report.converted.entry(*dtype).or_default() += 1;
                    }
                }
            }
        }
        report.missing =
            needed.into_iter().filter(|(name, _)| !entries.contains_key(name)).collect();
        report
    }

    /// Whether the checkpoint is one of this preset: all there, and nothing else.
    pub fn fits(&self) -> bool {
        self.is_complete() && self.unknown.is_empty()
    }

    /// Whether all that the network needs is there and usable.
    pub fn is_complete(&self) -> bool {
        self.missing.is_empty()
            && self.misshapen.is_empty()
            && self.unusable.is_empty()
            && self.not_finite.is_empty()
    }

    /// The problems in one line: `2 missing, 1 of another shape`; empty if there are none.
    pub fn problems(&self) -> String {
        let counts = [
            (self.missing.len(), "missing"),
            (self.misshapen.len(), "of another shape"),
            (self.unusable.len(), "not a floating-point tensor"),
            (self.not_finite.len(), "with values that are not finite"),
            (self.unknown.len(), "unknown"),
        ];
        let counts: Vec<String> = counts
            .iter()
            .filter(|(count, _)| *count > 0)
            .map(|(count, what)| format!("{count} {what}"))
            .collect();
        counts.join(", ")
    }

    /// Every problem by name, what is worst first.
    fn problem_lines(&self) -> Vec<String> {
        let mut lines = Vec::new();
        for (name, what) in &self.unusable {
            lines.push(format!("unusable: {name} is {what}, expected a floating-point tensor"));
        }
        for (name, count) in &self.not_finite {
            lines.push(format!("not finite: {name} has {count} values that are NaN or infinite"));
        }
        for Misshapen { name, found, expected } in &self.misshapen {
            lines.push(format!("another shape: {name} is {found:?}, expected {expected:?}"));
        }
        for (name, shape) in &self.missing {
            lines.push(format!("missing: {name} {shape:?}"));
        }
        for (name, what) in &self.unknown {
            lines.push(format!("unknown: {name}, {what}"));
        }
        lines
    }
}

impl fmt::Display for Report {
    /// One line per fact; every problem is named.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "preset {}: {} tensors used", self.preset, self.used)?;
        if let Some(said) = &self.contradicted {
            writeln!(f, "  another preset: the file says that it is of {said}")?;
        }
        for (dtype, count) in &self.converted {
            writeln!(f, "  converted: {count} from {dtype} to float32")?;
        }
        let mut reasons: BTreeMap<Unused, Vec<&str>> = BTreeMap::new();
        for (name, reason) in &self.unused {
            reasons.entry(*reason).or_default().push(name);
        }
        for (reason, names) in reasons {
            let others = if names.len() > 1 { " and so on" } else { "" };
            writeln!(f, "  not needed: {} ({}{others}), {reason}", names.len(), names[0])?;
        }
        self.problem_lines().iter().try_for_each(|line| writeln!(f, "  {line}"))
    }
}

impl Unused {
    /// Why `name` is not needed, where that is known; `held` are the names that published
    /// checkpoints hold for nothing.
    fn explain(name: &str, held: &BTreeSet<String>) -> Option<Self> {
        let part = |part: &str| name.split('.').any(|found| found == part);
        if held.contains(name) {
            return Some(if name.contains(".downsample") {
                Self::PlainShortcut
            } else if part("bn2") {
                Self::EncoderHeadNorm
            } else {
                Self::UnusedScale
            });
        }
        let is_counter = name.ends_with(".num_batches_tracked");
        let is_grid = GRID_BUFFERS.contains(&name);
        let is_training = TRAINING_PARTS.contains(&name.split('.').next().unwrap_or_default());
        let known = [
            (is_counter, Self::BatchCounter),
            (is_grid, Self::GridBuffer),
            (is_training, Self::Training),
        ];
        known.into_iter().find(|(is, _)| *is).map(|(_, reason)| reason)
    }
}

impl fmt::Display for Unused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::BatchCounter => "counters of training batches",
            Self::PlainShortcut => "shortcuts of bottlenecks that keep their grid, which never run",
            Self::EncoderHeadNorm => "the norm after the encoder's last tap, which never runs",
            Self::UnusedScale => "image scales that no voxel gathers from",
            Self::GridBuffer => "the grid, which the preset has",
            Self::Training => "of losses and metrics",
        })
    }
}

/// The entries by their official names, with their names in the file.
///
/// Where two entries have the same official name (`module.x` and `x`), the wrapped one keeps its
/// name in the file, and is unknown.
pub(super) fn official_entries(checkpoint: &Checkpoint) -> BTreeMap<String, (&str, &Entry)> {
    let mut entries = BTreeMap::new();
    for (name, entry) in checkpoint.entries() {
        let official = official_name(name);
        let is_taken = official != name && checkpoint.entries().contains_key(official)
            || entries.contains_key(official);
        let key = if is_taken { name } else { official };
        entries.insert(key.to_owned(), (name.as_str(), entry));
    }
    entries
}

/// The name without what wraps a network: `module.` (`DataParallel`), `model.` (a trainer's
/// attribute), `_orig_mod.` (a compiled module).
fn official_name(mut name: &str) -> &str {
    while let Some(rest) = WRAPPERS.iter().find_map(|wrapper| name.strip_prefix(wrapper)) {
        name = rest;
    }
    name
}

const WRAPPERS: [&str; 4] = ["module.", "model.", "_orig_mod.", "_forward_module."];
/// Buffers of the published depth lifting.
const GRID_BUFFERS: [&str; 3] =
    ["flosp_depth.voxel_size", "flosp_depth.voxel_coord", "flosp_depth.voxel_num"];
/// Attributes of the published modules that only training reads.
const TRAINING_PARTS: [&str; 6] = [
    "class_weights",
    "class_weights_occ",
    "depth_loss_fn",
    "train_metrics",
    "val_metrics",
    "test_metrics",
];
