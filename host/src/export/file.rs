//! Files that are whole or not there.

use occdepth_contract::onnx::{ModelProto, sha256};
use std::{
    fs::{self, File},
    io::{self, BufWriter, Write},
    path::{Path, PathBuf},
};

/// Why a file could not be written.
#[derive(Debug, thiserror::Error)]
#[error("cannot write {}", path.display())]
pub struct WriteError {
    /// The file that was to be written.
    pub path: PathBuf,
    /// Why.
    pub source: io::Error,
}

/// Writes `bytes` to `path` as [`write_atomically_with`] does.
///
/// # Errors
/// [`WriteError`] with the path; nothing half-written is left behind.
pub fn write_atomically(path: &Path, bytes: &[u8]) -> Result<(), WriteError> {
    write_atomically_with(path, |file| file.write_all(bytes))
}

/// Writes what `content` writes to `path`: to a file beside it first, which takes its name only
/// when it is whole and on disk. Where that fails (a full disk, no permission, an error of
/// `content`), `path` is what it was before. What exists and is not a regular file is refused.
///
/// # Errors
/// [`WriteError`] with the path; nothing half-written is left behind.
pub fn write_atomically_with(
    path: &Path,
    content: impl FnOnce(&mut BufWriter<File>) -> io::Result<()>,
) -> Result<(), WriteError> {
    let mut files = StagedFiles::default();
    files.add(path, content)?;
    files.commit()
}

/// Files that belong together: each is written beside the place it is for, and all take their places
/// when every one is whole and on disk. Dropped before that, nothing has changed and nothing is left.
#[derive(Debug, Default)]
pub struct StagedFiles {
    files: Vec<StagedFile>,
}

#[derive(Debug)]
struct StagedFile {
    partial: PathBuf,
    path: PathBuf,
}

impl StagedFiles {
    /// Writes what `content` writes to a file beside `path`.
    ///
    /// # Errors
    /// [`WriteError`] with the path: it is taken by something that is not a regular file, or writing
    /// failed. The files added before stay; of this one nothing does.
    pub fn add(
        &mut self,
        path: &Path,
        content: impl FnOnce(&mut BufWriter<File>) -> io::Result<()>,
    ) -> Result<(), WriteError> {
        let mut file = self.create(path)?;
        content(&mut file).and_then(|()| finish(file)).map_err(|error| {
            self.remove_last();
            failed(path)(error)
        })
    }

    /// Writes `model` to a file beside `path`; its larger constants to another one, which takes the name
    /// `path` with `.data` at the end, where there are more than `external_above` bytes of them. Returns the
    /// SHA-256 that [`ModelFile`](occdepth_contract::onnx::ModelFile) will find, and the size of both in
    /// bytes.
    ///
    /// # Errors
    /// As [`StagedFiles::add`].
    pub fn add_model(
        &mut self,
        path: &Path,
        model: &ModelProto,
        external_above: u64,
    ) -> Result<([u8; 32], u64), WriteError> {
        let first = self.files.len();
        if model.constant_bytes() <= external_above {
            self.add(path, |file| model.write_to(file))?;
        } else {
            let mut name = path.file_name().unwrap_or_default().to_owned();
            name.push(".data");
            let location = name.to_str().ok_or_else(|| {
                failed(path)(invalid("the name is not UTF-8, as external data needs it"))
            })?;
            let data_path = path.with_file_name(location);
            let mut file = self.create(path)?;
            let written = self.create(&data_path).and_then(|mut data| {
                model
                    .write_external(location, &mut file, &mut data)
                    .and_then(|()| finish(data))
                    .map_err(failed(&data_path))?;
                finish(file).map_err(failed(path))
            });
            if written.is_err() {
                while self.files.len() > first {
                    self.remove_last();
                }
            }
            written?;
        }
        let written: Vec<&Path> =
            self.files[first..].iter().map(|file| file.partial.as_path()).collect();
        let sizes: io::Result<u64> =
            written.iter().map(|path| fs::metadata(path).map(|file| file.len())).sum();
        let bytes = sizes.map_err(failed(path))?;
        Ok((sha256(&written).map_err(failed(path))?, bytes))
    }

    /// Gives every file its name, the first one last: the others are there when it appears.
    ///
    /// # Errors
    /// [`WriteError`] with the path of the first file that could not take its name. Those before it
    /// have taken theirs; each is whole.
    pub fn commit(mut self) -> Result<(), WriteError> {
        while let Some(StagedFile { partial, path }) = self.files.last() {
            fs::rename(partial, path).map_err(failed(path))?;
            self.files.pop();
        }
        Ok(())
    }

    /// Takes the file that was added last away again: it is not whole.
    fn remove_last(&mut self) {
        if let Some(file) = self.files.pop() {
            file.remove();
        }
    }

    fn create(&mut self, path: &Path) -> Result<BufWriter<File>, WriteError> {
        let Some(name) = path.file_name() else {
            return Err(failed(path)(invalid("the path does not end in a file name")));
        };
        // Renaming over a device or a directory would replace it, where it succeeds at all.
        if fs::metadata(path).is_ok_and(|existing| !existing.is_file()) {
            return Err(failed(path)(invalid("the path exists and is not a regular file")));
        }
        // The process id keeps two exports to one file apart; the later rename wins. Always a new
        // file: what lies there already (a link, the remains of a killed process) is not ours.
        let mut attempt = 0;
        let (partial, file) = loop {
            let mut partial_name = name.to_owned();
            partial_name.push(format!(".{}-{attempt}.partial", std::process::id()));
            let partial = path.with_file_name(partial_name);
            match File::create_new(&partial) {
                Err(error)
                    if error.kind() == io::ErrorKind::AlreadyExists && attempt < ATTEMPTS =>
                {
                    attempt += 1;
                }
                opened => break (partial, opened.map_err(failed(path))?),
            }
        };
        self.files.push(StagedFile { partial, path: path.into() });
        Ok(BufWriter::new(file))
    }
}

impl Drop for StagedFiles {
    fn drop(&mut self) {
        self.files.iter().for_each(StagedFile::remove);
    }
}

impl StagedFile {
    fn remove(&self) {
        // Whatever went wrong before is the error to report.
        let _ = fs::remove_file(&self.partial);
    }
}

/// Everything out of the buffer and on disk.
fn finish(file: BufWriter<File>) -> io::Result<()> {
    file.into_inner().map_err(io::IntoInnerError::into_error)?.sync_all()
}

fn failed(path: &Path) -> impl Fn(io::Error) -> WriteError {
    move |source| WriteError { path: path.into(), source }
}

fn invalid(why: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, why)
}

/// Names that are tried for a file beside its place.
const ATTEMPTS: u32 = 64;
