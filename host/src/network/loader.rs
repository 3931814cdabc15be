//! Named weights as burn tensors.

use burn::{
    module::Param,
    tensor::{Device, Tensor, TensorData},
};

use crate::weights::{Weights, WeightsError};

/// Weights below one prefix of the state dict.
#[derive(Clone)]
pub(super) struct Loader<'a> {
    weights: &'a Weights,
    device: &'a Device,
    prefix: String,
}

impl<'a> Loader<'a> {
    pub(super) fn new(weights: &'a Weights, device: &'a Device) -> Self {
        Self { weights, device, prefix: String::new() }
    }

    /// The weights below `PREFIX.name`.
    pub(super) fn at(&self, name: &str) -> Self {
        Self { prefix: self.join(name), ..*self }
    }

    /// The tensor `PREFIX.name`.
    pub(super) fn tensor<const D: usize>(
        &self,
        name: &str,
        shape: [usize; D],
    ) -> Result<Tensor<D>, WeightsError> {
        let tensor = self.weights.tensor(&self.join(name), &shape)?;
        Ok(Tensor::from_data(TensorData::new(tensor.values.clone(), shape), self.device))
    }

    /// The trainable tensor `PREFIX.name`.
    pub(super) fn param<const D: usize>(
        &self,
        name: &str,
        shape: [usize; D],
    ) -> Result<Param<Tensor<D>>, WeightsError> {
        Ok(Param::from_tensor(self.tensor(name, shape)?))
    }

    fn join(&self, name: &str) -> String {
        if self.prefix.is_empty() { name.into() } else { format!("{}.{name}", self.prefix) }
    }
}
