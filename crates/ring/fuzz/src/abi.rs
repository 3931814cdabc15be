//! `ABI.md` once more, as a judge: which bytes a reader must accept, and what they say. Written from that page, not from the
//! ring's code, in wide integers and by offsets.

use occdepth_ring::{
    Axes, CalibrationState, Class, Grid, Health, PublishedGrid, StreamDescription,
};

/// What must come of asking a reader for a grid.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Due {
    Grid,
    NoGrid,
    Overwritten,
    Corrupt,
}

/// Whether these are the first bytes of a segment of `size` bytes that a reader must accept.
pub(crate) fn is_segment(bytes: &[u8], size: u64) -> bool {
    let is_aligned = |offset: u128| offset.is_multiple_of(64);
    if bytes.len() < 8192 || !bytes.starts_with(b"OCCDRING") || u32_at(bytes, 8) != 1 {
        return false;
    }
    let wide = |offset| u128::from(u64_at(bytes, offset));
    let small = |offset| u128::from(u32_at(bytes, offset));
    let (segment_bytes, header_bytes) = (wide(16), wide(24));
    let (slots_offset, slot_bytes, slot_count) = (wide(56), wide(64), small(72));
    let (slot_header_bytes, labels_offset, labels_bytes) = (small(76), wide(80), wide(88));
    let (confidence_offset, confidence_bytes) = (wide(96), wide(104));
    let voxels = small(192) * small(196) * small(200);
    let words = labels_bytes.next_multiple_of(8);

    let is_placed = segment_bytes == u128::from(size)
        && (8192..=slots_offset).contains(&header_bytes)
        && wide(32) == 1024
        && wide(40) == 2048
        && small(48) == 64
        && small(52) <= 64
        && is_aligned(slots_offset)
        && is_aligned(slot_bytes)
        && (2..=1024).contains(&slot_count)
        && slots_offset + slot_bytes * slot_count <= segment_bytes;
    let has_labels = (1..=1 << 30).contains(&labels_bytes)
        && voxels == labels_bytes
        && (256..=labels_offset).contains(&slot_header_bytes)
        && is_aligned(labels_offset)
        && labels_offset + words <= slot_bytes;
    let has_confidence = if confidence_bytes == 0 {
        confidence_offset == 0
    } else {
        confidence_bytes == labels_bytes
            && is_aligned(confidence_offset)
            && confidence_offset >= labels_offset + labels_bytes
            && confidence_offset + words <= slot_bytes
    };
    let floats = (208..400).step_by(8).map(|offset| f64_at(bytes, offset));
    let is_described = u64_at(bytes, 112) != 0
        && floats.into_iter().all(f64::is_finite)
        && f64_at(bytes, 208) > 0.0
        && text(&bytes[408..440]).is_some_and(|frame| !frame.is_empty())
        && text(&bytes[576..640]).is_some_and(|stream| !stream.is_empty())
        && text(&bytes[640..704]).is_some()
        && u32_at(bytes, 704) <= 1;
    is_placed && has_labels && has_confidence && is_described && has_classes(bytes)
}

/// Asserts that a description is the one that a segment has.
pub(crate) fn assert_describes(bytes: &[u8], description: &StreamDescription) {
    let StreamDescription { grid, rectified, .. } = description;
    assert_eq!(Some(description.stream.as_str()), text(&bytes[576..640]));
    assert_eq!(Some(description.producer.as_str()), text(&bytes[640..704]));
    assert_eq!(Some(grid.frame.as_str()), text(&bytes[408..440]));
    assert_eq!(grid.dims, [192, 196, 200].map(|offset| u32_at(bytes, offset)));
    let axes = match u32_at(bytes, 204) {
        1 => Axes::ForwardLeftUp,
        2 => Axes::HorizontalUp,
        _ => Axes::Unknown,
    };
    assert_eq!(grid.axes, axes);
    let intrinsics = [rectified.fx_px, rectified.fy_px, rectified.cx_px, rectified.cy_px];
    let floats: Vec<u64> = std::iter::once(grid.voxel_size_m)
        .chain(grid.origin_m)
        .chain(description.rectified_from_ego.into_iter().flatten())
        .chain(intrinsics)
        .map(f64::to_bits)
        .collect();
    let expected: Vec<u64> = (208..400).step_by(8).map(|offset| u64_at(bytes, offset)).collect();
    assert_eq!(floats, expected);
    assert_eq!(rectified.width_px, u32_at(bytes, 400));
    assert_eq!(rectified.height_px, u32_at(bytes, 404));
    assert_eq!(description.network_sha256, bytes[512..544]);
    assert_eq!(description.engine_sha256, bytes[544..576]);
    assert_eq!(u32::from(description.trained), u32_at(bytes, 704));
    assert_eq!(description.confidence, u64_at(bytes, 104) != 0);
    assert_eq!(description.classes, classes(bytes).collect::<Vec<_>>());
}

/// What a reader must say of grid `sequence`. `header` are the bytes with which it connected, `bytes` those of now.
pub(crate) fn due(header: &[u8], bytes: &[u8], sequence: u64, checks_sums: bool) -> Due {
    if sequence == 0 || sequence > u64_at(bytes, 1024) || sequence > u64::MAX / 2 {
        return Due::NoGrid;
    }
    let slot = &bytes[slot_offset(header, sequence)..];
    if u64_at(slot, 0) != 2 * sequence {
        return Due::Overwritten;
    }
    let is_it = u64_at(slot, 8) == sequence && u64_at(slot, 16) == u64_at(header, 112);
    if is_it && (!checks_sums || u32_at(slot, 240) == checksum(header, slot)) {
        Due::Grid
    } else {
        Due::Corrupt
    }
}

/// Asserts that a copy is what lies in the slot of grid `sequence`.
pub(crate) fn assert_copied(header: &[u8], bytes: &[u8], sequence: u64, grid: &Grid) {
    let slot = &bytes[slot_offset(header, sequence)..];
    assert_eq!(grid.published.sequence, sequence);
    assert_published(header, slot, &grid.published);
    assert_eq!(grid.labels, labels(header, slot));
    assert_eq!(grid.confidence, confidence(header, slot));
}

/// Asserts that a record is what stands in a slot.
pub(crate) fn assert_published(header: &[u8], slot: &[u8], published: &PublishedGrid) {
    let PublishedGrid { record, .. } = published;
    let stages = record.stages;
    let found = [
        published.sequence,
        record.frame_id,
        record.left_capture_time_ns,
        record.right_capture_time_ns,
        published.publish_time_ns,
        published.wall_offset_ns.cast_unsigned(),
        stages.capture_ns,
        stages.rectify_ns,
        stages.infer_ns,
        stages.label_ns,
        stages.publish_ns,
        stages.watch_ns,
        record.degradation.bits(),
    ];
    let offsets = [8, 24, 32, 40, 48, 56, 64, 72, 80, 88, 96, 104, 144];
    assert_eq!(found, offsets.map(|offset| u64_at(slot, offset)));
    let health = match u32_at(slot, 136) {
        1 => Health::Ok,
        2 => Health::Degraded,
        3 => Health::Failing,
        _ => Health::Unknown,
    };
    let calibration = match u32_at(slot, 140) {
        1 => CalibrationState::Ok,
        2 => CalibrationState::Suspect,
        3 => CalibrationState::Lost,
        _ => CalibrationState::Unknown,
    };
    assert_eq!((record.health, record.calibration), (health, calibration));
    let error_px = f64_at(slot, 152);
    let expected = (!error_px.is_nan()).then_some(error_px.to_bits());
    assert_eq!(record.epipolar_error_px.map(f64::to_bits), expected);
    let parts = [160, 168, 176].map(|offset| f64_at(slot, offset));
    let is_measured = u32_at(header, 12) >= 1 && !parts.iter().any(|part| part.is_nan());
    let found = record.rig_error.map(|error| [error.pitch_rad, error.roll_rad, error.focal]);
    let expected = is_measured.then_some(parts.map(f64::to_bits));
    assert_eq!(found.map(|parts| parts.map(f64::to_bits)), expected);
    assert_eq!(published.checksum, u32_at(slot, 240));
}

/// Gives a slot the checksum that fits what is in it, if the segment has such a slot.
pub(crate) fn seal(bytes: &mut [u8], sequence: u64) {
    let at = slot_offset(bytes, sequence);
    if is_segment(bytes, bytes.len() as u64) {
        let sum = checksum(bytes, &bytes[at..]);
        bytes[at + 240..at + 244].copy_from_slice(&sum.to_le_bytes());
    }
}

/// Where the slot of a grid starts; somewhere, if the header is not one.
pub(crate) fn slot_offset(header: &[u8], sequence: u64) -> usize {
    let index = sequence.wrapping_sub(1) % u64::from(u32_at(header, 72)).max(1);
    let offset = index.wrapping_mul(u64_at(header, 64)).wrapping_add(u64_at(header, 56));
    usize::try_from(offset).unwrap_or(usize::MAX).min(1 << 32)
}

pub(crate) fn labels<'a>(header: &[u8], slot: &'a [u8]) -> &'a [u8] {
    part(slot, u64_at(header, 80), u64_at(header, 88))
}

pub(crate) fn confidence<'a>(header: &[u8], slot: &'a [u8]) -> &'a [u8] {
    part(slot, u64_at(header, 96), u64_at(header, 104))
}

/// Text of a padded field; `None` when it is none.
pub(crate) fn text(field: &[u8]) -> Option<&str> {
    let text = std::str::from_utf8(field).ok()?.trim_end_matches('\0');
    (!text.contains('\0')).then_some(text)
}

/// Zero where there is nothing.
pub(crate) fn u64_at(bytes: &[u8], offset: usize) -> u64 {
    let mut value = [0; 8];
    for (value, byte) in value.iter_mut().zip(bytes.iter().skip(offset)) {
        *value = *byte;
    }
    u64::from_le_bytes(value)
}

/// Zero where there is nothing.
pub(crate) fn u32_at(bytes: &[u8], offset: usize) -> u32 {
    (u64_at(bytes, offset) & u64::from(u32::MAX)).try_into().expect("masked")
}

fn f64_at(bytes: &[u8], offset: usize) -> f64 {
    f64::from_bits(u64_at(bytes, offset))
}

fn has_classes(bytes: &[u8]) -> bool {
    let count = u32_at(bytes, 52) as usize;
    let mut ids: Vec<u8> = classes(bytes).map(|class| class.id).collect();
    ids.sort_unstable();
    ids.dedup();
    ids.len() == count && ids.last() != Some(&255) && classes(bytes).all(|c| !c.name.is_empty())
}

/// The classes in use, up to the first whose name is none.
fn classes(bytes: &[u8]) -> impl Iterator<Item = Class> {
    let entries = bytes[2048..].chunks(64).take(u32_at(bytes, 52) as usize);
    entries.map_while(|entry| {
        let name = text(&entry[8..64])?.to_owned();
        Some(Class { id: entry[0], colour: [entry[1], entry[2], entry[3]], name })
    })
}

fn checksum(header: &[u8], slot: &[u8]) -> u32 {
    let mut sum = crc32fast::Hasher::new();
    for part in [labels(header, slot), confidence(header, slot), &slot[8..240]] {
        sum.update(part);
    }
    sum.finalize()
}

fn part(slot: &[u8], offset: u64, length: u64) -> &[u8] {
    let [offset, length] =
        [offset, length].map(|size| usize::try_from(size).expect("a 64-bit target"));
    &slot[offset..offset + length]
}
