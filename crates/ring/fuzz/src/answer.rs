//! What answers a hello, to a reader: a reply, descriptors of any kind with it, notifications after it, or nothing.

use crate::abi::{u32_at, u64_at};
use crate::damage;
use crate::fake_writer::{Answer, FakeWriter, open_descriptors};
use crate::good::{SEGMENTS, reply};
use crate::script::Script;
use occdepth_ring::layout::handshake::{NOTIFICATION_FIELDS, REPLY_FIELDS};
use occdepth_ring::{ConnectError, Grid, ReadError, ReaderOptions};
use rustix::event::EventfdFlags;
use rustix::fs::{MemfdFlags, SealFlags};
use std::fs::File;
use std::os::fd::OwnedFd;
use std::os::unix::fs::FileExt;
use std::sync::{Arc, LazyLock};
use std::time::Duration;

/// Runs one input.
pub fn run(input: &[u8]) {
    thread_local!(static WRITER: FakeWriter = FakeWriter::start());
    let mut script = Script::new(input);
    let flags = script.u8();
    let is_silent = flags & SILENT == SILENT;
    let mut bytes = reply(&SEGMENTS[0]);
    damage::datagram(&mut bytes, REPLY_FIELDS, &mut script);
    let kinds: Vec<usize> = (0..script.below(5)).map(|_| script.below(DESCRIPTORS.len())).collect();
    // One that carries nothing but a descriptor is none.
    let kinds = if bytes.is_empty() { Vec::new() } else { kinds };
    let notifications: Vec<Vec<u8>> = (0..script.below(4))
        .map(|_| {
            let mut bytes = b"OCCDNOTE".to_vec();
            bytes.resize(32, 1);
            damage::datagram(&mut bytes, NOTIFICATION_FIELDS, &mut script);
            bytes
        })
        .collect();

    let sent: Vec<_> = kinds.iter().map(|&kind| Arc::clone(&DESCRIPTORS[kind])).collect();
    let mut datagrams = vec![(bytes.clone(), sent)];
    datagrams.extend(notifications.iter().map(|bytes| (bytes.clone(), Vec::new())));
    let answer = Answer {
        datagrams: if is_silent { Vec::new() } else { datagrams },
        hangs_up: flags & HANGS_UP != 0,
    };
    let patience = if is_silent { Duration::from_millis(1) } else { Duration::from_secs(30) };
    let options = ReaderOptions {
        notify: flags & 1 != 0,
        expected_uid: (flags & OTHER_USER == OTHER_USER).then_some(u32::MAX),
        handshake_timeout: patience,
        ..ReaderOptions::default()
    };

    WRITER.with(|writer| {
        let before = open_descriptors();
        let (reader, connection) = writer.offer(answer, &options);
        // By the order in which a reader looks at them.
        let accepts = options.expected_uid.is_none()
            && !is_silent
            && is_accepted(&bytes)
            && kinds.first() == Some(&GOOD);
        assert_eq!(reader.is_ok(), accepts, "{reader:?}");
        match reader {
            Ok(mut reader) => {
                let notified = reader.drain_notifications();
                // An empty datagram cannot be told from the end.
                let end = notifications.iter().position(Vec::is_empty);
                let whole = &notifications[..end.unwrap_or(notifications.len())];
                match notified {
                    Ok(count) => {
                        assert!(connection.is_some() && end.is_none());
                        assert_eq!(count, whole.iter().filter(|n| is_notification(n)).count());
                    }
                    Err(ReadError::WriterGone) => assert!(connection.is_none() || end.is_some()),
                    Err(error) => panic!("{error}"),
                }
                let mut grid = Grid::new();
                assert_eq!(reader.next(&mut grid, Duration::ZERO).ok(), Some(Some(9)));
            }
            Err(ConnectError::TimedOut { .. }) => assert!(is_silent),
            Err(error) => assert!(!error.to_string().is_empty()),
        }
        drop(connection);
        // What came with an answer that was refused is closed, too.
        assert_eq!(open_descriptors(), before);
    });
}

/// Flags of an input. Those of several bits are rare: the first takes time, the second hides everything else.
const HANGS_UP: u8 = 2;
const SILENT: u8 = 0b1111_0000;
const OTHER_USER: u8 = 0b0000_1100;

fn is_accepted(reply: &[u8]) -> bool {
    reply.len() >= 64
        && reply.starts_with(b"OCCDRPLY")
        && u32_at(reply, 8) == 1
        && u32_at(reply, 16) == 0
        && u64_at(reply, 24) == u64_at(&SEGMENTS[0], 112)
        && u64_at(reply, 32) == SEGMENTS[0].len() as u64
}

fn is_notification(bytes: &[u8]) -> bool {
    bytes.len() >= 32 && bytes.starts_with(b"OCCDNOTE")
}

/// The segment, then what is none.
static DESCRIPTORS: LazyLock<Vec<Arc<OwnedFd>>> = LazyLock::new(|| {
    let all = SealFlags::SHRINK | SealFlags::GROW | SealFlags::FUTURE_WRITE | SealFlags::SEAL;
    let good = SEGMENTS[0].as_slice();
    let mut descriptors: Vec<OwnedFd> = vec![memory(good, all)];
    let seals = [SealFlags::SHRINK, SealFlags::GROW, SealFlags::FUTURE_WRITE, SealFlags::SEAL];
    descriptors.extend(seals.map(|missing| memory(good, all - missing)));
    descriptors.push(memory(good, SealFlags::empty()));
    descriptors.extend([0, 1, 4096, 8192, good.len() - 8].map(|size| memory(&good[..size], all)));
    descriptors.extend(["/dev/null", "/dev/zero", "/"].map(open));
    descriptors.push(rustix::event::eventfd(0, EventfdFlags::CLOEXEC).expect("memory"));
    let (pipe, _) = rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC).expect("memory");
    descriptors.push(pipe);
    descriptors.into_iter().map(Arc::new).collect()
});

/// Index of the segment.
const GOOD: usize = 0;

fn memory(bytes: &[u8], seals: SealFlags) -> OwnedFd {
    let flags = MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING;
    let file = File::from(rustix::fs::memfd_create("fuzz", flags).expect("memory"));
    file.write_all_at(bytes, 0).expect("memory");
    rustix::fs::fcntl_add_seals(&file, seals).expect("a file that can be sealed");
    file.into()
}

fn open(path: &str) -> OwnedFd {
    File::open(path).expect("every Linux has it").into()
}
