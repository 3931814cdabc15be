//! Arbitrary bytes for the ring, guided by coverage. One module for each target; `run.sh` runs them.
//!
//! | target | what is arbitrary | what must hold |
//! |---|---|---|
//! | [`layout`] | headers and datagrams, to the parsers | accepted exactly if `ABI.md` says so, and read as it says |
//! | [`segment`] | the segment, before and while it is read | every answer of the reader is the one that `ABI.md` gives |
//! | [`answer`] | the reply, its descriptors, notifications | the same, and no descriptor is left |
//! | [`client`] | what clients do to a writer | each gets the reply that is due; good clients notice nothing |
//!
//! An input is a [script](script::Script): it changes a good segment, reply or client in a few places, because arbitrary bytes
//! alone would seldom get past the first check. What must hold is judged by [`abi`], which shares nothing with the ring's own
//! parsers but the tables of offsets.

pub mod answer;
pub mod client;
pub mod layout;
pub mod segment;

mod abi;
mod damage;
mod fake_writer;
mod good;
mod script;
#[path = "../../tests/support/mod.rs"]
mod support;
