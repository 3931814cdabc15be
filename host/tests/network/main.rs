//! The network: equality with the published implementation at every stage, its options, and what it
//! refuses.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]
#![allow(
    clippy::cast_possible_truncation,
    clippy::cast_possible_wrap,
    clippy::cast_sign_loss,
    clippy::float_cmp,
    reason = "small known numbers, and values that are equal by construction"
)]

#[path = "../common/mod.rs"]
mod common;
mod equality;
mod options;
mod refusal;
mod stages;

use occdepth_host::preset::{Encoder, Head, Preset, Stage};

/// A network that is built in no time.
pub(crate) fn small() -> Preset {
    let stage = Stage { blocks: 1, kernel: 3, expansion: 1, width: 4 };
    let encoder = Encoder { stem: 4, stages: [stage; 7], head: 4, ..common::tiny().encoder };
    Preset {
        encoder,
        relation_prior: None,
        head: Head::Slim { dilations: vec![] },
        ..common::tiny()
    }
}
