//! Where voxels fall in images: sampling patterns and the `pixels` table.
/// Pattern id 0..=8 of the published network.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SamplingPattern(u8);
