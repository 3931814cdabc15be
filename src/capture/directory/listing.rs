//! Which files make pairs.

use super::{CaptureError, DirectoryOptions, PairFiles, open_error};
use std::collections::BTreeMap;
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
        let files = files(&options.pairs)?;
        let found = files.len();
        let mut pairs = Vec::with_capacity(found);
        for (position, [left, right]) in files.into_iter().enumerate() {
            let time_line = match options.pairs {
                PairFiles::Kitti(_) => kitti_number(&left, &right)?,
                PairFiles::Folder(_) | PairFiles::Globs { .. } => position,
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

/// The files of both views, paired; at least one pair.
pub(super) fn files(pairs: &PairFiles) -> Result<Vec<[PathBuf; 2]>, CaptureError> {
    let [left, right] = match pairs {
        PairFiles::Kitti(root) => {
            [images_in(&root.join("image_2"))?, images_in(&root.join("image_3"))?]
        }
        PairFiles::Folder(root) => views_in(root)?,
        PairFiles::Globs { left, right } => [matches_of(left)?, matches_of(right)?],
    };
    if left.len() != right.len() || left.is_empty() {
        return Err(CaptureError::Configuration {
            origin: pairs.to_string(),
            field: "files",
            found: format!("{} left and {} right images", left.len(), right.len()),
            expected: "as many left as right ones, at least one".into(),
        });
    }
    Ok(left.into_iter().zip(right).map(|(left, right)| [left, right]).collect())
}

/// The left and the right images of a folder, or of its subfolders, each with its partner at the same place.
fn views_in(root: &Path) -> Result<[Vec<PathBuf>; 2], CaptureError> {
    let subfolders = ["left", "right"].map(|view| root.join(view));
    let named: Vec<[Option<PathBuf>; 2]> = if subfolders.iter().all(|folder| folder.is_dir()) {
        let [left, right] = [images_in(&subfolders[0])?, images_in(&subfolders[1])?];
        paired(left, right, file_name)
    } else {
        let mut views = [Vec::new(), Vec::new()];
        for path in images_in(root)? {
            let name = file_name(&path);
            match [name.contains("left"), name.contains("right")] {
                [true, false] => views[0].push(path),
                [false, true] => views[1].push(path),
                _ => {}
            }
        }
        let [left, right] = views;
        paired(left, right, |path| {
            file_name(path).replacen("left", "*", 1).replacen("right", "*", 1)
        })
    };
    let mut views = [Vec::new(), Vec::new()];
    for pair in named {
        match pair {
            [Some(left), Some(right)] => {
                views[0].push(left);
                views[1].push(right);
            }
            [Some(alone), None] | [None, Some(alone)] => {
                return Err(CaptureError::Configuration {
                    origin: alone.display().to_string(),
                    field: "partner",
                    found: "no image of the other view with such a name".into(),
                    expected: "left and right files, or files in left and right, of equal names"
                        .into(),
                });
            }
            [None, None] => {}
        }
    }
    Ok(views)
}

/// Files of equal keys, in the order of the keys.
fn paired(
    left: Vec<PathBuf>,
    right: Vec<PathBuf>,
    key: impl Fn(&Path) -> String,
) -> Vec<[Option<PathBuf>; 2]> {
    let mut pairs = BTreeMap::<String, [Option<PathBuf>; 2]>::new();
    for (view, files) in [left, right].into_iter().enumerate() {
        for file in files {
            let key = key(&file);
            pairs.entry(key).or_default()[view] = Some(file);
        }
    }
    pairs.into_values().collect()
}

/// In lower case.
fn file_name(path: &Path) -> String {
    path.file_name().map(|name| name.to_string_lossy().to_lowercase()).unwrap_or_default()
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
