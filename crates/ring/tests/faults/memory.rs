//! Memory that cannot be had: an error that says what and how many bytes, no signal, nothing left behind.

use crate::support::{child_command, child_socket, options, record, small_stream, stream};
use crate::{
    Grids, alone, assert_served, connect, descriptors_of, open_directory, skip, tell,
    wait_for_tally, wait_until,
};
use occdepth_ring::{ConnectError, Grid, ReadError, Writer, WriterError, WriterOptions};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use std::error::Error;
use std::path::{Path, PathBuf};
use std::process::Stdio;

/// 16 MiB of labels and as many of confidences, in two slots: 64 MiB.
const LARGE: [u32; 3] = [1024, 1024, 16];
const LARGE_VOXELS: u64 = 16 << 20;
const LARGE_SEGMENT: u64 = 4 * LARGE_VOXELS;

#[test]
fn a_segment_larger_than_the_machine_is_refused_before_memory_is_taken() {
    let _alone = alone();
    let (_directory, socket) = open_directory();
    // All that the format allows: two TiB.
    let description = stream([1 << 10; 3], true);
    let error = assert_nothing_left(&socket, || {
        // Should it be tried all the same, this limit ends it, before the machine's memory does.
        let maximum = getrlimit(Resource::Fsize).maximum;
        setrlimit(Resource::Fsize, Rlimit { current: Some(1 << 40), maximum }).unwrap();
        let settings = WriterOptions { slot_count: 1024, ..options(&socket) };
        let error = Writer::create(&description, &settings).unwrap_err();
        setrlimit(Resource::Fsize, Rlimit { current: maximum, maximum }).unwrap();
        error
    });
    assert_names(&error, 2 << 40, "the machine has");
}

#[test]
fn a_writer_under_a_limit_says_what_it_cannot_have() {
    let _alone = alone();
    assert_child_succeeds("memory::child_creates_under_a_limit_of_file_sizes");
    assert_child_succeeds("memory::child_creates_under_limits_of_address_space");
}

#[test]
fn a_reader_under_a_limit_says_what_it_cannot_have() {
    let _alone = alone();
    let (_directory, socket) = open_directory();
    let mut writer = large_writer(&socket).unwrap();
    let (labels, confidence) = (vec![1; 16 << 20], vec![2; 16 << 20]);
    writer.publish(&record(1), &labels, Some(&confidence)).unwrap();
    let mut command = child_command("memory::child_reads_under_limits_of_address_space", &socket);
    // A second arena of the allocator would have address space in reserve.
    command.env("MALLOC_ARENA_MAX", "1").stderr(Stdio::piped());
    let output = command.output().unwrap();
    assert!(output.status.success(), "{output:?}");
    wait_until("the reader is forgotten", || writer.clients().connected == 0);
}

#[test]
fn a_writer_in_a_control_group_that_is_too_small_says_so_and_lives() {
    let _alone = alone();
    let name = "a_writer_in_a_control_group_that_is_too_small_says_so_and_lives";
    let group = match Group::new(32 << 20) {
        Ok(group) => group,
        Err(error) => return skip(&format!("{name}: no control group can be made: {error}")),
    };
    let (_directory, socket) = open_directory();
    let mut command = child_command("memory::child_creates_when_it_is_told", &socket);
    let mut child = crate::support::Reaped(command.stdin(Stdio::piped()).spawn().unwrap());
    wait_for_tally(&socket, &mut child);
    group.take(child.0.id());
    drop(child.0.stdin.take());
    let status = child.0.wait().unwrap();
    assert!(status.success(), "{status}");
}

/// The file size limit applies to memory files, too, and the kernel's answer to a larger one is a signal that kills.
#[test]
#[ignore = "a part of another test, which runs it in a process of its own"]
fn child_creates_under_a_limit_of_file_sizes() {
    let Some(socket) = child_socket() else { return };
    let maximum = getrlimit(Resource::Fsize).maximum;
    let error = assert_nothing_left(&socket, || {
        setrlimit(Resource::Fsize, Rlimit { current: Some(1 << 20), maximum }).unwrap();
        let error = large_writer(&socket).unwrap_err();
        setrlimit(Resource::Fsize, Rlimit { current: maximum, maximum }).unwrap();
        error
    });
    assert_names(&error, LARGE_SEGMENT, "RLIMIT_FSIZE) is 1048576 bytes");
}

#[test]
#[ignore = "a part of another test, which runs it in a process of its own"]
fn child_creates_under_limits_of_address_space() {
    let Some(socket) = child_socket() else { return };
    let (mut failed, mut succeeded) = (0, 0);
    // From far too little to plenty, so that each thing that a writer maps is once the one that does not fit.
    for mebibytes in (1..64).step_by(16).chain(64..72) {
        let error = assert_nothing_left(&socket, || {
            within(mebibytes << 20, || large_writer(&socket).err())
        });
        match error {
            Some(error @ WriterError::Segment { .. }) => {
                assert_names(&error, LARGE_SEGMENT, "Cannot allocate memory");
                failed += 1;
            }
            Some(WriterError::System { operation, .. }) => {
                assert!(operation.contains("1 MiB"), "{operation}");
            }
            Some(error) => panic!("{error}"),
            None => succeeded += 1,
        }
    }
    assert!(failed >= 4 && succeeded >= 1, "{failed} failed, {succeeded} succeeded");
}

#[test]
#[ignore = "a part of another test, which runs it in a process of its own"]
fn child_reads_under_limits_of_address_space() {
    let Some(socket) = child_socket() else { return };
    let before = descriptors_of("self");
    let error = within(8 << 20, || connect(&socket).unwrap_err());
    assert!(matches!(error, ConnectError::Map { bytes, .. } if bytes >= LARGE_SEGMENT), "{error}");
    assert!(in_full(&error).contains("Cannot allocate memory"), "{}", in_full(&error));
    assert_eq!(descriptors_of("self"), before);

    let reader = connect(&socket).unwrap();
    let mut grid = Grid::new();
    // Neither, then the labels but not the confidences.
    for room in [LARGE_VOXELS / 2, LARGE_VOXELS + LARGE_VOXELS / 2] {
        let error = within(room, || reader.copy_newest(&mut grid).unwrap_err());
        let of_a_grid = |bytes: usize| bytes as u64 == LARGE_VOXELS;
        assert!(matches!(error, ReadError::OutOfMemory { bytes } if of_a_grid(bytes)), "{error}");
        assert_eq!(grid.published.sequence, 0, "a grid that is none");
    }
    // What could not be had then can be had now, with the same grid and the same connection.
    reader.copy_newest(&mut grid).unwrap();
    assert_eq!(grid.published.record.frame_id, 1);
    assert!(grid.labels.iter().all(|&label| label == 1));
    assert!(grid.confidence.iter().all(|&confidence| confidence == 2));
}

/// Waits for its parent, which puts it into a control group, to close its input.
#[test]
#[ignore = "a part of another test, which runs it in a process of its own"]
fn child_creates_when_it_is_told() {
    let Some(socket) = child_socket() else { return };
    tell(&socket, 0);
    std::io::copy(&mut std::io::stdin(), &mut std::io::sink()).unwrap();
    let error = assert_nothing_left(&socket, || large_writer(&socket).unwrap_err());
    assert_names(&error, LARGE_SEGMENT, "the control group /sys/fs/cgroup/");
}

fn large_writer(socket: &Path) -> Result<Writer, WriterError> {
    let settings = WriterOptions { slot_count: 2, ..options(socket) };
    Writer::create(&stream(LARGE, true), &settings)
}

/// The error names what could not be had: a segment, how large, and what limits it.
fn assert_names(error: &WriterError, at_least: u64, limit: &str) {
    let WriterError::Segment { bytes, .. } = error else { panic!("{error}") };
    assert!(*bytes as u64 >= at_least, "{bytes}");
    let text = in_full(error);
    assert!(
        text.contains(&format!("a segment of {bytes} bytes")) && text.contains(limit),
        "{text}"
    );
}

/// An error and its causes, as programs show them.
fn in_full(error: &dyn Error) -> String {
    let causes = std::iter::successors(error.source(), |&cause| cause.source());
    causes.fold(error.to_string(), |text, cause| format!("{text}: {cause}"))
}

/// After a failure there is no socket, no descriptor, no memory and no lock that the next writer would find.
fn assert_nothing_left<T>(socket: &Path, fail: impl FnOnce() -> T) -> T {
    let before = (descriptors_of("self"), shared_memory());
    let result = fail();
    assert!(!socket.exists(), "the socket is still there");
    assert_eq!((descriptors_of("self"), shared_memory()), before);
    let mut writer = Writer::create(&small_stream(), &options(socket)).unwrap();
    Grids::new(5 * 3 * 7).publish(&mut writer);
    assert_served(socket);
    result
}

/// Mappings of a segment in this process.
fn shared_memory() -> usize {
    let maps = std::fs::read_to_string("/proc/self/maps").unwrap();
    maps.lines().filter(|line| line.contains("memfd:occdepth-ring")).count()
}

/// Runs something with only so much address space left.
fn within<T>(bytes: u64, run: impl FnOnce() -> T) -> T {
    let maximum = getrlimit(Resource::As).maximum;
    let pages: u64 = {
        let statm = std::fs::read_to_string("/proc/self/statm").unwrap();
        statm.split_whitespace().next().unwrap().parse().unwrap()
    };
    let current = pages * rustix::param::page_size() as u64 + bytes;
    setrlimit(Resource::As, Rlimit { current: Some(current), maximum }).unwrap();
    let result = run();
    setrlimit(Resource::As, Rlimit { current: maximum, maximum }).unwrap();
    result
}

fn assert_child_succeeds(child: &str) {
    let (_directory, socket) = open_directory();
    let output = child_command(child, &socket).stderr(Stdio::piped()).output().unwrap();
    assert!(output.status.success(), "{child}: {output:?}");
}

/// A control group with a limit of its memory, removed in the end.
struct Group(PathBuf);

impl Group {
    fn new(limit: u64) -> std::io::Result<Self> {
        let name = format!("occdepth-ring-test-{}", std::process::id());
        let first = Path::new("/sys/fs/cgroup/memory");
        let (root, limit_file) = if first.join("memory.limit_in_bytes").exists() {
            (first, "memory.limit_in_bytes")
        } else {
            (Path::new("/sys/fs/cgroup"), "memory.max")
        };
        let group = Self(root.join(name));
        std::fs::create_dir(&group.0)?;
        std::fs::write(group.0.join(limit_file), limit.to_string())?;
        Ok(group)
    }

    fn take(&self, process: u32) {
        std::fs::write(self.0.join("cgroup.procs"), process.to_string()).unwrap();
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir(&self.0);
    }
}
