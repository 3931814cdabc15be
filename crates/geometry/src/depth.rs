//! Depth bins and the trilinear tables into the depth volume.
use crate::ImageSize;
/// How depth is divided into bins.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum BinMode {
    /** Uniform. */
    Ud,
    /** Linear increasing. */
    Lid,
    /** Spacing increasing. */
    Sid,
}
/// The depth bins of a network.
#[derive(Clone, Copy, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DepthBins {
    pub mode: BinMode,
    pub min_m: f64,
    pub max_m: f64,
    pub count: u32,
}
/// The depth volume [count, h, w] at 1/8 of the image, and the size its sampling positions are normalised with
/// (`final_dim` of the reference).
#[derive(Clone, Copy, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DepthVolume {
    pub bins: DepthBins,
    pub sampling_size: ImageSize,
}
