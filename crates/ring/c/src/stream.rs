//! A stream: connecting, waiting, what the writer says.

use crate::grid::Grid;
use crate::status::{Status, bad_argument, fail, follow_failed, with_causes};
use crate::types::{Description, Health};
use crate::{borrow, borrow_mut, put};
use occdepth_ring::layout::AbiVersion;
use occdepth_ring::{Follower, ReaderOptions, discover};
use std::ffi::{CStr, CString, OsStr, c_char, c_int, c_void};
use std::os::fd::{AsFd, AsRawFd};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::Path;
use std::time::Duration;

/// The grids of one writer after another at one socket: it connects again when the writer was restarted.
#[derive(Debug)]
pub struct Stream {
    follower: Follower,
}

/// How to read a stream. Start from `occdepth_options()`.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct Options {
    /// Not 0, for event loops: the writer tells of every grid, so that `occdepth_stream_fd()` becomes readable. 0 at first.
    pub notify: u8,
    /// Not 0: checksums are verified. 1 at first.
    pub verify_checksum: u8,
    /// How long the writer may take for each step of the handshake, milliseconds. 2000 at first.
    pub handshake_timeout_ms: u32,
    /// The user that the writer must be; -1, as it is at first: any.
    pub expected_uid: i64,
    /// 0.
    pub reserved: [u64; 4],
}

/// What is said of a grid by the stream that delivered it.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct Followed {
    /// Number of the grid in its segment, from 1, without gaps.
    pub sequence: u64,
    /// The segment; another one after every restart of the writer.
    pub epoch: u64,
    /// How many grids were overwritten or passed over since the one before.
    pub missed: u64,
    /// Whether this is the first grid of another writer than the one before: the description may have changed.
    pub restarted: bool,
    /// 0.
    pub reserved: [u64; 4],
}

/// How a writer is, whether or not it publishes grids.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct WriterStatus {
    /// When it said so: with every grid, and several times a second while it waits for its cameras.
    pub time_ns: u64,
    /// Its judgement of itself.
    pub health: Health,
    /// Bits that say what is degraded; see `occdepth_degradation_name()`.
    pub degradation: u64,
    /// 0.
    pub reserved: [u64; 4],
}

/// The version of the ring's ABI that this library speaks: the major in the upper 16 bits, the minor in the lower.
///
/// Ownership: none. Threads: any. Errors: none.
#[unsafe(no_mangle)]
pub extern "C" fn occdepth_abi_version() -> u32 {
    let AbiVersion { major, minor } = AbiVersion::CURRENT;
    major << 16 | minor & 0xffff
}

/// Options as they are at first.
///
/// Ownership: none. Threads: any. Errors: none.
#[unsafe(no_mangle)]
pub extern "C" fn occdepth_options() -> Options {
    let options = ReaderOptions::default();
    Options {
        notify: options.notify.into(),
        verify_checksum: options.verify_checksum.into(),
        handshake_timeout_ms: u32::try_from(options.handshake_timeout.as_millis()).unwrap_or(2000),
        expected_uid: -1,
        reserved: [0; 4],
    }
}

impl Options {
    fn checked(&self) -> Option<ReaderOptions> {
        let expected_uid = match self.expected_uid {
            -1 => None,
            uid => Some(u32::try_from(uid).ok()?),
        };
        (self.reserved == [0; 4]).then(|| ReaderOptions {
            notify: self.notify != 0,
            expected_uid,
            verify_checksum: self.verify_checksum != 0,
            handshake_timeout: Duration::from_millis(self.handshake_timeout_ms.into()),
        })
    }
}

/// Opens the stream at `socket`. Does not connect yet, so there need be no writer.
///
/// `options` may be NULL, for those of `occdepth_options()`.
///
/// Ownership: `*stream` is the caller's, to be given to `occdepth_stream_close()`.
/// Threads: any.
/// Errors: OCCDEPTH_STATUS_BAD_ARGUMENT; OCCDEPTH_STATUS_SYSTEM where no descriptors are left.
///
/// # Safety
/// Pointers are NULL or point to what their types say; `socket` to a NUL-terminated text.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn occdepth_stream_open(
    socket: *const c_char,
    options: *const Options,
    stream: *mut *mut Stream,
) -> Status {
    if stream.is_null() {
        return bad_argument("stream is NULL");
    }
    // SAFETY: NULL or a text, as the caller promises.
    let Some(path) = (unsafe { path(socket) }) else { return bad_argument("socket is NULL") };
    // SAFETY: NULL or options, as the caller promises.
    let options = match unsafe { borrow(options) } {
        None => ReaderOptions::default(),
        Some(options) => match options.checked() {
            Some(options) => options,
            None => return bad_argument("options: expected_uid or reserved are out of range"),
        },
    };
    match Follower::open(path, &options) {
        Ok(follower) => {
            // SAFETY: not NULL, so there is room for a pointer, as the caller promises.
            unsafe { put(stream, Box::into_raw(Box::new(Stream { follower }))) };
            Status::Ok
        }
        Err(error) => follow_failed(&error),
    }
}

/// Closes a stream: hangs up and unmaps. Grids stay the caller's.
///
/// Ownership: takes `stream` back; NULL is nothing to do.
/// Threads: none may use the stream meanwhile.
/// Errors: none.
///
/// # Safety
/// `stream` is NULL or from `occdepth_stream_open()`, and was not closed before.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn occdepth_stream_close(stream: *mut Stream) {
    if !stream.is_null() {
        // SAFETY: it is from `Box::into_raw` in `occdepth_stream_open`, and given back once, as the caller promises.
        drop(unsafe { Box::from_raw(stream) });
    }
}

/// A descriptor for event loops (poll for input): readable when `occdepth_stream_next()` or `_newest()` with a timeout of
/// 0 has something to do, which is to deliver a grid, or to connect. One call each time will do. Without
/// `OccdepthOptions::notify` grids do not make it readable.
///
/// Ownership: the stream's: poll it, and do nothing else with it. It stays the same until the stream is closed.
/// Threads: as the stream.
/// Errors: -1 for NULL.
///
/// # Safety
/// `stream` is NULL or an open stream.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn occdepth_stream_fd(stream: *const Stream) -> c_int {
    // SAFETY: NULL or an open stream that no other thread uses, as the caller promises.
    match unsafe { borrow(stream) } {
        Some(stream) => stream.follower.as_fd().as_raw_fd(),
        None => -1,
    }
}

/// Copies the next grid into `grid`, in order, waiting at most `timeout_ms` milliseconds for it; less than 0: for ever.
///
/// The first is the newest at the time of the first connection; of a writer that came later, the oldest that can still be
/// had. Grids that were overwritten before they were read are counted in `followed->missed`. With a timeout of 0 it does
/// not wait, but may connect, for which a writer that is there has 50 ms a step. `followed` may be NULL.
///
/// Ownership: `grid` stays the caller's; reuse it: only the first copy, and the first after a restart, takes memory.
/// Threads: as stream and grid.
/// Errors: OCCDEPTH_STATUS_TIMEOUT when there is none in time, also while there is no writer. Those that waiting does not
/// cure: REFUSED, WRONG_USER, VERSION, MALFORMED, CORRUPT, NO_MEMORY, SYSTEM; a later call tries again. After CORRUPT and
/// NO_MEMORY the grid holds nothing.
///
/// # Safety
/// `stream` and `grid` are NULL or open; `followed` is NULL or has room.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn occdepth_stream_next(
    stream: *mut Stream,
    grid: *mut Grid,
    timeout_ms: i64,
    followed: *mut Followed,
) -> Status {
    // SAFETY: passed on from the caller.
    unsafe { take(Follower::next, stream, grid, timeout_ms, followed) }
}

/// As `occdepth_stream_next()`, but the newest grid, for whoever acts on the world as it is now. Grids that are passed over
/// for it count as missed; the last one is not delivered twice.
///
/// Ownership, threads, errors: as for `occdepth_stream_next()`.
///
/// # Safety
/// `stream` and `grid` are NULL or open; `followed` is NULL or has room.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn occdepth_stream_newest(
    stream: *mut Stream,
    grid: *mut Grid,
    timeout_ms: i64,
    followed: *mut Followed,
) -> Status {
    // SAFETY: passed on from the caller.
    unsafe { take(Follower::newest, stream, grid, timeout_ms, followed) }
}

type Take = fn(
    &mut Follower,
    &mut occdepth_ring::Grid,
    Duration,
) -> Result<Option<occdepth_ring::Followed>, occdepth_ring::FollowError>;

/// # Safety
/// `stream` and `grid` are NULL or open; `followed` is NULL or has room.
unsafe fn take(
    which: Take,
    stream: *mut Stream,
    grid: *mut Grid,
    timeout_ms: i64,
    followed: *mut Followed,
) -> Status {
    // SAFETY: NULL or an open stream that no other thread uses, as the caller promises.
    let Some(stream) = (unsafe { borrow_mut(stream) }) else {
        return bad_argument("stream is NULL");
    };
    // SAFETY: NULL or a grid that no other thread uses, as the caller promises.
    let Some(grid) = (unsafe { borrow_mut(grid) }) else { return bad_argument("grid is NULL") };
    let timeout = u64::try_from(timeout_ms).map_or(Duration::MAX, Duration::from_millis);
    match which(&mut stream.follower, grid.copy(), timeout) {
        Ok(Some(told)) => {
            if let Some(reader) = stream.follower.reader() {
                grid.belongs_to(reader);
            }
            let occdepth_ring::Followed { sequence, epoch, missed, restarted } = told;
            let told = Followed { sequence, epoch, missed, restarted, reserved: [0; 4] };
            // SAFETY: NULL or room for it, as the caller promises.
            unsafe { put(followed, told) };
            Status::Ok
        }
        Ok(None) => Status::Timeout,
        Err(error) => follow_failed(&error),
    }
}

/// What the stream is, as its present writer says.
///
/// Ownership: a copy.
/// Threads: as the stream.
/// Errors: OCCDEPTH_STATUS_TIMEOUT while there is no writer; BAD_ARGUMENT.
///
/// # Safety
/// `stream` is NULL or open; `description` is NULL or has room.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn occdepth_stream_describe(
    stream: *const Stream,
    description: *mut Description,
) -> Status {
    // SAFETY: NULL or an open stream that no other thread uses, as the caller promises.
    let Some(stream) = (unsafe { borrow(stream) }) else { return bad_argument("stream is NULL") };
    let Some(reader) = stream.follower.reader() else { return Status::Timeout };
    // SAFETY: NULL or room for it, as the caller promises.
    unsafe { put(description, Description::of(reader)) };
    Status::Ok
}

/// How the writer is: what there is to go by while no grids come. A fresh status that says "source interrupted" is a writer
/// that waits for its cameras; one much older than a grid takes to compute is a writer that hangs.
///
/// Ownership: a copy.
/// Threads: as the stream.
/// Errors: OCCDEPTH_STATUS_TIMEOUT while there is no writer, or it has said nothing (those before ABI 1.1 never do);
/// BAD_ARGUMENT.
///
/// # Safety
/// `stream` is NULL or open; `status` is NULL or has room.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn occdepth_stream_writer_status(
    stream: *const Stream,
    status: *mut WriterStatus,
) -> Status {
    // SAFETY: NULL or an open stream that no other thread uses, as the caller promises.
    let Some(stream) = (unsafe { borrow(stream) }) else { return bad_argument("stream is NULL") };
    let Some(told) = stream.follower.reader().and_then(occdepth_ring::Reader::status) else {
        return Status::Timeout;
    };
    let told = WriterStatus {
        time_ns: told.time_ns,
        health: told.health.into(),
        degradation: told.degradation.bits(),
        reserved: [0; 4],
    };
    // SAFETY: NULL or room for it, as the caller promises.
    unsafe { put(status, told) };
    Status::Ok
}

/// Calls `found` for every socket in `directory`, by name: with what is published there, or with NULL and the reason why
/// it cannot be read. Each takes at most half a second for each step of the handshake.
///
/// Ownership: what `found` is given is the library's, and good until it returns. `context` is handed on to it.
/// Threads: any; `found` is called on this one.
/// Errors: OCCDEPTH_STATUS_BAD_ARGUMENT; SYSTEM when the directory cannot be read.
///
/// # Safety
/// `directory` is NULL or a NUL-terminated text; `found` may be called with `context`, and does not unwind.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn occdepth_discover(
    directory: *const c_char,
    found: Option<
        unsafe extern "C" fn(
            socket: *const c_char,
            description: *const Description,
            error: *const c_char,
            context: *mut c_void,
        ),
    >,
    context: *mut c_void,
) -> Status {
    // SAFETY: NULL or a text, as the caller promises.
    let Some(path) = (unsafe { path(directory) }) else {
        return bad_argument("directory is NULL");
    };
    let Some(found) = found else { return bad_argument("found is NULL") };
    let patience = Duration::from_millis(500);
    let options = ReaderOptions { handshake_timeout: patience, ..ReaderOptions::default() };
    let streams = match discover(path, &options) {
        Ok(streams) => streams,
        Err(error) => return fail(Status::System, format!("{}: {error}", path.display())),
    };
    for stream in streams {
        let socket = CString::new(stream.socket.into_os_string().into_vec()).unwrap_or_default();
        match stream.reader {
            Ok(reader) => {
                let description = Description::of(&reader);
                // SAFETY: the function is one that may be called so, as the caller promises; what it is given
                // lives until it returns.
                unsafe { found(socket.as_ptr(), &raw const description, std::ptr::null(), context) }
            }
            Err(error) => {
                let why = CString::new(with_causes(&error)).unwrap_or_default();
                // SAFETY: as above.
                unsafe { found(socket.as_ptr(), std::ptr::null(), why.as_ptr(), context) }
            }
        }
    }
    Status::Ok
}

/// # Safety
/// `text` is NULL, or a NUL-terminated text that nobody changes while the result lives.
unsafe fn path<'a>(text: *const c_char) -> Option<&'a Path> {
    if text.is_null() {
        return None;
    }
    // SAFETY: not NULL, so a NUL-terminated text, as the caller promises.
    let text = unsafe { CStr::from_ptr(text) };
    Some(Path::new(OsStr::from_bytes(text.to_bytes())))
}
