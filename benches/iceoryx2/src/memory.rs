//! What is reserved in shared memory, and what the processes have of it.

use crate::contender::{Contender, Failure, Meeting};
use crate::iceoryx;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use std::fs::Metadata;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// Files that a stream consists of.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Reserved {
    pub(crate) files: u64,
    /// Their sizes.
    pub(crate) apparent_bytes: u64,
    /// Their blocks: pages that are taken from the machine.
    pub(crate) allocated_bytes: u64,
}

impl Reserved {
    /// All of the stream that the calling process publishes.
    pub(crate) fn by_this_writer(contender: Contender, meeting: &Meeting) -> Result<Self, Failure> {
        let mut reserved = Self::default();
        match contender {
            Contender::Ring | Contender::RingUnverified => reserved.add_memory_files()?,
            Contender::Iceoryx2 => {
                for file in shared_memory(meeting)? {
                    reserved.add(&file.metadata()?);
                }
                for file in tree(&iceoryx::root(meeting))? {
                    let metadata = file.symlink_metadata()?;
                    if !metadata.is_dir() {
                        reserved.add(&metadata);
                    }
                }
            }
        }
        Ok(reserved)
    }

    /// The ring's segment has no name; the writer's descriptor leads to it.
    fn add_memory_files(&mut self) -> Result<(), Failure> {
        let mut seen = BTreeSet::new();
        for descriptor in std::fs::read_dir("/proc/self/fd")? {
            let descriptor = descriptor?.path();
            // The directory's own descriptor is gone when it is looked at.
            let Ok(target) = std::fs::read_link(&descriptor) else { continue };
            if target.to_string_lossy().starts_with("/memfd:occdepth-ring") {
                let metadata = descriptor.metadata()?;
                if seen.insert(metadata.ino()) {
                    self.add(&metadata);
                }
            }
        }
        Ok(())
    }

    fn add(&mut self, metadata: &Metadata) {
        self.files += 1;
        self.apparent_bytes += metadata.len();
        self.allocated_bytes += metadata.blocks() * 512; // st_blocks counts in 512, whatever the file system
    }
}

/// What a process has, by `/proc/PID/smaps_rollup`.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
pub(crate) struct ProcessMemory {
    pub(crate) rss_bytes: u64,
    /// Pages that several processes map, divided by how many.
    pub(crate) pss_bytes: u64,
}

impl ProcessMemory {
    pub(crate) fn of_this_process() -> Result<Self, Failure> {
        let rollup = std::fs::read_to_string("/proc/self/smaps_rollup")?;
        let bytes = |name: &str| {
            let line = rollup.lines().find_map(|line| line.strip_prefix(name));
            let kib = line.and_then(|line| line.trim().strip_suffix(" kB"));
            let kib = kib.and_then(|kib| kib.trim().parse::<u64>().ok());
            kib.map(|kib| kib * 1024).ok_or_else(|| format!("smaps_rollup: no {name}"))
        };
        Ok(Self { rss_bytes: bytes("Rss:")?, pss_bytes: bytes("Pss:")? })
    }
}

/// The files of iceoryx2's shared memory that belong to this stream.
pub(crate) fn shared_memory(meeting: &Meeting) -> Result<Vec<PathBuf>, Failure> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(SHARED_MEMORY)? {
        let entry = entry?;
        if entry.file_name().to_string_lossy().starts_with(&meeting.prefix) {
            files.push(entry.path());
        }
    }
    Ok(files)
}

/// Everything under `root`, directories included, parents first; nothing where that is not there.
pub(crate) fn tree(root: &Path) -> Result<Vec<PathBuf>, Failure> {
    let mut found = Vec::new();
    let mut left: Vec<PathBuf> = root.is_dir().then(|| root.to_owned()).into_iter().collect();
    while let Some(path) = left.pop() {
        if path.symlink_metadata()?.is_dir() {
            for entry in std::fs::read_dir(&path)? {
                left.push(entry?.path());
            }
        }
        found.push(path);
    }
    Ok(found)
}

const SHARED_MEMORY: &str = "/dev/shm";
