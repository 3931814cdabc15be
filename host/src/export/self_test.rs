//! The self-test of an export: one frame, and what the network in burn says about it.

use crate::{
    network::{self, Inputs, InputsError, Network},
    preset::Preset,
    weights::{Weights, WeightsError},
};
use burn::tensor::{DataError, Device, Tensor};
use occdepth_contract::{
    Contract,
    self_test::{SelfTest, SelfTestError},
    tensor,
};

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
/// SHA-256. Runs the network once, in f32, on the CPU.
///
/// # Errors
/// [`VectorsError`] when the weights do not fit, or the network computes no numbers with them.
pub fn self_test(
    preset: &Preset,
    weights: &Weights,
    contract: &Contract,
    network_sha256: [u8; 32],
) -> Result<SelfTest, VectorsError> {
    let mut test = SelfTest::new(contract, network_sha256, SEED);
    let frame = test.seal(contract)?;
    let device = Device::flex();
    let network = Network::new(preset, weights, &device)?;
    let inputs = match frame.depth {
        Some(depth) => {
            let image = network::DepthImage {
                depth_m: depth.depth_m,
                baseline_focal: depth.baseline_focal,
            };
            Inputs::with_depth_image(preset, frame.images, image, &frame.geometry, &device)?
        }
        None => Inputs::new(preset, frame.images, &frame.geometry, &device)?,
    };
    let mut computed = network.forward(inputs);
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
        test.expect(&output.name, &values);
    }
    Ok(test)
}

/// Seed of the images: one frame is as good as another.
const SEED: u64 = 1;
