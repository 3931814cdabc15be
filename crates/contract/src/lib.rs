//! What an exported OccDepth network promises (skeleton).
#![forbid(unsafe_code)]
use occdepth_geometry::{ImageSize, depth::DepthVolume, fit::Fit};
use serde::{Deserialize, Serialize};

/// Key of the ONNX `metadata_props` entry that holds the contract as JSON.
pub const METADATA_KEY: &str = "occdepth";

/// The metadata document of an exported network.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Contract {
    /// "major.minor"; a newer major is refused.
    pub contract_version: String,
    pub preset: String,
    pub dataset: String,
    pub training: Training,
    pub views: u32,
    pub image: ImageSize,
    pub scales: Vec<u32>,
    pub pattern: u8,
    pub project_scale: u32,
    pub grid: GridSpec,
    pub depth: Option<DepthVolume>,
    pub fit: Fit,
    pub normalisation: Normalisation,
    pub classes: Vec<Class>,
    pub inputs: Vec<TensorSpec>,
    pub outputs: Vec<TensorSpec>,
    pub precision: Precision,
    pub quirks: Quirks,
    /// SHA-256 of the imported checkpoint, hex; none for weights made here.
    pub source_checkpoint: Option<String>,
    /// Program and version that wrote the file.
    pub exporter: String,
}
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Training {
    pub trained: bool,
    /** On what; for an untrained network how it was initialised. */
    pub note: String,
}
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GridSpec {
    /// For people: "x forward, y left, z up".
    pub axes: String,
    /// None: per scene.
    pub origin_m: Option<[f64; 3]>,
    pub voxel_size_m: f64,
    pub dims: [u32; 3],
}
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Normalisation {
    pub mean: [f32; 3],
    pub std: [f32; 3],
}
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Class {
    pub id: u8,
    pub name: String,
    pub colour: [u8; 3],
}
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TensorSpec {
    pub name: String,
    pub shape: Vec<u64>,
    pub dtype: DType,
}
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum DType {
    F32,
    I32,
}
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Precision {
    Fp32,
    Fp16,
    Int8,
}
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Quirks {
    /** Project scale 1 samples both views with the left view's pixels. */
    pub right_samples_left_pixels: bool,
}
