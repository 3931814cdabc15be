//! Three-dimensional operators as their definitions say, one sum for each output.
//!
//! ONNX operator specifications of `Conv`, `ConvTranspose` and `AveragePool`, written out.

/// A volume `[B, C, X, Y, Z]`.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Volume {
    pub(crate) dims: [usize; 5],
    pub(crate) values: Vec<f32>,
}

/// Kernel (taps), stride, dilation, pads before and after, output padding along one axis.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Axis {
    pub(crate) taps: usize,
    pub(crate) stride: usize,
    pub(crate) dilation: usize,
    pub(crate) pads: [usize; 2],
    pub(crate) output_padding: usize,
}

impl Axis {
    pub(crate) const PLAIN: Self =
        Self { taps: 1, stride: 1, dilation: 1, pads: [0; 2], output_padding: 0 };

    pub(crate) fn taps(taps: usize) -> Self {
        Self { taps, ..Self::PLAIN }
    }

    /// Extent of a convolution's output; `None`: the kernel does not fit.
    pub(crate) fn convolved(self, extent: usize) -> Option<usize> {
        let padded = extent + self.pads[0] + self.pads[1];
        Some((padded.checked_sub((self.taps - 1) * self.dilation + 1)?) / self.stride + 1)
    }

    /// Extent of a transposed convolution's output.
    pub(crate) fn transposed(self, extent: usize) -> Option<usize> {
        (self.stride * (extent - 1) + self.output_padding + (self.taps - 1) * self.dilation + 1)
            .checked_sub(self.pads[0] + self.pads[1])
    }

    /// Where tap `tap` of the window at `position` lies on the axis.
    fn at(self, position: usize, tap: usize, extent: usize) -> Option<usize> {
        (position * self.stride + tap * self.dilation)
            .checked_sub(self.pads[0])
            .filter(|&at| at < extent)
    }
}

impl Volume {
    pub(crate) fn at(&self, [b, c, x, y, z]: [usize; 5]) -> f32 {
        let [_, channels, nx, ny, nz] = self.dims;
        self.values[(((b * channels + c) * nx + x) * ny + y) * nz + z]
    }

    fn of(dims: [usize; 5], mut value: impl FnMut([usize; 5]) -> f32) -> Self {
        let mut values = Vec::new();
        each([dims[0], dims[1], 1], |[b, c, _]| {
            each([dims[2], dims[3], dims[4]], |[x, y, z]| values.push(value([b, c, x, y, z])));
        });
        Self { dims, values }
    }
}

/// Convolution; `weights` is `[O, C / groups, kx, ky, kz]`.
pub(crate) fn conv(
    input: &Volume,
    weights: &Volume,
    bias: &[f32],
    axes: [Axis; 3],
    groups: usize,
) -> Volume {
    let [batch, _, x, y, z] = input.dims;
    let [out_channels, per_group, ..] = weights.dims;
    let extent = |axis: usize| axes[axis].convolved([x, y, z][axis]).unwrap();
    Volume::of([batch, out_channels, extent(0), extent(1), extent(2)], |[b, o, ox, oy, oz]| {
        let mut sum = f64::from(bias.get(o).copied().unwrap_or(0.0));
        let first = o / (out_channels / groups) * per_group;
        for c in 0..per_group {
            each(axes.map(|axis| axis.taps), |[kx, ky, kz]| {
                let at = (axes[0].at(ox, kx, x), axes[1].at(oy, ky, y), axes[2].at(oz, kz, z));
                if let (Some(ix), Some(iy), Some(iz)) = at {
                    sum += f64::from(input.at([b, first + c, ix, iy, iz]))
                        * f64::from(weights.at([o, c, kx, ky, kz]));
                }
            });
        }
        sum as f32
    })
}

/// Transposed convolution of one group; `weights` is `[C, O, kx, ky, kz]`.
pub(crate) fn conv_transpose(
    input: &Volume,
    weights: &Volume,
    bias: &[f32],
    axes: [Axis; 3],
) -> Volume {
    let [batch, channels, x, y, z] = input.dims;
    let out_channels = weights.dims[1];
    let [ox, oy, oz] = [0, 1, 2].map(|axis| axes[axis].transposed([x, y, z][axis]).unwrap());
    let mut output = Volume::of([batch, out_channels, ox, oy, oz], |[_, o, ..]| {
        bias.get(o).copied().unwrap_or(0.0)
    });
    for b in 0..batch {
        for (c, o) in (0..channels).flat_map(|c| (0..out_channels).map(move |o| (c, o))) {
            each([x, y, z], |from| {
                each(axes.map(|axis| axis.taps), |tap| {
                    let to = [0, 1, 2].map(|axis| {
                        (from[axis] * axes[axis].stride + tap[axis] * axes[axis].dilation)
                            .checked_sub(axes[axis].pads[0])
                            .filter(|&to| to < [ox, oy, oz][axis])
                    });
                    if let [Some(tx), Some(ty), Some(tz)] = to {
                        output.values[(((b * out_channels + o) * ox + tx) * oy + ty) * oz + tz] +=
                            input.at([b, c, from[0], from[1], from[2]])
                                * weights.at([c, o, tap[0], tap[1], tap[2]]);
                    }
                });
            });
        }
    }
    output
}

/// Average pooling with the padding counted as zeros.
pub(crate) fn average_pool(input: &Volume, axes: [Axis; 3]) -> Volume {
    let [batch, channels, x, y, z] = input.dims;
    let extent = |axis: usize| axes[axis].convolved([x, y, z][axis]).unwrap();
    let count: usize = axes.iter().map(|axis| axis.taps).product();
    Volume::of([batch, channels, extent(0), extent(1), extent(2)], |[b, c, ox, oy, oz]| {
        let mut sum = 0.0;
        each(axes.map(|axis| axis.taps), |[kx, ky, kz]| {
            let at = (axes[0].at(ox, kx, x), axes[1].at(oy, ky, y), axes[2].at(oz, kz, z));
            if let (Some(ix), Some(iy), Some(iz)) = at {
                sum += f64::from(input.at([b, c, ix, iy, iz]));
            }
        });
        (sum / count as f64) as f32
    })
}

fn each(dims: [usize; 3], mut visit: impl FnMut([usize; 3])) {
    for x in 0..dims[0] {
        for y in 0..dims[1] {
            for z in 0..dims[2] {
                visit([x, y, z]);
            }
        }
    }
}

/// Whole numbers from -4 to 4, from a linear congruential generator (Numerical Recipes).
pub(crate) struct Integers(pub(crate) u32);

impl Integers {
    pub(crate) fn take(&mut self, count: usize) -> Vec<f32> {
        let mut next = || {
            self.0 = self.0.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (self.0 >> 16) % 9
        };
        (0..count).map(|_| next() as f32 - 4.0).collect()
    }

    pub(crate) fn volume(&mut self, dims: [usize; 5]) -> Volume {
        Volume { dims, values: self.take(dims.iter().product()) }
    }
}
