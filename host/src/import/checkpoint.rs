//! Checkpoint files: the tensors of their state dict, read where they lie.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    fmt,
    fs::File,
    io::{Read, Seek, SeekFrom},
    path::{Path, PathBuf},
};

use sha2::{Digest, Sha256};

use super::{
    archive::{Archive, ArchiveError},
    pickle::{Id, Node, Pickle, PickleError},
    tensor::{Dtype, StorageReference, StoredTensor},
};
use crate::weights::{Provenance, Reader, WeightsError};

/// An open checkpoint: names, types and shapes are known, values are read when asked for.
///
/// Nothing in a checkpoint is executed. What a pickle would call is looked at by its name; the
/// handful of names that make tensors are understood, everything else is a value of which only the
/// name is known.
#[derive(Debug)]
pub struct Checkpoint {
    path: PathBuf,
    file: File,
    storages: Storages,
    entries: BTreeMap<String, Entry>,
    beside: Vec<String>,
    calls: Vec<String>,
    provenance: Option<Provenance>,
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
pub struct Stored(StoredTensor);

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
enum Storages {
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
        let read = |source| CheckpointError::Read { path: path.into(), source };
        let mut file = File::open(path).map_err(read)?;
        let len = file.metadata().map_err(read)?.len();
        let mut start = Vec::new();
        file.by_ref().take(START_BYTES).read_to_end(&mut start).map_err(read)?;
        let opening = Opening { path, file, len };
        match Format::detect(&start, len) {
            Ok(Format::Zip) => opening.zip(),
            Ok(Format::Legacy) => opening.legacy(),
            Ok(Format::Safetensors) => opening.safetensors(),
            Err(found) => Err(CheckpointError::Format { path: path.into(), found }),
        }
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
        Ok(hasher
            .finalize()
            .iter()
            .fold(String::new(), |digits, byte| format!("{digits}{byte:02x}")))
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
    fn tensor(stored: StoredTensor) -> Self {
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

impl Format {
    /// The format of a file of `len` bytes by its first bytes, or what it is instead.
    fn detect(start: &[u8], len: u64) -> Result<Self, String> {
        let header_len = start.first_chunk().map(|bytes| u64::from_le_bytes(*bytes));
        let is_safetensors =
            header_len.is_some_and(|header_len| header_len < len) && start.get(8) == Some(&b'{');
        match start {
            [] => Err("it is empty".into()),
            start if start.starts_with(b"PK\x03\x04") || start.starts_with(b"PK\x05\x06") => {
                Ok(Self::Zip)
            }
            start if start.starts_with(LEGACY_MAGIC) => Ok(Self::Legacy),
            _ if is_safetensors => Ok(Self::Safetensors),
            start if start.get(257..262) == Some(b"ustar") => {
                Err("it is a tar file, as PyTorch wrote before 0.1.10".into())
            }
            [0x80, 2..=5, ..] => Err("it is a pickle without tensors".into()),
            start => {
                let shown = &start[..start.len().min(8)];
                Err(format!("it begins with \"{}\"", shown.escape_ascii()))
            }
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

/// A file whose format is known.
struct Opening<'a> {
    path: &'a Path,
    file: File,
    len: u64,
}

impl Opening<'_> {
    fn zip(mut self) -> Result<Checkpoint, CheckpointError> {
        let path = self.path;
        let failed = |source| CheckpointError::Archive { path: path.into(), source };
        let archive = Archive::open(&mut self.file).map_err(failed)?;
        let folders: Vec<String> = archive
            .names()
            .filter_map(|name| name.strip_suffix("data.pkl"))
            .filter(|folder| folder.is_empty() || folder.ends_with('/'))
            .map(str::to_owned)
            .collect();
        let Ok([folder]) = <[String; 1]>::try_from(folders) else {
            let found = "it is a zip file without exactly one data.pkl".into();
            return Err(CheckpointError::Format { path: path.into(), found });
        };
        let byteorder_name = format!("{folder}byteorder");
        if let Some(entry) = archive.entry(&byteorder_name) {
            self.check_size(&byteorder_name, entry.len)?;
            let found = entry.read(&mut self.file, &byteorder_name).map_err(failed)?;
            if found != b"little" {
                return Err(self.field("byteorder", found.escape_ascii().to_string(), "little"));
            }
        }
        let name = format!("{folder}data.pkl");
        let entry = archive.entry(&name).expect("its name was found");
        self.check_size(&name, entry.len)?;
        let bytes = entry.read(&mut self.file, &name).map_err(failed)?;
        let (pickle, _) = Pickle::read(&bytes).map_err(|source| self.pickle_error(source))?;
        let state = StateDict::find(&pickle, self.path)?;
        for tensor in state.tensors() {
            let name = format!("{folder}data/{}", tensor.storage);
            let found = archive.entry(&name).map(|entry| entry.len);
            self.check_storage(&name, tensor, found)?;
        }
        let verified = BTreeSet::new();
        Ok(state.checkpoint(self, Storages::Zip { archive, folder, verified }))
    }

    /// Five pickles (a magic number, the version, the platform, the objects, the keys of the
    /// storages), then per storage its number of elements and its bytes.
    fn legacy(mut self) -> Result<Checkpoint, CheckpointError> {
        let path = self.path;
        let failed = |source| CheckpointError::Read { path: path.into(), source };
        let mut bytes = Vec::new();
        self.file.rewind().map_err(failed)?;
        self.file.by_ref().take(MAX_PICKLE_BYTES).read_to_end(&mut bytes).map_err(failed)?;
        let mut at = 0;
        let mut next = || {
            let (pickle, len) = Pickle::read(&bytes[at..])
                .map_err(|source| CheckpointError::Pickle { path: path.into(), source })?;
            at += len;
            Ok(pickle)
        };
        let (_magic, version, platform) = (next()?, next()?, next()?);
        let (pickle, keys) = (next()?, next()?);
        if version.size(version.root()) != Some(LEGACY_VERSION) {
            let found = version.describe(version.root());
            return Err(self.field("the version", found, "1001"));
        }
        let little = platform.entries(platform.root()).into_iter().flatten().any(|(key, value)| {
            platform.text(key) == Some("little_endian")
                && matches!(platform.node(value), Node::Bool(true))
        });
        if !little {
            return Err(self.field("the byte order", "not little-endian".into(), "little-endian"));
        }
        let sizes: HashMap<String, usize> = pickle
            .persistent()
            .filter_map(|id| StorageReference::from_pickle(&pickle, id).ok())
            .map(|storage| (storage.key, storage.dtype.map_or(1, Dtype::size)))
            .collect();
        let mut ranges = HashMap::new();
        let mut start = at as u64;
        for &key in keys.items(keys.root()).unwrap_or_default() {
            let key = keys.text(key).unwrap_or_default();
            let field = format!("the storage {key}");
            let Some(&size) = sizes.get(key) else {
                return Err(self.field(&field, "of unknown type".into(), "one that a tensor uses"));
            };
            let mut len = [0; 8];
            self.file
                .seek(SeekFrom::Start(start))
                .and_then(|_| self.file.read_exact(&mut len))
                .map_err(failed)?;
            let len = u64::from_le_bytes(len).checked_mul(size as u64);
            let content = start + 8;
            let end = len.and_then(|len| content.checked_add(len)).filter(|&end| end <= self.len);
            let (Some(len), Some(end)) = (len, end) else {
                return Err(self.field(&field, "cut off".into(), "inside the file"));
            };
            ranges.insert(key.to_owned(), (content, len));
            start = end;
        }
        let state = StateDict::find(&pickle, self.path)?;
        for tensor in state.tensors() {
            let found = ranges.get(&tensor.storage).map(|&(_, len)| len);
            self.check_storage(&tensor.storage, tensor, found)?;
        }
        Ok(state.checkpoint(self, Storages::Legacy(ranges)))
    }

    fn safetensors(self) -> Result<Checkpoint, CheckpointError> {
        let reader = Reader::open(self.path).map_err(CheckpointError::Safetensors)?;
        let mut state = StateDict::default();
        for name in reader.names() {
            let info = reader.info(&name).expect("the name is the file's");
            let entry = match Dtype::from_safetensors(info.dtype) {
                Some(dtype) => {
                    Entry::tensor(StoredTensor::contiguous(dtype, info.shape.clone(), name.clone()))
                }
                None => Entry::Other(format!("a tensor of {}", info.dtype)),
            };
            state.entries.insert(name, entry);
        }
        let provenance = reader.provenance().map_err(CheckpointError::Safetensors)?;
        let checkpoint = state.checkpoint(self, Storages::Safetensors(reader));
        Ok(Checkpoint { provenance, ..checkpoint })
    }

    fn check_size(&self, name: &str, len: u64) -> Result<(), CheckpointError> {
        if len <= MAX_PICKLE_BYTES {
            return Ok(());
        }
        Err(self.field(name, format!("{len} bytes"), "at most 64 MiB"))
    }

    /// The storage `name` of `found` bytes must hold all of the tensor.
    fn check_storage(
        &self,
        name: &str,
        tensor: &StoredTensor,
        found: Option<u64>,
    ) -> Result<(), CheckpointError> {
        let needed = tensor.byte_range().and_then(|(_, end)| u64::try_from(end).ok());
        match (found, needed) {
            (Some(found), Some(needed)) if needed <= found => Ok(()),
            (found, _) => {
                let found = found.map_or_else(|| "missing".into(), |len| format!("{len} bytes"));
                Err(self.field(&format!("the storage {name}"), found, "one that holds its tensors"))
            }
        }
    }

    fn pickle_error(&self, source: PickleError) -> CheckpointError {
        CheckpointError::Pickle { path: self.path.into(), source }
    }

    fn field(&self, field: &str, found: String, expected: &'static str) -> CheckpointError {
        CheckpointError::Field { path: self.path.into(), field: field.into(), found, expected }
    }
}

/// What a pickle holds that an import needs.
#[derive(Default)]
struct StateDict {
    entries: BTreeMap<String, Entry>,
    beside: Vec<String>,
    calls: Vec<String>,
}

impl StateDict {
    /// The state dict: the root, or what it holds under one of [`STATE_DICT_KEYS`].
    fn find(pickle: &Pickle, path: &Path) -> Result<Self, CheckpointError> {
        let failed = |found: String| CheckpointError::Field {
            path: path.into(),
            field: "the pickled object".into(),
            found,
            expected: "a state dict, or a dict that holds one as state_dict",
        };
        let describe = |id: Id| pickle.describe(id);
        let root = pickle.root();
        let entries = pickle.entries(root).ok_or_else(|| failed(describe(root)))?;
        let named = |name: &&str| {
            entries.iter().find(|(key, _)| pickle.text(*key) == Some(*name)).map(|&(_, dict)| dict)
        };
        let inner = STATE_DICT_KEYS.iter().find_map(named);
        let (state, beside) = match inner {
            Some(inner) => {
                let state = pickle.entries(inner).ok_or_else(|| failed(describe(inner)))?;
                let beside = entries.iter().filter(|(_, value)| *value != inner);
                (state, beside.map(|&(key, _)| key).collect())
            }
            None => (entries, Vec::new()),
        };
        let name = |key: Id| pickle.text(key).map_or_else(|| describe(key), str::to_owned);
        let mut entries = BTreeMap::new();
        for (key, value) in state {
            let entry =
                StoredTensor::from_pickle(pickle, value).map_or_else(Entry::Other, Entry::tensor);
            // As in Python, the last of two equal keys counts.
            entries.insert(name(key), entry);
        }
        let mut calls = pickle.called_globals();
        calls.retain(|call| !UNDERSTOOD_CALLS.contains(&call.as_str()));
        Ok(Self { entries, beside: beside.into_iter().map(name).collect(), calls })
    }

    fn tensors(&self) -> impl Iterator<Item = &StoredTensor> {
        self.entries.values().filter_map(|entry| match entry {
            Entry::Tensor { stored, .. } => Some(&stored.0),
            Entry::Other(_) => None,
        })
    }

    fn checkpoint(self, opening: Opening<'_>, storages: Storages) -> Checkpoint {
        Checkpoint {
            path: opening.path.into(),
            file: opening.file,
            storages,
            entries: self.entries,
            beside: self.beside,
            calls: self.calls,
            provenance: None,
        }
    }
}

/// Where trainers keep the state dict of their network.
const STATE_DICT_KEYS: [&str; 3] = ["state_dict", "model_state_dict", "model"];
/// Calls whose results are understood.
const UNDERSTOOD_CALLS: [&str; 7] = [
    "collections.OrderedDict",
    "torch._tensor._rebuild_from_type_v2",
    "torch._utils._rebuild_parameter",
    "torch._utils._rebuild_parameter_with_state",
    "torch._utils._rebuild_tensor",
    "torch._utils._rebuild_tensor_v2",
    "torch._utils._rebuild_tensor_v3",
];
/// A pickle of the number 0x1950a86a20f9469cfc6c at protocol 2, without its end.
const LEGACY_MAGIC: &[u8] = b"\x80\x02\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19";
const LEGACY_VERSION: usize = 1001;
/// Enough to recognise every format.
const START_BYTES: u64 = 512;
/// Pickles of checkpoints with three thousand tensors have half a megabyte.
const MAX_PICKLE_BYTES: u64 = 1 << 26;
/// 4 GiB as float32; the largest tensor of a published network has 60 MB.
const MAX_ELEMENTS: usize = 1 << 30;
