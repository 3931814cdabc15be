//! Readers that are slow, stopped, killed, or never read, in processes of their own: nobody else notices.
//!
//! `RING_FAULT_ROUNDS` asks for more rounds than the few of a usual run.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]
#![allow(clippy::print_stdout, reason = "the times are reported, not judged")]

mod support;

use occdepth_ring::{Grid, ReadError, Reader, ReaderOptions, Writer, WriterOptions};
use rustix::process::{Pid, Signal, kill_process};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use support::{Reaped, assert_whole, child_command, child_socket, filled, options, record, stream};

const DIMS: [u32; 3] = [64, 64, 16];
const VOXELS: usize = 64 * 64 * 16;
const PLENTY: Duration = Duration::from_mins(1);

/// Reads all that it can and checks it, until the writer goes.
#[test]
#[ignore = "a part of another test, which runs it in a process of its own"]
fn child_reads_and_checks() {
    let Some(socket) = child_socket() else { return };
    let mut reader = Reader::connect(&socket, &ReaderOptions::default()).unwrap();
    support::read_until_gone(&mut reader);
}

/// Asks for a notification of every grid and never takes one.
#[test]
#[ignore = "a part of another test, which runs it in a process of its own"]
fn child_never_reads() {
    let Some(socket) = child_socket() else { return };
    let options = ReaderOptions { notify: true, ..ReaderOptions::default() };
    let reader = Reader::connect(&socket, &options).unwrap();
    support::hold_until_gone(&reader);
}

fn spawn(child: &str, socket: &Path) -> Reaped {
    Reaped(child_command(child, socket).spawn().unwrap())
}

fn signal(child: &Reaped, signal: Signal) {
    kill_process(Pid::from_child(&child.0), signal).unwrap();
}

fn wait_until(what: &str, mut is_so: impl FnMut() -> bool) {
    let start = Instant::now();
    while !is_so() {
        assert!(start.elapsed() < PLENTY, "{what}");
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// One test after the other: they count the descriptors of the process.
fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

fn descriptors() -> usize {
    std::fs::read_dir("/proc/self/fd").unwrap().count()
}

/// Publishes `count` grids, a millisecond apart, and says how long each call took, sorted.
fn publish(writer: &mut Writer, grids: &[(u64, Vec<u8>, Vec<u8>)], count: usize) -> Vec<Duration> {
    let mut times = Vec::with_capacity(count);
    for (frame_id, labels, confidence) in grids.iter().cycle().take(count) {
        let start = Instant::now();
        writer.publish(&record(*frame_id), labels, Some(confidence)).unwrap();
        times.push(start.elapsed());
        std::thread::sleep(Duration::from_millis(1));
    }
    times.sort_unstable();
    times
}

fn report(name: &str, times: &[Duration]) {
    let at = |share: f64| {
        #[expect(clippy::cast_possible_truncation, reason = "an index")]
        #[expect(clippy::cast_sign_loss, reason = "not below 0")]
        #[expect(clippy::cast_precision_loss, reason = "some thousands")]
        let index = ((times.len() - 1) as f64 * share) as usize;
        times[index]
    };
    println!("{name}: publishing took p50 {:?}, p99 {:?}, max {:?}", at(0.5), at(0.99), at(1.0));
}

#[test]
fn sixty_four_readers_that_stop_die_or_never_read_disturb_nobody() {
    let _alone = alone();
    let rounds = std::env::var("RING_FAULT_ROUNDS").ok().and_then(|text| text.parse().ok());
    let rounds: usize = rounds.unwrap_or(30);
    let directory = tempfile::tempdir().unwrap();
    let socket = directory.path().join("front.sock");
    let settings = WriterOptions { max_clients: 100, max_clients_per_uid: 100, ..options(&socket) };
    let mut writer = Writer::create(&stream(DIMS, true), &settings).unwrap();
    let grids: Vec<_> =
        (1..=15).map(|id| (id, filled(VOXELS, id, 0), filled(VOXELS, id, 1))).collect();
    // One that behaves, in this process: it must get whole grids all the time.
    let ended = AtomicBool::new(false);
    let mut good = Reader::connect(&socket, &ReaderOptions::default()).unwrap();
    wait_until("the good reader is connected", || writer.clients().connected == 1);
    let before = descriptors();

    std::thread::scope(|scope| {
        let follower = scope.spawn(|| {
            let (mut grid, mut delivered, mut missed) = (Grid::new(), 0_u64, 0_u64);
            while !ended.load(Ordering::Relaxed) {
                match good.next(&mut grid, Duration::from_millis(50)) {
                    Ok(Some(_)) => {
                        assert_whole(&grid.published, &grid.labels, &grid.confidence);
                        delivered += 1;
                    }
                    Ok(None) => {}
                    Err(ReadError::Lapped { missed: more }) => missed += more,
                    Err(error) => panic!("{error}"),
                }
            }
            (delivered, missed)
        });
        report("quiet", &publish(&mut writer, &grids, 200));

        let mut readers: Vec<Reaped> = (0..64)
            .map(|nth| {
                let child =
                    if nth % 4 == 0 { "child_never_reads" } else { "child_reads_and_checks" };
                spawn(child, &socket)
            })
            .collect();
        wait_until("all are connected", || writer.clients().connected == 65);
        for stopped in readers.iter().skip(1).step_by(4) {
            signal(stopped, Signal::STOP);
        }
        report("64 readers, 16 stopped, 16 that never read", &publish(&mut writer, &grids, 200));

        let mut times = Vec::new();
        for round in 0..rounds {
            // One dies wherever it is, stopped ones and silent ones too, and another comes.
            let nth = round * 7 % readers.len();
            signal(&readers[nth], Signal::KILL);
            readers[nth].0.wait().unwrap();
            readers[nth] = spawn("child_reads_and_checks", &socket);
            times.extend(publish(&mut writer, &grids, 10));
        }
        times.sort_unstable();
        report("one killed and one new every 10 grids", &times);
        wait_until("the dead are forgotten and the new are there", || {
            writer.clients().connected == 65
        });

        // Those that were stopped go on as if nothing had been.
        for reader in &readers {
            signal(reader, Signal::CONT);
        }
        publish(&mut writer, &grids, 50);
        for reader in &readers {
            signal(reader, Signal::KILL);
        }
        for mut reader in readers {
            reader.0.wait().unwrap();
        }
        wait_until("all are forgotten", || writer.clients().connected == 1);
        publish(&mut writer, &grids, 5);
        ended.store(true, Ordering::Relaxed);
        let (delivered, missed) = follower.join().unwrap();
        println!("the reader that behaves had {delivered} grids and missed {missed}");
        assert!(delivered > 0);
    });
    assert_eq!(descriptors(), before, "descriptors of clients that are gone");
    assert!(good.is_writer_alive().unwrap(), "it was not hung up on");
}

/// A reader that fails its own check exits with an error: so nobody is told that all is well by readers that are dead.
#[test]
fn readers_that_check_end_well_when_the_writer_ends() {
    let _alone = alone();
    let directory = tempfile::tempdir().unwrap();
    let socket = directory.path().join("front.sock");
    let mut writer = Writer::create(&stream(DIMS, true), &options(&socket)).unwrap();
    let mut readers: Vec<Reaped> =
        (0..8).map(|_| spawn("child_reads_and_checks", &socket)).collect();
    wait_until("all are connected", || writer.clients().connected == 8);
    let grids: Vec<_> =
        (1..=15).map(|id| (id, filled(VOXELS, id, 0), filled(VOXELS, id, 1))).collect();
    publish(&mut writer, &grids, 200);
    drop(writer);
    for reader in &mut readers {
        let status = reader.0.wait().unwrap();
        assert!(status.success(), "{status}");
    }
}
