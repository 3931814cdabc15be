//! The cameras of a source, one or two: opening them, taking their images, giving buffers back.

use super::camera::{CameraStream, Clock};
use super::health::Fault;
use super::jpeg::Decoded;
use super::pairing::{DEPTH_MAX, Release, Side};
use super::source::{StereoOptions, nanoseconds};
use super::supervision::{Expected, Supervised, fault_of};
use super::timeline::{Moment, Step, Timeline};
use super::view::{Coding, Layout, View, coding, yuv_encoding};
use crate::buffers::{Export, ExportedBuffers, LentBuffer};
use crate::v4l2::{Dequeued, DeviceError, Filled, Recovery};
use crate::{CaptureError, Image, YuvEncoding};
use occdepth_geometry::ImageSize;

/// One camera or two, and what is known of their images.
#[derive(Debug)]
pub(super) struct Cameras {
    pub(super) list: Vec<Supervised>,
    pub(super) feeds: Vec<Feed>,
    pub(super) expected: Option<Expected>,
    pub(super) period_ns: u64,
    /// A stream has ended since all of them ran.
    pub(super) flushed: bool,
}

/// The images of one camera.
#[derive(Debug, Default)]
pub(super) struct Feed {
    pub(super) timeline: Timeline,
    /// When the driver's queue was last seen empty.
    pub(super) empty_ns: u64,
    /// The driver's count started anew, and pairing has not heard of it yet.
    pub(super) recounted: bool,
    /// One view, or both in one image.
    views: [Option<View>; 2],
    decoded: Option<Decoded>,
}

impl Cameras {
    pub(super) fn new(list: Vec<Supervised>) -> Self {
        let feeds = list.iter().map(|_| Feed::default()).collect();
        Self { list, feeds, expected: None, period_ns: 1, flushed: true }
    }

    /// Opens all cameras.
    pub(super) fn start(
        &mut self,
        origin: &str,
        size: ImageSize,
        layout: Option<Layout>,
        options: &StereoOptions,
        clock: &dyn Clock,
    ) -> Result<(), CaptureError> {
        let deadline_ns = clock.now_ns().saturating_add(nanoseconds(options.start_within));
        let mut failures: Vec<Option<DeviceError>> = vec![None; self.list.len()];
        loop {
            let now_ns = clock.now_ns();
            for (camera, failure) in failures.iter_mut().enumerate() {
                match self.attend_one(camera, layout, now_ns) {
                    Ok(()) => {}
                    Err(error) if error.recovery() == Recovery::Change => {
                        return Err(at_start(error));
                    }
                    Err(error) => *failure = Some(error),
                }
                // The first camera decides for the other.
                if let Some(stream) = self.list[camera].stream() {
                    let code = stream.format().code;
                    self.expected.get_or_insert(Expected { code, size });
                }
            }
            if self.all_stream() {
                return Ok(());
            }
            if now_ns >= deadline_ns {
                break;
            }
            clock.sleep_until(self.due_ns(now_ns).min(deadline_ns));
        }
        if options.start_without && self.expected.is_some() {
            log::warn!("{origin}: started without all cameras");
            return Ok(());
        }
        let missing = self.list.iter().position(|camera| camera.stream().is_none()).unwrap_or(0);
        let cause: Box<dyn std::error::Error + Send + Sync> = match failures[missing].take() {
            Some(error) => Box::new(error),
            None => format!("it did not open within {:?}", options.start_within).into(),
        };
        Err(CaptureError::Open { origin: self.list[missing].title().to_owned(), cause })
    }

    pub(super) fn attend(&mut self, layout: Option<Layout>, now_ns: u64) {
        for camera in 0..self.list.len() {
            // Already logged and counted where it happened.
            let _ = self.attend_one(camera, layout, now_ns);
        }
    }

    pub(super) fn attend_one(
        &mut self,
        camera: usize,
        layout: Option<Layout>,
        now_ns: u64,
    ) -> Result<(), DeviceError> {
        let supervised = &mut self.list[camera];
        if !supervised.attend(self.expected, self.feeds[camera].empty_ns, now_ns)? {
            return Ok(());
        }
        let Some(stream) = supervised.stream() else { return Ok(()) };
        match self.feeds[camera].begin(stream, supervised.title(), layout, now_ns) {
            Ok(()) => Ok(()),
            Err(error) => {
                supervised.fail(Fault::FormatChanged, &error, now_ns);
                Err(error)
            }
        }
    }

    pub(super) fn all_stream(&self) -> bool {
        self.list.iter().all(|camera| camera.stream().is_some())
    }

    pub(super) fn given_up(&self) -> Option<(&str, &DeviceError)> {
        self.list.iter().find_map(|camera| Some((camera.title(), camera.given_up()?)))
    }

    /// When to attend to the cameras again while one of them is away.
    pub(super) fn due_ns(&self, now_ns: u64) -> u64 {
        let due = self.list.iter().filter_map(Supervised::due_ns).min();
        let look_again = now_ns.saturating_add(OPENING_NS);
        due.map_or(look_again, |due| due.clamp(now_ns.saturating_add(1), look_again))
    }

    /// The slowest camera's rate decides how many pairs there can be.
    pub(super) fn rate_hz(&self) -> Option<f64> {
        self.rates().reduce(f64::min)
    }

    /// The fastest camera's rate decides how far apart images of one moment can be.
    pub(super) fn fastest_hz(&self) -> Option<f64> {
        self.rates().reduce(f64::max)
    }

    fn rates(&self) -> impl Iterator<Item = f64> {
        self.list.iter().filter_map(|camera| camera.stream()?.rate_hz())
    }

    /// The faster camera's period, ns, once `images` of each were seen.
    pub(super) fn measured_ns(&self, images: u64) -> Option<f64> {
        let mut fastest = f64::INFINITY;
        for feed in &self.feeds {
            fastest = fastest.min(feed.timeline.measured_ns(images)?);
        }
        Some(fastest)
    }

    /// Whether each camera has delivered a good image in the last `within_ns`.
    pub(super) fn all_deliver(&self, within_ns: u64, now_ns: u64) -> bool {
        self.list.iter().all(|camera| camera.delivers(within_ns, now_ns))
    }

    /// What luma and chroma mean, by the word of the first camera that is there.
    pub(super) fn colour(&self, origin: &str) -> YuvEncoding {
        let mut tags = self.list.iter().filter_map(|camera| Some(camera.stream()?.format().colour));
        let Some(first) = tags.next() else { return YuvEncoding::default() };
        let colour = yuv_encoding(first);
        if !first.is_known() {
            log::warn!("{origin}: an unknown encoding of colours is taken for BT.601");
        }
        if tags.any(|other| yuv_encoding(other) != colour) {
            log::warn!("{origin}: the cameras encode colours differently; the first one's is used");
        }
        colour
    }

    /// How many images of each camera may wait: what it has, less one that is lent or filled, and one to fill.
    pub(super) fn depths(&self) -> [usize; 2] {
        std::array::from_fn(|camera| {
            let buffers = self.list.get(camera).and_then(Supervised::stream);
            let buffers = buffers.map_or(0, CameraStream::buffer_count);
            buffers.saturating_sub(2).clamp(1, DEPTH_MAX)
        })
    }

    /// Takes everything that running cameras have and gives it back at once.
    pub(super) fn discard(&mut self, now_ns: u64) {
        for camera in 0..self.list.len() {
            for _ in 0..DRAIN_MAX {
                let Some(stream) = self.list[camera].stream_mut() else { break };
                match stream.dequeue(0) {
                    Ok(Dequeued::Filled(filled)) => {
                        if self.judge(camera, &filled, now_ns).is_some() {
                            self.list[camera].health.unpaired += 1;
                        }
                        self.queue(camera, filled.index, now_ns);
                    }
                    Ok(Dequeued::Nothing) => break,
                    // Told once: to go on would be to take the new source for the old one.
                    Ok(Dequeued::SourceChanged) => self.source_changed(camera, now_ns),
                    Err(error) => self.list[camera].fail(fault_of(&error), &error, now_ns),
                }
            }
            self.feeds[camera].empty_ns = now_ns;
        }
    }

    /// The source of a camera delivers another picture: its stream is to be built anew.
    pub(super) fn source_changed(&mut self, camera: usize, now_ns: u64) {
        let error = DeviceError::Unsupported {
            device: self.list[camera].title().to_owned(),
            field: "source".into(),
            found: "another resolution".into(),
            expected: "the one that the stream began with".into(),
        };
        self.list[camera].fail(Fault::FormatChanged, &error, now_ns);
    }

    /// Counts an image; `None` if it cannot be used.
    pub(super) fn judge(&mut self, camera: usize, filled: &Filled, now_ns: u64) -> Option<Moment> {
        let (supervised, feed) = (&mut self.list[camera], &mut self.feeds[camera]);
        let (moment, step) = feed.timeline.place(filled, now_ns, feed.empty_ns, self.period_ns);
        let health = &mut supervised.health;
        health.images += 1;
        match step {
            Step::Forward { missing } => {
                health.dropped += missing;
                health.gaps += u64::from(missing > 0);
            }
            Step::Restarted => {
                feed.recounted = true;
                supervised.restarted(now_ns);
            }
            Step::Uncounted => {}
        }
        let stream = supervised.stream()?;
        let readable = feed.views.iter().flatten().all(|view| match feed.decoded {
            Some(_) => stream.plane(filled.index, 0).is_some_and(|jpeg| !jpeg.is_empty()),
            None => view.image(stream, filled.index).is_some(),
        });
        let health = &mut supervised.health;
        if filled.damaged {
            health.damaged += 1;
        } else if !readable {
            health.unreadable += 1;
        } else if feed.decoded.is_none() {
            supervised.good(now_ns);
            return Some(moment);
        } else if !supervised.needs_proof() {
            // A JPEG is known to be good when it is decoded, which most are that are asked for.
            supervised.alive(now_ns);
            return Some(moment);
        } else {
            return self.decode(camera, filled.index, now_ns).then_some(moment);
        }
        supervised.bad();
        None
    }

    /// Decodes what has to be decoded; whether the image is whole.
    pub(super) fn decode(&mut self, camera: usize, buffer: usize, now_ns: u64) -> bool {
        let Some(stream) = self.list[camera].stream() else { return false };
        let Some(decoded) = &mut self.feeds[camera].decoded else { return true };
        let whole = stream.plane(buffer, 0).is_some_and(|jpeg| decoded.decode(jpeg));
        let supervised = &mut self.list[camera];
        if whole {
            supervised.good(now_ns);
        } else {
            supervised.health.unreadable += 1;
            supervised.bad();
        }
        whole
    }

    /// In which buffer the image lies; `None` for images that were decoded, which lie in none.
    pub(super) fn place(&self, camera: usize, buffer: usize, view: usize) -> Option<LentBuffer> {
        let feed = self.feeds.get(camera).filter(|feed| feed.decoded.is_none())?;
        let supervised = &self.list[camera];
        let (plane, chroma) = feed.views[view]?.planes(supervised.stream()?, buffer);
        Some(LentBuffer { camera, stream: supervised.streams(), buffer, plane, chroma })
    }

    /// Descriptors of all buffers of a running camera.
    pub(super) fn export(&self, camera: usize) -> Export {
        let Some(supervised) = self.list.get(camera) else { return Ok(None) };
        let Some(stream) = supervised.stream() else { return Ok(None) };
        let mut buffers = Vec::new();
        for buffer in 0..stream.buffer_count() {
            let mut planes = Vec::new();
            for plane in 0..stream.format().planes.len() {
                match stream.export(buffer, plane)? {
                    Some(descriptor) => planes.push(descriptor),
                    None => return Ok(None),
                }
            }
            buffers.push(planes);
        }
        Ok(Some(ExportedBuffers { stream: supervised.streams(), buffers }))
    }

    pub(super) fn image(&self, camera: usize, buffer: usize, view: usize) -> Option<Image<'_>> {
        let feed = &self.feeds[camera];
        let view = feed.views[view]?;
        match &feed.decoded {
            Some(decoded) => view.decoded(&decoded.pixels),
            None => view.image(self.list[camera].stream()?, buffer),
        }
    }

    pub(super) fn release(&mut self, side: Side, buffer: usize, why: Release, now_ns: u64) {
        let camera = side as usize;
        let health = &mut self.list[camera].health;
        match why {
            Release::Superseded => health.superseded += 1,
            Release::Unpaired => health.unpaired += 1,
            Release::Stale | Release::Flushed => {}
        }
        self.queue(camera, buffer, now_ns);
    }

    /// Gives a buffer back to its driver. Buffers of a stream that is over went with it.
    pub(super) fn queue(&mut self, camera: usize, buffer: usize, now_ns: u64) {
        let Some(stream) = self.list[camera].stream_mut() else { return };
        if let Err(error) = stream.queue(buffer) {
            self.list[camera].fail(fault_of(&error), &error, now_ns);
        }
    }
}

impl Feed {
    /// A stream began.
    pub(super) fn begin(
        &mut self,
        stream: &dyn CameraStream,
        title: &str,
        layout: Option<Layout>,
        now_ns: u64,
    ) -> Result<(), DeviceError> {
        let format = stream.format();
        let coding = coding(format.code).ok_or_else(|| DeviceError::Unsupported {
            device: title.to_owned(),
            field: "format".into(),
            found: format.code.to_string(),
            expected: "a pixel format that is understood".into(),
        })?;
        let pixels = coding.pixel_format();
        let mut buffers = format.clone();
        if coding == Coding::Jpeg {
            // The views lie in what is decoded, which has no padding.
            buffers.planes.iter_mut().for_each(|plane| plane.stride_bytes = 0);
            if self.decoded.is_none() {
                self.decoded = Some(Decoded::new(format.size));
            }
        }
        self.views = match layout {
            Some(layout) => View::halves(title, &buffers, pixels, layout)?.map(Some),
            None => [Some(View::whole(title, &buffers, pixels)?), None],
        };
        self.timeline.rebuilt();
        self.recounted = false;
        self.empty_ns = now_ns;
        Ok(())
    }
}

fn at_start(error: DeviceError) -> CaptureError {
    match error {
        DeviceError::Unsupported { device, field, found, expected } => {
            let found = format!("{field} {found}");
            CaptureError::Configuration { origin: device, field: "source", found, expected }
        }
        DeviceError::Control { device, control, found, expected, .. } => {
            let found = format!("control {control} {found}");
            CaptureError::Configuration { origin: device, field: "source", found, expected }
        }
        DeviceError::NotACamera { device, found } => CaptureError::Configuration {
            origin: device,
            field: "source",
            found,
            expected: "a V4L2 video capture device with streaming".into(),
        },
        error => CaptureError::Open { origin: "camera".into(), cause: Box::new(error) },
    }
}

/// More than any driver's queue holds; a camera that is faster than its reader must not keep it here.
pub(super) const DRAIN_MAX: usize = 64;
/// How often to look whether a camera is open.
const OPENING_NS: u64 = 5_000_000;
