//! The decalibration watch: real pairs as they are and bent, the synthetic street, pictures that
//! say nothing or that have nothing to do with each other, time, and every size.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]
#![allow(clippy::print_stdout, reason = "figures of benches/results/decalibration.md")]
#![allow(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "pixel positions are tested to be inside the picture, grey levels to be in range"
)]

mod degenerate;
mod field;
mod kitti;
mod size;
mod street;
mod support;
mod time;
mod unmatched;
