//! The whole binding against fake libraries of eight versions: see the crate `tensorrt-fake`.
#![allow(unsafe_code, reason = "addresses and streams are handed to the binding")]
#![allow(clippy::print_stdout, reason = "a child process tells its parent")]
#![allow(clippy::panic, reason = "tests panic")]

mod building;
mod callbacks;
mod cuda;
mod loading;
mod running;
mod support;
mod tables;
