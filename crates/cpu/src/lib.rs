//! Runs an exported network on the CPU.
#![forbid(unsafe_code)]

pub mod lower;
