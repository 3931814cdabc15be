//! Layers as the parameters that they are made of.

use super::{DECODER, Parameter, ParameterKind, UpBlock};

/// Whether a convolution adds one number per output channel.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Bias {
    Yes,
    No,
}

/// Parameters in the order of the data.
#[derive(Default)]
pub(super) struct List(Vec<Parameter>);

impl List {
    pub(super) fn finish(self) -> Vec<Parameter> {
        self.0
    }

    /// A convolution, or with an empty kernel a linear layer.
    pub(super) fn conv(
        &mut self,
        name: &str,
        out: usize,
        input: usize,
        kernel: &[usize],
        bias: Bias,
        positions: u64,
    ) {
        let mut shape = vec![out, input];
        shape.extend_from_slice(kernel);
        self.push(format!("{name}.weight"), shape, ParameterKind::Weight, positions);
        if bias == Bias::Yes {
            self.push(format!("{name}.bias"), vec![out], ParameterKind::Bias, 0);
        }
    }

    pub(super) fn norm(&mut self, name: &str, width: usize) {
        for (part, kind) in [
            ("weight", ParameterKind::NormWeight),
            ("bias", ParameterKind::NormBias),
            ("running_mean", ParameterKind::NormMean),
            ("running_var", ParameterKind::NormVariance),
        ] {
            self.push(format!("{name}.{part}"), vec![width], kind, 0);
        }
    }

    /// The two convolutions of an up-block of the image decoder, and their norms.
    pub(super) fn up_block(&mut self, block: &UpBlock, pixels: u64) {
        let name = format!("{DECODER}.{}._net", block.name);
        let UpBlock { input, skip, output, .. } = *block;
        self.conv(&format!("{name}.0"), output, input + skip, &[3, 3], Bias::Yes, pixels);
        self.norm(&format!("{name}.1"), output);
        self.conv(&format!("{name}.3"), output, output, &[3, 3], Bias::Yes, pixels);
        self.norm(&format!("{name}.4"), output);
    }

    /// The five convolutions of a bottleneck and their norms; its hidden width is a quarter of its
    /// input.
    pub(super) fn bottleneck(
        &mut self,
        name: &str,
        input: usize,
        out: usize,
        voxels: u64,
        out_voxels: u64,
    ) {
        let hidden = input / 4;
        // A halving bottleneck halves z, then y, then x.
        let ratio = voxels / out_voxels;
        let (after_z, after_y) =
            if ratio == 1 { (voxels, voxels) } else { (voxels / 2, voxels / 4) };
        let layers = [
            (hidden, input, [1, 1, 1], voxels),
            (hidden, hidden, [1, 1, 3], after_z),
            (hidden, hidden, [1, 3, 1], after_y),
            (hidden, hidden, [3, 1, 1], out_voxels),
            (out, hidden, [1, 1, 1], out_voxels),
        ];
        for (number, (out, input, kernel, positions)) in (1..).zip(layers) {
            self.conv(&format!("{name}.conv{number}"), out, input, &kernel, Bias::No, positions);
            self.norm(&format!("{name}.bn{number}"), out);
        }
    }

    /// Average pooling (no parameters), a 1x1x1 convolution and a norm.
    pub(super) fn pooled_shortcut(&mut self, name: &str, out: usize, input: usize, voxels: u64) {
        self.conv(&format!("{name}.1"), out, input, &[1; 3], Bias::No, voxels);
        self.norm(&format!("{name}.2"), out);
    }

    /// What both heads read: a 3x3x3 convolution and an ASPP.
    pub(super) fn head_features(&mut self, name: &str, width: usize, branches: usize, voxels: u64) {
        self.conv(&format!("{name}.conv0"), width, width, &[3; 3], Bias::Yes, voxels);
        self.aspp(name, width, branches, voxels);
    }

    /// Branches of two dilated 3x3x3 convolutions with their norms.
    pub(super) fn aspp(&mut self, name: &str, width: usize, branches: usize, voxels: u64) {
        for half in 1..=2 {
            for branch in 0..branches {
                self.conv(
                    &format!("{name}.conv{half}.{branch}"),
                    width,
                    width,
                    &[3; 3],
                    Bias::No,
                    voxels,
                );
                self.norm(&format!("{name}.bn{half}.{branch}"), width);
            }
        }
    }

    /// A transposed convolution and a norm; `voxels` of the input.
    pub(super) fn upsample(
        &mut self,
        name: &str,
        input: usize,
        out: usize,
        kernel: usize,
        stride: usize,
        voxels: u64,
    ) {
        let shape = vec![input, out, kernel, kernel, kernel];
        let kind = ParameterKind::TransposedWeight { stride };
        self.push(format!("{name}.main.0.weight"), shape, kind, voxels);
        self.push(format!("{name}.main.0.bias"), vec![out], ParameterKind::Bias, 0);
        self.norm(&format!("{name}.main.1"), out);
    }

    fn push(&mut self, name: String, shape: Vec<usize>, kind: ParameterKind, positions: u64) {
        self.0.push(Parameter { name, shape, kind, positions });
    }
}
