//! Reading NVIDIA's headers.

mod check;
mod constant;
mod declaration;
mod error;
mod headers;
mod layout;
mod lexer;
mod names;
mod parser;
mod preprocessor;
mod vtable;

pub use check::{Finding, Item, NotComparable, Report, Verdict, check};
pub use error::HeaderError;
pub use headers::{Class, Enumeration, Function, Headers, NoSlots, Product, Slot, Source};
pub use vtable::SlotKind;
