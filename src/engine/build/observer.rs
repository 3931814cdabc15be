//! Who follows a build.

/// Who follows a build: a progress bar, a journal. Called from the builder's threads as well.
pub trait Observer: Send + Sync {
    /// The next part begins.
    fn step(&self, step: Step);

    /// The builder has done `done` of `of` parts of `phase` (`TensorRT` 10 and later).
    fn progress(&self, phase: &str, done: u32, of: u32);

    /// A second of building has passed: before `TensorRT` 10 the only sign of life.
    fn beat(&self);

    /// Whether to give up. `TensorRT` 10 and later asks now and then; before, a build cannot be stopped.
    fn stop_requested(&self) -> bool;
}

/// The parts of a build.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Whether it can succeed.
    Checking,
    /// The network is read by `TensorRT`'s parser.
    Parsing,
    /// The builder measures kernels: minutes.
    Building,
    /// The engine runs the network's self-test.
    Testing,
    /// The engine goes to the cache.
    Storing,
}

impl Step {
    /// For people.
    pub fn text(self) -> &'static str {
        match self {
            Self::Checking => "checking the network, the machine and the cache",
            Self::Parsing => "parsing the network",
            Self::Building => "building: TensorRT measures kernels, this takes minutes",
            Self::Testing => "testing the engine with the network's self-test",
            Self::Storing => "storing the engine",
        }
    }
}
