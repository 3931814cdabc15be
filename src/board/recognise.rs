//! Which profile a machine has.

use super::identity::Identity;
use super::memory::Memory;
use super::profile::{Kind, Profile};
use super::{Reading, discrete};
use serde::{Serialize, Serializer};

/// The profile of a machine and what it was recognised by.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Recognised {
    /// The profile.
    #[serde(rename = "name", serialize_with = "name")]
    pub profile: &'static Profile,
    /// What it was recognised by.
    pub by: How,
}

/// What a machine was recognised by.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum How {
    /// The number of its module.
    Module(String),
    /// Its model, and how much memory it has where that decides.
    Model(String),
    /// A GPU that NVIDIA's driver lists.
    Gpu(String),
    /// It is no Jetson, and has no NVIDIA GPU.
    NothingFound,
}

/// Finds the profile of a machine among `profiles`.
///
/// The number of the module decides. Without a known one, so does the model, together with the memory
/// where boards of one model differ by it. A machine that is no Jetson has the profile of its kind.
pub fn recognise(
    identity: &Identity,
    memory: Option<&Memory>,
    gpus: &[discrete::Gpu],
    profiles: &'static [Profile],
) -> Reading<Recognised> {
    for profile in profiles {
        let module =
            profile.recognise.modules.iter().find(|module| identity.parts.contains(module));
        if let Some(module) = module {
            return Reading::Known(Recognised { profile, by: How::Module(module.clone()) });
        }
    }
    let model = identity.model.known().map_or("", String::as_str);
    let gib = memory.map(|memory| memory.total_bytes as f64 / f64::from(1 << 30));
    let by_model = profiles.iter().find(|profile| {
        let recognise = &profile.recognise;
        let named = recognise.models.iter().any(|part| model.contains(part.as_str()));
        let fits = match (recognise.memory_gib, gib) {
            (Some([from, to]), Some(gib)) => (from..=to).contains(&gib),
            (Some(_), None) => false,
            (None, _) => true,
        };
        named && fits
    });
    if let Some(profile) = by_model {
        return Reading::Known(Recognised { profile, by: How::Model(model.into()) });
    }
    if let Some(chip) = identity.tegra() {
        return Reading::Unknown(format!(
            "a {chip} board that no profile describes: model {model:?}, parts {:?}",
            identity.parts
        ));
    }
    let (kind, by) = match gpus.first() {
        Some(gpu) => {
            let model = gpu.model.known().map_or("a GPU without a name", String::as_str);
            (Kind::Discrete, How::Gpu(model.into()))
        }
        None => (Kind::Cpu, How::NothingFound),
    };
    match profiles.iter().find(|profile| profile.kind == kind) {
        Some(profile) => Reading::Known(Recognised { profile, by }),
        None => Reading::Unknown(format!("no profile is of the kind {kind:?}")),
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes references")]
fn name<S: Serializer>(profile: &&'static Profile, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&profile.name)
}
