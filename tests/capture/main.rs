//! Frame sources: what they deliver, when, and what they say about bad input.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod directory;
mod faults;
mod images;
mod synthetic;
mod times;
