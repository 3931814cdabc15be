//! The logger: to the `log` facade, and errors also into a small memory.
//!
//! TensorRT keeps the first logger it is given for the whole process and calls it from any thread, so there
//! is one, it is static, and it has no state but the memory of errors.

use super::{InterfaceInfo, Prefix, StaticTable, VersionedFunctions, guard, leave, text};
use crate::enums::Severity;
use crate::version::Major;
use std::collections::VecDeque;
use std::ffi::{c_char, c_void};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

/// The target of every message.
pub(crate) const TARGET: &str = "tensorrt";

/// Errors that are remembered. A failing build logs one to about ten.
const REMEMBERED: usize = 64;

/// Longest message that is remembered, in bytes.
const MESSAGE_BYTES: usize = 4096;

/// The `ILogger` of 8.x and 10.x.
#[repr(C)]
pub(super) struct PlainTable {
    prefix: Prefix,
    pub(super) log: unsafe extern "C" fn(*mut c_void, i32, *const c_char),
    destroy: unsafe extern "C" fn(*mut c_void),
    delete: unsafe extern "C" fn(*mut c_void),
}

/// The `ILogger` of 11.
#[repr(C)]
pub(super) struct VersionedTable {
    prefix: Prefix,
    versioned: VersionedFunctions,
    pub(super) log: unsafe extern "C" fn(*mut c_void, i32, *const c_char),
}

static PLAIN_TABLE: StaticTable<PlainTable> =
    StaticTable(PlainTable { prefix: Prefix::NEW, log, destroy: leave, delete: leave });

static VERSIONED_TABLE: StaticTable<VersionedTable> = StaticTable(VersionedTable {
    prefix: Prefix::NEW,
    versioned: VersionedFunctions::new(interface_info),
    log,
});

/// An object of ours without data.
#[repr(C)]
struct Logger {
    functions: *const c_void,
}

// SAFETY: it holds the address of constant data and nothing else.
unsafe impl Sync for Logger {}

static PLAIN: Logger = Logger { functions: (&raw const PLAIN_TABLE.0.log).cast() };

static VERSIONED: Logger = Logger { functions: (&raw const VERSIONED_TABLE.0.versioned).cast() };

/// The logger to hand to a library.
pub(crate) fn object(major: Major) -> *mut c_void {
    let logger = match major {
        Major::V8 | Major::V10 => &PLAIN,
        Major::V11 | Major::Rtx1 => &VERSIONED,
    };
    // Nobody writes through it: the object has no data but the address of its table.
    std::ptr::from_ref(logger).cast_mut().cast()
}

/// A place in the stream of errors, to collect those that come after it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Mark(u64);

/// Number of the next error. Beside the memory, so that the frame path can mark a place without a lock.
static NEXT: AtomicU64 = AtomicU64::new(0);

/// The last errors with their numbers, oldest first.
static MEMORY: Mutex<VecDeque<(u64, String)>> = Mutex::new(VecDeque::new());

/// From here on.
pub(crate) fn mark() -> Mark {
    Mark(NEXT.load(Ordering::Acquire))
}

/// What was logged as an error since `mark`, oldest first, at most the last 64.
pub(crate) fn errors_since(mark: Mark) -> Vec<String> {
    let memory = MEMORY.lock().unwrap_or_else(PoisonError::into_inner);
    let since = memory.iter().filter(|(number, _)| *number >= mark.0);
    since.map(|(_, message)| message.clone()).collect()
}

fn remember(message: &str) {
    let end = message.floor_char_boundary(MESSAGE_BYTES);
    let mut memory = MEMORY.lock().unwrap_or_else(PoisonError::into_inner);
    if memory.len() == REMEMBERED {
        memory.pop_front();
    }
    // Under the lock, so that numbers rise from front to back.
    let number = NEXT.fetch_add(1, Ordering::AcqRel);
    memory.push_back((number, message[..end].to_owned()));
}

unsafe extern "C" fn log(_: *mut c_void, severity: i32, message: *const c_char) {
    guard("the subscriber of TensorRT's log", (), || {
        // SAFETY: TensorRT passes a string that it keeps during the call (`ILogger::log`).
        let message = unsafe { text(message) };
        // The numbers are the same in every version.
        let level = match Severity::from_number(Major::V8.oldest(), severity) {
            Some(Severity::InternalError | Severity::Error) => {
                remember(&message);
                log::Level::Error
            }
            Some(Severity::Warning) | None => log::Level::Warn,
            // TensorRT informs about every step of a build: for whoever looks for it.
            Some(Severity::Info) => log::Level::Debug,
            Some(Severity::Verbose) => log::Level::Trace,
        };
        log::log!(target: TARGET, level, "{message}");
    });
}

unsafe extern "C" fn interface_info(_: *mut c_void) -> InterfaceInfo {
    InterfaceInfo { kind: c"ILogger".as_ptr(), major: 1, minor: 0 }
}
