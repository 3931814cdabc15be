//! A grid of the caller's own: its labels, and what is said of it.

use crate::status::{Status, bad_argument};
use crate::types::{Calibration, Description, Health};
use crate::{borrow, put};
use occdepth_ring::view::{GridView, Meanings};
use occdepth_ring::{GridRecord, Reader, StreamDescription, monotonic_now_ns};

/// A copy of a grid, and of what its stream is. Reuse it.
#[derive(Debug, Default)]
pub struct Grid {
    copy: occdepth_ring::Grid,
    stream: Option<OfStream>,
    /// Labels that mean free space; `None`: those that the stream's class names say.
    pub(crate) free: Option<Vec<u8>>,
}

#[derive(Debug)]
struct OfStream {
    epoch: u64,
    description: StreamDescription,
    told: Box<Description>,
    meanings: Meanings,
}

impl Grid {
    /// Where a copy goes.
    pub(crate) fn copy(&mut self) -> &mut occdepth_ring::Grid {
        &mut self.copy
    }

    /// Says which stream the copy is of. Takes memory only where that is another segment than before.
    pub(crate) fn belongs_to(&mut self, reader: &Reader) {
        if self.stream.as_ref().is_some_and(|stream| stream.epoch == reader.epoch()) {
            return;
        }
        let description = reader.description().clone();
        let meanings = self.meanings(&description);
        let told = Box::new(Description::of(reader));
        self.stream = Some(OfStream { epoch: reader.epoch(), description, told, meanings });
    }

    /// Other labels mean free space from now on.
    pub(crate) fn set_free(&mut self, free: Option<Vec<u8>>) {
        self.free = free;
        if let Some(mut stream) = self.stream.take() {
            stream.meanings = self.meanings(&stream.description);
            self.stream = Some(stream);
        }
    }

    fn meanings(&self, description: &StreamDescription) -> Meanings {
        match &self.free {
            Some(free) => Meanings::new(&description.classes, free),
            None => Meanings::of_stream(description),
        }
    }

    /// `None` where it holds nothing: before the first copy, and after one that came to nothing.
    fn filled(&self) -> Option<(&occdepth_ring::Grid, &OfStream)> {
        let stream = self.stream.as_ref()?;
        (self.copy.published.sequence != 0).then_some((&self.copy, stream))
    }

    pub(crate) fn view(&self) -> Option<GridView<'_>> {
        let (copy, stream) = self.filled()?;
        GridView::of(copy, &stream.description, &stream.meanings)
    }
}

/// What is said of a grid.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct GridInfo {
    /// Number of the grid in its segment, from 1, without gaps.
    pub sequence: u64,
    /// The segment.
    pub epoch: u64,
    /// The producer's number of the stereo pair; gaps are pairs without a grid.
    pub frame_id: u64,
    /// When the left image was captured.
    pub left_capture_time_ns: u64,
    /// When the right image was captured.
    pub right_capture_time_ns: u64,
    /// When the grid was published.
    pub publish_time_ns: u64,
    /// CLOCK_REALTIME minus CLOCK_MONOTONIC at publication: add it to a time above for nanoseconds since 1970.
    pub wall_offset_ns: i64,
    /// Capture time of the right image minus that of the left one.
    pub skew_ns: i64,
    /// From the exposure of the images to the pair in the pipeline's hands.
    pub capture_ns: u64,
    /// Camera pixels to network input.
    pub rectify_ns: u64,
    /// A look for signs that the calibration no longer fits; 0 of writers before ABI 1.1.
    pub watch_ns: u64,
    /// Network input to logits.
    pub infer_ns: u64,
    /// Logits to labels.
    pub label_ns: u64,
    /// Labels into the ring.
    pub publish_ns: u64,
    /// The producer's judgement of itself.
    pub health: Health,
    /// Whether the calibration still fits the images.
    pub calibration: Calibration,
    /// Bits that say what is degraded; see `occdepth_degradation_name()`.
    pub degradation: u64,
    /// RMS distance of points from their epipolar lines, pixels; NaN when not measured.
    pub epipolar_error_px: f64,
    /// Pitch of the right camera against where the calibration has it, radians; NaN when not measured.
    pub pitch_error_rad: f64,
    /// Roll of the right camera, likewise.
    pub roll_error_rad: f64,
    /// Right focal length over left one, minus what the calibration says; NaN when not measured.
    pub focal_error: f64,
    /// CRC-32 of the grid, as ABI.md has it.
    pub checksum: u32,
    /// 0.
    pub reserved: [u64; 8],
}

/// An empty grid.
///
/// Ownership: the caller's, to be given to `occdepth_grid_free()`. Threads: any. Errors: none.
#[unsafe(no_mangle)]
pub extern "C" fn occdepth_grid_new() -> *mut Grid {
    Box::into_raw(Box::default())
}

/// Frees a grid, and what `occdepth_grid_labels()` and `_confidence()` returned with it.
///
/// Ownership: takes `grid` back; NULL is nothing to do. Threads: none may use it meanwhile. Errors: none.
///
/// # Safety
/// `grid` is NULL or from `occdepth_grid_new()`, and was not freed before.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn occdepth_grid_free(grid: *mut Grid) {
    if !grid.is_null() {
        // SAFETY: it is from `Box::into_raw` in `occdepth_grid_new`, and given back once, as the caller promises.
        drop(unsafe { Box::from_raw(grid) });
    }
}

/// The labels, u8 [X, Y, Z], z fastest: class ids, 255 unknown. `count` may be NULL.
///
/// Ownership: the grid's; good until the next call that is given the grid to change or to free.
/// Threads: as the grid.
/// Errors: NULL, and a count of 0, where the grid holds nothing.
///
/// # Safety
/// `grid` is NULL or open; `count` is NULL or has room.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn occdepth_grid_labels(grid: *const Grid, count: *mut usize) -> *const u8 {
    // SAFETY: passed on from the caller.
    unsafe { bytes(grid, count, |grid| &grid.labels) }
}

/// The confidences, u8 [X, Y, Z], 255 = probability 1. `count` may be NULL.
///
/// Ownership, threads: as for `occdepth_grid_labels()`.
/// Errors: NULL, and a count of 0, where the grid holds nothing or the stream has no confidences.
///
/// # Safety
/// `grid` is NULL or open; `count` is NULL or has room.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn occdepth_grid_confidence(
    grid: *const Grid,
    count: *mut usize,
) -> *const u8 {
    // SAFETY: passed on from the caller.
    unsafe { bytes(grid, count, |grid| &grid.confidence) }
}

/// # Safety
/// `grid` is NULL or open; `count` is NULL or has room.
unsafe fn bytes(
    grid: *const Grid,
    count: *mut usize,
    which: fn(&occdepth_ring::Grid) -> &[u8],
) -> *const u8 {
    // SAFETY: NULL or a grid that no other thread changes, as the caller promises.
    let grid = unsafe { borrow(grid) };
    let bytes = grid.and_then(Grid::filled).map_or(&[][..], |(copy, _)| which(copy));
    // SAFETY: NULL or room for it, as the caller promises.
    unsafe { put(count, bytes.len()) };
    if bytes.is_empty() { std::ptr::null() } else { bytes.as_ptr() }
}

/// What is said of the grid.
///
/// Ownership: a copy.
/// Threads: as the grid.
/// Errors: OCCDEPTH_STATUS_BAD_ARGUMENT, also where the grid holds nothing.
///
/// # Safety
/// `grid` is NULL or open; `info` is NULL or has room.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn occdepth_grid_info(grid: *const Grid, info: *mut GridInfo) -> Status {
    // SAFETY: NULL or a grid that no other thread changes, as the caller promises.
    let Some((copy, stream)) = (unsafe { borrow(grid) }).and_then(Grid::filled) else {
        return bad_argument(NOTHING);
    };
    let published = &copy.published;
    let GridRecord { stages, rig_error, .. } = &published.record;
    let record = &published.record;
    let told = GridInfo {
        sequence: published.sequence,
        epoch: stream.epoch,
        frame_id: record.frame_id,
        left_capture_time_ns: record.left_capture_time_ns,
        right_capture_time_ns: record.right_capture_time_ns,
        publish_time_ns: published.publish_time_ns,
        wall_offset_ns: published.wall_offset_ns,
        skew_ns: record.skew_ns(),
        capture_ns: stages.capture_ns,
        rectify_ns: stages.rectify_ns,
        watch_ns: stages.watch_ns,
        infer_ns: stages.infer_ns,
        label_ns: stages.label_ns,
        publish_ns: stages.publish_ns,
        health: record.health.into(),
        calibration: record.calibration.into(),
        degradation: record.degradation.bits(),
        epipolar_error_px: record.epipolar_error_px.unwrap_or(f64::NAN),
        pitch_error_rad: rig_error.map_or(f64::NAN, |error| error.pitch_rad),
        roll_error_rad: rig_error.map_or(f64::NAN, |error| error.roll_rad),
        focal_error: rig_error.map_or(f64::NAN, |error| error.focal),
        checksum: published.checksum,
        reserved: [0; 8],
    };
    // SAFETY: NULL or room for it, as the caller promises.
    unsafe { put(info, told) };
    Status::Ok
}

/// What the stream is that the grid was copied from; unlike `occdepth_stream_describe()` this cannot be a newer one.
///
/// Ownership: the grid's; good until the next call that is given the grid to change or to free.
/// Threads: as the grid.
/// Errors: NULL where the grid holds nothing.
///
/// # Safety
/// `grid` is NULL or open.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn occdepth_grid_describe(grid: *const Grid) -> *const Description {
    // SAFETY: NULL or a grid that no other thread changes, as the caller promises.
    let filled = (unsafe { borrow(grid) }).and_then(Grid::filled);
    filled.map_or(std::ptr::null(), |(_, stream)| &raw const *stream.told)
}

/// Age of the images at `now_ns`, counted from the earlier of the two captures, nanoseconds; 0 where that is later.
///
/// Ownership: none. Threads: as the grid. Errors: UINT64_MAX where the grid holds nothing: older than anything.
///
/// # Safety
/// `grid` is NULL or open.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn occdepth_grid_age_ns(grid: *const Grid, now_ns: u64) -> u64 {
    // SAFETY: NULL or a grid that no other thread changes, as the caller promises.
    let filled = (unsafe { borrow(grid) }).and_then(Grid::filled);
    filled.map_or(u64::MAX, |(copy, _)| copy.published.age_ns(now_ns))
}

/// CLOCK_MONOTONIC now, nanoseconds.
///
/// Ownership: none. Threads: any. Errors: none.
#[unsafe(no_mangle)]
pub extern "C" fn occdepth_monotonic_now_ns() -> u64 {
    monotonic_now_ns()
}

pub(crate) const NOTHING: &str = "grid is NULL or holds nothing";
