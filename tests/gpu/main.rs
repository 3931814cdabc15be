//! The GPU frame path against the CPU path.
//!
//! Most run in a process of their own on a driver and a compiler that are not real (`crates/cuda/fake`): the kernels are
//! compiled for the host, everything else is the product's. On a machine that has a GPU, those whose name ends in `on_a_gpu`
//! do the same and more there (`benches/results/gpu.md`); elsewhere they are skipped by name.
#![allow(unsafe_code, reason = "a counting allocator, and a network that works on device memory")]
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]
#![allow(clippy::print_stderr, clippy::print_stdout, reason = "for whoever started the process")]
#![allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "small numbers")]

mod allocations;
mod building;
mod cases;
#[path = "../support/counting.rs"]
mod counting;
mod device;
mod engine;
mod fakes;
mod faults;
mod kernels;
mod network;
mod overlap;
mod random;
mod starting;
