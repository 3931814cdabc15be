//! Arbitrary bytes as a segment and as a handshake for the reader, and as a client for the writer.
//!
//! Bounded: some hundred rounds of each in a usual run; `RING_HOSTILE_ROUNDS` asks for more. Every round follows from a seed,
//! which is printed when it fails, and which `RING_HOSTILE_SEED` sets.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

#[path = "support/hostile.rs"]
mod damaged;
mod support;

use damaged::{VOXELS, good, rounds, sealed};
use occdepth_ring::{ConnectError, Grid, ReadError, Reader, ReaderOptions, Writer, WriterOptions};
use rustix::net::SendFlags;
use std::fs::File;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use support::{
    filled, listener, options, receive, record, send_with_descriptor, send_with_descriptors,
    small_stream,
};

/// One test after the other: they count the descriptors of the process.
fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Connects to a writer that answers as `answer` says, then hangs up.
fn offered(
    socket: &Path,
    listener: &OwnedFd,
    answer: impl FnOnce(&OwnedFd),
) -> Result<Reader, ConnectError> {
    let patience =
        ReaderOptions { handshake_timeout: Duration::from_millis(200), ..ReaderOptions::default() };
    std::thread::scope(|scope| {
        let reader = scope.spawn(|| Reader::connect(socket, &patience));
        let client = rustix::net::accept(listener).unwrap();
        receive(&client);
        answer(&client);
        drop(client);
        reader.join().unwrap()
    })
}

/// Everything that a reader can be asked ends, with a grid that the writer had published or an error, and without a panic.
fn ask(reader: &mut Reader) {
    let mut grid = Grid::new();
    for _ in 0..12 {
        match reader.next(&mut grid, Duration::from_millis(1)) {
            Err(ReadError::WriterGone) | Ok(None) => break,
            // Whatever was damaged: the checksum covers labels, confidences and record.
            Ok(Some(_)) => support::assert_whole(&grid.published, &grid.labels, &grid.confidence),
            Err(_) => {}
        }
    }
    for sequence in [0, 1, 5, 9, 10, u64::MAX / 2, u64::MAX] {
        if reader.copy(sequence, &mut grid).is_ok() {
            support::assert_whole(&grid.published, &grid.labels, &grid.confidence);
        }
        let _ = reader.look(sequence, |live| {
            let mut some = [0; 16];
            live.copy_labels(3, &mut some);
            live.copy_confidence(usize::MAX - 3, &mut some);
            (live.published(), live.label([1, 1, 1]), live.confidence([u32::MAX; 3]))
        });
    }
    let _ = reader.copy_newest(&mut grid);
    let _ = reader.drain_notifications();
}

#[test]
fn a_reader_survives_any_segment() {
    let _alone = alone();
    let directory = tempfile::tempdir().unwrap();
    let socket = directory.path().join("s");
    let listener = listener(&socket);
    let (bytes, reply) = good();
    let (mut taken, mut refused) = (0, 0);
    rounds("a_reader_survives_any_segment", 300, |random| {
        let mut bytes = bytes.clone();
        // The header, the slots' headers, or anything.
        let end = [1024, 2304, bytes.len()][random.below(3)];
        random.damage(&mut bytes[..end]);
        if random.below(4) == 0 {
            let size = 8 * random.below(bytes.len() / 8);
            bytes.truncate(size.max(8));
        }
        let mut reply = reply.clone();
        // As a writer would that is only mistaken about its segment.
        if let Some(epoch) = bytes.get(112..120) {
            reply[24..32].copy_from_slice(epoch);
        }
        reply[32..40].copy_from_slice(&(bytes.len() as u64).to_le_bytes());
        let file = sealed(&bytes);
        match offered(&socket, &listener, |client| send_with_descriptor(client, &reply, &file)) {
            Ok(mut reader) => {
                taken += 1;
                ask(&mut reader);
            }
            Err(error) => {
                refused += 1;
                assert!(!error.to_string().is_empty());
            }
        }
    });
    // Damage that hits neither header nor lock is for the checksum to find; damage to the header is refused.
    assert!(taken > 0 && refused > 0, "{taken} taken, {refused} refused");
}

#[test]
fn a_reader_survives_any_answer() {
    let _alone = alone();
    let directory = tempfile::tempdir().unwrap();
    let socket = directory.path().join("s");
    let listener = listener(&socket);
    let (bytes, reply) = good();
    let file = sealed(&bytes);
    let device = || File::open("/dev/null").unwrap();
    let before = descriptors();
    rounds("a_reader_survives_any_answer", 300, |random| {
        let mut reply = reply.clone();
        match random.below(3) {
            0 => random.damage(&mut reply),
            1 => reply = (0..random.below(120)).map(|_| random.next().to_le_bytes()[0]).collect(),
            _ => {}
        }
        let length = if random.below(3) == 0 { random.below(reply.len() + 1) } else { reply.len() };
        reply.resize(length, 0);
        let other = device();
        let reader = offered(&socket, &listener, |client| match random.below(4) {
            // An empty datagram cannot carry a descriptor, and is none.
            _ if reply.is_empty() => {}
            0 => drop(rustix::net::send(client, &reply, SendFlags::NOSIGNAL)),
            1 => send_with_descriptor(client, &reply, &other),
            _ => send_with_descriptor(client, &reply, &file),
        });
        if let Ok(mut reader) = reader {
            ask(&mut reader);
        }
    });
    // Whatever came with an answer that was refused is closed.
    assert_eq!(descriptors(), before);
}

#[test]
fn the_first_descriptor_of_an_answer_is_the_segment_and_the_others_are_closed() {
    let _alone = alone();
    let directory = tempfile::tempdir().unwrap();
    let socket = directory.path().join("s");
    let listener = listener(&socket);
    let (bytes, reply) = good();
    let (segment, device) = (sealed(&bytes), File::open("/dev/null").unwrap());
    let before = descriptors();
    for others in 1..=3 {
        let others = vec![&device; others];
        let files = [&[&segment], others.as_slice()].concat();
        let answer = |client: &OwnedFd| send_with_descriptors(client, &reply, &files);
        ask(&mut offered(&socket, &listener, answer).unwrap());
        let files = [others.as_slice(), &[&segment]].concat();
        let answer = |client: &OwnedFd| send_with_descriptors(client, &reply, &files);
        let error = offered(&socket, &listener, answer).unwrap_err();
        assert!(matches!(error, ConnectError::NotSealed { .. }), "{error}");
    }
    assert_eq!(descriptors(), before);
}

#[test]
fn a_writer_survives_any_client() {
    let _alone = alone();
    let directory = tempfile::tempdir().unwrap();
    let socket = directory.path().join("s");
    let settings =
        WriterOptions { handshake_timeout: Duration::from_millis(50), ..options(&socket) };
    let mut writer = Writer::create(&small_stream(), &settings).unwrap();
    let mut reader = Reader::connect(&socket, &ReaderOptions::default()).unwrap();
    let before = descriptors();
    let mut grid = Grid::new();
    let mut frame_id = 0;
    rounds("a_writer_survives_any_client", 300, |random| {
        let client = support::raw_client(&socket);
        let mut hello = support::hello(1, 0, random.next() & 1);
        match random.below(4) {
            0 => random.damage(&mut hello),
            1 => hello = (0..random.below(300)).map(|_| random.next().to_le_bytes()[0]).collect(),
            2 => hello.truncate(random.below(65)),
            _ => {}
        }
        for _ in 0..=random.below(3) {
            // A client that was hung up on cannot send any more.
            let _ = rustix::net::send(&client, &hello, SendFlags::NOSIGNAL);
        }
        if random.below(2) == 0 {
            let _ = rustix::net::shutdown(&client, rustix::net::Shutdown::Both);
        }
        // A good client's grid comes all the same, whole.
        frame_id += 1;
        let (labels, confidence) = (filled(VOXELS, frame_id, 0), filled(VOXELS, frame_id, 1));
        writer.publish(&record(frame_id), &labels, Some(&confidence)).unwrap();
        reader.next(&mut grid, Duration::from_secs(30)).unwrap().unwrap();
        support::assert_whole(&grid.published, &grid.labels, &grid.confidence);
        assert_eq!(grid.published.record.frame_id, frame_id);
    });
    // All that is left of them is gone: the writer's own thread sees to it.
    let start = std::time::Instant::now();
    while descriptors() > before || writer.clients().connected > 1 {
        assert!(start.elapsed() < Duration::from_secs(30), "{:?}", writer.clients());
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Open descriptors of this process.
fn descriptors() -> usize {
    std::fs::read_dir("/proc/self/fd").unwrap().count()
}
