//! The context relation prior: what every voxel has to do with every mega-voxel of 2x2x2 voxels.

use burn::{
    module::Module,
    tensor::{Tensor, activation::sigmoid},
};

use super::{
    head::Aspp,
    layers::{Conv3d, Conv3dShape},
    loader::Loader,
    unet3d::Bottleneck,
};
use crate::{preset, weights::WeightsError};

/// ASPP, mega-context, one relation matrix per relation, and a bottleneck that joins what they
/// gather.
#[derive(Module, Debug)]
pub struct RelationPrior {
    aspp: Aspp,
    mega_context: Conv3d,
    context_prior_logits: Vec<Conv3d>,
    resize: Conv3d,
    process: Vec<Bottleneck>,
    mega_voxels: usize,
}

impl RelationPrior {
    pub(super) fn load(
        loader: &Loader<'_>,
        prior: &preset::RelationPrior,
        width: usize,
        mega_voxels: usize,
    ) -> Result<Self, WeightsError> {
        let context = width * 2;
        let joined = width + context * prior.relations;
        let mega = Conv3dShape {
            stride: [2; 3],
            ..Conv3dShape::new(context, width, [3; 3], 1).with_bias()
        };
        let relation = Conv3dShape::new(mega_voxels, width, [1; 3], 1).with_bias();
        Ok(Self {
            aspp: Aspp::load(&loader.at("aspp"), width, &prior.dilations)?,
            mega_context: Conv3d::load(&loader.at("mega_context.0"), mega)?,
            context_prior_logits: (0..prior.relations)
                .map(|index| {
                    Conv3d::load(&loader.at(&format!("context_prior_logits.{index}.0")), relation)
                })
                .collect::<Result<_, _>>()?,
            resize: Conv3d::load(
                &loader.at("resize.0"),
                Conv3dShape::new(width, joined, [1; 3], 1),
            )?,
            process: Bottleneck::load_all(&loader.at("resize.1.main"), width, &[1])?,
            mega_voxels,
        })
    }

    /// Features [1, C, X, Y, Z] with their context, and the relation logits [R, M, X Y Z].
    pub fn forward(&self, input: Tensor<5>) -> (Tensor<5>, Tensor<3>) {
        let [_, width, x, y, z] = input.dims();
        let (gathered, mega) = self.context(input.clone());
        let features = width * 2;
        let context = mega.reshape([1, features, self.mega_voxels]);
        let relations: Vec<Tensor<3>> = self
            .context_prior_logits
            .iter()
            .map(|relation| {
                relation.forward(gathered.clone()).reshape([1, self.mega_voxels, x * y * z])
            })
            .collect();
        let mut joined = vec![input];
        joined.extend(relations.iter().map(|logits| {
            context.clone().matmul(sigmoid(logits.clone())).reshape([1, features, x, y, z])
        }));
        let output = self.resize.forward(Tensor::cat(joined, 1));
        let output = self.process.iter().fold(output, |x, bottleneck| bottleneck.forward(x));
        (output, Tensor::cat(relations, 0))
    }

    /// What the relations are read from [1, C, X, Y, Z], and the features of the mega-voxels
    /// [1, 2 C, X / 2, Y / 2, Z / 2].
    pub fn context(&self, input: Tensor<5>) -> (Tensor<5>, Tensor<5>) {
        let [_, _, x, y, z] = input.dims();
        let gathered = self.aspp.forward(input);
        // An odd axis has no zeros: its last voxel is inside the last window.
        let padding = [x, y, z].map(|n| (n + 1) % 2);
        let mega = self.mega_context.forward_padded(gathered.clone(), padding);
        (gathered, mega)
    }
}
