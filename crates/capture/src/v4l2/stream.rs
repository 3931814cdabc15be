//! A running stream: the driver's buffers, mapped once and lent one by one.

use super::abi::{self, Buffer, Plane, Request};
use super::device::{Device, QueueKind};
use super::error::DeviceError;
use crate::clock::monotonic_ns;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fd::{AsFd, FromRawFd, OwnedFd};
use rustix::fs::OFlags;
use rustix::io::Errno;
use rustix::mm::{MapFlags, ProtFlags, mmap, munmap};
use std::ffi::c_void;
use std::ptr::NonNull;

/// A stream of one device. Dropping it ends the stream, unmaps its buffers and closes the device.
///
/// A buffer is either the driver's (queued) or ours (dequeued). [`Stream::dequeue`] makes the oldest full buffer ours,
/// [`Stream::plane`] lends its pixels, [`Stream::queue`] gives it back; the borrow checker sees to it that nobody holds
/// pixels of a buffer that is given back.
#[derive(Debug)]
pub struct Stream {
    buffers: Vec<Mapped>, // before `device`, so that they are unmapped before it is closed
    device: Device,
    changes_told: bool,
}

/// A buffer that the driver has filled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Filled {
    /// Which buffer; for [`Stream::plane`] and [`Stream::queue`].
    pub index: usize,
    /// The driver's count of images, which wraps.
    pub sequence: u32,
    /// When the image was taken (or received, see [`Filled::start_of_exposure`]): `CLOCK_MONOTONIC` nanoseconds;
    /// `None` where the driver uses another clock or none.
    pub time_ns: Option<u64>,
    /// Whether the time is that of the start of exposure; else that of the end of the frame.
    pub start_of_exposure: bool,
    /// The driver says that the image is damaged.
    pub damaged: bool,
}

/// What [`Stream::dequeue`] brought.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dequeued {
    /// An image.
    Filled(Filled),
    /// Nothing before the deadline.
    Nothing,
    /// The source's resolution changed: the stream has to be built anew.
    SourceChanged,
}

#[derive(Debug)]
struct Mapped {
    planes: Vec<Mapping>,
    /// Whether the buffer is ours.
    dequeued: bool,
}

/// One memory plane of a buffer.
#[derive(Debug)]
struct Mapping {
    address: NonNull<c_void>,
    length: usize,
    /// The image's bytes in it, as of the last time that the buffer was dequeued.
    image: std::ops::Range<usize>,
}

// SAFETY: the mapping is process-wide memory that this value alone owns; nothing about it is tied to a thread.
unsafe impl Send for Mapping {}

impl Stream {
    /// Starts a stream of `buffers` buffers (the driver may take more or fewer) of the device's present format.
    ///
    /// # Errors
    /// What the driver says; everything is given back then, the device closed. [`DeviceError::Busy`] when another
    /// program streams, [`DeviceError::Unsupported`] when fewer than two buffers can be had.
    pub fn start(device: Device, buffers: u32) -> Result<Self, DeviceError> {
        let changes_told = device.subscribe_source_change()?;
        let mut stream = Self { buffers: Vec::new(), device, changes_told };
        let count = stream.request(buffers)?;
        if count < BUFFERS_MIN {
            return Err(DeviceError::Unsupported {
                device: stream.device.path().to_owned(),
                field: "buffers".into(),
                found: format!("{count} from the driver"),
                expected: format!("at least {BUFFERS_MIN}"),
            });
        }
        for index in 0..count {
            let mapped = stream.map(index)?;
            stream.buffers.push(mapped);
        }
        for index in 0..stream.buffers.len() {
            stream.queue(index)?;
        }
        let mut type_ = stream.device.queue_kind().buffer_type();
        stream.device.call(&abi::STREAMON, &mut type_)?;
        Ok(stream)
    }

    /// The device that streams.
    pub fn device(&self) -> &Device {
        &self.device
    }

    /// How many buffers there are.
    pub fn buffer_count(&self) -> usize {
        self.buffers.len()
    }

    /// How many buffers are ours at present.
    pub fn dequeued_count(&self) -> usize {
        self.buffers.iter().filter(|buffer| buffer.dequeued).count()
    }

    /// Waits for a full buffer until `deadline_ns` (`CLOCK_MONOTONIC`); a deadline in the past only looks. A signal
    /// does not cut the wait short.
    ///
    /// # Errors
    /// [`DeviceError::StreamBroken`], [`DeviceError::Disconnected`]: the stream is over and is to be dropped.
    pub fn dequeue(&mut self, deadline_ns: u64) -> Result<Dequeued, DeviceError> {
        loop {
            if let Some(filled) = self.take()? {
                return Ok(Dequeued::Filled(filled));
            }
            let left_ns = deadline_ns.saturating_sub(monotonic_ns());
            let ready = self.wait(left_ns)?;
            if self.changes_told
                && ready.contains(PollFlags::PRI)
                && self.device.source_changed()?
            {
                return Ok(Dequeued::SourceChanged);
            }
            if ready.is_empty() && left_ns == 0 {
                return Ok(Dequeued::Nothing);
            }
        }
    }

    /// The bytes of one memory plane of a buffer that is ours: from the image's start to its end. `None` for buffers
    /// that are the driver's and planes that it has not.
    pub fn plane(&self, index: usize, plane: usize) -> Option<&[u8]> {
        let buffer = self.buffers.get(index).filter(|buffer| buffer.dequeued)?;
        Some(buffer.planes.get(plane)?.bytes())
    }

    /// Bytes from the start of a plane's memory to the image in it, as of the last time that the buffer was dequeued.
    pub fn plane_start(&self, index: usize, plane: usize) -> usize {
        let plane = self.buffers.get(index).and_then(|buffer| buffer.planes.get(plane));
        plane.map_or(0, |plane| plane.image.start)
    }

    /// Gives buffer `index` back to the driver.
    ///
    /// # Errors
    /// When the driver does not take it: the stream is to be dropped.
    ///
    /// # Panics
    /// For an index that no buffer has.
    pub fn queue(&mut self, index: usize) -> Result<(), DeviceError> {
        let number = u32::try_from(index).expect("indices come from the kernel's 32 bits");
        let buffer = &mut self.buffers[index];
        // Before the call: whatever the driver answers, its view of the buffer decides who may touch it.
        buffer.dequeued = false;
        exchange(&self.device, &abi::QBUF, number)
            .map(drop)
            .map_err(|errno| self.device.error(&abi::QBUF, errno))
    }

    /// A DMABUF descriptor of one memory plane of buffer `index`, for handing pixels to a GPU without a copy; `None`
    /// where the driver exports none. It keeps the memory alive after the stream has ended.
    ///
    /// # Errors
    /// When the device is gone.
    pub fn export(&self, index: usize, plane: usize) -> Result<Option<OwnedFd>, DeviceError> {
        let number = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
        let mut argument = abi::ExportBuffer {
            type_: self.device.queue_kind().buffer_type(),
            index: number(index),
            plane: number(plane),
            flags: (OFlags::RDONLY | OFlags::CLOEXEC).bits(),
            ..abi::ExportBuffer::ZERO
        };
        match self.device.try_call(&abi::EXPBUF, &mut argument) {
            // SAFETY: the kernel has just made this descriptor for us; nobody else knows it.
            Ok(()) => Ok(Some(unsafe { OwnedFd::from_raw_fd(argument.fd) })),
            Err(Errno::INVAL | Errno::NOTTY | Errno::OPNOTSUPP) => Ok(None),
            Err(errno) => Err(self.device.error(&abi::EXPBUF, errno)),
        }
    }

    fn request(&self, count: u32) -> Result<u32, DeviceError> {
        let mut argument = abi::RequestBuffers {
            count,
            type_: self.device.queue_kind().buffer_type(),
            memory: abi::MEMORY_MMAP,
            ..abi::RequestBuffers::ZERO
        };
        self.device.call(&abi::REQBUFS, &mut argument)?;
        Ok(argument.count)
    }

    fn map(&self, index: u32) -> Result<Mapped, DeviceError> {
        let (buffer, planes) = exchange(&self.device, &abi::QUERYBUF, index)
            .map_err(|errno| self.device.error(&abi::QUERYBUF, errno))?;
        let areas: Vec<(u64, u32)> = match self.device.queue_kind() {
            // The union holds an offset here and not a pointer, in its low half.
            QueueKind::SinglePlanar => {
                vec![(buffer.m.addr() as u64 & u64::from(u32::MAX), buffer.length)]
            }
            QueueKind::MultiPlanar => {
                let count = (buffer.length as usize).min(abi::MAX_PLANES);
                let area = |plane: &Plane| (plane.m & u64::from(u32::MAX), plane.length);
                planes[..count].iter().map(area).collect()
            }
        };
        let planes = areas.into_iter().map(|(offset, length)| self.map_plane(offset, length));
        Ok(Mapped { planes: planes.collect::<Result<_, _>>()?, dequeued: false })
    }

    fn map_plane(&self, offset: u64, length: u32) -> Result<Mapping, DeviceError> {
        let failed = |errno| DeviceError::request(self.device.path(), "mmap", errno);
        let length = length as usize;
        if length == 0 {
            return Err(failed(Errno::INVAL));
        }
        // Readable only: nobody here writes into a driver's buffer.
        // SAFETY: a new mapping at an address of the kernel's choice touches no memory that is in use.
        let address = unsafe {
            mmap(
                std::ptr::null_mut(),
                length,
                ProtFlags::READ,
                MapFlags::SHARED,
                self.device.as_fd(),
                offset,
            )
        }
        .map_err(failed)?;
        let address = NonNull::new(address).ok_or_else(|| failed(Errno::FAULT))?;
        Ok(Mapping { address, length, image: 0..0 })
    }

    /// The oldest full buffer, if there is one.
    fn take(&mut self) -> Result<Option<Filled>, DeviceError> {
        let (buffer, planes) = match exchange(&self.device, &abi::DQBUF, 0) {
            Ok(taken) => taken,
            Err(Errno::AGAIN) => return Ok(None),
            // With every buffer ours there is nothing to wait for, and the driver says so: the caller's mistake.
            Err(errno) => return Err(self.device.error(&abi::DQBUF, errno)),
        };
        let index = buffer.index as usize;
        let queue = self.device.queue_kind();
        let Some(mapped) = self.buffers.get_mut(index) else {
            return Err(self.device.error(&abi::DQBUF, Errno::IO));
        };
        mapped.dequeued = true;
        for (number, plane) in mapped.planes.iter_mut().enumerate() {
            let (start, used) = match queue {
                QueueKind::SinglePlanar => (0, buffer.bytesused),
                QueueKind::MultiPlanar => (planes[number].data_offset, planes[number].bytesused),
            };
            let end = (used as usize).min(plane.length);
            plane.image = (start as usize).min(end)..end;
        }
        Ok(Some(filled(&buffer, index)))
    }

    /// Waits until something is ready; nothing when the time is up.
    fn wait(&self, left_ns: u64) -> Result<PollFlags, DeviceError> {
        let deadline_ns = monotonic_ns().saturating_add(left_ns);
        let interests = PollFlags::IN | PollFlags::PRI;
        let mut descriptors = [PollFd::new(&self.device, interests)];
        loop {
            let left_ns = deadline_ns.saturating_sub(monotonic_ns());
            let timeout = Timespec {
                tv_sec: (left_ns / 1_000_000_000).try_into().unwrap_or(i64::MAX),
                tv_nsec: (left_ns % 1_000_000_000).try_into().unwrap_or(0),
            };
            match poll(&mut descriptors, Some(&timeout)) {
                Ok(_) => break,
                Err(Errno::INTR) => {}
                Err(errno) => {
                    return Err(DeviceError::request(self.device.path(), "poll", errno));
                }
            }
        }
        let ready = descriptors[0].revents();
        let broken = PollFlags::ERR | PollFlags::HUP | PollFlags::NVAL;
        if ready.intersects(broken) && !ready.contains(PollFlags::IN) {
            // Which of the two it is, the driver tells the next request.
            let mut type_ =
                abi::Format { type_: self.device.queue_kind().buffer_type(), ..abi::Format::ZERO };
            self.device.call(&abi::G_FMT, &mut type_)?;
            return Err(DeviceError::request(self.device.path(), "poll", Errno::IO));
        }
        Ok(ready)
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        // Closing the device does the rest, whatever the driver answers here; a lost device answers with an error.
        let mut type_ = self.device.queue_kind().buffer_type();
        let _ = self.device.try_call(&abi::STREAMOFF, &mut type_);
    }
}

impl Mapping {
    fn bytes(&self) -> &[u8] {
        // SAFETY: `image` lies in the mapping (`take` clamps it), so this stays inside of one allocation.
        let start = unsafe { self.address.cast::<u8>().add(self.image.start) };
        // SAFETY: the mapping is readable and `length` bytes long for as long as `self` lives. The caller
        // (`Stream::plane`) has checked that the buffer is dequeued: V4L2 promises that a driver does not write to a
        // buffer between DQBUF and QBUF, `Stream::queue` needs the stream exclusively, so no slice outlives that time,
        // and the mapping is not writable through us. Nor do readers of exported descriptors write: they are made
        // read-only (`Stream::export`). A lost device keeps the memory: videobuf2 holds a reference for each mapping.
        unsafe { std::slice::from_raw_parts(start.as_ptr(), self.image.len()) }
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        // SAFETY: the mapping was made by `map_plane` with this length, is unmapped only here, and every slice of it
        // borrows from `self`.
        let unmapped = unsafe { munmap(self.address.as_ptr(), self.length) };
        debug_assert!(unmapped.is_ok(), "munmap of a mapping of ours: {unmapped:?}");
    }
}

/// Runs a request about buffer `index`, with room for the planes that a multi-planar driver reads and writes.
fn exchange(
    device: &Device,
    request: &Request<Buffer>,
    index: u32,
) -> Result<(Buffer, [Plane; abi::MAX_PLANES]), Errno> {
    let mut planes = [Plane::default(); abi::MAX_PLANES];
    let queue = device.queue_kind();
    let mut buffer = Buffer::new(queue.buffer_type(), index);
    if queue == QueueKind::MultiPlanar {
        buffer = buffer.with_planes(&mut planes);
    }
    // SAFETY: the only pointer is that of `planes`, which has as many elements as `length` says and outlives the call;
    // single-planar requests see no pointer.
    unsafe { abi::call_with_pointers(device, request, &mut buffer) }?;
    Ok((buffer, planes))
}

fn filled(buffer: &Buffer, index: usize) -> Filled {
    let flags = buffer.flags;
    let monotonic = flags & abi::BUF_FLAG_TIMESTAMP_MASK == abi::BUF_FLAG_TIMESTAMP_MONOTONIC;
    // A negative or overflowing time is no time.
    let time_ns = u64::try_from(buffer.timestamp_s)
        .ok()
        .zip(u64::try_from(buffer.timestamp_us).ok())
        .and_then(|(s, us)| s.checked_mul(1_000_000_000)?.checked_add(us.checked_mul(1000)?))
        .filter(|&ns| monotonic && ns > 0);
    Filled {
        index,
        sequence: buffer.sequence,
        time_ns,
        start_of_exposure: flags & abi::BUF_FLAG_TSTAMP_SRC_MASK == abi::BUF_FLAG_TSTAMP_SRC_SOE,
        damaged: flags & abi::BUF_FLAG_ERROR != 0,
    }
}

/// One for the driver to fill while one is ours.
const BUFFERS_MIN: u32 = 2;
