//! Engines that were built on this device, as files.
//!
//! A `TensorRT` plan is native code: whoever can write one, or the directory it lies in, owns the process that loads
//! it. And it runs on the machine, and with the `TensorRT`, that it was built by, and no other. So a plan is an engine
//! only together with its [`Manifest`]: the SHA-256 of the plan and the [`EngineKey`] of what it was built from and
//! for. The manifest is written last; a plan without one is what a killed build left behind.
//!
//! | file | what |
//! |---|---|
//! | `engines/NAME.PRECISION.KEY.engine` | the plan |
//! | `engines/NAME.PRECISION.KEY.json` | its manifest; KEY: the first 16 digits of the key's hash |
//! | `timing/DEVICE-TENSORRT.timing` | `TensorRT`'s timing cache, one for each device and version |
//! | `kernels/` | compiled CUDA kernels |
//! | `build.lock` | held while somebody builds or prunes |
//!
//! The directory and all above it must belong to root or to the own user, and nobody else may write there.

mod key;
mod lock;
mod manifest;
mod partial;
mod trust;

pub use key::{DeviceIdentity, EngineKey, KeyDifference};
pub use lock::BuildLock;
pub use manifest::{Manifest, SelfTestRecord};
pub use partial::PartialFile;

use crate::causes::WithCauses;
use occdepth_contract::hex;
use sha2::{Digest as _, Sha256};
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};
use trust::Directory;

/// A directory of engines.
#[derive(Clone, Debug)]
pub struct EngineCache {
    directory: PathBuf,
}

/// A plan whose bytes are those that its manifest was written for.
#[derive(Clone, PartialEq, Eq)]
pub struct VerifiedPlan {
    /// Where it was read from.
    pub path: PathBuf,
    /// What it is.
    pub manifest: Manifest,
    /// The plan itself: exactly the bytes that were hashed.
    pub bytes: Vec<u8>,
}

/// One entry of the cache.
#[derive(Debug)]
pub struct Entry {
    /// The plan's file.
    pub path: PathBuf,
    /// Its size in bytes.
    pub bytes: u64,
    /// What its manifest says, or why it cannot be used.
    pub manifest: Result<Manifest, CacheError>,
}

/// Why the cache does not have what was asked for.
#[derive(Debug, thiserror::Error)]
pub enum CacheError {
    /// Something of the cache cannot be read or written.
    #[error("{}: cannot {what}", path.display())]
    System {
        /// The file or directory.
        path: PathBuf,
        /// What failed.
        what: &'static str,
        /// What the system said.
        source: io::Error,
    },
    /// Somebody else could have written the plan.
    #[error("{}: {found}, expected {expected}: a plan is native code, and whoever can write it can run anything here", path.display())]
    Untrusted {
        /// The file or directory.
        path: PathBuf,
        /// Its owner or mode.
        found: String,
        /// What would be accepted.
        expected: &'static str,
    },
    /// No engine was built for this network on this machine.
    #[error("no engine for {network} ({precision}) in {}", directory.display())]
    Missing {
        /// The network, for people.
        network: String,
        /// Its precision.
        precision: &'static str,
        /// The cache.
        directory: PathBuf,
    },
    /// There is one, but it was built for something else.
    #[error("the engine {} is stale: {difference}", path.display())]
    Stale {
        /// The plan.
        path: PathBuf,
        /// What has changed since.
        difference: KeyDifference,
    },
    /// A manifest that is none.
    #[error("{}: {message}", path.display())]
    Manifest {
        /// The manifest.
        path: PathBuf,
        /// Field, found and expected.
        message: String,
    },
    /// A plan without a manifest: a build was killed, or somebody copied a file.
    #[error("{}: no manifest beside it, so it is not an engine (a build that was killed leaves such a file)", path.display())]
    Orphan {
        /// The plan.
        path: PathBuf,
    },
    /// The plan is not the one that the manifest was written for.
    #[error("{}: `{field}` is {found}, expected {expected} by its manifest: the file was changed or damaged", path.display())]
    Mismatch {
        /// The plan.
        path: PathBuf,
        /// Size or hash.
        field: &'static str,
        /// What the file has.
        found: String,
        /// What the manifest says.
        expected: String,
    },
    /// The plan does not fit in the machine's memory.
    #[error("{}: a plan of {plan} bytes, but only {available} bytes of memory are available", path.display())]
    TooLarge {
        /// The plan.
        path: PathBuf,
        /// Its size.
        plan: u64,
        /// What is available.
        available: u64,
    },
    /// Somebody else builds, or prunes.
    #[error("{}: process {holder} is building an engine; two builds at once would slow each other down and measure wrong kernels as fastest", path.display())]
    Busy {
        /// The lock.
        path: PathBuf,
        /// Who holds it, as the lock's file says.
        holder: String,
    },
}

impl EngineCache {
    /// The cache at `directory`, which need not exist yet.
    pub fn at(directory: impl Into<PathBuf>) -> Self {
        Self { directory: directory.into() }
    }

    /// The cache of this user: `/var/cache/occdepth` for root (and wherever `OCCDEPTH_CACHE` or systemd's
    /// `CACHE_DIRECTORY` points), `$XDG_CACHE_HOME/occdepth` or `~/.cache/occdepth` for others.
    ///
    /// None: there is neither a variable nor a home.
    pub fn of_user() -> Option<Self> {
        let variable = |name| std::env::var_os(name).filter(|value| !value.is_empty());
        let named = || variable("OCCDEPTH_CACHE").or_else(|| variable("CACHE_DIRECTORY"));
        if let Some(directory) = named() {
            return Some(Self::at(directory));
        }
        if rustix::process::geteuid().is_root() {
            return Some(Self::at("/var/cache/occdepth"));
        }
        let base = variable("XDG_CACHE_HOME").map(PathBuf::from);
        let base = base.or_else(|| Some(PathBuf::from(variable("HOME")?).join(".cache")));
        Some(Self::at(base?.join("occdepth")))
    }

    /// Where it is.
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// Where the plan of `key` lies, or would lie. `name` is for people: the network's file name.
    pub fn plan_path(&self, name: &str, key: &EngineKey) -> PathBuf {
        let stem = file_stem(name);
        let digest = key.digest();
        self.engines().join(format!("{stem}.{}.{}.engine", key.precision.name(), &digest[..16]))
    }

    /// Where the timing cache of a device and a version of `TensorRT` lies.
    pub fn timing_path(&self, key: &EngineKey) -> PathBuf {
        let device = file_stem(&key.device.name);
        let sm = &key.device.compute_capability;
        self.directory.join("timing").join(format!("{device}-sm{sm}-{}.timing", key.tensorrt))
    }

    /// The timing cache at `path`, if there is one that nobody else could have written: `TensorRT` parses it.
    pub fn read_timing(&self, path: &Path) -> Option<Vec<u8>> {
        let read = || {
            let directory = Directory::open(path.parent().unwrap_or_else(|| Path::new(".")))?;
            let mut bytes = Vec::new();
            let system =
                |source| CacheError::System { path: path.to_owned(), what: "read it", source };
            directory.open_file(path)?.read_to_end(&mut bytes).map_err(system)?;
            Ok::<_, CacheError>(bytes)
        };
        if !path.exists() {
            return None;
        }
        read().inspect_err(|error| log::warn!("no timing cache is used: {error}")).ok()
    }

    /// Where compiled kernels lie.
    pub fn kernels(&self) -> PathBuf {
        self.directory.join("kernels")
    }

    /// Where compiled kernels lie, if there is such a place: a service that runs from somebody else's cache, which it
    /// cannot write, compiles its kernels at each start, and says so.
    pub fn usable_kernels(&self) -> Option<PathBuf> {
        let directory = self.kernels();
        trust::create(&directory)
            .inspect_err(|error| {
                log::warn!("CUDA kernels are compiled at each start: {}", WithCauses(error));
            })
            .ok()
            .map(|()| directory)
    }

    /// Makes the directories of the cache, for the own user alone to write.
    ///
    /// # Errors
    /// When they cannot be made, or others may write there.
    pub fn create(&self) -> Result<(), CacheError> {
        let timing = self.directory.join("timing");
        for directory in [self.directory.clone(), self.engines(), timing, self.kernels()] {
            trust::create(&directory)?;
        }
        Ok(())
    }

    /// Takes the lock that builds and prunes hold; it is free again when the value is dropped or the process dies.
    ///
    /// # Errors
    /// [`CacheError::Busy`] when somebody holds it, and when the directory cannot be written.
    pub fn lock(&self) -> Result<BuildLock, CacheError> {
        BuildLock::take(&self.directory.join("build.lock"))
    }

    /// Removes what killed builds left behind: partial files, and plans without a manifest. Returns what was removed.
    ///
    /// # Errors
    /// When the directory cannot be read or a file not removed.
    pub fn clean(&self, _lock: &BuildLock) -> Result<Vec<PathBuf>, CacheError> {
        let mut removed = Vec::new();
        for directory in [self.engines(), self.directory.join("timing")] {
            for path in list(&directory)? {
                let orphan = path.extension().is_some_and(|e| e == "engine")
                    && !Manifest::path_of(&path).exists();
                if partial::is_partial(&path) || orphan {
                    remove(&path)?;
                    removed.push(path);
                }
            }
        }
        Ok(removed)
    }

    /// Puts a plan and its manifest into the cache: the plan first, the manifest last, each whole or not there at all.
    ///
    /// # Errors
    /// When something cannot be written.
    pub fn store(
        &self,
        _lock: &BuildLock,
        plan: PartialFile,
        manifest: &Manifest,
    ) -> Result<PathBuf, CacheError> {
        let path = plan.target().to_owned();
        let manifest_path = Manifest::path_of(&path);
        // An old manifest beside a new plan would be a mismatch; without one, the plan is no engine.
        if manifest_path.exists() {
            remove(&manifest_path)?;
        }
        plan.commit()?;
        let mut file = PartialFile::create(&manifest_path)?;
        file.write(manifest.to_json().as_bytes())?;
        file.commit()?;
        Ok(path)
    }

    /// Opens the plan of `key`, verified: the directory and the file are nobody else's to write, and its bytes, read
    /// once into memory, are those that the manifest was written for.
    ///
    /// # Errors
    /// [`CacheError::Missing`] when there is none, [`CacheError::Stale`] when there is one of the same network and
    /// precision for something else, and whatever else is wrong with it.
    pub fn open(&self, name: &str, key: &EngineKey) -> Result<VerifiedPlan, CacheError> {
        let path = self.plan_path(name, key);
        if path.exists() {
            let plan = self.read(&path)?;
            return match plan.manifest.key.difference(key) {
                None => Ok(plan),
                Some(difference) => Err(CacheError::Stale { path, difference }),
            };
        }
        let missing = || CacheError::Missing {
            network: name.to_owned(),
            precision: key.precision.name(),
            directory: self.directory.clone(),
        };
        Err(self.stale(name, key)?.unwrap_or_else(missing))
    }

    /// The newest engine of the same network's name and precision, and why it is not the one.
    fn stale(&self, name: &str, key: &EngineKey) -> Result<Option<CacheError>, CacheError> {
        let prefix = format!("{}.{}.", file_stem(name), key.precision.name());
        let mut found: Option<(u64, CacheError)> = None;
        for Entry { path, manifest, .. } in self.entries()? {
            let file = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            let Ok(manifest) = manifest else { continue };
            let Some(difference) = manifest.key.difference(key) else { continue };
            let newer = found.as_ref().is_none_or(|(built, _)| manifest.built_unix_s > *built);
            if file.starts_with(&prefix) && newer {
                found = Some((manifest.built_unix_s, CacheError::Stale { path, difference }));
            }
        }
        Ok(found.map(|(_, error)| error))
    }

    /// Reads and verifies the plan at `path`, whatever its key says.
    ///
    /// # Errors
    /// When it, its manifest or its directory is not what it must be.
    pub fn read(&self, path: &Path) -> Result<VerifiedPlan, CacheError> {
        let system =
            |what| move |source| CacheError::System { path: path.to_owned(), what, source };
        let directory = Directory::open(path.parent().unwrap_or_else(|| Path::new(".")))?;
        let manifest_path = Manifest::path_of(path);
        if !manifest_path.exists() {
            return Err(CacheError::Orphan { path: path.to_owned() });
        }
        let manifest = Manifest::read(&directory, &manifest_path)?;
        let mut file = directory.open_file(path)?;
        let bytes = file.metadata().map_err(system("read its size"))?.len();
        let mismatch = |field, found: String, expected: String| CacheError::Mismatch {
            path: path.to_owned(),
            field,
            found,
            expected,
        };
        if bytes != manifest.plan_bytes {
            return Err(mismatch("size", bytes.to_string(), manifest.plan_bytes.to_string()));
        }
        let available = crate::engine::build::memory_available().unwrap_or(u64::MAX);
        let too_large = || CacheError::TooLarge { path: path.to_owned(), plan: bytes, available };
        if bytes > available {
            return Err(too_large());
        }
        let mut plan = Vec::new();
        let length = usize::try_from(bytes).map_err(|_| too_large())?;
        plan.try_reserve_exact(length).map_err(|_| too_large())?;
        file.read_to_end(&mut plan).map_err(system("read the plan"))?;
        let digest = hex::digits(&Sha256::digest(&plan));
        if digest != manifest.plan_sha256 {
            return Err(mismatch("sha256", digest, manifest.plan_sha256));
        }
        Ok(VerifiedPlan { path: path.to_owned(), manifest, bytes: plan })
    }

    /// Everything that looks like an engine, by name.
    ///
    /// # Errors
    /// When the directory cannot be read. One that does not exist has no entries.
    pub fn entries(&self) -> Result<Vec<Entry>, CacheError> {
        let engines = self.engines();
        let paths = list(&engines)?;
        if paths.is_empty() {
            return Ok(Vec::new());
        }
        let directory = Directory::open(&engines)?;
        let plans =
            paths.into_iter().filter(|path| path.extension().is_some_and(|e| e == "engine"));
        let entry = |path: PathBuf| {
            let bytes = std::fs::metadata(&path).map_or(0, |metadata| metadata.len());
            let manifest_path = Manifest::path_of(&path);
            let manifest = if manifest_path.exists() {
                Manifest::read(&directory, &manifest_path)
            } else {
                Err(CacheError::Orphan { path: path.clone() })
            };
            Entry { path, bytes, manifest }
        };
        Ok(plans.map(entry).collect())
    }

    /// Removes an engine, its manifest first, so that it is at no time a plan with a manifest of another.
    ///
    /// # Errors
    /// When a file cannot be removed.
    pub fn remove(&self, _lock: &BuildLock, plan: &Path) -> Result<(), CacheError> {
        let manifest = Manifest::path_of(plan);
        if manifest.exists() {
            remove(&manifest)?;
        }
        remove(plan)
    }

    fn engines(&self) -> PathBuf {
        self.directory.join("engines")
    }
}

impl std::fmt::Debug for VerifiedPlan {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("VerifiedPlan")
            .field("path", &self.path)
            .field("bytes", &self.bytes.len())
            .field("manifest", &self.manifest)
            .finish()
    }
}

impl CacheError {
    /// Whether building the engine anew mends it.
    pub fn build_helps(&self) -> bool {
        matches!(
            self,
            Self::Missing { .. }
                | Self::Stale { .. }
                | Self::Orphan { .. }
                | Self::Manifest { .. }
                | Self::Mismatch { .. }
        )
    }
}

/// The part of a name before its extensions, with nothing in it that a file name should not have.
fn file_stem(name: &str) -> String {
    let name = Path::new(name).file_name().unwrap_or_default().to_string_lossy();
    let stem = name.strip_suffix(".onnx").unwrap_or(&name);
    stem.chars()
        .map(|c| if c.is_ascii_alphanumeric() || c == '-' || c == '_' { c } else { '-' })
        .collect()
}

/// The files of a directory in the order of their names; none where there is no directory.
fn list(directory: &Path) -> Result<Vec<PathBuf>, CacheError> {
    let failed =
        |source| CacheError::System { path: directory.to_owned(), what: "list it", source };
    let entries = match std::fs::read_dir(directory) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries.map_err(failed)?,
    };
    let mut paths = Vec::new();
    for entry in entries {
        paths.push(entry.map_err(failed)?.path());
    }
    paths.sort();
    Ok(paths)
}

fn remove(path: &Path) -> Result<(), CacheError> {
    std::fs::remove_file(path).map_err(|source| CacheError::System {
        path: path.to_owned(),
        what: "remove it",
        source,
    })
}
