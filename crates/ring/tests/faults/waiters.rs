//! A futex is shared with every reader, and a word that is mapped read-only is enough to move, wake and hold back those who
//! wait on it. No reader waits longer than a slice at a time: so none misses a grid.

use crate::support::{options, small_stream};
use crate::{Grids, alone, kill, open_directory, rounds, spawn, tally, wait_for_tally};
use occdepth_ring::{Writer, WriterOptions};
use std::time::Duration;

#[test]
fn readers_whose_waits_are_requeued_get_every_grid() {
    every_grid_is_received_beside("hostile::child_requeues_waiters", "waits requeued");
}

#[test]
fn readers_that_are_woken_without_a_grid_get_every_grid() {
    every_grid_is_received_beside("hostile::child_wakes_waiters", "waits woken");
}

#[test]
fn readers_whose_wake_is_held_back_get_every_grid() {
    every_grid_is_received_beside("hostile::child_waits_before_others", "wakes held back");
}

/// Four readers that fail when they miss a grid, and one process that does `harm`; says how old the oldest grid was.
fn every_grid_is_received_beside(harm: &str, harm_done: &str) {
    let _alone = alone();
    let (mut greatest_age, mut quiet_age, mut done) = (0, 0, 0);
    let rounds = rounds(2);
    for _ in 0..rounds {
        quiet_age = quiet_age.max(round(None).0);
        let (age, count) = round(Some(harm));
        greatest_age = greatest_age.max(age);
        done += count;
    }
    println!(
        "{harm_done}: {done}, in {rounds} rounds of {GRIDS} grids for {READERS} readers: all received, \
         the oldest {greatest_age} us after its publication ({quiet_age} us in as many quiet rounds)"
    );
    assert!(greatest_age < AT_MOST_US, "nobody looked around: the oldest {greatest_age} us old");
    assert!(done > 0, "no harm was ever done: the test tests nothing");
}

/// The greatest age of a grid in microseconds, and how much harm was done.
fn round(harm: Option<&str>) -> (u64, u64) {
    let (_directory, socket) = open_directory();
    // More slots than grids: nobody is ever too late for one.
    let settings = WriterOptions { slot_count: 1024, ..options(&socket) };
    let mut writer = Writer::create(&small_stream(), &settings).unwrap();
    let mut readers: Vec<_> =
        (0..READERS).map(|_| spawn("behaved::child_gets_every_grid", &socket)).collect();
    for reader in &mut readers {
        wait_for_tally(&socket, reader);
    }
    let mut hostile = harm.map(|child| spawn(child, &socket));
    if let Some(hostile) = &mut hostile {
        wait_for_tally(&socket, hostile);
    }
    let mut grids = Grids::new(5 * 3 * 7);
    grids.publish_many(&mut writer, GRIDS, Duration::from_millis(4));
    // What is published last has nothing after it that could wake anybody.
    std::thread::sleep(Duration::from_millis(150));
    let done = hostile.as_ref().map_or(0, |hostile| tally(&socket, hostile).unwrap());
    drop(writer);
    let mut greatest_age = 0;
    for reader in &mut readers {
        let status = reader.0.wait().unwrap();
        assert!(status.success(), "a reader missed a grid: {status}");
        greatest_age = greatest_age.max(tally(&socket, reader).unwrap());
    }
    hostile.into_iter().for_each(kill);
    (greatest_age, done)
}

/// A hundred times what a reader waits without looking around.
const AT_MOST_US: u64 = 10_000_000;
const READERS: usize = 4;
const GRIDS: usize = 60;
