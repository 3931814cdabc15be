//! Operators against direct sums: 3-D ones lowered to two dimensions, and our own convolutions.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]
#![allow(
    clippy::cast_possible_wrap,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "test networks are a few values across"
)]

mod convolution;
mod hostile;
mod lowering;
mod reference;
