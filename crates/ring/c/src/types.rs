//! What a stream is, as C sees it.

use occdepth_ring::{Reader, StreamDescription};
use std::ffi::c_char;

/// How the producer judged itself. Values of later versions are read as unknown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(i32)]
pub enum Health {
    /// Not judged.
    Unknown = 0,
    /// All as configured.
    Ok = 1,
    /// Grids are valid, but something is not as configured: see `degradation`.
    Degraded = 2,
    /// Grids should not be relied on.
    Failing = 3,
}

impl From<occdepth_ring::Health> for Health {
    fn from(health: occdepth_ring::Health) -> Self {
        match health {
            occdepth_ring::Health::Ok => Self::Ok,
            occdepth_ring::Health::Degraded => Self::Degraded,
            occdepth_ring::Health::Failing => Self::Failing,
            _ => Self::Unknown,
        }
    }
}

/// Whether the calibration still fits the images. Values of later versions are read as unknown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(i32)]
pub enum Calibration {
    /// Not measured.
    Unknown = 0,
    /// The epipolar error is within its bounds.
    Ok = 1,
    /// The epipolar error has grown: the rig may have moved.
    Suspect = 2,
    /// The images no longer fit the calibration; grids are wrong.
    Lost = 3,
}

impl From<occdepth_ring::CalibrationState> for Calibration {
    fn from(state: occdepth_ring::CalibrationState) -> Self {
        match state {
            occdepth_ring::CalibrationState::Ok => Self::Ok,
            occdepth_ring::CalibrationState::Suspect => Self::Suspect,
            occdepth_ring::CalibrationState::Lost => Self::Lost,
            _ => Self::Unknown,
        }
    }
}

/// What the axes of a grid mean. All are right-handed. Values of later versions are read as unknown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(i32)]
pub enum Axes {
    /// Not said.
    Unknown = 0,
    /// x forward, y left, z up: the vehicle.
    ForwardLeftUp = 1,
    /// z up, x and y horizontal: a scene.
    HorizontalUp = 2,
}

/// A class that labels name.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct Class {
    /// The label, 0 to 254. Label 255 is no class: nothing is known of the voxel.
    pub id: u8,
    /// Red, green, blue.
    pub colour: [u8; 3],
    /// UTF-8, at most 56 bytes, and a NUL.
    pub name: [c_char; 57],
}

/// What a stream is. Fixed for the life of its writer; another `epoch` may be another description.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct Description {
    /// Random; another one after every restart of the writer. Never 0.
    pub epoch: u64,
    /// Name of the stream, UTF-8 with a NUL at the end.
    pub stream: [c_char; 65],
    /// Program and version of the writer, UTF-8 with a NUL at the end.
    pub producer: [c_char; 65],
    /// Name of the frame that the grid lives in, UTF-8 with a NUL at the end: "ego".
    pub frame: [c_char; 33],
    /// What its axes mean.
    pub axes: Axes,
    /// Voxels along x, y and z. Voxel (ix, iy, iz) is byte `(ix * dims[1] + iy) * dims[2] + iz` of labels and confidences.
    pub dims: [u32; 3],
    /// Minimum corner of the grid, metres.
    pub origin_m: [f64; 3],
    /// Edge of a voxel, metres.
    pub voxel_size_m: f64,
    /// 4 x 4, row by row, metres: from the frame of the grid to the rectified left camera (x right, y down, z forward).
    pub rectified_from_ego: [f64; 16],
    /// Focal lengths and principal point of the rectified left camera, pixels; (0, 0) is the centre of the first pixel.
    pub fx_px: f64,
    /// See `fx_px`.
    pub fy_px: f64,
    /// See `fx_px`.
    pub cx_px: f64,
    /// See `fx_px`.
    pub cy_px: f64,
    /// Width of the rectified image, pixels.
    pub width_px: u32,
    /// Height of the rectified image, pixels.
    pub height_px: u32,
    /// How many of `classes` there are.
    pub class_count: u32,
    /// The classes, each id once.
    pub classes: [Class; 64],
    /// Whether grids have confidences.
    pub confidence: bool,
    /// Whether the network was trained; grids of one that was not mean nothing.
    pub trained: bool,
    /// SHA-256 of the network (the ONNX file).
    pub network_sha256: [u8; 32],
    /// SHA-256 of what actually runs: the engine built from it, or the network itself.
    pub engine_sha256: [u8; 32],
    /// Grids that the ring holds: a reader can be late by one less.
    pub slot_count: u32,
    /// Version of the ABI that the writer speaks.
    pub abi_major: u32,
    /// See `abi_major`.
    pub abi_minor: u32,
    /// The user that writes.
    pub writer_uid: u32,
    /// Its process, as this one sees it; 0 from another pid namespace.
    pub writer_pid: i32,
    /// 0.
    pub reserved: [u64; 8],
}

impl Description {
    pub(crate) fn of(reader: &Reader) -> Self {
        let description = reader.description();
        let StreamDescription { grid, rectified, .. } = description;
        let empty = Class { id: 0, colour: [0; 3], name: [0; 57] };
        let mut classes = [empty; 64];
        for (entry, class) in classes.iter_mut().zip(&description.classes) {
            *entry = Class { id: class.id, colour: class.colour, name: text(&class.name) };
        }
        let mut rectified_from_ego = [0.0; 16];
        rectified_from_ego.copy_from_slice(description.rectified_from_ego.as_flattened());
        Self {
            epoch: reader.epoch(),
            stream: text(&description.stream),
            producer: text(&description.producer),
            frame: text(&grid.frame),
            axes: match grid.axes {
                occdepth_ring::Axes::ForwardLeftUp => Axes::ForwardLeftUp,
                occdepth_ring::Axes::HorizontalUp => Axes::HorizontalUp,
                _ => Axes::Unknown,
            },
            dims: grid.dims,
            origin_m: grid.origin_m,
            voxel_size_m: grid.voxel_size_m,
            rectified_from_ego,
            fx_px: rectified.fx_px,
            fy_px: rectified.fy_px,
            cx_px: rectified.cx_px,
            cy_px: rectified.cy_px,
            width_px: rectified.width_px,
            height_px: rectified.height_px,
            // A description that was read from a segment has at most 64.
            class_count: u32::try_from(description.classes.len().min(64)).unwrap_or(64),
            classes,
            confidence: description.confidence,
            trained: description.trained,
            network_sha256: description.network_sha256,
            engine_sha256: description.engine_sha256,
            slot_count: reader.slot_count(),
            abi_major: reader.writer_abi().major,
            abi_minor: reader.writer_abi().minor,
            writer_uid: reader.server().uid,
            writer_pid: reader.server().pid,
            reserved: [0; 8],
        }
    }
}

/// Text and at least one NUL. Fields of a segment are one byte shorter than `N`, so nothing is cut off.
fn text<const N: usize>(text: &str) -> [c_char; N] {
    let mut out = [0; N];
    #[allow(
        clippy::cast_possible_wrap,
        clippy::unnecessary_cast,
        reason = "a char of C is signed on some machines and unsigned on others"
    )]
    for (target, byte) in out[..N - 1].iter_mut().zip(text.bytes()) {
        *target = byte as c_char;
    }
    out
}
