//! The one who publishes.

mod server;
mod socket;

use crate::checksum::Checksum;
use crate::clock;
use crate::description::{DescriptionError, StreamDescription};
use crate::layout::segment::{self as fields, MAX_SLOTS, Places, SegmentHeader};
use crate::layout::slot::{self, SlotHeader};
use crate::record::{Degradation, GridRecord, Health, PublishedGrid, WriterStatus};
use crate::words::{self, WORD_BYTES, WritableWords};
use crate::{segment, seqlock};
use rustix::event::EventfdFlags;
use rustix::process::DumpableBehavior;
use rustix::rand::GetRandomFlags;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

/// How a stream is offered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WriterOptions {
    /// Path of the socket that clients connect to, at most 107 bytes. A lock file with `.lock`
    /// appended lies beside it and stays there.
    pub socket: PathBuf,
    /// Mode of the socket; who may connect needs the write bit. 0660 at first.
    pub socket_mode: u32,
    /// Group id of the socket, and of its directory where that is made; `None` leaves the
    /// writer's own.
    pub socket_group: Option<u32>,
    /// Mode of the directory of the socket if it has to be made. 0750 at first.
    pub directory_mode: u32,
    /// Who is given the segment.
    pub access: Access,
    /// Slots of the ring, 2 to 1024: a reader can be late by one less. 4 at first.
    pub slot_count: u32,
    /// Most connected clients. 256 at first.
    pub max_clients: usize,
    /// Most connected clients of one user. 128 at first.
    pub max_clients_per_uid: usize,
    /// How long a client may take to say hello, and then to read the answer. 1 s at first.
    pub handshake_timeout: Duration,
    /// Whether the process is made undumpable (`PR_SET_DUMPABLE` 0): no other process of the same
    /// user can then trace it or open its memory, and it leaves no core dump. True at first; the
    /// setting is the whole process's and is not taken back.
    pub protect_process: bool,
}

impl WriterOptions {
    /// The settings described with each field.
    pub fn new(socket: impl Into<PathBuf>) -> Self {
        Self {
            socket: socket.into(),
            socket_mode: 0o660,
            socket_group: None,
            directory_mode: 0o750,
            access: Access::default(),
            slot_count: 4,
            max_clients: 256,
            max_clients_per_uid: 128,
            handshake_timeout: Duration::from_secs(1),
            protect_process: true,
        }
    }
}

/// Who is given the segment, apart from the mode of the socket. The writer's own user and root
/// always are: they could take it anyway. By default nobody else is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Access {
    /// Whoever can connect.
    pub everyone: bool,
    /// Users.
    pub uids: Vec<u32>,
    /// Groups, primary or supplementary.
    pub gids: Vec<u32>,
}

impl Access {
    /// Whoever the mode of the socket lets connect.
    pub fn everyone() -> Self {
        Self { everyone: true, ..Self::default() }
    }
}

/// The one writer of a stream.
///
/// Publishing is a checksum, a copy, a few clock readings and one non-blocking write to an event
/// descriptor; it allocates nothing, takes no lock and waits for nobody. Everything that has to do
/// with clients happens in a thread of the writer's own. Dropping the writer removes the socket and
/// hangs up on all clients; the grids they copied stay theirs.
#[derive(Debug)]
pub struct Writer {
    shared: Arc<Shared>,
    header: SegmentHeader,
    sequence: u64,
    server: Option<JoinHandle<()>>,
    // Declared last: the path is given up only after the server has stopped.
    _socket: socket::SocketPath,
}

impl Writer {
    /// Takes the socket, makes the segment and starts to accept clients.
    ///
    /// # Errors
    /// A description or option that a segment cannot hold, a socket that another live writer has,
    /// a path that cannot be used, memory that cannot be had.
    pub fn create(
        description: &StreamDescription,
        options: &WriterOptions,
    ) -> Result<Self, WriterError> {
        let voxels = description.validated_voxels()?;
        if !(2..=MAX_SLOTS).contains(&options.slot_count) {
            return Err(WriterError::SlotCount { found: options.slot_count });
        }
        if options.protect_process {
            rustix::process::set_dumpable_behavior(DumpableBehavior::NotDumpable)
                .map_err(|error| WriterError::system("PR_SET_DUMPABLE", error))?;
        }
        let header = SegmentHeader {
            abi: SegmentHeader::ABI,
            epoch: random_epoch()?,
            created_time_ns: clock::monotonic_now_ns(),
            created_wall_offset_ns: clock::wall_offset_ns(),
            places: Places::new(voxels, description.confidence, options.slot_count),
            description: description.clone(),
        };
        let bytes = header.places.segment_bytes;
        // The socket first: a second writer is refused before it takes memory.
        let (socket_path, listener) = socket::SocketPath::take(options)?;
        let (file, words) = segment::create(bytes, &header.encode())
            .map_err(|(operation, source)| WriterError::Segment { operation, bytes, source })?;
        let wake = rustix::event::eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)
            .map_err(|error| WriterError::system("eventfd", error))?;
        let shared = Arc::new(Shared {
            words,
            wake,
            stop: AtomicBool::new(false),
            clients: AtomicU64::new(0),
            refused: AtomicU64::new(0),
            closed: AtomicU64::new(0),
        });
        let server = server::Server::new(Arc::clone(&shared), listener, file, &header, options)?;
        let server = std::thread::Builder::new()
            .name("occdepth-ring".to_owned())
            .stack_size(SERVER_STACK_BYTES)
            .spawn(move || server.run())
            .map_err(|source| WriterError::System {
                operation: "start a thread with 1 MiB of stack, to serve clients",
                source,
            })?;
        Ok(Self { shared, header, sequence: 0, server: Some(server), _socket: socket_path })
    }

    /// Publishes a grid and returns its sequence: 1 for the first, without gaps.
    ///
    /// `labels` is u8 [X, Y, Z]: class ids, 255 unknown. `confidence` is u8 [X, Y, Z], 255 = 1.0;
    /// given exactly if the description says that grids have it. What `record` says of
    /// `stages.publish_ns` is replaced by the time this call took. A grid computed on a GPU must
    /// have arrived in `labels` before the call: the checksum is taken from there.
    ///
    /// # Errors
    /// Labels or confidences of another size than the grid's; nothing is published then.
    pub fn publish(
        &mut self,
        record: &GridRecord,
        labels: &[u8],
        confidence: Option<&[u8]>,
    ) -> Result<u64, PublishError> {
        let start_ns = clock::monotonic_now_ns();
        let places = &self.header.places;
        if labels.len() != places.labels_bytes {
            let expected = places.labels_bytes;
            return Err(PublishError::Labels { found: labels.len(), expected });
        }
        let found = confidence.map(<[u8]>::len);
        if found.unwrap_or(0) != places.confidence_bytes {
            return Err(PublishError::Confidence { found, expected: places.confidence_bytes });
        }
        let sequence = self.sequence + 1;
        if sequence > seqlock::MAX_SEQUENCE {
            return Err(PublishError::Exhausted);
        }

        let words = self.shared.words.words();
        let slot = &words[places.slot_words(sequence)];
        let (lock, record_words) = (&slot[0], &slot[1..slot::HEADER_BYTES / WORD_BYTES]);
        let mut publish_time_ns = 0;
        seqlock::write(lock, sequence, || {
            let mut checksum = Checksum::default();
            checksum.store(&slot[places.labels_offset / WORD_BYTES..], labels);
            if let Some(confidence) = confidence {
                let at = places.confidence_offset / WORD_BYTES;
                checksum.store(&slot[at..], confidence);
            }
            publish_time_ns = clock::monotonic_now_ns();
            let mut grid = PublishedGrid {
                sequence,
                publish_time_ns,
                wall_offset_ns: clock::wall_offset_ns(),
                checksum: 0,
                record: *record,
            };
            grid.record.stages.publish_ns = publish_time_ns.saturating_sub(start_ns);
            let mut header = SlotHeader::encode(self.header.epoch, &grid);
            header.set_checksum(checksum.finish(&header));
            words::store(record_words, &header.bytes()[WORD_BYTES..]);
        });
        self.shared.newest().store(sequence, Ordering::Release);
        self.sequence = sequence;
        self.shared.wake();
        self.store_status(publish_time_ns, record.health, record.degradation);
        Ok(sequence)
    }

    /// Says how the writer is, at this moment; [`publish`](Self::publish) does so with every grid. To be called
    /// several times a second while it waits for its cameras, so that readers know that from a writer that hangs.
    ///
    /// Wakes nobody. Flags of `degradation` above the lower 56 are left out.
    pub fn report(&mut self, health: Health, degradation: Degradation) {
        self.store_status(clock::monotonic_now_ns(), health, degradation);
    }

    fn store_status(&self, time_ns: u64, health: Health, degradation: Degradation) {
        let words = self.shared.words.words();
        // The time last: a status is never older than its time says.
        words[STATUS_WORD].store(WriterStatus::encode(health, degradation), Ordering::Relaxed);
        words[STATUS_TIME_WORD].store(time_ns, Ordering::Release);
    }

    /// What the stream is.
    pub fn description(&self) -> &StreamDescription {
        &self.header.description
    }

    /// The random number of this segment.
    pub fn epoch(&self) -> u64 {
        self.header.epoch
    }

    /// Sequence of the newest grid; 0 before the first.
    pub fn sequence(&self) -> u64 {
        self.sequence
    }

    /// What became of clients so far.
    pub fn clients(&self) -> ClientCounts {
        ClientCounts {
            connected: self.shared.clients.load(Ordering::Relaxed),
            refused: self.shared.refused.load(Ordering::Relaxed),
            closed: self.shared.closed.load(Ordering::Relaxed),
        }
    }

    /// Whether the thread that serves clients runs. It ends only with the writer, or when the
    /// system fails it (logged as an error): grids are still published then, but no new client
    /// can come and nobody is woken.
    pub fn is_serving(&self) -> bool {
        self.server.as_ref().is_some_and(|server| !server.is_finished())
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::Release);
        self.shared.wake();
        if let Some(server) = self.server.take() {
            // An error here is a panic of the server, which has been reported when it happened.
            let _ = server.join();
        }
    }
}

/// How many clients there are, and were turned away, since the writer was created.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ClientCounts {
    /// Connected and given the segment.
    pub connected: u64,
    /// Refused: another version, no access, too many, no hello.
    pub refused: u64,
    /// Accepted once, then closed by the writer because they broke the protocol or did not read.
    pub closed: u64,
}

/// Why a stream cannot be offered.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum WriterError {
    /// A description that a segment cannot hold.
    #[error(transparent)]
    Description(#[from] DescriptionError),
    /// A ring of too few or too many slots.
    #[error("slot_count: found {found}, expected 2 to 1024")]
    SlotCount {
        /// The number asked for.
        found: u32,
    },
    /// Another live writer has the socket.
    #[error("{}: a second writer: another process already publishes on this socket", path.display())]
    SecondWriter {
        /// The socket.
        path: PathBuf,
    },
    /// Something that is not a socket lies where the socket should be; it is left alone.
    #[error("{}: exists and is not a socket", path.display())]
    NotASocket {
        /// What lies there.
        path: PathBuf,
    },
    /// The path of the socket, its lock file or its directory cannot be used.
    #[error("{}: {operation}", path.display())]
    Path {
        /// The path.
        path: PathBuf,
        /// What was tried.
        operation: &'static str,
        /// What the system said.
        source: std::io::Error,
    },
    /// The segment cannot be made: most often there is not enough memory.
    #[error("a segment of {bytes} bytes: {operation}")]
    Segment {
        /// What was tried.
        operation: &'static str,
        /// Size of the segment.
        bytes: usize,
        /// What the system said.
        source: std::io::Error,
    },
    /// Another call to the system failed.
    #[error("{operation}")]
    System {
        /// What was tried.
        operation: &'static str,
        /// What the system said.
        source: std::io::Error,
    },
}

impl WriterError {
    fn system(operation: &'static str, error: rustix::io::Errno) -> Self {
        Self::System { operation, source: error.into() }
    }

    fn path(path: &Path, operation: &'static str, error: impl Into<std::io::Error>) -> Self {
        Self::Path { path: path.to_owned(), operation, source: error.into() }
    }
}

/// Why a grid cannot be published.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PublishError {
    /// Not one label for every voxel.
    #[error("labels: found {found} bytes, expected {expected}, one for every voxel")]
    Labels {
        /// Labels given.
        found: usize,
        /// Voxels of the grid.
        expected: usize,
    },
    /// Not one confidence for every voxel, or confidences where the stream has none.
    #[error("confidence: found {found:?} bytes, expected {expected} (0: the stream has none)")]
    Confidence {
        /// Confidences given.
        found: Option<usize>,
        /// Voxels of the grid, or 0.
        expected: usize,
    },
    /// The segment has held as many grids as it can count.
    #[error("the sequence is exhausted; create a new writer")]
    Exhausted,
}

/// What the publishing thread and the serving thread share.
#[derive(Debug)]
struct Shared {
    words: WritableWords,
    /// Counts publications that the server has not looked at; also set to stop it.
    wake: OwnedFd,
    stop: AtomicBool,
    clients: AtomicU64,
    refused: AtomicU64,
    closed: AtomicU64,
}

impl Shared {
    fn newest(&self) -> &AtomicU64 {
        &self.words.words()[NEWEST_WORD]
    }

    /// Wakes the server. Never blocks: the descriptor is non-blocking, and the only failure, a
    /// counter at its end, means that the server has yet to wake up anyway.
    fn wake(&self) {
        let _ = rustix::io::write(&self.wake, &1_u64.to_ne_bytes());
    }
}

/// The server keeps little there; what it logs through may take more.
const SERVER_STACK_BYTES: usize = 1 << 20;
const STATUS_WORD: usize = fields::STATUS.offset / WORD_BYTES;
const STATUS_TIME_WORD: usize = fields::STATUS_TIME_NS.offset / WORD_BYTES;
const NEWEST_WORD: usize = fields::CONTROL_OFFSET / WORD_BYTES;

fn random_epoch() -> Result<u64, WriterError> {
    loop {
        let mut bytes = [0; 8];
        let count = rustix::rand::getrandom(&mut bytes, GetRandomFlags::empty())
            .map_err(|error| WriterError::system("getrandom", error))?;
        let epoch = u64::from_le_bytes(bytes);
        if count == bytes.len() && epoch != 0 {
            return Ok(epoch);
        }
    }
}
