//! The companion of `occdepth`: the `OccDepth` network, its weights, and its export to ONNX.
//!
//! A [`preset::Preset`] says what the network looks like, [`weights::Weights`] holds its tensors under their published
//! names, and [`network::Network`] runs both in burn:
//!
//! ```text
//! images --encoder--> taps --decoder--> features at 1/1 ... 1/8 --assignment (pixels)--> voxel features
//!                                          features at 1/8 --depth net--> depth volume --(depth_index, depth_weight)
//!                                                                  voxel features * depth * 100 --3-D U-Net, head--> logits
//! ```
#![forbid(unsafe_code)]

pub mod export;
pub mod network;
pub mod preset;
pub mod weights;
