//! The part of the kernel's V4L2 interface that is used here, laid out as its header `linux/videodev2.h` has it on
//! 64-bit machines.
//!
//! Names and values are the kernel's (Linux 6.1; the interface only grows). The size of an argument is part of its
//! request's number, so the kernel refuses a wrong size instead of misreading it; sizes and the offsets that alignment
//! decides are asserted below.

#[cfg(not(target_pointer_width = "64"))]
compile_error!("the V4L2 structures here are laid out for 64-bit machines");

use rustix::fd::{AsFd, BorrowedFd};
use rustix::io::Errno;
use rustix::ioctl::{Ioctl, IoctlOutput, Opcode, ioctl, opcode};
use std::ffi::c_void;
use std::marker::PhantomData;
use std::mem::{offset_of, size_of};

/// A V4L2 request and the type of its argument. Exists only as the constants of this module.
pub(super) struct Request<T> {
    /// The kernel's name, for messages.
    pub(super) name: &'static str,
    opcode: Opcode,
    argument: PhantomData<T>,
}

/// Structures without pointers, of which every bit pattern is a value.
///
/// # Safety
/// `Self` is `repr(C)`, contains integers only, and has the layout that the kernel's header gives it.
pub(super) unsafe trait Plain {}

/// Runs `request` on `device`, again when a signal cuts it short.
pub(super) fn call<T: Plain>(
    device: impl AsFd,
    request: &Request<T>,
    argument: &mut T,
) -> Result<(), Errno> {
    // SAFETY: `Plain` structures contain no pointer that the kernel could follow.
    unsafe { call_with_pointers(device, request, argument) }
}

/// Runs `request` on `device`, again when a signal cuts it short.
///
/// # Safety
/// Every pointer in `argument` is valid, for the time of the call, for what the request reads and writes through it.
pub(super) unsafe fn call_with_pointers<T>(
    device: impl AsFd,
    request: &Request<T>,
    argument: &mut T,
) -> Result<(), Errno> {
    let device: BorrowedFd<'_> = device.as_fd();
    loop {
        let call = Call { opcode: request.opcode, argument: &mut *argument };
        // SAFETY: a `Request<T>` pairs a request's number with the type of its argument, and the number holds that
        // type's size. Pointers inside are the caller's promise.
        match unsafe { ioctl(device, call) } {
            Err(Errno::INTR) => {}
            done => return done,
        }
    }
}

struct Call<'a, T> {
    opcode: Opcode,
    argument: &'a mut T,
}

// SAFETY: the pointer is that of an exclusively borrowed argument, which the kernel reads and writes (hence mutating);
// there is no other output.
unsafe impl<T> Ioctl for Call<'_, T> {
    type Output = ();

    const IS_MUTATING: bool = true;

    fn opcode(&self) -> Opcode {
        self.opcode
    }

    fn as_ptr(&mut self) -> *mut c_void {
        (&raw mut *self.argument).cast()
    }

    unsafe fn output_from_ptr(_: IoctlOutput, _: *mut c_void) -> rustix::io::Result<()> {
        Ok(())
    }
}

const fn read<T>(number: u8, name: &'static str) -> Request<T> {
    Request { name, opcode: opcode::read::<T>(b'V', number), argument: PhantomData }
}

const fn write<T>(number: u8, name: &'static str) -> Request<T> {
    Request { name, opcode: opcode::write::<T>(b'V', number), argument: PhantomData }
}

const fn update<T>(number: u8, name: &'static str) -> Request<T> {
    Request { name, opcode: opcode::read_write::<T>(b'V', number), argument: PhantomData }
}

pub(super) const QUERYCAP: Request<Capability> = read(0, "VIDIOC_QUERYCAP");
pub(super) const ENUM_FMT: Request<FormatDescription> = update(2, "VIDIOC_ENUM_FMT");
pub(super) const G_FMT: Request<Format> = update(4, "VIDIOC_G_FMT");
pub(super) const S_FMT: Request<Format> = update(5, "VIDIOC_S_FMT");
pub(super) const REQBUFS: Request<RequestBuffers> = update(8, "VIDIOC_REQBUFS");
pub(super) const QUERYBUF: Request<Buffer> = update(9, "VIDIOC_QUERYBUF");
pub(super) const QBUF: Request<Buffer> = update(15, "VIDIOC_QBUF");
pub(super) const EXPBUF: Request<ExportBuffer> = update(16, "VIDIOC_EXPBUF");
pub(super) const DQBUF: Request<Buffer> = update(17, "VIDIOC_DQBUF");
pub(super) const STREAMON: Request<u32> = write(18, "VIDIOC_STREAMON");
pub(super) const STREAMOFF: Request<u32> = write(19, "VIDIOC_STREAMOFF");
pub(super) const G_PARM: Request<StreamParameters> = update(21, "VIDIOC_G_PARM");
pub(super) const S_PARM: Request<StreamParameters> = update(22, "VIDIOC_S_PARM");
pub(super) const QUERYMENU: Request<QueryMenu> = update(37, "VIDIOC_QUERYMENU");
pub(super) const G_EXT_CTRLS: Request<ExtControls> = update(71, "VIDIOC_G_EXT_CTRLS");
pub(super) const S_EXT_CTRLS: Request<ExtControls> = update(72, "VIDIOC_S_EXT_CTRLS");
pub(super) const ENUM_FRAMESIZES: Request<FrameSize> = update(74, "VIDIOC_ENUM_FRAMESIZES");
pub(super) const ENUM_FRAMEINTERVALS: Request<FrameInterval> =
    update(75, "VIDIOC_ENUM_FRAMEINTERVALS");
pub(super) const DQEVENT: Request<Event> = read(89, "VIDIOC_DQEVENT");
pub(super) const SUBSCRIBE_EVENT: Request<EventSubscription> = write(90, "VIDIOC_SUBSCRIBE_EVENT");
pub(super) const QUERY_EXT_CTRL: Request<QueryExtControl> = update(103, "VIDIOC_QUERY_EXT_CTRL");

pub(super) const CAP_VIDEO_CAPTURE: u32 = 0x1;
pub(super) const CAP_VIDEO_OUTPUT: u32 = 0x2;
pub(super) const CAP_VIDEO_CAPTURE_MPLANE: u32 = 0x1000;
pub(super) const CAP_VIDEO_OUTPUT_MPLANE: u32 = 0x2000;
pub(super) const CAP_VIDEO_M2M_MPLANE: u32 = 0x4000;
pub(super) const CAP_VIDEO_M2M: u32 = 0x8000;
pub(super) const CAP_META_CAPTURE: u32 = 0x0080_0000;
pub(super) const CAP_STREAMING: u32 = 0x0400_0000;
pub(super) const CAP_DEVICE_CAPS: u32 = 0x8000_0000;

pub(super) const BUF_TYPE_VIDEO_CAPTURE: u32 = 1;
pub(super) const BUF_TYPE_VIDEO_CAPTURE_MPLANE: u32 = 9;
pub(super) const MEMORY_MMAP: u32 = 1;
pub(super) const FIELD_NONE: u32 = 1;
pub(super) const MAX_PLANES: usize = 8;
const MAX_PLANES_U32: u32 = 8;

pub(super) const BUF_FLAG_ERROR: u32 = 0x40;
pub(super) const BUF_FLAG_TIMESTAMP_MASK: u32 = 0xe000;
pub(super) const BUF_FLAG_TIMESTAMP_MONOTONIC: u32 = 0x2000;
pub(super) const BUF_FLAG_TSTAMP_SRC_MASK: u32 = 0x0007_0000;
pub(super) const BUF_FLAG_TSTAMP_SRC_SOE: u32 = 0x0001_0000;

pub(super) const FMT_FLAG_COMPRESSED: u32 = 0x1;
pub(super) const FMT_FLAG_EMULATED: u32 = 0x2;

/// `pix.priv` of a program that knows the fields after it.
pub(super) const PIX_FMT_PRIV_MAGIC: u32 = 0xfeed_cafe;

pub(super) const SIZE_DISCRETE: u32 = 1;
pub(super) const CAP_TIMEPERFRAME: u32 = 0x1000;

pub(super) const CTRL_WHICH_CUR_VAL: u32 = 0;
pub(super) const CTRL_TYPE_INTEGER: u32 = 1;
pub(super) const CTRL_TYPE_BOOLEAN: u32 = 2;
pub(super) const CTRL_TYPE_MENU: u32 = 3;
pub(super) const CTRL_TYPE_BUTTON: u32 = 4;
pub(super) const CTRL_TYPE_INTEGER64: u32 = 5;
pub(super) const CTRL_TYPE_CLASS: u32 = 6;
pub(super) const CTRL_TYPE_BITMASK: u32 = 8;
pub(super) const CTRL_TYPE_INTEGER_MENU: u32 = 9;
pub(super) const CTRL_FLAG_DISABLED: u32 = 0x1;
pub(super) const CTRL_FLAG_READ_ONLY: u32 = 0x4;
pub(super) const CTRL_FLAG_INACTIVE: u32 = 0x10;
pub(super) const CTRL_FLAG_WRITE_ONLY: u32 = 0x40;
pub(super) const CTRL_FLAG_VOLATILE: u32 = 0x80;
pub(super) const CTRL_FLAG_EXECUTE_ON_WRITE: u32 = 0x200;
pub(super) const CTRL_FLAG_NEXT_CTRL: u32 = 0x8000_0000;

pub(super) const EVENT_SOURCE_CHANGE: u32 = 5;

pub(super) const COLORSPACE_SMPTE240M: u32 = 2;
pub(super) const COLORSPACE_REC709: u32 = 3;
pub(super) const COLORSPACE_JPEG: u32 = 7;
pub(super) const COLORSPACE_BT2020: u32 = 10;
pub(super) const COLORSPACE_DCI_P3: u32 = 12;
pub(super) const YCBCR_ENC_DEFAULT: u32 = 0;
pub(super) const YCBCR_ENC_601: u32 = 1;
pub(super) const YCBCR_ENC_709: u32 = 2;
pub(super) const YCBCR_ENC_XV601: u32 = 3;
pub(super) const YCBCR_ENC_XV709: u32 = 4;
pub(super) const YCBCR_ENC_SYCC: u32 = 5;
pub(super) const QUANTIZATION_FULL_RANGE: u32 = 1;
pub(super) const QUANTIZATION_LIM_RANGE: u32 = 2;

// SAFETY: an integer.
unsafe impl Plain for u32 {}

macro_rules! plain {
    ($(#[$meta:meta])* struct $name:ident: $size:literal { $($(#[$doc:meta])* $field:ident: $type:ty,)* }) => {
        $(#[$meta])*
        #[repr(C)]
        #[derive(Clone, Copy)]
        pub(super) struct $name { $($(#[$doc])* pub(super) $field: $type,)* }

        const _: () = assert!(size_of::<$name>() == $size);

        // SAFETY: integers only, in the kernel's order; the size is asserted.
        unsafe impl Plain for $name {}

        #[allow(dead_code, reason = "not every structure is filled in by hand")]
        impl $name {
            pub(super) const ZERO: Self = Self { $($field: <$type as Zero>::ZERO,)* };
        }
    };
}

/// The value that the kernel takes for "nothing said".
trait Zero {
    const ZERO: Self;
}

macro_rules! zero {
    ($($type:ty = $zero:expr,)*) => { $(impl Zero for $type { const ZERO: Self = $zero; })* };
}

zero! {
    u8 = 0, u32 = 0, i32 = 0, u64 = 0, i64 = 0,
    Fraction = Fraction::ZERO,
    PlaneFormat = PlaneFormat::ZERO,
}

impl<T: Zero + Copy, const N: usize> Zero for [T; N] {
    const ZERO: Self = [T::ZERO; N];
}

plain! {
    struct Capability: 104 {
        driver: [u8; 16],
        card: [u8; 32],
        bus_info: [u8; 32],
        version: u32,
        capabilities: u32,
        device_caps: u32,
        reserved: [u32; 3],
    }
}

plain! {
    struct FormatDescription: 64 {
        index: u32,
        type_: u32,
        flags: u32,
        description: [u8; 32],
        pixelformat: u32,
        mbus_code: u32,
        reserved: [u32; 3],
    }
}

plain! {
    /// `v4l2_format`: its union begins at 8, because other members of it hold pointers.
    struct Format: 208 {
        type_: u32,
        padding: u32,
        fmt: [u32; 50],
    }
}

plain! {
    /// `v4l2_pix_format`, the union's first 48 bytes.
    struct PixFormat: 48 {
        width: u32,
        height: u32,
        pixelformat: u32,
        field: u32,
        bytesperline: u32,
        sizeimage: u32,
        colorspace: u32,
        private: u32,
        flags: u32,
        ycbcr_enc: u32,
        quantization: u32,
        xfer_func: u32,
    }
}

plain! {
    /// One `plane_fmt` of `v4l2_pix_format_mplane`.
    struct PlaneFormat: 20 {
        sizeimage: u32,
        bytesperline: u32,
        reserved: [u32; 3],
    }
}

plain! {
    /// `v4l2_pix_format_mplane`, the union's first 192 bytes.
    struct PixFormatMplane: 192 {
        width: u32,
        height: u32,
        pixelformat: u32,
        field: u32,
        colorspace: u32,
        plane_fmt: [PlaneFormat; MAX_PLANES],
        num_planes: u8,
        flags: u8,
        ycbcr_enc: u8,
        quantization: u8,
        xfer_func: u8,
        reserved: [u8; 7],
    }
}

plain! {
    struct Fraction: 8 {
        numerator: u32,
        denominator: u32,
    }
}

plain! {
    /// `v4l2_streamparm` with the capture member of its union.
    struct StreamParameters: 204 {
        type_: u32,
        capability: u32,
        capturemode: u32,
        timeperframe: Fraction,
        extendedmode: u32,
        readbuffers: u32,
        reserved: [u32; 44],
    }
}

plain! {
    struct FrameSize: 44 {
        index: u32,
        pixel_format: u32,
        type_: u32,
        /// Width and height, or minimum, maximum, step of each.
        size: [u32; 6],
        reserved: [u32; 2],
    }
}

plain! {
    struct FrameInterval: 52 {
        index: u32,
        pixel_format: u32,
        width: u32,
        height: u32,
        type_: u32,
        /// One fraction, or minimum, maximum and step.
        interval: [Fraction; 3],
        reserved: [u32; 2],
    }
}

plain! {
    struct RequestBuffers: 20 {
        count: u32,
        type_: u32,
        memory: u32,
        capabilities: u32,
        flags: u32,
    }
}

plain! {
    struct ExportBuffer: 64 {
        type_: u32,
        index: u32,
        plane: u32,
        flags: u32,
        fd: i32,
        reserved: [u32; 11],
    }
}

plain! {
    struct QueryExtControl: 232 {
        id: u32,
        type_: u32,
        name: [u8; 32],
        minimum: i64,
        maximum: i64,
        step: u64,
        default_value: i64,
        flags: u32,
        elem_size: u32,
        elems: u32,
        nr_of_dims: u32,
        dims: [u32; 4],
        reserved: [u32; 32],
    }
}

plain! {
    /// `v4l2_querymenu`, packed in the kernel: the union of name and 64-bit value is kept as bytes.
    struct QueryMenu: 44 {
        id: u32,
        index: u32,
        name_or_value: [u8; 32],
        reserved: u32,
    }
}

plain! {
    struct EventSubscription: 32 {
        type_: u32,
        id: u32,
        flags: u32,
        reserved: [u32; 5],
    }
}

plain! {
    struct Event: 136 {
        type_: u32,
        padding: u32,
        data: [u64; 8],
        pending: u32,
        sequence: u32,
        timestamp: [i64; 2],
        id: u32,
        reserved: [u32; 8],
        padding_end: u32,
    }
}

/// `v4l2_plane`.
#[repr(C)]
#[derive(Clone, Copy, Default)]
pub(super) struct Plane {
    pub(super) bytesused: u32,
    pub(super) length: u32,
    /// The union `m`: the offset to map at, in its low half on the little-endian machines that are supported.
    pub(super) m: u64,
    pub(super) data_offset: u32,
    pub(super) reserved: [u32; 11],
}

/// `v4l2_buffer`.
#[repr(C)]
pub(super) struct Buffer {
    pub(super) index: u32,
    pub(super) type_: u32,
    pub(super) bytesused: u32,
    pub(super) flags: u32,
    pub(super) field: u32,
    padding: u32,
    pub(super) timestamp_s: i64,
    pub(super) timestamp_us: i64,
    timecode: [u32; 4],
    pub(super) sequence: u32,
    pub(super) memory: u32,
    /// The union `m`: an offset to map at, or a pointer to planes.
    pub(super) m: *mut Plane,
    pub(super) length: u32,
    reserved: [u32; 2],
    padding_end: u32,
}

/// `v4l2_ext_control`, packed in the kernel: its 64-bit value is kept as two halves, the low one first.
#[repr(C)]
#[derive(Clone, Copy, Default)]
pub(super) struct ExtControl {
    pub(super) id: u32,
    pub(super) size: u32,
    pub(super) reserved: u32,
    pub(super) value: [u32; 2],
}

/// `v4l2_ext_controls`.
#[repr(C)]
pub(super) struct ExtControls {
    pub(super) which: u32,
    pub(super) count: u32,
    pub(super) error_idx: u32,
    pub(super) request_fd: i32,
    pub(super) reserved: u32,
    padding: u32,
    pub(super) controls: *mut ExtControl,
}

#[cfg(not(target_endian = "little"))]
compile_error!("unions of 32- and 64-bit values are read as little-endian");

const _: () = {
    assert!(size_of::<Plane>() == 64);
    assert!(size_of::<Buffer>() == 88);
    assert!(offset_of!(Buffer, timestamp_s) == 24);
    assert!(offset_of!(Buffer, sequence) == 56);
    assert!(offset_of!(Buffer, m) == 64);
    assert!(offset_of!(Buffer, length) == 72);
    assert!(size_of::<ExtControl>() == 20);
    assert!(size_of::<ExtControls>() == 32);
    assert!(offset_of!(ExtControls, controls) == 24);
    assert!(offset_of!(Event, timestamp) == 80);
    assert!(offset_of!(PixFormatMplane, num_planes) == 180);
};

impl Buffer {
    pub(super) const fn new(type_: u32, index: u32) -> Self {
        Self {
            index,
            type_,
            bytesused: 0,
            flags: 0,
            field: 0,
            padding: 0,
            timestamp_s: 0,
            timestamp_us: 0,
            timecode: [0; 4],
            sequence: 0,
            memory: MEMORY_MMAP,
            m: std::ptr::null_mut(),
            length: 0,
            reserved: [0; 2],
            padding_end: 0,
        }
    }
}

impl Buffer {
    /// For a multi-planar request: with room for the planes, for the time that they are borrowed.
    pub(super) fn with_planes(mut self, planes: &mut [Plane; MAX_PLANES]) -> Self {
        self.m = planes.as_mut_ptr();
        self.length = MAX_PLANES_U32;
        self
    }
}

impl ExtControls {
    /// The current values of `controls`, for the time that they are borrowed.
    pub(super) fn current(controls: &mut [ExtControl; 1]) -> Self {
        Self {
            which: CTRL_WHICH_CUR_VAL,
            count: 1,
            error_idx: 0,
            request_fd: 0,
            reserved: 0,
            padding: 0,
            controls: controls.as_mut_ptr(),
        }
    }
}

impl Format {
    /// The union as the single-planar format.
    pub(super) fn pix(&self) -> PixFormat {
        let f = &self.fmt;
        PixFormat {
            width: f[0],
            height: f[1],
            pixelformat: f[2],
            field: f[3],
            bytesperline: f[4],
            sizeimage: f[5],
            colorspace: f[6],
            private: f[7],
            flags: f[8],
            ycbcr_enc: f[9],
            quantization: f[10],
            xfer_func: f[11],
        }
    }

    /// The union as the multi-planar format.
    pub(super) fn pix_mplane(&self) -> PixFormatMplane {
        let f = &self.fmt;
        let plane = |index: usize| {
            let at = 5 + 5 * index;
            PlaneFormat { sizeimage: f[at], bytesperline: f[at + 1], reserved: [0; 3] }
        };
        let [num_planes, flags, ycbcr_enc, quantization] = f[45].to_le_bytes();
        PixFormatMplane {
            width: f[0],
            height: f[1],
            pixelformat: f[2],
            field: f[3],
            colorspace: f[4],
            plane_fmt: std::array::from_fn(plane),
            num_planes,
            flags,
            ycbcr_enc,
            quantization,
            xfer_func: f[46].to_le_bytes()[0],
            reserved: [0; 7],
        }
    }
}
