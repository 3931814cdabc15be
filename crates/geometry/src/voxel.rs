//! Voxel grids.
/// A regular grid of cubic voxels in the ego frame; x-major, z fastest: index (ix*Y + iy)*Z + iz.
#[derive(Clone, Copy, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct VoxelGrid {
    /// Minimum corner, metres.
    pub origin_m: [f64; 3],
    /// Edge of a voxel, metres.
    pub voxel_size_m: f64,
    /// X, Y, Z.
    pub dims: [u32; 3],
}
