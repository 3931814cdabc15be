//! Pictures of a grid: seen from above, in a terminal or as a PNG.

mod terminal;
mod topdown;

pub(crate) use terminal::{Terminal, screen_cells};
pub(crate) use topdown::TopDown;

use super::{Failure, output};
use std::path::Path;

/// Writes a grid seen from above as PNG, about 512 pixels a side.
pub(crate) fn write_png(
    path: &Path,
    labels: &[u8],
    dims: [u32; 3],
    palette: &Palette,
) -> Result<(), Failure> {
    let [rows, columns, _] = dims;
    let scale = (512 / rows.max(columns).max(1)).max(1);
    let rgb = TopDown::new(labels, dims).rgb(palette, scale as usize);
    output::write_png(path, &rgb, columns * scale, rows * scale)
}

/// What each class looks like.
#[derive(Clone, Debug)]
pub(crate) struct Palette {
    colours: [[u8; 3]; 256],
    letters: [char; 256],
}

impl Palette {
    /// The colour of voxels that are free, and of those about which nothing is known.
    const FREE: [u8; 3] = [24, 24, 24];
    const UNKNOWN: [u8; 3] = [64, 64, 72];

    /// A palette of `(id, name, colour)`; a class gets the first letter of its name that is still free.
    pub(crate) fn new<'a>(classes: impl Iterator<Item = (u8, &'a str, [u8; 3])>) -> Self {
        let mut palette = Self { colours: [Self::UNKNOWN; 256], letters: ['?'; 256] };
        let mut taken = vec!['?', '.'];
        for (id, name, colour) in classes {
            let letter = name
                .chars()
                .flat_map(char::to_lowercase)
                .chain('0'..='9')
                .find(|letter| letter.is_ascii_alphanumeric() && !taken.contains(letter))
                .unwrap_or('#');
            taken.push(letter);
            palette.colours[usize::from(id)] = colour;
            palette.letters[usize::from(id)] = letter;
        }
        palette.colours[usize::from(FREE)] = Self::FREE;
        palette.letters[usize::from(FREE)] = '.';
        palette
    }

    pub(crate) fn colour(&self, class: u8) -> [u8; 3] {
        self.colours[usize::from(class)]
    }

    pub(crate) fn letter(&self, class: u8) -> char {
        self.letters[usize::from(class)]
    }
}

/// The class of a free voxel, and of one about which nothing is known (in every dataset we read).
const FREE: u8 = 0;
const UNKNOWN: u8 = 255;
