//! Publishing and reading allocate nothing once a grid has its size. A test program of its own,
//! because the allocator counts for all of it.
#![allow(unsafe_code, reason = "a global allocator that counts")]
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod support;

use occdepth_ring::view::{GridView, Meanings, Ray};
use occdepth_ring::{Follower, Grid, Reader, ReaderOptions, Writer};
use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::time::Duration;
use support::{filled, options, record, stream};

#[test]
fn publishing_and_reading_do_not_allocate() {
    let directory = tempfile::tempdir().unwrap();
    let socket = directory.path().join("s");
    let mut writer = Writer::create(&stream([32, 32, 8], true), &options(&socket)).unwrap();
    let notify = ReaderOptions { notify: true, ..ReaderOptions::default() };
    let mut reader = Reader::connect(&socket, &notify).unwrap();
    let voxels = 32 * 32 * 8;
    let (labels, confidence) = (filled(voxels, 1, 0), filled(voxels, 1, 1));
    let mut grid = Grid::new();
    let mut seen = 0;
    let mut round = |writer: &mut Writer, reader: &mut Reader| {
        writer.publish(&record(1), &labels, Some(&confidence)).unwrap();
        reader.next(&mut grid, Duration::from_secs(30)).unwrap().unwrap();
        reader.copy_newest(&mut grid).unwrap();
        reader.wait(grid.published.sequence, Duration::from_millis(1)).unwrap();
        seen += u64::from(reader.look_newest(|live| live.label([1, 2, 3])).unwrap().unwrap());
        reader.drain_notifications().unwrap();
        reader.is_writer_alive().unwrap();
    };
    let before = allocations();
    round(&mut writer, &mut reader);
    assert!(allocations() > before, "the first copy gives the grid its size: nothing is counted");
    let before = allocations();
    for _ in 0..100 {
        round(&mut writer, &mut reader);
    }
    assert_eq!(allocations() - before, 0);
    assert_eq!(seen, 101 * u64::from(labels[(32 + 2) * 8 + 3]));
}

#[test]
fn following_does_not_allocate() {
    let directory = tempfile::tempdir().unwrap();
    let socket = directory.path().join("s");
    let mut writer = Writer::create(&stream([32, 32, 8], true), &options(&socket)).unwrap();
    let notify = ReaderOptions { notify: true, ..ReaderOptions::default() };
    let mut follower = Follower::open(&socket, &notify).unwrap();
    let (labels, confidence) = (filled(32 * 32 * 8, 1, 0), filled(32 * 32 * 8, 1, 1));
    let mut grid = Grid::new();
    let mut round = |writer: &mut Writer| {
        writer.publish(&record(1), &labels, Some(&confidence)).unwrap();
        follower.next(&mut grid, Duration::from_secs(30)).unwrap().unwrap();
        assert_eq!(follower.newest(&mut grid, Duration::ZERO).unwrap(), None);
    };
    round(&mut writer);
    let before = allocations();
    for _ in 0..100 {
        round(&mut writer);
    }
    assert_eq!(allocations() - before, 0);
}

#[test]
fn derived_views_do_not_allocate() {
    let description = stream([32, 32, 8], false);
    let labels = filled(32 * 32 * 8, 1, 0);
    let (mut heights, mut seen) = (vec![0.0; 32 * 32], vec![0; 32 * 32]);
    let before = allocations();
    let meanings = Meanings::of_stream(&description);
    let view = GridView::new(&labels, &description.grid, &meanings).unwrap();
    view.height_map(&mut heights).unwrap();
    view.birds_eye(&mut seen).unwrap();
    let sum: f64 = view.points().map(|(point, _)| point[0]).sum();
    let ray = Ray { from_m: [0.1; 3], direction: [1.0, 0.2, 0.1], at_most_m: f64::INFINITY };
    std::hint::black_box((sum, view.cast(&ray)));
    assert_eq!(allocations() - before, 0);
}

/// Allocations of this thread so far.
fn allocations() -> u64 {
    COUNT.with(Cell::get)
}

thread_local! {
    static COUNT: Cell<u64> = const { Cell::new(0) };
}

struct Counting;

// SAFETY: every call is passed on unchanged to the system's allocator, which meets the contract;
// counting touches a thread-local integer that needs neither allocation nor destruction.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        COUNT.with(|count| count.set(count.get() + 1));
        // SAFETY: the caller keeps the contract of `GlobalAlloc::alloc`.
        unsafe { System.alloc(layout) }
    }

    unsafe fn realloc(&self, block: *mut u8, layout: Layout, bytes: usize) -> *mut u8 {
        COUNT.with(|count| count.set(count.get() + 1));
        // SAFETY: the caller keeps the contract of `GlobalAlloc::realloc`.
        unsafe { System.realloc(block, layout, bytes) }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        // SAFETY: the caller keeps the contract of `GlobalAlloc::dealloc`, and the block came from
        // the system's allocator.
        unsafe { System.dealloc(block, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;
