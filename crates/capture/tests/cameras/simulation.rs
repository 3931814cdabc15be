//! Cameras and a clock that are scripted: every fault at the very moment that a test wants it.
//!
//! Each image says in its pixels which exposure it is of, so that a test can tell whether a pair is of one moment
//! whatever the stamps claim.

use occdepth_capture::stereo::{CameraPort, CameraStream, Clock};
use occdepth_capture::v4l2::{
    ColourTags, Dequeued, DeviceError, Filled, Format, FourCc, PlaneLayout,
};
use occdepth_geometry::ImageSize;
use rustix::io::Errno;
use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard};

/// Of both cameras.
pub(crate) const SIZE: ImageSize = ImageSize { width: 16, height: 4 };
/// Of both cameras, ns.
pub(crate) const PERIOD: u64 = 25_000_000;

/// The simulated world: a clock, and cameras that are lit by it.
#[derive(Clone, Debug)]
pub(crate) struct World(Arc<Mutex<State>>);

#[derive(Debug)]
pub(crate) struct State {
    pub(crate) now_ns: u64,
    pub(crate) cameras: Vec<Camera>,
}

/// One camera: what it does is what its fields say at the moment.
#[expect(clippy::struct_excessive_bools, reason = "faults, each on its own")]
#[derive(Debug)]
pub(crate) struct Camera {
    /// After the other's exposure.
    pub(crate) phase_ns: u64,
    pub(crate) period_ns: u64,
    /// From exposure to the full buffer.
    pub(crate) latency_ns: u64,
    pub(crate) code: [u8; 4],
    pub(crate) size: ImageSize,
    pub(crate) buffers: usize,
    /// How the driver's times differ from the clock's; `None`: it has none.
    pub(crate) time_offset: Option<u64>,
    pub(crate) start_of_exposure: bool,
    /// What the driver counts from at each start of the stream.
    pub(crate) count_from: u32,
    /// What every image holds instead of its exposure, where tests need that.
    pub(crate) content: Option<Vec<u8>>,
    /// Whether the driver says that an image is damaged, by exposure.
    pub(crate) damaged: fn(u64) -> bool,
    /// Whether an image is lost and counted, by exposure.
    pub(crate) lost: fn(u64) -> bool,
    /// Bytes that are missing from images.
    pub(crate) short: usize,
    /// Delivers nothing.
    pub(crate) silent: bool,
    /// Every DQBUF fails so, until the stream is built anew.
    pub(crate) broken: Option<Errno>,
    /// Gone: every call fails, opening too.
    pub(crate) unplugged: bool,
    /// What the next attempts to open meet.
    pub(crate) open_failures: VecDeque<DeviceError>,
    /// The stream breaks (EIO) after so many images, each time.
    pub(crate) breaks_after: Option<u64>,
    /// The driver's count starts anew with the next image.
    pub(crate) recount: bool,
    /// The next image is lost, and the driver does not count it.
    pub(crate) lose_uncounted: bool,
    /// The driver gives every image the same number.
    pub(crate) counts: bool,
    /// The driver says how many images a second it delivers.
    pub(crate) rate_said: bool,
    /// What it says, as a multiple of what is true.
    pub(crate) rate_factor: f64,
    /// What every image holds from now on.
    pub(crate) swap_content: Option<Vec<u8>>,
    /// The next QBUF fails.
    pub(crate) queue_failure: bool,
    /// The source tells of another resolution: once, as the kernel's events do.
    pub(crate) source_changed: bool,
    /// Time that opening takes.
    pub(crate) opening_ns: u64,
    /// Streams that are open now; more than one would be a leak.
    pub(crate) open: u32,
    /// Attempts to open so far.
    pub(crate) attempts: u32,
    opening_since: Option<u64>,
    next_exposure: u64,
    started_at: u64,
    slots: Vec<Slot>,
    count: u32,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Slot {
    Drivers,
    Full { sequence: u32, exposure: u64 },
    Callers { exposure: u64 },
}

impl World {
    /// Two cameras alike, the second's exposure a millisecond later.
    pub(crate) fn new() -> Self {
        let state = State {
            now_ns: 1_000_000_000_000,
            cameras: vec![Camera::new(0), Camera::new(1_000_000)],
        };
        Self(Arc::new(Mutex::new(state)))
    }

    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap()
    }

    /// Changes a camera.
    pub(crate) fn camera(&self, camera: usize, change: impl FnOnce(&mut Camera)) {
        change(&mut self.state().cameras[camera]);
    }

    pub(crate) fn port(&self, camera: usize) -> Box<dyn CameraPort> {
        Box::new(Port { world: self.clone(), camera, name: format!("/dev/sim{camera}") })
    }

    pub(crate) fn clock(&self) -> Box<dyn Clock> {
        Box::new(self.clone())
    }

    /// Lets time go by without anybody looking.
    pub(crate) fn pass(&self, ns: u64) {
        self.state().now_ns += ns;
    }

    pub(crate) fn now_ns(&self) -> u64 {
        self.state().now_ns
    }
}

impl Clock for World {
    fn now_ns(&self) -> u64 {
        self.state().now_ns
    }

    fn sleep_until(&self, deadline_ns: u64) {
        let mut state = self.state();
        assert!(deadline_ns > state.now_ns, "a sleep of nothing would spin");
        state.now_ns = deadline_ns;
    }
}

impl Camera {
    fn new(phase_ns: u64) -> Self {
        Self {
            phase_ns,
            period_ns: PERIOD,
            latency_ns: 3_000_000,
            code: *b"GREY",
            size: SIZE,
            buffers: 4,
            time_offset: Some(0),
            start_of_exposure: false,
            count_from: 0,
            content: None,
            damaged: |_| false,
            lost: |_| false,
            short: 0,
            silent: false,
            broken: None,
            unplugged: false,
            open_failures: VecDeque::new(),
            breaks_after: None,
            recount: false,
            lose_uncounted: false,
            counts: true,
            rate_said: true,
            rate_factor: 1.0,
            swap_content: None,
            queue_failure: false,
            source_changed: false,
            opening_ns: 0,
            open: 0,
            attempts: 0,
            opening_since: None,
            next_exposure: 0,
            started_at: 0,
            slots: Vec::new(),
            count: 0,
        }
    }

    /// When exposure `n` of all time was.
    fn exposed_ns(&self, n: u64) -> u64 {
        n * self.period_ns + self.phase_ns
    }

    /// Fills buffers with what was exposed until `now_ns`; says when the next will be full.
    fn advance(&mut self, now_ns: u64) -> u64 {
        loop {
            let due = self.exposed_ns(self.next_exposure) + self.latency_ns;
            if due > now_ns {
                return due;
            }
            let exposure = self.next_exposure;
            self.next_exposure += 1;
            if std::mem::take(&mut self.recount) {
                self.count = self.count_from;
            }
            if std::mem::take(&mut self.lose_uncounted) {
                continue;
            }
            let sequence = self.count;
            self.count = self.count.wrapping_add(u32::from(self.counts));
            if self.silent || (self.lost)(exposure) {
                continue;
            }
            // A driver without a buffer loses the image.
            if let Some(slot) = self.slots.iter_mut().find(|slot| **slot == Slot::Drivers) {
                *slot = Slot::Full { sequence, exposure };
            }
        }
    }

    /// Buffers in this process's hands.
    pub(crate) fn held(&self) -> usize {
        self.slots.iter().filter(|slot| matches!(slot, Slot::Callers { .. })).count()
    }

    fn oldest_full(&self) -> Option<usize> {
        let full = self.slots.iter().enumerate().filter_map(|(index, slot)| match slot {
            Slot::Full { exposure, .. } => Some((*exposure, index)),
            _ => None,
        });
        full.min().map(|(_, index)| index)
    }
}

#[derive(Debug)]
struct Port {
    world: World,
    camera: usize,
    name: String,
}

impl CameraPort for Port {
    fn name(&self) -> &str {
        &self.name
    }

    fn poll_open(&mut self) -> Option<Result<Box<dyn CameraStream>, DeviceError>> {
        let mut state = self.world.state();
        let now_ns = state.now_ns;
        let camera = &mut state.cameras[self.camera];
        assert_eq!(camera.open, 0, "opened while a stream of it is open");
        let since = *camera.opening_since.get_or_insert(now_ns);
        if now_ns < since + camera.opening_ns {
            return None;
        }
        camera.opening_since = None;
        camera.attempts += 1;
        if camera.unplugged {
            return Some(Err(DeviceError::Missing { device: self.name.clone() }));
        }
        if let Some(error) = camera.open_failures.pop_front() {
            return Some(Err(error));
        }
        // What the driver had broken is whole again after a rebuild.
        (camera.broken, camera.queue_failure, camera.source_changed) = (None, false, false);
        camera.open = 1;
        camera.count = camera.count_from;
        camera.started_at = now_ns;
        camera.next_exposure = now_ns / camera.period_ns + 1;
        camera.slots = vec![Slot::Drivers; camera.buffers];
        let bytes = camera.size.width * camera.size.height;
        let format = Format {
            code: FourCc(camera.code),
            size: camera.size,
            // Some drivers say nothing of rows without padding.
            planes: vec![PlaneLayout { stride_bytes: 0, size_bytes: bytes }],
            progressive: true,
            colour: ColourTags::default(),
        };
        let mut contents = vec![vec![0; bytes as usize]; camera.buffers];
        if let Some(content) = &camera.content {
            contents.fill(content.clone());
        }
        let scripted = camera.content.is_some();
        let (world, buffers) = (self.world.clone(), camera.buffers);
        let rate_hz = camera.rate_said.then(|| camera.rate_factor * 1e9 / camera.period_ns as f64);
        Some(Ok(Box::new(Stream {
            world,
            camera: self.camera,
            name: self.name.clone(),
            format,
            rate_hz,
            taken: 0,
            buffers,
            contents,
            scripted,
        })))
    }

    fn close(&mut self, stream: Box<dyn CameraStream>) {
        drop(stream);
    }
}

#[derive(Debug)]
struct Stream {
    world: World,
    camera: usize,
    name: String,
    format: Format,
    rate_hz: Option<f64>,
    taken: u64,
    buffers: usize,
    contents: Vec<Vec<u8>>,
    scripted: bool,
}

impl Stream {
    fn gone(&self, request: &'static str) -> DeviceError {
        DeviceError::Disconnected { device: self.name.clone(), request }
    }
}

impl CameraStream for Stream {
    fn format(&self) -> &Format {
        &self.format
    }

    fn rate_hz(&self) -> Option<f64> {
        self.rate_hz
    }

    fn buffer_count(&self) -> usize {
        self.buffers
    }

    fn dequeue(&mut self, deadline_ns: u64) -> Result<Dequeued, DeviceError> {
        let mut state = self.world.state();
        loop {
            let now_ns = state.now_ns;
            let camera = &mut state.cameras[self.camera];
            let next_ns = camera.advance(now_ns);
            if camera.unplugged {
                return Err(self.gone("VIDIOC_DQBUF"));
            }
            if let Some(errno) = camera.broken {
                let device = self.name.clone();
                return Err(DeviceError::StreamBroken { device, request: "VIDIOC_DQBUF", errno });
            }
            if std::mem::take(&mut camera.source_changed) {
                return Ok(Dequeued::SourceChanged);
            }
            if camera.breaks_after.is_some_and(|images| self.taken >= images) {
                let (device, errno) = (self.name.clone(), Errno::IO);
                return Err(DeviceError::StreamBroken { device, request: "VIDIOC_DQBUF", errno });
            }
            if let Some(content) = &camera.swap_content
                && self.scripted
            {
                self.contents.fill(content.clone());
            }
            if let Some(index) = camera.oldest_full() {
                let Slot::Full { sequence, exposure } = camera.slots[index] else { unreachable!() };
                camera.slots[index] = Slot::Callers { exposure };
                self.taken += 1;
                if !self.scripted {
                    self.contents[index][..8].copy_from_slice(&exposure.to_le_bytes());
                }
                let time_ns = camera.exposed_ns(exposure);
                return Ok(Dequeued::Filled(Filled {
                    index,
                    sequence,
                    time_ns: camera.time_offset.map(|offset| time_ns.wrapping_add(offset)),
                    start_of_exposure: camera.start_of_exposure,
                    damaged: (camera.damaged)(exposure),
                }));
            }
            if now_ns >= deadline_ns {
                return Ok(Dequeued::Nothing);
            }
            state.now_ns = next_ns.min(deadline_ns);
        }
    }

    fn plane(&self, index: usize, plane: usize) -> Option<&[u8]> {
        let state = self.world.state();
        let camera = &state.cameras[self.camera];
        let mine = matches!(camera.slots.get(index), Some(Slot::Callers { .. }));
        let content = self.contents.get(index).filter(|_| mine && plane == 0)?;
        content.get(..content.len() - camera.short)
    }

    fn queue(&mut self, index: usize) -> Result<(), DeviceError> {
        let mut state = self.world.state();
        let camera = &mut state.cameras[self.camera];
        assert!(matches!(camera.slots[index], Slot::Callers { .. }), "queued twice");
        camera.slots[index] = Slot::Drivers;
        if camera.unplugged {
            return Err(self.gone("VIDIOC_QBUF"));
        }
        if std::mem::take(&mut camera.queue_failure) {
            let (device, errno) = (self.name.clone(), Errno::INVAL);
            return Err(DeviceError::Request { device, request: "VIDIOC_QBUF", errno });
        }
        Ok(())
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        self.world.state().cameras[self.camera].open -= 1;
    }
}
