//! From pictures of a chessboard to a rig: on the shared photographs, against `OpenCV`; on rendered ones, against the cameras
//! that they were rendered with; and on corners, against cameras and errors that were put in.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]
#![allow(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::float_cmp,
    reason = "pixels and grey levels are small; colours are compared with themselves"
)]

mod bundle;
mod collector;
mod photographs;
mod render;
mod rendered;
mod support;
