"""A reader that survives restarts of the writer."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from types import TracebackType
from typing import Optional

from .description import StreamDescription
from .errors import ConnectError, HandshakeTimeout, Lapped, NoStream, ReaderClosed, Refused, WriterGone
from .grid import Grid
from .handshake import Path
from .reader import Reader, connect


def follow(
    path: Path,
    *,
    timeout_s: float = 2.0,
    expected_uid: Optional[int] = None,
    max_backoff_s: float = 1.0,
) -> Stream:
    """The grids of whichever writer listens at ``path``, now or later. Does not connect yet.

    ``timeout_s`` and ``expected_uid`` are those of :func:`connect`. Attempts to connect are 10 ms apart at first
    and at most ``max_backoff_s``.
    """
    return Stream(path, timeout_s=timeout_s, expected_uid=expected_uid, max_backoff_s=max_backoff_s)


class Stream:
    """The grids of one writer after another at one path; :func:`follow` makes it. For one thread at a time.

    Iterating never ends. :attr:`Grid.missed` counts grids that were overwritten before they were read;
    :attr:`Grid.restarted` marks the first grid of another writer, whose description may differ.
    """

    def __init__(
        self, path: Path, *, timeout_s: float, expected_uid: Optional[int], max_backoff_s: float
    ) -> None:
        self._path = path
        self._timeout_s = timeout_s
        self._expected_uid = expected_uid
        self._max_backoff_s = max_backoff_s
        self._backoff_s = _FIRST_BACKOFF_S
        self._attempt_at = -math.inf
        self._reader: Optional[Reader] = None
        self._closed = False
        # Where the segment read last was left, and the epoch of the grid given last; 0 before any.
        self._left: tuple[int, int] = (0, 0)
        self._given_epoch = 0
        self._missed = 0
        self._error: Optional[ConnectError] = None

    @property
    def reader(self) -> Optional[Reader]:
        """The reader of the present segment; None while there is no writer."""
        return self._reader

    @property
    def description(self) -> Optional[StreamDescription]:
        """What the stream is; None while there is no writer. Grids carry their own."""
        return None if self._reader is None else self._reader.description

    @property
    def last_error(self) -> Optional[ConnectError]:
        """Why the last attempt to connect failed; None after one that did not."""
        return self._error

    def next(self, timeout: Optional[float] = None, into: Optional[Grid] = None) -> Optional[Grid]:
        """The next grid; None when there was none in ``timeout`` seconds, or for ever waited for when None.

        The first is the newest at the time of the first connection; of a writer that came later, the oldest that
        can still be had. Being lapped is no error here: :attr:`Grid.missed` counts.

        Raises a :class:`ConnectError` that waiting would not cure: another major version, a refusal of this user,
        a writer of another user, a segment that is not in order. A later call tries again. Raises
        :class:`Corrupt` as :meth:`Reader.next` does, and :class:`ReaderClosed`.
        """
        deadline = math.inf if timeout is None else time.monotonic() + timeout
        while True:
            if self._closed:
                raise ReaderClosed()
            reader = self._reader or self._attempt(deadline)
            if reader is None:
                if time.monotonic() >= deadline:
                    return None
                continue
            remaining_s = None if timeout is None else max(0.0, deadline - time.monotonic())
            try:
                grid = reader.next(remaining_s, into)
            except Lapped as lapped:
                self._missed += lapped.missed
                continue
            except WriterGone:
                self._detach(reader)
                continue
            if grid is None:
                return None
            grid.restarted = self._given_epoch not in (0, grid.epoch)
            grid.missed, self._missed = self._missed, 0
            self._given_epoch = grid.epoch
            self._backoff_s = _FIRST_BACKOFF_S
            return grid

    def __iter__(self) -> Iterator[Grid]:
        while True:
            grid = self.next()
            if grid is not None:
                yield grid

    def close(self) -> None:
        """Hangs up and unmaps; grids stay the caller's. A second call does nothing."""
        self._closed = True
        if self._reader is not None:
            self._reader.close()
            self._reader = None

    def __enter__(self) -> Stream:
        return self

    def __exit__(
        self,
        kind: Optional[type[BaseException]],
        error: Optional[BaseException],
        trace: Optional[TracebackType],
    ) -> None:
        self.close()

    def _detach(self, reader: Reader) -> None:
        self._left = (reader.epoch, reader.position)
        self._reader = None
        reader.close()

    def _attempt(self, deadline: float) -> Optional[Reader]:
        """Waits for the next attempt's time, if that comes before the deadline, and tries to connect."""
        now = time.monotonic()
        if self._attempt_at > now:
            time.sleep(max(0.0, min(self._attempt_at, deadline) - now))
            if time.monotonic() < self._attempt_at:
                return None
        # Also after a success: a writer that accepts and dies at once must not be asked in a tight loop.
        backoff_s, self._backoff_s = self._backoff_s, min(2 * self._backoff_s, self._max_backoff_s)
        try:
            # Even at the deadline a writer that is there has time to answer.
            within_s = min(self._timeout_s, max(deadline - time.monotonic(), _LEAST_HANDSHAKE_S))
            reader = connect(self._path, timeout_s=within_s, expected_uid=self._expected_uid)
        except ConnectError as error:
            self._error = error
            if isinstance(error, (NoStream, HandshakeTimeout)) or (isinstance(error, Refused) and error.transient):
                return None
            raise
        finally:
            self._attempt_at = time.monotonic() + backoff_s
        self._error = None
        left_epoch, left_position = self._left
        if left_epoch == reader.epoch:
            # The same writer, which had closed this client: nothing twice, nothing left out unseen.
            reader.resume_after(left_position)
        elif left_epoch != 0:
            reader.resume_after(0)
        self._reader = reader
        return reader


_FIRST_BACKOFF_S = 0.01
_LEAST_HANDSHAKE_S = 0.05
