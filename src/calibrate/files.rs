//! The board in pairs of image files.

use crate::capture::directory::{FileError, read_grey8};
use occdepth_calibration::bundle::Pair;
use occdepth_calibration::corners::{BoardNotFound, CornerFinder, GreyImage};
use occdepth_geometry::ImageSize;
use std::path::PathBuf;

/// What was found in pairs of files.
#[derive(Clone, Debug)]
pub struct Found {
    /// Of all images.
    pub size: ImageSize,
    /// The pairs that show the whole board in both views.
    pub pairs: Vec<Pair>,
    /// The files of each of `pairs`.
    pub files: Vec<[PathBuf; 2]>,
    /// The others.
    pub without: Vec<Without>,
}

/// A pair that does not show the whole board twice.
#[derive(Clone, Debug, PartialEq)]
pub struct Without {
    /// Left and right.
    pub files: [PathBuf; 2],
    /// What is wrong with the left and the right image.
    pub reasons: [Option<BoardNotFound>; 2],
}

/// Looks for the board in all pairs.
///
/// # Errors
/// [`FileError`]: a file that cannot be read, and [`FileError::Size`] for one of another size than the first.
///
/// # Panics
/// Never: a decoded image has all of its pixels.
pub fn look(finder: &CornerFinder, files: &[[PathBuf; 2]]) -> Result<Found, FileError> {
    let mut found = Found {
        size: ImageSize { width: 0, height: 0 },
        pairs: Vec::new(),
        files: Vec::new(),
        without: Vec::new(),
    };
    for (index, pair) in files.iter().enumerate() {
        let mut images = Vec::with_capacity(2);
        for (view, path) in pair.iter().enumerate() {
            let (size, grey) = read_grey8(path)?;
            if index + view == 0 {
                found.size = size;
            }
            if size != found.size {
                let expected = found.size;
                return Err(FileError::Size { path: path.clone(), found: size, expected });
            }
            images.push(grey);
        }
        let image = |view: usize| {
            GreyImage::new(found.size, &images[view])
                .expect("a decoded image has all of its pixels")
        };
        match finder.find_pair(&image(0), &image(1)) {
            Ok(corners) => {
                found.pairs.push(corners);
                found.files.push(pair.clone());
            }
            Err(reasons) => found.without.push(Without { files: pair.clone(), reasons }),
        }
    }
    Ok(found)
}
