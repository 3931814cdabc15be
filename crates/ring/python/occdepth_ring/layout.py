"""Offsets and formats of everything shared, as the tables of ABI.md give them.

Each class below is one table. Nothing here is checked; see :mod:`occdepth_ring.segment`.
"""

from __future__ import annotations

import struct
from typing import Union

ABI_MAJOR = 1
ABI_MINOR = 1

#: Label of a voxel of which nothing is known. Never a class id.
UNKNOWN_LABEL = 255

Buffer = Union[bytes, bytearray, memoryview]


class Field:
    """A field of a structure: its offset in bytes, and its format as :mod:`struct` writes it."""

    def __init__(self, offset: int, code: str) -> None:
        self.offset = offset
        self._struct = struct.Struct("<" + code)

    @property
    def size(self) -> int:
        """Bytes."""
        return self._struct.size

    def integer(self, buffer: Buffer, base: int = 0) -> int:
        """The value of an integer field of the structure at ``base``."""
        return int(self._struct.unpack_from(buffer, base + self.offset)[0])

    def integers(self, buffer: Buffer, base: int = 0) -> tuple[int, ...]:
        """The values of a field of several integers."""
        return tuple(int(value) for value in self._struct.unpack_from(buffer, base + self.offset))

    def floats(self, buffer: Buffer, base: int = 0) -> tuple[float, ...]:
        """The values of a field of one or several floats."""
        return tuple(float(value) for value in self._struct.unpack_from(buffer, base + self.offset))

    def raw(self, buffer: Buffer, base: int = 0) -> bytes:
        """The bytes of the field."""
        at = base + self.offset
        return bytes(buffer[at : at + self.size])

    def pack_into(self, buffer: bytearray, *values: object, base: int = 0) -> None:
        """Writes the field into the structure at ``base``."""
        self._struct.pack_into(buffer, base + self.offset, *values)


class Hello:
    """Client to writer."""

    BYTES = 64
    MAGIC_VALUE = b"OCCDHELO"
    #: Bit of ``flags``: send a notification for every grid.
    NOTIFY = 1

    magic = Field(0, "8s")
    abi_major = Field(8, "I")
    abi_minor = Field(12, "I")
    flags = Field(16, "Q")


class Reply:
    """Writer to client. The first 24 bytes mean the same in every major version."""

    BYTES = 64
    COMMON_BYTES = 24
    MAGIC_VALUE = b"OCCDRPLY"
    ACCEPTED = 0

    magic = Field(0, "8s")
    abi_major = Field(8, "I")
    abi_minor = Field(12, "I")
    status = Field(16, "I")
    epoch = Field(24, "Q")
    segment_bytes = Field(32, "Q")


class Notification:
    """Writer to client, after a grid."""

    BYTES = 32
    MAGIC_VALUE = b"OCCDNOTE"

    magic = Field(0, "8s")
    epoch = Field(8, "Q")
    sequence = Field(16, "Q")


class Segment:
    """The head of a segment: fixed fields and control block; the class table follows."""

    BYTES = 8192
    MAGIC_VALUE = b"OCCDRING"
    CONTROL_OFFSET = 1024
    CLASS_TABLE_OFFSET = 2048
    MAX_CLASSES = 64
    SLOT_COUNTS = range(2, 1025)
    MAX_LABELS_BYTES = 2**30
    #: Slots, labels and confidences start at multiples of this.
    ALIGNMENT = 64

    magic = Field(0, "8s")
    abi_major = Field(8, "I")
    abi_minor = Field(12, "I")
    segment_bytes = Field(16, "Q")
    header_bytes = Field(24, "Q")
    control_offset = Field(32, "Q")
    class_table_offset = Field(40, "Q")
    class_bytes = Field(48, "I")
    class_count = Field(52, "I")
    slots_offset = Field(56, "Q")
    slot_bytes = Field(64, "Q")
    slot_count = Field(72, "I")
    slot_header_bytes = Field(76, "I")
    labels_offset = Field(80, "Q")
    labels_bytes = Field(88, "Q")
    confidence_offset = Field(96, "Q")
    confidence_bytes = Field(104, "Q")
    epoch = Field(112, "Q")
    created_time_ns = Field(120, "Q")
    created_wall_offset_ns = Field(128, "q")
    dims = Field(192, "3I")
    axes = Field(204, "I")
    voxel_size_m = Field(208, "d")
    origin_m = Field(216, "3d")
    rectified_from_ego = Field(240, "16d")
    rectified_intrinsics_px = Field(368, "4d")
    rectified_size_px = Field(400, "2I")
    frame = Field(408, "32s")
    network_sha256 = Field(512, "32s")
    engine_sha256 = Field(544, "32s")
    stream = Field(576, "64s")
    producer = Field(640, "64s")
    trained = Field(704, "I")
    newest = Field(1024, "Q")
    status_time_ns = Field(1152, "Q")
    status = Field(1160, "Q")


class ClassEntry:
    """An entry of the class table."""

    BYTES = 64

    id = Field(0, "B")
    colour = Field(1, "3B")
    name = Field(8, "56s")


class Slot:
    """The header of a slot."""

    BYTES = 256
    #: The bytes that the checksum covers, after labels and confidences.
    CHECKED = slice(8, 240)

    lock = Field(0, "Q")
    sequence = Field(8, "Q")
    epoch = Field(16, "Q")
    frame_id = Field(24, "Q")
    left_capture_time_ns = Field(32, "Q")
    right_capture_time_ns = Field(40, "Q")
    publish_time_ns = Field(48, "Q")
    wall_offset_ns = Field(56, "q")
    capture_ns = Field(64, "Q")
    rectify_ns = Field(72, "Q")
    infer_ns = Field(80, "Q")
    label_ns = Field(88, "Q")
    publish_ns = Field(96, "Q")
    watch_ns = Field(104, "Q")
    skew_ns = Field(128, "q")
    health = Field(136, "I")
    calibration = Field(140, "I")
    degradation = Field(144, "Q")
    epipolar_error_px = Field(152, "d")
    pitch_error_rad = Field(160, "d")
    roll_error_rad = Field(168, "d")
    focal_error = Field(176, "d")
    checksum = Field(240, "I")
