//! A network that copies its images to its logits, with the driver's own copy: on fakes and on real GPUs alike.

use libloading::Library;
use occdepth_cuda::{Context, CudaError, DeviceNetwork, NetworkSource, Tensor, ValueKind};
use std::ffi::c_void;
use std::sync::Arc;

type Copy = unsafe extern "C" fn(u64, u64, usize, *mut c_void) -> i32;
type Synchronize = unsafe extern "C" fn(*mut c_void) -> i32;

/// Where it comes from.
#[derive(Clone, Debug)]
pub(crate) struct CopySource {
    pub(crate) kind: ValueKind,
    /// Of the images.
    pub(crate) images: usize,
    /// Of the logits, at most as many.
    pub(crate) logits: usize,
    /// Whether a run waits for the stream, which no graph can hold.
    pub(crate) waits: bool,
}

struct CopyNetwork {
    tensors: Vec<Tensor>,
    addresses: [u64; 3],
    bytes: usize,
    waits: bool,
    copy: Copy,
    synchronize: Synchronize,
}

impl NetworkSource for CopySource {
    fn load(&mut self, _: &Arc<Context>) -> Result<Box<dyn DeviceNetwork>, CudaError> {
        let tensor = |name: &str, is_input, kind, values| Tensor {
            name: name.into(),
            is_input,
            kind,
            values,
        };
        // SAFETY: the driver is loaded already.
        let driver = unsafe { Library::new("libcuda.so.1") }.unwrap();
        // SAFETY: cuda.h's types of these names.
        let copy = *unsafe { driver.get::<Copy>(b"cuMemcpyDtoDAsync_v2") }.unwrap();
        // SAFETY: as above.
        let synchronize = *unsafe { driver.get::<Synchronize>(b"cuStreamSynchronize") }.unwrap();
        std::mem::forget(driver);
        Ok(Box::new(CopyNetwork {
            tensors: vec![
                tensor("images", true, self.kind, self.images),
                tensor("ssc_logits", false, self.kind, self.logits),
                tensor("pixels", true, ValueKind::I32, 5),
            ],
            addresses: [0; 3],
            bytes: self.logits * self.kind.bytes(),
            waits: self.waits,
            copy,
            synchronize,
        }))
    }
}

// SAFETY: it queues one copy on the stream, of as many bytes as the logits have, from images that have at least as many.
unsafe impl DeviceNetwork for CopyNetwork {
    fn tensors(&self) -> &[Tensor] {
        &self.tensors
    }

    unsafe fn set_address(&mut self, nth: usize, address: u64) -> Result<(), CudaError> {
        self.addresses[nth] = address;
        Ok(())
    }

    unsafe fn enqueue(&mut self, stream: *mut c_void) -> Result<(), CudaError> {
        // SAFETY: the caller vouches for stream and addresses.
        let mut code =
            unsafe { (self.copy)(self.addresses[1], self.addresses[0], self.bytes, stream) };
        if code == 0 && self.waits {
            // SAFETY: as above.
            code = unsafe { (self.synchronize)(stream) };
        }
        if code == 0 {
            Ok(())
        } else {
            Err(CudaError::Network(format!("the copy failed with {code}")))
        }
    }
}
