//! The program as its users see it: processes, files, exit codes.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::cast_possible_truncation,
    clippy::float_cmp,
    reason = "a test fails by panicking; sizes are small; a maximum is one of its values"
)]

mod bad_input;
mod calibrate;
mod commands;
mod engines;
mod streams;
mod support;
