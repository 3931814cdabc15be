//! The board: profiles, and what is read of machines, on file trees laid out as they have them.
#![allow(unsafe_code, reason = "a counting allocator is an unsafe trait")]
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

#[path = "../support/counting.rs"]
mod counting;
mod jetsons;
mod parsers;
mod pc;
mod profiles;
mod sensors;
mod tree;
