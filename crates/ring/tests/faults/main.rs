//! Clients that are hostile and memory that is short, in processes of their own: who behaves is served, the writer does not
//! notice, and nothing is left behind.
//!
//! Every test goes in rounds, a few in a usual run; `RING_FAULT_ROUNDS` asks for more. Children are this test program
//! itself, running one of the `child_` tests.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]
#![allow(clippy::print_stdout, reason = "a test says what it saw")]

mod behaved;
mod descriptors;
mod hostile;
mod kernel;
mod memory;
#[path = "../support/mod.rs"]
mod support;
mod times;
mod waiters;

use occdepth_ring::{ConnectError, Grid, Reader, ReaderOptions, Writer};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use support::{Reaped, assert_whole, child_command, filled, record};

const DIMS: [u32; 3] = [64, 64, 16];
const VOXELS: usize = 64 * 64 * 16;
/// Nothing takes so long but what never comes.
const PLENTY: Duration = Duration::from_mins(1);
/// Users without any right, for children of root.
const OTHER_UID: u32 = 54_321;
const THIRD_UID: u32 = 54_323;

/// One test after the other: they count the descriptors of the process, and set its limits.
fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

fn rounds(usual: usize) -> usize {
    let asked = std::env::var("RING_FAULT_ROUNDS").ok().and_then(|text| text.parse().ok());
    asked.unwrap_or(usual)
}

/// A directory that other users can use, and a path in it for a socket.
fn open_directory() -> (tempfile::TempDir, PathBuf) {
    let directory = tempfile::tempdir().unwrap();
    std::fs::set_permissions(directory.path(), std::fs::Permissions::from_mode(0o777)).unwrap();
    let socket = directory.path().join("front.sock");
    (directory, socket)
}

fn spawn(child: &str, socket: &Path) -> Reaped {
    Reaped(child_command(child, socket).spawn().unwrap())
}

/// Runs a child as another user, who must be able to run this program: a copy of it, beside the socket. Needs root.
fn spawn_as(uid: u32, child: &str, socket: &Path) -> Reaped {
    let program = socket.with_file_name("program");
    if !program.exists() {
        std::fs::copy(std::env::current_exe().unwrap(), &program).unwrap();
        std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755)).unwrap();
    }
    let arguments = child_command(child, socket);
    let mut command = Command::new(program);
    command.args(arguments.get_args()).uid(uid).gid(uid).current_dir("/");
    command.envs(arguments.get_envs().filter_map(|(name, value)| Some((name, value?))));
    Reaped(command.stdout(Stdio::null()).spawn().unwrap())
}

/// Kills a child wherever it is, and waits until it is gone and its descriptors with it.
fn kill(mut child: Reaped) {
    let ended = child.0.try_wait().unwrap();
    assert!(ended.is_none(), "a child ended by itself: {ended:?}");
    child.0.kill().unwrap(); // SIGKILL
    child.0.wait().unwrap();
}

/// Where a child says how much it has done: its existence says that the child has begun. What it says is where a symbolic
/// link leads, because that can be written and read without a descriptor.
fn tally_path(socket: &Path, pid: u32) -> PathBuf {
    socket.with_file_name(format!("tally-{pid}"))
}

/// What a child said last that it has done; `None` before it has begun.
fn tally(socket: &Path, child: &Reaped) -> Option<u64> {
    std::fs::read_link(tally_path(socket, child.0.id())).ok()?.to_str()?.parse().ok()
}

/// Says how much this child has done. By rename: what is there can always be read.
fn tell(socket: &Path, count: u64) {
    let path = tally_path(socket, std::process::id());
    let draft = path.with_extension("draft");
    std::os::unix::fs::symlink(count.to_string(), &draft).unwrap();
    std::fs::rename(&draft, &path).unwrap();
}

fn wait_for_tally(socket: &Path, child: &mut Reaped) {
    wait_until("a child has begun", || {
        // Looked at first: a child that has ended may have begun before.
        let ended = child.0.try_wait().unwrap();
        let begun = tally(socket, child).is_some();
        assert!(begun || ended.is_none(), "a child ended before it began: {ended:?}");
        begun
    });
}

fn wait_until(what: &str, mut is_so: impl FnMut() -> bool) {
    let start = Instant::now();
    while !is_so() {
        assert!(start.elapsed() < PLENTY, "not so after {PLENTY:?}: {what}");
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// Open descriptors of a process; more than any number when there is none left to count them with.
fn descriptors_of(process: &str) -> usize {
    let directory = std::fs::read_dir(format!("/proc/{process}/fd"));
    directory.map_or(usize::MAX, Iterator::count)
}

fn connect(socket: &Path) -> Result<Reader, ConnectError> {
    Reader::connect(socket, &ReaderOptions::default())
}

fn connect_soon(socket: &Path) -> Reader {
    let start = Instant::now();
    loop {
        match connect(socket) {
            Ok(reader) => return reader,
            Err(error) => assert!(start.elapsed() < PLENTY, "{error}"),
        }
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// Connects and reads the newest grid, whole.
fn assert_served(socket: &Path) {
    let mut grid = Grid::new();
    connect_soon(socket).copy_newest(&mut grid).unwrap();
    assert_whole(&grid.published, &grid.labels, &grid.confidence);
}

/// Grids made beforehand, so that the time goes into publishing. No two that follow each other in a slot are the same.
struct Grids {
    grids: Vec<(u64, Vec<u8>, Vec<u8>)>,
    next: usize,
}

impl Grids {
    fn new(voxels: usize) -> Self {
        let grid = |id| (id, filled(voxels, id, 0), filled(voxels, id, 1));
        Self { grids: (1..=15).map(grid).collect(), next: 0 }
    }

    /// Publishes the next one and says how long the call took.
    fn publish(&mut self, writer: &mut Writer) -> Duration {
        let (frame_id, labels, confidence) = &self.grids[self.next];
        self.next = (self.next + 1) % self.grids.len();
        let record = record(*frame_id);
        let start = Instant::now();
        writer.publish(&record, labels, Some(confidence)).unwrap();
        start.elapsed()
    }

    /// Publishes `count` of them, `period` apart.
    fn publish_many(
        &mut self,
        writer: &mut Writer,
        count: usize,
        period: Duration,
    ) -> Vec<Duration> {
        let mut publish_one = || {
            let took = self.publish(writer);
            std::thread::sleep(period);
            took
        };
        (0..count).map(|_| publish_one()).collect()
    }
}

/// Says by name that a test is skipped: straight to the stream, because the test harness keeps what a passing test prints
/// to itself.
fn skip(line: &str) {
    use std::io::Write as _;
    std::io::stderr().write_all(format!("SKIPPED {line}\n").as_bytes()).unwrap();
}
