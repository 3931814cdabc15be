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

use crate::nvrtc::Source;

/// Every variant that a device may be asked for, with `classes` classes: each pixel format and each type of the network's
/// tensors. For checks of a compiler.
pub fn variants(classes: usize) -> Vec<Source> {
    use CameraFormat::{
        Bayer8, Bayer10, Bayer12, Bgr8, Grey8, Grey10, Grey16, Nv12, Rgb8, Uyvy, Yuyv,
    };
    let orders = [0; 2];
    let formats = [
        Rgb8,
        Bgr8,
        Grey8,
        Grey10,
        Grey16,
        Yuyv,
        Uyvy,
        Nv12,
        Bayer8(orders),
        Bayer10(orders),
        Bayer12(orders),
    ];
    let plane = |id: usize| {
        let id = u8::try_from(id).unwrap_or(u8::MAX);
        (u16::from(id), id)
    };
    let mut all = Vec::new();
    for half in [false, true] {
        all.extend(formats.map(|format| rectify::source(format, half)));
        for voxels in [1, 2, 4] {
            let planes = (0..classes).map(plane).collect();
            let plan = LabelPlan { planes, voxels, unknown_below: 0, hidden: None };
            all.push(plan.source_text(half));
        }
    }
    all
}

/// What stands before every kernel.
const DEVICE: &str = include_str!("../../kernels/device.h");
