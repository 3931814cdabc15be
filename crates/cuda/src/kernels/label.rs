//! The `label` kernel.
#![allow(unsafe_code, reason = "launching a kernel with addresses of device memory")]

use super::DEVICE;
use crate::error::CudaError;
use crate::module::Kernel;
use crate::nvrtc::Source;
use crate::stream::Stream;

/// How logits become labels.
#[derive(Clone, Debug)]
pub struct LabelPlan {
    /// Plane of the logits and class id, ascending by id: among equal logits the lowest id wins.
    pub planes: Vec<(u16, u8)>,
    /// Voxels of the grid.
    pub voxels: usize,
    /// Voxels whose confidence, in 8 bits, is below this are unknown.
    pub unknown_below: u8,
    /// One byte per voxel: 255 where no camera sees it, else 0.
    pub hidden: Option<Vec<u8>>,
}

impl LabelPlan {
    /// Checks what the kernel relies on.
    pub(crate) fn check(&self) -> Result<(), CudaError> {
        let classes = self.planes.len();
        let shape = |what: &str, found: String, expected: String| CudaError::Shape {
            what: what.into(),
            found,
            expected,
        };
        if classes == 0 || classes > MOST_CLASSES {
            return Err(shape("classes", classes.to_string(), format!("1 to {MOST_CLASSES}")));
        }
        if let Some(&(plane, _)) = self.planes.iter().find(|plane| plane.0 as usize >= classes) {
            return Err(shape("plane of a class", plane.to_string(), format!("below {classes}")));
        }
        // The kernel counts in 32 bits.
        if self.voxels == 0
            || u32::try_from(self.voxels).map_or(true, |voxels| voxels > MOST_VOXELS)
        {
            return Err(shape("voxels", self.voxels.to_string(), format!("1 to {MOST_VOXELS}")));
        }
        match &self.hidden {
            Some(hidden) if hidden.len() != self.voxels => {
                Err(shape("visibility mask", hidden.len().to_string(), self.voxels.to_string()))
            }
            _ => Ok(()),
        }
    }

    /// The kernel for these classes.
    pub(crate) fn source_text(&self, half: bool) -> Source {
        Source {
            kernel: "label",
            text: format!("{DEVICE}\n{}", include_str!("../../kernels/label.cu")),
            options: vec![
                format!("-DCLASSES={}", self.planes.len()),
                format!("-DVOXELS={}", self.per_thread(half)),
                format!("-DINPUT_HALF={}", u32::from(half)),
                format!("-DBYTES={}", self.parameter_bytes()),
            ],
        }
    }

    /// Voxels a thread: as many as make 8 bytes of logits, where every plane is aligned to that.
    fn per_thread(&self, half: bool) -> usize {
        let most = if half { 4 } else { 2 };
        let fits = |&count: &usize| count <= most && self.voxels.is_multiple_of(count);
        [4, 2].into_iter().find(fits).unwrap_or(1)
    }

    /// Size of `Label` in `label.cu`.
    fn parameter_bytes(&self) -> usize {
        (FIXED_BYTES + 3 * self.planes.len()).next_multiple_of(8)
    }
}

/// A launch, ready.
#[derive(Clone, Debug)]
pub(crate) struct Labelling {
    /// `Label` of `label.cu`; in words, so that it is aligned as that.
    parameters: Vec<u64>,
    blocks: u32,
}

impl Labelling {
    /// Addresses of: the logits, the mask (0: none), the labels, the confidences (0: none).
    pub(crate) fn new(plan: &LabelPlan, half: bool, addresses: [u64; 4]) -> Self {
        let mut bytes = Vec::with_capacity(plan.parameter_bytes());
        for address in addresses {
            bytes.extend(address.to_ne_bytes());
        }
        bytes.extend(u32::try_from(plan.voxels).unwrap_or(0).to_ne_bytes());
        bytes.extend(u32::from(plan.unknown_below).to_ne_bytes());
        for (plane, _) in &plan.planes {
            bytes.extend(plane.to_ne_bytes());
        }
        bytes.extend(plan.planes.iter().map(|(_, id)| id));
        bytes.resize(plan.parameter_bytes(), 0);
        let words = bytes.as_chunks::<8>().0;
        let threads = plan.voxels.div_ceil(plan.per_thread(half));
        Self {
            parameters: words.iter().map(|word| u64::from_ne_bytes(*word)).collect(),
            blocks: u32::try_from(threads.div_ceil(THREADS as usize)).unwrap_or(0),
        }
    }

    /// Queues it.
    ///
    /// # Safety
    /// The kernel must be that of the plan; the buffers must be as large as the plan says and outlive the run.
    pub(crate) unsafe fn launch(&self, kernel: &Kernel, stream: &Stream) -> Result<(), CudaError> {
        // SAFETY: the parameters are the kernel's, of the size it was compiled for; the caller vouches for the buffers,
        // and `LabelPlan::check` for every index into them.
        unsafe {
            kernel.launch(
                stream,
                [self.blocks, 1, 1],
                [THREADS, 1, 1],
                self.parameters.as_ptr().cast(),
            )
        }
    }
}

/// Threads a block.
const THREADS: u32 = 128;
/// Four addresses and two numbers.
const FIXED_BYTES: usize = 4 * 8 + 2 * 4;
/// Ids are bytes, and one of them means unknown.
const MOST_CLASSES: usize = 255;
/// So that the number of the last thread's first voxel fits 32 bits.
const MOST_VOXELS: u32 = 1 << 31;
