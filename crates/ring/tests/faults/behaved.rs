//! Children that behave: readers that must get what was published, all the time.

use crate::support::{self, assert_whole, child_socket, options, stream};
use crate::{DIMS, Grids, PLENTY, VOXELS, connect, tell};
use occdepth_ring::{
    Access, Grid, ReadError, Reader, ReaderOptions, Writer, WriterOptions, monotonic_now_ns,
};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use std::time::Duration;

/// Must get every grid from the first on, whole and without a gap; tells the age of the oldest in microseconds when the
/// writer is gone.
#[test]
#[ignore = "a part of another test, which runs it in a process of its own"]
fn child_gets_every_grid() {
    let Some(socket) = child_socket() else { return };
    let mut reader = connect(&socket).unwrap();
    assert_eq!(reader.newest(), 0, "a late start: the first grids would be missed");
    let mut grid = Grid::new();
    let mut greatest_age = 0;
    tell(&socket, 0);
    for expected in 1.. {
        match reader.next(&mut grid, PLENTY) {
            Ok(sequence) => assert_eq!(sequence, Some(expected), "nothing for {PLENTY:?}"),
            Err(ReadError::WriterGone) => break,
            // One that is lapped fails, too.
            Err(error) => panic!("{error}"),
        }
        let age = monotonic_now_ns().saturating_sub(grid.published.publish_time_ns);
        greatest_age = greatest_age.max(age / 1000);
        assert_whole(&grid.published, &grid.labels, &grid.confidence);
    }
    tell(&socket, greatest_age);
}

/// Reads and checks what it can get, until the writer goes.
#[test]
#[ignore = "a part of another test, which runs it in a process of its own"]
fn child_reads_and_checks() {
    let Some(socket) = child_socket() else { return };
    let mut reader = connect(&socket).unwrap();
    tell(&socket, 0);
    support::read_until_gone(&mut reader);
}

/// Asks for a notification of every grid and never takes one.
#[test]
#[ignore = "a part of another test, which runs it in a process of its own"]
fn child_never_reads() {
    let Some(socket) = child_socket() else { return };
    let options = ReaderOptions { notify: true, ..ReaderOptions::default() };
    let reader = Reader::connect(&socket, &options).unwrap();
    tell(&socket, 0);
    support::hold_until_gone(&reader);
}

/// Serves with [`SPARE_DESCRIPTORS`] descriptors, all of them for any one user, until it is killed.
#[test]
#[ignore = "a part of another test, which runs it in a process of its own"]
fn child_serves_with_few_descriptors() {
    serve(1000);
}

/// The same, half of them for any one user.
#[test]
#[ignore = "a part of another test, which runs it in a process of its own"]
fn child_serves_with_few_descriptors_for_each() {
    serve(SHARE);
}

fn serve(max_clients_per_uid: usize) {
    let Some(socket) = child_socket() else { return };
    let settings = WriterOptions {
        socket_mode: 0o666,
        access: Access::everyone(),
        handshake_timeout: DEADLINE,
        max_clients: 1000,
        max_clients_per_uid,
        ..options(&socket)
    };
    let mut writer = Writer::create(&stream(DIMS, true), &settings).unwrap();
    let mut grids = Grids::new(VOXELS);
    grids.publish(&mut writer);
    tell(&socket, 0);
    // The lowest free descriptor: exactly those below are taken.
    let free = rustix::io::dup(std::io::stdin()).unwrap();
    let taken = u64::try_from(std::os::fd::AsRawFd::as_raw_fd(&free)).unwrap();
    drop(free);
    let maximum = getrlimit(Resource::Nofile).maximum;
    let limit = Rlimit { current: Some(taken + SPARE_DESCRIPTORS as u64), maximum };
    setrlimit(Resource::Nofile, limit).unwrap();
    loop {
        grids.publish_many(&mut writer, 1, Duration::from_millis(2));
    }
}

/// How long the writers above wait for a client.
pub(crate) const DEADLINE: Duration = Duration::from_millis(60);
/// What the writers above have for clients.
pub(crate) const SPARE_DESCRIPTORS: usize = 48;
/// What one of them has for the clients of one user.
pub(crate) const SHARE: usize = SPARE_DESCRIPTORS / 2;
