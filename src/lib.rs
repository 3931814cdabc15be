//! The runtime (skeleton).
#![forbid(unsafe_code)]
pub mod capture;
pub mod engine;
pub mod grid;
pub mod rectify;
