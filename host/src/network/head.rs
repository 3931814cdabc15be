//! The heads: 3-D ASPP at full size as published, or one 1x1x1 convolution.

use burn::{
    module::Module,
    nn::BatchNorm,
    tensor::{
        Tensor,
        activation::{relu, softmax},
    },
};

use super::{
    layers::{Conv3d, Conv3dShape, load_norm},
    loader::Loader,
};
use crate::{
    preset::{self, NORM_EPSILON, Preset},
    weights::WeightsError,
};

/// From features [1, C, X, Y, Z] to class logits; the slim head has only `conv_classes`.
#[derive(Module, Debug)]
pub struct Head {
    features: Option<Features>,
    occ_classes: Option<Conv3d>,
    conv_classes: Conv3d,
}

impl Head {
    pub(super) fn load(loader: &Loader<'_>, preset: &Preset) -> Result<Self, WeightsError> {
        let width = preset.head_width();
        let classes = preset.dataset.class_count();
        let conv_classes =
            |input, kernel| load_conv(&loader.at("conv_classes"), classes, input, kernel);
        match &preset.head {
            preset::Head::Aspp { dilations, cascade, .. } => Ok(Self {
                features: Some(Features::load(loader, width, dilations)?),
                occ_classes: cascade
                    .then(|| load_conv(&loader.at("occ_classes"), 2, width, 3))
                    .transpose()?,
                conv_classes: conv_classes(width + if *cascade { 2 } else { 0 }, 3)?,
            }),
            preset::Head::Slim { .. } => Ok(Self {
                features: None,
                occ_classes: None,
                conv_classes: conv_classes(width, 1)?,
            }),
        }
    }

    /// Class logits [1, classes, X, Y, Z] and, from a cascade head, occupancy logits [1, 2, X, Y,
    /// Z].
    pub fn forward(&self, x: Tensor<5>) -> (Tensor<5>, Option<Tensor<5>>) {
        let x = match &self.features {
            Some(features) => features.forward(x),
            None => x,
        };
        let Some(occ_classes) = &self.occ_classes else {
            return (self.conv_classes.forward(x), None);
        };
        let occupancy = occ_classes.forward(x.clone());
        let x = Tensor::cat(vec![x, softmax(occupancy.clone(), 1)], 1);
        (self.conv_classes.forward(x), Some(occupancy))
    }
}

/// From the same features to whether a voxel is occluded.
#[derive(Module, Debug)]
pub struct OccludedHead {
    features: Features,
    occ_classes: Conv3d,
}

impl OccludedHead {
    /// None where the preset has no such head.
    pub(super) fn load(loader: &Loader<'_>, preset: &Preset) -> Result<Option<Self>, WeightsError> {
        let preset::Head::Aspp { dilations, occluded: true, .. } = &preset.head else {
            return Ok(None);
        };
        let width = preset.head_width();
        Ok(Some(Self {
            features: Features::load(loader, width, dilations)?,
            occ_classes: load_conv(&loader.at("occ_classes"), 2, width, 3)?,
        }))
    }

    /// Logits [1, 2, X, Y, Z]: seen, occluded.
    pub fn forward(&self, x: Tensor<5>) -> Tensor<5> {
        self.occ_classes.forward(self.features.forward(x))
    }
}

/// What both heads read their logits from: a 3x3x3 convolution and an ASPP.
#[derive(Module, Debug)]
pub struct Features {
    conv0: Conv3d,
    aspp: Aspp,
}

impl Features {
    fn load(loader: &Loader<'_>, width: usize, dilations: &[usize]) -> Result<Self, WeightsError> {
        Ok(Self {
            conv0: load_conv(&loader.at("conv0"), width, width, 3)?,
            aspp: Aspp::load(loader, width, dilations)?,
        })
    }

    fn forward(&self, x: Tensor<5>) -> Tensor<5> {
        self.aspp.forward(relu(self.conv0.forward(x)))
    }
}

/// A convolution with a bias that keeps the grid.
fn load_conv(
    loader: &Loader<'_>,
    out: usize,
    input: usize,
    kernel: usize,
) -> Result<Conv3d, WeightsError> {
    Conv3d::load(loader, Conv3dShape::new(out, input, [kernel; 3], 1).with_bias())
}

/// Branches of two dilated 3x3x3 convolutions, summed with the input.
#[derive(Module, Debug)]
pub struct Aspp {
    branches: Vec<Branch>,
}

/// One dilation of an [`Aspp`].
#[derive(Module, Debug)]
pub struct Branch {
    conv1: Conv3d,
    bn1: BatchNorm,
    conv2: Conv3d,
    bn2: BatchNorm,
}

impl Aspp {
    pub(super) fn load(
        loader: &Loader<'_>,
        width: usize,
        dilations: &[usize],
    ) -> Result<Self, WeightsError> {
        let branch = |(index, &dilation): (usize, &usize)| {
            let conv = |name: &str| {
                let shape = Conv3dShape::new(width, width, [3; 3], dilation);
                Conv3d::load(&loader.at(&format!("{name}.{index}")), shape)
            };
            let norm =
                |name: &str| load_norm(&loader.at(&format!("{name}.{index}")), width, NORM_EPSILON);
            Ok(Branch {
                conv1: conv("conv1")?,
                bn1: norm("bn1")?,
                conv2: conv("conv2")?,
                bn2: norm("bn2")?,
            })
        };
        Ok(Self { branches: dilations.iter().enumerate().map(branch).collect::<Result<_, _>>()? })
    }

    pub(super) fn forward(&self, x: Tensor<5>) -> Tensor<5> {
        let sum = self.branches.iter().fold(x.clone(), |sum, branch| {
            let y = relu(branch.bn1.forward(branch.conv1.forward(x.clone())));
            sum + branch.bn2.forward(branch.conv2.forward(y))
        });
        relu(sum)
    }
}
