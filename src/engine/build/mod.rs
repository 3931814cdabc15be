//! Building an engine from a network, on the device that will run it.

mod error;
mod plan;
mod resources;

pub use error::BuildError;
pub use plan::Typing;
pub use resources::{Memory, Needs, disk_available, memory_available};
