//! A grid from above: one value for each column of voxels along z.

use super::{GridView, Meaning};
use crate::description::UNKNOWN_LABEL;

/// An output that does not have a value for each column.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{field}: found {found} values, expected {expected}, one for each column")]
pub struct ColumnsError {
    /// What it was for.
    pub field: &'static str,
    /// Its length.
    pub found: usize,
    /// X times Y.
    pub expected: usize,
}

impl GridView<'_> {
    /// How many columns there are: X times Y. Column (ix, iy) is value `ix * Y + iy` of what follows.
    pub fn columns(&self) -> usize {
        let [x, y, _] = self.geometry.dims.map(|size| size as usize);
        x * y
    }

    /// The 2.5-D height map: for each column the height of the upper face of its highest occupied voxel, metres along z in
    /// the frame of the grid; NaN where none is occupied.
    ///
    /// # Errors
    /// `out` is not f32 `[X, Y]`.
    pub fn height_map(&self, out: &mut [f32]) -> Result<(), ColumnsError> {
        self.check("height map", out.len())?;
        let (bottom, size) = (self.geometry.origin_m[2], self.geometry.voxel_size_m);
        for (height, column) in out.iter_mut().zip(self.column_labels()) {
            let highest = column.iter().rposition(|&label| self.is(label, Meaning::Occupied));
            #[expect(clippy::cast_possible_truncation, reason = "metres, to a few micrometres")]
            #[expect(clippy::cast_precision_loss, reason = "a column has at most 2^30 voxels")]
            let top = |iz: usize| (bottom + size * (iz + 1) as f64) as f32;
            *height = highest.map_or(f32::NAN, top);
        }
        Ok(())
    }

    /// The bird's-eye class map: for each column the class of its highest occupied voxel; where none is, the label of its
    /// highest free one; [`UNKNOWN_LABEL`] where nothing is known of any.
    ///
    /// # Errors
    /// `out` is not u8 `[X, Y]`.
    pub fn birds_eye(&self, out: &mut [u8]) -> Result<(), ColumnsError> {
        self.check("bird's-eye map", out.len())?;
        for (seen, column) in out.iter_mut().zip(self.column_labels()) {
            let highest = |meaning| column.iter().rev().find(|&&label| self.is(label, meaning));
            let label = highest(Meaning::Occupied).or_else(|| highest(Meaning::Free));
            *seen = label.copied().unwrap_or(UNKNOWN_LABEL);
        }
        Ok(())
    }

    /// Labels of one column after the other, from below.
    fn column_labels(&self) -> impl Iterator<Item = &[u8]> {
        self.labels.chunks_exact(self.geometry.dims[2] as usize)
    }

    fn is(&self, label: u8, meaning: Meaning) -> bool {
        self.meanings.of(label) == meaning
    }

    fn check(&self, field: &'static str, found: usize) -> Result<(), ColumnsError> {
        let expected = self.columns();
        if found == expected { Ok(()) } else { Err(ColumnsError { field, found, expected }) }
    }
}
