//! Stereo calibration: reading and writing the calibration files that people have ([`formats`]), and making new ones from
//! pictures of a chessboard.
//!
//! A calibration is made in three steps, each of its own module: [`corners`] finds a [`board`] in pairs of images,
//! [`bundle`] adjusts both cameras to them, and [`quality`] makes a rig of the result and says how good it is. [`coverage`]
//! tells what the pairs do not determine yet, and [`collector`] chooses pairs from live cameras. Whether a rig is plausible at
//! all, wherever it comes from, is for [`suspicions`] to say.
#![forbid(unsafe_code)]

pub mod board;
pub mod bundle;
pub mod collector;
pub mod corners;
pub mod coverage;
pub mod formats;
pub mod quality;
pub mod suspicions;
