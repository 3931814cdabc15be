//! A shared-memory ring of occupancy grids: one writer, many readers that cannot disturb it.
//!
//! # Design
//!
//! A [`Writer`] puts one grid after another into the slots of a ring in shared memory; a [`Reader`]
//! copies them out. A reader can be slow, stopped, crashed or hostile and the writer does not
//! notice; a writer can die at any instruction and no reader ever takes a wrong grid for a good one.
//! That follows from a few decisions:
//!
//! - **Readers own no shared state.** The segment is a sealed memory file that readers can only map
//!   read-only: there is no reference count, reader list or lock that one of them could leave in
//!   disorder. The price is a copy per reader, which a planner makes anyway.
//! - **Every slot has a sequence lock** over atomic words. A reader validates after it has copied;
//!   what a writer was doing when it died is never accepted. A checksum stands behind that.
//! - **The handshake is a socket.** A client connects to a Unix socket, the kernel says who it is,
//!   and only a client that may read is sent the descriptor of the segment. The same socket tells a
//!   reader that the writer is gone, and carries notifications to those who asked for them.
//! - **The publishing thread deals with nobody.** [`Writer::publish`] is a checksum and a copy; one
//!   thread of the writer's own wakes, notifies, accepts and refuses.
//! - **Nothing is believed.** A reader checks seals, sizes, and every field of the header before
//!   it uses them; a writer reads from clients with bounds and deadlines.
//!
//! These promises hold against other users. Root, and other processes of the writer's own user, can
//! always change its memory; readers notice that by the checksum, if at all.
//!
//! `ABI.md` describes layout and handshake to the byte. [`layout`] is the same in code.
//!
//! # Example
//!
//! ```
//! use occdepth_ring::{
//!     Axes, Class, Grid, GridGeometry, GridRecord, Reader, ReaderOptions, RectifiedCamera,
//!     StreamDescription, Writer, WriterOptions,
//! };
//! use std::time::Duration;
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let directory = tempfile::tempdir()?;
//! # let socket = directory.path().join("front.sock");
//! let description = StreamDescription {
//!     stream: "front".into(),
//!     producer: "example 1.0".into(),
//!     grid: GridGeometry {
//!         axes: Axes::ForwardLeftUp,
//!         frame: "ego".into(),
//!         origin_m: [0.0, -25.6, -2.0],
//!         voxel_size_m: 0.8,
//!         dims: [64, 64, 8],
//!     },
//!     // x right = -y, y down = -z, z forward = x; the camera sits at the origin.
//!     rectified_from_ego: [
//!         [0.0, -1.0, 0.0, 0.0],
//!         [0.0, 0.0, -1.0, 0.0],
//!         [1.0, 0.0, 0.0, 0.0],
//!         [0.0, 0.0, 0.0, 1.0],
//!     ],
//!     rectified: RectifiedCamera {
//!         fx_px: 500.0, fy_px: 500.0, cx_px: 319.5, cy_px: 179.5, width_px: 640, height_px: 360,
//!     },
//!     classes: vec![
//!         Class { id: 0, name: "empty".into(), colour: [0, 0, 0] },
//!         Class { id: 9, name: "road".into(), colour: [255, 0, 255] },
//!     ],
//!     confidence: false,
//!     trained: true,
//!     network_sha256: [0; 32],
//!     engine_sha256: [0; 32],
//! };
//! let mut writer = Writer::create(&description, &WriterOptions::new(&socket))?;
//!
//! // Usually in another process.
//! let mut reader = Reader::connect(&socket, &ReaderOptions::default())?;
//! assert_eq!(reader.description(), &description);
//!
//! let mut labels = vec![0; 64 * 64 * 8];
//! let ahead = description.grid.index([10, 32, 2]).expect("inside the grid");
//! labels[ahead] = 9;
//! writer.publish(&GridRecord { frame_id: 7, ..Default::default() }, &labels, None)?;
//!
//! let mut grid = Grid::new(); // reuse it: later copies do not allocate
//! let sequence = reader.next(&mut grid, Duration::from_secs(1))?;
//! assert_eq!(sequence, Some(1));
//! assert_eq!(grid.published.record.frame_id, 7);
//! assert_eq!(grid.labels[ahead], 9);
//! # Ok(())
//! # }
//! ```
#![deny(unsafe_code)]

pub mod layout;
pub mod view;

mod atomics {
    //! What the protocol of a slot is made of. `tests/loom.rs` puts others in their place.
    pub(crate) use std::sync::atomic::{AtomicU64, Ordering, fence};
}
mod checksum;
mod clock;
mod credentials;
mod description;
mod discovery;
mod follower;
mod grid;
mod headroom;
mod reader;
mod record;
mod segment;
mod seqlock;
mod words;
mod writer;

pub use clock::monotonic_now_ns;
pub use credentials::Credentials;
pub use description::{
    Axes, Class, DescriptionError, GridGeometry, RectifiedCamera, StreamDescription, UNKNOWN_LABEL,
};
pub use discovery::{FoundStream, discover};
pub use follower::{FollowError, Followed, Follower};
pub use grid::Grid;
pub use reader::{ConnectError, LiveGrid, ReadError, Reader, ReaderOptions};
pub use record::{
    CalibrationState, Degradation, GridRecord, Health, PublishedGrid, RigError, StageTimes,
    WriterStatus,
};
pub use writer::{Access, ClientCounts, PublishError, Writer, WriterError, WriterOptions};

/// The examples of the README are compiled.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
