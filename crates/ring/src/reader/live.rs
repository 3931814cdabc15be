//! A look at a grid where it lies.

use super::{load_header, part};
use crate::description::GridGeometry;
use crate::layout::segment::{Places, SegmentHeader};
use crate::record::PublishedGrid;
use crate::words::{ReadOnlyWord, WORD_BYTES};
use std::sync::atomic::Ordering;

/// A grid in its slot, possibly being overwritten: every accessor copies bytes out, none lends them.
///
/// Given to the closure of [`Reader::look`](super::Reader::look), whose result counts only if the
/// grid was not overwritten meanwhile. Accessors are checked, so a mixture of grids cannot lead
/// anybody astray but in the values.
#[derive(Debug)]
pub struct LiveGrid<'a> {
    slot: &'a [ReadOnlyWord],
    places: Places,
    geometry: &'a GridGeometry,
    minor: u32,
}

impl<'a> LiveGrid<'a> {
    pub(super) fn new(slot: &'a [ReadOnlyWord], header: &'a SegmentHeader) -> Self {
        let (places, geometry) = (header.places, &header.description.grid);
        Self { slot, places, geometry, minor: header.abi.minor }
    }

    /// What is said of the grid.
    pub fn published(&self) -> PublishedGrid {
        load_header(self.slot).decode(self.minor)
    }

    /// The label of voxel (ix, iy, iz); `None` outside the grid.
    pub fn label(&self, voxel: [u32; 3]) -> Option<u8> {
        let index = self.geometry.index(voxel)?;
        let mut label = [0];
        self.copy_labels(index, &mut label).then_some(label[0])
    }

    /// The confidence of voxel (ix, iy, iz), 255 = 1.0; `None` outside the grid and when the
    /// stream has none.
    pub fn confidence(&self, voxel: [u32; 3]) -> Option<u8> {
        let index = self.geometry.index(voxel)?;
        let mut confidence = [0];
        self.copy_confidence(index, &mut confidence).then_some(confidence[0])
    }

    /// Copies labels from voxel index `from` on (see [`GridGeometry::index`]) into `labels`; false,
    /// and nothing copied, when there are not so many.
    pub fn copy_labels(&self, from: usize, labels: &mut [u8]) -> bool {
        self.copy(self.places.labels_offset, self.places.labels_bytes, from, labels)
    }

    /// Copies confidences as [`copy_labels`](Self::copy_labels) does labels.
    pub fn copy_confidence(&self, from: usize, confidence: &mut [u8]) -> bool {
        self.copy(self.places.confidence_offset, self.places.confidence_bytes, from, confidence)
    }

    fn copy(&self, offset: usize, length: usize, from: usize, out: &mut [u8]) -> bool {
        if from.checked_add(out.len()).is_none_or(|end| end > length) {
            return false;
        }
        let words = part(self.slot, offset);
        let mut index = from;
        let mut rest = out;
        while !rest.is_empty() {
            let word = words[index / WORD_BYTES].load(Ordering::Relaxed).to_le_bytes();
            let start = index % WORD_BYTES;
            let count = rest.len().min(WORD_BYTES - start);
            let (head, tail) = rest.split_at_mut(count);
            head.copy_from_slice(&word[start..start + count]);
            index += count;
            rest = tail;
        }
        true
    }
}
