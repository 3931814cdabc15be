//! What is in a grid: words that tell which grid they belong to, so that a mixture of two shows.

/// 256 x 256 x 32 labels of one byte: 2 MiB, the grid of the published network.
pub(crate) const DIMS: [u32; 3] = [256, 256, 32];
/// Bytes of a grid.
pub(crate) const GRID_BYTES: usize = 256 * 256 * 32;

/// Writes grid `frame` into `labels`, as a pipeline would right before it publishes.
pub(crate) fn fill(labels: &mut [u8], frame: u64) {
    let seed = seed(frame);
    let (words, _) = labels.as_chunks_mut();
    for (index, word) in (0_u64..).zip(words) {
        *word = (seed ^ index).to_le_bytes();
    }
}

/// Whether `labels` are all of grid `frame` and of no other.
pub(crate) fn is_whole(labels: &[u8], frame: u64) -> bool {
    let seed = seed(frame);
    let (words, rest) = labels.as_chunks();
    let right = |(index, word): (u64, &[u8; 8])| u64::from_le_bytes(*word) == seed ^ index;
    labels.len() == GRID_BYTES && rest.is_empty() && (0_u64..).zip(words).all(right)
}

/// Differs between frames in its upper half, which an index never reaches.
fn seed(frame: u64) -> u64 {
    frame.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_foreign_word_shows() {
        let mut labels = vec![0; GRID_BYTES];
        fill(&mut labels, 7);
        assert!(is_whole(&labels, 7));
        assert!(!is_whole(&labels, 8));
        assert!(!is_whole(&labels[8..], 7));
        let mut other = vec![0; GRID_BYTES];
        fill(&mut other, 8);
        labels[4096..4104].copy_from_slice(&other[4096..4104]);
        assert!(!is_whole(&labels, 7));
    }
}
