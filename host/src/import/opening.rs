//! Opening a checkpoint: telling its format, and finding the state dict in it.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    fs::File,
    io::{Read, Seek, SeekFrom},
    path::Path,
};

use super::{
    archive::Archive,
    checkpoint::{Checkpoint, CheckpointError, Entry, Format, Storages},
    pickle::{Id, Node, Pickle, PickleError},
    tensor::{Dtype, StorageReference, StoredTensor},
};
use crate::weights::Reader;

/// Opens `path` as what its first bytes say that it is.
pub(super) fn open(path: &Path) -> Result<Checkpoint, CheckpointError> {
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
                return Err(self.field("byteorder", &found.escape_ascii().to_string(), "little"));
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
            return Err(self.field("the version", &found, "1001"));
        }
        let little = platform.entries(platform.root()).into_iter().flatten().any(|(key, value)| {
            platform.text(key) == Some("little_endian")
                && matches!(platform.node(value), Node::Bool(true))
        });
        if !little {
            return Err(self.field("the byte order", "not little-endian", "little-endian"));
        }
        let sizes: HashMap<&str, usize> = pickle
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
                return Err(self.field(&field, "of unknown type", "one that a tensor uses"));
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
                return Err(self.field(&field, "cut off", "inside the file"));
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
            state.entries.insert(printable(&name), entry);
        }
        let provenance = reader.provenance().map_err(CheckpointError::Safetensors)?;
        let checkpoint = state.checkpoint(self, Storages::Safetensors(reader));
        Ok(Checkpoint { provenance, ..checkpoint })
    }

    fn check_size(&self, name: &str, len: u64) -> Result<(), CheckpointError> {
        if len <= MAX_PICKLE_BYTES {
            return Ok(());
        }
        Err(self.field(name, &format!("{len} bytes"), "at most 64 MiB"))
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
                Err(self.field(
                    &format!("the storage {name}"),
                    &found,
                    "one that holds its tensors",
                ))
            }
        }
    }

    fn pickle_error(&self, source: PickleError) -> CheckpointError {
        CheckpointError::Pickle { path: self.path.into(), source }
    }

    fn field(&self, field: &str, found: &str, expected: &'static str) -> CheckpointError {
        let (field, found) = (printable(field), printable(found));
        CheckpointError::Field { path: self.path.into(), field, found, expected }
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
            found: printable(&found),
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
        let name = |key: Id| pickle.text(key).map_or_else(|| describe(key), printable);
        // A pickle can name one key any number of times.
        let mut seen = BTreeSet::new();
        let beside =
            beside.into_iter().map(name).filter(|name| seen.insert(name.clone())).collect();
        let mut entries = BTreeMap::new();
        for (key, value) in state {
            let entry = StoredTensor::from_pickle(pickle, value)
                .map_or_else(|what| Entry::Other(printable(&what)), Entry::tensor);
            // As in Python, the last of two equal keys counts.
            entries.insert(name(key), entry);
            if entries.len() > MAX_ENTRIES {
                return Err(CheckpointError::Field {
                    path: path.into(),
                    field: "the state dict".into(),
                    found: format!("of more than {MAX_ENTRIES} names"),
                    expected: "one of a network",
                });
            }
        }
        let calls = pickle.called_globals().into_iter();
        let calls = calls.filter(|call| !UNDERSTOOD_CALLS.contains(call)).map(printable).collect();
        Ok(Self { entries, beside, calls })
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

/// The text with control characters escaped: names come from the file, and are printed.
pub(super) fn printable(text: &str) -> String {
    let mut printable = String::with_capacity(text.len());
    for c in text.chars() {
        if c.is_control() {
            printable.extend(c.escape_default());
        } else {
            printable.push(c);
        }
    }
    printable
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
/// Published networks have three thousand names. What an entry says may be much longer than the
/// bytes of the pickle that name it again.
const MAX_ENTRIES: usize = 1 << 16;
