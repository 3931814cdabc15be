//! Compiled kernels, kept from one start to the next.
//!
//! Compiling takes the better part of a second on a small board, and the compiler's library need not be installed where
//! everything is in the cache. A file is machine code that will run with this process's rights, so the directory must be
//! one that nobody else can write to, and a file must be what was written: its hash goes with it.

use crate::device::Device;
use crate::error::CudaError;
use crate::nvrtc::Source;
use rustix::fs::{CWD, FileType, Mode, OFlags, fstat, openat};
use sha2::{Digest, Sha256};
use std::fs::File;
use std::io::{Read, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// A directory of compiled kernels.
#[derive(Clone, Debug)]
pub struct KernelCache {
    directory: PathBuf,
}

/// What the cache knows of a kernel.
#[derive(Debug)]
pub(crate) enum Lookup {
    Found(Vec<u8>),
    Missing,
    /// There is a file, but not one to run.
    Unusable(String),
}

impl KernelCache {
    /// The cache in `directory`, which is made (mode 0755, with its parents: compiled kernels are no secret) where it is missing.
    ///
    /// # Errors
    /// [`CudaError::Cache`] for a directory that cannot be made, that belongs to another user than this process or root, or
    /// that others may write to.
    pub fn open(directory: &Path) -> Result<Self, CudaError> {
        let error = |problem: String| CudaError::Cache { path: directory.into(), problem };
        std::fs::DirBuilder::new()
            .recursive(true)
            .mode(0o755)
            .create(directory)
            .map_err(|cause| error(format!("cannot be made: {cause}")))?;
        let metadata = std::fs::metadata(directory)
            .map_err(|cause| error(format!("cannot be looked at: {cause}")))?;
        if !metadata.is_dir() {
            return Err(error("found a file, expected a directory".into()));
        }
        if let Some(problem) = writable_by_others(metadata.uid(), metadata.mode()) {
            return Err(error(problem));
        }
        Ok(Self { directory: directory.into() })
    }

    /// The compiled form of `source` for `device`.
    pub(crate) fn find(&self, source: &Source, device: &Device) -> Lookup {
        match Self::read(&self.path(source, device)) {
            Ok(Some(image)) => Lookup::Found(image),
            Ok(None) => Lookup::Missing,
            Err(problem) => Lookup::Unusable(problem),
        }
    }

    /// Keeps a compiled form: under another name first, so that nobody reads half a file.
    pub(crate) fn store(
        &self,
        source: &Source,
        device: &Device,
        image: &[u8],
    ) -> Result<(), CudaError> {
        let path = self.path(source, device);
        let temporary = path.with_extension(format!("{}.part", std::process::id()));
        let write = || {
            let mut file = std::fs::OpenOptions::new()
                .write(true)
                .create(true)
                .truncate(true)
                .mode(0o644)
                .open(&temporary)?;
            file.write_all(MAGIC)?;
            file.write_all(&Sha256::digest(image))?;
            file.write_all(image)?;
            file.sync_all()?;
            std::fs::rename(&temporary, &path)
        };
        write().map_err(|cause| {
            std::fs::remove_file(&temporary).ok();
            CudaError::Cache { path, problem: format!("cannot be written: {cause}") }
        })
    }

    fn read(path: &Path) -> Result<Option<Vec<u8>>, String> {
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let file = match openat(CWD, path, flags, Mode::empty()) {
            Ok(file) => file,
            Err(rustix::io::Errno::NOENT) => return Ok(None),
            Err(cause) => return Err(format!("cannot be opened: {cause}")),
        };
        // Of what was opened, not of what the name may mean by now.
        let status = fstat(&file).map_err(|cause| format!("cannot be looked at: {cause}"))?;
        if FileType::from_raw_mode(status.st_mode) != FileType::RegularFile {
            return Err("found no regular file".into());
        }
        if let Some(problem) = writable_by_others(status.st_uid, status.st_mode) {
            return Err(problem);
        }
        let mut bytes = Vec::new();
        File::from(file)
            .take(LONGEST)
            .read_to_end(&mut bytes)
            .map_err(|cause| format!("cannot be read: {cause}"))?;
        let image = bytes
            .strip_prefix(MAGIC)
            .and_then(|rest| rest.split_at_checked(HASH_BYTES))
            .filter(|(hash, image)| *hash == Sha256::digest(image).as_slice());
        match image {
            Some((_, image)) => Ok(Some(image.to_vec())),
            None => Err("its contents are damaged".into()),
        }
    }

    /// Everything that the machine code depends on is in the name.
    fn path(&self, source: &Source, device: &Device) -> PathBuf {
        let mut hash = Sha256::new();
        let mut add = |part: &[u8]| {
            // With lengths, so that no two lists of parts are the same bytes.
            hash.update((part.len() as u64).to_le_bytes());
            hash.update(part);
        };
        add(source.kernel.as_bytes());
        add(source.text.as_bytes());
        for option in &source.options {
            add(option.as_bytes());
        }
        let ((major, minor), driver) = (device.compute(), device.driver_cuda());
        add(device.name().as_bytes());
        add(&device.uuid());
        add(format!("sm {major}.{minor}, driver {}.{}", driver.0, driver.1).as_bytes());
        let digest = hash.finalize();
        let mut name = format!("{}-sm_{major}{minor}-", source.kernel);
        for byte in &digest[..16] {
            name.push_str(&format!("{byte:02x}"));
        }
        self.directory.join(name).with_extension("kernel")
    }
}

fn writable_by_others(owner: u32, mode: u32) -> Option<String> {
    let me = rustix::process::geteuid().as_raw();
    if owner != me && owner != 0 {
        return Some(format!("found owner {owner}, expected {me} or root"));
    }
    (mode & 0o022 != 0).then(|| {
        format!(
            "found mode {:03o}, expected one that only its owner may write to (0700)",
            mode & 0o777
        )
    })
}

const MAGIC: &[u8] = b"occdepth kernel 1\n";
const HASH_BYTES: usize = 32;
/// Far above any kernel of ours.
const LONGEST: u64 = 64 << 20;
