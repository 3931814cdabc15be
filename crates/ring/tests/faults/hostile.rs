//! Children that do harm for as long as they live, each in its own way. They begin when they tell so for the first time, and
//! are killed in the end.

use crate::kernel::{self, Mapped};
use crate::support::{attach, child_socket, fill, filled, hello, receive, send_with_descriptor};
use crate::{PLENTY, tell};
use rustix::io::Errno;
use rustix::net::sockopt::{Timeout, set_socket_timeout};
use rustix::net::{
    AddressFamily, SendFlags, SocketAddrUnix, SocketFlags, SocketType, connect, send, socket_with,
};
use rustix::process::{
    Resource, Rlimit, Signal, getrlimit, set_parent_process_death_signal, setrlimit,
};
use std::fs::File;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::sync::atomic::AtomicU32;
use std::time::{Duration, Instant};

/// Connects and says nothing; again as soon as it is hung up on.
#[test]
#[ignore = "a part of another test, which runs it in a process of its own"]
fn child_stays_silent() {
    let Some(socket) = child_socket() else { return };
    let mut silent = std::collections::VecDeque::new();
    for count in until_killed() {
        silent.extend(connection(&socket).ok());
        if silent.len() == SILENT {
            tell(&socket, count);
            // Hung up on in order: the oldest tells when there is room again.
            let oldest: OwnedFd = silent.pop_front().unwrap();
            let (refusal, descriptor) = receive(&oldest);
            assert!(
                !refusal.starts_with(b"OCCDRPLY\x01\0\0\0\x01\0\0\0\0\0\0\0")
                    && descriptor.is_none()
            );
        }
    }
}

/// Sends whatever bytes, some of them nearly a hello, in any number, with and without a descriptor.
#[test]
#[ignore = "a part of another test, which runs it in a process of its own"]
fn child_sends_garbage() {
    let Some(socket) = child_socket() else { return };
    let null = File::open("/dev/null").unwrap();
    let seed = u64::from(std::process::id()) << 32;
    for count in until_killed() {
        let noise = filled(400, seed + count, 2);
        let Ok(client) = connection(&socket) else { continue };
        let mut bytes = hello(1, u32::from(noise[0]), u64::from(noise[1]));
        match noise[2] % 4 {
            0 => bytes[usize::from(noise[3]) % 16] ^= noise[4] | 1,
            1 => bytes = noise[5..6 + usize::from(noise[3])].to_vec(),
            2 => bytes.truncate(1 + usize::from(noise[3]) % 64),
            _ => bytes.extend(&noise[5..5 + usize::from(noise[3])]),
        }
        if noise[399].is_multiple_of(8) {
            send_with_descriptor(&client, &bytes, &null);
        }
        for _ in 0..noise[398] % 4 {
            // A client that was hung up on cannot send any more.
            let _ = send(&client, &bytes, SendFlags::NOSIGNAL);
        }
        if count % 64 == 0 {
            tell(&socket, count);
        }
    }
}

/// Opens connections until there are no descriptors for them, here or in the writer, and goes on trying. Most are given the
/// segment and keep it; of the others half say nothing and half do not read.
#[test]
#[ignore = "a part of another test, which runs it in a process of its own"]
fn child_opens_sockets_until_none_are_left() {
    let Some(socket) = child_socket() else { return };
    let mut kept = Vec::new();
    let (mut refused, mut begun) = (0_u64, false);
    limit_descriptors(HOG_DESCRIPTORS);
    for count in until_killed() {
        match connection(&socket) {
            Ok(client) if count % 8 == 3 => kept.push((client, None)),
            Ok(client) => {
                let said = send(&client, &hello(1, 1, 0), SendFlags::NOSIGNAL);
                if said.is_ok() && count % 8 == 7 {
                    kept.push((client, None));
                } else {
                    let segment = receive(&client).1;
                    refused += u64::from(segment.is_none());
                    kept.extend(segment.map(|segment| (client, Some(segment))));
                }
            }
            Err(Errno::MFILE) => refused += 1,
            Err(_) => {}
        }
        // Full: from here on only what becomes free is taken.
        if refused >= 20 {
            if !begun || count % 64 == 0 {
                tell(&socket, kept.len() as u64);
                begun = true;
            }
            std::thread::sleep(Duration::from_micros(500));
        }
    }
}

/// Says hello and does not read the answer, so that its descriptor stays in flight; again and again.
#[test]
#[ignore = "a part of another test, which runs it in a process of its own"]
fn child_leaves_descriptors_unread() {
    let Some(socket) = child_socket() else { return };
    let mut unread = Vec::new();
    limit_descriptors(HOG_DESCRIPTORS);
    for count in until_killed() {
        if let Ok(client) = connection(&socket)
            && send(&client, &hello(1, 1, 1), SendFlags::NOSIGNAL).is_ok()
        {
            unread.push(client);
        }
        if count == UNREAD {
            tell(&socket, count);
        }
        if count >= UNREAD {
            std::thread::sleep(Duration::from_micros(500));
        }
    }
}

/// Moves whoever waits for a grid to a word that nobody wakes: one of its own, or another one of the segment.
#[test]
#[ignore = "a part of another test, which runs it in a process of its own"]
fn child_requeues_waiters() {
    let Some(socket) = child_socket() else { return };
    let (_connection, segment) = attach(&socket, 0);
    let (mapped, own) = (Mapped::of(&segment), 0_u32);
    let newest = mapped.newest();
    let mut moved = 0;
    for count in until_killed() {
        moved += kernel::requeue(newest, &raw const own).unwrap();
        match kernel::requeue_if(newest, kernel::load(newest), mapped.word(1024 + 64)) {
            Ok(count) => moved += count,
            // A grid was published since.
            Err(error) => assert_eq!(error, Errno::AGAIN),
        }
        if count % 4096 == 1 {
            tell(&socket, moved);
        }
    }
}

/// Wakes whoever waits for a grid, without one.
#[test]
#[ignore = "a part of another test, which runs it in a process of its own"]
fn child_wakes_waiters() {
    let Some(socket) = child_socket() else { return };
    let (_connection, segment) = attach(&socket, 0);
    let mapped = Mapped::of(&segment);
    let mut woken = 0;
    for count in until_killed() {
        woken += kernel::wake(mapped.newest()).unwrap();
        if count % 4096 == 1 {
            tell(&socket, woken);
        }
    }
}

/// Waits in front of the others in a way that makes the writer's wake fail before it comes to them.
#[test]
#[ignore = "a part of another test, which runs it in a process of its own"]
fn child_waits_before_others() {
    let Some(socket) = child_socket() else { return };
    let (_connection, segment) = attach(&socket, 0);
    let mapped = Mapped::of(&segment);
    let word = mapped.newest().expose_provenance();
    std::thread::spawn(move || {
        let word: *const u32 = std::ptr::with_exposed_provenance(word);
        let own = AtomicU32::new(0);
        for _ in until_killed() {
            kernel::wait_before_others(word, kernel::load(word), &own);
        }
    });
    let mut held_back = 0;
    for _ in until_killed() {
        // What the writer's wake says, too.
        held_back += u64::from(kernel::wake(mapped.newest()) == Err(Errno::INVAL));
        if held_back > 0 {
            tell(&socket, held_back);
        }
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// Does no harm and never rests.
#[test]
#[ignore = "a part of another test, which runs it in a process of its own"]
fn child_only_computes() {
    let Some(socket) = child_socket() else { return };
    let (_connection, _segment) = attach(&socket, 0);
    tell(&socket, 0);
    let mut bytes = [0; 64];
    for count in until_killed() {
        fill(&mut bytes, count, 2);
        std::hint::black_box(&bytes);
    }
}

/// Counts from 1 until the parent kills this process, or dies itself, or until long after.
fn until_killed() -> impl Iterator<Item = u64> {
    set_parent_process_death_signal(Some(Signal::KILL)).unwrap();
    let end = Instant::now() + LIFE;
    (1..).take_while(move |count| count % 64 != 0 || Instant::now() < end)
}

/// A connection that says nothing yet. Waits only so long for a place in the writer's backlog.
fn connection(path: &Path) -> Result<OwnedFd, Errno> {
    let flags = SocketFlags::CLOEXEC;
    let socket = socket_with(AddressFamily::UNIX, SocketType::SEQPACKET, flags, None)?;
    for direction in [Timeout::Send, Timeout::Recv] {
        set_socket_timeout(&socket, direction, Some(PLENTY)).unwrap();
    }
    connect(&socket, &SocketAddrUnix::new(path).unwrap())?;
    Ok(socket)
}

fn limit_descriptors(current: u64) {
    let maximum = getrlimit(Resource::Nofile).maximum;
    setrlimit(Resource::Nofile, Rlimit { current: Some(current), maximum }).unwrap();
}

/// Longer than any test needs its children.
const LIFE: Duration = Duration::from_mins(4);
/// Connections that say nothing at the same time.
const SILENT: usize = 32;
/// Descriptors that a child may have that opens as many as it can.
const HOG_DESCRIPTORS: u64 = 400;
/// Unread answers when a child tells that it has begun; it goes on.
const UNREAD: u64 = 64;
