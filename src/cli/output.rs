//! Results: to standard output, or to files that are whole or not there at all.

use super::Failure;
use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

/// Prints bytes to standard output. A reader that went away (`| head`) is not an error.
pub(crate) fn print(bytes: &[u8]) -> Result<(), Failure> {
    let mut out = io::stdout().lock();
    match out.write_all(bytes).and_then(|()| out.flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            Err(Failure::work("cannot write to standard output").because(error))
        }
        _ => Ok(()),
    }
}

/// Prints a line to standard output.
pub(crate) fn print_line(line: impl std::fmt::Display) -> Result<(), Failure> {
    print(format!("{line}\n").as_bytes())
}

/// Prints a JSON document over several lines.
pub(crate) fn print_json(document: &serde_json::Value) -> Result<(), Failure> {
    print_line(format_args!("{document:#}"))
}

/// Writes the file at `path` through `write`. On any failure (a full disk, say) no file is left: not a partial
/// one, and what was there before stays.
pub(crate) fn write_file(
    path: &Path,
    write: impl FnOnce(&mut BufWriter<&File>) -> io::Result<()>,
) -> Result<(), Failure> {
    let failed = |error| Failure::work(format!("cannot write {}", path.display())).because(error);
    // A device or a pipe (/dev/stdout) is written to; it must not be replaced by a file.
    if fs::metadata(path).is_ok_and(|metadata| !metadata.is_file()) {
        return (|| {
            let device = File::options().write(true).open(path)?;
            let mut out = BufWriter::new(&device);
            write(&mut out)?;
            out.flush()
        })()
        .map_err(failed);
    }
    let partial = partial_path(path);
    let result = (|| {
        let file = File::create(&partial)?;
        let mut out = BufWriter::new(&file);
        write(&mut out)?;
        out.flush()?;
        drop(out);
        file.sync_all()?;
        fs::rename(&partial, path)
    })();
    result.map_err(|error| {
        // The write already failed; that the cleanup fails too (no such directory) changes nothing.
        let _ = fs::remove_file(&partial);
        failed(error)
    })
}

/// Beside the file, so that the rename stays within one file system; with the process id, so that two
/// processes do not share it.
fn partial_path(path: &Path) -> PathBuf {
    let mut name = OsString::from(".");
    name.push(path.file_name().unwrap_or_default());
    name.push(format!(".{}.partial", std::process::id()));
    path.with_file_name(name)
}

/// Writes an RGB8 image as PNG.
pub(crate) fn write_png(path: &Path, rgb: &[u8], width: u32, height: u32) -> Result<(), Failure> {
    use image::ImageEncoder as _;
    write_file(path, |out| {
        image::codecs::png::PngEncoder::new(out)
            .write_image(rgb, width, height, image::ExtendedColorType::Rgb8)
            .map_err(io::Error::other)
    })
}

/// Writes an array as NumPy `.npy`, row-major.
pub(crate) fn write_npy<T: npyz::AutoSerialize + Copy>(
    path: &Path,
    shape: &[u64],
    values: &[T],
) -> Result<(), Failure> {
    use npyz::WriterBuilder as _;
    write_file(path, |out| {
        let mut npy =
            npyz::WriteOptions::new().default_dtype().shape(shape).writer(out).begin_nd()?;
        npy.extend(values.iter().copied())?;
        npy.finish()
    })
}
