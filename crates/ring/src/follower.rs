//! A reader that survives restarts of the writer.

use crate::description::StreamDescription;
use crate::grid::Grid;
use crate::reader::{ConnectError, ReadError, Reader, ReaderOptions};
use rustix::event::epoll;
use rustix::time::{
    Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, timerfd_create,
    timerfd_settime,
};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// The grids of one writer after another at one socket: a [`Reader`] that connects again.
///
/// ```no_run
/// use occdepth_ring::{Follower, Grid, ReaderOptions};
/// use std::time::Duration;
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let mut follower = Follower::open("/run/occdepth/front.sock", &ReaderOptions::default())?;
/// let mut grid = Grid::new();
/// loop {
///     match follower.next(&mut grid, Duration::from_secs(1))? {
///         Some(grid_of) if grid_of.missed > 0 => eprintln!("{} grids missed", grid_of.missed),
///         Some(_) => {}
///         None => eprintln!("no grid for a second"),
///     }
/// }
/// # }
/// ```
///
/// In an event loop, ask for notifications ([`ReaderOptions::notify`]) and poll [`as_fd`](AsFd::as_fd): the descriptor
/// stays the same through all restarts, and is readable when [`next`](Self::next) has something to do, which is to
/// deliver a grid, or to connect.
#[derive(Debug)]
pub struct Follower {
    path: PathBuf,
    options: ReaderOptions,
    reader: Option<Reader>,
    /// Of the last attempt to connect, if that failed.
    error: Option<ConnectError>,
    attempt_at: Instant,
    pause: Duration,
    /// Epoch and position of the segment that was read last.
    departed: Option<(u64, u64)>,
    /// Epoch of the grid that was delivered last.
    delivered: Option<u64>,
    /// Not yet told.
    missed: u64,
    wake: Wake,
}

/// What is said of a grid that a follower delivers, besides what the grid says itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Followed {
    /// Number of the grid in its segment.
    pub sequence: u64,
    /// The segment.
    pub epoch: u64,
    /// How many grids were overwritten, since the one before, before this follower got them.
    pub missed: u64,
    /// Whether this is the first grid of another segment than the one before: the description may have changed.
    pub restarted: bool,
}

/// Why a follower cannot go on without its caller.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FollowError {
    /// There is a writer, and waiting will not make it one that can be read. A later call tries again.
    #[error(transparent)]
    Connect(#[from] ConnectError),
    /// A grid that was there could not be had: it is corrupt, or there is no memory for it. A later call goes on.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// The system did not do its part.
    #[error("{operation}")]
    System {
        /// What was tried.
        operation: &'static str,
        /// What the system said.
        source: std::io::Error,
    },
}

impl Follower {
    /// A follower of the stream at `socket`. Connects only in [`next`](Self::next), so that there need be no writer yet.
    ///
    /// # Errors
    /// No descriptors are left.
    pub fn open(socket: impl AsRef<Path>, options: &ReaderOptions) -> Result<Self, FollowError> {
        let mut follower = Self {
            path: socket.as_ref().to_owned(),
            options: options.clone(),
            reader: None,
            error: None,
            attempt_at: Instant::now(),
            pause: FIRST_PAUSE,
            departed: None,
            delivered: None,
            missed: 0,
            wake: Wake::new()?,
        };
        follower.wake.after(Duration::ZERO)?;
        Ok(follower)
    }

    /// Copies the next grid, waiting at most `timeout` for it; `None` when there was none in time.
    ///
    /// The first is the newest at the time of the first connection; of a writer that came later, the oldest that can
    /// still be had. To have been lapped is no error here: [`Followed::missed`] counts. A timeout of zero does not wait,
    /// but may connect: where there is a writer it has at least 50 ms for each step of the handshake.
    ///
    /// While there is no writer, attempts to connect are 10 ms apart at first and at most a second.
    ///
    /// # Errors
    /// Those that waiting does not cure: see [`FollowError`] and [`ConnectError::is_transient`].
    pub fn next(
        &mut self,
        grid: &mut Grid,
        timeout: Duration,
    ) -> Result<Option<Followed>, FollowError> {
        self.take(Which::Next, grid, timeout)
    }

    /// As [`next`](Self::next), but the newest grid, for whoever acts on the world as it is now: grids that are passed over
    /// for it count as missed. `None` when there was none newer than the last in time.
    ///
    /// # Errors
    /// As for [`next`](Self::next).
    pub fn newest(
        &mut self,
        grid: &mut Grid,
        timeout: Duration,
    ) -> Result<Option<Followed>, FollowError> {
        self.take(Which::Newest, grid, timeout)
    }

    fn take(
        &mut self,
        which: Which,
        grid: &mut Grid,
        timeout: Duration,
    ) -> Result<Option<Followed>, FollowError> {
        let deadline = Instant::now().checked_add(timeout);
        self.wake.clear()?;
        let result = self.take_until(which, grid, deadline);
        // Whoever polls is to come back at once for what is there, and in time for the next attempt.
        match &self.reader {
            Some(reader) if reader.is_behind() => self.wake.after(Duration::ZERO)?,
            Some(_) => {}
            None => self.wake.after(self.attempt_at.saturating_duration_since(Instant::now()))?,
        }
        result
    }

    fn take_until(
        &mut self,
        which: Which,
        grid: &mut Grid,
        deadline: Option<Instant>,
    ) -> Result<Option<Followed>, FollowError> {
        let left = || deadline.map(|end| end.saturating_duration_since(Instant::now()));
        loop {
            let Some(reader) = &mut self.reader else {
                if !self.attempt(deadline)? && left() == Some(Duration::ZERO) {
                    return Ok(None);
                }
                continue;
            };
            let wait = left().unwrap_or(Duration::MAX);
            let taken = drain(reader, self.options.notify).and_then(|()| match which {
                Which::Next => reader.next(grid, wait),
                Which::Newest => {
                    self.missed = self.missed.saturating_add(skip_to_newest(reader, wait)?);
                    reader.next(grid, Duration::ZERO)
                }
            });
            match taken {
                Ok(None) => return Ok(None),
                Ok(Some(sequence)) => {
                    let epoch = reader.epoch();
                    let before = self.delivered.replace(epoch);
                    self.pause = FIRST_PAUSE;
                    return Ok(Some(Followed {
                        sequence,
                        epoch,
                        missed: std::mem::take(&mut self.missed),
                        restarted: before.is_some_and(|before| before != epoch),
                    }));
                }
                Err(ReadError::Lapped { missed }) => {
                    self.missed = self.missed.saturating_add(missed);
                }
                Err(ReadError::WriterGone) => {
                    self.departed = Some((reader.epoch(), reader.position()));
                    self.wake.forget(reader)?;
                    self.reader = None;
                }
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// Waits for the time of the next attempt, if that comes before the deadline, and connects. False: not yet.
    fn attempt(&mut self, deadline: Option<Instant>) -> Result<bool, FollowError> {
        let now = Instant::now();
        let until = deadline.map_or(self.attempt_at, |end| end.min(self.attempt_at));
        std::thread::sleep(until.saturating_duration_since(now));
        if Instant::now() < self.attempt_at {
            return Ok(false);
        }
        let now = Instant::now();
        let left = deadline.map_or(Duration::MAX, |end| end.saturating_duration_since(now));
        let options = ReaderOptions {
            handshake_timeout: self.options.handshake_timeout.min(left.max(LEAST_HANDSHAKE)),
            ..self.options.clone()
        };
        let connected = Reader::connect(&self.path, &options);
        // Also after a success: a writer that accepts and dies at once must not be asked in a tight loop.
        self.attempt_at = Instant::now() + self.pause;
        self.pause = (self.pause * 2).min(LONGEST_PAUSE);
        let mut reader = match connected {
            Ok(reader) => reader,
            Err(error) if error.is_transient() => {
                self.error = Some(error);
                return Ok(false);
            }
            Err(error) => {
                self.error = None;
                return Err(error.into());
            }
        };
        self.error = None;
        match self.departed {
            // The same writer, which had closed this client: nothing twice, nothing left out unseen.
            Some((epoch, position)) if epoch == reader.epoch() => reader.resume_after(position),
            Some(_) => reader.resume_after(0),
            None => {}
        }
        self.wake.watch(&reader)?;
        self.reader = Some(reader);
        Ok(true)
    }

    /// The reader of the present segment; `None` while there is no writer. There is one after a grid was delivered.
    pub fn reader(&self) -> Option<&Reader> {
        self.reader.as_ref()
    }

    /// What the stream is; `None` while there is no writer.
    pub fn description(&self) -> Option<&StreamDescription> {
        self.reader.as_ref().map(Reader::description)
    }

    /// Why the last attempt to connect came to nothing, where waiting may cure it; `None` after one that succeeded, and
    /// after one whose error [`next`](Self::next) returned.
    pub fn last_error(&self) -> Option<&ConnectError> {
        self.error.as_ref()
    }
}

/// For event loops: readable when [`Follower::next`] has something to do. The same descriptor for as long as the follower
/// lives.
impl AsFd for Follower {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.wake.epoll.as_fd()
    }
}

#[derive(Clone, Copy, Debug)]
enum Which {
    Next,
    Newest,
}

/// Waits for a grid, and passes over all before the newest; how many.
fn skip_to_newest(reader: &mut Reader, wait: Duration) -> Result<u64, ReadError> {
    let position = reader.position();
    let Some(newest) = reader.wait(position, wait)? else { return Ok(0) };
    let skipped = newest.saturating_sub(position).saturating_sub(1);
    reader.resume_after(position.saturating_add(skipped));
    Ok(skipped)
}

/// Takes off notifications that have come: what they say is looked up by the call that follows.
fn drain(reader: &Reader, notify: bool) -> Result<(), ReadError> {
    match notify.then(|| reader.drain_notifications()) {
        // What had been published before is still delivered.
        None | Some(Ok(_) | Err(ReadError::WriterGone)) => Ok(()),
        Some(Err(error)) => Err(error),
    }
}

/// One descriptor that stands for the socket of whichever reader there is, and for a timer.
#[derive(Debug)]
struct Wake {
    epoll: OwnedFd,
    timer: OwnedFd,
    armed: bool,
}

impl Wake {
    fn new() -> Result<Self, FollowError> {
        let epoll = epoll::create(epoll::CreateFlags::CLOEXEC).map_err(system("epoll_create"))?;
        let flags = TimerfdFlags::CLOEXEC | TimerfdFlags::NONBLOCK;
        let timer =
            timerfd_create(TimerfdClockId::Monotonic, flags).map_err(system("timerfd_create"))?;
        epoll::add(&epoll, &timer, epoll::EventData::new_u64(0), epoll::EventFlags::IN)
            .map_err(system("epoll_ctl"))?;
        Ok(Self { epoll, timer, armed: false })
    }

    /// Readable from `delay` on.
    fn after(&mut self, delay: Duration) -> Result<(), FollowError> {
        // A timer of 0 would never ring.
        self.set(delay.max(Duration::from_nanos(1)))?;
        self.armed = true;
        Ok(())
    }

    fn clear(&mut self) -> Result<(), FollowError> {
        if std::mem::take(&mut self.armed) { self.set(Duration::ZERO) } else { Ok(()) }
    }

    fn set(&self, delay: Duration) -> Result<(), FollowError> {
        let zero = Timespec { tv_sec: 0, tv_nsec: 0 };
        // No delay is longer than the longest pause.
        let it_value = Timespec::try_from(delay).unwrap_or(zero);
        let timer = Itimerspec { it_interval: zero, it_value };
        timerfd_settime(&self.timer, TimerfdTimerFlags::empty(), &timer)
            .map(drop)
            .map_err(system("timerfd_settime"))
    }

    fn watch(&self, reader: &Reader) -> Result<(), FollowError> {
        let events = epoll::EventFlags::IN | epoll::EventFlags::RDHUP;
        epoll::add(&self.epoll, reader, epoll::EventData::new_u64(1), events)
            .map_err(system("epoll_ctl"))
    }

    fn forget(&self, reader: &Reader) -> Result<(), FollowError> {
        epoll::delete(&self.epoll, reader).map_err(system("epoll_ctl"))
    }
}

fn system(operation: &'static str) -> impl Fn(rustix::io::Errno) -> FollowError {
    move |error| FollowError::System { operation, source: error.into() }
}

const FIRST_PAUSE: Duration = Duration::from_millis(10);
const LONGEST_PAUSE: Duration = Duration::from_secs(1);
/// Even at the deadline a writer that is there has time to answer.
const LEAST_HANDSHAKE: Duration = Duration::from_millis(50);
