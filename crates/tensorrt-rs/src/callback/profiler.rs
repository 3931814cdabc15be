//! Times of layers.

use super::{InterfaceInfo, Prefix, StaticTable, VersionedFunctions, guard, leave, text};
use crate::version::Major;
use std::ffi::{c_char, c_void};
use std::fmt;
use std::sync::{Mutex, PoisonError};

/// Takes the times of the layers of an execution context.
pub trait Profiler: Send {
    /// One layer of one frame took so many milliseconds on the GPU.
    fn layer_time(&mut self, layer: &str, milliseconds: f32);
}

impl<F: FnMut(&str, f32) + Send> Profiler for F {
    fn layer_time(&mut self, layer: &str, milliseconds: f32) {
        self(layer, milliseconds);
    }
}

/// The `IProfiler` of 8.x and 10.x.
#[repr(C)]
pub(super) struct PlainTable {
    prefix: Prefix,
    pub(super) report: unsafe extern "C" fn(*mut c_void, *const c_char, f32),
    destroy: unsafe extern "C" fn(*mut c_void),
    delete: unsafe extern "C" fn(*mut c_void),
}

/// The `IProfiler` of 11.
#[repr(C)]
pub(super) struct VersionedTable {
    prefix: Prefix,
    versioned: VersionedFunctions,
    pub(super) report: unsafe extern "C" fn(*mut c_void, *const c_char, f32),
}

static PLAIN_TABLE: StaticTable<PlainTable> =
    StaticTable(PlainTable { prefix: Prefix::NEW, report, destroy: leave, delete: leave });

static VERSIONED_TABLE: StaticTable<VersionedTable> = StaticTable(VersionedTable {
    prefix: Prefix::NEW,
    versioned: VersionedFunctions::new(interface_info),
    report,
});

/// What TensorRT is given; lives as long as the context refers to it.
#[repr(C)]
pub(crate) struct ProfilerObject {
    functions: *const c_void,
    profiler: Mutex<Box<dyn Profiler>>,
}

// SAFETY: the address is of constant data; the rest is `Send`, and shared only through a mutex.
unsafe impl Send for ProfilerObject {}
// SAFETY: as above.
unsafe impl Sync for ProfilerObject {}

impl fmt::Debug for ProfilerObject {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("ProfilerObject")
    }
}

impl ProfilerObject {
    pub(crate) fn new(major: Major, profiler: Box<dyn Profiler>) -> Self {
        let functions: *const c_void = match major {
            Major::V8 | Major::V10 => (&raw const PLAIN_TABLE.0.report).cast(),
            Major::V11 | Major::Rtx1 => (&raw const VERSIONED_TABLE.0.versioned).cast(),
        };
        Self { functions, profiler: Mutex::new(profiler) }
    }

    /// The object as TensorRT takes it.
    pub(crate) fn as_ptr(&self) -> *mut c_void {
        std::ptr::from_ref(self).cast_mut().cast()
    }

    pub(crate) fn into_profiler(self) -> Box<dyn Profiler> {
        self.profiler.into_inner().unwrap_or_else(PoisonError::into_inner)
    }
}

unsafe extern "C" fn report(this: *mut c_void, layer: *const c_char, milliseconds: f32) {
    guard("the profiler", (), || {
        // SAFETY: TensorRT calls with the object it was given, a `ProfilerObject` that the context keeps
        // until it has told TensorRT to forget it; all access is shared.
        let object = unsafe { &*this.cast::<ProfilerObject>() };
        // SAFETY: TensorRT passes a string that it keeps during the call (`IProfiler::reportLayerTime`).
        let layer = unsafe { text(layer) };
        let mut profiler = object.profiler.lock().unwrap_or_else(PoisonError::into_inner);
        profiler.layer_time(&layer, milliseconds);
    });
}

unsafe extern "C" fn interface_info(_: *mut c_void) -> InterfaceInfo {
    InterfaceInfo { kind: c"IProfiler".as_ptr(), major: 1, minor: 0 }
}
