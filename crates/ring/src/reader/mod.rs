//! Those who read.

mod connect;
mod live;

pub use connect::{ConnectError, ReaderOptions};
pub use live::LiveGrid;

use crate::checksum::Checksum;
use crate::credentials::Credentials;
use crate::description::StreamDescription;
use crate::grid::Grid;
use crate::layout::AbiVersion;
use crate::layout::handshake::{NOTIFICATION_BYTES, Notification};
use crate::layout::segment::{STATUS, STATUS_TIME_NS, SegmentHeader};
use crate::layout::slot::{self, SlotHeader};
use crate::record::{PublishedGrid, WriterStatus};
use crate::seqlock;
use crate::words::{self, ReadOnlyWord, ReadOnlyWords, WORD_BYTES};
use rustix::event::{PollFd, PollFlags};
use rustix::io::Errno;
use rustix::net::RecvFlags;
use rustix::thread::futex;
use rustix::time::Timespec;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

/// A connection to a stream: a read-only mapping of its ring, and a socket that tells when the
/// writer is gone.
///
/// Reading is a copy out of the ring that is checked afterwards: what a call returns as a grid was
/// one grid, whole. The writer does not know what a reader does, and does not wait for it.
///
/// A reader belongs to one segment. When the writer is gone (or was restarted) it says
/// [`ReadError::WriterGone`]; connect again then.
#[derive(Debug)]
pub struct Reader {
    header: SegmentHeader,
    words: ReadOnlyWords,
    socket: OwnedFd,
    server: Credentials,
    verify_checksum: bool,
    /// The last sequence that [`next`](Self::next) delivered or counted as missed.
    position: u64,
}

impl Reader {
    /// Connects to the stream at `socket`.
    ///
    /// # Errors
    /// There is no writer, it refuses this client, it is not the user it should be, or what it
    /// sent is not a sealed segment of this ABI major whose header fits its size.
    pub fn connect(
        socket: impl AsRef<Path>,
        options: &ReaderOptions,
    ) -> Result<Self, ConnectError> {
        connect::connect(socket.as_ref(), options)
    }

    /// Copies the next grid that this reader has not had, in order, waiting at most `timeout` for
    /// it. Returns its sequence, or `None` when there was none in time.
    ///
    /// The first call delivers the grid that was newest when the reader connected, if there was
    /// one. What was published before the writer went away is still delivered, then
    /// [`ReadError::WriterGone`].
    ///
    /// # Errors
    /// [`ReadError::Lapped`] when grids were overwritten before they were read: it says how many,
    /// and the next call goes on with the oldest grid that is not about to be overwritten, so that
    /// delivered and missed grids add up to all grids. Others as for [`copy`](Self::copy); a
    /// corrupt grid counts as delivered.
    pub fn next(&mut self, grid: &mut Grid, timeout: Duration) -> Result<Option<u64>, ReadError> {
        let wanted = self.position.saturating_add(1);
        if self.wait(self.position, timeout)?.is_none() {
            return Ok(None);
        }
        match self.copy(wanted, grid) {
            Ok(()) => {
                self.position = wanted;
                Ok(Some(wanted))
            }
            Err(ReadError::Overwritten { .. }) => {
                // The slot of the oldest grid is the next to be written, so it is left out.
                let slots = u64::from(self.header.places.slot_count);
                let oldest = self.newest().saturating_sub(slots).saturating_add(2);
                let resume = oldest.max(wanted + 1);
                self.position = resume - 1;
                Err(ReadError::Lapped { missed: resume - wanted })
            }
            Err(error) => {
                if matches!(error, ReadError::Corrupt { .. }) {
                    self.position = wanted;
                }
                Err(error)
            }
        }
    }

    /// Waits until there is a grid newer than `newer_than` and returns the sequence of the newest;
    /// `None` when there was none in time. `wait(0, ..)` waits for any grid.
    ///
    /// # Errors
    /// [`ReadError::WriterGone`] when there is none and none can come.
    pub fn wait(&self, newer_than: u64, timeout: Duration) -> Result<Option<u64>, ReadError> {
        let newest = self.newest();
        if newest > newer_than {
            return Ok(Some(newest));
        }
        let deadline = Instant::now().checked_add(timeout);
        loop {
            // The socket first: a grid that was published before the writer went is still seen.
            let gone = !self.is_writer_alive()?;
            let newest = self.newest();
            if newest > newer_than {
                return Ok(Some(newest));
            }
            if gone {
                return Err(ReadError::WriterGone);
            }
            let left =
                deadline.map_or(WAIT_SLICE, |end| end.saturating_duration_since(Instant::now()));
            if left.is_zero() {
                return Ok(None);
            }
            self.sleep(newest, left.min(WAIT_SLICE))?;
        }
    }

    /// Copies the newest grid.
    ///
    /// Makes no call to the system, and so does not notice that the writer is gone: look at the
    /// age of the grid, or at [`is_writer_alive`](Self::is_writer_alive).
    ///
    /// # Errors
    /// [`ReadError::NoGrid`] before the first; others as for [`copy`](Self::copy).
    pub fn copy_newest(&self, grid: &mut Grid) -> Result<(), ReadError> {
        self.newest_of(|sequence| self.copy(sequence, grid))
    }

    /// Copies grid `sequence`.
    ///
    /// [`ReadError::NoGrid`] leaves `grid` as it was; after any other error it holds nothing of
    /// value, and its record says sequence 0.
    ///
    /// # Errors
    /// [`ReadError::NoGrid`] when it has not been published yet, [`ReadError::Overwritten`] when
    /// its slot has been given to a newer one, [`ReadError::Corrupt`] when it is not what was
    /// published, [`ReadError::OutOfMemory`] when `grid` cannot get its size.
    pub fn copy(&self, sequence: u64, grid: &mut Grid) -> Result<(), ReadError> {
        let places = self.header.places;
        let slot = self.slot(sequence)?;
        // Nobody shall find the old record above new labels if this copy comes to nothing.
        grid.published = PublishedGrid::default();
        resize(&mut grid.labels, places.labels_bytes)?;
        resize(&mut grid.confidence, places.confidence_bytes)?;
        let read = seqlock::read(&slot[LOCK_WORD], sequence, || {
            let checksum = if self.verify_checksum {
                let mut checksum = Checksum::default();
                checksum.load(part(slot, places.labels_offset), &mut grid.labels);
                checksum.load(part(slot, places.confidence_offset), &mut grid.confidence);
                Some(checksum)
            } else {
                words::load(part(slot, places.labels_offset), &mut grid.labels);
                words::load(part(slot, places.confidence_offset), &mut grid.confidence);
                None
            };
            (load_header(slot), checksum)
        });
        let Some((header, checksum)) = read else {
            return Err(ReadError::Overwritten { sequence });
        };
        let corrupt = |what| Err(ReadError::Corrupt { sequence, what });
        if header.sequence() != sequence {
            return corrupt("its slot claims another sequence");
        }
        if header.epoch() != self.header.epoch {
            return corrupt("its slot claims another epoch");
        }
        if checksum.is_some_and(|sum| sum.finish(&header) != header.checksum()) {
            return corrupt("its checksum does not fit");
        }
        grid.published = header.decode(self.header.abi.minor);
        Ok(())
    }

    /// Looks at parts of the newest grid without copying all of it.
    ///
    /// `look` may run several times, and on a grid that is being overwritten: then it sees a
    /// mixture, and what it returns is dropped. It must cope with any bytes, and should be quick
    /// and free of side effects. What this call returns was computed from one whole grid. The
    /// checksum is not verified, because that would take the whole grid.
    ///
    /// ```no_run
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let reader = occdepth_ring::Reader::connect("front.sock", &Default::default())?;
    /// let (age_ns, ahead) = reader.look_newest(|grid| {
    ///     (grid.published().age_ns(occdepth_ring::monotonic_now_ns()), grid.label([10, 128, 4]))
    /// })?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// As for [`look`](Self::look).
    pub fn look_newest<T>(&self, mut look: impl FnMut(&LiveGrid<'_>) -> T) -> Result<T, ReadError> {
        self.newest_of(|sequence| self.look(sequence, &mut look))
    }

    /// Looks at parts of grid `sequence`; see [`look_newest`](Self::look_newest).
    ///
    /// # Errors
    /// [`ReadError::NoGrid`] and [`ReadError::Overwritten`] as for [`copy`](Self::copy).
    pub fn look<T>(
        &self,
        sequence: u64,
        look: impl FnOnce(&LiveGrid<'_>) -> T,
    ) -> Result<T, ReadError> {
        let slot = self.slot(sequence)?;
        let live = LiveGrid::new(slot, &self.header);
        seqlock::read(&slot[LOCK_WORD], sequence, || look(&live))
            .ok_or(ReadError::Overwritten { sequence })
    }

    /// The last grid that [`next`](Self::next) delivered or counted as missed: its next one is the one after it, or later.
    pub fn position(&self) -> u64 {
        self.position
    }

    /// Lets [`next`](Self::next) go on after grid `sequence`; after 0 with the oldest grid that can still be had.
    ///
    /// For readers that connect again. The same [`epoch`](Self::epoch) as before means that only this client had been
    /// closed, and that what was read before still counts.
    pub fn resume_after(&mut self, sequence: u64) {
        self.position = sequence;
    }

    /// Whether there is a grid that [`next`](Self::next) has not delivered. Makes no call to the system.
    pub fn is_behind(&self) -> bool {
        self.newest() > self.position
    }

    /// Takes all notifications off the socket and returns how many there were, so that
    /// [`as_fd`](AsFd::as_fd) is readable again only after the next grid.
    ///
    /// # Errors
    /// [`ReadError::WriterGone`] when the writer has hung up.
    pub fn drain_notifications(&self) -> Result<usize, ReadError> {
        let mut count = 0;
        loop {
            let mut bytes = [0_u8; NOTIFICATION_BYTES];
            match rustix::net::recv(&self.socket, &mut bytes, RecvFlags::DONTWAIT) {
                // There are no empty datagrams: this is the end.
                Ok((0, _)) | Err(Errno::CONNRESET) => return Err(ReadError::WriterGone),
                Ok((length, _)) => {
                    count += usize::from(Notification::decode(&bytes[..length]).is_some());
                }
                Err(Errno::AGAIN) => return Ok(count),
                Err(Errno::INTR) => {}
                Err(error) => return Err(ReadError::system("recv", error)),
            }
        }
    }

    /// Whether the writer still holds its end of the socket.
    ///
    /// # Errors
    /// [`ReadError::System`] when the system cannot say.
    pub fn is_writer_alive(&self) -> Result<bool, ReadError> {
        loop {
            let mut sockets = [PollFd::new(&self.socket, PollFlags::RDHUP)];
            match rustix::event::poll(&mut sockets, Some(&Timespec { tv_sec: 0, tv_nsec: 0 })) {
                Ok(_) => {
                    let gone = PollFlags::HUP | PollFlags::RDHUP | PollFlags::ERR;
                    return Ok(!sockets[0].revents().intersects(gone));
                }
                Err(Errno::INTR) => {}
                Err(error) => return Err(ReadError::system("poll", error)),
            }
        }
    }

    /// Sequence of the newest grid; 0 before the first. Makes no call to the system.
    pub fn newest(&self) -> u64 {
        self.words.words()[self.newest_word()].load(Ordering::Acquire)
    }

    /// How the writer said that it is, and when; `None` of one that says nothing (those before ABI 1.1).
    ///
    /// What there is to go by while no grids come: a status that is fresh and degraded by
    /// [`Degradation::SOURCE_INTERRUPTED`](crate::Degradation::SOURCE_INTERRUPTED) is a writer that waits for its
    /// cameras; one that is much older than a grid takes is a writer that hangs. Makes no call to the system.
    pub fn status(&self) -> Option<WriterStatus> {
        let words = self.words.words();
        let time_ns = words[STATUS_TIME_WORD].load(Ordering::Acquire);
        WriterStatus::decode(time_ns, words[STATUS_WORD].load(Ordering::Relaxed))
    }

    /// What the stream is.
    pub fn description(&self) -> &StreamDescription {
        &self.header.description
    }

    /// The random number of the segment; another one after every restart of the writer.
    pub fn epoch(&self) -> u64 {
        self.header.epoch
    }

    /// The ABI version of the writer.
    pub fn writer_abi(&self) -> AbiVersion {
        self.header.abi
    }

    /// Slots of the ring: a reader can be late by one less.
    pub fn slot_count(&self) -> u32 {
        self.header.places.slot_count
    }

    /// Size of the segment, bytes.
    pub fn segment_bytes(&self) -> u64 {
        self.header.places.segment_bytes as u64
    }

    /// Who writes, as the kernel recorded it when the writer began to listen.
    pub fn server(&self) -> Credentials {
        self.server
    }

    /// A freshly connected reader. `header` was decoded from `words`.
    fn new(
        header: SegmentHeader,
        words: ReadOnlyWords,
        socket: OwnedFd,
        server: Credentials,
        verify_checksum: bool,
    ) -> Self {
        let mut reader = Self { header, words, socket, server, verify_checksum, position: 0 };
        reader.position = reader.newest().saturating_sub(1);
        reader
    }

    /// Reads the newest grid; again when it was overwritten meanwhile.
    fn newest_of<T>(
        &self,
        mut read: impl FnMut(u64) -> Result<T, ReadError>,
    ) -> Result<T, ReadError> {
        let mut sequence = self.newest();
        for _ in 1..NEWEST_ATTEMPTS {
            match read(sequence) {
                Err(ReadError::Overwritten { .. }) => sequence = self.newest(),
                result => return result,
            }
        }
        read(sequence)
    }

    /// The slot of grid `sequence`, if that has been published.
    fn slot(&self, sequence: u64) -> Result<&[ReadOnlyWord], ReadError> {
        if sequence == 0 || sequence > self.newest().min(seqlock::MAX_SEQUENCE) {
            return Err(ReadError::NoGrid);
        }
        Ok(&self.words.words()[self.header.places.slot_words(sequence)])
    }

    fn sleep(&self, newest: u64, at_most: Duration) -> Result<(), ReadError> {
        #[allow(clippy::cast_possible_truncation, reason = "the futex word is the lower half")]
        let expected = newest as u32;
        // A slice of 100 ms fits any time type.
        let timeout = Timespec { tv_sec: 0, tv_nsec: i64::from(at_most.subsec_nanos()) };
        let word = self.words.futex(self.newest_word());
        match futex::wait(word, SHARED_FUTEX, expected, Some(&timeout)) {
            Ok(()) | Err(Errno::AGAIN | Errno::INTR | Errno::TIMEDOUT) => Ok(()),
            Err(error) => Err(ReadError::system("futex wait", error)),
        }
    }

    fn newest_word(&self) -> usize {
        self.header.places.control_offset / WORD_BYTES
    }
}

/// The socket, for event loops: readable when there is a notification (if
/// [`ReaderOptions::notify`] asked for them), and when the writer has hung up.
impl AsFd for Reader {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

/// Why there is no grid.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReadError {
    /// Nothing has been published yet, or not this grid.
    #[error("there is no such grid yet")]
    NoGrid,
    /// The writer was faster: the slot of this grid has been given to a newer one.
    #[error("grid {sequence} has been overwritten by a newer one")]
    Overwritten {
        /// The grid asked for.
        sequence: u64,
    },
    /// The writer was faster: these many grids were overwritten before this reader got them.
    #[error("{missed} grids were overwritten before they were read")]
    Lapped {
        /// Grids missed; at least 1.
        missed: u64,
    },
    /// The slot does not hold what was published: the writer is broken, or somebody changed its
    /// memory.
    #[error("grid {sequence} is corrupt: {what}")]
    Corrupt {
        /// The grid asked for.
        sequence: u64,
        /// What does not fit.
        what: &'static str,
    },
    /// The writer has hung up: it ended, died, or closed this client. Connect again.
    #[error("the writer is gone")]
    WriterGone,
    /// There is no memory for a copy.
    #[error("no memory for a grid of {bytes} bytes")]
    OutOfMemory {
        /// Size of what could not be had.
        bytes: usize,
    },
    /// A call to the system failed.
    #[error("{operation}")]
    System {
        /// What was tried.
        operation: &'static str,
        /// What the system said.
        source: std::io::Error,
    },
}

impl ReadError {
    fn system(operation: &'static str, error: Errno) -> Self {
        Self::System { operation, source: error.into() }
    }
}

fn resize(bytes: &mut Vec<u8>, length: usize) -> Result<(), ReadError> {
    if bytes.len() != length {
        bytes.clear();
        bytes.try_reserve_exact(length).map_err(|_| ReadError::OutOfMemory { bytes: length })?;
        bytes.resize(length, 0);
    }
    Ok(())
}

/// The words of a slot from `offset` bytes on.
fn part(slot: &[ReadOnlyWord], offset: usize) -> &[ReadOnlyWord] {
    &slot[offset / WORD_BYTES..]
}

fn load_header(slot: &[ReadOnlyWord]) -> SlotHeader {
    let mut bytes = [0; slot::HEADER_BYTES];
    words::load(slot, &mut bytes);
    SlotHeader::from_bytes(bytes)
}

/// A futex wait does not notice that the writer hung up, and a hostile reader may requeue this
/// one's wait to a word that nobody wakes, or stand before it with a wait that ends the writer's call: so it ends after
/// this long, to look around.
const WAIT_SLICE: Duration = Duration::from_millis(100);
/// A writer that overtakes a copy of its newest grid this often laps its whole ring meanwhile.
const NEWEST_ATTEMPTS: u32 = 8;
const LOCK_WORD: usize = 0;
/// In the control block, whose place is the same in every segment of this major version.
const STATUS_TIME_WORD: usize = STATUS_TIME_NS.offset / WORD_BYTES;
const STATUS_WORD: usize = STATUS.offset / WORD_BYTES;
const SHARED_FUTEX: futex::Flags = futex::Flags::empty();
