//! Pointers to C++ objects and their virtual tables.
//!
//! The Itanium C++ ABI, the same on `x86_64` and `aarch64` Linux: the first word of an object is the
//! address of its class's virtual table, an array of function addresses; a member function takes the
//! object as its first argument and is called like a C function otherwise.

use std::ffi::c_void;
use std::ptr::NonNull;

/// Nothing is ever allocated below this address (Linux's `vm.mmap_min_addr` is 64 KiB by default); a
/// factory that fails without a GPU was seen to return 0x228.
const LOWEST_ADDRESS: usize = 64 * 1024;

/// A live object of TensorRT: `IRuntime`, `IParser`, ...
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Object(NonNull<c_void>);

impl Object {
    /// `None` for null, and for small numbers that are no addresses.
    pub(crate) fn new(pointer: *mut c_void) -> Option<Self> {
        NonNull::new(pointer).filter(|pointer| pointer.addr().get() >= LOWEST_ADDRESS).map(Self)
    }

    pub(crate) fn as_ptr(self) -> *mut c_void {
        self.0.as_ptr()
    }
}

/// Whose table a method is in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Target {
    /// The object's own: its first word. The classes `I*` of callbacks, of the parser, and destructors.
    Itself,
    /// That of the implementation, to which the second word of the object points (`mImpl`, in
    /// `ILayer` `mLayer`). The classes `V*` of `NvInferImpl.h`.
    Implementation,
}

/// The object whose table has the method.
///
/// # Safety
/// `object` is alive and of an interface whose methods are at `target`.
pub(crate) unsafe fn receiver(object: Object, target: Target) -> *mut c_void {
    match target {
        Target::Itself => object.as_ptr(),
        Target::Implementation => {
            // SAFETY: the caller vouches for an interface object; after the address of its table comes
            // `mImpl` (`NvInferRuntime.h`, `NvInfer.h`: the one data member of every class concerned).
            let words = unsafe { object.as_ptr().cast::<[*mut c_void; 2]>().read() };
            words[1]
        }
    }
}

/// The address of a virtual function, as `F`.
///
/// # Safety
/// `receiver` is alive, its table has a function at `slot`, and `F` is the type of a pointer to that
/// function with the object as first argument.
pub(crate) unsafe fn function<F: Copy>(receiver: *mut c_void, slot: u16) -> F {
    const { assert!(size_of::<F>() == size_of::<*const c_void>()) };
    // SAFETY: the first word of an object with virtual functions is the address of its table.
    let table = unsafe { *receiver.cast::<*const *const c_void>() };
    // SAFETY: the caller vouches that the table reaches to `slot`.
    let entry = unsafe { table.add(usize::from(slot)) };
    // SAFETY: as above.
    let address = unsafe { entry.read() };
    // SAFETY: `F` is a function pointer of the size of an address (asserted above), and the caller
    // vouches for its type.
    unsafe { std::mem::transmute_copy(&address) }
}
