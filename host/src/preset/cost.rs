//! What a network costs: parameters and multiply-accumulates per module, counted from the preset.

use std::fmt;

use serde::Serialize;

use super::{
    Parameter, Preset,
    parameters::{DECODER, ENCODER, HEAD, OCCLUDED_HEAD, RELATION_PRIOR, UNET},
};

/// Multiply-accumulates of one frame, all views together. Convolutions, linear layers and the
/// relation prior's matrix products count; gathers (weighted or not), norms (folded on export),
/// interpolation and element-wise work do not.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Cost {
    /// The image encoder.
    pub encoder: u64,
    /// The image decoder.
    pub decoder: u64,
    /// The depth net.
    pub depth: u64,
    /// The 3-D network without the relation prior and the head.
    pub unet: u64,
    /// The relation prior.
    pub relation_prior: u64,
    /// The head, and the occluded one.
    pub head: u64,
}

/// A part of the network, in the order of the data.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Module {
    /// The image encoder.
    Encoder,
    /// The image decoder.
    Decoder,
    /// Stereo soft feature assignment, with the virtual right view: no parameters.
    Assignment,
    /// The depth net, what voxels read from its volume, and the product with their features.
    DepthNet,
    /// The 3-D network without the relation prior and the head.
    Unet,
    /// The relation prior.
    RelationPrior,
    /// The head, and the occluded one.
    Head,
}

impl Cost {
    /// All parts together.
    pub const fn total(&self) -> u64 {
        self.encoder + self.decoder + self.depth + self.unet + self.relation_prior + self.head
    }

    /// What `module` costs.
    pub const fn of(&self, module: Module) -> u64 {
        match module {
            Module::Encoder => self.encoder,
            Module::Decoder => self.decoder,
            Module::Assignment => 0,
            Module::DepthNet => self.depth,
            Module::Unet => self.unet,
            Module::RelationPrior => self.relation_prior,
            Module::Head => self.head,
        }
    }
}

impl Module {
    /// Every module, in the order of the data.
    pub const ALL: [Self; 7] = [
        Self::Encoder,
        Self::Decoder,
        Self::Assignment,
        Self::DepthNet,
        Self::Unet,
        Self::RelationPrior,
        Self::Head,
    ];

    /// The module that a parameter, or a value of an exported graph, belongs to by its name.
    pub fn of(name: &str) -> Self {
        // The relation prior and the head lie below the 3-D network.
        let prefixes = [
            (ENCODER, Self::Encoder),
            (DECODER, Self::Decoder),
            ("flosp_depth", Self::DepthNet),
            (RELATION_PRIOR, Self::RelationPrior),
            (HEAD, Self::Head),
            (OCCLUDED_HEAD, Self::Head),
            (UNET, Self::Unet),
        ];
        let module = prefixes.into_iter().find(|(prefix, _)| name.starts_with(prefix));
        module.map_or(Self::Assignment, |(_, module)| module)
    }
}

impl fmt::Display for Module {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Encoder => "image encoder",
            Self::Decoder => "image decoder",
            Self::Assignment => "feature assignment",
            Self::DepthNet => "depth net",
            Self::Unet => "3-D U-Net",
            Self::RelationPrior => "relation prior",
            Self::Head => "head",
        })
    }
}

impl Preset {
    /// What one frame costs, without what nothing reads ([`Preset::unread_multiply_accumulates`]).
    pub fn multiply_accumulates(&self) -> Cost {
        let mut cost = Cost::default();
        for parameter in self.parameters() {
            let part = match Module::of(&parameter.name) {
                Module::Encoder => &mut cost.encoder,
                Module::Decoder => &mut cost.decoder,
                Module::DepthNet => &mut cost.depth,
                Module::RelationPrior => &mut cost.relation_prior,
                Module::Head => &mut cost.head,
                Module::Unet | Module::Assignment => &mut cost.unet,
            };
            *part += parameter.positions * parameter.len() as u64;
        }
        if let Some(prior) = &self.relation_prior {
            let context = 2 * self.unet.widths[2];
            cost.relation_prior +=
                self.voxels(2) * (self.mega_voxels() * context * prior.relations) as u64;
        }
        cost
    }

    /// What the published code computes on top in the image decoder and nothing reads:
    /// `resize_output_*` of scales that no voxel gathers from, and whole up-blocks finer than those.
    pub fn unread_multiply_accumulates(&self) -> u64 {
        let width = self.unet.widths[0];
        let read = self.up_blocks().into_iter().map(|block| (block, false));
        let unread = self.unused_up_blocks().into_iter().map(|block| (block, true));
        let costs = read.chain(unread).map(|(block, whole)| {
            let map = self.map_size(block.scale);
            let pixels = self.views as u64 * u64::from(map.width) * u64::from(map.height);
            let resize = if block.resized { 0 } else { width * block.output };
            let convolutions = 9 * block.output * (block.input + block.skip + block.output);
            pixels * (resize + if whole { convolutions } else { 0 }) as u64
        });
        costs.sum()
    }

    /// Trainable parameters that the forward pass reads.
    pub fn parameter_count(&self) -> usize {
        count(&self.parameters())
    }
}

/// Trainable parameters among `parameters`: weights, biases, scales and shifts of norms.
pub(crate) fn count(parameters: &[Parameter]) -> usize {
    parameters.iter().filter(|p| p.is_trainable()).map(Parameter::len).sum()
}
