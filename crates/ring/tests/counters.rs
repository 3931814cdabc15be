//! Counters at their ends, which no writer gets to in the time of a test: the futex word, which is the lower half of the
//! newest index, and sequences beyond 32 bits.
#![allow(unsafe_code, reason = "plays a writer: stores into a mapping")]
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

#[path = "support/one_grid.rs"]
mod one_grid;
mod support;

use memmap2::MmapRaw;
use occdepth_ring::{Grid, ReadError};
use one_grid::{LABELS, SLOT, offer, seal_grid, segment};
use rustix::thread::futex;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::Duration;

const PLENTY: Duration = Duration::from_secs(30);
const SLOT_BYTES: usize = 512;
const NEWEST: usize = 1024;

/// The word at `offset` of a mapping.
fn word(mapping: &MmapRaw, offset: usize) -> &AtomicU64 {
    assert!(offset.is_multiple_of(8) && offset + 8 <= mapping.len());
    let word = mapping.as_mut_ptr().wrapping_add(offset).cast();
    // SAFETY: aligned and within the mapping, as was just checked, which lives as long as the result; other accesses to it
    // are atomic as well.
    unsafe { AtomicU64::from_ptr(word) }
}

/// Makes the segment's one grid the grid `sequence`, in the slot that this has.
fn renumber(segment: &mut [u8], sequence: u64) {
    segment[SLOT..SLOT + 8].copy_from_slice(&(sequence * 2).to_le_bytes());
    segment[SLOT + 8..SLOT + 16].copy_from_slice(&sequence.to_le_bytes());
    seal_grid(segment);
    let slot = usize::try_from((sequence - 1) % 4).unwrap();
    if slot != 0 {
        let at = SLOT + slot * SLOT_BYTES;
        let (slots, moved) = segment.split_at_mut(at);
        moved[..SLOT_BYTES].swap_with_slice(&mut slots[SLOT..SLOT + SLOT_BYTES]);
    }
    segment[NEWEST..NEWEST + 8].copy_from_slice(&sequence.to_le_bytes());
}

/// Publishes grid `sequence` as a writer does, with the content that `segment` has in its first slot.
fn publish(mapping: &MmapRaw, segment: &[u8], sequence: u64) {
    let mut grid = segment.to_vec();
    grid[SLOT + 8..SLOT + 16].copy_from_slice(&sequence.to_le_bytes());
    seal_grid(&mut grid);
    let at = SLOT + usize::try_from((sequence - 1) % 4).unwrap() * SLOT_BYTES;
    word(mapping, at).store(sequence * 2 - 1, Ordering::SeqCst);
    for (index, bytes) in
        grid[SLOT..SLOT + SLOT_BYTES].as_chunks::<8>().0.iter().enumerate().skip(1)
    {
        word(mapping, at + index * 8).store(u64::from_le_bytes(*bytes), Ordering::SeqCst);
    }
    word(mapping, at).store(sequence * 2, Ordering::SeqCst);
    word(mapping, NEWEST).store(sequence, Ordering::SeqCst);
    // SAFETY: the first half of an aligned word, for a call that only takes its address.
    let half = unsafe { AtomicU32::from_ptr(word(mapping, NEWEST).as_ptr().cast()) };
    futex::wake(half, futex::Flags::empty(), u32::MAX >> 1).unwrap();
}

#[test]
fn waits_and_grids_go_on_when_the_futex_word_wraps() {
    for before in [(1_u64 << 32) - 2, (1 << 32) - 1, 1 << 32, (7 << 32) - 1] {
        let fresh = segment();
        let mut start = fresh.clone();
        renumber(&mut start, before);
        let (mut reader, mapping, _connection) = offer(&start);
        let mut grid = Grid::new();
        assert_eq!(reader.next(&mut grid, PLENTY).unwrap(), Some(before), "the newest at first");
        assert_eq!(reader.next(&mut grid, Duration::from_millis(1)).unwrap(), None);
        for sequence in before + 1..before + 7 {
            std::thread::scope(|scope| {
                let waiting = scope.spawn(|| reader.next(&mut grid, PLENTY));
                // Most of the time it sleeps by then.
                std::thread::sleep(Duration::from_millis(10));
                publish(&mapping, &fresh, sequence);
                assert_eq!(waiting.join().unwrap().unwrap(), Some(sequence));
            });
            assert_eq!(grid.published.sequence, sequence);
            assert_eq!(grid.labels, fresh[LABELS]);
        }
        // Lapped across the wrap: what is missed is counted in full.
        for sequence in before + 7..before + 20 {
            publish(&mapping, &fresh, sequence);
        }
        let Err(ReadError::Lapped { missed }) = reader.next(&mut grid, PLENTY) else {
            panic!("a lap of the ring goes unnoticed");
        };
        assert_eq!(reader.next(&mut grid, PLENTY).unwrap(), Some(before + 7 + missed));
        assert_eq!(before + 7 + missed, before + 19 - 2, "of 4 slots the oldest is left out");
    }
}
