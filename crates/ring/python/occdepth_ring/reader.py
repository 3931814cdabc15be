"""A reader of one segment."""

from __future__ import annotations

import math
import os
import select
import socket
import time
import zlib
from collections.abc import Iterator
from types import TracebackType
from typing import Optional

import numpy as np
from numpy.typing import NDArray

from .description import AbiVersion, StreamDescription
from .errors import Corrupt, Lapped, NoGrid, Overwritten, ReaderClosed, WriterGone
from .grid import Grid
from .handshake import Credentials, Path, attach
from .layout import Notification, Slot
from .record import WriterStatus, decode_record, decode_status
from .segment import MappedSegment, OpenedSegment, open_segment


def connect(
    path: Path, *, timeout_s: float = 2.0, expected_uid: Optional[int] = None, notify: bool = True
) -> Reader:
    """Connects to the stream whose writer listens at ``path``.

    ``timeout_s`` bounds the whole handshake. ``expected_uid`` is the user that the writer must be; None takes any,
    and the decision is the caller's by :attr:`Reader.server`. ``notify`` asks for a datagram for every grid, which
    is what wakes a waiting reader at once; without it a wait looks every 10 ms.

    Raises a :class:`ConnectError`: there is no writer, it refuses this client, it is another user, or what it sent
    is not a sealed segment of this ABI major whose header fits its size.
    """
    attached = attach(path, timeout_s, notify, expected_uid)
    try:
        segment = open_segment(attached.segment, attached.epoch, attached.segment_bytes)
    except BaseException:
        attached.connection.close()
        raise
    finally:
        os.close(attached.segment)
    return Reader(attached.connection, segment, attached.server, notify)


class Reader:
    """A connection to one segment of a stream; :func:`connect` makes it. For one thread at a time.

    Iterating gives every grid, in order, until the writer is gone; :attr:`Grid.missed` says how many were
    overwritten before they were read.
    """

    def __init__(
        self, connection: socket.socket, segment: OpenedSegment, server: Credentials, notify: bool
    ) -> None:
        self._connection = connection
        self._poll = select.poll()
        self._poll.register(connection, select.POLLIN)
        self._wait_s = _NOTIFIED_WAIT_S if notify else _UNNOTIFIED_WAIT_S
        self._memory: MappedSegment = segment.memory
        self._segment = segment
        self._server = server
        self._scratch: NDArray[np.uint8] = np.empty(segment.places.used_bytes, np.uint8)
        self._gone = False
        # The last sequence that next() delivered or counted as missed.
        self._position = max(0, segment.memory.newest() - 1)

    @property
    def description(self) -> StreamDescription:
        """What the stream is."""
        return self._segment.description

    @property
    def epoch(self) -> int:
        """Random number of the segment; another one after every restart of the writer."""
        return self._segment.epoch

    @property
    def writer_abi(self) -> AbiVersion:
        """ABI version of the segment."""
        return self._segment.abi

    @property
    def slot_count(self) -> int:
        """Slots of the ring: a reader can be late by one less."""
        return self._segment.places.slot_count

    @property
    def segment_bytes(self) -> int:
        """Size of the segment, bytes."""
        return self._segment.segment_bytes

    @property
    def server(self) -> Credentials:
        """Who writes, as the kernel recorded it when the writer began to listen."""
        return self._server

    @property
    def position(self) -> int:
        """Sequence of the last grid that :meth:`next` delivered or counted as missed."""
        return self._position

    def resume_after(self, sequence: int) -> None:
        """Makes :meth:`next` go on with grid ``sequence + 1``; 0 begins with the first grid of the segment."""
        self._position = sequence

    def fileno(self) -> int:
        """The socket, for event loops: readable when a notification is there, and when the writer hung up.

        When it is, call ``next(timeout=0)`` until it returns None, also after :class:`Lapped`: that takes the
        notifications off, and nothing makes it readable again before another grid.
        """
        self._demand_open()
        return self._connection.fileno()

    def newest(self) -> int:
        """Sequence of the newest grid; 0 before the first. Makes no call to the system."""
        self._demand_open()
        return self._memory.newest()

    def next(self, timeout: Optional[float] = None, into: Optional[Grid] = None) -> Optional[Grid]:
        """The next grid that this reader has not had, in order; None when there was none in ``timeout`` seconds.

        ``timeout`` None waits until there is one. The first call gives the grid that was newest at the time of
        connecting, if there was one. ``into`` is a grid to be overwritten and returned: no array is made then,
        if its own are uint8, writable and of the shape of the stream; others are replaced.

        Raises :class:`Lapped` when grids were overwritten before they were read: the next call goes on with the
        oldest that is not about to be overwritten, so that delivered and missed grids add up to all grids.
        Raises :class:`WriterGone` after what was published before the writer went away has been delivered,
        :class:`Corrupt` when a slot is not what was published (it counts as delivered), :class:`ReaderClosed`.
        """
        if self.wait(self._position, timeout) is None:
            return None
        wanted = self._position + 1
        try:
            grid = self.copy(wanted, into)
        except Overwritten:
            resume = max(self.newest() - self.slot_count + 2, wanted + 1)
            self._position = resume - 1
            raise Lapped(resume - wanted) from None
        except Corrupt:
            self._position = wanted
            raise
        self._position = wanted
        return grid

    def __iter__(self) -> Iterator[Grid]:
        missed = 0
        while True:
            try:
                grid = self.next()
            except Lapped as lapped:
                missed += lapped.missed
                continue
            except WriterGone:
                return
            if grid is not None:
                grid.missed, missed = missed, 0
                yield grid

    def copy_newest(self, into: Optional[Grid] = None) -> Grid:
        """Copies the newest grid; does not change what :meth:`next` gives.

        Makes no call to the system, and so does not notice that the writer is gone: look at the age of the grid.
        Raises :class:`NoGrid` before the first, :class:`Overwritten` when the writer laps every attempt,
        :class:`Corrupt`, :class:`ReaderClosed`.
        """
        sequence = 0
        for _ in range(_NEWEST_ATTEMPTS):
            sequence = self.newest()
            if sequence == 0:
                raise NoGrid()
            try:
                return self.copy(sequence, into)
            except Overwritten:
                continue
        raise Overwritten(sequence)

    def copy(self, sequence: int, into: Optional[Grid] = None) -> Grid:
        """Copies grid ``sequence``; see :meth:`next` for ``into``, which an error leaves as it was.

        Raises :class:`NoGrid` when it has not been published yet, :class:`Overwritten` when its slot has been given
        to a newer one, also while it was copied, :class:`Corrupt` when sequence, epoch or checksum do not fit,
        :class:`ReaderClosed`.
        """
        if sequence < 1 or self.newest() < sequence:
            raise NoGrid(sequence)
        readable = 2 * sequence
        if self._memory.lock(sequence) != readable:
            raise Overwritten(sequence)
        self._memory.copy_slot(sequence, self._scratch)
        # The checksum rejects what the fence that Python does not have could let through.
        if self._memory.lock(sequence) != readable:
            raise Overwritten(sequence)
        return self._accept(sequence, into)

    def wait(self, newer_than: int, timeout: Optional[float] = None) -> Optional[int]:
        """Waits until a grid newer than ``newer_than`` is there: the newest's sequence, or None at the timeout.

        Sleeps in poll(). Raises :class:`WriterGone` when there is none and none can come.
        """
        deadline = math.inf if timeout is None else time.monotonic() + timeout
        while True:
            newest = self.newest()
            if newest > newer_than:
                return newest
            if self._gone:
                raise WriterGone()
            # First the notifications, then `newest` once more: a grid after that makes the socket readable again.
            drained = self._drain()
            newest = self.newest()
            if newest > newer_than:
                return newest
            remaining_s = deadline - time.monotonic()
            if remaining_s <= 0 and not self._gone:
                return None
            if not self._gone and drained < _DRAIN_AT_ONCE:
                self._poll.poll(math.ceil(min(remaining_s, self._wait_s) * 1e3))

    def status(self) -> Optional[WriterStatus]:
        """How the writer said that it is, and when; None of one that says nothing (those before ABI 1.1).

        What there is to go by while no grids come: a fresh status with ``SOURCE_INTERRUPTED`` is a writer that waits
        for its cameras, one much older than a grid takes is a writer that hangs. Makes no call to the system.
        """
        self._demand_open()
        return decode_status(*self._memory.status())

    def is_writer_alive(self) -> bool:
        """Whether the writer still holds its end of the socket. Takes notifications off."""
        self._demand_open()
        if not self._gone:
            self._drain()
        return not self._gone

    def close(self) -> None:
        """Hangs up and unmaps; grids stay the caller's. A second call does nothing."""
        self._connection.close()
        self._memory.close()

    def __enter__(self) -> Reader:
        return self

    def __exit__(
        self,
        kind: Optional[type[BaseException]],
        error: Optional[BaseException],
        trace: Optional[TracebackType],
    ) -> None:
        self.close()

    def _demand_open(self) -> None:
        if self._memory.closed:
            raise ReaderClosed()

    def _drain(self) -> int:
        """Takes notifications off the socket and returns how many; notices that the writer hung up."""
        for count in range(_DRAIN_AT_ONCE):
            try:
                # Content does not matter: `newest` says what is there.
                if not self._connection.recv(Notification.BYTES):
                    self._gone = True
                    return count
            except BlockingIOError:
                return count
            except ConnectionResetError:
                self._gone = True
                return count
        return _DRAIN_AT_ONCE

    def _accept(self, sequence: int, into: Optional[Grid]) -> Grid:
        """Checks the copy in the scratch buffer and makes a grid of it."""
        places = self._segment.places
        header = self._scratch[: Slot.BYTES].tobytes()
        labels = self._scratch[places.labels_offset :][: places.labels_bytes]
        confidence = self._scratch[places.confidence_offset :][: places.confidence_bytes]
        crc = zlib.crc32(header[Slot.CHECKED], zlib.crc32(confidence.data, zlib.crc32(labels.data)))
        for field, found, expected in (
            ("sequence", Slot.sequence.integer(header), sequence),
            ("epoch", Slot.epoch.integer(header), self.epoch),
            ("checksum", Slot.checksum.integer(header), crc),
        ):
            if found != expected:
                raise Corrupt(sequence, field, found, expected)

        shape = self.description.grid.dims
        has_confidence = places.confidence_bytes > 0
        fits = (
            into is not None
            and _holds(into.labels, shape)
            and (_holds(into.confidence, shape) if has_confidence else into.confidence is None)
        )
        record = decode_record(header, self.writer_abi.minor)
        if into is None or not fits:
            fresh = Grid(
                labels=labels.reshape(shape).copy(),
                confidence=confidence.reshape(shape).copy() if has_confidence else None,
                record=record,
                description=self.description,
            )
            if into is None:
                return fresh
            into.labels, into.confidence = fresh.labels, fresh.confidence
        else:
            np.copyto(into.labels, labels.reshape(shape))
            if into.confidence is not None:
                np.copyto(into.confidence, confidence.reshape(shape))
        into.record = record
        into.description = self.description
        into.missed = 0
        into.restarted = False
        return into


def _holds(array: Optional[NDArray[np.uint8]], shape: tuple[int, int, int]) -> bool:
    """Whether an array can take labels or confidences; whoever owns the grid may have put anything there."""
    return array is not None and array.dtype == np.uint8 and array.shape == shape and array.flags.carray


#: Longest poll() of a reader with notifications: one that the kernel had no memory for must not stall it for ever.
_NOTIFIED_WAIT_S = 1.0
_UNNOTIFIED_WAIT_S = 0.01
#: A writer that overtakes a copy of its newest grid this often laps its whole ring meanwhile.
_NEWEST_ATTEMPTS = 16
#: So that a writer that floods the socket cannot hold a reader past its timeout.
_DRAIN_AT_ONCE = 256
