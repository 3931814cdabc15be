//! A reader that connects again: nothing twice, nothing lost unseen, nothing left behind.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod support;

use occdepth_ring::{
    ConnectError, FollowError, Followed, Follower, Grid, ReaderOptions, Writer, WriterOptions,
};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use support::{Reaped, assert_whole, child_command, child_socket, filled, options, record};

const VOXELS: usize = 5 * 3 * 7;
/// Descriptors are counted for the whole process: one test at a time.
fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

const PLENTY: Duration = Duration::from_secs(30);
const NOTIFY: fn() -> ReaderOptions = || ReaderOptions { notify: true, ..ReaderOptions::default() };

fn socket() -> (tempfile::TempDir, PathBuf) {
    let directory = tempfile::tempdir().unwrap();
    let socket = directory.path().join("front.sock");
    (directory, socket)
}

fn writer(socket: &Path) -> Writer {
    Writer::create(&support::small_stream(), &options(socket)).unwrap()
}

fn publish(writer: &mut Writer, frame_id: u64) {
    let (labels, confidence) = (filled(VOXELS, frame_id, 0), filled(VOXELS, frame_id, 1));
    writer.publish(&record(frame_id), &labels, Some(&confidence)).unwrap();
}

fn follow(socket: &Path) -> Follower {
    Follower::open(socket, &ReaderOptions::default()).unwrap()
}

fn is_readable(follower: &Follower, timeout: Duration) -> bool {
    let mut descriptors = [PollFd::from_borrowed_fd(follower.as_fd(), PollFlags::IN)];
    poll(&mut descriptors, Some(&Timespec::try_from(timeout).unwrap())).unwrap() == 1
}

#[test]
fn grids_of_one_writer_after_another_are_delivered() {
    let _alone = alone();
    let (_directory, socket) = socket();
    let mut follower = follow(&socket);
    let mut grid = Grid::new();
    assert_eq!(follower.next(&mut grid, Duration::from_millis(30)).unwrap(), None);
    assert!(matches!(follower.last_error(), Some(ConnectError::NoStream { .. })));
    assert!(follower.description().is_none());

    let mut epochs = Vec::new();
    for life in 0..3_u64 {
        let mut writer = writer(&socket);
        epochs.push(writer.epoch());
        // The first life is joined at its newest grid, the others at their oldest.
        for frame in 1..=3 {
            publish(&mut writer, life * 10 + frame);
        }
        for frame in if life == 0 { 3..=3 } else { 1..=3 } {
            let followed = follower.next(&mut grid, PLENTY).unwrap();
            let expected = Followed {
                sequence: frame,
                epoch: writer.epoch(),
                missed: 0,
                restarted: life > 0 && frame == 1,
            };
            assert_eq!(followed, Some(expected));
            assert_eq!(grid.published.record.frame_id, life * 10 + frame);
            assert_whole(&grid.published, &grid.labels, &grid.confidence);
        }
        assert!(follower.last_error().is_none());
        assert_eq!(follower.description(), Some(writer.description()));
        // What was published just before the end is still delivered.
        publish(&mut writer, life * 10 + 9);
        drop(writer);
        assert_eq!(follower.next(&mut grid, PLENTY).unwrap().unwrap().sequence, 4);
    }
    epochs.sort_unstable();
    epochs.dedup();
    assert_eq!(epochs.len(), 3);
}

#[test]
fn grids_that_were_overwritten_are_counted_across_a_restart() {
    let _alone = alone();
    let (_directory, socket) = socket();
    let mut follower = follow(&socket);
    let mut grid = Grid::new();
    let mut first = writer(&socket);
    publish(&mut first, 1);
    assert_eq!(follower.next(&mut grid, PLENTY).unwrap().unwrap().sequence, 1);
    for frame in 2..=20 {
        publish(&mut first, frame);
    }
    let followed = follower.next(&mut grid, PLENTY).unwrap().unwrap();
    assert_eq!((followed.sequence, followed.missed), (18, 16), "of 4 slots the oldest is left out");

    drop(first);
    let mut second = writer(&socket);
    for frame in 1..=10 {
        publish(&mut second, frame);
    }
    let (mut delivered, mut missed) = (0, 0);
    while delivered + missed < 2 + 10 {
        let followed = follower.next(&mut grid, PLENTY).unwrap().unwrap();
        delivered += 1;
        missed += followed.missed;
        assert_whole(&grid.published, &grid.labels, &grid.confidence);
    }
    assert_eq!((delivered, missed), (2 + 3, 7));
    assert_eq!(follower.next(&mut grid, Duration::ZERO).unwrap(), None);
}

#[test]
fn the_newest_grid_passes_over_the_others_and_counts_them() {
    let _alone = alone();
    let (_directory, socket) = socket();
    let mut follower = follow(&socket);
    let mut grid = Grid::new();
    let mut writer = writer(&socket);
    for (published, sequence, missed) in [(1, 1, 0), (3, 4, 2), (1, 5, 0), (20, 25, 19)] {
        for _ in 0..published {
            publish(&mut writer, 7);
        }
        let followed = follower.newest(&mut grid, PLENTY).unwrap().unwrap();
        assert_eq!((followed.sequence, followed.missed), (sequence, missed));
        assert_eq!(grid.published.sequence, sequence);
        assert_eq!(follower.newest(&mut grid, Duration::from_millis(1)).unwrap(), None);
    }
    publish(&mut writer, 7);
    assert_eq!(follower.next(&mut grid, PLENTY).unwrap().unwrap().sequence, 26);
}

/// A writer that closes one client, and lives: same epoch, so what was read before still counts.
#[test]
fn a_client_that_alone_was_closed_goes_on_where_it_was() {
    let _alone = alone();
    let (_directory, socket) = socket();
    let mut writer = writer(&socket);
    let mut follower = follow(&socket);
    let mut grid = Grid::new();
    publish(&mut writer, 1);
    publish(&mut writer, 2);
    assert_eq!(follower.next(&mut grid, PLENTY).unwrap().unwrap().sequence, 2);
    // A client that says something after its hello is closed.
    let reader = follower.reader().unwrap();
    rustix::net::send(reader, b"so?", rustix::net::SendFlags::empty()).unwrap();
    let start = Instant::now();
    while reader.is_writer_alive().unwrap() {
        assert!(start.elapsed() < PLENTY);
        std::thread::sleep(Duration::from_millis(1));
    }
    publish(&mut writer, 3);
    publish(&mut writer, 4);
    for sequence in 3..=4 {
        let followed = follower.next(&mut grid, PLENTY).unwrap().unwrap();
        let (restarted, missed) = (false, 0);
        let expected = Followed { sequence, epoch: writer.epoch(), missed, restarted };
        assert_eq!(followed, expected);
    }
}

#[test]
fn what_waiting_does_not_cure_is_an_error_and_a_later_call_tries_again() {
    let _alone = alone();
    let (_directory, socket) = socket();
    let nobody = ReaderOptions { expected_uid: Some(987_654), ..ReaderOptions::default() };
    let mut follower = Follower::open(&socket, &nobody).unwrap();
    let mut grid = Grid::new();
    assert_eq!(follower.next(&mut grid, Duration::ZERO).unwrap(), None);
    let _writer = writer(&socket);
    for _ in 0..2 {
        let error = follower.next(&mut grid, PLENTY).unwrap_err();
        let FollowError::Connect(error) = error else { panic!("{error}") };
        assert!(matches!(error, ConnectError::Server { .. }) && !error.is_transient(), "{error}");
    }
}

#[test]
fn one_descriptor_is_readable_whenever_there_is_something_to_do() {
    let _alone = alone();
    let (_directory, socket) = socket();
    let mut follower = Follower::open(&socket, &NOTIFY()).unwrap();
    let mut grid = Grid::new();
    let mut next = |follower: &mut Follower| {
        let followed = follower.next(&mut grid, Duration::ZERO).unwrap();
        followed.map(|followed| (followed.sequence, followed.restarted))
    };
    assert!(is_readable(&follower, Duration::ZERO), "it has never been asked to connect");
    for life in 0..2 {
        let mut writer = writer(&socket);
        publish(&mut writer, 1);
        // Nothing but polling, and a call for each time that it says so.
        let start = Instant::now();
        let first = loop {
            assert!(start.elapsed() < PLENTY);
            if is_readable(&follower, PLENTY)
                && let Some(first) = next(&mut follower)
            {
                break first;
            }
        };
        assert_eq!(first, (1, life > 0));
        // A notification may still be on its way for that one.
        while is_readable(&follower, Duration::from_millis(50)) {
            assert_eq!(next(&mut follower), None);
        }
        publish(&mut writer, 2);
        publish(&mut writer, 3);
        assert!(is_readable(&follower, PLENTY));
        assert_eq!(next(&mut follower), Some((2, false)));
        assert!(is_readable(&follower, PLENTY), "one call takes one grid, and there is another");
        assert_eq!(next(&mut follower), Some((3, false)));
        while is_readable(&follower, Duration::from_millis(50)) {
            assert_eq!(next(&mut follower), None);
        }
        drop(writer);
        assert!(is_readable(&follower, PLENTY), "the writer is gone");
        assert_eq!(next(&mut follower), None);
    }
}

/// Publishes one grid after the other until it is killed.
#[test]
#[ignore = "a part of another test, which runs it in a process of its own"]
fn child_publishes_until_it_is_killed() {
    let Some(socket) = child_socket() else { return };
    let mut writer =
        Writer::create(&support::small_stream(), &WriterOptions::new(&socket)).unwrap();
    for frame_id in 1.. {
        publish(&mut writer, frame_id);
        std::thread::sleep(Duration::from_micros(200));
    }
}

/// Restarts of the writer with a reader attached: `RING_FAULT_ROUNDS` of them.
#[test]
fn restarts_of_a_killed_writer_leave_nothing_behind() {
    let _alone = alone();
    let (_directory, socket) = socket();
    let mut follower = Follower::open(&socket, &NOTIFY()).unwrap();
    let mut grid = Grid::new();
    let rounds = std::env::var("RING_FAULT_ROUNDS").ok().and_then(|text| text.parse().ok());
    let rounds: u64 = rounds.unwrap_or(30);
    let (mut restarts, mut held) = (0, None);
    for round in 0..rounds {
        let command = &mut child_command("child_publishes_until_it_is_killed", &socket);
        let child = Reaped(command.spawn().unwrap());
        let mut last = None;
        for _ in 0..=round % 7 {
            let followed = follower.next(&mut grid, PLENTY).unwrap().unwrap();
            assert_whole(&grid.published, &grid.labels, &grid.confidence);
            if let Some((epoch, sequence)) = last
                && epoch == followed.epoch
            {
                assert_eq!(followed.sequence, sequence + 1 + followed.missed);
            }
            restarts += u64::from(followed.restarted);
            last = Some((followed.epoch, followed.sequence));
        }
        drop(child); // killed, at whatever it was doing
        let epoch = follower.reader().unwrap().epoch();
        while let Some(followed) = follower.next(&mut grid, Duration::ZERO).unwrap() {
            assert_eq!(followed.epoch, epoch);
        }
        let now = held_now();
        assert_eq!(*held.get_or_insert(now), now, "descriptors and mappings, round {round}");
    }
    assert_eq!(restarts, rounds - 1);
}

/// Descriptors of this process, and mappings of segments.
fn held_now() -> (usize, usize) {
    let descriptors = std::fs::read_dir("/proc/self/fd").unwrap().count();
    let maps = std::fs::read_to_string("/proc/self/maps").unwrap();
    (descriptors, maps.lines().filter(|line| line.contains("memfd:")).count())
}
