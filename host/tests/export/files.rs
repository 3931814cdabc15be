//! Files that are whole or not there, where one of several fails.

use occdepth_host::export::{StagedFiles, write_atomically};
use std::{
    fs,
    io::{Error, Write},
    path::Path,
};

fn entries(folder: &Path) -> Vec<String> {
    let names = fs::read_dir(folder).unwrap();
    let mut names: Vec<String> =
        names.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

/// Whoever goes on after a failure commits the whole files, and nothing of the other one.
#[test]
fn a_file_that_failed_is_not_committed() {
    let folder = tempfile::tempdir().unwrap();
    let [whole, failed] = ["whole", "failed"].map(|name| folder.path().join(name));
    fs::write(&failed, "an older file").unwrap();
    let mut files = StagedFiles::default();
    files.add(&whole, |file| file.write_all(b"whole")).unwrap();
    let error = files.add(&failed, |file| {
        file.write_all(b"half")?;
        Err(Error::other("a reason"))
    });
    assert_eq!(error.unwrap_err().path, failed);
    assert_eq!(entries(folder.path()).len(), 2, "the half file is still there");
    files.commit().unwrap();
    assert_eq!(fs::read_to_string(&whole).unwrap(), "whole");
    assert_eq!(fs::read_to_string(&failed).unwrap(), "an older file");
    assert_eq!(entries(folder.path()), ["failed", "whole"]);
}

/// What lies where the half-written file would be is not written to: it may be a link to anything.
#[test]
fn what_lies_beside_the_file_is_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("new");
    let taken = folder.path().join(format!("new.{}-0.partial", std::process::id()));
    fs::write(&taken, "not ours").unwrap();
    write_atomically(&path, b"new").unwrap();
    assert_eq!(fs::read_to_string(&path).unwrap(), "new");
    assert_eq!(fs::read_to_string(&taken).unwrap(), "not ours");
    assert_eq!(entries(folder.path()).len(), 2);
}
