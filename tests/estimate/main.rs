//! `occdepth estimate`: counts against closed forms and against another program, and what it says.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod graph;
mod layers;
mod networks;
mod operators;
mod predictions;
mod program;
