//! What a network costs before it is trained or exported: parameters, multiply-accumulates and
//! activation memory, per module.
//!
//! Parameters and multiply-accumulates are counted from the preset ([`Preset::parameters`],
//! [`Preset::multiply_accumulates`]), activation memory from the graph that would be exported
//! ([`memory`]).
//!
//! ```
//! use occdepth_host::{inspect::Report, preset::Preset};
//!
//! let report = Report::new(&Preset::builtin("nano")?)?;
//! assert_eq!(report.modules[0].module, occdepth_host::preset::Module::Encoder);
//! println!("{report}");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

pub mod memory;

use std::fmt;

use serde::Serialize;

use crate::{
    export::{self, ExportError, Options},
    preset::{Module, Parameter, Preset, cost},
};
use memory::{ActivationMemory, MemoryError};
use occdepth_contract::Precision;

/// Parameters, multiply-accumulates and activation memory of one network, for a batch of one frame
/// of all views.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Report {
    /// The preset's name.
    pub preset: String,
    /// Views of a frame.
    pub views: usize,
    /// Every module that the network has, in the order of the data.
    pub modules: Vec<ModuleReport>,
    /// Trainable parameters of a checkpoint: those that the forward pass reads, and the others.
    pub parameters: usize,
    /// Those among them that no forward pass reads (see [`Preset::unused_parameters`]).
    pub unread_parameters: usize,
    /// Multiply-accumulates of a frame.
    pub multiply_accumulates: u64,
    /// Multiply-accumulates that the published code adds in the image decoder for maps that nothing
    /// reads ([`Preset::unread_multiply_accumulates`]).
    pub unread_multiply_accumulates: u64,
    /// Activation memory of the network exported in single precision.
    pub memory_f32: ActivationMemory,
    /// Activation memory of the network exported in half precision, which keeps some values in single.
    pub memory_f16: ActivationMemory,
}

/// One module's share.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct ModuleReport {
    /// The module.
    pub module: Module,
    /// Its trainable parameters in a checkpoint, read or not.
    pub parameters: usize,
    /// Those among them that no forward pass reads.
    pub unread_parameters: usize,
    /// Multiply-accumulates of a frame, all views together.
    pub multiply_accumulates: u64,
}

/// Why a network cannot be inspected.
#[derive(Debug, thiserror::Error)]
pub enum InspectError {
    /// The preset makes no network.
    #[error(transparent)]
    Export(#[from] ExportError),
    /// The exported graph has a value whose size is not known: a defect of the exporter.
    #[error(transparent)]
    Memory(#[from] MemoryError),
}

impl Report {
    /// Counts everything for `preset`, which takes no weights.
    ///
    /// # Errors
    /// If the preset makes no network.
    pub fn new(preset: &Preset) -> Result<Self, InspectError> {
        let memory = |precision| -> Result<ActivationMemory, InspectError> {
            let options = Options { precision, ..Options::untrained("") };
            Ok(ActivationMemory::of(&export::outline(preset, &options)?)?)
        };
        let memory_f32 = memory(Precision::Fp32)?;
        let memory_f16 = memory(Precision::Fp16)?;

        let (read, unread) = (preset.parameters(), preset.unused_parameters());
        let of = |parameters: &[Parameter], module| {
            let own: Vec<_> =
                parameters.iter().filter(|p| Module::of(&p.name) == module).cloned().collect();
            cost::count(&own)
        };
        let costs = preset.multiply_accumulates();
        let present = |module: &Module| memory_f32.modules.iter().any(|m| m.module == *module);
        let modules = Module::ALL.into_iter().filter(present).map(|module| {
            let unread_parameters = of(&unread, module);
            ModuleReport {
                module,
                parameters: of(&read, module) + unread_parameters,
                unread_parameters,
                multiply_accumulates: costs.of(module),
            }
        });
        Ok(Self {
            preset: preset.name.clone(),
            views: preset.views,
            modules: modules.collect(),
            parameters: cost::count(&read) + cost::count(&unread),
            unread_parameters: cost::count(&unread),
            multiply_accumulates: costs.total(),
            unread_multiply_accumulates: preset.unread_multiply_accumulates(),
            memory_f32,
            memory_f16,
        })
    }
}

impl Report {
    /// The share of `module`, where the network has one.
    pub fn module(&self, module: Module) -> Option<&ModuleReport> {
        self.modules.iter().find(|report| report.module == module)
    }

    /// Multiply-accumulates of the image network for one view as the published code runs it, with
    /// [`Report::unread_multiply_accumulates`].
    pub fn image_multiply_accumulates_per_view(&self) -> u64 {
        let read = self.sum(&[Module::Encoder, Module::Decoder]);
        (read + self.unread_multiply_accumulates) / self.views as u64
    }

    /// Multiply-accumulates of the whole 3-D network: U-Net, relation prior and head.
    pub fn volume_multiply_accumulates(&self) -> u64 {
        self.sum(&[Module::Unet, Module::RelationPrior, Module::Head])
    }

    fn sum(&self, modules: &[Module]) -> u64 {
        let reports = modules.iter().filter_map(|module| self.module(*module));
        reports.map(|report| report.multiply_accumulates).sum()
    }
}

impl fmt::Display for Report {
    /// A table for people.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "{}: one frame of {} view{}; memory in MB (10^6 bytes), f32 | f16",
            self.preset,
            self.views,
            if self.views == 1 { "" } else { "s" },
        )?;
        let header = ["module", "parameters", "MACs", "peak memory", "largest tensor"];
        writeln!(
            f,
            "{:20}{:>14}{:>12}{:>18}  {}",
            header[0], header[1], header[2], header[3], header[4]
        )?;
        let memory = self.memory_f32.modules.iter().zip(&self.memory_f16.modules);
        for (module, (single, half)) in self.modules.iter().zip(memory) {
            writeln!(
                f,
                "{:20}{:>14}{:>12}{:>18}  {}",
                module.module,
                millions(module.parameters),
                giga(module.multiply_accumulates),
                pair(single.peak_bytes, half.peak_bytes),
                single.largest,
            )?;
        }
        writeln!(
            f,
            "{:20}{:>14}{:>12}{:>18}  {}",
            "total",
            millions(self.parameters),
            giga(self.multiply_accumulates),
            pair(self.memory_f32.peak_bytes, self.memory_f16.peak_bytes),
            self.memory_f32.largest(),
        )?;
        writeln!(
            f,
            "parameters: {} of them are in published checkpoints but read by nothing",
            self.unread_parameters
        )?;
        writeln!(
            f,
            "MACs: multiply-accumulates of convolutions, linear layers and matrix products. Image \
             network per view {} (as published, with {} for maps that nothing reads), 3-D network {}",
            giga(self.image_multiply_accumulates_per_view()),
            giga(self.unread_multiply_accumulates / self.views as u64),
            giga(self.volume_multiply_accumulates()),
        )?;
        writeln!(
            f,
            "memory: values between the nodes of the exported graph, run in order; not the weights \
             ({} MB) nor the inputs ({} MB). The peak is at {}",
            pair(self.memory_f32.weight_bytes, self.memory_f16.weight_bytes),
            megabytes(self.memory_f32.input_bytes),
            self.memory_f32.peak_node,
        )
    }
}

fn millions(count: usize) -> String {
    format!("{:.2} M", count as f64 / 1e6)
}

fn giga(count: u64) -> String {
    format!("{:.2} G", count as f64 / 1e9)
}

fn megabytes(bytes: u64) -> String {
    format!("{:.1}", bytes as f64 / 1e6)
}

fn pair(single: u64, half: u64) -> String {
    format!("{} | {}", megabytes(single), megabytes(half))
}
