//! The 3-D U-Net: voxel features at the projection grid, twice halved and twice doubled again, then
//! doubled to the output grid where that is finer.
//!
//! Its volumes lie in the order of the preset's axes; `[1, c, X, Y, Z]` below means that order.

use super::{
    ExportError,
    builder::{GraphBuilder, Value},
    crp,
    layer::Conv,
};
use crate::preset::{AxisOrder, Head, NORM_EPSILON, Preset, parameters::UNET};

/// Features `[1, c, X, Y, Z]` of the output grid from those of the projection grid.
pub(super) fn emit(
    graph: &mut GraphBuilder<'_>,
    preset: &Preset,
    full: &Value,
) -> Result<Value, ExportError> {
    let unet = &preset.unet;
    let [w1, w2, w3] = unet.widths;
    let names = unet.names();
    let half = emit_level(graph, names.process[0], full, &unet.dilations, w2)?;
    let mut quarter = emit_level(graph, names.process[1], &half, &unet.dilations, w3)?;
    if let Some(prior) = &preset.relation_prior {
        quarter = crp::emit(graph, prior, &quarter)?;
    }
    let kernel = unet.upsample_kernel;
    let half = emit_joined(graph, names.up[0], &quarter, &half, (w2, kernel))?;
    let mut full = emit_joined(graph, names.up[1], &half, full, (w1, kernel))?;
    if let Head::Slim { dilations } = &preset.head {
        for (index, &dilation) in dilations.iter().enumerate() {
            full = Bottleneck::new(format!("{UNET}.refine.main.{index}"), &full)
                .dilated(dilation)
                .emit(graph, &full)?;
        }
    }
    let (Some(name), Some(width)) = (names.up_full, unet.full_width) else { return Ok(full) };
    let stride = preset.project_scale as usize;
    emit_upsample(graph, name, &full, (width, kernel), stride)
}

/// Voxel features `[1, N, c]` as a volume `[1, c, X, Y, Z]` in the order of the axes, from N that is
/// x-major.
pub(super) fn arrange(
    graph: &mut GraphBuilder<'_>,
    path: &str,
    voxels: &Value,
    [x, y, z]: [usize; 3],
    axes: AxisOrder,
) -> Value {
    let [width] = voxels.trailing::<1>();
    match axes {
        AxisOrder::Xyz => {
            let volume = graph.transpose(path, voxels, &[0, 2, 1]);
            graph.reshape(path, &volume, &[1, width, x, y, z])
        }
        AxisOrder::Xzy => {
            let volume = graph.reshape(path, voxels, &[1, x, y, z, width]);
            graph.transpose(path, &volume, &[0, 4, 1, 3, 2])
        }
    }
}

/// Logits `[1, c, ...]` in the order of the axes as f32 `[c, X, Y, Z]`.
pub(super) fn restore(
    graph: &mut GraphBuilder<'_>,
    path: &str,
    logits: &Value,
    axes: AxisOrder,
) -> Value {
    let x_major = match axes {
        AxisOrder::Xyz => logits.clone(),
        AxisOrder::Xzy => graph.transpose(path, logits, &[0, 1, 2, 4, 3]),
    };
    let shape = x_major.shape[1..].to_vec();
    let unbatched = graph.reshape(path, &x_major, &shape);
    graph.widen(path, &unbatched)
}

/// Bottlenecks of growing dilation, then one that halves the grid.
fn emit_level(
    graph: &mut GraphBuilder<'_>,
    name: &str,
    input: &Value,
    dilations: &[usize],
    width: usize,
) -> Result<Value, ExportError> {
    let mut x = input.clone();
    for (index, &dilation) in dilations.iter().enumerate() {
        x = Bottleneck::new(format!("{UNET}.{name}.0.main.{index}"), &x)
            .dilated(dilation)
            .emit(graph, &x)?;
    }
    Bottleneck::new(format!("{UNET}.{name}.1.main"), &x).halving(width).emit(graph, &x)
}

/// Doubled to the size of `skip`, which is added.
fn emit_joined(
    graph: &mut GraphBuilder<'_>,
    name: &str,
    x: &Value,
    skip: &Value,
    layer: (usize, usize),
) -> Result<Value, ExportError> {
    let x = emit_upsample(graph, name, x, layer, 2)?;
    Ok(graph.binary("Add", &format!("{UNET}.{name}"), &x, skip))
}

fn emit_upsample(
    graph: &mut GraphBuilder<'_>,
    name: &str,
    x: &Value,
    (width, kernel): (usize, usize),
    stride: usize,
) -> Result<Value, ExportError> {
    let path = format!("{UNET}.{name}.main");
    let x = Conv::new(format!("{path}.0"), width, &[kernel; 3])
        .strided(&[stride; 3])
        .biased()
        .normed(format!("{path}.1"), NORM_EPSILON)
        .emit_transposed(graph, x)?;
    Ok(graph.unary("Relu", &path, &x))
}

/// The dimension-decomposed residual bottleneck of Li et al. 2019 ("RGBD Based Dimensional
/// Decomposition Residual Network for 3D Semantic Scene Completion"): one convolution per axis, each
/// seeing the sums of those before it.
pub(super) struct Bottleneck {
    path: String,
    width: usize,
    hidden: usize,
    dilation: usize,
    stride: usize,
}

impl Bottleneck {
    /// One that keeps the grid and the width of `input`.
    pub(super) fn new(path: String, input: &Value) -> Self {
        let width = input.shape[1];
        Self { path, width, hidden: width / 4, dilation: 1, stride: 1 }
    }

    /// With gaps in the kernels.
    pub(super) fn dilated(self, dilation: usize) -> Self {
        Self { dilation, ..self }
    }

    /// One that halves the grid, to `width` channels.
    fn halving(self, width: usize) -> Self {
        Self { width, stride: 2, ..self }
    }

    pub(super) fn emit(
        &self,
        graph: &mut GraphBuilder<'_>,
        input: &Value,
    ) -> Result<Value, ExportError> {
        let Self { path, hidden, stride, .. } = self;
        let x = self.conv(1, *hidden, [1, 1, 1], [1, 1, 1]).emit(graph, input)?;
        let x = graph.unary("Relu", &format!("{path}.conv1"), &x);
        let mut along_z = self.conv(2, *hidden, [1, 1, 3], [1, 1, *stride]).emit(graph, &x)?;

        let x = graph.unary("Relu", &format!("{path}.conv2"), &along_z);
        let along_y = self.conv(3, *hidden, [1, 3, 1], [1, *stride, 1]).emit(graph, &x)?;
        if *stride != 1 {
            along_z = self.shortcut("downsample2", *hidden, [1, 2, 1], graph, &along_z)?;
        }
        let mut along_y = graph.binary("Add", &format!("{path}.conv3"), &along_y, &along_z);

        let x = graph.unary("Relu", &format!("{path}.conv3"), &along_y);
        let along_x = self.conv(4, *hidden, [3, 1, 1], [*stride, 1, 1]).emit(graph, &x)?;
        if *stride != 1 {
            along_z = self.shortcut("downsample3", *hidden, [2, 1, 1], graph, &along_z)?;
            along_y = self.shortcut("downsample4", *hidden, [2, 1, 1], graph, &along_y)?;
        }
        let sum = graph.binary("Add", &format!("{path}.conv4"), &along_x, &along_z);
        let sum = graph.binary("Add", &format!("{path}.conv4"), &sum, &along_y);

        let x = graph.unary("Relu", &format!("{path}.conv4"), &sum);
        let x = self.conv(5, self.width, [1, 1, 1], [1, 1, 1]).emit(graph, &x)?;
        let residual = match stride {
            1 => input.clone(),
            _ => self.shortcut("downsample", self.width, [2, 2, 2], graph, input)?,
        };
        let x = graph.binary("Add", path, &x, &residual);
        Ok(graph.unary("Relu", path, &x))
    }

    fn conv(&self, number: usize, width: usize, kernel: [usize; 3], strides: [usize; 3]) -> Conv {
        Conv::new(format!("{}.conv{number}", self.path), width, &kernel)
            .dilated(self.dilation)
            .strided(&strides)
            .normed(format!("{}.bn{number}", self.path), NORM_EPSILON)
    }

    /// Average pooling, then a 1x1x1 convolution.
    fn shortcut(
        &self,
        name: &str,
        width: usize,
        block: [usize; 3],
        graph: &mut GraphBuilder<'_>,
        x: &Value,
    ) -> Result<Value, ExportError> {
        let path = format!("{}.{name}", self.path);
        let x = graph.average_blocks(&path, x, &block);
        Conv::new(format!("{path}.1"), width, &[1, 1, 1])
            .normed(format!("{path}.2"), NORM_EPSILON)
            .emit(graph, &x)
    }
}
