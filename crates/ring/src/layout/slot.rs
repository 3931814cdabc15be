//! The header of a slot: the lock word, the record of one grid, its checksum.

use super::field::fields;
use crate::record::{
    CalibrationState, Degradation, GridRecord, Health, PublishedGrid, RigError, StageTimes,
};

/// Bytes of the slot header that this minor version knows; also where the labels start.
pub const HEADER_BYTES: usize = 256;

/// Alignment of slots, and of labels and confidences within a slot, in bytes: a cache line.
pub const ALIGNMENT: usize = 64;

/// The bytes of the slot header that the checksum covers, after labels and confidences: everything
/// between the lock and the checksum, reserved bytes included, so that a minor may fill them.
pub const CHECKED: std::ops::Range<usize> = 8..240;

fields! {
    /// Every field of the slot header.
    FIELDS:
    /// u64. `2n - 1` while grid `n` is being written, `2n` while it can be read; 0 before any.
    LOCK, "lock", 0, 8;
    /// u64. Number of the grid in this segment, from 1, without gaps.
    SEQUENCE, "sequence", 8, 8;
    /// u64. The epoch of the segment.
    EPOCH, "epoch", 16, 8;
    /// u64. The producer's number of the stereo pair; gaps are frames without a grid.
    FRAME_ID, "frame_id", 24, 8;
    /// u64. When the left image was captured, `CLOCK_MONOTONIC` nanoseconds.
    LEFT_CAPTURE_TIME_NS, "left_capture_time_ns", 32, 8;
    /// u64. When the right image was captured, `CLOCK_MONOTONIC` nanoseconds.
    RIGHT_CAPTURE_TIME_NS, "right_capture_time_ns", 40, 8;
    /// u64. When the grid was published, `CLOCK_MONOTONIC` nanoseconds.
    PUBLISH_TIME_NS, "publish_time_ns", 48, 8;
    /// i64. `CLOCK_REALTIME` minus `CLOCK_MONOTONIC` at publication, nanoseconds.
    WALL_OFFSET_NS, "wall_offset_ns", 56, 8;
    /// u64. Duration of the capture stage, nanoseconds.
    CAPTURE_NS, "capture_ns", 64, 8;
    /// u64. Duration of the rectification stage, nanoseconds.
    RECTIFY_NS, "rectify_ns", 72, 8;
    /// u64. Duration of the inference stage, nanoseconds.
    INFER_NS, "infer_ns", 80, 8;
    /// u64. Duration of the labelling stage, nanoseconds.
    LABEL_NS, "label_ns", 88, 8;
    /// u64. Duration of the publication: checksum and copy into the slot, nanoseconds.
    PUBLISH_NS, "publish_ns", 96, 8;
    /// u64. Since 1.1: duration of watching the calibration, nanoseconds.
    WATCH_NS, "watch_ns", 104, 8;
    /// Zero; for further stages.
    RESERVED_STAGES, "reserved", 112, 16;
    /// i64. Capture time of the right image minus that of the left image, nanoseconds.
    SKEW_NS, "skew_ns", 128, 8;
    /// u32. 0 unknown, 1 ok, 2 degraded, 3 failing.
    HEALTH, "health", 136, 4;
    /// u32. 0 unknown, 1 ok, 2 suspect, 3 lost.
    CALIBRATION, "calibration", 140, 4;
    /// u64. Bits that say what is degraded.
    DEGRADATION, "degradation", 144, 8;
    /// f64. Distance of points from their epipolar line (RMS over the image of a fit), pixels; NaN when not measured.
    EPIPOLAR_ERROR_PX, "epipolar_error_px", 152, 8;
    /// f64. Since 1.1: pitch of the right camera against where the calibration has it, radians; NaN
    /// when not measured, as the next two.
    PITCH_ERROR_RAD, "pitch_error_rad", 160, 8;
    /// f64. Since 1.1: roll of the right camera, likewise.
    ROLL_ERROR_RAD, "roll_error_rad", 168, 8;
    /// f64. Since 1.1: right focal length over left one, minus what the calibration says.
    FOCAL_ERROR, "focal_error", 176, 8;
    /// Zero.
    RESERVED, "reserved", 184, 56;
    /// u32. CRC-32 of labels, confidences and [`CHECKED`], in this order.
    CHECKSUM, "checksum", 240, 4;
    /// Zero; not covered by the checksum.
    RESERVED_TAIL, "reserved", 244, 12;
}

/// The header of a slot but for the lock, which the seqlock owns: zero in the bytes made here.
#[derive(Clone, Copy, Debug)]
pub(crate) struct SlotHeader {
    bytes: [u8; HEADER_BYTES],
}

impl SlotHeader {
    pub(crate) fn encode(epoch: u64, grid: &PublishedGrid) -> Self {
        let mut header = Self { bytes: [0; HEADER_BYTES] };
        let bytes = &mut header.bytes;
        let record = &grid.record;
        for (field, value) in [
            (SEQUENCE, grid.sequence),
            (EPOCH, epoch),
            (FRAME_ID, record.frame_id),
            (LEFT_CAPTURE_TIME_NS, record.left_capture_time_ns),
            (RIGHT_CAPTURE_TIME_NS, record.right_capture_time_ns),
            (PUBLISH_TIME_NS, grid.publish_time_ns),
            (CAPTURE_NS, record.stages.capture_ns),
            (RECTIFY_NS, record.stages.rectify_ns),
            (INFER_NS, record.stages.infer_ns),
            (LABEL_NS, record.stages.label_ns),
            (PUBLISH_NS, record.stages.publish_ns),
            (WATCH_NS, record.stages.watch_ns),
            (DEGRADATION, record.degradation.bits()),
        ] {
            field.put(bytes, &value.to_le_bytes());
        }
        WALL_OFFSET_NS.put(bytes, &grid.wall_offset_ns.to_le_bytes());
        SKEW_NS.put(bytes, &record.skew_ns().to_le_bytes());
        HEALTH.put(bytes, &record.health.code().to_le_bytes());
        CALIBRATION.put(bytes, &record.calibration.code().to_le_bytes());
        let epipolar_error_px = record.epipolar_error_px.unwrap_or(f64::NAN);
        EPIPOLAR_ERROR_PX.put(bytes, &epipolar_error_px.to_le_bytes());
        let rig = record.rig_error.unwrap_or(RigError::UNKNOWN);
        for (field, value) in [
            (PITCH_ERROR_RAD, rig.pitch_rad),
            (ROLL_ERROR_RAD, rig.roll_rad),
            (FOCAL_ERROR, rig.focal),
        ] {
            field.put(bytes, &value.to_le_bytes());
        }
        CHECKSUM.put(bytes, &grid.checksum.to_le_bytes());
        header
    }

    pub(crate) fn from_bytes(bytes: [u8; HEADER_BYTES]) -> Self {
        Self { bytes }
    }

    pub(crate) fn bytes(&self) -> &[u8; HEADER_BYTES] {
        &self.bytes
    }

    pub(crate) fn checked(&self) -> &[u8] {
        &self.bytes[CHECKED]
    }

    pub(crate) fn set_checksum(&mut self, checksum: u32) {
        CHECKSUM.put(&mut self.bytes, &checksum.to_le_bytes());
    }

    pub(crate) fn checksum(&self) -> u32 {
        CHECKSUM.u32(&self.bytes)
    }

    pub(crate) fn sequence(&self) -> u64 {
        SEQUENCE.u64(&self.bytes)
    }

    pub(crate) fn epoch(&self) -> u64 {
        EPOCH.u64(&self.bytes)
    }

    /// What the bytes say, of a writer of minor version `minor`. Total: a code that this minor version
    /// does not know reads as unknown.
    pub(crate) fn decode(&self, minor: u32) -> PublishedGrid {
        let bytes = &self.bytes;
        let epipolar_error_px = EPIPOLAR_ERROR_PX.f64(bytes);
        let rig_error = RigError {
            pitch_rad: PITCH_ERROR_RAD.f64(bytes),
            roll_rad: ROLL_ERROR_RAD.f64(bytes),
            focal: FOCAL_ERROR.f64(bytes),
        };
        // A writer of 1.0 has zeros there, which would read as a rig that has not moved at all.
        let rig_error = Some(rig_error).filter(|error| minor >= 1 && error.is_known());
        PublishedGrid {
            sequence: self.sequence(),
            publish_time_ns: PUBLISH_TIME_NS.u64(bytes),
            wall_offset_ns: WALL_OFFSET_NS.i64(bytes),
            checksum: self.checksum(),
            record: GridRecord {
                frame_id: FRAME_ID.u64(bytes),
                left_capture_time_ns: LEFT_CAPTURE_TIME_NS.u64(bytes),
                right_capture_time_ns: RIGHT_CAPTURE_TIME_NS.u64(bytes),
                stages: StageTimes {
                    capture_ns: CAPTURE_NS.u64(bytes),
                    rectify_ns: RECTIFY_NS.u64(bytes),
                    infer_ns: INFER_NS.u64(bytes),
                    label_ns: LABEL_NS.u64(bytes),
                    publish_ns: PUBLISH_NS.u64(bytes),
                    watch_ns: WATCH_NS.u64(bytes),
                },
                health: Health::from_code(HEALTH.u32(bytes)),
                degradation: Degradation::from_bits(DEGRADATION.u64(bytes)),
                calibration: CalibrationState::from_code(CALIBRATION.u32(bytes)),
                epipolar_error_px: (!epipolar_error_px.is_nan()).then_some(epipolar_error_px),
                rig_error,
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::layout::Field;
    use proptest::prelude::*;

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn any_bytes_are_a_record_that_says_what_they_say(
            bytes in prop::collection::vec(any::<u8>(), HEADER_BYTES),
            codes in any::<[u8; 2]>(),
            is_nan in any::<bool>(),
            minor in 0..3_u32,
        ) {
            let mut bytes: [u8; HEADER_BYTES] = bytes.try_into().expect("as long as it was made");
            // Those of this version, and those beside them.
            HEALTH.put(&mut bytes, &[codes[0] % 6, 0, 0, 0]);
            CALIBRATION.put(&mut bytes, &[codes[1] % 6, 0, 0, 0]);
            if is_nan {
                EPIPOLAR_ERROR_PX.put_f64s(&mut bytes, &[f64::NAN]);
            }
            let header = SlotHeader::from_bytes(bytes);
            let record = header.decode(minor);
            let again = SlotHeader::encode(header.epoch(), &record);
            for field in FIELDS {
                let (found, expected) = (field.of(&again.bytes), field.of(&bytes));
                match *field {
                    // The lock is not part of it, and the skew follows from the capture times.
                    LOCK | SKEW_NS => {}
                    HEALTH | CALIBRATION => {
                        let known = if expected[0] > 3 { 0 } else { expected[0] };
                        prop_assert_eq!(found, &[known, 0, 0, 0]);
                    }
                    EPIPOLAR_ERROR_PX if field.f64(&bytes).is_nan() => {
                        prop_assert_eq!(record.record.epipolar_error_px, None);
                        prop_assert!(field.f64(&again.bytes).is_nan());
                    }
                    PITCH_ERROR_RAD | ROLL_ERROR_RAD | FOCAL_ERROR if record.record.rig_error.is_none() => {
                        let parts = [PITCH_ERROR_RAD, ROLL_ERROR_RAD, FOCAL_ERROR];
                        let unknown = parts.iter().any(|part| part.f64(&bytes).is_nan());
                        prop_assert!(minor == 0 || unknown);
                        prop_assert!(field.f64(&again.bytes).is_nan());
                    }
                    Field { name: "reserved", .. } => {
                        prop_assert!(found.iter().all(|&byte| byte == 0));
                    }
                    _ => prop_assert_eq!(found, expected, "{}", field.name),
                }
            }
        }
    }
}
