"""A segment: checked, mapped read-only, and copied out of."""

from __future__ import annotations

import fcntl
import math
import mmap
import os
import sys
from dataclasses import dataclass
from typing import Optional

import numpy as np
from numpy.typing import NDArray

from .description import AbiVersion, Axes, GridGeometry, RectifiedCamera, StreamDescription, VoxelClass
from .errors import ConnectError, Invalid, VersionMismatch
from .layout import ABI_MAJOR, ABI_MINOR, Buffer, ClassEntry, Field, Segment, Slot


@dataclass(frozen=True)
class Places:
    """Where things lie in a segment, bytes. Checked: everything lies within the segment and is aligned."""

    slots_offset: int
    slot_bytes: int
    slot_count: int
    labels_offset: int
    labels_bytes: int
    confidence_offset: int
    #: 0 when the stream has no confidences.
    confidence_bytes: int

    @property
    def used_bytes(self) -> int:
        """Bytes of a slot up to the end of what it holds, whole words."""
        end = max(self.labels_offset + self.labels_bytes, self.confidence_offset + self.confidence_bytes)
        return _round_up(end)


class MappedSegment:
    """A read-only mapping of a segment.

    Loads of ``newest`` and of locks are aligned loads of one word each: numpy reads an element of a uint64 array
    so, where ``struct`` with a byte order would read byte by byte.
    """

    def __init__(self, mapping: mmap.mmap, places: Places) -> None:
        self._mapping: Optional[mmap.mmap] = mapping
        self._bytes: NDArray[np.uint8] = np.frombuffer(mapping, np.uint8)
        self._words: NDArray[np.uint64] = np.frombuffer(mapping, np.uint64, len(mapping) // _WORD_BYTES)
        self._places = places
        self._newest_index = Segment.newest.offset // _WORD_BYTES

    @property
    def closed(self) -> bool:
        """Whether the mapping is gone."""
        return self._mapping is None

    def newest(self) -> int:
        """Number of the newest grid that can be read; 0 before any."""
        return int(self._words[self._newest_index])

    def status(self) -> tuple[int, int]:
        """When the writer last said how it is, and what it said; the time is loaded first."""
        time_ns = int(self._words[Segment.status_time_ns.offset // _WORD_BYTES])
        return time_ns, int(self._words[Segment.status.offset // _WORD_BYTES])

    def lock(self, sequence: int) -> int:
        """The lock of the slot of grid ``sequence``."""
        return int(self._words[self._slot_offset(sequence) // _WORD_BYTES])

    def copy_slot(self, sequence: int, out: NDArray[np.uint8]) -> None:
        """Copies the slot of grid ``sequence``, as it is, to ``out``: uint8 (used_bytes,)."""
        at = self._slot_offset(sequence)
        np.copyto(out, self._bytes[at : at + self._places.used_bytes])

    def close(self) -> None:
        """Unmaps. A second call does nothing."""
        mapping, self._mapping = self._mapping, None
        if mapping is not None:
            # The mapping cannot be closed while arrays lie on it.
            self._bytes = np.empty(0, np.uint8)
            self._words = np.empty(0, np.uint64)
            mapping.close()

    def _slot_offset(self, sequence: int) -> int:
        return self._places.slots_offset + (sequence - 1) % self._places.slot_count * self._places.slot_bytes


@dataclass(frozen=True)
class OpenedSegment:
    """A segment that was found to be in order."""

    memory: MappedSegment
    places: Places
    description: StreamDescription
    abi: AbiVersion
    epoch: int
    segment_bytes: int


def open_segment(descriptor: int, epoch: int, segment_bytes: int) -> OpenedSegment:
    """Checks and maps the segment that came with a reply of ``epoch`` and ``segment_bytes``.

    The descriptor stays the caller's. Raises :class:`Invalid` with field, found and expected,
    :class:`VersionMismatch`, or :class:`ConnectError` when it cannot be mapped.
    """
    if sys.byteorder != "little" or sys.maxsize < 2**32:
        raise ConnectError("the ring can be read on 64-bit little-endian machines only")
    _check_file(descriptor, segment_bytes)
    try:
        mapping = mmap.mmap(descriptor, segment_bytes, flags=mmap.MAP_SHARED, prot=mmap.PROT_READ)
    except (OSError, ValueError, OverflowError, MemoryError) as error:
        raise ConnectError(f"cannot map {segment_bytes} bytes: {error}") from error
    try:
        header = mapping[: Segment.BYTES]
        abi = _check_version(header)
        places = _check_places(header, segment_bytes)
        found = Segment.epoch.integer(header)
        if found == 0 or found != epoch:
            raise Invalid("segment.epoch", found, f"{epoch}, the reply's, and not 0")
        description = _decode_description(header, places)
        return OpenedSegment(MappedSegment(mapping, places), places, description, abi, epoch, segment_bytes)
    except BaseException:
        mapping.close()
        raise


def _check_file(descriptor: int, segment_bytes: int) -> None:
    try:
        seals = fcntl.fcntl(descriptor, _F_GET_SEALS)
    except OSError as error:
        raise Invalid("segment.seals", f"none ({error.strerror})", f"{_SEALS:#x}") from error
    if seals & _SEALS != _SEALS:
        raise Invalid("segment.seals", f"{seals:#x}", f"all of {_SEALS:#x}")
    file_bytes = os.fstat(descriptor).st_size
    if file_bytes != segment_bytes:
        raise Invalid("segment size of the file", file_bytes, f"{segment_bytes}, as the reply says")
    if file_bytes < Segment.BYTES:
        raise Invalid("segment size of the file", file_bytes, f"at least {Segment.BYTES}")


def _check_version(header: Buffer) -> AbiVersion:
    magic = Segment.magic.raw(header)
    if magic != Segment.MAGIC_VALUE:
        raise Invalid("segment.magic", magic, Segment.MAGIC_VALUE)
    abi = AbiVersion(Segment.abi_major.integer(header), Segment.abi_minor.integer(header))
    if abi.major != ABI_MAJOR:
        raise VersionMismatch("the segment", (ABI_MAJOR, ABI_MINOR), (abi.major, abi.minor))
    return abi


def _check_places(header: Buffer, file_bytes: int) -> Places:
    """Reads every size and offset and holds it against the size of the file."""

    def read(name: str) -> int:
        field: Field = getattr(Segment, name)
        return field.integer(header)

    def demand(name: str, fits: bool, expected: str) -> None:
        if not fits:
            raise Invalid(f"segment.{name}", read(name), expected)

    segment_bytes, header_bytes = read("segment_bytes"), read("header_bytes")
    demand("segment_bytes", segment_bytes == file_bytes, f"{file_bytes}, the size of the file")
    demand("header_bytes", Segment.BYTES <= header_bytes <= file_bytes, f"{Segment.BYTES} to {file_bytes}")
    for name, fixed in (
        ("control_offset", Segment.CONTROL_OFFSET),
        ("class_table_offset", Segment.CLASS_TABLE_OFFSET),
        ("class_bytes", ClassEntry.BYTES),
    ):
        demand(name, read(name) == fixed, str(fixed))
    demand("class_count", read("class_count") <= Segment.MAX_CLASSES, f"at most {Segment.MAX_CLASSES}")

    places = Places(
        slots_offset=read("slots_offset"),
        slot_bytes=read("slot_bytes"),
        slot_count=read("slot_count"),
        labels_offset=read("labels_offset"),
        labels_bytes=read("labels_bytes"),
        confidence_offset=read("confidence_offset"),
        confidence_bytes=read("confidence_bytes"),
    )
    unit = Segment.ALIGNMENT

    def demand_start(name: str, least: int) -> None:
        at = read(name)
        demand(name, at >= least and at % unit == 0, f"a multiple of {unit}, at least {least}")

    counts = Segment.SLOT_COUNTS
    demand("slot_count", places.slot_count in counts, f"{counts.start} to {counts.stop - 1}")
    demand("slot_header_bytes", read("slot_header_bytes") >= Slot.BYTES, f"at least {Slot.BYTES}")
    voxels = math.prod(Segment.dims.integers(header))
    most = Segment.MAX_LABELS_BYTES
    demand("labels_bytes", 1 <= places.labels_bytes <= most, f"1 to {most}")
    demand("labels_bytes", places.labels_bytes == voxels, f"{voxels}, the product of dims")
    demand_start("slots_offset", header_bytes)
    demand_start("labels_offset", read("slot_header_bytes"))
    if places.confidence_bytes == 0:
        demand("confidence_offset", places.confidence_offset == 0, "0, as there are no confidences")
    else:
        demand("confidence_bytes", places.confidence_bytes == voxels, f"0 or {voxels}")
        demand_start("confidence_offset", places.labels_offset + places.labels_bytes)
    demand_start("slot_bytes", places.used_bytes)
    end = places.slots_offset + places.slot_count * places.slot_bytes
    if end > file_bytes:
        raise Invalid("segment end of the slots", end, f"at most {file_bytes}, the size of the file")
    return places


def _decode_description(header: Buffer, places: Places) -> StreamDescription:
    dims = Segment.dims.integers(header)
    voxel_size_m = _finite("voxel_size_m", Segment.voxel_size_m, header)[0]
    if voxel_size_m <= 0:
        raise Invalid("segment.voxel_size_m", voxel_size_m, "more than 0")
    origin_m = _finite("origin_m", Segment.origin_m, header)
    rectified_from_ego = np.array(_finite("rectified_from_ego", Segment.rectified_from_ego, header)).reshape(4, 4)
    rectified_from_ego.setflags(write=False)
    trained = Segment.trained.integer(header)
    if trained > 1:
        raise Invalid("segment.trained", trained, "0 or 1")
    fx_px, fy_px, cx_px, cy_px = _finite("rectified_intrinsics_px", Segment.rectified_intrinsics_px, header)
    width_px, height_px = Segment.rectified_size_px.integers(header)
    return StreamDescription(
        stream=_text("segment.stream", Segment.stream.raw(header)),
        producer=_text("segment.producer", Segment.producer.raw(header), may_be_empty=True),
        grid=GridGeometry(
            frame=_text("segment.frame", Segment.frame.raw(header)),
            axes=Axes(Segment.axes.integer(header)),
            origin_m=(origin_m[0], origin_m[1], origin_m[2]),
            voxel_size_m=voxel_size_m,
            dims=(dims[0], dims[1], dims[2]),
        ),
        rectified_from_ego=rectified_from_ego,
        rectified=RectifiedCamera(fx_px, fy_px, cx_px, cy_px, width_px, height_px),
        classes=_decode_classes(header),
        confidence=places.confidence_bytes > 0,
        trained=trained == 1,
        network_sha256=Segment.network_sha256.raw(header),
        engine_sha256=Segment.engine_sha256.raw(header),
        created_time_ns=Segment.created_time_ns.integer(header),
        created_wall_offset_ns=Segment.created_wall_offset_ns.integer(header),
    )


def _decode_classes(header: Buffer) -> dict[int, VoxelClass]:
    classes: dict[int, VoxelClass] = {}
    for index in range(Segment.class_count.integer(header)):
        base = Segment.CLASS_TABLE_OFFSET + index * ClassEntry.BYTES
        label = ClassEntry.id.integer(header, base)
        if label > 254 or label in classes:
            raise Invalid(f"segment.class[{index}].id", label, "at most 254, each once")
        red, green, blue = ClassEntry.colour.integers(header, base)
        name = _text(f"segment.class[{index}].name", ClassEntry.name.raw(header, base))
        classes[label] = VoxelClass(label, name, (red, green, blue))
    return classes


def _finite(name: str, field: Field, header: Buffer) -> tuple[float, ...]:
    values = field.floats(header)
    if not all(map(math.isfinite, values)):
        raise Invalid(f"segment.{name}", values, "finite numbers")
    return values


def _text(name: str, raw: bytes, may_be_empty: bool = False) -> str:
    text = raw.rstrip(b"\0")
    try:
        if b"\0" not in text and (text or may_be_empty):
            return text.decode("utf-8")
    except UnicodeDecodeError:
        pass
    what = "UTF-8" if may_be_empty else "1 or more bytes of UTF-8"
    raise Invalid(name, raw, f"{what} without NUL, padded with zero bytes")


def _round_up(length: int) -> int:
    return -(-length // _WORD_BYTES) * _WORD_BYTES


_WORD_BYTES = 8
# <linux/fcntl.h>; Python's fcntl has neither the number in every version nor FUTURE_WRITE in any.
_F_GET_SEALS = 1034
_F_SEAL_SEAL, _F_SEAL_SHRINK, _F_SEAL_GROW, _F_SEAL_FUTURE_WRITE = 0x1, 0x2, 0x4, 0x10
_SEALS = _F_SEAL_SEAL | _F_SEAL_SHRINK | _F_SEAL_GROW | _F_SEAL_FUTURE_WRITE
