//! What only a real driver can show: what it makes of a kernel that goes wrong, and how much memory there is.

use crate::cases;
use crate::fakes::{alone_on_a_gpu, error, on_a_gpu};
use crate::faults::{path_of, run};
use crate::network::CopySource;
use crate::random::Random;
use libloading::Library;
use occdepth_cuda::{
    Context, CudaError, DeviceNetwork, FramePath, MemoryUse, NetworkSource, Tensor, ValueKind,
};
use std::ffi::{CStr, c_char, c_void};
use std::ptr::null_mut;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// A store where no memory is: `CUDA_ERROR_ILLEGAL_ADDRESS` (700). PTX ISA 7.0, for everything from Xavier on.
const WILD: &CStr = c".version 7.0
.target sm_72
.address_size 64
.visible .entry fault() {
    .reg .b64 %address;
    .reg .b32 %value;
    mov.u64 %address, 16;
    mov.u32 %value, 1;
    st.global.u32 [%address], %value;
    ret;
}";

/// `CUDA_ERROR_LAUNCH_FAILED` (719).
const TRAP: &CStr = c".version 7.0
.target sm_72
.address_size 64
.visible .entry fault() {
    trap;
}";

#[test]
fn a_store_to_nowhere_costs_one_frame_or_the_device_on_a_gpu() {
    let test = "device::a_store_to_nowhere_costs_one_frame_or_the_device_on_a_gpu";
    alone_on_a_gpu(test, |_| fault(test, WILD, 700));
}

#[test]
fn a_kernel_that_traps_costs_one_frame_or_the_device_on_a_gpu() {
    let test = "device::a_kernel_that_traps_costs_one_frame_or_the_device_on_a_gpu";
    alone_on_a_gpu(test, |_| fault(test, TRAP, 719));
}

/// Frames before, with and after a kernel that goes wrong: the driver either lets the context be made anew, and then every
/// later grid is right, or does not (580.159 on an H200), and then every later frame says so. No grid is ever wrong.
fn fault(test: &str, ptx: &'static CStr, code: i32) {
    let mut random = Random::new(test);
    let armed = Arc::new(AtomicBool::new(false));
    // Without a graph, so that the network is asked for each frame.
    let options = cases::options(0, MemoryUse::Copied, false);
    let (mut path, mut rig, labeller) = path_of(&mut random, options, |copy| {
        Box::new(Faulty { copy, ptx, armed: Arc::clone(&armed) })
    })
    .unwrap();
    let mut fates = Vec::new();
    // Two misfortunes with good frames between them.
    for arms in [false, true, false, false, true, false, false] {
        armed.store(arms, Ordering::SeqCst);
        let fate = match run(&mut random, &mut path, &mut rig, &labeller) {
            Ok(()) => "ok",
            Err(CudaError::Recovered { cause }) => {
                eprintln!("{test}: recovered from: {cause}");
                assert!(cause.to_string().contains(&format!("({code})")), "{cause}");
                "recovered"
            }
            Err(error @ CudaError::Lost { .. }) => {
                eprintln!("{test}: {error}: {:?}", std::error::Error::source(&error));
                let cause = std::error::Error::source(&error).unwrap().to_string();
                assert!(cause.contains(&format!("({code})")), "{cause}");
                "lost"
            }
            Err(CudaError::Gone) => "gone",
            Err(other) => panic!("{other}"),
        };
        fates.push(fate);
    }
    eprintln!("{test}: {}", fates.join(", "));
    let survives = ["ok", "recovered", "ok", "ok", "recovered", "ok", "ok"];
    let does_not = ["ok", "lost", "gone", "gone", "gone", "gone", "gone"];
    assert!(fates == survives || fates == does_not, "{fates:?}");
}

#[test]
fn memory_that_is_not_there_is_named_on_a_gpu() {
    let test = "device::memory_that_is_not_there_is_named_on_a_gpu";
    on_a_gpu(test, |device| {
        // More than any device has: 2^50 bytes.
        let values = 1 << 48;
        let source =
            CopySource { kind: ValueKind::F32, images: values, logits: values, waits: false };
        let options = cases::options(3, MemoryUse::Copied, false);
        let error = error(FramePath::new(device, Box::new(source), options));
        assert!(matches!(&error, CudaError::OutOfMemory { total, .. } if *total > 0), "{error}");
        eprintln!("{test}: {error}");
    });
}

/// A network that copies, and does something terrible first where it is armed.
struct Faulty {
    copy: CopySource,
    ptx: &'static CStr,
    armed: Arc<AtomicBool>,
}

struct FaultyNetwork {
    copy: Box<dyn DeviceNetwork>,
    armed: Arc<AtomicBool>,
    function: *mut c_void,
    launch: Launch,
}

type LoadModule = unsafe extern "C" fn(*mut *mut c_void, *const c_void) -> i32;
type FunctionOf = unsafe extern "C" fn(*mut *mut c_void, *mut c_void, *const c_char) -> i32;
type Launch = unsafe extern "C" fn(
    *mut c_void,
    u32,
    u32,
    u32,
    u32,
    u32,
    u32,
    u32,
    *mut c_void,
    *mut *mut c_void,
    *mut *mut c_void,
) -> i32;

impl NetworkSource for Faulty {
    fn load(&mut self, context: &Arc<Context>) -> Result<Box<dyn DeviceNetwork>, CudaError> {
        let copy = self.copy.load(context)?;
        context.make_current()?;
        // SAFETY: the driver is loaded already.
        let driver = unsafe { Library::new("libcuda.so.1") }.unwrap();
        // SAFETY: cuda.h's type of this name.
        let load = *unsafe { driver.get::<LoadModule>(b"cuModuleLoadData") }.unwrap();
        // SAFETY: as above.
        let function_of = *unsafe { driver.get::<FunctionOf>(b"cuModuleGetFunction") }.unwrap();
        // SAFETY: as above.
        let launch = *unsafe { driver.get::<Launch>(b"cuLaunchKernel") }.unwrap();
        std::mem::forget(driver);
        let (mut module, mut function) = (null_mut(), null_mut());
        // SAFETY: PTX that ends with 0, and a current context.
        assert_eq!(unsafe { load(&raw mut module, self.ptx.as_ptr().cast()) }, 0);
        // SAFETY: the module was loaded above; the name ends with 0.
        let found = unsafe { function_of(&raw mut function, module, c"fault".as_ptr()) };
        assert_eq!(found, 0);
        Ok(Box::new(FaultyNetwork { copy, armed: Arc::clone(&self.armed), function, launch }))
    }
}

// SAFETY: functions may be used from any thread whose current context is theirs.
unsafe impl Send for FaultyNetwork {}

// SAFETY: the copy's; and a kernel without parameters that faults without having written anywhere.
unsafe impl DeviceNetwork for FaultyNetwork {
    fn tensors(&self) -> &[Tensor] {
        self.copy.tensors()
    }

    unsafe fn set_address(&mut self, nth: usize, address: u64) -> Result<(), CudaError> {
        // SAFETY: the caller's promise.
        unsafe { self.copy.set_address(nth, address) }
    }

    unsafe fn enqueue(&mut self, stream: *mut c_void) -> Result<(), CudaError> {
        if self.armed.swap(false, Ordering::SeqCst) {
            let (function, launch) = (self.function, self.launch);
            // SAFETY: one thread of a function of this context, which takes no parameters.
            let code =
                unsafe { launch(function, 1, 1, 1, 1, 1, 1, 0, stream, null_mut(), null_mut()) };
            assert_eq!(code, 0, "the launch itself is fine");
        }
        // SAFETY: the caller's promise.
        unsafe { self.copy.enqueue(stream) }
    }
}
