//! The kernels: their sources, their parameters, their launches.
//!
//! | kernel | does | compiled for |
//! |---|---|---|
//! | `rectify` | camera pixels of both views to the network's `images` | a pixel format, f32 or f16 |
//! | `label` | logits to class ids and probabilities | a number of classes, f32 or f16 |
//!
//! Parameters are one struct by value, laid out here as in the source; the compiler is told our size of it and refuses
//! another one.

mod label;
mod rectify;

pub use label::LabelPlan;
pub(crate) use label::Labelling;
pub use rectify::{CameraFormat, NO_SAMPLE, RectifyPlan, YuvCoefficients, sample};
pub(crate) use rectify::{Rectification, RectifyBuffers};

/// What stands before every kernel.
const DEVICE: &str = include_str!("../../kernels/device.h");
