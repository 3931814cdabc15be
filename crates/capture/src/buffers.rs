//! Drivers' buffers for readers that take images from them without this process touching a pixel.

use crate::v4l2::DeviceError;
use rustix::fd::OwnedFd;

/// The buffers of one running camera, as DMABUF descriptors.
///
/// They are those of one stream: a camera that was opened anew has others. A descriptor keeps its memory alive, so a
/// reader that holds on to one of an old stream reads old pixels and harms nobody.
#[derive(Debug)]
pub struct ExportedBuffers {
    /// Which stream of this camera they are of; compare [`LentBuffer::stream`].
    pub stream: u64,
    /// For each buffer its memory planes, read-only.
    pub buffers: Vec<Vec<OwnedFd>>,
}

/// In which buffer a lent image lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LentBuffer {
    /// The camera: 0 the left or the only one, 1 the right.
    pub camera: usize,
    /// Which stream of this camera, counted from 1.
    pub stream: u64,
    /// Which of [`ExportedBuffers::buffers`].
    pub buffer: usize,
    /// Where the pixels begin; Y of NV12.
    pub plane: BufferPlane,
    /// Where UV of NV12 begins.
    pub chroma: Option<BufferPlane>,
}

/// Where the first byte of an image's plane lies in a buffer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BufferPlane {
    /// Which memory plane of the buffer.
    pub memory: usize,
    /// From its start, bytes.
    pub offset_bytes: usize,
    /// From row to row, bytes.
    pub stride_bytes: usize,
}

/// What came of asking a source for its buffers.
pub type Export = Result<Option<ExportedBuffers>, DeviceError>;
