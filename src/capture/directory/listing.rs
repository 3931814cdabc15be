//! Which files make pairs.

use super::{CaptureError, DirectoryOptions, PairFiles, open_error};
use std::fs;
use std::path::{Path, PathBuf};

/// The chosen pairs, and how many there were to choose from.
#[derive(Debug)]
pub(super) struct Listing {
    /// At least one.
    pub(super) pairs: Vec<Pair>,
    /// Before the choice of a range.
    pub(super) found: usize,
}

/// The files of one pair.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Pair {
    pub(super) left: PathBuf,
    pub(super) right: PathBuf,
    /// Its line in a times file, from 0.
    pub(super) time_line: usize,
}

impl Listing {
    /// Lists both views, pairs them and takes the range of the options.
    pub(super) fn new(options: &DirectoryOptions) -> Result<Self, CaptureError> {
        let origin = options.pairs.to_string();
        let (left, right) = match &options.pairs {
            PairFiles::Kitti(root) => {
                (images_in(&root.join("image_2"))?, images_in(&root.join("image_3"))?)
            }
            PairFiles::Globs { left, right } => (matches_of(left)?, matches_of(right)?),
        };
        if left.len() != right.len() || left.is_empty() {
            return Err(CaptureError::Configuration {
                origin,
                field: "files",
                found: format!("{} left and {} right images", left.len(), right.len()),
                expected: "as many left as right ones, at least one".into(),
            });
        }
        let found = left.len();
        let mut pairs = Vec::with_capacity(found);
        for (position, (left, right)) in left.into_iter().zip(right).enumerate() {
            let time_line = match options.pairs {
                PairFiles::Kitti(_) => kitti_number(&left, &right)?,
                PairFiles::Globs { .. } => position,
            };
            pairs.push(Pair { left, right, time_line });
        }
        let end = options.end.unwrap_or(found);
        if options.first >= end || end > found {
            return Err(CaptureError::Configuration {
                origin,
                field: "first and end",
                found: format!("{} and {end}", options.first),
                expected: format!("first < end <= {found}, the number of pairs"),
            });
        }
        pairs.truncate(end);
        pairs.drain(..options.first);
        Ok(Self { pairs, found })
    }
}

/// The PNG and JPEG files of a directory, sorted by name.
fn images_in(directory: &Path) -> Result<Vec<PathBuf>, CaptureError> {
    let mut images = Vec::new();
    for entry in fs::read_dir(directory).map_err(|e| open_error(directory, e))? {
        let path = entry.map_err(|e| open_error(directory, e))?.path();
        let extension = path.extension().and_then(|e| e.to_str()).unwrap_or_default();
        if ["png", "jpg", "jpeg"].iter().any(|known| extension.eq_ignore_ascii_case(known)) {
            images.push(path);
        }
    }
    images.sort();
    Ok(images)
}

/// The matches of a glob, sorted by path.
fn matches_of(pattern: &str) -> Result<Vec<PathBuf>, CaptureError> {
    let paths = glob::glob(pattern).map_err(|e| CaptureError::Configuration {
        origin: "image files".into(),
        field: "glob",
        found: format!("{pattern:?} ({e})"),
        expected: "a pattern of *, ?, [...] and **".into(),
    })?;
    let mut matches = paths.collect::<Result<Vec<_>, _>>().map_err(|e| {
        let path = e.path().to_path_buf();
        open_error(&path, e)
    })?;
    matches.sort();
    Ok(matches)
}

/// The number in the name of a KITTI pair, `000012.png`, which both files must share.
fn kitti_number(left: &Path, right: &Path) -> Result<usize, CaptureError> {
    let configuration =
        |origin: &Path, found: String, expected: String| CaptureError::Configuration {
            origin: origin.display().to_string(),
            field: "file name",
            found,
            expected,
        };
    let name = |path: &Path| path.file_stem().map(|s| s.to_string_lossy().into_owned());
    let (left_name, right_name) = (name(left).unwrap_or_default(), name(right).unwrap_or_default());
    if left_name != right_name {
        return Err(configuration(right, right_name, format!("{left_name}, as the left image")));
    }
    let number = left_name.parse();
    number.map_err(|_| configuration(left, left_name, "a number, as in 000012.png".into()))
}
