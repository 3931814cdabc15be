//! Calibration files of other programs: real ones against each other and against OpenCV's numbers, our own there and back,
//! and files that are wrong.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]
#![allow(clippy::float_cmp, reason = "numbers of a file are read as they are written")]

mod closed_forms;
mod damaged;
mod exports;
mod real;
mod recognised;
mod round_trip;

use occdepth_calibration::formats::{File, Format, FormatError, Imported, Options, detect, import};

/// Detects and reads files that are given as names and texts.
fn read(files: &[(&str, &str)], options: &Options) -> Result<Imported, FormatError> {
    let files: Vec<File<'_>> = files.iter().map(|&(name, text)| File { name, text }).collect();
    let format = detect(&files)?;
    import(format, &files, options)
}

fn detected(name: &str, text: &str) -> Format {
    detect(&[File { name, text }]).unwrap()
}
