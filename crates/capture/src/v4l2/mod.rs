//! Cameras of the kernel: V4L2 device nodes, single- and multi-planar, by memory-mapped streaming.
//!
//! This module speaks to the kernel and decides nothing: what to do about a fault, and which image belongs to which,
//! is the business of the stereo source.
//!
//! | module | job |
//! |---|---|
//! | `abi` | the kernel's structures and requests |
//! | `device` | opening a node, what it is |
//! | `format` | formats, sizes, rates: offered, asked for, settled on |
//! | `control` | controls by name, verified after setting |
//! | `stream` | the driver's buffers, mapped once and lent |
//! | `event` | changes of the source under the stream |
//! | `error` | what went wrong and what helps |
//!
//! The bindings are our own, a few hundred lines: the published `v4l` crate runs bindgen (and so needs libclang)
//! while it is built, has no multi-planar interface, reports a damaged buffer only after the fact, and panics when a
//! stream whose device has gone is dropped.

#![expect(unsafe_code, reason = "the edge to the kernel; the rest of the crate is safe code")]

mod abi;
mod control;
mod device;
mod error;
mod event;
mod format;
mod stream;

pub use control::{Control, ControlKind, MenuItem, Setting, control_key};
pub use device::{Device, DeviceKind, Identity, inspect, is_same_device};
pub use error::{DeviceError, Recovery};
pub use format::{
    ColourTags, Format, FourCc, FourCcError, OfferedFormat, OfferedSize, PlaneLayout,
};
pub use stream::{Dequeued, Filled, Stream};
