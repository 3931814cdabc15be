//! What makes a pipeline out of a configuration, and keeps it going.

mod assembly;
mod cameras;
mod config;
mod engine;
mod foreground;
mod group;

pub use assembly::{AssemblyError, assemble, open_perception, open_source};
pub use cameras::{
    CamerasConfig, ControlConfig, ControlsConfig, LayoutConfig, PairingConfig, RetryConfig,
};
pub use config::{
    BuildPolicy, Config, ConfigError, EngineChoice, GridConfig, NetworkConfig, SOURCE_TIMEOUT,
    SourceConfig, StatusConfig, StreamConfig,
};
pub use engine::{OpenEngineError, open_engine};
pub use foreground::{Outcome, run};
