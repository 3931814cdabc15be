//! The thread that deals with clients, so that the publishing thread does not.
//!
//! One epoll loop: it accepts, checks who is there, answers hellos, wakes readers and sends
//! notifications when a grid was published, and gets rid of clients that break the protocol. It
//! never waits for a client: every socket is non-blocking and every wait has a deadline. It reads
//! from clients without a control buffer, so descriptors that a client sends are dropped by the
//! kernel. Nothing that a client does changes what the loop does for another one.

use super::{Access, NEWEST_WORD, Shared, WriterError, WriterOptions};
use crate::credentials;
use crate::layout::AbiVersion;
use crate::layout::handshake::{Accepted, Hello, MAX_HELLO_BYTES, Notification, Refusal, Reply};
use crate::layout::segment::SegmentHeader;
use rustix::buffer::spare_capacity;
use rustix::event::epoll;
use rustix::io::Errno;
use rustix::net::{
    RecvFlags, SendAncillaryBuffer, SendAncillaryMessage, SendFlags, Shutdown, SocketFlags,
};
use rustix::thread::futex;
use rustix::time::Timespec;
use std::io::IoSlice;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

/// The state of the loop.
#[derive(Debug)]
pub(super) struct Server {
    shared: Arc<Shared>,
    listener: OwnedFd,
    segment: OwnedFd,
    accepted: Accepted,
    access: Access,
    own_uid: u32,
    max_clients: usize,
    max_clients_per_uid: usize,
    handshake_timeout: Duration,
    epoll: OwnedFd,
    /// Given up to accept, and refuse, one client when there is no other descriptor left.
    spare: Option<OwnedFd>,
    /// When to accept again, after a time without any descriptor at all.
    paused_until: Option<Instant>,
    clients: Vec<Client>,
    next_id: u64,
    notified: u64,
}

/// A connection that takes one of the places.
#[derive(Debug)]
struct Client {
    id: u64,
    uid: u32,
    socket: OwnedFd,
    stage: Stage,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Stage {
    /// Has to say hello until then.
    Greeting { deadline: Instant },
    /// Was sent the segment; has to read that until then.
    Answered { notify: bool, deadline: Instant },
    /// Has the segment.
    Attached { notify: bool },
    /// Did not read the segment in time and was hung up on. Its place stays taken until it reads
    /// or closes: a descriptor in flight counts against a limit of this process, and giving the
    /// place back would let one client put any number of them there.
    HungUp,
}

impl Server {
    pub(super) fn new(
        shared: Arc<Shared>,
        listener: OwnedFd,
        segment: OwnedFd,
        header: &SegmentHeader,
        options: &WriterOptions,
    ) -> Result<Self, WriterError> {
        let failed = |operation| move |error| WriterError::system(operation, error);
        let epoll = epoll::create(epoll::CreateFlags::CLOEXEC).map_err(failed("epoll_create"))?;
        watch(&epoll, &listener, LISTENER).map_err(failed("epoll_ctl"))?;
        watch(&epoll, &shared.wake, WAKE).map_err(failed("epoll_ctl"))?;
        let spare = spare(&listener).map_err(failed("dup"))?;
        Ok(Self {
            accepted: Accepted {
                epoch: header.epoch,
                segment_bytes: header.places.segment_bytes as u64,
            },
            access: options.access.clone(),
            own_uid: rustix::process::geteuid().as_raw(),
            max_clients: options.max_clients,
            max_clients_per_uid: options.max_clients_per_uid,
            handshake_timeout: options.handshake_timeout,
            spare: Some(spare),
            paused_until: None,
            clients: Vec::with_capacity(options.max_clients.min(1024)),
            next_id: FIRST_CLIENT,
            notified: 0,
            shared,
            listener,
            segment,
            epoll,
        })
    }

    /// Serves until the writer is dropped.
    pub(super) fn run(mut self) {
        let mut events = Vec::with_capacity(EVENTS);
        while !self.shared.stop.load(Ordering::Acquire) {
            let timeout = self.timeout();
            match epoll::wait(&self.epoll, spare_capacity(&mut events), timeout.as_ref()) {
                Ok(_) | Err(Errno::INTR) => {}
                Err(error) => {
                    log::error!("ring: cannot wait for clients, serving none any more: {error}");
                    return;
                }
            }
            // Readers that wait for a grid come before everybody else.
            self.announce();
            for event in events.drain(..) {
                let (id, flags) = (event.data.u64(), event.flags);
                match id {
                    WAKE => {
                        let mut count = [0; 8];
                        // Resets the counter; there is nothing to do if somebody else has.
                        let _ = rustix::io::read(&self.shared.wake, &mut count);
                    }
                    LISTENER => self.accept(),
                    id => self.client_event(id, flags),
                }
            }
            // A publication between the first look and the reset of the counter must not be lost.
            self.announce();
            self.enforce_deadlines();
            self.count_clients();
        }
        // All sockets close here: that is how readers learn that the writer is gone.
    }

    /// How long to wait for events: until the first deadline.
    fn timeout(&self) -> Option<Timespec> {
        let now = Instant::now();
        let wait = self
            .clients
            .iter()
            .filter_map(|client| match client.stage {
                Stage::Greeting { deadline } | Stage::Answered { deadline, .. } => {
                    Some(deadline.saturating_duration_since(now))
                }
                Stage::Attached { .. } => None,
                Stage::HungUp => Some(HUNG_UP_INTERVAL),
            })
            .chain(self.paused_until.map(|until| until.saturating_duration_since(now)))
            .min()?;
        // Rounded up, so that a deadline has passed when the wait for it ends.
        let wait = wait + Duration::from_millis(1);
        Timespec::try_from(wait).ok()
    }

    /// Wakes readers, and notifies clients that asked for it, if there is a new grid.
    fn announce(&mut self) {
        let newest = self.shared.newest().load(Ordering::Acquire);
        if newest == self.notified {
            return;
        }
        self.notified = newest;
        // A reader that waits for priority inheritance on this word (`FUTEX_WAIT_REQUEUE_PI`) makes this call fail, and
        // those who came after it are not woken. Like those whose wait was requeued, they find the grid themselves,
        // because no reader waits longer than 100 ms at a time.
        let everybody = i32::MAX.cast_unsigned();
        let _ = futex::wake(self.shared.words.futex(NEWEST_WORD), SHARED_FUTEX, everybody);
        let note = Notification { epoch: self.accepted.epoch, sequence: newest }.encode();
        self.clients.retain_mut(|client| {
            // In this order, after `newest`: a client whose reply is unread here loads `newest` later than
            // we did, and finds this grid by itself; one that has read it is told of it.
            if let Stage::Answered { notify, .. } = client.stage
                && credentials::unread_bytes(&client.socket).is_ok_and(|unread| unread == 0)
            {
                client.stage = Stage::Attached { notify };
            }
            if client.stage != (Stage::Attached { notify: true }) {
                return true;
            }
            match rustix::net::send(&client.socket, &note, SEND) {
                // A full queue: the client is slow, and will find the newest grid anyway.
                Ok(_) | Err(Errno::AGAIN | Errno::INTR | Errno::NOBUFS | Errno::NOMEM) => true,
                Err(_) => false,
            }
        });
    }

    fn accept(&mut self) {
        // A bound, so that somebody who connects in a loop cannot hold up the rest.
        for _ in 0..ACCEPTS_A_TURN {
            let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
            match rustix::net::accept_with(&self.listener, flags) {
                Ok(socket) => self.admit(socket),
                Err(Errno::MFILE | Errno::NFILE) => {
                    self.refuse_with_spare();
                    return;
                }
                Err(Errno::AGAIN) => return,
                Err(Errno::INTR | Errno::CONNABORTED) => {}
                Err(error) => {
                    log::warn!("ring: cannot accept a client: {error}");
                    self.pause();
                    return;
                }
            }
        }
    }

    /// Gives a connection a place, or refuses it.
    fn admit(&mut self, socket: OwnedFd) {
        let peer = match credentials::peer(&socket) {
            Ok(peer) => peer,
            Err(error) => {
                log::warn!("ring: a client without credentials: {error}");
                return self.refuse(&socket, Refusal::Access);
            }
        };
        if !self.may_read(peer, &socket) {
            log::debug!("ring: refused uid {} pid {}: no access", peer.uid, peer.pid);
            return self.refuse(&socket, Refusal::Access);
        }
        let of_this_uid = self.clients.iter().filter(|client| client.uid == peer.uid).count();
        if self.clients.len() >= self.max_clients || of_this_uid >= self.max_clients_per_uid {
            log::debug!("ring: refused uid {} pid {}: too many clients", peer.uid, peer.pid);
            return self.refuse(&socket, Refusal::TooManyClients);
        }
        // Bounds the kernel memory that unread notifications take; a failure only loosens that.
        let _ = rustix::net::sockopt::set_socket_send_buffer_size(&socket, SEND_BUFFER_BYTES);
        let id = self.next_id;
        if let Err(error) = watch(&self.epoll, &socket, id) {
            log::warn!("ring: cannot watch a client: {error}");
            return self.refuse(&socket, Refusal::TooManyClients);
        }
        self.next_id += 1;
        let stage = Stage::Greeting { deadline: Instant::now() + self.handshake_timeout };
        self.clients.push(Client { id, uid: peer.uid, socket, stage });
    }

    fn may_read(&self, peer: credentials::Credentials, socket: &OwnedFd) -> bool {
        let Access { everyone, uids, gids } = &self.access;
        *everyone
            || peer.uid == self.own_uid
            || peer.uid == ROOT
            || uids.contains(&peer.uid)
            || gids.contains(&peer.gid)
            || !gids.is_empty()
                && credentials::peer_groups(socket)
                    .is_ok_and(|groups| groups.iter().any(|group| gids.contains(group)))
    }

    fn client_event(&mut self, id: u64, flags: epoll::EventFlags) {
        let Some(index) = self.clients.iter().position(|client| client.id == id) else {
            return; // Removed earlier in the same turn.
        };
        let client = &self.clients[index];
        let keep = match client.stage {
            Stage::Greeting { .. } if flags.contains(epoll::EventFlags::IN) => {
                match receive_hello(&client.socket) {
                    Greeting::Hello(hello) => self.answer(index, hello),
                    Greeting::None => true,
                    Greeting::Garbage => {
                        self.refuse(&self.clients[index].socket, Refusal::Hello);
                        false
                    }
                    Greeting::Gone => false,
                }
            }
            Stage::Greeting { .. } => false,
            // After its hello a client has nothing to say: it hung up, or broke the protocol by saying
            // something or by shutting down its side, which leaves the socket readable just so.
            Stage::Answered { .. } | Stage::Attached { .. } | Stage::HungUp => {
                let hung_up = flags.intersects(epoll::EventFlags::HUP | epoll::EventFlags::ERR);
                if !hung_up {
                    log::debug!(
                        "ring: closed a client that sent something, or shut down, after its hello"
                    );
                    self.shared.closed.fetch_add(1, Ordering::Relaxed);
                }
                if !hung_up && matches!(client.stage, Stage::Answered { .. }) {
                    // It may not have read its descriptor, and is not let off that.
                    self.hang_up(index);
                    true
                } else {
                    false
                }
            }
        };
        if !keep {
            self.clients.swap_remove(index);
        }
    }

    /// Answers a hello; false when the client is refused.
    fn answer(&mut self, index: usize, hello: Hello) -> bool {
        let client = &self.clients[index];
        if hello.abi.major != AbiVersion::CURRENT.major {
            log::debug!("ring: refused a client of ABI {}", hello.abi);
            self.refuse(&client.socket, Refusal::Version);
            return false;
        }
        let reply = Reply { abi: AbiVersion::CURRENT, outcome: Ok(self.accepted) }.encode();
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
        let mut control = SendAncillaryBuffer::new(&mut space);
        let descriptors = [self.segment.as_fd()];
        let fits = control.push(SendAncillaryMessage::ScmRights(&descriptors));
        debug_assert!(fits, "the buffer has space for one descriptor");
        match rustix::net::sendmsg(&client.socket, &[IoSlice::new(&reply)], &mut control, SEND) {
            Ok(_) => {
                let deadline = Instant::now() + self.handshake_timeout;
                self.clients[index].stage = Stage::Answered { notify: hello.notify, deadline };
                true
            }
            Err(error) => {
                // ETOOMANYREFS above all: too many of our descriptors are in flight.
                log::warn!("ring: cannot send the segment to a client: {error}");
                self.refuse(&client.socket, Refusal::OutOfDescriptors);
                false
            }
        }
    }

    /// Says why, as far as the client listens; the caller closes the socket.
    fn refuse(&self, socket: &OwnedFd, refusal: Refusal) {
        self.shared.refused.fetch_add(1, Ordering::Relaxed);
        let reply = Reply { abi: AbiVersion::CURRENT, outcome: Err(refusal) }.encode();
        let _ = rustix::net::send(socket, &reply, SEND);
        // What a client has sent and nobody read would make the kernel reset the connection.
        let mut unread = [0_u8; MAX_HELLO_BYTES];
        let _ = rustix::net::recv(socket, &mut unread, RecvFlags::DONTWAIT);
    }

    /// Accepts and refuses one client with the descriptor that is kept for that. Without it the
    /// client would wait for ever, and this loop would be told of it again and again.
    fn refuse_with_spare(&mut self) {
        drop(self.spare.take());
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        if let Ok(socket) = rustix::net::accept_with(&self.listener, flags) {
            log::debug!("ring: refused a client: out of descriptors");
            self.refuse(&socket, Refusal::OutOfDescriptors);
        }
        match spare(&self.listener) {
            Ok(spare) => self.spare = Some(spare),
            // Another thread took the last descriptor.
            Err(_) => self.pause(),
        }
    }

    /// Does not look at the listener for a while.
    fn pause(&mut self) {
        if self.paused_until.is_none() && epoll::delete(&self.epoll, &self.listener).is_ok() {
            self.paused_until = Some(Instant::now() + PAUSE);
        }
    }

    fn resume(&mut self, now: Instant) {
        if self.paused_until.is_none_or(|until| now < until) {
            return;
        }
        if self.spare.is_none() {
            self.spare = spare(&self.listener).ok();
        }
        let watched = watch(&self.epoll, &self.listener, LISTENER).is_ok();
        self.paused_until = (!watched).then(|| now + PAUSE);
    }

    fn enforce_deadlines(&mut self) {
        let now = Instant::now();
        self.resume(now);
        for index in (0..self.clients.len()).rev() {
            let client = &mut self.clients[index];
            match client.stage {
                Stage::Greeting { deadline } if deadline <= now => {
                    self.refuse(&self.clients[index].socket, Refusal::Hello);
                    self.clients.swap_remove(index);
                }
                Stage::Answered { notify, deadline } if deadline <= now => {
                    if credentials::unread_bytes(&client.socket).is_ok_and(|unread| unread == 0) {
                        client.stage = Stage::Attached { notify };
                    } else {
                        log::debug!("ring: hung up on a client that does not read");
                        self.shared.closed.fetch_add(1, Ordering::Relaxed);
                        self.hang_up(index);
                    }
                }
                Stage::HungUp => {
                    if credentials::unread_bytes(&client.socket).is_ok_and(|unread| unread == 0) {
                        self.clients.swap_remove(index);
                    }
                }
                Stage::Greeting { .. } | Stage::Answered { .. } | Stage::Attached { .. } => {}
            }
        }
    }

    /// Hangs up, but keeps the place.
    fn hang_up(&mut self, index: usize) {
        let client = &mut self.clients[index];
        client.stage = Stage::HungUp;
        // Errors mean that the client is gone already; the next look at its queue removes it.
        let _ = epoll::delete(&self.epoll, &client.socket);
        let _ = rustix::net::shutdown(&client.socket, Shutdown::Both);
    }

    fn count_clients(&self) {
        let has_segment = |client: &&Client| {
            matches!(client.stage, Stage::Answered { .. } | Stage::Attached { .. })
        };
        let count = self.clients.iter().filter(has_segment).count();
        self.shared.clients.store(count as u64, Ordering::Relaxed);
    }
}

enum Greeting {
    Hello(Hello),
    /// Nothing there yet.
    None,
    Garbage,
    Gone,
}

fn receive_hello(socket: &OwnedFd) -> Greeting {
    // One byte more than a hello may have shows one that is too long. No control buffer.
    let mut bytes = [0_u8; MAX_HELLO_BYTES + 1];
    match rustix::net::recv(socket, &mut bytes, RecvFlags::DONTWAIT) {
        Ok((0, _)) => Greeting::Gone,
        Ok((length, _)) => {
            Hello::decode(&bytes[..length]).map_or(Greeting::Garbage, Greeting::Hello)
        }
        Err(Errno::AGAIN | Errno::INTR) => Greeting::None,
        Err(_) => Greeting::Gone,
    }
}

fn watch(epoll: &OwnedFd, descriptor: &OwnedFd, id: u64) -> Result<(), Errno> {
    epoll::add(epoll, descriptor, epoll::EventData::new_u64(id), epoll::EventFlags::IN)
}

fn spare(listener: &OwnedFd) -> Result<OwnedFd, Errno> {
    rustix::io::fcntl_dupfd_cloexec(listener, 0)
}

/// Waiters are in other processes, so the futex is never `PRIVATE`.
const SHARED_FUTEX: futex::Flags = futex::Flags::empty();
const SEND: SendFlags = SendFlags::DONTWAIT.union(SendFlags::NOSIGNAL);
const ROOT: u32 = 0;
const LISTENER: u64 = 0;
const WAKE: u64 = 1;
const FIRST_CLIENT: u64 = 2;
const EVENTS: usize = 64;
const ACCEPTS_A_TURN: usize = 16;
const SEND_BUFFER_BYTES: usize = 16 * 1024;
const PAUSE: Duration = Duration::from_millis(100);
const HUNG_UP_INTERVAL: Duration = Duration::from_millis(500);
