//! Replay: pairs made ahead of time by a thread of their own and delivered on a timeline.
//!
//! Making a pair (decoding two files, rendering two views) takes milliseconds and may allocate; the
//! frame thread must do neither. So a [`PairMaker`] runs on its own thread and fills a fixed number of
//! buffers, which travel to the frame thread and back through two bounded channels:
//!
//! ```text
//!            vacant buffers                       made pairs
//!   Replay ----------------> maker thread ------------------------> Replay
//!          (after the caller's        (in order; blocks when every
//!           next call)                 buffer is made or lent)
//! ```
//!
//! A paced replay drops pairs on both sides: the maker does not begin a pair whose successor is already
//! due, and the caller passes over made pairs whose successor was due when it asked. Which pair a caller
//! gets depends on the clock alone, not on how far the maker had come.

use super::{
    Capture, CaptureError, FrameSource, Image, SourceDescription, Stamp, StereoFrame, monotonic_ns,
};
use std::error::Error;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::thread::{self, JoinHandle};
use std::time::Duration;

/// Who decides when the next pair is due.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Pacing {
    /// The clock, as with a camera: a pair is delivered when it is due, a late caller misses pairs.
    #[default]
    Clock,
    /// The caller: every pair is delivered, as soon as it is asked for.
    Unpaced,
}

/// What fills the buffers of a [`Replay`].
pub(super) trait PairMaker: Send + 'static {
    /// When pair `index` is due, nanoseconds after pair 0; strictly increasing. `None` past the end.
    fn due_ns(&self, index: u64) -> Option<u64>;

    /// Fills both views of pair `index`. An error costs this pair only.
    fn make(
        &mut self,
        index: u64,
        pair: &mut PairBuffer,
    ) -> Result<(), Box<dyn Error + Send + Sync>>;
}

/// Memory for one pair, [`super::PixelFormat::image_bytes`] for each view.
#[derive(Debug)]
pub(super) struct PairBuffer {
    pub(super) left: Vec<u8>,
    pub(super) right: Vec<u8>,
}

/// Delivers what a [`PairMaker`] makes.
#[derive(Debug)]
pub(super) struct Replay {
    description: SourceDescription,
    pacing: Pacing,
    first_sequence: u64,
    /// When pair 0 is due, `CLOCK_MONOTONIC` ns; [`NOT_STARTED`] before the first call. Shared with the
    /// maker, which skips what is past.
    start_ns: Arc<AtomicU64>,
    /// `None` only while dropping.
    channels: Option<Channels>,
    maker: Option<JoinHandle<()>>,
    /// Taken from the maker, due later.
    pending: Option<Made>,
    /// Lent to the caller until its next call.
    lent: Option<PairBuffer>,
    /// Since when the caller has been asking without a pair.
    waiting_since_ns: Option<u64>,
    /// Index of the first pair not yet delivered, reported or passed over.
    next_index: u64,
    dropped: u32,
    faulty: u32,
    ended: bool,
}

#[derive(Debug)]
struct Channels {
    made: Receiver<Message>,
    vacant: SyncSender<PairBuffer>,
}

#[derive(Debug)]
enum Message {
    Made(Made),
    End,
}

#[derive(Debug)]
struct Made {
    index: u64,
    due_ns: u64,
    /// When the successor is due; `u64::MAX` for the last pair.
    superseded_ns: u64,
    outcome: Result<(), Box<dyn Error + Send + Sync>>,
    buffer: PairBuffer,
}

impl Replay {
    /// Starts the maker's thread with `buffers` buffers (at least two: one lent, one in the making).
    pub(super) fn new(
        description: SourceDescription,
        pacing: Pacing,
        first_sequence: u64,
        buffers: usize,
        maker: impl PairMaker,
    ) -> Result<Self, CaptureError> {
        let buffers = buffers.max(2);
        let image_bytes = description.format.image_bytes(description.size);
        // One place more than buffers, so that the end can always be announced.
        let (made_sender, made) = sync_channel(buffers + 1);
        let (vacant, vacant_receiver) = sync_channel(buffers);
        for _ in 0..buffers {
            let buffer = PairBuffer { left: vec![0; image_bytes], right: vec![0; image_bytes] };
            vacant.try_send(buffer).expect("the channel holds as many buffers as there are");
        }
        // The first wait on a channel allocates its list of waiters. It happens here, on the still empty channel,
        // and not on the frame path; that it times out is the point.
        let _ = made.recv_timeout(Duration::from_millis(1));
        let start_ns = Arc::new(AtomicU64::new(NOT_STARTED));
        let maker_start_ns = Arc::clone(&start_ns);
        let thread = thread::Builder::new()
            .name("occdepth-replay".into())
            .spawn(move || run(maker, pacing, &maker_start_ns, &vacant_receiver, &made_sender))
            .map_err(|e| CaptureError::Open {
                origin: description.name.clone(),
                cause: Box::new(e),
            })?;
        Ok(Self {
            description,
            pacing,
            first_sequence,
            start_ns,
            channels: Some(Channels { made, vacant }),
            maker: Some(thread),
            pending: None,
            lent: None,
            waiting_since_ns: None,
            next_index: 0,
            dropped: 0,
            faulty: 0,
            ended: false,
        })
    }

    /// The next message of the maker, or `None` when none comes before `deadline_ns`.
    fn receive(&self, deadline_ns: u64) -> Result<Option<Message>, CaptureError> {
        let wait = Duration::from_nanos(deadline_ns.saturating_sub(monotonic_ns()));
        let channels = self.channels.as_ref().expect("taken only by drop");
        match channels.made.recv_timeout(wait) {
            Ok(message) => Ok(Some(message)),
            Err(RecvTimeoutError::Timeout) => Ok(None),
            Err(RecvTimeoutError::Disconnected) => Err(CaptureError::Lost {
                origin: self.description.name.clone(),
                cause: "the thread that makes its pairs has died".into(),
            }),
        }
    }

    fn give_back(&self, buffer: PairBuffer) {
        let channels = self.channels.as_ref().expect("taken only by drop");
        // Fails only when the maker is gone, and then nobody needs the buffer; it never blocks, because
        // the channel has a place for every buffer.
        let _ = channels.vacant.try_send(buffer);
    }

    /// Accounts for every pair up to and including `index`; the last one was not delivered if `missed`.
    fn advance_past(&mut self, index: u64, missed: bool) {
        let passed = index - self.next_index + u64::from(missed);
        self.dropped = self.dropped.saturating_add(u32::try_from(passed).unwrap_or(u32::MAX));
        self.next_index = index + 1;
    }

    fn lend(&mut self, made: Made, start_ns: u64) -> Capture<'_> {
        self.advance_past(made.index, false);
        self.waiting_since_ns = None;
        let stamp = Stamp {
            time_ns: start_ns.saturating_add(made.due_ns),
            sequence: self.first_sequence + made.index,
        };
        let SourceDescription { format, size, .. } = self.description;
        let buffer = self.lent.insert(made.buffer);
        let image = |data| {
            Image::packed(format, size, data).expect("buffers are made for this format and size")
        };
        Capture::Frame(StereoFrame {
            left: image(&buffer.left),
            right: image(&buffer.right),
            left_stamp: stamp,
            right_stamp: stamp,
            dropped: std::mem::take(&mut self.dropped),
            faulty: std::mem::take(&mut self.faulty),
        })
    }

    fn fault(
        &mut self,
        index: u64,
        cause: Box<dyn Error + Send + Sync>,
        buffer: PairBuffer,
    ) -> CaptureError {
        self.advance_past(index, true);
        self.faulty = self.faulty.saturating_add(1);
        self.give_back(buffer);
        CaptureError::Fault {
            origin: self.description.name.clone(),
            sequence: self.first_sequence + index,
            cause,
        }
    }
}

impl FrameSource for Replay {
    fn description(&self) -> &SourceDescription {
        &self.description
    }

    fn next(&mut self, timeout: Duration) -> Result<Capture<'_>, CaptureError> {
        if let Some(buffer) = self.lent.take() {
            self.give_back(buffer);
        }
        if self.ended {
            return Ok(Capture::Ended);
        }
        let now_ns = monotonic_ns();
        let deadline_ns =
            now_ns.saturating_add(u64::try_from(timeout.as_nanos()).unwrap_or(u64::MAX));
        let start_ns = match self.start_ns.load(Ordering::Relaxed) {
            NOT_STARTED => {
                self.start_ns.store(now_ns, Ordering::Relaxed);
                now_ns
            }
            started => started,
        };
        // Not `now_ns`: a caller with a short timeout would reject each pair that took longer to make.
        let waiting_since_ns = *self.waiting_since_ns.get_or_insert(now_ns);
        loop {
            let message = match self.pending.take() {
                Some(made) => Some(Message::Made(made)),
                None => self.receive(deadline_ns)?,
            };
            let made = match message {
                None => return Ok(Capture::TimedOut),
                Some(Message::End) => {
                    self.ended = true;
                    return Ok(Capture::Ended);
                }
                Some(Message::Made(made)) => made,
            };
            if let Err(cause) = made.outcome {
                return Err(self.fault(made.index, cause, made.buffer));
            }
            if self.pacing == Pacing::Unpaced {
                return Ok(self.lend(made, start_ns));
            }
            if start_ns.saturating_add(made.superseded_ns) <= waiting_since_ns {
                self.give_back(made.buffer);
                continue;
            }
            let due_ns = start_ns.saturating_add(made.due_ns);
            if due_ns > deadline_ns {
                self.pending = Some(made);
                sleep_until(deadline_ns);
                return Ok(Capture::TimedOut);
            }
            sleep_until(due_ns);
            return Ok(self.lend(made, start_ns));
        }
    }
}

impl Drop for Replay {
    fn drop(&mut self) {
        // Without its channels the maker ends at the next pair.
        self.channels = None;
        if let Some(maker) = self.maker.take() {
            // A panic of the maker has already been reported by the panic hook.
            let _ = maker.join();
        }
    }
}

/// Checks the rate of a source that has no recorded times.
pub(super) fn check_rate(origin: &str, rate_hz: f64) -> Result<(), CaptureError> {
    if rate_hz > 0.0 && rate_hz <= MAX_RATE_HZ {
        return Ok(());
    }
    Err(CaptureError::Configuration {
        origin: origin.into(),
        field: "rate",
        found: format!("{rate_hz} pairs a second"),
        expected: format!("more than 0, at most {MAX_RATE_HZ}"),
    })
}

/// The maker's thread.
fn run(
    mut maker: impl PairMaker,
    pacing: Pacing,
    start_ns: &AtomicU64,
    vacant: &Receiver<PairBuffer>,
    made: &SyncSender<Message>,
) {
    let mut index = 0;
    while let Ok(mut buffer) = vacant.recv() {
        if pacing == Pacing::Clock {
            index = skip_superseded(&maker, index, start_ns.load(Ordering::Relaxed));
        }
        let Some(due_ns) = maker.due_ns(index) else {
            // Fails only when the replay is gone.
            let _ = made.send(Message::End);
            return;
        };
        let outcome = maker.make(index, &mut buffer);
        let superseded_ns = maker.due_ns(index + 1).unwrap_or(u64::MAX);
        let message = Message::Made(Made { index, due_ns, superseded_ns, outcome, buffer });
        if made.send(message).is_err() {
            return;
        }
        index += 1;
    }
}

/// The first pair from `index` on whose successor is not yet due.
fn skip_superseded(maker: &impl PairMaker, mut index: u64, start_ns: u64) -> u64 {
    if start_ns != NOT_STARTED {
        let elapsed_ns = monotonic_ns().saturating_sub(start_ns);
        while maker.due_ns(index + 1).is_some_and(|successor_ns| successor_ns <= elapsed_ns) {
            index += 1;
        }
    }
    index
}

fn sleep_until(time_ns: u64) {
    let wait_ns = time_ns.saturating_sub(monotonic_ns());
    if wait_ns > 0 {
        thread::sleep(Duration::from_nanos(wait_ns));
    }
}

/// No replay starts at the boot of the machine.
const NOT_STARTED: u64 = 0;

/// Beyond any camera; keeps due times apart.
const MAX_RATE_HZ: f64 = 1000.0;
