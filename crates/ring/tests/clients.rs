//! Clients that are refused, and clients that do not play by the rules.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod support;

use occdepth_ring::layout::AbiVersion;
use occdepth_ring::layout::handshake::Refusal;
use occdepth_ring::{ConnectError, Grid, Reader, ReaderOptions, Writer, WriterOptions};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::net::SendFlags;
use std::fs::File;
use std::io::Read;
use std::os::fd::OwnedFd;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};
use support::{attach, hello, options, raw_client, receive, record, small_stream};

const PLENTY: Duration = Duration::from_secs(30);
const DEADLINE: Duration = Duration::from_millis(60);

/// A writer that gives its clients little time.
fn strict_writer(directory: &tempfile::TempDir) -> (Writer, PathBuf) {
    let socket = directory.path().join("front.sock");
    let options = WriterOptions { handshake_timeout: DEADLINE, ..options(&socket) };
    (Writer::create(&small_stream(), &options).unwrap(), socket)
}

fn connect(socket: &Path) -> Result<Reader, ConnectError> {
    Reader::connect(socket, &ReaderOptions::default())
}

/// Connects again and again until it succeeds: for places that are given back in the background.
fn connect_soon(socket: &Path) -> Reader {
    let start = Instant::now();
    loop {
        match connect(socket) {
            Ok(reader) => return reader,
            Err(error) => assert!(start.elapsed() < PLENTY, "{error}"),
        }
        std::thread::sleep(Duration::from_millis(5));
    }
}

fn send(socket: &OwnedFd, bytes: &[u8]) {
    rustix::net::send(socket, bytes, SendFlags::NOSIGNAL).unwrap();
}

/// Waits for the next datagram, or the hang-up, and returns the refusal's status.
fn refused_status(socket: &OwnedFd) -> u32 {
    let (reply, descriptor) = receive(socket);
    assert_eq!((reply.len(), &reply[..8]), (64, &b"OCCDRPLY"[..]));
    assert!(descriptor.is_none(), "a refused client was given a descriptor");
    assert_eq!(reply[24..], [0; 40]);
    assert!(receive(socket).0.is_empty(), "the connection stays open");
    u32::from_le_bytes(reply[16..20].try_into().unwrap())
}

fn wait_for_hang_up(socket: &OwnedFd) {
    let mut sockets = [PollFd::new(socket, PollFlags::RDHUP)];
    let timeout = Timespec::try_from(PLENTY).unwrap();
    assert_eq!(poll(&mut sockets, Some(&timeout)).unwrap(), 1, "nobody hung up");
}

#[test]
fn a_client_of_another_major_is_refused_and_both_versions_are_named() {
    let directory = tempfile::tempdir().unwrap();
    let (writer, socket) = strict_writer(&directory);
    for (major, minor) in [(0, 0), (2, 0), (u32::MAX, 5)] {
        let client = raw_client(&socket);
        send(&client, &hello(major, minor, 0));
        assert_eq!(refused_status(&client), 1);
    }
    assert_eq!(writer.clients().refused, 3);
    // A client of a newer minor is welcome.
    let client = raw_client(&socket);
    send(&client, &hello(1, 9, 1));
    assert!(receive(&client).1.is_some());

    // The reader's side: a writer of another major, whose reply has only its first 24 bytes in common with ours.
    let socket = directory.path().join("other");
    let listener = support::listener(&socket);
    for (status, length, expected) in [
        (1, 64, Refusal::Version),
        (1, 24, Refusal::Version),
        (4, 32, Refusal::TooManyClients),
        (0, 24, Refusal::Version),
        (0, 200, Refusal::Version),
    ] {
        std::thread::scope(|scope| {
            let reader = scope.spawn(|| connect(&socket).unwrap_err());
            let client = rustix::net::accept(&listener).unwrap();
            assert_eq!(receive(&client).0, hello(1, 1, 0));
            let mut reply = b"OCCDRPLY\x02\0\0\0\x07\0\0\0".to_vec();
            reply.push(status);
            reply.resize(length, 0);
            send(&client, &reply);
            let error = reader.join().unwrap();
            let ConnectError::Refused { reason, writer, client } = &error else {
                panic!("{error}");
            };
            assert_eq!(*reason, expected, "status {status}, {length} bytes");
            assert_eq!(*writer, AbiVersion { major: 2, minor: 7 });
            assert_eq!(*client, AbiVersion { major: 1, minor: 1 });
            let text = error.to_string();
            assert!(text.contains("2.7") && text.contains("1.1"), "{error}");
        });
    }
}

#[test]
fn a_silent_client_is_closed_at_the_deadline() {
    let directory = tempfile::tempdir().unwrap();
    let (mut writer, socket) = strict_writer(&directory);
    let start = Instant::now();
    let silent: Vec<OwnedFd> = (0..5).map(|_| raw_client(&socket)).collect();
    // Meanwhile others are served.
    let mut reader = connect(&socket).unwrap();
    let zeros = vec![0; 105];
    writer.publish(&record(1), &zeros, Some(&zeros)).unwrap();
    assert_eq!(reader.next(&mut Grid::new(), PLENTY).unwrap(), Some(1));
    for client in &silent {
        assert_eq!(refused_status(client), 2);
    }
    assert!(start.elapsed() >= DEADLINE);
    assert!(reader.is_writer_alive().unwrap());
}

#[test]
fn a_hello_that_is_none_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let (_writer, socket) = strict_writer(&directory);
    let mut long = hello(1, 0, 0);
    long.resize(257, 0);
    let mut longer = hello(1, 0, 0);
    longer.resize(4000, 0);
    let mut wrong = hello(1, 0, 0);
    wrong[0] = b'o';
    for garbage in [&hello(1, 0, 0)[..31], &long, &longer, &wrong, b"GET / HTTP/1.1\r\n"] {
        let client = raw_client(&socket);
        send(&client, garbage);
        assert_eq!(refused_status(&client), 2);
    }
    for length in [32, 64, 256] {
        let mut hello = hello(1, 0, 0);
        hello.resize(length, 0xff);
        let client = raw_client(&socket);
        send(&client, &hello);
        assert!(receive(&client).1.is_some(), "{length}");
    }
}

#[test]
fn a_descriptor_that_a_client_sends_is_dropped() {
    let directory = tempfile::tempdir().unwrap();
    let (_writer, socket) = strict_writer(&directory);
    let (mut read_end, write_end) = std::io::pipe().unwrap();
    let client = raw_client(&socket);
    support::send_with_descriptor(&client, &hello(1, 0, 0), &File::from(OwnedFd::from(write_end)));
    assert!(receive(&client).1.is_some());
    // The pipe ends only when nobody has its write end any more.
    let mut nothing = Vec::new();
    assert_eq!(read_end.read_to_end(&mut nothing).unwrap(), 0);
}

#[test]
fn a_client_that_talks_after_its_hello_is_closed() {
    let directory = tempfile::tempdir().unwrap();
    let (writer, socket) = strict_writer(&directory);
    let (client, _segment) = attach(&socket, 0);
    send(&client, b"and another thing");
    wait_for_hang_up(&client);
    while writer.clients().connected > 0 {
        std::thread::yield_now();
    }
    assert_eq!(writer.clients().closed, 1);
}

#[test]
fn a_client_that_shuts_down_its_side_is_closed() {
    let directory = tempfile::tempdir().unwrap();
    let (writer, socket) = strict_writer(&directory);
    let (client, _segment) = attach(&socket, 0);
    rustix::net::shutdown(&client, rustix::net::Shutdown::Write).unwrap();
    wait_for_hang_up(&client);
    while writer.clients().connected > 0 {
        std::thread::yield_now();
    }
    assert_eq!(writer.clients().closed, 1);
}

/// A reader that asks for notifications, looks at `newest` once it has its reply, and sleeps: is there any moment at
/// which a grid can be published so that it hears of that one only with the next?
#[test]
fn every_grid_after_the_reply_was_read_is_notified_without_another_one() {
    let directory = tempfile::tempdir().unwrap();
    let socket = directory.path().join("s");
    let patient = WriterOptions { handshake_timeout: PLENTY, ..options(&socket) };
    let mut writer = Writer::create(&small_stream(), &patient).unwrap();
    let zeros = vec![0; 105];
    let newest = |segment: &File| {
        let mut newest = [0; 8];
        segment.read_exact_at(&mut newest, 1024).unwrap();
        u64::from_le_bytes(newest)
    };
    let mut untold = 0;
    for round in 0..400_u32 {
        let client = raw_client(&socket);
        send(&client, &hello(1, 1, 1));
        wait_for_datagram(&client);
        let writer = &mut writer;
        let start = Instant::now();
        let (segment, seen, published) = std::thread::scope(|scope| {
            let publish = scope.spawn(|| {
                spin_until(start + Duration::from_micros(u64::from(round % 20) * 15));
                writer.publish(&record(1), &zeros, Some(&zeros)).unwrap()
            });
            spin_until(start + Duration::from_micros(u64::from(round / 20) * 15));
            let (_, segment) = receive(&client);
            let segment = File::from(segment.unwrap());
            let seen = newest(&segment);
            (segment, seen, publish.join().unwrap())
        });
        if seen == published {
            continue;
        }
        untold += 1;
        // One that tells of an earlier grid may come first; without the right one this waits in vain.
        let mut told = seen;
        while told < published {
            wait_for_datagram(&client);
            let (note, _) = receive(&client);
            assert_eq!((note.len(), &note[..8]), (32, &b"OCCDNOTE"[..]));
            told = u64::from_le_bytes(note[16..24].try_into().unwrap());
            assert!(newest(&segment) >= told, "a grid was told of before it could be read");
        }
    }
    assert!(untold > 0, "every grid came before its reader had looked");
}

fn wait_for_datagram(socket: &OwnedFd) {
    let mut sockets = [PollFd::new(socket, PollFlags::IN)];
    let timeout = Timespec::try_from(PLENTY).unwrap();
    assert_eq!(poll(&mut sockets, Some(&timeout)).unwrap(), 1, "nothing came");
}

fn spin_until(end: Instant) {
    while Instant::now() < end {
        std::hint::spin_loop();
    }
}

#[test]
fn there_are_only_so_many_places() {
    let directory = tempfile::tempdir().unwrap();
    let socket = directory.path().join("s");
    for (max_clients, max_clients_per_uid) in [(3, 100), (100, 3)] {
        let options = WriterOptions { max_clients, max_clients_per_uid, ..options(&socket) };
        let _writer = Writer::create(&small_stream(), &options).unwrap();
        let mut readers: Vec<Reader> = (0..3).map(|_| connect(&socket).unwrap()).collect();
        for _ in 0..3 {
            let error = connect(&socket).unwrap_err();
            assert!(
                matches!(error, ConnectError::Refused { reason: Refusal::TooManyClients, .. }),
                "{error}"
            );
        }
        readers.pop();
        readers.push(connect_soon(&socket));
        assert!(readers.iter().all(|reader| reader.is_writer_alive().unwrap()));
    }
}

#[test]
fn a_client_that_does_not_read_is_hung_up_on_and_keeps_its_place_occupied() {
    let directory = tempfile::tempdir().unwrap();
    let socket = directory.path().join("s");
    let options = WriterOptions { handshake_timeout: DEADLINE, max_clients: 1, ..options(&socket) };
    for reads in [true, false] {
        let writer = Writer::create(&small_stream(), &options).unwrap();
        let client = raw_client(&socket);
        send(&client, &hello(1, 0, 1));
        wait_for_hang_up(&client);
        assert_eq!(writer.clients().closed, 1);
        // Its descriptor is still in flight, so nobody gets its place.
        let error = connect(&socket).unwrap_err();
        assert!(
            matches!(error, ConnectError::Refused { reason: Refusal::TooManyClients, .. }),
            "{error}"
        );
        if reads {
            assert!(receive(&client).1.is_some());
            assert!(receive(&client).0.is_empty());
            connect_soon(&socket);
        } else {
            drop(client);
            connect_soon(&socket);
        }
    }
}

#[test]
fn the_segment_cannot_be_changed_by_whoever_has_its_descriptor() {
    let directory = tempfile::tempdir().unwrap();
    let (mut writer, socket) = strict_writer(&directory);
    let zeros = vec![7; 105];
    writer.publish(&record(1), &zeros, Some(&zeros)).unwrap();
    let (_client, segment) = attach(&socket, 0);
    let length = segment.metadata().unwrap().len();

    assert!(memmap2::MmapOptions::new().map_raw(&segment).is_err(), "a writable mapping");
    assert!(memmap2::MmapOptions::new().map_raw_read_only(&segment).is_ok());
    support::assert_stays_read_only(&segment);
    assert!(segment.write_at(b"x", 8192).is_err(), "a write");
    for size in [0, length - 1, length + 1] {
        assert!(segment.set_len(size).is_err(), "ftruncate to {size}");
    }
    let hole = rustix::fs::FallocateFlags::PUNCH_HOLE | rustix::fs::FallocateFlags::KEEP_SIZE;
    assert!(rustix::fs::fallocate(&segment, hole, 0, length).is_err(), "a hole");
    let seals = rustix::fs::SealFlags::WRITE;
    assert!(rustix::fs::fcntl_add_seals(&segment, seals).is_err(), "another seal");
    let mode = segment.metadata().unwrap();
    assert_eq!(std::os::unix::fs::MetadataExt::mode(&mode) & 0o7777, 0o400);
    // All pages are there: a sparse file would kill whoever touches it when memory is short.
    assert!(std::os::unix::fs::MetadataExt::blocks(&mode) * 512 >= length);

    writer.publish(&record(2), &zeros, Some(&zeros)).unwrap();
    let mut grid = Grid::new();
    connect(&socket).unwrap().copy_newest(&mut grid).unwrap();
    assert_eq!((grid.published.sequence, &grid.labels), (2, &zeros));
}

#[test]
fn a_descriptor_beyond_the_first_is_closed() {
    let directory = tempfile::tempdir().unwrap();
    let (mut writer, socket) = strict_writer(&directory);
    let zeros = vec![0; 105];
    writer.publish(&record(1), &zeros, Some(&zeros)).unwrap();
    let genuine = raw_client(&socket);
    send(&genuine, &hello(1, 0, 0));
    let (reply, segment) = receive(&genuine);
    let segment = File::from(segment.unwrap());

    let socket = directory.path().join("other");
    let listener = support::listener(&socket);
    let (mut read_end, write_end) = std::io::pipe().unwrap();
    let write_end = File::from(OwnedFd::from(write_end));
    let reader = std::thread::scope(|scope| {
        let reader = scope.spawn(|| connect(&socket).unwrap());
        let client = rustix::net::accept(&listener).unwrap();
        receive(&client);
        support::send_with_descriptors(&client, &reply, &[&segment, &write_end]);
        reader.join().unwrap()
    });
    // The first is the segment; the pipe ends, so nobody has its write end any more.
    reader.copy_newest(&mut Grid::new()).unwrap();
    drop(write_end);
    assert_eq!(read_end.read_to_end(&mut Vec::new()).unwrap(), 0);
}

#[test]
fn connecting_fails_by_name() {
    let directory = tempfile::tempdir().unwrap();
    let socket = directory.path().join("s");
    assert!(matches!(connect(&socket), Err(ConnectError::NoStream { .. })));
    let listener = support::listener(&socket);
    let impatient = ReaderOptions { handshake_timeout: DEADLINE, ..ReaderOptions::default() };
    let error = Reader::connect(&socket, &impatient).unwrap_err();
    assert!(matches!(error, ConnectError::TimedOut { .. }), "{error}");
    let own_uid = rustix::process::geteuid().as_raw();
    let strange = ReaderOptions { expected_uid: Some(own_uid + 1), ..ReaderOptions::default() };
    let error = Reader::connect(&socket, &strange).unwrap_err();
    assert!(matches!(error, ConnectError::Server { expected, .. } if expected == own_uid + 1));
    drop(listener);
    assert!(matches!(connect(&socket), Err(ConnectError::NoWriter { .. })));

    // Answers that are none.
    let socket = directory.path().join("other");
    let listener = support::listener(&socket);
    let ok = [&b"OCCDRPLY\x01\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0"[..], &[1; 40]].concat();
    let null = File::open("/dev/null").unwrap();
    for (answer, descriptor) in
        [(&b"hello"[..], None), (&ok[..63], None), (&ok, None), (&ok, Some(&null))]
    {
        std::thread::scope(|scope| {
            let reader = scope.spawn(|| connect(&socket).unwrap_err());
            let client = rustix::net::accept(&listener).unwrap();
            assert_eq!(receive(&client).0.len(), 64);
            match descriptor {
                Some(file) => support::send_with_descriptor(&client, answer, file),
                None => send(&client, answer),
            }
            let error = reader.join().unwrap();
            let expected = match &error {
                ConnectError::Handshake(_) => descriptor.is_none(),
                ConnectError::NotSealed { .. } => descriptor.is_some(),
                _ => false,
            };
            assert!(expected, "{error}");
        });
    }
    // A refusal by one of our own version says why in its first 24 bytes; one byte less says nothing.
    let refusal = b"OCCDRPLY\x01\0\0\0\0\0\0\0\x04\0\0\0\0\0\0\0";
    for length in [24, 23] {
        std::thread::scope(|scope| {
            let reader = scope.spawn(|| connect(&socket).unwrap_err());
            let client = rustix::net::accept(&listener).unwrap();
            send(&client, &refusal[..length]);
            let error = reader.join().unwrap();
            let refused =
                matches!(error, ConnectError::Refused { reason: Refusal::TooManyClients, .. });
            assert_eq!(refused, length == 24, "{error}");
        });
    }
    // Nobody there any more.
    std::thread::scope(|scope| {
        let reader = scope.spawn(|| connect(&socket).unwrap_err());
        drop(rustix::net::accept(&listener).unwrap());
        let error = reader.join().unwrap();
        assert!(error.to_string().contains("hung up"), "{error}");
    });
}
