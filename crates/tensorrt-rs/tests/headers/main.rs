//! NVIDIA's headers, read twice: by `tensorrt_rs::abi` and by a C++ compiler; both compared with each
//! other and with the tables that this crate calls through.
//!
//! The headers of 11.4 and of TensorRT for RTX 1.3 to 1.7 come from the registry crate that
//! `crates/tensorrt-rs/headers` names. Without them or without `g++` the tests that need them skip by
//! name; with `TENSORRT_HEADERS_REQUIRED=1` they fail instead.
#![allow(clippy::panic, reason = "a test fails by panicking")]

mod agreement;
mod compiler;
mod generated;
mod installation;
mod nvidia;
mod old_layouts;
mod robustness;
mod syntax;
mod tables;
