//! Checkpoint files: the tensors of their state dict, read where they lie.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    fmt,
    fs::File,
    io::{Read, Seek, SeekFrom},
    path::{Path, PathBuf},
};

use occdepth_contract::hex;
use sha2::{Digest, Sha256};

use super::{
    archive::{Archive, ArchiveError},
    opening,
    pickle::PickleError,
    tensor::{Dtype, StoredTensor},
};
use crate::weights::{Provenance, Reader, WeightsError};

/// An open checkpoint: names, types and shapes are known, values are read when asked for.
///
/// Nothing in a checkpoint is executed. What a pickle would call is looked at by its name; the
/// handful of names that make tensors are understood, everything else is a value of which only the
/// name is known.
#[derive(Debug)]
pub struct Checkpoint {
    pub(super) path: PathBuf,
    pub(super) file: File,
    pub(super) storages: Storages,
    pub(super) entries: BTreeMap<String, Entry>,
    pub(super) beside: Vec<String>,
    pub(super) calls: Vec<String>,
    pub(super) provenance: Option<Provenance>,
}

/// The kind of a checkpoint file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// `torch.save` since 1.6: a zip file.
    Zip,
    /// `torch.save` before 1.6, or with `_use_new_zipfile_serialization=False`: pickles, then bytes.
    Legacy,
    /// safetensors.
    Safetensors,
}

/// What a state dict holds under one name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Entry {
    /// A tensor.
    Tensor {
        /// Its element type.
        dtype: Dtype,
        /// Its shape.
        shape: Vec<usize>,
        /// Where it lies.
        stored: Stored,
    },
    /// Anything else: what it is, in Python's words.
    Other(String),
}

/// Where a tensor lies in its checkpoint.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stored(pub(super) StoredTensor);

/// Why a file is not a checkpoint that can be read.
#[derive(Debug, thiserror::Error)]
pub enum CheckpointError {
    /// The file could not be read.
    #[error("cannot read the checkpoint {}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The file begins like none of the formats.
    #[error(
        "{}: not a checkpoint: {found}, expected a file of torch.save (.ckpt, .pth) or .safetensors",
        path.display()
    )]
    Format {
        /// The file.
        path: PathBuf,
        /// What it is instead.
        found: String,
    },
    /// A damaged zip file, or one that `torch.save` did not write.
    #[error("{}", path.display())]
    Archive {
        /// The file.
        path: PathBuf,
        /// Why.
        source: ArchiveError,
    },
    /// Not a pickle that PyTorch writes.
    #[error("{}", path.display())]
    Pickle {
        /// The file.
        path: PathBuf,
        /// Why.
        source: PickleError,
    },
    /// A safetensors file that is none.
    #[error(transparent)]
    Safetensors(WeightsError),
    /// The parts of the file do not fit each other.
    #[error("{}: {field} is {found}, expected {expected}", path.display())]
    Field {
        /// The file.
        path: PathBuf,
        /// The part.
        field: String,
        /// What it is.
        found: String,
        /// What would do.
        expected: &'static str,
    },
}

/// Where the bytes of storages lie.
#[derive(Debug)]
pub(super) enum Storages {
    /// Entries of a zip file, below the folder that `data.pkl` lies in; those verified so far.
    Zip { archive: Archive, folder: String, verified: BTreeSet<String> },
    /// First byte and length in the file, by key.
    Legacy(HashMap<String, (u64, u64)>),
    /// The tensor's name is its key.
    Safetensors(Reader<File>),
}

impl Checkpoint {
    /// Opens a checkpoint and reads what it holds, but no values.
    ///
    /// # Errors
    /// If the file cannot be read, is of another kind, or is damaged.
    pub fn open(path: &Path) -> Result<Self, CheckpointError> {
        opening::open(path)
    }

    /// The file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The kind of file.
    pub fn format(&self) -> Format {
        match self.storages {
            Storages::Zip { .. } => Format::Zip,
            Storages::Legacy(_) => Format::Legacy,
            Storages::Safetensors(_) => Format::Safetensors,
        }
    }

    /// What the state dict holds, in order of the names. Names are as in the file.
    pub fn entries(&self) -> &BTreeMap<String, Entry> {
        &self.entries
    }

    /// What lies beside the state dict and was not read: `optimizer_states`, `hyper_parameters`.
    pub fn beside(&self) -> &[String] {
        &self.beside
    }

    /// The names that unpickling would have called, other than those that make tensors and
    /// dictionaries. None of them was.
    pub fn calls_not_made(&self) -> &[String] {
        &self.calls
    }

    /// Where the weights come from, if the file is one that an import wrote.
    pub fn provenance(&self) -> Option<&Provenance> {
        self.provenance.as_ref()
    }

    /// The values of a tensor as float32, in row-major order. The first read of a storage of a zip
    /// file verifies its checksum.
    ///
    /// # Errors
    /// [`CheckpointError::Field`] if there is no tensor `name` of a floating-point type, or one that
    /// has far more elements than the file has bytes; other variants if the file cannot be read or
    /// is damaged.
    pub fn read(&mut self, name: &str) -> Result<Vec<f32>, CheckpointError> {
        let field = |found: String| CheckpointError::Field {
            path: self.path.clone(),
            field: name.into(),
            found,
            expected: "a tensor of a floating-point type",
        };
        let tensor = match self.entries.get(name) {
            Some(Entry::Tensor { dtype, stored, .. }) if dtype.is_float() => stored.0.clone(),
            Some(Entry::Tensor { dtype, .. }) => return Err(field(dtype.to_string())),
            Some(Entry::Other(what)) => return Err(field(what.clone())),
            None => return Err(field("not there".into())),
        };
        // Only a repeated (stride 0) tensor has more elements than its storage.
        let (Some((start, end)), Some(len)) = (tensor.byte_range(), tensor.len()) else {
            return Err(field("larger than memory".into()));
        };
        if len > MAX_ELEMENTS {
            return Err(field(format!("of {len} elements")));
        }
        if len == 0 {
            return Ok(Vec::new());
        }
        let bytes = self.storage_bytes(&tensor.storage, start, end)?;
        Ok(tensor.decode(&bytes))
    }

    /// SHA-256 of the whole file, in hexadecimal digits.
    ///
    /// # Errors
    /// If the file cannot be read.
    pub fn sha256(&mut self) -> Result<String, CheckpointError> {
        let mut hasher = Sha256::new();
        let mut piece = vec![0; 1 << 16];
        let mut hash = || {
            self.file.rewind()?;
            loop {
                match self.file.read(&mut piece)? {
                    0 => return Ok(()),
                    n => hasher.update(&piece[..n]),
                }
            }
        };
        hash().map_err(|source| CheckpointError::Read { path: self.path.clone(), source })?;
        Ok(hex::digits(&hasher.finalize()))
    }

    /// Whether the weights were trained: not if the file is a weights file that says so, and not if
    /// it has counters of training batches (`num_batches_tracked`) that are all 0.
    ///
    /// # Errors
    /// If the file cannot be read or is damaged.
    pub fn is_trained(&mut self) -> Result<bool, CheckpointError> {
        if let Some(provenance) = &self.provenance {
            return Ok(provenance.trained);
        }
        let counters: Vec<StoredTensor> = self
            .entries
            .iter()
            .filter(|(name, _)| name.ends_with(".num_batches_tracked"))
            .filter_map(|(_, entry)| match entry {
                Entry::Tensor { stored, .. } if stored.0.len() == Some(1) => Some(stored.0.clone()),
                _ => None,
            })
            .collect();
        for counter in &counters {
            let (start, end) = counter.byte_range().unwrap_or_default();
            let bytes = self.storage_bytes(&counter.storage, start, end)?;
            if bytes.iter().any(|&byte| byte != 0) {
                return Ok(true);
            }
        }
        Ok(counters.is_empty())
    }

    /// Bytes `start` to `end` of a storage, which were checked to lie in it.
    fn storage_bytes(
        &mut self,
        key: &str,
        start: usize,
        end: usize,
    ) -> Result<Vec<u8>, CheckpointError> {
        let path = &self.path;
        let archive_error = |source| CheckpointError::Archive { path: path.clone(), source };
        let storage_start = match &mut self.storages {
            Storages::Zip { archive, folder, verified } => {
                let name = format!("{folder}data/{key}");
                let entry = archive.entry(&name).expect("opening looked every storage up");
                if !verified.contains(key) {
                    entry.verify(&mut self.file, &name).map_err(archive_error)?;
                    verified.insert(key.into());
                }
                entry.content_start(&mut self.file).map_err(archive_error)?
            }
            Storages::Legacy(ranges) => ranges[key].0,
            Storages::Safetensors(reader) => {
                let info = reader.info(key).expect("the key is a name in the file").clone();
                return reader.bytes(&info).map_err(CheckpointError::Safetensors);
            }
        };
        let mut bytes = vec![0; end - start];
        self.file
            .seek(SeekFrom::Start(storage_start + start as u64))
            .and_then(|_| self.file.read_exact(&mut bytes))
            .map_err(|source| CheckpointError::Read { path: path.clone(), source })?;
        Ok(bytes)
    }
}

impl Entry {
    /// A tensor whose type and shape are those that it is stored with.
    pub(super) fn tensor(stored: StoredTensor) -> Self {
        Self::Tensor { dtype: stored.dtype, shape: stored.shape.clone(), stored: Stored(stored) }
    }
}

impl fmt::Display for Entry {
    /// `float32 [2, 3]`, or what else it is.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tensor { dtype, shape, .. } => write!(f, "{dtype} {shape:?}"),
            Self::Other(what) => f.write_str(what),
        }
    }
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Zip => "torch.save (zip)",
            Self::Legacy => "torch.save (legacy)",
            Self::Safetensors => "safetensors",
        })
    }
}

/// 4 GiB as float32; the largest tensor of a published network has 60 MB.
const MAX_ELEMENTS: usize = 1 << 30;
