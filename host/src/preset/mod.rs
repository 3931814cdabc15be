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

mod cost;
pub(crate) mod parameters;
mod validate;

use std::path::{Path, PathBuf};

use occdepth_geometry::{
    ImageSize, depth::DepthVolume, fit::Fit, network::GeometrySpec, voxel::VoxelGrid,
};
use serde::{Deserialize, Serialize};

pub use cost::Cost;
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
    /// How a rig's images become the network's.
    pub fit: Fit,
    /// Sampling pattern id, 0 to 8, of the pixels that a voxel gathers in each view.
    pub pattern: u8,
    /// Image scales that a voxel gathers from, ascending, out of 1, 2, 4, 8 and 16.
    pub scales: Vec<u32>,
    /// Voxels are projected at this multiple of the grid's voxel size: 1 or 2. At 2 the last
    /// upsampling doubles the grid; at 1 it keeps it.
    pub project_scale: u32,
    /// The published code, at project scale 1, samples the right image with the left view's pixels.
    /// Networks trained that way need it; nothing else does.
    #[serde(default)]
    pub right_samples_left_pixels: bool,
    /// Size of the network's images.
    pub image: ImageSize,
    /// The output grid.
    pub grid: VoxelGrid,
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

/// Where a network's classes come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Dataset {
    /// `SemanticKITTI` scene completion: 20 classes, 0 is empty.
    SemanticKitti,
}

/// An `EfficientNet` encoder: stem, seven stages of inverted residuals, and the 1x1 head
/// convolution.
///
/// Its taps are the outputs of stages 0, 1, 2 and 4 (1/2, 1/4, 1/8, 1/16) and of the head
/// convolution before its batch norm (1/32), as the published decoder reads them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Encoder {
    /// Channels of the 3x3 stem convolution, stride 2.
    pub stem: usize,
    /// The seven stages, from the image on.
    pub stages: [Stage; 7],
    /// Channels of the head convolution.
    pub head: usize,
    /// After every batch norm but a block's last.
    pub activation: Activation,
    /// Whether blocks squeeze and excite, reducing to a quarter of the block's input channels.
    pub squeeze_excite: bool,
}

/// One stage of the encoder; the strides of the seven stages are always 1, 2, 2, 2, 1, 2, 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Stage {
    /// Number of blocks; only the first one has the stage's stride.
    pub blocks: usize,
    /// Side of the depthwise kernel: 3 or 5.
    pub kernel: usize,
    /// Hidden channels per input channel; 1 makes depthwise-separable blocks without an expanding
    /// convolution.
    pub expansion: usize,
    /// Output channels.
    pub width: usize,
}

/// One block of the encoder, with everything a layer needs; see [`Encoder::blocks`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EncoderBlock {
    /// `blocks.STAGE.INDEX`, below `net_rgb.encoder.original_model`.
    pub name: String,
    /// Stage 0 to 6.
    pub stage: usize,
    /// Input channels.
    pub input: usize,
    /// Channels of the depthwise convolution.
    pub hidden: usize,
    /// Output channels.
    pub output: usize,
    /// Side of the depthwise kernel.
    pub kernel: usize,
    /// 1 or 2.
    pub stride: usize,
    /// Channels that squeeze-and-excite reduces to, if the block has one.
    pub reduced: Option<usize>,
    /// Inverted residual (`conv_pw`, `conv_dw`, `conv_pwl`) rather than depthwise-separable
    /// (`conv_dw`, `conv_pw`).
    pub expands: bool,
    /// Whether the input is added to the output.
    pub residual: bool,
}

/// The image decoder: 1x1 `conv2` with padding 1, then one up-block per scale.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Decoder {
    /// Output channels of `conv2`.
    pub bottleneck: usize,
    /// Output channels of the up-blocks at 1/16, 1/8, 1/4, 1/2 and 1/1; those below the finest of
    /// the preset's scales are not built.
    pub widths: [usize; 5],
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
    /// Channels of the full grid.
    pub full_width: usize,
    /// Dilations of the bottlenecks before each halving, one bottleneck each.
    pub dilations: Vec<usize>,
    /// Side of the transposed kernels: 3 as published (overlapping), or 2 (each voxel becomes
    /// eight, cheaper).
    pub upsample_kernel: usize,
}

/// The context relation prior: relations between every voxel and the mega-voxels of 2x2x2 voxels.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RelationPrior {
    /// Relations, 4 or 2 in the paper.
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
    pub const BUILTIN: [(&'static str, &'static str); 2] = [
        ("nano", include_str!("../../presets/nano.toml")),
        ("kitti-b3", include_str!("../../presets/kitti-b3.toml")),
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
    pub fn geometry(&self) -> GeometrySpec {
        GeometrySpec {
            views: self.views,
            image: self.image,
            scales: self.scales.clone(),
            pattern: self.pattern,
            project_scale: self.project_scale,
            grid: self.grid,
            depth: self.depth.map(|depth| depth.volume),
            right_samples_left_pixels: self.right_samples_left_pixels,
        }
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
        let stages = &self.encoder.stages;
        let skips =
            [stages[4].width, stages[2].width, stages[1].width, stages[0].width, IMAGE_CHANNELS];
        let finest = self.scales.first().copied().unwrap_or(1);
        let mut input = self.decoder.bottleneck;
        let mut blocks = Vec::new();
        for ((scale, skip), output) in
            [16, 8, 4, 2, 1].into_iter().zip(skips).zip(self.decoder.widths)
        {
            if scale < finest {
                break;
            }
            let resized = self.scales.contains(&scale);
            blocks.push(UpBlock {
                name: format!("up{scale}"),
                scale,
                input,
                skip,
                output,
                resized,
            });
            input = output;
        }
        blocks
    }
}

fn builtin_names() -> String {
    Preset::BUILTIN.map(|(name, _)| name).join(", ")
}

impl Dataset {
    /// Number of classes, including empty.
    pub const fn class_count(self) -> usize {
        match self {
            Self::SemanticKitti => 20,
        }
    }
}

impl Encoder {
    /// Every block in order.
    pub fn blocks(&self) -> Vec<EncoderBlock> {
        let mut blocks = Vec::new();
        let mut input = self.stem;
        for (index, (stage, stage_stride)) in self.stages.iter().zip(STAGE_STRIDES).enumerate() {
            for block in 0..stage.blocks {
                let stride = if block == 0 { stage_stride } else { 1 };
                blocks.push(EncoderBlock {
                    name: format!("blocks.{index}.{block}"),
                    stage: index,
                    input,
                    hidden: input * stage.expansion,
                    output: stage.width,
                    kernel: stage.kernel,
                    stride,
                    reduced: self.squeeze_excite.then_some((input / 4).max(1)),
                    expands: stage.expansion > 1,
                    residual: stride == 1 && input == stage.width,
                });
                input = stage.width;
            }
        }
        blocks
    }
}

impl Head {
    /// Whether the head predicts occupancy logits on the way.
    pub const fn is_cascade(&self) -> bool {
        matches!(self, Self::Aspp { cascade: true, .. })
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
/// Strides of the encoder's stages.
pub const STAGE_STRIDES: [usize; 7] = [1, 2, 2, 2, 1, 2, 1];
/// Channels of the images: red, green, blue.
pub const IMAGE_CHANNELS: usize = 3;
