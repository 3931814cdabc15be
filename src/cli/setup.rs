//! What several subcommands need to get going, with the failures that a user can act on.

use super::Failure;
use occdepth::Pipeline;
use occdepth::capture::CaptureError;
use occdepth::daemon::{self, AssemblyError, Config, OpenEngineError};
use occdepth::publish::WriterError;
use occdepth::rig::RigFileError;
use occdepth_contract::Contract;
use signal_hook::consts::{SIGINT, SIGTERM};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// Assembles the pipeline, and says aloud when its network is untrained.
pub(crate) fn assemble(config: &Config) -> Result<Pipeline, Failure> {
    let pipeline = daemon::assemble(config).map_err(failure)?;
    warn_if_untrained(pipeline.perception().engine().contract());
    Ok(pipeline)
}

/// An assembly error as a failure: whatever is wrong before the first frame is usage or configuration, but for
/// what the system refused.
pub(crate) fn failure(error: AssemblyError) -> Failure {
    let context = "cannot start";
    match &error {
        AssemblyError::Engine(engine) => match engine.as_ref() {
            OpenEngineError::NotBuilt { command, .. }
            | OpenEngineError::Refused { command, .. } => Failure::configuration(context).hint(
                format!("run `{command}`, or set `network.build = \"auto\"` to build at the start"),
            ),
            OpenEngineError::Machine(_) => Failure::configuration(context).hint(
                "`occdepth doctor` says what is missing, `network.engine = \"cpu\"` does without",
            ),
            OpenEngineError::Build(_) | OpenEngineError::Engine(_) => Failure::work(context),
            _ => Failure::configuration(context),
        },
        AssemblyError::Stream(WriterError::SecondWriter { .. }) => {
            Failure::work(context).hint("stop the other process, or configure another socket")
        }
        AssemblyError::Stream(WriterError::Segment { .. } | WriterError::System { .. })
        | AssemblyError::Source(CaptureError::Open { .. }) => Failure::work(context),
        AssemblyError::Rig(RigFileError::ImageSizeMissing { .. }) => {
            Failure::configuration(context).hint("`occdepth rig import` makes a native rig of it")
        }
        _ => Failure::configuration(context),
    }
    .because(error)
}

/// What the labels of an untrained network mean is nothing; whoever shows them says so.
pub(crate) fn warn_if_untrained(contract: &Contract) {
    if !contract.training.trained {
        log::warn!(
            "network {:?} is UNTRAINED ({}): its labels mean nothing",
            contract.preset,
            contract.training.note
        );
    }
}

/// A flag that SIGINT and SIGTERM set. A second one of the same signal ends the process at once.
pub(crate) fn stop_on_signals() -> Result<Arc<AtomicBool>, Failure> {
    let stop = Arc::new(AtomicBool::new(false));
    for signal in [SIGINT, SIGTERM] {
        // Order matters: the conditional shutdown looks at the flag before the next line sets it.
        signal_hook::flag::register_conditional_shutdown(signal, 1, Arc::clone(&stop))
            .and_then(|_| signal_hook::flag::register(signal, Arc::clone(&stop)))
            .map_err(|error| Failure::work("cannot handle signals").because(error))?;
    }
    Ok(stop)
}

/// Waits until a client is connected, or `stop` is set.
pub(crate) fn wait_for_client(pipeline: &Pipeline, stop: &AtomicBool) {
    while !stop.load(Ordering::Relaxed) && pipeline.publisher().writer().clients().connected == 0 {
        std::thread::sleep(Duration::from_millis(2));
    }
}
