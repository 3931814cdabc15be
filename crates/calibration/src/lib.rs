//! Stereo calibration: reading and writing the calibration files that people have, and making new ones from
//! corners of a chessboard. (Finding the corners is not here yet, and so no command calibrates.)
#![forbid(unsafe_code)]

pub mod bundle;
pub mod formats;
