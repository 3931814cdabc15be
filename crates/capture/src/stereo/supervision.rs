//! Keeps one camera going: opens it, notices that it has failed, closes it, and tries again ever more slowly.
//!
//! A camera that returns is believed at once, and healthy when it has delivered for a while ([`Retry::longest_pause`]).
//! One that fails again before that is not said to be running again until it is healthy, and its pauses go on growing:
//! a loose plug costs a few lines, not two for each contact.

use super::camera::{CameraPort, CameraStream};
use super::health::{CameraHealth, Fault, SourceState};
use crate::v4l2::{DeviceError, FourCc};
use occdepth_geometry::ImageSize;
use std::time::Duration;

/// When and how often a failed camera is tried again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Retry {
    /// The pause before the first attempt; each later one is twice as long.
    pub first_pause: Duration,
    /// The longest pause. A camera that has delivered for so long is healthy again.
    pub longest_pause: Duration,
    /// Attempts in a row, without being healthy in between, after which the camera, and with it the source, is given
    /// up; `None`: never.
    pub attempts: Option<u32>,
    /// A camera that delivers no good image for so long is opened anew.
    pub silence: Duration,
    /// A camera that is away for so long is lost; until then it is degraded.
    pub lost_after: Duration,
}

impl Default for Retry {
    /// 50 ms to 5 s, for ever; a second of silence; lost after two.
    fn default() -> Self {
        Self {
            first_pause: Duration::from_millis(50),
            longest_pause: Duration::from_secs(5),
            attempts: None,
            silence: Duration::from_secs(1),
            lost_after: Duration::from_secs(2),
        }
    }
}

/// What a camera has to deliver to fit the other one and the rig.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Expected {
    pub(super) code: FourCc,
    pub(super) size: ImageSize,
}

/// One camera and what is known of it.
#[derive(Debug)]
pub(super) struct Supervised {
    /// Before `port`, so that a stream is closed before its camera goes.
    phase: Phase,
    port: Box<dyn CameraPort>,
    retry: Retry,
    /// For messages: "left camera /dev/video0".
    title: String,
    pub(super) health: CameraHealth,
    /// Failures since it was last healthy.
    attempts: u32,
    /// When the last good image came, or the source was opened.
    good_ns: u64,
    /// When the camera was last found to have no image: nobody can say for how long it is silent after that.
    seen_ns: u64,
    /// When the first good image of the present stream came.
    streak_since_ns: Option<u64>,
    /// When the last good image came before it began to fail.
    trouble_since_ns: Option<u64>,
    /// It failed again before it was healthy.
    relapsing: bool,
    /// The worst that was said of it since it was said to be running.
    said: SourceState,
    /// Whether it ever delivered.
    delivered: bool,
    damage: u32,
    /// Its last image could not be used.
    doubted: bool,
    /// When it was last said that its count started anew.
    restart_said_ns: Option<u64>,
    /// Streams that it has had.
    streams: u64,
}

#[derive(Debug)]
enum Phase {
    Streaming { stream: Box<dyn CameraStream>, since_ns: u64 },
    Opening,
    Pausing { until_ns: u64 },
    GivenUp(Box<DeviceError>),
}

impl Supervised {
    /// A camera whose opening begins at once. `role`: "left camera".
    pub(super) fn new(role: &str, port: Box<dyn CameraPort>, retry: Retry, now_ns: u64) -> Self {
        let title = format!("{role} {}", port.name());
        let state = SourceState::Degraded;
        let health = CameraHealth { state, ..CameraHealth::default() };
        Self {
            phase: Phase::Opening,
            port,
            retry,
            title,
            health,
            attempts: 0,
            good_ns: now_ns,
            seen_ns: now_ns,
            streak_since_ns: None,
            trouble_since_ns: None,
            relapsing: false,
            said: state,
            delivered: false,
            damage: 0,
            doubted: false,
            restart_said_ns: None,
            streams: 0,
        }
    }

    pub(super) fn title(&self) -> &str {
        &self.title
    }

    pub(super) fn stream(&self) -> Option<&dyn CameraStream> {
        match &self.phase {
            Phase::Streaming { stream, .. } => Some(stream.as_ref()),
            _ => None,
        }
    }

    pub(super) fn stream_mut(&mut self) -> Option<&mut Box<dyn CameraStream>> {
        match &mut self.phase {
            Phase::Streaming { stream, .. } => Some(stream),
            _ => None,
        }
    }

    /// Streams that it has had, the present one included.
    pub(super) fn streams(&self) -> u64 {
        self.streams
    }

    /// Whether a good image came in the last `within_ns`.
    pub(super) fn delivers(&self, within_ns: u64, now_ns: u64) -> bool {
        self.streak_since_ns.is_some() && now_ns.saturating_sub(self.good_ns) < within_ns
    }

    /// Whether it takes a look into an image to know that it is good: at first, and after one that was not.
    pub(super) fn needs_proof(&self) -> bool {
        self.doubted || self.streak_since_ns.is_none()
    }

    /// Why it was given up, if it was.
    pub(super) fn given_up(&self) -> Option<&DeviceError> {
        match &self.phase {
            Phase::GivenUp(error) => Some(error),
            _ => None,
        }
    }

    /// Does what is due: opens, looks whether opening is done, notices silence. Never waits. Returns whether a stream
    /// has begun.
    ///
    /// `empty_ns` is when its queue was last seen empty: a camera is not silent because nobody asked it.
    ///
    /// # Errors
    /// Why an attempt to open failed. The next one is planned already.
    pub(super) fn attend(
        &mut self,
        expected: Option<Expected>,
        empty_ns: u64,
        now_ns: u64,
    ) -> Result<bool, DeviceError> {
        self.seen_ns = match &self.phase {
            Phase::Streaming { since_ns, .. } => empty_ns.max(*since_ns),
            _ => now_ns,
        };
        match &self.phase {
            Phase::Streaming { since_ns, .. } => {
                let silent_ns = empty_ns.saturating_sub(self.good_ns.max(*since_ns));
                if u128::from(silent_ns) > self.retry.silence.as_nanos() {
                    let found = format!("no good image for {} ms", silent_ns / 1_000_000);
                    let error = self.unlike("stream", found, "images".into());
                    self.fail(Fault::Silent, &error, now_ns);
                }
                self.notice_absence();
                Ok(false)
            }
            Phase::Pausing { until_ns } if now_ns < *until_ns => {
                self.notice_absence();
                Ok(false)
            }
            Phase::Pausing { .. } | Phase::Opening => {
                self.phase = Phase::Opening;
                self.notice_absence();
                match self.port.poll_open() {
                    None => Ok(false),
                    Some(Ok(stream)) => self.accept(stream, expected, now_ns),
                    Some(Err(error)) => {
                        self.fail(fault_of(&error), &error, now_ns);
                        Err(error)
                    }
                }
            }
            Phase::GivenUp(_) => Ok(false),
        }
    }

    /// The stream failed.
    pub(super) fn fail(&mut self, fault: Fault, error: &DeviceError, now_ns: u64) {
        self.health.faults.count(fault);
        self.relapsing |= self.attempts > 0 && self.streak_since_ns.is_some();
        self.streak_since_ns = None;
        self.trouble_since_ns.get_or_insert(self.good_ns);
        self.attempts = self.attempts.saturating_add(1);
        let pause = self.pause();
        let until_ns = now_ns.saturating_add(u64::try_from(pause.as_nanos()).unwrap_or(u64::MAX));
        let next = match self.retry.attempts {
            Some(most) if self.attempts > most => Phase::GivenUp(Box::new(error.clone())),
            _ => Phase::Pausing { until_ns },
        };
        if let Phase::Streaming { stream, .. } = std::mem::replace(&mut self.phase, next) {
            self.port.close(stream);
        }
        let given_up = matches!(self.phase, Phase::GivenUp(_));
        let gone = fault == Fault::Disconnected || given_up || self.is_away();
        let state = if gone { SourceState::Lost } else { SourceState::Degraded };
        self.health.state = self.health.state.max(state);
        // A lost camera stays lost while attempts fail: one line, not one per attempt.
        if state > self.said {
            log::warn!("{}: {state}: {error}", self.title);
            self.said = state;
        } else {
            log::debug!("{}: {error}", self.title);
        }
    }

    /// A good image came.
    pub(super) fn good(&mut self, now_ns: u64) {
        self.good_ns = now_ns;
        self.damage = self.damage.saturating_sub(1);
        self.doubted = false;
        let is_first = self.streak_since_ns.is_none();
        let since_ns = *self.streak_since_ns.get_or_insert(now_ns);
        if is_first {
            self.damage = 0;
            self.health.recoveries += u64::from(self.delivered && self.attempts > 0);
            // It delivers, though not for long perhaps.
            self.health.state = self.health.state.min(SourceState::Degraded);
        }
        let failures = self.attempts;
        let lasted_ns = u128::from(now_ns.saturating_sub(since_ns));
        if self.attempts > 0 && lasted_ns >= self.retry.longest_pause.as_nanos() {
            (self.attempts, self.relapsing) = (0, false);
        }
        if self.health.state == SourceState::Running || self.relapsing || self.damage > 0 {
            return;
        }
        self.health.state = SourceState::Running;
        self.said = SourceState::Running;
        let trouble_since_ns = self.trouble_since_ns.take();
        if std::mem::replace(&mut self.delivered, true) {
            match trouble_since_ns {
                // Whoever was told that it failed is told that it is back.
                Some(since_ns) => log::warn!(
                    "{}: running, after {} ms and {failures} failures",
                    self.title,
                    now_ns.saturating_sub(since_ns) / 1_000_000
                ),
                None => log::warn!("{}: running: its images are whole again", self.title),
            }
        } else {
            log::info!("{}: running, after {failures} failures", self.title);
        }
    }

    /// An image came that nobody looked into.
    pub(super) fn alive(&mut self, now_ns: u64) {
        self.good_ns = now_ns;
    }

    /// An image came that cannot be used.
    pub(super) fn bad(&mut self) {
        self.doubted = true;
        self.damage = (self.damage + DAMAGE_COST).min(DAMAGE_MAX);
        if self.damage >= DAMAGE_DEGRADED && self.health.state == SourceState::Running {
            log::warn!("{}: degraded: many of its images are damaged", self.title);
            self.health.state = SourceState::Degraded;
            self.said = SourceState::Degraded;
        }
    }

    /// Its driver counts its images from somewhere else, although the stream is the same.
    pub(super) fn restarted(&mut self, now_ns: u64) {
        self.health.faults.count(Fault::SequenceRestarted);
        let recently =
            self.restart_said_ns.is_some_and(|said| now_ns.saturating_sub(said) < SAY_AGAIN_NS);
        if !recently {
            log::warn!("{}: its count of images started anew", self.title);
            self.restart_said_ns = Some(now_ns);
        }
    }

    /// When something will be due at the earliest; `None` while it streams.
    pub(super) fn due_ns(&self) -> Option<u64> {
        match self.phase {
            Phase::Pausing { until_ns } => Some(until_ns),
            _ => None,
        }
    }

    fn accept(
        &mut self,
        stream: Box<dyn CameraStream>,
        expected: Option<Expected>,
        now_ns: u64,
    ) -> Result<bool, DeviceError> {
        let found = stream.format();
        let fits = |expected: Expected| expected.code == found.code && expected.size == found.size;
        if let Some(expected) = expected.filter(|&expected| !fits(expected)) {
            let show = |code: FourCc, size: ImageSize| {
                format!("{code} of {}x{} pixels", size.width, size.height)
            };
            let found = show(found.code, found.size);
            let error = self.unlike("format", found, show(expected.code, expected.size));
            self.port.close(stream);
            self.fail(Fault::FormatChanged, &error, now_ns);
            return Err(error);
        }
        self.phase = Phase::Streaming { stream, since_ns: now_ns };
        self.streams += 1;
        Ok(true)
    }

    /// Says once when a camera has been away for long: since it failed, or since it should have opened.
    fn notice_absence(&mut self) {
        let missed = self.attempts > 0 || matches!(self.phase, Phase::Opening);
        if missed && self.health.state != SourceState::Lost && self.is_away() {
            self.health.state = SourceState::Lost;
            if self.said < SourceState::Lost {
                self.said = SourceState::Lost;
                let since = if self.delivered { "since it failed" } else { "yet" };
                log::warn!("{}: lost: no good image {since}", self.title);
            }
        }
    }

    fn is_away(&self) -> bool {
        u128::from(self.seen_ns.saturating_sub(self.good_ns)) > self.retry.lost_after.as_nanos()
    }

    fn pause(&self) -> Duration {
        let doublings = self.attempts.saturating_sub(1).min(20);
        self.retry.first_pause.saturating_mul(1 << doublings).min(self.retry.longest_pause)
    }

    fn unlike(&self, field: &str, found: String, expected: String) -> DeviceError {
        DeviceError::Unsupported {
            device: self.port.name().to_owned(),
            field: field.to_owned(),
            found,
            expected,
        }
    }
}

/// Under which counter an error goes.
pub(super) fn fault_of(error: &DeviceError) -> Fault {
    match error {
        DeviceError::Missing { .. } | DeviceError::Disconnected { .. } => Fault::Disconnected,
        DeviceError::Busy { .. } => Fault::Busy,
        DeviceError::StreamBroken { .. } => Fault::StreamBroken,
        DeviceError::Unsupported { .. } => Fault::FormatChanged,
        DeviceError::Permission { .. }
        | DeviceError::NotACamera { .. }
        | DeviceError::Control { .. }
        | DeviceError::Request { .. } => Fault::Refused,
    }
}

/// A damaged image costs as much as four good ones repair: a camera is degraded when more than a fifth of its images
/// are damaged for a while.
const DAMAGE_COST: u32 = 4;
const DAMAGE_DEGRADED: u32 = 20;
const DAMAGE_MAX: u32 = 40;
/// A driver that restarts its count all the time says so once a minute.
const SAY_AGAIN_NS: u64 = 60_000_000_000;
