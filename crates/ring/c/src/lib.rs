//! The client of the ring for C and C++: what is declared in `include/occdepth_ring.h`, which is generated from here.
//!
//! Each function checks its pointers, does one thing of [`occdepth_ring`], and turns what comes of it into a status and a
//! text. Comments of public items become those of the header, so they speak to C.
#![allow(unsafe_code, reason = "the callers are C: pointers come and go")]
#![allow(clippy::doc_markdown, reason = "the comments are those of a C header")]

mod grid;
mod status;
mod stream;
mod types;
mod view;

pub use grid::{
    Grid, GridInfo, occdepth_grid_age_ns, occdepth_grid_confidence, occdepth_grid_describe,
    occdepth_grid_free, occdepth_grid_info, occdepth_grid_labels, occdepth_grid_new,
    occdepth_monotonic_now_ns,
};
pub use status::{
    Status, occdepth_calibration_name, occdepth_degradation_name, occdepth_health_name,
    occdepth_last_error,
};
pub use stream::{
    Followed, Options, Stream, WriterStatus, occdepth_abi_version, occdepth_discover,
    occdepth_options, occdepth_stream_close, occdepth_stream_describe, occdepth_stream_fd,
    occdepth_stream_newest, occdepth_stream_next, occdepth_stream_open,
    occdepth_stream_writer_status,
};
pub use types::{Axes, Calibration, Class, Description, Health};
pub use view::{
    Meaning, Point, Ray, RayEnd, RayEndKind, Voxel, occdepth_grid_birds_eye, occdepth_grid_cast,
    occdepth_grid_height_map, occdepth_grid_occupied, occdepth_grid_points, occdepth_grid_set_free,
    occdepth_grid_voxel,
};

/// Borrows what a pointer from C points to; `None` for NULL.
///
/// # Safety
/// The pointer is NULL, or what it points to is a valid `T` that nobody changes while the result lives.
unsafe fn borrow<'a, T>(pointer: *const T) -> Option<&'a T> {
    // SAFETY: what `as_ref` asks for is what the caller promises.
    unsafe { pointer.as_ref() }
}

/// Borrows what a pointer from C points to, to change it; `None` for NULL.
///
/// # Safety
/// The pointer is NULL, or what it points to is a valid `T` that nobody else uses while the result lives.
unsafe fn borrow_mut<'a, T>(pointer: *mut T) -> Option<&'a mut T> {
    // SAFETY: what `as_mut` asks for is what the caller promises.
    unsafe { pointer.as_mut() }
}

/// Writes an out parameter, unless it is NULL.
///
/// # Safety
/// The pointer is NULL, or there is room for a `T` at it, aligned.
unsafe fn put<T>(pointer: *mut T, value: T) {
    if !pointer.is_null() {
        // SAFETY: not NULL, so the caller promises that it can be written; what was there need not be valid, and is
        // not dropped.
        unsafe { pointer.write(value) };
    }
}
