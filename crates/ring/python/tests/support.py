"""What the tests share: the real writer, what it publishes, and writers that lie."""

from __future__ import annotations

import array
import fcntl
import math
import mmap
import os
import socket
import subprocess
import threading
import zlib
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Callable, Optional

import numpy as np
from numpy.typing import NDArray

from occdepth_ring import Grid
from occdepth_ring.layout import ClassEntry, Field, Notification, Reply, Segment, Slot

#: Long enough for a busy machine; only a failing test takes it.
PLENTY = 30.0
ALL_SEALS = 0x1 | 0x2 | 0x4 | 0x10
F_ADD_SEALS = 1033


class Publisher:
    """The Rust example ``publish``: a real writer in a process of its own."""

    def __init__(
        self, path: Path, *options: str, program: Optional[Path] = None, user: Optional[tuple[int, int]] = None
    ) -> None:
        command = [program or os.environ["RING_PUBLISH"], path, *options, "--commands", "--every-us", "0"]
        uid, gid = user or (None, None)
        self.process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            user=uid,
            group=gid,
            extra_groups=None if user is None else [],
        )
        assert self._line() == "ready"

    def publish(self, grids: int) -> int:
        """Publishes and returns the sequence of the newest."""
        self.begin(grids)
        return int(self._line())

    def begin(self, grids: int) -> None:
        """Has grids published and does not wait for it."""
        assert self.process.stdin is not None
        self.process.stdin.write(f"{grids}\n")
        self.process.stdin.flush()

    def end(self) -> None:
        """Lets the writer end in order."""
        assert self.process.stdin is not None
        self.process.stdin.close()
        assert self.process.wait(PLENTY) == 0
        assert self.process.stdout is not None
        self.process.stdout.close()

    def kill(self) -> None:
        """kill -9."""
        self.process.kill()
        self.process.wait(PLENTY)
        for pipe in (self.process.stdin, self.process.stdout):
            assert pipe is not None
            try:
                pipe.close()
            except BrokenPipeError:
                pass

    def _line(self) -> str:
        assert self.process.stdout is not None
        return self.process.stdout.readline().strip()

    def __enter__(self) -> Publisher:
        return self

    def __exit__(
        self,
        kind: Optional[type[BaseException]],
        error: Optional[BaseException],
        trace: Optional[TracebackType],
    ) -> None:
        self.kill()


def content(shape: tuple[int, ...], frame_id: int, salt: int) -> NDArray[np.uint8]:
    """The labels (``salt`` 0) or confidences (1) that the example publishes for a frame."""
    length = math.prod(shape)
    words = np.arange(-(-length // 8), dtype=np.uint64) + np.uint64(frame_id << 32 | salt << 31)
    z = words + np.uint64(0x9E3779B97F4A7C15)
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    z = z ^ (z >> np.uint64(31))
    return z.view(np.uint8)[:length].reshape(shape)


def assert_whole(grid: Grid) -> None:
    """Asserts that a grid is exactly the one that belongs to its frame id."""
    frame_id = grid.frame_id
    shape = grid.description.grid.dims
    assert grid.labels.shape == shape and grid.labels.dtype == np.uint8
    assert np.array_equal(grid.labels, content(shape, frame_id, 0)), f"labels of frame {frame_id} are mixed"
    if grid.description.confidence:
        assert grid.confidence is not None
        assert np.array_equal(grid.confidence, content(shape, frame_id, 1)), f"confidences of {frame_id} are mixed"
    else:
        assert grid.confidence is None
    record = grid.record
    assert record.left_capture_time_ns == frame_id * 1000 + 1
    assert record.stages.label_ns == frame_id + 400


def descriptors() -> int:
    """How many descriptors this process has."""
    return len(os.listdir("/proc/self/fd"))


def ring_mappings() -> int:
    """How many memory files this process has mapped."""
    with open("/proc/self/maps", encoding="utf-8") as maps:
        return sum("memfd:" in line for line in maps)


def valid_reply(segment_bytes: int, epoch: int = 77) -> bytearray:
    reply = bytearray(Reply.BYTES)
    Reply.magic.pack_into(reply, Reply.MAGIC_VALUE)
    Reply.abi_major.pack_into(reply, 1)
    Reply.epoch.pack_into(reply, epoch)
    Reply.segment_bytes.pack_into(reply, segment_bytes)
    return reply


class FakeSegment:
    """A segment that a test fills as it likes: 4 x 3 x 2 voxels, two slots, written from ABI.md."""

    DIMS = (4, 3, 2)
    VOXELS = 24
    SLOTS = 2
    LABELS_OFFSET = 256
    CONFIDENCE_OFFSET = 320
    SLOT_BYTES = 384
    BYTES = 8192 + SLOTS * SLOT_BYTES

    def __init__(self, epoch: int = 77) -> None:
        self.epoch = epoch
        self.bytes = bytearray(self.BYTES)
        put = self.put
        put(Segment.magic, Segment.MAGIC_VALUE)
        put(Segment.abi_major, 1)
        put(Segment.segment_bytes, self.BYTES)
        put(Segment.header_bytes, 8192)
        put(Segment.control_offset, 1024)
        put(Segment.class_table_offset, 2048)
        put(Segment.class_bytes, 64)
        put(Segment.class_count, 2)
        put(Segment.slots_offset, 8192)
        put(Segment.slot_bytes, self.SLOT_BYTES)
        put(Segment.slot_count, self.SLOTS)
        put(Segment.slot_header_bytes, 256)
        put(Segment.labels_offset, self.LABELS_OFFSET)
        put(Segment.labels_bytes, self.VOXELS)
        put(Segment.confidence_offset, self.CONFIDENCE_OFFSET)
        put(Segment.confidence_bytes, self.VOXELS)
        put(Segment.epoch, epoch)
        put(Segment.dims, *self.DIMS)
        put(Segment.axes, 1)
        put(Segment.voxel_size_m, 0.5)
        put(Segment.origin_m, 1.0, -2.0, -0.5)
        put(Segment.rectified_from_ego, *np.eye(4).ravel().tolist())
        put(Segment.rectified_intrinsics_px, 100.0, 100.0, 50.0, 40.0)
        put(Segment.rectified_size_px, 101, 81)
        put(Segment.frame, b"ego")
        put(Segment.stream, b"fake")
        put(ClassEntry.id, 0, base=2048)
        put(ClassEntry.name, b"empty", base=2048)
        put(ClassEntry.id, 9, base=2048 + 64)
        put(ClassEntry.name, b"road", base=2048 + 64)

    def put(self, field: Field, *values: object, base: int = 0) -> None:
        field.pack_into(self.bytes, *values, base=base)

    def slot(self, sequence: int) -> int:
        """Offset of the slot of a grid."""
        return 8192 + (sequence - 1) % self.SLOTS * self.SLOT_BYTES

    def publish(self, sequence: int, labels: bytes = bytes(24), header: Mapping[str, object] = {}) -> None:
        """Puts a grid in place; ``header`` is put on top of what is right, before the checksum is taken."""
        at = self.slot(sequence)
        self.bytes[at : at + self.SLOT_BYTES] = bytes(self.SLOT_BYTES)
        self.bytes[at + self.LABELS_OFFSET : at + self.LABELS_OFFSET + self.VOXELS] = labels
        right: dict[str, object] = {"lock": 2 * sequence, "sequence": sequence, "epoch": self.epoch}
        for name, value in {**right, **header}.items():
            self.put(getattr(Slot, name), value, base=at)
        confidence = self.bytes[at + self.CONFIDENCE_OFFSET :][: self.VOXELS]
        crc = zlib.crc32(self.bytes[at + 8 : at + 240], zlib.crc32(confidence, zlib.crc32(labels)))
        self.put(Slot.checksum, crc, base=at)
        self.put(Segment.newest, sequence)

    def file(self, seals: int = ALL_SEALS, size: Optional[int] = None) -> tuple[int, mmap.mmap]:
        """A sealed memory file with these bytes, and a writable mapping of it, made before the seals."""
        size = len(self.bytes) if size is None else size
        descriptor = os.memfd_create("fake", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
        os.ftruncate(descriptor, size)
        mapping = mmap.mmap(descriptor, min(size, len(self.bytes)))
        mapping[:] = bytes(self.bytes[: len(mapping)])
        fcntl.fcntl(descriptor, F_ADD_SEALS, seals)
        return descriptor, mapping


class FakeServer:
    """A server that answers every client with ``reply`` and ``descriptors``, or as ``answer`` says, and then keeps
    the connection open."""

    def __init__(
        self,
        path: Path,
        reply: bytes = b"",
        descriptors: tuple[int, ...] = (),
        answer: Optional[Callable[[socket.socket], None]] = None,
    ) -> None:
        self.hellos: list[bytes] = []
        self.connections: list[socket.socket] = []
        self._reply = reply
        self._descriptors = descriptors
        self._answer = answer or self._send
        self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._listener.bind(str(path))
        self._listener.listen(8)
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()

    def notify(self, sequence: int) -> None:
        note = bytearray(Notification.BYTES)
        Notification.magic.pack_into(note, Notification.MAGIC_VALUE)
        Notification.sequence.pack_into(note, sequence)
        for connection in self.connections:
            connection.send(note)

    def close(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._thread.join(PLENTY)
        self._listener.close()
        for connection in self.connections:
            connection.close()

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            self.connections.append(connection)
            self.hellos.append(connection.recv(256))
            self._answer(connection)

    def _send(self, connection: socket.socket) -> None:
        rights = (socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", self._descriptors).tobytes())
        connection.sendmsg([self._reply], [rights] if self._descriptors else [])

    def __enter__(self) -> FakeServer:
        return self

    def __exit__(
        self,
        kind: Optional[type[BaseException]],
        error: Optional[BaseException],
        trace: Optional[TracebackType],
    ) -> None:
        self.close()

