//! A writer that answers what it is told, for readers that do not know better.

use crate::good::socket_path;
use crate::support::{listener, receive};
use occdepth_ring::{ConnectError, Reader, ReaderOptions};
use rustix::net::{SendAncillaryBuffer, SendAncillaryMessage, SendFlags};
use std::io::IoSlice;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};

/// What comes after a hello.
#[derive(Debug, Default)]
pub(crate) struct Answer {
    /// Bytes, and descriptors that come with them.
    pub(crate) datagrams: Vec<(Vec<u8>, Vec<Arc<OwnedFd>>)>,
    /// Whether the connection ends then.
    pub(crate) hangs_up: bool,
}

/// A thread that plays the writer. It lives as long as the process.
#[derive(Debug)]
pub(crate) struct FakeWriter {
    socket: PathBuf,
    answers: Sender<Answer>,
    connections: Receiver<Option<OwnedFd>>,
}

impl FakeWriter {
    pub(crate) fn start() -> Self {
        let socket = socket_path("fake");
        let listener = listener(&socket);
        let (answers, to_give) = channel::<Answer>();
        let (served, connections) = channel();
        std::thread::spawn(move || {
            for answer in to_give {
                let client = rustix::net::accept(&listener).expect("somebody connects");
                receive(&client);
                for (bytes, descriptors) in &answer.datagrams {
                    // The reader may have hung up.
                    let _ = send(&client, bytes, descriptors);
                }
                let client = (!answer.hangs_up).then_some(client);
                drop(answer);
                if served.send(client).is_err() {
                    return;
                }
            }
        });
        Self { socket, answers, connections }
    }

    /// Connects a reader and answers it. Comes back when everything is said, with the other end of the connection.
    pub(crate) fn offer(
        &self,
        answer: Answer,
        options: &ReaderOptions,
    ) -> (Result<Reader, ConnectError>, Option<OwnedFd>) {
        self.answers.send(answer).expect("the thread lives");
        let reader = Reader::connect(&self.socket, options);
        (reader, self.connections.recv().expect("the thread lives"))
    }
}

/// Sends a datagram with at most four descriptors.
pub(crate) fn send(
    socket: &OwnedFd,
    bytes: &[u8],
    descriptors: &[Arc<OwnedFd>],
) -> rustix::io::Result<usize> {
    let descriptors: Vec<BorrowedFd<'_>> = descriptors.iter().map(|fd| fd.as_fd()).collect();
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(4))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    if !descriptors.is_empty() {
        assert!(control.push(SendAncillaryMessage::ScmRights(&descriptors)), "at most four");
    }
    let flags = SendFlags::NOSIGNAL | SendFlags::DONTWAIT;
    rustix::net::sendmsg(socket, &[IoSlice::new(bytes)], &mut control, flags)
}

/// Open descriptors of this process.
pub(crate) fn open_descriptors() -> usize {
    std::fs::read_dir("/proc/self/fd").expect("/proc is there").count()
}
