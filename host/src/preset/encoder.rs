//! The image encoder's shape: stages as data, or a published `EfficientNet` by its name.

use std::fmt;

use serde::{
    Deserialize, Deserializer, Serialize,
    de::{self, MapAccess, Visitor, value::MapAccessDeserializer},
};

use super::Activation;

/// An `EfficientNet` encoder: stem, seven stages of inverted residuals, and the 1x1 head
/// convolution.
///
/// Its taps are the outputs of stages 0, 1, 2 and 4 (1/2, 1/4, 1/8, 1/16) and of the head
/// convolution before its batch norm (1/32), as the published decoder reads them.
///
/// In a document it is a table, or the name of a published encoder:
///
/// ```
/// use occdepth_host::preset::Encoder;
///
/// #[derive(serde::Deserialize)]
/// struct Document {
///     encoder: Encoder,
/// }
///
/// let document: Document = toml::from_str(r#"encoder = "tf_efficientnet_b7_ns""#)?;
/// assert_eq!(document.encoder, Encoder::published("tf_efficientnet_b7_ns").unwrap());
/// # Ok::<(), toml::de::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
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

impl Encoder {
    /// Names of the published encoders: `EfficientNet`s of gen-efficientnet-pytorch with TensorFlow
    /// padding and noisy-student weights.
    ///
    /// The published `OccDepth` code also lists b5, but states 32 channels for the tap of its first
    /// stage where that encoder has 24; its decoder cannot have run, and ours reads 24.
    pub const PUBLISHED: [&'static str; 4] = [
        "tf_efficientnet_b3_ns",
        "tf_efficientnet_b4_ns",
        "tf_efficientnet_b5_ns",
        "tf_efficientnet_b7_ns",
    ];

    /// The encoder of one of the names [`Encoder::PUBLISHED`].
    pub fn published(name: &str) -> Option<Self> {
        // Width and depth multipliers of Tan & Le, "EfficientNet", ICML 2019, times ten.
        let (width, depth) = match name {
            "tf_efficientnet_b3_ns" => (12, 14),
            "tf_efficientnet_b4_ns" => (14, 18),
            "tf_efficientnet_b5_ns" => (16, 22),
            "tf_efficientnet_b7_ns" => (20, 31),
            _ => return None,
        };
        Some(Self {
            stem: scaled_width(32, width),
            stages: BASE_STAGES.map(|stage| Stage {
                blocks: (stage.blocks * depth).div_ceil(10),
                width: scaled_width(stage.width, width),
                ..stage
            }),
            head: scaled_width(1280, width),
            activation: Activation::Silu,
            squeeze_excite: true,
        })
    }

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

impl<'de> Deserialize<'de> for Encoder {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(NameOrTable)
    }
}

/// Reads either form of an [`Encoder`]; an untagged enum would lose what is wrong with a table.
struct NameOrTable;

impl<'de> Visitor<'de> for NameOrTable {
    type Value = Encoder;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a table of stages, or one of {}", Encoder::PUBLISHED.join(", "))
    }

    fn visit_str<E: de::Error>(self, name: &str) -> Result<Encoder, E> {
        Encoder::published(name).ok_or_else(|| E::invalid_value(de::Unexpected::Str(name), &self))
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Encoder, A::Error> {
        let Table { stem, stages, head, activation, squeeze_excite } =
            Table::deserialize(MapAccessDeserializer::new(map))?;
        Ok(Encoder { stem, stages, head, activation, squeeze_excite })
    }
}

/// The table form of an [`Encoder`].
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Table {
    stem: usize,
    stages: [Stage; 7],
    head: usize,
    activation: Activation,
    squeeze_excite: bool,
}

/// `channels` times `tenths` / 10, rounded to the nearest multiple of 8 but not below nine tenths of
/// the product (the rounding of the TensorFlow implementation).
const fn scaled_width(channels: usize, tenths: usize) -> usize {
    let product = channels * tenths;
    let rounded = (product + 40) / 80 * 8;
    if rounded * 100 < product * 9 { rounded + 8 } else { rounded }
}

/// `EfficientNet`-B0 (Tan & Le, ICML 2019, table 1).
const BASE_STAGES: [Stage; 7] = [
    Stage { blocks: 1, kernel: 3, expansion: 1, width: 16 },
    Stage { blocks: 2, kernel: 3, expansion: 6, width: 24 },
    Stage { blocks: 2, kernel: 5, expansion: 6, width: 40 },
    Stage { blocks: 3, kernel: 3, expansion: 6, width: 80 },
    Stage { blocks: 3, kernel: 5, expansion: 6, width: 112 },
    Stage { blocks: 4, kernel: 5, expansion: 6, width: 192 },
    Stage { blocks: 1, kernel: 3, expansion: 6, width: 320 },
];

/// Strides of the encoder's stages.
pub const STAGE_STRIDES: [usize; 7] = [1, 2, 2, 2, 1, 2, 1];
