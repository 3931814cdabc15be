//! What can go wrong on a GPU.

use std::path::PathBuf;

/// Why something did not happen on the GPU. Messages name the library, the call or the field, what was found and what was
/// expected.
#[derive(Debug, thiserror::Error)]
pub enum CudaError {
    /// A library is not on this machine, or not where the loader looks.
    #[error("{library} is not installed, or not where the loader looks: {reason}")]
    NotInstalled {
        /// "the CUDA driver (libcuda.so.1)".
        library: &'static str,
        /// What the loader said of each name that was tried.
        reason: String,
    },
    /// A library lacks a function: it is older than what this program needs.
    #[error("{library}: found no `{symbol}`, expected the library of CUDA {MINIMUM_CUDA} or newer")]
    Symbol {
        /// The library.
        library: String,
        /// The missing function.
        symbol: &'static str,
    },
    /// The driver is older than what this program needs.
    #[error(
        "the CUDA driver supports CUDA {}.{}, expected {MINIMUM_CUDA} or newer", found / 1000, found % 1000 / 10
    )]
    DriverVersion {
        /// As `cuDriverGetVersion` says it: 1000 major + 10 minor.
        found: i32,
    },
    /// There is no such GPU.
    #[error("GPU {ordinal}: found {count} usable GPUs")]
    NoDevice {
        /// The GPU that was asked for, from 0.
        ordinal: usize,
        /// How many there are.
        count: usize,
    },
    /// A call failed.
    #[error("{call} failed: {name} ({code})")]
    Call {
        /// The function.
        call: &'static str,
        /// CUDA's number.
        code: i32,
        /// CUDA's name for it.
        name: String,
    },
    /// There is not enough memory.
    #[error("{what}: no memory for {bytes} bytes; the GPU has {free} of {total} free")]
    OutOfMemory {
        /// What the memory was for.
        what: &'static str,
        /// How much was asked for.
        bytes: usize,
        /// Bytes free on the GPU; 0 where that cannot be told.
        free: usize,
        /// Bytes in all.
        total: usize,
    },
    /// The kernels do not compile.
    #[error("kernel `{kernel}` does not compile for {architecture}: {log}")]
    Compile {
        /// The kernel.
        kernel: &'static str,
        /// "`sm_87`".
        architecture: String,
        /// What the compiler said.
        log: String,
    },
    /// The directory for compiled kernels cannot be used.
    #[error("{}: {problem}", path.display())]
    Cache {
        /// The directory or file.
        path: PathBuf,
        /// What is wrong and what would be right.
        problem: String,
    },
    /// Something does not have the size or shape that was agreed on.
    #[error("{what}: found {found}, expected {expected}")]
    Shape {
        /// The tensor, buffer or setting.
        what: String,
        /// What there is.
        found: String,
        /// What there should be.
        expected: String,
    },
    /// `TensorRT` refuses the plan: it is of another version or GPU, or damaged.
    #[error("the plan is refused: {0}")]
    Plan(String),
    /// The network failed on the GPU.
    #[error("the network failed on the GPU: {0}")]
    Network(String),
    /// The GPU failed in a way that made its context useless. The context was made anew and the frame is lost; the next
    /// one may succeed.
    ///
    /// CUDA's documentation of these codes says that the process must end, and the driver of a server GPU (580.159 on an
    /// H200) gives no other context to a process that had one: there every such failure is [`CudaError::Lost`].
    #[error("the GPU failed, its context was made anew, and one frame is lost")]
    Recovered {
        /// What had failed.
        #[source]
        cause: Box<CudaError>,
    },
    /// A call after [`CudaError::Lost`].
    #[error("the GPU's context was lost; this process cannot use it any more")]
    Gone,
    /// As [`CudaError::Recovered`], but the context could not be made anew, or was only just: the process must be started
    /// again.
    #[error("the GPU failed and does not recover in this process")]
    Lost {
        /// What had failed.
        #[source]
        cause: Box<CudaError>,
    },
}

/// The oldest CUDA whose functions are enough: that of `JetPack` 5.1.
pub const MINIMUM_CUDA: &str = "11.4";

impl CudaError {
    /// Whether the next frame may succeed without anything being done about it: the context is another one by now, or a
    /// launch was refused, memory was wanting, the network failed, and the context is whole.
    pub fn is_recoverable(&self) -> bool {
        match self {
            Self::Recovered { .. } | Self::OutOfMemory { .. } | Self::Network(_) => true,
            Self::Call { .. } => !self.is_sticky(),
            _ => false,
        }
    }

    /// Whether the context is useless from now on: every later call fails with the same error.
    ///
    /// The codes are those of which CUDA's documentation of `CUresult` says that the process must be ended, or the
    /// context destroyed, to go on.
    pub fn is_sticky(&self) -> bool {
        let Self::Call { code, .. } = self else { return false };
        matches!(
            code,
            214 // ECC_UNCORRECTABLE
            | 220 // NVLINK_UNCORRECTABLE
            | 226 // CONTAINED
            | 700 // ILLEGAL_ADDRESS
            | 702 // LAUNCH_TIMEOUT
            | 709 // CONTEXT_IS_DESTROYED
            | 710 // ASSERT
            | 714 // HARDWARE_STACK_ERROR
            | 715 // ILLEGAL_INSTRUCTION
            | 716 // MISALIGNED_ADDRESS
            | 717 // INVALID_ADDRESS_SPACE
            | 718 // INVALID_PC
            | 719 // LAUNCH_FAILED
            | 911 // EXTERNAL_DEVICE
            | 999 // UNKNOWN
        )
    }
}
