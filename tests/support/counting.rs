//! Counting the allocations of a thread.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

thread_local! {
    /// Allocations of this thread while it is watched; `None` while it is not.
    static WATCHED: Cell<Option<u64>> = const { Cell::new(None) };
}

struct Counting;

// SAFETY: every call is passed on to `System` with its arguments unchanged, so `System`'s guarantees hold.
// Counting touches only a constant-initialised thread-local without a destructor, which never allocates.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count();
        // SAFETY: the caller's obligations are those of `System.alloc`.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: `pointer` came from `System`, through `alloc` or `realloc` with this layout.
        unsafe { System.dealloc(pointer, layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        count();
        // SAFETY: as for `dealloc`; the new size is the caller's obligation.
        unsafe { System.realloc(pointer, layout, size) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

fn count() {
    WATCHED.with(|watched| watched.set(watched.get().map(|count| count + 1)));
}

/// How many allocations `work` makes in this thread.
pub(crate) fn allocations(work: impl FnOnce()) -> u64 {
    WATCHED.with(|watched| watched.set(Some(0)));
    work();
    WATCHED.with(Cell::take).unwrap()
}

/// Leaves the allocations of `work` out of the count.
#[allow(dead_code, reason = "not every test that counts has something to leave out")]
pub(crate) fn uncounted<T>(work: impl FnOnce() -> T) -> T {
    let before = WATCHED.with(Cell::take);
    let result = work();
    WATCHED.with(|watched| watched.set(before));
    result
}
