//! Every precondition of running here, with a verdict and a mend.
//!
//! An [`Examination`] asks the machine, from the driver up to the systemd unit, and answers with one [`Finding`] for each
//! subject, in the order in which things depend on each other: the first problem is the one to mend first. It changes
//! nothing and starts nothing.
//!
//! ```
//! use occdepth::doctor::{Examination, Verdict};
//!
//! let findings = Examination::default().findings();
//! assert!(findings.iter().any(|finding| finding.subject == "memory"));
//! for finding in &findings {
//!     // Whatever is wrong comes with what to do about it.
//!     assert!(finding.verdict != Verdict::Problem || finding.mend.is_some(), "{finding:?}");
//! }
//! ```

mod engine;
mod gpu;
mod inputs;
mod machine;
mod permissions;
mod service;

use crate::board::{Board, Root};
use crate::daemon::Config;
use crate::engine::cache::EngineCache;
use serde::Serialize;
use std::path::PathBuf;

/// What is examined.
#[derive(Clone, Debug)]
pub struct Examination {
    /// Where the machine's files are; `/` but in tests.
    pub root: PathBuf,
    /// The configuration that the service runs with: its cameras, rig and network are examined.
    pub configuration: Option<PathBuf>,
    /// Where engines are kept; where the configuration says, or the user's own place, when absent.
    pub cache: Option<EngineCache>,
    /// Where `libnvinfer` lies; where the configuration says, or the loader finds it, when absent.
    pub tensorrt: Option<PathBuf>,
    /// Where NVIDIA's headers lie; the usual places when absent.
    pub headers: Option<PathBuf>,
}

impl Default for Examination {
    fn default() -> Self {
        Self { root: "/".into(), configuration: None, cache: None, tensorrt: None, headers: None }
    }
}

/// What was found about one subject.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// What was looked at.
    pub subject: &'static str,
    /// Whether that is as it must be.
    pub verdict: Verdict,
    /// What it is.
    pub found: String,
    /// What to do about it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mend: Option<String>,
}

/// Whether something is as it must be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// As it must be.
    Good,
    /// It cannot be told, or does not matter here.
    Unknown,
    /// It works, but not as well as it could, or something is given up.
    Warning,
    /// It does not work.
    Problem,
}

impl Finding {
    fn good(subject: &'static str, found: impl Into<String>) -> Self {
        Self { subject, verdict: Verdict::Good, found: found.into(), mend: None }
    }

    fn unknown(subject: &'static str, found: impl Into<String>) -> Self {
        Self { subject, verdict: Verdict::Unknown, found: found.into(), mend: None }
    }

    fn warning(subject: &'static str, found: impl Into<String>, mend: impl Into<String>) -> Self {
        Self { subject, verdict: Verdict::Warning, found: found.into(), mend: Some(mend.into()) }
    }

    fn problem(subject: &'static str, found: impl Into<String>, mend: impl Into<String>) -> Self {
        Self { subject, verdict: Verdict::Problem, found: found.into(), mend: Some(mend.into()) }
    }
}

impl Verdict {
    /// A word for people.
    pub fn word(self) -> &'static str {
        match self {
            Self::Good => "good",
            Self::Unknown => "unknown",
            Self::Warning => "warning",
            Self::Problem => "PROBLEM",
        }
    }
}

impl Examination {
    /// Examines everything.
    pub fn findings(&self) -> Vec<Finding> {
        let board = Board::read(&Root::at(&self.root));
        let config = self.configuration.as_deref().map(Config::read);
        let known = config.as_ref().and_then(|config| config.as_ref().ok());
        // What was named wins over the configuration, as it does for the program.
        let mut here = self.clone();
        if let Some(config) = known {
            here.tensorrt = here.tensorrt.or_else(|| config.network.tensorrt.clone());
            here.cache = here.cache.or_else(|| config.network.engine_cache());
        }
        here.cache = here.cache.or_else(EngineCache::of_user);
        let mut findings = vec![machine::board(&board)];
        findings.extend(permissions::examine(&self.root, &board, known));
        findings.extend(gpu::examine(&here, &board));
        findings.extend(inputs::examine(config.as_ref()));
        findings.extend(engine::examine(&here, known));
        findings.extend(machine::examine(&here, &board));
        findings.push(service::examine(&self.root));
        findings
    }
}
