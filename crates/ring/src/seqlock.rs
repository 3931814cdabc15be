//! The protocol of one slot: a sequence lock over atomic words.
//!
//! The writer makes the lock odd, writes, makes it even; a reader accepts what it read only when
//! the lock was even with the value it expected before, and the same after. The writer never waits
//! for a reader and a reader never writes, so nobody can hold anybody up.
//!
//! Orders, after H.-J. Boehm, "Can seqlocks get along with programming language memory models?"
//! (MSPC 2012): a relaxed store of the odd value, then a *release fence*, then relaxed stores: a
//! reader that sees any of those stores and then passes its *acquire fence* must see the odd value
//! (or a later one) in its second look at the lock, and rejects. The even value is stored with
//! release, and a reader's first look is an acquire, so that it sees all that was written before.

use crate::atomics::{AtomicU64, Ordering, fence};
use crate::words::ReadOnlyWord;

/// Value of the lock while grid `sequence` can be read.
///
/// Sequences stay below [`MAX_SEQUENCE`], so this cannot overflow.
pub(crate) const fn readable(sequence: u64) -> u64 {
    sequence * 2
}

/// The last sequence that a segment can hold: at a thousand grids a second, after 292 million years.
pub(crate) const MAX_SEQUENCE: u64 = u64::MAX / 2;

/// Replaces the content of a slot by grid `sequence`.
///
/// There must be one writer only. If it dies inside `write`, the lock stays odd and nobody ever
/// accepts the slot again.
pub(crate) fn write(lock: &AtomicU64, sequence: u64, write: impl FnOnce()) {
    lock.store(readable(sequence) - 1, Ordering::Relaxed);
    fence(Ordering::Release);
    write();
    lock.store(readable(sequence), Ordering::Release);
}

/// Reads grid `sequence`; `None` when the slot holds, or came to hold, another one.
///
/// `read` may see a mixture of grids, and must cope with any bytes; what it returns is dropped then.
pub(crate) fn read<T>(lock: &ReadOnlyWord, sequence: u64, read: impl FnOnce() -> T) -> Option<T> {
    if lock.load(Ordering::Acquire) != readable(sequence) {
        return None;
    }
    let value = read();
    fence(Ordering::Acquire);
    (lock.load(Ordering::Relaxed) == readable(sequence)).then_some(value)
}
