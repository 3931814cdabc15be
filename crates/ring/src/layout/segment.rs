//! The header of the segment: what the stream is, and where everything lies.

use super::field::{fields, padded_text};
use super::{ABI_MAJOR, ABI_MINOR, AbiVersion, Field, LayoutError, slot};
use crate::description::{Axes, Class, GridGeometry, RectifiedCamera, StreamDescription};
use crate::words::WORD_BYTES;
use std::ops::Range;

/// The first eight bytes of a segment.
pub const MAGIC: [u8; 8] = *b"OCCDRING";

/// Bytes of the segment header that this minor version knows; also where the first slot starts.
pub const HEADER_BYTES: usize = 8192;

/// Where the control block starts: the newest index alone in its cache lines, further on the writer's status.
pub const CONTROL_OFFSET: usize = 1024;

/// Where the class table starts.
pub const CLASS_TABLE_OFFSET: usize = 2048;

/// Bytes of one entry of the class table.
pub const CLASS_BYTES: usize = 64;

/// Entries that the class table has room for.
pub const CLASS_CAPACITY: usize = 64;

/// Most slots of a segment.
pub const MAX_SLOTS: u32 = 1024;

/// Most voxels of a grid.
pub const MAX_VOXELS: usize = 1 << 30;

fields! {
    /// Every field of the segment header, offsets from the start of the segment.
    FIELDS:
    /// `OCCDRING`.
    MAGIC_FIELD, "magic", 0, 8;
    /// u32. A reader refuses any major but its own.
    ABI_MAJOR_FIELD, "abi_major", 8, 4;
    /// u32. Minors of one major work together.
    ABI_MINOR_FIELD, "abi_minor", 12, 4;
    /// u64. Size of the whole segment; equals the size of the file.
    SEGMENT_BYTES, "segment_bytes", 16, 8;
    /// u64. Bytes of this header, control block and class table included.
    HEADER_BYTES_FIELD, "header_bytes", 24, 8;
    /// u64. Offset of the control block.
    CONTROL_OFFSET_FIELD, "control_offset", 32, 8;
    /// u64. Offset of the class table.
    CLASS_TABLE_OFFSET_FIELD, "class_table_offset", 40, 8;
    /// u32. Bytes from one entry of the class table to the next.
    CLASS_BYTES_FIELD, "class_bytes", 48, 4;
    /// u32. Entries in use.
    CLASS_COUNT, "class_count", 52, 4;
    /// u64. Offset of slot 0.
    SLOTS_OFFSET, "slots_offset", 56, 8;
    /// u64. Bytes from one slot to the next.
    SLOT_BYTES, "slot_bytes", 64, 8;
    /// u32. Number of slots; grid `n` lies in slot `(n - 1) % slot_count`.
    SLOT_COUNT, "slot_count", 72, 4;
    /// u32. Bytes of a slot header.
    SLOT_HEADER_BYTES, "slot_header_bytes", 76, 4;
    /// u64. Offset of the labels within a slot.
    LABELS_OFFSET, "labels_offset", 80, 8;
    /// u64. Labels of a grid, one byte each: the product of `dims`.
    LABELS_BYTES, "labels_bytes", 88, 8;
    /// u64. Offset of the confidences within a slot; 0 when the stream has none.
    CONFIDENCE_OFFSET, "confidence_offset", 96, 8;
    /// u64. Confidences of a grid, one byte each: `labels_bytes`, or 0.
    CONFIDENCE_BYTES, "confidence_bytes", 104, 8;
    /// u64. Random, never 0; another for every segment.
    EPOCH, "epoch", 112, 8;
    /// u64. When the segment was made, `CLOCK_MONOTONIC` nanoseconds.
    CREATED_TIME_NS, "created_time_ns", 120, 8;
    /// i64. `CLOCK_REALTIME` minus `CLOCK_MONOTONIC` at that time, nanoseconds.
    CREATED_WALL_OFFSET_NS, "created_wall_offset_ns", 128, 8;
    /// Zero.
    RESERVED_PLACES, "reserved", 136, 56;
    /// u32 x 3. Voxels along x, y and z.
    DIMS, "dims", 192, 12;
    /// u32. 0 unknown, 1 x forward y left z up, 2 horizontal and z up.
    AXES, "axes", 204, 4;
    /// f64. Edge of a voxel, metres.
    VOXEL_SIZE_M, "voxel_size_m", 208, 8;
    /// f64 x 3. Minimum corner of the grid, metres.
    ORIGIN_M, "origin_m", 216, 24;
    /// f64 x 16, row by row. From the frame of the grid to the rectified left camera.
    RECTIFIED_FROM_EGO, "rectified_from_ego", 240, 128;
    /// f64 x 4. fx, fy, cx, cy of the rectified left camera, pixels.
    RECTIFIED_INTRINSICS_PX, "rectified_intrinsics_px", 368, 32;
    /// u32 x 2. Width and height of the rectified image, pixels.
    RECTIFIED_SIZE_PX, "rectified_size_px", 400, 8;
    /// Text. Name of the frame of the grid.
    FRAME, "frame", 408, 32;
    /// Zero.
    RESERVED_GEOMETRY, "reserved", 440, 72;
    /// 32 bytes. SHA-256 of the network.
    NETWORK_SHA256, "network_sha256", 512, 32;
    /// 32 bytes. SHA-256 of the engine.
    ENGINE_SHA256, "engine_sha256", 544, 32;
    /// Text. Name of the stream.
    STREAM, "stream", 576, 64;
    /// Text. Program and version of the writer.
    PRODUCER, "producer", 640, 64;
    /// u32. 1 when the network was trained, 0 when not.
    TRAINED, "trained", 704, 4;
    /// Zero.
    RESERVED_IDENTITY, "reserved", 708, 316;
    /// u64. In the control block: number of the newest grid that can be read, 0 before any. Its
    /// first four bytes are the futex word.
    NEWEST, "newest", 1024, 8;
    /// Zero.
    RESERVED_NEWEST, "reserved", 1032, 120;
    /// u64. In the control block, since 1.1: when the writer last said how it is, `CLOCK_MONOTONIC`
    /// nanoseconds; 0 before it has.
    STATUS_TIME_NS, "status_time_ns", 1152, 8;
    /// u64. In the control block, since 1.1: how it is. Bits 0 to 7: as `health` of a slot; bits 8 to
    /// 63: the lower 56 of `degradation`.
    STATUS, "status", 1160, 8;
    /// Zero; the rest of the control block and of its page.
    RESERVED_CONTROL, "reserved", 1168, 880;
}

fields! {
    /// Every field of an entry of the class table, offsets from the start of the entry.
    CLASS_FIELDS:
    /// u8. The label.
    CLASS_ID, "id", 0, 1;
    /// u8 x 3. Red, green, blue.
    CLASS_COLOUR, "colour", 1, 3;
    /// Zero.
    CLASS_RESERVED, "reserved", 4, 4;
    /// Text.
    CLASS_NAME, "name", 8, 56;
}

/// The header of a segment, parsed and checked: every offset and size in it lies within the segment.
#[derive(Clone, Debug, PartialEq)]
pub struct SegmentHeader {
    /// The version of whoever made the segment; the major is ours.
    pub abi: AbiVersion,
    /// Random, never 0; another for every segment.
    pub epoch: u64,
    /// When the segment was made, `CLOCK_MONOTONIC` ns.
    pub created_time_ns: u64,
    /// `CLOCK_REALTIME` minus `CLOCK_MONOTONIC` at that time, ns.
    pub created_wall_offset_ns: i64,
    /// Where everything lies.
    pub places: Places,
    /// What the stream is.
    pub description: StreamDescription,
}

/// Where the parts of a segment lie, in bytes. All multiples of 8.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Places {
    /// Size of the segment.
    pub segment_bytes: usize,
    /// The newest index, from the start of the segment.
    pub control_offset: usize,
    /// Slot 0, from the start of the segment.
    pub slots_offset: usize,
    /// From one slot to the next.
    pub slot_bytes: usize,
    /// Number of slots.
    pub slot_count: u32,
    /// The labels, from the start of a slot.
    pub labels_offset: usize,
    /// Labels of a grid (not rounded up).
    pub labels_bytes: usize,
    /// The confidences, from the start of a slot; 0 when there are none.
    pub confidence_offset: usize,
    /// Confidences of a grid; `labels_bytes`, or 0.
    pub confidence_bytes: usize,
}

impl Places {
    /// Lays out a segment for grids of `voxels` voxels.
    ///
    /// `voxels` is at most [`MAX_VOXELS`] and `slot_count` at most [`MAX_SLOTS`], so nothing here
    /// can overflow.
    pub(crate) fn new(voxels: usize, confidence: bool, slot_count: u32) -> Self {
        let aligned = |bytes: usize| bytes.next_multiple_of(slot::ALIGNMENT);
        let labels_offset = slot::HEADER_BYTES;
        let labels_bytes = voxels;
        let labels_end = aligned(labels_offset + labels_bytes);
        let (confidence_offset, confidence_bytes, slot_bytes) = if confidence {
            (labels_end, labels_bytes, aligned(labels_end + labels_bytes))
        } else {
            (0, 0, labels_end)
        };
        let slots_offset = HEADER_BYTES;
        Self {
            segment_bytes: slots_offset + slot_bytes * slot_count as usize,
            control_offset: CONTROL_OFFSET,
            slots_offset,
            slot_bytes,
            slot_count,
            labels_offset,
            labels_bytes,
            confidence_offset,
            confidence_bytes,
        }
    }

    /// The words of the slot of grid `sequence` (from 1) among the words of the segment.
    pub(crate) fn slot_words(&self, sequence: u64) -> Range<usize> {
        let index = size(sequence.wrapping_sub(1) % u64::from(self.slot_count));
        let from = (self.slots_offset + index * self.slot_bytes) / WORD_BYTES;
        from..from + self.slot_bytes / WORD_BYTES
    }
}

impl SegmentHeader {
    /// The bytes of the header as they stand at the start of a segment; the newest index is 0.
    ///
    /// The description must be valid and the places laid out for it.
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut bytes = vec![0; HEADER_BYTES];
        let out = &mut bytes;
        let Places { segment_bytes, slots_offset, slot_bytes, slot_count, .. } = self.places;
        let description = &self.description;
        let grid = &description.grid;
        let camera = &description.rectified;
        MAGIC_FIELD.put(out, &MAGIC);
        for (field, value) in [
            (ABI_MAJOR_FIELD, self.abi.major),
            (ABI_MINOR_FIELD, self.abi.minor),
            (CLASS_BYTES_FIELD, small(CLASS_BYTES)),
            (CLASS_COUNT, small(description.classes.len())),
            (SLOT_COUNT, slot_count),
            (SLOT_HEADER_BYTES, small(slot::HEADER_BYTES)),
            (AXES, grid.axes.code()),
            (TRAINED, u32::from(description.trained)),
        ] {
            field.put(out, &value.to_le_bytes());
        }
        for (field, value) in [
            (SEGMENT_BYTES, segment_bytes as u64),
            (HEADER_BYTES_FIELD, HEADER_BYTES as u64),
            (CONTROL_OFFSET_FIELD, self.places.control_offset as u64),
            (CLASS_TABLE_OFFSET_FIELD, CLASS_TABLE_OFFSET as u64),
            (SLOTS_OFFSET, slots_offset as u64),
            (SLOT_BYTES, slot_bytes as u64),
            (LABELS_OFFSET, self.places.labels_offset as u64),
            (LABELS_BYTES, self.places.labels_bytes as u64),
            (CONFIDENCE_OFFSET, self.places.confidence_offset as u64),
            (CONFIDENCE_BYTES, self.places.confidence_bytes as u64),
            (EPOCH, self.epoch),
            (CREATED_TIME_NS, self.created_time_ns),
        ] {
            field.put(out, &value.to_le_bytes());
        }
        CREATED_WALL_OFFSET_NS.put(out, &self.created_wall_offset_ns.to_le_bytes());
        let [x, y, z] = grid.dims.map(u32::to_le_bytes);
        DIMS.put(out, [x, y, z].as_flattened());
        VOXEL_SIZE_M.put_f64s(out, &[grid.voxel_size_m]);
        ORIGIN_M.put_f64s(out, &grid.origin_m);
        RECTIFIED_FROM_EGO.put_f64s(out, description.rectified_from_ego.as_flattened());
        let intrinsics = [camera.fx_px, camera.fy_px, camera.cx_px, camera.cy_px];
        RECTIFIED_INTRINSICS_PX.put_f64s(out, &intrinsics);
        let size = [camera.width_px, camera.height_px].map(u32::to_le_bytes);
        RECTIFIED_SIZE_PX.put(out, size.as_flattened());
        FRAME.put(out, grid.frame.as_bytes());
        NETWORK_SHA256.put(out, &description.network_sha256);
        ENGINE_SHA256.put(out, &description.engine_sha256);
        STREAM.put(out, description.stream.as_bytes());
        PRODUCER.put(out, description.producer.as_bytes());
        let table = &mut out[CLASS_TABLE_OFFSET..];
        for (entry, class) in table.chunks_exact_mut(CLASS_BYTES).zip(&description.classes) {
            CLASS_ID.put(entry, &[class.id]);
            CLASS_COLOUR.put(entry, &class.colour);
            CLASS_NAME.put(entry, class.name.as_bytes());
        }
        bytes
    }

    /// Parses the start of a segment that has `segment_bytes` bytes in all.
    ///
    /// `bytes` are the first bytes of the segment; more than the header is ignored. Never panics,
    /// whatever the bytes.
    ///
    /// # Errors
    /// Another magic or major version, or the first field that contradicts the format, another
    /// field, or `segment_bytes`.
    pub fn decode(bytes: &[u8], segment_bytes: u64) -> Result<Self, LayoutError> {
        let too_small = |found| LayoutError::TooSmall { found, expected: HEADER_BYTES as u64 };
        let available = segment_bytes.min(bytes.len() as u64);
        // Magic and version come first and mean the same in every major version.
        if available < 16 {
            return Err(too_small(available));
        }
        let magic = MAGIC_FIELD.array(bytes);
        if magic != MAGIC {
            return Err(LayoutError::Magic { found: magic });
        }
        let abi =
            AbiVersion { major: ABI_MAJOR_FIELD.u32(bytes), minor: ABI_MINOR_FIELD.u32(bytes) };
        if abi.major != ABI_MAJOR {
            return Err(LayoutError::Version { segment: abi });
        }
        if available < HEADER_BYTES as u64 {
            return Err(too_small(available));
        }
        let places = decode_places(bytes, segment_bytes)?;
        let epoch = EPOCH.u64(bytes);
        check(epoch != 0, EPOCH, epoch, "a random number, not 0")?;
        let description = decode_description(bytes, &places)?;
        // The same rules as for a writer; the texts and ids of a hostile writer end here.
        description.validate().map_err(|error| LayoutError::Field {
            field: error.field,
            found: error.found,
            expected: "a value that a stream description may have",
        })?;
        Ok(Self {
            abi,
            epoch,
            created_time_ns: CREATED_TIME_NS.u64(bytes),
            created_wall_offset_ns: CREATED_WALL_OFFSET_NS.i64(bytes),
            places,
            description,
        })
    }

    /// The version that a header made here carries.
    pub(crate) const ABI: AbiVersion = AbiVersion { major: ABI_MAJOR, minor: ABI_MINOR };
}

fn decode_places(bytes: &[u8], segment_bytes: u64) -> Result<Places, LayoutError> {
    let claimed = SEGMENT_BYTES.u64(bytes);
    check(claimed == segment_bytes, SEGMENT_BYTES, claimed, "the size of the file")?;

    // A newer minor may have a longer header; this one reads the part that it knows.
    let header_bytes = HEADER_BYTES_FIELD.u64(bytes);
    let slots_offset = SLOTS_OFFSET.u64(bytes);
    check(
        header_bytes >= HEADER_BYTES as u64 && header_bytes <= slots_offset,
        HEADER_BYTES_FIELD,
        header_bytes,
        "at least 8192 and at most slots_offset",
    )?;
    check(
        slots_offset <= segment_bytes && is_aligned(slots_offset),
        SLOTS_OFFSET,
        slots_offset,
        "a multiple of 64 within the segment",
    )?;
    for (field, expected) in [
        (CONTROL_OFFSET_FIELD, CONTROL_OFFSET as u64),
        (CLASS_TABLE_OFFSET_FIELD, CLASS_TABLE_OFFSET as u64),
    ] {
        let found = field.u64(bytes);
        check(found == expected, field, found, "the offset of this major version")?;
    }
    let class_bytes = CLASS_BYTES_FIELD.u32(bytes);
    check(
        class_bytes as usize == CLASS_BYTES,
        CLASS_BYTES_FIELD,
        class_bytes,
        "the size of this major version, 64",
    )?;

    let slot_count = SLOT_COUNT.u32(bytes);
    check((2..=MAX_SLOTS).contains(&slot_count), SLOT_COUNT, slot_count, "2 to 1024")?;
    let slot_bytes = SLOT_BYTES.u64(bytes);
    let slots_bytes = slot_bytes.checked_mul(u64::from(slot_count));
    check(
        is_aligned(slot_bytes)
            && slots_bytes.is_some_and(|slots_bytes| slots_bytes <= segment_bytes - slots_offset),
        SLOT_BYTES,
        slot_bytes,
        "a multiple of 64 with which all slots lie within the segment",
    )?;

    let dims: [u32; 3] = dims(bytes);
    let labels_bytes = LABELS_BYTES.u64(bytes);
    let voxels = dims.iter().try_fold(1_u64, |voxels, &size| voxels.checked_mul(size.into()));
    check(
        voxels == Some(labels_bytes) && (1..=MAX_VOXELS as u64).contains(&labels_bytes),
        LABELS_BYTES,
        labels_bytes,
        "the product of dims, 1 to 2^30",
    )?;
    let slot_header_bytes = SLOT_HEADER_BYTES.u32(bytes);
    let labels_offset = LABELS_OFFSET.u64(bytes);
    check(
        slot_header_bytes as usize >= slot::HEADER_BYTES
            && u64::from(slot_header_bytes) <= labels_offset,
        SLOT_HEADER_BYTES,
        slot_header_bytes,
        "at least 256 and at most labels_offset",
    )?;
    let fits = |offset: u64| {
        // Whole words are read, so the last word must lie within the slot too.
        let end = offset.checked_add(labels_bytes.next_multiple_of(8));
        is_aligned(offset) && end.is_some_and(|end| end <= slot_bytes)
    };
    check(
        fits(labels_offset),
        LABELS_OFFSET,
        labels_offset,
        "a multiple of 64 with which the labels lie within the slot",
    )?;
    let confidence_bytes = CONFIDENCE_BYTES.u64(bytes);
    check(
        confidence_bytes == 0 || confidence_bytes == labels_bytes,
        CONFIDENCE_BYTES,
        confidence_bytes,
        "0 or labels_bytes",
    )?;
    let confidence_offset = CONFIDENCE_OFFSET.u64(bytes);
    let placed = if confidence_bytes == 0 {
        confidence_offset == 0
    } else {
        fits(confidence_offset) && confidence_offset >= labels_offset + labels_bytes
    };
    check(
        placed,
        CONFIDENCE_OFFSET,
        confidence_offset,
        "0 without confidences, else a multiple of 64 after the labels and within the slot",
    )?;
    Ok(Places {
        segment_bytes: size(segment_bytes),
        control_offset: CONTROL_OFFSET,
        slots_offset: size(slots_offset),
        slot_bytes: size(slot_bytes),
        slot_count,
        labels_offset: size(labels_offset),
        labels_bytes: size(labels_bytes),
        confidence_offset: size(confidence_offset),
        confidence_bytes: size(confidence_bytes),
    })
}

fn decode_description(bytes: &[u8], places: &Places) -> Result<StreamDescription, LayoutError> {
    let text = |field: Field| {
        let text = field.text(bytes).map(str::to_owned);
        text.ok_or_else(|| not(field, hex(field.of(bytes)), "UTF-8 text padded with zero bytes"))
    };
    let class_count = CLASS_COUNT.u32(bytes) as usize;
    check(class_count <= CLASS_CAPACITY, CLASS_COUNT, class_count as u64, "at most 64")?;
    let mut classes = Vec::with_capacity(class_count);
    for entry in bytes[CLASS_TABLE_OFFSET..].chunks_exact(CLASS_BYTES).take(class_count) {
        let name = CLASS_NAME.of(entry);
        let Some(name) = padded_text(name) else {
            let expected = "class names in UTF-8 padded with zero bytes";
            return Err(not(CLASS_NAME, hex(name), expected));
        };
        let [id] = CLASS_ID.array(entry);
        classes.push(Class { id, name: name.to_owned(), colour: CLASS_COLOUR.array(entry) });
    }
    let trained = TRAINED.u32(bytes);
    check(trained <= 1, TRAINED, trained, "0 or 1")?;
    let [fx_px, fy_px, cx_px, cy_px] = RECTIFIED_INTRINSICS_PX.f64s(bytes);
    let [width, height] = {
        let size: [u8; 8] = RECTIFIED_SIZE_PX.array(bytes);
        let [w0, w1, w2, w3, h0, h1, h2, h3] = size;
        [[w0, w1, w2, w3], [h0, h1, h2, h3]].map(u32::from_le_bytes)
    };
    let matrix: [f64; 16] = RECTIFIED_FROM_EGO.f64s(bytes);
    let mut rectified_from_ego = [[0.0; 4]; 4];
    for (row, values) in rectified_from_ego.iter_mut().zip(matrix.as_chunks::<4>().0) {
        *row = *values;
    }
    Ok(StreamDescription {
        stream: text(STREAM)?,
        producer: text(PRODUCER)?,
        grid: GridGeometry {
            axes: Axes::from_code(AXES.u32(bytes)),
            frame: text(FRAME)?,
            origin_m: ORIGIN_M.f64s(bytes),
            voxel_size_m: VOXEL_SIZE_M.f64(bytes),
            dims: dims(bytes),
        },
        rectified_from_ego,
        rectified: RectifiedCamera {
            fx_px,
            fy_px,
            cx_px,
            cy_px,
            width_px: width,
            height_px: height,
        },
        classes,
        confidence: places.confidence_bytes != 0,
        trained: trained == 1,
        network_sha256: NETWORK_SHA256.array(bytes),
        engine_sha256: ENGINE_SHA256.array(bytes),
    })
}

fn dims(bytes: &[u8]) -> [u32; 3] {
    let mut dims = [0; 3];
    for (size, bytes) in dims.iter_mut().zip(DIMS.of(bytes).as_chunks::<4>().0) {
        *size = u32::from_le_bytes(*bytes);
    }
    dims
}

fn is_aligned(offset: u64) -> bool {
    offset.is_multiple_of(slot::ALIGNMENT as u64)
}

fn check(
    holds: bool,
    field: Field,
    found: impl Into<u64>,
    expected: &'static str,
) -> Result<(), LayoutError> {
    if holds { Ok(()) } else { Err(not(field, found.into().to_string(), expected)) }
}

fn not(field: Field, found: String, expected: &'static str) -> LayoutError {
    LayoutError::Field { field: field.name, found, expected }
}

/// A size or offset in memory.
fn size(value: u64) -> usize {
    usize::try_from(value).expect("this crate compiles for 64-bit targets only")
}

/// A size of one of our own headers, or a number of classes.
fn small(value: usize) -> u32 {
    u32::try_from(value).expect("headers and class tables are small")
}

fn hex(bytes: &[u8]) -> String {
    format!("{bytes:02x?}")
}
