//! Recipes: how an engine is built from a network, as a file.
//!
//! ```
//! use occdepth::engine::recipe::{Recipe, RecipePrecision};
//! use std::path::Path;
//!
//! let recipe = Recipe::parse(
//!     "network = 'street.onnx'\nprecision = 'fp16'\nworkspace_mib = 1024\n",
//!     Path::new("engines/street.toml"),
//! )?;
//! assert_eq!(recipe.network.as_deref(), Some(Path::new("engines/street.onnx")));
//! assert_eq!(recipe.precision, RecipePrecision::Fp16);
//! assert_eq!(recipe.optimization_level, 3);
//! # Ok::<(), occdepth::engine::recipe::RecipeError>(())
//! ```

use crate::toml_file::{self, TomlFileError};
use occdepth_contract::Precision;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::path::{Path, PathBuf};

/// How an engine is built. Relative paths are relative to the recipe's file.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Recipe {
    /// The exported ONNX; the bundled network when absent.
    pub network: Option<PathBuf>,
    /// Arithmetic of the engine.
    pub precision: RecipePrecision,
    /// Lets fp32 layers round their inputs to 10 bits of mantissa (TF32). Off: fp32 means fp32.
    #[serde(default)]
    pub tf32: bool,
    /// Scratch memory that the fastest kernels may take, MiB; chosen from the board's memory when absent.
    pub workspace_mib: Option<u32>,
    /// How long the builder searches, 0 to 5; `TensorRT`'s own default is 3. Before 8.6 there is only 3.
    #[serde(default = "default_optimization_level")]
    pub optimization_level: u8,
    /// The deep-learning accelerator that runs what it can; the GPU alone when absent.
    pub dla_core: Option<u8>,
    /// Lets the GPU run the layers that the DLA cannot. Without it such a layer fails the build.
    #[serde(default)]
    pub gpu_fallback: bool,
    /// How much the engine says about its layers.
    #[serde(default)]
    pub profiling: ProfilingDetail,
    /// The board profile (a name as `occdepth estimate` lists them); the machine's own when absent.
    pub board: Option<String>,
}

/// Arithmetic of an engine.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum RecipePrecision {
    /// 32-bit floats throughout.
    Fp32,
    /// 16-bit floats where the network allows them.
    Fp16,
    /// What the network's `QuantizeLinear` and `DequantizeLinear` say; elsewhere 16-bit floats before `TensorRT` 10, the
    /// network's own types from then on.
    Int8,
}

/// How much an engine says about its layers, to the engine inspector and in profiles.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ProfilingDetail {
    /// Nothing.
    None,
    /// Their names.
    #[default]
    LayerNames,
    /// Names, formats, tactics: what `occdepth engines profile` shows best.
    Detailed,
}

/// Why a recipe was refused.
pub type RecipeError = TomlFileError;

impl Recipe {
    /// The recipe of `network` (`None`: the bundled one) where nobody has written one: fp16, because that is what the
    /// boards are made for, on the GPU alone.
    pub fn of_network(network: Option<PathBuf>, precision: RecipePrecision) -> Self {
        Self {
            network,
            precision,
            tf32: false,
            workspace_mib: None,
            optimization_level: default_optimization_level(),
            dla_core: None,
            gpu_fallback: false,
            profiling: ProfilingDetail::default(),
            board: None,
        }
    }

    /// Reads and checks the recipe at `path`.
    ///
    /// # Errors
    /// When it cannot be read, is not TOML, has unknown or missing keys, or values that cannot be meant.
    pub fn read(path: &Path) -> Result<Self, RecipeError> {
        let text = toml_file::read(path)?;
        Self::parse(&text, path)
    }

    /// Parses and checks `text`; `path` names it in errors and is what relative paths are relative to.
    ///
    /// # Errors
    /// As [`Recipe::read`], but for reading.
    pub fn parse(text: &str, path: &Path) -> Result<Self, RecipeError> {
        let mut recipe: Self = toml_file::parse(text, path)?;
        let base = path.parent().unwrap_or_else(|| Path::new(""));
        if let Some(network) = &mut recipe.network {
            *network = base.join(&*network);
        }
        match recipe.check() {
            None => Ok(recipe),
            Some((field, found, expected)) => {
                Err(RecipeError::Value { path: path.to_owned(), field, found, expected })
            }
        }
    }

    /// The key that cannot be meant, what it says, and what would be accepted.
    fn check(&self) -> Option<(&'static str, String, &'static str)> {
        if let Some(mib) = self.workspace_mib.filter(|mib| !(16..=1 << 20).contains(mib)) {
            return Some(("workspace_mib", mib.to_string(), "16 to 1048576 MiB"));
        }
        if self.optimization_level > 5 {
            let found = self.optimization_level.to_string();
            return Some(("optimization_level", found, "0 (quick build) to 5 (fast engine)"));
        }
        if self.tf32 && self.precision != RecipePrecision::Fp32 {
            return Some(("tf32", "true".into(), "false, or `precision = \"fp32\"`"));
        }
        if self.dla_core.is_some() && self.precision == RecipePrecision::Fp32 {
            let expected = "\"fp16\" or \"int8\" for a DLA, which has no 32-bit arithmetic";
            return Some(("precision", "\"fp32\"".into(), expected));
        }
        if self.gpu_fallback && self.dla_core.is_none() {
            return Some((
                "gpu_fallback",
                "true".into(),
                "`dla_core` as well: without one the GPU runs everything",
            ));
        }
        None
    }
}

impl RecipePrecision {
    /// As recipes write it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Fp32 => "fp32",
            Self::Fp16 => "fp16",
            Self::Int8 => "int8",
        }
    }

    /// The same as the contract's word for it, for tolerances.
    pub fn of_contract(self) -> Precision {
        match self {
            Self::Fp32 => Precision::Fp32,
            Self::Fp16 => Precision::Fp16,
            Self::Int8 => Precision::Int8,
        }
    }
}

impl fmt::Display for RecipePrecision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

fn default_optimization_level() -> u8 {
    3
}
