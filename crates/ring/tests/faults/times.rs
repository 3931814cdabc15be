//! How long publishing takes while clients do harm, beside how long it takes in quiet moments of the same run. Reported, not
//! judged: what is judged is that grids come, whole, and that nothing is left over.

use crate::support::{assert_whole, options, stream};
use crate::{
    DIMS, Grids, PLENTY, VOXELS, alone, connect_soon, descriptors_of, kill, open_directory, rounds,
    spawn, tally_path, wait_for_tally, wait_until,
};
use occdepth_ring::{Grid, ReadError, Reader, Writer, WriterOptions, monotonic_now_ns};
use rustix::process::{Pid, Resource, Rlimit, Signal, getrlimit, kill_process, setrlimit};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// No fault, but the work of four processes, for comparison with the next two.
#[test]
fn grids_are_published_while_readers_read() {
    report(&theirs("readers that read", "behaved::child_reads_and_checks", 4));
}

#[test]
fn grids_are_published_while_readers_are_stopped() {
    report(&Fault {
        harm: Harm::Stop,
        ..theirs("readers stopped", "behaved::child_reads_and_checks", 4)
    });
}

#[test]
fn grids_are_published_while_readers_are_killed() {
    report(&Fault {
        harm: Harm::Kill,
        ..theirs("readers killed", "behaved::child_reads_and_checks", 4)
    });
}

#[test]
fn grids_are_published_while_readers_take_no_notification() {
    report(&theirs("readers that take no notification", "behaved::child_never_reads", 4));
}

#[test]
fn grids_are_published_while_clients_stay_silent() {
    report(&theirs("silent clients", "hostile::child_stays_silent", 1));
}

#[test]
fn grids_are_published_while_clients_send_garbage() {
    report(&Fault { is_refused: true, ..theirs("garbage", "hostile::child_sends_garbage", 1) });
}

#[test]
fn grids_are_published_while_all_descriptors_are_taken() {
    report(&Fault {
        exhausts_descriptors: true,
        is_refused: true,
        ..theirs("all descriptors taken", "hostile::child_opens_sockets_until_none_are_left", 1)
    });
}

#[test]
fn grids_are_published_while_descriptors_are_left_unread() {
    report(&theirs("descriptors left unread", "hostile::child_leaves_descriptors_unread", 1));
}

/// No fault, but a process that never rests, for comparison with the next three.
#[test]
fn grids_are_published_while_a_process_computes() {
    report(&theirs("a process that computes", "hostile::child_only_computes", 1));
}

#[test]
fn grids_are_published_while_waits_are_requeued() {
    report(&theirs("waits requeued", "hostile::child_requeues_waiters", 1));
}

#[test]
fn grids_are_published_while_waits_are_woken() {
    report(&theirs("waits woken", "hostile::child_wakes_waiters", 1));
}

#[test]
fn grids_are_published_while_wakes_are_held_back() {
    report(&theirs("wakes held back", "hostile::child_waits_before_others", 1));
}

/// A row of a table: fault, rounds, grids, p50 / p99 / max of publishing in microseconds, the same in the quiet between, and
/// the ratios of p50 and p99.
fn report(fault: &Fault) {
    let _alone = alone();
    let rounds = rounds(2);
    let (mut during, mut quiet) = run(fault, rounds);
    during.sort_unstable();
    quiet.sort_unstable();
    let ratio = |share| at(&during, share).as_secs_f64() / at(&quiet, share).as_secs_f64();
    println!(
        "| {} | {rounds} | {} | {} | {} | {:.2} | {:.2} |",
        fault.name,
        during.len(),
        distribution(&during),
        distribution(&quiet),
        ratio(0.5),
        ratio(0.99),
    );
}

struct Fault {
    name: &'static str,
    /// What processes do, and how many of them.
    child: &'static str,
    count: usize,
    /// What becomes of them before every grid.
    harm: Harm,
    /// Whether they take all the descriptors that this process may have.
    exhausts_descriptors: bool,
    /// Whether the writer must have refused some of them, or nothing was tested.
    is_refused: bool,
}

#[derive(Clone, Copy, PartialEq)]
enum Harm {
    /// They do it themselves.
    Theirs,
    Stop,
    /// One after the other.
    Kill,
}

const fn theirs(name: &'static str, child: &'static str, count: usize) -> Fault {
    Fault { name, child, count, harm: Harm::Theirs, exhausts_descriptors: false, is_refused: false }
}

/// How long every publication took, beside the fault and in the quiet after it.
fn run(fault: &Fault, rounds: usize) -> (Vec<Duration>, Vec<Duration>) {
    let (_directory, socket) = open_directory();
    let settings = WriterOptions {
        handshake_timeout: Duration::from_millis(200),
        max_clients: 1000,
        max_clients_per_uid: 1000,
        ..options(&socket)
    };
    let mut writer = Writer::create(&stream(DIMS, true), &settings).unwrap();
    let mut grids = Grids::new(VOXELS);
    let good = connect_soon(&socket);
    wait_until("the good reader is connected", || writer.clients().connected == 1);
    let before = descriptors_of("self");
    let unlimited = getrlimit(Resource::Nofile);
    if fault.exhausts_descriptors {
        let current = Some(before as u64 + 40);
        setrlimit(Resource::Nofile, Rlimit { current, ..unlimited }).unwrap();
    }
    let (mut during, mut quiet) = (Vec::new(), Vec::new());
    let received = Received::default();
    std::thread::scope(|scope| {
        let end = OnDrop(&received.ended);
        scope.spawn(|| received.follow(good));
        for _ in 0..rounds {
            let mut children: Vec<_> =
                (0..fault.count).map(|_| spawn(fault.child, &socket)).collect();
            for child in &mut children {
                wait_for_tally(&socket, child);
            }
            if fault.harm == Harm::Stop {
                for child in &children {
                    kill_process(Pid::from_child(&child.0), Signal::STOP).unwrap();
                }
            }
            for _ in 0..GRIDS / fault.count {
                during.extend(grids.publish_many(&mut writer, fault.count, PERIOD));
                if fault.harm == Harm::Kill {
                    children.pop().into_iter().for_each(kill);
                }
            }
            received.wait_for_another(&mut writer, &mut grids);
            for child in children {
                let tally = tally_path(&socket, child.0.id());
                kill(child);
                // The next child may get the same process id.
                std::fs::remove_file(tally).unwrap();
            }
            wait_until("all are forgotten", || {
                writer.clients().connected == 1 && descriptors_of("self") == before
            });
            quiet.extend(grids.publish_many(&mut writer, GRIDS, PERIOD));
        }
        drop(end);
    });
    wait_until("descriptors are given back", || descriptors_of("self") < before);
    setrlimit(Resource::Nofile, unlimited).unwrap();
    let counts = writer.clients();
    println!(
        "({}: {} refused, {} closed; the reader that behaves had {} grids, the oldest {} us old, and missed {})",
        fault.name,
        counts.refused,
        counts.closed,
        received.delivered.load(Ordering::Relaxed),
        received.greatest_age_us.load(Ordering::Relaxed),
        received.missed.load(Ordering::Relaxed),
    );
    assert!(counts.refused > 0 || !fault.is_refused, "nobody was refused: nothing was tested");
    (during, quiet)
}

/// What a reader that behaves got.
#[derive(Default)]
struct Received {
    ended: AtomicBool,
    delivered: AtomicU64,
    missed: AtomicU64,
    greatest_age_us: AtomicU64,
}

impl Received {
    fn follow(&self, mut reader: Reader) {
        let mut grid = Grid::new();
        while !self.ended.load(Ordering::Relaxed) {
            match reader.next(&mut grid, Duration::from_millis(50)) {
                Ok(Some(_)) => {
                    let age = monotonic_now_ns().saturating_sub(grid.published.publish_time_ns);
                    self.greatest_age_us.fetch_max(age / 1000, Ordering::Relaxed);
                    assert_whole(&grid.published, &grid.labels, &grid.confidence);
                    self.delivered.fetch_add(1, Ordering::Relaxed);
                }
                Ok(None) => {}
                Err(ReadError::Lapped { missed }) => {
                    self.missed.fetch_add(missed, Ordering::Relaxed);
                }
                Err(error) => panic!("{error}"),
            }
        }
    }

    /// Publishes until it has had one more, beside the fault.
    fn wait_for_another(&self, writer: &mut Writer, grids: &mut Grids) {
        let had = self.delivered.load(Ordering::Relaxed);
        let start = Instant::now();
        while self.delivered.load(Ordering::Relaxed) == had {
            assert!(start.elapsed() < PLENTY, "the reader that behaves gets nothing");
            grids.publish_many(writer, 1, PERIOD);
        }
    }
}

/// Ends the reader when the test fails, too: the scope waits for it.
struct OnDrop<'a>(&'a AtomicBool);

impl Drop for OnDrop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

fn distribution(times: &[Duration]) -> String {
    let us = |share| at(times, share).as_secs_f64() * 1e6;
    format!("{:.0} / {:.0} / {:.0}", us(0.5), us(0.99), us(1.0))
}

/// Of sorted times.
fn at(times: &[Duration], share: f64) -> Duration {
    #[expect(clippy::cast_possible_truncation, reason = "an index")]
    #[expect(clippy::cast_sign_loss, reason = "not below 0")]
    let index = ((times.len() - 1) as f64 * share) as usize;
    times[index]
}

const GRIDS: usize = 20;
const PERIOD: Duration = Duration::from_millis(1);
