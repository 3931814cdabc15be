//! Weights files: safetensors, read tensor by tensor and written whole or not at all.
//!
//! A file starts with the length of its header (u64, little-endian), then the header (JSON: dtype,
//! shape and byte range of every tensor, and a map of strings), then the bytes of the tensors.

use std::{
    collections::BTreeMap,
    fs::File,
    io::{BufWriter, Read, Seek, SeekFrom, Write},
    path::Path,
};

use occdepth_contract::hex;
use safetensors::{
    Dtype, SafeTensorError,
    tensor::{Metadata, TensorInfo},
};
use serde_json::{Map, Value, json};

use super::{Provenance, WeightTensor, Weights, WeightsError};
use crate::export::write_atomically_with;

/// A safetensors file whose header was read and checked; tensors are read when asked for.
#[derive(Debug)]
pub(crate) struct Reader<R> {
    source: R,
    origin: String,
    header: Metadata,
    data_start: u64,
}

impl Reader<File> {
    /// Opens `path` and reads its header.
    pub(crate) fn open(path: &Path) -> Result<Self, WeightsError> {
        let file =
            File::open(path).map_err(|source| WeightsError::Read { path: path.into(), source })?;
        Self::new(file, path.display().to_string())
    }
}

impl<R: Read + Seek> Reader<R> {
    /// Reads the header from the start of `source`, which must be as long as the header says;
    /// `origin` names it in errors.
    pub(crate) fn new(mut source: R, origin: String) -> Result<Self, WeightsError> {
        let read = |source| WeightsError::Read { path: origin.clone().into(), source };
        let format = |source| WeightsError::Format { origin: origin.clone(), source };
        let len = source.seek(SeekFrom::End(0)).map_err(read)?;
        source.rewind().map_err(read)?;
        let header_len = match len.checked_sub(LENGTH_BYTES as u64) {
            None => return Err(format(SafeTensorError::HeaderTooSmall)),
            Some(rest) => {
                let mut bytes = [0; LENGTH_BYTES];
                source.read_exact(&mut bytes).map_err(read)?;
                let header_len = u64::from_le_bytes(bytes);
                if header_len > MAX_HEADER_BYTES {
                    return Err(format(SafeTensorError::HeaderTooLarge));
                }
                if header_len > rest {
                    return Err(format(SafeTensorError::InvalidHeaderLength));
                }
                header_len
            }
        };
        let mut header = Vec::new();
        source.by_ref().take(header_len).read_to_end(&mut header).map_err(read)?;
        let header: Metadata = serde_json::from_slice(&header)
            .map_err(|error| format(SafeTensorError::InvalidHeaderDeserialization(error)))?;
        let data_start = LENGTH_BYTES as u64 + header_len;
        if data_start.checked_add(header.data_len() as u64) != Some(len) {
            return Err(format(SafeTensorError::MetadataIncompleteBuffer));
        }
        Ok(Self { source, origin, header, data_start })
    }

    /// Names of the tensors in order of their bytes.
    pub(crate) fn names(&self) -> Vec<String> {
        self.header.offset_keys()
    }

    /// Type and shape of the tensor `name`.
    pub(crate) fn info(&self, name: &str) -> Option<&TensorInfo> {
        self.header.info(name)
    }

    /// The bytes of the tensor with this `info`, as stored.
    pub(crate) fn bytes(&mut self, info: &TensorInfo) -> Result<Vec<u8>, WeightsError> {
        let (start, end) = info.data_offsets;
        // The header's ranges lie in the file (checked when it was read).
        let mut bytes = vec![0; end - start];
        self.source
            .seek(SeekFrom::Start(self.data_start + start as u64))
            .and_then(|_| self.source.read_exact(&mut bytes))
            .map_err(|source| WeightsError::Read { path: self.origin.clone().into(), source })?;
        Ok(bytes)
    }

    /// What the header says about the origin of the weights.
    pub(crate) fn provenance(&self) -> Result<Option<Provenance>, WeightsError> {
        let empty = std::collections::HashMap::new();
        let entries = self.header.metadata().as_ref().unwrap_or(&empty);
        if !KEYS.iter().any(|key| entries.contains_key(*key)) {
            return Ok(None);
        }
        let entry = |key: &'static str, expected: &'static str| {
            entries.get(key).cloned().ok_or_else(|| WeightsError::Provenance {
                origin: self.origin.clone(),
                key,
                found: "nothing".into(),
                expected,
            })
        };
        let trained = entry(TRAINED, TRUTHS)?;
        let trained = trained.parse().map_err(|_| WeightsError::Provenance {
            origin: self.origin.clone(),
            key: TRAINED,
            found: format!("{trained:?}"),
            expected: TRUTHS,
        })?;
        let provenance = Provenance {
            preset: entry(PRESET, A_NAME)?,
            source_sha256: entry(SOURCE_SHA256, A_HASH)?,
            source_name: entry(SOURCE_NAME, A_NAME)?,
            trained,
        };
        check(&provenance, &self.origin)?;
        Ok(Some(provenance))
    }

    /// Every float32 tensor.
    pub(super) fn weights(&mut self) -> Result<Weights, WeightsError> {
        let mut tensors = BTreeMap::new();
        for name in self.names() {
            let Some(info) = self.info(&name).filter(|info| info.dtype == Dtype::F32) else {
                continue;
            };
            let info = info.clone();
            let bytes = self.bytes(&info)?;
            let (chunks, _) = bytes.as_chunks::<4>();
            let values = chunks.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect();
            tensors.insert(name, WeightTensor { shape: info.shape, values });
        }
        Ok(Weights { tensors, provenance: self.provenance()? })
    }
}

/// Writes `weights` to `path`, one tensor at a time; the same weights make the same bytes.
pub(super) fn write(weights: &Weights, path: &Path) -> Result<(), WeightsError> {
    if let Some(provenance) = &weights.provenance {
        check(provenance, &path.display().to_string())?;
    }
    let header = header(weights);
    write_atomically_with(path, |file| {
        file.write_all(&(header.len() as u64).to_le_bytes())?;
        file.write_all(&header)?;
        weights.tensors.values().try_for_each(|tensor| write_values(&tensor.values, file))
    })
    .map_err(WeightsError::Write)
}

/// Checks the strings of a provenance: they are shown on terminals, which obey control characters, and
/// stand in contracts.
fn check(provenance: &Provenance, origin: &str) -> Result<(), WeightsError> {
    let Provenance { preset, source_sha256, source_name, trained: _ } = provenance;
    let is_name =
        |text: &str| (1..=MAX_NAME_BYTES).contains(&text.len()) && !text.contains(char::is_control);
    for (key, found, holds, expected) in [
        (PRESET, preset, is_name(preset), A_NAME),
        (SOURCE_SHA256, source_sha256, hex::is_sha256(source_sha256), A_HASH),
        (SOURCE_NAME, source_name, is_name(source_name), A_NAME),
    ] {
        if !holds {
            return Err(WeightsError::Provenance {
                origin: origin.into(),
                key,
                found: format!("{found:?}"),
                expected,
            });
        }
    }
    Ok(())
}

fn write_values(values: &[f32], file: &mut BufWriter<File>) -> std::io::Result<()> {
    values.iter().try_for_each(|value| file.write_all(&value.to_le_bytes()))
}

/// The header, padded with spaces so that the tensors start at a multiple of 8 bytes.
fn header(weights: &Weights) -> Vec<u8> {
    let mut entries = Map::new();
    if let Some(provenance) = &weights.provenance {
        let Provenance { preset, source_sha256, source_name, trained } = provenance;
        let provenance = json!({
            PRESET: preset,
            SOURCE_SHA256: source_sha256,
            SOURCE_NAME: source_name,
            TRAINED: trained.to_string(),
        });
        entries.insert("__metadata__".into(), provenance);
    }
    let mut start = 0;
    for (name, tensor) in weights.iter() {
        let end = start + size_of_val(tensor.values.as_slice());
        let entry = json!({ "dtype": "F32", "shape": tensor.shape, "data_offsets": [start, end] });
        entries.insert(name.into(), entry);
        start = end;
    }
    let mut header = Value::Object(entries).to_string().into_bytes();
    header.resize(header.len().next_multiple_of(LENGTH_BYTES), b' ');
    header
}

/// Keys of the header's map of strings.
const PRESET: &str = "occdepth.preset";
const SOURCE_SHA256: &str = "occdepth.source_sha256";
const SOURCE_NAME: &str = "occdepth.source_name";
const TRAINED: &str = "occdepth.trained";
const KEYS: [&str; 4] = [PRESET, SOURCE_SHA256, SOURCE_NAME, TRAINED];
const TRUTHS: &str = "true or false";
const A_NAME: &str = "1 to 1024 printable bytes";
const A_HASH: &str = "64 lower-case hexadecimal digits";
/// Longest name in bytes: four times what file systems allow, because replacement characters are longer
/// than what they replace.
const MAX_NAME_BYTES: usize = 1024;
/// Bytes of the length before the header.
const LENGTH_BYTES: usize = 8;
/// The format's own limit.
const MAX_HEADER_BYTES: u64 = 100_000_000;
