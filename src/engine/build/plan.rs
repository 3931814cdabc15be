//! What the builder is told: from a recipe, a network and a version of `TensorRT` to flags.
//!
//! The three majors say the same things in different words:
//!
//! | recipe | network | 8.5, 8.6 | 10 | 11 |
//! |---|---|---|---|---|
//! | fp32 | fp32 | no flag | strongly typed | as it is typed |
//! | fp16 | fp32 | `FP16` | `FP16` | refused: types are the network's |
//! | fp16 | fp16 | `FP16` | strongly typed | as it is typed |
//! | int8 | Q/DQ | `INT8`, `FP16` | strongly typed | as it is typed |
//! | with a DLA | any | `FP16` or both | `FP16` or both, weakly typed | as it is typed |
//!
//! TF32 is off unless the recipe asks for it. Sources: `TensorRT`'s developer guide, "Strongly Typed Networks" and
//! "Working with DLA"; the headers of each major.

use super::BuildError;
use crate::engine::recipe::{Recipe, RecipePrecision};
use occdepth_contract::Precision;

/// How the network's types bind the builder.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(clippy::struct_excessive_bools, reason = "independent flags of the builder")]
pub struct Typing {
    /// The types of the network are the engine's.
    pub strong: bool,
    /// Kernels of 16-bit floats may be chosen.
    pub fp16: bool,
    /// Kernels of 8-bit integers may be chosen.
    pub int8: bool,
    /// 32-bit kernels may round their inputs.
    pub tf32: bool,
}

impl Typing {
    /// What `recipe` means for a network of `network` precision under major version `major` of `TensorRT`.
    ///
    /// # Errors
    /// [`BuildError::Precision`] when the network or the version does not allow it.
    pub fn new(recipe: &Recipe, network: Precision, major: u32) -> Result<Self, BuildError> {
        let refuse = |expected| {
            Err(BuildError::Precision { recipe: recipe.precision, network, major, expected })
        };
        match (recipe.precision, network) {
            (RecipePrecision::Fp32, Precision::Fp32)
            | (RecipePrecision::Fp16, Precision::Fp16)
            | (RecipePrecision::Int8, Precision::Int8) => {}
            (RecipePrecision::Fp16, Precision::Fp32) if major < 11 => {}
            (RecipePrecision::Fp16, Precision::Fp32) => {
                return refuse(
                    "a network exported with `--precision fp16`: since TensorRT 11 an engine has the types of its network",
                );
            }
            (RecipePrecision::Int8, _) => {
                return refuse("a network with QuantizeLinear and DequantizeLinear");
            }
            (RecipePrecision::Fp32 | RecipePrecision::Fp16, _) => {
                return refuse(
                    "the precision that the network was exported in, or a wider network",
                );
            }
        }
        let same = recipe.precision.of_contract() == network;
        // A DLA takes no strongly typed networks.
        let strong = major >= 11 || (major >= 10 && same && recipe.dla_core.is_none());
        let narrow = !strong && recipe.precision != RecipePrecision::Fp32;
        Ok(Self {
            strong,
            fp16: narrow,
            int8: !strong && recipe.precision == RecipePrecision::Int8,
            tf32: recipe.tf32,
        })
    }
}
