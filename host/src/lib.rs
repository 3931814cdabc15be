//! The companion of `occdepth`: the `OccDepth` network, its weights, and its export to ONNX.
//!
//! A [`preset::Preset`] says what the network looks like, [`weights::Weights`] holds its tensors
//! under their published names, and [`network::Network`] runs both in burn:
//!
//! ```text
//! images - encoder - decoder -+- features 1/1..1/8 - assignment -+- x - U-Net - head - logits
//!                             +- features 1/8 ------ depth net --+
//! ```
//!
//! A published checkpoint comes in by [`import`]. [`export`] writes the same network as ONNX, from
//! the preset and the weights alone, and [`verify`] runs that file beside the network in burn.
//! [`inspect`] counts what a preset costs.
//!
//! ```
//! use occdepth_host::{preset::Preset, weights::Weights};
//!
//! let preset = Preset::builtin("nano")?;
//! let weights = Weights::initialise(&preset, 1);
//! weights.check(&preset)?;
//! println!("{} parameters, {:?}", preset.parameter_count(), preset.multiply_accumulates());
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
#![forbid(unsafe_code)]

pub mod export;
pub mod import;
pub mod inspect;
pub mod network;
pub mod preset;
pub mod verify;
pub mod weights;
