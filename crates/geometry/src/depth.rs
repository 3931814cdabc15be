//! Depth bins, the depth volume, and the trilinear corners that read it.
//!
//! A network with a depth net predicts, for every cell of a map at 1/8 of its image, a distribution over
//! depth bins: a volume `[D, h, w]`. A voxel reads that volume at its projection, between eight cells.
//! Bins are those of `CaDDN` (Reading et al., CVPR 2021); the sampling is `PyTorch`'s `grid_sample` with
//! `align_corners = false` on a grid that was normalised by size - 1, as published.

use crate::{ImageSize, projection::Projected};
use serde::{Deserialize, Serialize};

/// The depth volume of a network, and how voxels are placed in it.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DepthVolume {
    /// The bins along depth.
    pub bins: DepthBins,
    /// The image size that sampling positions are normalised with, pixels: the reference's `final_dim`,
    /// which is the network's image in every published configuration.
    pub sampling_size: ImageSize,
}

impl DepthVolume {
    /// Checks the bins, and that the sampling size has two pixels at least each way.
    ///
    /// # Errors
    /// The first field that does not hold.
    pub fn validate(&self) -> Result<(), DepthError> {
        self.bins.validate()?;
        if self.sampling_size.width < 2 || self.sampling_size.height < 2 {
            return Err(DepthError::SamplingSize { found: self.sampling_size });
        }
        Ok(())
    }

    /// Shape `[D, h, w]` of the volume for a network's image: ceil(H / 8) x ceil(W / 8) cells.
    pub fn shape(&self, image: ImageSize) -> [u32; 3] {
        [self.bins.count, image.height.div_ceil(STRIDE), image.width.div_ceil(STRIDE)]
    }

    /// Where a projected voxel reads a volume of shape `[D, h, w]`: `[x, y, z]` in cells, with cell
    /// centres at whole numbers.
    ///
    /// With b the bin of the depth: x = u w / (W - 1) - 0.5, y = v h / (H - 1) - 0.5,
    /// z = b D / (D - 1) - 0.5. Not finite for a depth without a bin.
    #[allow(clippy::cast_possible_truncation, reason = "bins are computed in f32")]
    pub fn position(&self, projected: &Projected, [depth, height, width]: [u32; 3]) -> [f64; 3] {
        let cell = |value: f64, cells: u32, size: u32| {
            value * f64::from(cells) / (f64::from(size) - 1.0) - 0.5
        };
        [
            cell(projected.u_px, width, self.sampling_size.width),
            cell(projected.v_px, height, self.sampling_size.height),
            cell(f64::from(self.bins.bin(projected.z_m as f32)), depth, self.bins.count),
        ]
    }
}

/// How a range of depths is divided into bins.
///
/// ```
/// use occdepth_geometry::depth::{BinMode, DepthBins};
///
/// let bins = DepthBins { mode: BinMode::Ud, ..DepthBins::KITTI };
/// assert_eq!(bins.bin(2.5), 1.0);
/// assert_eq!(bins.label(2.6), 1);
/// assert_eq!(bins.label(60.0), 104); // beyond the last bin: the label for "none"
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DepthBins {
    /// How the edges are spaced.
    pub mode: BinMode,
    /// Where the first bin begins, metres.
    pub min_m: f64,
    /// Where the last bin ends, metres.
    pub max_m: f64,
    /// Number of bins, D.
    pub count: u32,
}

impl DepthBins {
    /// The bins that published KITTI networks sample with: 2 to 54 m, as many as of 0.5 m, but spaced
    /// linearly increasing.
    pub const KITTI: Self = Self { mode: BinMode::Lid, min_m: 2.0, max_m: 54.0, count: 104 };

    /// Checks that 0 <= min < max, both finite, and that there are two bins at least.
    ///
    /// # Errors
    /// The first field that does not hold.
    pub fn validate(&self) -> Result<(), DepthError> {
        if !(self.min_m.is_finite() && self.min_m >= 0.0) {
            return Err(DepthError::Min { found: self.min_m });
        }
        if !(self.max_m.is_finite() && self.max_m > self.min_m) {
            return Err(DepthError::Max { found: self.max_m, min_m: self.min_m });
        }
        if self.count < 2 {
            return Err(DepthError::Count { found: self.count });
        }
        Ok(())
    }

    /// The bin of a depth in metres as a real number: bin i holds [i, i + 1).
    ///
    /// Depths outside of the range give numbers outside of 0..D, and NaN where the mode's curve has no
    /// value (LID: more than 1/8 of the first bin below the minimum). Computed in f32, as published:
    /// depths on the border of two bins get the published label.
    #[allow(clippy::cast_possible_truncation, reason = "the published arithmetic is f32")]
    pub fn bin(&self, depth_m: f32) -> f32 {
        let count = f64::from(self.count);
        let min_m = self.min_m as f32;
        let range_m = self.max_m - self.min_m;
        match self.mode {
            BinMode::Ud => (depth_m - min_m) / (range_m / count) as f32,
            BinMode::Lid => {
                let first_m = 2.0 * range_m / (count * (1.0 + count));
                -0.5 + 0.5 * (1.0 + 8.0 * (depth_m - min_m) / first_m as f32).sqrt()
            }
            BinMode::Sid => {
                let from = self.min_m.ln_1p();
                count as f32 * ((1.0 + depth_m).ln() - from as f32)
                    / (self.max_m.ln_1p() - from) as f32
            }
        }
    }

    /// The bin of a depth in metres as a label: 0 to D - 1, and D for a depth without a bin.
    pub fn label(&self, depth_m: f32) -> u32 {
        let bin = self.bin(depth_m);
        if bin >= 0.0 && f64::from(bin) < f64::from(self.count) {
            #[allow(
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                reason = "between 0 and the count, a u32"
            )]
            {
                bin as u32
            }
        } else {
            self.count
        }
    }
}

/// How the edges of depth bins are spaced; named as in `CaDDN`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum BinMode {
    /// Uniform discretisation: bins of one size.
    Ud,
    /// Linear increasing discretisation: each bin is longer than the one before by the first bin's size.
    Lid,
    /// Spacing increasing discretisation: bins of one size in log(1 + depth).
    Sid,
}

/// The eight cells of a depth volume around a position, and their trilinear weights.
///
/// Corner `4 dz + 2 dy + dx` is the cell at floor(z) + dz, floor(y) + dy, floor(x) + dx. A corner outside
/// of the volume has weight 0 and index 0, so that every index may be read.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Corners {
    /// Positions in the volume's memory, `(z * h + y) * w + x`.
    pub index: [i32; 8],
    /// Trilinear weights, 0 to 1; their sum is 1 inside of the volume and less across its border.
    pub weight: [f32; 8],
}

impl Corners {
    /// No corner: every weight and index 0.
    pub const NONE: Self = Self { index: [0; 8], weight: [0.0; 8] };

    /// The corners around a position `[x, y, z]` (in cells, centres at whole numbers) of a volume of
    /// shape `[D, h, w]`, of fewer than 2^31 cells. None where a coordinate is not finite.
    pub fn around(position: [f64; 3], [depth, height, width]: [u32; 3]) -> Self {
        let mut corners = Self::NONE;
        if !position.iter().all(|coordinate| coordinate.is_finite()) {
            return corners;
        }
        let [x, y, z] = [(0, width), (1, height), (2, depth)]
            .map(|(axis, cells)| Neighbours::around(position[axis], cells));
        for corner in 0..8 {
            let (dz, dy, dx) = (corner >> 2, corner >> 1 & 1, corner & 1);
            let cells = (z.cell[dz], y.cell[dy], x.cell[dx]);
            if let (Some(cell_z), Some(cell_y), Some(cell_x)) = cells {
                #[allow(
                    clippy::cast_possible_truncation,
                    clippy::cast_possible_wrap,
                    reason = "an index into fewer than 2^31 cells; weights are f32 tensors"
                )]
                {
                    corners.index[corner] = ((cell_z * height + cell_y) * width + cell_x) as i32;
                    corners.weight[corner] = (z.weight[dz] * y.weight[dy] * x.weight[dx]) as f32;
                }
            }
        }
        corners
    }
}

/// Depth bins, or a depth volume, that cannot be.
#[derive(Clone, Copy, Debug, PartialEq, thiserror::Error)]
pub enum DepthError {
    /// `bins.min_m` is not a depth.
    #[error("depth.bins.min_m: expected metres, 0 or more, found {found}")]
    Min {
        /// The minimum given.
        found: f64,
    },
    /// `bins.max_m` is not beyond the minimum.
    #[error("depth.bins.max_m: expected more than min_m = {min_m} metres, found {found}")]
    Max {
        /// The maximum given.
        found: f64,
        /// The minimum given.
        min_m: f64,
    },
    /// `bins.count` is too small.
    #[error("depth.bins.count: expected 2 bins or more, found {found}")]
    Count {
        /// The number given.
        found: u32,
    },
    /// `sampling_size` is too small to normalise by size - 1.
    #[error("depth.sampling_size: expected 2x2 pixels or more, found {found}")]
    SamplingSize {
        /// The size given.
        found: ImageSize,
    },
}

/// The two cells next to a coordinate along one axis; `None` outside of the axis.
struct Neighbours {
    cell: [Option<u32>; 2],
    weight: [f64; 2],
}

impl Neighbours {
    fn around(coordinate: f64, cells: u32) -> Self {
        let below = coordinate.floor();
        let fraction = coordinate - below;
        #[allow(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a whole number between 0 and the number of cells, a u32"
        )]
        let inside = |cell: f64| (cell >= 0.0 && cell < f64::from(cells)).then_some(cell as u32);
        Self { cell: [inside(below), inside(below + 1.0)], weight: [1.0 - fraction, fraction] }
    }
}

/// The depth net reads the feature map at this fraction of the image, in pixels per cell.
const STRIDE: u32 = 8;
