//! The data sets of the published networks: classes, and the arithmetic of their projections.

use occdepth_contract::{Class, classes};
use occdepth_geometry::projection::Arithmetic;
use serde::{Deserialize, Serialize};

/// Where a network's classes come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Dataset {
    /// `SemanticKITTI` scene completion: 20 classes, 0 is empty.
    SemanticKitti,
    /// `NYUv2` scene completion: 12 classes, 0 is empty.
    NyuV2,
    /// `SemanticTartanAir`: 14 classes, 0 is empty.
    SemanticTartanair,
}

impl Dataset {
    /// The name, as in documents and metadata: `semantic-kitti`, `nyu-v2` or `semantic-tartanair`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::SemanticKitti => "semantic-kitti",
            Self::NyuV2 => "nyu-v2",
            Self::SemanticTartanair => "semantic-tartanair",
        }
    }

    /// Number of classes, including empty.
    pub const fn class_count(self) -> usize {
        match self {
            Self::SemanticKitti => 20,
            Self::NyuV2 => 12,
            Self::SemanticTartanair => 14,
        }
    }

    /// The classes in the order of the logits' channels.
    pub fn classes(self) -> Vec<Class> {
        match self {
            Self::SemanticKitti => classes::semantic_kitti(),
            Self::NyuV2 => classes::nyu_v2(),
            Self::SemanticTartanair => classes::semantic_tartanair(),
        }
    }

    /// The arithmetic that reproduces the published projection tables: the poses stored with
    /// `NYUv2` are f32.
    pub const fn arithmetic(self) -> Arithmetic {
        match self {
            Self::NyuV2 => Arithmetic::Single,
            Self::SemanticKitti | Self::SemanticTartanair => Arithmetic::Double,
        }
    }
}
