//! Memory of large values that nothing reads any more, for the next ones: what is new from the system
//! costs a page fault for every 4 KiB.

use rten::Value;
use rten_tensor::prelude::*;

/// Memory kept from value to value, and from run to run.
#[derive(Default)]
pub(crate) struct Spare(Vec<Vec<f32>>);

impl Spare {
    /// Memory for `len` values that will all be written; what is in it means nothing.
    pub(crate) fn take(&mut self, len: usize) -> Vec<f32> {
        let smallest = (0..self.0.len())
            .filter(|&nth| (len..=MAX_SLACK * len).contains(&self.0[nth].len()))
            .min_by_key(|&nth| self.0[nth].len());
        let Some(nth) = smallest else { return vec![0.0; len] };
        let mut memory = self.0.swap_remove(nth);
        memory.truncate(len);
        memory
    }

    /// Takes the memory of a value, where it is worth keeping.
    pub(crate) fn keep(&mut self, value: Value) {
        let Value::FloatTensor(tensor) = value else { return };
        if tensor.len() < MIN_SPARE || !tensor.is_contiguous() {
            return;
        }
        self.0.push(tensor.into_data());
        if self.0.len() > MAX_SPARES {
            self.0.remove(0);
        }
    }
}

/// Values from which memory is worth keeping: 256 KiB.
const MIN_SPARE: usize = 1 << 16;

/// How many of them are kept: as many as convolutions in a row need.
const MAX_SPARES: usize = 4;

/// Memory is not used for values of which it would hold more than this many times as many.
const MAX_SLACK: usize = 4;
