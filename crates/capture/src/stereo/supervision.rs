//! Keeps one camera going: opens it, notices that it has failed, closes it, and tries again ever more slowly.

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
    /// The longest pause.
    pub longest_pause: Duration,
    /// Attempts in a row after which the camera, and with it the source, is given up; `None`: never.
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
    /// Attempts in a row that brought no good image.
    attempts: u32,
    /// When the last good image came, or the source was opened.
    good_ns: u64,
    /// Whether it ever delivered.
    delivered: bool,
    damage: u32,
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
            delivered: false,
            damage: 0,
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
        match &self.phase {
            Phase::Streaming { since_ns, .. } => {
                let silent_ns = empty_ns.saturating_sub(self.good_ns.max(*since_ns));
                if u128::from(silent_ns) > self.retry.silence.as_nanos() {
                    let found = format!("no good image for {} ms", silent_ns / 1_000_000);
                    let error = self.unlike("stream", found, "images".into());
                    self.fail(Fault::Silent, &error, now_ns);
                }
                self.notice_absence(now_ns);
                Ok(false)
            }
            Phase::Pausing { until_ns } if now_ns < *until_ns => {
                self.notice_absence(now_ns);
                Ok(false)
            }
            Phase::Pausing { .. } | Phase::Opening => {
                self.phase = Phase::Opening;
                self.notice_absence(now_ns);
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
        let gone = fault == Fault::Disconnected || given_up || self.is_away(now_ns);
        let state = if gone { SourceState::Lost } else { SourceState::Degraded };
        // A lost camera stays lost while attempts fail: one line, not one per attempt.
        if state > self.health.state {
            log::warn!("{}: {state}: {error}", self.title);
            self.health.state = state;
        } else {
            log::debug!("{}: {error}", self.title);
        }
    }

    /// A good image came.
    pub(super) fn good(&mut self, now_ns: u64) {
        let away_ns = now_ns.saturating_sub(self.good_ns);
        self.good_ns = now_ns;
        self.damage = self.damage.saturating_sub(1);
        if self.attempts > 0 || !self.delivered {
            let level = if self.delivered {
                self.health.recoveries += 1;
                log::Level::Warn // whoever was told that it failed is told that it is back
            } else {
                log::Level::Info
            };
            log::log!(
                level,
                "{}: running, after {} ms and {} failed attempts",
                self.title,
                away_ns / 1_000_000,
                self.attempts
            );
            self.attempts = 0;
            self.delivered = true;
            self.health.state = SourceState::Running;
            self.damage = 0;
        } else if self.health.state != SourceState::Running && self.damage == 0 {
            log::warn!("{}: running: its images are whole again", self.title);
            self.health.state = SourceState::Running;
        }
    }

    /// An image came that cannot be used.
    pub(super) fn bad(&mut self) {
        self.damage = (self.damage + DAMAGE_COST).min(DAMAGE_MAX);
        if self.damage >= DAMAGE_DEGRADED && self.health.state == SourceState::Running {
            log::warn!("{}: degraded: many of its images are damaged", self.title);
            self.health.state = SourceState::Degraded;
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
        Ok(true)
    }

    /// Says once when a camera has been away for long.
    fn notice_absence(&mut self, now_ns: u64) {
        if self.attempts > 0 && self.health.state != SourceState::Lost && self.is_away(now_ns) {
            log::warn!("{}: lost: no good image since it failed", self.title);
            self.health.state = SourceState::Lost;
        }
    }

    fn is_away(&self, now_ns: u64) -> bool {
        u128::from(now_ns.saturating_sub(self.good_ns)) > self.retry.lost_after.as_nanos()
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
