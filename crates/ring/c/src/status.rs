//! What comes of a call, as a number and as text.

use crate::types::{Calibration, Health};
use occdepth_ring::layout::LayoutError;
use occdepth_ring::layout::handshake::Refusal;
use occdepth_ring::{ConnectError, Degradation, FollowError, ReadError};
use std::cell::RefCell;
use std::error::Error;
use std::ffi::{CStr, CString, c_char};

/// What came of a call. Errors are negative; later versions may have others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(i32)]
pub enum Status {
    /// It is done.
    Ok = 0,
    /// There was nothing in time.
    Timeout = 1,
    /// A pointer that must not be NULL is, a size does not fit, or a grid holds nothing yet.
    BadArgument = -1,
    /// The writer refuses this user, or this client.
    Refused = -2,
    /// The writer is another user than the one expected.
    WrongUser = -3,
    /// The writer speaks another major version of the ABI.
    Version = -4,
    /// Whoever listens is no writer of grids, or a broken one: what it sends was refused.
    Malformed = -5,
    /// A grid is not what was published. The next call goes on with the one after it.
    Corrupt = -6,
    /// There is no memory, or address space, for a grid or for the mapping of a segment.
    NoMemory = -7,
    /// A call to the system failed.
    System = -8,
}

/// What the last call on this thread that failed had to say: UTF-8, in English, never NULL.
///
/// Ownership: the library's; good until the next failure on this thread.
/// Threads: each has its own.
/// Errors: none.
#[unsafe(no_mangle)]
pub extern "C" fn occdepth_last_error() -> *const c_char {
    // A thread that is ending has no text any more.
    LAST_ERROR.try_with(|text| text.borrow().as_ptr()).unwrap_or(c"".as_ptr())
}

thread_local! {
    static LAST_ERROR: RefCell<CString> = RefCell::default();
}

/// Remembers why, and returns the status.
pub(crate) fn fail(status: Status, why: impl Into<String>) -> Status {
    let text = CString::new(why.into()).unwrap_or_else(|error| {
        // A NUL within: what comes before it is text.
        let end = error.nul_position();
        CString::new(&error.into_vec()[..end]).unwrap_or_default()
    });
    let _ = LAST_ERROR.try_with(|last| last.replace(text));
    status
}

pub(crate) fn bad_argument(why: &str) -> Status {
    fail(Status::BadArgument, why)
}

pub(crate) fn follow_failed(error: &FollowError) -> Status {
    let status = match error {
        FollowError::Connect(error) => connect_status(error),
        FollowError::Read(ReadError::Corrupt { .. }) => Status::Corrupt,
        FollowError::Read(ReadError::OutOfMemory { .. }) => Status::NoMemory,
        _ => Status::System,
    };
    fail(status, with_causes(error))
}

fn connect_status(error: &ConnectError) -> Status {
    match error {
        ConnectError::Refused { reason: Refusal::Version, .. }
        | ConnectError::Layout(LayoutError::Version { .. }) => Status::Version,
        ConnectError::Refused { .. } => Status::Refused,
        ConnectError::Server { .. } => Status::WrongUser,
        ConnectError::Map { .. } => Status::NoMemory,
        ConnectError::Handshake(_) | ConnectError::NotSealed { .. } | ConnectError::Layout(_) => {
            Status::Malformed
        }
        _ => Status::System,
    }
}

pub(crate) fn with_causes(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text += &format!(": {error}");
        cause = error.source();
    }
    text
}

/// The name of a judgement, for people: "degraded".
///
/// Ownership: the library's, for ever. Threads: any. Errors: "unknown" for values that this version does not know.
#[unsafe(no_mangle)]
pub extern "C" fn occdepth_health_name(health: i32) -> *const c_char {
    let name = match health {
        code if code == Health::Ok as i32 => c"ok",
        code if code == Health::Degraded as i32 => c"degraded",
        code if code == Health::Failing as i32 => c"failing",
        _ => c"unknown",
    };
    name.as_ptr()
}

/// The name of a state of the calibration, for people: "suspect".
///
/// Ownership: the library's, for ever. Threads: any. Errors: "unknown" for values that this version does not know.
#[unsafe(no_mangle)]
pub extern "C" fn occdepth_calibration_name(calibration: i32) -> *const c_char {
    let name = match calibration {
        code if code == Calibration::Ok as i32 => c"ok",
        code if code == Calibration::Suspect as i32 => c"suspect",
        code if code == Calibration::Lost as i32 => c"lost",
        _ => c"unknown",
    };
    name.as_ptr()
}

/// The name of a bit (0 to 63) of `degradation`, for people: "late".
///
/// Ownership: the library's, for ever. Threads: any. Errors: NULL for bits that this version does not know.
#[unsafe(no_mangle)]
pub extern "C" fn occdepth_degradation_name(bit: u32) -> *const c_char {
    /// The names of [`Degradation::names`] with a NUL at the end; a test compares them.
    const NAMES: [(Degradation, &CStr); 10] = [
        (Degradation::FRAMES_DROPPED, c"frames dropped"),
        (Degradation::LATE, c"late"),
        (Degradation::THERMAL_LIMIT, c"thermal limit"),
        (Degradation::POWER_LIMIT, c"power limit"),
        (Degradation::ENGINE_SUBSTITUTED, c"engine substituted"),
        (Degradation::PRECISION_SUBSTITUTED, c"precision substituted"),
        (Degradation::SKEW_EXCEEDED, c"skew exceeded"),
        (Degradation::CAMERA_FAULT, c"camera fault"),
        (Degradation::SOURCE_INTERRUPTED, c"source interrupted"),
        (Degradation::CALIBRATION_UNPROVEN, c"calibration unproven"),
    ];
    let flag = 1_u64.checked_shl(bit).map(Degradation::from_bits);
    let name = NAMES.iter().find(|(known, _)| Some(*known) == flag);
    name.map_or(std::ptr::null(), |(_, name)| name.as_ptr())
}
