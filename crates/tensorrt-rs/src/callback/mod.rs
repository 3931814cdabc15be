//! Objects of ours that TensorRT calls: logger, profiler, progress monitor.
//!
//! Each is a struct whose first word is the address of a virtual table of ours. Such a table has two words
//! before its first function (the offset to the top of the object, and type information), as every table
//! of the Itanium ABI. In 8.x and 10.x the logger and the profiler start with their one function; in 11
//! they are `IVersionedInterface`s, which start with two functions and two destructors; the progress
//! monitor is one since it exists (10.0).
//!
//! Nothing unwinds into TensorRT: a panic in a callback is caught, logged, and ends the callback.

pub(crate) mod logger;
mod profiler;
mod progress;

pub use profiler::Profiler;
pub use progress::ProgressMonitor;

pub(crate) use profiler::ProfilerObject;
pub(crate) use progress::MonitorObject;

use crate::object::Target;
use crate::table::Slot;
use crate::version::{Major, Version};
use std::ffi::{CStr, c_char, c_void};
use std::mem::offset_of;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// `InterfaceInfo` of `NvInferRuntimeBase.h`: which version of which interface an object has.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub(crate) struct InterfaceInfo {
    pub(crate) kind: *const c_char,
    pub(crate) major: i32,
    pub(crate) minor: i32,
}

/// The words before the first function of a table.
#[repr(C)]
struct Prefix {
    /// 0: our objects are whole, not a base of something.
    offset_to_top: isize,
    /// Null: there is no type information; nothing that takes these interfaces asks for it.
    type_info: *const c_void,
}

impl Prefix {
    const NEW: Self = Self { offset_to_top: 0, type_info: std::ptr::null() };
}

/// The first functions of an `IVersionedInterface`.
#[repr(C)]
struct VersionedFunctions {
    api_language: unsafe extern "C" fn(*mut c_void) -> i32,
    interface_info: unsafe extern "C" fn(*mut c_void) -> InterfaceInfo,
    destroy: unsafe extern "C" fn(*mut c_void),
    delete: unsafe extern "C" fn(*mut c_void),
}

impl VersionedFunctions {
    const fn new(interface_info: unsafe extern "C" fn(*mut c_void) -> InterfaceInfo) -> Self {
        Self { api_language, interface_info, destroy: leave, delete: leave }
    }
}

/// `APILanguage::kCPP`.
unsafe extern "C" fn api_language(_: *mut c_void) -> i32 {
    0
}

/// Stands for a destructor: our objects belong to Rust, TensorRT never deletes them.
unsafe extern "C" fn leave(_: *mut c_void) {}

/// A table in static memory; the pointers in it are to functions and static strings.
#[repr(transparent)]
struct StaticTable<T>(T);

// SAFETY: a table is constant, and so is all that it points to.
unsafe impl<T> Sync for StaticTable<T> {}

/// The slots that our tables provide, from where the functions really are.
pub(crate) fn slots(major: Major) -> Vec<Slot> {
    let slot = |class, method, offset: usize, since| Slot {
        class,
        method,
        index: u16::try_from((offset - size_of::<Prefix>()) / size_of::<*const c_void>())
            .expect("tables are short"),
        since,
        target: Target::Itself,
    };
    let oldest = major.oldest();
    let versioned = |class, since: Version| {
        let functions = offset_of!(progress::Table, versioned);
        [
            ("getAPILanguage", offset_of!(VersionedFunctions, api_language)),
            ("getInterfaceInfo", offset_of!(VersionedFunctions, interface_info)),
        ]
        .map(|(method, offset)| slot(class, method, functions + offset, since))
    };
    let (log, report) = if major >= Major::V11 {
        let log = offset_of!(logger::VersionedTable, log);
        (log, offset_of!(profiler::VersionedTable, report))
    } else {
        (offset_of!(logger::PlainTable, log), offset_of!(profiler::PlainTable, report))
    };
    let mut slots = vec![
        slot("ILogger", "log", log, oldest),
        slot("IProfiler", "reportLayerTime", report, oldest),
    ];
    if major >= Major::V11 {
        slots.extend(versioned("ILogger", oldest));
        slots.extend(versioned("IProfiler", oldest));
    }
    if major >= Major::V10 {
        slots.extend(versioned("IProgressMonitor", oldest));
        slots.extend(
            [
                ("phaseStart", offset_of!(progress::Table, phase_start)),
                ("stepComplete", offset_of!(progress::Table, step_complete)),
                ("phaseFinish", offset_of!(progress::Table, phase_finish)),
            ]
            .map(|(method, offset)| slot("IProgressMonitor", method, offset, oldest)),
        );
    }
    slots
}

/// Runs a callback; a panic in it becomes `fallback`.
fn guard<T>(what: &'static str, fallback: T, callback: impl FnOnce() -> T) -> T {
    // Whatever a callback that panicked left behind is its own; TensorRT's state is not touched by it.
    catch_unwind(AssertUnwindSafe(callback)).unwrap_or_else(|_| {
        // The logger may be what panicked: not once more out of here.
        let _ = catch_unwind(|| log::error!(target: logger::TARGET, "{what} panicked"));
        fallback
    })
}

/// A name from TensorRT; null is empty.
///
/// # Safety
/// `text` is null or a string that ends with a NUL and stays as it is during `'a`.
unsafe fn text<'a>(text: *const c_char) -> std::borrow::Cow<'a, str> {
    if text.is_null() {
        return "".into();
    }
    // SAFETY: the caller vouches for it.
    unsafe { CStr::from_ptr(text) }.to_string_lossy()
}
