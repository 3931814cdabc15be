//! The CPU engine: whole networks from file to labels.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]
#![allow(
    clippy::cast_possible_wrap,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "test networks are a few values across"
)]

mod bundled;
mod damaged;
mod foreign;
mod loading;
mod network;
mod one_view;
mod running;
