//! Whether the engine that the configuration needs is there.

use super::{Examination, Finding};
use crate::causes::WithCauses;
use crate::daemon::{Config, EngineChoice};
use crate::engine::build::NetworkFile;
use crate::engine::cache::CacheError;
use crate::engine::machine::Machine;

pub(super) fn examine(examination: &Examination, config: Option<&Config>) -> Vec<Finding> {
    vec![cache(examination), engine(examination, config)]
}

/// Whether engines can be kept, and are what they were.
fn cache(examination: &Examination) -> Finding {
    const SUBJECT: &str = "engine cache";
    let Some(cache) = &examination.cache else {
        return Finding::unknown(SUBJECT, "no place for engines is known");
    };
    let directory = cache.directory().display().to_string();
    let entries = match cache.entries() {
        Ok(entries) => entries,
        Err(error) => {
            let mend = "make it yours or root's alone to write: `chmod go-w`, `chown`";
            return Finding::problem(SUBJECT, WithCauses(&error).to_string(), mend);
        }
    };
    let bad = entries.iter().filter(|entry| entry.manifest.is_err()).count();
    if bad > 0 {
        return Finding::warning(
            SUBJECT,
            format!("{directory}: {} engines, {bad} of them unusable", entries.len()),
            "`occdepth engines prune`",
        );
    }
    Finding::good(SUBJECT, format!("{directory}: {} engines", entries.len()))
}

/// Whether the engine that the configuration needs is there.
fn engine(examination: &Examination, config: Option<&Config>) -> Finding {
    const SUBJECT: &str = "engine";
    let Some(config) = config else {
        return Finding::unknown(SUBJECT, "no configuration says which network it is for");
    };
    if config.network.engine == EngineChoice::Cpu {
        return Finding::good(SUBJECT, "the configuration asks for the CPU");
    }
    let machine = match Machine::probe(examination.tensorrt.as_deref()) {
        Ok(machine) => machine,
        // As the service does: only what is simply not there is passed over.
        Err(error)
            if config.network.engine == EngineChoice::Auto
                && (error.is_without_gpu()
                    || error.is_without_tensorrt() && examination.tensorrt.is_none()) =>
        {
            return Finding::unknown(SUBJECT, format!("the CPU: {}", WithCauses(&error)));
        }
        Err(error) => {
            let mend =
                "mend what is said of CUDA and TensorRT above, or set `network.engine = \"cpu\"`";
            return Finding::problem(SUBJECT, WithCauses(&error).to_string(), mend);
        }
    };
    let recipe = match config.network.recipe() {
        Ok(recipe) => recipe,
        Err(error) => {
            return Finding::problem(SUBJECT, WithCauses(&error).to_string(), "mend the recipe");
        }
    };
    let network = match NetworkFile::open(recipe.network.as_deref()) {
        Ok(network) => network,
        Err(error) => {
            return Finding::problem(SUBJECT, WithCauses(&error).to_string(), "mend the network");
        }
    };
    let Some(cache) = &examination.cache else {
        return Finding::problem(SUBJECT, "no place for engines is known", "set `network.cache`");
    };
    match cache.open(&network.name, &machine.key(network.sha256, &recipe)) {
        Ok(plan) => Finding::good(SUBJECT, plan.path.display().to_string()),
        Err(error @ CacheError::Untrusted { .. }) => Finding::problem(
            SUBJECT,
            WithCauses(&error).to_string(),
            "make it yours or root's alone to write: `chmod go-w`, `chown`",
        ),
        Err(error) => Finding::problem(
            SUBJECT,
            WithCauses(&error).to_string(),
            config.network.build_command(),
        ),
    }
}
