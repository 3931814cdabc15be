//! Clients that do anything, to a real writer: each gets the reply that is due to what it said first, a good client has every
//! grid meanwhile, and when they are gone there is room again and no descriptor left.

use crate::damage;
use crate::fake_writer::{open_descriptors, send};
use crate::good::{DIMS, socket_path};
use crate::script::Script;
use crate::support::{assert_whole, fill, hello, options, raw_client, record, stream};
use occdepth_ring::layout::handshake::{HELLO_FIELDS, Hello, Notification, Refusal, Reply};
use occdepth_ring::{ConnectError, Grid, GridRecord, Reader, ReaderOptions, Writer, WriterOptions};
use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::io::Errno;
use rustix::net::{RecvAncillaryBuffer, RecvFlags, Shutdown, recvmsg};
use std::cell::RefCell;
use std::fs::File;
use std::io::IoSliceMut;
use std::mem::MaybeUninit;
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::sync::{Arc, LazyLock};
use std::time::{Duration, Instant};

/// Runs one input.
pub fn run(input: &[u8]) {
    thread_local!(static STREAMS: RefCell<Streams> = RefCell::new(Streams::start()));
    let mut script = Script::new(input);
    STREAMS.with_borrow_mut(|streams| {
        let is_patient = script.u8() & 1 == 0;
        let stream = &mut streams.all[usize::from(!is_patient)];
        Clients { stream, is_patient, all: Vec::new() }.act(&mut script);

        // All have hung up: a good one finds a place, as soon as the writer has noticed.
        let start = Instant::now();
        loop {
            stream.publish();
            match Reader::connect(&stream.socket, &ReaderOptions::default()) {
                Ok(reader) => {
                    stream.assert_newest(&reader);
                    break;
                }
                Err(ConnectError::Refused { reason: Refusal::TooManyClients, .. }) => {}
                Err(error) => assert!(!is_patient, "{error}"),
            }
            assert!(start.elapsed() < PATIENCE, "{:?}", stream.writer.clients());
        }
        while open_descriptors() > streams.descriptors || stream.writer.clients().connected > 1 {
            assert!(start.elapsed() < PATIENCE, "{:?}", stream.writer.clients());
            std::thread::sleep(Duration::from_micros(50));
            stream.publish();
        }
        assert!(stream.writer.is_serving());
    });
}

/// The writers, and how many descriptors there are while nobody does anything to them.
struct Streams {
    all: [Stream; 2],
    descriptors: usize,
}

impl Streams {
    fn start() -> Self {
        LazyLock::force(&NULL);
        let all = [
            Stream::start("patient", Duration::from_mins(1)),
            Stream::start("impatient", Duration::from_millis(1)),
        ];
        Self { all, descriptors: open_descriptors() }
    }
}

/// A writer, and a good client that has every grid.
struct Stream {
    socket: PathBuf,
    writer: Writer,
    reader: Reader,
    grid: Grid,
    frame_id: u64,
}

impl Stream {
    fn start(name: &str, handshake_timeout: Duration) -> Self {
        let socket = socket_path(name);
        let settings = WriterOptions {
            handshake_timeout,
            max_clients: PLACES + 2,
            max_clients_per_uid: PLACES + 1,
            ..options(&socket)
        };
        let writer = Writer::create(&stream(DIMS, true), &settings).expect("a valid stream");
        let reader = Reader::connect(&socket, &ReaderOptions::default()).expect("nobody else");
        Self { socket, writer, reader, grid: Grid::new(), frame_id: 0 }
    }

    fn publish(&mut self) {
        self.frame_id += 1;
        let voxels = DIMS.iter().product::<u32>() as usize;
        let (mut labels, mut confidence) = (vec![0; voxels], vec![0; voxels]);
        fill(&mut labels, self.frame_id, 0);
        fill(&mut confidence, self.frame_id, 1);
        let said: GridRecord = record(self.frame_id);
        self.writer.publish(&said, &labels, Some(&confidence)).expect("of the right size");
        let next = self.reader.next(&mut self.grid, PATIENCE).expect("published");
        assert_eq!(next, Some(self.writer.sequence()));
        self.assert_is_newest(&self.grid);
    }

    fn assert_newest(&self, reader: &Reader) {
        let mut grid = Grid::new();
        reader.copy_newest(&mut grid).expect("published");
        self.assert_is_newest(&grid);
    }

    fn assert_is_newest(&self, grid: &Grid) {
        assert_eq!(grid.published.record.frame_id, self.frame_id);
        assert_whole(&grid.published, &grid.labels, &grid.confidence);
    }
}

/// The clients of one input.
struct Clients<'a> {
    stream: &'a mut Stream,
    is_patient: bool,
    all: Vec<Client>,
}

struct Client {
    /// Until it hangs up.
    socket: Option<OwnedFd>,
    /// What it said first; that is what counts.
    said: Option<Vec<u8>>,
    /// Whether it was given the segment; `None` before it was answered.
    is_accepted: Option<bool>,
    /// Whether it said more than one thing.
    talks: bool,
    /// Whether it shut down one of the directions.
    is_shut: bool,
}

impl Clients<'_> {
    fn act(mut self, script: &mut Script<'_>) {
        self.connect();
        for _ in 0..MOST_ACTS {
            if script.is_at_end() {
                break;
            }
            let act = script.u8();
            let index = usize::from(script.u8()) % self.all.len();
            if act >= CROWD {
                self.crowd();
                continue;
            }
            match act % 8 {
                0 => self.connect(),
                1 => self.say(index, script, 0),
                2 => {
                    let count = usize::from(script.u8() % 5);
                    self.say(index, script, count);
                }
                3 => self.receive(index),
                4 => self.all[index].socket = None,
                5 => self.shut(index, script),
                6 => self.stream.publish(),
                _ => std::thread::sleep(Duration::from_micros(u64::from(script.u8()) * 8)),
            }
        }
        for index in 0..self.all.len() {
            self.receive(index);
        }
        // Whoever keeps to the protocol keeps its place, and there are only so many.
        let has_place = |client: &&Client| {
            client.is_accepted == Some(true)
                && !client.talks
                && !client.is_shut
                && client.socket.is_some()
        };
        assert!(!self.is_patient || self.all.iter().filter(has_place).count() <= PLACES);
    }

    fn connect(&mut self) {
        if self.all.len() < MOST_CLIENTS {
            let socket = Some(raw_client(&self.stream.socket));
            self.all.push(Client {
                socket,
                said: None,
                is_accepted: None,
                talks: false,
                is_shut: false,
            });
        }
    }

    /// Everybody comes who can, and says what is right.
    fn crowd(&mut self) {
        for _ in self.all.len()..MOST_CLIENTS {
            self.connect();
        }
        for index in 0..self.all.len() {
            if self.all[index].said.is_none() {
                self.say(index, &mut Script::new(&[]), 0);
            }
        }
    }

    fn say(&mut self, index: usize, script: &mut Script<'_>, descriptors: usize) {
        let mut bytes = hello(1, 0, u64::from(script.u8()));
        damage::datagram(&mut bytes, HELLO_FIELDS, script);
        let client = &mut self.all[index];
        let Some(socket) = &client.socket else { return };
        let descriptors = vec![Arc::clone(&NULL); descriptors];
        // One that was refused, or has hung up, says nothing any more.
        if send(socket, &bytes, &descriptors).is_ok() {
            client.talks |= client.said.is_some();
            client.said.get_or_insert(bytes);
        }
    }

    fn shut(&mut self, index: usize, script: &mut Script<'_>) {
        let client = &mut self.all[index];
        if let Some(socket) = &client.socket {
            client.is_shut = true;
            let how = [Shutdown::Read, Shutdown::Write, Shutdown::Both][script.below(3)];
            // Hung up on meanwhile.
            let _ = rustix::net::shutdown(socket, how);
        }
    }

    /// Takes the next datagram, if there is one or must be one.
    fn receive(&mut self, index: usize) {
        let may_be_full = self.all.len() > PLACES;
        let client = &mut self.all[index];
        let Some(socket) = &client.socket else { return };
        let is_due = client.said.is_some() && client.is_accepted.is_none() && !client.is_shut;
        if is_due {
            let mut sockets = [PollFd::new(socket, PollFlags::IN)];
            let patience = Timespec::try_from(PATIENCE).expect("small");
            let ready =
                std::iter::repeat_with(|| rustix::event::poll(&mut sockets, Some(&patience)))
                    // libFuzzer's own alarm.
                    .find(|ready| *ready != Err(Errno::INTR));
            assert_eq!(ready, Some(Ok(1)), "no answer to {:?}", client.said);
        }
        let said = client.said.as_deref().unwrap_or_default();
        let hello = is_hello(said).then(|| Hello::decode(said).expect("judged by abi.rs"));
        match received(socket) {
            None => {}
            Some((bytes, _)) if bytes.is_empty() => {
                // An empty datagram cannot be told from a client that has gone.
                let is_right = client.is_accepted.is_some() || client.is_shut || said.is_empty();
                assert!(is_right || !self.is_patient, "no reply to {said:?}");
                client.socket = None;
            }
            Some((bytes, descriptors)) if client.is_accepted.is_none() => {
                let reply = Reply::decode(&bytes).expect("a reply");
                assert_eq!((reply.abi.major, reply.abi.minor), (1, 1));
                match reply.outcome {
                    Ok(accepted) => {
                        assert!(hello.is_some_and(|hello| hello.abi.major == 1), "{said:?}");
                        assert_eq!(accepted.epoch, self.stream.writer.epoch());
                        assert_eq!(accepted.segment_bytes, self.stream.reader.segment_bytes());
                    }
                    Err(Refusal::Version) => {
                        assert!(hello.is_some_and(|hello| hello.abi.major != 1), "{said:?}");
                    }
                    Err(Refusal::Hello) => assert!(hello.is_none() || !self.is_patient, "{said:?}"),
                    Err(Refusal::TooManyClients) => assert!(may_be_full),
                    Err(reason) => panic!("{reason}"),
                }
                client.is_accepted = Some(reply.outcome.is_ok());
                assert_eq!(descriptors, usize::from(reply.outcome.is_ok()));
            }
            Some((bytes, descriptors)) => {
                assert!(hello.is_some_and(|hello| hello.notify), "{said:?}");
                let notification = Notification::decode(&bytes).expect("a notification");
                assert_eq!((bytes.len(), descriptors), (32, 0));
                assert_eq!(notification.epoch, self.stream.writer.epoch());
                assert!((1..=self.stream.writer.sequence()).contains(&notification.sequence));
            }
        }
    }
}

fn is_hello(bytes: &[u8]) -> bool {
    (32..=256).contains(&bytes.len()) && bytes.starts_with(b"OCCDHELO")
}

/// A datagram and how many descriptors came with it; empty at the end, `None` if nothing has come.
fn received(socket: &OwnedFd) -> Option<(Vec<u8>, usize)> {
    let mut bytes = vec![0; 512];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(4))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let mut parts = [IoSliceMut::new(&mut bytes)];
    let flags = RecvFlags::CMSG_CLOEXEC | RecvFlags::DONTWAIT;
    let message = match recvmsg(socket, &mut parts, &mut control, flags) {
        // Reported once; data comes after it.
        Err(Errno::CONNRESET) => recvmsg(socket, &mut parts, &mut control, flags),
        result => result,
    };
    let length = match message {
        Ok(message) => message.bytes,
        Err(Errno::AGAIN) => return None,
        Err(error) => panic!("recvmsg: {error}"),
    };
    let mut descriptors = 0;
    for message in control.drain() {
        if let rustix::net::RecvAncillaryMessage::ScmRights(received) = message {
            descriptors += received.count();
        }
    }
    bytes.truncate(length);
    Some((bytes, descriptors))
}

/// What a client sends along.
static NULL: LazyLock<Arc<OwnedFd>> =
    LazyLock::new(|| Arc::new(File::open("/dev/null").expect("every Linux has it").into()));

/// Places for the clients of an input: fewer than it may have.
const PLACES: usize = 4;
const MOST_CLIENTS: usize = 7;
const MOST_ACTS: usize = 24;
/// Acts from here on are a crowd.
const CROWD: u8 = 248;
/// What takes longer has failed.
const PATIENCE: Duration = Duration::from_secs(10);
