"""What is said of one grid: times, stages, health."""

from __future__ import annotations

import datetime
import enum
import math
import time
from dataclasses import dataclass
from typing import Optional

from .layout import Buffer, Slot


class Health(enum.IntEnum):
    """How the producer judged itself when it made a grid."""

    #: Not judged, or a code of a newer minor version.
    UNKNOWN = 0
    OK = 1
    #: The grid is valid, but something is not as configured: see :class:`Degradation`.
    DEGRADED = 2
    #: The grid should not be relied on.
    FAILING = 3

    @classmethod
    def _missing_(cls, value: object) -> Health:
        return cls.UNKNOWN


class CalibrationState(enum.IntEnum):
    """Whether the calibration still fits the images."""

    #: Not measured, or a code of a newer minor version.
    UNKNOWN = 0
    OK = 1
    SUSPECT = 2
    LOST = 3

    @classmethod
    def _missing_(cls, value: object) -> CalibrationState:
        return cls.UNKNOWN


class Degradation(enum.IntFlag):
    """What is degraded. Bits of newer minor versions are kept."""

    #: Frames were dropped since the previous grid.
    FRAMES_DROPPED = 1 << 0
    #: Published later than its budget.
    LATE = 1 << 1
    #: Clocks limited by heat.
    THERMAL_LIMIT = 1 << 2
    #: Clocks limited by power.
    POWER_LIMIT = 1 << 3
    #: Another engine than configured.
    ENGINE_SUBSTITUTED = 1 << 4
    #: Another precision than configured.
    PRECISION_SUBSTITUTED = 1 << 5
    #: Capture times of the pair too far apart.
    SKEW_EXCEEDED = 1 << 6
    #: A camera fault since the previous grid.
    CAMERA_FAULT = 1 << 7
    #: A camera is lost, or being opened again. Since ABI 1.1.
    SOURCE_INTERRUPTED = 1 << 8
    #: For long nothing has shown whether the calibration still fits. Since ABI 1.1.
    CALIBRATION_UNPROVEN = 1 << 9


@dataclass(frozen=True)
class StageTimes:
    """How long each stage of the pipeline took, ns."""

    capture_ns: int
    rectify_ns: int
    infer_ns: int
    label_ns: int
    #: Checksum and copy into the slot.
    publish_ns: int
    #: A look for signs that the calibration no longer fits; 0 of writers before ABI 1.1.
    watch_ns: int = 0


@dataclass(frozen=True)
class RigError:
    """How the right camera sits against where the calibration has it, as the images show it."""

    #: Rotation about the right camera's x axis (to the right), radians.
    pitch_rad: float
    #: Rotation about its z axis (forward), radians.
    roll_rad: float
    #: Right focal length over left one, minus what the calibration says: 0.005 is half a per cent.
    focal: float


@dataclass(frozen=True)
class WriterStatus:
    """How a writer is, whether or not it publishes grids."""

    #: When it said so, CLOCK_MONOTONIC ns: with every grid, and several times a second while it waits for its cameras.
    time_ns: int
    health: Health
    #: What is degraded; the lower 56 flags.
    degradation: Degradation

    def age_s(self, now_ns: Optional[int] = None) -> float:
        """How long ago that was at ``now_ns`` (CLOCK_MONOTONIC; now, if None), seconds, never below 0."""
        now_ns = time.monotonic_ns() if now_ns is None else now_ns
        return max(0, now_ns - self.time_ns) * 1e-9


@dataclass(frozen=True)
class GridRecord:
    """What is said of one grid. Times are CLOCK_MONOTONIC ns, which :func:`time.monotonic_ns` reads on Linux."""

    #: Number of the grid in its segment, from 1, without gaps.
    sequence: int
    #: The segment's random number; another one after every restart of the writer.
    epoch: int
    #: The producer's number of the stereo pair; gaps are frames without a grid.
    frame_id: int
    left_capture_time_ns: int
    right_capture_time_ns: int
    publish_time_ns: int
    #: CLOCK_REALTIME minus CLOCK_MONOTONIC at publication, ns.
    wall_offset_ns: int
    stages: StageTimes
    #: Capture time of the right image minus that of the left image, ns.
    skew_ns: int
    health: Health
    calibration: CalibrationState
    degradation: Degradation
    #: RMS distance of points from their epipolar line, rectified pixels; None when it was not measured.
    epipolar_error_px: Optional[float]
    #: CRC-32 of labels, confidences and record; it was verified.
    checksum: int
    #: None when it was not measured.
    rig_error: Optional[RigError] = None

    def wall_time_ns(self, time_ns: int) -> int:
        """Nanoseconds since the Unix epoch of ``time_ns``, a time of this record; never below 0."""
        return max(0, time_ns + self.wall_offset_ns)

    def wall_datetime(self, time_ns: int) -> datetime.datetime:
        """``time_ns``, a time of this record, as wall time in UTC, to the microsecond below."""
        return _UNIX_EPOCH + datetime.timedelta(microseconds=self.wall_time_ns(time_ns) // 1000)

    @property
    def left_capture_wall_ns(self) -> int:
        """When the left image was captured, ns since the Unix epoch."""
        return self.wall_time_ns(self.left_capture_time_ns)

    @property
    def right_capture_wall_ns(self) -> int:
        """When the right image was captured, ns since the Unix epoch."""
        return self.wall_time_ns(self.right_capture_time_ns)

    @property
    def publish_wall_ns(self) -> int:
        """When the grid was published, ns since the Unix epoch."""
        return self.wall_time_ns(self.publish_time_ns)

    def age_ns(self, now_ns: Optional[int] = None) -> int:
        """Age of the images at ``now_ns`` (CLOCK_MONOTONIC; now, if None), ns.

        Counted from the earlier of the two captures, never below 0.
        """
        now_ns = time.monotonic_ns() if now_ns is None else now_ns
        return max(0, now_ns - min(self.left_capture_time_ns, self.right_capture_time_ns))

    def age_s(self, now_ns: Optional[int] = None) -> float:
        """:meth:`age_ns` in seconds."""
        return self.age_ns(now_ns) * 1e-9


def decode_status(time_ns: int, status: int) -> Optional[WriterStatus]:
    """What the two words of the control block say; None when the writer has said nothing."""
    if time_ns == 0:
        return None
    return WriterStatus(time_ns, Health(status & 0xFF), _degradation(status >> 8))


def decode_record(header: Buffer, minor: int) -> GridRecord:
    """The record in the header of a slot, of which ``header`` is a validated copy, of a writer of minor version ``minor``."""
    pitch_rad, roll_rad, focal = (
        field.floats(header)[0] for field in (Slot.pitch_error_rad, Slot.roll_error_rad, Slot.focal_error)
    )
    # A writer of 1.0 has zeros there, which would read as a rig that has not moved at all.
    measured = minor >= 1 and not any(map(math.isnan, (pitch_rad, roll_rad, focal)))
    epipolar = Slot.epipolar_error_px.floats(header)[0]
    return GridRecord(
        sequence=Slot.sequence.integer(header),
        epoch=Slot.epoch.integer(header),
        frame_id=Slot.frame_id.integer(header),
        left_capture_time_ns=Slot.left_capture_time_ns.integer(header),
        right_capture_time_ns=Slot.right_capture_time_ns.integer(header),
        publish_time_ns=Slot.publish_time_ns.integer(header),
        wall_offset_ns=Slot.wall_offset_ns.integer(header),
        stages=StageTimes(
            capture_ns=Slot.capture_ns.integer(header),
            rectify_ns=Slot.rectify_ns.integer(header),
            infer_ns=Slot.infer_ns.integer(header),
            label_ns=Slot.label_ns.integer(header),
            publish_ns=Slot.publish_ns.integer(header),
            watch_ns=Slot.watch_ns.integer(header),
        ),
        skew_ns=Slot.skew_ns.integer(header),
        health=Health(Slot.health.integer(header)),
        calibration=CalibrationState(Slot.calibration.integer(header)),
        degradation=_degradation(Slot.degradation.integer(header)),
        epipolar_error_px=None if math.isnan(epipolar) else epipolar,
        checksum=Slot.checksum.integer(header),
        rig_error=RigError(pitch_rad, roll_rad, focal) if measured else None,
    )


def _degradation(bits: int) -> Degradation:
    flags = Degradation(bits)
    if bits & ~_KNOWN_DEGRADATION:
        # An IntFlag keeps every value that it ever had: for ever, and as many as a writer thinks up.
        Degradation._value2member_map_.pop(bits, None)
    return flags


_KNOWN_DEGRADATION = sum(Degradation)
_UNIX_EPOCH = datetime.datetime(1970, 1, 1, tzinfo=datetime.timezone.utc)
