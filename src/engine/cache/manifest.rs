//! What lies beside a plan and makes it an engine.

use super::CacheError;
use super::key::EngineKey;
use super::trust::Directory;
use occdepth_contract::hex;
use serde::{Deserialize, Serialize};
use std::io::Read as _;
use std::path::{Path, PathBuf};

/// What a plan is.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// [`Manifest::FORMAT`]; any other is refused.
    pub format: String,
    /// The network, for people: its file name.
    pub network: String,
    /// What it was built from and for.
    pub key: EngineKey,
    /// SHA-256 of the plan, lower-case hex.
    pub plan_sha256: String,
    /// Its size.
    pub plan_bytes: u64,
    /// When it was built, seconds of Unix time.
    pub built_unix_s: u64,
    /// How long that took, seconds.
    pub build_s: f64,
    /// The program that built it.
    pub producer: String,
    /// How it did in the self-test.
    pub self_test: SelfTestRecord,
}

/// How an engine did in the self-test of its network.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SelfTestRecord {
    /// Values compared.
    pub samples: usize,
    /// Largest error, as a share of the largest magnitude expected.
    pub largest: f32,
    /// Root mean square of the errors, as a share of that of the expected values.
    pub rms: f32,
}

impl Eq for Manifest {}

impl Manifest {
    /// The format that this program writes and reads.
    pub const FORMAT: &'static str = "occdepth-engine 1";

    /// Where the manifest of the plan at `plan` lies.
    pub fn path_of(plan: &Path) -> PathBuf {
        plan.with_extension("json")
    }

    /// The document as it is stored.
    ///
    /// # Panics
    /// Never: strings and numbers always have a JSON form.
    pub fn to_json(&self) -> String {
        let json = serde_json::to_string_pretty(self);
        json.expect("strings and numbers have a JSON form") + "\n"
    }

    /// Reads and checks the manifest at `path` in `directory`.
    pub(super) fn read(directory: &Directory, path: &Path) -> Result<Self, CacheError> {
        let mut text = String::new();
        directory.open_file(path)?.take(MAX_BYTES).read_to_string(&mut text).map_err(|source| {
            CacheError::System { path: path.to_owned(), what: "read the manifest", source }
        })?;
        Self::parse(&text, path)
    }

    /// Parses and checks a document; `path` is for messages.
    ///
    /// # Errors
    /// [`CacheError::Manifest`] with what is wrong.
    pub fn parse(text: &str, path: &Path) -> Result<Self, CacheError> {
        let refuse = |message| CacheError::Manifest { path: path.to_owned(), message };
        let manifest: Self =
            serde_json::from_str(text).map_err(|error| refuse(error.to_string()))?;
        if manifest.format != Self::FORMAT {
            let found = manifest.format;
            return Err(refuse(format!("`format` is {found:?}, expected {:?}", Self::FORMAT)));
        }
        for (field, hash) in [
            ("plan_sha256", &manifest.plan_sha256),
            ("key.network_sha256", &manifest.key.network_sha256),
        ] {
            if !hex::is_sha256(hash) {
                return Err(refuse(format!("`{field}` is {hash:?}, expected 64 hex digits")));
            }
        }
        Ok(manifest)
    }
}

/// A manifest has about 1 KiB.
const MAX_BYTES: u64 = 64 << 10;
