//! Stereo calibration: reading and writing the calibration files that people have, and making new ones from
//! pictures of a chessboard.
#![forbid(unsafe_code)]

pub mod formats;
