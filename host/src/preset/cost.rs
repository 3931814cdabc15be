//! What a frame costs: multiply-accumulates per part, counted from the preset.

use super::{
    Preset,
    parameters::{DECODER, DEPTH_NET, ENCODER, HEAD, RELATION_PRIOR},
};

/// Multiply-accumulates of one stereo frame, all views together. Convolutions, linear layers and
/// the relation prior's matrix products count; gathers, norms (folded on export) and element-wise
/// work do not.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Cost {
    /// The image encoder.
    pub encoder: u64,
    /// The image decoder.
    pub decoder: u64,
    /// The depth net, with the eight corners of every voxel.
    pub depth: u64,
    /// The 3-D network without the relation prior and the head.
    pub unet: u64,
    /// The relation prior.
    pub relation_prior: u64,
    /// The head.
    pub head: u64,
}

impl Cost {
    /// All parts together.
    pub const fn total(&self) -> u64 {
        self.encoder + self.decoder + self.depth + self.unet + self.relation_prior + self.head
    }
}

impl Preset {
    /// What one frame costs.
    pub fn multiply_accumulates(&self) -> Cost {
        let mut cost = Cost::default();
        for parameter in self.parameters() {
            let part = match parameter.name.as_str() {
                name if name.starts_with(ENCODER) => &mut cost.encoder,
                name if name.starts_with(DECODER) => &mut cost.decoder,
                name if name.starts_with(DEPTH_NET) => &mut cost.depth,
                name if name.starts_with(RELATION_PRIOR) => &mut cost.relation_prior,
                name if name.starts_with(HEAD) => &mut cost.head,
                _ => &mut cost.unet,
            };
            *part += parameter.positions * parameter.len() as u64;
        }
        if self.depth.is_some() {
            cost.depth += 8 * (self.views * self.projection_voxels()) as u64;
        }
        if let Some(prior) = &self.relation_prior {
            let context = 2 * self.unet.widths[2];
            cost.relation_prior +=
                self.voxels(2) * (self.mega_voxels() * context * prior.relations) as u64;
        }
        cost
    }

    /// Trainable parameters that the forward pass reads.
    pub fn parameter_count(&self) -> usize {
        self.parameters().iter().filter(|p| p.is_trainable()).map(super::Parameter::len).sum()
    }
}
