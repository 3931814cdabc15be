//! A model on disk: one file, or one with its larger constants in files beside it.

use super::{MAX_MODEL_BYTES, ModelProto, OnnxError, TensorProto, write::EXTERNAL};
use crate::regular_file::{self, ReadError};
use sha2::{Digest, Sha256};
use std::{
    collections::BTreeMap,
    fs::{self, File},
    io::{self, Read, Seek, SeekFrom},
    path::{Component, Path},
};

/// Most external data that is read, all files of a model together: 16 GiB, many times that of the
/// largest preset.
pub const MAX_EXTERNAL_BYTES: u64 = 1 << 34;

/// A model as it lies on disk.
#[derive(Clone, Debug, PartialEq)]
pub struct ModelFile {
    /// The model; constants that were in other files are in it.
    pub model: ModelProto,
    /// SHA-256 of the file, then of its external data files in order of first use, as one stream:
    /// `cat N.onnx N.onnx.data | sha256sum`.
    pub sha256: [u8; 32],
    /// Size of all of them in bytes.
    pub bytes: u64,
}

impl ModelFile {
    /// Reads the model at `path` with its external data, whole or not at all.
    ///
    /// External data is read from regular files in the model's own folder and from nowhere else: never
    /// more bytes than such a file has, and [`MAX_EXTERNAL_BYTES`] at most.
    ///
    /// # Errors
    /// [`OnnxError`] for a file that is not regular, cannot be read, is no whole model, or names external
    /// data that is elsewhere, missing, too short, too large, or of another length than its tensor's.
    pub fn read(path: &Path) -> Result<Self, OnnxError> {
        let origin = path.display().to_string();
        let bytes = regular_file::read(path, MAX_MODEL_BYTES).map_err(|error| match error {
            ReadError::Io(source) => OnnxError::Read { path: path.into(), source },
            ReadError::TooLarge(found) => OnnxError::TooLarge { origin: origin.clone(), found },
        })?;
        let mut model = ModelProto::parse(&bytes, &origin)?;
        let mut hash = Sha256::new_with_prefix(&bytes);
        let mut total = bytes.len() as u64;
        drop(bytes);

        let mut files = ExternalFiles {
            folder: path,
            origin: &origin,
            open: BTreeMap::new(),
            allowed: MAX_EXTERNAL_BYTES,
        };
        for constant in model.graph.iter_mut().flat_map(|graph| &mut graph.initializer) {
            if constant.data_location == EXTERNAL {
                files.load(constant, &mut hash, &mut total)?;
            }
        }
        model.check(&origin)?;
        Ok(Self { model, sha256: hash.finalize().into(), bytes: total })
    }
}

/// The data files of one model.
struct ExternalFiles<'a> {
    /// The model; data lies beside it.
    folder: &'a Path,
    origin: &'a str,
    /// By location.
    open: BTreeMap<String, ExternalFile>,
    /// Bytes that further files may have.
    allowed: u64,
}

struct ExternalFile {
    file: File,
    size: u64,
    /// Bytes that constants may still read, a budget by number: constants that overlap would let a small
    /// file become a large model.
    unread: u64,
}

impl ExternalFiles<'_> {
    /// Replaces the reference of `constant` by its values.
    fn load(
        &mut self,
        constant: &mut TensorProto,
        hash: &mut Sha256,
        total: &mut u64,
    ) -> Result<(), OnnxError> {
        let refused =
            |field: &'static str, found: String, expected: &str| OnnxError::ExternalData {
                origin: self.origin.into(),
                tensor: constant.name.clone(),
                field,
                found,
                expected: expected.into(),
            };
        let entry = |key: &str| {
            let entry = constant.external_data.iter().find(|entry| entry.key == key);
            entry.map(|entry| entry.value.as_str())
        };
        let number = |field: &'static str| {
            let parsed = entry(field).map(|text| {
                text.parse::<u64>().map_err(|_| refused(field, format!("{text:?}"), "a number"))
            });
            parsed.transpose()
        };
        let expected = constant
            .byte_count()
            .map_err(|source| OnnxError::Constant { origin: self.origin.into(), source })?;
        let location = entry("location").unwrap_or_default().to_owned();
        let offset = number("offset")?.unwrap_or(0);
        let length = number("length")?.unwrap_or(expected);
        if length != expected {
            let expected = format!("{expected} bytes by its dims and type");
            return Err(refused("length", length.to_string(), &expected));
        }
        if !constant.raw_data.is_empty() {
            let found = format!("{} bytes in the model too", constant.raw_data.len());
            return Err(refused("location", found, "values in one place"));
        }
        if !is_plain_file_name(&location) {
            let found = format!("{location:?}");
            return Err(refused("location", found, "the name of a file beside the model"));
        }
        if !self.open.contains_key(&location) {
            let path = self.folder.with_file_name(&location);
            let read = |source| OnnxError::Read { path: path.clone(), source };
            let kind = fs::symlink_metadata(&path).map_err(read)?;
            if !kind.is_file() {
                let found = format!("{location:?}, which is no regular file");
                return Err(refused("location", found, "a regular file beside the model"));
            }
            let Some(allowed) = self.allowed.checked_sub(kind.len()) else {
                let found = format!("{location:?} of {} bytes", kind.len());
                let expected = format!("at most {MAX_EXTERNAL_BYTES} bytes in all data files");
                return Err(refused("location", found, &expected));
            };
            self.allowed = allowed;
            let file = File::open(&path).map_err(read)?;
            // What is appended from now on is not part of it.
            let size = digest((&file).take(kind.len()), hash).map_err(read)?;
            *total += size;
            self.open.insert(location.clone(), ExternalFile { file, size, unread: size });
        }
        let source = self.open.get_mut(&location).expect("it was opened above");
        let inside = offset.checked_add(length).is_some_and(|end| end <= source.size);
        let Some(unread) = source.unread.checked_sub(length).filter(|_| inside) else {
            let found = format!("{offset} with {length} bytes");
            let expected = format!(
                "bytes inside {location:?}, and no more in all its constants than its {}",
                source.size
            );
            return Err(refused("offset", found, &expected));
        };
        source.unread = unread;
        let values = source.read(offset, length).map_err(|source| OnnxError::Read {
            path: self.folder.with_file_name(&location),
            source,
        })?;
        constant.raw_data = values;
        constant.external_data.clear();
        constant.data_location = 0;
        Ok(())
    }
}

impl ExternalFile {
    fn read(&mut self, offset: u64, length: u64) -> io::Result<Vec<u8>> {
        self.file.seek(SeekFrom::Start(offset))?;
        let values = regular_file::read_sized((&self.file).take(length), length)?;
        if values.len() as u64 == length {
            Ok(values)
        } else {
            Err(io::ErrorKind::UnexpectedEof.into())
        }
    }
}

/// SHA-256 of files as one stream, as [`ModelFile::sha256`] has it.
///
/// # Errors
/// Those of opening and reading.
pub fn sha256(files: &[&Path]) -> io::Result<[u8; 32]> {
    let mut hash = Sha256::new();
    for path in files {
        digest(File::open(path)?, &mut hash)?;
    }
    Ok(hash.finalize().into())
}

/// Hashes a file to its end; its size in bytes.
fn digest(mut file: impl Read, hash: &mut Sha256) -> io::Result<u64> {
    let mut buffer = vec![0; 1 << 20];
    let mut size = 0;
    loop {
        match file.read(&mut buffer)? {
            0 => return Ok(size),
            read => {
                hash.update(&buffer[..read]);
                size += read as u64;
            }
        }
    }
}

/// No folder, no parent, no root: nothing that leads out of the model's folder.
fn is_plain_file_name(location: &str) -> bool {
    let mut parts = Path::new(location).components();
    matches!((parts.next(), parts.next()), (Some(Component::Normal(name)), None) if name == location)
        && !location.contains(|c: char| c.is_control() || ['/', '\\'].contains(&c))
}
