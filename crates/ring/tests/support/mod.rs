//! What the tests share: a small stream, grids whose content tells whether they are whole, and
//! child processes.
#![allow(dead_code, reason = "every test file uses another part")]

use occdepth_ring::{
    Axes, CalibrationState, Class, Degradation, Grid, GridGeometry, GridRecord, Health,
    PublishedGrid, ReadError, Reader, RectifiedCamera, RigError, StageTimes, StreamDescription,
    WriterOptions,
};
use rustix::io::Errno;
use rustix::net::{
    AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, SocketAddrUnix, SocketFlags, SocketType, recvmsg, sendmsg,
};
use std::fs::File;
use std::io::{IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

/// A stream of small grids whose size is not a multiple of a word: 5 x 3 x 7.
pub(crate) fn small_stream() -> StreamDescription {
    stream([5, 3, 7], true)
}

pub(crate) fn stream(dims: [u32; 3], confidence: bool) -> StreamDescription {
    StreamDescription {
        stream: "front".into(),
        producer: "ring tests 1.0".into(),
        grid: GridGeometry {
            axes: Axes::ForwardLeftUp,
            frame: "ego".into(),
            origin_m: [0.0, -25.6, -2.0],
            voxel_size_m: 0.2,
            dims,
        },
        rectified_from_ego: [
            [0.0, -1.0, 0.0, 0.06],
            [0.0, 0.0, -1.0, -0.08],
            [1.0, 0.0, 0.0, -0.27],
            [0.0, 0.0, 0.0, 1.0],
        ],
        rectified: RectifiedCamera {
            fx_px: 707.0,
            fy_px: 707.5,
            cx_px: 601.75,
            cy_px: 183.25,
            width_px: 1220,
            height_px: 370,
        },
        classes: vec![
            Class { id: 0, name: "empty".into(), colour: [0, 0, 0] },
            Class { id: 1, name: "car".into(), colour: [100, 150, 245] },
            Class { id: 254, name: "Straßenbahn".into(), colour: [255, 254, 253] },
        ],
        confidence,
        trained: true,
        network_sha256: std::array::from_fn(|i| u8::try_from(i).unwrap()),
        engine_sha256: std::array::from_fn(|i| 255 - u8::try_from(i).unwrap()),
    }
}

/// Options for a socket that the tests' own process offers; it stays debuggable.
pub(crate) fn options(socket: impl Into<PathBuf>) -> WriterOptions {
    WriterOptions { protect_process: false, ..WriterOptions::new(socket) }
}

/// A record with a different value in every field, all of them following from `frame_id`.
pub(crate) fn record(frame_id: u64) -> GridRecord {
    GridRecord {
        frame_id,
        left_capture_time_ns: frame_id * 1_000 + 1,
        right_capture_time_ns: frame_id * 1_000 + 18,
        stages: StageTimes {
            capture_ns: frame_id + 100,
            rectify_ns: frame_id + 200,
            infer_ns: frame_id + 300,
            label_ns: frame_id + 400,
            publish_ns: 0,
            watch_ns: frame_id + 500,
        },
        health: Health::Degraded,
        degradation: Degradation::LATE | Degradation::from_bits(1 << 60),
        calibration: CalibrationState::Suspect,
        epipolar_error_px: Some(frame_id as f64 / 8.0),
        rig_error: Some(RigError {
            pitch_rad: 1.0 / 1024.0,
            roll_rad: -1.0 / 512.0,
            focal: 1.0 / 128.0,
        }),
    }
}

/// Fills labels (`salt` 0) or confidences (`salt` 1) so that no two grids agree in any byte range
/// of some length, and a mixture of two grids is none.
pub(crate) fn fill(bytes: &mut [u8], frame_id: u64, salt: u64) {
    let mut state = mix(frame_id ^ salt << 32);
    for chunk in bytes.chunks_mut(8) {
        state = mix(state);
        chunk.copy_from_slice(&state.to_le_bytes()[..chunk.len()]);
    }
}

pub(crate) fn filled(length: usize, frame_id: u64, salt: u64) -> Vec<u8> {
    let mut bytes = vec![0; length];
    fill(&mut bytes, frame_id, salt);
    bytes
}

/// Asserts that a grid is exactly the one that belongs to its frame id.
pub(crate) fn assert_whole(published: &PublishedGrid, labels: &[u8], confidence: &[u8]) {
    let frame_id = published.record.frame_id;
    let mut expected = record(frame_id);
    expected.stages.publish_ns = published.record.stages.publish_ns;
    assert_eq!(published.record, expected);
    assert!(labels == filled(labels.len(), frame_id, 0), "labels of frame {frame_id} are mixed");
    assert!(
        confidence == filled(confidence.len(), frame_id, 1),
        "confidences of frame {frame_id} are mixed"
    );
}

/// `SplitMix64`.
fn mix(state: u64) -> u64 {
    let mut z = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// A socket that listens like a writer's, for tests that play the writer.
pub(crate) fn listener(path: &Path) -> OwnedFd {
    let socket = seqpacket();
    rustix::net::bind(&socket, &SocketAddrUnix::new(path).unwrap()).unwrap();
    rustix::net::listen(&socket, 8).unwrap();
    socket
}

/// A connection that has not said hello, for tests that play the client.
pub(crate) fn raw_client(path: &Path) -> OwnedFd {
    let socket = seqpacket();
    rustix::net::connect(&socket, &SocketAddrUnix::new(path).unwrap()).unwrap();
    socket
}

/// A hello as ABI.md describes it.
pub(crate) fn hello(major: u32, minor: u32, flags: u64) -> Vec<u8> {
    let mut bytes = b"OCCDHELO".to_vec();
    bytes.extend(major.to_le_bytes());
    bytes.extend(minor.to_le_bytes());
    bytes.extend(flags.to_le_bytes());
    bytes.resize(64, 0);
    bytes
}

/// Receives one datagram and the descriptor that may come with it; empty when the other end hung
/// up.
pub(crate) fn receive(socket: &OwnedFd) -> (Vec<u8>, Option<OwnedFd>) {
    let mut bytes = vec![0; 512];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(4))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let mut parts = [IoSliceMut::new(&mut bytes)];
    let flags = RecvFlags::CMSG_CLOEXEC;
    let message = match recvmsg(socket, &mut parts, &mut control, flags) {
        // Reported once when the other end closed with something unread; data comes after it.
        Err(Errno::CONNRESET) => recvmsg(socket, &mut parts, &mut control, flags).unwrap(),
        result => result.unwrap(),
    };
    let mut descriptor = None;
    for message in control.drain() {
        if let RecvAncillaryMessage::ScmRights(mut descriptors) = message {
            descriptor = descriptors.next();
            assert!(descriptors.next().is_none(), "more than one descriptor");
        }
    }
    bytes.truncate(message.bytes);
    (bytes, descriptor)
}

/// Sends a datagram with a descriptor.
pub(crate) fn send_with_descriptor(socket: &OwnedFd, bytes: &[u8], file: &File) {
    send_with_descriptors(socket, bytes, &[file]);
}

/// Sends a datagram with up to four descriptors.
pub(crate) fn send_with_descriptors(socket: &OwnedFd, bytes: &[u8], files: &[&File]) {
    let descriptors: Vec<_> = files.iter().map(|file| file.as_fd()).collect();
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(4))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    if !descriptors.is_empty() {
        assert!(control.push(SendAncillaryMessage::ScmRights(&descriptors)));
    }
    sendmsg(socket, &[IoSlice::new(bytes)], &mut control, SendFlags::NOSIGNAL).unwrap();
}

/// The handshake by hand: the connection and the segment.
pub(crate) fn attach(path: &Path, flags: u64) -> (OwnedFd, File) {
    let socket = raw_client(path);
    rustix::net::send(&socket, &hello(1, 0, flags), SendFlags::NOSIGNAL).unwrap();
    let (reply, segment) = receive(&socket);
    assert_eq!(reply[..20], *b"OCCDRPLY\x01\0\0\0\x01\0\0\0\0\0\0\0");
    (socket, File::from(segment.unwrap()))
}

/// Some bytes of a file.
pub(crate) fn bytes_of(file: &File, offset: u64, length: usize) -> Vec<u8> {
    let mut bytes = vec![0; length];
    file.read_exact_at(&mut bytes, offset).unwrap();
    bytes
}

fn seqpacket() -> OwnedFd {
    let flags = SocketFlags::CLOEXEC;
    rustix::net::socket_with(AddressFamily::UNIX, SocketType::SEQPACKET, flags, None).unwrap()
}

/// Asserts that neither a segment nor a mapping of it can be made writable, and that there is no way around the mapping.
#[allow(unsafe_code, reason = "what is refused to those who keep to safe code proves nothing")]
pub(crate) fn assert_stays_read_only(segment: &File) {
    use rustix::mm::{Advice, MapFlags, MprotectFlags, MremapFlags, ProtFlags};
    let length = usize::try_from(segment.metadata().unwrap().len()).unwrap();
    let both = ProtFlags::READ | ProtFlags::WRITE;
    let writable = MprotectFlags::READ | MprotectFlags::WRITE;
    let map = |address, protection, flags| {
        // SAFETY: without `FIXED` it goes where nothing is; with it, over a mapping of ours that nobody refers to.
        unsafe { rustix::mm::mmap(address, length, protection, flags, segment, 0) }
    };
    let mapping = map(std::ptr::null_mut(), ProtFlags::READ, MapFlags::SHARED).unwrap();
    map(std::ptr::null_mut(), both, MapFlags::SHARED).unwrap_err();
    map(std::ptr::null_mut(), both, MapFlags::SHARED_VALIDATE).unwrap_err();

    let make_writable = |mapping| {
        // SAFETY: a mapping of ours that nobody refers to.
        unsafe { rustix::mm::mprotect(mapping, length, writable) }
    };
    make_writable(mapping).unwrap_err();
    let unmap = |mapping| {
        // SAFETY: a mapping of ours, or the hole where it was, that nobody refers to.
        unsafe { rustix::mm::munmap(mapping, length) }.unwrap();
    };
    // An old size of zero: a second mapping of the same pages. An emulator may know no such thing.
    // SAFETY: it goes where nothing is.
    let second = unsafe { rustix::mm::mremap(mapping, 0, length, MremapFlags::MAYMOVE) };
    if let Ok(second) = second {
        make_writable(second).unwrap_err();
        unmap(second);
    }
    // Takes pages out of the file where it may. What it returns is not asked: an emulator ignores the advice.
    // SAFETY: pages of the file that nobody refers to.
    let _ = unsafe { rustix::mm::madvise(mapping, length, Advice::LinuxRemove) };
    let mut magic = [0; 8];
    FileExt::read_exact_at(segment, &mut magic, 0).unwrap();
    assert_eq!(&magic, b"OCCDRING");
    // A debugger's way, which heeds no protection of pages.
    let memory = std::fs::OpenOptions::new().write(true).open("/proc/self/mem").unwrap();
    FileExt::write_at(&memory, b"x", mapping as u64).unwrap_err();
    // Last, because the kernel may unmap what it was to replace before it refuses.
    map(mapping, both, MapFlags::SHARED | MapFlags::FIXED).unwrap_err();
    unmap(mapping);
}

/// Runs a test of this test program, alone, in a process of its own: the test that `name` names
/// is ignored in a usual run, and must return at once unless [`child_socket`] is there.
pub(crate) fn child_command(name: &str, socket: &Path) -> Command {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command
        .args([name, "--exact", "--ignored", "--nocapture", "--test-threads=1"])
        .env(CHILD_SOCKET, socket)
        .stdout(Stdio::null());
    command
}

/// The socket that a child process is to use; `None` in a usual run of the tests.
pub(crate) fn child_socket() -> Option<PathBuf> {
    std::env::var_os(CHILD_SOCKET).map(PathBuf::from)
}

const CHILD_SOCKET: &str = "OCCDEPTH_RING_TEST_SOCKET";

/// Reads all that it can and checks it, until the writer goes or says nothing for half a minute.
pub(crate) fn read_until_gone(reader: &mut Reader) {
    let mut grid = Grid::new();
    loop {
        match reader.next(&mut grid, Duration::from_secs(30)) {
            Ok(Some(_)) => assert_whole(&grid.published, &grid.labels, &grid.confidence),
            Ok(None) | Err(ReadError::WriterGone) => return,
            Err(ReadError::Lapped { .. }) => {}
            wrong => drop(wrong.unwrap()),
        }
    }
}

/// Keeps a reader and takes nothing from it, until the writer goes.
pub(crate) fn hold_until_gone(reader: &Reader) {
    while reader.is_writer_alive().unwrap() {
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// A child process that is killed, by its own handle, when the test ends.
pub(crate) struct Reaped(pub(crate) Child);

impl Drop for Reaped {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
