//! What the service's configuration names: cameras, rig, network, engine.

use super::Finding;
use crate::causes::WithCauses;
use crate::daemon::{Config, ConfigError, SourceConfig};
use crate::engine::{BUNDLED_NAME, BUNDLED_NETWORK};
use crate::rig::{RigFileError, read_rig};
use occdepth_calibration::suspicions::suspicions;
use occdepth_contract::Contract;
use occdepth_contract::onnx::{ModelFile, ModelProto};
use std::path::PathBuf;

pub(super) fn examine(config: Option<&Result<Config, ConfigError>>) -> Vec<Finding> {
    let config = match config {
        None => {
            let found = "no configuration was named (--config FILE)";
            return ["configuration", "cameras", "rig", "network"]
                .map(|subject| Finding::unknown(subject, found))
                .into();
        }
        Some(Err(error)) => {
            let mend =
                "mend the file; `occdepth run --help` and the README say what may stand in it";
            return vec![Finding::problem("configuration", WithCauses(error).to_string(), mend)];
        }
        Some(Ok(config)) => config,
    };
    vec![
        Finding::good("configuration", "can be read"),
        cameras(config),
        rig(config),
        network(config),
    ]
}

fn cameras(config: &Config) -> Finding {
    const SUBJECT: &str = "cameras";
    let SourceConfig::V4l2(cameras) = &config.source else {
        return Finding::unknown(SUBJECT, "the configuration's source is not cameras");
    };
    let devices = [&cameras.left, &cameras.right, &cameras.device].into_iter().flatten();
    let (there, absent): (Vec<_>, Vec<_>) = devices.partition(|path| path.exists());
    let names = |paths: &[&PathBuf]| {
        let names: Vec<String> = paths.iter().map(|path| path.display().to_string()).collect();
        names.join(" and ")
    };
    if absent.is_empty() {
        return Finding::good(SUBJECT, format!("{}: there", names(&there)));
    }
    Finding::problem(
        SUBJECT,
        format!("no such device: {}", names(&absent)),
        "plug the camera in, or name another: `occdepth camera list` shows what there is",
    )
}

fn rig(config: &Config) -> Finding {
    const SUBJECT: &str = "rig";
    let Some(path) = &config.rig else {
        return Finding::good(SUBJECT, "the synthetic street has its own");
    };
    match read_rig(path, None) {
        Err(RigFileError::ImageSizeMissing { .. }) => Finding::good(
            SUBJECT,
            format!("{}: a calib.txt, judged with its images", path.display()),
        ),
        Err(error) => Finding::problem(
            SUBJECT,
            WithCauses(&error).to_string(),
            "`occdepth calibrate` makes a rig, `occdepth rig import` reads other programs' files",
        ),
        Ok(rig) => {
            let doubts: Vec<String> = suspicions(&rig).iter().map(ToString::to_string).collect();
            if doubts.is_empty() {
                return Finding::good(SUBJECT, format!("{}: nothing suspicious", path.display()));
            }
            let found = format!("{}: suspicious: {}", path.display(), doubts.join("; "));
            Finding::warning(
                SUBJECT,
                found,
                "look at `occdepth rig check`, calibrate again if in doubt",
            )
        }
    }
}

fn network(config: &Config) -> Finding {
    const SUBJECT: &str = "network";
    let file = match config.network.recipe() {
        Ok(recipe) => recipe.network,
        Err(error) => {
            let found = WithCauses(&error).to_string();
            return Finding::problem(SUBJECT, found, "mend the recipe, or name another");
        }
    };
    let name = match &file {
        Some(path) => path.display().to_string(),
        None => BUNDLED_NAME.to_owned(),
    };
    let model = match &file {
        Some(path) => ModelFile::read(path).map(|file| file.model),
        None => ModelProto::from_bytes(BUNDLED_NETWORK, BUNDLED_NAME),
    };
    let contract = model.map_err(|error| WithCauses(&error).to_string()).and_then(|model| {
        Contract::from_model(&model, &name).map_err(|error| WithCauses(&error).to_string())
    });
    match contract {
        Err(error) => {
            Finding::problem(SUBJECT, error, "export the network again with `occdepth-host export`")
        }
        Ok(contract) => {
            let found = format!("{name}: preset {}", contract.preset);
            if contract.training.trained {
                return Finding::good(SUBJECT, found);
            }
            let mend = "train it, or export one that is trained";
            Finding::warning(SUBJECT, format!("{found}, UNTRAINED: its labels mean nothing"), mend)
        }
    }
}
