//! Logits to labelled voxels.

/// Where a run puts its grid: memory of the caller, all in voxel order x-major, z fastest.
#[derive(Debug)]
pub struct GridOutput<'a> {
    /// u8 [X, Y, Z]: class ids; 255 = unknown.
    pub labels: &'a mut [u8],
    /// u8 [X, Y, Z]: softmax probability of the winner, 255 = 1.0.
    pub confidence: Option<&'a mut [u8]>,
    /// f32 [C, X, Y, Z]: a copy of the logits, for `infer --logits` and tests.
    pub logits: Option<&'a mut [f32]>,
}
