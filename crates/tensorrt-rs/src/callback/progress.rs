//! How far a build is.

use super::{InterfaceInfo, Prefix, StaticTable, VersionedFunctions, guard, text};
use std::ffi::{c_char, c_void};
use std::fmt;

/// Watches a build; from TensorRT 10.0.
///
/// Phases nest: one has the phase within which it runs as its parent. TensorRT calls from threads of its
/// own, possibly from several at once.
pub trait ProgressMonitor: Send + Sync {
    /// A phase begins and will have so many steps.
    fn phase_start(&self, phase: &str, parent: Option<&str>, steps: u32);

    /// A step is done, counted from 0. `false` cancels the build.
    fn step_complete(&self, phase: &str, step: u32) -> bool;

    /// A phase is over, completed or not.
    fn phase_finish(&self, phase: &str);
}

/// The `IProgressMonitor` of 10.x and 11.
#[repr(C)]
pub(super) struct Table {
    prefix: Prefix,
    pub(super) versioned: VersionedFunctions,
    pub(super) phase_start: unsafe extern "C" fn(*mut c_void, *const c_char, *const c_char, i32),
    pub(super) step_complete: unsafe extern "C" fn(*mut c_void, *const c_char, i32) -> bool,
    pub(super) phase_finish: unsafe extern "C" fn(*mut c_void, *const c_char),
}

static TABLE: StaticTable<Table> = StaticTable(Table {
    prefix: Prefix::NEW,
    versioned: VersionedFunctions::new(interface_info),
    phase_start,
    step_complete,
    phase_finish,
});

/// What TensorRT is given; lives as long as the configuration refers to it.
#[repr(C)]
pub(crate) struct MonitorObject {
    functions: *const c_void,
    monitor: Box<dyn ProgressMonitor>,
}

// SAFETY: the address is of constant data; the rest is `Send` and `Sync`.
unsafe impl Send for MonitorObject {}
// SAFETY: as above.
unsafe impl Sync for MonitorObject {}

impl fmt::Debug for MonitorObject {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("MonitorObject")
    }
}

impl MonitorObject {
    pub(crate) fn new(monitor: Box<dyn ProgressMonitor>) -> Self {
        Self { functions: (&raw const TABLE.0.versioned).cast(), monitor }
    }

    /// The object as TensorRT takes it.
    pub(crate) fn as_ptr(&self) -> *mut c_void {
        std::ptr::from_ref(self).cast_mut().cast()
    }
}

/// # Safety
/// `this` is a live `MonitorObject`.
unsafe fn monitor<'a>(this: *mut c_void) -> &'a dyn ProgressMonitor {
    // SAFETY: the caller vouches for it; all access is shared.
    let object = unsafe { &*this.cast::<MonitorObject>() };
    &*object.monitor
}

unsafe extern "C" fn phase_start(
    this: *mut c_void,
    phase: *const c_char,
    parent: *const c_char,
    steps: i32,
) {
    guard("the progress monitor", (), || {
        // SAFETY: TensorRT calls with the object it was given, which the configuration keeps.
        let monitor = unsafe { monitor(this) };
        // SAFETY: TensorRT passes a string that it keeps during the call.
        let phase = unsafe { text(phase) };
        // SAFETY: null, or a string that TensorRT keeps during the call.
        let parent_text = unsafe { text(parent) };
        let parent = (!parent.is_null()).then_some(&*parent_text);
        monitor.phase_start(&phase, parent, u32::try_from(steps).unwrap_or(0));
    });
}

unsafe extern "C" fn step_complete(this: *mut c_void, phase: *const c_char, step: i32) -> bool {
    guard("the progress monitor", false, || {
        // SAFETY: TensorRT calls with the object it was given, which the configuration keeps.
        let monitor = unsafe { monitor(this) };
        // SAFETY: TensorRT passes a string that it keeps during the call.
        let phase = unsafe { text(phase) };
        monitor.step_complete(&phase, u32::try_from(step).unwrap_or(0))
    })
}

unsafe extern "C" fn phase_finish(this: *mut c_void, phase: *const c_char) {
    guard("the progress monitor", (), || {
        // SAFETY: TensorRT calls with the object it was given, which the configuration keeps.
        let monitor = unsafe { monitor(this) };
        // SAFETY: TensorRT passes a string that it keeps during the call.
        let phase = unsafe { text(phase) };
        monitor.phase_finish(&phase);
    });
}

unsafe extern "C" fn interface_info(_: *mut c_void) -> InterfaceInfo {
    InterfaceInfo { kind: c"IProgressMonitor".as_ptr(), major: 1, minor: 0 }
}
