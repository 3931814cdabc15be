//! The self-test of an export: one frame, and what the network in burn says about it.

use crate::{
    network::{Inputs, InputsError, Network},
    preset::{ParameterKind, Preset},
    weights::{Weights, WeightsError},
};
use burn::tensor::{DataError, Device, Tensor};
use half::f16;
use occdepth_contract::{
    Contract, Precision,
    self_test::{Frame, SelfTest, SelfTestError, Tolerance},
    tensor,
};

/// The self-test of an export, and what was found on the way to it.
#[derive(Clone, Debug, PartialEq)]
pub struct Vectors {
    /// The self-test.
    pub test: SelfTest,
    /// For fp16 exports: the root mean square by which rounding the weights moves an output, as a share
    /// of the output's; of all outputs the largest.
    pub rounding_rms: Option<f32>,
}

/// Why a network has no self-test.
#[derive(Debug, thiserror::Error)]
pub enum VectorsError {
    /// The frame cannot be made.
    #[error("the self-test's frame cannot be made")]
    Frame(#[from] SelfTestError),
    /// The frame does not fit the network.
    #[error("the self-test's frame does not fit the network")]
    Inputs(#[from] InputsError),
    /// A tensor that the network needs is missing or has another shape.
    #[error("the weights do not fit the preset")]
    Weights(#[from] WeightsError),
    /// An output cannot be read.
    #[error("output {output}: not f32 values: {source:?}")]
    Output {
        /// The output.
        output: String,
        /// Why.
        source: DataError,
    },
    /// An output that is not a number says nothing about an engine.
    #[error(
        "output {output}: found a value of {found} on the self-test's frame, expected finite numbers \
         (are these the weights of a trained network?)"
    )]
    NotFinite {
        /// The output.
        output: String,
        /// The value.
        found: f32,
    },
}

/// The self-test of the network of `preset` with `weights`, exported with `contract` to files with this
/// SHA-256. Runs the network on the CPU, in f32 whatever the precision of the export.
///
/// For an fp16 export it is run once more with weights rounded to halves: a network that amplifies
/// such errors (untrained ones do) is allowed [`AMPLIFICATION`] times what they do to it, up to
/// [`MOST_ALLOWED`].
///
/// # Errors
/// [`VectorsError`] when the weights do not fit, or the network computes no numbers with them.
pub fn self_test(
    preset: &Preset,
    weights: &Weights,
    contract: &Contract,
    network_sha256: [u8; 32],
) -> Result<Vectors, VectorsError> {
    let mut test = SelfTest::new(contract, network_sha256, SEED);
    let frame = test.seal(contract)?;
    for (name, values) in run(preset, weights, contract, &frame)? {
        test.expect(&name, &values);
    }
    let mut rounding_rms = None;
    if contract.precision == Precision::Fp16 {
        for (name, values) in run(preset, &rounded(preset, weights), contract, &frame)? {
            let moved = test.compare(&name, &values)?;
            let Tolerance { largest, rms } = test.tolerance;
            test.tolerance = Tolerance {
                largest: (moved.largest * AMPLIFICATION).clamp(largest, MOST_ALLOWED),
                rms: (moved.rms * AMPLIFICATION).clamp(rms, MOST_ALLOWED),
            };
            rounding_rms = Some(rounding_rms.map_or(moved.rms, |rms: f32| rms.max(moved.rms)));
        }
    }
    Ok(Vectors { test, rounding_rms })
}

/// The outputs of the contract, by name.
fn run(
    preset: &Preset,
    weights: &Weights,
    contract: &Contract,
    frame: &Frame,
) -> Result<Vec<(String, Vec<f32>)>, VectorsError> {
    let device = Device::flex();
    let network = Network::new(preset, weights, &device)?;
    let inputs = Inputs::from_frame(preset, frame, &device)?;
    let mut computed = network.forward(inputs);
    let mut outputs = Vec::new();
    for output in &contract.outputs {
        let logits: Option<Tensor<4>> = match output.name.as_str() {
            tensor::OCC_LOGITS => computed.occ_logits.take(),
            tensor::OCCLUDED_LOGITS => computed.occluded_logits.take(),
            _ => Some(computed.ssc_logits.clone()),
        };
        let Some(logits) = logits else { continue };
        let values: Vec<f32> = logits
            .into_data()
            .try_to_vec()
            .map_err(|source| VectorsError::Output { output: output.name.clone(), source })?;
        if let Some(&found) = values.iter().find(|value| !value.is_finite()) {
            return Err(VectorsError::NotFinite { output: output.name.clone(), found });
        }
        outputs.push((output.name.clone(), values));
    }
    Ok(outputs)
}

/// The weights of convolutions and linear layers as halves, where halves reach; norms as they are (an
/// export folds them before it rounds).
pub(crate) fn rounded(preset: &Preset, weights: &Weights) -> Weights {
    let mut rounded = weights.clone();
    for parameter in preset.parameters() {
        let is_weight = matches!(
            parameter.kind,
            ParameterKind::Weight | ParameterKind::TransposedWeight { .. }
        );
        let Some(tensor) = weights.find(&parameter.name).filter(|_| is_weight) else { continue };
        let round = |&value: &f32| {
            let half = f16::from_f32(value);
            if half.is_finite() { half.to_f32() } else { value }
        };
        let values = tensor.values.iter().map(round).collect();
        rounded
            .insert(parameter.name, tensor.shape.clone(), values)
            .expect("as many values as before");
    }
    rounded
}

/// How many times the effect of rounded weights an fp16 engine may be off: it rounds activations too,
/// about as often.
pub const AMPLIFICATION: f32 = 4.0;

/// The widest tolerance, however much a network amplifies: an engine that gives nothing but zeros is off
/// by 1 in both measures, and must never pass.
pub const MOST_ALLOWED: f32 = 0.5;

/// Seed of the images: one frame is as good as another.
const SEED: u64 = 1;
