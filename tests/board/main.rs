//! The board: profiles, and what is read of machines, on file trees laid out as they have them.

mod jetsons;
mod parsers;
mod pc;
mod profiles;
mod sensors;
mod tree;
