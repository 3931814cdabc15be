//! The cameras as a frame source.

use super::camera::{CameraPort, Clock};
use super::cameras::{Cameras, DRAIN_MAX};
use super::health::{Fault, Pairing, SourceHealth, SourceState};
use super::pairing::{Match, Matcher, Release, Rules, Side};
use super::statistics::{Skew, drift_ppm};
use super::supervision::{Expected, Retry, Supervised, fault_of};
use super::timeline::Moment;
use super::view::{Layout, coding};
use crate::v4l2::{Dequeued, DeviceError, Filled, FourCc};
use crate::{Capture, CaptureError, FrameSource, SourceDescription, Stamp, StereoFrame};
use occdepth_geometry::ImageSize;
use std::time::Duration;

/// Two cameras, or one with both views, as a source of pairs.
///
/// Once open it does not end: a camera that fails is opened again for as long as [`Retry`] says, and meanwhile
/// [`FrameSource::next`] times out. [`FrameSource::health`] tells how it is. A state is logged when it changes, never
/// per image. While all cameras run, `next` neither allocates nor locks (the JPEG decoder aside).
#[derive(Debug)]
pub struct StereoCameras {
    cameras: Cameras,
    matcher: Matcher,
    /// Of one device with both views: the newest image.
    newest: Option<(usize, Moment)>,
    /// Buffers in the caller's hands, by camera.
    lent: [Option<usize>; 2],
    description: SourceDescription,
    layout: Option<Layout>,
    rules: Rules,
    delivered: Delivered,
    announced: (Pairing, bool),
    clock: Box<dyn Clock>,
}

/// Where the images come from.
#[derive(Debug)]
pub enum Ports {
    /// A camera for each view.
    Two {
        /// The physical left camera.
        left: Box<dyn CameraPort>,
        /// The physical right camera.
        right: Box<dyn CameraPort>,
    },
    /// One device for both.
    One {
        /// The device.
        device: Box<dyn CameraPort>,
        /// How the views lie in its images.
        layout: Layout,
    },
}

/// How images become pairs, and what happens when they do not come.
#[derive(Clone, Debug, PartialEq)]
pub struct StereoOptions {
    /// Size of one view: that of the rig's images.
    pub size: ImageSize,
    /// The format, where it is known before a camera is: needed by `start_without`.
    pub format: Option<FourCc>,
    /// Pairs a second, for drivers that do not say.
    pub rate_hz: Option<f64>,
    /// How pairs are found. One device with both views has pairs already.
    pub pairing: Pairing,
    /// How far apart the images of a pair may be; half a period when absent.
    pub max_skew: Option<Duration>,
    /// How long a pair may have waited in the drivers' queues; two periods when absent.
    pub max_age: Option<Duration>,
    /// When a failed camera is tried again.
    pub retry: Retry,
    /// How long to wait for the cameras at the start.
    pub start_within: Duration,
    /// Starts without cameras if they are not there by then.
    pub start_without: bool,
}

impl StereoOptions {
    /// By time stamp, within five seconds of start, both cameras.
    pub fn new(size: ImageSize) -> Self {
        Self {
            size,
            format: None,
            rate_hz: None,
            pairing: Pairing::Timestamp,
            max_skew: None,
            max_age: None,
            retry: Retry::default(),
            start_within: Duration::from_secs(5),
            start_without: false,
        }
    }
}

/// What was delivered so far.
#[derive(Debug, Default)]
struct Delivered {
    pairs: u64,
    stale: u64,
    skew: Skew,
    /// The left camera's number of the last pair.
    sequence: Option<u64>,
    /// Images that could not be used since then.
    faulty: u32,
}

/// A pair that is about to be lent: buffer and moment of each view.
type Ready = [(usize, Moment); 2];

enum Found {
    Pair(Ready),
    Nothing,
}

impl StereoCameras {
    /// Opens the cameras and waits for their streams.
    ///
    /// # Errors
    /// [`CaptureError::Configuration`] when a device is no camera or cannot do what is asked, and when the two cameras
    /// differ; [`CaptureError::Open`] when one does not come in time or may not be opened.
    pub fn open(
        ports: Ports,
        options: &StereoOptions,
        clock: Box<dyn Clock>,
    ) -> Result<Self, CaptureError> {
        let now_ns = clock.now_ns();
        let supervised = |role, port| Supervised::new(role, port, options.retry, now_ns);
        let (list, layout) = match ports {
            Ports::Two { left, right } => {
                (vec![supervised("left camera", left), supervised("right camera", right)], None)
            }
            Ports::One { device, layout } => (vec![supervised("camera", device)], Some(layout)),
        };
        let origin = list.iter().map(Supervised::title).collect::<Vec<_>>().join(", ");
        let image_size = match layout {
            None => Some(options.size),
            Some(layout) => layout.image_size(options.size),
        };
        let image_size = image_size.ok_or_else(|| CaptureError::Configuration {
            origin: origin.clone(),
            field: "layout",
            found: format!("views of {}x{}", options.size.width, options.size.height),
            expected: "two views that fit into one image".into(),
        })?;
        let mut cameras = Cameras::new(list);
        cameras.expected = options.format.map(|code| Expected { code, size: image_size });
        cameras.start(&origin, image_size, layout, options, clock.as_ref())?;
        let code = cameras.expected.map(|expected| expected.code);
        let coding = code.and_then(coding).ok_or_else(|| CaptureError::Configuration {
            origin: origin.clone(),
            field: "format",
            found: code.map_or_else(|| "none".into(), |code| code.to_string()),
            expected: "a pixel format that is understood".into(),
        })?;
        let rate_hz = cameras.rate_hz().or(options.rate_hz);
        let period_ns = period_ns(rate_hz.unwrap_or(RATE_GUESS_HZ));
        cameras.period_ns = period_ns;
        let rules = Rules {
            policy: options.pairing,
            max_skew_ns: options.max_skew.map_or(period_ns / 2, nanoseconds),
            max_age_ns: options.max_age.map_or(2 * period_ns, nanoseconds),
        };
        let pairing = if layout.is_some() { Pairing::OneImage } else { options.pairing };
        if pairing == Pairing::Arrival {
            log::warn!(
                "{origin}: pairs are found by arrival: bus and scheduler are in these times"
            );
        }
        let matcher = Matcher::new(rules, cameras.depths());
        let colour = cameras.colour(&origin);
        Ok(Self {
            matcher,
            cameras,
            newest: None,
            lent: [None; 2],
            description: SourceDescription {
                name: origin,
                size: options.size,
                format: coding.pixel_format(),
                colour,
                rate_hz,
            },
            layout,
            rules,
            delivered: Delivered::default(),
            announced: (pairing, false),
            clock,
        })
    }

    /// Waits for a pair until `deadline_ns`.
    fn find(&mut self, deadline_ns: u64) -> Result<Found, CaptureError> {
        loop {
            let now_ns = self.clock.now_ns();
            self.settle(now_ns);
            self.cameras.attend(self.layout, now_ns);
            if let Some((title, error)) = self.cameras.given_up() {
                let (origin, cause) = (title.to_owned(), Box::new(error.clone()));
                return Err(CaptureError::Lost { origin, cause });
            }
            if !self.cameras.all_stream() {
                // What the other camera delivers meanwhile has no partner.
                self.cameras.discard(now_ns);
                if now_ns >= deadline_ns {
                    return Ok(Found::Nothing);
                }
                self.clock.sleep_until(self.cameras.due_ns(now_ns).min(deadline_ns));
                continue;
            }
            self.resume(now_ns);
            for _ in 0..DRAIN_MAX {
                // In turns, so that partners meet in the windows.
                let mut more = false;
                for camera in 0..self.cameras.list.len() {
                    more |= self.look(camera, 0);
                }
                if !more {
                    break;
                }
            }
            if let Some(pair) = self.take(self.clock.now_ns()) {
                return Ok(Found::Pair(pair));
            }
            let now_ns = self.clock.now_ns();
            if now_ns >= deadline_ns {
                return Ok(Found::Nothing);
            }
            self.wait(now_ns, deadline_ns);
        }
    }

    /// Waits for the image that is missing. Not for long: the cameras have to be attended to.
    fn wait(&mut self, now_ns: u64, deadline_ns: u64) {
        if self.layout.is_none() && self.matcher.needs_arrival() {
            // Watched closely, so that the time of arrival is known.
            let slice_ns = (self.rules.max_skew_ns / 8).max(SLICE_MIN_NS);
            for camera in 0..2 {
                self.look(camera, self.clock.now_ns().saturating_add(slice_ns).min(deadline_ns));
            }
            return;
        }
        let behind = match (self.matcher.newest_ns(Side::Left), self.matcher.newest_ns(Side::Right))
        {
            _ if self.layout.is_some() => 0,
            _ if !self.matcher.has(Side::Left) => 0,
            _ if !self.matcher.has(Side::Right) => 1,
            (left, right) => usize::from(left > right),
        };
        self.look(behind, deadline_ns.min(now_ns.saturating_add(WAIT_NS)));
    }

    /// Takes one image from a camera, waiting until `deadline_ns`. Whether there was one.
    fn look(&mut self, camera: usize, deadline_ns: u64) -> bool {
        let Some(stream) = self.cameras.list[camera].stream_mut() else { return false };
        let result = stream.dequeue(deadline_ns);
        let now_ns = self.clock.now_ns();
        match result {
            Ok(Dequeued::Filled(filled)) => {
                self.intake(camera, &filled, now_ns);
                return true;
            }
            Ok(Dequeued::Nothing) => self.cameras.feeds[camera].empty_ns = now_ns,
            Ok(Dequeued::SourceChanged) => {
                let error = DeviceError::Unsupported {
                    device: self.cameras.list[camera].title().to_owned(),
                    field: "source".into(),
                    found: "another resolution".into(),
                    expected: "the one that the stream began with".into(),
                };
                self.cameras.list[camera].fail(Fault::FormatChanged, &error, now_ns);
            }
            Err(error) => self.cameras.list[camera].fail(fault_of(&error), &error, now_ns),
        }
        false
    }

    fn intake(&mut self, camera: usize, filled: &Filled, now_ns: u64) {
        let Some(moment) = self.cameras.judge(camera, filled, now_ns) else {
            self.delivered.faulty = self.delivered.faulty.saturating_add(1);
            self.cameras.queue(camera, filled.index, now_ns);
            return;
        };
        let Self { cameras, matcher, newest, .. } = self;
        if self.layout.is_some() {
            if let Some((older, _)) = newest.replace((filled.index, moment)) {
                cameras.release(Side::Left, older, Release::Superseded, now_ns);
            }
            return;
        }
        matcher.insert(Side::BOTH[camera], filled.index, moment, &mut |side, buffer, why| {
            cameras.release(side, buffer, why, now_ns);
        });
    }

    /// The newest pair, its images decoded.
    fn take(&mut self, now_ns: u64) -> Option<Ready> {
        loop {
            let ready = self.take_undecoded(now_ns)?;
            let mut whole = true;
            for (camera, &(buffer, _)) in ready.iter().enumerate().take(self.cameras.list.len()) {
                whole &= self.cameras.decode(camera, buffer);
            }
            if whole {
                return Some(ready);
            }
            self.delivered.faulty = self.delivered.faulty.saturating_add(1);
            for (camera, &(buffer, _)) in ready.iter().enumerate().take(self.cameras.list.len()) {
                self.cameras.queue(camera, buffer, now_ns);
            }
        }
    }

    fn take_undecoded(&mut self, now_ns: u64) -> Option<Ready> {
        let Self { cameras, matcher, newest, delivered, rules, .. } = self;
        if self.layout.is_some() {
            let (buffer, moment) = newest.take()?;
            if moment.is_stale(rules.max_age_ns, now_ns) {
                delivered.stale += 1;
                cameras.release(Side::Left, buffer, Release::Stale, now_ns);
                return None;
            }
            delivered.skew.record(0);
            return Some([(buffer, moment); 2]);
        }
        loop {
            let found = matcher.take(now_ns, &mut |side, buffer, why| {
                cameras.release(side, buffer, why, now_ns);
            });
            match found {
                Match::Pair(pair) => {
                    if let Some(skew_ns) = pair.skew_ns {
                        delivered.skew.record(skew_ns);
                    }
                    return Some(pair.images.map(|image| (image.buffer, image.moment)));
                }
                Match::Stale => delivered.stale += 1,
                Match::Nothing => return None,
            }
        }
    }

    /// Takes the caller's buffers back.
    fn give_back(&mut self) {
        let now_ns = self.clock.now_ns();
        for camera in 0..2 {
            if let Some(buffer) = self.lent[camera].take() {
                self.cameras.queue(camera, buffer, now_ns);
            }
        }
    }

    /// Forgets everything that waits when a camera has failed since it was looked at last: no pair joins images from
    /// before and after.
    fn settle(&mut self, now_ns: u64) {
        if self.cameras.all_stream() {
            return;
        }
        let Self { cameras, matcher, newest, .. } = self;
        matcher.flush(&mut |side, buffer, why| cameras.release(side, buffer, why, now_ns));
        *newest = None;
        cameras.flushed = true;
    }

    /// All streams run: after a rebuild, pairing begins anew.
    fn resume(&mut self, now_ns: u64) {
        let Self { cameras, matcher, .. } = self;
        if std::mem::take(&mut cameras.flushed) {
            let depths = cameras.depths();
            matcher.restart(depths, &mut |side, buffer, why| {
                cameras.release(side, buffer, why, now_ns);
            });
        }
    }

    /// Says once when pairs are found in another way than before.
    fn announce(&mut self) {
        let pairing = self.pairing();
        let mistrust = self.matcher.mistrust();
        let now = (pairing, mistrust.is_some());
        if self.layout.is_some() || self.announced == now {
            return;
        }
        self.announced = now;
        match mistrust {
            Some(why) => {
                log::warn!("{}: pairs are found by {pairing}: {why}", self.description.name);
            }
            None => log::warn!("{}: pairs are found by {pairing} again", self.description.name),
        }
    }

    fn pairing(&self) -> Pairing {
        if self.layout.is_some() { Pairing::OneImage } else { self.matcher.pairing() }
    }

    fn lend(&mut self, ready: &Ready) -> Result<Capture<'_>, CaptureError> {
        let [left, right] = ready;
        let both = self.cameras.list.len() == 2;
        self.lent = [Some(left.0), both.then_some(right.0)];
        let before = self.delivered.sequence.replace(left.1.sequence);
        let dropped =
            before.map_or(0, |before| left.1.sequence.saturating_sub(before).saturating_sub(1));
        let dropped = u32::try_from(dropped).unwrap_or(u32::MAX);
        let faulty = std::mem::take(&mut self.delivered.faulty).min(dropped);
        self.delivered.pairs += 1;
        let cameras = &self.cameras;
        let images = [(0, left.0), if both { (1, right.0) } else { (0, left.0) }];
        let view = |side: usize| {
            let (camera, buffer) = images[side];
            cameras.image(camera, buffer, if both { 0 } else { side })
        };
        // Checked when the image came; a source that is wrong about it loses a pair and says so.
        let (Some(left_image), Some(right_image)) = (view(0), view(1)) else {
            return Err(CaptureError::Fault {
                origin: self.description.name.clone(),
                sequence: left.1.sequence,
                cause: "a buffer holds less than an image".into(),
            });
        };
        Ok(Capture::Frame(StereoFrame {
            left: left_image,
            right: right_image,
            left_stamp: stamp(&left.1),
            right_stamp: stamp(&right.1),
            dropped,
            faulty,
        }))
    }
}

impl FrameSource for StereoCameras {
    fn description(&self) -> &SourceDescription {
        &self.description
    }

    fn next(&mut self, timeout: Duration) -> Result<Capture<'_>, CaptureError> {
        let deadline_ns = self.clock.now_ns().saturating_add(nanoseconds(timeout));
        self.give_back();
        let found = self.find(deadline_ns);
        self.announce();
        match found? {
            Found::Pair(ready) => self.lend(&ready),
            Found::Nothing => Ok(Capture::TimedOut),
        }
    }

    fn health(&self) -> SourceHealth {
        let cameras = &self.cameras.list;
        let mistrust = if self.layout.is_some() { None } else { self.matcher.mistrust() };
        let worst = cameras.iter().map(|camera| camera.health.state).max().unwrap_or_default();
        let state = if mistrust.is_some() { worst.max(SourceState::Degraded) } else { worst };
        let drift_ppm = match self.cameras.feeds.as_slice() {
            [left, right] => drift_ppm(left.timeline.period(), right.timeline.period()),
            _ => None,
        };
        SourceHealth {
            state,
            pairing: Some(self.pairing()),
            mistrust,
            pairs: self.delivered.pairs,
            stale_pairs: self.delivered.stale,
            contradicted_pairs: self.matcher.contradicted(),
            skew: self.delivered.skew,
            drift_ppm,
            cameras: [cameras.first(), cameras.get(1)].map(|camera| camera.map(|c| c.health)),
        }
    }
}

fn stamp(moment: &Moment) -> Stamp {
    let time_ns = moment.driver_ns.unwrap_or(moment.arrival_ns);
    Stamp { time_ns, sequence: moment.sequence }
}

fn period_ns(rate_hz: f64) -> u64 {
    crate::nanoseconds(1.0 / rate_hz).unwrap_or(u64::MAX / 4).clamp(1, u64::MAX / 4)
}

pub(super) fn nanoseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

/// For drivers and configurations that do not say.
const RATE_GUESS_HZ: f64 = 30.0;
/// How long an image is waited for before the cameras are attended to again.
const WAIT_NS: u64 = 100_000_000;
/// The closest watch for arrivals.
const SLICE_MIN_NS: u64 = 500_000;
