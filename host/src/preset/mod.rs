//! The shape of a network: every width, stage and head in one TOML document.
//!
//! A [`Preset`] is all that the network, its export and its training need to know: which images go
//! in, which grid comes out, and how wide each layer between them is. Published `OccDepth` networks
//! are presets like any other (`kitti-b3`), so importing a checkpoint is a matter of comparing
//! names and shapes with [`Preset::parameters`].
//!
//! ```
//! use occdepth_host::preset::Preset;
//!
//! let preset = Preset::builtin("nano")?;
//! assert_eq!(preset.grid.dims, [128, 128, 16]);
//! let stem = "net_rgb.encoder.original_model.conv_stem.weight";
//! assert!(preset.parameters().iter().any(|parameter| parameter.name == stem));
//! # Ok::<(), occdepth_host::preset::PresetError>(())
//! ```

pub(crate) mod cost;
mod dataset;
mod encoder;
pub(crate) mod parameters;
mod validate;

use std::path::{Path, PathBuf};

use occdepth_geometry::{
    ImageSize, depth::DepthVolume, fit::Fit, network::GeometrySpec, voxel::VoxelGrid,
};
use serde::{Deserialize, Serialize};

pub use cost::{Cost, Module};
pub use dataset::Dataset;
pub use encoder::{Encoder, EncoderBlock, STAGE_STRIDES, Stage};
pub use parameters::{Parameter, ParameterKind};

/// One network, as data. Read with [`Preset::builtin`], [`Preset::read`] or [`Preset::parse`],
/// which also validate; a preset changed by hand is checked again by [`Preset::validate`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Preset {
    /// Short name, as in `--preset nano`.
    pub name: String,
    /// One line for people: what the preset is for.
    pub description: String,
    /// Decides the classes.
    pub dataset: Dataset,
    /// Cameras: 1 or 2.
    pub views: usize,
    /// An RGB-D network of one view: from its features and a depth image it makes those of a right
    /// view. It has the inputs `depth_m` and `baseline_focal`, and `pixels` has two views.
    #[serde(default)]
    pub virtual_stereo: bool,
    /// How a rig's images become the network's.
    pub fit: Fit,
    /// Sampling pattern id, 0 to 8, of the pixels that a voxel gathers in each view.
    pub pattern: u8,
    /// Image scales that a voxel gathers from, ascending, out of 1, 2, 4, 8 and 16.
    pub scales: Vec<u32>,
    /// Voxels are projected at this multiple of the grid's voxel size: 1 or 2. At 2 the last
    /// upsampling doubles the grid; at 1 it keeps it.
    pub project_scale: u32,
    /// Whether the right view's features are gathered with the left view's pixels. Unless said
    /// otherwise, as published: see [`Preset::samples_right_with_left_pixels`].
    pub right_samples_left_pixels: Option<bool>,
    /// Size of the network's images.
    pub image: ImageSize,
    /// The output grid.
    pub grid: Grid,
    /// The image encoder.
    pub encoder: Encoder,
    /// The image decoder.
    pub decoder: Decoder,
    /// The depth net; none: the features are lifted without a depth distribution.
    pub depth: Option<DepthNet>,
    /// The 3-D network.
    pub unet: Unet,
    /// The context relation prior at 1/4 of the projection grid; none leaves it out.
    pub relation_prior: Option<RelationPrior>,
    /// From the last features to class logits.
    pub head: Head,
}

/// The output grid in the ego frame (x forward, y left, z up; `NYUv2`: its world, z up).
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Grid {
    /// Minimum corner of voxel `[0, 0, 0]`, metres; none: every scene has its own (`NYUv2`).
    pub origin_m: Option<[f64; 3]>,
    /// Edge of a voxel, metres.
    pub voxel_size_m: f64,
    /// Number of voxels along x, y, z.
    pub dims: [u32; 3],
}

/// The image decoder: 1x1 `conv2` with padding 1, then one up-block per scale.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Decoder {
    /// Output channels of `conv2`.
    pub bottleneck: usize,
    /// Output channels of the up-blocks at 1/16, 1/8, 1/4, 1/2 and 1/1; those finer than the finest
    /// of the preset's scales are not run.
    pub widths: [usize; 5],
    /// The finest scale whose up-block a checkpoint holds (the published option of that name): 1, 2,
    /// 4, 8 or 16, not coarser than the preset's scales; none: the finest of those. Blocks that are
    /// held and not run are among [`Preset::unused_parameters`].
    pub return_up_feats: Option<u32>,
    /// After both batch norms of an up-block.
    pub activation: Activation,
}

/// One up-block of the decoder; see [`Preset::up_blocks`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UpBlock {
    /// `up16` to `up1`, below `net_rgb.decoder`.
    pub name: String,
    /// 16 to 1: the output is ceil(W / scale) x ceil(H / scale).
    pub scale: u32,
    /// Channels of the coarser map.
    pub input: usize,
    /// Channels of the encoder's tap (of the image at scale 1).
    pub skip: usize,
    /// Output channels.
    pub output: usize,
    /// Whether `resize_output_1_SCALE` follows: the scale is one that voxels gather from.
    pub resized: bool,
}

/// The depth net: from the features at 1/8 to a distribution over depth bins per pixel.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DepthNet {
    /// Channels between the reduce convolution and the bins.
    pub width: usize,
    /// Residual basic blocks.
    pub blocks: usize,
    /// Depth bins and how the volume is sampled.
    pub volume: DepthVolume,
}

/// The 3-D U-Net over the projection grid and its two halvings.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Unet {
    /// Channels at the projection grid (also of the gathered image features), at 1/2 and at 1/4 of
    /// it.
    pub widths: [usize; 3],
    /// Channels of the full grid, after the last upsampling. None: the published `NYUv2` network,
    /// which has no last upsampling (its head reads the projection grid, and its layers have names
    /// of their own, see [`Unet::names`]).
    pub full_width: Option<usize>,
    /// Dilations of the bottlenecks before each halving, one bottleneck each.
    pub dilations: Vec<usize>,
    /// Side of the transposed kernels: 3 as published (overlapping), or 2 (each voxel becomes
    /// eight, cheaper).
    pub upsample_kernel: usize,
    /// How the 3-D network stores its volumes; its inputs and outputs are x-major all the same.
    #[serde(default)]
    pub axes: AxisOrder,
}

/// The order of a volume's axes inside the 3-D network: kernels along one axis, and the relation
/// prior's voxels, follow it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum AxisOrder {
    /// [X, Y, Z], as outside.
    #[default]
    Xyz,
    /// [X, Z, Y]: the published `NYUv2` networks (60x36x60).
    Xzy,
}

/// Names of the U-Net's layers below `net_3d_decoder`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UnetNames {
    /// From the projection grid to 1/2, and on to 1/4.
    pub process: [&'static str; 2],
    /// From 1/4 to 1/2, and on to the projection grid.
    pub up: [&'static str; 2],
    /// From the projection grid to the full grid; none without a last upsampling.
    pub up_full: Option<&'static str>,
    /// The head.
    pub head: &'static str,
}

/// The context relation prior: relations between every voxel and the mega-voxels of 2x2x2 voxels.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RelationPrior {
    /// Relations: 4, or 2 (same class or not). The published `SemanticKITTI` network always has 4,
    /// whatever its configuration says.
    pub relations: usize,
    /// Dilations of its 3-D ASPP.
    pub dilations: Vec<usize>,
}

/// From the features of the full grid to class logits.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Head {
    /// The published head: 3x3x3 convolution, 3-D ASPP, 3x3x3 class convolution.
    Aspp {
        /// Dilations of the ASPP's branches.
        dilations: Vec<usize>,
        /// Two occupancy logits first, whose softmax the class convolution sees too.
        cascade: bool,
        /// A second head of the same shape, for whether a voxel is occluded. It never changes the
        /// class logits.
        #[serde(default)]
        occluded: bool,
    },
    /// For small machines: bottlenecks on the projection grid, then, after the last upsampling, one
    /// 1x1x1 class convolution and nothing else at full size.
    Slim {
        /// Dilations of the bottlenecks, one each; they run before the last upsampling.
        dilations: Vec<usize>,
    },
}

/// Activation functions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Activation {
    /// x * sigmoid(x).
    Silu,
    /// max(x, 0).
    Relu,
    /// x where positive, [`LEAKY_SLOPE`] * x elsewhere.
    LeakyRelu,
}

/// Why a preset cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum PresetError {
    /// No preset of that name is built in.
    #[error("no preset is called {name:?}; built in are {}", builtin_names())]
    UnknownName {
        /// The name asked for.
        name: String,
    },
    /// The file could not be read.
    #[error("cannot read the preset {}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// Not TOML, an unknown key, a missing key or a value of the wrong type.
    #[error("{origin}: not a preset")]
    Parse {
        /// The file, or `built-in preset NAME`.
        origin: String,
        /// Line, key and cause.
        source: Box<toml::de::Error>,
    },
    /// A value that makes no network.
    #[error("{origin}: {field} is {found}, expected {expected}")]
    Field {
        /// The file, or `built-in preset NAME`.
        origin: String,
        /// The key, with its table.
        field: &'static str,
        /// The value.
        found: String,
        /// What would do.
        expected: String,
    },
}

impl Preset {
    /// Names and documents of the built-in presets.
    pub const BUILTIN: [(&'static str, &'static str); 12] = [
        ("nano", include_str!("../../presets/nano.toml")),
        ("kitti-b3", include_str!("../../presets/kitti-b3.toml")),
        ("kitti-b7", include_str!("../../presets/kitti-b7.toml")),
        ("kitti-b7-flosp", include_str!("../../presets/kitti-b7-flosp.toml")),
        ("kitti-mono", include_str!("../../presets/kitti-mono.toml")),
        ("monoscene", include_str!("../../presets/monoscene.toml")),
        ("monoscene-stereo", include_str!("../../presets/monoscene-stereo.toml")),
        ("nyu-b4", include_str!("../../presets/nyu-b4.toml")),
        ("nyu-b4-flospdepth", include_str!("../../presets/nyu-b4-flospdepth.toml")),
        ("nyu-b7", include_str!("../../presets/nyu-b7.toml")),
        ("nyu-b7-flospdepth", include_str!("../../presets/nyu-b7-flospdepth.toml")),
        ("tartanair", include_str!("../../presets/tartanair.toml")),
    ];

    /// The built-in preset `name`.
    ///
    /// # Errors
    /// [`PresetError::UnknownName`], with the names that exist.
    pub fn builtin(name: &str) -> Result<Self, PresetError> {
        let (_, text) = Self::BUILTIN
            .iter()
            .find(|(builtin, _)| *builtin == name)
            .ok_or_else(|| PresetError::UnknownName { name: name.into() })?;
        Self::parse(text, &format!("built-in preset {name}"))
    }

    /// Reads and validates a preset file.
    ///
    /// # Errors
    /// If the file cannot be read, is not a preset, or has a value that makes no network.
    pub fn read(path: &Path) -> Result<Self, PresetError> {
        let text = std::fs::read_to_string(path)
            .map_err(|source| PresetError::Read { path: path.into(), source })?;
        Self::parse(&text, &path.display().to_string())
    }

    /// Parses and validates a TOML document; `origin` names it in errors.
    ///
    /// # Errors
    /// If it is not a preset, or has a value that makes no network.
    pub fn parse(text: &str, origin: &str) -> Result<Self, PresetError> {
        let preset: Self = toml::from_str(text).map_err(|source| PresetError::Parse {
            origin: origin.into(),
            source: Box::new(source),
        })?;
        preset.validate(origin)?;
        Ok(preset)
    }

    /// What the geometry crate needs to compute this network's geometry inputs.
    ///
    /// `scene_origin_m` is the grid's minimum corner (metres) for a network whose scenes have their
    /// own; it also moves a grid that has an origin.
    ///
    /// # Errors
    /// [`PresetError::Field`] for a grid without an origin where none is given.
    pub fn geometry(&self, scene_origin_m: Option<[f64; 3]>) -> Result<GeometrySpec, PresetError> {
        let Some(origin_m) = scene_origin_m.or(self.grid.origin_m) else {
            return Err(PresetError::Field {
                origin: format!("preset {}", self.name),
                field: "grid.origin_m",
                found: "none (per scene)".into(),
                expected: "the scene's origin, three numbers of metres".into(),
            });
        };
        Ok(GeometrySpec {
            views: self.views,
            image: self.image,
            scales: self.scales.clone(),
            pattern: self.pattern,
            project_scale: self.project_scale,
            grid: VoxelGrid {
                origin_m,
                voxel_size_m: self.grid.voxel_size_m,
                dims: self.grid.dims,
            },
            depth: self.depth.map(|depth| depth.volume),
            right_samples_left_pixels: self.samples_right_with_left_pixels(),
        })
    }

    /// Whether the right view's features are gathered with the left view's pixels.
    ///
    /// The published `SemanticKITTI` pipeline lists the projections of its output scale and of its
    /// project scale under one name each. At project scale 1 the two are one: the list becomes left,
    /// left, right, right, and the network reads its first two entries. A checkpoint trained that
    /// way expects it, so that it is the default for two views of that data set at project scale 1,
    /// and only there. (No released configuration is one; the reference values for project scale 1
    /// were made below that pipeline, with each view's own pixels.)
    pub fn samples_right_with_left_pixels(&self) -> bool {
        self.right_samples_left_pixels.unwrap_or(
            self.dataset == Dataset::SemanticKitti && self.views == 2 && self.project_scale == 1,
        )
    }

    /// Views of the input `pixels`: those of the rig, or 2 with a virtual right one.
    pub const fn pixel_views(&self) -> usize {
        if self.virtual_stereo { 2 } else { self.views }
    }

    /// Channels that the head reads.
    pub fn head_width(&self) -> usize {
        self.unet.full_width.unwrap_or(self.unet.widths[0])
    }

    /// X, Y, Z of the output grid.
    pub fn grid_dims(&self) -> [usize; 3] {
        self.grid.dims.map(|n| n as usize)
    }

    /// X, Y, Z of the grid that voxels are projected at: the output grid divided by the project
    /// scale.
    pub fn projection_dims(&self) -> [usize; 3] {
        self.grid_dims().map(|n| n / self.project_scale as usize)
    }

    /// Voxels at the projection scale (`N` of the contract).
    pub fn projection_voxels(&self) -> usize {
        self.projection_dims().iter().product()
    }

    /// Width and height of a feature map at `1 / scale`: ceil(W / scale), ceil(H / scale).
    pub fn map_size(&self, scale: u32) -> ImageSize {
        ImageSize {
            width: self.image.width.div_ceil(scale),
            height: self.image.height.div_ceil(scale),
        }
    }

    /// The up-blocks of the decoder in order of use, coarse to fine.
    pub fn up_blocks(&self) -> Vec<UpBlock> {
        let finest = self.finest_scale();
        self.decoder_blocks().filter(|block| block.scale >= finest).collect()
    }

    /// Up-blocks that a checkpoint holds although no voxel gathers from them or a finer one.
    fn unused_up_blocks(&self) -> Vec<UpBlock> {
        let finest = self.finest_scale();
        let held = self.decoder.return_up_feats.unwrap_or(finest);
        self.decoder_blocks().filter(|block| (held..finest).contains(&block.scale)).collect()
    }

    fn finest_scale(&self) -> u32 {
        self.scales.first().copied().unwrap_or(1)
    }

    /// Every up-block that could be, coarse to fine.
    fn decoder_blocks(&self) -> impl Iterator<Item = UpBlock> {
        let stages = &self.encoder.stages;
        let skips =
            [stages[4].width, stages[2].width, stages[1].width, stages[0].width, IMAGE_CHANNELS];
        let [w16, w8, w4, w2, _] = self.decoder.widths;
        let inputs = [self.decoder.bottleneck, w16, w8, w4, w2];
        [16, 8, 4, 2, 1].into_iter().zip(inputs).zip(skips).zip(self.decoder.widths).map(
            |(((scale, input), skip), output)| UpBlock {
                name: format!("up{scale}"),
                scale,
                input,
                skip,
                output,
                resized: self.scales.contains(&scale),
            },
        )
    }
}

impl Unet {
    /// Names of the layers in published checkpoints.
    pub const fn names(&self) -> UnetNames {
        if self.full_width.is_some() {
            UnetNames {
                process: ["process_l1", "process_l2"],
                up: ["up_13_l2", "up_12_l1"],
                up_full: Some("up_l1_lfull"),
                head: "ssc_head",
            }
        } else {
            UnetNames {
                process: ["process_1_4", "process_1_8"],
                up: ["up_1_16_1_8", "up_1_8_1_4"],
                up_full: None,
                head: "ssc_head_1_4",
            }
        }
    }
}

impl AxisOrder {
    /// X, Y, Z in this order.
    pub const fn arrange<T: Copy>(self, [x, y, z]: [T; 3]) -> [T; 3] {
        match self {
            Self::Xyz => [x, y, z],
            Self::Xzy => [x, z, y],
        }
    }
}

fn builtin_names() -> String {
    Preset::BUILTIN.map(|(name, _)| name).join(", ")
}

impl Head {
    /// Whether the head predicts occupancy logits on the way.
    pub const fn is_cascade(&self) -> bool {
        matches!(self, Self::Aspp { cascade: true, .. })
    }

    /// Whether a second head predicts occluded voxels.
    pub const fn has_occluded(&self) -> bool {
        matches!(self, Self::Aspp { occluded: true, .. })
    }
}

/// Slope of [`Activation::LeakyRelu`] below zero (`PyTorch`'s default, which the published decoder
/// uses).
pub const LEAKY_SLOPE: f64 = 0.01;
/// Epsilon of the encoder's batch norms (TensorFlow's, as `tf_efficientnet_*` has it).
pub const ENCODER_NORM_EPSILON: f64 = 1e-3;
/// Epsilon of every other batch norm (`PyTorch`'s default).
pub const NORM_EPSILON: f64 = 1e-5;
/// The fused volume is features * depth * this (published code).
pub const DEPTH_GAIN: f64 = 100.0;
/// Epsilon of the cosine similarity between two views (`PyTorch`'s default).
pub const COSINE_EPSILON: f64 = 1e-8;
/// Channels of the images: red, green, blue.
pub const IMAGE_CHANNELS: usize = 3;
