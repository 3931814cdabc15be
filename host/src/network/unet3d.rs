//! The 3-D network: bottlenecks and two halvings down, transposed convolutions up, and the head.

use burn::{
    module::Module,
    nn::BatchNorm,
    tensor::{Tensor, activation::relu},
};

use super::{
    Outputs,
    crp::RelationPrior,
    head::{Head, OccludedHead},
    layers::{Conv3d, Conv3dShape, ConvTranspose3d, load_norm},
    loader::Loader,
};
use crate::{
    preset::{self, AxisOrder, NORM_EPSILON, Preset},
    weights::WeightsError,
};

/// The U-Net over the projection grid. Its parts have the published `SemanticKITTI` names; those of
/// `NYUv2` are in [`preset::Unet::names`].
///
/// Everything here is in the order of the preset's [`AxisOrder`]: X, Y and Z below are the first, the
/// second and the third axis that it stores.
#[derive(Module, Debug)]
pub struct Unet3d {
    /// Projection grid to half of it.
    pub process_l1: Level,
    /// Half to a quarter.
    pub process_l2: Level,
    /// The relation prior at a quarter, if the preset has one.
    pub relation_prior: Option<RelationPrior>,
    /// A quarter to half.
    pub up_13_l2: Upsample,
    /// Half to the projection grid.
    pub up_12_l1: Upsample,
    /// Bottlenecks of the slim head, on the projection grid.
    pub refine: Vec<Bottleneck>,
    /// Projection grid to the output grid, unless they are one (`NYUv2`).
    pub up_l1_lfull: Option<Upsample>,
    /// Features to logits.
    pub ssc_head: Head,
    /// Features to whether a voxel is occluded, if the preset has that.
    pub occluded_head: Option<OccludedHead>,
}

/// The features on the way up, after the shortcuts from the way down.
#[derive(Clone, Debug)]
pub struct Ascent {
    /// At a quarter of the projection grid, after the relation prior.
    pub quarter: Tensor<5>,
    /// At half.
    pub half: Tensor<5>,
    /// At the projection grid.
    pub projection: Tensor<5>,
    /// Relation logits, if there is a prior.
    pub relation_logits: Option<Tensor<3>>,
}

impl Unet3d {
    pub(super) fn load(loader: &Loader<'_>, preset: &Preset) -> Result<Self, WeightsError> {
        let unet = &preset.unet;
        let [w1, w2, w3] = unet.widths;
        let up = |name: &str, widths, stride| {
            Upsample::load(&loader.at(name), widths, unet.upsample_kernel, stride)
        };
        let refine = match &preset.head {
            preset::Head::Slim { dilations } => dilations.as_slice(),
            preset::Head::Aspp { .. } => &[],
        };
        let prior = preset.relation_prior.as_ref();
        let names = unet.names();
        let project_scale = preset.project_scale as usize;
        Ok(Self {
            process_l1: Level::load(&loader.at(names.process[0]), w1, w2, &unet.dilations)?,
            process_l2: Level::load(&loader.at(names.process[1]), w2, w3, &unet.dilations)?,
            relation_prior: prior
                .map(|prior| {
                    let loader = loader.at("CP_mega_voxels");
                    RelationPrior::load(&loader, prior, w3, preset.mega_voxels())
                })
                .transpose()?,
            up_13_l2: up(names.up[0], [w3, w2], 2)?,
            up_12_l1: up(names.up[1], [w2, w1], 2)?,
            refine: Bottleneck::load_all(&loader.at("refine.main"), w1, refine)?,
            up_l1_lfull: names
                .up_full
                .zip(unet.full_width)
                .map(|(name, width)| up(name, [w1, width], project_scale))
                .transpose()?,
            ssc_head: Head::load(&loader.at(names.head), preset)?,
            occluded_head: OccludedHead::load(&loader.at("occluded_head"), preset)?,
        })
    }

    /// Logits from voxel features [1, C, X, Y, Z] of the projection grid; see [`arrange`] for their
    /// axes.
    pub fn forward(&self, volume: Tensor<5>) -> Outputs {
        let ascent = self.ascend(volume);
        let refined =
            self.refine.iter().fold(ascent.projection, |x, bottleneck| bottleneck.forward(x));
        let full = match &self.up_l1_lfull {
            Some(upsample) => upsample.forward(refined),
            None => refined,
        };
        let occluded_logits = self.occluded_head.as_ref().map(|head| head.forward(full.clone()));
        let (ssc_logits, occ_logits) = self.ssc_head.forward(full);
        Outputs {
            ssc_logits: ssc_logits.squeeze_dim(0),
            occ_logits: occ_logits.map(|logits| logits.squeeze_dim(0)),
            occluded_logits: occluded_logits.map(|logits| logits.squeeze_dim(0)),
            relation_logits: ascent.relation_logits,
        }
    }

    /// Down to a quarter and back up to the projection grid.
    pub fn ascend(&self, projection: Tensor<5>) -> Ascent {
        let half = self.process_l1.forward(projection.clone());
        let quarter = self.process_l2.forward(half.clone());
        let (quarter, relation_logits) = match &self.relation_prior {
            Some(prior) => {
                let (quarter, logits) = prior.forward(quarter);
                (quarter, Some(logits))
            }
            None => (quarter, None),
        };
        let half = self.up_13_l2.forward(quarter.clone()) + half;
        let projection = self.up_12_l1.forward(half.clone()) + projection;
        Ascent { quarter, half, projection, relation_logits }
    }
}

/// A volume [N, C, X, Y, Z] in the order that the 3-D network stores its axes in, and back again.
pub fn arrange(volume: Tensor<5>, axes: AxisOrder) -> Tensor<5> {
    match axes {
        AxisOrder::Xyz => volume,
        AxisOrder::Xzy => volume.swap_dims(3, 4),
    }
}

/// Dilated bottlenecks, then one that halves the grid.
#[derive(Module, Debug)]
pub struct Level {
    process: Vec<Bottleneck>,
    downsample: Bottleneck,
}

impl Level {
    fn load(
        loader: &Loader<'_>,
        width: usize,
        out: usize,
        dilations: &[usize],
    ) -> Result<Self, WeightsError> {
        Ok(Self {
            process: Bottleneck::load_all(&loader.at("0.main"), width, dilations)?,
            downsample: Bottleneck::load_halving(&loader.at("1.main"), width, out)?,
        })
    }

    /// [1, C, X, Y, Z] to [1, C', X / 2, Y / 2, Z / 2].
    pub fn forward(&self, x: Tensor<5>) -> Tensor<5> {
        let x = self.process.iter().fold(x, |x, bottleneck| bottleneck.forward(x));
        self.downsample.forward(x)
    }
}

/// A bottleneck of 1x1x3, 1x3x1 and 3x1x1 convolutions, each adding to the next ("dimensional
/// decomposition residual").
#[derive(Module, Debug)]
pub struct Bottleneck {
    convs: Vec<Conv3d>,
    norms: Vec<BatchNorm>,
    halving: Option<Halving>,
}

/// The shortcuts of a bottleneck that halves the grid.
#[derive(Module, Debug)]
pub struct Halving {
    /// `downsample2`, `downsample3`, `downsample4` and `downsample`.
    shortcuts: Vec<Shortcut>,
}

impl Bottleneck {
    /// Bottlenecks that keep their grid, one per dilation: `PREFIX.0`, `PREFIX.1`, ...
    pub(super) fn load_all(
        loader: &Loader<'_>,
        width: usize,
        dilations: &[usize],
    ) -> Result<Vec<Self>, WeightsError> {
        let load = |(index, &dilation): (usize, &usize)| {
            Self::load(&loader.at(&index.to_string()), [width, width], 1, dilation)
        };
        dilations.iter().enumerate().map(load).collect()
    }

    fn load_halving(loader: &Loader<'_>, width: usize, out: usize) -> Result<Self, WeightsError> {
        let shortcut = |name: &str, input, out| Shortcut::load(&loader.at(name), input, out);
        let hidden = width / 4;
        let shortcuts = vec![
            shortcut("downsample2", hidden, hidden)?,
            shortcut("downsample3", hidden, hidden)?,
            shortcut("downsample4", hidden, hidden)?,
            shortcut("downsample", width, out)?,
        ];
        let halving = Some(Halving { shortcuts });
        Ok(Self { halving, ..Self::load(loader, [width, out], 2, 1)? })
    }

    fn load(
        loader: &Loader<'_>,
        [width, out]: [usize; 2],
        stride: usize,
        dilation: usize,
    ) -> Result<Self, WeightsError> {
        let hidden = width / 4;
        let along = |axis: usize| {
            let mut kernel = [1; 3];
            kernel[axis] = 3;
            let mut strides = [1; 3];
            strides[axis] = stride;
            let shape = Conv3dShape::new(hidden, hidden, kernel, dilation);
            Conv3dShape { stride: strides, ..shape }
        };
        let shapes = [
            Conv3dShape::new(hidden, width, [1; 3], 1),
            along(2),
            along(1),
            along(0),
            Conv3dShape::new(out, hidden, [1; 3], 1),
        ];
        let (mut convs, mut norms) = (Vec::new(), Vec::new());
        for (number, shape) in (1..).zip(shapes) {
            convs.push(Conv3d::load(&loader.at(&format!("conv{number}")), shape)?);
            let norm = loader.at(&format!("bn{number}"));
            norms.push(load_norm(&norm, shape.out, NORM_EPSILON)?);
        }
        Ok(Self { convs, norms, halving: None })
    }

    /// [1, C, X, Y, Z] to [1, C', ...], every axis halved if this one halves.
    pub(super) fn forward(&self, input: Tensor<5>) -> Tensor<5> {
        let layer = |number: usize, x: Tensor<5>| {
            self.norms[number - 1].forward(self.convs[number - 1].forward(x))
        };
        let x1 = relu(layer(1, input.clone()));
        let along_z = layer(2, x1);
        let along_y = layer(3, relu(along_z.clone()));
        let (along_z, residual) = match &self.halving {
            Some(halving) => halving.after_y(along_z, input),
            None => (along_z, input),
        };
        let along_y = along_y + along_z.clone();
        let along_x = layer(4, relu(along_y.clone()));
        let (along_z, along_y) = match &self.halving {
            Some(halving) => halving.after_x(along_z, along_y),
            None => (along_z, along_y),
        };
        let x = layer(5, relu(along_x + along_z + along_y));
        relu(x + residual)
    }
}

impl Halving {
    /// The sums that wait for the grid: z's result with y halved, and the input with every axis
    /// halved.
    fn after_y(&self, along_z: Tensor<5>, input: Tensor<5>) -> (Tensor<5>, Tensor<5>) {
        let residual = (0..3).fold(input, halve);
        (self.shortcuts[0].forward(halve(along_z, 1)), self.shortcuts[3].forward(residual))
    }

    /// Both sums with x halved.
    fn after_x(&self, along_z: Tensor<5>, along_y: Tensor<5>) -> (Tensor<5>, Tensor<5>) {
        let [_, z, y, _] = &self.shortcuts[..] else { unreachable!("load_halving makes four") };
        (z.forward(halve(along_z, 0)), y.forward(halve(along_y, 0)))
    }
}

/// A 1x1x1 convolution and a norm, after average pooling.
#[derive(Module, Debug)]
pub struct Shortcut {
    conv: Conv3d,
    norm: BatchNorm,
}

impl Shortcut {
    fn load(loader: &Loader<'_>, input: usize, out: usize) -> Result<Self, WeightsError> {
        let shape = Conv3dShape::new(out, input, [1; 3], 1);
        Ok(Self {
            conv: Conv3d::load(&loader.at("1"), shape)?,
            norm: load_norm(&loader.at("2"), out, NORM_EPSILON)?,
        })
    }

    fn forward(&self, x: Tensor<5>) -> Tensor<5> {
        self.norm.forward(self.conv.forward(x))
    }
}

/// A transposed convolution, a norm and a rectifier.
#[derive(Module, Debug)]
pub struct Upsample {
    conv: ConvTranspose3d,
    norm: BatchNorm,
}

impl Upsample {
    fn load(
        loader: &Loader<'_>,
        widths: [usize; 2],
        kernel: usize,
        stride: usize,
    ) -> Result<Self, WeightsError> {
        Ok(Self {
            conv: ConvTranspose3d::load(&loader.at("main.0"), widths, kernel, stride)?,
            norm: load_norm(&loader.at("main.1"), widths[1], NORM_EPSILON)?,
        })
    }

    /// [1, C, X, Y, Z] to [1, C', stride X, stride Y, stride Z].
    pub fn forward(&self, x: Tensor<5>) -> Tensor<5> {
        relu(self.norm.forward(self.conv.forward(x)))
    }
}

/// Means of neighbouring pairs along a spatial axis of even size (0 is x): burn 0.22 has no 3-D
/// average pooling.
fn halve(x: Tensor<5>, axis: usize) -> Tensor<5> {
    let mut dims = x.dims();
    dims[axis + 2] /= 2;
    let [n, c, d0, d1, d2] = dims;
    let pairs: [usize; 6] = match axis {
        0 => [n, c, d0, 2, d1, d2],
        1 => [n, c, d0, d1, 2, d2],
        _ => [n, c, d0, d1, d2, 2],
    };
    x.reshape(pairs).mean_dim(axis + 3).reshape(dims)
}
