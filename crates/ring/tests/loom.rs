//! The protocol of a slot in every order that its atomics allow: `src/seqlock.rs` itself, compiled here on loom's.
//!
//! A grid is two words of the same number, so that any mixture shows. What stands around the lock (`newest`, which slot is
//! whose) is written here as the writer and the reader have it.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

#[path = "../src/seqlock.rs"]
mod seqlock;

mod atomics {
    pub(crate) use loom::sync::atomic::{AtomicU64, Ordering, fence};
}

mod words {
    use loom::sync::atomic::{AtomicU64, Ordering};

    /// As the ring's: it can only be loaded.
    pub(crate) struct ReadOnlyWord(pub(crate) AtomicU64);

    impl ReadOnlyWord {
        pub(crate) fn load(&self, order: Ordering) -> u64 {
            self.0.load(order)
        }
    }
}

use atomics::{AtomicU64, Ordering, fence};
use loom::sync::Arc;
use loom::thread;
use seqlock::{MAX_SEQUENCE, readable};
use std::panic::{AssertUnwindSafe, catch_unwind};
use words::ReadOnlyWord;

struct Slot {
    lock: ReadOnlyWord,
    grid: [AtomicU64; 2],
}

impl Slot {
    /// With a grid that can be read; 0: none.
    fn holding(sequence: u64) -> Self {
        let word = || AtomicU64::new(sequence);
        Self { lock: ReadOnlyWord(AtomicU64::new(readable(sequence))), grid: [word(), word()] }
    }

    fn write(&self, sequence: u64) {
        seqlock::write(&self.lock.0, sequence, || {
            for word in &self.grid {
                word.store(sequence, Ordering::Relaxed);
            }
        });
    }

    /// What is accepted as grid `sequence`.
    fn read(&self, sequence: u64) -> Option<[u64; 2]> {
        seqlock::read(&self.lock, sequence, || self.words())
    }

    fn words(&self) -> [u64; 2] {
        [self.grid[0].load(Ordering::Relaxed), self.grid[1].load(Ordering::Relaxed)]
    }
}

/// As the ring: slots, and the number of the newest grid.
struct Ring<const SLOTS: usize> {
    newest: AtomicU64,
    slots: [Slot; SLOTS],
}

impl<const SLOTS: usize> Ring<SLOTS> {
    fn empty() -> Self {
        Self { newest: AtomicU64::new(0), slots: std::array::from_fn(|_| Slot::holding(0)) }
    }

    fn slot(&self, sequence: u64) -> &Slot {
        &self.slots[usize::try_from(sequence - 1).unwrap() % SLOTS]
    }

    fn publish(&self, sequence: u64) {
        self.slot(sequence).write(sequence);
        self.newest.store(sequence, Ordering::Release);
    }
}

/// A torn write: a reader that comes while grid 1 becomes grid 2 has one of them whole, or nothing.
#[test]
fn a_grid_is_whole_or_refused() {
    loom::model(|| {
        let slot = Arc::new(Slot::holding(1));
        let writer = thread::spawn({
            let slot = Arc::clone(&slot);
            move || slot.write(2)
        });
        for sequence in [1, 2] {
            if let Some(words) = slot.read(sequence) {
                assert_eq!(words, [sequence; 2]);
            }
        }
        writer.join().unwrap();
        assert_eq!(slot.read(2), Some([2; 2]));
        assert_eq!(slot.read(1), None);
    });
}

/// A lap: three grids through two slots while a reader follows `newest`.
#[test]
fn the_newest_grid_is_whole_or_lapped() {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(3);
    builder.check(|| {
        let ring = Arc::new(Ring::<2>::empty());
        let writer = thread::spawn({
            let ring = Arc::clone(&ring);
            move || (1..=3).for_each(|sequence| ring.publish(sequence))
        });
        let newest = ring.newest.load(Ordering::Acquire);
        if newest > 0 {
            match ring.slot(newest).read(newest) {
                Some(words) => assert_eq!(words, [newest; 2]),
                // Only a whole lap takes a grid away that was the newest.
                None => assert_eq!(newest, 1, "grids 2 and 3 stay"),
            }
        }
        writer.join().unwrap();
        assert_eq!(ring.newest.load(Ordering::Acquire), 3);
        assert_eq!(ring.slot(2).read(2), Some([2; 2]));
        assert_eq!(ring.slot(3).read(3), Some([3; 2]));
        assert_eq!(ring.slot(1).read(1), None);
    });
}

/// Two readers do not see each other, and both see whole grids.
#[test]
fn readers_do_not_disturb_each_other() {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(2);
    builder.check(|| {
        let slot = Arc::new(Slot::holding(1));
        let readers: Vec<_> = [1, 2]
            .map(|sequence| {
                let slot = Arc::clone(&slot);
                thread::spawn(move || {
                    slot.read(sequence).inspect(|words| assert_eq!(*words, [sequence; 2]));
                })
            })
            .into();
        slot.write(2);
        for reader in readers {
            reader.join().unwrap();
        }
    });
}

/// A writer that dies at any of its stores leaves a slot that nobody accepts, or the grid that was there.
#[test]
fn a_writer_that_dies_leaves_no_grid() {
    for stores in 0..=3 {
        loom::model(move || {
            let slot = Arc::new(Slot::holding(1));
            let writer = thread::spawn({
                let slot = Arc::clone(&slot);
                move || {
                    // The writer's order, cut off.
                    if stores > 0 {
                        slot.lock.0.store(readable(2) - 1, Ordering::Relaxed);
                        fence(Ordering::Release);
                    }
                    for word in slot.grid.iter().take(stores.max(1) - 1) {
                        word.store(2, Ordering::Relaxed);
                    }
                }
            });
            if let Some(words) = slot.read(1) {
                assert_eq!(words, [1; 2]);
            }
            assert_eq!(slot.read(2), None);
            writer.join().unwrap();
            assert_eq!(slot.read(2), None);
            assert_eq!(slot.read(1), (stores == 0).then_some([1; 2]));
        });
    }
}

/// The last sequence, and those before it: nothing wraps.
#[test]
fn the_last_sequence_is_a_grid_like_any_other() {
    loom::model(|| {
        let slot = Arc::new(Slot::holding(MAX_SEQUENCE - 1));
        let writer = thread::spawn({
            let slot = Arc::clone(&slot);
            move || slot.write(MAX_SEQUENCE)
        });
        for sequence in [MAX_SEQUENCE - 1, MAX_SEQUENCE] {
            if let Some(words) = slot.read(sequence) {
                assert_eq!(words, [sequence; 2]);
            }
        }
        assert_eq!(slot.read(0), None, "what lies in an empty segment");
        writer.join().unwrap();
        assert_eq!(slot.read(MAX_SEQUENCE), Some([MAX_SEQUENCE; 2]));
    });
}

/// The model would notice: without one of the two fences, a mixture is accepted.
#[test]
fn without_a_fence_a_mixture_is_accepted() {
    for (writers, readers) in [(false, true), (true, false)] {
        let found = catch_unwind(AssertUnwindSafe(|| {
            loom::model(move || {
                let slot = Arc::new(Slot::holding(1));
                let writer = thread::spawn({
                    let slot = Arc::clone(&slot);
                    move || {
                        slot.lock.0.store(readable(2) - 1, Ordering::Relaxed);
                        if writers {
                            fence(Ordering::Release);
                        }
                        slot.grid.iter().for_each(|word| word.store(2, Ordering::Relaxed));
                        slot.lock.0.store(readable(2), Ordering::Release);
                    }
                });
                if slot.lock.load(Ordering::Acquire) == readable(1) {
                    let words = slot.words();
                    if readers {
                        fence(Ordering::Acquire);
                    }
                    if slot.lock.load(Ordering::Relaxed) == readable(1) {
                        assert_eq!(words, [1; 2], "a mixture");
                    }
                }
                writer.join().unwrap();
            });
        }));
        assert!(
            found.is_err(),
            "nothing was noticed: writer's fence {writers}, reader's {readers}"
        );
    }
}
