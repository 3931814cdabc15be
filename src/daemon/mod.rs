//! What makes a pipeline out of a configuration, and keeps it going.

mod assembly;
mod config;
mod foreground;

pub use assembly::{AssemblyError, assemble, open_engine, open_perception, open_source};
pub use config::{
    Config, ConfigError, GridConfig, NetworkConfig, SOURCE_TIMEOUT, SourceConfig, StreamConfig,
};
pub use foreground::{Outcome, run};
