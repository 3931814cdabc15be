//! The weights of a network: named tensors, read from a file or made from integers alone.
//!
//! Names and shapes are those of published state dicts ([`Preset::parameters`]).
//! [`Weights::initialise`] makes the weights of an untrained network from a seed with integer
//! arithmetic and exactly rounded floating-point operations (`*`, `/`, `sqrt`), so that every
//! platform makes the same bits. [`Weights::write_safetensors`] keeps weights in a file, together
//! with their [`Provenance`].

mod file;

use std::{
    collections::BTreeMap,
    io::Cursor,
    path::{Path, PathBuf},
};

use safetensors::SafeTensorError;

use crate::{
    export::WriteError,
    preset::{Parameter, ParameterKind, Preset},
};

pub(crate) use file::Reader;

/// Named tensors in order of their names, and where they come from.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Weights {
    tensors: BTreeMap<String, WeightTensor>,
    provenance: Option<Provenance>,
}

/// Where the weights of a file come from: strings of its header.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Provenance {
    /// Name of the preset that the weights were made or imported for (`occdepth.preset`).
    pub preset: String,
    /// SHA-256 of the checkpoint that they were read from, in lower-case hexadecimal digits
    /// (`occdepth.source_sha256`).
    pub source_sha256: String,
    /// File name of that checkpoint, without its folder and without control characters
    /// (`occdepth.source_name`).
    pub source_name: String,
    /// Whether the weights were trained (`occdepth.trained`).
    pub trained: bool,
}

/// One tensor.
#[derive(Clone, Debug, PartialEq)]
pub struct WeightTensor {
    /// Row-major shape, as in `PyTorch`; empty for a scalar.
    pub shape: Vec<usize>,
    /// As many values as the shape has elements.
    pub values: Vec<f32>,
}

/// Why weights cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum WeightsError {
    /// The file could not be read.
    #[error("cannot read the weights {}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The bytes are not a safetensors file.
    #[error("{origin}: not a safetensors file")]
    Format {
        /// The file.
        origin: String,
        /// Why.
        source: SafeTensorError,
    },
    /// The header says some of where the weights come from, but not all, or nonsense.
    #[error("{origin}: {key} is {found}, expected {expected}")]
    Provenance {
        /// The file.
        origin: String,
        /// The key in the header.
        key: &'static str,
        /// Its value.
        found: String,
        /// What would do.
        expected: &'static str,
    },
    /// The file could not be written.
    #[error(transparent)]
    Write(WriteError),
    /// A tensor that the network needs is not there.
    #[error("weights: {name} is missing, expected shape {expected:?}")]
    Missing {
        /// The tensor.
        name: String,
        /// Its shape in the network.
        expected: Vec<usize>,
    },
    /// A tensor has another shape than the network's.
    #[error("weights: {name} has shape {found:?}, expected {expected:?}")]
    Shape {
        /// The tensor.
        name: String,
        /// Its shape in the file.
        found: Vec<usize>,
        /// Its shape in the network.
        expected: Vec<usize>,
    },
    /// A tensor holds a number of values that is not its shape's.
    #[error("weights: {name} holds {found} values, shape {shape:?} needs another number")]
    Length {
        /// The tensor.
        name: String,
        /// Values given.
        found: usize,
        /// Shape given.
        shape: Vec<usize>,
    },
}

impl Weights {
    /// The weights of an untrained network.
    ///
    /// Element i (row-major) of the parameter `name` is drawn as u, uniform in [-1, 1): the upper
    /// 24 bits of output i of splitmix64, whose state starts at `FNV1a-64(name) ^ finalise(seed)`
    /// (`finalise` is splitmix64's output function; it maps 0 to 0). Weights are u * sqrt(3 / fan),
    /// which keeps the variance of a layer's input (`LeCun` et al. 1998) with the fan-in of
    /// [`Weights::formula`]; biases are 0 and batch norms the identity. A rectifier's larger bound
    /// would not do: no batch norm holds the sums of residual branches down before training.
    pub fn initialise(preset: &Preset, seed: u64) -> Self {
        let key = finalise(seed);
        Self::fill(preset.parameters(), |parameter| match parameter.kind {
            ParameterKind::Weight | ParameterKind::TransposedWeight { .. } => {
                let bound = (3.0 / fan_in(parameter)).sqrt();
                scaled(key ^ fnv1a(&parameter.name), parameter.len(), |u| u * bound)
            }
            ParameterKind::NormWeight | ParameterKind::NormVariance => vec![1.0; parameter.len()],
            ParameterKind::Bias | ParameterKind::NormBias | ParameterKind::NormMean => {
                vec![0.0; parameter.len()]
            }
        })
    }

    /// Weights by the formula of the reference values: no file is needed to compare a full-size
    /// network with the published implementation.
    ///
    /// With u as in [`Weights::initialise`] at seed 0: running mean 0.1 u, running variance 1 + 0.3
    /// u, scale of a batch norm 1 + 0.2 u, biases 0.1 u, weights u sqrt(3 / fan), and five times
    /// that for `resize_output_*` and `depth_pred`. The fan-in is the product of all axes but the
    /// first; of a transposed convolution, in * kernel volume / stride^3.
    pub fn formula(preset: &Preset) -> Self {
        Self::fill(preset.parameters(), |parameter| {
            let seed = fnv1a(&parameter.name);
            let len = parameter.len();
            match parameter.kind {
                ParameterKind::Weight | ParameterKind::TransposedWeight { .. } => {
                    let wide = ["resize_output_", ".depth_pred."];
                    let wide = wide.iter().any(|part| parameter.name.contains(part));
                    let bound = (3.0 / fan_in(parameter)).sqrt();
                    let gain = if wide { 5.0 } else { 1.0 };
                    scaled(seed, len, |u| u * bound * gain)
                }
                ParameterKind::NormWeight => scaled(seed, len, |u| 1.0 + 0.2 * u),
                ParameterKind::NormVariance => scaled(seed, len, |u| 1.0 + 0.3 * u),
                ParameterKind::Bias | ParameterKind::NormBias | ParameterKind::NormMean => {
                    scaled(seed, len, |u| 0.1 * u)
                }
            }
        })
    }

    /// Reads the float32 tensors of a safetensors file, and their provenance; tensors of other types
    /// (counters, buffers) are left out.
    ///
    /// # Errors
    /// If the file cannot be read or is not a safetensors file, or its provenance is incomplete, no hash
    /// or no printable names.
    pub fn read_safetensors(path: &Path) -> Result<Self, WeightsError> {
        Reader::open(path)?.weights()
    }

    /// As [`Weights::read_safetensors`], from bytes; `origin` names them in errors.
    ///
    /// # Errors
    /// As [`Weights::read_safetensors`].
    pub fn from_safetensors(bytes: &[u8], origin: &str) -> Result<Self, WeightsError> {
        Reader::new(Cursor::new(bytes), origin.into())?.weights()
    }

    /// Writes a safetensors file that [`Weights::read_safetensors`] reads: every tensor as float32,
    /// and the provenance. The file is whole or not there; an older one of that name stays until
    /// the new one is on disk. Equal weights make equal bytes.
    ///
    /// # Errors
    /// [`WeightsError::Write`], with the path; [`WeightsError::Provenance`] for a provenance that
    /// would not be read again.
    pub fn write_safetensors(&self, path: &Path) -> Result<(), WeightsError> {
        file::write(self, path)
    }

    /// Where the weights come from, if their file says so.
    pub fn provenance(&self) -> Option<&Provenance> {
        self.provenance.as_ref()
    }

    /// The same weights with another provenance.
    #[must_use]
    pub fn with_provenance(self, provenance: Provenance) -> Self {
        Self { provenance: Some(provenance), ..self }
    }

    /// Adds a tensor, replacing one of the same name.
    ///
    /// # Errors
    /// [`WeightsError::Length`] if `values` does not fill `shape`.
    pub fn insert(
        &mut self,
        name: impl Into<String>,
        shape: Vec<usize>,
        values: Vec<f32>,
    ) -> Result<(), WeightsError> {
        let name = name.into();
        if shape.iter().product::<usize>() != values.len() {
            return Err(WeightsError::Length { name, found: values.len(), shape });
        }
        self.tensors.insert(name, WeightTensor { shape, values });
        Ok(())
    }

    /// The tensor `name`, which must have `shape`.
    ///
    /// # Errors
    /// If it is missing or has another shape.
    pub fn tensor(&self, name: &str, shape: &[usize]) -> Result<&WeightTensor, WeightsError> {
        let tensor = self
            .tensors
            .get(name)
            .ok_or_else(|| WeightsError::Missing { name: name.into(), expected: shape.to_vec() })?;
        if tensor.shape != shape {
            return Err(WeightsError::Shape {
                name: name.into(),
                found: tensor.shape.clone(),
                expected: shape.to_vec(),
            });
        }
        Ok(tensor)
    }

    /// Checks that every parameter of `preset` is there with its shape.
    ///
    /// # Errors
    /// For the first parameter that is missing or has another shape.
    pub fn check(&self, preset: &Preset) -> Result<(), WeightsError> {
        preset
            .parameters()
            .iter()
            .try_for_each(|parameter| self.tensor(&parameter.name, &parameter.shape).map(drop))
    }

    /// The tensor `name`, whatever its shape.
    pub fn find(&self, name: &str) -> Option<&WeightTensor> {
        self.tensors.get(name)
    }

    /// Names and tensors in order of the names.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &WeightTensor)> {
        self.tensors.iter().map(|(name, tensor)| (name.as_str(), tensor))
    }

    /// Number of tensors.
    pub fn len(&self) -> usize {
        self.tensors.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.tensors.is_empty()
    }

    fn fill(parameters: Vec<Parameter>, values: impl Fn(&Parameter) -> Vec<f32>) -> Self {
        let tensors = parameters
            .into_iter()
            .map(|parameter| {
                let values = values(&parameter);
                (parameter.name, WeightTensor { shape: parameter.shape, values })
            })
            .collect();
        Self { tensors, provenance: None }
    }
}

/// Inputs that one output sums over.
fn fan_in(parameter: &Parameter) -> f64 {
    let product = |axes: &[usize]| axes.iter().product::<usize>() as f64;
    match parameter.kind {
        ParameterKind::TransposedWeight { stride } => {
            let kernel = product(&parameter.shape[2..]);
            // A stride larger than the kernel does not occur: every output has at least one tap.
            parameter.shape[0] as f64 * kernel / (stride * stride * stride) as f64
        }
        _ => product(&parameter.shape[1..]),
    }
}

/// The first `len` draws of the stream `seed`, each through `map` in double precision.
fn scaled(seed: u64, len: usize, map: impl Fn(f64) -> f64) -> Vec<f32> {
    #[allow(clippy::cast_possible_truncation, reason = "the one rounding to f32 is the point")]
    uniform(seed).take(len).map(|u| map(u) as f32).collect()
}

/// Uniform in [-1, 1), in steps of 2^-23: the upper 24 bits of splitmix64's outputs.
fn uniform(seed: u64) -> impl Iterator<Item = f64> {
    let mut state = seed;
    std::iter::repeat_with(move || {
        state = state.wrapping_add(GOLDEN_GAMMA);
        (finalise(state) >> 40) as f64 / f64::from(1_u32 << 23) - 1.0
    })
}

/// Output function of splitmix64 (Steele, Lea and Flood, "Fast splittable pseudorandom number
/// generators", 2014).
fn finalise(state: u64) -> u64 {
    let z = (state ^ (state >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

/// 64-bit FNV-1a (Fowler, Noll and Vo).
fn fnv1a(text: &str) -> u64 {
    text.bytes().fold(0xCBF2_9CE4_8422_2325, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01B3)
    })
}

const GOLDEN_GAMMA: u64 = 0x9E37_79B9_7F4A_7C15;

#[cfg(test)]
mod tests {
    use super::*;

    /// Known answers of the reference values' own check (`splitmix_check`).
    #[test]
    fn hash_and_stream_match_known_answers() {
        assert_eq!(fnv1a("abc"), 16_654_208_175_385_433_931);
        let first: Vec<f64> = uniform(42).take(5).collect();
        let expected = [
            0.483_129_739_761_352_54,
            -0.680_179_238_319_397,
            -0.442_797_780_036_926_27,
            -0.311_618_685_722_351_1,
            -0.923_939_704_895_019_5,
        ];
        assert_eq!(first, expected);
    }
}
