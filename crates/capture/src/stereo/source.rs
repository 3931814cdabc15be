//! The cameras as a frame source.

use super::camera::{CameraPort, Clock};
use super::cameras::{Cameras, DRAIN_MAX};
use super::drought::{Distances, Drought};
use super::health::{Pairing, SourceHealth, SourceState};
use super::pairing::{Match, Matcher, Release, Rules, Side};
use super::rate::Rate;
use super::statistics::{Skew, drift_ppm};
use super::supervision::{Expected, Retry, Supervised, fault_of};
use super::timeline::Moment;
use super::view::{Layout, coding};
use crate::buffers::{Export, LentBuffer};
use crate::v4l2::{Dequeued, Filled, FourCc};
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
    rate: Rate,
    rules: Rules,
    drought: Drought,
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
    /// How far apart the images of a pair may be; half a period when absent, which is also the most.
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
    /// [`CaptureError::Configuration`] when a device is no camera or cannot do what is asked, when the two cameras
    /// differ, and when the permitted skew is more than half a period; [`CaptureError::Open`] when one does not come in
    /// time or may not be opened.
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
        let pairing = if layout.is_some() { Pairing::OneImage } else { options.pairing };
        let rate = Rate::new(&origin, pairing, options, cameras.fastest_hz())?;
        cameras.period_ns = rate.period_ns();
        let rules = rate.rules();
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
                paced: true,
            },
            layout,
            rate,
            rules,
            drought: Drought::new(&options.retry),
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
                self.drought.pause();
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
            self.learn_rate();
            let now_ns = self.clock.now_ns();
            if let Some(pair) = self.take(now_ns) {
                self.drought.pair(&self.description.name, now_ns);
                return Ok(Found::Pair(pair));
            }
            let now_ns = self.clock.now_ns();
            self.notice_drought(now_ns);
            if now_ns >= deadline_ns {
                return Ok(Found::Nothing);
            }
            self.wait(now_ns, deadline_ns);
        }
    }

    /// Looks once whether the cameras' period is what it was said to be.
    fn learn_rate(&mut self) {
        let Some(images) = self.rate.images_wanted() else { return };
        let Some(measured_ns) = self.cameras.measured_ns(images) else { return };
        if self.rate.measured(&self.description.name, measured_ns) {
            self.apply_rate();
        }
    }

    fn apply_rate(&mut self) {
        self.rules = self.rate.rules();
        self.cameras.period_ns = self.rate.period_ns();
        self.matcher.set_rules(self.rules);
    }

    fn notice_drought(&mut self, now_ns: u64) {
        if self.layout.is_some() {
            return;
        }
        let both_deliver = self.cameras.all_deliver(self.drought.silence_ns(), now_ns);
        let distances = Distances {
            nearest_ns: self.matcher.nearest_ns(),
            max_skew_ns: self.rules.max_skew_ns,
        };
        self.drought.nothing(&self.description.name, both_deliver, distances, now_ns);
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
            Ok(Dequeued::SourceChanged) => self.cameras.source_changed(camera, now_ns),
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
            matcher.judge_times(Side::Left, &moment, &mut |_, _, _| {});
            if let Some((older, _)) = newest.replace((filled.index, moment)) {
                cameras.release(Side::Left, older, Release::Superseded, now_ns);
            }
            return;
        }
        let recounted = std::mem::take(&mut cameras.feeds[camera].recounted);
        let mut release = |side, buffer, why| cameras.release(side, buffer, why, now_ns);
        if recounted {
            matcher.recount(&mut release);
        }
        matcher.insert(Side::BOTH[camera], filled.index, moment, &mut release);
    }

    /// The newest pair, its images decoded.
    fn take(&mut self, now_ns: u64) -> Option<Ready> {
        loop {
            let ready = self.take_undecoded(now_ns)?;
            let mut whole = true;
            for (camera, &(buffer, _)) in ready.iter().enumerate().take(self.cameras.list.len()) {
                whole &= self.cameras.decode(camera, buffer, now_ns);
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
        let Self { cameras, matcher, newest, delivered, rules, drought, .. } = self;
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
                    if let (Some(skew_ns), None) = (pair.skew_ns, matcher.mistrust()) {
                        delivered.skew.record(skew_ns);
                    }
                    return Some(pair.images.map(|image| (image.buffer, image.moment)));
                }
                Match::Stale => {
                    delivered.stale += 1;
                    drought.stale_pair();
                }
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
            // A camera may be faster than before, or here for the first time.
            self.rate.told(cameras.fastest_hz());
            self.rules = self.rate.rules();
            cameras.period_ns = self.rate.period_ns();
            matcher.set_rules(self.rules);
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
        if self.announced == now {
            return;
        }
        self.announced = now;
        let name = &self.description.name;
        match (mistrust, pairing) {
            (Some(why), Pairing::OneImage) => {
                log::warn!("{name}: images are dated by their arrival: {why}");
            }
            (None, Pairing::OneImage) => log::warn!("{name}: images are dated by the driver again"),
            (Some(why), _) => log::warn!("{name}: pairs are found by {pairing}: {why}"),
            (None, _) => log::warn!("{name}: pairs are found by {pairing} again"),
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

    fn lent_buffers(&self) -> [Option<LentBuffer>; 2] {
        let [left, right] = self.lent;
        if self.layout.is_some() {
            return [0, 1].map(|view| self.cameras.place(0, left?, view));
        }
        [
            left.and_then(|buffer| self.cameras.place(0, buffer, 0)),
            right.and_then(|buffer| self.cameras.place(1, buffer, 0)),
        ]
    }

    fn export_buffers(&self, camera: usize) -> Export {
        self.cameras.export(camera)
    }

    fn health(&self) -> SourceHealth {
        let cameras = &self.cameras.list;
        let mistrust = self.matcher.mistrust();
        let worst = cameras.iter().map(|camera| camera.health.state).max().unwrap_or_default();
        let trusting =
            if mistrust.is_some() { SourceState::Degraded } else { SourceState::Running };
        let dry = self.drought.state();
        let state = worst.max(trusting).max(dry);
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
            nearest_ns: self.matcher.nearest_ns().filter(|_| dry != SourceState::Running),
            drift_ppm,
            cameras: [cameras.first(), cameras.get(1)].map(|camera| camera.map(|c| c.health)),
        }
    }
}

fn stamp(moment: &Moment) -> Stamp {
    let time_ns = moment.driver_ns.unwrap_or(moment.arrival_ns);
    Stamp { time_ns, sequence: moment.sequence }
}

pub(super) fn nanoseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

/// How long an image is waited for before the cameras are attended to again.
const WAIT_NS: u64 = 100_000_000;
/// The closest watch for arrivals.
const SLICE_MIN_NS: u64 = 500_000;
