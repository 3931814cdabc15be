//! The GPUs of this machine.
#![allow(unsafe_code, reason = "calls of the CUDA driver")]

use crate::driver::Driver;
use crate::error::CudaError;
use cudarc::driver::sys::{CUdevice, CUdevice_attribute as Attribute, CUuuid};
use std::ffi::{CStr, c_int};

/// A GPU, and what is fixed about it.
#[derive(Clone, Debug)]
pub struct Device {
    pub(crate) driver: &'static Driver,
    pub(crate) handle: CUdevice,
    ordinal: usize,
    name: String,
    compute: (u32, u32),
    uuid: [u8; 16],
    integrated: bool,
    can_map_host_memory: bool,
    multiprocessors: u32,
    memory_bytes: usize,
    driver_version: i32,
}

impl Device {
    /// How many GPUs this process may use.
    ///
    /// # Errors
    /// No driver, an old one, or one that fails; no GPU is an error of the driver (`CUDA_ERROR_NO_DEVICE`).
    pub fn count() -> Result<usize, CudaError> {
        let driver = Driver::load()?;
        let mut count = 0;
        // SAFETY: `count` is valid for the call.
        driver.check("cuDeviceGetCount", unsafe { (driver.device_count)(&raw mut count) })?;
        Ok(usize::try_from(count).unwrap_or(0))
    }

    /// GPU `ordinal`, from 0, in the order of `CUDA_VISIBLE_DEVICES`.
    ///
    /// # Errors
    /// As [`Device::count`], and [`CudaError::NoDevice`].
    pub fn open(ordinal: usize) -> Result<Self, CudaError> {
        let driver = Driver::load()?;
        let count = Self::count()?;
        let number = c_int::try_from(ordinal).ok().filter(|_| ordinal < count);
        let number = number.ok_or(CudaError::NoDevice { ordinal, count })?;
        let mut handle = 0;
        // SAFETY: `handle` is valid for the call.
        driver.check("cuDeviceGet", unsafe { (driver.device_get)(&raw mut handle, number) })?;
        let attribute = |attribute: Attribute| {
            let mut value = 0;
            // SAFETY: `value` is valid for the call, and `handle` came from the driver.
            let code = unsafe { (driver.device_attribute)(&raw mut value, attribute, handle) };
            driver.check("cuDeviceGetAttribute", code)?;
            Ok::<u32, CudaError>(u32::try_from(value).unwrap_or(0))
        };
        let mut name = [0; 256];
        // SAFETY: `name` has as many bytes as the call is told, the last of which it leaves 0.
        let code = unsafe { (driver.device_name)(name.as_mut_ptr(), 255, handle) };
        driver.check("cuDeviceGetName", code)?;
        // SAFETY: the array ends with 0.
        let name = unsafe { CStr::from_ptr(name.as_ptr()) }.to_string_lossy().into_owned();
        let mut uuid = CUuuid { bytes: [0; 16] };
        // SAFETY: `uuid` is valid for the call.
        let code = unsafe { (driver.device_uuid)(&raw mut uuid, handle) };
        driver.check("cuDeviceGetUuid", code)?;
        let mut memory_bytes = 0;
        // SAFETY: `memory_bytes` is valid for the call.
        let code = unsafe { (driver.device_memory)(&raw mut memory_bytes, handle) };
        driver.check("cuDeviceTotalMem", code)?;
        Ok(Self {
            driver,
            handle,
            ordinal,
            name,
            compute: (
                attribute(Attribute::CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR)?,
                attribute(Attribute::CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR)?,
            ),
            // C's characters are signed on some machines.
            uuid: uuid.bytes.map(|byte| byte.to_ne_bytes()[0]),
            integrated: attribute(Attribute::CU_DEVICE_ATTRIBUTE_INTEGRATED)? != 0,
            can_map_host_memory: attribute(Attribute::CU_DEVICE_ATTRIBUTE_CAN_MAP_HOST_MEMORY)?
                != 0,
            multiprocessors: attribute(Attribute::CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT)?,
            memory_bytes,
            driver_version: driver.version()?,
        })
    }

    /// Its number, from 0.
    pub fn ordinal(&self) -> usize {
        self.ordinal
    }

    /// "Orin", "NVIDIA H100 80GB HBM3".
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Compute capability, major and minor: (8, 7) is an Orin.
    pub fn compute(&self) -> (u32, u32) {
        self.compute
    }

    /// What tells it from every other GPU.
    pub fn uuid(&self) -> [u8; 16] {
        self.uuid
    }

    /// Whether it shares its memory with the CPU, so that a copy between them moves nothing.
    pub fn is_integrated(&self) -> bool {
        self.integrated
    }

    /// Whether kernels can use memory of the host.
    pub fn can_map_host_memory(&self) -> bool {
        self.can_map_host_memory
    }

    /// Streaming multiprocessors.
    pub fn multiprocessors(&self) -> u32 {
        self.multiprocessors
    }

    /// Of its memory.
    pub fn memory_bytes(&self) -> usize {
        self.memory_bytes
    }

    /// The CUDA version that the driver supports, major and minor.
    pub fn driver_cuda(&self) -> (u32, u32) {
        let version = u32::try_from(self.driver_version).unwrap_or(0);
        (version / 1000, version % 1000 / 10)
    }
}
