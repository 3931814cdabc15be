//! The ring between processes: a writer that is killed, users that may not read, descriptors that
//! run out. Children are this test program itself, running one of the `child_` tests.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]
#![allow(clippy::print_stdout, reason = "a test says what it skips and what it saw")]

mod support;

use occdepth_ring::layout::handshake::Refusal;
use occdepth_ring::{
    Access, ConnectError, Grid, ReadError, Reader, ReaderOptions, Writer, WriterOptions,
};
use std::os::unix::fs::{FileExt, PermissionsExt};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};
use support::{Reaped, assert_whole, child_command, child_socket, filled, options, record, stream};

const DIMS: [u32; 3] = [64, 64, 16];
const VOXELS: usize = 64 * 64 * 16;
const SLOTS: u64 = 4;
const PLENTY: Duration = Duration::from_secs(30);
const OTHER_UID: u32 = 54_321;
const OTHER_GID: u32 = 54_322;

/// A directory that other users can enter.
fn open_directory() -> (tempfile::TempDir, PathBuf) {
    let directory = tempfile::tempdir().unwrap();
    std::fs::set_permissions(directory.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
    let socket = directory.path().join("front.sock");
    (directory, socket)
}

fn connect_soon(socket: &Path) -> Reader {
    let start = Instant::now();
    loop {
        match Reader::connect(socket, &ReaderOptions::default()) {
            Ok(reader) => return reader,
            Err(error) => assert!(start.elapsed() < PLENTY, "{error}"),
        }
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// Publishes without a pause until it is killed: nearly always in the middle of a grid.
#[test]
#[ignore = "a part of another test, which runs it in a process of its own"]
fn child_publishes_for_ever() {
    let Some(socket) = child_socket() else { return };
    // Made beforehand, so that the time goes into publishing. No two that follow each other in a
    // slot are the same.
    let grids: Vec<(u64, Vec<u8>, Vec<u8>)> =
        (1..=15).map(|id| (id, filled(VOXELS, id, 0), filled(VOXELS, id, 1))).collect();
    let mut writer = Writer::create(&stream(DIMS, true), &WriterOptions::new(&socket)).unwrap();
    for (frame_id, labels, confidence) in grids.iter().cycle() {
        writer.publish(&record(*frame_id), labels, Some(confidence)).unwrap();
    }
}

#[test]
fn a_killed_writer_never_leaves_a_wrong_grid() {
    let (_directory, socket) = open_directory();
    let mut grid = Grid::new();
    let mut last_epoch = 0;
    let (mut delivered, mut died_writing) = (0_u64, 0);
    let rounds = std::env::var("RING_FAULT_ROUNDS").ok().and_then(|text| text.parse().ok());
    let rounds = rounds.unwrap_or(40);
    for round in 0..rounds {
        // Every round finds the socket that the killed writer of the last one left behind.
        let command = &mut child_command("child_publishes_for_ever", &socket);
        let mut writer = Reaped(command.spawn().unwrap());
        let (_client, segment) = loop {
            let reader = connect_soon(&socket);
            if reader.epoch() != last_epoch {
                break support::attach(&socket, 0);
            }
        };
        let mut reader = connect_soon(&socket);
        let unchecked = ReaderOptions { verify_checksum: false, ..ReaderOptions::default() };
        let unchecked = Reader::connect(&socket, &unchecked).unwrap();
        assert_ne!(reader.epoch(), last_epoch);
        last_epoch = reader.epoch();

        let end = Instant::now() + Duration::from_micros(round % 40 * 211);
        let mut killed = false;
        loop {
            if !killed && Instant::now() >= end {
                writer.0.kill().unwrap(); // SIGKILL
                killed = true;
            }
            match reader.next(&mut grid, PLENTY) {
                Ok(sequence) => {
                    assert!(sequence.is_some(), "nothing for {PLENTY:?}");
                    assert_whole(&grid.published, &grid.labels, &grid.confidence);
                    delivered += 1;
                }
                Err(ReadError::Lapped { .. }) => {}
                Err(ReadError::WriterGone) => break,
                Err(error) => panic!("{error}"),
            }
        }
        assert!(killed, "the writer went by itself");
        writer.0.wait().unwrap();

        // What is in the ring for ever now: whole grids, and at most one that nobody accepts.
        let newest = reader.newest();
        for sequence in newest.saturating_sub(2 * SLOTS)..=newest + 2 {
            for reader in [&reader, &unchecked] {
                match reader.copy(sequence, &mut grid) {
                    Ok(()) => assert_whole(&grid.published, &grid.labels, &grid.confidence),
                    Err(ReadError::NoGrid) => assert!(sequence == 0 || sequence > newest),
                    Err(ReadError::Overwritten { .. }) => assert!(sequence <= newest + 1 - SLOTS),
                    Err(error) => panic!("{error}"),
                }
            }
        }
        if newest > 0 {
            reader.copy_newest(&mut grid).unwrap();
            assert_eq!(grid.published.sequence, newest);
        }
        let slot_bytes = (reader.segment_bytes() - 8192) / SLOTS;
        let mut lock = [0; 8];
        segment.read_exact_at(&mut lock, 8192 + newest % SLOTS * slot_bytes).unwrap();
        died_writing += u64::from_le_bytes(lock) % 2;
    }
    println!("{delivered} grids delivered; {died_writing} of {rounds} writers died while writing");
    assert!(died_writing > 0, "no writer was killed while it wrote");
    assert!(delivered > 0);
}

/// Reads the stream as another user. Exits with 0 when it was given the segment, 3 when refused.
#[test]
#[ignore = "a part of another test, which runs it in a process of its own"]
fn child_reads_as_another_user() {
    let Some(socket) = child_socket() else { return };
    let reader = match Reader::connect(&socket, &ReaderOptions::default()) {
        Ok(reader) => reader,
        Err(ConnectError::Refused { reason: Refusal::Access, .. }) => quit(3),
        Err(error) => panic!("{error}"),
    };
    assert_eq!(rustix::process::geteuid().as_raw(), OTHER_UID);
    assert_eq!(reader.server().uid, 0);
    let mut grid = Grid::new();
    reader.copy_newest(&mut grid).unwrap();
    assert_whole(&grid.published, &grid.labels, &grid.confidence);

    // What it has been given is no way to more.
    let (_client, segment) = support::attach(&socket, 0);
    let descriptor = std::os::fd::AsRawFd::as_raw_fd(&segment);
    let again = format!("/proc/self/fd/{descriptor}");
    std::fs::OpenOptions::new().write(true).open(again).unwrap_err();
    support::assert_stays_read_only(&segment);
    segment.set_len(0).unwrap_err();
    let memory = format!("/proc/{}/mem", reader.server().pid);
    std::fs::OpenOptions::new().write(true).open(memory).unwrap_err();
    quit(0)
}

#[test]
fn users_and_groups_are_told_apart() {
    if !rustix::process::geteuid().is_root() {
        skip("users_and_groups_are_told_apart: needs root to become another user");
        return;
    }
    let (_directory, socket) = open_directory();
    // The other user must be able to run this program.
    let program = std::env::current_exe().unwrap();
    let copy = socket.with_file_name("program");
    std::fs::copy(&program, &copy).unwrap();
    std::fs::set_permissions(&copy, std::fs::Permissions::from_mode(0o755)).unwrap();

    let status = |access: Access, wrap: &dyn Fn(&Path) -> Command| {
        let options = WriterOptions { socket_mode: 0o666, access, ..options(&socket) };
        let mut writer = Writer::create(&stream(DIMS, true), &options).unwrap();
        let (labels, confidence) = (filled(VOXELS, 5, 0), filled(VOXELS, 5, 1));
        writer.publish(&record(5), &labels, Some(&confidence)).unwrap();
        let arguments = child_command("child_reads_as_another_user", &socket);
        let mut command = wrap(&copy);
        command.args(arguments.get_args());
        command.envs(arguments.get_envs().filter_map(|(name, value)| Some((name, value?))));
        let output = command.current_dir("/").output().unwrap();
        let errors = String::from_utf8_lossy(&output.stderr).into_owned();
        output.status.code().unwrap_or_else(|| panic!("{errors}")).min(99) // 101: a panic
            + i32::from(errors.contains("panicked")) * 1000
    };
    // `uid` drops the supplementary groups.
    let plain = |program: &Path| {
        let mut command = Command::new(program);
        command.uid(OTHER_UID).gid(OTHER_GID);
        command
    };
    let gids = |gids: &[u32]| Access { gids: gids.to_vec(), ..Access::default() };
    assert_eq!(status(Access::default(), &plain), 3, "nobody is allowed");
    assert_eq!(status(Access { uids: vec![OTHER_UID + 1], ..gids(&[1]) }, &plain), 3);
    assert_eq!(status(Access { uids: vec![OTHER_UID], ..gids(&[]) }, &plain), 0, "by user");
    assert_eq!(status(gids(&[OTHER_GID]), &plain), 0, "by primary group");
    assert_eq!(status(Access::everyone(), &plain), 0, "everyone");

    if Command::new("setpriv").arg("--version").output().is_err() {
        skip("users_and_groups_are_told_apart (supplementary): there is no setpriv");
        return;
    }
    let supplementary = |program: &Path| {
        let mut command = Command::new("setpriv");
        let (uid, gid) = (OTHER_UID.to_string(), OTHER_GID.to_string());
        // More groups than the first buffer of the writer holds.
        let groups: Vec<String> = (60_000..60_050).map(|group| group.to_string()).collect();
        command.args(["--reuid", &uid, "--regid", &gid, "--groups", &groups.join(",")]);
        command.arg(program);
        command
    };
    assert_eq!(status(gids(&[60_049]), &supplementary), 0, "by supplementary group");
    assert_eq!(status(gids(&[60_050]), &supplementary), 3, "not by a group it does not have");
}

/// Serves with no descriptor to spare, until it is killed.
#[test]
#[ignore = "a part of another test, which runs it in a process of its own"]
fn child_runs_out_of_descriptors() {
    use rustix::process::{Resource, Rlimit, setrlimit};
    let Some(socket) = child_socket() else { return };
    let mut writer = Writer::create(&stream(DIMS, true), &WriterOptions::new(&socket)).unwrap();
    assert_eq!(
        rustix::process::dumpable_behavior().unwrap(),
        rustix::process::DumpableBehavior::NotDumpable
    );
    // The first client tells that the limit is to be set.
    while writer.clients().connected == 0 {
        std::thread::sleep(Duration::from_millis(1));
    }
    // The lowest free descriptor: exactly those below are taken.
    let free = rustix::io::dup(std::io::stdin()).unwrap();
    let limit = u64::try_from(std::os::fd::AsRawFd::as_raw_fd(&free)).unwrap();
    drop(free);
    setrlimit(Resource::Nofile, Rlimit { current: Some(limit), maximum: Some(limit) }).unwrap();
    let (labels, confidence) = (filled(VOXELS, 9, 0), filled(VOXELS, 9, 1));
    loop {
        writer.publish(&record(9), &labels, Some(&confidence)).unwrap();
        std::thread::sleep(Duration::from_millis(2));
    }
}

#[test]
fn a_writer_without_descriptors_refuses_and_goes_on() {
    let (_directory, socket) = open_directory();
    let command = &mut child_command("child_runs_out_of_descriptors", &socket);
    let _writer = Reaped(command.spawn().unwrap());
    let mut first = connect_soon(&socket);
    let mut grid = Grid::new();
    // The limit is in place when the first grid is there.
    assert!(first.next(&mut grid, PLENTY).unwrap().is_some());
    for _ in 0..20 {
        let error = Reader::connect(&socket, &ReaderOptions::default()).unwrap_err();
        assert!(
            matches!(error, ConnectError::Refused { reason: Refusal::OutOfDescriptors, .. }),
            "{error}"
        );
    }
    // A place that becomes free is given again.
    let last = first.newest();
    assert!(first.wait(last, PLENTY).unwrap().is_some());
    drop(first);
    connect_soon(&socket).copy_newest(&mut grid).unwrap();
    assert_whole(&grid.published, &grid.labels, &grid.confidence);
}

/// Ends a child without the test harness's own verdict.
fn quit(code: i32) -> ! {
    #[allow(clippy::exit, reason = "the exit code is what the parent asks for")]
    std::process::exit(code)
}

/// Says by name that a test is skipped: straight to the stream, because the test harness keeps what a passing test
/// prints to itself.
fn skip(line: &str) {
    use std::io::Write as _;
    std::io::stderr().write_all(format!("SKIPPED {line}\n").as_bytes()).unwrap();
}
