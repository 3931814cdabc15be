//! The reader's side of the handshake: nothing that comes over the socket is believed unchecked.

use super::Reader;
use crate::credentials::{self, Credentials};
use crate::layout::handshake::{Hello, REPLY_BYTES, Refusal, Reply};
use crate::layout::segment::{HEADER_BYTES, SegmentHeader};
use crate::layout::{AbiVersion, LayoutError};
use crate::segment::{self, SEALS};
use crate::words::{self, ReadOnlyWords};
use rustix::io::{Errno, retry_on_intr};
use rustix::net::sockopt::{Timeout, set_socket_timeout};
use rustix::net::{
    AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendFlags, SocketAddrUnix,
    SocketFlags, SocketType,
};
use std::io::IoSliceMut;
use std::mem::MaybeUninit;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// How to connect.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReaderOptions {
    /// Ask for a datagram for every grid, so that the reader can be waited for in an event loop:
    /// see [`Reader::drain_notifications`]. False at first.
    pub notify: bool,
    /// The user that the writer must be; `None` takes any, and the decision is yours by
    /// [`Reader::server`].
    pub expected_uid: Option<u32>,
    /// Whether [`Reader::copy`] and its relatives verify checksums. True at first.
    pub verify_checksum: bool,
    /// How long the writer may take for each step of the handshake. 2 s at first.
    pub handshake_timeout: Duration,
}

impl Default for ReaderOptions {
    fn default() -> Self {
        Self {
            notify: false,
            expected_uid: None,
            verify_checksum: true,
            handshake_timeout: Duration::from_secs(2),
        }
    }
}

/// Why a stream cannot be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConnectError {
    /// There is no socket at the path: no such stream, or its writer has ended.
    #[error("{}: no such stream", path.display())]
    NoStream {
        /// The path.
        path: PathBuf,
    },
    /// There is a socket, but nobody listens: the writer has died.
    #[error("{}: nobody publishes on this socket any more", path.display())]
    NoWriter {
        /// The path.
        path: PathBuf,
    },
    /// The writer refused this client.
    #[error("the writer refused: {reason}; it speaks ABI {writer}, this client {client}")]
    Refused {
        /// Its reason.
        reason: Refusal,
        /// Its version.
        writer: AbiVersion,
        /// The version of this client.
        client: AbiVersion,
    },
    /// The writer is another user than the one expected.
    #[error("the writer is uid {}, expected {expected}", server.uid)]
    Server {
        /// Who listens.
        server: Credentials,
        /// Who should.
        expected: u32,
    },
    /// Whoever listens does not speak the protocol.
    #[error("handshake: {0}")]
    Handshake(&'static str),
    /// The writer hung up before it answered: it ended or died, or is another program.
    #[error("the writer hung up before it answered")]
    HungUp,
    /// The writer took too long.
    #[error("handshake: {operation}: no answer within {} ms", timeout.as_millis())]
    TimedOut {
        /// What was tried.
        operation: &'static str,
        /// How long.
        timeout: Duration,
    },
    /// The segment could be changed or truncated under the reader.
    #[error("the segment is not sealed: found {found:?}, expected {SEALS:?}")]
    NotSealed {
        /// Names of the seals found.
        found: String,
    },
    /// The segment cannot be read.
    #[error(transparent)]
    Layout(#[from] LayoutError),
    /// The segment cannot be mapped: most often there is not enough address space for it.
    #[error("{}: cannot map a segment of {bytes} bytes", path.display())]
    Map {
        /// The socket.
        path: PathBuf,
        /// Size of the segment.
        bytes: u64,
        /// What the system said.
        source: std::io::Error,
    },
    /// A call to the system failed.
    #[error("{}: {operation}", path.display())]
    System {
        /// The socket.
        path: PathBuf,
        /// What was tried.
        operation: &'static str,
        /// What the system said.
        source: std::io::Error,
    },
}

impl ConnectError {
    /// Whether a later attempt may succeed with nothing changed but the time: there is no writer (yet, or any more), it
    /// is busy, or it has no place for another client.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::NoStream { .. }
            | Self::NoWriter { .. }
            | Self::HungUp
            | Self::TimedOut { .. } => true,
            Self::Refused { reason, .. } => {
                matches!(reason, Refusal::TooManyClients | Refusal::OutOfDescriptors)
            }
            Self::Server { .. }
            | Self::Handshake(_)
            | Self::NotSealed { .. }
            | Self::Layout(_)
            | Self::Map { .. }
            | Self::System { .. } => false,
        }
    }
}

pub(super) fn connect(path: &Path, options: &ReaderOptions) -> Result<Reader, ConnectError> {
    let failed = |operation: &'static str| {
        move |error: Errno| match error {
            Errno::AGAIN => {
                ConnectError::TimedOut { operation, timeout: options.handshake_timeout }
            }
            error => {
                ConnectError::System { path: path.to_owned(), operation, source: error.into() }
            }
        }
    };
    let address = SocketAddrUnix::new(path).map_err(failed("a socket path of 1 to 107 bytes"))?;
    let family = AddressFamily::UNIX;
    let socket =
        rustix::net::socket_with(family, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None)
            .map_err(failed("socket"))?;
    // A timeout of zero would mean to wait for ever.
    let timeout = options.handshake_timeout.max(Duration::from_millis(1));
    for direction in [Timeout::Send, Timeout::Recv] {
        // The first is what bounds `connect` when the writer's backlog is full.
        set_socket_timeout(&socket, direction, Some(timeout)).map_err(failed("set a timeout"))?;
    }
    // A program's signal handlers are no reason to fail; each of these waits has its timeout.
    retry_on_intr(|| rustix::net::connect(&socket, &address)).map_err(|error| match error {
        Errno::NOENT => ConnectError::NoStream { path: path.to_owned() },
        Errno::CONNREFUSED => ConnectError::NoWriter { path: path.to_owned() },
        error => failed("connect")(error),
    })?;
    let server = credentials::peer(&socket).map_err(|source| ConnectError::System {
        path: path.to_owned(),
        operation: "SO_PEERCRED",
        source,
    })?;
    if let Some(expected) = options.expected_uid.filter(|&uid| uid != server.uid) {
        return Err(ConnectError::Server { server, expected });
    }

    let hello = Hello { abi: AbiVersion::CURRENT, notify: options.notify }.encode();
    match retry_on_intr(|| rustix::net::send(&socket, &hello, SendFlags::NOSIGNAL)) {
        // Closed before the hello: the refusal that says why may still be there to read.
        Ok(_) | Err(Errno::PIPE | Errno::CONNRESET) => {}
        Err(error) => return Err(failed("say hello")(error)),
    }
    let (reply, segment) = receive_reply(&socket)
        .map_err(|error| match error {
            Errno::PIPE => ConnectError::HungUp,
            error => failed("receive the answer")(error),
        })?
        .ok_or(ConnectError::Handshake("the answer is not one of an occupancy ring"))?;
    let client = AbiVersion::CURRENT;
    let accepted = reply.outcome.map_err(|reason| ConnectError::Refused {
        reason,
        writer: reply.abi,
        client,
    })?;
    let segment =
        segment.ok_or(ConnectError::Handshake("accepted, but no descriptor came with it"))?;

    let (seals, bytes) = segment::inspect(&segment).map_err(|error| match error {
        Errno::INVAL => ConnectError::NotSealed { found: "a file without seals".to_owned() },
        error => failed("inspect the segment")(error),
    })?;
    if !seals.contains(SEALS) {
        return Err(ConnectError::NotSealed { found: format!("{seals:?}") });
    }
    if bytes < HEADER_BYTES as u64 {
        let expected = HEADER_BYTES as u64;
        return Err(LayoutError::TooSmall { found: bytes, expected }.into());
    }
    if bytes != accepted.segment_bytes {
        return Err(ConnectError::Handshake("the segment has another size than the answer says"));
    }
    let failed_to_map = |source| ConnectError::Map { path: path.to_owned(), bytes, source };
    let size = usize::try_from(bytes)
        .map_err(|_| failed_to_map(std::io::ErrorKind::OutOfMemory.into()))?;
    // Sealed against shrinking, as the mapping demands.
    let words = ReadOnlyWords::map(&segment, size).map_err(failed_to_map)?;
    // Copied once, then judged: what the copy says cannot change any more.
    let mut header = vec![0; HEADER_BYTES];
    words::load(words.words(), &mut header);
    let header = SegmentHeader::decode(&header, bytes)?;
    if header.epoch != accepted.epoch {
        return Err(ConnectError::Handshake("the segment has another epoch than the answer says"));
    }
    Ok(Reader::new(header, words, socket, server, options.verify_checksum))
}

/// The answer and the descriptor that came with it; `None` when it is no answer, `EPIPE` when there
/// is none.
fn receive_reply(socket: &OwnedFd) -> Result<Option<(Reply, Option<OwnedFd>)>, Errno> {
    let mut attempts = 0;
    loop {
        let mut bytes = [0_u8; REPLY_BYTES];
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
        // Descriptors for which there is no space are closed by the kernel; alignment leaves some for a second one.
        let mut control = RecvAncillaryBuffer::new(&mut space);
        let received = rustix::net::recvmsg(
            socket,
            &mut [IoSliceMut::new(&mut bytes)],
            &mut control,
            RecvFlags::CMSG_CLOEXEC,
        );
        let length = match received {
            // There are no empty datagrams: this is the end.
            Ok(message) if message.bytes == 0 => return Err(Errno::PIPE),
            Ok(message) => message.bytes,
            // The kernel reports a reset once, then hands out what had arrived before it.
            Err(Errno::INTR | Errno::CONNRESET) if attempts < 8 => {
                attempts += 1;
                continue;
            }
            Err(error) => return Err(error),
        };
        let mut descriptor = None;
        for message in control.drain() {
            if let RecvAncillaryMessage::ScmRights(descriptors) = message {
                // There is space for two. Only the first is part of the protocol.
                for received in descriptors {
                    descriptor.get_or_insert(received);
                }
            }
        }
        return Ok(Reply::decode(&bytes[..length]).map(|reply| (reply, descriptor)));
    }
}
