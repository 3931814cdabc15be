"""Writers that lie: a clear error that names field, found and expected; never a crash, a hang or a leak."""

from __future__ import annotations

import fcntl
import math
import os
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from occdepth_ring import (
    Axes,
    CalibrationState,
    ConnectError,
    Corrupt,
    Degradation,
    HandshakeTimeout,
    Health,
    Invalid,
    Lapped,
    NoStream,
    Overwritten,
    Reader,
    RigError,
    VersionMismatch,
    WriterGone,
    connect,
)
from occdepth_ring.layout import ClassEntry, Reply, Segment, Slot
from occdepth_ring.record import decode_record
from support import ALL_SEALS, F_ADD_SEALS, PLENTY, FakeSegment, FakeServer, descriptors, valid_reply

pytestmark = pytest.mark.usefixtures("nothing_leaks")


@contextmanager
def offered(
    path: Path, segment: FakeSegment, reply: bytes | None = None, copies: int = 1, **file: Any
) -> Iterator[tuple[FakeServer, Any]]:
    """A server that offers a segment: the server, and the writable mapping of the segment."""
    descriptor, mapping = segment.file(**file)
    reply = bytes(valid_reply(segment.BYTES)) if reply is None else reply
    try:
        with FakeServer(path, reply, (descriptor,) * copies) as server:
            yield server, mapping
    finally:
        mapping.close()
        os.close(descriptor)


@contextmanager
def reading(path: Path, segment: FakeSegment) -> Iterator[tuple[Reader, Any]]:
    with offered(path, segment) as (_, mapping), connect(path) as reader:
        yield reader, mapping


def test_the_fake_is_read(path: Path) -> None:
    segment = FakeSegment()
    segment.publish(1, bytes(range(24)), {"frame_id": 5})
    with reading(path, segment) as (reader, _):
        grid = reader.next(0)
        assert grid is not None
        assert grid.labels.tolist() == np.arange(24).reshape(4, 3, 2).tolist()
        assert grid.frame_id == 5


def test_a_silent_server_is_given_up(path: Path) -> None:
    with FakeServer(path, answer=lambda connection: None):
        start = time.monotonic()
        with pytest.raises(HandshakeTimeout, match="does not reply in time"):
            connect(path, timeout_s=0.2)
        assert 0.2 <= time.monotonic() - start < PLENTY / 2


def test_a_server_that_accepts_nobody_is_given_up(path: Path) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as listener:
        listener.bind(str(path))
        listener.listen(0)
        clients = []
        while True:
            client = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
            client.setblocking(False)
            clients.append(client)
            try:
                client.connect(str(path))
            except BlockingIOError:
                break
        with pytest.raises(HandshakeTimeout, match="does not accept in time"):
            connect(path, timeout_s=0.1)
        for client in clients:
            client.close()


def test_a_server_that_hangs_up_is_no_stream(path: Path) -> None:
    with FakeServer(path, answer=lambda connection: connection.close()):
        with pytest.raises(NoStream, match="hung up"):
            connect(path)


def test_a_refusal_is_read_though_the_hello_was_not(path: Path) -> None:
    """A server that replies and closes before it reads: the client sees ECONNRESET, then the reply."""
    reply = valid_reply(0, epoch=0)
    Reply.status.pack_into(reply, 4)
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as listener:
        listener.bind(str(path))
        listener.listen(4)

        def refuse() -> None:
            connection, _ = listener.accept()
            time.sleep(0.1)
            connection.send(reply)
            connection.close()

        thread = threading.Thread(target=refuse)
        thread.start()
        with pytest.raises(ConnectError, match="too many clients.*status 4"):
            connect(path)
        thread.join()


def test_garbage_replies(path: Path) -> None:
    good = valid_reply(FakeSegment.BYTES)
    cases = {
        "reply.magic": bytes(b"GARBAGE!" + good[8:]),
        "reply.length": bytes(good[:23]),
    }
    for number, (field, reply) in enumerate(cases.items()):
        at = path.with_name(f"{number}.sock")
        with offered(at, FakeSegment(), reply=reply):
            with pytest.raises(Invalid, match=field):
                connect(at)
    with offered(path.with_name("a"), FakeSegment(), reply=bytes(good[:40])):
        with pytest.raises(Invalid, match="reply.length: found 40, expected at least 64"):
            connect(path.with_name("a"))
    with offered(path.with_name("c"), FakeSegment(), reply=bytes(good) + bytes(4000)):
        connect(path.with_name("c")).close()


def test_a_reply_without_a_descriptor(path: Path) -> None:
    with offered(path, FakeSegment(), copies=0):
        with pytest.raises(Invalid, match="reply.descriptors: found 0, expected 1"):
            connect(path)


@pytest.mark.parametrize("others", [1, 2, 16, 40])
def test_descriptors_beyond_the_first_are_closed(path: Path, others: int) -> None:
    """ABI.md: they are not part of the protocol. The first is the segment."""
    segment = FakeSegment()
    segment.publish(1)
    descriptor, mapping = segment.file()
    with open("/dev/null", "rb") as null:
        given = (descriptor, *[null.fileno()] * others)
        with FakeServer(path, bytes(valid_reply(segment.BYTES)), given):
            held = descriptors()
            with connect(path) as reader:
                assert reader.next(0) is not None
            # The server's end is still open.
            assert descriptors() == held + 1
    mapping.close()
    os.close(descriptor)


@pytest.mark.parametrize("missing", [0x1, 0x2, 0x4, 0x10])
def test_an_unsealed_segment(path: Path, missing: int) -> None:
    with offered(path, FakeSegment(), seals=ALL_SEALS & ~missing):
        with pytest.raises(Invalid, match="segment.seals: found .*, expected all of 0x17"):
            connect(path)


def test_a_descriptor_that_is_no_memory_file(path: Path) -> None:
    with open("/dev/zero", "rb") as zero:
        with FakeServer(path, bytes(valid_reply(FakeSegment.BYTES)), (zero.fileno(),)):
            with pytest.raises(Invalid, match="segment.seals: found none"):
                connect(path)


@pytest.mark.parametrize("size", [0, 100, 8192, FakeSegment.BYTES - 1, FakeSegment.BYTES + 4096])
def test_a_file_of_another_size_than_the_reply_says(path: Path, size: int) -> None:
    if size == 0:
        descriptor = os.memfd_create("fake", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
        fcntl.fcntl(descriptor, F_ADD_SEALS, ALL_SEALS)
        with FakeServer(path, bytes(valid_reply(FakeSegment.BYTES)), (descriptor,)):
            with pytest.raises(Invalid, match="size of the file: found 0"):
                connect(path)
        os.close(descriptor)
        return
    with offered(path, FakeSegment(), size=size):
        with pytest.raises(Invalid, match=f"size of the file: found {size}, expected {FakeSegment.BYTES}"):
            connect(path)


@pytest.mark.parametrize("size", [1, 4096, 8191])
def test_a_segment_smaller_than_its_header(path: Path, size: int) -> None:
    with offered(path, FakeSegment(), reply=bytes(valid_reply(size)), size=size):
        with pytest.raises(Invalid, match=f"size of the file: found {size}, expected at least 8192"):
            connect(path)


def test_a_segment_too_large_to_map(path: Path) -> None:
    size = 2**62
    with offered(path, FakeSegment(), reply=bytes(valid_reply(size)), size=size):
        with pytest.raises(ConnectError, match="cannot map|segment_bytes"):
            connect(path)


@pytest.mark.parametrize(
    ("field", "values"),
    [
        ("magic", (b"OCCDRINK",)),
        ("segment_bytes", (0,)),
        ("segment_bytes", (2**64 - 1,)),
        ("header_bytes", (8128,)),
        ("header_bytes", (2**64 - 1,)),
        ("control_offset", (1088,)),
        ("class_table_offset", (2**63,)),
        ("class_bytes", (0,)),
        ("class_count", (65,)),
        ("class_count", (255,)),
        ("slots_offset", (0,)),
        ("slots_offset", (8200,)),
        ("slots_offset", (2**64 - 64,)),
        ("slot_bytes", (0,)),
        ("slot_bytes", (320,)),
        ("slot_bytes", (385,)),
        ("slot_bytes", (2**64 - 64,)),
        ("slot_count", (0,)),
        ("slot_count", (1,)),
        ("slot_count", (3,)),
        ("slot_count", (1025,)),
        ("slot_header_bytes", (128,)),
        ("slot_header_bytes", (2**32 - 1,)),
        ("labels_offset", (0,)),
        ("labels_offset", (257,)),
        ("labels_offset", (2**64 - 64,)),
        ("labels_bytes", (0,)),
        ("labels_bytes", (25,)),
        ("labels_bytes", (2**30 + 1,)),
        ("confidence_offset", (0,)),
        ("confidence_offset", (256,)),
        ("confidence_offset", (2**64 - 64,)),
        ("confidence_bytes", (0,)),
        ("confidence_bytes", (23,)),
        ("epoch", (0,)),
        ("epoch", (78,)),
        ("dims", (0, 3, 2)),
        ("dims", (2**32 - 1, 2**32 - 1, 2**32 - 1)),
        ("voxel_size_m", (0.0,)),
        ("voxel_size_m", (math.nan,)),
        ("origin_m", (0.0, math.inf, 0.0)),
        ("rectified_from_ego", (math.nan,) * 16),
        ("rectified_intrinsics_px", (math.inf,) * 4),
        ("trained", (2,)),
        ("frame", (b"e\0go",)),
        ("frame", (b"",)),
        ("stream", (b"\xff\xfe",)),
        ("producer", (b"a\0b",)),
    ],
)
def test_a_field_of_the_header_that_does_not_fit(path: Path, field: str, values: tuple[Any, ...]) -> None:
    segment = FakeSegment()
    segment.publish(1)
    segment.put(getattr(Segment, field), *values)
    with offered(path, segment):
        with pytest.raises(Invalid) as invalid:
            connect(path)
    assert "segment" in str(invalid.value) and ": found " in str(invalid.value) and ", expected " in str(invalid.value)


def test_every_word_of_the_header_may_hold_anything(path: Path) -> None:
    """What comes of it is a reader or a ConnectError; and a reader reads or says why not."""
    random = np.random.default_rng(1)
    plain = FakeSegment()
    plain.publish(1)
    accepted = 0
    for round_ in range(400):
        segment = FakeSegment()
        segment.bytes[:] = plain.bytes
        for _ in range(int(random.integers(1, 4))):
            at = int(random.integers(0, 92)) * 8
            value = int(random.choice(np.array([0, 1, 63, 64, 2**31, 2**32 - 1, 2**63], dtype=np.uint64)))
            segment.bytes[at : at + 8] = value.to_bytes(8, "little")
        where = path.with_name(f"{round_}.sock")
        with offered(where, segment):
            try:
                with connect(where, timeout_s=PLENTY) as reader:
                    accepted += 1
                    reader.next(0)
            except (ConnectError, Corrupt, Lapped):
                pass
    assert accepted > 10


@pytest.mark.parametrize(("index", "label"), [(1, 0), (1, 255)])
def test_class_ids_are_unique_and_below_255(path: Path, index: int, label: int) -> None:
    segment = FakeSegment()
    segment.put(ClassEntry.id, label, base=2048 + 64 * index)
    with offered(path, segment):
        with pytest.raises(Invalid, match=rf"class\[1\]\.id: found {label}, expected at most 254, each once"):
            connect(path)


def test_a_segment_of_another_major(path: Path) -> None:
    segment = FakeSegment()
    segment.put(Segment.abi_major, 3)
    with offered(path, segment):
        with pytest.raises(VersionMismatch, match=r"the segment is of ABI version 3\.0, this client reads version 1\.1"):
            connect(path)


def test_a_newer_minor_is_read(path: Path) -> None:
    """Larger headers, unknown codes and flags, reserved bytes in use."""
    segment = FakeSegment()
    segment.put(Segment.abi_minor, 9)
    segment.put(Segment.axes, 77)
    segment.bytes[136:192] = b"\xaa" * 56
    codes = {"health": 99, "calibration": 2**32 - 1, "degradation": 2**63 | 1, "epipolar_error_px": math.nan}
    segment.publish(1, header=codes)
    with reading(path, segment) as (reader, _):
        assert reader.writer_abi == (1, 9)
        assert reader.description.grid.axes is Axes.UNKNOWN
        grid = reader.next(0)
        assert grid is not None
        assert grid.record.health is Health.UNKNOWN
        assert grid.record.calibration is CalibrationState.UNKNOWN
        assert int(grid.record.degradation) == 2**63 | 1
        assert Degradation.FRAMES_DROPPED in grid.record.degradation
        assert grid.record.epipolar_error_px is None


def test_a_segment_of_1_0_says_nothing_of_what_came_later(path: Path) -> None:
    """What 1.1 filled is zero there, and zeros must not read as measurements."""
    segment = FakeSegment()
    segment.put(Segment.abi_minor, 0)
    segment.publish(1)
    with reading(path, segment) as (reader, _):
        assert reader.writer_abi == (1, 0) and reader.status() is None
        grid = reader.next(0)
        assert grid is not None
        assert grid.record.rig_error is None and grid.record.stages.watch_ns == 0


def test_a_rig_that_has_not_moved_is_measured_all_the_same(path: Path) -> None:
    segment = FakeSegment()
    segment.put(Segment.abi_minor, 1)
    segment.publish(1)
    with reading(path, segment) as (reader, _):
        grid = reader.next(0)
        assert grid is not None and grid.record.rig_error == RigError(0, 0, 0)


def test_a_lock_that_is_odd_is_never_a_grid(path: Path) -> None:
    """The writer is writing grid 3 into the slot of grid 1."""
    segment = FakeSegment()
    segment.publish(1, header={"lock": 2 * 3 - 1})
    with reading(path, segment) as (reader, _):
        with pytest.raises(Overwritten):
            reader.copy(1)
        with pytest.raises(Overwritten):
            reader.copy_newest()
        with pytest.raises(Lapped) as lapped:
            reader.next(0)
        assert lapped.value.missed == 1
        assert reader.next(0) is None


def test_a_lock_that_changes_during_the_copy_drops_it(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    segment = FakeSegment()
    segment.publish(1)
    with reading(path, segment) as (reader, mapping):
        copy_slot = reader._memory.copy_slot

        def torn(sequence: int, out: Any) -> None:
            mapping[8192 : 8192 + 8] = (5).to_bytes(8, "little")
            copy_slot(sequence, out)

        monkeypatch.setattr(reader._memory, "copy_slot", torn)
        with pytest.raises(Overwritten):
            reader.copy(1)


def test_a_grid_published_just_before_the_hang_up_is_seen(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    segment = FakeSegment()
    with offered(path, segment) as (server, mapping), connect(path) as reader:
        drain = reader._drain

        def drain_late() -> int:
            segment.publish(1)
            mapping[:] = bytes(segment.bytes)
            server.connections[0].close()
            return drain()

        monkeypatch.setattr(reader, "_drain", drain_late)
        grid = reader.next(PLENTY)
        assert grid is not None and grid.sequence == 1
        with pytest.raises(WriterGone):
            reader.next(PLENTY)


@pytest.mark.parametrize("at", [8 + 16, 239, 240, 256, 256 + 23, 320, 320 + 23])
def test_a_changed_byte_fails_the_checksum(path: Path, at: int) -> None:
    segment = FakeSegment()
    segment.publish(1)
    segment.bytes[8192 + at] ^= 1
    with reading(path, segment) as (reader, _):
        with pytest.raises(Corrupt, match="grid 1 is corrupt: checksum: found 0x.*, expected 0x"):
            reader.next(0)
        assert reader.next(0) is None
        with pytest.raises(Corrupt):
            reader.copy_newest()


@pytest.mark.parametrize("at", [104, 239, 244])
def test_reserved_bytes_are_covered_up_to_240_only(path: Path, at: int) -> None:
    segment = FakeSegment()
    segment.publish(1)
    segment.bytes[8192 + at] = 7
    with reading(path, segment) as (reader, _):
        if at < 240:
            with pytest.raises(Corrupt):
                reader.next(0)
        else:
            assert reader.next(0) is not None


@pytest.mark.parametrize(("field", "value"), [("sequence", 3), ("epoch", 5)])
def test_a_slot_of_another_grid_or_segment(path: Path, field: str, value: int) -> None:
    segment = FakeSegment()
    segment.publish(1, header={field: value})
    with reading(path, segment) as (reader, _):
        with pytest.raises(Corrupt, match=f"{field}: found 0x{value}, expected"):
            reader.next(0)


@pytest.mark.parametrize(
    ("time_ns", "offset_ns", "wall_ns", "year"),
    [
        (2**64 - 1, 2**63 - 1, 2**64 + 2**63 - 2, 2846),
        (1, -(2**63), 0, 1970),
        (1_700_000_000_123_456_789, 211, 1_700_000_000_123_457_000, 2023),
    ],
)
def test_times_may_be_anything(time_ns: int, offset_ns: int, wall_ns: int, year: int) -> None:
    header = bytearray(Slot.BYTES)
    Slot.left_capture_time_ns.pack_into(header, time_ns)
    Slot.right_capture_time_ns.pack_into(header, time_ns)
    Slot.wall_offset_ns.pack_into(header, offset_ns)
    record = decode_record(header, 1)
    assert record.left_capture_wall_ns == record.right_capture_wall_ns == wall_ns
    moment = record.wall_datetime(time_ns)
    assert (moment.year, moment.microsecond) == (year, wall_ns // 1000 % 1_000_000)
    assert record.age_ns(0) == 0 and record.age_ns(2**64) == 2**64 - time_ns


def test_unknown_flags_are_not_kept_for_ever() -> None:
    """Every grid with other flags: what stays of them is nothing, though an IntFlag keeps the values it had."""
    header = bytearray(Slot.BYTES)
    Slot.degradation.pack_into(header, 2**64 - 1)
    decode_record(header, 1)
    members = len(Degradation._value2member_map_)
    for bits in range(1000):
        Slot.degradation.pack_into(header, bits << 20 | 2)
        record = decode_record(header, 1)
        assert int(record.degradation) == bits << 20 | 2 and Degradation.LATE in record.degradation
    assert len(Degradation._value2member_map_) <= members + 1


@pytest.mark.parametrize("newest", [2**63, 2**64 - 1])
def test_a_newest_that_cannot_be(path: Path, newest: int) -> None:
    segment = FakeSegment()
    segment.publish(1)
    with reading(path, segment) as (reader, mapping):
        mapping[1024:1032] = newest.to_bytes(8, "little")
        assert reader.next(0) is not None
        with pytest.raises(Lapped):
            reader.next(0)
        with pytest.raises(Overwritten):
            reader.copy_newest()
        mapping[1024:1032] = bytes(8)
        assert reader.next(0) is None


def test_a_flood_of_notifications_does_not_hold_a_reader(path: Path) -> None:
    """Notifications without grids: a wait still ends at its timeout."""
    with offered(path, FakeSegment()) as (server, _), connect(path) as reader:
        for _ in range(3):
            server.notify(2**64 - 1)
        start = time.monotonic()
        assert reader.next(0.1) is None
        assert 0.1 <= time.monotonic() - start < PLENTY / 2
        server.connections[0].send(b"x" * 4000)
        assert reader.next(0.05) is None
        server.connections[0].close()
        with pytest.raises(WriterGone):
            reader.next(PLENTY)


def test_descriptors_that_come_with_notifications_are_not_taken(path: Path) -> None:
    with offered(path, FakeSegment()) as (server, _), connect(path) as reader:
        before = len(os.listdir("/proc/self/fd"))
        socket.send_fds(server.connections[0], [b"x"], [0, 1, 2])
        assert reader.next(0.02) is None
        assert len(os.listdir("/proc/self/fd")) == before
