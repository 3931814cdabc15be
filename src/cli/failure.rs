//! How the program fails: one clear line with the causes, a hint where there is one, and an exit code.

use occdepth::causes::WithCauses;
use std::error::Error;
use std::fmt;

/// Why a subcommand stopped.
#[derive(Debug)]
pub(crate) struct Failure {
    kind: Kind,
    context: String,
    source: Option<Box<dyn Error + Send + Sync>>,
    hint: Option<String>,
}

/// What the exit code tells a script.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// Bad usage or configuration: exit code 2. Running it again changes nothing.
    Configuration,
    /// The work failed: exit code 1.
    Work,
}

impl Failure {
    /// Bad usage or configuration (exit code 2).
    pub(crate) fn configuration(context: impl Into<String>) -> Self {
        Self { kind: Kind::Configuration, context: context.into(), source: None, hint: None }
    }

    /// The work failed (exit code 1).
    pub(crate) fn work(context: impl Into<String>) -> Self {
        Self { kind: Kind::Work, context: context.into(), source: None, hint: None }
    }

    /// Adds the error that caused this.
    pub(crate) fn because(mut self, source: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        self.source = Some(source.into());
        self
    }

    /// Adds what the user can do.
    pub(crate) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// 2 for bad usage or configuration, 1 for failure.
    pub(crate) fn exit_code(&self) -> u8 {
        match self.kind {
            Kind::Configuration => 2,
            Kind::Work => 1,
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "error: {}", self.context)?;
        if let Some(source) = &self.source {
            write!(f, ": {}", WithCauses(source.as_ref()))?;
        }
        if let Some(hint) = &self.hint {
            write!(f, "\nhint: {hint}")?;
        }
        Ok(())
    }
}
