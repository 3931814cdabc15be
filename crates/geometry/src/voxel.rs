//! Regular voxel grids in the ego frame.
//!
//! A grid is placed by its minimum corner; a voxel is named by its three indices `[ix, iy, iz]` along
//! x, y and z, or by its position in memory, x-major with z fastest: `(ix * Y + iy) * Z + iz`.

use serde::{Deserialize, Serialize};

/// A regular grid of cubic voxels in the ego frame (x forward, y left, z up).
///
/// The fields are public so that grids can be written in configuration; a grid from outside is checked
/// with [`VoxelGrid::validate`], which [`VoxelGrid::new`] does by itself.
///
/// ```
/// use occdepth_geometry::voxel::VoxelGrid;
///
/// let grid = VoxelGrid::KITTI;
/// assert_eq!(grid.voxel_count(), 256 * 256 * 32);
/// assert_eq!(grid.voxel_at([0.1, -25.5, -1.9]), Some([0, 0, 0]));
/// assert_eq!(grid.index([0, 1, 2]), 34);
/// # Ok::<(), occdepth_geometry::voxel::VoxelGridError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct VoxelGrid {
    /// Minimum corner of voxel `[0, 0, 0]`, metres.
    pub origin_m: [f64; 3],
    /// Edge of a voxel, metres.
    pub voxel_size_m: f64,
    /// Number of voxels along x, y, z.
    pub dims: [u32; 3],
}

impl VoxelGrid {
    /// The grid of `SemanticKITTI`'s scene completion (semantic-kitti.org): 51.2 x 51.2 x 6.4 m in front
    /// of the velodyne.
    pub const KITTI: Self =
        Self { origin_m: [0.0, -25.6, -2.0], voxel_size_m: 0.2, dims: [256, 256, 32] };

    /// A grid that has passed [`Self::validate`].
    ///
    /// # Errors
    /// As [`Self::validate`].
    pub fn new(
        origin_m: [f64; 3],
        voxel_size_m: f64,
        dims: [u32; 3],
    ) -> Result<Self, VoxelGridError> {
        let grid = Self { origin_m, voxel_size_m, dims };
        grid.validate()?;
        Ok(grid)
    }

    /// The grid of `NYUv2` scene completion at the output scale: 4.8 x 4.8 x 2.88 m at 0.08 m, x-major
    /// with z up. Every scene has its own origin (the reference stores its volumes as `[X, Z, Y]`).
    ///
    /// # Errors
    /// [`VoxelGridError::Origin`] when the origin is not finite.
    pub fn nyu(origin_m: [f64; 3]) -> Result<Self, VoxelGridError> {
        Self::new(origin_m, 0.08, [60, 60, 36])
    }

    /// Checks that the origin is finite, the voxel size positive, no dimension zero, and that every
    /// voxel has an index below 2^31.
    ///
    /// # Errors
    /// The first field that does not hold.
    pub fn validate(&self) -> Result<(), VoxelGridError> {
        if !self.origin_m.iter().all(|metres| metres.is_finite()) {
            return Err(VoxelGridError::Origin { found: self.origin_m });
        }
        if !(self.voxel_size_m.is_finite() && self.voxel_size_m > 0.0) {
            return Err(VoxelGridError::VoxelSize { found: self.voxel_size_m });
        }
        let voxels: u128 = self.dims.iter().map(|&dim| u128::from(dim)).product();
        if voxels == 0 || voxels > MAX_VOXELS {
            return Err(VoxelGridError::Dims { found: self.dims });
        }
        Ok(())
    }

    /// Number of voxels, `X * Y * Z`.
    pub fn voxel_count(&self) -> usize {
        self.dims.iter().map(|&dim| dim as usize).product()
    }

    /// Position of a voxel in memory: `(ix * Y + iy) * Z + iz`. The voxel has to be inside of the grid.
    pub fn index(&self, [ix, iy, iz]: [u32; 3]) -> usize {
        let [_, dim_y, dim_z] = self.dims.map(|dim| dim as usize);
        (ix as usize * dim_y + iy as usize) * dim_z + iz as usize
    }

    /// The voxel at a position in memory, the inverse of [`Self::index`]; `None` past the last voxel.
    pub fn voxel(&self, index: usize) -> Option<[u32; 3]> {
        if index >= self.voxel_count() {
            return None;
        }
        let [_, dim_y, dim_z] = self.dims.map(|dim| dim as usize);
        let voxel = [index / dim_z / dim_y, index / dim_z % dim_y, index % dim_z];
        #[allow(clippy::cast_possible_truncation, reason = "each is below its dimension, a u32")]
        Some(voxel.map(|position| position as u32))
    }

    /// Centre of a voxel in the ego frame, metres.
    pub fn centre_m(&self, voxel: [u32; 3]) -> [f64; 3] {
        std::array::from_fn(|axis| {
            self.origin_m[axis] + (f64::from(voxel[axis]) + 0.5) * self.voxel_size_m
        })
    }

    /// The voxel that holds a point of the ego frame (metres), with its lower faces; `None` outside of the grid or
    /// for a point that is not finite.
    pub fn voxel_at(&self, point_m: [f64; 3]) -> Option<[u32; 3]> {
        let mut voxel = [0; 3];
        for axis in 0..3 {
            let position = ((point_m[axis] - self.origin_m[axis]) / self.voxel_size_m).floor();
            if !(position >= 0.0 && position < f64::from(self.dims[axis])) {
                return None;
            }
            #[allow(
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                reason = "a whole number between 0 and the dimension, a u32"
            )]
            {
                voxel[axis] = position as u32;
            }
        }
        Some(voxel)
    }

    /// The grid over the same volume with voxels `scale` times as large, on which a network with that
    /// project scale samples its images.
    ///
    /// The published code rounds sizes that do not divide up in one place and down in another; such a
    /// grid is refused here.
    ///
    /// # Errors
    /// [`VoxelGridError::Scale`] when `scale` is zero or does not divide every dimension.
    pub fn coarsened(&self, scale: u32) -> Result<Self, VoxelGridError> {
        if scale == 0 || self.dims.iter().any(|dim| dim % scale != 0) {
            return Err(VoxelGridError::Scale { found: scale, dims: self.dims });
        }
        Ok(Self {
            origin_m: self.origin_m,
            voxel_size_m: self.voxel_size_m * f64::from(scale),
            dims: self.dims.map(|dim| dim / scale),
        })
    }
}

/// A voxel grid that cannot be.
#[derive(Clone, Copy, Debug, PartialEq, thiserror::Error)]
pub enum VoxelGridError {
    /// `origin_m` is not finite.
    #[error("origin_m: expected three finite numbers of metres, found {found:?}")]
    Origin {
        /// The origin given.
        found: [f64; 3],
    },
    /// `voxel_size_m` is not a positive length.
    #[error("voxel_size_m: expected a positive number of metres, found {found}")]
    VoxelSize {
        /// The size given.
        found: f64,
    },
    /// `dims` has a zero, or too many voxels for 32-bit indices.
    #[error("dims: expected three positive counts with a product below 2^31, found {found:?}")]
    Dims {
        /// The dimensions given.
        found: [u32; 3],
    },
    /// The project scale does not divide the grid.
    #[error(
        "project_scale: expected a positive divisor of every dimension of {dims:?}, found {found}"
    )]
    Scale {
        /// The scale given.
        found: u32,
        /// The grid's dimensions.
        dims: [u32; 3],
    },
}

/// Voxel indices travel as int32 in the network's tensors.
const MAX_VOXELS: u128 = i32::MAX as u128;
