//! Logits to labelled voxels.
//!
//! A network answers with one logit per class and voxel; a client wants to know what is there. A
//! [`Labeller`] takes the class with the greatest logit, gives it the class id of the network's
//! contract, and says how sure the network is (the softmax probability of the winner), in one
//! streaming pass over the logits. What the labels do not say is [`UNKNOWN`]: see [`LabelOptions`].

mod labels;
mod visibility;

pub use labels::{LabelOptions, Labeller};
pub use visibility::VisibilityMask;

/// Where a run puts its grid: memory of the caller, all in voxel order x-major, z fastest.
#[derive(Debug)]
pub struct GridOutput<'a> {
    /// u8 `[X, Y, Z]`: class ids; 255 = unknown.
    pub labels: &'a mut [u8],
    /// u8 `[X, Y, Z]`: softmax probability of the winner, 255 = 1.0; 0 where the label is unknown.
    pub confidence: Option<&'a mut [u8]>,
    /// f32 `[C, X, Y, Z]`: a copy of the logits, for `infer --logits` and tests.
    pub logits: Option<&'a mut [f32]>,
}

/// The label of a voxel about which nothing can be said; no class may have this id
/// (`SemanticKITTI`'s and the ring's convention).
pub const UNKNOWN: u8 = 255;

/// Why logits cannot be labelled.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum GridError {
    /// A contract without classes.
    #[error("classes: found none, expected at least one")]
    NoClasses,
    /// A class with the id that means unknown.
    #[error("classes: found id {UNKNOWN} for \"{name}\", expected 0 to 254 (255 means unknown)")]
    ReservedClass {
        /// The class.
        name: String,
    },
    /// Two classes with one id.
    #[error("classes: found id {id} for both \"{first}\" and \"{second}\", expected unique ids")]
    DuplicateClass {
        /// The id.
        id: u8,
        /// The class that has it first.
        first: String,
        /// The class that has it again.
        second: String,
    },
    /// The logits are not `[C, X, Y, Z]`.
    #[error("logits: found {found} values, expected {classes} classes x {voxels} voxels")]
    Logits {
        /// Values in the slice.
        found: usize,
        /// C.
        classes: usize,
        /// X * Y * Z.
        voxels: usize,
    },
    /// A slice of [`GridOutput`] has the wrong length.
    #[error("grid output, {field}: found {found} values, expected {expected}")]
    Output {
        /// The field of [`GridOutput`].
        field: &'static str,
        /// Values in the slice.
        found: usize,
        /// Values of the grid.
        expected: usize,
    },
    /// The visibility mask belongs to another grid.
    #[error("visibility mask: found {found} voxels, expected {expected}")]
    Mask {
        /// Voxels of the mask.
        found: usize,
        /// Voxels of the logits.
        expected: usize,
    },
    /// The geometry inputs do not have the shape that their specification says.
    #[error("geometry input `pixels`: found {found}, expected {expected}")]
    Geometry {
        /// What there is.
        found: String,
        /// What the specification needs.
        expected: String,
    },
}
